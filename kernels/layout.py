"""How the passes of a DARTS cell by compiled kernels have their tensors: [N, H, W, edges, C], the edges or nodes beside one another.

Of eight channels in single precision two nodes fill a line of the cache, so that whoever reads or writes one moves its neighbour, too.
Where only kernels read it, the output of a cell with such nodes is one of nodes that lie apart, [N, H, W, nodes, 8], image by image a node
after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from kernels.calls import LANES


def nhwc(x: Tensor) -> Tensor:
    """Return a state with an axis of edges, the same memory.

    [N, C, H, W] becomes [N, H, W, 1, C], and [N, H, W, nodes, 8] becomes [N, H, W, 1, nodes, 8].
    """
    return (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).unsqueeze(3)


def nchw(x: Tensor) -> Tensor:
    """Return the inverse of ``nhwc``."""
    return x.squeeze(3).permute(0, 3, 1, 2) if x.dim() == 5 else x.squeeze(3)


def room_for_nodes(like: Tensor, size: Sequence[int], number: int, *, apart: bool) -> Tensor:
    """Return room for ``number`` nodes as wide as ``like`` [N, C, H, W], of ``size`` [H', W']: [N, H', W', nodes, C]."""
    (images, channels), (height, width) = like.shape[:2], size
    if apart:
        return like.new_empty(images, number, height, width, channels).permute(0, 2, 3, 1, 4)
    return like.new_empty(images, height, width, number, channels)


def may_lie_apart(like: Tensor) -> bool:
    """Return whether nodes as wide as ``like`` [N, C, H, W] may lie apart: a node is a block of channels."""
    return like.shape[1] == LANES


def output_of(nodes: Tensor, *, apart: bool) -> Tensor:
    """Return what a cell puts out, in the memory of its nodes [N, H, W, nodes, C]: these where they lie apart, or [N, nodes * C, H, W]."""
    return nodes if apart else nodes.flatten(3).permute(0, 3, 1, 2)


def nodes_of(output: Tensor, number: int) -> Tensor:
    """Return a cell's output, or its gradient, as [N, H, W, nodes, C]: the inverse of ``output_of``."""
    return output.permute(0, 2, 3, 1).unflatten(3, (number, -1)) if output.dim() == 4 else output


def state_of(index: int, before_last: Tensor, last: Tensor, nodes: Tensor) -> Tensor:
    """Return state ``index`` of a cell [N, H, W, 1, C]: one of its two inputs or, as a slice, one of its nodes [N, H, W, nodes, C]."""
    return nhwc((before_last, last)[index]) if index < 2 else nodes[:, :, :, index - 2 : index - 1]


def on_edges(x: Tensor, edges: int) -> Tensor:
    """Return [N, H, W, 1, ...] as [N, H, W, edges, ...], the same memory."""
    return x.expand(-1, -1, -1, edges, *(-1 for _ in x.shape[4:]))


def count_of(y: Tensor) -> int:
    """Return how many values a channel of y [N, H, W, edges, C] has."""
    images, height, width = y.shape[:3]
    return images * height * width


def corners_of(x: Tensor) -> Tensor:
    """Return of a state, as ``nhwc`` has it, the pixels of even rows and columns, and of odd ones, or zeros.

    They are [N, ceil(H / 2), ceil(W / 2), 2, C].
    """
    images, height, width, _, *channels = x.shape
    result = x.new_empty(images, -(-height // 2), -(-width // 2), 2, *channels)
    result[:, :, :, 0] = x[:, ::2, ::2, 0]
    if height % 2 or width % 2:
        result[:, :, :, 1].zero_()
    result[:, : height // 2, : width // 2, 1] = x[:, 1::2, 1::2, 0]
    return result.flatten(4)


def add_corners(of_corners: Tensor, state_gradient: Tensor) -> None:
    """Add to the gradient of a state, as ``nhwc`` has that, the one of its ``corners_of``."""
    state, of_corners = state_gradient[:, :, :, 0], of_corners.unflatten(4, state_gradient.shape[4:])
    state[:, ::2, ::2] += of_corners[:, :, :, 0]
    state[:, 1::2, 1::2] += of_corners[:, : state.shape[1] // 2, : state.shape[2] // 2, 1]
