"""The command line as plain values, checked as far as that goes without knowing a space, a strategy or an evaluator."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.requirements import require_package
from common.text import show, show_text
from retiarius.cli.command_line import WITHOUT_EFFECT, make_parser
from retiarius.lab_names import LAB_OPTIONS


@dataclass(frozen=True)
class Settings:
    """What was typed; ``None`` and empty values were not."""

    space: str | None = None
    strategy: str | None = None
    retrain: str | None = None
    report: tuple[Path, ...] = ()
    lab_table: bool = False
    dashboard: Path | None = None
    list: bool = False
    help: bool = False
    help_all: bool = False
    version: bool = False
    dry_run: bool = False
    preset: str | None = None
    dataset: str | None = None
    data_dir: Path | None = None
    trials: int | None = None
    epochs: int | None = None
    time_budget: float | None = None
    then_retrain: float | None = None
    max_params: int | None = None
    max_flops: int | None = None
    start_with: tuple[str, ...] = ()
    screen: int | None = None
    pruner: str | None = None
    start_step: int | None = None
    supernet: str | None = None
    order: int | None = None
    cost_weight: float | None = None
    collapse_guard: str | None = None
    evaluator: str | None = None
    objectives: tuple[str, ...] | None = None
    table: Path | None = None
    table_columns: Path | None = None
    supernet_weights: Path | None = None
    recipe: str | None = None
    seed: int | None = None
    device: str | None = None
    precision: str | None = None
    out: Path | None = None
    resume: bool = False
    tensorboard: bool = False
    portal: bool = False
    port: int | None = None
    config: Path | None = None
    search_space: dict[str, Any] | None = None  # the content of NNI's file
    trial_command: str | None = None
    code_dir: Path | None = None
    workers: int | str | None = None  # "auto": as many as there is room for
    ray: str | None = None
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    storage: str | None = None
    study: str | None = None
    concurrency: int | None = None
    trial_time: float | None = None
    optimize_mode: str | None = None
    experiment: str | None = None
    tuner_arguments: dict[str, Any] = field(default_factory=dict)  # classArgs of NNI's own, with --portal
    assessor_arguments: dict[str, Any] = field(default_factory=dict)
    pins: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def given(self, *names: str) -> dict[str, Any]:
        """Return those of the options ``names`` that were typed, by name."""
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if not (value is None or value is False or value == ())}

    def given_flags(self, *names: str) -> Sequence[str]:
        """Return those of the options ``names`` that were typed and ask for something else than usual, as flags."""
        return [flag_of(name) for name, value in self.given(*names).items() if value != USUAL.get(name)]


# What is the same as not to be typed.
USUAL: dict[str, Any] = {"concurrency": 1, "workers": 1, "optimize_mode": "maximize", "pruner": "none", "dataset": "auto"}
USUAL |= {"evaluator": "train", "device": "auto", "precision": "auto", "data_dir": Path("data")}
RUN = ("preset", "data_dir", "epochs", "recipe", "device", "precision", "seed", "out", "resume", "tensorboard")
RAY = ("ray", "cpus_per_trial", "gpus_per_trial")
TRIALS = ("max_params", "max_flops", "pruner", "start_with", "screen", "workers", "storage", "study", *RAY)
OF_COMMANDS = ("--pruner", "--storage", "--study", "--ray", "--cpus-per-trial", "--gpus-per-trial")  # which go with trial commands, too
ONE_SHOT = ("supernet", "order", "cost_weight", "collapse_guard")
TRAINING = ("data_dir", "device", "precision", "recipe")
TABLES = ("evaluator", "table", "table_columns", "supernet_weights", "objectives")


def flag_of(name: str) -> str:
    """Return the flag of an option, such as ``--data-dir`` for ``data_dir``."""
    return "--set" if name == "pins" else f"--{name.replace('_', '-')}"


def parse_settings(argv: Sequence[str], description: str = "", program: str = "run_experiment.py") -> Settings:
    """Return what ``argv`` asks for.

    Raises
    ------
    RecordError
        One line: an unknown flag, a value that is none, or flags that do not go together.
    """
    options = vars(make_parser(program, description).parse_args(list(argv)))
    for name, value in options.items():
        if value == "" or (isinstance(value, list) and "" in value and name != "set"):  # a variable of the shell that is not set
            raise RecordError(f"--{name.replace('_', '-')} is empty: give a value, or leave it out")
    pins = _read_pins(options)
    unused = [name for name in WITHOUT_EFFECT if options.pop(name) is not None]
    notes = [f"--{name} has no effect: images are in memory, and progress is always shown" for name in unused]
    typed = {name: options[name] for name in ("workers", "concurrency")}
    if any(options[name] is not None for name in ("config", "search_space", "trial_command")):
        from nni_compat.options import adopt_nni_files

        options["workers"] = typed["workers"] or options["jobs"]  # so that a file's trialConcurrency has not the last word
        notes += adopt_nni_files(options)
    _deal_out_jobs(options, typed)
    options |= {name: tuple(options[name]) for name in ("report", "start_with")}
    typed = {name: value for name, value in options.items() if value is not None}
    settings = Settings(**typed, pins=pins, notes=tuple(notes))
    check_action(settings)
    return settings


def _read_pins(options: dict[str, Any]) -> dict[str, Any]:
    """Return what ``--set`` and the lab's options fix; both are taken out of ``options``."""
    pins: dict[str, Any] = {}
    for assignment in options.pop("set"):
        label, separator, text = assignment.partition("=")
        if not separator or not label:
            raise RecordError(f"--set {show(assignment)}: expected LABEL=VALUE, such as --set initial_lr=0.05")
        _pin(pins, label.strip(), _parse_value(text))
    for option, label in LAB_OPTIONS.items():
        text = options.pop(option)
        if text is not None:
            _pin(pins, label, _parse_value(text))
    return pins


