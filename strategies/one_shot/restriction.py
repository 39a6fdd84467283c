"""A supernet restricted to one architecture, or to some of its operations: the weights at which its choices are held."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import nni.nas.strategy  # noqa: F401 (before nni.nas.oneshot: the other way round NNI's import goes in a circle and leaves its strategies broken)
import torch
from nni.mutable import CategoricalMultiple
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedCell
from torch import Tensor, nn

from common.errors import StrategyError
from common.text import show
from strategies.one_shot.sampler import Sampler
from strategies.one_shot.supernet_modules import alphas_by_label

Weights = Mapping[str, Tensor]


class Supernet:
    """A supernet whose choices can be held.

    Parameters
    ----------
    model
        A space of which ``DartsStrategy.mutate_model`` has made a supernet.
    sampler
        That of all its mixtures.
    labelled
        The architecture parameters of the space's labels.
    mutables
        The choices of the space, by label.
    input_edges
        By label of a node's choice of inputs the labels of its edges, in order.
    weighed_nodes
        By name of a node whose edges have shares (edge normalization) their labels, in order.
    plain
        The space as it was before, with the supernet's own parameters (``copy_of_structure``); ``None``: there is none.

    Attributes
    ----------
    model, mutables, input_edges
        As above.
    alphas
        All architecture parameters by label, those of the edges in NNI's cells among them.
    steps
        How many steps of the optimizers its weights have behind them, where they are scored: other steps, other scores.
    """

    def __init__(
        self,
        model: nn.Module,
        sampler: Sampler,
        labelled: Mapping[Any, nn.Parameter],
        mutables: Mapping[str, Any],
        input_edges: Mapping[str, list[str]],
        weighed_nodes: Mapping[str, list[str]],
        plain: Any = None,
    ) -> None:
        self.model, self.mutables, self.input_edges = model, dict(mutables), dict(input_edges)
        self.alphas, self.steps = alphas_by_label(model, labelled), 0
        self._sampler, self._weighed_nodes = sampler, weighed_nodes
        self._plain = plain if plain is not None and self._has_parameters_of(plain) else None
        self._cells = {module.label: module for module in model.modules() if isinstance(module, DifferentiableMixedCell)}

    def _has_parameters_of(self, plain: nn.Module) -> bool:
        """Return whether nothing but the architecture parameters is of the supernet alone, such as NNI's kernels of several sizes are."""
        alphas = {id(alpha) for alpha in self.alphas.values()}
        return {id(parameter) for parameter in self.model.parameters()} - alphas <= {id(parameter) for parameter in plain.parameters()}

    def freeze(self, sample: Mapping[str, Any]) -> nn.Module | None:
        """Return a copy of the operations that ``sample`` chooses, and of nothing else; ``None`` where the supernet has to be held."""
        network: nn.Module | None = None if self._plain is None else self._plain.freeze(dict(sample))
        return network

    @contextmanager
    def held(self, weights: Weights) -> Iterator[nn.Module]:
        """Yield the supernet, whose choices have these ``weights`` while the ``with`` block lasts."""
        with self._sampler.holding(weights):
            yield self.model

    def hold(self, weights: Weights) -> None:
        """Let choices have these ``weights`` from now on."""
        self._sampler.hold(weights)

    @property
    def cell_labels(self) -> list[str]:
        """The labels of NNI's own cells."""
        return list(self._cells)

    @property
    def expected(self) -> dict[str, Tensor]:
        """The weights to be expected of all choices, in which nothing is drawn."""
        with self._sampler.expected(), torch.no_grad():
            return {label: self._sampler(alpha) for label, alpha in self.alphas.items()}

    def names(self, label: str) -> list[Any]:
        """Return what a choice of the space chooses from, in the order of its weights."""
        return list(self.mutables[label].values)

    def weights_of(self, sample: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the weights of all choices with which the supernet computes the network of ``sample`` and nothing else.

        Raises
        ------
        StrategyError
            A label is missing, or its value is none of the choice's.
        """
        weights = self.weights_of_part({label: _value_of(label, sample) for label in self.mutables})
        for cell in self._cells.values():
            weights |= _edges_of_cell(cell, sample)
        for node, edges in self._weighed_nodes.items():  # their shares are taken out: the edges that a node keeps have none
            shares = self.alphas[node].detach().cpu().softmax(-1)
            weights |= {edge: weights[edge] / share for edge, share in zip(edges, shares, strict=True)}
        return weights

    def weights_of_part(self, sample: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the weights of those choices alone of which a part of a sample says something, for a space without cells of NNI's.

        It is 1 for the value that is chosen. Where several are, such as the inputs of a node, each has the same share.
        """
        weights: dict[str, Tensor] = {}
        for label, value in sample.items():
            if label in self.alphas:
                several = isinstance(self.mutables[label], CategoricalMultiple)
                weights[label] = _shares(label, value if several else [value], self.names(label))
        for label, edges in self.input_edges.items():
            if label in sample:
                cut = [edge for source, edge in enumerate(edges) if source not in sample[label]]
                weights |= {edge: torch.zeros(len(self.alphas[edge])) for edge in cut}
        return weights


class RestrictedSupernet(nn.Module):
    """The network of one architecture with the weights of a supernet: what the supernet takes -> what it returns.

    The chosen operations alone are computed where they can be had. Else the supernet is held at them, which takes several times as long.

    Parameters
    ----------
    supernet
        The supernet.
    sample
        The architecture.

    Attributes
    ----------
    sample
        As above.
    """

    def __init__(self, supernet: Supernet, sample: Mapping[str, Any]) -> None:
        super().__init__()
        self.sample = dict(sample)
        self._supernet, self._weights = supernet, supernet.weights_of(sample)
        frozen = supernet.freeze(sample)
        self.network, self._is_frozen = supernet.model if frozen is None else frozen, frozen is not None

    def forward(self, *inputs: Any) -> Any:
        if self._is_frozen:
            return self.network(*inputs)
        with self._supernet.held(self._weights) as model:
            return model(*inputs)


def copy_of_structure(space: nn.Module) -> Any:
    """Return a copy of ``space`` that has its very parameters, and those of its buffers that stay where they are."""
    return copy.deepcopy(space, {id(tensor): tensor for tensor in chain(space.parameters(), space.buffers())})


def _value_of(label: str, sample: Mapping[str, Any]) -> Any:
    if label not in sample:
        raise StrategyError(f"the architecture says nothing of {label}, which the supernet has a choice of")
    return sample[label]


def _shares(label: str, chosen: Sequence[Any], names: Sequence[Any]) -> Tensor:
    weights = torch.zeros(len(names))
    for value in chosen:
        if value not in names:
            raise StrategyError(f"{label}: {show(value)} is no operation of the supernet; it has {', '.join(map(show, names))}")
        weights[names.index(value)] = 1 / len(chosen)
    return weights


def _edges_of_cell(cell: Any, sample: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of the edges of one of NNI's cells: what several choices of a node take of one edge is added up."""
    weights: dict[str, Tensor] = defaultdict(Tensor)
    for node in range(cell.num_predecessors, cell.num_predecessors + cell.num_nodes):
        for source in range(node):
            label = f"{cell.label}/{node}_{source}"
            weights[label] = torch.zeros_like(cell._arch_alpha[label].detach())
        for place in range(cell.num_ops_per_node):
            operation = _value_of(f"{cell.label}/op_{node}_{place}", sample)
            (source,) = _value_of(f"{cell.label}/input_{node}_{place}", sample)
            weights[f"{cell.label}/{node}_{source}"][list(cell.op_names).index(operation)] += 1
    return dict(weights)
