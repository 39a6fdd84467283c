"""Whole runs with fixed seeds whose records are kept in ``golden/``, to see that a change of the code changes no result.

``python tests/journeys/golden_runs.py CHECKOUT [NAME ...]`` records them anew, all or the named ones, by the code of ``CHECKOUT``.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden_compare import FOUND, PROPOSALS, RETRAINED, SCORES, SUPERNET, read_record, to_text
from golden_inputs import write_inputs

GOLDEN = Path(__file__).with_name("golden")
MACHINE = "machine"
PACKAGES = ("torch", "torchvision", "timm", "nni", "optuna", "pytorch-lightning", "numpy", "scipy", "scikit-learn")
# Those by which kernels are chosen.
FLAGS = ("fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_tile")
EVERYWHERE, LIBRARIES, SAME_MACHINE = "everywhere", "same packages", "same machine"

DIGITS = ("--dataset", "digits", "--device", "cpu", "--precision", "float32")
FEW = ("--dataset", "few", *DIGITS[2:])
CELLS = ("--space", "nasbench201", "--evaluator", "table", "--table", "cells.csv", "--strategy")
TWO_FIDELITIES = ("--epochs", "200", "--trials", "20", "--pruner")
SMALL_CELLS = ("--set", "width=2", "--set", "num_cells=3")
SUPERNET_SIZE = (*SMALL_CELLS, "--set", "num_nodes=1")
CONVNET = ("--set", "backbone=convnet32", "--set", "width=16", "--set", "depth=2")
COMMAND = ("--search-space", "search_space.json", "--trial-command", "python main.py", "--strategy", "random", "--seed", "4")
COMMAND += ("--pruner", "median")


@dataclass(frozen=True)
class Journey:
    """One run.

    Attributes
    ----------
    name
        Of its record in ``golden/``.
    arguments
        Its command line, without ``--out``.
    inputs
        What ``golden_inputs.write_inputs`` puts beside it.
    exact
        Where its record is the same to the last digit: everywhere, with the same packages, or on the same machine.
    loose
        Paths of the record that may differ elsewhere.
    looks_up
        Whether its seconds are data.
    is_slow
        Whether the quick tests leave it out.
    kernels
        By what networks are computed: ``torch`` or ``compiled``.
    """

    name: str
    arguments: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    exact: str = EVERYWHERE
    loose: tuple[str, ...] = ()
    looks_up: bool = False
    is_slow: bool = False
    kernels: str = "torch"


def _table(name: str, *arguments: str, exact: str = EVERYWHERE, is_slow: bool = False, also: tuple[str, ...] = ()) -> Journey:
    inputs = ("cells.csv", *also)
    return Journey(f"table-{name}", (*CELLS, *arguments), inputs, exact, PROPOSALS, looks_up=True, is_slow=is_slow)


def _trained(name: str, *arguments: str, loose: tuple[str, ...], inputs: tuple[str, ...] = (), kernels: str = "torch") -> Journey:
    return Journey(name, arguments, inputs, SAME_MACHINE, loose, is_slow=True, kernels=kernels)


_ZOO_TABLE = ("--space", "zoo", "--strategy", "hpo", "--evaluator", "table", "--table", "zoo.csv", "--trials", "12")
_TPE_ZOO = ("--space", "zoo", "--strategy", "tpe", *DIGITS, "--epochs", "1", *CONVNET)
_RANDOM_CELLS = ("--space", "darts", "--strategy", "random", *DIGITS, "--trials", "2", "--epochs", "1")
_EVOLVED = ("--space", "nasbench201", "--strategy", "evolution", *DIGITS, "--trials", "2", "--epochs", "1", "--set", "width=2")
_NNI_ZOO = ("--search-space", "zoo_space.json", "--space", "zoo", "--strategy", "random", *DIGITS, "--trials", "1")
_ONE_SHOT = ("--space", "darts", "--strategy", "darts", *SUPERNET_SIZE)
_LIGHT = ("--order", "2", "--cost-weight", "0.4")
_RETRAIN_CELL = ("--retrain", "best-nasbench201.json", *DIGITS, "--epochs", "2", "--set", "width=1", "--set", "cells=1")
_RETRAIN_CELLS = ("--retrain", "best-darts.json", *DIGITS, "--epochs", "1", *SMALL_CELLS)

JOURNEYS = [
    _table("random", "random", "--trials", "20"),
    _table("grid", "grid", "--trials", "12", "--seed", "3"),
    _table("evolution", "evolution", "--trials", "20", "--max-params", "700k"),
    _table("local", "local", "--trials", "15"),
    _table("tpe", "tpe", "--trials", "20", exact=LIBRARIES),
    _table("gp", "gp", "--trials", "12", exact=LIBRARIES, is_slow=True),
    _table("bo", "bo", "--trials", "12", exact=LIBRARIES, is_slow=True),
    _table("nsga2", "nsga2", "--trials", "20", "--objectives", "accuracy,parameters,flops", exact=LIBRARIES),
    _table("budget", "random", "--time-budget", "500", "--start-with", "best-nasbench201.json", also=("best-nasbench201.json",)),
    _table("median", "tpe", *TWO_FIDELITIES, "median", exact=LIBRARIES),
    _table("halving", "evolution", *TWO_FIDELITIES, "halving", is_slow=True),
    _table("hyperband", "random", *TWO_FIDELITIES, "hyperband", is_slow=True),
    Journey("table-hpo", _ZOO_TABLE, ("zoo.csv",), LIBRARIES, PROPOSALS, looks_up=True),
    Journey("command", (*COMMAND, "--trials", "8"), ("program",), is_slow=True),
    Journey("nni-config", ("--config", "config.yml", "--seed", "8"), ("program",), LIBRARIES, PROPOSALS, is_slow=True),
    _trained("trials-zoo", *_TPE_ZOO, "--trials", "2", loose=SCORES),
    _trained("trials-darts", *_RANDOM_CELLS, *SMALL_CELLS, "--set", "num_nodes=2", "--set", "batch_size=256", loose=SCORES),
    _trained("trials-nasbench201", *_EVOLVED, loose=SCORES),
    _trained("trials-nni-space", *_NNI_ZOO, loose=SCORES, inputs=("zoo_space.json",)),
    _trained("one-shot", *_ONE_SHOT, *DIGITS, "--epochs", "1", loose=SUPERNET),
    _trained("one-shot-second-order", *_ONE_SHOT, *FEW, "--epochs", "1", *_LIGHT, loose=SUPERNET, inputs=("few",)),
    _trained("one-shot-compiled", *_ONE_SHOT, *FEW, "--epochs", "2", loose=SUPERNET, inputs=("few",), kernels="compiled"),
    _trained("one-shot-stock", *_ONE_SHOT, *FEW, "--epochs", "1", "--supernet", "stock", loose=SUPERNET, inputs=("few",)),
    _trained("retrain-cells", *_RETRAIN_CELLS, loose=RETRAINED, inputs=("best-darts.json",)),
    _trained("retrain-name", "--retrain", "convnet32", *DIGITS, "--epochs", "1", "--set", "width=16", loose=RETRAINED, kernels="compiled"),
]
# Runs in `data/old_runs` of the code before its files were moved: interrupted ones, and one that had ended.
OLD_RUNS = [
    Journey("old-table", (*CELLS, "tpe", "--trials", "8"), ("cells.csv", "old_runs/table"), looks_up=True),
    Journey("old-command", (*COMMAND, "--trials", "7"), ("program", "old_runs/command")),
    _trained("old-trials", *_TPE_ZOO, "--trials", "3", loose=("trials/2", *FOUND), inputs=("old_runs/trials",)),
    _trained("old-one-shot", *_ONE_SHOT, *DIGITS, "--epochs", "2", loose=("epochs/1", *FOUND), inputs=("old_runs/one_shot",)),
    _trained("old-retrain", *_RETRAIN_CELL, loose=RETRAINED, inputs=("best-nasbench201.json", "old_runs/retrain_interrupted")),
]
BY_NAME = {journey.name: journey for journey in (*JOURNEYS, *OLD_RUNS)}


def run(journey: Journey, folder: Path) -> dict[str, Any]:
    """Make the run in ``folder/run``, or resume the one that is there, and read its record."""
    if not (folder / "run").exists():
        write_inputs(journey.inputs, folder)
    more = ["--resume"] if (folder / "run").exists() else []
    with surroundings(folder, journey.kernels):
        main = importlib.import_module("run_experiment").main
        status = main([*journey.arguments, "--out", "run", *more])
    assert status == 0, f"{journey.name}: exit status {status}; standard error has the reason"
    return read_record(folder / "run", keep_seconds=journey.looks_up)


@contextlib.contextmanager
def surroundings(folder: Path, kernels: str) -> Iterator[None]:
    """In ``folder``, with one thread and ``kernels``, all as before afterwards: sums in another order are other sums."""
    import torch
    from threadpoolctl import threadpool_limits

    kept = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "RETIARIUS_KERNELS")}
    threads, before = torch.get_num_threads(), Path.cwd()
    try:
        os.environ.update(OMP_NUM_THREADS="1", RETIARIUS_KERNELS=kernels)
        torch.set_num_threads(1)
        os.chdir(folder)
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        os.chdir(before)
        torch.set_num_threads(threads)
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def read_golden(name: str) -> Any:
    """What is kept under ``name``."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


