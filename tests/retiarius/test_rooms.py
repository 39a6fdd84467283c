"""A file of one's own that hides a package of the library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import retiarius as rt


def test_a_file_of_ones_own_that_hides_a_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "spaces.py").write_text("")
    (tmp_path / "main.py").write_text("import retiarius as rt\nrt.load_data")
    root = str(Path(rt.__file__).parents[1])
    done = subprocess.run([sys.executable, "main.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith("spaces.py hides the package 'spaces' of retiarius: give it another name")
