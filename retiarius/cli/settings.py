"""The command line as plain settings, checked as far as that goes without knowing a space, a strategy or an evaluator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.passwords import hide_passwords
from common.requirements import DEFAULT_PORT, require_package
from records.pareto import LATENCY
from retiarius.cli.command_line import LAB_OPTIONS, WITHOUT_EFFECT, make_parser


@dataclass(frozen=True)
class Settings:
    """One run as it was asked for; ``None`` leaves a value to the preset or to the program."""

    space: str | None = None
    strategy: str | None = None
    retrain: str | None = None
    report: tuple[Path, ...] = ()
    dashboard: Path | None = None
    list: bool = False
    preset: str = "quick"
    dataset: str = "auto"
    data_dir: Path = Path("data")
    trials: int | None = None
    epochs: int | None = None
    time_budget: float | None = None
    max_params: int | None = None
    max_flops: int | None = None
    start_with: tuple[str, ...] = ()
    pruner: str = "none"
    start_step: int | None = None
    supernet: str | None = None
    order: int | None = None
    cost_weight: float | None = None
    collapse_guard: str | None = None
    evaluator: str = "train"
    objectives: tuple[str, ...] | None = None
    table: Path | None = None
    table_columns: Path | None = None
    recipe: str | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    out: Path | None = None
    resume: bool = False
    tensorboard: bool = False
    portal: bool = False
    port: int = DEFAULT_PORT
    config: Path | None = None
    search_space: dict[str, Any] | None = None  # the content of NNI's file
    trial_command: str | None = None
    code_dir: Path = Path()
    workers: int = 1
    storage: str | None = None
    study: str | None = None
    concurrency: int = 1
    trial_time: float | None = None
    optimize_mode: str = "maximize"
    experiment: str | None = None
    tuner_arguments: dict[str, Any] = field(default_factory=dict)  # classArgs of NNI's own, with --portal
    assessor_arguments: dict[str, Any] = field(default_factory=dict)
    pins: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """All of them as plain data, without the password of a storage."""
        return {**asdict(self), "storage": None if self.storage is None else hide_passwords(self.storage)}

    @property
    def trial_flags(self) -> dict[str, Any]:
        """Those flags that were given of the ones that steer trials: which come first, are left out, end early, how many run at once."""
        flags: dict[str, Any] = {"--max-params": self.max_params, "--max-flops": self.max_flops, "--pruner": self.pruner}
        flags["--start-with"] = list(self.start_with) or None
        flags["--workers"] = None if self.workers == 1 else self.workers
        flags |= {"--storage": None if self.storage is None else hide_passwords(self.storage), "--study": self.study}
        return {flag: value for flag, value in flags.items() if value not in (None, Settings.pruner)}

    @property
    def training_flags(self) -> dict[str, Any]:
        """Those flags that were given of the ones that say on what, where and how exactly to train."""
        return _given(self, ("data_dir", "device", "precision", "recipe"))

    @property
    def one_shot_flags(self) -> dict[str, Any]:
        """Those flags that were given of the ones that steer a one-shot search."""
        flags: dict[str, Any] = {"--supernet": self.supernet, "--order": self.order, "--cost-weight": self.cost_weight}
        flags["--collapse-guard"] = self.collapse_guard
        return {flag: value for flag, value in flags.items() if value is not None}

    @property
    def search_flags(self) -> dict[str, Any]:
        """What a strategy may have no use for, as ``retiarius.flag_checks.check_flags`` takes it; what was not asked for is at its default."""
        return {
            "evaluator": self.evaluator if self.evaluator != Settings.evaluator else "",
            "objectives": self.objectives or (),
            "measures_latency": LATENCY in (self.objectives or ()),
            "pruner": self.pruner,
            "workers": self.workers,
            "trials": self.trials or 1,
            "shares_study": self.storage is not None,
            "trial_flags": self.trial_flags,
            "one_shot_flags": self.one_shot_flags,
            "training_flags": self.training_flags,
            "searches_file": self.search_space is not None,
        }


def parse_settings(argv: Sequence[str], description: str) -> Settings:
    """The settings that ``argv`` asks for. Raises ``RecordError``, one line; ``--help`` prints and exits."""
    options = vars(make_parser(description).parse_args(argv))
    for name, value in options.items():
        if value == "" or (isinstance(value, list) and "" in value and name != "set"):  # a variable of the shell that is not set
            raise RecordError(f"--{name.replace('_', '-')} is empty: give it a value, or leave it out")
    pins: dict[str, Any] = {}
    for assignment in options.pop("set"):
        label, separator, text = assignment.partition("=")
        if not separator or not label:
            raise RecordError(f"--set {assignment}: expected LABEL=VALUE, such as --set initial_lr=0.05")
        _pin(pins, label.strip(), _parse_value(text))
    for option, label in LAB_OPTIONS.items():
        text = options.pop(option)
        if text is not None:
            _pin(pins, label, _parse_value(text))
    unused = [name for name in WITHOUT_EFFECT if options.pop(name) is not None]
    notes = [f"--{name} has no effect here: images are held in memory, and progress is always shown" for name in unused]
    if any(options[name] is not None for name in ("config", "search_space", "trial_command")):
        from nni_compat.options import adopt_nni_files

        notes += adopt_nni_files(options)
    options |= {name: tuple(options[name]) for name in ("report", "start_with")}
    given = {name: value for name, value in options.items() if value is not None}
    settings = Settings(**given, pins=pins, notes=tuple(notes))
    _check_action(settings)
    return settings


def _check_action(settings: Settings) -> None:
    if settings.list:
        return
    if settings.report:
        _check_alone(settings, "report", "runs and --out FILE", "out")
        return
    if settings.dashboard is not None:
        _check_alone(settings, "dashboard", "one run and --port N", "port")
        return
    if settings.port != DEFAULT_PORT and not settings.portal:
        raise RecordError("--port goes with --dashboard or --portal")
    if settings.portal and settings.trial_command is None:
        raise RecordError("--portal shows the search of a program: --config FILE, or --search-space FILE --trial-command COMMAND")
    if settings.tensorboard:
        require_package("tensorboard", "tensorboard", "--tensorboard")
    if settings.study is not None and settings.storage is None:
        raise RecordError("--study names a study in a storage; name that with --storage URL")
    if settings.resume and settings.out is None:
        raise RecordError("--resume needs the run's folder: --out DIR")
    for name in ("concurrency", "optimize_mode"):
        if settings.trial_command is None and getattr(settings, name) != getattr(Settings, name):
            said = "trainings of ours run side by side with --workers, and are maximised"
            raise RecordError(f"--{name.replace('_', '-')} goes with --trial-command; {said}")
    if settings.retrain is not None:
        names = ("space", "strategy", "trials", "time_budget", "evaluator", "table", "table_columns", "objectives")
        for flag in {**_given(settings, names), **settings.trial_flags, **settings.one_shot_flags}:
            raise RecordError(f"{flag} goes with a search, not with --retrain")
        return
    if settings.trial_command is not None:
        ours = ("dataset", "evaluator", "table", "table_columns", "objectives")
        for flag in {**settings.training_flags, **settings.trial_flags, **settings.one_shot_flags, **_given(settings, ours)}:
            if flag == "--workers":
                raise RecordError("--workers is for trainings of ours; --concurrency N runs N trial commands at a time")
            if flag not in ("--pruner", "--storage", "--study"):
                raise RecordError(f"{flag} is for trainings of ours; a trial command trains by itself: leave it out")
        return
    if settings.space is None or settings.strategy is None:
        missing = "--space" if settings.space is None else "--strategy"
        if settings.space is None and settings.strategy is None and "backbone" in settings.pins:
            backbone = settings.pins["backbone"]
            raise RecordError(
                f"nothing to do with {backbone}: --retrain {backbone} trains it, --space zoo --strategy hpo --model {backbone} tunes it"
            )
        raise RecordError(f"{missing} is missing; give --space and --strategy, or --retrain, or --list to see what there is")


def _given(settings: Settings, names: Sequence[str]) -> dict[str, Any]:
    """Those of the options that differ from their defaults, by flag."""
    values = {name: getattr(settings, name) for name in names}
    return {f"--{name.replace('_', '-')}": value for name, value in values.items() if value != getattr(Settings, name)}


def _check_alone(settings: Settings, action: str, takes: str, *also: str) -> None:
    """Refuse all flags but ``also`` beside an action that looks at runs which are there."""
    for entry in fields(Settings):
        if entry.name not in (action, *also, "notes") and getattr(settings, entry.name) != getattr(Settings(), entry.name):
            flag = "--set" if entry.name == "pins" else f"--{entry.name.replace('_', '-')}"
            raise RecordError(f"{flag} goes with a search or a training, not with --{action}, which takes {takes}")


def _pin(pins: dict[str, Any], label: str, value: Any) -> None:
    if label in pins and pins[label] != value:
        raise RecordError(f"{label} is set twice, to {pins[label]!r} and to {value!r}")
    pins[label] = value


def _parse_value(text: str) -> Any:
    """JSON where it is JSON (numbers, lists, true), else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
