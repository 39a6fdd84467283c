"""``study.json``: in which shared study a run takes part, and as whom."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from records import RecordError
from records.files import read_json, write_json_atomically
from records.passwords import hide_passwords

FORMAT, VERSION = "retiarius-study", 1


def stored_study(path: Path) -> str | None:
    """The study in which the run of this file takes part; ``None`` where there is no such file, or none that says it."""
    document = read_json(path) if path.exists() else None
    study = document.get("study") if isinstance(document, dict) else None
    return study if isinstance(study, str) else None


def note_study(path: Path, storage: str, study: str) -> str:
    """Write the file where there is none, and return the run's own mark in the study: 32 hexadecimal digits, the same when it is resumed.

    Raises ``RecordError`` where the file is none of ours.
    """
    if path.exists():
        document = read_json(path)
        member = document.get("member") if isinstance(document, dict) else None
        if not isinstance(member, str) or not re.fullmatch("[0-9a-f]{32}", member):
            raise RecordError(f"{path}: not the study.json of a run; take it away, and the run takes part as a new one")
        return member
    member = uuid.uuid4().hex
    write_json_atomically(
        path, {"format": FORMAT, "version": VERSION, "storage": hide_passwords(storage), "study": study, "member": member}
    )
    return member
