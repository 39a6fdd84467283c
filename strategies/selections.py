"""How the architecture of a one-shot search is selected, as settings of its strategy. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from common.errors import StrategyError, unknown_name
from common.text import show
from strategies.context import SearchContext

STRONGEST, PERTURBATION, INHERITED, TRAINED, NEAREST = SELECTIONS = ("strongest", "perturbation", "inherited", "trained", "nearest")
_OF_SELECTION = 5  # of a generator that draws something else from the same seed, as those of the sampler do
_LEAST = {"tuning_epochs": 0, "population": 2, "generations": 1, "trained_networks": 2, "trained_epochs": 1}
_LEAST |= {"statistics_images": 1, "validation_images": 1}
_SEARCHES = (INHERITED, TRAINED)
_TRAINS = (TRAINED, NEAREST)
READS_ALPHAS = (STRONGEST, NEAREST)
_USED_BY = {
    "tuning_epochs": (PERTURBATION,),
    **dict.fromkeys(("population", "generations"), _SEARCHES),
    **dict.fromkeys(("trained_networks", "trained_epochs"), _TRAINS),
    **dict.fromkeys(("statistics_images", "validation_images"), (PERTURBATION, *_SEARCHES, NEAREST)),
}


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """What a one-shot strategy does when its supernet is trained.

    Parameters
    ----------
    selection
        ``"strongest"``: the operations with the largest architecture parameters are kept. ``"perturbation"``: those whose removal costs the
        supernet most accuracy, as in DARTS-PT. ``"inherited"``: the best of an evolutionary search whose networks are scored by the
        supernet's weights, as in SPOS. ``"trained"``: the best of the best of those, each trained alone for a short time.
        ``"nearest"``: likewise, of the network that ``"strongest"`` keeps and of the nearest to it, in which one operation is another.
    tuning_epochs
        Of the supernet between two choices of ``"perturbation"``, 0 or more; the authors have 10.
    population, generations
        Of the evolutionary search: how many networks a generation has, 2 or more, and how many there are, 1 or more. The defaults are the
        paper's.
    trained_networks, trained_epochs
        How many networks ``"trained"`` and ``"nearest"`` train, 2 or more. For how long, 1 or more; by default as long as a trial of the
        preset.
    statistics_images, validation_images
        Images by which batch statistics are computed anew, and on which accuracies are measured, 1 or more; 2,000 and 5,000 by default.
    """

    selection_names: ClassVar[tuple[str, ...]] = ("selection", *_LEAST)
    selection: str = STRONGEST
    tuning_epochs: int = 1
    population: int = 50
    generations: int = 20
    trained_networks: int = 5
    trained_epochs: int | None = None
    statistics_images: int | None = None
    validation_images: int | None = None

    def check_selection(self, name: str) -> None:
        """Raise ``StrategyError``, one line, where one of these settings of the strategy of this name cannot be."""
        if self.selection not in SELECTIONS:
            raise StrategyError(f"{name}: {unknown_name('selection', self.selection, SELECTIONS)}")
        for setting, least in _LEAST.items():
            value = getattr(self, setting)
            if value is None and setting in ("trained_epochs", "statistics_images", "validation_images"):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise StrategyError(f"{setting}: {show(value)} is not a whole number of at least {least}")
        for setting, users in _USED_BY.items():
            if self.selection not in users and getattr(self, setting) != getattr(type(self), setting):
                fitting = " or ".join(f"`selection='{user}'`" for user in users)
                raise StrategyError(f"{setting}: it needs {fitting}")

    @property
    def networks_scored(self) -> int | None:
        """How many networks are scored at most, where that is known."""
        if self.selection == NEAREST:
            return self.trained_networks
        return self.population * self.generations if searches(self) else None

    @property
    def scoring(self) -> dict[str, int]:
        """How many images are looked at, by the names that the evaluator has for them; those that are left to it are not there."""
        told = {"statistics_images": self.statistics_images, "validation_images": self.validation_images}
        return {name: value for name, value in told.items() if value is not None}

    def count_tuning_epochs(self, mutables: Mapping[str, Any], input_edges: Mapping[str, Sequence[str]]) -> int:
        """Return how many epochs the supernet of a space with these choices, by label, is tuned for.

        ``input_edges`` are as ``OneShotFacts`` has them.
        """
        if self.selection != PERTURBATION:
            return 0
        import torch

        from strategies.one_shot.projection import intervals, plan_rounds

        return self.tuning_epochs * intervals(plan_rounds(mutables, input_edges, torch.Generator()))

    def make_selection(self, context: SearchContext) -> Any:
        """Return what selects the architecture in the search of ``context``; None where the strongest operations are kept."""
        if self.selection == STRONGEST:
            return None
        from strategies.one_shot.inherited import InheritedSearch
        from strategies.one_shot.nearest import Nearest
        from strategies.one_shot.projection import Projection
        from strategies.one_shot.selection import Scorer

        told: dict[str, Any] = {"scorer": Scorer(context.score, context.scores), "seed": context.seed + _OF_SELECTION}
        if self.selection == PERTURBATION:
            return Projection(tuning_epochs=self.tuning_epochs, **told)
        if self.selection == NEAREST:
            return Nearest(scorer=told["scorer"], number=self.trained_networks, canonical=context.canonical)
        told |= {"canonical": context.canonical, "reject": context.reject}
        return InheritedSearch(population=self.population, generations=self.generations, **told)


def searches(strategy: Any) -> bool:
    """Return whether ``strategy`` selects the architecture by a search among whole networks, some of which can be left out."""
    return isinstance(strategy, SelectionSettings) and strategy.selection in _SEARCHES


def trains(strategy: Any) -> bool:
    """Return whether ``strategy`` chooses among several architectures by short trainings."""
    return isinstance(strategy, SelectionSettings) and strategy.selection in _TRAINS


def selects(strategy: Any) -> bool:
    """Return whether ``strategy`` selects the architecture by accuracies, and not by the largest architecture parameters."""
    return isinstance(strategy, SelectionSettings) and strategy.selection != STRONGEST
