"""Pruners, which end a trial early that cannot win. Nothing heavy is imported here.

To add one: write a subclass of ``Pruner``, then one line in ``PRUNERS``. The contract tests run over the dict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from common.errors import StrategyError, unknown_name
from common.text import show
from strategies.named import Named

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

NO_PRUNER = "none"


@dataclass(frozen=True, kw_only=True)
class Pruner(Named):
    """What decides which trials end early: one of Optuna's pruners, with its settings.

    Steps are epochs, counted from 1. All trials follow the same schedule of learning rates, so that curves are compared epoch by epoch.

    Attributes
    ----------
    after
        Number of trials that come to their end before one can be pruned.
    """

    after: ClassVar[int] = 1

    @property
    def first_step(self) -> int:
        """The first score of a trial that may be judged, from 1."""
        return 1

    def build(self, epochs: int | None) -> BasePruner:
        """Return Optuna's pruner; imports Optuna on first use.

        Parameters
        ----------
        epochs
            Scores that a trial reports when nothing stops it; ``None`` where nobody knows.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Median(Pruner):
    """End a trial whose best score so far is below the median of the completed trials at the same epoch (Golovin et al. 2017).

    Four trials come to their end first.

    Parameters
    ----------
    start_step
        No trial is judged before so many epochs, where scores say little; ``None``: a quarter of all.
    """

    name: ClassVar[str] = "median"
    summary: ClassVar[str] = "stops a trial that is below the median of the completed ones"
    after: ClassVar[int] = 4
    start_step: int | None = None

    def __post_init__(self) -> None:
        step = self.start_step
        if step is not None and (isinstance(step, bool) or not isinstance(step, int) or step < 0):
            raise StrategyError(f"median: the start step is {show(step)}; expected a whole number of at least 0")

    @property
    def first_step(self) -> int:
        return max(1, self.start_step or 1)

    def build(self, epochs: int | None) -> BasePruner:
        from optuna.pruners import MedianPruner

        warmup = max(1, (epochs or 0) // 4) if self.start_step is None else max(1, self.start_step)
        return MedianPruner(n_startup_trials=self.after, n_warmup_steps=warmup)


@dataclass(frozen=True, kw_only=True)
class Halving(Pruner):
    """Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934): after 1, 3, 9, ... epochs the best third goes on."""

    name: ClassVar[str] = "halving"
    summary: ClassVar[str] = "successive halving: after 1, 3, 9, ... epochs the best third continues"

    def build(self, epochs: int | None) -> BasePruner:
        from optuna.pruners import SuccessiveHalvingPruner

        return SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)


@dataclass(frozen=True, kw_only=True)
class Hyperband(Pruner):
    """Hyperband (Li et al. 2018, arXiv 1603.06560): successive halving in brackets, of which some judge later than others."""

    name: ClassVar[str] = "hyperband"
    summary: ClassVar[str] = "Hyperband: successive halving in brackets, some of which judge later"

    def build(self, epochs: int | None) -> BasePruner:
        """Return Optuna's pruner.

        Raises
        ------
        StrategyError
            Nobody knows how many epochs trials have.
        """
        from optuna.pruners import HyperbandPruner

        if epochs is None:
            raise StrategyError("hyperband needs the number of results per trial: set `epochs`, or use median or halving")
        return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)


PRUNERS: dict[str, type[Pruner]] = {"median": Median, "halving": Halving, "hyperband": Hyperband}


def make_pruner(name: str, **settings: Any) -> Pruner | None:
    """Return the pruner called ``name``, ``None`` for ``none``.

    Raises
    ------
    StrategyError
        The name, or a setting, is unknown, or a value cannot be.
    """
    if name == NO_PRUNER and not settings:
        return None
    if name not in PRUNERS:
        raise StrategyError(unknown_name("pruner", name, PRUNERS if settings else [NO_PRUNER, *PRUNERS]))
    return PRUNERS[name].of(settings)
