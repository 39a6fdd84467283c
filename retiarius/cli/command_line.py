"""The options of the command line: their names, their types, and what ``--help`` says of them."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NoReturn

from common.errors import RecordError
from common.numbers import LARGEST_SEED
from common.requirements import DEFAULT_PORT
from records.pareto import parse_objectives
from retiarius.presets import PRESETS

# The lab's options, short for --set. People type them from memory.
LAB_OPTIONS = {
    "model": "backbone",
    "initial_lr": "initial_lr",
    "ending_lr": "ending_lr",
    "weight_decay": "weight_decay",
    "momentum": "momentum",
    "optimizer": "optimizer",
    "batch_size": "batch_size",
    "cutout": "cutout",
    "grad_clip": "grad_clip",
}
# Options of the lab that have nothing to do here: images are in memory, and progress is always shown.
WITHOUT_EFFECT = ("num_workers", "log_frequency")
MOST = 10**9  # of trials, epochs and workers


class _Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose complaints are one line, raised as ``RecordError``."""

    def error(self, message: str) -> NoReturn:
        raise RecordError(f"{message} (see --help)")


def _path(text: str) -> Path:
    if not text:  # a variable of the shell that is not set; Path would make the current folder of it
        raise argparse.ArgumentTypeError("a path is empty: give it a value, or leave it out")
    return Path(text)


def _count(text: str) -> int:
    value = int(text) if text.strip().lstrip("+-").isdecimal() and len(text) < 12 else None
    if value is None or not 1 <= value < MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1 and below {MOST:,}")
    return value


def _size(text: str) -> int:
    """A count, with a unit or without: ``300000``, ``300k``, ``1.5M``, ``2e6``, ``1G``."""
    units = {"k": 1e3, "m": 1e6, "g": 1e9}
    number, unit = (text[:-1], units[text[-1].lower()]) if text[-1:].lower() in units else (text, 1.0)
    try:
        value = float(number) * unit
    except ValueError:
        value = math.nan
    if not 1 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1; give one such as 300000, 300k, 1.5M or 2e6")
    return round(value)


def _objectives(text: str) -> tuple[str, ...]:
    try:
        return parse_objectives(text)
    except RecordError as error:  # a ValueError, for which argparse has words of its own
        raise argparse.ArgumentTypeError(str(error)) from None


def _seed(text: str) -> int:
    if not text.isdigit() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0, such as 0.4")
    return weight


