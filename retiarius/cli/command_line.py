"""The options of the command line: their names, their types, and what ``--help`` says of them."""

from __future__ import annotations

import argparse
from functools import lru_cache
from typing import Any, NoReturn

from common.errors import RecordError
from common.requirements import DEFAULT_PORT
from retiarius.cli.option_types import (
    path,
    port,
    positive_count,
    positive_seconds,
    positive_size,
    ray_address,
    read_objectives,
    read_seed,
    share,
    weight,
    workers,
)
from retiarius.lab_names import HABITS, LAB_OPTIONS
from retiarius.presets import DEFAULT_PRESET, PRESETS

# Options of the lab that have nothing to do here: images are in memory, and progress is always shown.
WITHOUT_EFFECT = ("num_workers", "log_frequency")
# What `--help` shows; `--help-all` shows everything.
MOST_USED = (
    *(
        "space",
        "strategy",
        "retrain",
        "report",
        "list",
        "preset",
        "trials",
        "epochs",
        "time_budget",
        "then_retrain",
        "dataset",
        "set",
        "jobs",
    ),
    *("out", "resume", "seed"),
)
EXAMPLES = """examples:
  {program} --space darts --strategy darts   # search one-shot, write best.json
  {program} --space zoo --strategy tpe       # search by trials
  {program} --retrain runs/NAME/best.json    # retrain what was found
  {program} --report runs/NAME               # one HTML file about a run

{program} --help-all shows every flag."""


