"""Cells with few skip connections (P-DARTS, Chen et al. 2019, arXiv 1904.12760, section 3.3): the weakest skip connections give way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategies.one_shot.search_epoch import GUARDED_CELL, SKIP, choose_edges, count_skips


def choose_few_skips(
    probabilities: Mapping[str, Mapping[Any, float]], input_edges: Mapping[str, list[str]], n_chosen: Mapping[str, int], most: int | None
) -> dict[str, Any]:
    """Return the cells that ``choose_edges`` does, with at most ``most`` skip connections on the edges kept of the normal cell.

    While there are more, the weight of the weakest of them becomes 0 and the cell is read off again. There can be more nevertheless where
    edges have no other operation.

    Parameters
    ----------
    probabilities, input_edges, n_chosen
        As ``choose_edges`` takes them.
    most
        0 or more; ``None``: any number.
    """
    limited = dict(probabilities)
    sample = choose_edges(limited, input_edges, n_chosen)
    while most is not None and guarded_skips(sample, input_edges) > most:
        nodes = [node for node in input_edges if node.partition("/")[0] == GUARDED_CELL]
        kept = [input_edges[node][source] for node in nodes for source in sample[node]]
        skips = [edge for edge in kept if sample[edge] == SKIP and limited[edge][SKIP] > 0]
        if not skips:
            break
        weakest = min(skips, key=lambda edge: limited[edge][SKIP])
        limited[weakest] = {**limited[weakest], SKIP: 0.0}
        sample = choose_edges(limited, input_edges, n_chosen)
    return sample


def guarded_skips(sample: Mapping[str, Any], input_edges: Mapping[str, list[str]]) -> int:
    """Return how many skip connections the normal cell of ``sample`` has; ``input_edges`` as ``choose_edges`` takes them."""
    return count_skips(sample, input_edges).get(GUARDED_CELL, (0, 0))[0]
