"""Every backbone of the zoo with every stem: sizes, gradients, resolutions, and what each computes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torchvision
from drawn_weights import parameters, seeded  # noqa: F401
from torch import nn

from kernels.build import VARIABLE
from spaces.zoo.backbones import build_backbone
from spaces.zoo.convnet32 import ConvNet32
from spaces.zoo.vocabulary import BACKBONES, STEMS

# Trainable parameters at 10 classes: (own stem, small stem).
PARAMETERS = {
    "resnet18": (11_181_642, 11_173_962),
    "resnet50": (23_528_522, 23_520_842),
    "vgg16": (134_301_514, 33_638_218),
    "vgg16_bn": (134_309_962, 33_646_666),
    "densenet121": (6_964_106, 6_956_426),
    "squeezenet1_1": (727_626, 727_626),
    "shufflenet_v2_x1_0": (1_263_854, 1_263_854),
    "mobilenet_v2": (2_236_682, 2_236_682),
    "resnext50_32x4d": (23_000_394, 22_992_714),
    "mnasnet1_0": (3_115_122, 3_115_122),
    "resnet10t": (4_927_618, 4_927_618),
    "resnet14t": (8_053_122, 8_053_122),
    "mobilenetv3_small_100": (1_528_106, 1_528_106),
    "mobilenetv3_large_100": (4_214_842, 4_214_842),
    "mobilenetv4_conv_small": (2_505_834, 2_505_834),
    "efficientnet_lite0": (3_383_818, 3_383_818),
    "efficientnet_b0": (4_020_358, 4_020_358),
    "tinynet_e": (774_782, 774_782),
    "ghostnet_100": (3_914_318, 3_914_318),
    "regnetx_002": (2_319_482, 2_319_482),
    "regnety_002": (2_797_686, 2_797_686),
    "repvgg_a0": (7_840_778, 7_840_778),
    "mobileone_s0": (4_278_522, 4_278_522),
    "convnet32": (1_972_792, 1_972_792),
}
LARGE = 2_000_000  # parameters: to draw and to train more of them takes long


def takes_long(name: str, stem: str) -> Any:
    """A case of a backbone and its stem, a slow one where the backbone is large."""
    return pytest.param(name, stem, marks=pytest.mark.slow if PARAMETERS[name][STEMS.index(stem)] > LARGE else ())


ARCHITECTURES = [takes_long(name, stem) for name in BACKBONES for stem in STEMS]


def test_parameter_counts() -> None:
    with torch.device("meta"):  # shapes without memory and without drawing weights
        counts = {name: tuple(parameters(build_backbone(name, stem=stem)) for stem in STEMS) for name in BACKBONES}
    assert counts == PARAMETERS


@pytest.mark.parametrize(("name", "stem"), ARCHITECTURES)
def test_every_backbone_trains_at_every_size(name: str, stem: str) -> None:
    network = build_backbone(name, stem=stem, num_classes=10)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and not layer.weight.any():
            # timm starts residual branches at zero, which hides the gradient of what lies before
            nn.init.ones_(layer.weight)
    loss = nn.functional.cross_entropy(network(torch.randn(4, 3, 32, 32)), torch.arange(4))
    loss.backward()
    for label, parameter in network.named_parameters():
        if not parameter.requires_grad:  # of convnet32: the whitening filters, the scales of its norms
            continue
        assert parameter.grad is not None, f"{label} has no gradient"
        assert 0 < parameter.grad.abs().sum() < math.inf, f"the gradient of {label} is zero or not finite"
    network.eval()
    with torch.no_grad():
        for pixels in (28, 64):
            assert network(torch.randn(1, 3, pixels, pixels)).shape == (1, 10)


def input_sides(network: nn.Module, pixels: int) -> list[int]:
    """The width of what each convolution reads, in order; those of 1x1 and those that read the image left out."""
    sides: list[int] = []

    def record(layer: nn.Conv2d, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].shape[1] != 3 and layer.kernel_size != (1, 1):
            sides.append(inputs[0].shape[-1])

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_pre_hook(record)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, pixels, pixels))
    return sides


@pytest.mark.parametrize("name", [name for name in BACKBONES if not name.startswith(("vgg", "convnet32"))])
def test_the_small_stem_keeps_the_full_resolution(name: str) -> None:
    with torch.device("meta"):
        own, small = (input_sides(build_backbone(name, stem=stem), 64) for stem in STEMS)
    assert len(own) == len(small)
    pools = name.startswith(("resne", "densenet", "shufflenet"))  # the own stem pools after a convolution of stride 2
    if name == "squeezenet1_1":  # not padded: the own stem leaves 31, then 15 pixels
        assert (own[0], small[0]) == (15, 62)
    else:
        assert max(own) <= 32
        assert small[0] == max(small) == 64
        assert small[-1] == own[-1] * (4 if pools else 2)


def test_rounding_up_changes_nothing_at_32_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "torch")  # the same convolutions in both
    ours = build_backbone("densenet121").eval()
    theirs = torchvision.models.densenet121(weights=None, num_classes=10).eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))
        with pytest.raises(RuntimeError, match="too small"):
            theirs(torch.randn(2, 3, 28, 28))


@pytest.mark.slow
def test_the_small_vgg_expresses_what_vgg_expresses_at_32_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "torch")  # whose rounding is finer
    with torch.device("meta"):  # the weights that it draws, 134 million, are none of the time's worth
        own, small = (build_backbone("vgg16", stem=stem).eval().to_empty(device="cpu") for stem in STEMS)
    state = own.state_dict()
    for weight in state.values():
        weight.uniform_(-1, 1).div_(weight[0].numel() ** 0.5)
    state["classifier.0.weight"] = state["classifier.0.weight"].unflatten(1, (512, 49)).sum(2)
    small.load_state_dict(state)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(own(images), small(images))


def test_convnet32_whitens_the_patches_of_the_images_that_it_is_given() -> None:
    images = torch.randn(64, 3, 32, 32).cumsum(2).cumsum(3)
    images = (images - images.mean((0, 2, 3), keepdim=True)) / images.std((0, 2, 3), keepdim=True)
    network = ConvNet32(width=16)
    network.whitening.initialize_from(images)
    answers = network.whitening(images).movedim(1, 0).flatten(1)
    torch.testing.assert_close(answers[:12], -answers[12:])
    seen = answers[:12] @ answers[:12].T / answers.shape[1]
    variances = seen.diagonal()
    torch.testing.assert_close(seen, variances.diag(), atol=2e-3, rtol=0)
    assert variances.max() < 1 and variances[-4:].min() > 0.9  # the weakest are held back, so that noise is not blown up


def test_convnet32_passes_images_through_its_first_convolutions_at_the_start() -> None:
    convolution = ConvNet32(width=32).stages[0].first[0]
    x = torch.randn(2, 24, 8, 8)
    torch.testing.assert_close(convolution(x)[:, :24], x)
