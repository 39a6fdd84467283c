"""What a benchmark says of the machine that it ran on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

UNITS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def describe() -> dict[str, Any]:
    """The processor's name, the cores that this process may use, the units that matter here, torch's version, as a record has them."""
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "units": [unit for unit in UNITS if f" {unit} " in text.replace("\n", " ")],
        "torch": version("torch").partition("+")[0],
    }


def processor() -> str:
    """The same in one line."""
    told = describe()
    return f"{told['processor']} x {told['cores']} ({', '.join(told['units'])})"


def machine(device: str) -> str:
    """The processor and, where ``device`` is one, the GPU."""
    if not device.startswith("cuda"):
        return processor()
    import torch

    return f"{torch.cuda.get_device_name(device)}; {processor()}"
