"""What the compiled kernels do at the edges: odd channels, ties, NaN, threads, too little memory, images that they do not take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from compiled_kernels import HERE
from project import PROJECT as ROOT
from torch import Tensor
from torch.nn import functional

from kernels.build import STORED
from kernels.convolutions import Convolution, convolve, convolve_back
from kernels.pools import pool, pool_back
from kernels.sums import mix, products


def images(*sizes: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def as_torch_has_them(x: Tensor) -> Tensor:
    """[N, H, W, 1, C] -> [N, C, H, W]."""
    return x.squeeze(3).permute(0, 3, 1, 2)


@HERE
@pytest.mark.parametrize("channels", [1, 3, 8, 11, 16])
@pytest.mark.parametrize(("size", "dilation", "stride"), [(3, 1, 1), (5, 1, 2), (3, 2, 2), (5, 2, 1)])
def test_convolutions_of_any_number_of_channels(channels: int, size: int, dilation: int, stride: int) -> None:
    x = images(3, 7, 6, 1, channels)
    taps, matrix = images(2, channels, size, size), images(2, channels + 2, channels)
    y, sums = convolve(x.expand(-1, -1, -1, 2, -1), Convolution(taps, matrix, dilation, stride))
    for edge in range(2):
        active = as_torch_has_them(x).relu()
        inner = functional.conv2d(active, taps[edge, :, None], None, stride, dilation * (size // 2), dilation, groups=channels)
        expected = functional.conv2d(inner, matrix[edge, :, :, None, None])
        assert torch.allclose(as_torch_has_them(y[:, :, :, edge : edge + 1]), expected, rtol=1e-12, atol=1e-12)
        assert torch.allclose(sums[edge], torch.stack([expected.sum((0, 2, 3)), expected.square().sum((0, 2, 3))]), rtol=1e-12, atol=1e-11)


@HERE
@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("stride", [1, 2])
def test_pools_are_torchs_with_ties_and_nan(dtype: torch.dtype, stride: int) -> None:
    x = images(2, 7, 5, 1, 9).mul(2).round().to(dtype)  # ties abound
    x[0, 3, 3, 0, 1] = float("nan")
    pools = pool(x, stride)
    assert pools.largest is not None and pools.mean is not None
    plain = as_torch_has_them(x).double().requires_grad_()
    largest = functional.max_pool2d(plain, 3, stride, 1)
    mean = functional.avg_pool2d(plain, 3, stride, 1, count_include_pad=False)
    assert torch.equal(as_torch_has_them(pools.largest).double().nan_to_num(99), largest.nan_to_num(99))
    tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-6
    assert torch.allclose(as_torch_has_them(pools.mean).double(), mean, rtol=tolerance, atol=1e-6, equal_nan=True)

    gradient = images(*pools.mean.shape).float() if dtype != torch.float64 else images(*pools.mean.shape)
    of_state, rates = torch.zeros_like(x, dtype=gradient.dtype), torch.ones(3, 1, 9, dtype=gradient.dtype)
    pool_back(pools, stride, gradient, rates, torch.zeros(2, 2, 9, dtype=gradient.dtype), of_state, dtype)
    of_pools = torch.autograd.grad((largest, mean), plain, 2 * [as_torch_has_them(gradient).double()])[0]
    clean = [0, *range(2, 9)]  # the channel with a NaN has one in its pools, and 0 times that in ``of_pools``
    assert torch.allclose(as_torch_has_them(of_state)[:, clean].double(), of_pools[:, clean], atol=1e-5)


@HERE
def test_bfloat16_is_rounded_as_torch_rounds() -> None:
    x = torch.cat([images(4000, dtype=torch.float32), torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, 3e38, float("inf"), float("nan"), -0.0])])
    x = torch.cat([x, x.new_zeros(-len(x) % 8)]).view(1, 1, -1, 1, 8)
    y = torch.empty_like(x, dtype=torch.bfloat16)
    # 1 * high + 1 * low, each a number of bfloat16, is x to 16 bits of its mantissa; put out it is rounded once.
    high = x.bfloat16()
    low = (x - high.float()).nan_to_num(0, 0, 0).bfloat16()
    ones = torch.ones(2, 1, 8)
    mix([high, low], ones, torch.zeros_like(ones), None, y, adds=False)
    assert torch.equal(y.nan_to_num(7), (high.float() + low.float()).bfloat16().nan_to_num(7)) and y.isnan().sum() == 1


@HERE
def test_the_same_again_and_nearly_the_same_on_other_numbers_of_threads() -> None:
    x, convolution = (
        images(5, 16, 16, 2, 16, dtype=torch.float32),
        Convolution(images(2, 16, 5, 5).float(), images(2, 16, 16).float()),
    )
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 2, 7):
            torch.set_num_threads(threads)
            y, sums = convolve(x, convolution)
            rates = torch.tensor([0.5, 0.1, 0.2]).view(1, 3, 1).repeat(2, 1, 16)
            _, _, taps, matrix = convolve_back(x, convolution, torch.ones_like(y), y, rates, want_x=True)
            assert taps is not None and matrix is not None
            results.append((y, sums, taps, matrix))
    finally:
        torch.set_num_threads(before)
    for one, two, again, seven in zip(*results, strict=True):
        assert torch.equal(two, again)
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-4 * one.abs().max().item())
        assert torch.allclose(one, seven, rtol=1e-4, atol=1e-4 * one.abs().max().item())


@HERE
@pytest.mark.skipif(sys.platform != "linux", reason="memory as Linux tells it")
@pytest.mark.slow
def test_memory_does_not_grow_where_the_number_of_threads_changes() -> None:
    """OpenMP ends threads that a smaller kernel does not need, and starts others for the next larger one."""
    x, few = images(8, 16, 16, 2, 16, dtype=torch.float32), images(8, 16, 16, 1, 64, dtype=torch.float32)
    convolution = Convolution(images(2, 16, 5, 5).float(), images(2, 16, 16).float())
    before, resident = torch.get_num_threads(), []
    try:
        torch.set_num_threads(4)
        for _ in range(2):
            for _ in range(100):
                convolve(x, convolution)
                pool(few, 1)
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    finally:
        torch.set_num_threads(before)
    assert resident[1] - resident[0] < 2**20, "5 MB, had each thread kept its own"


TOO_LITTLE = """
import resource, torch
from kernels.convolutions import Convolution, convolve, convolve_back
from kernels.pools import pool, pool_back

