"""What a benchmark says of the machine that it ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor() -> str:
    """The processor's name, the number of its threads that this process may use, and those of its units that matter here."""
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    units = [unit for unit in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {unit} " in text.replace("\n", " ")]
    return f"{names[0] if names else platform.processor()} x {len(os.sched_getaffinity(0))} ({', '.join(units)})"


def machine(device: str) -> str:
    """The processor and, where ``device`` is one, the GPU."""
    if not device.startswith("cuda"):
        return processor()
    import torch

    return f"{torch.cuda.get_device_name(device)}; {processor()}"
