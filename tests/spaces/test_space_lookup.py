"""Which space is meant: by a name, a module and its class, a function; what is none is refused in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from program import run_code
from torch import nn

from common.errors import InputError, SpaceError
from spaces.adapter import find_space
from spaces.darts.space import DartsSpace


def test_a_registered_class_is_known_by_its_name() -> None:
    for what in (DartsSpace, "spaces.darts.space:DartsSpace", DartsSpace(width=6, num_cells=3), partial(DartsSpace, width=6)):
        assert find_space(what).name == "darts" and find_space(what).is_registered
    assert find_space(DartsSpace).preset_arguments("quick", "search") == find_space("darts").preset_arguments("quick", "search")
    assert find_space(DartsSpace(width=6, num_cells=3)).preset_arguments("paper", "retrain") == {"width": 6, "num_cells": 3}
    assert find_space(partial(DartsSpace, width=6)).preset_arguments("quick", "search") == {"width": 6}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("a:b:c", r"^space 'a:b:c': expected package\.module:Class$"),
        (":Class", r"expected package.module:Class"),
        ("os;x:y", r"expected package.module:Class"),
        (
            "no_such_package.spaces:Mine",
            r"no_such_package.spaces cannot be imported: ModuleNotFoundError: No module named",
        ),
        ("json:Missing", r"^space 'json:Missing': json has no Missing$"),
        ("json:JSONDecoder", r"^json\.decoder:JSONDecoder is not a model space, a subclass of nni\.nas\.nn\.pytorch\.ModelSpace$"),
        ("long_" * 100_000 + ":X", r"^space .*: expected package\.module:Class$"),
        ("mine:find.<locals>.Class", r"a class defined in a function cannot be imported by name; pass it from Python$"),
        ("os:system", r"^the space is <built-in function system>; expected a name, or a model space of NNI"),
        (nn.Linear(2, 2), r"^the space is .*Linear.*; expected a name, or a model space of NNI"),
        (3, r"the space is 3; expected a name"),
        (None, r"the space is None; expected a name"),
    ],
)
def test_what_is_no_space_is_refused_in_one_line(what: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as refused:
        find_space(what)
    assert "\n" not in str(refused.value) and isinstance(refused.value, InputError)


def test_a_module_that_ends_the_process_is_no_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "ending_module.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SpaceError, match="ending_module cannot be imported: SystemExit: 3"):
        find_space("ending_module:Mine")


BAD: list[tuple[Callable[..., Any], str]] = [
    (lambda: nn.Linear(2, 2), r"<lambda> returns Linear\(.*\), which is not a model space"),
    (lambda: None, r"returns None, which is not a model space"),
    (lambda: 1 / 0, r"^<lambda> cannot be built with \{\}: ZeroDivisionError: division by zero$"),
    (lambda: sys.exit(3), r"^<lambda> cannot be built with \{\}: SystemExit: 3$"),
]


@pytest.mark.parametrize(("build", "message"), BAD)
def test_functions_that_build_no_space(build: Callable[..., Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        find_space(build).make({})


IN_MAIN = """
import warnings; warnings.simplefilter("ignore")
import cloudpickle, pickle, sys
from functools import partial
from torch import nn
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from spaces.adapter import find_space

class Mine(ModelSpace):
    def __init__(self, num_classes=2):
        super().__init__()
        self.layer = LayerChoice({"a": nn.Linear(4, num_classes), "b": nn.Linear(4, num_classes, bias=False)}, label="layer")
    def forward(self, x):
        return self.layer(x)

space = find_space(Mine)
again = find_space("__main__:Mine")
print(space.name, again.name, *space.offers)
open(sys.argv[1], "wb").write(cloudpickle.dumps(partial(space.network, space.with_classes({}, 3))))
"""
ELSEWHERE = """
import warnings; warnings.simplefilter("ignore")
import pickle, sys, torch
print(*pickle.load(open(sys.argv[1], "rb"))({"layer": "b"})(torch.zeros(1, 4)).shape)
"""


@pytest.mark.slow
def test_a_class_in_main_is_built_in_another_process(tmp_path: Any) -> None:
    said = [run_code(program, str(tmp_path / "network")) for program in (IN_MAIN, ELSEWHERE)]
    assert said == ["__main__:Mine __main__:Mine one_shot\n", "1 3\n"]
