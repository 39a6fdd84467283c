"""The fast training pass of a frozen cell network against the plain modules and against the authors' form: loss, gradients, statistics."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from nni.nas.space import model_context
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from benchmarks.authors_network import AuthorsNetwork
from kernels import layout as darts_layout
from kernels.build import kernels_for, why_not
from spaces.darts import space as darts
from spaces.darts.genotypes import GENOTYPES, architecture_from_genotype
from spaces.darts.operations import OPERATIONS, FactorizedReduce, ReluConvNorm
from spaces.darts.space import DartsSpace
from spaces.darts.trained import network as darts_frozen
from spaces.darts.trained.cell_inputs import read

HERE = pytest.mark.skipif(kernels_for(torch.float32) is None, reason=f"no compiled kernels here: {why_not()}")


def make_network(architecture: dict[str, Any], dtype: torch.dtype = torch.float64, drop_path: float = 0.0, **size: Any) -> DartsSpace:
    with torch.random.fork_rng(), model_context(architecture):
        torch.manual_seed(0)
        network = DartsSpace(num_classes=3, auxiliary=True, **size).to(dtype).train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias)
            if isinstance(module, StochasticDepth):
                module.p = drop_path
    return network.to(memory_format=torch.channels_last)


def one_step(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Loss, gradients and buffers, in the order of the modules."""
    images = images.clone().requires_grad_()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        logits, auxiliary = network(images)
    labels = torch.arange(len(images)) % 3
    loss = functional.cross_entropy(logits, labels) + 0.4 * functional.cross_entropy(auxiliary, labels)
    loss.backward()
    results = {"loss": loss.detach(), "images": images.grad}
    results |= {name: parameter.grad for name, parameter in network.named_parameters()}
    return {**results, **dict(network.named_buffers())}


def assert_same(fast: dict[str, Tensor], reference: dict[str, Tensor], tolerance: float) -> None:
    assert len(fast) == len(reference)
    largest = max(value.double().norm() for value in reference.values())
    for (name, ours), theirs in zip(fast.items(), reference.values(), strict=True):
        error = (ours.double() - theirs.double()).norm()
        assert error <= tolerance * theirs.double().norm() + 1e-3 * tolerance * largest, name


