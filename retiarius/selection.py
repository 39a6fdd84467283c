"""How the architecture of a one-shot search is selected: what scores the supernet, and short trainings of the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from common.errors import SearchFailed
from common.trial import Trial
from evaluators.training.recipes import recipe_values
from records.metric import ACCURACY, INHERITED
from records.run_folder import RunFolder
from records.score_log import SELECTION, ScoreLog
from records.trials import FINALS
from retiarius.context import RunContext
from retiarius.engines import size_limits
from retiarius.finals import train_each
from retiarius.presets import PRESETS
from retiarius.search_plan import SearchPlan
from retiarius.settings import SearchSettings
from strategies.selections import NEAREST, SelectionSettings, selects, trains

TOLD = 5  # of the best architectures


@dataclass(frozen=True)
class Result:
    """What a search ended with.

    Attributes
    ----------
    sample
        The architecture.
    score
        Metric, value and epochs; None where nothing was measured.
    told
        What ``best.json`` says of how it was selected.
    """

    sample: dict[str, Any]
    score: tuple[str, float, int] | None
    told: dict[str, Any]


def tuning_epochs(settings: SearchSettings, supernet: Any, told: Any) -> int:
    """Return how many epochs the supernet of a space is tuned for after the search; ``told`` by the space for a one-shot strategy."""
    strategy = settings.strategy
    if not isinstance(strategy, SelectionSettings):
        return 0
    return strategy.count_tuning_epochs({str(label): mutable for label, mutable in supernet.simplify().items()}, told.input_edges)


def scoring(
    context: RunContext, settings: SearchSettings, plan: SearchPlan, folder: RunFolder, on_new: Callable[..., Any]
) -> dict[str, Any]:
    """Return what the strategy is told of scores, as ``SearchContext`` has it; ``on_new`` as ``EpochKeeper.note_score``."""
    strategy = settings.strategy
    if not selects(strategy):
        return {}
    from evaluators.training.inherited import inherited_accuracy, supernet_halves

    told: dict[str, Any] = {"data": supernet_halves(context.data, settings.seed), **strategy.scoring}
    score = partial(inherited_accuracy, seed=settings.seed, device=context.device, precision=context.precision, **told)
    log = ScoreLog(folder.path / SELECTION, partial(on_new, most=strategy.networks_scored))
    return {"score": score, "scores": log, "canonical": context.space.canonical, "reject": size_limits(context, settings, plan)}


def drawn_result(context: RunContext, ranked: Sequence[Any], epochs: int) -> Result:
    """Return what a search ended with whose architecture is the first of the draws ``ranked``, of a supernet of so many epochs."""
    best, canonical = ranked[0], context.space.canonical
    if best.accuracy is None:
        return Result(best.sample, ("supernet validation loss", best.loss, epochs), {})
    rows = [{"architecture": dict(canonical(draw.sample)), "inherited_accuracy": draw.accuracy} for draw in ranked]
    top = [row for place, row in enumerate(rows) if row not in rows[:place]][:TOLD]
    return Result(best.sample, ("supernet validation accuracy", best.accuracy, epochs), {"selected": {"by": "draws", "top": top}})


def selected_result(context: RunContext, settings: SearchSettings, folder: RunFolder, selected: Any, epochs: int) -> Result:
    """Return what a search ended with whose strategy has ``selected`` an architecture of a supernet of so many epochs."""
    strategy = settings.strategy
    assert isinstance(strategy, SelectionSettings)
    canonical = context.space.canonical
    top = [{"architecture": dict(canonical(sample)), "inherited_accuracy": accuracy} for sample, accuracy in selected.top[:TOLD]]
    told: dict[str, Any] = {"by": strategy.selection, "top": top}
    if not trains(strategy):
        return Result(selected.sample, (INHERITED.name, selected.top[0][1], epochs), {"selected": told})
    trained = _train(context, settings, folder, [dict(canonical(sample)) for sample, _ in selected.top[: strategy.trained_networks]])
    told["trained"] = [{"architecture": trial.sample, "validation_accuracy": trial.score} for trial in trained]
    best = max(trained, key=lambda trial: trial.score or 0.0)
    return Result(selected.top[best.number][0], (ACCURACY.name, best.score or 0.0, len(best.curve)), {"selected": told})


def _train(context: RunContext, settings: SearchSettings, folder: RunFolder, architectures: list[dict[str, Any]]) -> list[Trial]:
    """Return those of the networks that could be trained alone for a short time, at the size that they have in the supernet.

    Raises
    ------
    SearchFailed
        There are none.
    """
    from evaluators.training.loop import train_and_validate
    from evaluators.trial_run import TrialRun

    strategy: Any = settings.strategy
    epochs = strategy.trained_epochs or PRESETS[settings.preset].trial_epochs
    labels = frozenset(architectures[0])
    run = TrialRun(
        build=partial(context.space.network, context.arguments),
        evaluate=train_and_validate,
        labels=labels,
        training={**context.training, **recipe_values(context.space.recipe_for(settings.preset))},
        seed=settings.seed,
    )
    trials = [Trial(place, each, "pruned", architecture_labels=labels) for place, each in enumerate(architectures)]
    which = "nearest networks by the alphas" if strategy.selection == NEAREST else "best networks by inherited weights"
    told = f"the {len(trials)} {which} are trained alone, {epochs} epochs each"
    context.reporter.say(f"{told}: {folder.path / FINALS}")

    def run_again(trial: Trial, epochs: int, *heard: Any) -> float:
        return run({**trial.sample, "epochs": epochs}, *heard)

    trained = train_each(run_again, trials, folder.path, epochs, context.reporter)
    if not trained:
        raise SearchFailed(f"none of the {which} could be trained: {folder.path / FINALS} has the reasons")
    return trained
