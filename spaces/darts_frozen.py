"""The training pass of a frozen cell network by the compiled kernels: the mathematics of the plain modules, in fewer passes over memory.

A cell is one function, whose nodes are written straight into its output, and whose normalisations are carried out by whoever reads what
they normalise. Kept for the backward pass is what the pointwise convolutions put out. Where there are no compiled kernels the plain
modules run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spaces.cell_kernels import Convolution, Pools, convolve, convolve_back, mix, pool, pool_back, products
from spaces.compiled import kernels_for
from spaces.darts_branches import Statistics
from spaces.darts_compiled import nchw, nhwc, nodes_of, norm_rates, settle, state_of
from spaces.darts_operations import DilatedConv, FactorizedReduce, ReluConvNorm, SeparableConv

if TYPE_CHECKING:
    from spaces.darts import Cell


def runs_fast(space: Any, images: Tensor) -> bool:
    """Whether compiled kernels may stand for the cells: a network in training on a CPU, images in float32 or more, norms with parameters.

    The supernet's norms have none. All norms have to forget at one rate.
    """
    return (
        space.training
        and images.device.type == "cpu"
        and images.dtype.itemsize > 2
        and kernels_for(images.dtype) is not None
        and all(norm.affine and norm.track_running_stats and norm.training for norm in space.norms)
        and {norm.momentum for norm in space.norms} == {space.norms[0].momentum}
        and space.norms[0].momentum is not None
    )


class Normed(NamedTuple):
    """What a ``Unit`` puts out: y [N, H, W, 1, C], not normalised, and what normalises it, [1, C] each: ``scale * y + shift``."""

    y: Tensor
    mean: Tensor
    rstd: Tensor
    scale: Tensor
    shift: Tensor


class Sums(NamedTuple):
    """Sums over batch and pixels, [1, C] in float64: of a gradient times y, and of the gradient."""

    of_product: Tensor
    of_gradient: Tensor


class Unit:
    """ReLU, depthwise convolution where there is one, pointwise convolution and normalisation: three or four parameters."""

    def __init__(self, depthwise: nn.Conv2d | None, pointwise: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        self.norm = norm
        self.parameters = [*([] if depthwise is None else [depthwise.weight]), pointwise.weight, norm.weight, norm.bias]
        self._sizes = (1, 1) if depthwise is None else (depthwise.dilation[0], depthwise.stride[0])

    def _convolution(self, parameters: Sequence[Tensor]) -> Convolution:
        *depthwise, pointwise = parameters[:-2]
        taps = depthwise[0].squeeze(1).unsqueeze(0) if depthwise else None
        return Convolution(taps, pointwise.flatten(1).unsqueeze(0), *self._sizes)

    def forward(self, x: Tensor, parameters: Sequence[Tensor], statistics: Statistics, before: Normed | None = None) -> Normed:
        """Of ``x`` [N, H, W, 1, C] or, in its place, of what ``before`` stands for."""
        scale, shift = (None, None) if before is None else (before.scale, before.shift)
        y, sums = convolve(x, self._convolution(parameters), scale, shift)
        weight, bias = parameters[-2:]
        mean, rstd = settle(sums, y, statistics, weight.dtype, [self.norm])
        slope = rstd * weight
        return Normed(y, mean, rstd, slope, bias - mean * slope)

    def backward(
        self, x: Tensor, parameters: Sequence[Tensor], kept: Normed, gradient: Tensor, sums: Sums, before: Normed | None = None, **how: Any
    ) -> tuple[Tensor | None, Sums, list[Tensor]]:
        """From the gradient of what is normalised that of what ``before`` stands for, with its sums, and those of the parameters.

        Without ``before`` the gradient of x goes to ``state_gradient``; ``how`` is what ``convolve_back`` takes besides.
        """
        weight = parameters[-2]
        count = kept.y[..., 0, 0].numel()
        mean, rstd = kept.mean.double(), kept.rstd.double()
        rates, of_weight = norm_rates(sums.of_gradient, sums.of_product, mean, rstd, weight.double(), count, True)
        if before is not None:
            how |= {"scale": before.scale, "shift": before.shift, "want_x": True}
        of_x, of_sums, of_taps, of_matrix = convolve_back(
            x, self._convolution(parameters), gradient, kept.y, rates.to(weight.dtype), **how
        )  # fmt: skip
        assert of_matrix is not None
        own = [*([] if of_taps is None else [of_taps.transpose(0, 1)]), of_matrix[0, :, :, None, None]]
        own += [value.to(weight.dtype)[0] for value in (of_weight, sums.of_gradient)]
        return of_x, Sums(of_sums[:, 1], of_sums[:, 0]), own


class Edge:
    """One pass through an operation of a frozen node: what the node sums up of it is ``factor * (scale * source + shift)``.

    ``tensors`` are its parameters, or what it puts out where it is computed by its own module.
    """

    def __init__(self, source: int, module: Any, states: Sequence[Tensor]) -> None:
        self.source = source
        operation, path = (module, None) if isinstance(module, nn.Identity) else module
        self.stride = getattr(operation, "stride", 1)
        self.kind = type(operation)
        self.units: list[Unit] = []
        if isinstance(operation, SeparableConv | DilatedConv):
            layers: list[Any] = list(operation)
            self.units = [Unit(*layers[first : first + 3]) for first in range(1, len(layers), 4)]
        self.tensors = [parameter for unit in self.units for parameter in unit.parameters]
        if self.kind is FactorizedReduce:
            self.tensors = [operation(states[source])]
        self.factor: Tensor | None = None  # of drop-path, [N], drawn as the path draws it
        if path is not None and path.training and path.p > 0:
            self.factor = path(states[0].new_ones(len(states[0]), 1, 1, 1)).flatten()

    def forward(self, x: Tensor, tensors: Sequence[Tensor], statistics: Statistics) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """What is kept, and the source, its scale and its shift."""
        ones, zeros = x.new_ones(1, x.shape[4]), x.new_zeros(1, x.shape[4])
        if self.kind is nn.Identity:
            return [], x, ones, zeros
        if self.kind is FactorizedReduce:
            return [], nhwc(tensors[0]).contiguous(), ones, zeros
        if not self.units:
            pools = pool(x, self.stride, largest=self.kind is nn.MaxPool2d, mean=self.kind is nn.AvgPool2d)
            kept = [value for value in (pools.largest, pools.mean, pools.index) if value is not None]
            return kept, kept[0], ones, zeros
        before: Normed | None = None
        passes: list[Normed] = []
        for unit, own in self._by_unit(tensors):
            before = unit.forward(x if before is None else before.y, own, statistics, before)
            passes.append(before)
        return [tensor for each in passes for tensor in each], passes[-1].y, passes[-1].scale, passes[-1].shift

    def backward(
        self, x: Tensor, gradient: Tensor, tensors: Sequence[Tensor], kept: Sequence[Tensor], state_gradient: Tensor
    ) -> list[Tensor]:
        """The gradients of ``tensors``; adds to that of the state."""
        if self.kind is nn.Identity:
            state_gradient += gradient
            return []
        if self.kind is FactorizedReduce:
            return [nchw(gradient if self.factor is None else gradient * self.factor.view(-1, 1, 1, 1, 1))]
        if not self.units:
            self._pool_back(gradient, kept, state_gradient)
            return []
        passes = [Normed(*kept[first : first + 5]) for first in range(0, len(kept), 5)]
        sums = Sums(*(value[0] for value in products([passes[-1].y], gradient, None if self.factor is None else self.factor[None])))
        gradients: list[Tensor] = []
        how: dict[str, Any] = {"factor": self.factor}
        of_source: Tensor | None = gradient
        for index, (unit, own) in reversed(list(enumerate(self._by_unit(tensors)))):
            before = passes[index - 1] if index > 0 else None
            source = x if before is None else before.y
            assert of_source is not None
            of_source, sums, of_own = unit.backward(
                source, own, passes[index], of_source, sums, before, **how, state_gradient=None if before else state_gradient
            )
            gradients = of_own + gradients
            how = {}
        return gradients

    def _by_unit(self, tensors: Sequence[Tensor]) -> list[tuple[Unit, Sequence[Tensor]]]:
        result, first = [], 0
        for unit in self.units:
            result.append((unit, tensors[first : first + len(unit.parameters)]))
            first += len(unit.parameters)
        return result

    def _pool_back(self, gradient: Tensor, kept: Sequence[Tensor], state_gradient: Tensor) -> None:
        is_largest, channels = self.kind is nn.MaxPool2d, gradient.shape[4]
        pools = Pools(kept[0], None, kept[1], kept[0]) if is_largest else Pools(None, kept[0], None, kept[0])
        rates = gradient.new_zeros(3, 1, channels)
        rates[0 if is_largest else 1] = 1
        nothing = gradient.new_zeros(2, 2, channels)
        pool_back(pools, self.stride, gradient, rates, nothing, state_gradient, gradient.dtype, factor=self.factor)


class FrozenCell(torch.autograd.Function):
    """A frozen cell from its two preprocessed states [N, C, H, W] on: [N, nodes * C, H', W'].

    ``nodes`` are the edges that each node sums up, ``tensors`` those of all edges.
    """

    @staticmethod
    def forward(
        ctx: Any, nodes: Sequence[Sequence[Edge]], size: Sequence[int], before_last: Tensor, last: Tensor, *tensors: Tensor
    ) -> Tensor:
        statistics = Statistics(True)
        result = last.new_empty(len(last), *size, len(nodes), last.shape[1])
        ctx.nodes, ctx.counts = nodes, []
        saved: list[Tensor] = []
        for index, edges in enumerate(nodes):
            summands = []
            for edge in edges:
                own, tensors = tensors[: len(edge.tensors)], tensors[len(edge.tensors) :]
                kept, *summand = edge.forward(state_of(edge.source, before_last, last, result), own, statistics)
                summands.append(summand)
                own = own if edge.units else ()
                saved += [*own, *kept]
                ctx.counts.append((len(own), len(kept)))
            sources, scales, shifts = zip(*summands, strict=True)
            factors = torch.stack([last.new_ones(len(last)) if edge.factor is None else edge.factor for edge in edges])
            mix(sources, torch.stack(scales), torch.stack(shifts), factors, result[:, :, :, index : index + 1], adds=False)
        statistics.move_running()
        output = result.flatten(3).permute(0, 3, 1, 2)
        ctx.save_for_backward(before_last, last, output, *saved)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        before_last, last, output, *saved = ctx.saved_tensors
        result = nodes_of(output, len(ctx.nodes))
        of_nodes = torch.empty_like(result).copy_(nodes_of(gradient, len(ctx.nodes)))
        of_inputs = [torch.zeros_like(nhwc(state)) for state in (before_last, last)]
        of_tensors: list[Tensor] = []
        counts, end = list(ctx.counts), len(saved)
        for index in reversed(range(len(ctx.nodes))):
            for edge in reversed(ctx.nodes[index]):
                own, kept = counts.pop()
                begin = end - own - kept
                of_state = of_inputs[edge.source] if edge.source < 2 else of_nodes[:, :, :, edge.source - 2 : edge.source - 1]
                x = state_of(edge.source, before_last, last, result)
                of_node = of_nodes[:, :, :, index : index + 1]
                of_tensors = edge.backward(x, of_node, saved[begin : begin + own], saved[begin + own : end], of_state) + of_tensors
                end = begin
        return None, None, *map(nchw, of_inputs), *of_tensors


class ReluConvNormed(torch.autograd.Function):
    """``ReluConvNorm`` of one by one in training: [N, C_in, H, W] -> [N, C, H, W]."""

    @staticmethod
    def forward(ctx: Any, unit: Unit, x: Tensor, *parameters: Tensor) -> Tensor:
        statistics = Statistics(True)
        kept = unit.forward(nhwc(x), parameters, statistics)
        statistics.move_running()
        result = torch.empty_like(kept.y)
        mix([kept.y], kept.scale[None], kept.shift[None], None, result, adds=False)
        ctx.unit = unit
        ctx.save_for_backward(x, *kept, *parameters)
        return nchw(result)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        x, *others = ctx.saved_tensors
        kept, parameters = Normed(*others[:5]), others[5:]
        of_result, of_x = nhwc(gradient.contiguous(memory_format=torch.channels_last)), torch.empty_like(nhwc(x))
        sums = Sums(*(value[0] for value in products([kept.y], of_result)))
        _, _, of_own = ctx.unit.backward(nhwc(x), parameters, kept, of_result, sums, state_gradient=of_x, adds=False)
        return None, nchw(of_x), *of_own


def run_cell(cell: Cell, before_last: Tensor, last: Tensor) -> Tensor:
    """What the frozen ``cell`` makes of the outputs of the two cells before, in training."""
    states = [_preprocessed(module, x) for module, x in ((cell.preprocess_0, before_last), (cell.preprocess_1, last))]
    nodes: Any = cell.nodes
    edges = [[Edge(source, module, states) for source, module in zip(node.sources, node.edges, strict=True)] for node in nodes]
    stride = 2 if cell.reduces else 1
    size = [-(-side // stride) for side in states[1].shape[2:]]
    return FrozenCell.apply(edges, size, *states, *(tensor for node in edges for edge in node for tensor in edge.tensors))


def _preprocessed(module: Any, x: Tensor) -> Tensor:
    x = x.contiguous(memory_format=torch.channels_last)
    if not isinstance(module, ReluConvNorm):
        return module(x).contiguous(memory_format=torch.channels_last)
    layers: list[Any] = list(module)
    unit = Unit(None, *layers[1:])
    return ReluConvNormed.apply(unit, x, *unit.parameters)
