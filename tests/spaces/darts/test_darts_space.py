"""The DARTS space against the paper and the authors' figures."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from nni.nas.space import model_context
from program import run_code
from torch import nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from common.errors import SpaceError
from kernels.thin_strides import StridedPointwise
from spaces.darts.cells import FrozenNode, Node
from spaces.darts.genotypes import GENOTYPES, Genotype, architecture_from_genotype
from spaces.darts.operations import OPERATIONS, FactorizedReduce
from spaces.darts.space import DartsSpace
from spaces.darts.vocabulary import OPERATION_NAMES, candidate_names


def frozen(architecture: dict[str, Any], **arguments: Any) -> DartsSpace:
    with model_context(architecture):
        return DartsSpace(**arguments)


# Without the auxiliary head, width 36, 20 cells. DARTS_V2: the authors' 3.3 M, to the unit.
@pytest.mark.parametrize(
    ("name", "parameters"), [("DARTS_V1", 3_169_414), ("DARTS_V2", 3_349_342), ("PC_DARTS", 3_634_678), ("PDARTS", 3_433_798)]
)
def test_published_genotypes_have_their_published_size(name: str, parameters: int) -> None:
    network = frozen(architecture_from_genotype(GENOTYPES[name]), width=36, num_cells=20)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("name", GENOTYPES)
def test_the_pairs_of_genotypes_are_what_the_nodes_read(name: str) -> None:
    genotype = GENOTYPES[name]
    architecture = architecture_from_genotype(genotype)
    for kind in ("normal", "reduce"):
        pairs = list(getattr(genotype, kind))
        for node in range(2, 6):
            read = [(architecture[f"{kind}/edge_{source}_{node}"], source) for source in architecture[f"{kind}/inputs_{node}"]]
            assert sorted(read) == sorted(pairs[2 * node - 4 : 2 * node - 2])


@pytest.mark.parametrize(
    ("normal", "message"),
    [
        ([("sep_conv_3x3", 0), ("sep_conv_3x3", 0)], "two different states"),
        ([("sep_conv_3x3", 0), ("sep_conv_3x3", 2)], "two different states before it"),
        ([("conv", 0), ("sep_conv_3x3", 1)], "unknown operation 'conv'"),
        ([("sep_conv_3x3", 0)], "two for each node"),
    ],
)
def test_genotypes_outside_the_space_are_refused(normal: list[tuple[str, int]], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        architecture_from_genotype(Genotype(normal, [2], normal, [2]))
    with pytest.raises(SpaceError, match="concatenates all nodes"):
        architecture_from_genotype(Genotype([("sep_conv_3x3", 0), ("sep_conv_3x3", 1)], [], [], []))


@pytest.mark.slow
def test_labels_and_candidates_are_the_papers() -> None:
    mutables = DartsSpace(width=2, num_cells=3, none=True).simplify()
    assert len(mutables) == 2 * (14 + 4)
    assert mutables["normal/edge_0_2"].values == [
        "none",
        "max_pool_3x3",
        "avg_pool_3x3",
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "dil_conv_3x3",
        "dil_conv_5x5",
    ]
    assert mutables["reduce/inputs_5"].values == [0, 1, 2, 3, 4]
    assert mutables["reduce/inputs_5"].n_chosen == 2
    assert "none" not in DartsSpace(width=2, num_cells=3).simplify()["normal/edge_0_2"].values


@pytest.mark.parametrize(("name", "stride", "side"), list(itertools.product(OPERATIONS, (1, 2), (8, 7))))
def test_operations_keep_their_shape(name: str, stride: int, side: int) -> None:
    for affine in (False, True):
        out = OPERATIONS[name](6, stride, affine)(torch.randn(2, 6, side, side, generator=torch.Generator().manual_seed(0)))
        assert out.shape == (2, 6, -(-side // stride), -(-side // stride))


def test_operations_are_built_as_the_authors_build_them() -> None:
    kinds = lambda module: [type(layer).__name__ for layer in module.modules() if not list(layer.children())]  # noqa: E731
    separable = ["ReLU", "Conv2d", "Conv2d", "BatchNorm2d"]
    assert kinds(OPERATIONS["sep_conv_3x3"](4, 2, True)) == separable * 2
    assert [layer.stride for layer in OPERATIONS["sep_conv_5x5"](4, 2, True) if isinstance(layer, nn.Conv2d)] == [(2, 2)] + [(1, 1)] * 3
    assert kinds(OPERATIONS["dil_conv_5x5"](4, 1, True)) == ["ReLU", "DilatedDepthwise", "Conv2d", "BatchNorm2d"]
    dilated = OPERATIONS["dil_conv_5x5"](4, 1, True)[1]
    assert (dilated.dilation, dilated.groups, dilated.kernel_size) == ((2, 2), 4, (5, 5))
    assert kinds(OPERATIONS["max_pool_3x3"](4, 1, False)) == ["MaxPool2d", "BatchNorm2d"], "normalised in the supernet"
    assert kinds(OPERATIONS["avg_pool_3x3"](4, 1, True)) == ["AvgPool2d"], "plain in a network of its own"
    assert not OPERATIONS["avg_pool_3x3"](4, 1, True).count_include_pad
    assert isinstance(OPERATIONS["skip_connect"](4, 1, True), nn.Identity)
    assert isinstance(OPERATIONS["skip_connect"](4, 2, True), FactorizedReduce)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", ["sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"])
def test_gradients_in_bfloat16_are_those_of_float32_but_for_rounding(name: str, stride: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        operation = OPERATIONS[name](8, stride, True).to(memory_format=torch.channels_last)
        images, target = torch.randn(8, 8, 32, 32).to(memory_format=torch.channels_last), torch.randn(8, 8, 32 // stride, 32 // stride)
    gradients = []
    for half in (False, True):
        operation.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            out = operation(images)
        (out.float() * target).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in operation.parameters() if p.grad is not None]))
    assert (gradients[1] - gradients[0]).norm() < 0.05 * gradients[0].norm()


# In a process of its own, which would abort within some 100 steps.
_THIN_STEPS = """
import torch
from spaces.darts.operations import FactorizedReduce
torch.set_num_threads(1)
for channels in (2, 4, 6):
    reduce = FactorizedReduce(channels, channels, affine=True).to(memory_format=torch.channels_last)
    for step in range(200):
        side, others = 8 + step % 3, [torch.zeros(size + 1) for size in range(step % 50)]
        images = torch.randn(2 + step % 5, channels, side, side).to(memory_format=torch.channels_last).requires_grad_()
        reduce(images).sum().backward()