class _Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose complaints are one line, raised as ``RecordError``."""

    def error(self, message: str) -> NoReturn:
        from common.errors import closest
        from common.text import printable

        said, _, words = message.partition("unrecognized arguments: ")
        if words and not said:
            word = words.split()[0].partition("=")[0]
            message += f"; closest known: {', '.join(closest(word, self._option_string_actions, 3))}" if word.startswith("--") else ""
        raise RecordError(f"{printable(message)} (see --help)")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the words of an option on the line of its flag, as far as they fit."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=27)


@lru_cache(maxsize=1)
def known_flags() -> frozenset[str]:
    """Return all flags of the program."""
    return frozenset(name for options in _options().values() for names, _ in options for name in names)


def make_parser(program: str, description: str, *, everything: bool = True) -> argparse.ArgumentParser:
    """Return the parser of all options; with ``everything`` false, its help shows the most used ones alone."""
    parser = _Parser(
        prog=program,
        usage=f"{program} --space NAME --strategy NAME [flags]",
        description=description,
        epilog=EXAMPLES.format(program=program),
        formatter_class=_Formatter,
        allow_abbrev=False,
        add_help=False,
    )
    for title, options in _options().items():
        group = parser.add_argument_group(title)
        for names, settings in options:
            option = group.add_argument(*names, **settings)
            if not everything and option.dest not in MOST_USED:
                option.help = argparse.SUPPRESS
    return parser


_Option = tuple[tuple[str, ...], dict[str, Any]]


def _option(*names: str, **settings: Any) -> _Option:
    return names, settings


def _options() -> dict[str, list[_Option]]:
    """All options, by group."""
    return {
        "run": _run_options(),
        "budget": _budget_options(),
        "data": [
            _option("--dataset", metavar="NAME", help="cifar10, digits or a folder (default: auto)"),
            _option("--data-dir", type=path, metavar="DIR", help="folder of the data sets (default: data)"),
        ],
        "search": _search_options(),
        "one-shot": _one_shot_options(),
        "training": _training_options(),
        "parallel": _parallel_options(),
        "tables": [
            _option(
                "--evaluator",
                metavar="NAME",
                help="how a trial is scored: train (default), table (default with --table), zero_cost, supernet, MODULE:FUNCTION",
            ),
            _option("--table", type=path, metavar="FILE", help="CSV file of results, plain or gzipped"),
            _option("--table-columns", type=path, metavar="FILE", help="JSON file that describes its columns"),
            _option("--supernet-weights", type=path, metavar="RUN", help="score networks by the weights of RUN's supernet, train none"),
        ],
        "NNI": _nni_options(),
        "output": _output_options(),
    }


def _run_options() -> list[_Option]:
    return [
        _option("--space", metavar="NAME", help="darts, zoo, nasbench201 or MODULE:CLASS"),
        _option("--strategy", metavar="NAME", help="auto, darts, tpe, random, evolution, ...; see --list"),
        _option("--retrain", metavar="FILE", help="retrain a best.json, a genotype or a backbone"),
        _option(
            "--report", nargs="+", action="extend", type=path, default=[], metavar="RUN", help="write an HTML report of one or more runs"
        ),
        _option("--lab-table", action="store_true", help="with --report: add the lab's table, in English and Chinese"),
        _option("--dashboard", type=path, metavar="RUN", help="show a run's trials in Optuna's dashboard, even while it runs"),
        _option("--list", action="store_true", help="list spaces, strategies, data sets, and what fits"),
        _option("--dry-run", action="store_true", help="show what would run, without running it"),
        _option("--help", "-h", action="store_true", help="show the most common flags"),
        _option("--help-all", action="store_true", help="show every flag"),
        _option("--version", action="store_true", help="show the version"),
    ]


def _budget_options() -> list[_Option]:
    limit = "skip networks with more {}: 300k, 2e6"
    return [
        _option(
            "--preset", choices=list(PRESETS), metavar="NAME", help=f"size of the run: {', '.join(PRESETS)} (default: {DEFAULT_PRESET})"
        ),
        _option("--trials", type=positive_count, metavar="N", help="number of trials"),
        _option("--epochs", type=positive_count, metavar="N", help="epochs per supernet, trial or retraining"),
        _option("--time-budget", type=positive_seconds, metavar="TIME", help="time of a search or a retraining: 90 (seconds), 10m or 1.5h"),
        _option("--then-retrain", type=positive_seconds, metavar="TIME", help="retrain what was found for so long"),
        _option("--max-params", type=positive_size, metavar="N", help=limit.format("parameters")),
        _option("--max-flops", "--max-macs", type=positive_size, metavar="N", help=limit.format("multiply-adds")),
    ]


def _search_options() -> list[_Option]:
    return [
        _option("--set", action="append", default=[], metavar="LABEL=VALUE", help="fix a choice or a hyperparameter"),
        _option(
            "--start-with",
            nargs="+",
            action="extend",
            default=[],
            metavar="WHAT",
            help="networks to try first: a file, a name, RUN:4 (the four best of a run), portfolio, default",
        ),
        _option("--screen", type=positive_count, metavar="N", help="score N random networks untrained, and try the best first"),
        _option("--pruner", metavar="NAME", help="stop unpromising trials early: none (default), median, halving, hyperband"),
        _option(
            "--objectives", type=read_objectives, metavar="NAMES", help="for nsga2: accuracy,parameters (default); also flops, latency"
        ),
    ]


def _one_shot_options() -> list[_Option]:
    return [
        _option("--supernet", choices=["fused", "stock"], help="fast cells, or NNI's own (default: fused)"),
        _option("--order", type=int, choices=[1, 2], help="first- or second-order gradients for the alphas (default: 1)"),
        _option("--cost-weight", type=weight, metavar="W", help="subtract W times an operation's cost from its alpha (default: 0)"),
        _option("--collapse-guard", choices=["off", "warn", "stop"], help="what to do when skip connections take over (default: warn)"),
    ]


def _training_options() -> list[_Option]:
    lab = []
    for option in LAB_OPTIONS:
        habits = [f"--{habit}" for habit, name in HABITS.items() if name == option]
        names = dict.fromkeys([f"--{option}", f"--{option.replace('_', '-')}", *habits])
        lab.append(_option(*names, dest=option, metavar="VALUE", help=f"short for --set {LAB_OPTIONS[option]}=VALUE"))
    return [
        _option("--recipe", metavar="NAME", help="training recipe: fast, cells, lab, darts (default: the space's own)"),
        _option("--seed", type=read_seed, metavar="N", help="seed of every random draw (default: 0)"),
        _option("--device", metavar="NAME", help="cpu, cuda, ... (default: auto)"),
        _option("--precision", metavar="NAME", help="float32, bfloat16, or the faster of them (default: auto)"),
        *lab,
        *(_option(f"--{option}", metavar="N", help="accepted, without effect") for option in WITHOUT_EFFECT),
    ]


def _parallel_options() -> list[_Option]:
    return [
        _option("--jobs", "-j", type=positive_count, metavar="N", help="run N trials in parallel (default: 1)"),
        _option("--workers", type=workers, metavar="N", help="--jobs for trainings only; auto: as many as fit"),
        _option("--ray", type=ray_address, metavar="ADDRESS", help="run trials on a Ray cluster: auto, HOST:PORT, ray://HOST:PORT"),
        _option("--cpus-per-trial", type=share, metavar="X", help="CPUs per trial on Ray (default: 1)"),
        _option("--gpus-per-trial", type=share, metavar="X", help="GPUs, or a fraction of one, per trial on Ray (default: 0)"),
        _option("--concurrency", type=positive_count, metavar="N", help="--jobs for trial commands only"),
        _option("--storage", metavar="URL", help="share a search among processes: sqlite:///FILE, postgresql://..., journal:///FILE"),
        _option("--study", metavar="NAME", help="name of the study in the storage (default: from the settings)"),
    ]


def _nni_options() -> list[_Option]:
    return [
        _option("--config", type=path, metavar="FILE", help="NNI's config.yml, version 1 or 2; flags take precedence"),
        _option("--search-space", type=path, metavar="FILE", help="NNI's search_space.json, instead of a space or its ranges"),
        _option("--trial-command", metavar="COMMAND", help="program that gets its parameters from NNI, such as 'python main.py'"),
        _option(
            "--optimize-mode", choices=("maximize", "minimize"), help="for the results of a trial command or a table (default: maximize)"
        ),
        _option("--portal", action="store_true", help="run the program under NNI's own service and web portal"),
    ]


def _output_options() -> list[_Option]:
    return [
        _option("--out", type=path, metavar="DIR", help="folder of the run (default: a new one in runs/)"),
        _option("--resume", action="store_true", help="resume the run in --out; more --trials extend it"),
        _option("--tensorboard", action="store_true", help="write scalars for TensorBoard into the run's folder"),
        _option("--port", type=port, metavar="N", help=f"port of --dashboard or --portal (default: {DEFAULT_PORT})"),
    ]
