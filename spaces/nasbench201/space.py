"""The NAS-Bench-201 search space: one cell of six edges, stacked 15 times (Dong and Yang, ICLR 2020, arXiv 2001.00326, section 2).

A cell has four nodes; node 0 is its input and node 3 its output. Every edge ``edge_<from>_<to>`` is an ``nn.LayerChoice`` over the five
operations of the paper, and a node is the sum of the edges that lead to it. All cells share their labels: 5^6 = 15,625 networks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import nni.nas.nn.pytorch as nas
import torch
from torch import Tensor, nn

from kernels.winograd import kernels_note, use_winograd
from spaces.arguments import check_sizes
from spaces.nasbench201.supernet import MixedCell, PartialMixedCell, PathCell
from spaces.nasbench201.vocabulary import EDGES, NUM_NODES, OPERATION_NAMES, SETTABLE, SIZES, edge_label
from spaces.partial_channels import ThinChoice, parts_of


class Zero(nn.Module):
    """No connection: zeros of the shape of the input."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0.0  # not new zeros: the parameters before it get a gradient of zero, as in the authors' network


def relu_conv_norm(c_in: int, c_out: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """Return ReLU, convolution and batch normalisation: [N, c_in, H, W] -> [N, c_out, H / stride, W / stride]."""
    convolution = nn.Conv2d(c_in, c_out, kernel_size, stride=stride, padding=kernel_size // 2, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(c_out))


OPERATIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: Zero(),
    "skip_connect": lambda channels: nn.Identity(),
    "nor_conv_1x1": lambda channels: relu_conv_norm(channels, channels, 1),
    "nor_conv_3x3": lambda channels: relu_conv_norm(channels, channels, 3),
    "avg_pool_3x3": lambda channels: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
}


def thin_of(name: str, candidate: nn.Module, channels: int) -> nn.Module:
    """Return the operation of that name on so many channels; ``candidate`` itself where it is a dropout, which takes any number."""
    return candidate if isinstance(candidate, nn.Dropout) else OPERATIONS[name](channels)


class Cell(nn.Module):
    """[N, channels, H, W] -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.edges = nn.ModuleDict()
        for source, node in EDGES:
            candidates = {name: OPERATIONS[name](channels) for name in OPERATION_NAMES}
            self.edges[edge_label(source, node)] = nas.LayerChoice(candidates, label=edge_label(source, node))

    def forward(self, x: Tensor) -> Tensor:
        states = [x]
        for node in range(1, NUM_NODES):
            total = self.edges[edge_label(0, node)](x)
            for source in range(1, node):
                total = total + self.edges[edge_label(source, node)](states[source])
            states.append(total)
        return states[-1]

    def differentiable_form(self) -> MixedCell:
        """Return the cell as a function of the weights of its operations, for a one-shot search; it has the cell's convolutions."""
        return MixedCell(dict(self.edges.items()))

    def partial_form(self, parts: int) -> MixedCell:
        """Return that form with operations on one of ``parts`` parts of the channels, or of as many as ``parts_of`` has; they are new."""
        cut = parts_of(self.channels, parts)
        if cut == 1:
            return self.differentiable_form()
        thin = self.channels // cut
        choices: Mapping[str, Any] = dict(self.edges.items())
        edges = {
            label: ThinChoice(label, {name: thin_of(name, choice[name], thin) for name in choice.names})
            for label, choice in choices.items()
        }
        return PartialMixedCell(edges, thin)

    def single_path_form(self) -> PathCell:
        """Return the cell as a function of one operation an edge, for a one-shot search that draws these; it has the convolutions."""
        return PathCell(dict(self.edges.items()))


class ResidualReduction(nn.Module):
    """The block between two stages, [N, c, H, W] -> [N, 2 c, H / 2, W / 2]: a basic residual block of stride 2."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(relu_conv_norm(c_in, c_out, 3, stride=2), relu_conv_norm(c_out, c_out, 3))
        # Rounded up as the convolution beside it rounds; even sizes, those of the paper, do not change.
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, stride=2, ceil_mode=True), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.shortcut(x) + self.convolutions(x))


class NasBench201Space(nas.ModelSpace):
    """The networks of NAS-Bench-201. Images [N, 3, H, W], 4 pixels or more -> logits [N, num_classes].

    Parameters
    ----------
    num_classes
        Number of classes, at least 2.
    width
        Channels of the first stage, at least 1 (the paper: 16); doubled in each of the two others.
    cells
        Cells of each of the three stages, at least 1 (the paper: 5).

    Raises
    ------
    SpaceError
        If a size is out of its range.
    """

    SIZES: ClassVar = SIZES
    SETTABLE: ClassVar = SETTABLE

    def __init__(self, *, num_classes: int = 10, width: int = 16, cells: int = 5) -> None:
        super().__init__()
        check_sizes("nasbench201", num_classes=(num_classes, 2), width=(width, 1), cells=(cells, 1))
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
        layers += [Cell(width) for _ in range(cells)]
        for _ in range(2):
            layers += [ResidualReduction(width, 2 * width), *(Cell(2 * width) for _ in range(cells))]
            width *= 2
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(width), nn.ReLU())
        self.classifier = nn.Linear(width, num_classes)
        use_winograd(self)

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.classifier(self.features(images).mean(dim=(2, 3))))

    def node_edges(self) -> dict[str, list[str]]:
        """Return by name of a node the labels of the edges that lead to it."""
        return {f"node_{node}": [edge_label(source, node) for source in range(node)] for node in range(1, NUM_NODES)}

    def operation_costs(self) -> dict[str, float]:
        """Return, by name of an operation, its multiply-adds on an edge by those of the dearest one, the convolution of 3x3."""
        with torch.random.fork_rng(devices=[]):
            layers = {name: [layer for layer in make(1).modules() if isinstance(layer, nn.Conv2d)] for name, make in OPERATIONS.items()}
        counts = {name: sum(layer.weight.numel() for layer in convolutions) for name, convolutions in layers.items()}
        return {name: count / max(counts.values()) for name, count in counts.items()}

    @staticmethod
    def canonical(sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return the sample itself: the published protocol takes each of the 15,625 for itself, those that are the same function too."""
        return dict(sample)

    @staticmethod
    def describe(architecture: Mapping[str, Any]) -> dict[str, str]:
        """Return an architecture for people to read: node by node, operation(node it reads), summed."""
        return {
            f"node {node}": " + ".join(f"{architecture[edge_label(source, node)]}({source})" for source in range(node))
            for node in range(1, NUM_NODES)
        }

    @staticmethod
    def surrogate_features(architecture: Mapping[str, Any]) -> dict[str, float]:
        """Return what the cell computes, for a model that predicts its accuracy: by sequence of operations, how many paths have it.

        A path leads from the cell's input to its output and through no ``none``; skip connections on it count as nothing. Cells that are
        the same function by that have the same features (the path encoding of White et al. 2021, arXiv 1910.11858, with counts).
        """
        paths: list[list[str]] = [[""]]
        for node in range(1, NUM_NODES):
            paths.append([])
            for source in range(node):
                operation = architecture[edge_label(source, node)]
                if operation != "none":
                    step = "" if operation == "skip_connect" else f"{operation} "
                    paths[node] += [path + step for path in paths[source]]
        return {path.strip() or "skip_connect": float(count) for path, count in Counter(paths[-1]).items()}

    kernels_note = staticmethod(kernels_note)
    speed_up = staticmethod(use_winograd)
