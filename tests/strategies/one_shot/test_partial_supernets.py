"""PC-DARTS: edges that nodes weigh, cells read off by them, a warm-up of the weights, and searches of partial supernets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_supernets import SMALL, PlainSpace, facts_of, resumed_and_whole, search, seeded
from torch import nn
from torch.nn import functional

from common.errors import StrategyError
from spaces.darts.space import DartsSpace
from spaces.darts.supernet.partial import PartialCell
from spaces.nasbench201.space import NasBench201Space
from spaces.nasbench201.supernet import PartialMixedCell
from strategies import STRATEGIES, PCDarts, SearchContext
from strategies.one_shot.edge_normalization import EdgeShares, weigh_edges
from strategies.one_shot.search_epoch import choose_edges

TINY = {"width": 4, "cells": 1, "num_classes": 3}


def test_a_node_weighs_its_edges_by_their_softmax() -> None:
    """Equation 4: the share of edge (i, j) is exp(beta_ij) over the sum of those that lead to node j."""
    betas = {"n": nn.Parameter(torch.tensor([0.5, -1.0]))}
    shares = EdgeShares({"n": ["a", "b"]}, betas)
    mixing = {"a": torch.tensor([0.25, 0.75]), "b": torch.tensor([0.5, 0.5]), "other": torch.tensor([1.0, 0.0])}
    weighed = shares(mixing)
    exact = torch.tensor([0.5, -1.0]).exp()
    for label, share in zip("ab", exact / exact.sum(), strict=True):
        assert torch.allclose(weighed[label], share * mixing[label])
    assert torch.equal(weighed["other"], mixing["other"])
    weighed["a"][0].backward()
    first, second = (exact / exact.sum()).tolist()
    assert betas["n"].grad.tolist() == pytest.approx([0.25 * first * second, -0.25 * first * second])


def test_a_cell_is_read_off_by_operation_times_edge() -> None:
    probabilities = {
        **{"e0": {"skip": 0.6, "conv": 0.4}, "e1": {"skip": 0.2, "conv": 0.8}, "e2": {"skip": 0.45, "conv": 0.55}},
        "inputs": {0: 0.4, 1: 0.1, 2: 0.5},
    }
    edges = {"inputs": ["e0", "e1", "e2"]}
    assert choose_edges(probabilities, edges, {"inputs": 2})["inputs"] == [0, 1]
    sample = choose_edges(weigh_edges(probabilities, edges), edges, {"inputs": 2})
    assert sample == {"e0": "skip", "e1": "conv", "e2": "conv", "inputs": [0, 2]}, "0.24, 0.08 and 0.275"


def make_supernet(supernet: str) -> tuple[DartsSpace, dict[str, nn.Parameter]]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        space = DartsSpace(width=2, num_cells=3, num_nodes=3, num_classes=3, none=True)
        strategy = PCDarts(supernet=supernet, partial_channels=1).build(SearchContext(one_shot=facts_of(space)))
        torch.manual_seed(2)
        space = strategy.mutate_model(space).double()
    used = {id(parameter) for parameter in space.parameters()}
    return space, {label: alpha for label, alpha in strategy._arch_parameters.items() if id(alpha) in used}


def test_weighed_edges_are_the_same_in_both_forms_of_the_supernet() -> None:
    results = []
    images = torch.randn(6, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for supernet in ("fused", "stock"):
        space, alphas = make_supernet(supernet)
        assert {f"{kind}/inputs_{node}" for kind in ("normal", "reduce") for node in (2, 3, 4)} <= alphas.keys()
        loss = functional.cross_entropy(space(images), torch.arange(6) % 3)
        loss.backward()
        results.append({"loss": loss.detach(), **{label: alpha.grad for label, alpha in alphas.items()}})
    assert results[0].keys() == results[1].keys()
    for label, gradient in results[0].items():
        assert torch.allclose(gradient, results[1][label], rtol=1e-6, atol=1e-12), label
    assert results[0]["normal/inputs_3"].abs().sum() > 0


@pytest.mark.parametrize(
    ("space", "arguments", "form", "nodes"),
    [
        (DartsSpace, {**SMALL, "width": 4}, PartialCell, {"normal/inputs_2": 2, "reduce/inputs_3": 3}),
        (NasBench201Space, TINY, PartialMixedCell, {"node_2": 2, "node_3": 3}),
    ],
)
def test_a_search_moves_the_edges_too_and_tells_them(
    space: Any, arguments: dict[str, Any], form: type, nodes: dict[str, int], tmp_path: Path
) -> None:
    model = seeded(space, arguments)
    strategy, (epoch,) = search(model, tmp_path, name="pc_darts", alpha_lr=0.1)
    assert any(isinstance(module, form) for module in strategy.oneshot_module.modules())
    for node, edges in nodes.items():
        assert list(epoch.probabilities[node]) == list(range(edges))
        assert sum(epoch.probabilities[node].values()) == pytest.approx(1)
        assert max(abs(beta) for beta in epoch.alphas[node].values()) > 0.05, "three steps of Adam at 0.1"
    assert "node_1" not in epoch.alphas, "the one edge of a node has all of it"
    known = {id(parameter) for group in strategy.oneshot_module.trainer.optimizers[0].param_groups for parameter in group["params"]}
    assert not known & {id(alpha) for alpha in strategy.oneshot_module.arch_parameters()}, "the weights' optimizer leaves them alone"


def test_the_weights_learn_alone_in_the_first_epochs(tmp_path: Path) -> None:
    _, epochs = search(seeded(DartsSpace, SMALL), tmp_path, epochs=4, name="gdas", sampler="softmax", alpha_warmup=0.5)
    assert epochs[0].alphas == epochs[1].alphas, "two of four"
    assert epochs[1].alphas != epochs[2].alphas and epochs[2].alphas != epochs[3].alphas
    assert all(epoch.validation_loss is not None and epoch.train_loss is not None for epoch in epochs)


def test_regularizers_hear_of_operations_alone(tmp_path: Path) -> None:
    strategy, _ = search(seeded(NasBench201Space, TINY), tmp_path, name="drnas", kl_weight=1.0, edge_normalization=True)
    heard: list[set[str]] = []
    strategy.oneshot_module._regularizers = [lambda alphas, progress: heard.append(set(alphas)) or torch.zeros(())]
    strategy.oneshot_module._penalty()
    assert heard == [{f"edge_{source}_{node}" for node in (1, 2, 3) for source in range(node)}]


def test_supernets_without_such_cells_are_refused(tmp_path: Path) -> None:
    for space, settings in ((PlainSpace(), {}), (seeded(NasBench201Space, TINY), {"supernet": "stock", "partial_channels": 1})):
        with pytest.raises(StrategyError, match=r"`edge_normalization` needs a space with input_edges\(\), or with node_edges\(\) and"):
            search(space, tmp_path, name="pc_darts", **settings)
    with pytest.raises(StrategyError, match=r"`partial_channels` needs a space whose cells have partial_form\(\)"):
        search(PlainSpace(), tmp_path, name="pc_darts", edge_normalization=False)


@pytest.mark.slow
@pytest.mark.parametrize(("space", "arguments"), [(DartsSpace, {**SMALL, "width": 4}), (NasBench201Space, TINY)])
@pytest.mark.parametrize(
    ("name", "settings"),
    [("pc_darts", {"alpha_warmup": 0.4}), ("pc_darts", {"sampler": "gumbel", "perturbation": 0.2}), ("oles", {"early_stop_steps": 2})],
)
def test_a_resumed_search_goes_on_bit_by_bit(name: str, settings: dict[str, Any], space: Any, arguments: Any, tmp_path: Path) -> None:
    def make(model: Any, note: Any) -> Any:
        told = SearchContext(seed=0, gradient_clip=5.0, one_shot=facts_of(model), on_epoch=note)
        return STRATEGIES[name](**settings).build(told)

    parted, whole = resumed_and_whole(make, space, arguments, tmp_path, 3)
    assert len(whole) == 3 and parted == whole
