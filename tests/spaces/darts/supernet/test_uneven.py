"""Cells whose edges differ in their operations against plain sums of the same modules: outputs, gradients, statistics."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from drawn_weights import seeded  # noqa: F401
from fused_cells import operations_of  # noqa: F401
from torch import Tensor, nn
from torch.nn import functional

from spaces.darts.space import DartsSpace
from spaces.darts.supernet.fan import Fan
from spaces.darts.supernet.partial import PartialCell
from spaces.darts.supernet.uneven import UnevenFan
from spaces.kept_candidates import droppable_labels, keep_candidates

# Of a cell of two nodes: edges with and without pools, with and without a skip connection, one that is like its neighbour.
KEPT = {
    "edge_0_2": ["none", "skip_connect", "sep_conv_3x3"],
    "edge_1_2": ["max_pool_3x3", "dil_conv_5x5", "sep_conv_5x5"],
    "edge_0_3": ["avg_pool_3x3", "skip_connect", "dil_conv_3x3"],
    "edge_1_3": ["sep_conv_3x3", "sep_conv_5x5"],
    "edge_2_3": ["max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3"],
}


def cut_space(kept: dict[str, list[str]] = KEPT) -> DartsSpace:
    space = DartsSpace(width=8, num_cells=3, num_nodes=2, none=True, num_classes=2)
    keep_candidates(space, {f"{kind}/{edge}": names for kind in ("normal", "reduce") for edge, names in kept.items()})
    return space


def drop(space: DartsSpace, rate: float) -> None:
    """What the strategy does: a dropout in the place of every identity."""
    for node in (node for cell in space.cells for node in cell.nodes):
        for choice in node.edges:
            if "skip_connect" in choice.names and isinstance(choice["skip_connect"], nn.Identity):
                choice["skip_connect"] = nn.Dropout(rate)


def plain(form: Any, kind: str, mixing: dict[str, Tensor], before_last: Tensor, last: Tensor) -> Tensor:
    """The paper's sum, edge by edge, operation by operation."""
    states = [form.preprocess_0(before_last), form.preprocess_1(last)]
    for node in range(2, len(form.fans) + 1):
        total: Any = 0
        for source, x in enumerate(states):
            label = f"{kind}/edge_{source}_{node}"
            operations = dict(form.fans[source].edges[node - max(2, source + 1)].items())
            assert list(operations) == form.choices[label]
            weights = dict(zip(operations, mixing[label], strict=True))
            total = total + sum(weights[name] * operation(x) for name, operation in operations.items())
        states.append(total)
    return torch.cat(states[2:], 1)


def results(form: Any, run: Any, inputs: list[Tensor], logits: dict[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor]:
    form.load_state_dict(state)
    form.zero_grad()
    leaves = [x.clone().requires_grad_() for x in inputs]
    alphas = {label: logit.clone().requires_grad_() for label, logit in logits.items()}
    output = run({label: alpha.softmax(0) for label, alpha in alphas.items()}, *leaves)
    (output * torch.linspace(-1, 1, output.numel(), dtype=output.dtype).sin().view_as(output)).sum().backward()
    found = {"output": output.detach(), **{f"input {n}": x.grad for n, x in enumerate(leaves)}}
    found |= {label: alpha.grad for label, alpha in alphas.items()} | {name: p.grad.clone() for name, p in form.named_parameters()}
    return found | {name: b.clone().to(output) for name, b in form.named_buffers() if "places" not in name and "stand_ins" not in name}


@pytest.mark.usefixtures("operations_of")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("kind", "size"), [("normal", (6, 6)), ("reduce", (8, 6)), ("reduce", (7, 9))])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-3)])
def test_a_cell_of_uneven_edges_is_the_plain_sum(
    kind: str, size: tuple[int, int], training: bool, dtype: torch.dtype, tolerance: float
) -> None:
    cell = cut_space().cells[kind == "reduce"].to(dtype)
    form = cell.differentiable_form().to(dtype).train(training)
    assert [type(fan) for fan in form.fans] == [UnevenFan, UnevenFan, Fan] and not form.is_even
    inputs = [torch.randn(3, layer[1].in_channels, *size, dtype=dtype) for layer in (cell.preprocess_0, cell.preprocess_1)]
    logits = {label: torch.randn(len(names), dtype=dtype) for label, names in form.choices.items()}
    state = {name: value.clone() for name, value in form.state_dict().items()}
    ours = results(form, form, inputs, logits, state)
    reference = results(form, lambda mixing, *xs: plain(form, kind, mixing, *xs), inputs, logits, state)
    assert ours.keys() == reference.keys()
    for name, expected in reference.items():
        assert (ours[name] - expected).abs().max() <= tolerance * max(1.0, expected.abs().max().item()), name
    names = [name for name, _ in form.named_parameters()]
    assert len(names) == len(set(names)) == len([name for name in state if name.endswith("weight")]), "every module is held once"


