"""A one-shot search: a supernet is trained, and the architecture is read off it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from common.errors import RetiariusError, SearchFailed, describe_error
from evaluators.training.recipes import make_recipe, recipe_values
from records.epoch_keeper import EpochKeeper
from records.run_folder import RunFolder
from records.scalars import open_scalars
from retiarius.best_record import BestRecord
from retiarius.context import RunContext
from retiarius.settings import SearchSettings
from strategies import OneShotFacts, SearchContext


def search_one_shot(context: RunContext, settings: SearchSettings, folder: RunFolder) -> None:
    """Train a supernet and write the architecture that is read off it to ``best.json``.

    Raises
    ------
    SearchFailed
        The search diverged, or ended before its first step.
    """
    from evaluators.training.supernet import finished_epochs, make_supernet_evaluator

    told: dict[str, Any] = {"recipe": make_recipe(context.recipe), "checkpoints": folder.checkpoints_path}
    evaluator = make_supernet_evaluator(**context.training, **told, time_budget=settings.time_budget)
    with open_scalars(folder.path, wanted=settings.tensorboard) as scalars:
        keeper = EpochKeeper(
            folder.path / "epochs.jsonl",
            context.reporter,
            scalars,
            epochs=context.epochs,
            steps=len(evaluator.train_dataloaders),
            finished=finished_epochs(folder.checkpoints_path),
            describe=context.space.describe,
        )
        strategy = _train_supernet(context, settings, evaluator, keeper)
    _save_best(context, settings, folder, strategy)


def _train_supernet(context: RunContext, settings: SearchSettings, evaluator: Any, keeper: EpochKeeper) -> Any:
    """Train the supernet and return the NNI strategy that did so."""
    import torch
    from nni.nas.execution import SequentialExecutionEngine
    from nni.nas.space import RawFormatModelSpace

    supernet = context.build(None)
    told = context.space.one_shot(supernet)
    strategy: Any = settings.strategy.build(
        SearchContext(
            seed=settings.seed,
            gradient_clip=make_recipe(context.recipe).grad_clip or None,
            one_shot=OneShotFacts(told.input_edges, told.operation_costs, told.form),
            on_step=keeper.note_step,
            on_epoch=lambda epoch: keeper.note(epoch, strategy.guard.warning(epoch.number)),
        )
    )
    with keeper.shown(), torch.random.fork_rng(devices=context.gpus):
        torch.manual_seed(settings.seed)
        try:
            strategy(RawFormatModelSpace(supernet, evaluator), SequentialExecutionEngine())
        except (RuntimeError, ValueError, TypeError) as error:
            if context.space.is_registered or isinstance(error, RetiariusError):
                raise
            why = "the candidates of a choice have to return tensors of one shape"
            raise SearchFailed(f"the supernet of {context.space.name} cannot be trained: {describe_error(error)}; {why}") from error
    return strategy


def _save_best(context: RunContext, settings: SearchSettings, folder: RunFolder, strategy: Any) -> None:
    """Write ``best.json``: what the search ended with, and the recipe by which it is to be retrained."""
    epoch = strategy.result()
    architecture = context.space.canonical(epoch.sample)
    # The network is trained alone by the recipe that suits the space; the settings of this run were the supernet's.
    hyperparameters = recipe_values(context.space.recipe_for(settings.preset))
    score = ("supernet validation accuracy", epoch.validation_accuracy, epoch.number)
    size = context.measure(context.build(architecture))
    told = {name: value for name, value in asdict(settings.strategy).items() if name not in ("supernet", "collapse_guard")}
    told |= {"supernet": context.recipe, "collapse_guard": strategy.guard.describe()}
    BestRecord(folder, context, settings).save(architecture, hyperparameters, score, size, **told)
