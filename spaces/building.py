"""Model spaces and networks from what builds them: a class, or a function of the same arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from common.errors import InputError, SpaceError, describe_error
from common.text import show
from spaces.foreign import full_name

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace


def make_space(build: Callable[..., ModelSpace], arguments: Mapping[str, Any]) -> ModelSpace:
    """Return the unfrozen space that ``build``, a class or a function, makes of ``arguments``.

    Its first weights are drawn from a state of torch's generator that is put back.

    Raises
    ------
    SpaceError
        ``arguments`` are not those it takes.
    """
    import torch

    try:
        with torch.random.fork_rng(devices=[]):
            return build(**arguments)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        name = full_name(build).partition(":")[2]
        raise SpaceError(f"{name} cannot be built with {show(dict(arguments), 400)}: {describe_error(error)}") from error


def build_network(build: Callable[..., ModelSpace], arguments: Mapping[str, Any], architecture: Mapping[str, Any]) -> ModelSpace:
    """Return the network of ``architecture``, as ``freeze`` makes it: its first weights are drawn from torch's generator as it stands."""
    from nni.nas.space import model_context

    with model_context(dict(architecture)):
        return build(**arguments)
