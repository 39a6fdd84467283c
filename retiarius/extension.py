"""How many trials a search has, and by which number of them its strategy sizes its parts, where it is resumed with more."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from common.errors import StrategyError
from common.reporter import Reporter
from records.run_folder import stored_identity
from retiarius.presets import PRESETS


class _Asked(Protocol):
    """What was asked for of the number of trials."""

    @property
    def trials(self) -> int | None: ...
    @property
    def preset(self) -> str: ...
    @property
    def out(self) -> Path | None: ...
    @property
    def resume(self) -> bool: ...
    @property
    def time_budget(self) -> float | None: ...


def trials_of(settings: _Asked) -> int:
    """Return how many trials the search is to have: those asked for, else those of the run that is resumed, else the preset's."""
    return settings.trials or first_trials(settings) or PRESETS[settings.preset].trials


def first_trials(settings: _Asked) -> int | None:
    """Return the number of trials with which the run began that is resumed; ``None`` where none is."""
    stored = stored_identity(settings.out).get("trials") if settings.resume else None
    return stored if isinstance(stored, int) else None


def sizing_trials(settings: _Asked, trials: int, reporter: Reporter) -> int:
    """Return by which number of trials the strategy sizes its random start or its population: that with which the run began.

    Another number would make other proposals of the same results, and the resumed search another one than the interrupted. Where nobody
    gave one, ``trials`` is an estimate by time, of which nothing is said.

    Raises
    ------
    StrategyError
        They are to be fewer.
    """
    first = first_trials(settings)
    if first is None:
        return trials
    if settings.trials is not None and trials < first and settings.time_budget is None:  # by time the first number was an estimate
        raise StrategyError(f"`trials={trials}`: the search began with {first} and can have more, not fewer")
    if first != trials and settings.trials is not None:
        reporter.say(f"the search began with {first} trials and now has {trials}; what its strategy sizes by their number stays as it was")
    return first
