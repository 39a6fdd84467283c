"""What a run notes of the study that it shares: which one, and its own mark in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import RecordError
from records.study_note import note_study

PASSWORD = "a secret"


def test_a_run_keeps_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    study, member = note_study(path, f"postgresql://me:{PASSWORD}@host/db", None, "usual")
    assert study == "usual"
    assert PASSWORD not in path.read_text()
    assert note_study(path, "other", None, "of a newer version") == ("usual", member), "a run that is gone on with stays in its study"
    assert note_study(path, "other", "named", "usual") == ("named", member)
    named = tmp_path / "named.json"
    assert note_study(named, "other", "named", "usual") == note_study(named, "other", None, "usual")
    assert json.loads(named.read_text())["study"] == "named"
    path.write_text(json.dumps({"member": member}))
    assert note_study(path, "other", None, "usual") == ("usual", member), "written before it said which study"
    path.write_text(json.dumps({"study": "usual", "member": "me"}))
    with pytest.raises(RecordError, match="not the study"):
        note_study(path, "other", None, "usual")
