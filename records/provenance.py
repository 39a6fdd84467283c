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


def get_command() -> str:
    """The command line of this process, quoted for a shell, without the passwords of databases."""
    return shlex.join(hide_passwords(word) for word in ["python", *sys.argv])


def collect_versions() -> dict[str, str]:
    """The versions of Python and of the packages that a result depends on, without importing them."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def find_commit(folder: Path = _PROJECT) -> str | None:
    """The git commit of the code in ``folder``, with ``-dirty`` where files differ from it; None if there is none."""
    # The ceiling and the removed variables keep git from answering for a repository that merely encloses the code.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment.update(GIT_CEILING_DIRECTORIES=str(folder.parent), GIT_OPTIONAL_LOCKS="0")
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
