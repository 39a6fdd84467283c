"""What a run has left behind as plain data, and how two such records may differ."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

# Of the clock, of the installation, or of the folder.
NEVER_KEPT = frozenset({"finished", "created", "ended", "versions", "commit", "command", "directory", "resumed"})
# What versions after the recorded one write beside it: it is passed over, here and nowhere else.
LATER = {"retrained": frozenset({"plain_test_accuracy", "mirrored_test_accuracy", "normalization", "classes"})}
LOSS_TOLERANCE = 0.2  # of an epoch's loss on another machine, as a share
MOST_LINES = 12

# What may differ on another machine, as paths of a record: what comes of training arithmetic, and what follows from it.
FOUND = ("best/score/value", "best/architecture", "best/hyperparameters", "best/parameters", "best/flops", "best/strategy/trial")
FOUND += ("best/strategy/searched", "best/strategy/collapse_guard")
FOUND += ("best_parameters/parameters", "best_parameters/result", "best_parameters/trial")
SCORES = ("trials/*/score", "trials/*/curve", *FOUND)
SUPERNET = ("epochs/*", *FOUND)
RETRAINED = ("epochs/*/loss", "epochs/*/accuracy", "retrained/curve", "retrained/test_accuracy")
# What a sampler of other versions may propose otherwise, and what follows from that.
PROPOSALS = ("trials", "pareto/points", *FOUND)


def read_record(run: Path, *, keep_seconds: bool) -> dict[str, Any]:
    """The record of the run in the folder ``run``.

    Parameters
    ----------
    run
        A run folder.
    keep_seconds
        Whether seconds are part of it: those of a table are data, all others are of the clock.
    """
    dropped = NEVER_KEPT if keep_seconds else NEVER_KEPT | {"seconds"}
    config = _read_json(run / "config.json")
    record = {"identity": config["identity"], "has_ended": "ended" in config, "files": _list_files(run)}
    for name in ("trials", "epochs"):
        if (run / f"{name}.jsonl").exists():
            record[name] = [json.loads(line) for line in (run / f"{name}.jsonl").read_text().splitlines()]
    for name in ("best", "retrained", "pareto", "best_parameters"):
        if (run / f"{name}.json").exists():
            record[name] = _read_json(run / f"{name}.json")
    if (run / "weights.safetensors").exists():
        record["weights"] = _read_shapes(run / "weights.safetensors")
    for name, later in LATER.items():
        record[name] = {key: value for key, value in record[name].items() if key not in later} if name in record else None
    return {name: _without(value, dropped) for name, value in record.items() if value is not None}


def to_text(record: Mapping[str, Any]) -> str:
    """The JSON text of a record, a line for each of its parts, trials and epochs."""
    parts = []
    for name, value in record.items():
        text = json.dumps(value)
        if name in ("trials", "epochs"):
            text = "[\n  " + ",\n  ".join(json.dumps(entry) for entry in value) + "\n]"
        parts.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def find_differences(golden: Any, found: Any, loose: Sequence[str] = (), path: str = "") -> list[str]:
    """Where ``found`` is not as ``golden`` is, a line each; below the paths ``loose``, patterns of a shell, only its shape counts."""
    if any(fnmatchcase(path, pattern) for pattern in loose):
        return _find_other_shapes(golden, found, path)
    if type(golden) is not type(found):
        return [_tell(path, golden, found)]
    if isinstance(golden, dict):
        lines = [f"{path}: keys {sorted(golden)} became {sorted(found)}"] if golden.keys() != found.keys() else []
        for key in golden.keys() & found.keys():
            lines += find_differences(golden[key], found[key], loose, f"{path}/{key}".lstrip("/"))
        return lines
    if isinstance(golden, list) and len(golden) == len(found):
        return [line for i, pair in enumerate(zip(golden, found, strict=True)) for line in find_differences(*pair, loose, f"{path}/{i}")]
    return [] if golden == found else [_tell(path, golden, found)]


def assert_same(golden: Mapping[str, Any], found: Mapping[str, Any], loose: Sequence[str] = ()) -> None:
    """Fail with the first differences."""
    lines = find_differences(dict(golden), dict(found), loose)
    more = [f"... and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    assert not lines, "\n".join(["the record is another:", *lines[:MOST_LINES], *more])


def _find_other_shapes(golden: Any, found: Any, path: str) -> list[str]:
    """As ``find_differences``; numbers are finite, accuracies fractions, losses near those of the record."""
    if golden is None or found is None:
        return []
    if isinstance(golden, dict) and isinstance(found, dict):
        if golden.keys() != found.keys():
            return [f"{path}: keys {sorted(golden)} became {sorted(found)}"]
        return [line for key in golden for line in _find_other_shapes(golden[key], found[key], f"{path}/{key}")]
    if isinstance(golden, list) and isinstance(found, list):
        pairs = enumerate(zip(golden, found, strict=False))  # fewer trials may be pruned, more may be best
        return [line for i, pair in pairs for line in _find_other_shapes(*pair, f"{path}/{i}")]
    if _is_number(golden) and _is_number(found):
        return [] if _is_near(golden, found, path) else [_tell(path, golden, found)]
    return [] if type(golden) is type(found) else [_tell(path, golden, found)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_near(golden: float, found: float, path: str) -> bool:
    named = [part for part in path.split("/") if not part.isdecimal()]
    if named[-1].endswith("loss"):
        return math.isclose(golden, found, rel_tol=LOSS_TOLERANCE)
    if named[-1].endswith("accuracy") or named[-1] in ("score", "curve", "value"):
        return -1 <= found <= 1  # below zero where less is better
    return math.isfinite(found)


def _tell(path: str, golden: object, found: object) -> str:
    return f"{path}: {str(golden)[:200]} became {str(found)[:200]}"


def _without(value: Any, dropped: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(entry, dropped) for key, entry in value.items() if key not in dropped}
    return [_without(entry, dropped) for entry in value] if isinstance(value, list) else value


def _list_files(run: Path) -> list[str]:
    """What is in the folder and in its checkpoints, but the lock."""
    paths = [*run.iterdir(), *(run / "checkpoints").iterdir()]
    return sorted(path.relative_to(run).as_posix() for path in paths if path.name != ".lock")


def _read_shapes(path: Path) -> dict[str, str]:
    """The tensors in a safetensors file: name to type and shape. Its first eight bytes say how long the header is, which is JSON."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return {
        name: f"{told['dtype']} {'x'.join(map(str, told['shape']))}".strip()
        for name, told in sorted(header.items())
        if name != "__metadata__"
    }


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text())
