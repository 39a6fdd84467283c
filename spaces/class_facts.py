"""What a class, a vocabulary or a module of a space says of itself: the one place where that is looked."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from spaces.capabilities import OneShot


def told_by(owner: type | ModuleType, name: str) -> Any:
    """Return what a class or a vocabulary has of this name, or ``None``."""
    return getattr(owner, name, None)


def told_function(kind: type, name: str) -> Any:
    """Return the static method or class method of this name, or ``None``: an ordinary method of anyone's is of something else."""
    is_ordinary = inspect.isfunction(inspect.getattr_static(kind, name, None))
    told = told_by(kind, name)
    return told if callable(told) and not is_ordinary else None


def differentiable_form(module: Any) -> Any:
    """Return the differentiable form of a module of a space, or ``None`` where it has none."""
    make = told_by(type(module), "differentiable_form")
    return None if make is None else make(module)


def partial_form(module: Any, parts: int) -> Any:
    """Return the differentiable form of a module whose operations work on one of ``parts`` parts of the channels, or ``None``."""
    make = told_by(type(module), "partial_form")
    return None if make is None else make(module, parts)


def single_path_form(module: Any) -> Any:
    """Return the single-path form of a module of a space, or ``None`` where it has none."""
    make = told_by(type(module), "single_path_form")
    return None if make is None else make(module)


def one_shot_facts(model: Any) -> OneShot:
    """Return what ``model``, an unfrozen space, tells a one-shot strategy."""
    methods = {name: told_by(type(model), name) for name in ("input_edges", "operation_costs", "node_edges")}
    edges, costs, nodes = ({} if told is None else told(model) for told in methods.values())
    return OneShot(edges, costs, differentiable_form, partial_form, nodes or edges, single_path_form)
