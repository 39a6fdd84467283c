"""A supernet's cells on a single path: the same numbers as those of the plain modules and of the mixture with one-hot weights."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kernels.build import kernels_for, why_not
from spaces.darts.cells import CellStack
from spaces.darts.space import DartsSpace
from spaces.darts.supernet import single_path
from spaces.darts.supernet.fused import FusedCell
from spaces.darts.supernet.single_path import PathCells

HERE = pytest.mark.skipif(kernels_for(torch.float32) is None, reason=f"no compiled kernels here: {why_not()}")
# Width, number of cells, side, whether all edges are on the path, seed.
PASSES = [(8, 5, 16, False, 0), (4, 4, 13, False, 1), (4, 3, 8, False, 2), (16, 3, 8, False, 3), (4, 3, 7, True, 4), (8, 4, 8, True, 5)]


def make_space(**arguments: Any) -> DartsSpace:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DartsSpace(num_classes=3, **arguments).double().train().to(memory_format=torch.channels_last)


def draw(space: DartsSpace, seed: int, *, whole: bool = False) -> dict[str, str]:
    """The operations of the edges that nodes read; where it is ``whole``, of all edges."""
    chance, path = random.Random(seed), {}
    choices = space.simplify()
    for label, edges in space.input_edges().items():
        kept = edges if whole else chance.sample(edges, choices[label].n_chosen)
        path |= {edge: chance.choice(choices[edge].values) for edge in edges if edge in kept}
    return path


def as_sample(space: DartsSpace, path: dict[str, str]) -> dict[str, Any]:
    inputs = {label: [i for i, edge in enumerate(edges) if edge in path] for label, edges in space.input_edges().items()}
    return {**dict.fromkeys(space.simplify(), "max_pool_3x3"), **path, **inputs}


def noise(space: DartsSpace, side: int) -> Tensor:
    return torch.randn(4, 3 * space.width, side, side, generator=torch.Generator().manual_seed(1)).double()


def one_pass(form: PathCells, path: dict[str, str], weights: dict[str, Tensor], stem: Tensor) -> dict[str, Tensor]:
    """The output, all gradients and all buffers."""
    stem = stem.clone().contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = {label: weight.clone().requires_grad_() for label, weight in weights.items()}
    *_, output = form(path, weights, stem)
    assert output is not None
    (output * torch.linspace(-1, 1, output.numel()).view(output.shape)).sum().backward()
    gradients = {f"weight of {label}": weight.grad for label, weight in weights.items()}
    gradients |= {name: parameter.grad for name, parameter in form.named_parameters()}
    return {"output": output.detach(), "stem": stem.grad, **gradients, **dict(form.named_buffers())}


def assert_same(ours: dict[str, Any], theirs: dict[str, Any], tolerance: float = 1e-9) -> None:
    assert ours.keys() == theirs.keys()
    for name, reference in theirs.items():
        if reference is None:
            assert ours[name] is None or ours[name].count_nonzero() == 0, name
        else:
            assert (ours[name] - reference).double().norm() <= tolerance * (1 + reference.double().norm()), name


@HERE
@pytest.mark.parametrize(("width", "cells", "side", "whole", "seed"), PASSES)
def test_the_compiled_pass_is_that_of_the_plain_modules(
    width: int, cells: int, side: int, whole: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = make_space(width=width, num_cells=cells, none=True)
    path, stem = draw(space, seed, whole=whole), noise(space, side)
    weights = {label: torch.ones((), dtype=torch.float64) for label in path} if whole else {}
    form = space.cells.single_path_form()
    plain = copy.deepcopy(form)
    fast = one_pass(form, path, weights, stem)
    monkeypatch.setattr(single_path, "kernels_serve", lambda *_: False)
    assert_same(fast, one_pass(plain, path, weights, stem))
    assert all(fast[name] is None for name in fast if ".candidates." in name and name.endswith("weight") and not on(name, path, form))


def on(name: str, path: dict[str, str], form: PathCells) -> bool:
    _, cell, _, node, edge, operation, *_ = name.split(".")
    return path.get(form.cells[int(cell)].labels[int(node)][int(edge)]) == operation


@HERE
@pytest.mark.parametrize("seed", range(2))
def test_a_path_is_the_frozen_network(seed: int) -> None:
    """Logits, gradients and statistics of ``freeze``, which has the supernet's modules, its norms without parameters."""
    space = make_space(width=4, num_cells=3)
    path, images = draw(space, seed), torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    found = copy.deepcopy(space).freeze(as_sample(space, path)).train()
    reference = found(images)
    reference.square().sum().backward()

    form = space.cells.single_path_form()
    *_, last = form(path, {}, space.stem(images))
    logits = space.classifier(last.mean(dim=(2, 3)))
    logits.square().sum().backward()
    assert torch.allclose(logits, reference, rtol=1e-9)
    ours = [p.grad for p in form.parameters() if p.grad is not None]
    theirs = [p.grad for p in found.cells.parameters()]
    assert sorted(g.norm().item() for g in ours) == pytest.approx(sorted(g.norm().item() for g in theirs), rel=1e-7)
    assert torch.allclose(space.stem[0].weight.grad, found.stem[0].weight.grad, rtol=1e-7)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("whole", [False, True])
