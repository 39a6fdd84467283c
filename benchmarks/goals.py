"""What the project set itself (benchmarks/goals.json), and whether the records reach it, on each kind of machine."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GOALS = Path(__file__).with_name("goals.json")
# A kind of processor by the best of its units, as benchmarks/machine.py names them.
KINDS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 with bfloat16", "avx512f": "AVX-512", "avx2": "AVX2"}
Records = Mapping[str, Mapping[str, Any]]


def kind_of(run: Mapping[str, Any]) -> str:
    """The kind of processor that a run was measured on."""
    return next((name for unit, name in KINDS.items() if unit in run["machine"]["units"]), "other")


def look_up(values: Mapping[str, Any], path: str) -> Any:
    """The value at a path such as ``float32.ratio``, None where there is none."""
    found: Any = values
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def as_list(value: Any) -> list[Any]:
    """A value, or several, as a list; none for None."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def seconds_of(run: Mapping[str, Any]) -> list[float]:
    """The seconds of a run's trainings, or their mean where the record has no more."""
    return as_list(run["values"].get("seconds", run["values"].get("seconds_mean")))


def runs_of(records: Records, goal: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The runs that a goal is about."""
    runs = records.get(goal["record"], {"runs": []})["runs"]
    return [run for run in runs if "row" not in goal or run.get("row") == goal["row"]]


def by_machine(records: Records, goal: Mapping[str, Any]) -> dict[str, list[float]]:
    """The values that a goal is judged by, of each kind of machine."""
    if "accuracy" in goal:
        return seconds_to(goal["accuracy"], runs_of(records, goal))
    found: dict[str, list[float]] = {}
    for run in runs_of(records, goal):
        values = as_list(look_up(run["values"], goal["value"]))
        if values and (not run.get("shared") or not {"mean", "percent", "every"}.isdisjoint(goal)):
            found.setdefault(kind_of(run), []).extend([statistics.mean(values)] if goal.get("mean") else values)
    return found


def seconds_to(accuracy: float, runs: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Of each kind of machine the seconds of the shortest training that reaches ``accuracy`` with every seed, images as they are.

    The accuracies may be of one machine and the seconds of another: with as many epochs they are the same training.
    """
    plain: dict[Any, list[float]] = {}
    for run in runs:
        plain.setdefault(run["values"].get("epochs"), []).extend(run["values"].get("test_accuracy", []))
    seconds: dict[tuple[str, Any], list[float]] = {}
    for run in runs:
        reached = plain[run["values"].get("epochs")]
        if reached and min(reached) >= accuracy and not run.get("shared"):
            seconds.setdefault((kind_of(run), run["values"].get("epochs")), []).extend(seconds_of(run))
    found: dict[str, list[float]] = {}
    for (kind, _), values in sorted(seconds.items(), key=lambda item: max(item[1])):
        found.setdefault(kind, values)
    return found


def judge(records: Records, goal: Mapping[str, Any]) -> tuple[str, str, str]:
    """A row of the page: the goal, what was measured (least favourable first), and where it is met."""
    lower, limit = goal.get("lower", False) or "accuracy" in goal, goal["limit"]
    show = (lambda value: f"{100 * value:.4g}%") if goal.get("percent") else (lambda value: f"{value:,.4g}")
    text = goal["goal"].format(limit=show(limit))
    found = by_machine(records, goal)
    if not found:
        return text, "-", "open: not on record"
    values = [value for each in found.values() for value in each]
    worst, best = (max(values), min(values)) if lower else (min(values), max(values))
    measured = (show(worst) if show(worst) == show(best) else f"{show(worst)} to {show(best)}") + goal.get("unit", "")
    met = {kind: all(value <= limit if lower else value >= limit for value in each) for kind, each in found.items()}
    if all(met.values()):
        return text, measured, "yes"
    if not any(met.values()):
        return text, measured, "no"
    return text, measured, "not on " + ", ".join(sorted(kind for kind, is_met in met.items() if not is_met))


def goal_rows(records: Records) -> list[tuple[str, str, str]]:
    """The page's table of goals."""
    return [judge(records, goal) for goal in json.loads(GOALS.read_text(encoding="utf-8"))]
