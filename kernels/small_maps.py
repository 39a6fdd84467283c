"""Convolutions of maps that are smaller than their kernel, computed as the matrix products that they are.

Networks made for large images leave 2x2 or 1x1 pixels of a small one, where most of a 3x3 kernel reads padding. Libraries compute those
products with zero all the same: resnet18 with its own stem takes two fifths of a step on 32x32 images for that.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.stand_ins import replace_convolutions

LARGEST_MAP = 4  # pixels; on larger ones convolutions are faster, measured on a CPU


class SmallMapConv2d(nn.Conv2d):
    """A dense, zero-padded convolution with the parameters of another; the same function, whatever the size of its input."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, out_channels, H', W']."""
        if x.shape[2] * x.shape[3] > LARGEST_MAP:
            return super().forward(x)
        (height, width), sizes = x.shape[2:], [self._size(axis, x.shape[2 + axis]) for axis in (0, 1)]
        taps = _Taps(self.weight)
        rows = []
        for i in range(sizes[0]):
            for j in range(sizes[1]):
                blocks = [taps.at(self._offset(0, i, p), self._offset(1, j, q)) for p in range(height) for q in range(width)]
                rows.append(torch.cat(blocks, 1) if len(blocks) > 1 else blocks[0])
        matrix = torch.cat(rows) if len(rows) > 1 else rows[0]  # [H' * W' * out_channels, H * W * C]
        y = functional.linear(x.permute(0, 2, 3, 1).flatten(1), matrix)
        y = y.unflatten(1, (sizes[0], sizes[1], self.out_channels)).permute(0, 3, 1, 2)
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None]

    def _size(self, axis: int, length: int) -> int:
        reach = self.dilation[axis] * (self.kernel_size[axis] - 1)
        return (length + 2 * cast(int, self.padding[axis]) - reach - 1) // self.stride[axis] + 1

    def _offset(self, axis: int, out: int, into: int) -> int | None:
        """Return the place in the kernel by which pixel ``out`` of the output reads pixel ``into`` of the input, along one axis."""
        distance = into - out * self.stride[axis] + cast(int, self.padding[axis])
        place, rest = divmod(distance, self.dilation[axis])
        return place if rest == 0 and 0 <= place < self.kernel_size[axis] else None


class _Taps:
    """The weights [out, in] at each place of a kernel [out, in, h, w]; zeros where there is none."""

    def __init__(self, weight: Tensor) -> None:
        self._width = weight.shape[3]
        self._places = weight.flatten(2).unbind(2)  # all at once: the gradient is put together in one go
        self._none = weight.new_zeros(weight.shape[:2])

    def at(self, row: int | None, column: int | None) -> Tensor:
        return self._none if row is None or column is None else self._places[row * self._width + column]


def speed_up_small_maps(network: nn.Module) -> None:
    """Put ``SmallMapConv2d`` in the place of the dense convolutions in ``network``: the same parameters, names and results."""
    replace_convolutions(network, SmallMapConv2d, _is_plain)


def _is_plain(layer: nn.Conv2d) -> bool:
    """Return whether the convolution is dense and padded with zeros, with a kernel that can reach beyond a small map."""
    is_dense = layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return is_dense and max(layer.kernel_size) > 1
