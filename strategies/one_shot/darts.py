"""One-shot DARTS (Liu et al. 2019, arXiv 1806.09055): NNI's strategy, with what it gets wrong for cells put right.

- Architecture parameters come in the order of the space, not of a set, so that Adam's state finds them again after a resume.
- A node of the supernet adds up its mixed edges, as the node of the frozen network adds up the edges it keeps (NNI mixes the inputs by
  another softmax, whose result is a different network).
- A node keeps the edges whose strongest operation other than ``none`` is strongest (section 2.4 of the paper).

What the space tells of itself comes as ``OneShotFacts``: the edges that lead to each node, what operations cost, and which modules have a
differentiable form, by which they are replaced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import nni.nas.strategy  # before nni.nas.oneshot: the other way round NNI's import goes in a circle and leaves its strategies broken
import torch
from nni.mutable import Categorical, CategoricalMultiple
from nni.nas.execution.engine import ExecutionEngine
from nni.nas.nn.pytorch import InputChoice, ModelSpace
from nni.nas.oneshot.pytorch.supermodule.differentiable import MixedOpDifferentiablePolicy
from nni.nas.space import RawFormatModelSpace
from torch import nn

from common.errors import SearchFailed, StrategyError, describe_error
from strategies.context import OneShotFacts
from strategies.one_shot.best_of_draws import BestOfDraws, Draw
from strategies.one_shot.cell_reader import CellReader
from strategies.one_shot.darts_module import DartsModule
from strategies.one_shot.early_stop import EarlyStop
from strategies.one_shot.path_modules import path_hooks
from strategies.one_shot.regularizers import Regularizer, expected_cost
from strategies.one_shot.restriction import Supernet, copy_of_structure
from strategies.one_shot.sampler import Sampler, Softmax
from strategies.one_shot.search_epoch import SKIP, AlphaOptimizer, CollapseGuard, SearchEpoch, check_darts
from strategies.one_shot.selection import Selected, Selection
from strategies.one_shot.skip_dropout import SkipDropout
from strategies.one_shot.supernet_modules import MixedForm, mutation_hooks, require_categorical
from strategies.stages import ALONE, Place


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
        ``"fused"``: modules that have a differentiable form, or a single-path form where the sampler draws paths, are replaced by it.
        ``"stock"``: every choice is mixed on its own.
    order
        1, or 2: the alphas' gradient goes through one step of the weights by SGD, of their learning rate, without momentum, weight decay
        and clipping (the paper's equations 6 to 8), in float32; five passes of the supernet a step in place of two.
    cost_weight
        This times what an operation costs is taken off its alpha where a cell is read off the supernet: 0 or more, 0 as in the paper.
        Cells get lighter with it; the search and its guard do not hear of it.
    collapse_guard
        ``"off"``, ``"warn"`` or ``"stop"``: see ``CollapseGuard``. The strategy itself warns of nothing; ``guard`` says what happened.
    sampler
        How operations are weighed; ``None``: by the softmax of the alphas, as in the paper. It serves one search. Where it does not learn,
        the architecture is the best of some that are drawn evenly, by the supernet's weights on validation images.
    regularizers
        What they add up to is added to the loss of the architecture step.
    cost_penalty
        This times the cost to be expected of an operation is added to that loss, too: 0 or more, 0 as in the paper.
    partial_channels
        One of so many parts of the channels goes through the operations, 1 or more; 1: all do.
    edge_normalization
        Whether a node weighs its edges, by architecture parameters of theirs: those of its ``InputChoice``, or their own.
    alpha_warmup
        The share of the epochs, the first ones, in which the weights learn alone; from 0 to below 1.
    early_stop
        Freezes operations that overfit; ``None``: none. It serves one search.
    selection
        What selects the architecture when the supernet is trained; ``None``: the operations are kept whose parameters are the largest. It
        serves one search.
    skip_dropout
        The first rate of the dropout after skip connections, from 0 to below 1; see ``SkipDropout``.
    most_skips
        The most skip connections in the normal cell that is read off; ``None``: any number.
    place
        Where this supernet stands in the search.
    facts
        What the space tells of itself; ``None``: nothing.
    on_step, on_epoch
        Called with the number of pairs of steps done, those of an interrupted run included; and with each ``SearchEpoch`` that ended.

    Raises
    ------
    StrategyError
        A value cannot be, or costs are weighed and ``facts`` have none. When the supernet is made: costs of no choice are known, or there
        are to be partial channels or weighed edges, and the space has none.
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
        sampler: Sampler | None = None,
        regularizers: Sequence[Regularizer] = (),
        cost_penalty: float = 0.0,
        partial_channels: int = 1,
        edge_normalization: bool = False,
        alpha_warmup: float = 0.0,
        early_stop: EarlyStop | None = None,
        selection: Selection | None = None,
        skip_dropout: float = 0.0,
        most_skips: int | None = None,
        place: Place = ALONE,
        facts: OneShotFacts | None = None,
        on_step: Callable[[int], Any] | None = None,
        on_epoch: Callable[[SearchEpoch], Any] | None = None,
    ) -> None:
        self._alpha_optimizer = alpha_optimizer or AlphaOptimizer()
        super().__init__(arc_learning_rate=self._alpha_optimizer.alpha_lr, gradient_clip_val=gradient_clip_val)
        check_darts(supernet=supernet, order=order, cost_weight=cost_weight)
        self.order, self.cost_weight, self.guard = order, cost_weight, CollapseGuard(collapse_guard)
        self._facts, self._seed, self._on_step, self._on_epoch = facts or OneShotFacts(), seed, on_step, on_epoch
        self._parts, self._alpha_warmup, self._early_stop = partial_channels, alpha_warmup, early_stop
        nodes = self._facts.node_edges if edge_normalization else {}
        self._nodes = {node: edges for node, edges in nodes.items() if len(edges) > 1}  # of one edge the share is 1
        self._normalizes = edge_normalization
        self._sampler, self._regularizers, self._cost_penalty = sampler or Softmax(), list(regularizers), cost_penalty
        self._selection = selection or Selection()
        self.selected: Selected | None = None
        self.draws: list[Draw] = []
        self._keeps_plain = self._selection.scores_networks
        self._skip_dropout, self._most_skips, self._place = SkipDropout(skip_dropout, alpha_warmup), most_skips, place
        self._n_chosen: dict[str, int] = {}
        self._costly: list[str] = []
        form = self._facts.form if partial_channels == 1 else self._partial_form
        path_form = self._facts.path_form if partial_channels == 1 and skip_dropout == 0 else None
        forms = {"form": form, "path_form": path_form} if supernet == "fused" else {"form": None, "path_form": None}
        told = {"input_edges": self._facts.input_edges, "weighed_nodes": self._nodes, **forms}
        self._told: dict[str, Any] = {"softmax": self._sampler, "mixed_op_sampling": MixedOpDifferentiablePolicy, **told}
        if max(cost_weight, cost_penalty) > 0 and not self._facts.operation_costs:
            name = "cost_weight" if cost_weight > 0 else "cost_penalty"
            raise StrategyError(f"`{name}` needs the costs of operations: a space with operation_costs(), or `cost='latency'`")

    def _initialize(self, model_space: RawFormatModelSpace, engine: ExecutionEngine) -> RawFormatModelSpace:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self._seed)
            return super()._initialize(model_space, engine)

    def mutate_model(self, model: ModelSpace) -> ModelSpace:
        require_categorical(model)
        inputs = (module for module in model.modules() if type(module) is InputChoice and module.label in self._facts.input_edges)
        self._n_chosen = self._told["n_chosen"] = {str(module.label): module.n_chosen for module in inputs}
        mutables = {str(label): mutable for label, mutable in model.simplify().items()}
        plain = copy_of_structure(model) if self._keeps_plain else None
        self._skip_dropout.put_into(model)
        mutated = super().mutate_model(model)
        self._check_parts(mutated)
        edges = {label: self._facts.input_edges[label] for label in self._n_chosen}
        self.restrictable = Supernet(mutated, self._sampler, self._arch_parameters, mutables, edges, self._nodes, plain)
        alphas = self.restrictable.alphas
        if self._sampler.draws_inputs:  # by no weights
            alphas = {label: alpha for label, alpha in alphas.items() if not isinstance(mutables.get(label), CategoricalMultiple)}
        self._sampler.bind(alphas)
        self._selection.bind(self.restrictable)
        if self._cost_penalty > 0 or self.cost_weight > 0:
            self._weigh_costs({label: mutable.values for label, mutable in mutables.items() if isinstance(mutable, Categorical)})
        if self._early_stop is not None:
            self._early_stop.bind(mutated)
        return mutated

    def _weigh_costs(self, names: Mapping[str, Sequence[Any]]) -> None:
        costs = self._facts.operation_costs
        nnis = tuple(f"{label}/" for label in self.restrictable.cell_labels)  # whose edges have parameters of their own
        self._costly = [label for label, known in names.items() if not label.startswith(nnis) and any(name in costs for name in known)]
        if not self._costly:
            raise StrategyError("no choice of this space is mixed by weights of operations whose costs are known")
        if self._cost_penalty > 0:
            costly = {label: names[label] for label in self._costly}
            self._regularizers.append(expected_cost(self._cost_penalty, costs, costly, self._sampler.probabilities))

    def _partial_form(self, module: nn.Module) -> Any:
        make = self._facts.partial_form
        return None if make is None else make(module, self._parts)

    def _check_parts(self, supernet: nn.Module) -> None:
        used = {id(parameter) for parameter in supernet.parameters()}
        if self._normalizes and not (self._nodes and all(id(self._arch_parameters[node]) in used for node in self._nodes)):
            needs = "input_edges(), or with node_edges() and the fused supernet"
            raise StrategyError(f"`edge_normalization` needs a space with {needs}, as ours have; others can be searched by drnas or gdas")
        if self._parts > 1 and not any(isinstance(module, MixedForm) for module in supernet.modules()):
            needs = "a space whose cells have partial_form(), and the fused supernet"
            raise StrategyError(f"`partial_channels` needs {needs}, as ours have; others can be searched by drnas or gdas")

    def load_supernet(self, model: ModelSpace, state: Mapping[str, Any]) -> Supernet:
        """Make a supernet of ``model``, in place, and return it with the weights that a checkpoint of a search has: its ``state_dict``.

        Raises
        ------
        StrategyError
            They are those of another supernet.
        """
        self._keeps_plain = True
        mutated = self.mutate_model(model)
        prefix = "training_module._model."
        weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        try:
            mutated.load_state_dict(weights)
        except RuntimeError as error:
            raise StrategyError(f"these weights are not of this supernet: {describe_error(error)[:200]}") from error
        return self.restrictable

    def default_mutation_hooks(self) -> list[Any]:
        whole = self._parts == 1 and not self._normalizes and not self._skip_dropout.is_on
        follows = self._sampler.computes_path and whole and not self._selection.needs_mixtures
        return [*(path_hooks(draws_inputs=self._sampler.draws_inputs) if follows else []), *mutation_hooks()]

    def run_hook(self, hook: Any, name: str, module: nn.Module, memo: dict[str, Any]) -> Any:
        if not memo:  # this is called for each hook and each module, often a hundred thousand times
            for node, edges in self._nodes.items():
                if node not in self._arch_parameters:  # no choice of inputs: NNI has made none
                    self._arch_parameters[node] = nn.Parameter(torch.randn(len(edges)) * 1e-3)
            memo.update(self._arch_parameters)
        return hook(module, name, memo, self._told)

    def _whole_edges(self) -> list[str]:
        """Return the labels of all edges of a space that has no choices of inputs, if some can be skip connections."""
        choices = self.restrictable.mutables.items()
        can_skip = [label for label, mutable in choices if isinstance(mutable, Categorical) and SKIP in mutable.values]
        edges = [edge for edges in self._facts.node_edges.values() for edge in edges]  # those included that can no longer, in stages
        return edges if set(edges) & set(can_skip) else can_skip

    def mutate_evaluator(self, evaluator: Any) -> Any:
        if self._selection.epochs:
            evaluator.trainer.fit_loop.max_epochs += self._selection.epochs
        return super().mutate_evaluator(evaluator)

    def configure_oneshot_module(self, training_module: Any) -> DartsModule:
        self._best_of_draws = BestOfDraws(self.restrictable, self._seed)
        return DartsModule(
            training_module,
            reader=CellReader(
                self._facts.input_edges,
                self._n_chosen,
                self._nodes,
                self._facts.operation_costs,
                self.cost_weight,
                self._most_skips,
                self._whole_edges(),
                self._costly,
            ),
            alphas=self._arch_parameters,
            alpha_optimizer=self._alpha_optimizer,
            order=self.order,
            guard=self.guard,
            sampler=self._sampler,
            best_of_draws=self._best_of_draws,
            regularizers=self._regularizers,
            alpha_warmup=self._alpha_warmup,
            early_stop=self._early_stop,
            selection=self._selection,
            skip_dropout=self._skip_dropout,
            place=self._place,
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
        if self.oneshot_module.last_epoch is not None:
            self.restrictable.steps = self.oneshot_module.trainer.global_step
            self.selected = self._selection.finish(self.guard.result(self.oneshot_module.last_epoch), self.oneshot_module.reader)
            self.draws = [draw for draw in self._best_of_draws.ranked if math.isfinite(draw.worth)]

    def result(self) -> SearchEpoch:
        """Return the last epoch of the search (the last good one, if the guard ended it), with the architecture; after the run.

        Where the architecture was selected by accuracies, ``selected`` tells the best by them; where it is the best of even draws,
        ``draws``.
        """
        epoch = self.oneshot_module.last_epoch
        if epoch is None:
            raise SearchFailed("the search ended before its first step")
        read_off = self.guard.result(epoch)
        return read_off if self.selected is None else replace(read_off, sample={**read_off.sample, **self.selected.sample})
