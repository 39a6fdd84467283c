"""What the machine of the search needs for trials on Ray: memory by worker and by trial that waits, and bytes on the network.

    unshare --net sh -c 'ip link set lo up; python benchmarks/ray_head.py'      # the last line is one JSON object

Workers are real processes that sleep and report. In a network of its own, what passes the loopback device is Ray's alone; all of a
cluster is on this machine, so that it counts what a network between them would carry, and what the search tells its own machine.
Memory is what each process has for itself.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from strategies.engines.ray_connection import own_ray
from strategies.engines.ray_pool import RayPool

FEW, MANY = 4, 16  # workers
WAITING = 1_000  # trials for which there is no worker yet
TRIALS, REPORTS = 200, 20
SECONDS_IDLE = 10
PROCESSES = {"search": "", "mailbox": "ray::Mailbox", "gcs_server": "gcs_server", "raylet": "raylet/raylet"}


def talk(sample: Mapping[str, Any], report: Any, note: Any) -> float:
    note({"began": True})
    for step in range(sample["reports"]):
        report(float(step))
    time.sleep(sample["seconds"])
    return 1.0


def memory() -> dict[str, int]:
    """Bytes of each process of the search's machine, by its name."""
    this = psutil.Process()
    told = {"search": this.memory_full_info().uss}
    for process in this.children(recursive=True):
        program = process.cmdline()[0]
        told |= {name: process.memory_full_info().uss for name, word in PROCESSES.items() if word and word in program}
    return told


def growth(before: Mapping[str, int], after: Mapping[str, int], number: int) -> dict[str, float]:
    """KiB more for each of ``number``, by process."""
    return {name: round((after[name] - before[name]) / number / 2**10, 1) for name in before}


def sent() -> int:
    return int(psutil.net_io_counters(pernic=True)["lo"].bytes_sent)


def begin(pool: RayPool, number: int, **sample: Any) -> list[Any]:
    return [pool.start(each, sample) for each in range(number)]


def bytes_of(pool: RayPool, reports: int, idle: float) -> float:
    """Bytes of a trial that reports so often; ``idle``: bytes a second that are no trial's."""
    start, before = time.perf_counter(), sent()
    trials = begin(pool, TRIALS, reports=reports, seconds=0)
    while not all(trial.outcome() for trial in trials):
        pool.wait()
    return (sent() - before - idle * (time.perf_counter() - start)) / TRIALS


def main() -> None:
    with own_ray(MANY):
        pool = RayPool(talk)
        told = {"nothing": {name: round(size / 2**20) for name, size in memory().items()}}
        sizes = []
        for workers in (FEW, MANY):
            trials = begin(pool, workers, reports=1, seconds=15)
            while not all(trial.facts for trial in trials):
                pool.wait()
            time.sleep(2)
            sizes.append(memory())
            while not all(trial.outcome() for trial in trials):
                pool.wait()
        told["worker_kib"] = growth(*sizes, MANY - FEW)
        before = sent()
        time.sleep(SECONDS_IDLE)
        idle = (sent() - before) / SECONDS_IDLE
        bytes_of(pool, 1, idle)
        none, some = (bytes_of(pool, reports, idle) for reports in (0, REPORTS))
        told["network_bytes"] = {"second": round(idle), "trial": round(none), "report": round((some - none) / REPORTS)}
        full = memory()
        begin(pool, MANY + WAITING, reports=0, seconds=60)
        time.sleep(5)
        told["waiting_trial_kib"] = growth(full, memory(), WAITING)
        pool.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
