"""Genotypes, the notation in which cells are published, and their translation to and from architectures of the ``darts`` space.

A genotype lists, node after node, the two (operation, state) pairs that the node adds up: DARTS' ``Genotype`` tuple.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from common.errors import SpaceError, unknown_name
from spaces.darts.vocabulary import CELL_KINDS, OPERATION_NAMES, UNREAD, edge_label, inputs_label, node_numbers

Pairs = Sequence[tuple[str, int]]


class Genotype(NamedTuple):
    """Two pairs a node for each cell; ``*_concat`` are the states whose concatenation is the cell's output (here: all nodes)."""

    normal: Pairs
    normal_concat: Sequence[int]
    reduce: Pairs
    reduce_concat: Sequence[int]


_ALL_NODES = [2, 3, 4, 5]

GENOTYPES: dict[str, Genotype] = {
    # First and second order DARTS, Liu et al. 2019 (arXiv 1806.09055), from the authors' genotypes.py.
    "DARTS_V1": Genotype(
        [
            ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 0),
            ("skip_connect", 0),
            ("sep_conv_3x3", 1),
            ("skip_connect", 0),
            ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 0),
            ("skip_connect", 2),
        ],
        _ALL_NODES,
        [
            ("max_pool_3x3", 0),
            ("max_pool_3x3", 1),
            ("skip_connect", 2),
            ("max_pool_3x3", 0),
            ("max_pool_3x3", 0),
            ("skip_connect", 2),
            ("skip_connect", 2),
            ("avg_pool_3x3", 0),
        ],
        _ALL_NODES,
    ),
    "DARTS_V2": Genotype(
        [
            ("sep_conv_3x3", 0),
            ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 0),
            ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 1),
            ("skip_connect", 0),
            ("skip_connect", 0),
            ("dil_conv_3x3", 2),
        ],
        _ALL_NODES,
        [
            ("max_pool_3x3", 0),
            ("max_pool_3x3", 1),
            ("skip_connect", 2),
            ("max_pool_3x3", 1),
            ("max_pool_3x3", 0),
            ("skip_connect", 2),
            ("skip_connect", 2),
            ("max_pool_3x3", 1),
        ],
        _ALL_NODES,
    ),
    # Xu et al. 2020 (arXiv 1907.05737), searched on CIFAR-10.
    "PC_DARTS": Genotype(
        [
            ("sep_conv_3x3", 1),
            ("skip_connect", 0),
            ("sep_conv_3x3", 0),
            ("dil_conv_3x3", 1),
            ("sep_conv_5x5", 0),
            ("sep_conv_3x3", 1),
            ("avg_pool_3x3", 0),
            ("dil_conv_3x3", 1),
        ],
        _ALL_NODES,
        [
            ("sep_conv_5x5", 1),
            ("max_pool_3x3", 0),
            ("sep_conv_5x5", 1),
            ("sep_conv_5x5", 2),
            ("sep_conv_3x3", 0),
            ("sep_conv_3x3", 3),
            ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 2),
        ],
        _ALL_NODES,
    ),
    # Chen et al. 2019 (arXiv 1904.12760), searched on CIFAR-10.
    "PDARTS": Genotype(
        [
            ("skip_connect", 0),
            ("dil_conv_3x3", 1),
            ("skip_connect", 0),
            ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 3),
            ("sep_conv_3x3", 0),
            ("dil_conv_5x5", 4),
        ],
        _ALL_NODES,
        [
            ("avg_pool_3x3", 0),
            ("sep_conv_5x5", 1),
            ("sep_conv_3x3", 0),
            ("dil_conv_5x5", 2),
            ("max_pool_3x3", 0),
            ("dil_conv_3x3", 1),
            ("dil_conv_3x3", 1),
            ("dil_conv_5x5", 3),
        ],
        _ALL_NODES,
    ),
}


def architecture_from_genotype(genotype: Genotype) -> dict[str, Any]:
    """Return the (canonical) sample of the ``darts`` space that builds ``genotype``.

    Raises
    ------
    SpaceError
        The genotype lies outside the space: an unknown operation, a node that reads one state twice or a later one, a cell that does not
        concatenate all its nodes.
    """
    architecture: dict[str, Any] = {}
    for kind in CELL_KINDS:
        pairs: Pairs = getattr(genotype, kind)
        if len(pairs) % 2:
            raise SpaceError(f"genotype: {kind} has {len(pairs)} pairs; two for each node are needed")
        num_nodes = len(pairs) // 2
        concat = list(getattr(genotype, f"{kind}_concat"))
        if concat != list(node_numbers(num_nodes)):
            raise SpaceError(
                f"genotype: {kind}_concat is {concat}; the darts space concatenates all nodes, {list(node_numbers(num_nodes))}"
            )
        for node in node_numbers(num_nodes):
            chosen = {source: operation for operation, source in pairs[2 * node - 4 : 2 * node - 2]}
            if len(chosen) != 2 or not all(0 <= source < node for source in chosen):
                raise SpaceError(
                    f"genotype: node {node} of {kind} must read two different states before it, not {pairs[2 * node - 4 : 2 * node - 2]}"
                )
            for operation in chosen.values():
                if operation not in OPERATION_NAMES:
                    raise SpaceError(f"genotype: {unknown_name('operation', operation, OPERATION_NAMES)}")
            architecture |= {edge_label(kind, source, node): chosen.get(source, UNREAD) for source in range(node)}
            architecture[inputs_label(kind, node)] = sorted(chosen)
    return architecture
