"""What a space can tell beside its choices: how its cells are searched one-shot, and by what its networks are computed faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class OneShot:
    """What a space tells a one-shot strategy.

    Attributes
    ----------
    input_edges
        By label of an ``InputChoice`` the labels of the ``LayerChoice`` of each of its candidates, in order; empty where the space has no
        such cells.
    operation_costs
        By name of an operation what it costs, from 0 to 1; empty where the space does not say.
    form
        Maps a module of the space to its differentiable form, a module that computes the same faster, or to ``None`` where it has none.
    partial_form
        Maps a module and a number K to a form whose operations work on one K-th of the channels, or to ``None`` where it has none.
    node_edges
        By name of a node the labels of the ``LayerChoice`` on the edges that lead to it, in order; empty where the space does not say.
    path_form
        Maps a module of the space to its single-path form, a module that computes one operation an edge, or to ``None``.
    """

    input_edges: Mapping[str, list[str]] = field(default_factory=dict)
    operation_costs: Mapping[str, float] = field(default_factory=dict)
    form: Callable[[Any], Any] | None = None
    partial_form: Callable[[Any, int], Any] | None = None
    node_edges: Mapping[str, list[str]] = field(default_factory=dict)
    path_form: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Acceleration:
    """By what the networks of a space are computed faster than by torch alone.

    Attributes
    ----------
    note
        As ``kernels_note``; ``None``: there is nothing to say.
    speed_up
        Changes a fresh network, in place, so that it computes the same faster; ``None``: nothing does.
    precision
        As ``only_precision``; ``None``: any precision will do.
    """

    note: Callable[..., str | None] | None = None
    speed_up: Callable[[Any], Any] | None = None
    precision: Callable[[Any], torch.dtype | None] | None = None

    def kernels_note(self, precision: torch.dtype, is_supernet: bool) -> str | None:
        """Return by which kernels networks in ``precision`` are computed on a CPU, in one line for people, or ``None``."""
        return None if self.note is None else self.note(precision, is_supernet=is_supernet)

    def only_precision(self, device: torch.device) -> torch.dtype | None:
        """Return the one precision in which networks are trained on ``device``, whatever is asked for, or ``None``."""
        return None if self.precision is None else self.precision(device)
