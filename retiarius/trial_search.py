"""A search by trials: the strategy proposes, an engine runs, the record follows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from common.errors import RetiariusError, SearchFailed, describe_error
from common.trial import Sample, sample_key
from records.formats import count_of
from records.pareto import save_pareto
from records.run_folder import RunFolder
from records.skipped import SKIPPED
from records.study_note import note_study
from records.trial_keeper import TrialKeeper
from retiarius.best_record import BestRecord
from retiarius.context import RunContext
from retiarius.engines import keep_skipped, make_engine, reports_of, size_limits
from retiarius.finals import choose_at_full_size, seconds_for_finals, seconds_of_finals
from retiarius.long_training import LateTrial, choose_late_trial, let_first_go, looks_ahead, save_best_for_training, try_last
from retiarius.pacing import Pace
from retiarius.ray_cluster import cluster_of
from retiarius.search_plan import SearchPlan
from retiarius.settings import SearchSettings
from retiarius.told_numbers import usual_values
from strategies.nni_strategy import NniTrials


def search_trials(
    context: RunContext, settings: SearchSettings, plan: SearchPlan, folder: RunFolder, storage: Any, pace: Pace | None
) -> None:
    """Run trials until the strategy or the budget ends; ``best.json`` follows the best one.

    Parameters
    ----------
    storage
        Where several processes share a study, or None.
    pace
        Of trials that wait; None where they do not.

    Raises
    ------
    SearchFailed
        No trial was completed.
    StrategyError
        Nothing that was proposed is small enough.
    """
    from nni.nas.evaluator import FunctionalEvaluator
    from nni.nas.space import SimplifiedModelSpace

    from spaces.choices import count_configurations
    from strategies.first_trials import submit_first_trials, submit_known_trials
    from strategies.optuna.pruning import make_pruning, why_idle
    from strategies.search_summary import summarize_search

    searched, warn = plan.searched, context.reporter.warn
    # What each trial does is the engine's affair; NNI's strategies read here which hyperparameters are searched.
    evaluator = FunctionalEvaluator(_never_called, **searched.hyperparameters)
    explored = SimplifiedModelSpace(context.space.make(context.arguments), searched.architecture | searched.constraints, evaluator)
    most = count_configurations(explored.simplify())  # a small space may hold fewer
    total = min(plan.trials, most)
    # With a table, or where trials wait, the budget alone may end a search; the number of trials is then an estimate.
    by_time = settings.time_budget is not None and (context.table is not None or plan.share is not None)
    max_trials = None if by_time and settings.trials is None else total
    reports = len(reports_of(context, settings))
    if idle := why_idle(settings.pruner, scores=reports, trials=total):
        warn(idle)
    shared = join_study(storage, settings, folder)
    record = BestRecord(folder, context, settings)
    keeper = _keep_trials(record, context, plan)
    known = [replace(trial, sample=searched.canonical(trial.sample)) for trial in keeper.recorded(searched.hyperparameters)]
    engine_options = {
        "max_trials": max_trials,
        "canonical": searched.canonical,
        "architecture_labels": searched.architecture,
        "known": known,
        "pruning": make_pruning(settings.pruner, epochs=reports),
        "replays_at_once": shared is not None,
        "on_result": keeper.note,
        "on_epoch": keeper.note_epoch,
    }
    begin = time.monotonic()
    for_finals_before = seconds_of_finals(folder.path)  # of a search that is extended, or was interrupted in its finals
    for_finals = seconds_for_finals(context, settings, plan, for_finals_before)
    measuring = time.monotonic() - begin + (0.0 if pace is None else pace.seconds)
    seconds = _seconds_left(settings, keeper, for_finals + for_finals_before + plan.screened_seconds + measuring)
    engine: Any = make_engine(context, settings, plan, folder.checkpoints_path, seconds, pace, **engine_options)
    keep_skipped(engine, folder.path / SKIPPED)
    late = _plan_ahead(context, settings, plan, pace, engine)
    with keeper.shown(max_trials, settings.strategy.name), engine:
        starts, say = plan.starts, warn
        if plan.share is not None:
            for trial in engine.unfinished:
                context.reporter.say(f"trial {trial.number} was cut off, and goes on after epoch {len(trial.curve)}")
            submit_known_trials(explored, engine)
            starts, say = _still_to_try(starts, late, engine), context.reporter.say  # that some are too slow is usual there
        for line in submit_first_trials(starts, explored, engine):
            say(line)
        told = _search_context(context, settings, plan, min(plan.sized_by, most), shared, engine.open_trials)
        _explore(settings, told, explored, engine)
        engine.finish()
        if late is not None:
            try_last(late, explored, engine, context.reporter)
            engine.finish()
    if looks_ahead(settings, plan):
        images = len(context.data.validation)
        save_best_for_training(settings, keeper, images, record.save_trial, context.reporter)
    choose_at_full_size(context, settings, plan, folder.path, keeper.trials, for_finals, record.save_trial)
    _note_pareto(context, settings, folder, keeper)
    for line in summarize_search(engine, settings.pruner):
        context.reporter.say(line)


def _plan_ahead(context: RunContext, settings: SearchSettings, plan: SearchPlan, pace: Pace | None, engine: Any) -> LateTrial | None:
    """Choose what does not wait: let the first of the starts go, and return what is tried last, for which others leave time."""
    if pace is None:
        return None
    known, limits = [*engine.results, *engine.unfinished], size_limits(context, settings, plan)
    keys = {sample_key(trial.sample) for trial in known}

    def is_too_large(sample: Sample) -> bool:
        return limits(plan.searched.canonical(dict(sample))) is not None

    def is_out(sample: Sample) -> bool:
        return sample_key(plan.searched.canonical(dict(sample))) in keys or is_too_large(sample)

    let_first_go(settings, plan, pace, known, is_too_large)
    late = choose_late_trial(settings, plan, pace, engine.unfinished, is_out)
    if late is not None:
        engine.give_time(-late.seconds)
    return late


def _still_to_try(starts: Mapping[str, dict[str, Any]], late: LateTrial | None, engine: Any) -> dict[str, dict[str, Any]]:
    """Return the samples by name, but for the one that is tried last, and those of which the strategy has heard."""
    return {name: sample for name, sample in starts.items() if (late is None or name != late.name) and engine.result_of(sample) is None}


def _seconds_left(settings: SearchSettings, keeper: TrialKeeper, not_for_trials: float) -> float | None:
    """Return what is left of the time budget after the trials of the run that is resumed, perhaps less than 0; None without one."""
    if settings.time_budget is None:
        return None
    cluster = cluster_of(settings.workers)
    side_by_side = 1 if cluster is None else cluster.workers or 1
    return settings.time_budget - not_for_trials - sum(trial.seconds for trial in keeper.trials) / side_by_side


def _explore(settings: SearchSettings, told: Any, explored: Any, engine: Any) -> None:
    """Let the strategy search; what one of NNI's raises becomes one line."""
    try:
        settings.strategy.build(told)(explored, engine)
    except RetiariusError:
        raise
    except Exception as error:
        if not isinstance(settings.strategy, NniTrials):
            raise
        raise SearchFailed(f"NNI's {type(settings.strategy.nni).__name__} cannot search this space: {describe_error(error)}") from error


