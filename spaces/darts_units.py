"""Convolutions with their normalisations by the compiled kernels, forward and backward, as the training pass of a frozen cell runs them.

What a unit puts out is not normalised: whoever reads it multiplies and adds, ``scale`` and ``shift``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spaces import cell_kernels
from spaces.cell_kernels import Convolution, convolve, convolve_back, products
from spaces.darts_operations import FactorizedReduce


class Normed(NamedTuple):
    """What a ``Unit`` puts out: y [N, H, W, 1, C], not normalised, and ``values`` [4, C], as ``settle`` gives them."""

    y: Tensor
    values: Tensor

    @property
    def scale(self) -> Tensor:
        return self.values[2:3]

    @property
    def shift(self) -> Tensor:
        return self.values[3:4]


class Sums(NamedTuple):
    """Sums over batch and pixels, C numbers in float64: of a gradient, and of a gradient times y."""

    of_gradient: Tensor
    of_product: Tensor


def sums_of(normed: Normed, gradient: Tensor, factor: Tensor | None = None) -> Sums:
    of_product, of_gradient = products([normed.y], gradient, None if factor is None else factor[None])
    return Sums(of_gradient, of_product)


class Unit:
    """ReLU, depthwise convolution where there is one, pointwise convolution and normalisation: three or four parameters."""

    edges = 1  # of the kernels: into so many groups of channels a pointwise convolution is divided, each with an input of its own

    def __init__(self, depthwise: nn.Conv2d | None, pointwise: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        self.norm = norm
        self.parameters = [*([] if depthwise is None else [depthwise.weight]), pointwise.weight, norm.weight, norm.bias]
        self._sizes = (1, 1) if depthwise is None else (depthwise.dilation[0], depthwise.stride[0])

    def forward(self, x: Tensor, parameters: Sequence[Tensor], before: Normed | None = None) -> Normed:
        """Of ``x`` [N, H, W, 1, C_in] or, in its place, of what ``before`` stands for."""
        scale, shift = (None, None) if before is None else (before.scale, before.shift)
        y, sums = convolve(x, self._convolution(parameters), scale, shift)
        return Normed(y, self.settle(y, sums, parameters))

    def backward(
        self, x: Tensor, parameters: Sequence[Tensor], kept: Normed, gradient: Tensor, sums: Sums, before: Normed | None = None, **how: Any
    ) -> tuple[Tensor | None, Sums, list[Tensor]]:
        """From the gradient of what is normalised that of what ``before`` stands for, with its sums, and those of the parameters.

        Without ``before`` the gradient of x goes to ``state_gradient``; ``how`` is what ``convolve_back`` takes besides.
        """
        rates, *of_norm = self.settle_back(parameters, kept, sums)
        if before is not None:
            how |= {"scale": before.scale, "shift": before.shift, "want_x": True}
        of_x, of_sums, of_taps, of_matrix = convolve_back(x, self._convolution(parameters), gradient, kept.y, rates, **how)
        assert of_matrix is not None
        own = [*([] if of_taps is None else [of_taps.transpose(0, 1)]), of_matrix[0, :, :, None, None]]
        return of_x, Sums(of_sums[0, 0], of_sums[0, 1]), [*own, *of_norm]

    def _convolution(self, parameters: Sequence[Tensor]) -> Convolution:
        *depthwise, pointwise = parameters[:-2]
        taps = depthwise[0].squeeze(1).unsqueeze(0) if depthwise else None
        return Convolution(taps, pointwise.flatten(1).unsqueeze(0), *self._sizes)

    def settle(self, y: Tensor, sums: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """The ``values`` of ``Normed`` from the ``sums`` that ``convolve`` gives; moves the running statistics."""
        norm: Any = self.norm
        running, (weight, bias) = (norm.running_mean, norm.running_var), parameters[-2:]
        return cell_kernels.settle(sums, y[..., 0, 0].numel(), weight, bias, running, norm.eps, norm.momentum)

    def settle_back(self, parameters: Sequence[Tensor], kept: Normed, sums: Sums) -> tuple[Tensor, Tensor, Tensor]:
        """The rates that ``convolve_back`` wants, and the gradients of the norm's weight and bias."""
        count, weight = kept.y[..., 0, 0].numel(), parameters[-2]
        rates, of_weight = cell_kernels.settle_back(kept.values, count, self.edges, weight, *sums)
        return rates, of_weight, sums.of_gradient.to(weight.dtype)


class CornersUnit(Unit):
    """``FactorizedReduce``: of an image two smaller ones, its even pixels and its odd ones, half of the channels from each."""

    edges = 2

    def __init__(self, module: FactorizedReduce) -> None:
        self.norm = module.norm
        self.parameters = [module.conv_1.weight, module.conv_2.weight, module.norm.weight, module.norm.bias]

    def forward(self, x: Tensor, parameters: Sequence[Tensor], before: Normed | None = None) -> Normed:
        corners = _corners(x)
        y = x.new_empty(*corners.shape[:3], 2, len(parameters[0]))
        _, sums = convolve(corners, self._convolution(parameters), y=y)
        return Normed(y.flatten(3).unsqueeze(3), self.settle(y, sums, parameters))

    def backward(
        self, x: Tensor, parameters: Sequence[Tensor], kept: Normed, gradient: Tensor, sums: Sums, before: Normed | None = None, **how: Any
    ) -> tuple[Tensor | None, Sums, list[Tensor]]:
        rates, *of_norm = self.settle_back(parameters, kept, sums)
        state_gradient, adds = how.pop("state_gradient"), how.pop("adds", True)
        of_halves, halves = (tensor.squeeze(3).unflatten(3, (2, -1)) for tensor in (gradient, kept.y))
        of_corners, _, _, of_matrix = convolve_back(
            _corners(x), self._convolution(parameters), of_halves, halves, rates, want_x=True, **how
        )
        assert of_corners is not None and of_matrix is not None
        if not adds:
            state_gradient.zero_()
        _add_corners(of_corners, state_gradient)
        return None, sums, [*of_matrix[..., None, None], *of_norm]

    def _convolution(self, parameters: Sequence[Tensor]) -> Convolution:
        return Convolution(None, torch.stack(list(parameters[:2])).flatten(2))


def _corners(x: Tensor) -> Tensor:
    """[N, H, W, 1, C] -> [N, ceil(H / 2), ceil(W / 2), 2, C]: pixels of even rows and columns, and of odd ones, or zeros."""
    images, height, width, _, channels = x.shape
    result = x.new_empty(images, 2, -(-height // 2), -(-width // 2), channels)
    result[:, 0] = x[:, ::2, ::2, 0]
    if height % 2 or width % 2:
        result[:, 1].zero_()
    result[:, 1, : height // 2, : width // 2] = x[:, 1::2, 1::2, 0]
    return result.permute(0, 2, 3, 1, 4)


def _add_corners(of_corners: Tensor, state_gradient: Tensor) -> None:
    state = state_gradient[..., 0, :]
    state[:, ::2, ::2] += of_corners[..., 0, :]
    state[:, 1::2, 1::2] += of_corners[:, : state.shape[1] // 2, : state.shape[2] // 2, 1]