def loose_paths(journey: Journey) -> tuple[str, ...]:
    """What of the record may differ here."""
    kept, here = read_golden(MACHINE), describe_machine()
    is_exact = {EVERYWHERE: True, LIBRARIES: kept["packages"] == here["packages"], SAME_MACHINE: kept == here}
    return () if is_exact[journey.exact] else journey.loose


def describe_machine() -> dict[str, Any]:
    """What training arithmetic depends on: processor, compiler and packages. The runs use one thread."""
    import torch

    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    flags = [flag for flag in FLAGS if flag in fields.get("flags", "").split()]
    processor = {"processor": fields.get("model name", platform.machine()), "flags": flags}
    return {**processor, "capability": torch.backends.cpu.get_cpu_capability(), "compiler": _name_compiler(), "packages": packages}


def _name_compiler() -> str:
    asked = os.environ.get("CC", "").split()
    program = next(filter(None, map(shutil.which, asked[:1] or ("cc", "gcc", "clang"))), None)
    if program is None:
        return "none"
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return " ".join([told.partition("\n")[0], *asked[1:]])


def record(checkout: Path, names: list[str]) -> None:
    """Record the named journeys, or all, by the code of ``checkout``."""
    sys.path.insert(0, str(checkout.resolve()))
    if names and read_golden(MACHINE) != describe_machine():
        sys.exit("the records that are kept are of another machine or other packages: record all of them")
    GOLDEN.mkdir(exist_ok=True)
    for name in names or BY_NAME:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            content = run(BY_NAME[name], Path(folder))
        (GOLDEN / f"{name}.json").write_text(to_text(content))
        print(f"{name}: recorded")
    (GOLDEN / f"{MACHINE}.json").write_text(json.dumps(describe_machine(), indent=2) + "\n")


if __name__ == "__main__":
    record(Path(sys.argv[1]), sys.argv[2:])
