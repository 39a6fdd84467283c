"""A one-shot search in stages: what each supernet is made of, where it is kept, and whether another follows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import StrategyError
from records.run_folder import RunFolder
from retiarius.settings import SearchSettings
from strategies.stages import Stage, strongest


def check_stages(settings: SearchSettings, stages: Sequence[Stage]) -> None:
    """Raise ``StrategyError`` where a search in several stages cannot have what was asked for."""
    name, depth = settings.strategy.name, settings.space.depth
    if len(stages) > 1 and settings.lightning is not None:
        raise StrategyError(f"{name} trains {len(stages)} supernets, and NNI's evaluator trains one: leave out `evaluator`")
    if depth in settings.fixed and stages[0].cells is not None:
        raise StrategyError(f"{name} sets the number of cells in each stage: set `stage_cells` in place of `{depth}`")


def sizes_of(space: Any, stage: Stage) -> dict[str, Any]:
    """Return the arguments of the space's constructor that are of ``stage`` alone."""
    return {} if space.depth is None or stage.cells is None else {space.depth: stage.cells}


def checkpoints_of(folder: RunFolder, stage: Stage) -> Path:
    """Return the folder of the checkpoint of ``stage``, which may not be there yet."""
    number = stage.place.stage
    return folder.checkpoints_path if number is None else folder.checkpoints_path / f"stage_{number}"


def has_stages(path: Path) -> bool:
    """Return whether the run in the folder ``path`` has trained, or is training, supernets in stages."""
    return any(path.glob("checkpoints/stage_*"))


class Remaining:
    """What is left to a search from stage to stage: operations, and seconds.

    Parameters
    ----------
    time_budget
        Seconds from now on; ``None``: no limit.

    Attributes
    ----------
    kept
        By label the names of the operations that are left, of the choices that have lost some.
    """

    def __init__(self, time_budget: float | None) -> None:
        self._end = None if time_budget is None else time.monotonic() + time_budget
        self.kept: dict[str, list[Any]] = {}

    @property
    def seconds(self) -> float | None:
        """The seconds that are left; ``None``: no limit."""
        return None if self._end is None else self._end - time.monotonic()

    def cut(self, supernet: Any, stage: Stage) -> list[str]:
        """Leave the dropped operations out of ``supernet``, an unfrozen space, and return the labels of which more can be dropped."""
        from spaces.kept_candidates import droppable_labels, keep_candidates

        keep_candidates(supernet, self.kept)
        labels = droppable_labels(supernet)
        if stage.keeps is not None and not labels:
            told = "drops operations of LayerChoices with named candidates, and this space has none"
            raise StrategyError(f"{stage.strategy.name} {told}: use another one-shot strategy")
        return labels

    def goes_on(self, trained: Any, stage: Stage, labels: Sequence[str]) -> bool:
        """Drop operations after ``stage``, which the NNI strategy ``trained`` made, and return whether another stage follows."""
        epoch = trained.result()
        is_over = self.seconds is not None and self.seconds <= 0
        if stage.keeps is None or is_over or trained.guard.stops or epoch.number < stage.last_epoch:
            return False
        probabilities: Mapping[str, Any] = epoch.probabilities
        self.kept = strongest({label: probabilities[label] for label in labels}, stage.keeps)
        return True