def _never_called(network: Any, **hyperparameters: Any) -> float:
    raise RuntimeError("the engine's runner evaluates networks")


def _search_context(context: RunContext, settings: SearchSettings, plan: SearchPlan, total: int, shared: Any, room: int) -> Any:
    """Return what the strategy is told."""
    from strategies import SearchContext

    cluster = cluster_of(settings.workers)
    return SearchContext(
        seed=settings.seed,
        trials=total,
        open_trials=room if cluster is None else cluster.workers or room,
        shared=shared,
        canonical=plan.searched.canonical,
        features=context.space.features,
        usual=usual_values(context.space, plan),
        described=list(plan.searched.architecture),
        scores_change=plan.share is not None,
        costs=context.objectives[1:] if settings.strategy.several_objectives else (),
    )


def _keep_trials(record: BestRecord, context: RunContext, plan: SearchPlan) -> TrialKeeper:
    return record.keep_trials(
        architecture=plan.searched.architecture, canonical=context.space.canonical, labels_with_effect=plan.searched.labels_with_effect
    )


def _note_pareto(context: RunContext, settings: SearchSettings, folder: RunFolder, keeper: TrialKeeper) -> None:
    """Write ``pareto.json`` where there are several objectives."""
    if not settings.strategy.several_objectives:
        return
    origin = {"name": context.space.name, "arguments": context.arguments}
    count = save_pareto(folder.path / "pareto.json", keeper.trials, context.objectives, space=origin)
    front = f"{count_of(count, 'trial')} on the Pareto front of {', '.join(context.objectives)}"
    context.reporter.say(f"{front}: {folder.path / 'pareto.json'}")


@contextmanager
def open_study_storage(url: str | None, strategy: Any) -> Iterator[Any]:
    """Open the storage of ``url``; yield None where there is none.

    Raises
    ------
    StrategyError
        The strategy cannot share a study, or the storage cannot be used.
    """
    if url is None:
        yield None
        return
    from strategies import check_storage

    check_storage(strategy)
    from strategies.optuna.shared_study import open_storage

    with open_storage(url) as storage:
        yield storage


def join_study(storage: Any, settings: Any, folder: RunFolder) -> Any:
    """Return the study in ``storage`` in which this run takes part; None without a storage."""
    if storage is None:
        return None
    from strategies.optuna.shared_study import SharedStudy, name_study

    space = "command" if getattr(settings, "space", None) is None else settings.space.name
    usual = name_study(space, settings.strategy.name, folder.identity)
    return SharedStudy(storage, *note_study(folder.path / "study.json", settings.storage or "", settings.study, usual))
