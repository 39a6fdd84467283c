"""The cell of NAS-Bench-201 in a supernet: edges that are computed together are the plain sums of their operations."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from drawn_weights import seeded  # noqa: F401
from torch import Tensor, nn

from kernels.build import kernels_for
from spaces.nasbench201.space import NasBench201Space
from spaces.nasbench201.supernet import MixedCell
from spaces.nasbench201.vocabulary import OPERATION_NAMES

KEPT = {
    "edge_0_1": ["none", "nor_conv_1x1"],
    "edge_0_2": list(OPERATION_NAMES),
    "edge_1_2": ["nor_conv_3x3", "avg_pool_3x3"],
    "edge_0_3": ["none"],
    "edge_1_3": ["skip_connect", "nor_conv_3x3"],
    "edge_2_3": ["none", "skip_connect"],
}


def made(width: int = 4, kept: dict[str, list[str]] | None = None) -> MixedCell:
    choices: dict[str, Any] = dict(NasBench201Space(width=width, cells=1).features[2].edges.items())
    form = MixedCell(choices)
    for label, names in (kept or {}).items():
        form.choices[label] = names
        form.edges[label] = nn.ModuleDict({name: operation for name, operation in form.edges[label].items() if name in names})
    return form


def plain(form: MixedCell, mixing: dict[str, Tensor], x: Tensor) -> Tensor:
    states = [x]
    for node in (1, 2, 3):
        total = torch.zeros_like(x)
        for source, state in enumerate(states):
            label = f"edge_{source}_{node}"
            weights = dict(zip(form.choices[label], mixing[label], strict=True))
            for name, operation in form.edges[label].items():
                total = total + weights[name] * operation(state)
        states.append(total)
    return states[-1]


def everything(form: MixedCell, run: Any, x: Tensor) -> dict[str, Tensor]:
    x = x.clone().requires_grad_()
    alphas = {label: torch.linspace(-1, 1, len(names), dtype=x.dtype, requires_grad=True) for label, names in form.choices.items()}
    output = run({label: alpha.softmax(0) for label, alpha in alphas.items()}, x)
    (output * torch.linspace(-1, 1, output.numel(), dtype=x.dtype).sin().view_as(output)).sum().backward()
    found = {"output": output.detach(), "input": x.grad, **{label: alpha.grad for label, alpha in alphas.items()}}
    found |= {name: p.grad for name, p in form.named_parameters()} | {name: b.to(x) for name, b in form.named_buffers()}
    return {name: torch.zeros(()) if value is None else value for name, value in found.items()}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kept", [None, KEPT], ids=["all operations", "others on each edge"])
@pytest.mark.parametrize(("dtype", "width", "tolerance"), [(torch.float64, 4, 1e-10), (torch.float32, 16, 1e-2)])
def test_a_mixed_cell_is_the_plain_sum(
    dtype: torch.dtype, width: int, tolerance: float, kept: dict[str, list[str]] | None, training: bool
) -> None:
    if width == 16 and kernels_for(dtype) is None:
        pytest.skip("without compiled kernels the smaller cell tests the same")
    form = made(width, kept).to(dtype)
    form.train()(*_once(form, dtype, width))  # statistics that are not those at the beginning
    form.train(training)
    reference = copy.deepcopy(form)
    x = torch.randn(8, width, 12, 12, dtype=dtype).contiguous(memory_format=torch.channels_last)
    ours = everything(form, form, x)
    theirs = everything(reference, lambda mixing, images: plain(reference, mixing, images), x)
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        # The norm, as in float32 a value near zero may pass a ReLU in one and not in the other.
        assert (ours[name] - expected).norm() <= tolerance * max(1.0, expected.norm().item()), name


def _once(form: MixedCell, dtype: torch.dtype, width: int) -> tuple[dict[str, Tensor], Tensor]:
    mixing = {label: torch.full((len(names),), 0.2, dtype=dtype) for label, names in form.choices.items()}
    return mixing, 3 * torch.randn(8, width, 6, 6, dtype=dtype)


def test_each_skip_connection_drops_values_of_its_own() -> None:
    form = made()
    for edge in form.edges.values():
        edge["skip_connect"] = nn.Dropout(0.5)
    mixing = {label: torch.tensor([float(name == "skip_connect") for name in names]) for label, names in form.choices.items()}
    first, second, third = (mixed for _, mixed in form.train().edges_from(mixing, 0, torch.ones(2, 4, 8, 8)))
    assert set(first.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(first, second) and not torch.equal(second, third)


def test_a_cell_without_any_operation_is_zero() -> None:
    form = made(kept={label: ["none"] for label in KEPT})
    x = torch.randn(2, 4, 6, 6, requires_grad=True)
    output = form({label: torch.ones(1) for label in KEPT}, x)
    output.sum().backward()
    assert output.abs().max() == 0 and x.grad is not None and x.grad.abs().max() == 0


def test_in_half_precision_gradients_point_the_same_way() -> None:
    form, x = made(16), torch.randn(8, 16, 8, 8)
    exact = everything(form, form, x)
    form.zero_grad()

    def half(mixing: dict[str, Tensor], images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            output: Tensor = form(mixing, images)
        return output.float()

    rounded = everything(form, half, x)
    for name in ("output", "input", *(label for label in form.choices if label != "edge_0_3")):
        assert torch.nn.functional.cosine_similarity(exact[name].flatten(), rounded[name].flatten(), dim=0) > 0.98, name
