"""``study.json``: in which shared study a run takes part, and as whom."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from common.errors import RecordError
from common.files import read_json, write_json_atomically
from common.passwords import hide_passwords

FORMAT, VERSION = "retiarius-study", 1


def note_study(path: Path, storage: str, study: str | None, usual: str) -> tuple[str, str]:
    """Return the name of the study in ``storage`` (a URL), and the run's own mark in it, which stays the same when it is resumed.

    The mark is 32 hexadecimal digits. The name is ``study`` where it is given, else that in the file ``path``, as a run that is resumed
    stays in its study, whatever a newer version would call that; else the ``usual`` one. The file is written where there is none, without
    a password.

    Raises
    ------
    RecordError
        The file is none of ours.
    """
    if path.exists():
        document = read_json(path)
        fields = document if isinstance(document, dict) else {}
        member, stored = fields.get("member"), fields.get("study")
        if not isinstance(member, str) or not re.fullmatch("[0-9a-f]{32}", member):
            raise RecordError(f"{path}: not the study.json of a run; remove it to take part in the study as a new member")
        return study or (stored if isinstance(stored, str) and stored else usual), member
    name, member = study or usual, uuid.uuid4().hex
    write_json_atomically(path, {"format": FORMAT, "version": VERSION, "storage": hide_passwords(storage), "study": name, "member": member})
    return name, member
