"""The words of the DARTS space: labels, names of operations, legal arguments, sizes by preset. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CELL_KINDS = ("normal", "reduce")
NONE = "none"
# In the order of the authors' PRIMITIVES.
OPERATION_NAMES = (
    NONE,
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
UNREAD = "max_pool_3x3"  # what a canonical sample says of an edge that no node reads
NUM_NODES = 4  # of the paper
INPUTS_OF_A_NODE = 2

# By preset: the supernet or the networks of trials, and the network that is trained in the end.
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "quick": {"search": {"width": 4, "num_cells": 5}, "retrain": {"width": 8, "num_cells": 5, "auxiliary": True}},
    "lab": {"search": {"width": 8, "num_cells": 8}, "retrain": {"width": 8, "num_cells": 20, "auxiliary": True}},
    "paper": {"search": {"width": 16, "num_cells": 8, "none": True}, "retrain": {"width": 36, "num_cells": 20, "auxiliary": True}},
}
# The upper ends keep a slip of the keyboard from filling the memory.
SETTABLE: dict[str, Sequence[Any]] = {
    "width": range(2, 257),
    "num_cells": range(3, 101),
    "num_nodes": range(1, 17),
    "none": (False, True),
}
OF_CHOICES = frozenset({"num_nodes", "none"})
DEPTH = "num_cells"


def edge_label(kind: str, source: int, node: int) -> str:
    """Return the label of the operation on the edge from state ``source`` to ``node``; nodes count from 2, and 0 and 1 are the inputs."""
    return f"{kind}/edge_{source}_{node}"


def inputs_label(kind: str, node: int) -> str:
    """Return the label of the choice of the two states that ``node`` reads."""
    return f"{kind}/inputs_{node}"


def node_numbers(num_nodes: int) -> range:
    """Return the numbers of the nodes of a cell among its states."""
    return range(2, 2 + num_nodes)


def candidate_names(none: bool) -> list[str]:
    """Return the names of the candidates on an edge: the lab's seven, and ``none`` before them, as in the paper, where ``none`` is true."""
    return [name for name in OPERATION_NAMES if none or name != NONE]


def vocabulary(arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the choices of the space with these ``arguments``, as ``spaces.choices.legal_choices`` tells them."""
    names = candidate_names(arguments.get("none", False))
    choices: dict[str, dict[str, Any]] = {}
    for kind in CELL_KINDS:
        for node in node_numbers(arguments.get("num_nodes", NUM_NODES)):
            for source in range(node):
                choices[edge_label(kind, source, node)] = {"kind": "one", "values": list(names), "n_chosen": None}
            choices[inputs_label(kind, node)] = {"kind": "several", "values": list(range(node)), "n_chosen": INPUTS_OF_A_NODE}
    return choices
