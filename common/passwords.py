"""Passwords in the URLs of databases, which nobody is to read in a file or on a screen."""

from __future__ import annotations

import re

HIDDEN = "***"
# The user's name may hold an @, the password blanks as well; up to the last @ of the line: rather too much than too little.
_IN_ADDRESS = re.compile(r"(://[^\s:/]*:).*@")
_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&\s'\"]*", re.IGNORECASE)


def hide_passwords(text: str) -> str:
    """Return ``text`` with ``***`` for the passwords of all URLs in it."""
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _IN_ADDRESS.sub(rf"\1{HIDDEN}@", text))
