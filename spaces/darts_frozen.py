"""The training pass of a frozen cell network by the compiled kernels: the mathematics of the plain modules, in fewer passes over memory.

A step of such a thin network is bound by memory. So a cell is one function, whose nodes are written straight into its output, and whose
normalisations are carried out by whoever reads what they normalise. Kept for the backward pass is what the pointwise convolutions put out.
Where there are no compiled kernels the plain modules run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spaces.cell_kernels import Convolution, Pools, convolve, convolve_back, mix, pool, pool_back, products
from spaces.compiled import kernels_for
from spaces.darts_branches import Statistics
from spaces.darts_compiled import moments, nhwc, norm_rates, state_of
from spaces.darts_operations import DilatedConv, FactorizedReduce, ReluConvNorm, SeparableConv

if TYPE_CHECKING:
    from spaces.darts import Cell


def runs_fast(space: Any, images: Tensor) -> bool:
    """Whether compiled kernels may stand for the cells: a network in training on a CPU, images in float32 or more, norms with parameters.

    The supernet's norms have none.
    """
    return (
        space.training
        and images.device.type == "cpu"
        and images.dtype.itemsize > 2
        and kernels_for(images.dtype) is not None
        and all(norm.affine and norm.track_running_stats and norm.momentum is not None and norm.training for norm in space.norms)
    )


class Unit:
    """ReLU, depthwise convolution where there is one, pointwise convolution and normalisation: three or four parameters.

    Its output is not normalised; ``scale`` and ``shift`` [1, C], which do that, go with it.
    """

    def __init__(self, depthwise: nn.Conv2d | None, pointwise: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        self.norm = norm
        self.parameters = [*([] if depthwise is None else [depthwise.weight]), pointwise.weight, norm.weight, norm.bias]
        self._sizes = (1, 1) if depthwise is None else (depthwise.dilation[0], depthwise.stride[0])

    def _convolution(self, parameters: Sequence[Tensor]) -> Convolution:
        *depthwise, pointwise = parameters[:-2]
        taps = depthwise[0].squeeze(1).unsqueeze(0) if depthwise else None
        return Convolution(taps, pointwise.flatten(1).unsqueeze(0), *self._sizes)

    def forward(
        self, x: Tensor, parameters: Sequence[Tensor], statistics: Statistics, scale: Tensor | None, shift: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """[N, H, W, 1, C] -> y, its mean and inverse standard deviation [1, C], and the scale and shift that normalise it."""
        y, sums = convolve(x, self._convolution(parameters), scale, shift)
        weight, bias = parameters[-2:]
        count = y[..., 0, 0].numel()
        mean, variance = (value.to(weight.dtype).flatten() for value in moments(sums, count))
        mean, rstd = statistics.settle(mean, variance, count, [self.norm])
        slope = rstd * weight
        return y, mean[None], rstd[None], slope[None], (bias - mean * slope)[None]

    def backward(
        self,
        x: Tensor,
        parameters: Sequence[Tensor],
        gradient: Tensor,
        kept: Sequence[Tensor],
        sums: tuple[Tensor, Tensor],
        *,
        scale: Tensor | None = None,
        shift: Tensor | None = None,
        factor: Tensor | None = None,
        state_gradient: Tensor | None = None,
        adds: bool = True,
    ) -> tuple[Tensor | None, tuple[Tensor, Tensor], list[Tensor]]:
        """From the gradient of what is normalised: that of x, with its sums, unless it goes to ``state_gradient``, and the parameters'.

        ``sums`` [1, C] are those of the gradient times y and of the gradient, as ``products`` gives them.
        """
        y, mean, rstd = kept
        weight = parameters[-2]
        count = y[..., 0, 0].numel()
        rates, of_weight = norm_rates(sums[1], sums[0], mean.double(), rstd.double(), weight.double(), count, True)
        of_x, of_sums, of_taps, of_matrix = convolve_back(
            x, self._convolution(parameters), gradient, y, rates.to(weight.dtype),
            scale=scale, shift=shift, factor=factor, state_gradient=state_gradient, adds=adds, want_x=scale is not None,
        )  # fmt: skip
        assert of_matrix is not None
        own = [*([] if of_taps is None else [of_taps.transpose(0, 1)]), of_matrix[0, :, :, None, None]]
        own += [of_weight.to(weight.dtype)[0], sums[1].to(weight.dtype)[0]]
        return of_x, (of_sums[:, 1], of_sums[:, 0]), own


class Edge:
    """An operation of a frozen node and the state it reads; ``units`` where it is a convolution, ``kind`` tells the others apart."""

    def __init__(self, source: int, module: Any) -> None:
        self.source, self.units = source, []
        self.path: Any = None
        operation = module
        if not isinstance(module, nn.Identity):
            operation, self.path = module
        self.operation = operation
        self.kind = type(operation)
        if isinstance(operation, SeparableConv | DilatedConv):
            layers: list[Any] = list(operation)
            self.units = [Unit(*layers[first : first + 3]) for first in range(1, len(layers), 4)]
        self.parameters = [parameter for unit in self.units for parameter in unit.parameters]

    def factor(self, images: int, like: Tensor) -> Tensor | None:
        """Of drop-path, [N], drawn as the path draws it; ``None`` where none is dropped."""
        if self.path is None or not self.path.training or self.path.p == 0:
            return None
        return self.path(like.new_ones(images, 1, 1, 1)).flatten()


class EdgePass:
    """One pass through an edge: forward what the node sums up, ``factor * (scale * source + shift)``, and back."""

    def __init__(self, edge: Edge, factor: Tensor | None) -> None:
        self.edge, self.factor = edge, factor

    def forward(self, x: Tensor, tensors: Sequence[Tensor], statistics: Statistics) -> tuple[list[Tensor], Tensor | None, Tensor | None]:
        """What is kept, the source first, and its scale and shift [1, C] where there are any."""
        edge = self.edge
        if edge.kind is nn.Identity:
            return [x], None, None
        if edge.kind is FactorizedReduce:
            return [nhwc(tensors[0]).contiguous()], None, None
        if not edge.units:
            pools = pool(x, edge.operation.stride, largest=edge.kind is nn.MaxPool2d, mean=edge.kind is nn.AvgPool2d)
            return [value for value in (pools.largest, pools.mean, pools.index) if value is not None], None, None
        scale = shift = None
        kept: list[Tensor] = []
        first = 0
        for unit in edge.units:
            own = tensors[first : first + len(unit.parameters)]
            first += len(own)
            y, mean, rstd, scale, shift = unit.forward(x, own, statistics, scale, shift)
            kept = [y, mean, rstd, scale, shift, *kept]  # the last unit's first
            x = y
        return kept, scale, shift

    def backward(
        self, x: Tensor, gradient: Tensor, tensors: Sequence[Tensor], kept: Sequence[Tensor], state_gradient: Tensor
    ) -> list[Tensor]:
        """The gradients of ``tensors``; adds to that of the state."""
        edge, factor = self.edge, self.factor
        if edge.kind is nn.Identity:
            state_gradient += gradient
            return []
        if edge.kind is FactorizedReduce:
            of_given = gradient if factor is None else gradient * factor.view(-1, 1, 1, 1, 1)
            return [of_given.squeeze(3).permute(0, 3, 1, 2)]
        if not edge.units:
            return self._pool_back(gradient, kept, state_gradient)
        own_factors = None if factor is None else factor[None]
        of_product, of_gradient = products([kept[0]], gradient, own_factors)
        sums = (of_product[0], of_gradient[0])
        gradients: list[Tensor] = []
        for index in reversed(range(len(edge.units))):
            unit, before = edge.units[index], index > 0
            own = tensors[sum(len(other.parameters) for other in edge.units[:index]) :][: len(unit.parameters)]
            source = kept[5] if before else x
            how: dict[str, Any] = {"scale": kept[8], "shift": kept[9]} if before else {"state_gradient": state_gradient}
            of_x, sums, of_own = unit.backward(source, own, gradient, kept[:3], sums, factor=factor, **how)
            gradients = of_own + gradients
            if of_x is not None:
                gradient, kept, factor = of_x, kept[5:], None
        return gradients

    def _pool_back(self, gradient: Tensor, kept: Sequence[Tensor], state_gradient: Tensor) -> list[Tensor]:
        is_largest = self.edge.kind is nn.MaxPool2d
        pools = Pools(kept[0], None, kept[1], kept[0]) if is_largest else Pools(None, kept[0], None, kept[0])
        rates = gradient.new_zeros(3, 1, gradient.shape[4])
        rates[0 if is_largest else 1] = 1
        nothing = gradient.new_zeros(2, 2, gradient.shape[4])
        dtype, stride = kept[0].dtype, self.edge.operation.stride
        pool_back(pools, stride, gradient, rates, nothing, state_gradient, dtype, factor=self.factor)
        return []


class FrozenCell(torch.autograd.Function):
    """A frozen cell from its two preprocessed states [N, C, H, W] on: [N, nodes * C, H', W'].

    ``tensors`` are, edge by edge, the parameters of its convolutions, or what its ``FactorizedReduce`` puts out.
    """

    @staticmethod
    def forward(
        ctx: Any, passes: Sequence[Sequence[EdgePass]], height: int, width: int, before_last: Tensor, last: Tensor, *tensors: Tensor
    ) -> Tensor:
        statistics, kept, counts = Statistics(True), [], []
        images, channels = last.shape[:2]
        nodes = last.new_empty(images, height, width, len(passes), channels)
        for index, node in enumerate(passes):
            sources, scales, shifts = [], [], []
            for edge in node:
                own, tensors = tensors[: _tensors_of(edge)], tensors[_tensors_of(edge) :]
                of_edge, scale, shift = edge.forward(state_of(edge.edge.source, before_last, last, nodes), own, statistics)
                sources.append(of_edge[0])
                scales.append(last.new_ones(1, channels) if scale is None else scale)
                shifts.append(last.new_zeros(1, channels) if shift is None else shift)
                of_edge = [] if edge.edge.kind is nn.Identity else of_edge
                kept += of_edge
                counts.append(len(of_edge))
            factors = [last.new_ones(images) if edge.factor is None else edge.factor for edge in node]
            mix(sources, torch.stack(scales), torch.stack(shifts), torch.stack(factors), nodes[:, :, :, index : index + 1], adds=False)
        statistics.move_running()
        output = nodes.flatten(3).permute(0, 3, 1, 2)
        ctx.passes, ctx.counts = passes, counts
        ctx.save_for_backward(before_last, last, output, *kept)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        before_last, last, output, *kept = ctx.saved_tensors
        nodes = output.permute(0, 2, 3, 1).unflatten(3, (len(ctx.passes), -1))
        of_nodes = torch.empty_like(nodes).copy_(gradient.permute(0, 2, 3, 1).unflatten(3, (len(ctx.passes), -1)))
        of_inputs = [torch.zeros_like(nhwc(state)) for state in (before_last, last)]
        of_tensors: list[Tensor] = []
        counts = list(ctx.counts)
        for index in reversed(range(len(ctx.passes))):
            for edge in reversed(ctx.passes[index]):
                count = counts.pop()
                of_edge, kept = kept[len(kept) - count :], kept[: len(kept) - count]
                source = edge.edge.source
                of_state = of_inputs[source] if source < 2 else of_nodes[:, :, :, source - 2 : source - 1]
                x = state_of(source, before_last, last, nodes)
                of_tensors = edge.backward(x, of_nodes[:, :, :, index : index + 1], edge.edge.parameters, of_edge, of_state) + of_tensors
        return None, None, None, *(state.squeeze(3).permute(0, 3, 1, 2) for state in of_inputs), *of_tensors


def _tensors_of(edge: EdgePass) -> int:
    return 1 if edge.edge.kind is FactorizedReduce else len(edge.edge.parameters)


class ReluConvNormed(torch.autograd.Function):
    """``ReluConvNorm`` of one by one in training: [N, C_in, H, W] -> [N, C, H, W]."""

    @staticmethod
    def forward(ctx: Any, unit: Unit, x: Tensor, *parameters: Tensor) -> Tensor:
        statistics = Statistics(True)
        y, mean, rstd, scale, shift = unit.forward(nhwc(x), parameters, statistics, None, None)
        statistics.move_running()
        result = torch.empty_like(y)
        mix([y], scale[None], shift[None], None, result, adds=False)
        ctx.unit = unit
        ctx.save_for_backward(x, y, mean, rstd, *parameters)
        return result.squeeze(3).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        x, y, mean, rstd, *parameters = ctx.saved_tensors
        of_result, of_x = nhwc(gradient.contiguous(memory_format=torch.channels_last)), torch.empty_like(nhwc(x))
        of_product, of_gradient = products([y], of_result)
        sums = (of_product[0], of_gradient[0])
        _, _, of_own = ctx.unit.backward(nhwc(x), parameters, of_result, (y, mean, rstd), sums, state_gradient=of_x, adds=False)
        return None, of_x.squeeze(3).permute(0, 3, 1, 2), *of_own


def run_cell(cell: Cell, before_last: Tensor, last: Tensor) -> Tensor:
    """What the frozen ``cell`` makes of the outputs of the two cells before, in training."""
    states = [_preprocessed(module, x) for module, x in ((cell.preprocess_0, before_last), (cell.preprocess_1, last))]
    nodes: Any = cell.nodes
    passes: list[list[EdgePass]] = []
    tensors: list[Tensor] = []
    for node in nodes:
        passes.append([])
        for source, module in zip(node.sources, node.edges, strict=True):
            edge = Edge(source, module)
            passes[-1].append(EdgePass(edge, edge.factor(len(last), last)))
            tensors += [edge.operation(states[source])] if edge.kind is FactorizedReduce else edge.parameters
    stride = 2 if cell.reduces else 1
    height, width = (-(-side // stride) for side in states[1].shape[2:])
    return FrozenCell.apply(passes, height, width, *states, *tensors)


def _preprocessed(module: Any, x: Tensor) -> Tensor:
    x = x.contiguous(memory_format=torch.channels_last)
    if not isinstance(module, ReluConvNorm):
        return module(x).contiguous(memory_format=torch.channels_last)
    layers: list[Any] = list(module)
    unit = Unit(None, *layers[1:])
    return ReluConvNormed.apply(unit, x, *unit.parameters)
