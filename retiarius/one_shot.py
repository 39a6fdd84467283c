"""A one-shot search: a supernet is trained, and the architecture is read off it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from common.errors import RetiariusError, SearchFailed, describe_error
from evaluators.training.recipes import make_recipe, recipe_values
from records.epoch_keeper import EpochKeeper
from records.formats import count_of
from records.run_folder import RunFolder
from records.scalars import open_scalars
from retiarius.best_record import BestRecord
from retiarius.context import RunContext
from retiarius.operation_costs import KEY, with_costs
from retiarius.search_plan import SearchPlan
from retiarius.selection import Result, drawn_result, scoring, selected_result, tuning_epochs
from retiarius.settings import SearchSettings
from retiarius.stages import Remaining, checkpoints_of, sizes_of
from strategies import SPOS, Darts, SearchContext
from strategies.one_shot.search_epoch import AUTO
from strategies.selections import selects
from strategies.stages import Stage


def search_one_shot(context: RunContext, settings: SearchSettings, plan: SearchPlan, folder: RunFolder) -> None:
    """Train a supernet and write the architecture that is read off it to ``best.json``.

    Raises
    ------
    SearchFailed
        The search diverged, or ended before its first step.
    StrategyError
        All networks that could be selected are larger than the search allows.
    """
    from evaluators.training.supernet import finished_epochs

    stages = settings.strategy.stages(context.epochs)
    evaluator = _evaluator_of(context, settings, folder, stages[0], settings.time_budget)
    steps = _steps_of(evaluator)
    supernet = context.build(None, **sizes_of(context.space, stages[0]))
    first_facts = context.space.one_shot(supernet)
    with open_scalars(folder.path, wanted=settings.tensorboard) as scalars:
        keeper = EpochKeeper(
            folder.path / "epochs.jsonl",
            context.reporter,
            scalars,
            epochs=context.epochs + tuning_epochs(settings, supernet, first_facts),
            steps=steps or 1,
            finished=sum(finished_epochs(checkpoints_of(folder, stage)) for stage in stages),
            describe=context.space.describe,
        )
        heard = {"on_step": None if steps is None else keeper.note_step, **scoring(context, settings, plan, folder, keeper.note_score)}
        remaining = Remaining(settings.time_budget)
        for stage in stages:
            if stage is not stages[0]:
                evaluator = _evaluator_of(context, settings, folder, stage, remaining.seconds)
                supernet = context.build(None, **sizes_of(context.space, stage))
            labels = remaining.cut(supernet, stage)
            facts = with_costs(context.space.one_shot(supernet), plan.costs)
            in_stage = None if steps is None else steps * stage.epochs
            if in_stage is not None:
                _say_rate(context, stage, in_stage)
            strategy = _train_supernet(context, stage, supernet, evaluator, keeper, one_shot=facts, steps=in_stage, **heard)
            if not remaining.goes_on(strategy, stage, labels):
                break
    _save_best(context, settings, plan, folder, strategy)


def _evaluator_of(context: RunContext, settings: SearchSettings, folder: RunFolder, stage: Stage, seconds: float | None) -> Any:
    """Return NNI's Lightning evaluator that trains the supernet of ``stage``: a copy of the person's own, or ours."""
    from evaluators.training.supernet import adopt_evaluator, make_supernet_evaluator

    checkpoints = checkpoints_of(folder, stage)
    checkpoints.mkdir(exist_ok=True)
    kept: dict[str, Any] = {"checkpoints": checkpoints, "time_budget": seconds}
    if settings.lightning is not None:
        return adopt_evaluator(settings.lightning, **kept)
    kept |= {"uses_all": settings.strategy.uses_all_weights}
    return make_supernet_evaluator(**{**context.training, "epochs": stage.epochs}, recipe=make_recipe(context.recipe), **kept)


def _steps_of(evaluator: Any) -> int | None:
    """Return how many steps an epoch has; None where the loaders do not tell it before the training."""
    try:
        return len(evaluator.train_dataloaders)
    except TypeError:
        return None


def _say_rate(context: RunContext, stage: Stage, steps: int) -> None:
    """Say at which rate the alphas learn in a stage of so many steps, where the rate goes by their number."""
    if getattr(stage.strategy, "alpha_lr", None) != AUTO:
        return
    rate, authors_rate = (stage.strategy.rate_in(number) for number in (steps, None))
    why = f"in {count_of(steps, 'step')} they can go as far as the authors'" if rate > authors_rate else "their authors' rate"
    context.reporter.say(f"alphas learn at {rate:.3g}: {why}")


def _train_supernet(context: RunContext, stage: Stage, supernet: Any, evaluator: Any, keeper: EpochKeeper, **heard: Any) -> Any:
    """Train the supernet of ``stage`` and return the NNI strategy that did so; ``heard`` is what else a ``SearchContext`` tells it."""
    import torch
    from nni.nas.execution import SequentialExecutionEngine
    from nni.nas.space import RawFormatModelSpace

    seed = context.settings.seed
    strategy: Any = stage.strategy.build(
        SearchContext(
            seed=seed,
            place=stage.place,
            gradient_clip=make_recipe(context.recipe).grad_clip or None,
            on_epoch=lambda epoch: keeper.note(epoch, strategy.guard.warning(epoch.number)),
            **heard,
        )
    )
    with keeper.shown(), torch.random.fork_rng(devices=context.gpus):
        torch.manual_seed(seed)
        try:
            strategy(RawFormatModelSpace(supernet, evaluator), SequentialExecutionEngine())
        except Exception as error:
            if context.space.is_registered or isinstance(error, RetiariusError):
                raise
            raise SearchFailed(_why_not(context, error)) from error
    return strategy


def _why_not(context: RunContext, error: Exception) -> str:
    """Return one line that says which choice of the space no supernet can have."""
    from strategies.one_shot.supernet_modules import blamed_choice

    told, label = f"the supernet of {context.space.name} cannot be trained: {describe_error(error)}", blamed_choice(error)
    if label is None:
        return told
    return f"{told}, at the choice {label}; its candidates have to take the same input and return tensors of the same shape"


def _score_of(epoch: Any) -> tuple[str, float, int] | None:
    """Return what is known of the supernet after its last epoch: metric, value and epoch."""
    for metric in ("validation accuracy", "train accuracy", "validation loss", "train loss"):
        value = getattr(epoch, metric.replace(" ", "_"))
        if value is not None:
            return f"supernet {metric}", value, epoch.number
    return None


def _save_best(context: RunContext, settings: SearchSettings, plan: SearchPlan, folder: RunFolder, strategy: Any) -> None:
    """Write ``best.json``: what the search ended with, and the recipe by which it is to be retrained."""
    epoch = strategy.result()
    result = Result(epoch.sample, _score_of(epoch), {})
    if strategy.draws:
        result = drawn_result(context, strategy.draws, epoch.number)
    if selects(settings.strategy):
        if strategy.selected is None:
            context.reporter.warn("the search ended before its last stage, which a selection follows: its cell is read off by the alphas")
        else:
            result = selected_result(context, settings, folder, strategy.selected, epoch.number)
    architecture = context.space.canonical(result.sample)
    # The network is trained alone by the recipe that suits the space; the settings of this run were the supernet's.
    hyperparameters = recipe_values(context.space.recipe_for(settings.preset))
    size = context.measure(context.build(architecture))
    told = _strategy_told(settings)
    told |= {"supernet": context.recipe if settings.lightning is None else {}, "collapse_guard": strategy.guard.describe()}
    if told.get("alpha_lr") == AUTO:
        told["alpha_rate"] = strategy.arc_learning_rate
    if plan.costs:
        told |= {"cost": settings.strategy.cost, KEY: dict(plan.costs)}
    BestRecord(folder, context, settings).save(architecture, hyperparameters, result.score, size, **told, **result.told)


def _strategy_told(settings: SearchSettings) -> dict[str, Any]:
    """Return the settings of the strategy for the record."""
    if not isinstance(settings.strategy, Darts | SPOS):
        return {flag.removeprefix("--"): value for flag, value in settings.strategy.settings().items()}
    return {name: value for name, value in asdict(settings.strategy).items() if name not in ("supernet", "collapse_guard", "cost")}
