"""Search the parameters of a user program: it is run once for each trial, by us or by NNI's own service with its portal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import RecordError, SearchFailed
from common.libraries import quiet_libraries
from common.passwords import hide_passwords
from common.reporter import Reporter
from records.parameter_record import ParameterRecord
from records.run_folder import RunFolder, require_usable_out
from records.trial_keeper import TrialKeeper
from retiarius.checks import check_takes_commands
from retiarius.context import load_libraries
from retiarius.presets import DEFAULT_PRESET, PRESETS
from retiarius.results import SearchResult
from retiarius.run_lock import keep
from retiarius.settings import PrunerSettings, check_counts, find_strategy
from retiarius.trial_search import join_study, open_study_storage
from strategies import Strategy

if TYPE_CHECKING:
    from nni_compat.search_space import NniSpace


@dataclass(frozen=True)
class CommandSettings(PrunerSettings):
    """What the search of a user program was asked for; see ``search_command``."""

    trial_command: str
    search_space: Mapping[str, Any]
    strategy: Strategy
    trials: int | None = None
    epochs: int | None = None
    preset: str = DEFAULT_PRESET
    fixed: Mapping[str, Any] = field(default_factory=dict)
    time_budget: float | None = None
    trial_time: float | None = None
    concurrency: int = 1
    optimize_mode: str = "maximize"
    code_dir: Path = Path()
    storage: str | None = None
    study: str | None = None
    seed: int = 0
    out: Path | None = None
    resume: bool = False
    tensorboard: bool = False
    portal: bool = False
    port: int | None = None
    experiment: str | None = None
    tuner_arguments: Mapping[str, Any] = field(default_factory=dict)
    assessor_arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_counts(trials=self.trials, epochs=self.epochs, concurrency=self.concurrency)
        if self.optimize_mode not in ("maximize", "minimize"):
            raise RecordError(f"optimize_mode: {self.optimize_mode!r} is neither maximize nor minimize")
        if self.study is not None and self.storage is None:
            raise RecordError("--study names a study in a storage; name that with --storage URL")

    def describe(self) -> dict[str, Any]:
        """Return what was asked for as plain data, for ``config.json``, without the password of a storage."""
        words = {**asdict(replace(self, strategy=Strategy())), "strategy": self.strategy.name, "pins": dict(self.fixed)}
        words |= {"pruner": self.pruner_name, "start_step": self.start_step}
        return {**words, "storage": None if self.storage is None else hide_passwords(self.storage)}

    def identity(self, trials: int) -> dict[str, Any]:
        """Return what a resumed search must have in common with the first."""
        names = ("search_space", "trial_command", "code_dir", "concurrency", "optimize_mode", "trial_time", "seed", "epochs", "start_step")
        same = {"strategy": self.strategy.name, **{name: getattr(self, name) for name in names}, "pins": dict(self.fixed), "trials": trials}
        flags = {"--pruner": None if self.pruner is None else self.pruner_name, "--study": self.study}
        flags["--storage"] = None if self.storage is None else hide_passwords(self.storage)
        return same | {flag: value for flag, value in flags.items() if value is not None} | ({"portal": True} if self.portal else {})


def search_command(
    trial_command: str,
    search_space: Mapping[str, Any],
    strategy: str | Strategy = "tpe",
    *,
    reporter: Reporter | None = None,
    **settings: Any,
) -> SearchResult:
    """Search the parameters of a user program that speaks NNI's trial protocol; write ``best_parameters.json``.

    Parameters
    ----------
    trial_command
        A line for the shell that is run once for each trial, such as ``"python main.py"``.
    search_space
        The content of NNI's ``search_space.json``.
    strategy
        How parameters are chosen: a name, or an object with its settings.
    reporter
        Hears what happens; nobody does otherwise.
    settings
        Those of ``CommandSettings``: ``trials``, ``epochs`` (results that a trial reports), ``fixed`` (label to value), ``time_budget``
        and ``trial_time`` (seconds, of all trials and of each), ``concurrency``, ``optimize_mode`` (``"maximize"`` or ``"minimize"``),
        ``code_dir`` (where the command runs), ``storage``, ``study``, ``seed``, ``out``, ``resume``, ``tensorboard``, and ``portal``,
        ``port``, ``experiment`` for NNI's own service.

    Returns
    -------
    SearchResult
        ``trials`` has every trial; ``record.best_parameters`` the best.

    Raises
    ------
    InputError
        What was asked for cannot be done: one line that says what would be right.
    SearchFailed
        No trial was completed.
    """
    for name in ("code_dir", "out"):
        if isinstance(settings.get(name), str):
            settings[name] = Path(settings[name])
    asked = CommandSettings(trial_command, search_space, find_strategy(strategy), **settings)
    return (_search_under_portal if asked.portal else _search_by_command)(asked, reporter or Reporter())


@contextmanager
def _open_search(
    settings: CommandSettings, trials: int, parameters: Callable[..., Any], reporter: Reporter
) -> Iterator[tuple[RunFolder, ParameterRecord, TrialKeeper]]:
    """Open the folder of a search of ``trials``, what writes its best ``parameters``, and what keeps its trials."""
    where: dict[str, Any] = {"space": "command", "strategy": settings.strategy.name, "resume": settings.resume}
    folder = RunFolder.create(settings.out, **where, identity=settings.identity(trials))
    record = ParameterRecord(folder.path / "best_parameters.json", settings.trial_command, settings.optimize_mode, parameters)
    with keep(folder, settings.describe(), can_resume=not settings.portal):
        yield folder, record, record.keep_trials(folder, reporter, tensorboard=settings.tensorboard)


def _search_by_command(settings: CommandSettings, reporter: Reporter) -> SearchResult:
    """Run the trials as NNI would, on this machine."""
    check_takes_commands(settings.strategy)
    with open_study_storage(settings.storage, settings.strategy) as storage:
        load_libraries(reporter)
        from nni_compat.search_space import parse_search_space
        from nni_compat.trial_command import TrialCommand, check_command
        from spaces.choices import count_configurations
        from strategies.optuna.pruning import make_pruning, why_idle
        from strategies.search_summary import summarize_search

        space = parse_search_space(settings.search_space).pin(settings.fixed)
        total = min(settings.trials or PRESETS[settings.preset].trials, count_configurations(space.mutables))
        pruning = make_pruning(settings.pruner, epochs=settings.epochs)
        check_command(settings.trial_command, settings.code_dir)
        require_usable_out(settings.out, resume=settings.resume)
        if idle := why_idle(settings.pruner, scores=settings.epochs, trials=total):
            reporter.warn(idle)
        with _open_search(settings, total, space.parameters, reporter) as (folder, record, keeper):
            program = TrialCommand(
                settings.trial_command, settings.code_dir, folder.path / "trials", record.metric.sign, settings.trial_time
            )
            reporter.say(f"each trial runs {program.command!r} in {program.directory.absolute()}, {settings.concurrency} at a time")
            shared = join_study(storage, settings, folder)
            engine = _explore(settings, space, program, keeper, shared, {"max_trials": total, "pruning": pruning})
            for line in summarize_search(engine, settings.pruner):
                reporter.say(line)
    return SearchResult(folder.path)


def _explore(settings: CommandSettings, space: NniSpace, program: Any, keeper: TrialKeeper, shared: Any, options: dict[str, Any]) -> Any:
    """Let the strategy search on an engine that runs ``program``; return the engine."""
    from nni.nas.space import SimplifiedModelSpace

    from nni_compat.trial_program import TrialProgram
    from strategies import SearchContext
    from strategies.engines.concurrent import ConcurrentEngine

    with (
        keeper.shown(options["max_trials"], settings.strategy.name),
        ConcurrentEngine(
            lambda number, sample: program.start(number, space.parameters(sample)),
            concurrency=settings.concurrency,
            canonical=space.canonical,
            known=keeper.recorded(space.mutables),
            replays_at_once=shared is not None,
            on_result=keeper.note,
            on_epoch=keeper.note_epoch,
            time_budget=settings.time_budget,
            **options,
        ) as engine,
    ):
        told = {"seed": settings.seed, "trials": options["max_trials"], "open_trials": settings.concurrency}
        context = SearchContext(**told, canonical=space.canonical, shared=shared)
        settings.strategy.build(context)(SimplifiedModelSpace(TrialProgram(), space.mutables, None), engine)
        engine.wait_models()
    return engine


def _search_under_portal(settings: CommandSettings, reporter: Reporter) -> SearchResult:
    """Let NNI's own service run the trials, one at a time, whose portal shows them."""
    from common.requirements import DEFAULT_PORT, check_port
    from nni_compat.experiment import make_experiment
    from nni_compat.service import NniService
    from nni_compat.trial_command import check_command

    trials, port = settings.trials or PRESETS[settings.preset].trials, settings.port or DEFAULT_PORT
    experiment = make_experiment(
        strategy=settings.strategy.name,
        pruner=settings.pruner_name,
        start_step=settings.start_step,
        pins=settings.fixed,
        seed=settings.seed,
        out=settings.out,
        code_dir=settings.code_dir,
        search_space=settings.search_space,
        experiment=settings.experiment,
        optimize_mode=settings.optimize_mode,
        time_budget=settings.time_budget,
        trial_time=settings.trial_time,
        tuner_arguments=settings.tuner_arguments,
        assessor_arguments=settings.assessor_arguments,
        resume=settings.resume,
        shares_study=settings.storage is not None,
        trials=trials,
    )
    quiet_libraries()
    from nni_compat.search_space import parse_search_space

    parse_search_space(settings.search_space)  # what is wrong with it is said here, not somewhere in a log
    check_port(port, "")
    check_command(settings.trial_command, settings.code_dir)
    with (
        _open_search(settings, trials, dict, reporter) as (folder, record, keeper),
        NniService(folder.path / "nni", port, record.metric.sign) as service,
    ):
        reporter.warn(f"NNI's portal listens on every address of this machine, without a login: http://127.0.0.1:{port}")
        service.begin(experiment, settings.trial_command, settings.code_dir)
        with keeper.shown(trials, settings.strategy.name):
            for trial in service.run():
                keeper.note(trial)
        if keeper.best is None:
            raise SearchFailed("no trial was completed; trials.jsonl in the run's folder has why")
        reporter.say(f"best result: {record.metric.show(keeper.best.score)}, of trial {keeper.best.number}")
        reporter.pause("the portal stays open for you to look at; Enter ends it")
    return SearchResult(folder.path)
