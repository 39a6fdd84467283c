"""How the validation error falls with the length of a training: what `retiarius/usual_errors.json` holds.

    python benchmarks/usual_errors.py --runs DIR    # 62 epochs in five trainings, most of an hour on one core
    python benchmarks/usual_errors.py --quick       # the digits, three short trainings

One network, the first of the zoo's portfolio, is trained anew for each number of epochs, so that its learning rate falls to the end each
time. Only training and validation images are looked at. With ``--runs`` finished trainings are kept and not repeated. The last line is
one JSON object.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common.libraries import quiet_libraries

quiet_libraries()

import retiarius as rt
from benchmarks.arguments import refuse
from spaces.zoo.networks import portfolio

EPOCHS, QUICK = (2, 4, 8, 16, 32), (1, 2, 4)


def error_after(epochs: int, data: str, preset: str, seed: int, out: Path) -> float:
    """Return the validation error, in [0, 1], after a training of so many epochs; one that was kept is not repeated."""
    first = portfolio()[0]
    if not (out / "best.json").exists():
        fixed: dict[str, Any] = {**first["architecture"], **first["hyperparameters"]}
        options: dict[str, Any] = {"data": data, "preset": preset, "seed": seed, "out": out, "reporter": rt.Screen(sys.stderr, sys.stderr)}
        options |= {"data_dir": ROOT / "data", "resume": (out / "config.json").exists()}
        rt.search("zoo", "random", trials=1, epochs=epochs, fixed=fixed, **options)
    found = rt.open_run(out)
    assert isinstance(found, rt.SearchResult) and found.best.score is not None
    return round(1 - found.best.score, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--epochs", type=int, nargs="+", help=f"default: {' '.join(map(str, EPOCHS))}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, help="where finished trainings are kept (default: nowhere)")
    parser.add_argument("--quick", action="store_true", help="the digits, three short trainings")
    arguments = parser.parse_args()
    data, preset = ("digits", "quick") if arguments.quick else ("cifar10", "lab")
    with refuse(rt.RetiariusError), tempfile.TemporaryDirectory() as folder:
        runs = arguments.runs or Path(folder)
        epochs = arguments.epochs or (QUICK if arguments.quick else EPOCHS)
        errors = [[each, error_after(each, data, preset, arguments.seed, runs / f"{data}-{each}")] for each in sorted(set(epochs))]
        print(json.dumps({"errors": errors}))


if __name__ == "__main__":
    main()