def test_a_path_is_the_mixture_with_one_hot_weights(whole: bool, seed: int) -> None:
    """Both normalise by the batch; the gradient of a drawn operation's weight is that of the mixture."""
    space = make_space(width=4, num_cells=3, none=False)
    mixed = copy.deepcopy(space)
    path, stem = draw(space, seed, whole=whole), noise(space, 8)
    ones = {label: torch.ones((), dtype=torch.float64, requires_grad=True) for label in path} if whole else {}
    form = space.cells.single_path_form()
    *_, output = form(path, ones, stem)

    names = form.choices
    hot = {label: torch.tensor([float(path.get(label) == name) for name in names[label]]).double() for label in names}
    hot = {label: weights.requires_grad_() for label, weights in hot.items()}
    forms = [FusedCell(cell) for cell in mixed.cells]
    before = last = stem
    for cell in forms:
        before, last = last, cell(hot, before, last)
    assert torch.allclose(output, last, rtol=1e-9, atol=1e-12)
    slope = torch.linspace(-1, 1, output.numel()).view(output.shape)
    for result in (output, last):
        (result * slope).sum().backward()
    for label, one in ones.items():
        assert one.grad is not None and hot[label].grad is not None
        assert one.grad.item() == pytest.approx(hot[label].grad[names[label].index(path[label])].item(), rel=1e-7, abs=1e-9)
    for ours, theirs in zip(
        (cell.preprocess_1[1].weight for cell in form.cells), (cell.preprocess_1[1].weight for cell in forms), strict=True
    ):
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("fast", [pytest.param(True, marks=HERE), False])
@pytest.mark.parametrize("seed", range(2))
def test_a_cell_on_a_path_stands_for_the_mixture_with_one_weight_an_edge(seed: int, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With any weights, 0 of an edge that is cut among them; both forms have the same parameters and buffers."""
    if not fast:
        monkeypatch.setattr(single_path, "kernels_serve", lambda *_: False)
    space = make_space(width=4, num_cells=3, none=True)
    cell, path, chance = space.cells[seed], draw(space, seed, whole=True), random.Random(seed)
    form, mixture = cell.single_path_form(), cell.differentiable_form()
    path = {label: path[label] for label in form.choices}
    weights = {label: torch.tensor(chance.choice([0.0, 0.3, 0.6])).double() for label in path if chance.random() < 0.6}
    hot = {
        label: torch.tensor([float(name == path[label]) for name in names]).double() * weights.get(label, torch.tensor(1.0))
        for label, names in form.choices.items()
    }
    before = {name: buffer.clone() for name, buffer in cell.named_buffers()}
    told = []
    for run in (lambda *states: form(path, weights, *states), lambda *states: mixture(hot, *states)):
        cell.load_state_dict({**cell.state_dict(), **before})
        cell.zero_grad()
        channels = [cell.preprocess_0[1].in_channels, cell.preprocess_1[1].in_channels]
        states = [torch.linspace(-1, 1, 4 * count * 64).sin().view(4, count, 8, 8).double().requires_grad_() for count in channels]
        output = run(*states)
        (output * torch.linspace(-1, 1, output.numel()).view(output.shape)).sum().backward()
        gradients = {name: parameter.grad for name, parameter in cell.named_parameters()}
        told.append((output.detach(), [state.grad for state in states], gradients))
    assert torch.allclose(told[0][0], told[1][0], rtol=1e-9, atol=1e-12)
    assert all(torch.allclose(*pair, rtol=1e-7, atol=1e-10) for pair in zip(told[0][1], told[1][1], strict=True))
    read = {name: gradient for name, gradient in told[0][2].items() if gradient is not None}
    assert 0 < len(read) < len(told[1][2])
    assert all(torch.allclose(gradient, told[1][2][name], rtol=1e-7, atol=1e-10) for name, gradient in read.items())
    assert not any(gradient.any() for name, gradient in told[1][2].items() if name not in read and gradient is not None)


@HERE
def test_no_time_goes_into_gradients_that_nobody_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the step of the architecture only the weights of the drawn operations have one."""
    from spaces.darts.trained import cell_inputs, units

    asked: list[bool] = []
    for module in (cell_inputs, units):
        original = module.convolve_back
        monkeypatch.setattr(
            module, "convolve_back", lambda *a, original=original, **k: asked.append(k["want_kernels"]) or original(*a, **k)
        )
    space = make_space(width=4, num_cells=4)
    form, path = space.cells.single_path_form().requires_grad_(False), draw(space, 0, whole=True)
    weights = {label: torch.ones((), dtype=torch.float64, requires_grad=True) for label in path}
    *_, output = form(path, weights, noise(space, 8))
    assert output is not None
    output.sum().backward()
    assert asked and not any(asked)


@HERE
def test_it_is_in_float32_under_autocast_and_plain_where_there_are_no_kernels() -> None:
    space = make_space(width=4, num_cells=3).float()
    form, path = space.cells.single_path_form(), draw(space, 0)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = list(form(path, {}, noise(space, 8).bfloat16()))
    assert [output is None for output in outputs] == [True, True, False] and outputs[-1].dtype == torch.float32
    outputs = list(form.eval()(path, {}, noise(space, 8).float()))
    assert all(output is not None for output in outputs)


def test_the_cells_keep_their_names_in_checkpoints() -> None:
    space = make_space(width=4, num_cells=3)
    assert isinstance(space.cells, CellStack) and isinstance(space.cells, nn.ModuleList)
    assert "cells.0.preprocess_0.1.weight" in dict(space.named_parameters())
