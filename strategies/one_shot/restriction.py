"""A supernet restricted to one architecture, or to some of its operations: the weights at which its choices are held."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import nni.nas.strategy  # noqa: F401 (before nni.nas.oneshot: the other way round NNI's import goes in a circle and leaves its strategies broken)
import torch
from nni.mutable import Categorical, CategoricalMultiple
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

    Attributes
    ----------
    model, mutables, input_edges
        As above.
    alphas
        All architecture parameters by label, those of the edges in NNI's cells among them.
    """

    def __init__(
        self,
        model: nn.Module,
        sampler: Sampler,
        labelled: Mapping[Any, nn.Parameter],
        mutables: Mapping[str, Any],
        input_edges: Mapping[str, list[str]],
    ) -> None:
        self.model, self.mutables, self.input_edges = model, dict(mutables), dict(input_edges)
        self.alphas = alphas_by_label(model, labelled)
        self._sampler = sampler
        self._cells = {module.label: module for module in model.modules() if isinstance(module, DifferentiableMixedCell)}

    @contextmanager
    def held(self, weights: Weights) -> Iterator[nn.Module]:
        """Yield the supernet, whose choices have these ``weights`` while the ``with`` block lasts."""
        with self._sampler.holding(weights):
            yield self.model

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
        weights = {label: self._one(label, mutable, sample) for label, mutable in self.mutables.items() if label in self.alphas}
        for label, edges in self.input_edges.items():
            kept = set(_value_of(label, sample))
            weights |= {edge: torch.zeros_like(weights[edge]) for source, edge in enumerate(edges) if source not in kept}
        for cell in self._cells.values():
            weights |= _edges_of_cell(cell, sample)
        return weights

    def _one(self, label: str, mutable: Any, sample: Mapping[str, Any]) -> Tensor:
        """Return 1 at the value that is chosen; where several are, the inputs of a node, the same share of each."""
        value = _value_of(label, sample)
        if isinstance(mutable, CategoricalMultiple):
            return _shares(label, value, self.names(label))
        assert isinstance(mutable, Categorical)
        return _shares(label, [value], self.names(label))


class RestrictedSupernet(nn.Module):
    """The network of one architecture, computed by a supernet and with its weights: what the supernet takes -> what it returns.

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
        self.supernet_model = supernet.model
        self.sample = dict(sample)
        self._supernet, self._weights = supernet, supernet.weights_of(sample)

    def forward(self, *inputs: Any) -> Any:
        with self._supernet.held(self._weights) as model:
            return model(*inputs)


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
