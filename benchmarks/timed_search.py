"""What a search of a given time finds, beside the default network trained for the same time, random search and TPE by trials.

    python benchmarks/timed_search.py --minutes 60 --retrain-minutes 60 --seeds 0 1 2 --preset lab --dataset cifar10 --runs DIR
    python benchmarks/timed_search.py --quick       # the digits, some seconds each; the last line is one JSON object

Each method searches the zoo once a seed, by the program; what it found is then trained for the given time and scored on the test images,
once; a search with a time budget knows of that. ``tpe`` is a search with a time budget; ``random`` the same with random proposals and
without the portfolio; ``tpe by trials`` is TPE as it is without a time budget, stopped when the time is up: in 20 minutes on one core its
first trial, the default with eight epochs, may not have ended. ``default`` is the default
network, trained for as long as a search and its retraining take together. With ``--runs`` finished parts are kept and not done again, and
interrupted ones go on.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.arguments import refuse, resume_flags
from common.errors import RunError
from records.report.collect import read_run
from records.report.times import seconds_of
from records.report.trial_plots import best_over
from records.retraining import RETRAINED
from records.run_config import read_config

METHODS = {
    "tpe": ["--strategy", "tpe"],
    "random": ["--strategy", "random", "--start-with", "default"],
    "tpe by trials": ["--strategy", "tpe", "--trials", "1000"],
}
DEFAULT, NETWORK = "default", "resnet18"
WITHOUT_BUDGET = ("tpe by trials",)
DONE = "done.json"  # in the folder of a search: it had its time


def program(*words: str, seconds: float | None = None) -> float:
    """Run the program, end it after so many ``seconds``, and return how long it ran."""
    begin = time.monotonic()
    running = subprocess.Popen([sys.executable, str(ROOT / "run_experiment.py"), *words], cwd=ROOT, stdout=sys.stderr)
    try:
        status = running.wait(timeout=seconds)
        if status != 0:
            raise RunError(f"exit status {status}: run_experiment.py {' '.join(words)}")
    except subprocess.TimeoutExpired:
        running.terminate()  # SIGINT is ignored by what runs in the background
        running.wait()
    return time.monotonic() - begin


def search(method: str, seed: int, minutes: float, then: float, words: Sequence[str], out: Path) -> dict[str, Any]:
    """Search once, unless that was done, and return what ``DONE`` says of it; ``then`` minutes of training follow in the same run."""
    done = out / DONE
    if not done.exists():
        resumed = resume_flags(out)
        flags = ["--space", "zoo", *METHODS[method], *words, "--seed", str(seed), "--out", str(out), *resumed]
        begin, spent = time.time(), (seconds_of(read_run(out)) or 0.0) if resumed else 0.0
        if method in WITHOUT_BUDGET:
            wall = program(*flags, seconds=60 * minutes - spent)
        else:
            program(*flags, "--time-budget", f"{minutes}m", *(["--then-retrain", f"{then}m"] if then else []))
            wall = datetime.datetime.fromisoformat(read_config(out)["ended"]).timestamp() - begin  # of the search alone
        known = None if resumed else wall  # of a search in several parts only the last part is known
        done.write_text(json.dumps({"wall": known, **_what_happened(out)}), encoding="utf-8")
    return dict(json.loads(done.read_text(encoding="utf-8")))


def _what_happened(out: Path) -> dict[str, Any]:
    run = read_run(out)
    path = [[round(moment, 1), round(100 * (trial.score or 0.0), 2)] for moment, trial in best_over(run, "time")]
    chosen = None if run.best is None or run.best.score is None else 100 * float(run.best.score["value"])
    return {"trials": len(run.trials), "in_trials": sum(trial.seconds for trial in run.trials), "path": path, "chosen": chosen}


def retrain(what: str, seed: int, minutes: float, words: Sequence[str], out: Path) -> dict[str, Any]:
    """Train one network for so long, unless that was done, and return its ``retrained.json``."""
    told = out / "retrained.json"
    if not told.exists():
        program("--retrain", what, *words, "--seed", str(seed), "--time-budget", f"{minutes}m", "--out", str(out), *resume_flags(out))
    return dict(json.loads(told.read_text(encoding="utf-8")))


def measure(arguments: argparse.Namespace, runs: Path) -> dict[str, Any]:
    """Return the values of a record: by method lists with a value a seed."""
    words = ["--preset", arguments.preset, "--dataset", arguments.dataset]
    found: dict[str, Any] = {}
    for method in [method for method in arguments.methods if method != DEFAULT]:
        rows = []
        for seed in arguments.seeds:
            folder = runs / f"{method.replace(' ', '-')}-{seed}"
            minutes = arguments.retrain_minutes
            searched = search(method, seed, arguments.minutes, minutes, words, folder)
            out = runs / f"{folder.name}-retrain" if method in WITHOUT_BUDGET else folder / RETRAINED
            told = retrain(str(folder / "best.json"), seed, minutes, words, out) if minutes and searched["chosen"] is not None else {}
            rows.append({**searched, **told})
            print(f"{method}, seed {seed}: {_in_words(rows[-1])}", file=sys.stderr, flush=True)
        found[method] = _columns([row for row in rows if "epochs" in row]) | {
            "validation": [row["chosen"] for row in rows],
            "trials": [row["trials"] for row in rows],
            "overhead": [None if row["wall"] is None else round(1 - row["in_trials"] / row["wall"], 4) for row in rows],
            "path": [row["path"] for row in rows],
        }
    if DEFAULT in arguments.methods:
        minutes = arguments.minutes + arguments.retrain_minutes
        found[DEFAULT] = _columns([retrain(NETWORK, seed, minutes, words, runs / f"{DEFAULT}-{seed}") for seed in arguments.seeds])
    return found


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "test_accuracy": [row["plain_test_accuracy"] for row in rows],
        "test_accuracy_mirrored": [row["mirrored_test_accuracy"] for row in rows],
        "epochs": [row["epochs"] for row in rows],
        "seconds": [round(row["seconds"], 1) for row in rows],
        "network": [" ".join(str(value) for value in row["architecture"].values()) for row in rows],
    }


def _in_words(row: dict[str, Any]) -> str:
    test = f", test {100 * row['plain_test_accuracy']:.2f}% after {row['epochs']} epochs" if "epochs" in row else ""
    return "no trial has ended" if row["chosen"] is None else f"validation {row['chosen']:.2f}%{test}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=60.0, help="of each search (default: 60)")
    parser.add_argument("--retrain-minutes", type=float, help="of each training after it, 0 for none (default: as many)")
    parser.add_argument("--methods", nargs="+", choices=[*METHODS, DEFAULT], default=[*METHODS, DEFAULT])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--preset", default="lab")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--runs", type=Path, help="where finished parts are kept (default: nowhere)")
    parser.add_argument("--quick", action="store_true", help="tpe and the default, on the digits, some seconds each")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.methods, arguments.dataset, arguments.preset, arguments.minutes = ["tpe", DEFAULT], "digits", "quick", 0.2
        arguments.retrain_minutes = 0.05
    if arguments.retrain_minutes is None:
        arguments.retrain_minutes = arguments.minutes
    with refuse(RunError), tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(arguments, arguments.runs or Path(folder))))


if __name__ == "__main__":
    main()
