"""Layers that stand in for others of a network: the same parameters, names and results, computed otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from torch import nn


def stand_in(kind: Any, layer: nn.Conv2d) -> nn.Conv2d:
    """Return a layer of ``kind`` with the parameters and the hooks of ``layer``: one set of them, by whichever of the two it is reached.

    Parameters
    ----------
    kind
        A subclass of ``nn.Conv2d`` that computes the same otherwise. What it leaves to ``nn.Conv2d`` goes to the class of ``layer``.
    layer
        The layer that is replaced.
    """
    of: Any = type(layer)
    joined = kind if of is nn.Conv2d else _joined(kind, of)
    other: nn.Conv2d = joined.__new__(joined)
    other.__dict__ = layer.__dict__
    return other


@cache
def _joined(kind: Any, other: Any) -> type[nn.Conv2d]:
    """Return the class of all those of ``kind`` that stand in for layers of the class ``other``."""
    # No module has this class by a name, by which pickle could find it.
    own = {"__doc__": kind.__doc__, "__module__": kind.__module__, "__reduce__": lambda self: (_empty, (kind, other), self.__dict__)}
    return type(kind.__name__, (kind, other), own)


def _empty(kind: Any, other: Any) -> nn.Conv2d:
    joined = _joined(kind, other)
    return joined.__new__(joined)


def replace_convolutions(network: nn.Module, kind: type[nn.Conv2d], wanted: Callable[[nn.Conv2d], bool]) -> None:
    """Let ``kind`` stand in for the convolutions below ``network`` that are ``wanted``.

    They are ``nn.Conv2d`` itself or of a class that says, by ``is_conv2d = True``, that it is the same function.
    """
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Conv2d) and _may_be_replaced(layer, kind) and wanted(layer):
                setattr(parent, name, stand_in(kind, layer))


def _may_be_replaced(layer: nn.Conv2d, kind: type[nn.Conv2d]) -> bool:
    return type(layer) is nn.Conv2d or (getattr(layer, "is_conv2d", False) and not isinstance(layer, kind))
