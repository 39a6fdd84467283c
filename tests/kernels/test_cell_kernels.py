"""The compiled kernels one by one against torch's own operations, in float64: many edges, odd sizes, numbers of channels of every kind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.build import SOURCES, kernels_for, why_not
from kernels.calls import LANES
from kernels.convolutions import Convolution, convolve, convolve_back
from kernels.norms import batch_norm, batch_norm_back
from kernels.pools import pool, pool_back
from kernels.sums import mix, products

pytestmark = pytest.mark.skipif(kernels_for(torch.float32) is None, reason=f"no compiled kernels here: {why_not()}")

IMAGES = 3


class Draw:
    """Normally distributed numbers in float64, always the same."""

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(0)

    def __call__(self, *size: int) -> Tensor:
        return torch.randn(*size, generator=self._generator, dtype=torch.float64)


def plain(x: Tensor, taps: Tensor | None, matrix: Tensor, dilation: int, stride: int) -> Tensor:
    """What the kernel computes, of [N, H, W, edges, C], edge by edge."""
    results = []
    for edge in range(len(matrix)):
        y = x[:, :, :, edge].permute(0, 3, 1, 2).relu()
        if taps is not None:
            padding = dilation * (taps.shape[-1] // 2)
            y = functional.conv2d(y, taps[edge].unsqueeze(1), None, stride, padding, dilation, groups=y.shape[1])
        results.append(functional.conv2d(y, matrix[edge, :, :, None, None]).permute(0, 2, 3, 1))
    return torch.stack(results, dim=3)


def close(ours: Tensor | None, theirs: Tensor | None) -> bool:
    assert ours is not None and theirs is not None
    return torch.allclose(ours, theirs, rtol=1e-9, atol=1e-9 * max(1.0, theirs.abs().max().item()))


@pytest.mark.parametrize("goes_to", ["state, added", "state, put", "input", "nowhere"])
@pytest.mark.parametrize(("size", "dilation", "stride"), [(0, 1, 1), (3, 1, 1), (3, 2, 1), (3, 2, 2), (5, 1, 1), (5, 1, 2), (5, 2, 2)])
@pytest.mark.parametrize(("c_in", "c_out", "height", "width"), [(3, 11, 1, 1), (16, 24, 7, 5), (9, 2, 9, 67), (12, 12, 4, 6)])
def test_convolutions_and_their_gradients(
    c_in: int, c_out: int, height: int, width: int, size: int, dilation: int, stride: int, goes_to: str
) -> None:
    draw, edges = Draw(), 3
    shared = goes_to != "input"
    own = draw(IMAGES, height, width, 1 if shared else edges, c_in).requires_grad_()
    x = own.expand(-1, -1, -1, edges, -1)
    taps = draw(edges, c_in, size, size).requires_grad_() if size else None
    matrix = draw(edges, c_out, c_in).requires_grad_()
    scale, shift = (None, None) if shared else (draw(edges, c_in), draw(edges, c_in))
    read = x if scale is None else own * scale + shift
    read.retain_grad()
    expected = plain(read, taps, matrix, dilation, stride)

    detached = [None if value is None else value.detach() for value in (taps, matrix)]
    convolution = Convolution(detached[0], matrix.detach(), dilation, stride)
    y, sums = convolve(x.detach(), convolution, scale, shift)
    assert close(y, expected.detach())
    assert close(sums, torch.stack([expected.sum((0, 1, 2)), expected.square().sum((0, 1, 2))], dim=1).detach())

    gradient, rates, factor = draw(*y.shape), draw(edges, 3, c_out), draw(IMAGES)
    expected.backward(rates[:, 0] * factor.view(-1, 1, 1, 1, 1) * gradient + rates[:, 1] * y + rates[:, 2])
    state = draw(*own.shape) if goes_to.startswith("state") else None
    before = None if state is None else state.clone()
    of_x, sums, of_taps, of_matrix = convolve_back(
        *(x.detach(), convolution, gradient, y, rates),
        scale=scale,
        shift=shift,
        factor=factor,
        state_gradient=state,
        adds=goes_to == "state, added",
        want_x=goes_to == "input",
    )
    assert close(of_matrix, matrix.grad)
    if taps is not None:
        assert close(of_taps, taps.grad)
    if before is not None and own.grad is not None:
        assert close(state, own.grad + (before if goes_to == "state, added" else 0))
    if goes_to == "input" and read.grad is not None:
        assert close(of_x, read.grad)
        assert close(sums, torch.stack([read.grad.sum((0, 1, 2)), (read.grad * own).sum((0, 1, 2))], dim=1).detach())
    without = convolve_back(x.detach(), convolution, gradient, y, rates, factor=factor, want_kernels=False)
    assert without[0] is None and without[2:] == (None, None)


@pytest.mark.parametrize("adds", [True, False])
def test_sums_of_sources_and_products_with_a_gradient(adds: bool) -> None:
    draw, edges, channels = Draw(), 3, 11
    wide = draw(IMAGES, 5, 30, edges + 2, channels)
    y = wide[:, :, :, 1 : 1 + edges]
    sources = [draw(IMAGES, 5, 30, 1, channels).expand(-1, -1, -1, edges, -1), draw(IMAGES, 5, 30, edges, channels)]
    scale, shift, factor = draw(2, edges, channels), draw(2, edges, channels), draw(2, IMAGES)
    expected = sum(
        (f.view(-1, 1, 1, 1, 1) * (a * source + b) for source, a, b, f in zip(sources, scale, shift, factor, strict=True)),
        start=y * adds,
    )
    outside = wide[:, :, :, [0, -1]].clone()
    mix(sources, scale, shift, factor, y, adds=adds)
    assert close(y, expected) and torch.equal(wide[:, :, :, [0, -1]], outside)

    gradient = draw(*y.shape)
    of_product, of_gradient = products(sources, gradient, factor)
    for number, source in enumerate(sources):
        weighted = factor[number].view(-1, 1, 1, 1, 1) * gradient
        assert close(of_product[number], (weighted * source).sum((0, 1, 2)))
        assert close(of_gradient[number], weighted.sum((0, 1, 2)))


@pytest.mark.parametrize("channels", [1, 4, 9, 16])
@pytest.mark.parametrize(("height", "width", "stride"), [(1, 1, 1), (7, 5, 1), (7, 5, 2), (30, 31, 2), (2, 4, 2)])
def test_pools_of_several_edges(channels: int, height: int, width: int, stride: int) -> None:
    draw, edges = Draw(), 3
    x = draw(IMAGES, height, width, 1, channels)
    pools = pool(x, stride)
    leaf = x.squeeze(3).permute(0, 3, 1, 2).requires_grad_()
    plain_pools = [functional.max_pool2d(leaf, 3, stride, 1), functional.avg_pool2d(leaf, 3, stride, 1, count_include_pad=False)]
    for number, (ours, theirs) in enumerate(zip((pools.largest, pools.mean), plain_pools, strict=True)):
        assert ours is not None and close(ours.squeeze(3).permute(0, 3, 1, 2), theirs)
        assert close(pools.sums[number], torch.stack([theirs.sum((0, 2, 3)), theirs.square().sum((0, 2, 3))]).detach())

    assert pools.mean is not None
    gradient, rates, tails = draw(*pools.mean.shape[:3], edges, channels), draw(3, edges, channels), draw(2, 2, channels)
    factor, identity = draw(IMAGES), stride == 1
    of_state = draw(*x.shape)
    before = of_state.clone()
    pool_back(pools, stride, gradient, rates, tails, of_state, x.dtype, factor=factor, identity=identity)
    through = [(factor.view(-1, 1, 1, 1, 1) * gradient * rate).sum(3).permute(0, 3, 1, 2) for rate in rates]
    for number, value in enumerate(plain_pools):
        slope, rest = (tail.view(1, -1, 1, 1) for tail in tails[number])
        through[number] = through[number] + slope * value.detach() + rest
    (expected,) = torch.autograd.grad(plain_pools, leaf, through[:2])
    expected = expected + through[2] if identity else expected
    assert close(of_state - before, expected.permute(0, 2, 3, 1).unsqueeze(3))


@pytest.mark.parametrize("edges", [1, 2])
def test_a_normalisation_and_its_gradients(edges: int) -> None:
    draw, channels = Draw(), 6
    y = (3 * draw(IMAGES, 5, 4, channels) + 7).requires_grad_()
    norm = nn.BatchNorm2d(channels, momentum=0.3, dtype=torch.float64)
    with torch.no_grad():
        norm.weight.copy_(draw(channels))
        norm.bias.copy_(draw(channels))
    running = norm.running_mean.clone(), norm.running_var.clone()
    expected = norm(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    values, count = y.detach(), IMAGES * 5 * 4
    sums = torch.stack([values.sum((0, 1, 2)), values.square().sum((0, 1, 2))]).view(2, edges, -1).transpose(0, 1).contiguous()
    weight, bias = norm.weight.detach(), norm.bias.detach()
    normed = batch_norm(sums, count, weight, bias, running, norm.eps, norm.momentum)
    assert close(normed[0], values.mean((0, 1, 2)))
    assert close(normed[1], (values.var((0, 1, 2), correction=0) + norm.eps).rsqrt())
    assert close(normed[2] * values + normed[3], expected.detach())
    assert close(running[0], norm.running_mean) and close(running[1], norm.running_var)

    gradient = draw(*y.shape)
    expected.backward(gradient)
    of_gradient, of_product = gradient.sum((0, 1, 2)), (gradient * values).sum((0, 1, 2))
    rates, of_weight = batch_norm_back(normed, count, edges, weight, of_gradient, of_product)
    by_channel = rates.transpose(0, 1).reshape(3, channels)
    assert close(by_channel[0] * gradient + by_channel[1] * values + by_channel[2], y.grad)
    assert close(of_weight, norm.weight.grad)


def test_a_batch_of_one_value_per_channel_has_no_variance() -> None:
    ones = torch.ones(4, dtype=torch.float64)
    with pytest.raises(ValueError, match="more than one value per channel, not 1"):
        batch_norm(torch.ones(1, 2, 4, dtype=torch.float64), 1, ones, ones, (ones.clone(), ones.clone()), 1e-5, 0.1)


def test_a_convolution_may_be_put_where_one_wants_it() -> None:
    draw = Draw()
    x, convolution = draw(IMAGES, 4, 5, 2, 3), Convolution(None, draw(2, 7, 3))
    side_by_side = torch.full((IMAGES, 4, 5, 2, 7), torch.nan, dtype=torch.float64)
    y, _ = convolve(x, convolution, y=side_by_side)
    assert y is side_by_side and y.equal(convolve(x, convolution)[0])
    with pytest.raises(ValueError, match=r"a result of \(3, 4, 5, 2, 7\) has no room in \(3, 4, 5, 2, 6\)"):
        convolve(x, convolution, y=side_by_side[..., :6])


@pytest.mark.parametrize("size", [0, 3])
def test_blocks_of_channels_may_lie_apart(size: int) -> None:
    """What a convolution reads, and where its gradient goes: three blocks of eight channels out of four."""
    draw, edges = Draw(), 2
    wide, of_wide = draw(IMAGES, 4, 5, 6, 8), draw(IMAGES, 4, 5, 6, 8)  # [N, blocks, H, W, 8]
    apart, of_apart = (tensor.permute(0, 2, 3, 1, 4).unsqueeze(3)[..., 1:, :] for tensor in (wide, of_wide))
    beside, of_beside = apart.flatten(4), of_apart.flatten(4).clone()
    convolution = Convolution(draw(edges, 24, size, size) if size else None, draw(edges, 7, 24))
    results, before = [], of_wide[:, 0].clone()
    for x, of_x in ((apart, of_apart), (beside, of_beside)):
        seen = x.expand(-1, -1, -1, edges, *(-1 for _ in x.shape[4:]))
        y, sums = convolve(seen, convolution)
        back = convolve_back(seen, convolution, y.cos(), y, torch.ones(edges, 3, 7).double(), state_gradient=of_x)
        results.append([y, sums, *back[2:]])
    assert all(one is other is None or torch.equal(one, other) for one, other in zip(*results, strict=True))
    assert torch.equal(of_apart.flatten(4), of_beside) and torch.equal(of_wide[:, 0], before)
    with pytest.raises(ValueError, match=r"\(3, 5, 6, 2, 6, 4\) where blocks of 8 channels are wanted"):
        convolve(beside.unflatten(4, (6, 4)).expand(-1, -1, -1, edges, -1, -1), convolution)


def test_python_and_c_work_on_as_many_channels_at_once() -> None:
    assert f"#define LANES {LANES} " in (SOURCES / "vectors.h").read_text()


def test_the_variance_of_values_far_from_zero() -> None:
    """The sums of squares are taken in float64: what a float32 sum over an image loses would be the variance itself."""
    draw = Draw()
    x = (100 + draw(8, 32, 32, 1, 8)).float()
    pools, count = pool(x, 1), 8 * 32 * 32
    y, sums = convolve(x, Convolution(None, torch.eye(8)[None]))
    for values, (first, second) in ((pools.largest, pools.sums[0]), (pools.mean, pools.sums[1]), (y, sums[0])):
        assert values is not None
        variance = second / count - (first / count).square()
        assert torch.allclose(variance, values.double().var((0, 1, 2, 3), correction=0), rtol=0.02)


def test_what_there_is_no_kernel_for_is_refused() -> None:
    matrix = torch.ones(1, 8, 8)
    for taps, dilation, stride in ((torch.ones(1, 8, 7, 7), 1, 1), (torch.ones(1, 8, 3, 3), 3, 1), (None, 1, 2)):
        with pytest.raises(ValueError, match=r"no kernel for taps|neither dilation nor stride"):
            Convolution(taps, matrix, dilation, stride)
    images = torch.ones(1, 4, 4, 1, 8)
    for scale in (torch.ones(1, 1, 8, dtype=torch.float64), torch.ones(1, 1, 16)[:, :, ::2], torch.ones(1, 1, 7)):
        with pytest.raises(ValueError, match=r"where torch.float32 of \(1, 1, 8\), next to one another on the CPU, go with"):
            mix([images], scale, torch.ones(1, 1, 8), None, images.clone(), adds=False)
    with pytest.raises(ValueError, match=r"\(1, 4, 3, 1, 8\) where \(1, 4, 4, 1, 8\) is wanted"):
        mix([images[:, :, :3].contiguous()], torch.ones(1, 1, 8), torch.ones(1, 1, 8), None, images.clone(), adds=False)
    convolution, rates = Convolution(torch.ones(1, 8, 3, 3), matrix), torch.ones(1, 3, 8)
    small = images[:, :2].contiguous()
    for wrong in ("gradient", "y", "state_gradient"):
        more = {"gradient": images, "y": images, wrong: small}
        with pytest.raises(ValueError, match=r"\(1, 2, 4, 1, 8\) where \(1, 4, 4, 1, 8\) is wanted"):
            convolve_back(images, convolution, rates=rates, **more)
    few, one, sums = torch.ones(1, 1, 7), torch.ones(1, 1, 8), torch.zeros(1, 2, 8, dtype=torch.float64)
    moved = (torch.zeros(8), torch.ones(8))
    for refused in (
        lambda: convolve(images, convolution, scale=torch.ones(1, 8)),
        lambda: convolve(images, convolution, scale=few, shift=few),
        lambda: convolve(images.double(), convolution),
        lambda: convolve_back(images, convolution, images, images, rates[:, :2].contiguous()),
        lambda: convolve_back(images, convolution, images, images, rates, factor=torch.ones(2)),
        lambda: mix([images], one, one, torch.ones(2, 1), images.clone(), adds=False),
        lambda: products([images], images, torch.ones(2, 1)),
        lambda: batch_norm(sums, 4, torch.ones(7), torch.zeros(7), moved, 1e-5, 0.1),
        lambda: batch_norm_back(torch.ones(3, 8), 4, 1, torch.ones(8), sums[0, 0], sums[0, 1]),
        lambda: batch_norm_back(torch.ones(4, 8), 4, 1, torch.ones(8), torch.ones(8), sums[0, 1]),
        lambda: pool_back(pool(images, 1), 1, images, one, torch.ones(2, 2, 8), images.clone(), torch.float32),
    ):
        with pytest.raises(ValueError, match=r"go with images in|a scale goes with a shift"):
            refused()
    with pytest.raises(ValueError, match=r"where \(1, 2, 2, 1, 8\) is wanted"):
        pool_back(pool(images, 2), 2, images, torch.ones(3, 1, 8), torch.ones(2, 2, 8), images.clone(), torch.float32)
    with pytest.raises(ValueError, match=r"images in torch.float64 on cpu where torch.float32 on the CPU is wanted"):
        products([images], images.double())
