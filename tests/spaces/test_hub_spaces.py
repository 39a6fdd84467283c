"""Spaces of NNI's hub, as nobody here wrote them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from nni.mutable import MutableDict
from torch import Tensor, nn

from common.errors import SpaceError
from spaces.adapter import Space, find_space


def seeded(space: Space, arguments: dict[str, Any], architecture: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return space.network(arguments, architecture)


def weights(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


HUB: list[tuple[str, dict[str, Any]]] = [
    ("NasBench201", {"stem_out_channels": 4, "num_modules_per_stack": 1, "num_labels": 5}),
    ("ShuffleNetSpace", {"num_labels": 5}),
    ("MobileNetV3Space", {"num_labels": 5}),
    ("DARTS", {"width": 4, "num_cells": 3}),
    ("NasBench101", {"stem_out_channels": 4, "num_stacks": 1, "num_modules_per_stack": 1, "num_labels": 5}),
    *((name, {"width": 4, "num_cells": 3}) for name in ("NASNet", "ENAS", "AmoebaNet", "PNAS")),
    ("ProxylessNAS", {"width_mult": 0.25, "num_labels": 5}),
    ("AutoFormer", {"search_embed_dim": (16, 32), "search_num_heads": (1, 2), "search_depth": (1, 2), "img_size": 32, "num_labels": 5}),
]


@pytest.mark.parametrize(("name", "arguments"), [HUB[0], *(pytest.param(*space, marks=pytest.mark.slow) for space in HUB[1:])])
def test_spaces_of_nnis_hub(name: str, arguments: dict[str, Any]) -> None:
    space = find_space(f"nni.nas.hub.pytorch:{name}")
    assert space.name.endswith(f":{name}") and space.name == find_space(space.name).name
    sized = space.sized_arguments("quick", "search", arguments)
    arguments = space.with_classes(sized, 5)
    sample: dict[str, Any] = {}
    MutableDict(space.make(arguments).simplify()).random(memo=sample, random_state=np.random.RandomState(0))
    assert space.offers == frozenset({"one_shot"})
    canonical = space.canonical(sample)
    assert space.canonical(canonical) == canonical and json.loads(json.dumps(canonical)) == canonical
    assert space.make(arguments).check_contains(canonical) is None
    assert all(isinstance(text, str) and text for text in space.describe(canonical).values())
    networks = [seeded(space, arguments, architecture) for architecture in (sample, canonical)]
    assert torch.equal(weights(networks[0]), weights(networks[1]))
    classes = 5 if "num_labels" in arguments else 10  # it has no argument for them
    assert networks[0].eval()(torch.zeros(2, 3, 32, 32)).shape == (2, classes)


def test_a_value_is_a_choice_where_the_space_chooses_it_and_else_an_argument() -> None:
    space = find_space("nni.nas.hub.pytorch:DARTS")
    chosen = {"width": 16, "num_cells": 4}
    arguments = space.sized_arguments("quick", "search", chosen)
    assert arguments == {"num_cells": 4}, "16 is one of the widths that the space has: a choice that is pinned"
    assert space.pinned_choices(arguments, chosen) == {"width": 16}
    listed = {"width": [4, 8]}
    assert space.sized_arguments("quick", "search", listed) == listed and space.pinned_choices(listed, listed) == {}
    assert space.choices(listed)["width"]["values"] == [4, 8]
    assert space.sized_arguments("quick", "retrain", chosen) == chosen, "the architecture has been settled"


def test_the_side_of_the_images_is_told_to_those_who_ask() -> None:
    space = find_space("nni.nas.hub.pytorch:AutoFormer")
    assert space.with_side({"patch_size": 8}, 32) == {"patch_size": 8, "img_size": 32}
    assert find_space("nni.nas.hub.pytorch:DARTS").with_side({}, 32) == {} and find_space("darts").with_side({}, 32) == {}


def test_what_nni_computes_of_the_choices_is_no_choice() -> None:
    space = find_space("nni.nas.hub.pytorch:NasBench101")
    small = {"stem_out_channels": 4, "num_stacks": 1, "num_modules_per_stack": 1}
    assert "cell/final" in space.make(small).simplify() and "cell/final" not in space.choices(small)
    assert space.canonical({"cell/op1": "maxpool3x3", "cell/input1": [0], "cell/final": {"op1": "maxpool3x3"}}) == {
        "cell/op1": "maxpool3x3",
        "cell/input1": [0],
    }


def test_a_space_of_the_hub_that_is_asked_for_by_its_class_alone() -> None:
    for name in ("ProxylessNAS", "nni.nas.hub.pytorch.ProxylessNAS"):
        with pytest.raises(SpaceError, match=r"unknown space .*; NNI's is nni\.nas\.hub\.pytorch:ProxylessNAS"):
            find_space(name)
    with pytest.raises(SpaceError, match=r"nni\.nas\.hub\.pytorch has no ProxylesNAS \(did you mean ProxylessNAS\?\)"):
        find_space("nni.nas.hub.pytorch:ProxylesNAS")
