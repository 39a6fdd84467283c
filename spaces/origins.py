"""What a model space is built from: its class, a function, or an instance that is there already."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from common.errors import SpaceError
from common.text import show
from spaces.building import build_network, make_space
from spaces.foreign import arguments_of, by_name, full_name, parameters_of

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace
    from torch import nn


class Origin:
    """A class or a function that returns a new space, and the arguments that it gets beside those that are asked for.

    Parameters
    ----------
    build
        The class or the function.
    given
        The arguments, by name, of an instance or a ``functools.partial`` that was handed over; ``None``: neither was.
    """

    def __init__(self, build: Callable[..., Any], given: Mapping[str, Any] | None = None) -> None:
        self.build, self.given = build, given

    @cached_property
    def kind(self) -> type:
        """The class of the spaces; a function is called for that."""
        build = self.build.func if isinstance(self.build, partial) else self.build
        return build if inspect.isclass(build) else type(self.make({}))

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the arguments."""
        return parameters_of(self.build)

    def make(self, arguments: Mapping[str, Any]) -> ModelSpace:
        """Return the unfrozen space; raises ``SpaceError`` where ``arguments`` are not those it takes, or it is none."""
        from nni.nas.nn.pytorch import ModelSpace

        space = make_space(self.build, {**(self.given or {}), **arguments})
        if not isinstance(space, ModelSpace):
            raise SpaceError(f"{full_name(self.build)} returns {show(space)}, which is not a model space (nni.nas.nn.pytorch.ModelSpace)")
        return space

    def network(self, arguments: Mapping[str, Any], architecture: Mapping[str, Any]) -> nn.Module:
        """Return the network of ``architecture``, its first weights drawn from torch's generator as it stands."""
        network = build_network(self.build, {**(self.given or {}), **arguments}, architecture)
        if not inspect.isclass(self.build) and _has_choices(network):
            raise SpaceError(f"{full_name(self.build)} returns a space that existed before; it must build a new one at each call")
        return network


class Copied(Origin):
    """An instance that cannot be built again: spaces are copies of it, and networks have its weights.

    Parameters
    ----------
    instance
        Never changed.
    """

    def __init__(self, instance: ModelSpace) -> None:
        super().__init__(type(instance), {})
        self._instance = instance

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """None: it is built already."""
        return ()

    def make(self, arguments: Mapping[str, Any]) -> ModelSpace:
        """Return a copy; raises ``SpaceError`` where there are ``arguments``."""
        if arguments:
            raise SpaceError(f"{full_name(self.build)} is already built and takes no arguments: leave out {', '.join(arguments)}")
        return copy.deepcopy(self._instance)

    def network(self, arguments: Mapping[str, Any], architecture: Mapping[str, Any]) -> nn.Module:
        """Return the network of ``architecture`` with the weights of the instance."""
        return self.make(arguments).freeze(dict(architecture))


def origin_of(what: Any) -> Origin:
    """Return what spaces like ``what``, a class, an instance or a function, are built from.

    Raises
    ------
    SpaceError
        It is none of these, or no model space.
    """
    from nni.nas.nn.pytorch import ModelSpace
    from torch import nn

    if isinstance(what, ModelSpace):
        noted = arguments_of(what)
        return Copied(what) if noted is None else _called(type(what), *noted)
    if inspect.isclass(what) and not issubclass(what, ModelSpace):
        raise SpaceError(f"{full_name(what)} is not a model space, a subclass of nni.nas.nn.pytorch.ModelSpace")
    if isinstance(what, nn.Module) or not callable(what) or inspect.isbuiltin(what):
        raise SpaceError(
            f"the space is {show(what)}; expected a name, or a model space of NNI: its class, an instance, or a function that returns one"
        )
    return _called(what.func, what.args, what.keywords) if isinstance(what, partial) else Origin(what)


def _called(build: Callable[..., Any], positional: tuple[Any, ...], given: Mapping[str, Any]) -> Origin:
    positional, named = by_name(build, positional, given)
    return Origin(partial(build, *positional) if positional else build, named)


def _has_choices(network: nn.Module) -> bool:
    from nni.nas.nn.pytorch import InputChoice, LayerChoice

    return any(isinstance(module, LayerChoice | InputChoice) for module in network.modules())
