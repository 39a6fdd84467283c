"""A benchmark as it is called, in a process of its own that has imported the libraries already."""

from __future__ import annotations

import subprocess

from program import SECONDS, run_program
from project import PROJECT


def run_benchmark(script: str, *arguments: str, timeout: float = SECONDS) -> subprocess.CompletedProcess[str]:
    """Run ``benchmarks/<script>.py``."""
    path = str(PROJECT / "benchmarks" / f"{script}.py")
    code = f"import runpy, sys\nsys.argv[0] = {path!r}\nrunpy.run_path({path!r}, run_name='__main__')"
    return run_program(*arguments, code=code, timeout=timeout)
