"""A one-shot search: a supernet is trained, and the architecture is read off it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from records.epoch_keeper import EpochKeeper
from records.run_folder import RunFolder
from records.scalars import open_scalars
from retiarius.best_record import BestRecord
from retiarius.context import RunContext
from retiarius.settings import SearchSettings


def search_one_shot(context: RunContext, settings: SearchSettings, folder: RunFolder) -> None:
    """Train a supernet and write the architecture that is read off it to ``best.json``.

    Raises
    ------
    SearchFailed
        The search diverged, or ended before its first step.
    """
    import torch
    from nni.nas.execution import SequentialExecutionEngine
    from nni.nas.space import RawFormatModelSpace

    from evaluators.training.recipes import make_recipe, recipe_values
    from evaluators.training.supernet import finished_epochs, make_supernet_evaluator
    from strategies import OneShotFacts, SearchContext

    recipe = make_recipe(context.recipe)
    evaluator = make_supernet_evaluator(
        **context.training, recipe=recipe, checkpoints=folder.checkpoints_path, time_budget=settings.time_budget
    )
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
        supernet = context.build(None)
        told = context.space.one_shot(supernet)
        strategy: Any = settings.strategy.build(
            SearchContext(
                seed=settings.seed,
                gradient_clip=recipe.grad_clip or None,
                one_shot=OneShotFacts(told.input_edges, told.operation_costs, told.form),
                on_step=keeper.note_step,
                on_epoch=lambda epoch: keeper.note(epoch, strategy.guard.warning(epoch.number)),
            )
        )
        with keeper.shown(), torch.random.fork_rng(devices=context.gpus):
            torch.manual_seed(settings.seed)
            strategy(RawFormatModelSpace(supernet, evaluator), SequentialExecutionEngine())
    epoch = strategy.result()
    architecture = context.space.canonical(epoch.sample)
    # What is found is trained alone by the recipe that suits the space; the settings of this run were the supernet's.
    hyperparameters = recipe_values(context.space.recipe_for(settings.preset))
    score = ("supernet validation accuracy", epoch.validation_accuracy, epoch.number)
    size = context.measure(context.build(architecture))
    BestRecord(folder, context, settings).save(
        architecture,
        hyperparameters,
        score,
        size,
        supernet=context.recipe,
        **_told_of(settings.strategy),
        collapse_guard=strategy.guard.describe(),
    )


def _told_of(strategy: Any) -> dict[str, Any]:
    """Return what ``best.json`` tells of the strategy's own settings."""
    return {name: value for name, value in asdict(strategy).items() if name not in ("supernet", "collapse_guard")}
