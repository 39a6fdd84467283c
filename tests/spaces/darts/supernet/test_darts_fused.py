"""The fused cell against a plain one written here from the paper: outputs, gradients, statistics; torch's kernels in it."""

from __future__ import annotations

import pytest
import torch
from drawn_weights import seeded  # noqa: F401
from fused_cells import check_agreement, operations_of  # noqa: F401
from nni.nas.nn.pytorch import ModelSpace
from torch import Tensor, nn
from torch.nn import functional

from kernels.build import kernels_for
from kernels.layout import nhwc
from spaces.darts.cells import Cell
from spaces.darts.supernet import torch_kernels as kernels
from spaces.darts.supernet.batch_statistics import Statistics
from spaces.darts.supernet.compiled import CompiledFan
from spaces.darts.supernet.fused import FusedCell

IMAGES, CHANNELS, MOMENTUM, EPS = 3, 4, 0.1, 1e-5


# --- the reference -------------------------------------------------------------------------------------------------------------------


class Plain:
    """The cell of the paper, straight down the page: functions of tensors, parameters looked up by name, nothing shared."""

    def __init__(self, state: dict[str, Tensor], num_nodes: int, stride: int, training: bool) -> None:
        self.state, self.num_nodes, self.stride, self.training = state, num_nodes, stride, training
        self.moved: dict[str, Tensor] = {}

    def norm(self, x: Tensor, name: str) -> Tensor:
        if self.training:
            count = x.numel() / x.shape[1]
            mean = x.sum((0, 2, 3)) / count
            variance = (x - mean[:, None, None]).pow(2).sum((0, 2, 3)) / count
            for statistic, value in (("running_mean", mean), ("running_var", variance * count / (count - 1))):
                old = self.state[f"{name}.{statistic}"]
                self.moved[f"{name}.{statistic}"] = (1 - MOMENTUM) * old + MOMENTUM * value.detach()
        else:
            mean, variance = self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"]
        return (x - mean[:, None, None]) / (variance[:, None, None] + EPS).sqrt()

    def conv(self, x: Tensor, name: str, stride: int = 1, dilation: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        padding = dilation * (weight.shape[-1] // 2)
        return functional.conv2d(x, weight, None, stride, padding, dilation, groups=x.shape[1] // weight.shape[1])

    def factorized(self, x: Tensor, name: str) -> Tensor:
        x = x.clamp(min=0)
        shifted = functional.pad(x[:, :, 1:, 1:], (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        halves = [functional.conv2d(half[:, :, ::2, ::2], self.state[f"{name}.conv_{n}.weight"]) for n, half in ((1, x), (2, shifted))]
        return self.norm(torch.cat(halves, 1), f"{name}.norm")

    def operation(self, x: Tensor, operation: str, name: str, stride: int) -> Tensor:
        if operation == "none":
            return torch.zeros_like(x[:, :, ::stride, ::stride])
        if operation == "max_pool_3x3":
            return self.norm(functional.max_pool2d(x, 3, stride, 1), f"{name}.1")
        if operation == "avg_pool_3x3":
            summed = functional.avg_pool2d(x, 3, stride, 1) * 9
            inside = functional.avg_pool2d(torch.ones_like(x[:1, :1]), 3, stride, 1) * 9
            return self.norm(summed / inside, f"{name}.1")
        if operation == "skip_connect":
            return x if stride == 1 else self.factorized(x, name)
        if operation.startswith("dil"):
            return self.norm(self.conv(self.conv(x.clamp(min=0), f"{name}.1", stride, dilation=2), f"{name}.2"), f"{name}.3")
        hidden = self.norm(self.conv(self.conv(x.clamp(min=0), f"{name}.1", stride), f"{name}.2"), f"{name}.3")
        return self.norm(self.conv(self.conv(hidden.clamp(min=0), f"{name}.5"), f"{name}.6"), f"{name}.7")

    def __call__(self, mixing: dict[str, Tensor], names: list[str], before_last: Tensor, last: Tensor) -> Tensor:
        states = [self.norm(self.conv(x.clamp(min=0), f"preprocess_{n}.1"), f"preprocess_{n}.2") for n, x in enumerate((before_last, last))]
        for node in range(self.num_nodes):
            edges = []
            for source, x in enumerate(states):
                stride = self.stride if source < 2 else 1
                weights = mixing[f"{'normal' if self.stride == 1 else 'reduce'}/edge_{source}_{node + 2}"]
                edges += [
                    weight * self.operation(x, name, f"nodes.{node}.edges.{source}.{name}", stride)
                    for weight, name in zip(weights, names, strict=True)
                ]
            states.append(torch.stack(edges).sum(0))
        return torch.cat(states[2:], 1)


class OneCell(ModelSpace):
    """NNI's choices live in a space."""

    def __init__(self, kind: str, num_nodes: int, none: bool) -> None:
        super().__init__()
        self.cell = Cell(kind, num_nodes, 5, 6, CHANNELS, after_reduction=False, none=none, affine=False)


def make_cell(kind: str, num_nodes: int, none: bool, dtype: torch.dtype) -> Cell:
    cell = OneCell(kind, num_nodes, none).cell.to(dtype)
    for module in cell.modules():
        if isinstance(module, nn.BatchNorm2d):  # where evaluation normalises by something, and pools of two edges differ
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return cell


def compare(
    kind: str, num_nodes: int, none: bool, size: tuple[int, int], dtype: torch.dtype, tolerance: float, training: bool = True
) -> None:
    cell = make_cell(kind, num_nodes, none, dtype)
    state = {name: value.clone().requires_grad_(isinstance(value, nn.Parameter)) for name, value in cell.state_dict(keep_vars=True).items()}
    state = {name: value.detach().requires_grad_(value.requires_grad) for name, value in state.items()}
    names = {parameter: name for name, parameter in cell.named_parameters()}
    buffers = {id(buffer): name for name, buffer in cell.named_buffers()}
    fused = cell.differentiable_form().train(training)
    inputs = [torch.randn(IMAGES, channels, *size, dtype=dtype) for channels in (5, 6)]
    logits = {label: torch.randn(len(operations), dtype=dtype) for label, operations in fused.choices.items()}
    operations = next(iter(fused.choices.values()))

    results = []
    plain = Plain(state, num_nodes, 2 if kind == "reduce" else 1, training)
    for form in (fused, lambda mixing, *xs: plain(mixing, operations, *xs)):
        leaves = [x.clone().requires_grad_() for x in inputs]
        alphas = {label: logit.clone().requires_grad_() for label, logit in logits.items()}
        output = form({label: alpha.softmax(0) for label, alpha in alphas.items()}, *leaves)
        direction = torch.linspace(-1, 1, output.numel(), dtype=dtype).sin().view_as(output)
        (output * direction).sum().backward()
        results.append({"output": output.detach(), **{f"input {n}": x.grad for n, x in enumerate(leaves)}})
        results[-1] |= {label: alpha.grad for label, alpha in alphas.items()}
    results[0] |= {names[parameter]: parameter.grad for parameter in fused.parameters()}
    results[1] |= {name: value.grad for name, value in state.items() if value.requires_grad}
    results[0] |= {buffers[id(buffer)]: buffer for buffer in fused.buffers() if buffers[id(buffer)] in plain.moved}
    results[1] |= plain.moved

    assert results[0].keys() == results[1].keys()
    assert len(plain.moved) == training * 2 * sum(isinstance(module, nn.BatchNorm2d) for module in cell.modules())
    check_agreement(results[0], results[1], tolerance)


@pytest.mark.usefixtures("operations_of")
@pytest.mark.parametrize("kind", ["normal", "reduce"])
@pytest.mark.parametrize(
    ("num_nodes", "none", "size"), [(2, False, (8, 8)), (3, True, (7, 10)), (4, False, (9, 9)), (5, True, (5, 6)), (1, False, (31, 4))]
)
def test_the_fused_cell_is_the_papers(kind: str, num_nodes: int, none: bool, size: tuple[int, int]) -> None:
    compare(kind, num_nodes, none, size, torch.float64, 1e-9)
    compare(kind, num_nodes, none, size, torch.float32, 1e-4)


@pytest.mark.usefixtures("operations_of")
@pytest.mark.parametrize("kind", ["normal", "reduce"])
def test_in_evaluation_too(kind: str) -> None:
    compare(kind, 3, False, (7, 8), torch.float64, 1e-9, training=False)
    compare(kind, 2, True, (8, 8), torch.float32, 1e-4, training=False)


@pytest.mark.usefixtures("operations_of")
def test_a_step_of_alpha_below_the_resolution_of_bfloat16_is_felt() -> None:
    x = torch.randn(IMAGES, CHANNELS, 6, 6).to(memory_format=torch.channels_last)
    fused = make_cell("normal", 1, False, torch.float32).differentiable_form()
    outputs = []
    for step in (0.0, 2e-4):  # half of the resolution at 1/7
        mixing = {label: torch.full((7,), 1 / 7) for label in fused.choices}
        for weights in mixing.values():
            weights[2] += step  # the skip connection
        outputs.append(first_fan(fused, x.bfloat16(), mixing["normal/edge_0_2"]).float())
    moved = ((outputs[1] - outputs[0]) * x).sum() / (x * x).sum()
    assert moved.item() == pytest.approx(2e-4, rel=0.5)


def first_fan(fused: FusedCell, x: Tensor, weights: Tensor) -> Tensor:
    """What the first node gets from the first state alone, by whichever operations are in use."""
    fan, statistics = fused.fans[0], Statistics(training=True)
    if kernels_for(x.dtype) is None:
        with torch.autocast("cpu", torch.bfloat16):
            return fan(x, weights[None], statistics)
    nodes = nhwc(torch.empty_like(x))
    parameters = [parameter for branch in fan.branches for parameter in branch.parameters()]
    with torch.no_grad():
        CompiledFan(fan, statistics, torch.float32).forward(nhwc(x), weights[None], parameters, nodes, False)
    return nodes.squeeze(3).permute(0, 3, 1, 2)


# --- kernels -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (2, 5), (4, 4)])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 1), (5, 1, 1), (3, 1, 2), (5, 1, 2), (3, 2, 1), (5, 2, 1)])
def test_depthwise_gradients(kernel: int, stride: int, dilation: int, size: tuple[int, int], dtype: torch.dtype) -> None:
    x = torch.randn(2, 6, *size, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(6, 1, kernel, kernel, dtype=dtype, requires_grad=True)
    y = functional.conv2d(x, weight, None, stride, dilation * (kernel // 2), dilation, groups=6)
    gradient = torch.randn_like(y)
    expected = torch.autograd.grad(y, (x, weight), gradient)
    with torch.no_grad():
        assert torch.equal(kernels.depthwise(x, weight, stride, dilation), y)
        got = (
            kernels.depthwise_x_gradient(gradient, weight, x.shape, stride, dilation),
            kernels.depthwise_kernel_gradient(gradient, x, kernel, stride, dilation),
        )
    for ours, native in zip(got, expected, strict=True):
        assert torch.allclose(ours, native, rtol=0, atol=(1e-13 if dtype == torch.float64 else 1e-5) * native.abs().max().item() + 1e-12)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (1, 3)])
def test_average_pool(size: tuple[int, int], stride: int) -> None:
    x = torch.randn(2, 4, *size, dtype=torch.float64).to(memory_format=torch.channels_last).requires_grad_()
    y = functional.avg_pool2d(x, 3, stride, 1, count_include_pad=False)
    gradient = torch.randn_like(y)
    with torch.no_grad():
        assert torch.allclose(kernels.average_pool(x, stride), y, rtol=1e-13)
        assert torch.allclose(kernels.average_pool_gradient(gradient, x, stride), torch.autograd.grad(y, x, gradient)[0], rtol=1e-13)


@pytest.mark.parametrize(("channels", "dtype"), [(4, torch.float32), (16, torch.float32), (8, torch.bfloat16), (4, torch.float64)])
@pytest.mark.parametrize("copies", [1, 2, 3, 5])
def test_spread_and_gather(copies: int, channels: int, dtype: torch.dtype) -> None:
    x = torch.randint(-9, 9, (2, channels, 3, 5)).to(dtype)
    wide = torch.cat(copies * [x], 1)
    assert torch.equal(kernels.spread(x, copies), wide)
    assert torch.equal(kernels.gather(wide.contiguous(memory_format=torch.channels_last), copies), copies * x)


def test_a_batch_that_is_not_finite_leaves_no_trace_in_the_next() -> None:
    good = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    mean, variance = kernels.batch_statistics(good)
    before = kernels.scale_centred(good, mean, variance)
    bad = good.clone()
    bad[0, 0] = float("nan")
    assert not kernels.batch_statistics(bad)[0].isfinite().all()
    assert torch.equal(kernels.scale_centred(good, mean, variance), before)
