"""Whether an argument is a choice of the space, too: asked once, and at no cost of weights."""

from __future__ import annotations

from typing import Any

import nni
import torch
from nni.nas.nn.pytorch import ModelSpace, MutableLinear

from spaces.adapter import find_space

BUILT: list[dict[str, Any]] = []


class Counted(ModelSpace):
    """Its ``width`` is a choice where it is no number; it is told where its weights are."""

    def __init__(self, width: int | None = None, depth: int = 1) -> None:
        super().__init__()
        chosen = nni.choice("width", [4, 8]) if width is None else width
        self.layer = MutableLinear(8, chosen)
        BUILT.append({"width": width, "depth": depth, "device": torch.zeros(1).device.type})


class Valued(Counted):
    """Its constructor looks at the values of its weights."""

    def __init__(self, width: int | None = None) -> None:
        super().__init__(width)
        self.scale = float(torch.ones(3).sum().item())


def test_an_argument_that_is_a_choice_is_no_argument_and_the_class_is_built_once_for_that() -> None:
    BUILT.clear()
    for _ in range(2):
        space = find_space(Counted)
        assert space.sized_arguments("quick", "search", {"width": 4, "depth": 2}) == {"depth": 2}
        assert space.sized_arguments("quick", "search", {"width": 5}) == {"width": 5}, "no candidate of the choice"
    assert BUILT == [{"width": None, "depth": 1, "device": "meta"}]


def test_a_list_is_an_argument_without_a_look() -> None:
    BUILT.clear()
    assert find_space(Counted).sized_arguments("quick", "search", {"width": [4, 8]}) == {"width": [4, 8]}
    assert BUILT == []


def test_a_constructor_that_needs_the_values_of_its_weights_is_asked_with_them() -> None:
    BUILT.clear()
    assert find_space(Valued).sized_arguments("quick", "search", {"width": 8}) == {}
    assert [built["device"] for built in BUILT] == ["meta", "cpu"]
