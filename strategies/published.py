"""Published one-shot methods that are combinations of parts with defaults of their own. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from strategies.supernets import ComposedDarts


@dataclass(frozen=True, kw_only=True)
class PCDarts(ComposedDarts):
    """PC-DARTS (Xu et al. 2020, arXiv 1907.05737): a quarter of the channels goes through the operations, and nodes weigh their edges.

    For the first 15 of its 50 epochs, a share of 0.3, the weights learn alone.
    """

    name: ClassVar[str] = "pc_darts"
    summary: ClassVar[str] = "one-shot PC-DARTS, partial channels and weighed edges"
    partial_channels: int = 4
    edge_normalization: bool = True
    alpha_warmup: float = 0.3
    alpha_lr: float = 6e-4


@dataclass(frozen=True, kw_only=True)
class OLES(ComposedDarts):
    """OLES (Jiang et al. 2023, NeurIPS): DARTS whose operations stop learning, each on its own, when they begin to overfit."""

    name: ClassVar[str] = "oles"
    summary: ClassVar[str] = "one-shot OLES, operations that overfit are frozen"
    early_stop: float = 0.4