def _seconds(text: str) -> float:
    """Seconds, or minutes and hours with a unit: ``90``, ``10m``, ``1.5h``."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    try:
        value = float(number) * unit
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; give seconds, or 10m, or 1.5h")
    return value


def parse_port(text: str) -> int:
    """A port that anyone may listen on, for argparse."""
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a whole number from 1024 to 65535")
    return int(text)


def make_parser(description: str) -> argparse.ArgumentParser:
    """Every option there is. Complaints are raised as ``RecordError``, one line."""
    parser = _Parser(prog="run_experiment.py", description=description, allow_abbrev=False)
    what = parser.add_argument_group("what to run")
    what.add_argument("--space", metavar="NAME", help="the search space")
    what.add_argument("--strategy", metavar="NAME", help="how it is searched")
    what.add_argument(
        "--retrain",
        metavar="FILE",
        help="train the architecture of a best.json, a genotype such as DARTS_V2, or a backbone such as resnet18",
    )
    what.add_argument(
        "--report",
        nargs="+",
        action="extend",
        type=_path,
        default=[],
        metavar="RUN",
        help="write one HTML file about the runs in these folders",
    )
    what.add_argument(
        "--dashboard", type=_path, metavar="RUN", help="show the trials of a run, also while it goes on, in Optuna's dashboard"
    )
    what.add_argument("--list", action="store_true", help="show spaces, strategies, data sets, and which fit together")
    what.add_argument("--config", type=_path, metavar="FILE", help="NNI's config.yml, version 1 or 2; flags have the last word")
    what.add_argument("--search-space", type=_path, metavar="FILE", help="NNI's search_space.json, in place of the space's own ranges")
    what.add_argument("--trial-command", metavar="COMMAND", help="a program that asks NNI for parameters, such as 'python main.py'")
    what.add_argument("--portal", action="store_true", help="run the program under NNI's own service and web portal, one trial at a time")
    size = parser.add_argument_group("how large")
    summaries = "; ".join(f"{name}: {preset.summary}" for name, preset in PRESETS.items())
    size.add_argument("--preset", choices=list(PRESETS), default="quick", help=f"{summaries} (default: quick)")
    size.add_argument("--trials", type=_count, metavar="N", help="number of trials of a multi-trial search")
    size.add_argument("--epochs", type=_count, metavar="N", help="epochs: of the supernet, of each trial, or of retraining")
    budget = "no trial starts after so long, a supernet ends: 90, 10m, 1.5h; simulated time with a table"
    size.add_argument("--time-budget", type=_seconds, metavar="TIME", help=budget)
    limit = "a network with more {} is not trained: 300k, 1.5M, 2e6 (multi-trial search)"
    size.add_argument("--max-params", type=_size, metavar="N", help=limit.format("parameters"))
    size.add_argument("--max-flops", type=_size, metavar="N", help=limit.format("multiply-adds"))
    data = parser.add_argument_group("on what")
    data.add_argument(
        "--dataset", default="auto", metavar="NAME", help="auto, cifar10, digits, or a folder with train/<class>/ and test/<class>/"
    )
    data.add_argument("--data-dir", type=_path, default=Path("data"), metavar="DIR", help="where data sets lie (default: data)")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="LABEL=VALUE",
        help="fix a choice, a hyperparameter or a size of the space; may be repeated",
    )
    how.add_argument(
        "--start-with",
        nargs="+",
        action="extend",
        default=[],
        metavar="WHAT",
        help="multi-trial: try these networks first: best.json, a genotype, a backbone, RUN:4 (the best four trials in a run's folder,"
        " or the cells of a one-shot search's latest epochs)",
    )
    how.add_argument("--pruner", metavar="NAME", help="what ends hopeless trials early: none, median, halving, hyperband (default: none)")
    how.add_argument("--workers", type=_count, metavar="N", help="trainings side by side, each in a process of its own (default: 1)")
    how.add_argument(
        "--storage",
        metavar="URL",
        help="search together with other processes: sqlite:///FILE, postgresql://USER@HOST/DATABASE, journal:///FILE",
    )
    how.add_argument("--study", metavar="NAME", help="the study in the storage (default: named by the settings)")
    how.add_argument("--concurrency", type=_count, metavar="N", help="trial commands that run at the same time (default: 1)")
    how.add_argument("--optimize-mode", choices=("maximize", "minimize"), help="of what a trial command reports (default: maximize)")
    how.add_argument("--supernet", choices=["fused", "stock"], help="one-shot: the fast form of the cells, or NNI's (default: fused)")
    how.add_argument("--order", type=int, choices=[1, 2], help="one-shot: first- or second-order gradient of the alphas (default: 1)")
    how.add_argument(
        "--cost-weight",
        type=_weight,
        metavar="W",
        help="one-shot: W times what an operation costs is taken off its alpha where cells are read off: lighter cells (default: 0)",
    )
    how.add_argument(
        "--collapse-guard",
        choices=["off", "warn", "stop"],
        help="one-shot: what happens when skip connections take over the normal cell; stop keeps the last good epoch (default: warn)",
    )
    how.add_argument("--evaluator", default="train", metavar="NAME", help="how a choice is scored (default: train)")
    how.add_argument(
        "--objectives",
        type=_objectives,
        metavar="NAMES",
        help="of nsga2: accuracy,parameters (default), or with flops or the measured latency; see pareto.json",
    )
    how.add_argument("--table", type=_path, metavar="FILE", help="for --evaluator table: a CSV file, as it is or compressed by gzip")
    how.add_argument(
        "--table-columns",
        type=_path,
        metavar="FILE",
        help="JSON file that says what its columns mean, where the program does not know them",
    )
    how.add_argument("--recipe", metavar="NAME", help="training recipe: fast, cells, lab, darts (default: the one that suits the space)")
    how.add_argument("--seed", type=_seed, metavar="N", help="seed of every random draw (default: 0)")
    how.add_argument("--device", default="auto", metavar="NAME", help="cpu, cuda, ... (default: auto)")
    auto = "auto: the faster one here, but for a supernet on a CPU (default)"
    how.add_argument("--precision", default="auto", metavar="NAME", help=f"float32, bfloat16, or {auto}")
    where = parser.add_argument_group("where")
    where.add_argument(
        "--out", type=_path, metavar="DIR", help="folder of the run (default: runs/<time>-<space>-<strategy>), or file of the report"
    )
    where.add_argument("--resume", action="store_true", help="go on with the run in --out")
    where.add_argument("--tensorboard", action="store_true", help="write scalars for TensorBoard into the run's folder")
    where.add_argument("--port", type=parse_port, metavar="N", help=f"where --dashboard or --portal listens (default: {DEFAULT_PORT})")
    lab = parser.add_argument_group("the lab's options, short for --set")
    for option in LAB_OPTIONS:
        lab.add_argument(*dict.fromkeys([f"--{option}", f"--{option.replace('_', '-')}"]), dest=option, metavar="VALUE")
    for option in WITHOUT_EFFECT:
        lab.add_argument(f"--{option}", metavar="N", help="taken, but without effect")
    return parser
