"""The cell of NAS-Bench-201 in a one-shot search: on every edge the weighted sum of its operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.winograd import convolve_padded
from spaces.nasbench201.vocabulary import NUM_NODES, edge_label
from spaces.partial_channels import shuffle

CONVOLUTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"nor_conv_1x1": functional.conv2d, "nor_conv_3x3": convolve_padded}
POOL = "avg_pool_3x3"


def without_affine(candidate: nn.Module) -> nn.Module:
    """Return ``candidate``, whose batch normalisations have lost their affine parameters, as in the supernets of the benchmark's authors.

    With them an operation could make its output large whatever its weight, and the weights would mean nothing.
    """
    for name, module in list(candidate.named_children()):
        if isinstance(module, nn.BatchNorm2d):
            setattr(candidate, name, nn.BatchNorm2d(module.num_features, eps=module.eps, momentum=module.momentum, affine=False))
        else:
            without_affine(module)
    return candidate


class SearchedCell(nn.Module):
    """What both forms of a cell in a supernet have in common: the candidates of its edges, without affine parameters.

    Parameters
    ----------
    edges
        By label the ``LayerChoice`` of an edge.

    Attributes
    ----------
    choices
        By label of every edge the names of its operations.
    """

    def __init__(self, edges: Mapping[str, Any]) -> None:
        super().__init__()
        self.choices: dict[str, list[str]] = {label: list(choice.names) for label, choice in edges.items()}
        candidates = {label: {name: choice[name] for name in choice.names if name != "none"} for label, choice in edges.items()}
        mixed = {label: {name: without_affine(each) for name, each in named.items()} for label, named in candidates.items()}
        self.edges: Any = nn.ModuleDict({label: nn.ModuleDict(operations) for label, operations in mixed.items()})

    def candidates(self) -> Iterator[tuple[str, str, nn.Module]]:
        """Return the operations but ``none``: of each the label of its edge, its name and the module."""
        for label, operations in self.edges.items():
            yield from ((label, name, operation) for name, operation in operations.items())


class MixedCell(SearchedCell):
    """The differentiable form of a cell: [N, channels, H, W] -> the same shape, with the convolutions of the cell's candidates.

    The edges that leave one node read the same images, and are computed together: one ReLU, one pool, and one convolution and one
    normalisation for all convolutions of a size. The weight of a convolution is the scale of its normalisation.
    """

    def forward(self, mixing: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return the output of the cell.

        Parameters
        ----------
        mixing
            By label of every edge the weights of its operations, [operations]; ``none`` adds nothing.
        x
            [N, channels, H, W].
        """
        states = [x]
        sums: dict[int, Tensor] = {}
        for source in range(NUM_NODES - 1):
            for node, mixed in self.edges_from(mixing, source, self.part(states[source])):
                sums[node] = sums[node] + mixed if node in sums else mixed
            states.append(self.join(mixing, source + 1, sums[source + 1], states))
        return states[-1]

    def part(self, state: Tensor) -> Tensor:
        """Return what of a node's images the operations work on."""
        return state

    def join(self, mixing: Mapping[str, Tensor], node: int, through: Tensor, states: Sequence[Tensor]) -> Tensor:
        """Return the images of ``node`` from what came through the operations, and those of the nodes before."""
        return through

    def edges_from(self, mixing: Mapping[str, Tensor], source: int, x: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Return the mixed edges that leave ``source``, whose images are ``x``, one by one, with the nodes that they lead to."""
        labels = {node: edge_label(source, node) for node in range(source + 1, NUM_NODES)}
        weights = {label: dict(zip(self.choices[label], mixing[label], strict=True)) for label in labels.values()}
        convolved = self._convolve(weights, x)
        pooled: Any = None
        for node, label in labels.items():
            total: Any = convolved.get(label)
            for name, operation in self.edges[label].items():
                if name in CONVOLUTIONS:
                    continue
                if name == POOL and pooled is None:
                    pooled = operation(x)
                mixed = weights[label][name] * (pooled if name == POOL else operation(x))
                total = mixed if total is None else total + mixed
            yield node, x * 0.0 if total is None else total

    def _convolve(self, weights: Mapping[str, Mapping[str, Tensor]], x: Tensor) -> dict[str, Tensor]:
        """Return by label of an edge the sum of its weighted convolutions, where it has any."""
        sums: dict[str, Tensor] = {}
        relu = torch.relu(x)
        for name, convolve in CONVOLUTIONS.items():
            having = [label for label in weights if name in self.edges[label]]
            if not having:
                continue
            _, convolutions, norms = zip(*(self.edges[label][name] for label in having), strict=True)
            y = convolve(relu, torch.cat([convolution.weight for convolution in convolutions]))
            scale = torch.stack([weights[label][name] for label in having]).repeat_interleave(x.shape[1])
            for label, part in zip(having, normalize(y, norms, scale).chunk(len(having), dim=1), strict=True):
                sums[label] = sums[label] + part if label in sums else part
        return sums


def normalize(y: Tensor, norms: Sequence[Any], scale: Tensor) -> Tensor:
    """Return ``y`` [N, norms * C, H, W] normalised by ``norms``, each C channels of it, times ``scale`` [norms * C]."""
    means, variances = (torch.cat([getattr(norm, name) for norm in norms]) for name in ("running_mean", "running_var"))
    first = norms[0]
    result = functional.batch_norm(y, means, variances, scale, None, first.training, first.momentum, first.eps)
    if first.training:
        for norm, mean, variance in zip(norms, means.chunk(len(norms)), variances.chunk(len(norms)), strict=True):
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.num_batches_tracked.add_(1)
    return result


class PartialMixedCell(MixedCell):
    """A ``MixedCell`` whose operations work on the first ``thin`` of the channels (PC-DARTS, arXiv 1907.05737, equation 2).

    The others go around an edge, with the sum of its weights, ``none`` included; then the channels of a node are shuffled.
    """

    def __init__(self, edges: Mapping[str, Any], thin: int) -> None:
        super().__init__(edges)
        self.thin = thin

    def part(self, state: Tensor) -> Tensor:
        return state[:, : self.thin]

    def join(self, mixing: Mapping[str, Tensor], node: int, through: Tensor, states: Sequence[Tensor]) -> Tensor:
        beside = [state[:, self.thin :] * mixing[edge_label(source, node)].sum() for source, state in enumerate(states)]
        return shuffle(through, torch.stack(beside).sum(0))


class PathCell(SearchedCell):
    """The single-path form of a cell: [N, channels, H, W] -> the same shape, by one operation on each edge."""

    def forward(self, path: Mapping[str, str], weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return the output of the cell.

        Parameters
        ----------
        path
            By label of every edge the name of its operation.
        weights
            By label a scalar by which the operation is multiplied; 1 where there is none.
        x
            [N, channels, H, W].
        """
        states = [x]
        for node in range(1, NUM_NODES):
            first, *others = (self._on_edge(source, node, path, weights, states[source]) for source in range(node))
            states.append(sum(others, first))
        return states[-1]

    def _on_edge(self, source: int, node: int, path: Mapping[str, str], weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        label = edge_label(source, node)
        # No new zeros: what comes before gets a gradient of zero, as in a found network.
        output: Tensor = x * 0.0 if path[label] == "none" else self.edges[label][path[label]](x)
        return weights[label] * output if label in weights else output