def compare(network: DartsSpace, images: Tensor, tolerance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = copy.deepcopy(network)
    assert darts.runs_fast(network, images)
    fast = one_step(network, images)
    monkeypatch.setattr(darts, "runs_fast", lambda *_: False)
    assert_same(fast, one_step(plain, images), tolerance)


@HERE
@pytest.mark.parametrize("genotype", GENOTYPES)
@pytest.mark.parametrize(("width", "images", "side"), [(8, 4, 16), (8, 3, 16), (4, 4, 10), (6, 4, 13), (16, 3, 8)])
def test_every_tensor_is_that_of_the_plain_modules(
    genotype: str, width: int, images: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(architecture_from_genotype(GENOTYPES[genotype]), drop_path=0.3, width=width, num_cells=5)
    compare(network, torch.randn(images, 3, side, side, generator=torch.Generator().manual_seed(0)).double(), 1e-9, monkeypatch)


@HERE
@pytest.mark.parametrize("num_cells", [3, 8, 9])  # with eight there are outputs that two cells read alike
def test_outputs_that_cells_share(num_cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(architecture_from_genotype(GENOTYPES["DARTS_V1"]), drop_path=0.3, width=4, num_cells=num_cells)
    compare(network, torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double(), 1e-9, monkeypatch)


@HERE
@pytest.mark.parametrize("width", [4, 8])  # eight: the outputs of the first cells are nodes that lie apart
def test_a_graph_that_is_kept_gives_the_same_gradients_again(width: int) -> None:
    network = make_network(architecture_from_genotype(GENOTYPES["DARTS_V1"]), width=width, num_cells=5)
    logits, _ = network(torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double())
    loss, parameters = logits.square().sum(), list(network.cells.parameters())
    first = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    again = torch.autograd.grad(loss, parameters, allow_unused=True)
    for one, other in zip(first, again, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


@HERE
def test_nodes_of_eight_channels_lie_apart_where_cells_alone_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    states = []
    monkeypatch.setattr(darts_frozen, "read", lambda x, modules: states.append(tuple(x.shape)) or read(x, modules))
    network = make_network(architecture_from_genotype(GENOTYPES["DARTS_V1"]), width=8, num_cells=6)  # reductions: 2 and 4
    network(torch.randn(2, 3, 16, 16).double())
    apart, beside = (2, 16, 16, 4, 8), [(2, 64, 8, 8), (2, 64, 8, 8), (2, 128, 4, 4)]
    assert states == [(2, 24, 16, 16), apart, apart, *beside]


@HERE
@pytest.mark.parametrize("num_nodes", [1, 4])
def test_nodes_that_lie_apart_give_the_same_numbers_bit_by_bit(num_nodes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    space = DartsSpace(width=8, num_cells=6, num_nodes=num_nodes)
    operations = [name for name in OPERATIONS if name != "none"]
    architecture = {
        label: operations[number % len(operations)] if "edge" in label else [0, 1] for number, label in enumerate(space.simplify())
    }
    network = make_network(architecture, torch.float32, drop_path=0.2, width=8, num_cells=6, num_nodes=num_nodes)
    other, images = copy.deepcopy(network), torch.randn(6, 3, 13, 16, generator=torch.Generator().manual_seed(0))
    apart = one_step(network, images)
    monkeypatch.setattr(darts_layout, "LANES", 0)
    beside = one_step(other, images)
    assert all(torch.equal(value, beside[name]) for name, value in apart.items())


@HERE
@pytest.mark.parametrize("operation", OPERATIONS)
def test_cells_of_one_operation(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_edges = DartsSpace(width=4, num_cells=3, num_nodes=2)
    architecture = {label: operation if "edge" in label else [0, 1] for label in with_edges.simplify()}
    if operation == "none":  # on some edges: a network of nothing else has no gradients
        architecture |= {label: "sep_conv_3x3" for label in architecture if label.endswith("edge_0_2") or label.endswith("edge_1_3")}
    network = make_network(architecture, drop_path=0.2, width=4, num_cells=4, num_nodes=2)
    compare(network, torch.randn(4, 3, 9, 12, generator=torch.Generator().manual_seed(0)).double(), 1e-9, monkeypatch)


@HERE
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("order", ["corners", "corners, wide, narrow, corners", "narrow, wide, narrow"])
def test_readers_of_one_state(order: str, apart: bool) -> None:
    torch.manual_seed(0)
    wide = 24 if apart else 6
    make = {"corners": lambda: FactorizedReduce(wide, 4, affine=True), "wide": lambda: ReluConvNorm(wide, 8, 1, 1, 0, affine=True)}
    make["narrow"] = lambda: ReluConvNorm(wide, 4, 1, 1, 0, affine=True)
    modules = nn.ModuleList(make[name]() for name in order.split(", ")).double().to(memory_format=torch.channels_last)
    plain, x = copy.deepcopy(modules), torch.randn(3, wide, 5, 8, dtype=torch.float64)

    def read_apart(state: Tensor, all_of_it: Any) -> list[Tensor]:
        nodes = state.unflatten(1, (3, 8)).permute(0, 1, 3, 4, 2).contiguous()  # image by image a node after the other
        return read(nodes.permute(0, 2, 3, 1, 4), all_of_it)

    results = []
    ours = read_apart if apart else read
    for outputs_of, network in ((ours, modules), (lambda state, all_of_it: [module(state) for module in all_of_it], plain)):
        state = x.clone(memory_format=torch.channels_last).requires_grad_()
        outputs = outputs_of(state, network)
        sum((number + 1) * output.sin().sum() for number, output in enumerate(outputs)).backward()
        results.append([*outputs, state.grad, *(parameter.grad for parameter in network.parameters())])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


@HERE
def test_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(architecture_from_genotype(GENOTYPES["DARTS_V2"]), torch.float32, width=8, num_cells=4)
    compare(network, torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0)), 1e-3, monkeypatch)


def test_the_authors_network_trains_the_same() -> None:
    architecture = architecture_from_genotype(GENOTYPES["DARTS_V2"])
    network = make_network(architecture, drop_path=0.25, width=4, num_cells=6)
    authors = AuthorsNetwork(architecture, 4, 6, num_classes=3).double().train()
    authors.load_state_dict(dict(zip(authors.state_dict(), network.state_dict().values(), strict=True)))
    authors.drop_path = 0.25
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    assert_same(one_step(network, images), one_step(authors, images), 1e-9)


@HERE
@pytest.mark.parametrize("part", ["nodes", "preprocess_1"])
def test_parameters_that_change_before_the_backward_pass_are_noticed(part: str) -> None:
    network = make_network(architecture_from_genotype(GENOTYPES["DARTS_V2"]), torch.float32, width=4, num_cells=3)
    logits, _ = network(torch.randn(2, 3, 8, 8))
    with torch.no_grad():
        for parameter in getattr(network.cells[0], part).parameters():
            parameter.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        logits.sum().backward()


@HERE
def test_norms_that_forget_at_different_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(architecture_from_genotype(GENOTYPES["DARTS_V2"]), width=4, num_cells=3)
    for number, norm in enumerate(network.norms):
        norm.momentum = 1 / (1 + number)
    images = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    network.norms[0].momentum = None  # an average of all batches
    assert not darts.runs_fast(network, images)
    network.norms[0].momentum = 1.0
    compare(network, images, 1e-9, monkeypatch)


@HERE
def test_where_the_fast_pass_is_not_taken() -> None:
    images = torch.zeros(2, 3, 8, 8)
    network = make_network(architecture_from_genotype(GENOTYPES["DARTS_V2"]), torch.float32, width=4, num_cells=3)
    assert darts.runs_fast(network, images)
    assert not darts.runs_fast(network, images.bfloat16())
    assert not darts.runs_fast(network.eval(), images)
    assert not darts.runs_fast(DartsSpace(width=4, num_cells=3).train(), images), "the supernet's norms have no parameters"


@HERE
@pytest.mark.parametrize("listen", ["forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook"])
def test_who_listens_to_a_module_of_a_cell_hears_it(listen: str) -> None:
    images = torch.zeros(2, 3, 8, 8)
    network = make_network(architecture_from_genotype(GENOTYPES["DARTS_V2"]), torch.float32, width=4, num_cells=3)
    heard: list[str] = []
    inner = next(module for module in network.cells[1].modules() if isinstance(module, nn.BatchNorm2d))
    handle = getattr(inner, f"register_{listen}")(lambda *_: heard.append(listen))
    network(images)[0].sum().backward()
    assert heard == [listen]
    handle.remove()
    assert darts.runs_fast(network, images)


@HERE
def test_the_fast_pass_is_in_float32_under_autocast() -> None:
    network = make_network(architecture_from_genotype(GENOTYPES["DARTS_V2"]), torch.float32, width=4, num_cells=3)
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = one_step(copy.deepcopy(network), images)
    network.forward = torch.autocast("cpu", torch.bfloat16)(network.forward)
    assert_same(one_step(network, images), expected, 1e-12)
