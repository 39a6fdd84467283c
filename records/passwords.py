"""Passwords in the URLs of databases, which nobody is to read in a file or on a screen."""

from __future__ import annotations

import re

HIDDEN = "***"
_IN_ADDRESS = re.compile(r"(://[^\s:/@]*:)\S*@")  # up to the last @: a password that was typed as it is may hold one
_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&\s'\"]*", re.IGNORECASE)


def hide_passwords(text: str) -> str:
    """``text`` with ``***`` for the passwords of all URLs in it."""
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _IN_ADDRESS.sub(rf"\1{HIDDEN}@", text))
