"""The zoo space: NNI's contract, laziness, and what it refuses."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import nni.nas.nn.pytorch as nas
import psutil
import pytest
import torch
import torchvision
from drawn_weights import parameters, seeded  # noqa: F401
from nni.mutable import Categorical, MutableDict, SampleValidationError
from nni.nas.space import SimplifiedModelSpace, model_context
from numpy.random import RandomState
from torch import nn

from common.errors import SpaceError
from spaces import SPACES
from spaces.zoo.backbones import SMALL_STEMS, build_backbone
from spaces.zoo.space import LazyBackbone, ZooSpace
from spaces.zoo.vocabulary import BACKBONES, DEPTHS, WIDTHS

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
SIZE = {"width": 64, "depth": 2}


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
