"""What importing this room costs."""

from __future__ import annotations

import subprocess
import sys

from project import PROJECT


def test_importing_records_is_light() -> None:
    modules = "records.run_folder, records.trials, records.best, records.log, records.report.collect, retiarius.cli.screen"
    command = [sys.executable, "-c", f"import sys, {modules}; print(*sys.modules)"]
    loaded = set(subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False).stdout.split())
    assert "retiarius.cli.screen" in loaded and not loaded & {"torch", "nni", "numpy", "timm", "optuna", "rich", "matplotlib"}
