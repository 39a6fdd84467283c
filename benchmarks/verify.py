"""Check some published claims on this machine: a few minutes on two CPU cores.

    python benchmarks/verify.py                     # make verify
    python benchmarks/verify.py --quick             # without the training, less than 50 s
    python benchmarks/verify.py --nasbench FILE     # the table of NAS-Bench-201, where it is not in data/nasbench201/

What is expected is read from benchmarks/records/. What cannot be checked here, as CIFAR-10 or the table is missing, is skipped and said
to be. The last line is one JSON object; the exit status is 1 where a claim fails.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.arguments import refuse
from benchmarks.machine import processor
from benchmarks.record import RecordFault, last_line, read_record
from benchmarks.retrain import train
from common.errors import EvaluatorError, RunError
from evaluators.data.cifar10 import find_cifar10

POINT = 0.01  # of accuracy: another processor rounds otherwise, and so trains another network
SHARE = 0.7  # of a ratio of speeds: what other work on a machine may cost it
BUDGET = 12_000  # simulated seconds of a search
EPOCHS, WIDTH = 4, 32  # of the small network
DARTS_CHANNELS, DARTS_CELLS = 36, 20  # of DARTS_V2 in its paper


class Skipped(Exception):
    """A claim that cannot be checked here; the text says why."""


@dataclass(frozen=True)
class Finding:
    """What became of a claim; ``ok`` is None where it was skipped."""

    claim: str
    expected: str
    measured: str
    ok: bool | None


def recorded(name: str, *path: str) -> list[float]:
    """All values at a path in the runs of a record."""
    found: list[float] = []
    for run in read_record(name)["runs"]:
        value: Any = run["values"]
        for key in path:
            value = value.get(key, {}) if isinstance(value, dict) else {}
        if value != {}:
            found += value if isinstance(value, list) else [value]
    return found


def check_network(data_dir: Path) -> Finding:
    """Train the small network with one seed."""
    if find_cifar10(data_dir) is None:
        raise Skipped(f"no CIFAR-10 in {data_dir}")
    accuracies = [
        one
        for run in read_record("small-network")["runs"]
        if run["values"]["epochs"] == EPOCHS
        for one in run["values"].get("test_accuracy", [])
    ]
    least = min(accuracies) - POINT
    words = f"convnet32 --set width={WIDTH} --epochs {EPOCHS} --preset lab --dataset cifar10 --data-dir {data_dir.resolve()}"
    with tempfile.TemporaryDirectory() as folder:
        accuracy = train(words.split(), 0, Path(folder) / "run")["plain_test_accuracy"]
    return Finding("", f"{least:.1%} or more", f"{accuracy:.1%}", accuracy >= least)


def check_step(rounds: int) -> Finding:
    """Race a search step against NNI's."""
    least = SHARE * min(recorded("search-step-quick", "float32", "ratio"))
    command = [
        sys.executable,
        "benchmarks/supernet_step.py",
        "--quick",
        "--precision",
        "float32",
        "--rounds",
        str(rounds),
        "--device",
        "cpu",
    ]
    ratio = last_line(command)["float32"]["ratio"]
    return Finding("", f"{least:.1f} times or more", f"{ratio:.1f} times", ratio >= least)


def check_parameters() -> Finding:
    """Count the parameters of DARTS_V2 as its authors build it, and as the space builds it."""
    command = [sys.executable, "benchmarks/authors_network.py"]
    told = last_line(command)
    (expected,) = set(recorded("darts-v2-parameters", "authors"))
    measured = f"{told['authors']:,}; ours {told['ours']:,}"
    return Finding("", f"{expected:,}", measured, told["authors"] == told["ours"] == expected)


def check_search(table: Path | None) -> Finding:
    """Search NAS-Bench-201 by ``bo``, with one seed."""
    from benchmarks.search_quality import find_table, search
    from evaluators.table import load_table

    values = read_record("nasbench201")["runs"][0]["values"]["cifar10"]["strategies"]["bo"]
    least = min(values[f"at_{BUDGET}_s"])
    try:
        path = find_table(table)
    except EvaluatorError as error:
        raise Skipped("no table of NAS-Bench-201; name the file with --nasbench FILE") from error
    accuracy = search(load_table(path, dataset="cifar10"), "bo", 0, BUDGET).test_at(BUDGET)
    return Finding("", f"{least:.2f}% or more", f"{accuracy:.2f}%", round(accuracy, 2) >= least)


def examine(claim: str, check: Callable[[], Finding]) -> Finding:
    """A claim's finding; one that could not even be measured has failed."""
    print(f"checking: {claim}", file=sys.stderr, flush=True)
    try:
        told = check()
    except Skipped as reason:
        return Finding(claim, "-", f"skipped: {reason}", None)
    except (RunError, RecordFault, subprocess.SubprocessError) as error:
        return Finding(claim, "-", f"failed: {error}", False)
    return Finding(claim, told.expected, told.measured, told.ok)


def skip(reason: str) -> Finding:
    raise Skipped(reason)


def show(findings: Sequence[Finding]) -> str:
    """A table for the screen."""
    words = {True: "yes", False: "NO", None: "skipped"}
    rows = [("claim", "expected", "measured", "ok"), *((one.claim, one.expected, one.measured, words[one.ok]) for one in findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="without the training, less than 50 s")
    parser.add_argument("--data-dir", type=Path, default=ROOT / "data", help="where CIFAR-10 lies (default: data)")
    parser.add_argument("--nasbench", type=Path, metavar="FILE", help="the table of NAS-Bench-201 (default: where search_quality.py looks)")
    arguments = parser.parse_args()
    if arguments.nasbench is not None and not arguments.nasbench.is_file():
        parser.error(f"--nasbench {arguments.nasbench}: there is no such file")
    checks: dict[str, Callable[[], Finding]] = {
        f"DARTS_V2, {DARTS_CHANNELS} channels, {DARTS_CELLS} cells: parameters": check_parameters,
        "NAS-Bench-201, CIFAR-10, bo, 12,000 s: test accuracy": partial(check_search, arguments.nasbench),
        "DARTS search step, small, float32: times NNI's speed": partial(check_step, 2 if arguments.quick else 5),
        f"convnet32, width {WIDTH}, {EPOCHS} epochs: test accuracy": partial(skip, "not with --quick")
        if arguments.quick
        else partial(check_network, arguments.data_dir),
    }
    start = time.perf_counter()
    with refuse(EvaluatorError):
        findings = [examine(claim, check) for claim, check in checks.items()]
    print(f"\n{processor()}, {time.perf_counter() - start:.0f} s\n\n{show(findings)}\n")
    print(json.dumps({"ok": all(one.ok is not False for one in findings), "claims": [asdict(one) for one in findings]}))
    sys.exit(any(one.ok is False for one in findings))


if __name__ == "__main__":
    main()
