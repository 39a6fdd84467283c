"""A DARTS cell of a search by the compiled kernels: the mathematics of ``fan``, in fewer passes over memory.

What a state's edges put out goes straight into the nodes, which are slices of the cell's output; normalisations are never carried out by
themselves, but by whoever reads what they normalise, forward and backward. Kept for the backward pass is what the pointwise convolutions
put out, and the pools.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.calls import real_of
from kernels.convolutions import Convolution, convolve, convolve_back
from kernels.layout import add_corners, corners_of, count_of, nchw, nhwc, nodes_of, on_edges, state_of
from kernels.pools import Pools, pool, pool_back
from kernels.sums import mix, products
from spaces.darts.supernet.batch_statistics import Statistics
from spaces.darts.supernet.branches import Dilated, Factorized, Separable
from spaces.darts.supernet.fan import Fan


def settle(
    sums: Tensor, y: Tensor, statistics: Statistics, dtype: torch.dtype, norms: Sequence[Any], others: Sequence[Sequence[Any]] = ()
) -> tuple[Tensor, Tensor]:
    """Return mean and inverse standard deviation [edges, C], in ``dtype``, by which ``norms`` normalise ``y``.

    Parameters
    ----------
    sums
        [edges, 2, C]: of y and of its squares.
    y
        [N, H, W, edges, C].
    statistics, norms, others
        As in ``Statistics.measure``.
    dtype
        Of the result.
    """
    count = count_of(y)
    mean = variance = None
    if statistics.of_batch:
        exact = sums[:, 0] / count
        mean = exact.to(dtype).flatten()
        variance = (sums[:, 1] / count - exact.square()).clamp_(min=0).to(dtype).flatten()
    mean, rstd = statistics.settle(mean, variance, count, norms, others)
    return mean.view(len(sums), -1), rstd.view(len(sums), -1)


def norm_rates(
    of_gradient: Tensor, of_product: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | float, count: int, of_batch: bool
) -> tuple[Tensor, Tensor]:
    """Return how the gradient of y follows from that, g, of z = (y - mean) * rstd * weight, as ``convolve_back`` wants it.

    As the kernel ``batch_norm_back``, but of many operations at once, with the weights that the search gives them.

    Parameters
    ----------
    of_gradient, of_product
        Sums of g and of g * y over ``count`` values, [..., C].
    mean, rstd, weight
        [..., C].
    count
        How many values a channel has.
    of_batch
        Whether mean and rstd are those of the batch.

    Returns
    -------
    rates
        [..., 3, C]: the gradient is rate 0 times g plus rate 1 times y plus rate 2.
    of_weight
        [..., C]: the sums of g times z / weight, which are the gradient of the weight.
    """
    of_weight = (of_product - mean * of_gradient) * rstd
    slope = rstd * weight
    if not of_batch:
        return torch.stack([slope, torch.zeros_like(slope), torch.zeros_like(slope)], dim=-2), of_weight
    bend = slope * rstd * of_weight / -count
    return torch.stack([slope, bend, slope * of_gradient / -count - bend * mean], dim=-2), of_weight


class CompiledFan:
    """One pass, forward and backward, over all edges that leave one state."""

    def __init__(self, fan: Fan, statistics: Statistics, real: torch.dtype) -> None:
        self.fan, self.statistics, self.real = fan, statistics, real
        self.has_pools = fan.parameter_free.number_kept > 0
        self.kept_of_branch = [_KEPT[type(branch)] for branch in fan.branches]
        self.columns = [fan.names.index(branch.name) for branch in fan.branches] + fan.parameter_free.columns

    def forward(self, x: Tensor, weights: Tensor, parameters: Sequence[Tensor], nodes: Tensor, adds: bool) -> list[Any]:
        """Put the mixtures of state ``x`` [N, H, W, 1, C] into ``nodes`` [N, H', W', edges, C], or add them, and return what is kept."""
        fan, edges = self.fan, len(weights)
        kept: list[Any] = []
        sources, norms = [], []
        first = 0
        for branch in fan.branches:
            own = parameters[first : first + branch.number_of_parameters]
            first += branch.number_of_parameters
            of_branch, sums = self._convolve(branch, x, own)
            mean, rstd = settle(sums, of_branch[0], self.statistics, self.real, branch.norms)
            kept += of_branch
            sources.append(of_branch[0])
            norms.append((mean, rstd))
        pools = pool(x, fan.stride) if self.has_pools else Pools(None, None, None)
        norms += zip(*self._settle_pools(pools, edges), strict=True) if self.has_pools else []
        means, rstds = (torch.stack(values) for values in zip(*norms, strict=True))
        shared = self._shared(pools, x)
        scale = weights.t()[self.columns].unsqueeze(2).repeat(1, 1, x.shape[4])  # of the identity, which is not normalised, as it is
        scale[: len(rstds)] *= rstds
        shift = torch.zeros_like(scale)
        shift[: len(means)] = -means * scale[: len(means)]
        mix([*sources, *(on_edges(source, edges) for source in shared)], scale, shift, None, nodes, adds=adds)
        return [weights, means, rstds, pools.largest, pools.mean, pools.index, *kept]

    def backward(
        self, x: Tensor, gradient: Tensor, kept: Sequence[Tensor], state_gradient: Tensor | None, learns: bool
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return the gradients of the weights [edges, operations] and of the parameters, and add to that of the state.

        Parameters
        ----------
        x
            The state, [N, H, W, 1, C].
        gradient
            Of the nodes, [N, H', W', edges, C].
        kept
            What ``forward`` returned.
        state_gradient
            [N, H, W, 1, C]; ``None``: it is not wanted.
        learns
            Whether the gradients of the parameters are wanted.
        """
        fan, of_batch = self.fan, self.statistics.of_batch
        weights, means, rstds, largest, average, index, *kept = kept
        pools = Pools(largest, average, index)
        shared = self._shared(pools, x)
        edges, count = len(weights), count_of(gradient)
        of_branches, position = [], 0
        for number in self.kept_of_branch:
            of_branches.append(kept[position : position + number])
            position += number
        sources = [*(own[0] for own in of_branches), *(on_edges(source, edges) for source in shared)]
        of_product, of_gradient = products(sources, gradient)
        normed, columns = len(means), weights.t()[self.columns].unsqueeze(2)
        exact, of_weight = norm_rates(of_gradient[:normed], of_product[:normed], means.double(), rstds, columns[:normed], count, of_batch)
        rates = exact.to(self.real)
        weights_gradient = torch.zeros_like(weights)
        weights_gradient[:, self.columns] = torch.cat([of_weight, of_product[normed:]]).sum(2).t().to(self.real)
        gradients: list[Tensor | None] = []
        if state_gradient is None and not learns:
            return weights_gradient, gradients
        for branch, own, rate in zip(fan.branches, of_branches, rates, strict=False):
            gradients += self._convolve_back(branch, x, gradient, own, rate, state_gradient, learns)
        if state_gradient is not None and self.has_pools:
            of_pools = rates[len(of_branches) :]
            through = torch.cat([of_pools[:, :, 0], columns[normed:].expand(-1, -1, x.shape[4])])
            if fan.stride > 1:
                through = torch.cat([through, torch.zeros_like(through[:1])])
            tails = of_pools[:, :, 1:].sum(1)
            pool_back(pools, fan.stride, gradient, through, tails, state_gradient, x.dtype, identity=fan.stride == 1)
        return weights_gradient, gradients

    def _shared(self, pools: Pools, x: Tensor) -> list[Tensor]:
        """Return what the edges read without a convolution of their own: the pools of the state, and itself."""
        return [each for each in (pools.largest, pools.mean, x if self.has_pools and self.fan.stride == 1 else None) if each is not None]

    def _settle_pools(self, pools: Pools, edges: int) -> tuple[Tensor, Tensor]:
        """Return mean and inverse standard deviation [2, edges, C] of both pools."""
        assert pools.mean is not None and pools.sums is not None
        norms = self.fan.parameter_free.norms
        if self.statistics.of_batch:
            measured = settle(pools.sums, pools.mean, self.statistics, self.real, norms[0], norms[1:])
            mean, rstd = (value[:, None].expand(-1, edges, -1) for value in measured)
            return mean, rstd
        each = [settle(pools.sums, pools.mean, self.statistics, self.real, of_edge) for of_edge in norms]  # those of the edges may differ
        mean, rstd = (torch.stack(values, dim=1) for values in zip(*each, strict=True))
        return mean, rstd

    def _convolve(self, branch: Any, x: Tensor, parameters: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Return what is kept of a branch, its output first, and the sums of that."""
        edges = branch.edges
        if isinstance(branch, Factorized):
            matrix = branch.pack(parameters, self.real)[0].view(edges, -1, 2 * x.shape[4])
            corners = corners_of(x).flatten(3).unsqueeze(3)
            y, sums = convolve(on_edges(corners, edges), Convolution(None, matrix))
            return [y, corners, matrix], sums
        packed = [torch.stack(list(parameters[first : first + edges])).squeeze(2) for first in range(0, len(parameters), edges)]
        packed[1::2] = [matrix.flatten(2) for matrix in packed[1::2]]
        y, sums = convolve(on_edges(x, edges), _first_convolution(branch, packed))
        if isinstance(branch, Dilated):
            return [y, *packed], sums
        mean, rstd = settle(sums, y, self.statistics, self.real, branch.hidden_norms)
        scale, shift = rstd.contiguous(), -mean * rstd
        output, sums = convolve(y, Convolution(packed[2], packed[3]), scale, shift)
        return [output, y, mean, scale, shift, *packed], sums

    def _convolve_back(
        self, branch: Any, x: Tensor, gradient: Tensor, kept: Sequence[Tensor], rates: Tensor, state_gradient: Tensor | None, learns: bool
    ) -> list[Tensor | None]:
        """Return the gradients of a branch's parameters, in the order of ``branch.parameters()``."""
        edges = branch.edges
        if isinstance(branch, Factorized):
            y, corners, matrix = kept
            of_corners = None if state_gradient is None else torch.empty_like(corners, dtype=self.real)
            convolution = Convolution(None, matrix)
            _, _, _, of_matrix = convolve_back(
                *(on_edges(corners, edges), convolution, gradient, y, rates), state_gradient=of_corners, adds=False, want_kernels=learns
            )
            if state_gradient is not None and of_corners is not None:
                add_corners(of_corners.squeeze(3).unflatten(3, (2, -1)), state_gradient)
            return [] if of_matrix is None else list(branch.unpack([of_matrix.flatten(0, 1)[:, :, None, None]], self.real))
        packed: list[Tensor | None] = []
        y, *kept = kept
        if isinstance(branch, Separable):
            hidden, mean, scale, shift, *kept = kept
            second = Convolution(kept[2], kept[3])
            of_hidden, sums, *packed = convolve_back(
                hidden, second, gradient, y, rates, scale=scale, shift=shift, want_x=True, want_kernels=learns
            )
            assert of_hidden is not None
            count = count_of(hidden)
            rates, _ = norm_rates(sums[:, 0], sums[:, 1], mean.double(), scale.double(), 1.0, count, self.statistics.of_batch)
            gradient, y, rates = of_hidden, hidden, rates.to(self.real)
        first = _first_convolution(branch, kept)
        _, _, *others = convolve_back(on_edges(x, edges), first, gradient, y, rates, state_gradient=state_gradient, want_kernels=learns)
        return [part for of_kernel in (*others, *packed) if of_kernel is not None for part in _as_torch_has_it(of_kernel)]


_KEPT = {Separable: 9, Dilated: 3, Factorized: 3}  # tensors


def _first_convolution(branch: Any, packed: Sequence[Tensor]) -> Convolution:
    """Return what a separable or dilated branch does with the state itself."""
    return Convolution(packed[0], packed[1], 2 if isinstance(branch, Dilated) else 1, branch.stride)


def _as_torch_has_it(of_kernels: Tensor) -> list[Tensor]:
    """Return the gradients of the edges' own kernels, [C, 1, k, k] or [C_out, C_in, 1, 1]."""
    return list(of_kernels.unsqueeze(2) if of_kernels.dim() == 4 else of_kernels[..., None, None])


class CompiledCell(torch.autograd.Function):
    """The arithmetic of a cell of ``all_fans`` from its two preprocessed states [N, C, H, W] on.

    ``tensors`` are the mixing weights [edges, operations] of every fan, and then the fans' parameters.
    """

    @staticmethod
    def forward(ctx: Any, all_fans: Sequence[Fan], statistics: Statistics, before_last: Tensor, last: Tensor, *tensors: Tensor) -> Tensor:
        number = len(all_fans)
        real = real_of(last.dtype)
        fans = [CompiledFan(fan, statistics, real) for fan in all_fans]
        mixing, parameters = tensors[:number], list(tensors[number:])
        images, channels, height, width = last.shape
        stride = all_fans[0].stride
        nodes = last.new_empty(images, -(-height // stride), -(-width // stride), number - 1, channels)
        kept: list[Tensor] = []
        counts, of_parameters = [], []
        for index, fan in enumerate(fans):
            x = state_of(index, before_last, last, nodes)
            own = parameters[: sum(branch.number_of_parameters for branch in fan.fan.branches)]
            parameters = parameters[len(own) :]
            of_fan = fan.forward(x, mixing[index].to(real).contiguous(), own, nodes[:, :, :, max(0, index - 1) :], index > 0)
            kept += of_fan
            counts.append(len(of_fan))
            of_parameters.append(len(own))
        output = nodes.flatten(3).permute(0, 3, 1, 2)
        ctx.save_for_backward(before_last, last, output, *kept)
        ctx.fans, ctx.counts, ctx.of_parameters, ctx.real = fans, counts, of_parameters, real
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        fans: list[CompiledFan] = ctx.fans
        before_last, last, output, *kept = ctx.saved_tensors
        number, learns = len(fans), any(ctx.needs_input_grad[4 + len(fans) :])
        nodes = nodes_of(output, number - 1)
        of_nodes = torch.empty(nodes.shape, dtype=ctx.real).copy_(nodes_of(gradient, number - 1))
        of_states: list[Tensor | None] = [
            torch.zeros(nhwc(state).shape, dtype=ctx.real) if wanted else None
            for state, wanted in zip((before_last, last), ctx.needs_input_grad[2:4], strict=True)
        ]
        of_mixing, of_parameters = [], []
        for index in reversed(range(number)):
            of_state = of_states[index] if index < 2 else of_nodes[:, :, :, index - 2 : index - 1]
            first = sum(ctx.counts[:index])
            of_fan = kept[first : first + ctx.counts[index]]
            x = state_of(index, before_last, last, nodes)
            of_weights, of_own = fans[index].backward(x, of_nodes[:, :, :, max(0, index - 1) :], of_fan, of_state, learns)
            of_mixing.append(of_weights)
            of_parameters.append(of_own or ctx.of_parameters[index] * [None])
        states = [None if state is None else nchw(state).to(last.dtype) for state in of_states]
        return None, None, *states, *reversed(of_mixing), *(part for own in reversed(of_parameters) for part in own)
