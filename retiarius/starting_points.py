"""With what a search by trials begins: the default configuration, then the networks that a person names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from common.errors import RecordError, StrategyError
from common.reporter import Reporter
from records.best import BestArchitecture, check_architecture
from retiarius.architectures import read_architecture
from retiarius.search_plan import SearchPlan
from retiarius.settings import SearchSettings
from retiarius.warm_start import DEFAULT, PORTFOLIO, WORDS, load_starts, stored_starts
from spaces.named import NAMES

STARTS = "starts.json"  # in the folder of a run that began with what start_with names


def starting_points(
    settings: SearchSettings, plan: SearchPlan, choices: Mapping[str, Any], reporter: Reporter
) -> dict[str, dict[str, Any]]:
    """Return samples by name, no two the same: the default configuration first, then what ``settings.start_with`` names.

    A search with a time budget begins with the space's portfolio where nothing is named.

    Parameters
    ----------
    choices
        All those of the space, of which ``plan`` may have left out some.

    Raises
    ------
    RecordError
        A network that is not there, or that this search does not hold.
    StrategyError
        There are more of them than trials.
    """
    if settings.resume and settings.out is not None:
        stored = stored_starts(settings.out / STARTS, settings.start_with)
        if stored is not None:
            return stored
    searched = plan.searched
    points = _default_point(settings, plan, reporter)
    words = [word for word in settings.start_with if word not in WORDS]
    sample_of = partial(_sample_of, plan)
    load = partial(read_architecture, fixed=settings.fixed, argument="`start_with`: ")
    fit = partial(_fit, settings, plan, choices)
    for name, best in load_starts(words, NAMES, load, fit, lambda best: searched.meaning(sample_of(best))):
        if outside := searched.outside(best.hyperparameters):
            reporter.warn(f"`start_with`: {name}: not searched here, so the recipe's value is used: {', '.join(outside)}")
        points[name] = sample_of(best)
    if PORTFOLIO in settings.start_with or (plan.share is not None and not settings.start_with):
        points |= _portfolio(settings, plan, choices, len(points))
    points = searched.without_repeats(points)
    is_an_estimate = plan.table is not None and settings.trials is None
    if len(points) > plan.trials and not is_an_estimate:
        raise StrategyError(f"`trials={plan.trials}` is too few: the search begins with {len(points)}, {', '.join(points)}")
    return points


def _sample_of(plan: SearchPlan, best: BestArchitecture) -> dict[str, Any]:
    sample: dict[str, Any] = plan.searched.sample(best.architecture, {**plan.recipe, "epochs": plan.epochs}, best.hyperparameters)
    return sample


def _default_point(settings: SearchSettings, plan: SearchPlan, reporter: Reporter) -> dict[str, dict[str, Any]]:
    """Return the default configuration, so that no search ends worse than what its person began with; nothing where it is not searched."""
    default = settings.space.default_architecture()
    if default is None or plan.chosen is not None:
        return {}
    if outside := plan.searched.outside(default):
        reporter.warn(f"the default configuration is not tried first, as it is outside of what is searched: {', '.join(outside)}")
        return {}
    return {DEFAULT: plan.searched.sample(default, {**plan.recipe, "epochs": plan.epochs}, {})}


def _portfolio(settings: SearchSettings, plan: SearchPlan, choices: Mapping[str, Any], already: int) -> dict[str, dict[str, Any]]:
    """Return the space's portfolio, as far as this search holds it, by name: half of the trials at most, those before it included."""
    points: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(settings.space.portfolio(), start=1):
        try:
            fitted = _fitted(plan, choices, entry["architecture"])
        except RecordError:  # of a part of the space that is not searched
            continue
        told = {**plan.recipe, "epochs": plan.epochs}
        points[f"configuration {number} of the portfolio"] = plan.searched.sample(fitted, told, entry["hyperparameters"])
    return dict(list(points.items())[: max(0, plan.sized_by // 2 - already)])


def _fit(settings: SearchSettings, plan: SearchPlan, choices: Mapping[str, Any], name: str, best: BestArchitecture) -> BestArchitecture:
    """Return ``best`` as this search has it; refuse one that it does not hold."""
    if best.space_name != settings.space.name:
        raise RecordError(f"`start_with`: {name} is a network of {best.space_name}, and the search is in {settings.space.name}")
    try:
        fitted = _fitted(plan, choices, best.architecture)
    except RecordError as error:
        cut = f"outside of what is searched with `preset='{settings.preset}'`, `fixed` and {settings.strategy.name}"
        raise RecordError(f"`start_with`: {name} is {cut}: {error}") from None
    return replace(best, architecture=fitted)


def _fitted(plan: SearchPlan, choices: Mapping[str, Any], architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``architecture`` as this search has it; raise ``RecordError`` where it does not hold it."""
    from spaces.choices import legal_choices

    check_architecture(architecture, choices)
    fitted = plan.searched.fit(architecture)
    check_architecture(fitted, legal_choices(plan.searched.architecture))
    return fitted
