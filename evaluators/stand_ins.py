"""Layers that stand in for others of a network: the same parameters, names and results, computed otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import nn

StandIn = TypeVar("StandIn", bound=nn.Conv2d)


def stand_in(kind: type[StandIn], layer: nn.Conv2d) -> StandIn:
    """A layer of ``kind`` with the parameters and the hooks of ``layer``: one set of them, by whichever of the two it is reached."""
    other = kind.__new__(kind)
    other.__dict__ = layer.__dict__
    return other


def replace_convolutions(network: nn.Module, kind: type[nn.Conv2d], wanted: Callable[[nn.Conv2d], bool]) -> None:
    """Let ``kind`` stand in for the plain convolutions below ``network`` that are ``wanted``."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.Conv2d and wanted(layer):
                setattr(parent, name, stand_in(kind, layer))
