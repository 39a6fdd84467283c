"""Search the parameters of a user program: it is run once for each trial, by us or by NNI's own service with its portal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import SearchFailed, StrategyError
from common.libraries import quiet_libraries
from common.reporter import Reporter
from records.parameter_record import ParameterRecord
from records.run_folder import RunFolder, require_usable_out
from records.trial_keeper import TrialKeeper
from retiarius.checks import check_takes_commands
from retiarius.command_engines import make_command_engine
from retiarius.command_settings import CommandSettings
from retiarius.context import load_libraries
from retiarius.extension import sizing_trials, trials_of
from retiarius.presets import DEFAULT_PRESET, PRESETS
from retiarius.ray_cluster import AUTO, Ray, check_cluster, workers_flag
from retiarius.results import SearchResult
from retiarius.run_record import keep
from retiarius.strategy_choice import find_strategy
from retiarius.trial_search import join_study, open_study_storage
from retiarius.value_checks import as_mapping, as_path, as_reporter
from strategies import Strategy

if TYPE_CHECKING:
    from nni_compat.search_space import NniSpace


def search_command(
    trial_command: str,
    search_space: Mapping[str, Any],
    strategy: str | Strategy = "tpe",
    *,
    trials: int | None = None,
    epochs: int | None = None,
    preset: str = DEFAULT_PRESET,
    fixed: Mapping[str, Any] | None = None,
    time_budget: float | None = None,
    trial_time: float | None = None,
    concurrency: int | Ray = 1,
    optimize_mode: str = "maximize",
    code_dir: str | Path = ".",
    storage: str | None = None,
    study: str | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    portal: bool = False,
    port: int | None = None,
    experiment: str | None = None,
    tuner_arguments: Mapping[str, Any] | None = None,
    assessor_arguments: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
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
    trials, epochs
        Number of trials; results that a trial reports, where that is known.
    preset
        Says how many trials there are where ``trials`` does not.
    fixed
        Parameters that are set and not searched, by name.
    time_budget, trial_time
        Seconds after which no trial starts, and after which a trial is ended.
    concurrency
        Trials that run at the same time on this machine; or the cluster on whose nodes they run: ``rt.Ray("auto", workers=8)``.
    optimize_mode
        ``"maximize"`` or ``"minimize"`` what the program reports.
    code_dir
        The folder in which the command runs.
    storage, study
        A database in which several processes search together, and the name of their study.
    seed
        Of every random draw.
    out, resume
        The run's folder, ``runs/<time>-command-<strategy>`` otherwise; whether to resume the run in it. A larger number of
        ``trials`` extends a search that has ended.
    tensorboard
        Write scalars for TensorBoard into the run's folder.
    portal, port, experiment, tuner_arguments, assessor_arguments
        Let NNI's own service run the trials, and where its portal listens; the experiment's name, and ``classArgs`` of NNI's own.
    reporter
        Hears what happens; nobody does otherwise.

    Returns
    -------
    SearchResult
        ``trials`` has every trial, ``best_parameters`` the best.

    Raises
    ------
    InputError
        What was asked for cannot be done: one line that says what would be right.
    SearchFailed
        No trial was completed.
    """
    asked: dict[str, Any] = {
        "trial_command": trial_command,
        "search_space": as_mapping("search_space", search_space),
        "strategy": find_strategy(strategy, storage=storage),
        "trials": trials,
        "epochs": epochs,
        "preset": preset,
        "fixed": as_mapping("fixed", fixed),
        "time_budget": time_budget,
        "trial_time": trial_time,
        "concurrency": concurrency,
        "optimize_mode": optimize_mode,
        "code_dir": as_path("code_dir", code_dir),
        "storage": storage,
        "study": study,
        "seed": seed,
        "out": as_path("out", out),
        "resume": resume,
        "tensorboard": tensorboard,
        "portal": portal,
        "port": port,
        "experiment": experiment,
        "tuner_arguments": as_mapping("tuner_arguments", tuner_arguments),
        "assessor_arguments": as_mapping("assessor_arguments", assessor_arguments),
    }
    settings = CommandSettings(**asked)
    return (_search_under_portal if portal else _search_by_command)(settings, as_reporter(reporter))


