"""Search the parameters of NNI's search_space.json in a table: no network is built, and each trial is a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import StrategyError, require_labels
from common.reporter import Reporter
from evaluators import open_table
from records.metric import table_metric
from records.parameter_record import ParameterRecord
from records.run_folder import RunFolder, require_usable_out
from records.skipped import SKIPPED
from retiarius.checks import check_flags, check_takes_parameters
from retiarius.context import load_libraries
from retiarius.engines import fidelities_of, keep_skipped, make_table_engine
from retiarius.extension import sizing_trials, trials_of
from retiarius.lookups import Lookups, fit_to_table, plan_budget, tell_table, warn_of_missing_rows
from retiarius.results import SearchResult
from retiarius.run_record import keep
from retiarius.settings import SearchSettings
from retiarius.trial_search import join_study, open_study_storage

if TYPE_CHECKING:
    from nni_compat.search_space import NniSpace


@dataclass(frozen=True)
class RowSearch:
    """What a search in a table is to do.

    Attributes
    ----------
    space
        Its parameters, as the table has them.
    lookups
        The table.
    epochs, trials
        Of a trial, and how many.
    sized_by
        The number of trials by which the strategy sizes its parts.
    """

    space: NniSpace
    lookups: Lookups
    epochs: int
    trials: int
    sized_by: int

    @property
    def configurations(self) -> int | None:
        """How many samples there are."""
        from spaces.choices import count_exactly

        return count_exactly(self.space.mutables)


def plan_row_search(settings: SearchSettings, reporter: Reporter) -> RowSearch:
    """Make settings, NNI's file and table into a plan.

    Raises
    ------
    InputError
        What was asked for does not fit together, one line.
    """
    check_takes_parameters(settings.strategy, "a table and no space")
    check_flags(settings, looks_up=True)
    if settings.start_with:
        raise StrategyError("`start_with` names networks, and this search has none: leave it out")
    if settings.screen is not None:
        raise StrategyError("`screen` scores networks, and this search has none: leave it out")
    table = open_table(settings.evaluator_name, settings.table, settings.table_columns, settings.dataset)
    epochs, trials = plan_budget(settings, table, trials_of(settings), epochs=settings.epochs)
    load_libraries(reporter)
    from nni_compat.search_space import NniSpace, parse_search_space

    space = parse_search_space(settings.search_space)
    require_labels(settings.fixed, list(dict.fromkeys([*space.mutables, *table.labels])))
    space = space.pin({label: value for label, value in settings.fixed.items() if label in space.mutables})
    mutables, table = fit_to_table(settings, table, space.mutables)
    space = NniSpace(mutables, space.tree)
    sign = table_metric(table.score_name, settings.optimize_mode).sign
    lookups = Lookups(table, fidelities_of(table, settings, epochs), sign, space.active)
    tell_table(settings, table, epochs, reporter)
    warn_of_missing_rows(lookups, space.mutables, space.canonical, reporter)
    return RowSearch(space, lookups, epochs, trials, sizing_trials(settings, trials, reporter))


def search_table(settings: SearchSettings, reporter: Reporter) -> SearchResult:
    """Search the parameters of NNI's file in a table; write ``best_parameters.json``. See ``search``."""
    require_usable_out(settings.out, resume=settings.resume)
    plan = plan_row_search(settings, reporter)
    with open_study_storage(settings.storage, settings.strategy) as storage:
        same, dataset = _identity(settings, plan), plan.lookups.table.describe()
        folder = RunFolder.create(settings.out, space="table", strategy=settings.strategy.name, resume=settings.resume, identity=same)
        with keep(folder, settings.describe(), reporter.command):
            metric = table_metric(plan.lookups.table.score_name, settings.optimize_mode)
            origin = {"dataset": dataset}
            record = ParameterRecord(
                folder.path / "best_parameters.json", origin, settings.optimize_mode, plan.space.parameters, metric=metric
            )
            keeper = record.keep_trials(folder, reporter, tensorboard=settings.tensorboard, durable=False)
            for line in _explore(settings, plan, keeper, folder.path / SKIPPED, join_study(storage, settings, folder), reporter):
                reporter.say(line)
    return SearchResult(folder.path, table=plan.lookups)


def _identity(settings: SearchSettings, plan: RowSearch) -> dict[str, Any]:
    """Return what a resumed search must have in common with the first."""
    same: dict[str, Any] = {"strategy": settings.strategy.name, "evaluator": settings.evaluator_name, "trials": plan.sized_by}
    same |= {"search_space": settings.search_space, "dataset": plan.lookups.table.describe(), "epochs": plan.epochs}
    same |= {"preset": settings.preset, "pins": settings.pins, "seed": settings.seed, "optimize_mode": settings.optimize_mode}
    return same | settings.trial_flags | ({} if settings.start_step is None else {"start_step": settings.start_step})


def _explore(settings: SearchSettings, plan: RowSearch, keeper: Any, skipped: Path, shared: Any, reporter: Reporter) -> list[str]:
    """Let the strategy search; return lines about how it ended. Rows that are not tried go to the file ``skipped``."""
    from nni.nas.space import SimplifiedModelSpace

    from nni_compat.trial_program import TrialProgram
    from spaces.choices import count_configurations
    from strategies import SearchContext
    from strategies.optuna.pruning import make_pruning, why_idle
    from strategies.search_summary import summarize_search

    space, reports = plan.space, len(plan.lookups.fidelities)
    most = count_configurations(space.mutables)
    total = min(plan.trials, most)
    max_trials = None if settings.trials is None and settings.time_budget else total
    if idle := why_idle(settings.pruner, scores=reports, trials=total):
        reporter.warn(idle)
    options: dict[str, Any] = {
        "max_trials": max_trials,
        "canonical": space.canonical,
        "known": keeper.recorded(space.mutables),
        "pruning": make_pruning(settings.pruner, epochs=reports),
        "replays_at_once": shared is not None,
        "on_result": keeper.note,
        "on_epoch": keeper.note_epoch,
    }
    labels = list(space.mutables)
    engine = make_table_engine(settings, plan.lookups, labels, settings.time_budget, **options)
    keep_skipped(engine, skipped)
    with keeper.shown(max_trials, settings.strategy.name), engine:
        context = SearchContext(seed=settings.seed, trials=min(plan.sized_by, most), canonical=space.canonical, shared=shared)
        settings.strategy.build(context)(SimplifiedModelSpace(TrialProgram(), space.mutables, None), engine)
        engine.wait_models()
    return list(summarize_search(engine, settings.pruner))
