"""The training pass of a frozen cell network on a CPU: the mathematics of the plain modules, by fewer passes over less memory.

A step of such a thin network is bound by memory. So the convolutions of an edge, their normalisations and drop-path are one function,
which keeps nothing normalised but what the next convolution reads; what a cell puts out is never concatenated, as both cells
that read it do so through pointwise convolutions, which run node by node over one common ReLU; and normalisations run over rows as wide
as the image, in which the channels repeat.

Depthwise convolutions are fast from ``LANES`` channels on. Where a cell has fewer, several images lie side by side in the channels:
image ``n`` of ``N`` at ``pack`` images a row is in row ``n % (N / pack)``. Everything else is in channels_last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spaces import darts_kernels as kernels
from spaces.darts_operations import DilatedConv, ReluConvNorm, SeparableConv
from spaces.packed_images import (
    as_images,
    as_rows,
    block_diagonal,
    normalise,
    normalise_backward,
    pack_images,
    sum_of_blocks,
    unpack_images,
)

if TYPE_CHECKING:
    from spaces.darts import Cell

LANES = 16


class Normalised(torch.autograd.Function):
    """A batch normalisation in training: [N, pack * C, H, W] -> the same."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, norm: Any, pack: int, weight: Tensor, bias: Tensor) -> Tensor:
        result, mean, rstd = normalise(as_rows(y), norm, weight, bias, pack)
        ctx.save_for_backward(y, weight, mean, rstd)
        ctx.pack = pack
        return as_images(result, y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        y, weight, mean, rstd = ctx.saved_tensors
        result, *others = normalise_backward(as_rows(gradient), as_rows(y), weight, mean, rstd, ctx.pack)
        return as_images(result, y), None, None, *others


class Projected(torch.autograd.Function):
    """Pointwise convolutions of the ReLU of nodes side by side, without putting them side by side.

    ``tensors`` are ``count`` nodes [N, pack * C, H, W] and any number of kernels [L, count * C, 1, 1]; the results are
    [N, pack * L, H, W], one of each kernel.
    """

    @staticmethod
    def forward(ctx: Any, pack: int, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        nodes, convolutions = tensors[:count], tensors[count:]
        parts = [[block_diagonal(part, pack) for part in kernel.chunk(count, dim=1)] for kernel in convolutions]
        results: list[Tensor] = []
        for index, node in enumerate(nodes):
            active = torch.relu(as_rows(node))
            if index == 0:
                results = [torch.mm(active, part[0].t()) for part in parts]
            else:
                results = [result.addmm_(active, part[index].t()) for result, part in zip(results, parts, strict=True)]
        ctx.save_for_backward(*nodes, *(part for kernel in parts for part in kernel))
        ctx.pack, ctx.count = pack, count
        return tuple(as_images(result, nodes[0]) for result in results)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        nodes, parts = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        rows = [as_rows(gradient) for gradient in gradients]
        node_gradients: list[Tensor] = []
        part_gradients: list[list[Tensor]] = [[] for _ in rows]
        for index, node in enumerate(nodes):
            active, total = torch.relu(as_rows(node)), None
            for number, gradient in enumerate(rows):
                part = parts[number * ctx.count + index]
                part_gradients[number].append(sum_of_blocks(torch.mm(gradient.t(), active), ctx.pack))
                total = torch.mm(gradient, part) if total is None else total.addmm_(gradient, part)
            node_gradients.append(as_images(torch.ops.aten.threshold_backward(total, active, 0), node))
        return None, None, *node_gradients, *(torch.cat(part, dim=1) for part in part_gradients)


class Layer:
    """A depthwise convolution, a pointwise one and a normalisation, at ``pack`` images a row, with the tensors of one pass."""

    TENSORS = 4

    def __init__(self, tensors: Sequence[Tensor], stride: int, dilation: int, pack: int) -> None:
        depthwise, pointwise, self.weight, self.bias = tensors
        self.depthwise = depthwise if pack == 1 else depthwise.repeat(pack, 1, 1, 1)
        self.pointwise = block_diagonal(pointwise, pack)
        self.stride, self.dilation, self.pack = stride, dilation, pack

    def convolve(self, x: Tensor) -> Tensor:
        """The depthwise convolution."""
        return kernels.depthwise(x, self.depthwise, self.stride, self.dilation)

    def mix(self, inner: Tensor) -> Tensor:
        """The pointwise convolution, as rows."""
        return torch.mm(as_rows(inner), self.pointwise.t())

    def backward(self, gradient: Tensor, x: Tensor, inner: Tensor, y: Tensor, mean: Tensor, rstd: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The gradients of x and of the parameters from that of the normalised rows; ``y``, as rows, is what ``mix`` makes of ``inner``."""
        gradient, weight, bias = normalise_backward(gradient, y, self.weight, mean, rstd, self.pack)
        pointwise = sum_of_blocks(torch.mm(gradient.t(), as_rows(inner)), self.pack)
        gradient = as_images(torch.mm(gradient, self.pointwise), inner)
        depthwise = kernels.depthwise_kernel_gradient(gradient, x, self.depthwise.shape[2], self.stride, self.dilation)
        if self.pack > 1:
            depthwise = depthwise.unflatten(0, (self.pack, -1)).sum(0)
        x_gradient = kernels.depthwise_x_gradient(gradient, self.depthwise, x.shape, self.stride, self.dilation)
        return x_gradient, [depthwise, pointwise, weight, bias]


class Edge:
    """A separable or dilated convolution of a frozen node, as the layers it consists of."""

    def __init__(self, operation: SeparableConv | DilatedConv) -> None:
        modules: list[Any] = list(operation)
        layers = [modules[first : first + 3] for first in range(1, len(modules), 4)]
        self.norms = [norm for _, _, norm in layers]
        self.parameters = [p for depthwise, pointwise, norm in layers for p in (depthwise.weight, pointwise.weight, norm.weight, norm.bias)]
        # A strided dilated convolution is a plain one of every second row and column.
        self.every = modules[1].stride[0] if modules[1].dilation[0] > 1 else 1
        self._strides = [(1, 1) if self.every > 1 else (layer[0].stride[0], layer[0].dilation[0]) for layer in layers]

    def layers(self, tensors: Sequence[Tensor], pack: int) -> list[Layer]:
        parts = [tensors[first : first + Layer.TENSORS] for first in range(0, len(tensors), Layer.TENSORS)]
        return [Layer(part, stride, dilation, pack) for part, (stride, dilation) in zip(parts, self._strides, strict=True)]


class Convolved(torch.autograd.Function):
    """An ``Edge`` over a state [N, pack * C, H, W] after its ReLU, times drop-path's factor [N, pack, 1] or None.

    Kept are, of each layer, the inputs of both convolutions and what comes out of the second.
    """

    @staticmethod
    def forward(ctx: Any, edge: Edge, pack: int, factor: Tensor | None, x: Tensor, *parameters: Tensor) -> Tensor:
        kept: list[Tensor] = []
        rows, inner = as_rows(x), x
        for layer, norm in zip(edge.layers(parameters, pack), edge.norms, strict=True):
            if kept:  # the second half of a separable convolution
                x = as_images(rows.relu_(), inner)
            inner = layer.convolve(x)
            y = layer.mix(inner)
            rows, mean, rstd = normalise(y, norm, layer.weight, layer.bias, pack)
            kept += [x, inner, y, mean, rstd]
        ctx.save_for_backward(*parameters, *kept)
        ctx.edge, ctx.pack, ctx.factor = edge, pack, factor
        return as_images(rows if factor is None else _drop_paths(rows, factor), inner)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        count = len(ctx.edge.parameters)
        parameters, kept = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        layers = ctx.edge.layers(parameters, ctx.pack)
        rows = as_rows(gradient)
        if ctx.factor is not None:
            rows = _drop_paths(rows, ctx.factor, copy=True)
        gradients: list[Tensor] = []
        for index in reversed(range(len(layers))):
            x, inner, y, mean, rstd = kept[5 * index : 5 * index + 5]
            x_gradient, own = layers[index].backward(rows, x, inner, y, mean, rstd)
            gradients = own + gradients
            if index > 0:
                rows = as_rows(torch.ops.aten.threshold_backward(x_gradient, x, 0))
        return None, None, None, x_gradient, *gradients


def _drop_paths(rows: Tensor, factor: Tensor, copy: bool = False) -> Tensor:
    """[P, pack * C] times [N, pack, 1], in place unless ``copy``."""
    by_image = rows.view(factor.shape[0], -1, rows.shape[1])
    factor = factor.expand(-1, -1, rows.shape[1] // factor.shape[1]).flatten(1).unsqueeze(1)
    return (by_image * factor if copy else by_image.mul_(factor)).view_as(rows)


class FrozenCellPass:
    """One forward pass of a frozen cell over its two preprocessed states at ``pack`` images a row."""

    def __init__(self, cell: Cell, pack: int) -> None:
        self.cell, self.pack = cell, pack
        self._active: dict[int, Tensor] = {}
        self._pools: dict[tuple[Any, ...], Tensor] = {}

    def __call__(self, states: list[Tensor]) -> list[Tensor]:
        """The nodes, [N / pack, pack * C, H', W'] each."""
        nodes: Any = self.cell.nodes
        self._states = states
        for node in nodes:
            first, *others = (self._edge(module, source) for source, module in zip(node.sources, node.edges, strict=True))
            for other in others:
                first = first + other
            self._states.append(first)
        return self._states[2:]

    def _edge(self, module: Any, source: int) -> Tensor:
        state = self._states[source]
        if isinstance(module, nn.Identity):
            return state
        operation, path = module
        factor = None
        if path.training and path.p > 0:  # drawn as the path draws it
            factor = path(state.new_ones(state.shape[0] * self.pack, 1, 1, 1)).view(self.pack, -1, 1).transpose(0, 1)
        if isinstance(operation, SeparableConv | DilatedConv):
            edge = Edge(operation)
            x = self._relu(source)
            if edge.every > 1:
                x = x[:, :, :: edge.every, :: edge.every].contiguous(memory_format=torch.channels_last)
            return Convolved.apply(edge, self.pack, factor, x, *edge.parameters)
        x = self._plain(operation, source)
        return x if factor is None else as_images(_drop_paths(as_rows(x), factor, copy=True), x)

    def _relu(self, source: int) -> Tensor:
        if source not in self._active:
            self._active[source] = torch.relu(self._states[source])
        return self._active[source]

    def _plain(self, operation: nn.Module, source: int) -> Tensor:
        """An operation without kernels of its own here; a pool of one state that two nodes read is computed once."""
        if not isinstance(operation, nn.MaxPool2d | nn.AvgPool2d):
            return operation(self._states[source]).contiguous(memory_format=torch.channels_last)
        key = (type(operation), source)
        if key not in self._pools:
            self._pools[key] = operation(self._states[source])
        return self._pools[key]


def runs_fast(space: Any, images: Tensor) -> bool:
    """Whether ``cell_outputs`` may stand for the cells: a network in training on a CPU, images in float32 or more, norms with parameters.

    The supernet's norms have none.
    """
    return (
        space.training
        and images.device.type == "cpu"
        and images.dtype.itemsize > 2
        and all(
            module.affine and module.track_running_stats and module.momentum is not None and module.training
            for module in space.cells.modules()
            if isinstance(module, nn.BatchNorm2d)
        )
    )


def cell_outputs(cells: Iterable[Any], stem: Tensor) -> Iterator[tuple[list[Tensor], int]]:
    """Of one cell after the other the nodes [N / pack, pack * C, H, W], which the plain cells put out side by side, and ``pack``."""
    cells = list(cells)
    packs = [_images_a_row(cell, len(stem)) for cell in cells]
    pack = packs[0]
    nodes = [pack_images(stem, pack)]
    before_last: Tensor | None = None
    for index, cell in enumerate(cells):
        readers: list[tuple[Any, int]] = [(cell.preprocess_1, packs[index])]
        if index == 0:
            readers.append((cell.preprocess_0, pack))
        after: Any = cells[index + 1].preprocess_0 if index + 1 < len(cells) else None
        if isinstance(after, ReluConvNorm):
            readers.append((after, packs[index + 1]))
        last, *others = _read(nodes, pack, readers)
        if index == 0:
            before_last, *others = others
        if after is not None and not others:
            plain = after(torch.cat([unpack_images(node, pack) for node in nodes], dim=1))
            others = [pack_images(plain, packs[index + 1])]
        assert before_last is not None
        pack = packs[index]
        nodes = FrozenCellPass(cell, pack)([before_last, last])
        before_last = others[0] if others else None
        yield nodes, pack


def _images_a_row(cell: Cell, images: int) -> int:
    """One where the cell reduces: its skip connections read images one by one."""
    pack = 1 if cell.reduces else max(1, LANES // cell.channels)
    return pack if images % pack == 0 else 1


def _read(nodes: Sequence[Tensor], pack: int, readers: Sequence[tuple[Any, int]]) -> list[Tensor]:
    """What preprocessing makes of a cell's output, at as many images a row as its cell wants."""
    results = []
    for y, (reader, wanted) in zip(
        Projected.apply(pack, len(nodes), *nodes, *(reader[1].weight for reader, _ in readers)), readers, strict=True
    ):
        norm = reader[2]
        ready = y if wanted == pack else pack_images(unpack_images(y, pack), wanted)
        results.append(Normalised.apply(ready, norm, wanted, norm.weight, norm.bias))
    return results
