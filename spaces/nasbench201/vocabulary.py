"""The words of the NAS-Bench-201 space: labels, names of operations, legal arguments, sizes by preset. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NUM_NODES = 4
EDGES = tuple((source, node) for node in range(1, NUM_NODES) for source in range(node))
OPERATION_NAMES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
PUBLISHED_SIZE: dict[str, Any] = {"width": 16, "cells": 5}

# By preset: the networks of trials (those of the paper, the defaults, where there are none), and the network trained in the end.
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "quick": {"search": {"width": 8, "cells": 1}, "retrain": {"width": 8, "cells": 2}},
    "lab": {"retrain": PUBLISHED_SIZE},
    "paper": {"retrain": PUBLISHED_SIZE},
}
SETTABLE: dict[str, Sequence[Any]] = {"width": range(1, 257), "cells": range(1, 34)}


def edge_label(source: int, node: int) -> str:
    """Return the label of the operation on the edge between two nodes, which count from 0."""
    return f"edge_{source}_{node}"


def vocabulary(arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the choices of the space, as ``spaces.choices.legal_choices`` tells them; no argument changes them."""
    return {edge_label(*edge): {"kind": "one", "values": list(OPERATION_NAMES), "n_chosen": None} for edge in EDGES}
