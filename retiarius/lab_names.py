"""Names that people use for our labels."""

from __future__ import annotations

# The lab's, in NNI's search spaces and as options of the command line.
LAB_OPTIONS = {
    "model": "backbone",
    "initial_lr": "initial_lr",
    "ending_lr": "ending_lr",
    "weight_decay": "weight_decay",
    "momentum": "momentum",
    "optimizer": "optimizer",
    "batch_size": "batch_size",
    "cutout": "cutout",
    "grad_clip": "grad_clip",
}
HABITS = {"lr": "initial_lr", "opt": "optimizer"}  # what people type in place of these
