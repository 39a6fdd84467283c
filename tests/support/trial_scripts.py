"""Trials as a student writes them, and ones that speak NNI's protocol without its package, which takes seconds to import."""

from __future__ import annotations

import os
import time
from pathlib import Path

# What `import nni` gives a trial, as far as these tests need it.
PROTOCOL = """
import json, os, random, signal, subprocess, sys, time
folder = os.environ["NNI_SYS_DIR"]
content = json.load(open(os.path.join(folder, "parameter.cfg")))
number, parameters = content["parameter_id"], content["parameters"]

def write(data):
    with open(os.path.join(folder, ".nni", "metrics"), "ab") as file:
        file.write(data)

def send(kind, value, number=number):
    job = os.environ["NNI_TRIAL_JOB_ID"]
    metric = {"parameter_id": number, "trial_job_id": job, "type": kind, "sequence": 0, "value": json.dumps(value)}
    line = (json.dumps(metric) + "\\n").encode()
    write(b"ME%06d%b" % (len(line), line))
"""

# The lab's own trial, unchanged: it knows nothing of us.
STUDENT = """
import nni

params = nni.get_next_parameter()
for epoch in range(2):
    nni.report_intermediate_result(params["initial_lr"] * (epoch + 1))
nni.report_final_result({"default": params["initial_lr"], "batch_size": params["batch_size"]})
"""


def write_script(folder: Path, code: str, *, protocol: bool = True) -> Path:
    """A ``main.py`` of ``code`` in ``folder``."""
    path = folder / "main.py"
    path.write_text((PROTOCOL if protocol else "") + code, encoding="utf-8")
    return path


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits to be collected does not."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_until_gone(pids: list[int], seconds: float = 30.0) -> bool:
    """Whether none of the processes runs any more within ``seconds``."""
    deadline = time.monotonic() + seconds
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
