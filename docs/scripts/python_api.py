"""The page of the Python API: what ``import retiarius`` exports, each with its signature and its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import retiarius as rt
from docs.scripts.numpy_docstring import bullets, read_docstring

OURS = ("common", "kernels", "spaces", "strategies", "evaluators", "records", "nni_compat", "retiarius")
INTRODUCTION = """
# Python API

All names are those of `import retiarius as rt`. Importing costs next to nothing: torch and NNI are imported when they are needed.
Calls print nothing. What happens goes to a [`Reporter`](#reporter); errors are [`RetiariusError`](#retiariuserror).
"""
GROUPS = {
    "Functions": inspect.isfunction,
    "Strategy classes": lambda thing: inspect.isclass(thing) and issubclass(thing, rt.Strategy),
    "Pruner classes": lambda thing: inspect.isclass(thing) and issubclass(thing, rt.Pruner),
    "Error classes": lambda thing: inspect.isclass(thing) and issubclass(thing, Exception),
    "Other classes": inspect.isclass,
    "Registries": lambda thing: isinstance(thing, Mapping),
}


def write_page() -> str:
    """Return the page."""
    things = {name: getattr(rt, name) for name in rt.__all__}
    lines = [INTRODUCTION.strip()]
    for title, belongs in GROUPS.items():
        group = {name: things.pop(name) for name in list(things) if belongs(things[name])}
        lines.append(f"## {title}")
        for name, thing in group.items():
            lines += [f"### `{name}`", *_describe(name, thing)]
    assert not things, f"these belong to no group of the page: {', '.join(things)}"
    return "\n\n".join(lines) + "\n"


def _describe(name: str, thing: Any) -> Iterator[str]:
    if isinstance(thing, Mapping):
        yield "A dict, name to entry: " + ", ".join(f"`{key}`" for key in thing) + "."
        return
    if not (inspect.isclass(thing) and issubclass(thing, Exception)):
        yield f"```python\n{signature(name, thing)}\n```"
    if inspect.isclass(thing) and (bases := [base for base in thing.__bases__ if base.__name__ in rt.__all__]):
        yield "Extends " + ", ".join(f"[`{base.__name__}`](#{base.__name__.lower()})" for base in bases) + "."
    yield from _sections(thing)
    if inspect.isclass(thing):
        yield from _members(thing)


def _sections(thing: Any) -> Iterator[str]:
    docstring = read_docstring(thing)
    if docstring.prose:
        yield docstring.prose
    for title, entries in docstring.sections.items():
        yield f"**{title}**"
        yield "\n".join(bullets(entries))


def _members(owner: type) -> Iterator[str]:
    """Describe the public properties and methods of a class, those of its bases that have no entry of their own included."""
    elsewhere = {kind for base in owner.__mro__[1:] if base.__name__ in rt.__all__ for kind in base.__mro__}
    found: dict[str, Any] = {}
    for kind in reversed(owner.__mro__):
        if kind not in elsewhere and kind.__module__.partition(".")[0] in OURS:
            found |= {name: member for name, member in vars(kind).items() if not name.startswith("_")}
    properties = [(name, member) for name, member in found.items() if isinstance(member, property | cached_property) and member.__doc__]
    if properties:
        yield "**Properties**"
        yield "\n".join(bullets([(name, _in_one_line(member)) for name, member in properties]))
    for name, member in found.items():
        function = getattr(member, "__func__", member)
        if inspect.isfunction(function) and function.__doc__:
            yield f"#### `{owner.__name__}.{name}`"
            yield f"```python\n{signature(name, function)}\n```"
            yield from _sections(function)


def _in_one_line(member: Any) -> str:
    """Return what is said of a property; what it raises stands behind."""
    docstring = read_docstring(member)
    raises = [f"Raises `{name}`: {text}" for name, text in docstring.sections.get("Raises", [])]
    return " ".join([docstring.prose.replace("\n\n", " "), *raises])


def signature(name: str, thing: Any) -> str:
    """Return how ``thing`` is called: on one line where that fits into 100 columns, else one parameter a line."""
    call = inspect.signature(thing)
    parameters, starred = [], False
    for parameter in call.parameters.values():
        if parameter.name in ("self", "cls") and parameter.default is parameter.empty:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parameters.append("*")
        starred |= parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        parameters.append(_parameter(parameter))
    returned = _annotation(call.return_annotation)
    end = f" -> {returned}" if returned and not inspect.isclass(thing) else ""
    line = f"{name}({', '.join(parameters)}){end}"
    if len(line) <= 100:
        return line
    indented = "".join(f"    {parameter},\n" for parameter in parameters)
    return f"{name}(\n{indented}){end}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    annotation = _annotation(parameter.annotation)
    text = f"{stars}{parameter.name}" + (f": {annotation}" if annotation else "")
    if parameter.default is parameter.empty:
        return text
    return f"{text} = {_value(parameter.default)}" if annotation else f"{text}={_value(parameter.default)}"


def _annotation(annotation: Any) -> str:
    if annotation is inspect.Signature.empty:
        return ""
    return annotation.strip("'\"") if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _value(value: Any) -> str:
    if isinstance(value, Path):
        return repr(str(value))
    if inspect.isclass(value):
        return value.__name__
    return "..." if repr(value).startswith("<") else repr(value)
