"""A one-shot strategy of NNI's own, with what it does not tell: what every epoch brought."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl
import torch
from nni.nas.execution.engine import ExecutionEngine
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import RawFormatModelSpace

from common.errors import SearchFailed, StrategyError, describe_error
from strategies.context import SearchContext
from strategies.one_shot.best_of_draws import Draw
from strategies.one_shot.search_epoch import CollapseGuard, SearchEpoch, mean_entropy
from strategies.one_shot.supernet_modules import require_categorical


class _EpochWatch(pl.Callback):
    """Makes a ``SearchEpoch`` of what a training returns and logs."""

    def __init__(self, context: SearchContext) -> None:
        self._context = context
        self._seen: dict[str, list[float]] = defaultdict(list)
        self.last_epoch: SearchEpoch | None = None
        self.has_trained = False

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: the last epoch."""
        return {"last_epoch": None if self.last_epoch is None else asdict(self.last_epoch)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Be as the watch was whose state this is."""
        self.last_epoch = None if state_dict["last_epoch"] is None else SearchEpoch(**state_dict["last_epoch"])

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.has_trained = True
        told = outputs if isinstance(outputs, Mapping) else {"loss": outputs}
        for name in ("loss", "accuracy"):
            if isinstance(told.get(name), torch.Tensor):
                self._seen[name].append(float(told[name].detach()))
        if self._context.on_step is not None:
            self._context.on_step(trainer.current_epoch * int(trainer.num_training_batches) + batch_idx + 1)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        trained = {name: sum(values) / len(values) for name, values in self._seen.items()}
        self._seen.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a random strategy's result is a random one: its person asked for it
            found, shares = module.export(), module.export_probs()
        probabilities = {str(label): dict(each) for label, each in shares.items() if isinstance(each, Mapping)}
        self.last_epoch = SearchEpoch(
            number=trainer.current_epoch + 1,
            train_loss=trained.get("loss", logged.get("train_loss")),
            train_accuracy=trained.get("accuracy", logged.get("train_acc")),
            validation_loss=logged.get("val_loss"),
            validation_accuracy=logged.get("val_acc"),
            alphas={},
            probabilities=probabilities,
            entropy=mean_entropy(probabilities) if probabilities else 0.0,
            skips={},
            sample={str(label): value for label, value in found.items()},
        )
        if self._context.on_epoch is not None:
            self._context.on_epoch(self.last_epoch)


class WatchedOneShot:
    """Trains a supernet as NNI's ``strategy`` does.

    Parameters
    ----------
    strategy
        Of NNI's; for one search.
    context
        Its seed, ``on_step`` and ``on_epoch`` are heeded.

    Attributes
    ----------
    guard
        One that watches for nothing.
    draws
        Empty: none is scored.
    """

    def __init__(self, strategy: Any, context: SearchContext) -> None:
        self._strategy, self._watch, self.guard = strategy, _EpochWatch(context), CollapseGuard("off")
        self.draws: list[Draw] = []

    def mutate_model(self, model: ModelSpace) -> ModelSpace:
        """Make a supernet of ``model``, in place; raise ``StrategyError`` where NNI has none for it."""
        require_categorical(model)
        try:
            mutated: ModelSpace = self._strategy.mutate_model(model)
        except (TypeError, ValueError, KeyError) as error:
            raise StrategyError(
                f"NNI's {type(self._strategy).__name__} cannot make a supernet of this space: {describe_error(error)}"
            ) from error
        return mutated

    def __call__(self, space: RawFormatModelSpace, engine: ExecutionEngine) -> None:
        """Train the supernet of ``space``, whose evaluator is one of Lightning's."""
        evaluator: Any = space.evaluator
        evaluator.trainer.callbacks.insert(0, self._watch)
        try:
            self._strategy(space, engine)
        except KeyError:
            # At the end NNI's evaluators report what they have logged: nothing, where all epochs were done before.
            if self._watch.has_trained or self._watch.last_epoch is None:
                raise
        except ImportError as error:
            raise StrategyError(f"NNI's {type(self._strategy).__name__}: {describe_error(error)}") from error
        except SystemExit as error:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from error

    def result(self) -> SearchEpoch:
        """Return the last epoch, with the architecture; after the run."""
        if self._watch.last_epoch is None:
            raise SearchFailed("the search ended before its first epoch was complete")
        return self._watch.last_epoch
