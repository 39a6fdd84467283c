"""The parts of the networks of the DARTS space: nodes whose edges are chosen or yet to choose, cells, the auxiliary head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import nni.nas.nn.pytorch as nas
import torch
from nni.mutable import label_scope
from nni.nas.nn.pytorch import MutableModule
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from spaces.darts.operations import OPERATIONS, FactorizedReduce, ReluConvNorm
from spaces.darts.supernet.fused import FusedCell
from spaces.darts.supernet.partial import PartialCell
from spaces.darts.supernet.single_path import LonePathCell, PathCells
from spaces.darts.vocabulary import INPUTS_OF_A_NODE, candidate_names, edge_label, inputs_label, node_numbers
from spaces.partial_channels import parts_of


class FrozenNode(nn.Module):
    """A node whose inputs and operations are chosen: the sum of its operations over the states it reads.

    Each operation but the identity is followed by drop-path (arXiv 1605.07648, here torchvision's ``StochasticDepth`` per image), off
    until the training sets its probability.
    """

    def __init__(self, edges: Mapping[int, nn.Module]) -> None:
        super().__init__()
        self.sources = list(edges)
        self.edges = nn.ModuleList(
            edge if isinstance(edge, nn.Identity) else nn.Sequential(edge, StochasticDepth(0.0, "row")) for edge in edges.values()
        )

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        first, *others = (edge(states[source]) for source, edge in zip(self.sources, self.edges, strict=True))
        for other in others:
            first = first + other
        return first


class Node(MutableModule):
    """A node of the search space: an operation to choose on the edge from each earlier state, and two of these edges to keep.

    Under ``model_context`` (NNI's way to build a frozen network) and by ``freeze`` it becomes a ``FrozenNode`` that holds the chosen
    operations of the chosen edges and nothing else.
    """

    def __init__(self, kind: str, node: int, channels: int, strides: Sequence[int], none: bool) -> None:
        super().__init__()
        with label_scope(kind):  # NNI puts "<kind>/" before the labels: they are those of edge_label and inputs_label
            self.edges = nn.ModuleList(
                nas.LayerChoice(
                    {name: OPERATIONS[name](channels, stride, False) for name in candidate_names(none)}, label=f"edge_{source}_{node}"
                )
                for source, stride in enumerate(strides)
            )
            self.inputs = nas.InputChoice(len(strides), n_chosen=INPUTS_OF_A_NODE, reduction="sum", label=f"inputs_{node}")

    @classmethod
    def create_fixed_module(
        cls, sample: dict[str, Any], kind: str, node: int, channels: int, strides: Sequence[int], none: bool
    ) -> FrozenNode:
        sources = sorted(sample[inputs_label(kind, node)])
        return FrozenNode(
            {source: OPERATIONS[sample[edge_label(kind, source, node)]](channels, strides[source], True) for source in sources}
        )

    def freeze(self, sample: dict[str, Any]) -> FrozenNode:
        """Return the chosen operations with the weights they have now (of the supernet: without affine parameters, pools normalised)."""
        self.validate(sample)
        return FrozenNode({source: self.edges[source].freeze(sample) for source in sorted(sample[self.inputs.label])})

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        return self.inputs([edge(state) for edge, state in zip(self.edges, states, strict=False)])


class Cell(nn.Module):
    """A cell: ([N, c_before_last, H, W], [N, c_last, H, W]) -> [N, num_nodes * channels, H', W'], halved where ``reduction``."""

    def __init__(
        self, kind: str, num_nodes: int, c_before_last: int, c_last: int, channels: int, *, after_reduction: bool, none: bool, affine: bool
    ) -> None:
        super().__init__()
        self.reduces, self.channels = kind == "reduce", channels
        # A state from before a reduction is twice as large as the one after it.
        self.preprocess_0 = (
            FactorizedReduce(c_before_last, channels, affine=affine)
            if after_reduction
            else ReluConvNorm(c_before_last, channels, 1, 1, 0, affine=affine)
        )
        self.preprocess_1 = ReluConvNorm(c_last, channels, 1, 1, 0, affine=affine)
        self.nodes = nn.ModuleList(
            Node(kind, node, channels, [2 if kind == "reduce" and source < 2 else 1 for source in range(node)], none)
            for node in node_numbers(num_nodes)
        )

    def forward(self, before_last: Tensor, last: Tensor) -> Tensor:
        states = [self.preprocess_0(before_last), self.preprocess_1(last)]
        for node in self.nodes:
            states.append(node(states))
        return torch.cat(states[2:], dim=1)

    def differentiable_form(self) -> FusedCell:
        """Return the cell as one fast function of the weights of its operations, for a one-shot search; it has the cell's parameters."""
        return FusedCell(self)

    def partial_form(self, parts: int) -> FusedCell:
        """Return that form with operations on one of ``parts`` parts of the channels, or of as many as ``parts_of`` has; they are new."""
        cut = parts_of(self.channels, parts)
        return PartialCell(self, cut) if cut > 1 else FusedCell(self)

    def single_path_form(self) -> LonePathCell:
        """Return the cell as a function of one operation an edge, which stands for its differentiable form; it has its parameters."""
        return LonePathCell(self)


class CellStack(nn.ModuleList):
    """Cells, each of which reads the outputs of the two before it."""

    def forward(self, stem: Tensor) -> Iterator[Tensor]:
        """Yield the outputs of the cells, one after the other; the first two read ``stem`` where there is no cell before them."""
        before_last = last = stem
        for cell in self:
            before_last, last = last, cell(before_last, last)
            yield last

    def single_path_form(self) -> PathCells:
        """Return the cells as a function of one operation an edge, for a one-shot search that draws these; it has their parameters."""
        return PathCells(self)


class AuxiliaryHead(nn.Module):
    """A second classifier after two thirds of the depth, for a better gradient (the authors' head for 8x8 maps; 2x2 averages elsewhere)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU(), nn.Conv2d(128, 768, 2, bias=False), nn.BatchNorm2d(768)
        )
        self.classifier = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(x)
        pooled = functional.avg_pool2d(x, 5, stride=3) if x.shape[-2:] == (8, 8) else functional.adaptive_avg_pool2d(x, 2)
        return self.classifier(functional.relu(self.features(pooled)).flatten(1))
