"""What a trial costs beside its own work: in this process, and on Ray; and how soon the first begins.

    python benchmarks/engines.py            # 1,000 trials of 10 ms, the images of 4 workers, and 1,000 workers by simulation
    python benchmarks/engines.py --quick    # 200 trials, less than 50 s; the last line is one JSON object

A trial sleeps 10 ms and reports once. Its overhead is the time from one end to the next, less those 10 ms, on one worker. ``start_s``
is the time from nothing to the first report with two workers that import torch and NNI, as in ``--workers 2``.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from common.libraries import quiet_libraries

quiet_libraries()

import torch
from nni.nas.space import SimplifiedModelSpace

from benchmarks.arguments import count
from evaluators.data.dataset import Dataset, Split
from evaluators.data.shared import SharedDataset
from nni_compat.search_space import parse_search_space
from nni_compat.trial_program import TrialProgram
from strategies.engines.concurrent import ConcurrentEngine
from strategies.engines.in_process import InProcessEngine
from strategies.engines.ray_connection import own_ray
from strategies.engines.ray_pool import RayPool, RayTrial
from strategies.engines.recording import RecordingEngine

SECONDS_OF_WORK, TRIALS, QUICK_TRIALS = 0.01, 1_000, 200
WARM_UP = 20  # trials that are not counted
IMAGES, WORKERS = 60_000, 4
SIMULATED_WORKERS, SIMULATED_SECONDS, SIMULATED_REPORTS = 1_000, 600.0, 30


def sleep(sample: Mapping[str, Any], report: Any, note: Any) -> float:
    time.sleep(SECONDS_OF_WORK)
    report(sample["x"])
    return float(sample["x"])


def time_trials(engine: RecordingEngine, trials: int) -> float:
    """Milliseconds that a trial took beside its work."""
    space = parse_search_space({"x": {"_type": "uniform", "_value": [0, 1]}})
    models = SimplifiedModelSpace(TrialProgram(), space.mutables, None)

    def submit(begin: int, end: int) -> float:
        start = time.perf_counter()
        for number in range(begin, end):
            engine.submit_models(models.freeze({"x": number / (WARM_UP + trials)}))
        engine.wait_models()
        return time.perf_counter() - start

    submit(0, WARM_UP)
    return (submit(WARM_UP, WARM_UP + trials) / trials - SECONDS_OF_WORK) * 1_000


def time_start() -> float:
    """Seconds until the first of two trials has reported."""
    start = time.perf_counter()
    with own_ray(2):
        pool = RayPool(sleep, threads=1, prepare=quiet_libraries)
        trials = [pool.start(number, {"x": 0.5}) for number in range(2)]
        while not any(trial.read_reports() for trial in trials):
            pool.wait()
        seconds = time.perf_counter() - start
        pool.close()
    return seconds


def hold_images(sample: Mapping[str, Any], report: Any, note: Any, *, data: Any) -> float:
    """Read all images, and tell how much memory this process shares and how much it has for itself, in MiB."""
    total = float(data.train.images.sum())
    time.sleep(2)  # so that no worker has two of these trials
    lines = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    sizes = {name: int(lines[name].split()[0]) / 2**10 for name in ("Shared_Clean", "Shared_Dirty", "Private_Clean", "Private_Dirty")}
    note({"private": sizes["Private_Clean"] + sizes["Private_Dirty"], "shared": sizes["Shared_Clean"] + sizes["Shared_Dirty"]})
    return total


def measure_images() -> dict[str, Any]:
    """MiB of the images, and what each of four workers has for itself and shares: with one image, then the same workers with all."""
    images = torch.randint(0, 256, (IMAGES, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(IMAGES, dtype=torch.int64)
    few, all_of_them = Split(images[:1].clone(), labels[:1]), Split(images, labels)
    shared = {name: SharedDataset(_dataset(split, few)) for name, split in (("without", few), ("with", all_of_them))}
    told: dict[str, Any] = {"images_mib": round(shared["with"].num_bytes / 2**20)}
    with own_ray(WORKERS, 2 * shared["with"].num_bytes):
        for name, data in shared.items():
            pool = RayPool(partial(hold_images, data=data), threads=1, prepare=quiet_libraries)
            trials = [pool.start(number, {}) for number in range(WORKERS)]
            _wait_for(pool, trials)
            pool.close()
            told |= {f"{kind}_{name}": sorted(round(trial.facts[kind]) for trial in trials) for kind in ("private", "shared")}
    return told


def _dataset(train: Split, other: Split) -> Dataset:
    return Dataset("made", ("a",), train, other, other, (0.5,) * 3, (0.5,) * 3, "0" * 32)


def _wait_for(pool: RayPool, trials: list[RayTrial]) -> None:
    while not all(trial.outcome() for trial in trials):
        pool.wait()


def simulate(milliseconds: float) -> dict[str, float]:
    """How busy 1,000 workers are with trials of some 10 minutes, where the search does one thing at a time.

    Each report and each end costs the search ``milliseconds``, an end before its worker gets another trial. That is a bound from above:
    measured is all that a trial costs one worker, of which the search has a part.
    """
    generator, cost = random.Random(0), milliseconds / 1_000
    horizon, free_at, busy = 10 * SIMULATED_SECONDS, 0.0, 0.0

    def begin(at: float) -> None:
        nonlocal busy
        seconds = generator.uniform(0.5, 1.5) * SIMULATED_SECONDS
        busy += max(0.0, min(seconds, horizon - at))
        for step in range(1, SIMULATED_REPORTS + 1):
            heapq.heappush(events, (at + seconds * step / SIMULATED_REPORTS, step == SIMULATED_REPORTS))

    events: list[tuple[float, bool]] = []
    for _ in range(SIMULATED_WORKERS):
        free_at += cost
        begin(free_at)
    handled = 0
    while events and events[0][0] < horizon:
        at, is_end = heapq.heappop(events)
        free_at = max(free_at, at) + cost
        handled += 1
        if is_end:
            begin(free_at)
    load = handled * cost / horizon
    return {"busy": round(busy / (SIMULATED_WORKERS * horizon), 4), "load_of_the_search": round(load, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer trials, neither memory nor simulation")
    parser.add_argument("--trials", type=count, metavar="N", help=f"trials to time (default: {TRIALS}; {QUICK_TRIALS} with --quick)")
    arguments = parser.parse_args()
    trials = arguments.trials or (QUICK_TRIALS if arguments.quick else TRIALS)
    with InProcessEngine(sleep) as engine:
        here = time_trials(engine, trials)
    start = time_start()
    with own_ray(1):
        pool = RayPool(sleep)
        with ConcurrentEngine(pool.start, concurrency=1, wait=pool.wait, close=pool.close) as engine:
            there = time_trials(engine, trials)
    told: dict[str, Any] = {
        "in_process": {"overhead_ms": round(here, 2)},
        "ray": {"overhead_ms": round(there, 2), "start_s": round(start, 2)},
    }
    if not arguments.quick:
        told |= {"memory": measure_images(), "1000 workers": simulate(there)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
