"""The DARTS search space: a normal and a reduction cell, stacked (Liu et al. 2019, arXiv 1806.09055).

A cell has two input states (the outputs of the two cells before it) and ``num_nodes`` intermediate nodes. Every edge from an earlier
state to a node is an ``nn.LayerChoice`` labelled ``normal/edge_<from>_<node>``, every node chooses two of its edges by an
``nn.InputChoice(n_chosen=2)`` labelled ``normal/inputs_<node>`` (``reduce/...`` in the reduction cell); the cell's output is the
concatenation of its nodes. All normal cells share their labels, and so do both reduction cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import nni.nas.nn.pytorch as nas
import torch
from nni.mutable import Mutable, label_scope
from nni.nas.nn.pytorch import MutableModule
from nni.nas.space import current_model
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from kernels.build import kernels_note, only_precision
from spaces import check_sizes
from spaces.darts.operations import OPERATIONS, FactorizedReduce, ReluConvNorm, candidate_names, operation_costs
from spaces.darts.supernet.fused import FusedCell
from spaces.darts.trained.network import run_cells, runs_fast

CELL_KINDS = ("normal", "reduce")
UNREAD = "max_pool_3x3"  # what a canonical sample says of an edge that no node reads


def edge_label(kind: str, source: int, node: int) -> str:
    """Label of the operation on the edge from state ``source`` to state ``node`` (nodes count from 2; 0 and 1 are the inputs)."""
    return f"{kind}/edge_{source}_{node}"


def inputs_label(kind: str, node: int) -> str:
    """Label of the choice of the two states that ``node`` reads."""
    return f"{kind}/inputs_{node}"


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
            self.inputs = nas.InputChoice(len(strides), n_chosen=2, reduction="sum", label=f"inputs_{node}")

    @classmethod
    def create_fixed_module(
        cls, sample: dict[str, Any], kind: str, node: int, channels: int, strides: Sequence[int], none: bool
    ) -> FrozenNode:
        sources = sorted(sample[inputs_label(kind, node)])
        return FrozenNode(
            {source: OPERATIONS[sample[edge_label(kind, source, node)]](channels, strides[source], True) for source in sources}
        )

    def freeze(self, sample: dict[str, Any]) -> FrozenNode:
        """The chosen operations with the weights they have now (of the supernet: without affine parameters, pools normalised)."""
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
            for node in range(2, num_nodes + 2)
        )

    def forward(self, before_last: Tensor, last: Tensor) -> Tensor:
        states = [self.preprocess_0(before_last), self.preprocess_1(last)]
        for node in self.nodes:
            states.append(node(states))
        return torch.cat(states[2:], dim=1)

    def differentiable_form(self) -> FusedCell:
        """The cell for a one-shot search, as one fast function of the weights of its operations; takes over this cell's parameters."""
        return FusedCell(self)


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


