"""Names of arguments in messages: the library writes them in backticks, as ```max_parameters```, and the program shows ``--max-params``.

So one message serves a call from Python and the command line, and nothing below ``retiarius/cli/`` has to know which it was.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_FLAGS = {"data": "--dataset", "max_parameters": "--max-params", "max_multiply_adds": "--max-flops", "fixed": "--set"}
_ARGUMENTS = {flag: name for name, flag in _FLAGS.items()}
_MENTION = re.compile(r"`(?P<name>[a-z_]+)(\['(?P<label>[^`]*)'\])?(=(?P<value>[^`]*))?`")


def mention(names: Iterable[str]) -> str:
    """Return arguments as they stand in a message; a flag, which some records are keyed by, counts as its argument.

    Examples
    --------
    >>> mention(["epochs", "--max-params"])
    '`epochs`, `max_parameters`'
    """
    return ", ".join(f"`{_ARGUMENTS.get(name) or name.removeprefix('--').replace('-', '_')}`" for name in names)


def with_flags(text: str, known: Collection[str]) -> str:
    """Return ``text`` with those ``known`` flags in the place of the arguments that it mentions.

    Examples
    --------
    >>> with_flags("`order=2` needs SGD: `fixed['optimizer']='sgd'`, or leave out `order`", ["--order", "--set"])
    '--order 2 needs SGD: --set optimizer=sgd, or leave out --order'
    """

    def replace(match: re.Match[str]) -> str:
        name, label, value = match["name"], match["label"], match["value"]
        flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
        if flag not in known:
            return match[0]
        value = None if value is None else value.strip("'")
        if label is not None:
            return f"{flag} {label}" if value is None else f"{flag} {label}={value}"
        return flag if value is None else f"{flag} {value}"

    return _MENTION.sub(replace, text)
