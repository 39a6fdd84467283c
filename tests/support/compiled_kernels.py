"""``HERE`` skips a test where there are no compiled kernels."""

from __future__ import annotations

import pytest
import torch

from kernels.build import kernels_for, why_not

HERE = pytest.mark.skipif(kernels_for(torch.float32) is None, reason=f"no compiled kernels here: {why_not()}")