"""


@pytest.mark.slow
def test_strided_convolutions_of_few_channels_leave_the_memory_of_others_alone() -> None:
    # A process whose memory is spoilt may hang instead of ending.
    run_code(_THIN_STEPS)


@pytest.mark.parametrize("channels", [7, 8])
@pytest.mark.parametrize("side", [6, 7])
def test_a_strided_pointwise_convolution_is_one(channels: int, side: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        convolution = StridedPointwise(channels, 3).double()
        images = torch.randn(2, channels, side, side, dtype=torch.float64)
    torch.testing.assert_close(convolution(images), functional.conv2d(images, convolution.weight, stride=2))


@pytest.mark.slow
def test_unread_edges_are_neither_built_nor_counted() -> None:
    architecture = architecture_from_genotype(GENOTYPES["DARTS_V2"])
    other = {**architecture, "normal/edge_1_5": "sep_conv_5x5"}  # node 5 of the normal cell reads 0 and 2
    assert other != architecture
    assert DartsSpace.canonical(other) == architecture
    sizes = [sum(p.numel() for p in frozen(sample, width=4, num_cells=3).parameters()) for sample in (architecture, other)]
    assert sizes[0] == sizes[1]
    network = frozen(other, width=4, num_cells=3)
    assert not any(isinstance(module, Node) for module in network.modules())
    assert all(len(module.edges) == 2 for module in network.modules() if isinstance(module, FrozenNode))
    # the same by NNI's freeze of the unfrozen space
    assert all(len(m.edges) == 2 for m in DartsSpace(width=4, num_cells=3).freeze(other).modules() if isinstance(m, FrozenNode))


def test_the_order_of_inputs_is_not_another_architecture() -> None:
    architecture = architecture_from_genotype(GENOTYPES["DARTS_V2"])
    assert DartsSpace.canonical({**architecture, "normal/inputs_2": [1, 0]}) == architecture


def test_a_node_is_the_sum_of_its_operations() -> None:
    sample = {"normal/edge_0_2": "skip_connect", "normal/edge_1_2": "avg_pool_3x3", "normal/inputs_2": [0, 1]}
    node = Node.create_fixed_module(sample, "normal", 2, 4, [1, 1], False)
    x, y = torch.randn(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = x + nn.functional.avg_pool2d(y, 3, 1, padding=1, count_include_pad=False)
    assert torch.equal(node([x, y]), expected)


@pytest.mark.slow
def test_the_auxiliary_head_speaks_in_training_alone() -> None:
    architecture = architecture_from_genotype(GENOTYPES["DARTS_V2"])
    network = frozen(architecture, width=4, num_cells=6, auxiliary=True)
    for side in (32, 28):
        logits, auxiliary = network.train()(torch.randn(2, 3, side, side))
        assert logits.shape == auxiliary.shape == (2, 10)
        assert network.eval()(torch.randn(2, 3, side, side)).shape == (2, 10)
    assert frozen(architecture, width=4, num_cells=6).auxiliary_head is None
    assert DartsSpace(width=4, num_cells=6, auxiliary=True).auxiliary_head is None, "a supernet has none"


def test_drop_path_is_there_and_off_until_it_is_set() -> None:
    network = frozen(architecture_from_genotype(GENOTYPES["DARTS_V2"]), width=4, num_cells=3)
    paths = [module for module in network.modules() if isinstance(module, StochasticDepth)]
    # Per cell of DARTS_V2: normal has 6 operations that are no identity, reduction 8 less its identities (skips from nodes).
    assert len(paths) == 1 * 6 + 2 * 5
    assert {path.p for path in paths} == {0.0}
    network.train()
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(images), network(images))
    for path in paths:
        path.p = 0.5
    assert not torch.equal(network(images), network(images))


@pytest.mark.parametrize("arguments", [{"width": 1}, {"num_cells": 2}, {"num_nodes": 0}, {"num_classes": 1}])
def test_sizes_out_of_range_are_refused(arguments: dict[str, int]) -> None:
    (name,) = arguments
    with pytest.raises(SpaceError, match=f"{name} must be at least"):
        DartsSpace(**arguments)


def test_what_operations_cost() -> None:
    costs = DartsSpace(width=8, num_cells=3).operation_costs()
    free = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect")
    dear = 2 * (25 * 8 + 8 * 8)  # twice a depthwise and a pointwise convolution, for each pixel
    expected = {"sep_conv_5x5": 1.0, "sep_conv_3x3": 2 * (9 * 8 + 64) / dear, "dil_conv_5x5": 0.5, "dil_conv_3x3": (9 * 8 + 64) / dear}
    assert costs == pytest.approx({**dict.fromkeys(free, 0.0), **expected})


def test_candidate_names() -> None:
    assert len(candidate_names(True)) == 8
    assert candidate_names(False) == candidate_names(True)[1:]
    assert tuple(OPERATIONS) == OPERATION_NAMES
