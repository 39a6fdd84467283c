"""Supernets that compute the drawn operation of an edge alone: what is drawn, counted and resumed, and how an architecture is selected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from nni.nas.nn.pytorch import ModelSpace
from small_supernets import SMALL, CountedSpace, PlainSpace, facts_of, resumed_and_whole, search, seeded

from spaces.darts.space import DartsSpace
from spaces.darts.supernet.single_path import PathCells
from spaces.nasbench201.space import NasBench201Space
from spaces.nasbench201.supernet import MixedCell, PathCell
from strategies import GDAS, SearchContext, make_strategy
from strategies.one_shot import supernet_modules
from strategies.one_shot.best_of_draws import BestOfDraws
from strategies.one_shot.darts import DartsStrategy
from strategies.one_shot.gumbel import GumbelHard
from strategies.one_shot.path_modules import PathForm, PathInput, PathLayer
from strategies.one_shot.reinmax import ReinMax
from strategies.one_shot.sampler import Sampler
from strategies.one_shot.single_path import FairPaths, UniformPath
from strategies.one_shot.supernet_modules import MixedForm

TINY = {"width": 2, "cells": 1, "num_classes": 3}
STEPS = 3


def supernet_of(space: ModelSpace, sampler: Sampler, **settings: Any) -> Any:
    return DartsStrategy(sampler=sampler, facts=facts_of(space), **settings).mutate_model(space).train()


def test_of_any_layer_choice_the_drawn_candidate_is_computed_and_of_inputs_the_drawn_ones_are_taken() -> None:
    sampler = UniformPath(seed=1)
    model = supernet_of(CountedSpace(), sampler)
    assert type(model.layer) is PathLayer and type(model.inputs) is PathInput
    seen = set()
    for _ in range(200):
        sampler.draw()
        output = model(torch.tensor(1.0)).item()
        chosen, kept = int(sampler._drawn["layer"]), sampler.keep("inputs", 4, 2)
        assert output == pytest.approx((chosen + 1) * sum(10.0**number for number in kept) / 2)
        seen.add((chosen, *kept))
    assert sum(model.layer[name].passes for name in model.layer.names) == 200, "one candidate a pass"
    assert len(seen) == 3 * 6, "all architectures of the space"


def test_gdas_computes_the_drawn_candidate_with_the_gradient_of_its_weight() -> None:
    sampler = GumbelHard(seed=0, temperatures=(0.7, 0.7))
    model = supernet_of(CountedSpace(), sampler)
    alpha = model.layer._arch_alpha
    for _ in range(5):
        sampler.draw()
        (gradient,) = torch.autograd.grad(model(torch.tensor(1.0)), alpha, retain_graph=True)
        chosen = int(sampler(alpha).argmax())
        with torch.no_grad():
            inputs = sampler(model.inputs._arch_alpha) @ torch.tensor([1.0, 10.0, 100.0, 1000.0])
        relaxed = ((alpha.log_softmax(0) + sampler._drawn["layer"]) / 0.7).softmax(0)
        (of_weight,) = torch.autograd.grad(relaxed[chosen], alpha)
        assert torch.allclose(gradient, (chosen + 1) * inputs * of_weight, rtol=1e-5)
    assert sum(model.layer[name].passes for name in model.layer.names) == 5


@pytest.mark.parametrize(
    ("settings", "in_all_steps"),
    [
        ({"edge_normalization": True}, False),
        ({"selection": "perturbation"}, False),
        ({"partial_channels": 2}, True),
        ({"perturbation": 0.2}, True),
    ],
)
def test_with_parts_that_weigh_more_than_the_drawn_operation_all_are_computed(settings: dict[str, Any], in_all_steps: bool) -> None:
    strategy, space = GDAS(**settings), seeded(DartsSpace, SMALL)
    supernet = strategy.build(SearchContext(one_shot=facts_of(space))).mutate_model(space)
    assert not any(isinstance(module, PathForm) for module in supernet.modules())
    forms = [module for module in supernet.modules() if isinstance(module, MixedForm)]
    assert strategy.uses_all_weights == in_all_steps and all((form._path_form == (None,)) == in_all_steps for form in forms)


def pass_of_weights(
    space: Any, arguments: dict[str, Any], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, mixed: bool
) -> Any:
    """The output of a supernet under a draw, and the gradients of its weights alone; ``mixed``: all operations are computed."""
    model = seeded(space, arguments)
    strategy = GDAS(**settings).build(SearchContext(seed=3, one_shot=facts_of(model)))
    supernet = strategy.mutate_model(model).double().train()
    for alpha in strategy._arch_parameters.values():
        alpha.requires_grad_(False).copy_(torch.linspace(-1, 1, len(alpha)))
    with monkeypatch.context() as patch:
        if mixed:
            patch.setattr(supernet_modules, "path_in", lambda *_: None)
            patch.setattr(ReinMax, "draws_path", False)
            patch.setattr(GumbelHard, "draws_path", False)
        output = supernet(torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double())
    output.square().sum().backward()
    return output.detach(), {name: parameter.grad for name, parameter in supernet.named_parameters()}


@pytest.mark.parametrize("settings", [{"sampler": "reinmax"}, {"edge_normalization": True}, {"selection": "perturbation"}])
@pytest.mark.parametrize(("space", "arguments"), [(DartsSpace, {**SMALL, "none": True}), (NasBench201Space, TINY), (PlainSpace, {})])
def test_steps_of_the_weights_compute_the_drawn_operations_alone_with_the_same_gradients(
    space: Any, arguments: dict[str, Any], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if space is PlainSpace and "sampler" not in settings:
        pytest.skip("it has no edges, and GDAS computes its paths without a mixture")
    of_path, of_mixture = (pass_of_weights(space, arguments, settings, monkeypatch, mixed=mixed) for mixed in (False, True))
    assert torch.allclose(of_path[0], of_mixture[0], rtol=1e-9, atol=1e-12)
    unread = 0
    for name, gradient in of_mixture[1].items():
        if of_path[1][name] is None:
            unread += gradient is not None
            assert gradient is None or not gradient.any(), name
        else:
            assert torch.allclose(of_path[1][name], gradient, rtol=1e-7, atol=1e-10), name
    assert unread > 0, "the mixture has gradients of 0 there"


def test_a_search_mixes_in_steps_of_the_alphas_and_follows_paths_in_those_of_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    for kind in (MixedCell, PathCell):
        original = kind.forward
        monkeypatch.setattr(
            kind, "forward", lambda self, *inputs, original=original: steps.append(type(self).__name__) or original(self, *inputs)
        )
    search(seeded(NasBench201Space, TINY), tmp_path, name="gdas", sampler="reinmax")
    assert steps[:12] == 2 * [*3 * ["MixedCell"], *3 * ["PathCell"]] and len(set(steps[-3:])) == 1


def test_operations_on_paths_stop_learning_as_those_of_mixtures_do(tmp_path: Path) -> None:
    _, (epoch,) = search(seeded(DartsSpace, SMALL), tmp_path, name="gdas", early_stop=1.0, early_stop_steps=1)
    assert epoch.frozen is not None and sum(epoch.frozen.values()) > 0


def test_what_needs_all_operations_computes_them() -> None:
    """ReinMax takes the gradients of all weights."""
    model = supernet_of(CountedSpace(), ReinMax(seed=0))
    model(torch.tensor(1.0))
    assert [model.layer[name].passes for name in model.layer.names] == [1, 1, 1]


@pytest.mark.parametrize("kind", [UniformPath, FairPaths])
def test_in_the_space_of_darts_a_node_keeps_two_inputs_drawn_evenly(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(PathCells, "forward", lambda self, path, weights, stem: seen.append(path) or iter([stem.new_zeros(2, 32, 2, 2)]))
    space, sampler = seeded(DartsSpace, {**SMALL, "num_nodes": 4}), kind(seed=0)
    edges = space.input_edges()
    model = supernet_of(space, sampler)
    assert type(model.cells) is PathForm
    passes = 350
    for _ in range(passes):
        sampler.draw()
        model(torch.zeros(2, 3, 4, 4))
        sampler.count_paths()
    assert all(len(path) == 2 * 2 * 4 for path in seen), "two cells of four nodes"
    assert all(sum(edge in path for edge in edges[label]) == 2 for path in seen for label in edges)
    kept, drawn = sampler.take_kept_counts(), sampler.take_counts()
    assert kept is not None and drawn is not None
    for label, of_node in edges.items():
        assert kept[label] == [sum(edge in path for path in seen) for edge in of_node]
        assert max(abs(count / passes - 2 / len(of_node)) for count in kept[label]) < (0.12 if kind is UniformPath else 0.35)
    assert all(sum(counts) == sum(label in path for path in seen) for label, counts in drawn.items())
    assert sampler.take_kept_counts() is None
    if kind is FairPaths:
        rounds = [seen[first : first + 7] for first in range(0, passes, 7)]
        for of_round in rounds:
            assert all(path.keys() == of_round[0].keys() for path in of_round), "a round keeps its inputs"
            assert all(len({path[label] for path in of_round}) == 7 for label in of_round[0]), "each operation once a round"


@pytest.mark.parametrize("sampler", [UniformPath(seed=0), GumbelHard(seed=0), ReinMax(seed=0)])
def test_what_is_held_is_computed_in_place_of_a_draw(sampler: Sampler) -> None:
    strategy = DartsStrategy(sampler=sampler, facts=facts_of(CountedSpace()))
    model, before = strategy.mutate_model(CountedSpace()).train(), sampler.generator.get_state()
    supernet = strategy.restrictable
    with supernet.held(supernet.weights_of({"layer": supernet.names("layer")[1], "inputs": [1, 3]})):
        assert model(torch.tensor(1.0)).item() == pytest.approx(2 * (10 + 1000) / 2)
    assert torch.equal(sampler.generator.get_state(), before), "nothing was drawn"


@pytest.mark.parametrize("supernet", ["fused", "stock"])
@pytest.mark.parametrize("sampler", ["uniform", "fair"])
def test_a_search_by_single_paths_selects_by_inherited_weights(sampler: str, supernet: str, tmp_path: Path) -> None:
    space = seeded(DartsSpace, SMALL)
    strategy, (epoch,) = search(space, tmp_path, name="spos", sampler=sampler, supernet=supernet)
    assert epoch.kept_inputs is not None and epoch.paths is not None
    passes = STEPS * (7 if sampler == "fair" else 1)
    assert {label: sum(counts.values()) for label, counts in epoch.kept_inputs.items()} == dict.fromkeys(space.input_edges(), 2 * passes)
    assert seeded(DartsSpace, SMALL).check_contains(strategy.result().sample) is None
    assert epoch.validation_accuracy is not None and sum(of for _, of in epoch.skips.values()) == 8


def test_no_draws_are_scored_where_the_architecture_is_selected_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BestOfDraws, "select", lambda *_: pytest.fail("scored in vain"))
    settings: dict[str, Any] = {"selection": "inherited", "population": 2, "generations": 1}
    strategy, epochs = search(seeded(DartsSpace, SMALL), tmp_path, name="spos", epochs=2, **settings)
    assert [(epoch.sample, epoch.skips) for epoch in epochs] == [({}, {})] * 2
    assert strategy.draws == [] and strategy.result().sample == strategy.selected.sample


def test_a_search_that_has_ended_knows_its_draws_again(tmp_path: Path) -> None:
    first, again = (search(seeded(NasBench201Space, TINY), tmp_path, name="spos")[0] for _ in range(2))
    assert len(first.draws) == 20 and first.draws[0].accuracy == max(draw.accuracy for draw in first.draws)
    assert again.draws == first.draws and again.result() == first.result()


def test_a_search_in_any_space_selects_by_inherited_weights(tmp_path: Path) -> None:
    strategy, (epoch,) = search(seeded(PlainSpace, {}), tmp_path, name="spos")
    assert strategy.result().sample["layer"] in ("wide", "narrow") and len(strategy.result().sample["inputs"]) == 2
    assert epoch.paths is not None and set(epoch.paths) == {"layer"}
    assert epoch.kept_inputs is not None and sum(epoch.kept_inputs["inputs"].values()) == 2 * STEPS


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["uniform", "fair"])
@pytest.mark.parametrize(("space", "arguments"), [(DartsSpace, SMALL), (NasBench201Space, TINY)])
def test_a_resumed_search_by_single_paths_is_the_same_bit_by_bit(space: Any, arguments: Any, sampler: str, tmp_path: Path) -> None:
    def make(supernet: Any, note: Any) -> Any:
        told = SearchContext(seed=0, gradient_clip=5.0, one_shot=facts_of(supernet), on_epoch=note)
        return make_strategy("spos", sampler=sampler).build(told)

    parted, whole = resumed_and_whole(make, space, arguments, tmp_path, 3)
    assert len(whole) == 3 and parted == whole
