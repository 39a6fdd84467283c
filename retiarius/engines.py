"""On which engine the trials of a search run: in this process, in others, or nowhere, where their results are looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import EvaluatorError
from common.libraries import quiet_libraries
from evaluators import find_evaluator
from evaluators.adapter import Evaluate
from records.metric import table_metric
from records.skipped import SkipLog
from retiarius.context import RunContext
from retiarius.lookups import Lookups
from retiarius.no_images import NoImages
from retiarius.pacing import Pace
from retiarius.ray_cluster import Ray, cluster_of, connected
from retiarius.search_plan import SearchPlan
from retiarius.settings import SearchSettings

if TYPE_CHECKING:
    from evaluators.trial_run import TrialRun
    from strategies.engines.recording import RecordingEngine
    from strategies.limits import SizeLimits

ROOM_BESIDE_IMAGES = 100 * 2**20  # bytes of Ray's store, for what trials and their search tell one another


def reports_of(context: RunContext, settings: SearchSettings) -> Sequence[int]:
    """Return the epochs after which a trial has a score; one that is looked up and not pruned has only the last."""
    if context.table is None:
        return range(1, context.epochs + 1)
    return fidelities_of(context.table, settings, context.epochs)


def fidelities_of(table: Any, settings: SearchSettings, epochs: int) -> list[int]:
    """Return after which epochs a trial of so many has scores in ``table``: only the last, unless there is a pruner."""
    least = epochs if settings.pruner is None else 0
    return [known for known in table.fidelities if least <= known <= epochs]


def make_engine(
    context: RunContext,
    settings: SearchSettings,
    plan: SearchPlan,
    checkpoints: Path,
    seconds: float | None,
    pace: Pace | None = None,
    **options: Any,
) -> RecordingEngine:
    """Make the engine.

    Parameters
    ----------
    checkpoints
        A folder for trials that wait.
    seconds
        What is left of the time budget; None: there is none.
    pace
        Of trials that wait; None where they do not.
    options
        Those of ``RecordingEngine``.
    """
    if context.table is not None:
        sign = table_metric(context.table.score_name, settings.optimize_mode).sign
        lookups = Lookups(context.table, reports_of(context, settings), sign)
        budget = None if settings.time_budget is None else settings.time_budget - plan.screened_seconds
        return make_table_engine(settings, lookups, context.table.labels, budget, **options)
    if pace is not None:
        return _make_paced_engine(context, settings, plan, checkpoints, seconds or 0.0, pace, **options)
    return _make_training_engine(context, settings, plan, time_budget=seconds, **options)


def _make_paced_engine(
    context: RunContext, settings: SearchSettings, plan: SearchPlan, checkpoints: Path, seconds: float, pace: Pace, **options: Any
) -> RecordingEngine:
    from strategies.engines.paced import PacedEngine

    limits = size_limits(context, settings, plan)
    return PacedEngine(
        make_trial_run(context, settings, plan),
        length=pace.length,
        share=pace.share,
        checkpoints=checkpoints,
        time_budget=seconds,
        reject=lambda sample: limits(sample) or pace.reject(sample),
        **{name: value for name, value in options.items() if name not in ("pruning", "replays_at_once")},
    )


def make_table_engine(
    settings: SearchSettings, lookups: Lookups, labels: Sequence[str], budget: float | None, **options: Any
) -> RecordingEngine:
    """Make the engine that looks trials up.

    Parameters
    ----------
    labels
        What the size of a network depends on.
    budget
        Simulated seconds of all trials, those of the run that is resumed included; None: no limit.
    options
        Those of ``RecordingEngine``.
    """
    from strategies.engines.table import TableEngine

    return TableEngine(
        look_up=lookups.steps,
        facts=lookups.facts,
        simulated_seconds=budget,
        reject=_table_limits(settings, lookups, labels),
        seed=settings.seed,
        **options,
    )


def _make_training_engine(context: RunContext, settings: SearchSettings, plan: SearchPlan, **options: Any) -> RecordingEngine:
    from strategies.engines.in_process import InProcessEngine

    options["reject"] = size_limits(context, settings, plan)
    cluster = cluster_of(settings.workers)
    if cluster is not None:
        return _make_parallel_engine(context, settings, plan, cluster, **options)
    return InProcessEngine(make_trial_run(context, settings, plan), **options)


def keep_skipped(engine: RecordingEngine, path: Path) -> None:
    """Keep each configuration that the engine turns down in the file ``path``."""
    from nni.nas.execution.event import ModelEventType

    from strategies.engines.recording import RejectedEvent

    log = SkipLog(path)

    def note(event: Any) -> None:
        if isinstance(event, RejectedEvent):
            why = event.rejection
            log.note(event.model.sample, why.fault, why.reason, why.excess)

    engine.register_model_event_callback(ModelEventType.TrainingEnd, note)


def size_limits(context: RunContext, settings: SearchSettings, plan: SearchPlan) -> SizeLimits:
    """Return what rejects samples whose network is larger than the search allows."""
    if context.table is not None:
        return _table_limits(settings, Lookups(context.table, ()), context.table.labels)
    from evaluators.complexity import build_without_data, count_multiply_adds, count_parameters
    from strategies.limits import SizeLimits

    if context.image_shape is None and settings.max_multiply_adds is not None:
        raise EvaluatorError("`max_multiply_adds` needs images to count multiply-adds, and the evaluator takes none; set `data`")
    measures = (count_parameters, partial(count_multiply_adds, image_shape=context.image_shape or ()))
    labels = list(plan.searched.architecture)
    return SizeLimits(_limits(settings, measures), labels, lambda sample: build_without_data(lambda: context.build(sample)))


def _table_limits(settings: SearchSettings, lookups: Lookups, labels: Sequence[str]) -> SizeLimits:
    from strategies.limits import SizeLimits

    def measure(name: str, sample: Mapping[str, Any]) -> int:
        return lookups.facts(sample)[name]

    return SizeLimits(_limits(settings, (partial(measure, "parameters"), partial(measure, "flops"))), labels, dict)


def _make_parallel_engine(context: RunContext, settings: SearchSettings, plan: SearchPlan, cluster: Ray, **options: Any) -> RecordingEngine:
    import torch

    from evaluators.data.shared import SharedDataset
    from strategies.engines.concurrent import ConcurrentEngine
    from strategies.engines.ray_pool import RayPool
    from strategies.engines.ray_room import Room

    most = options["max_trials"]
    slots = min(cluster.slots, most or cluster.slots)
    is_here = cluster.address is None
    data = context.data if isinstance(context.data, NoImages) else SharedDataset(context.data)
    run = make_trial_run(context, settings, plan, data=data, **_device_of(settings, cluster))
    store = data.num_bytes + ROOM_BESIDE_IMAGES if isinstance(data, SharedDataset) else 0
    threads = torch.get_num_threads() // slots if is_here else int(cluster.cpus_per_trial)
    with ExitStack() as stack:
        where = replace(cluster, workers=slots) if is_here else cluster
        stack.enter_context(connected(where, store, settings.space.name, settings.evaluator_name))
        pool = RayPool(run, threads=max(1, threads), prepare=quiet_libraries, needs=cluster.needs)
        stack.callback(pool.close)
        room = slots if is_here else Room(cluster.needs, cluster.workers, most)
        return ConcurrentEngine(pool.start, concurrency=room, wait=pool.wait, close=stack.pop_all().close, **options)


def _device_of(settings: SearchSettings, cluster: Ray) -> dict[str, Any]:
    """Return where a trial is computed, where another device than this machine's counts: the GPU that Ray gives it, or a node's CPU."""
    import torch

    if settings.device != "auto" or (cluster.address is None and not cluster.gpus_per_trial):
        return {}
    return {"device": torch.device("cuda" if cluster.gpus_per_trial else "cpu")}


def make_trial_run(context: RunContext, settings: SearchSettings, plan: SearchPlan, **training: Any) -> TrialRun:
    """Make the function of a sample that builds its network, trains and scores it.

    Parameters
    ----------
    training
        Arguments of every evaluation that take the place of the context's.
    """
    from evaluators.trial_run import TrialRun

    fixed = {label: value for label, value in context.recipe.items() if label not in plan.searched.hyperparameters}
    run = TrialRun(
        build=partial(context.space.network, context.arguments),
        evaluate=Evaluate(find_evaluator(settings.evaluator)[1].load(), -1 if settings.optimize_mode == "minimize" else 1),
        measure=_measure_of(context, settings),
        labels=tuple(plan.searched.architecture),
        training={**context.training, **fixed, **training},
        seed=settings.seed,
    )
    return run if plan.supernet is None else plan.supernet.inherit(run)


def _measure_of(context: RunContext, settings: SearchSettings) -> Callable[[Any], Mapping[str, Any]]:
    """Return what measures each network; without latency a function that can be sent to another process."""
    from evaluators.complexity import measure_complexity

    if context.image_shape is None:
        return _count_parameters
    if ":" in settings.evaluator_name and not settings.measures_latency:  # its networks may take something else than these images
        return partial(_measure_if_possible, image_shape=context.image_shape)
    return context.measure if settings.measures_latency else partial(measure_complexity, image_shape=context.image_shape)


def _count_parameters(network: Any) -> Mapping[str, Any]:
    from evaluators.complexity import count_parameters

    return {"parameters": count_parameters(network)}


def _measure_if_possible(network: Any, image_shape: Sequence[int]) -> Mapping[str, Any]:
    from evaluators.complexity import measure_complexity

    try:
        return measure_complexity(network, image_shape)
    except (RuntimeError, ValueError, TypeError):
        return _count_parameters(network)


def _limits(settings: SearchSettings, measures: tuple[Callable[[Any], int], Callable[[Any], int]]) -> list[Any]:
    from strategies.limits import Limit

    return [
        Limit("max_parameters", settings.max_parameters, "parameters", measures[0]),
        Limit("max_multiply_adds", settings.max_multiply_adds, "multiply-adds", measures[1]),
    ]
