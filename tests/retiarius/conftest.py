"""What several tests of this folder search and train on."""

from __future__ import annotations

from typing import Any

import pytest
from bright_bars import make_data


@pytest.fixture
def data() -> Any:
    return make_data()
