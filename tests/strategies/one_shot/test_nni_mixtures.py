"""Supernets of NNI's kinds of choices (values, depths, cells): what they compute, what is trained, what is read off them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nni.nas.hub.pytorch as hub
import pytest
import torch
from mixed_spaces import HUB, Cells, ValuesAndDepths, all_samples
from nni.mutable import Categorical
from nni.nas.evaluator.pytorch import ClassificationModule
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace, Repeat
from small_supernets import search, seeded
from torch import Tensor, nn

from common.errors import StrategyError
from spaces.adapter import find_space
from strategies.one_shot.darts import DartsStrategy
from strategies.one_shot.single_path import UniformPath

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def supernet_of(space: type[ModelSpace], **arguments: Any) -> tuple[DartsStrategy, Any]:
    """A strategy and its supernet, whose weights are of one seed: those that NNI makes for mixtures of values, too.

    With some seeds one feature alone is left after the last ReLU, and the layer norm makes the same of it in many networks.
    """
    strategy: Any = DartsStrategy()
    strategy._arch_parameters = {}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return strategy, strategy.mutate_model(seeded(space, arguments)).eval()


class Joined(ModelSpace):
    """A choice of inputs that are joined as it says."""

    def __init__(self, *, n_chosen: int | None, reduction: str) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)
        self.inputs = InputChoice(n_candidates=2, n_chosen=n_chosen, reduction=reduction, label="joined")

    def forward(self, images: Tensor) -> Any:
        return self.inputs([images, self.convolution(images)])


@pytest.mark.parametrize(
    ("arguments", "sampler", "said"),
    [
        ({"n_chosen": 2, "reduction": "concat"}, None, "its inputs are joined by reduction='concat'"),
        ({"n_chosen": 2, "reduction": "concat"}, UniformPath(), "its inputs are joined by reduction='concat'"),
        ({"n_chosen": None, "reduction": "sum"}, UniformPath(), "paths are drawn with a fixed one: set n_chosen"),
    ],
)
def test_inputs_that_cannot_be_mixed_are_named(arguments: dict[str, Any], sampler: Any, said: str) -> None:
    strategy: Any = DartsStrategy(sampler=sampler)
    strategy._arch_parameters = {}
    with pytest.raises(StrategyError, match=f"the choice joined cannot be mixed: .*{said}"):
        strategy.mutate_model(seeded(Joined, arguments))


def noise(*size: int) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def choose(strategy: Any, space: ModelSpace, sample: dict[str, Any]) -> None:
    """Make the architecture parameters say ``sample`` and nothing else."""
    for label, mutable in space.simplify().items():
        assert isinstance(mutable, Categorical)
        strategy._arch_parameters[label].fill_(-1e4)
        strategy._arch_parameters[label][mutable.values.index(sample[label])] = 1e4


@pytest.mark.slow
def test_a_supernet_of_settled_choices_computes_what_the_frozen_network_computes() -> None:
    strategy, supernet = supernet_of(ValuesAndDepths)
    space = ValuesAndDepths()
    seen = set()
    for sample in all_samples(space):
        choose(strategy, space, sample)
        network = supernet.freeze(sample).eval()  # with the weights of the supernet
        with torch.no_grad():
            mixed, expected = supernet(IMAGES), network(IMAGES)
        assert torch.allclose(mixed, expected, atol=1e-5), sample
        sizes = [sum(parameter.numel() for parameter in each.parameters()) for each in (network, space.freeze(sample))]
        assert sizes[0] == sizes[1], "no weights of other choices are left"
        seen.add(tuple(round(value, 5) for value in expected.flatten().tolist()))
    assert len(seen) == len(all_samples(space)) == 72, "each architecture is another network"


def test_undecided_depths_are_a_mean_in_which_depth_0_has_its_share() -> None:
    strategy, supernet = supernet_of(ValuesAndDepths, depths=(0, 1))
    alpha = strategy._arch_parameters["depth"]
    with torch.no_grad():
        alpha.zero_()
        x = noise(1, 8, 4, 4)
        assert torch.allclose(supernet.body(x), (x + supernet.body.blocks[0](x)) / 2, atol=1e-6)


def test_a_cell_of_settled_edges_computes_what_its_kept_operations_compute() -> None:
    _, supernet = supernet_of(Cells)
    cell = supernet.cells[0]
    kept = {"cell/1_0": 1, "cell/2_0": 2, "cell/2_1": 0}  # narrow; nothing; wide
    with torch.no_grad():
        for edge, choice in kept.items():
            cell._arch_alpha[edge].fill_(-1e4)
            cell._arch_alpha[edge][choice] = 1e4
        x = noise(1, 4, 6, 6)
        first = cell.ops[0][0]["narrow"](x)
        second = cell.ops[1][1]["wide"](first)
        assert torch.allclose(cell([x]), torch.cat([first, second], 1), atol=1e-5)
    exported = cell.export({})
    assert exported == {"cell/op_1_0": "narrow", "cell/input_1_0": [0], "cell/op_2_0": "wide", "cell/input_2_0": [1]}
    assert supernet.cells[1]._arch_alpha["cell/1_0"] is cell._arch_alpha["cell/1_0"], "cells of one label are one cell"


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2])
def test_the_edges_of_cells_are_trained_and_no_weights(order: int, tmp_path: Path) -> None:
    space = seeded(Cells, {})
    before: dict[str, Tensor] = {}

    def remember(step: int) -> None:
        if not before:
            before.update({label: alpha.detach().clone() for label, alpha in alphas().items()})

    def alphas() -> dict[str, nn.Parameter]:
        return dict(space.cells[0]._arch_alpha.items())  # type: ignore[union-attr, operator, index]

    strategy, (epoch,) = search(space, tmp_path, on_step=remember, order=order)
    weights, architecture = (
        {id(each) for group in optimizer.param_groups for each in group["params"]}
        for optimizer in strategy.oneshot_module.trainer.optimizers
    )
    edges = {id(alpha) for alpha in alphas().values()}
    assert len(edges) == 3 and edges == architecture and not edges & weights
    assert all(not torch.equal(alpha, before[label]) for label, alpha in alphas().items())
    assert Cells().check_contains(epoch.sample) is None


CANNOT = {"NasBench101": "cell/final is a constraint between choices"}


@pytest.mark.slow
@pytest.mark.parametrize("name", HUB)
def test_what_is_read_off_a_supernet_of_the_hub_is_a_legal_sample(name: str) -> None:
    kind, arguments = getattr(hub, name), HUB[name]
    if name in CANNOT:
        with pytest.raises(StrategyError, match=CANNOT[name]):
            supernet_of(kind, **arguments)
        return
    strategy, supernet = supernet_of(kind, **arguments)
    module = strategy.configure_oneshot_module(ClassificationModule(num_classes=3))
    module.set_model(supernet)
    generator = torch.Generator().manual_seed(0)
    whole, found = seeded(kind, arguments), []
    for _ in range(3):
        with torch.no_grad():
            for alpha in module.arch_parameters():
                alpha.copy_(torch.randn(alpha.shape, generator=generator))
        found.append(module.export())
        assert whole.check_contains(found[-1]) is None
    assert not found[0] == found[1] == found[2], "other parameters say another architecture"
    network = find_space(kind).network(arguments, found[0])
    assert not any(isinstance(part, LayerChoice | Repeat) and part.simplify() for part in network.modules())
