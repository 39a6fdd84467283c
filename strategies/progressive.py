"""P-DARTS: a search in stages, each with a deeper supernet of fewer operations. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from common.errors import StrategyError
from common.text import show
from strategies.one_shot.search_epoch import is_number
from strategies.selections import SelectionSettings
from strategies.stages import Place, Stage, split_evenly
from strategies.supernets import ComposedDarts


@dataclass(frozen=True, kw_only=True)
class PDarts(ComposedDarts):
    """P-DARTS (Chen et al. 2019, arXiv 1904.12760): three supernets, each deeper than the one before and with fewer operations.

    After a stage the weakest operations of every choice are dropped. The next stage begins with new weights and new alphas. All stages have
    the same number of epochs; in the first 10 of 25, a share of 0.4, the weights learn alone.

    Parameters
    ----------
    stage_cells
        The cells of the supernet in each stage, 3 or more, in a space that has a number of them. There are as many stages.
    kept_operations
        How many operations of a choice are kept after each stage but the last, 2 or more. Of fewer, all are.
    skip_dropout
        The first rate of the dropout after skip connections, in each stage, from 0 to below 1; it falls within the stage.
    most_skips
        The most skip connections in the normal cell that is read off, 0 or more.
    """

    name: ClassVar[str] = "p_darts"
    summary: ClassVar[str] = "one-shot P-DARTS, in stages that grow deeper"
    authors_steps: ClassVar[int] = 25 * 260  # of a stage, in batches of 96
    set_by_name: ClassVar[tuple[str, ...]] = (
        *ComposedDarts.set_by_name,
        *("stage_cells", "kept_operations", "skip_dropout", "most_skips"),
    )
    stage_cells: Sequence[int] = (5, 11, 17)
    kept_operations: Sequence[int] = (5, 3)
    skip_dropout: Sequence[float] = (0.0, 0.4, 0.7)
    most_skips: int = 2
    alpha_warmup: float = 0.4
    alpha_lr: float | str = 6e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        cells, kept, rates = self.stage_cells, self.kept_operations, self.skip_dropout
        if not (_are_counts(cells, least=3) and cells):
            raise StrategyError(f"stage_cells: {show(cells)} is no list of whole numbers of at least 3, such as [5, 11, 17]")
        if not (_are_counts(kept, least=2) and len(kept) == len(cells) - 1):
            many = f"{len(cells) - 1} whole numbers of at least 2, one for each of the {len(cells)} stages but the last"
            raise StrategyError(f"kept_operations: {show(kept)} is no list of {many}")
        if not (isinstance(rates, list | tuple) and len(rates) == len(cells) and all(is_number(rate) and 0 <= rate < 1 for rate in rates)):
            raise StrategyError(
                f"skip_dropout: {show(rates)} is no list of {len(cells)} numbers from 0 to below 1, one for each of `stage_cells`"
            )
        if not _are_counts([self.most_skips], least=0):
            raise StrategyError(f"most_skips: {show(self.most_skips)} is not a whole number of at least 0")
        if self.order == 2 and any(rates):
            raise StrategyError("skip_dropout: it works with `order=1` only; `skip_dropout` of zeros has no dropout")
        for name in ("stage_cells", "kept_operations", "skip_dropout"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def least_epochs(self) -> int:
        return len(self.stage_cells)

    def stages(self, epochs: int) -> Sequence[Stage]:
        if epochs < self.least_epochs:
            least = self.least_epochs
            raise StrategyError(f"{self.name} has {least} stages of one epoch or more: it needs {least} epochs or more, not {epochs}")
        shares = split_evenly(epochs, self.least_epochs)
        return [
            Stage(
                strategy=self._of_stage(index),
                epochs=share,
                place=Place(index + 1, sum(shares[:index])),
                cells=self.stage_cells[index],
                keeps=[*self.kept_operations, None][index],
            )
            for index, share in enumerate(shares)
        ]

    def _of_stage(self, index: int) -> PDarts:
        """Return a search of this stage alone; in all but the last the operations are kept that the alphas say."""
        part = slice(index, index + 1)
        alone: dict[str, Any] = {"stage_cells": self.stage_cells[part], "skip_dropout": self.skip_dropout[part], "kept_operations": ()}
        if index < len(self.stage_cells) - 1:
            alone |= {entry.name: entry.default for entry in fields(SelectionSettings)}  # the last stage alone selects by accuracies
        return replace(self, **alone)

    def _parts(self, seed: int) -> dict[str, Any]:
        return {**super()._parts(seed), "skip_dropout": self.skip_dropout[0], "most_skips": self.most_skips}


def _are_counts(values: Any, least: int) -> bool:
    """Return whether they are a list or tuple of whole numbers of at least ``least``."""
    if not isinstance(values, list | tuple):
        return False
    return all(isinstance(value, int) and not isinstance(value, bool) and value >= least for value in values)
