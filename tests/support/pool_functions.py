"""What the workers of the tests do. Nothing heavy is imported here, so that they start quickly."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Report = Callable[[float], None]
Note = Callable[[dict[str, Any]], None]


def product(sample: Mapping[str, Any], report: Report, note: Note) -> float:
    """A score that belongs to this sample alone, after a time that depends on chance."""
    note({"parameters": round(1000 * sample["x"]), "pid": os.getpid()})
    for step in (1, 2):
        time.sleep(random.random() / 25)
        report(step * sample["x"])
    return sample["x"] * sample["n"]


def fragile(sample: Mapping[str, Any], report: Report, note: Note) -> float:
    """Dies after its first report as often as ``sample["deaths"]`` says; ``sample["folder"]`` keeps count."""
    report(0.25)
    count = Path(sample["folder"]) / str(sample["name"])
    died = int(count.read_text()) if count.exists() else 0
    if died < sample["deaths"]:
        count.write_text(str(died + 1))
        os.kill(os.getpid(), signal.SIGKILL)
    report(0.5)
    return float(sample["name"])


def patient(sample: Mapping[str, Any], report: Report, note: Note) -> float:
    """Reports the same for a long time; whoever stops it learns nothing more."""
    note({"pid": os.getpid()})
    for _ in range(sample["reports"]):
        report(sample["x"])
        time.sleep(0.02)
    return sample["x"]


def failing(sample: Mapping[str, Any], report: Report, note: Note) -> float:
    """Raises, or returns what is no number."""
    if sample["n"] == 1:
        raise RuntimeError("does not fit\nsecond line")
    return float("nan")


def talkative(sample: Mapping[str, Any], report: Report, note: Note) -> float:
    """Prints, warns, and dies once if it is told to."""
    print("begins with", sample["x"])
    warnings.warn("slow here", stacklevel=1)
    count = Path(sample["folder"]) / str(sample["x"])
    if sample["dies"] and not count.exists():
        count.touch()
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    print("ends", end="")
    return float(sample["x"])


def echo(sample: Mapping[str, Any], report: Report, note: Note) -> Any:
    """Returns what it is given, whatever it is."""
    return sample["value"]


class Stranger:
    """Runs trials, and can only be pickled."""

    def __call__(self, sample: Mapping[str, Any], report: Report, note: Note) -> float:
        return 1.0

    def __reduce__(self) -> tuple[Any, ...]:
        return refuse, ()


def refuse() -> Any:
    """What an import says of a library that is on no other machine."""
    raise ImportError("not installed here")


def prepare() -> None:
    """Leaves a mark in its process."""
    os.environ["RETIARIUS_PREPARED"] = "1"


def prepared(sample: Mapping[str, Any], report: Report, note: Note) -> float:
    """Whether the mark is there."""
    return float(os.environ.get("RETIARIUS_PREPARED", 0))


def endless(sample: Mapping[str, Any], report: Report, note: Note) -> float:
    """Never ends and never reports."""
    note({"pid": os.getpid()})
    while True:
        time.sleep(0.01)


def pixel_sum(sample: Mapping[str, Any], report: Report, note: Note, *, data: Any) -> float:
    """The sum of the training images."""
    total = float(data.train.images.sum())
    note({"described": data.describe(), "labels": data.test.labels.tolist(), "mean": data.mean})
    note({"is_shared": lies_in_shared_memory(data.train.images.data_ptr())})
    return total


def lies_in_shared_memory(address: int) -> bool:
    """Whether what lies there is one and the same for all processes that have mapped it."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(number, 16) for number in line.split()[0].split("-"))
        if begin <= address < end:
            return line.split()[1].endswith("s")
    return False


def sleep_and_score(network: Any, *, report: Callable[[float], Any], **others: Any) -> float:
    """An evaluator that takes three seconds."""
    time.sleep(3)
    report(0.5)
    return 0.5


if __name__ == "__main__":  # started by a test that ends it in some rude way
    import psutil

    from strategies.engines.ray_connection import own_ray
    from strategies.engines.ray_pool import RayPool

    with own_ray(2):
        pool = RayPool(endless)
        trials = [pool.start(number, {}) for number in range(2)]
        while not all(trial.facts for trial in trials):
            assert all(trial.outcome() is None for trial in trials)
            pool.wait()
        print(*(process.pid for process in psutil.Process().children(recursive=True)), flush=True)
        sys.stdin.read()
