"""One-shot DARTS (Liu et al. 2019, arXiv 1806.09055): NNI's strategy, with what it gets wrong for cells put right.

- Architecture parameters come in the order of the space, not of a set, so that Adam's state finds them again after a resume.
- A node of the supernet adds up its mixed edges, as the node of the frozen network adds up the edges it keeps (NNI mixes the inputs by
  another softmax, whose result is a different network).
- A node keeps the edges whose strongest operation other than ``none`` is strongest (section 2.4 of the paper).

What the space tells of itself comes as ``OneShotFacts``: the edges that lead to each node, what operations cost, and which modules have a
differentiable form, by which they are replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import nni.nas.strategy  # before nni.nas.oneshot: the other way round NNI's import goes in a circle and leaves its strategies broken
import torch
from nni.nas.execution.engine import ExecutionEngine
from nni.nas.nn.pytorch import InputChoice, ModelSpace
from nni.nas.oneshot.pytorch.differentiable import DartsLightningModule
from nni.nas.oneshot.pytorch.strategy import no_default_hook
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedLayer
from nni.nas.space import RawFormatModelSpace
from torch import Tensor, nn

from common.errors import SearchFailed, StrategyError
from strategies.context import OneShotFacts
from strategies.one_shot.search_epoch import (
    AlphaOptimizer,
    CollapseGuard,
    SearchEpoch,
    check_darts,
    choose_edges,
    count_skips,
    less_costs,
    mean_entropy,
)
from strategies.one_shot.second_order import architecture_gradient
from strategies.one_shot.supernet_modules import MixedForm, ScaledMixedInput, SummedInput

DIFFERENTIABLE = (DifferentiableMixedLayer, MixedForm, ScaledMixedInput)  # what of a supernet has architecture parameters


class DartsModule(DartsLightningModule):
    """NNI's alternation of architecture step and weight step; neither computes gradients that nobody reads."""

    def __init__(
        self,
        training_module: Any,
        *,
        input_edges: Mapping[str, list[str]],
        n_chosen: Mapping[str, int],
        alphas: Mapping[str, nn.Parameter],
        alpha_optimizer: AlphaOptimizer,
        order: int,
        costs: Mapping[str, float],
        cost_weight: float,
        guard: CollapseGuard,
        on_step: Callable[[int], Any] | None,
        on_epoch: Callable[[SearchEpoch], Any] | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(training_module, **kwargs)
        self._input_edges, self._n_chosen, self._on_step, self._on_epoch = input_edges, n_chosen, on_step, on_epoch
        self._alpha_optimizer, self._order, self.guard = alpha_optimizer, order, guard
        self._alphas, self._costs, self._cost_weight = alphas, costs, cost_weight
        self._sums = torch.zeros(4)
        self._batches = 0
        self.last_epoch: SearchEpoch | None = None

    def arch_parameters(self) -> list[nn.Parameter]:
        """Return those that the supernet uses, in the order of the space's labels."""
        modules = (module for module in self.supernet_modules() if isinstance(module, DIFFERENTIABLE))
        used = {id(parameter) for module in modules for parameter in module.arch_parameters()}
        return [parameter for parameter in self._alphas.values() if id(parameter) in used]

    def export(self) -> dict[str, Any]:
        return {**super().export(), **self._read_off(self._cost_weight)}

    def _read_off(self, cost_weight: float) -> dict[str, Any]:
        """Return the cells that the alphas stand for, less this times what operations cost."""
        charged = less_costs(self.export_probs(), self._costs, cost_weight)
        return choose_edges(charged, self._kept_edges(), self._n_chosen)

    def _kept_edges(self) -> dict[str, list[str]]:
        return {label: self._input_edges[label] for label in self._n_chosen}

    def configure_architecture_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam with the settings that were asked for; NNI's own has the paper's and no others."""
        settings = self._alpha_optimizer
        return torch.optim.Adam(
            self.arch_parameters(), lr=settings.alpha_lr, betas=settings.alpha_betas, weight_decay=settings.alpha_weight_decay
        )

    def _first_order(self, batch: dict[str, Any], batch_idx: int, architecture: Any) -> dict[str, Tensor]:
        self.toggle_optimizer(architecture)
        validation = self.training_module.training_step(batch["val"], batch_idx)
        architecture.zero_grad()
        self.manual_backward(validation["loss"])
        architecture.step()
        self.untoggle_optimizer(architecture)
        return validation

    def _second_order(self, batch: dict[str, Any], batch_idx: int, architecture: Any, xi: float) -> dict[str, Tensor]:
        alphas = self.arch_parameters()
        others = {id(alpha) for alpha in self._alphas.values()}
        weights = [parameter for parameter in self.model.parameters() if parameter.requires_grad and id(parameter) not in others]

        def validate() -> tuple[Tensor, dict[str, Tensor]]:
            measured = self.training_module.training_step(batch["val"], batch_idx)
            return measured["loss"], measured

        def train_loss() -> Tensor:
            return self.training_module.training_step(batch["train"], batch_idx)["loss"]

        # In float32: half precision rounds by more than the weights are moved for the finite difference.
        with torch.autocast(self.device.type, enabled=False):
            gradients, validation = architecture_gradient(train_loss, validate, weights, alphas, xi)
        for alpha, gradient in zip(alphas, gradients, strict=True):
            alpha.grad = gradient
        architecture.step()
        return validation

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        weights, architecture = self.optimizers()
        if self._order == 1:
            validation = self._first_order(batch, batch_idx, architecture)
        else:
            validation = self._second_order(batch, batch_idx, architecture, weights.param_groups[0]["lr"])

        self.toggle_optimizer(weights)
        training = self.training_module.training_step(batch["train"], batch_idx)
        self.advance_optimization(training["loss"], batch_idx, self.gradient_clip_val)
        self.untoggle_optimizer(weights)
        self.advance_lr_schedulers(batch_idx)

        values = [training["loss"], training["accuracy"], validation["loss"], validation["accuracy"]]
        step = torch.stack([value.detach() for value in values]).cpu()
        if not bool(step.isfinite().all()):
            raise SearchFailed("the supernet's loss is no longer finite: the search diverged (a smaller initial_lr may help)")
        self._sums += step
        self._batches += 1
        if self._on_step is not None:
            self._on_step(self.current_epoch * int(self.trainer.num_training_batches) + self._batches)

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.guard.stops:  # a search that the guard had ended, resumed
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.note_epoch()
        if self.guard.stops:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["search_epoch"] = None if self.last_epoch is None else asdict(self.last_epoch)
        checkpoint["collapse_guard"] = self.guard.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        epoch = checkpoint["search_epoch"]
        self.last_epoch = None if epoch is None else SearchEpoch(**epoch)
        self.guard.load_state_dict(checkpoint["collapse_guard"])

    def note_epoch(self) -> None:
        """Turn the sums since the last call into ``last_epoch`` and report it; an epoch cut short by a time budget counts as one."""
        if self._batches == 0:
            return
        train_loss, train_accuracy, validation_loss, validation_accuracy = (self._sums / self._batches).tolist()
        self._sums, self._batches = torch.zeros(4), 0
        # NNI's labels are a type of its own, which no plain checkpoint can hold.
        probabilities = {str(label): dict(operations) for label, operations in self.export_probs().items()}
        alphas = {label: dict(zip(operations, self._alphas[label].tolist(), strict=True)) for label, operations in probabilities.items()}
        sample = {str(label): value for label, value in self.export().items()}
        self.last_epoch = SearchEpoch(
            number=self.current_epoch + 1,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            alphas=alphas,
            probabilities=probabilities,
            entropy=mean_entropy(probabilities),
            skips=count_skips({**sample, **self._read_off(0.0)}, self._kept_edges()),
            sample=sample,
        )
        self.guard.watch(self.last_epoch)
        if self._on_epoch is not None:
            self._on_epoch(self.last_epoch)


class DartsStrategy(nni.nas.strategy.DARTS):
    """DARTS, first or second order, on any space of ``LayerChoice`` and ``InputChoice``.

    Nodes whose edges ``facts`` name add up their edges, and keep those that the paper's rule chooses. At all others NNI's mixed inputs are
    used, scaled to the number of inputs that are kept.

    Parameters
    ----------
    seed
        Of the first architecture parameters (1e-3 times standard normal, as in the authors' code).
    alpha_optimizer, gradient_clip_val
        Adam for the architecture parameters, and the largest norm of the weights' gradient; the paper's values.
    supernet
        ``"fused"``: modules that have a differentiable form are replaced by it. ``"stock"``: every choice is mixed on its own, by NNI.
    order
        1, or 2: the alphas' gradient goes through one step of the weights by SGD, of their learning rate, without momentum, weight decay
        and clipping (the paper's equations 6 to 8), in float32; five passes of the supernet a step in place of two.
    cost_weight
        This times what an operation costs is taken off its alpha where a cell is read off the supernet: 0 or more, 0 as in the paper.
        Cells get lighter with it; the search and its guard do not hear of it.
    collapse_guard
        ``"off"``, ``"warn"`` or ``"stop"``: see ``CollapseGuard``. The strategy itself warns of nothing; ``guard`` says what happened.
    facts
        What the space tells of itself; ``None``: nothing.
    on_step, on_epoch
        Called with the number of pairs of steps done, those of an interrupted run included; and with each ``SearchEpoch`` that ended.

    Raises
    ------
    StrategyError
        A value cannot be, or there is a weight of costs and ``facts`` have no costs or no edges.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        alpha_optimizer: AlphaOptimizer | None = None,
        gradient_clip_val: float | None = 5.0,
        supernet: str = "fused",
        order: int = 1,
        cost_weight: float = 0.0,
        collapse_guard: str = "warn",
        facts: OneShotFacts | None = None,
        on_step: Callable[[int], Any] | None = None,
        on_epoch: Callable[[SearchEpoch], Any] | None = None,
    ) -> None:
        self._alpha_optimizer = alpha_optimizer or AlphaOptimizer()
        super().__init__(arc_learning_rate=self._alpha_optimizer.alpha_lr, gradient_clip_val=gradient_clip_val)
        check_darts(supernet=supernet, order=order, cost_weight=cost_weight)
        self.order, self.cost_weight, self.guard = order, cost_weight, CollapseGuard(collapse_guard)
        self._facts, self._seed, self._on_step, self._on_epoch = facts or OneShotFacts(), seed, on_step, on_epoch
        self._form = self._facts.form if supernet == "fused" else None
        self._n_chosen: dict[str, int] = {}
        if cost_weight > 0 and not (self._facts.operation_costs and self._facts.input_edges):
            raise StrategyError("darts: a weight of costs is for spaces that have input_edges() and operation_costs()")

    def _initialize(self, model_space: RawFormatModelSpace, engine: ExecutionEngine) -> RawFormatModelSpace:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self._seed)
            return super()._initialize(model_space, engine)

    def mutate_model(self, model: ModelSpace) -> ModelSpace:
        inputs = (module for module in model.modules() if type(module) is InputChoice and module.label in self._facts.input_edges)
        self._n_chosen = {module.label: module.n_chosen for module in inputs}
        return super().mutate_model(model)

    def default_mutation_hooks(self) -> list[Any]:
        return [MixedForm.mutate, DifferentiableMixedLayer.mutate, SummedInput.mutate, ScaledMixedInput.mutate, no_default_hook]

    def run_hook(self, hook: Any, name: str, module: nn.Module, memo: dict[str, Any]) -> Any:
        memo.update(self._arch_parameters)
        return hook(module, name, memo, {"softmax": self.configure_softmax(), "input_edges": self._facts.input_edges, "form": self._form})

    def configure_oneshot_module(self, training_module: Any) -> DartsModule:
        return DartsModule(
            training_module,
            input_edges=self._facts.input_edges,
            n_chosen=self._n_chosen,
            alphas=self._arch_parameters,
            alpha_optimizer=self._alpha_optimizer,
            order=self.order,
            costs=self._facts.operation_costs,
            cost_weight=self.cost_weight,
            guard=self.guard,
            on_step=self._on_step,
            on_epoch=self._on_epoch,
            arc_learning_rate=self.arc_learning_rate,
            gradient_clip_val=self.gradient_clip_val,
        )

    def _run(self) -> None:
        try:
            super()._run()
        except SystemExit as error:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from error

    def result(self) -> SearchEpoch:
        """Return the last epoch of the search (the last good one, if the guard ended it), with the architecture; after the run."""
        epoch = self.oneshot_module.last_epoch
        if epoch is None:
            raise SearchFailed("the search ended before its first step")
        return self.guard.result(epoch)
