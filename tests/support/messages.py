"""What a refusal says."""

from __future__ import annotations

import pytest

from common.errors import RecordError


def get_message(error: pytest.ExceptionInfo[RecordError]) -> str:
    """Return the words of ``error``, which are one line that can be read."""
    message = str(error.value)
    assert "\n" not in message and len(message) < 600, "an error message is one line"
    return message
