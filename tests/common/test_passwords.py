"""No password of a storage is shown, whatever text it stands in."""

from __future__ import annotations

import pytest

from common.passwords import hide_passwords


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:pass@host/db", "postgresql://me:***@host/db"),
        ("--storage=postgresql+psycopg://me:p@ss:w/rd@host:5/db now", "--storage=postgresql+psycopg://me:***@host:5/db now"),
        ("postgresql://me@corp:pass@host/db", "postgresql://me@corp:***@host/db"),
        ("postgresql://me:my pass@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=pass&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:///a.db at 10:30, mail a@b", "sqlite:///a.db at 10:30, mail a@b"),
    ],
)
def test_passwords_are_hidden(text: str, shown: str) -> None:
    assert hide_passwords(text) == shown