@pytest.mark.usefixtures("operations_of")
def test_each_skip_connection_drops_values_of_its_own_and_keeps_their_mean() -> None:
    space = cut_space({edge: ["max_pool_3x3", "skip_connect"] for edge in KEPT})
    drop(space, 0.25)
    cell = space.cells[0].double()
    form = cell.differentiable_form().to(torch.float64)
    assert all(isinstance(fan, UnevenFan) for fan in form.fans)
    inputs = [torch.randn(3, layer[1].in_channels, 6, 6, dtype=torch.float64) for layer in (cell.preprocess_0, cell.preprocess_1)]
    skips = {label: torch.tensor([0.0, 1.0], dtype=torch.float64) for label in form.choices}
    skips |= {"normal/edge_1_2": torch.zeros(2, dtype=torch.float64), "normal/edge_1_3": torch.zeros(2, dtype=torch.float64)}
    skips["normal/edge_2_3"] = torch.zeros(2, dtype=torch.float64)
    with torch.no_grad():
        state = form.preprocess_0(inputs[0])
        first, second = form(skips, *inputs).chunk(2, 1)
        for node in (first, second):
            dropped = node == 0
            assert 0.15 < dropped.double().mean() < 0.35
            torch.testing.assert_close(node[~dropped], state[~dropped] / 0.75)
        assert ((first == 0) != (second == 0)).any(), "of each edge its own"
        torch.testing.assert_close(form.eval()(skips, *inputs).chunk(2, 1)[0], form.preprocess_0(inputs[0]))


@pytest.mark.usefixtures("operations_of")
def test_edges_with_nothing_to_compute_add_zeros() -> None:
    space = cut_space({edge: ["none", "skip_connect"] if edge.startswith("edge_0") else ["none"] for edge in KEPT})
    drop(space, 0.5)
    cell = space.cells[0]
    form = cell.differentiable_form()
    inputs = [torch.randn(3, layer[1].in_channels, 6, 6) for layer in (cell.preprocess_0, cell.preprocess_1)]
    mixing = {label: torch.full((len(names),), 0.5) for label, names in form.choices.items()}
    with torch.no_grad():
        output = form.eval()(mixing, *inputs)
        torch.testing.assert_close(output, form.preprocess_0(inputs[0]).mul(0.5).repeat(1, 2, 1, 1))


@pytest.mark.usefixtures("operations_of")
def test_a_partial_cell_takes_uneven_edges_and_dropout() -> None:
    space = cut_space()
    drop(space, 0.5)
    for kind, cell in zip(("normal", "reduce"), space.cells, strict=False):
        form = cell.partial_form(4)
        assert isinstance(form, PartialCell) and form.choices == {f"{kind}/{edge}": names for edge, names in KEPT.items()}
        inputs = [torch.randn(3, layer[1].in_channels, 8, 8) for layer in (cell.preprocess_0, cell.preprocess_1)]
        alphas = {label: torch.zeros(len(names), requires_grad=True) for label, names in form.choices.items()}
        output = form({label: alpha.softmax(0) for label, alpha in alphas.items()}, *inputs)
        output.square().sum().backward()
        assert output.isfinite().all() and all(alpha.grad is not None and alpha.grad.abs().sum() > 0 for alpha in alphas.values())


@pytest.mark.usefixtures("operations_of")
def test_in_half_precision_gradients_point_the_same_way() -> None:
    cell = cut_space().cells[0]
    form = cell.differentiable_form()
    inputs = [torch.randn(8, layer[1].in_channels, 8, 8) for layer in (cell.preprocess_0, cell.preprocess_1)]
    found = []
    for enabled in (False, True):
        alphas = {label: torch.zeros(len(names), requires_grad=True) for label, names in form.choices.items()}
        form.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output = form({label: alpha.softmax(0) for label, alpha in alphas.items()}, *inputs).float()
        (output * torch.linspace(-1, 1, output.numel()).sin().view_as(output)).sum().backward()
        found.append([torch.cat([x.grad.flatten() for x in group]) for group in (alphas.values(), form.parameters())])
    for exact, rounded in zip(*found, strict=True):
        assert rounded.dtype == torch.float32 and functional.cosine_similarity(exact, rounded, dim=0) > 0.98


def test_candidates_that_are_not_kept_are_gone_from_choices_and_weights() -> None:
    whole = DartsSpace(width=8, num_cells=3, num_nodes=2, none=True, num_classes=2)
    space = cut_space()
    choices = {str(label): mutable for label, mutable in space.simplify().items()}
    assert droppable_labels(space) == droppable_labels(whole) == [label for label in choices if "edge" in label]
    assert list(choices) == [str(label) for label in whole.simplify()]
    assert {label: choices[label].values for label in droppable_labels(space)} == {
        f"{kind}/{edge}": names for kind in ("normal", "reduce") for edge, names in KEPT.items()
    }
    names = {name for name, _ in space.named_parameters()}
    assert names < {name for name, _ in whole.named_parameters()}
    assert not any("cells.0.nodes.0.edges.0.dil_conv" in name for name in names)
