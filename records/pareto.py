"""``pareto.json``, version 1: the trials of a search with several objectives that no other trial beats in all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.files import write_json_atomically
from common.text import show
from common.trial import Trial

FORMAT = "retiarius-pareto"
VERSION = 1
ACCURACY = "accuracy"
LATENCY = "latency"
DEFAULT_OBJECTIVES = (ACCURACY, "parameters")
# name -> (whether higher is better, its value for a completed trial)
OBJECTIVES: dict[str, tuple[bool, Callable[[Trial], float | None]]] = {
    ACCURACY: (True, lambda trial: trial.score),
    "parameters": (False, lambda trial: trial.parameters),
    "flops": (False, lambda trial: trial.flops),
    LATENCY: (False, lambda trial: trial.latency),
}


def parse_objectives(text: str) -> tuple[str, ...]:
    """Return the names in ``accuracy,parameters``.

    Raises
    ------
    RecordError
        One is unknown or there twice; or they are fewer than two, or do not begin with the accuracy.
    """
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in OBJECTIVES:
            raise RecordError(f"{show(name)} is not one of {', '.join(OBJECTIVES)}")
    if len(set(names)) != len(names) or len(names) < 2 or names[0] != ACCURACY:
        raise RecordError(f"{show(text)}: expected {ACCURACY} first, then one or more of {', '.join(list(OBJECTIVES)[1:])}, each once")
    return names


def find_pareto_front(trials: Sequence[Trial], objectives: Sequence[str]) -> list[Trial]:
    """Return the completed trials that no other beats: as good in all ``objectives`` and better in one. By falling accuracy."""
    points: list[tuple[list[float], Trial]] = []
    for trial in trials:
        values = [(value if OBJECTIVES[name][0] else -value) for name in objectives if (value := OBJECTIVES[name][1](trial)) is not None]
        if trial.state == "complete" and len(values) == len(objectives):
            points.append((values, trial))
    front: list[tuple[list[float], Trial]] = []
    # What beats a point comes before it in this order, and the front has either that or what beats that in turn.
    for values, trial in sorted(points, key=lambda point: (*(-value for value in point[0]), point[1].number)):
        if not any(other != values and all(a >= b for a, b in zip(other, values, strict=True)) for other, _ in front):
            front.append((values, trial))
    return [trial for _, trial in front]


def save_pareto(path: Path, trials: Sequence[Trial], objectives: Sequence[str], *, space: dict[str, Any]) -> int:
    """Write the front of ``trials`` atomically; return how many there are. ``space`` is that of best.json: name and arguments."""
    front = find_pareto_front(trials, objectives)
    points = [
        {
            "trial": trial.number,
            "objectives": {name: OBJECTIVES[name][1](trial) for name in objectives},
            "architecture": trial.architecture,
            "hyperparameters": trial.hyperparameters,
        }
        for trial in front
    ]
    document = {"format": FORMAT, "version": VERSION, "space": space, "objectives": list(objectives), "points": points}
    if LATENCY in objectives:
        document["units"] = {LATENCY: "milliseconds"}
    write_json_atomically(path, document)
    return len(front)
