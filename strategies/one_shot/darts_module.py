"""The Lightning module of one-shot DARTS: which step follows which, and what an epoch of them brought."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import nni.nas.strategy  # noqa: F401 (before nni.nas.oneshot: the other way round NNI's import goes in a circle and leaves its strategies broken)
import torch
from nni.nas.oneshot.pytorch.differentiable import DartsLightningModule
from torch import Tensor, nn

from common.errors import SearchFailed, StrategyError
from strategies.one_shot.best_of_draws import BestOfDraws
from strategies.one_shot.cell_reader import CellReader
from strategies.one_shot.early_stop import EarlyStop
from strategies.one_shot.regularizers import Regularizer
from strategies.one_shot.sampler import Sampler
from strategies.one_shot.search_epoch import (
    AlphaOptimizer,
    CollapseGuard,
    SearchEpoch,
    mean_entropy,
)
from strategies.one_shot.second_order import architecture_gradient
from strategies.one_shot.selection import Selection
from strategies.one_shot.skip_dropout import SkipDropout
from strategies.one_shot.supernet_modules import alphas_by_label, used_parameters
from strategies.one_shot.tuning import begin_tuning_epoch
from strategies.stages import Place


class DartsModule(DartsLightningModule):
    """NNI's alternation of architecture step and weight step; neither computes gradients that nobody reads."""

    def __init__(
        self,
        training_module: Any,
        *,
        reader: CellReader,
        alphas: Mapping[str, nn.Parameter],
        alpha_optimizer: AlphaOptimizer,
        order: int,
        guard: CollapseGuard,
        sampler: Sampler,
        best_of_draws: BestOfDraws,
        regularizers: Sequence[Regularizer],
        alpha_warmup: float,
        early_stop: EarlyStop | None,
        selection: Selection,
        skip_dropout: SkipDropout,
        place: Place,
        on_step: Callable[[int], Any] | None,
        on_epoch: Callable[[SearchEpoch], Any] | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(training_module, **kwargs)
        self.reader, self._on_step, self._on_epoch = reader, on_step, on_epoch
        self._alpha_optimizer, self._order, self.guard = alpha_optimizer, order, guard
        self._alphas, self._alpha_warmup, self._early_stop = alphas, alpha_warmup, early_stop
        self._sampler, self._regularizers, self._selection = sampler, regularizers, selection
        self._best_of_draws = best_of_draws
        self._skip_dropout, self._place = skip_dropout, place
        self._sums = torch.zeros(4)
        self._batches = 0
        self._has_trained = False
        self.last_epoch: SearchEpoch | None = None

    def arch_parameters(self) -> list[nn.Parameter]:
        """Return those that the supernet uses: first those of the space's labels, in their order, then those that NNI's cells add."""
        return used_parameters(self.supernet_modules(), self._alphas.values())

    def export(self) -> dict[str, Any]:
        return {**super().export(), **self.reader.read(self.export_probs()), **self._selection.decided}

    def export_probs(self) -> dict[str, Any]:
        with self._sampler.expected():
            probabilities: dict[str, Any] = super().export_probs()
        return probabilities

    def configure_architecture_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam with the settings that were asked for; NNI's own has the paper's and no others."""
        told = self._alpha_optimizer
        return torch.optim.Adam(self.arch_parameters(), lr=told.alpha_lr, betas=told.alpha_betas, weight_decay=told.alpha_weight_decay)

    def _measure(self, batch: Any, batch_idx: int, *, in_step: bool = True) -> dict[str, Tensor]:
        """Return ``{"loss": ..., "accuracy": ...}`` of a batch; the accuracy is NaN where the evaluator neither returns nor logs it."""
        output = self.training_module.training_step(batch, batch_idx)
        told = output if isinstance(output, Mapping) else {"loss": output}
        # NNI's evaluators log it. After the steps of an epoch, Lightning has the mean of all that was logged in place of the last.
        accuracy = told.get("accuracy", self.trainer.callback_metrics.get("train_acc") if in_step else None)
        return {"loss": told["loss"], "accuracy": torch.tensor(math.nan) if accuracy is None else accuracy}

    def _validate(self, batch: Any, batch_idx: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the architecture step, with what the regularizers add, and what was measured."""
        measured = self._measure(batch["val"], batch_idx)
        return measured["loss"] + self._penalty() if self._regularizers else measured["loss"], measured

    def _penalty(self) -> Tensor:
        used = {id(parameter) for parameter in self.arch_parameters()}
        known = alphas_by_label(self.model, self._alphas).items()
        alphas = {label: alpha for label, alpha in known if id(alpha) in used and label not in self.reader.weighed_nodes}
        return torch.stack([penalty(alphas, min(self.current_epoch / self._epochs, 1.0)) for penalty in self._regularizers]).sum()

    @property
    def _epochs(self) -> int:
        """How many epochs the search has, those of tuning not counted."""
        return max((self.trainer.max_epochs or 1) - self._selection.epochs, 1)

    @property
    def _is_tuning(self) -> bool:
        return self.current_epoch >= self._epochs

    @property
    def _moves_alphas(self) -> bool:
        """Whether this epoch has architecture steps."""
        return self._sampler.learns and self.current_epoch + 1 > self._alpha_warmup * self._epochs + 1e-9

    def _first_order(self, batch: dict[str, Any], batch_idx: int, architecture: Any) -> dict[str, Tensor]:
        self.toggle_optimizer(architecture)
        if self._early_stop is not None:
            self._early_stop.expect_validation()
        loss, validation = self._validate(batch, batch_idx)
        architecture.zero_grad()
        self.manual_backward(loss)
        if self._early_stop is not None:
            self._early_stop.note_validation()
        architecture.step()
        self.untoggle_optimizer(architecture)
        return validation

    def _second_order(self, batch: dict[str, Any], batch_idx: int, architecture: Any, xi: float) -> dict[str, Tensor]:
        alphas = self.arch_parameters()
        others = {id(alpha) for alpha in [*self._alphas.values(), *alphas]}
        weights = [parameter for parameter in self.model.parameters() if parameter.requires_grad and id(parameter) not in others]

        # In float32: half precision rounds by more than the weights are moved for the finite difference.
        with torch.autocast(self.device.type, enabled=False):
            gradients, validation = architecture_gradient(
                lambda: self._measure(batch["train"], batch_idx)["loss"], lambda: self._validate(batch, batch_idx), weights, alphas, xi
            )
        for alpha, gradient in zip(alphas, gradients, strict=True):
            alpha.grad = gradient
        architecture.step()
        return validation

    def _architecture_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        weights, architecture = self.optimizers()
        self._sampler.draw()
        if self._order == 1:
            return self._first_order(batch, batch_idx, architecture)
        return self._second_order(batch, batch_idx, architecture, weights.param_groups[0]["lr"])

    def _weight_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        weights, _ = self.optimizers()
        self.toggle_optimizer(weights)
        if self._sampler.passes == 1:
            training = self._measure_a_draw(batch, batch_idx)
            self.advance_optimization(training["loss"], batch_idx, self.gradient_clip_val)
        else:
            training = self._step_of_several_draws(batch, batch_idx, weights)
        if self._early_stop is not None:
            self._early_stop.note_training()
        self.untoggle_optimizer(weights)
        if not self._is_tuning:
            self.advance_lr_schedulers(batch_idx)
        return training

    def _measure_a_draw(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        self._sampler.draw(perturbed=True)
        measured = self._measure(batch, batch_idx)
        self._sampler.count_paths()
        return measured

    def _step_of_several_draws(self, batch: Any, batch_idx: int, weights: Any) -> dict[str, Tensor]:
        """Add up the gradients of one batch under several draws, and step once; return the means."""
        inner, seen = self.training_module, []
        inner.optimizer_zero_grad(self.current_epoch, batch_idx, weights)
        for _ in range(self._sampler.passes):
            measured = self._measure_a_draw(batch, batch_idx)
            self.manual_backward(measured["loss"])
            seen.append({name: value.detach() for name, value in measured.items()})
        inner.configure_gradient_clipping(weights, self.gradient_clip_val)
        inner.optimizer_step(self.current_epoch, batch_idx, weights)
        return {name: torch.stack([measured[name] for measured in seen]).mean() for name in seen[0]}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        if self._moves_alphas:
            validation = self._architecture_step(batch, batch_idx)
            training = self._weight_step(batch["train"], batch_idx)
        else:
            training = self._weight_step(batch["train"], batch_idx)
            if self._sampler.learns:  # before its first architecture step: without the noise of the weights' step
                self._sampler.draw()
            else:
                self._best_of_draws.note(batch["val"])
            with torch.no_grad():  # of even paths by the last draw: one more would break a round of fair ones
                validation = self._measure(batch["val"], batch_idx)

        values = [training["loss"], training["accuracy"], validation["loss"], validation["accuracy"]]
        step = torch.stack([value.detach().float().cpu() for value in values])
        if not bool(step[::2].isfinite().all()):
            raise SearchFailed("the supernet's loss is no longer finite: the search diverged (a smaller initial_lr may help)")
        self._sums += step
        self._batches += 1
        self._has_trained = True
        if self._on_step is not None:
            epochs = self._place.epochs_before + self.current_epoch
            self._on_step(epochs * int(self.trainer.num_training_batches) + self._batches)

    def on_train_start(self) -> None:
        super().on_train_start()
        if self._order == 2 and not isinstance(self.trainer.optimizers[0], torch.optim.SGD):
            used = type(self.trainer.optimizers[0]).__name__
            raise StrategyError(
                f"darts: `order=2` works with SGD only, and the evaluator trains with {used}: use `order=1`, or optimizer=SGD"
            )
        if self._early_stop is not None:
            self._early_stop.freeze()
        if self.guard.stops:  # a search that the guard had ended, resumed
            self.trainer.should_stop = True

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        epoch = min(self.current_epoch, self._epochs - 1)
        self._sampler.begin_epoch(epoch, self._epochs)
        self._skip_dropout.begin_epoch(epoch, self._epochs)
        if self._is_tuning:
            begin_tuning_epoch(self._selection, self.trainer.optimizers[0], self.current_epoch - self._epochs, self.trainer.global_step)

    def on_fit_end(self) -> None:
        if self._has_trained:  # NNI's evaluators report what they have logged: nothing, where all epochs were done before
            super().on_fit_end()

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.note_epoch()
        if self.guard.stops:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["search_epoch"] = None if self.last_epoch is None else asdict(self.last_epoch)
        checkpoint["collapse_guard"] = self.guard.state_dict()
        checkpoint |= {name: part.state() for name, part in self._kept_parts().items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        epoch = checkpoint["search_epoch"]
        self.last_epoch = None if epoch is None else SearchEpoch(**epoch)
        self.guard.load_state_dict(checkpoint["collapse_guard"])
        for name, part in self._kept_parts().items():
            if name in checkpoint:  # earlier versions had not all of them
                part.restore(checkpoint[name])

    def _kept_parts(self) -> dict[str, Any]:
        parts = {"sampler": self._sampler, "selection": self._selection, "draws": self._best_of_draws, "early_stop": self._early_stop}
        return {name: part for name, part in parts.items() if part is not None}

    def _architecture(self) -> dict[str, Any]:
        """Return the architecture that the search stands for now; empty where none is read off before the selection."""
        if self._sampler.learns:
            return {str(label): value for label, value in self.export().items()}
        if self._selection.scores_networks:
            return {}
        return self._best_of_draws.select(self.current_epoch, partial(self._measure, in_step=False))

    def note_epoch(self) -> None:
        """Turn the sums since the last call into ``last_epoch`` and report it; an epoch cut short by a time budget counts as one."""
        if self._batches == 0:
            return
        means = [None if math.isnan(mean) else mean for mean in (self._sums / self._batches).tolist()]
        self._sums, self._batches = torch.zeros(4), 0
        # NNI's labels are a type of its own, which no plain checkpoint can hold.
        probabilities = {str(label): dict(operations) for label, operations in self.export_probs().items()}
        parameters = alphas_by_label(self.model, self._alphas)
        counts, kept = self._sampler.take_counts(), self._sampler.take_kept_counts()
        # Not strict: an edge of NNI's cells has one more, for no operation at all.
        alphas = {label: dict(zip(operations, parameters[label].tolist(), strict=False)) for label, operations in probabilities.items()}
        sample = self._architecture()
        self.last_epoch = SearchEpoch(
            number=self._place.epochs_before + self.current_epoch + 1,
            stage=self._place.stage,
            **dict(zip(("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"), means, strict=True)),
            alphas=alphas,
            probabilities=probabilities,
            entropy=mean_entropy({label: each for label, each in probabilities.items() if label not in self.reader.weighed_nodes}),
            skips=self.reader.count_skips(sample, probabilities if self._sampler.learns else None),
            sample=sample,
            temperature=self._sampler.temperature,
            paths=None if counts is None else {label: dict(zip(probabilities[label], counts[label], strict=False)) for label in counts},
            kept_inputs=None if kept is None else {label: dict(enumerate(counts)) for label, counts in kept.items()},
            frozen=None if self._early_stop is None else self._early_stop.frozen(),
        )
        if self._moves_alphas and not self._is_tuning:  # before the first architecture step a cell is a draw
            self.guard.watch(self.last_epoch)
        if self._on_epoch is not None:
            self._on_epoch(self.last_epoch)
