"""Train one network by the program, once a seed, and score it on the test set: accuracies on images as they are, and mirrored.

    python benchmarks/retrain.py convnet32 --set width=32 --epochs 4 --preset lab --dataset cifar10 --seeds 0 1 2
    python benchmarks/retrain.py docs/found/light-NAS.json --epochs 1 --preset quick

All but ``--seeds`` and ``--runs`` are arguments of ``run_experiment.py --retrain``. With ``--runs`` finished trainings are kept, and not
done again. The last line is one JSON object.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.arguments import refuse, resume_flags
from common.errors import RunError


def train(words: Sequence[str], seed: int, out: Path) -> dict[str, Any]:
    """What ``retrained.json`` says of one training, which is done unless its folder ``out`` has that file."""
    told = out / "retrained.json"
    if not told.exists():
        command = [sys.executable, str(ROOT / "run_experiment.py"), "--retrain", *words, "--seed", str(seed), "--out", str(out)]
        command += resume_flags(out)
        done = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise RunError(f"exit status {done.returncode}: run_experiment.py --retrain {' '.join(words)}")
    return dict(json.loads(told.read_text(encoding="utf-8")))


def train_all(words: Sequence[str], seeds: Sequence[int], runs: Path) -> dict[str, Any]:
    """The values of a record: each list has a value a seed."""
    found = [train(words, seed, runs / f"seed-{seed}") for seed in seeds]
    return {
        "epochs": found[0]["epochs"],
        "test_accuracy": [one["plain_test_accuracy"] for one in found],
        "test_accuracy_mirrored": [one["mirrored_test_accuracy"] for one in found],
        "seconds": [round(one["seconds"], 1) for one in found],
        "parameters": sorted({one["parameters"] for one in found}),
        "precision": sorted({one["precision"] for one in found}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path, help="where finished trainings are kept (default: nowhere)")
    arguments, words = parser.parse_known_args()
    with refuse(RunError), tempfile.TemporaryDirectory() as folder:
        print(json.dumps(train_all(words, arguments.seeds, arguments.runs or Path(folder))))


if __name__ == "__main__":
    main()
