"""Convolutions with their normalisations by the compiled kernels, forward and backward, as the training pass of a frozen cell runs them.

What a unit puts out is not normalised: whoever reads it multiplies and adds, ``scale`` and ``shift``. Parameters are passed in beside the
unit that has them, as autograd gives them back in the backward pass: it notices where they were changed in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kernels.convolutions import Convolution, convolve, convolve_back
from kernels.layout import add_corners, corners_of, count_of
from kernels.norms import batch_norm, batch_norm_back
from kernels.sums import products
from spaces.darts.operations import FactorizedReduce


class Normed(NamedTuple):
    """What a ``Unit`` puts out: y [N, H, W, 1, C], not normalised, and what normalises it, [4, C], as ``batch_norm`` gives it."""

    y: Tensor
    norm: Tensor

    @property
    def scale(self) -> Tensor:
        """By what y is multiplied, [1, C]."""
        return self.norm[2:3]

    @property
    def shift(self) -> Tensor:
        """What is added then, [1, C]."""
        return self.norm[3:4]


class Sums(NamedTuple):
    """Sums over batch and pixels, [C] in float64: of a gradient, and of a gradient times y."""

    of_gradient: Tensor
    of_product: Tensor


def sums_of(normed: Normed, gradient: Tensor, factor: Tensor | None = None) -> Sums:
    """Return the sums of ``factor * gradient``, where ``factor`` [N] is that of drop-path."""
    of_product, of_gradient = products([normed.y], gradient, None if factor is None else factor[None])
    return Sums(of_gradient[0, 0], of_product[0, 0])


def with_their_own(owners: Sequence[Any], parameters: Sequence[Tensor]) -> Iterator[tuple[Any, Sequence[Tensor]]]:
    """Yield each of the ``owners`` with as many of the ``parameters`` as it has."""
    for owner in owners:
        yield owner, parameters[: len(owner.parameters)]
        parameters = parameters[len(owner.parameters) :]


@lru_cache(maxsize=64)
def rows(dtype: torch.dtype, channels: int, *values: float) -> Tensor:
    """Return a row of ``channels`` equal numbers for each value: [values, 1, channels], to be read alone."""
    return torch.tensor(values, dtype=dtype).view(-1, 1, 1).repeat(1, 1, channels)


class Normalisation:
    """A batch normalisation in training; the one of a supernet, which has no parameters, scales by 1 and shifts by 0.

    Attributes
    ----------
    parameters
        Weight and bias [C], the last two; constants where the normalisation has none.
    """

    edges = 1  # of the kernels: into so many groups the channels are divided

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        running: Any = norm.running_mean
        self.norm: Any = norm
        ones, zeros = rows(running.dtype, norm.num_features, 1, 0).squeeze(1)
        self.parameters = [norm.weight, norm.bias] if norm.affine else [ones, zeros]

    def normalisation(self, sums: Tensor, count: int, parameters: Sequence[Tensor]) -> Tensor:
        """Move the running statistics, and return what normalises ``count`` values of these ``sums``, as ``batch_norm`` gives it."""
        weight, bias = parameters[-2:]
        running = self.norm.running_mean, self.norm.running_var
        return batch_norm(sums, count, weight, bias, running, self.norm.eps, self.norm.momentum)

    def normalisation_back(self, parameters: Sequence[Tensor], norm: Tensor, count: int, sums: Sums) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rates that ``convolve_back`` wants, and the gradients of weight and bias."""
        weight = parameters[-2]
        rates, of_weight = batch_norm_back(norm, count, self.edges, weight, *sums)
        return rates, of_weight, sums.of_gradient.to(weight.dtype)


