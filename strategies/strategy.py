"""What every strategy is: a small object that holds its own settings, and builds an NNI strategy. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from common.errors import StrategyError
from common.text import show
from strategies.context import SearchContext
from strategies.named import Named
from strategies.pruners import Median, Pruner
from strategies.stages import Stage


@dataclass(frozen=True, kw_only=True)
class Strategy(Named):
    """How a search space is searched. Values are checked when the object is made.

    A subclass overrides :meth:`build`. It is a frozen dataclass whose fields are its settings, or a class that has none.

    Attributes
    ----------
    needs
        What a space must offer, such as ``one_shot`` or ``hyperparameters``.
    one_shot
        Whether it trains one supernet in place of many trials.
    fixes_architecture
        Whether it searches the hyperparameters alone and keeps the space's default architecture.
    several_objectives
        Whether it searches for the best in several objectives: the score and the costs of the context.
    set_by_name
        The settings that have no flag of their own, and are set with ``--set`` as hyperparameters are.
    shares_study
        Whether several processes can search together, by a study that they share.
    takes_scores_so_far
        Whether it makes use of trials that wait on their way: of scores that are lower than they will be.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    one_shot: ClassVar[bool] = False
    fixes_architecture: ClassVar[bool] = False
    several_objectives: ClassVar[bool] = False
    set_by_name: ClassVar[tuple[str, ...]] = ()
    shares_study: ClassVar[bool] = False
    takes_scores_so_far: ClassVar[bool] = True

    @property
    def uses_all_weights(self) -> bool:
        """Whether a supernet uses every weight in every step, and no drawn path alone."""
        return False

    def settings(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults, by the flag of the command line that sets each."""
        return changed_settings(self, [field.name for field in fields(self)])

    @property
    def least_epochs(self) -> int:
        """How many epochs a one-shot search has at least."""
        return 1

    def stages(self, epochs: int) -> Sequence[Stage]:
        """Return the supernets that a one-shot strategy trains in so many epochs, in order: one unless it says otherwise.

        Raise ``StrategyError`` where the epochs are too few.
        """
        return [Stage(strategy=self, epochs=epochs)]

    def build(self, context: SearchContext) -> Any:
        """Return the NNI ``Strategy`` that makes the search of ``context``, and no other; imports NNI or Optuna on first use."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class TrialStrategy(Strategy):
    """A strategy that tries one sample after another.

    Parameters
    ----------
    pruner
        Ends trials early that cannot win; ``None``: all come to their end.
    """

    pruner: Pruner | None = None

    def __post_init__(self) -> None:
        if self.pruner is not None and not isinstance(self.pruner, Pruner):
            raise StrategyError(f"{self.name}: the pruner is {show(self.pruner)}; expected an object such as Median(), or None")
        if self.several_objectives and self.pruner is not None:
            raise StrategyError(f"{self.name} has several objectives, which pruners do not support: leave out `pruner`")

    @property
    def start_step(self) -> int | None:
        """The number of epochs before which a median pruner judges no trial, where it is set."""
        return self.pruner.start_step if isinstance(self.pruner, Median) else None

    def settings(self) -> dict[str, Any]:
        own = changed_settings(self, [field.name for field in fields(self) if field.name != "pruner"])
        return own if self.pruner is None else {**own, "--pruner": self.pruner.name}


def changed_settings(strategy: Strategy, names: Iterable[str]) -> dict[str, Any]:
    """Return those of the named fields that differ from their defaults, by flag."""
    defaults = {field.name: field.default for field in fields(strategy)}
    values = {name: getattr(strategy, name) for name in names}
    return {f"--{name.replace('_', '-')}": value for name, value in values.items() if value != defaults[name]}
