"""The zoo space: NNI's contract, laziness, and every backbone with every stem."""

from __future__ import annotations

import json
import math
import re
import time
from typing import Any

import nni.nas.nn.pytorch as nas
import psutil
import pytest
import torch
import torchvision
from nni.mutable import Categorical, MutableDict, SampleValidationError
from nni.nas.space import SimplifiedModelSpace, model_context
from numpy.random import RandomState
from torch import nn

from common.errors import SpaceError
from kernels.build import VARIABLE
from spaces import SPACES
from spaces.zoo.backbones import SMALL_STEMS, build_backbone
from spaces.zoo.convnet32 import ConvNet32
from spaces.zoo.space import LazyBackbone, ZooSpace
from spaces.zoo.vocabulary import BACKBONES, DEPTHS, STEMS, WIDTHS

LAB_MODELS = [
    "resnet18",
    "resnet50",
    "vgg16",
    "vgg16_bn",
    "densenet121",
    "squeezenet1_1",
    "shufflenet_v2_x1_0",
    "mobilenet_v2",
    "resnext50_32x4d",
    "mnasnet1_0",
]

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
SIZE = {"width": 64, "depth": 2}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(autouse=True)
def _one_seed():
    """Same draws in every test, and the random state of the others left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


# --- the space ----------------------------------------------------------------------------------------------------


def test_the_choices_and_the_labs_ten_models_plus_timms() -> None:
    choices = ZooSpace().simplify()
    assert set(choices) == {"backbone", "stem", "width", "depth"}
    assert all(type(choice) is Categorical for choice in choices.values())
    assert choices["backbone"].values == list(BACKBONES)
    assert choices["stem"].values == ["own", "small"]
    assert [name for name, entry in BACKBONES.items() if entry.package == "torchvision"] == LAB_MODELS
    assert sum(entry.package == "timm" for entry in BACKBONES.values()) >= 8
    assert {entry.stem for entry in BACKBONES.values()} == SMALL_STEMS.keys()


def test_the_default_is_what_nni_takes_as_default() -> None:
    space = ZooSpace()
    assert ZooSpace.default_architecture() == {"backbone": "resnet18", "stem": "own", **SIZE}
    assert MutableDict(space.simplify()).default() == ZooSpace.default_architecture()
    assert SPACES["zoo"].load() is ZooSpace


def test_building_the_space_is_cheap() -> None:
    process = psutil.Process()
    before, start = process.memory_info().rss, time.process_time()
    space = ZooSpace()
    assert time.process_time() - start < 1
    assert process.memory_info().rss - before < 200 * 2**20
    assert parameters(space) == 0


def test_only_the_chosen_backbone_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[str, str]] = []

    def record(name: str, *, stem: str, num_classes: int) -> nn.Module:
        built.append((name, stem))
        return build_backbone(name, stem=stem, num_classes=num_classes)

    monkeypatch.setattr("spaces.zoo.space.build_backbone", record)
    sample = {"backbone": "tinynet_e", "stem": "small", **SIZE}
    space = ZooSpace(num_classes=7)
    simplified = SimplifiedModelSpace.from_model(space, None).freeze(sample)
    assert built == []
    with model_context(sample):
        under_context = ZooSpace(num_classes=7)
    networks: list[nn.Module] = [under_context, space.freeze(sample), simplified.executable_model()]
    for network in networks:
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
        assert not any(isinstance(module, LazyBackbone | nas.LayerChoice) for module in network.modules())
        assert isinstance(network, ZooSpace)
        assert network.simplify() == {}
    assert built == [("tinynet_e", "small")] * 3


def test_the_dry_run_builds_the_first_candidate_once() -> None:
    space = ZooSpace(num_classes=4)
    assert space(torch.zeros(2, 3, 32, 32)).shape == (2, 4)
    first = space.backbone["resnet18"].network
    assert isinstance(first, torchvision.models.ResNet)
    space(torch.zeros(2, 3, 32, 32))
    assert space.backbone["resnet18"].network is first
    assert [name for name in BACKBONES if space.backbone[name].network is not None] == ["resnet18"]


def test_the_same_seed_gives_the_same_weights() -> None:
    sample = {"backbone": "squeezenet1_1", "stem": "small", **SIZE}
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(ZooSpace().freeze(sample).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_random_samples_are_plain_data_and_canonical() -> None:
    space = MutableDict(ZooSpace().simplify())
    for seed in range(20):
        sample = space.random(random_state=RandomState(seed))
        space.validate(json.loads(json.dumps(sample)))
        canonical = ZooSpace.canonical({**sample, "initial_lr": 0.1})
        unread = {"stem"} if sample["backbone"] == "convnet32" else {"width", "depth"}
        assert canonical == {label: ZooSpace.default_architecture()[label] if label in unread else sample[label] for label in sample}
        assert set(ZooSpace.describe(canonical)) == set(sample) - unread


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_width_and_depth_make_convnet32_larger(width: int, depth: int) -> None:
    sample = {"backbone": "convnet32", "stem": "own", "width": width, "depth": depth}
    network = ZooSpace(num_classes=5).freeze(sample)
    inner, outer = (3 * 3 * width * count for count in ((24 + 4 * width) + (depth - 1) * width, 4 * width + 8 * (depth - 1) * width))
    expected = inner + 4 * outer + depth * 9 * width + 24 + 5 * 4 * width  # convolutions, norms' biases, whitening's, the head
    assert sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad) == expected
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize(
    "sample",
    [
        {"backbone": "resnet19", "stem": "own", **SIZE},
        {"backbone": "resnet18", "stem": "tiny", **SIZE},
        {"backbone": ["resnet18"], "stem": "own", **SIZE},
        {"backbone": "resnet18", **SIZE},
        {"stem": "own", **SIZE},
        {},
    ],
)
def test_illegal_samples_are_refused_in_one_line(sample: dict[str, object]) -> None:
    with pytest.raises(SampleValidationError):
        ZooSpace().freeze(sample)
    with pytest.raises(SampleValidationError):
        SimplifiedModelSpace.from_model(ZooSpace(), None).freeze(sample)
    with pytest.raises(SpaceError, match=r"^[^\n]*(resnet18, resnet50|own, small)[^\n]*$"):
        ZooSpace.canonical(sample)


@pytest.mark.parametrize("num_classes", [0, -1, 2.0, "10", True, None])
def test_num_classes_is_a_positive_integer(num_classes: Any) -> None:
    with pytest.raises(SpaceError, match=re.escape(f"num_classes is {num_classes!r}")):
        ZooSpace(num_classes=num_classes)
    with pytest.raises(SpaceError, match=re.escape(f"num_classes is {num_classes!r}")):
        build_backbone("resnet18", num_classes=num_classes)


def test_unknown_backbones_and_stems_are_refused() -> None:
    with pytest.raises(SpaceError, match=r"'resnet19'.*resnet18, resnet50"):
        build_backbone("resnet19")
    with pytest.raises(SpaceError, match=r"'tiny'.*own, small"):
        build_backbone("resnet18", stem="tiny")


# --- the backbones ------------------------------------------------------------------------------------------------


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
