"""Winograd's convolutions: the function and the gradients of torch's, for whatever they take, and torch's own for the rest."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.build import VARIABLE, kernels_for, why_not
from kernels.small_maps import SmallMapConv2d, speed_up_small_maps
from kernels.winograd import LEAST_TILES, Winograd, WinogradConv2d, kernels_note, use_winograd
from spaces.zoo.backbones import build_backbone

HERE = pytest.mark.skipif(kernels_for(torch.float32) is None, reason=f"no compiled kernels here: {why_not()}")


def by_torch(x: Tensor, weight: Tensor) -> Tensor:
    return functional.conv2d(x, weight, padding=1)


def results(convolution: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor) -> list[Tensor]:
    """The output, and the gradients of images and kernels for a gradient that differs from number to number."""
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    y = convolution(x, weight)
    (y * torch.arange(y.numel(), dtype=y.dtype).reshape(y.shape).cos()).sum().backward()
    assert x.grad is not None and weight.grad is not None
    return [y.detach(), x.grad, weight.grad]


def drawn(*sizes: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*sizes, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@HERE
@pytest.mark.parametrize("sizes", [(2, 8, 8), (1, 1, 1), (3, 5, 4), (2, 9, 2), (1, 4, 13), (70, 7, 8)])  # the last: more tiles than at once
@pytest.mark.parametrize("channels", [(8, 16), (1, 1), (3, 50), (33, 7), (12, 20), (24, 32), (50, 49), (64, 64)])
@pytest.mark.parametrize(("dtype", "largest_error"), [(torch.float64, 1e-12), (torch.float32, 5e-5)])  # the transforms round
def test_outputs_and_gradients_are_those_of_torch(
    sizes: tuple[int, int, int], channels: tuple[int, int], dtype: torch.dtype, largest_error: float
) -> None:
    images, height, width = sizes
    x, weight = drawn(images, channels[0], height, width), drawn(channels[1], channels[0], 3, 3, seed=1)
    exact = results(by_torch, x, weight)
    for ours, theirs in zip(results(Winograd.apply, x.to(dtype), weight.to(dtype)), exact, strict=True):
        assert ours.dtype == dtype
        assert (ours - theirs).abs().max() < largest_error * theirs.abs().max()


@HERE
def test_the_same_bit_for_bit_whatever_the_memory_layout_and_the_threads() -> None:
    x, weight = drawn(9, 40, 10, 10, dtype=torch.float32), drawn(40, 40, 3, 3, dtype=torch.float32, seed=1)
    expected = results(Winograd.apply, x, weight)
    threads = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            for other in (x, x.to(memory_format=torch.channels_last), torch.cat([x, x], 1)[:, 40:], x.mT.contiguous().mT):
                for ours, first in zip(results(Winograd.apply, other, weight), expected, strict=True):
                    assert torch.equal(ours, first)
    finally:
        torch.set_num_threads(threads)


@HERE
def test_gradients_that_are_not_wanted_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = drawn(2, 8, 8, 8), drawn(8, 8, 3, 3)
    Winograd.apply(x, weight.requires_grad_()).mean().backward()  # a gradient that is one number everywhere, and none for the images
    expected = weight.detach().clone().requires_grad_()
    by_torch(x, expected).mean().backward()
    assert weight.grad is not None and expected.grad is not None and x.grad is None
    torch.testing.assert_close(weight.grad, expected.grad)
    images = x.clone().requires_grad_()
    y = Winograd.apply(images, weight.detach())
    monkeypatch.setattr("kernels.winograd.kernel_gradients", lambda *_: pytest.fail("not wanted"))
    y.sum().backward()
    assert images.grad is not None
    y = Winograd.apply(x, weight)
    monkeypatch.undo()
    monkeypatch.setattr("kernels.winograd.convolve", lambda *_: pytest.fail("not wanted"))
    y.sum().backward()


@HERE
def test_what_does_not_go_together_is_refused_before_its_memory_is_read() -> None:
    x, weight = drawn(2, 32, 8, 8), drawn(32, 32, 3, 3)
    for images, kernels in [(x.float(), weight), (x, weight.float()), (x[:, :16], weight), (x, weight[:, :16]), (x, weight.to("meta"))]:
        with pytest.raises(ValueError, match="where"):
            Winograd.apply(images, kernels)
    with pytest.raises(ValueError, match="cannot be passed"):
        Winograd.apply(x.to("meta"), weight)
    with pytest.raises(RuntimeError, match="to have 32 channels, but got 64"):
        layer()(torch.zeros(9, 64, 8, 8))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The sizes of the images that went to the kernels."""
    sizes: list[torch.Size] = []
    apply = Winograd.apply
    monkeypatch.setattr(Winograd, "apply", staticmethod(lambda x, weight: sizes.append(x.shape) or apply(x, weight)))
    return sizes


def layer(**options: object) -> WinogradConv2d:
    network = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, **options))  # type: ignore[arg-type]
    use_winograd(network)
    assert isinstance(network[0], WinogradConv2d)
    return network[0]