class DartsSpace(nas.ModelSpace):
    """The cell space of DARTS at any size. Images [N, 3, H, W] -> logits [N, num_classes].

    Parameters
    ----------
    num_classes
        Number of classes, at least 2.
    width
        Channels of a node in the first cells, at least 2 (the paper: 16 to search, 36 to train); doubled by each reduction cell.
    num_cells
        Cells in all, at least 3 (the paper: 8 to search, 20 to train); those at 1/3 and 2/3 of the depth reduce.
    num_nodes
        Intermediate nodes of a cell, at least 1 (the paper: 4).
    none
        Whether ``none`` (no connection) is among the candidates, as in the paper's search.
    auxiliary
        Whether a frozen network has the auxiliary head; in training it then returns (logits, auxiliary logits).

    Raises
    ------
    SpaceError
        If a size is out of its range.
    """

    # By preset: the supernet or the networks of trials, and the network that is trained in the end.
    SIZES: ClassVar[dict[str, dict[str, dict[str, Any]]]] = {
        "quick": {"search": {"width": 4, "num_cells": 5}, "retrain": {"width": 8, "num_cells": 5, "auxiliary": True}},
        "lab": {"search": {"width": 8, "num_cells": 8}, "retrain": {"width": 8, "num_cells": 20, "auxiliary": True}},
        "paper": {"search": {"width": 16, "num_cells": 8, "none": True}, "retrain": {"width": 36, "num_cells": 20, "auxiliary": True}},
    }
    # The upper ends keep a slip of the keyboard from filling the memory.
    SETTABLE: ClassVar[dict[str, Sequence[Any]]] = {
        "width": range(2, 257),
        "num_cells": range(3, 101),
        "num_nodes": range(1, 17),
        "none": (False, True),
    }
    OF_CHOICES: ClassVar[frozenset[str]] = frozenset({"num_nodes", "none"})

    def __init__(
        self, *, num_classes: int = 10, width: int = 16, num_cells: int = 8, num_nodes: int = 4, none: bool = False, auxiliary: bool = False
    ) -> None:
        super().__init__()
        check_sizes("darts", num_classes=(num_classes, 2), width=(width, 2), num_cells=(num_cells, 3), num_nodes=(num_nodes, 1))
        frozen = current_model() is not None
        reductions = (num_cells // 3, 2 * num_cells // 3)
        self.width = width
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * width, 3, padding=1, bias=False), nn.BatchNorm2d(3 * width))
        self.cells = nn.ModuleList()
        self.auxiliary_head: AuxiliaryHead | None = None
        c_before_last, c_last, channels, after_reduction = 3 * width, 3 * width, width, False
        for index in range(num_cells):
            kind = "reduce" if index in reductions else "normal"
            if kind == "reduce":
                channels *= 2
            self.cells.append(
                Cell(kind, num_nodes, c_before_last, c_last, channels, after_reduction=after_reduction, none=none, affine=frozen)
            )
            after_reduction = kind == "reduce"
            c_before_last, c_last = c_last, num_nodes * channels
            if auxiliary and frozen and index == reductions[1]:
                self.auxiliary_head = AuxiliaryHead(c_last, num_classes)
        self.num_nodes, self.auxiliary_after = num_nodes, reductions[1]
        self.classifier = nn.Linear(c_last, num_classes)

    @cached_property
    def norms(self) -> list[nn.BatchNorm2d]:
        """Those of the cells, which are asked before every pass."""
        return [module for module in self.cells.modules() if isinstance(module, nn.BatchNorm2d)]

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if not runs_fast(self, images):
            return self._forward(images, self._run_cells)
        with torch.autocast(images.device.type, enabled=False):  # faster than the plain pass in bfloat16, too
            return self._forward(images, lambda stem: run_cells(self, stem))

    def _run_cells(self, stem: Tensor) -> Iterator[Tensor]:
        before_last = last = stem
        for cell in self.cells:
            before_last, last = last, cell(before_last, last)
            yield last

    def _forward(self, images: Tensor, run: Callable[[Tensor], Iterator[Tensor | None]]) -> Tensor | tuple[Tensor, Tensor]:
        auxiliary_logits = last = None
        for index, last in enumerate(run(self.stem(images))):
            if self.training and self.auxiliary_head is not None and index == self.auxiliary_after:
                auxiliary_logits = self.auxiliary_head(last)
        assert last is not None
        logits = self.classifier(last.mean(dim=(2, 3)))
        return logits if auxiliary_logits is None else (logits, auxiliary_logits)

    def input_edges(self) -> dict[str, list[str]]:
        """For each choice of inputs the labels of the edges it chooses from, in order."""
        nodes = range(2, 2 + self.num_nodes)
        return {
            inputs_label(kind, node): [edge_label(kind, source, node) for source in range(node)] for kind in CELL_KINDS for node in nodes
        }

    @staticmethod
    def canonical(sample: Mapping[str, Any]) -> dict[str, Any]:
        """The one sample that stands for all that build the same modules: inputs in order, every unread edge ``max_pool_3x3``."""
        result: dict[str, Any] = {}
        for label, value in sample.items():
            kind, _, name = label.partition("/")
            if name.startswith("inputs_"):
                result[label] = sorted(value)
            else:
                source, node = (int(part) for part in name.removeprefix("edge_").split("_"))
                result[label] = value if source in sample[inputs_label(kind, node)] else UNREAD
        return result

    @staticmethod
    def describe(architecture: Mapping[str, Any]) -> dict[str, str]:
        """An architecture for people to read: the two cells, node by node, as operation(state it reads)."""
        texts: dict[str, list[str]] = {kind: [] for kind in CELL_KINDS}
        for label, sources in architecture.items():
            kind, _, name = label.partition("/")
            if name.startswith("inputs_"):
                node = int(name.removeprefix("inputs_"))
                texts[kind].append(" + ".join(f"{architecture[edge_label(kind, source, node)]}({source})" for source in sources))
        return {kind: "; ".join(nodes) for kind, nodes in texts.items()}

    def operation_costs(self) -> dict[str, float]:
        """What each operation costs, from 0 to 1: its multiply-adds in the first cells, by those of the dearest one."""
        with torch.random.fork_rng(devices=[]):
            return operation_costs(self.width)

    kernels_note = staticmethod(kernels_note)
    only_precision = staticmethod(only_precision)

    @staticmethod
    def default_architecture() -> dict[str, Any] | None:
        """``None``: no cell is the one to start from."""
        return None

    @staticmethod
    def hyperparameters() -> dict[str, Mutable]:
        """None are searched: the paper trains every cell with one recipe."""
        return {}
