"""Where a result comes from: the command, the versions and the commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

from common.passwords import hide_passwords

_PROJECT = Path(__file__).resolve().parents[1]
_PACKAGES = ("retiarius", "torch", "torchvision", "timm", "nni", "optuna", "pytorch-lightning", "numpy", "scikit-learn")
_PROGRAM = "retiarius"  # as it is called where it is installed
_NO_SCRIPTS = ("", "-", "-c", "-m", "ipykernel_launcher.py")  # a notebook, a session at a prompt: no command begins these again


def get_command() -> str | None:
    """Return the command line of this process, quoted for a shell, without the passwords of databases; None where there was none."""
    script = Path(sys.argv[0]).name if sys.argv else ""
    if script in _NO_SCRIPTS:
        return None
    words = [_PROGRAM, *sys.argv[1:]] if script == _PROGRAM else ["python", *sys.argv]
    return shlex.join(hide_passwords(word) for word in words)


def collect_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result depends on, without importing them."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def find_commit(folder: Path = _PROJECT) -> str | None:
    """Return the git commit of the code in ``folder``, with ``-dirty`` where files differ from it; None if there is none."""
    # The ceiling and the removed variables keep git from answering for a repository that merely encloses the code.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment.update(GIT_CEILING_DIRECTORIES=str(folder.parent), GIT_OPTIONAL_LOCKS="0")
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
