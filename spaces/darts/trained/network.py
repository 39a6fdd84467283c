"""The training pass of a frozen cell network by the compiled kernels: the mathematics of the plain modules, in fewer passes over memory.

A cell is one function, whose nodes are written straight into its output, and whose normalisations are carried out by whoever reads what
they normalise. Kept for the backward pass is what the pointwise convolutions put out. Where there are no compiled kernels the plain
modules run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kernels.build import kernels_for
from kernels.layout import may_lie_apart, nchw, nhwc, nodes_of, output_of, room_for_nodes, state_of
from kernels.sums import mix
from spaces.darts.trained.cell_inputs import read
from spaces.darts.trained.edges import Edge, make_edge
from spaces.darts.trained.units import with_their_own

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class CellOfOperations(Protocol):
    """A cell with one operation an edge: what it makes of its two inputs, and whether it halves their sides."""

    reduces: bool

    @property
    def preprocess_0(self) -> nn.Module: ...

    @property
    def preprocess_1(self) -> nn.Module: ...


class CellNetwork(Protocol):
    """A network of cells: whether it is in training, and the normalisations of its cells."""

    training: bool

    @property
    def norms(self) -> Sequence[nn.BatchNorm2d]: ...


class FrozenNetwork(CellNetwork, Protocol):
    """A network of cells with one operation an edge; ``parts_of_cells`` are all modules within them."""

    @property
    def parts_of_cells(self) -> Sequence[nn.Module]: ...


def runs_fast(network: FrozenNetwork, images: Tensor) -> bool:
    """Return whether compiled kernels may stand for the cells of a frozen network; norms without parameters are those of a supernet."""
    return kernels_serve(network, images) and all(norm.affine for norm in network.norms) and not _has_hooks(network)


def _has_hooks(network: FrozenNetwork) -> bool:
    """Return whether somebody listens to a module that the kernels would leave out."""
    return any(module.__dict__[kind] for module in network.parts_of_cells for kind in _HOOKS)


def kernels_serve(network: CellNetwork, images: Tensor) -> bool:
    """Return whether there are compiled kernels for cells with one operation an edge: in training, on a CPU, in float32 or more."""
    return (
        network.training
        and images.device.type == "cpu"
        and images.dtype.itemsize > 2
        and kernels_for(images.dtype) is not None
        and all(norm.track_running_stats and norm.training and norm.momentum is not None for norm in network.norms)
    )


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
                kept, summand = edge.forward(state_of(edge.source, before_last, last, result), own)
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
        of_parameters: list[Tensor | None] = []
        counts, end = list(ctx.counts), len(saved)
        for index in reversed(range(len(ctx.nodes))):
            for edge in reversed(ctx.nodes[index]):
                own, kept = counts.pop()
                begin = end - own - kept
                of_state = of_inputs[edge.source] if edge.source < 2 else of_nodes[:, :, :, edge.source - 2 : edge.source - 1]
                x = state_of(edge.source, before_last, last, result)
                of_node = of_nodes[:, :, :, index : index + 1]
                parts = (saved[begin : begin + own], saved[begin + own : end])
                of_parameters = edge.backward(x, of_node, *parts, of_state) + of_parameters
                end = begin
        return None, None, None, *map(nchw, of_inputs), *of_parameters


def run_cells(
    cells: Sequence[CellOfOperations],
    nodes_of_cells: Callable[[int, Tensor], Sequence[Sequence[Edge]]],
    public: Collection[int],
    stem: Tensor,
) -> Iterator[Tensor | None]:
    """Yield the outputs of ``cells``, one after the other, in training: what ``stem`` [N, C, H, W] becomes.

    Parameters
    ----------
    cells
        At least one.
    nodes_of_cells
        Maps the number of a cell and the later one of its two states to the edges of each of its nodes.
    public
        The numbers of the cells whose outputs others than cells read; ``None`` is yielded in place of all other outputs.
    stem
        What the first cells read.
    """
    states: list[dict[int, Tensor]] = [{} for _ in cells]  # of each cell, by which of its two inputs
    wanted = [(0, 0), (0, 1), (1, 0)]  # who reads the last output: which cell, as which input
    last = stem
    for number, cell in enumerate(cells):
        wanted = [(reader, which) for reader, which in wanted if reader < len(cells)]
        modules = [(cells[reader].preprocess_0, cells[reader].preprocess_1)[which] for reader, which in wanted]
        for (reader, which), state in zip(wanted, read(last, modules), strict=True):
            states[reader][which] = state
        is_private = number not in public
        before, after = (states[number].pop(which) for which in (0, 1))
        last = run_cell(cell, nodes_of_cells(number, after), before, after, is_private)
        yield None if is_private else last
        wanted = [(number + 1, 1), (number + 2, 0)]


def run_cell(cell: CellOfOperations, nodes: Sequence[Sequence[Edge]], before_last: Tensor, last: Tensor, is_private: bool) -> Tensor:
    """Return what ``cell`` makes of its two states, preprocessed and channels last, as ``FrozenCell`` has it."""
    stride = 2 if cell.reduces else 1
    size = [-(-side // stride) for side in last.shape[2:]]
    parameters = [tensor for node in nodes for edge in node for tensor in edge.parameters]
    return FrozenCell.apply(nodes, size, is_private, before_last, last, *parameters)


def count_batch(norms: Iterable[nn.BatchNorm2d]) -> None:
    """Note that these normalisations have seen one more batch."""
    counters: list[Any] = [norm.num_batches_tracked for norm in norms]
    torch._foreach_add_(counters, 1)


def edges_of_frozen(node: Any, images: Tensor) -> list[Edge]:
    """Return one pass through the operations of a ``FrozenNode``, with drop-path drawn as the paths draw it for ``images``."""
    edges = []
    module: Any
    path: Any
    for source, module in zip(node.sources, node.edges, strict=True):
        operation, path = (module, None) if isinstance(module, nn.Identity) else module
        drops = path is not None and path.training and path.p > 0
        edges.append(make_edge(operation, source, path(images.new_ones(len(images), 1, 1, 1)).flatten() if drops else None))
    return edges