def _deal_out_jobs(options: dict[str, Any], typed: Mapping[str, Any]) -> None:
    """Let ``--jobs`` stand for ``--concurrency`` where trials are commands, and for ``--workers`` elsewhere."""
    jobs = options.pop("jobs")
    if jobs is None:
        return
    name, other = ("workers", "concurrency") if options["trial_command"] is None else ("concurrency", "workers")
    if typed[name] not in (None, jobs):
        raise RecordError(f"--jobs {jobs} and {flag_of(name)} {typed[name]} contradict each other: leave one out")
    options |= {name: jobs, other: typed[other]}


def check_action(settings: Settings) -> None:
    """Refuse flags that do not go together, and a command that says nothing to do."""
    if settings.list or settings.help or settings.help_all or settings.version:
        return
    if settings.report:
        return _check_alone(settings, "report", "runs, --out FILE and --lab-table", "out", "lab_table")
    if settings.lab_table:
        raise RecordError("--lab-table goes with --report RUN ...")
    if settings.dashboard is not None:
        return _check_alone(settings, "dashboard", "one run and --port N", "port")
    if settings.port is not None and not settings.portal:
        raise RecordError("--port needs --dashboard or --portal")
    if settings.portal and settings.trial_command is None:
        raise RecordError("--portal needs a program to search: --config FILE, or --search-space FILE --trial-command COMMAND")
    if settings.tensorboard:
        require_package("tensorboard", "tensorboard", "tensorboard")
    if settings.study is not None and settings.storage is None:
        raise RecordError("--study names a study in a storage: add --storage URL")
    if settings.resume and settings.out is None:
        raise RecordError("--resume needs the run's folder: add --out DIR")
    if settings.trial_command is None:
        for flag in settings.given_flags("concurrency"):
            raise RecordError(f"{flag} is for trial commands; for parallel trainings, use --workers")
    if settings.dry_run and (settings.retrain is not None or settings.trial_command is not None):
        raise RecordError("--dry-run works with --space and --strategy only")
    if settings.retrain is not None:
        searching = (
            "strategy",
            "trials",
            "then_retrain",
            "optimize_mode",
            *TABLES,
            *TRIALS,
            *ONE_SHOT,
        )
        for flag in settings.given_flags(*searching):
            raise RecordError(f"{flag} is for searches and has no use with --retrain: leave it out")
    elif settings.trial_command is not None:
        _check_trial_command(settings)
    else:
        _check_search(settings)
    return None


def _check_trial_command(settings: Settings) -> None:
    for flag in settings.given_flags(*TRAINING, *TRIALS, *ONE_SHOT, "dataset", "then_retrain", *TABLES):
        if flag == "--workers":
            raise RecordError("--workers is for built-in trainings; to run N trial commands in parallel, use --concurrency N")
        if flag not in OF_COMMANDS:
            raise RecordError(f"{flag} is for built-in trainings and has no effect on a trial command: leave it out")
    for flag in () if settings.ray is not None else settings.given_flags(*RAY):
        raise RecordError(f"{flag} needs a cluster for the trial command: add --ray ADDRESS")


def _check_search(settings: Settings) -> None:
    searches_rows = settings.table is not None and settings.search_space is not None
    if (settings.space is None and not searches_rows) or settings.strategy is None:
        missing = "--space" if settings.space is None else "--strategy"
        if settings.space is None and settings.table is not None:
            raise RecordError("--table needs a space to search: add --space NAME, or --search-space FILE with NNI's parameters")
        if settings.space is None and settings.strategy is None and "backbone" in settings.pins:
            backbone = settings.pins["backbone"]
            raise RecordError(
                f"nothing to do with {backbone}: to train it, use --retrain {backbone}; "
                f"to tune it, use --space zoo --strategy hpo --model {backbone}"
            )
        raise RecordError(f"{missing} is missing: give --space and --strategy, or --retrain; --list shows all names")


def _check_alone(settings: Settings, action: str, takes: str, *also: str) -> None:
    """Refuse all flags but ``also`` beside an action that looks at runs which are there."""
    for entry in fields(Settings):
        if entry.name not in (action, *also, "notes") and getattr(settings, entry.name) != getattr(Settings(), entry.name):
            raise RecordError(f"{flag_of(entry.name)} has no use with --{action}, which takes {takes}")


def _pin(pins: dict[str, Any], label: str, value: Any) -> None:
    if label in pins and pins[label] != value:
        raise RecordError(f"{show_text(label)} is set twice, to {show(pins[label])} and to {show(value)}")
    pins[label] = value


def _parse_value(text: str) -> Any:
    """JSON where it is JSON (numbers, lists, true), else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