class Unit(Normalisation):
    """ReLU, depthwise convolution where there is one, pointwise convolution and normalisation: three or four parameters."""

    def __init__(self, depthwise: nn.Conv2d | None, pointwise: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__(norm)
        self.parameters = [*([] if depthwise is None else [depthwise.weight]), pointwise.weight, *self.parameters]
        self._sizes = (1, 1) if depthwise is None else (depthwise.dilation[0], depthwise.stride[0])

    def forward(self, x: Tensor, parameters: Sequence[Tensor], before: Normed | None = None) -> Normed:
        """Return what the unit puts out, of ``x`` [N, H, W, 1, C_in] or, in its place, of what ``before`` stands for."""
        scale, shift = (None, None) if before is None else (before.scale, before.shift)
        y, sums = convolve(x, self._convolution(parameters), scale, shift)
        return Normed(y, self.normalisation(sums, count_of(y), parameters))

    def backward(
        self, x: Tensor, parameters: Sequence[Tensor], kept: Normed, gradient: Tensor, sums: Sums, before: Normed | None = None, *,
        factor: Tensor | None = None, state_gradient: Tensor | None = None, adds: bool = True, learns: bool = True,
    ) -> tuple[Tensor | None, Sums, list[Tensor | None]]:  # fmt: skip
        """Return the gradient of what ``before`` stands for, with its sums, and the gradients of the parameters.

        Without ``before`` the first two say nothing, and ``state_gradient`` gets the gradient of x.

        Parameters
        ----------
        x, parameters, before
            As ``forward`` had them.
        kept
            What it returned.
        gradient, sums
            Of what is normalised, but for ``factor``; and the sums with it.
        factor
            [N]; ``None``: 1.
        state_gradient, adds
            Where the gradient of x goes, and whether it is added there or put there.
        learns
            Whether the gradients of the kernels are wanted.
        """
        rates, *of_norm = self.normalisation_back(parameters, kept.norm, count_of(kept.y), sums)
        scale, shift = (None, None) if before is None else (before.scale, before.shift)
        how: dict[str, Any] = {"scale": scale, "shift": shift, "factor": factor, "state_gradient": state_gradient, "adds": adds}
        of_x, of_sums, *of_both = convolve_back(
            x, self._convolution(parameters), gradient, kept.y, rates, want_x=before is not None, want_kernels=learns, **how
        )
        kernels = parameters[:-2]
        own = [None if each is None else each.view(kernel.shape) for each, kernel in zip(of_both[-len(kernels) :], kernels, strict=True)]
        return of_x, Sums(*of_sums[0].unbind()), [*own, *of_norm]

    def _convolution(self, parameters: Sequence[Tensor]) -> Convolution:
        *depthwise, pointwise = parameters[:-2]
        taps = depthwise[0].reshape(1, -1, *depthwise[0].shape[2:]) if depthwise else None
        return Convolution(taps, pointwise.reshape(1, *pointwise.shape[:2]), *self._sizes)


class CornersUnit(Unit):
    """``FactorizedReduce``, which reads a state: half of its channels from the even pixels, half from the odd ones, side by side."""

    edges = 2  # each half of the pointwise convolution has an input of its own

    def __init__(self, module: FactorizedReduce) -> None:
        Normalisation.__init__(self, module.norm)
        self.parameters = [module.conv_1.weight, module.conv_2.weight, *self.parameters]

    def forward(self, x: Tensor, parameters: Sequence[Tensor], before: Normed | None = None) -> Normed:
        assert before is None
        corners = corners_of(x)
        y = x.new_empty(*corners.shape[:3], 2, len(parameters[0]))
        _, sums = convolve(corners, self._convolution(parameters), y=y)
        return Normed(y.flatten(3).unsqueeze(3), self.normalisation(sums, count_of(y), parameters))

    def backward(
        self, x: Tensor, parameters: Sequence[Tensor], kept: Normed, gradient: Tensor, sums: Sums, before: Normed | None = None, *,
        factor: Tensor | None = None, state_gradient: Tensor | None = None, adds: bool = True, learns: bool = True,
    ) -> tuple[Tensor | None, Sums, list[Tensor | None]]:  # fmt: skip
        assert before is None and state_gradient is not None
        rates, *of_norm = self.normalisation_back(parameters, kept.norm, count_of(kept.y), sums)
        of_halves, halves = (tensor.squeeze(3).unflatten(3, (2, -1)) for tensor in (gradient, kept.y))
        of_corners, _, _, of_matrix = convolve_back(
            *(corners_of(x), self._convolution(parameters), of_halves, halves, rates), factor=factor, want_x=True, want_kernels=learns
        )
        assert of_corners is not None
        if not adds:
            state_gradient.zero_()
        add_corners(of_corners, state_gradient)
        own: Sequence[Tensor | None] = [None, None] if of_matrix is None else of_matrix[..., None, None].unbind()
        return None, sums, [*own, *of_norm]

    def _convolution(self, parameters: Sequence[Tensor]) -> Convolution:
        return Convolution(None, torch.stack(list(parameters[:2])).flatten(2))