x, y = torch.ones(1, 512, 512, 1, 8), torch.ones(1, 512, 512, 1, 8)
convolution = Convolution(torch.ones(1, 8, 5, 5), torch.ones(1, 8, 8))
pools = pool(x, 1)
calls = {
    "convolve": lambda: convolve(x, convolution, y=y),
    "pool_back": lambda: pool_back(pools, 1, y, torch.ones(3, 1, 8), torch.ones(2, 2, 8), x, torch.float32),
    "convolve_back": lambda: convolve_back(x, convolution, y, y, torch.ones(1, 3, 8), state_gradient=x, want_kernels=False),
}
torch.set_num_threads(1)
convolve(x[:, :8, :8].contiguous(), convolution)  # what a first call takes
pages = int(open("/proc/self/statm").read().split()[0])
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**20, hard))
for name, call in calls.items():
    try:
        call()
        print(name, "had room")
    except MemoryError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
result, _ = convolve(x, convolution, y=y)
print(result[0, 9, 9, 0, 0].item())
"""


@HERE
@pytest.mark.skipif(sys.platform != "linux", reason="memory as Linux tells it")
@pytest.mark.slow
def test_too_little_memory_is_an_error_and_no_crash() -> None:
    done = subprocess.run([sys.executable, "-c", TOO_LITTLE], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    names, words = ("convolve", "pool_back", "convolve_back"), "no memory for what its threads work on"
    assert done.stdout.splitlines() == [*(f"{name}: {words}" for name in names), "200.0"]


@HERE
def test_images_of_other_edges_than_the_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 7, 6, 1, 8\) where 2 edges of 8 channels are read"):
        convolve(images(3, 7, 6, 1, 8), Convolution(images(2, 8, 3, 3), images(2, 8, 8)))


def test_images_at_no_one_distance_are_refused() -> None:
    with pytest.raises(ValueError, match="no one distance between pixels"):
        products([images(2, 4, 4, 1, 8)[:, :, :3]], images(2, 4, 3, 1, 8))
