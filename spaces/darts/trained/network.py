"""The training pass of a frozen cell network by the compiled kernels: the mathematics of the plain modules, in fewer passes over memory.

A cell is one function, whose nodes are written straight into its output, and whose normalisations are carried out by whoever reads what
they normalise. Kept for the backward pass is what the pointwise convolutions put out. Where there are no compiled kernels the plain
modules run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kernels.build import kernels_for
from kernels.layout import may_lie_apart, nchw, nhwc, nodes_of, output_of, room_for_nodes, state_of
from kernels.pools import Pools, pool, pool_back
from kernels.sums import mix
from spaces.darts.cells import AuxiliaryHead, Cell
from spaces.darts.operations import DilatedConv, FactorizedReduce, SeparableConv, Zero
from spaces.darts.trained.cell_inputs import read
from spaces.darts.trained.units import CornersUnit, Normed, Unit, sums_of, with_their_own


class CellNetwork(Protocol):
    """A network of cells: whether it is in training, its cells and their normalisations, and after which cell it has a second head."""

    training: bool
    cells: nn.ModuleList
    auxiliary_after: int
    auxiliary_head: AuxiliaryHead | None

    @property
    def norms(self) -> Sequence[nn.BatchNorm2d]: ...


def runs_fast(network: CellNetwork, images: Tensor) -> bool:
    """Return whether compiled kernels may stand for the cells.

    That is a network in training on a CPU, images in float32 or more, and norms with parameters, which the supernet's have not.
    """
    return (
        network.training
        and images.device.type == "cpu"
        and images.dtype.itemsize > 2
        and kernels_for(images.dtype) is not None
        and all(norm.affine and norm.track_running_stats and norm.training and norm.momentum is not None for norm in network.norms)
    )


@lru_cache(maxsize=64)
def _rows(dtype: torch.dtype, channels: int, *values: float) -> Tensor:
    """Return a row of ``channels`` equal numbers for each value: [values, 1, channels], to be read alone."""
    return torch.tensor(values, dtype=dtype).view(-1, 1, 1).repeat(1, 1, channels)


class Edge:
    """One pass through an operation of a frozen node: what the node sums up of it is ``factor * (scale * source + shift)``."""

    def __init__(self, source: int, module: Any, images: Tensor) -> None:
        self.source = source
        operation, path = (module, None) if isinstance(module, nn.Identity) else module
        self.stride = getattr(operation, "stride", 1)
        self.kind = type(operation)
        self.units: list[Unit] = []
        if isinstance(operation, SeparableConv | DilatedConv):
            layers: list[Any] = list(operation)
            self.units = [Unit(*layers[first : first + 3]) for first in range(1, len(layers), 4)]
        elif isinstance(operation, FactorizedReduce):
            self.units = [CornersUnit(operation)]
        self.parameters = [parameter for unit in self.units for parameter in unit.parameters]
        self.factor: Tensor | None = None  # of drop-path, [N], drawn as the path draws it
        if path is not None and path.training and path.p > 0:
            self.factor = path(images.new_ones(len(images), 1, 1, 1)).flatten()

    def forward(self, x: Tensor, parameters: Sequence[Tensor]) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """Return what is kept, and the source, its scale and its shift [1, C]."""
        if self.units:
            passes: list[Normed] = []
            for unit, own in with_their_own(self.units, parameters):
                before = passes[-1] if passes else None
                passes.append(unit.forward(x if before is None else before.y, own, before))
            return [tensor for each in passes for tensor in each], passes[-1].y, passes[-1].scale, passes[-1].shift
        ones, zeros = _rows(x.dtype, x.shape[4], 1, 0)
        if self.kind is nn.Identity:
            return [], x, ones, zeros
        if self.kind is Zero:
            return [], torch.zeros_like(x[:, :: self.stride, :: self.stride]), ones, zeros
        pools = pool(x, self.stride, largest=self.kind is nn.MaxPool2d, mean=self.kind is nn.AvgPool2d)
        kept = [value for value in (pools.largest, pools.mean, pools.index) if value is not None]
        return kept, kept[0], ones, zeros

    def backward(
        self, x: Tensor, gradient: Tensor, parameters: Sequence[Tensor], kept: Sequence[Tensor], state_gradient: Tensor
    ) -> list[Tensor]:
        """Return the gradients of ``parameters``; adds to that of the state."""
        if self.units:
            return self._units_back(x, gradient, parameters, kept, state_gradient)
        if self.kind is nn.Identity:
            of_this = gradient.dtype, gradient.shape[4]
            mix([gradient], _rows(*of_this, 1), _rows(*of_this, 0), None, state_gradient, adds=True)
        elif self.kind is not Zero:
            self._pool_back(gradient, kept, state_gradient)
        return []

    def _units_back(
        self, x: Tensor, gradient: Tensor, parameters: Sequence[Tensor], kept: Sequence[Tensor], state_gradient: Tensor
    ) -> list[Tensor]:
        passes = [Normed(*kept[first : first + 2]) for first in range(0, len(kept), 2)]
        sums = sums_of(passes[-1], gradient, self.factor)
        gradients: list[Tensor] = []
        of_source: Tensor | None = gradient
        for index, (unit, own) in reversed(list(enumerate(with_their_own(self.units, parameters)))):
            before = passes[index - 1] if index > 0 else None
            source, state = (x, state_gradient) if before is None else (before.y, None)
            assert of_source is not None
            factor = self.factor if index == len(passes) - 1 else None
            of_source, sums, of_own = unit.backward(
                source, own, passes[index], of_source, sums, before, factor=factor, state_gradient=state
            )
            gradients = of_own + gradients
        return gradients

    def _pool_back(self, gradient: Tensor, kept: Sequence[Tensor], state_gradient: Tensor) -> None:
        is_largest, of_this = self.kind is nn.MaxPool2d, (gradient.dtype, gradient.shape[4])
        pools = Pools(kept[0], None, kept[1]) if is_largest else Pools(None, kept[0], None)
        rates, nothing = _rows(*of_this, is_largest, not is_largest, 0), _rows(*of_this, 0, 0, 0, 0)
        pool_back(pools, self.stride, gradient, rates, nothing, state_gradient, gradient.dtype, factor=self.factor)


class FrozenCell(torch.autograd.Function):
    """A frozen cell from its two preprocessed states [N, C, H, W] on: its output of ``size`` [H', W'], as ``output_of`` has it.

    ``nodes`` are the edges that each node sums up, ``parameters`` those of all edges. An output that ``is_private`` is read by one
    ``ReadState`` and nothing else: its nodes lie apart where they may, and the gradient that comes back, which was made for it, is worked
    on where it is.
    """

    @staticmethod
    def forward(
        ctx: Any,
        nodes: Sequence[Sequence[Edge]],
        size: Sequence[int],
        is_private: bool,
        before_last: Tensor,
        last: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        apart = is_private and may_lie_apart(last)
        result = room_for_nodes(last, size, len(nodes), apart=apart)
        ctx.nodes, ctx.is_private, ctx.counts = nodes, is_private, []
        saved: list[Tensor] = []
        remaining = with_their_own([edge for edges in nodes for edge in edges], parameters)
        for index, edges in enumerate(nodes):
            summands = []
            for edge, own in islice(remaining, len(edges)):
                kept, *summand = edge.forward(state_of(edge.source, before_last, last, result), own)
                summands.append(summand)
                saved += [*own, *kept]
                ctx.counts.append((len(own), len(kept)))
            sources, scales, shifts = zip(*summands, strict=True)
            factors = None
            if any(edge.factor is not None for edge in edges):
                factors = torch.stack([last.new_ones(len(last)) if edge.factor is None else edge.factor for edge in edges])
            mix(sources, torch.stack(scales), torch.stack(shifts), factors, result[:, :, :, index : index + 1], adds=False)
        output = output_of(result, apart=apart)
        ctx.save_for_backward(before_last, last, output, *saved)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        before_last, last, output, *saved = ctx.saved_tensors
        result, of_nodes = nodes_of(output, len(ctx.nodes)), nodes_of(gradient, len(ctx.nodes))
        if not ctx.is_private:
            of_nodes = torch.empty_like(result).copy_(of_nodes)
        of_inputs = [torch.zeros_like(nhwc(state)) for state in (before_last, last)]
        of_parameters: list[Tensor] = []
        counts, end = list(ctx.counts), len(saved)
        for index in reversed(range(len(ctx.nodes))):
            for edge in reversed(ctx.nodes[index]):
                own, kept = counts.pop()
                begin = end - own - kept
                of_state = of_inputs[edge.source] if edge.source < 2 else of_nodes[:, :, :, edge.source - 2 : edge.source - 1]
                x = state_of(edge.source, before_last, last, result)
                of_node = of_nodes[:, :, :, index : index + 1]
                of_parameters = edge.backward(x, of_node, saved[begin : begin + own], saved[begin + own : end], of_state) + of_parameters
                end = begin
        return None, None, None, *map(nchw, of_inputs), *of_parameters


def run_cells(network: CellNetwork, stem: Tensor) -> Iterator[Tensor | None]:
    """Yield the outputs of the cells of a frozen ``network``, one after the other, in training: what ``stem`` [N, C, H, W] becomes.

    ``None`` stands for those that other cells alone read.
    """
    counters: list[Any] = [norm.num_batches_tracked for norm in network.norms]
    torch._foreach_add_(counters, 1)
    cells: list[Cell] = cast("list[Cell]", list(network.cells))
    states: list[dict[int, Tensor]] = [{} for _ in cells]  # of each cell, by which of its two inputs
    wanted = [(0, 0), (0, 1), (1, 0)]  # who reads the last output: which cell, as which input
    last = stem
    for number, cell in enumerate(cells):
        wanted = [(reader, which) for reader, which in wanted if reader < len(cells)]
        modules = [(cells[reader].preprocess_0, cells[reader].preprocess_1)[which] for reader, which in wanted]
        for (reader, which), state in zip(wanted, read(last, modules), strict=True):
            states[reader][which] = state
        is_private = number != len(cells) - 1 and (number != network.auxiliary_after or network.auxiliary_head is None)
        before, after = (states[number].pop(which) for which in (0, 1))
        last = _run_cell(cell, before, after, is_private)
        yield None if is_private else last
        wanted = [(number + 1, 1), (number + 2, 0)]


def _run_cell(cell: Cell, before_last: Tensor, last: Tensor, is_private: bool) -> Tensor:
    """Return what the frozen ``cell`` makes of its two states, preprocessed, as ``FrozenCell`` has it."""
    nodes: Any = cell.nodes
    edges = [[Edge(source, module, last) for source, module in zip(node.sources, node.edges, strict=True)] for node in nodes]
    stride = 2 if cell.reduces else 1
    size = [-(-side // stride) for side in last.shape[2:]]
    parameters = [tensor for node in edges for edge in node for tensor in edge.parameters]
    return FrozenCell.apply(edges, size, is_private, before_last, last, *parameters)
