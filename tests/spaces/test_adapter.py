"""Model spaces of anyone's, a class, an instance, a function: what they do not tell has a default, and what they tell is taken."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import cloudpickle
import pytest
import torch
from nni.mutable import Categorical, frozen_context
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace
from torch import Tensor, nn

from common.errors import SpaceError
from spaces import SPACES, SpaceEntry
from spaces.adapter import Space, find_space


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


def test_a_space_that_is_registered_without_a_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SpaceEntry, "load", lambda self: Telling)
    monkeypatch.setitem(SPACES, "mine", SpaceEntry("mine:Telling", "one layer", frozenset({"one_shot"}), "lab"))
    space = find_space("mine")
    assert (space.name, space.summary, space.recipe_for("quick"), space.offers) == ("mine", "one layer", "lab", {"one_shot"})
    assert space.settable("search") == {} and not space.answers_at_once
    assert list(space.choices({"width": 2})) == ["layer", "inputs"]
    assert find_space(lambda: Plain(2)).canonical({"inputs": [1, 0]}) == {"inputs": [0, 1]}


BUILT = Plain(4)


def test_a_function_that_returns_what_was_there_before_is_refused() -> None:
    with pytest.raises(SpaceError, match="returns a space that existed before; it must build a new one at each call"):
        find_space(lambda: BUILT).network({}, ARCHITECTURE)
