"""The DARTS search space: a normal and a reduction cell, stacked (Liu et al. 2019, arXiv 1806.09055).

A cell has two input states (the outputs of the two cells before it) and ``num_nodes`` intermediate nodes. Every edge from an earlier
state to a node is an ``nn.LayerChoice`` labelled ``normal/edge_<from>_<node>``, every node chooses two of its edges by an
``nn.InputChoice(n_chosen=2)`` labelled ``normal/inputs_<node>`` (``reduce/...`` in the reduction cell); the cell's output is the
concatenation of its nodes. All normal cells share their labels, and so do both reduction cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

import nni.nas.nn.pytorch as nas
import torch
from nni.nas.space import current_model
from torch import Tensor, nn

from kernels.build import kernels_note, only_precision
from spaces.arguments import check_sizes
from spaces.darts.cells import AuxiliaryHead, Cell, CellStack
from spaces.darts.operations import operation_costs
from spaces.darts.trained.network import count_batch, edges_of_frozen, run_cells, runs_fast
from spaces.darts.vocabulary import (
    CELL_KINDS,
    DEPTH,
    NUM_NODES,
    OF_CHOICES,
    SETTABLE,
    SIZES,
    UNREAD,
    edge_label,
    inputs_label,
    node_numbers,
)


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

    SIZES: ClassVar = SIZES
    SETTABLE: ClassVar = SETTABLE
    OF_CHOICES: ClassVar = OF_CHOICES
    DEPTH: ClassVar = DEPTH

    def __init__(
        self,
        *,
        num_classes: int = 10,
        width: int = 16,
        num_cells: int = 8,
        num_nodes: int = NUM_NODES,
        none: bool = False,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        check_sizes("darts", num_classes=(num_classes, 2), width=(width, 2), num_cells=(num_cells, 3), num_nodes=(num_nodes, 1))
        frozen = current_model() is not None
        reductions = (num_cells // 3, 2 * num_cells // 3)
        self.width = width
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * width, 3, padding=1, bias=False), nn.BatchNorm2d(3 * width))
        self.cells = CellStack()
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
        """The normalisations of the cells, which are asked before every pass."""
        return [module for module in self.cells.modules() if isinstance(module, nn.BatchNorm2d)]

    @cached_property
    def parts_of_cells(self) -> list[nn.Module]:
        """All modules of the cells, which are asked likewise."""
        return list(self.cells.modules())

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if not runs_fast(self, images):
            return self._forward(images, self.cells)
        with torch.autocast(images.device.type, enabled=False):  # faster than the plain pass in bfloat16, too
            return self._forward(images, self._run_frozen)

    def _run_frozen(self, stem: Tensor) -> Iterator[Tensor | None]:
        cells: list[Any] = list(self.cells)
        public = {len(cells) - 1} if self.auxiliary_head is None else {len(cells) - 1, self.auxiliary_after}
        count_batch(self.norms)
        return run_cells(cells, lambda number, last: [edges_of_frozen(node, last) for node in cells[number].nodes], public, stem)

    def _forward(self, images: Tensor, run: Callable[[Tensor], Iterator[Tensor | None]]) -> Tensor | tuple[Tensor, Tensor]:
        auxiliary_logits = last = None
        for index, last in enumerate(run(self.stem(images))):
            if self.training and self.auxiliary_head is not None and index == self.auxiliary_after:
                auxiliary_logits = self.auxiliary_head(last)
        assert last is not None
        logits = self.classifier(last.mean(dim=(2, 3)))
        return logits if auxiliary_logits is None else (logits, auxiliary_logits)

    def input_edges(self) -> dict[str, list[str]]:
        """Return for each choice of inputs the labels of the edges it chooses from, in order."""
        return {
            inputs_label(kind, node): [edge_label(kind, source, node) for source in range(node)]
            for kind in CELL_KINDS
            for node in node_numbers(self.num_nodes)
        }

    @staticmethod
    def canonical(sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return the one sample that stands for all that build the same modules: inputs in order, every unread edge ``max_pool_3x3``."""
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
        """Return an architecture for people to read: the two cells, node by node, as operation(state it reads)."""
        texts: dict[str, list[str]] = {kind: [] for kind in CELL_KINDS}
        for label, sources in architecture.items():
            kind, _, name = label.partition("/")
            if name.startswith("inputs_"):
                node = int(name.removeprefix("inputs_"))
                texts[kind].append(" + ".join(f"{architecture[edge_label(kind, source, node)]}({source})" for source in sources))
        return {kind: "; ".join(nodes) for kind, nodes in texts.items()}

    def operation_costs(self) -> dict[str, float]:
        """Return what each operation costs, from 0 to 1: its multiply-adds in the first cells, by those of the dearest one."""
        with torch.random.fork_rng(devices=[]):
            return operation_costs(self.width)

    kernels_note = staticmethod(kernels_note)
    only_precision = staticmethod(only_precision)