@HERE
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_the_convolution_that_it_was(bias: bool, computed: list[torch.Size]) -> None:
    winograd = layer(bias=bias)
    plain = nn.Conv2d(32, 32, 3, padding=1, bias=bias)
    plain.load_state_dict(winograd.state_dict())
    x = drawn(9, 32, 8, 8, dtype=torch.float32)
    torch.testing.assert_close(winograd(x), plain(x), rtol=1e-4, atol=1e-4)
    assert computed == [x.shape]
    functional.relu(winograd(x), inplace=True).sum().backward()  # as VGG has it
    functional.relu(plain(x), inplace=True).sum().backward()
    for ours, theirs in zip(winograd.parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-2)


@HERE
@pytest.mark.filterwarnings("ignore:.torch.jit.trace:FutureWarning")
def test_maps_that_fill_their_tiles_badly_and_other_precisions_go_to_torch(
    computed: list[torch.Size], monkeypatch: pytest.MonkeyPatch
) -> None:
    winograd = layer()
    for side in (1, 2, 3, 5, 6, 8):
        winograd(torch.zeros(LEAST_TILES, 32, side, side))
    assert [size[2] for size in computed] == [3, 5, 6, 8]
    few, x = (torch.zeros(images, 32, 8, 8) for images in (LEAST_TILES // 4 - 1, LEAST_TILES // 4))
    winograd(few)
    assert len(computed) == 4
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert winograd(x).dtype == torch.bfloat16
    assert winograd(x[0]).shape == (32, 8, 8) and winograd(x[:0]).shape == (0, 32, 8, 8)
    assert copy.deepcopy(winograd).double()(x.double()).dtype == torch.float64
    assert copy.deepcopy(winograd).to("meta")(x.to("meta")).device.type == "meta"
    torch.jit.trace(winograd, x, check_trace=False)
    assert "conv2d" in str(torch.export.export(winograd, (x,)).graph)
    monkeypatch.setenv(VARIABLE, "torch")
    winograd(x)
    monkeypatch.delenv(VARIABLE)
    winograd.stride = (2, 2)
    assert winograd(x).shape[2:] == (4, 4)
    assert len(computed) == 4


def test_only_plain_dense_convolutions_of_many_channels_are_meant() -> None:
    class Other(nn.Conv2d):
        pass

    others = [
        nn.Conv2d(32, 15, 3, padding=1),
        nn.Conv2d(22, 23, 3, padding=1),
        nn.Conv2d(15, 512, 3, padding=1),
        nn.Conv2d(32, 32, 3),
        nn.Conv2d(32, 32, 3, padding="same"),
        nn.Conv2d(32, 32, 3, 2, padding=1),
        nn.Conv2d(32, 32, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(32, 32, 3, padding=2, dilation=2),
        nn.Conv2d(64, 64, 3, padding=1, groups=2),
        nn.Conv2d(32, 32, 5, padding=1),
        Other(32, 32, 3, padding=1),
    ]
    network = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.Sequential(nn.Conv2d(16, 64, 3, 1, 1, bias=False)), *others)
    before, classes = dict(network.named_parameters()), [type(layer) for layer in others]
    use_winograd(network)
    assert type(network[0]) is type(network[1][0]) is WinogradConv2d
    assert [type(layer) for layer in network[2:]] == classes
    after = dict(network.named_parameters())
    assert list(before) == list(after) and all(before[name] is after[name] for name in before)


@HERE
def test_what_stands_in_for_a_convolution_stands_in_for_this_one_and_leaves_it_the_rest(computed: list[torch.Size]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(layer(), nn.Conv2d(32, 4, 3, padding=1))
    expected = copy.deepcopy(network)
    for _ in range(2):  # once is enough
        speed_up_small_maps(network)
    assert isinstance(network[0], SmallMapConv2d) and isinstance(network[0], WinogradConv2d) and type(network[1]) is SmallMapConv2d
    for side in (1, 2, 8):
        x = drawn(9, 32, side, side, dtype=torch.float32)
        torch.testing.assert_close(network(x), expected(x), rtol=1e-4, atol=1e-4)
    assert {size[2] for size in computed} == {8}
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert type(twin[0]) is type(network[0])
        assert torch.equal(twin(x), network(x))


@HERE
def test_backbones_compute_by_it_and_train_as_without(computed: list[torch.Size], monkeypatch: pytest.MonkeyPatch) -> None:
    x = drawn(LEAST_TILES, 3, 32, 32, dtype=torch.float32)
    outputs, gradients = [], []
    for choice in ("compiled", "torch"):
        monkeypatch.setenv(VARIABLE, choice)
        torch.manual_seed(0)
        network = build_backbone("convnet32", width=32)
        outputs.append(network(x))
        outputs[-1].square().sum().backward()
        gradients.append([p.grad for p in network.parameters() if p.grad is not None])
    assert [(size[1], size[2]) for size in computed] == [(24, 31), (32, 15), (32, 15), (128, 7), (128, 7), (128, 3)]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(*gradients, strict=True):
        # A rough look at the whole: where two pixels are nearly the same, rounding decides which of them a pooling passes its gradient to.
        assert (ours - theirs).norm() < 0.1 * theirs.norm()


def test_the_note_says_which_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels_note(torch.bfloat16, is_supernet=False) is None
    note = partial(kernels_note, torch.float32, is_supernet=False)
    if kernels_for(torch.float32) is not None:
        assert note() == "dense 3x3 convolutions run on kernels compiled for this processor, where these are faster"
    monkeypatch.setenv(VARIABLE, "torch")
    assert note() == "dense 3x3 convolutions run on torch's operations: switched off by RETIARIUS_KERNELS=torch"
