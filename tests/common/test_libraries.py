"""What libraries would leave or say."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from common.libraries import keep_home_clean


def test_matplotlib_keeps_its_cache_out_of_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    keep_home_clean()
    assert Path(os.environ["MPLCONFIGDIR"]).parent == Path(tempfile.gettempdir())
    monkeypatch.setenv("MPLCONFIGDIR", "/mine")
    keep_home_clean()
    assert os.environ["MPLCONFIGDIR"] == "/mine", "who has chosen a folder keeps it"
