"""How the passes of a DARTS cell by compiled kernels have their tensors: [N, H, W, edges, C], the edges or nodes beside one another."""

from __future__ import annotations

from torch import Tensor


def nhwc(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, H, W, 1, C], the same memory."""
    return x.permute(0, 2, 3, 1).unsqueeze(3)


def nchw(x: Tensor) -> Tensor:
    """The inverse of ``nhwc``."""
    return x.squeeze(3).permute(0, 3, 1, 2)


def nodes_of(output: Tensor, number: int) -> Tensor:
    """A cell's output [N, nodes * C, H, W], or its gradient, as [N, H, W, nodes, C]."""
    return output.permute(0, 2, 3, 1).unflatten(3, (number, -1))


def state_of(index: int, before_last: Tensor, last: Tensor, nodes: Tensor) -> Tensor:
    """State ``index`` of a cell [N, H, W, 1, C]: one of its two inputs or, as a slice, one of its nodes [N, H, W, nodes, C]."""
    return nhwc((before_last, last)[index]) if index < 2 else nodes[:, :, :, index - 2 : index - 1]


def on_edges(x: Tensor, edges: int) -> Tensor:
    """[N, H, W, 1, C] -> [N, H, W, edges, C], the same memory."""
    return x.expand(-1, -1, -1, edges, -1)


def count_of(y: Tensor) -> int:
    """How many values a channel of y [N, H, W, edges, C] has."""
    images, height, width = y.shape[:3]
    return images * height * width


def corners_of(x: Tensor) -> Tensor:
    """[N, H, W, 1, C] -> [N, ceil(H / 2), ceil(W / 2), 2, C]: pixels of even rows and columns, and of odd ones, or zeros."""
    images, height, width, _, channels = x.shape
    result = x.new_empty(images, -(-height // 2), -(-width // 2), 2, channels)
    result[..., 0, :] = x[:, ::2, ::2, 0]
    if height % 2 or width % 2:
        result[..., 1, :].zero_()
    result[:, : height // 2, : width // 2, 1] = x[:, 1::2, 1::2, 0]
    return result


def add_corners(of_corners: Tensor, state_gradient: Tensor) -> None:
    """Add to the gradient of a state [N, H, W, 1, C] that of its ``corners_of``."""
    state = state_gradient[..., 0, :]
    state[:, ::2, ::2] += of_corners[..., 0, :]
    state[:, 1::2, 1::2] += of_corners[:, : state.shape[1] // 2, : state.shape[2] // 2, 1]
