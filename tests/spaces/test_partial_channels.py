"""Cells with partial channels against plain ones written here from the paper (PC-DARTS, arXiv 1907.05737, equation 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from drawn_weights import seeded  # noqa: F401
from torch import Tensor, nn
from torch.nn import functional

from kernels.build import VARIABLE, kernels_for, why_not
from spaces.darts.space import DartsSpace
from spaces.darts.supernet.fused import FusedCell
from spaces.darts.supernet.partial import PartialCell
from spaces.nasbench201.space import NasBench201Space
from spaces.nasbench201.supernet import PartialMixedCell
from spaces.partial_channels import parts_of, shuffle


def plain_edge(x: Tensor, operations: dict[str, Any], weights: dict[str, Tensor], share: Tensor, parts: int, stride: int) -> Tensor:
    """Equation 2, times the weight of the edge: operations on the first C / K channels, and the others as they are, then the shuffle."""
    thin = x.shape[1] // parts
    through = torch.stack([weights[name] * operation(x[:, :thin]) for name, operation in operations.items() if name != "none"]).sum(0)
    around = x[:, thin:] if stride == 1 else functional.max_pool2d(x[:, thin:], 2, 2, ceil_mode=True)
    both = torch.cat([through, share * around], 1)
    order = [part * thin + channel for channel in range(thin) for part in range(parts)]
    return both[:, order]


def plain_darts(form: PartialCell, mixing: dict[str, Tensor], inputs: list[Tensor], kind: str, parts: int) -> Tensor:
    states = [form.preprocess_0(inputs[0]), form.preprocess_1(inputs[1])]
    for node in range(2, len(form.fans) + 1):
        edges = []
        for source, x in enumerate(states):
            label = f"{kind}/edge_{source}_{node}"
            weights = dict(zip(form.choices[label], mixing[label], strict=True))
            operations = dict(form.fans[source].edges[node - max(2, source + 1)].items())
            edges.append(plain_edge(x, operations, weights, mixing[label].sum(), parts, 2 if kind == "reduce" and source < 2 else 1))
        states.append(torch.stack(edges).sum(0))
    return torch.cat(states[2:], 1)


def compare(form: nn.Module, plain: Callable[..., Tensor], inputs: list[Tensor], tolerance: float) -> None:
    """Outputs, gradients and statistics of a form and of its plain reference, which has the same modules."""
    state = {name: value.clone() for name, value in form.state_dict().items()}
    results: list[dict[str, Tensor]] = []
    logits = {label: torch.randn(len(names), dtype=inputs[0].dtype) for label, names in form.choices.items()}
    for run in (form, plain):
        form.load_state_dict(state)
        form.zero_grad()
        leaves = [x.clone().requires_grad_() for x in inputs]
        alphas = {label: logit.clone().requires_grad_() for label, logit in logits.items()}
        # The weights of an edge add up to its share, here one of many.
        mixing = {label: alpha.softmax(0) * (0.2 + index / len(alphas)) for index, (label, alpha) in enumerate(alphas.items())}
        output = run(mixing, *leaves)
        (output * torch.linspace(-1, 1, output.numel(), dtype=output.dtype).sin().view_as(output)).sum().backward()
        results.append({"output": output.detach(), **{f"input {n}": x.grad for n, x in enumerate(leaves)}})
        results[-1] |= {label: alpha.grad for label, alpha in alphas.items()}
        results[-1] |= {name: p.grad.clone() for name, p in form.named_parameters()}
        results[-1] |= {name: buffer.clone().to(output) for name, buffer in form.named_buffers()}
    ours, reference = results
    assert ours.keys() == reference.keys()
    for name, expected in reference.items():
        scale = max(1.0, expected.abs().max().item())
        assert (ours[name] - expected).abs().max().item() <= tolerance * scale, name


@pytest.mark.parametrize("way", ["compiled", "torch"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-3)])
@pytest.mark.parametrize(("kind", "size", "parts"), [("normal", (8, 8), 4), ("reduce", (8, 6), 4), ("reduce", (7, 9), 2)])
def test_a_partial_cell_is_the_papers(
    kind: str, size: tuple[int, int], parts: int, dtype: torch.dtype, tolerance: float, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "torch":
        monkeypatch.setenv(VARIABLE, "torch")
    elif kernels_for(dtype) is None:
        pytest.skip(f"no compiled kernels here: {why_not()}")
    cell = DartsSpace(width=8, num_cells=3, num_nodes=3, none=True, num_classes=2).cells[kind == "reduce"]
    form = cell.partial_form(parts).to(dtype)
    assert isinstance(form, PartialCell) and form.thin == cell.channels // parts
    wide = [cell.preprocess_0[1].in_channels, cell.preprocess_1[1].in_channels]
    inputs = [torch.randn(3, channels, *size, dtype=dtype) for channels in wide]
    compare(form, lambda mixing, *xs: plain_darts(form, mixing, list(xs), kind, parts), inputs, tolerance)


def test_a_partial_cell_of_nasbench201_is_the_papers() -> None:
    cell = NasBench201Space(width=8, cells=1).features[2]
    form = cell.partial_form(4).double()
    assert isinstance(form, PartialMixedCell) and form.thin == 2

    def plain(mixing: dict[str, Tensor], x: Tensor) -> Tensor:
        states = [x]
        for node in (1, 2, 3):
            edges = []
            for source, state in enumerate(states):
                label = f"edge_{source}_{node}"
                weights = dict(zip(form.choices[label], mixing[label], strict=True))
                edges.append(plain_edge(state, dict(form.edges[label].items()), weights, mixing[label].sum(), 4, 1))
            states.append(torch.stack(edges).sum(0))
        return states[-1]

    compare(form, plain, [torch.randn(3, 8, 6, 6, dtype=torch.float64)], 1e-9)


@pytest.mark.parametrize("way", ["compiled", "torch"])
def test_in_half_precision_shares_are_felt_and_gradients_are_close(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of a share below the resolution of bfloat16, 2e-3 of a half, moves what goes around."""
    if way == "torch":
        monkeypatch.setenv(VARIABLE, "torch")
    elif kernels_for(torch.bfloat16) is None:
        pytest.skip(f"no compiled kernels here: {why_not()}")
    cell = DartsSpace(width=8, num_cells=3, num_nodes=2, num_classes=2).cells[0]
    form = cell.partial_form(4)
    inputs = [torch.randn(8, 24, 8, 8) for _ in range(2)]
    outcomes = []
    for enabled in (False, True):
        alphas = {label: torch.zeros(len(names), requires_grad=True) for label, names in form.choices.items()}
        form.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output = form({label: alpha.softmax(0) for label, alpha in alphas.items()}, *inputs).float()
        (output * torch.linspace(-1, 1, output.numel()).sin().view_as(output)).sum().backward()
        gradients = [torch.cat([x.grad.flatten() for x in group]) for group in (alphas.values(), form.parameters())]
        assert all(gradient.dtype == torch.float32 for gradient in gradients)
        outcomes.append([output.detach().flatten(), *gradients])
    for exact, rounded in zip(*outcomes, strict=True):
        assert functional.cosine_similarity(exact, rounded, dim=0) > 0.98
    first, second = outcomes_of_shares(form, inputs)
    moved = ((second - first) * first).sum() / (first * first).sum()
    assert moved.item() == pytest.approx(1e-3 / 0.5, rel=0.5)


def outcomes_of_shares(form: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """What goes around the edges to the first node, for two shares that bfloat16 cannot tell apart."""
    beside = [channel for channel in range(form.thin * 4) if channel % 4]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        both = [form({label: torch.full((7,), share / 7) for label in form.choices}, *inputs) for share in (0.5, 0.501)]
    return [output[:, beside].float() for output in both]


def test_the_shuffle_deals_the_parts_out_one_by_one() -> None:
    x = torch.arange(8.0).view(1, 8, 1, 1)
    assert shuffle(x[:, :2], x[:, 2:]).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_thin_cells_are_cut_in_fewer_parts() -> None:
    assert [parts_of(channels, 4) for channels in (16, 36, 8, 6, 4, 2, 10)] == [4, 4, 4, 3, 2, 1, 2]
    cells = DartsSpace(width=2, num_cells=3, num_nodes=1, num_classes=2).cells
    forms = [cell.partial_form(4) for cell in cells]
    assert [type(form) for form in forms] == [FusedCell, PartialCell, PartialCell]
    assert [form.thin for form in forms[1:]] == [2, 2]
