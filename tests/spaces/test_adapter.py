"""Model spaces of anyone's: a class, an instance, a function, a name, NNI's hub; what they do not tell has a default."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import cloudpickle
import pytest
import torch
from nni.mutable import Categorical, frozen_context
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace
from program import run_code
from torch import Tensor, nn

from common.errors import InputError, SpaceError
from spaces import SPACES, SpaceEntry
from spaces.adapter import Space, find_space
from spaces.darts.space import DartsSpace


class Plain(ModelSpace):
    """Tells nothing of itself.

    Images [N, 3, H, W] -> logits.
    """

    SIZES = (3, 5)  # nothing that is asked for

    def __init__(self, width: int, num_labels: int = 3, *, kernels: tuple[int, ...] = (1, 3), note: Any = None) -> None:
        super().__init__()
        self.note = note
        self.layer = LayerChoice({f"k{size}": nn.Conv2d(3, width, size, padding=size // 2) for size in kernels}, label="layer")
        self.inputs = InputChoice(3, n_chosen=2, reduction="sum", label="inputs")
        self.head = nn.Linear(width, num_labels)

    def forward(self, images: Tensor) -> Tensor:
        x = self.layer(images)
        return self.head(self.inputs([x, 2 * x, 3 * x]).mean((2, 3)))

    def describe(self) -> str:
        """An ordinary method, of something else."""
        raise AssertionError

    @property
    def canonical(self) -> str:
        raise AssertionError


class Telling(Plain):
    @classmethod
    def describe(cls, architecture: Any) -> dict[str, str]:  # type: ignore[override]
        return {"layer": f"{cls.__name__}'s {architecture['layer']}"}

    @staticmethod
    def hyperparameters() -> dict[str, Any]:
        return {"initial_lr": Categorical([0.1, 0.2], label="initial_lr")}

    @staticmethod
    def surrogate_features(architecture: Any) -> dict[str, float]:
        return {architecture["layer"]: 1.0}

    @staticmethod
    def speed_up(network: nn.Module) -> None:
        pass

    def operation_costs(self) -> dict[str, float]:
        return {"k1": 0.1, "k3": 1.0}

    def input_edges(self) -> dict[str, list[str]]:
        return {"inputs": ["a", "b", "c"]}


class Wrapped(Plain):
    """A constructor that hands on what it does not know."""

    def __init__(self, depth: int = 2, **more: Any) -> None:
        super().__init__(4, **more)
        self.depth = depth


class Inherited(Wrapped):
    pass


class Untraced(ModelSpace, disable_init_wrapper=True):
    def __init__(self) -> None:
        super().__init__()
        self.layer = LayerChoice({"a": nn.Linear(2, 2), "b": nn.Linear(2, 3)}, label="layer")

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


ARCHITECTURE = {"layer": "k3", "inputs": [0, 2]}


def plain(width: int = 4, num_classes: int = 3) -> ModelSpace:
    return Plain(width, num_classes)


def weights(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def seeded(space: Space, arguments: dict[str, Any], architecture: dict[str, Any] | None = None) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return space.network(arguments, architecture or ARCHITECTURE)


WAYS: list[tuple[Any, str, dict[str, Any]]] = [
    (Plain, "Plain", {"width": 4}),
    (Plain(4), "Plain", {}),
    (partial(Plain, 4), "Plain", {}),
    (partial(Plain, width=4), "Plain", {}),
    (plain, "plain", {}),
    (lambda width=4, num_labels=3: Plain(width, num_labels), "<lambda>", {}),
]


@pytest.mark.parametrize(("what", "name", "arguments"), WAYS, ids=["class", "instance", "positional", "partial", "function", "lambda"])
def test_a_space_of_anyones_is_complete(what: Any, name: str, arguments: dict[str, Any]) -> None:
    space = find_space(what)
    assert find_space(space) is space and not space.is_registered and not space.answers_at_once
    assert space.name == f"{__name__}:{name}"
    assert space.recipe_for("quick") == space.recipe_for("paper") == "fast"

    arguments = space.with_classes({**space.preset_arguments("quick", "search"), **arguments}, 5)
    before = torch.get_rng_state()
    unfrozen = space.make(arguments)
    assert torch.equal(torch.get_rng_state(), before)
    assert list(unfrozen.simplify()) == ["layer", "inputs"] == list(space.choices(arguments))
    assert space.offers == {"one_shot"}
    network = seeded(space, arguments)
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    assert not any(isinstance(module, LayerChoice | InputChoice) for module in network.modules())
    assert torch.equal(weights(seeded(space, arguments)), weights(network)), "drawn by the seed"
    kept = cloudpickle.loads(cloudpickle.dumps(partial(space.network, arguments)))
    assert kept(ARCHITECTURE)(torch.zeros(2, 3, 8, 8)).shape == (2, 5)

    assert space.canonical({"layer": "k1", "inputs": [2, 0]}) == {"layer": "k1", "inputs": [0, 2]}
    assert space.describe(ARCHITECTURE) == {"layer": "k3", "inputs": "[0, 2]"}
    assert space.default_architecture() is None and space.hyperparameters() == {} and space.features is None
    assert space.narrowed("quick") == {}
    one_shot, fast = space.one_shot(unfrozen), space.acceleration
    assert (one_shot.input_edges, one_shot.operation_costs, space.tells_costs) == ({}, {}, False)
    assert one_shot.form is not None and one_shot.form(nn.Conv2d(1, 1, 1)) is None
    assert fast.speed_up is None and fast.only_precision(torch.device("cpu")) is None
    assert fast.kernels_note(torch.float32, is_supernet=True) is None
    space.check_arguments({"width": 10**9})  # not built, and not refused: whoever names the class has to know


def test_arguments_are_the_constructors() -> None:
    space = find_space(Plain)
    assert space.summary == "Tells nothing of itself."
    assert space.settable("search") == space.settable("retrain") == dict.fromkeys(["width", "kernels", "note"])
    assert space.sized_arguments("quick", "search", {"width": 2, "layer": "k1"}) == {"width": 2}
    with pytest.raises(SpaceError, match=r"^Plain cannot be built with \{\}: .*missing 1 required .* 'width'$"):
        space.make({})
    with pytest.raises(SpaceError, match=r"^Plain cannot be built with .*'wide'"):
        space.make({"width": "wide"})
    assert list(find_space(Inherited).settable("search")) == ["depth", "width", "kernels", "note"]
    assert find_space(Inherited).with_classes({}, 7) == {"num_labels": 7}
    assert seeded(find_space(Inherited), {"num_labels": 7, "depth": 1})(torch.zeros(1, 3, 8, 8)).shape == (1, 7)
    assert find_space(plain).with_classes({"width": 1}, 7) == {"width": 1, "num_classes": 7}
    assert find_space(lambda: Plain(4)).with_classes({}, 7) == {}


def test_an_instance_is_built_again_with_its_arguments() -> None:
    note, space = object(), None
    space = find_space(Plain(6, 4, kernels=(3,), note=note))
    assert space.preset_arguments("quick", "search") == {"width": 6, "num_labels": 4, "kernels": (3,)}, "what a file can hold"
    assert space.preset_arguments("paper", "retrain") == space.preset_arguments("quick", "search")
    made = space.make(space.sized_arguments("quick", "search", {"width": 2}))
    assert made.layer.names == ["k3"] and made.head.in_features == 2 and made.note is note
    assert space.make({}).head.in_features == 6


def test_an_instance_that_cannot_be_built_again_is_copied() -> None:
    with frozen_context():  # which NNI opens for spaces whose arguments it notes
        instance = Untraced()
    before = copy.deepcopy(instance.state_dict())
    space = find_space(instance)
    assert space.settable("search") == {} and space.with_classes({}, 5) == {} and space.preset_arguments("quick", "search") == {}
    first, second = (space.network({}, {"layer": name}) for name in "ab")
    assert isinstance(first.layer, nn.Linear) and torch.equal(first.layer.weight, instance.layer["a"].weight)
    assert first.layer.weight is not instance.layer["a"].weight
    assert second(torch.zeros(1, 2)).shape == (1, 3)
    assert all(torch.equal(before[key], value) for key, value in instance.state_dict().items())
    with pytest.raises(SpaceError, match=r"Untraced is already built and takes no arguments: leave out width$"):
        space.make({"width": 2})


def test_what_a_class_tells_is_taken() -> None:
    with pytest.warns(UserWarning, match="positional arguments"):  # NNI cannot name them where a constructor is inherited: we can
        space = find_space(Telling(4))
    assert space.preset_arguments("quick", "search") == {"width": 4}
    model = space.make({})
    assert space.describe({"layer": "k3"}) == {"layer": "Telling's k3"}
    assert space.offers == {"one_shot", "hyperparameters"} and list(space.hyperparameters()) == ["initial_lr"]
    assert space.features is not None and space.features({"layer": "k3"}) == {"k3": 1.0}
    assert space.one_shot(model).operation_costs == {"k1": 0.1, "k3": 1.0} and space.tells_costs
    assert space.one_shot(model).input_edges == {"inputs": ["a", "b", "c"]}
    assert space.acceleration.speed_up is Telling.speed_up


def test_a_registered_class_is_known_by_its_name() -> None:
    for what in (DartsSpace, "spaces.darts.space:DartsSpace", DartsSpace(width=6, num_cells=3), partial(DartsSpace, width=6)):
        assert find_space(what).name == "darts" and find_space(what).is_registered
    assert find_space(DartsSpace).preset_arguments("quick", "search") == find_space("darts").preset_arguments("quick", "search")
    assert find_space(DartsSpace(width=6, num_cells=3)).preset_arguments("paper", "retrain") == {"width": 6, "num_cells": 3}
    assert find_space(partial(DartsSpace, width=6)).preset_arguments("quick", "search") == {"width": 6}


def test_a_space_that_is_registered_without_a_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SpaceEntry, "load", lambda self: Telling)
    monkeypatch.setitem(SPACES, "mine", SpaceEntry("mine:Telling", "one layer", frozenset({"one_shot"}), "lab"))
    space = find_space("mine")
    assert (space.name, space.summary, space.recipe_for("quick"), space.offers) == ("mine", "one layer", "lab", {"one_shot"})
    assert space.settable("search") == {} and not space.answers_at_once
    assert list(space.choices({"width": 2})) == ["layer", "inputs"]
    assert find_space(lambda: Plain(2)).canonical({"inputs": [1, 0]}) == {"inputs": [0, 1]}


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


BUILT = Plain(4)
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


def test_a_function_that_returns_what_was_there_before_is_refused() -> None:
    with pytest.raises(SpaceError, match="returns a space that existed before; it must build a new one at each call"):
        find_space(lambda: BUILT).network({}, ARCHITECTURE)


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
