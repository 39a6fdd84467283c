"""Model spaces of anyone's: their names, what their constructors take, and with what an instance was built."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from common.errors import SpaceError, closest, describe_error, unknown_name
from common.libraries import quiet_libraries
from common.text import show

_FULL_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_LONGEST_NAME = 300
_LONGEST_REASON = 300
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
HUB = "nni.nas.hub.pytorch"  # of NNI: its model spaces are known by their class alone where one is asked for
HUB_SPACES = (
    *("NasBench101", "NasBench201", "NASNet", "ENAS", "AmoebaNet", "PNAS", "DARTS", "ProxylessNAS", "MobileNetV3Space"),
    *("ShuffleNetSpace", "AutoFormer"),
)
# What a constructor calls the number of classes: here, and in NNI's hub.
CLASS_COUNTS = ("num_classes", "num_labels")
# And the side of square images, where a network takes those of one size alone.
IMAGE_SIDES = ("img_size", "image_size")


def import_space(name: str) -> Any:
    """Return the class, instance or function called ``package.module:Name``; runs the code of that module.

    Raises
    ------
    SpaceError
        The name is no such name, the module cannot be imported, or has nothing of that name.
    """
    if "<locals>" in name or "<lambda>" in name:
        raise SpaceError(f"space {show(name)}: a class defined in a function cannot be imported by name; pass it from Python")
    if len(name) > _LONGEST_NAME or not _FULL_NAME.fullmatch(name):
        raise SpaceError(f"space {show(name)}: expected package.module:Class")
    module, _, path = name.partition(":")
    try:
        quiet_libraries()
        found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        right = f"; write {module[:-3]}:{path}" if module.endswith(".py") else ""
        raise SpaceError(f"space {show(name)}: {module} cannot be imported: {describe_error(error)[:_LONGEST_REASON]}{right}") from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = closest(part, [other for other in dir(found) if not other.startswith("_")], 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise SpaceError(f"space {show(name)}: {module} has no {path}{hint}") from None
    return found


def unknown_space(name: str, known: Iterable[str]) -> SpaceError:
    """Return the error for a ``name`` that is none of the ``known`` ones, nor ``package.module:Class``."""
    near = closest(name.rpartition(".")[2], HUB_SPACES, 1)
    hint = f"NNI's is {HUB}:{near[0]}" if near else "your own is package.module:Class"
    return SpaceError(f"{unknown_name('space', name, known)}; {hint}")


def full_name(build: Any) -> str:
    """Return ``package.module:QualName`` of a class or a function; of an object that is called, that of its class."""
    build = _without_arguments(build)
    named = build if inspect.isclass(build) or inspect.isroutine(build) else type(build)
    return f"{named.__module__}:{named.__qualname__}"


def parameters_of(build: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the arguments that a class or a function takes by name, in order."""
    names: dict[str, None] = {}
    for signature in _signatures(_without_arguments(build)):
        parameters = signature.parameters.values()
        names |= dict.fromkeys(parameter.name for parameter in parameters if parameter.kind in _NAMED)
        if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            break  # nothing is handed on to the next constructor
    names.pop("self", None)
    return tuple(names)


def _without_arguments(build: Any) -> Any:
    """Return what a ``functools.partial`` calls in the end, or ``build`` itself."""
    while isinstance(build, partial):
        build = build.func
    return build


def _signatures(build: Callable[..., Any]) -> list[inspect.Signature]:
    """Return those of the constructors of a class, its own first; of a function its one, or none where it does not tell it."""
    if inspect.isclass(build):
        constructors = []
        for kind in build.__mro__:
            # NNI puts a function that tells nothing in the place of each constructor, of an inherited one, too, and keeps what it replaces.
            own = vars(kind).get("_init_wrapped", vars(kind).get("__init__"))
            if own is not None and all(own is not vars(base).get("__init__") for base in kind.__mro__[1:]):
                constructors.append(inspect.signature(own))
        return constructors
    try:
        return [inspect.signature(build)]
    except (TypeError, ValueError):
        return []


def by_name(build: Callable[..., Any], positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call, those by position in the place of which a name can stand by name."""
    signatures = _signatures(build)
    parameters = [] if not signatures else [each for each in signatures[0].parameters.values() if each.name != "self"]
    if len(positional) > len(parameters) or any(parameter.kind not in _NAMED for parameter in parameters[: len(positional)]):
        return tuple(positional), dict(named)
    return (), {**{parameter.name: value for parameter, value in zip(parameters, positional, strict=False)}, **named}


def arguments_of(instance: Any) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Return with what NNI noted that ``instance`` was built, positional and by name; ``None`` where it noted nothing."""
    noted = vars(instance)
    if "trace_args" not in noted or "trace_kwargs" not in noted:
        return None
    return tuple(noted["trace_args"]), dict(noted["trace_kwargs"])


def count_classes(parameters: tuple[str, ...], arguments: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return ``arguments`` with ``number`` for the parameter that is the number of classes, where there is one."""
    return {**arguments, **{name: number for name in CLASS_COUNTS if name in parameters}}


def state_side(parameters: tuple[str, ...], arguments: Mapping[str, Any], side: int) -> dict[str, Any]:
    """Return ``arguments`` with ``side`` for the parameter that is the side of the images, where there is one."""
    return {**arguments, **{name: side for name in IMAGE_SIDES if name in parameters}}
