"""The space of NAS-Bench-201: its networks are the published ones."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from nasbench201_table import OPERATIONS, REAL, needs_the_real_one
from nni.nas.space import model_context

from common.errors import SpaceError
from evaluators.complexity import build_without_data, measure_complexity
from evaluators.table import load_table
from spaces.nasbench201.space import NasBench201Space
from spaces.nasbench201.vocabulary import EDGES, edge_label

LABELS = [edge_label(*edge) for edge in EDGES]


def build(operations: list[str], **arguments: int) -> NasBench201Space:
    with torch.random.fork_rng(), model_context(dict(zip(LABELS, operations, strict=True))):
        torch.manual_seed(0)
        return NasBench201Space(**arguments)


def test_all_cells_share_six_choices_of_the_five_published_operations() -> None:
    mutables = NasBench201Space(width=1, cells=2).simplify()
    assert list(mutables) == ["edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3"]
    assert all(tuple(mutable.values) == OPERATIONS for mutable in mutables.values())


@pytest.mark.slow
@needs_the_real_one
def test_parameters_and_multiply_adds_are_those_of_the_table_on_100_random_cells() -> None:
    def measure(operations: list[str], cells: int) -> dict[str, int]:
        return {**measure_complexity(build_without_data(lambda: build(operations, cells=cells)), (3, 32, 32))}

    table, random = load_table(REAL), np.random.RandomState(0)
    around = measure(["none"] * 6, cells=1)  # what is no cell
    for number in range(100):
        operations = [OPERATIONS[index] for index in random.randint(5, size=6)]
        size = {name: around[name] + 5 * (figure - around[name]) for name, figure in measure(operations, cells=1).items()}
        if number % 20 == 0:
            assert size == measure(operations, cells=5), "each of the five cells of a stage adds the same"
        # The table counts the additions of the classifier's bias, one a class; else convolutions and products as we do.
        assert {**size, "flops": size["flops"] + 10} == table.facts(dict(zip(LABELS, operations, strict=True)))


def test_a_cell_adds_up_its_edges() -> None:
    skips = build(["skip_connect"] * 6, width=2, cells=1)
    cell, x = skips.features[2], torch.randn(1, 2, 4, 4)
    assert torch.equal(cell(x), 4 * x), "node 1 is x, node 2 is 2 x, node 3 is x + x + 2 x"
    no_way = build(["none", "none", "nor_conv_3x3", "none", "nor_conv_1x1", "avg_pool_3x3"], width=2, cells=1).eval()
    assert no_way.features[2](x).abs().max() < 1e-6


@pytest.mark.parametrize("size", [(30, 30), (24, 30), (5, 4)])
def test_images_of_any_size(size: tuple[int, int]) -> None:
    assert build([*OPERATIONS, "none"], width=2, cells=1)(torch.zeros(2, 3, *size)).shape == (2, 10)


def test_a_cell_of_the_supernet_is_the_weighted_sum_of_its_operations() -> None:
    """With all weight on one operation an edge it is the cell of these operations, before any affine parameter has learned."""
    space = NasBench201Space(width=2, cells=1)
    x, generator = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0)), torch.Generator().manual_seed(1)
    cell = space.features[2]
    chosen = {label: OPERATIONS[int(torch.randint(5, (), generator=generator))] for label in LABELS}
    expected = cell_of(cell, chosen, x)
    form = cell.differentiable_form()
    assert {label: tuple(names) for label, names in form.choices.items()} == dict.fromkeys(LABELS, OPERATIONS)
    hot = {label: torch.eye(5)[OPERATIONS.index(name)] for label, name in chosen.items()}
    assert torch.allclose(form(hot, x), expected, atol=1e-6)
    mixing = {label: torch.rand(5, generator=generator, requires_grad=True) for label in LABELS}
    by_hand: list[torch.Tensor] = [x]
    for node in (1, 2, 3):
        edges = [(f"edge_{source}_{node}", by_hand[source]) for source in range(node)]
        parts = [
            weight * (0 * state if name == "none" else form.edges[label][name](state))
            for label, state in edges
            for name, weight in zip(OPERATIONS, mixing[label], strict=True)
        ]
        by_hand.append(torch.stack(parts).sum(0))
    assert torch.allclose(form(mixing, x), by_hand[-1], atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_cell_on_a_single_path_is_the_mixture_with_all_weight_on_it(seed: int) -> None:
    """Output, and gradients of the input, of the convolutions on the path and of the drawn operations' weights; of no others."""
    cell, generator = NasBench201Space(width=2, cells=1).features[2], torch.Generator().manual_seed(seed)
    path = {label: OPERATIONS[int(torch.randint(5, (), generator=generator))] for label in LABELS}
    results = []
    for is_path in (True, False):
        x = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        form = copy.deepcopy(cell).single_path_form() if is_path else copy.deepcopy(cell).differentiable_form()
        weights = {label: torch.eye(5)[OPERATIONS.index(path[label])].requires_grad_() for label in LABELS}
        drawn = {label: weight[OPERATIONS.index(path[label])] for label, weight in weights.items()}
        output = form(path, drawn, x) if is_path else form(weights, x)
        (output * torch.linspace(-1, 1, output.numel()).view(output.shape)).sum().backward()
        results.append((output, x.grad, weights, dict(form.named_parameters())))
    (output, of_x, weights, parameters), (expected, expected_of_x, mixing, others) = results
    assert torch.allclose(output, expected, atol=1e-6) and torch.allclose(of_x, expected_of_x, atol=1e-5)
    for label in LABELS:
        chosen = OPERATIONS.index(path[label])
        of_weight = torch.zeros(5) if mixing[label].grad is None else mixing[label].grad
        assert torch.allclose(weights[label].grad[chosen], of_weight[chosen], atol=1e-4)
    for name, parameter in parameters.items():
        _, label, operation, *_ = name.split(".")
        if path[label] == operation:
            assert torch.allclose(parameter.grad, others[name].grad, atol=1e-4)
        else:
            assert parameter.grad is None


def cell_of(cell: torch.nn.Module, chosen: dict[str, str], x: torch.Tensor) -> torch.Tensor:
    states = [x]
    for node in (1, 2, 3):
        states.append(sum(cell.edges[f"edge_{source}_{node}"][chosen[f"edge_{source}_{node}"]](states[source]) for source in range(node)))
    return states[-1]


def test_normalisations_of_a_supernet_have_no_affine_parameters() -> None:
    """As in the authors' search spaces; those of trained networks, and those around the cells, have."""
    space = NasBench201Space(width=2, cells=1)
    norms = [layer for layer in space.features[2].differentiable_form().modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert len(norms) == 12 and not any(norm.affine for norm in norms)
    assert space.features[-2].affine
    assert all(layer.affine for layer in build(["nor_conv_3x3"] * 6, width=2).modules() if isinstance(layer, torch.nn.BatchNorm2d))


def test_costs_are_the_multiply_adds() -> None:
    costs = NasBench201Space(width=2, cells=1).operation_costs()
    assert costs == {"none": 0, "skip_connect": 0, "nor_conv_1x1": pytest.approx(1 / 9), "nor_conv_3x3": 1, "avg_pool_3x3": 0}


def test_sizes_out_of_range() -> None:
    with pytest.raises(SpaceError, match="nasbench201: cells must be at least 1, not 0"):
        NasBench201Space(cells=0)