@contextmanager
def _open_search(
    settings: CommandSettings, sized_by: int, parameters: Callable[..., Any], reporter: Reporter
) -> Iterator[tuple[RunFolder, ParameterRecord, TrialKeeper]]:
    """Open the folder of a search that is ``sized_by`` so many trials, what writes its best ``parameters``, and what keeps its trials."""
    where: dict[str, Any] = {"space": "command", "strategy": settings.strategy.name, "resume": settings.resume}
    folder = RunFolder.create(settings.out, **where, identity=settings.identity(sized_by))
    record = ParameterRecord(
        folder.path / "best_parameters.json", {"trial_command": settings.trial_command}, settings.optimize_mode, parameters
    )
    with keep(folder, settings.describe(), reporter.command, can_resume=not settings.portal):
        yield folder, record, record.keep_trials(folder, reporter, tensorboard=settings.tensorboard)


def _search_by_command(settings: CommandSettings, reporter: Reporter) -> SearchResult:
    """Run the trials as NNI would, on this machine or on a cluster."""
    check_takes_commands(settings.strategy)
    if isinstance(settings.concurrency, Ray) and settings.concurrency.address is not None:
        check_cluster(settings.concurrency, settings.storage)
    with open_study_storage(settings.storage, settings.strategy) as storage:
        load_libraries(reporter)
        from nni_compat.search_space import parse_search_space
        from nni_compat.trial_command import TrialCommand, check_command
        from spaces.choices import count_configurations
        from strategies.optuna.pruning import make_pruning, why_idle
        from strategies.search_summary import summarize_search

        space = parse_search_space(settings.search_space).pin(settings.fixed)
        most = count_configurations(space.mutables)
        total = min(trials_of(settings), most)
        sized_by = min(sizing_trials(settings, total, reporter), most)
        pruning = make_pruning(settings.pruner, epochs=settings.epochs)
        check_command(settings.trial_command, settings.code_dir)
        require_usable_out(settings.out, resume=settings.resume)
        if idle := why_idle(settings.pruner, scores=settings.epochs, trials=total):
            reporter.warn(idle)
        with _open_search(settings, sized_by, space.parameters, reporter) as (folder, record, keeper):
            program = TrialCommand(
                settings.trial_command, settings.code_dir, folder.path / "trials", record.metric.sign, settings.trial_time
            )
            at_a_time = workers_flag(settings.concurrency) or 1
            many = "as many at a time as the cluster has room for" if at_a_time == AUTO else f"{at_a_time} at a time"
            reporter.say(f"running {program.command!r} in {program.directory.absolute()} for each trial, {many}")
            shared = join_study(storage, settings, folder)
            options = {"max_trials": total, "pruning": pruning}
            engine = _explore(settings, space, program, keeper, shared, sized_by, **options)
            for line in summarize_search(engine, settings.pruner):
                reporter.say(line)
    return SearchResult(folder.path)


def _explore(
    settings: CommandSettings, space: NniSpace, program: Any, keeper: TrialKeeper, shared: Any, sized_by: int, **options: Any
) -> Any:
    """Let the strategy, ``sized_by`` so many trials, search on an engine that runs ``program``; return the engine."""
    from nni.nas.space import SimplifiedModelSpace

    from nni_compat.trial_program import TrialProgram
    from strategies import SearchContext

    with (
        keeper.shown(options["max_trials"], settings.strategy.name),
        make_command_engine(
            settings,
            space,
            program,
            known=keeper.recorded(space.mutables),
            replays_at_once=shared is not None,
            on_result=keeper.note,
            on_epoch=keeper.note_epoch,
            **options,
        ) as engine,
    ):
        told: dict[str, Any] = {"seed": settings.seed, "trials": sized_by, "open_trials": engine.open_trials}
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
    if isinstance(settings.concurrency, Ray):
        raise StrategyError("NNI's service runs trials on this machine only, one at a time: leave out `portal`, or the Ray cluster")
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
        reporter.warn(f"NNI's portal is open on every address of this machine, without a login: http://127.0.0.1:{port}")
        service.begin(experiment, settings.trial_command, settings.code_dir)
        with keeper.shown(trials, settings.strategy.name):
            for trial in service.run():
                keeper.note(trial)
        if keeper.best is None:
            raise SearchFailed("no trial was completed; trials.jsonl in the run's folder has the reasons")
        reporter.say(f"best result: {record.metric.show(keeper.best.score)}, in trial {keeper.best.number}")
        reporter.pause("the portal stays open; press Enter to close it")
    return SearchResult(folder.path)
