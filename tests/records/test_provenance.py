"""Where a result comes from: versions, commit, command."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from records.provenance import collect_versions, find_commit, get_command


def test_versions_and_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert collect_versions()["python"] == ".".join(map(str, sys.version_info[:3]))
    assert find_commit(tmp_path) is None
    inner = tmp_path / "inner"
    inner.mkdir()
    if shutil.which("git"):
        git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org"]
        for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "m"], ["tag", "v1"]):
            subprocess.run([*git, *command], cwd=tmp_path, check=True)
        commit = find_commit(tmp_path)
        assert commit is not None and re.fullmatch("[0-9a-f]{40}", commit)
        assert find_commit(inner) is None, "an enclosing repository is not the code's"
    monkeypatch.setenv("PATH", "")
    assert find_commit(tmp_path) is None


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["run_experiment.py", "--out", "my runs"], "python run_experiment.py --out 'my runs'"),
        (["/opt/bin/retiarius", "--space", "zoo"], "retiarius --space zoo"),
        (["a.py", "--storage", "postgresql://me:secret@host/db"], "python a.py --storage 'postgresql://me:***@host/db'"),
        (["/usr/lib/ipykernel_launcher.py", "-f", "kernel.json"], None),
        (["-c"], None),
        ([""], None),
        ([], None),
    ],
)
def test_the_command_that_began_a_run(argv: list[str], command: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert get_command() == command
