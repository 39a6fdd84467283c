"""What a search is to do, checked as far as that goes without the images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from common.errors import SpaceError
from common.nni_evaluators import reports_errors
from common.reporter import Reporter
from common.text import show
from evaluators import find_evaluator
from evaluators.adapter import own_parameters
from records.best import check_architecture, is_scalar
from records.metric import INHERITED, SCORE
from records.run_config import SECONDS_PER_TRIAL
from retiarius.checks import check_before_imports, check_for_supernet
from retiarius.context import RunContext, load_libraries
from retiarius.extension import sizing_trials, trials_of
from retiarius.foreign_checks import check_evaluator_fits, check_storable
from retiarius.lab_names import HABITS, LAB_OPTIONS
from retiarius.lookups import Lookups, fit_to_table, plan_budget, tell_table, warn_of_missing_rows
from retiarius.operation_costs import KEY as COSTS
from retiarius.operation_costs import require_costs, stand_in_costs, with_costs
from retiarius.pacing import ABOUT_SO_MANY, share_of, tell_if_not
from retiarius.presets import PRESETS
from retiarius.recipe_values import recipe_values_of
from retiarius.screening import check_screening
from retiarius.search_plan import SearchPlan
from retiarius.settings import TRAIN, SearchSettings
from retiarius.stages import check_stages, sizes_of
from retiarius.starting_points import starting_points
from retiarius.strategy_choice import require_fixed, setting_names
from retiarius.told_numbers import KEY, tell_numbers
from strategies import SearchContext, Strategy
from strategies.nni_strategy import NniTrials

if TYPE_CHECKING:
    from retiarius.nni_choice import ChosenSpace
    from spaces.search_subspace import SearchedPart


def make_plan(settings: SearchSettings, reporter: Reporter) -> SearchPlan:
    """Make settings, preset, NNI's file and table into a plan.

    Raises
    ------
    InputError
        What was asked for does not fit together, one line.
    """
    table = check_before_imports(settings)
    load_libraries(reporter)
    from evaluators.devices import choose_device
    from spaces.choices import is_fixed, legal_choices
    from spaces.search_subspace import searched_part

    space, strategy, preset = settings.space, settings.strategy, PRESETS[settings.preset]
    recipe = _recipe_of(settings)
    require_costs(settings)
    arguments = _arguments_of(settings, table, recipe)
    model = space.make(space.with_required_classes(arguments))
    mutables = model.simplify()
    choices = legal_choices(mutables)
    check_storable(space.name, choices)
    check_evaluator_fits(settings, choices, recipe)
    pins = space.pinned_choices(arguments, settings.fixed)
    of_constructor = space.settable("search")
    arguments_of_evaluator = _arguments_of_evaluator(settings, taken=[*recipe, *choices, *of_constructor])
    own = list(dict.fromkeys([*_own_hyperparameters(settings, recipe), *arguments_of_evaluator]))
    options = find_evaluator(settings.evaluator)[1].options
    columns = [] if table is None else table.labels
    _check_fixed(settings, pins, choices, others=[*of_constructor, *recipe, *own, *options, *columns, *setting_names(strategy)])
    recipe |= {label: settings.fixed[label] for label in (*own, *options) if label in settings.fixed}
    chosen = _read_search_space(settings, choices, [*own, *recipe, *columns])
    if strategy.one_shot and not space.is_registered:
        _require_supernet(strategy, space, model)
    epochs = settings.epochs if chosen is None else chosen.epochs
    if strategy.one_shot and settings.lightning is not None:
        epochs = settings.lightning.trainer.max_epochs
    trials = 1 if strategy.one_shot else trials_of(settings)
    if table is None:
        choose_device(settings.device)
    else:
        epochs, trials = plan_budget(settings, table, trials, epochs=epochs)
    epochs = epochs or (max(preset.search_epochs, strategy.least_epochs) if strategy.one_shot else preset.trial_epochs)
    cut: dict[str, Any] = {"preset": settings.preset, "pins": pins, "chosen": chosen}
    cut |= {"keeps_architecture": strategy.fixes_architecture, "known": None if table is None or chosen is not None else columns}
    cut |= {"hyperparameters": _offered(settings)}
    searched = searched_part(space, mutables, **cut)
    if table is not None:
        searched, table = _look_up(settings, table, searched, epochs, reporter)
    else:
        held = {label: mutables[label] for label in pins if label in mutables and not is_fixed(mutables[label])}
        for label in searched.without_effect(held):
            reporter.warn(f"`fixed['{label}']` has no effect on the networks of this search")
    searched, numbers = tell_numbers(settings, searched, mutables, looks_up=table is not None)
    _check_hyperparameters(settings, searched, recipe)
    if reports_errors(settings.lightning) and settings.optimize_mode == "maximize" and not strategy.one_shot:
        reporter.warn("NNI's Regression reports a squared error, which is maximised; to minimise it, use `optimize_mode='minimize'`")
    if strategy.one_shot:
        stages = strategy.stages(epochs)
        check_stages(settings, stages)
        arguments |= sizes_of(space, stages[-1])
        return SearchPlan(arguments, recipe, searched, chosen, epochs, 1, table, 1, numbers=numbers)
    share = share_of(settings, searched.hyperparameters)
    tell_if_not(settings, share, reporter)
    if share is not None:
        trials = settings.trials or ABOUT_SO_MANY
    sized_by = sizing_trials(settings, trials, reporter)
    plan = SearchPlan(arguments, recipe, searched, chosen, epochs, trials, table, sized_by, share, numbers=numbers)
    plan = replace(plan, starts=starting_points(settings, plan, choices, reporter))
    if settings.screen is not None:
        check_screening(settings, plan)
    return plan


def _require_supernet(strategy: Strategy, space: Any, model: Any) -> None:
    """Refuse a space of which the strategy can make no supernet; ``model`` is spent by that."""
    import torch

    told = with_costs(space.one_shot(model), stand_in_costs(strategy, model))
    with torch.random.fork_rng(devices=[]):
        strategy.build(SearchContext(one_shot=told)).mutate_model(model)


def _recipe_of(settings: SearchSettings) -> dict[str, Any]:
    """Return values of all hyperparameters of a training, those that are fixed among them."""
    from evaluators.training.recipes import override, supernet_values

    values = recipe_values_of(settings.recipe, "darts_search" if settings.strategy.one_shot else settings.space.recipe_for(settings.preset))
    return override(supernet_values(values) if settings.strategy.one_shot else values, settings.fixed)


def _arguments_of(settings: SearchSettings, table: Any, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the space's constructor; refuse sizes and hyperparameters for which a table that answers has no column."""
    space, fixed = settings.space, settings.fixed
    sized = dict(space.sized_arguments(settings.preset, "search", fixed))
    if table is None:
        return sized
    sizes = [label for label in fixed if label in space.settable("search")]
    unknown = [label for label in sizes if label not in table.labels]
    if unknown and space.is_registered:
        raise SpaceError(f"the networks of a table have a given size: take {', '.join(unknown)} out of `fixed`")
    if idle := [label for label in fixed if label in recipe and label not in table.labels]:
        raise SpaceError(f"a table needs no training: take {', '.join(idle)} out of `fixed`, or use a table with such columns")
    # A column takes the rows of that value, and the network is of that value, too. All else is as the table's networks are.
    return {label: sized[label] for label in sizes if label in sized and sized[label] == fixed[label]}


def _own_hyperparameters(settings: SearchSettings, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the space brings for a user's evaluator, as mutables by label; refuse a fixed value that those cannot have."""
    from spaces.choices import takes

    if settings.evaluator == TRAIN or settings.table is not None:
        return {}
    own = {label: mutable for label, mutable in _offered(settings).items() if label not in (*recipe, "epochs")}
    for label, mutable in own.items():
        if label in settings.fixed and not takes(mutable, settings.fixed[label]):
            raise SpaceError(f"`fixed['{label}']`: {settings.fixed[label]!r} is not a value that {settings.space.name} allows: {mutable}")
    return own


def _arguments_of_evaluator(settings: SearchSettings, taken: Collection[str]) -> list[str]:
    """Return the names of the arguments of a person's own evaluator that can be searched or fixed, ``taken`` ones left out.

    Raises
    ------
    SpaceError
        One is fixed to a value that no file can hold.
    """
    _, entry = find_evaluator(settings.evaluator)
    if settings.evaluator == TRAIN or settings.table is not None or settings.nni_evaluation is not None or entry.untrained:
        return []
    names = [name for name in own_parameters(entry.load()) if name not in taken]
    for name in names:
        if name in settings.fixed:
            _require_scalar(f"`fixed['{name}']`", settings.fixed[name])
    return names


def _offered(settings: SearchSettings) -> Mapping[str, Any]:
    """Return the hyperparameters that can be searched: what NNI's evaluator leaves open, or what the space brings for trainings."""
    evaluation = settings.nni_evaluation
    if find_evaluator(settings.evaluator)[1].untrained:
        return {}
    return settings.space.hyperparameters() if evaluation is None else evaluation.hyperparameters


def _check_fixed(settings: SearchSettings, pins: Mapping[str, Any], choices: Mapping[str, Any], others: Sequence[str]) -> None:
    """Refuse fixed labels that nobody knows, illegal choices, and what a supernet has no use for.

    ``pins`` are those fixed values that no constructor takes; ``others`` are the labels beside ``choices``, whose values are checked
    elsewhere.
    """
    strategy, fixed = settings.strategy, settings.fixed
    require_fixed(fixed, [*choices, *others] if settings.space.is_registered else [*others, *choices], strategy)
    pinned = {label: value for label, value in pins.items() if label in choices}
    check_architecture(pinned, {label: choices[label] for label in pinned})
    if strategy.one_shot:
        check_for_supernet(strategy.name, pinned, fixed, settings.recipe)


def _read_search_space(settings: SearchSettings, choices: Mapping[str, Any], known: Sequence[str]) -> ChosenSpace | None:
    """Return what NNI's file says is searched; None without one. ``known`` are labels beside ``choices``."""
    if settings.search_space is None:
        return None
    from retiarius.nni_choice import choose_from

    names: dict[str, Any] = {"rename": {**LAB_OPTIONS, **HABITS}, "choices": choices, "hyperparameters": known}
    check: Callable[[str, Any], Any] = _any_value  # what may be, the rows of a table say
    if settings.table is None:
        check = partial(_check_value, {} if settings.evaluator == TRAIN else _offered(settings))
    return choose_from(settings.search_space, **names, check=check, epochs=settings.epochs)


def _check_value(offered: Mapping[str, Any], label: str, value: Any) -> None:
    """Raise ``InputError`` for an illegal value: of a recipe, of what a space has ``offered``, or one that no file can hold."""
    from evaluators.training.recipes import HYPERPARAMETERS, check_hyperparameter
    from spaces.choices import takes

    if label in HYPERPARAMETERS:
        check_hyperparameter(label, value)
    elif label in offered and not takes(offered[label], value):
        raise SpaceError(f"{label}: {value!r} is not a value that the space allows: {offered[label]}")
    else:
        _require_scalar(label, value)


def _require_scalar(what: str, value: Any) -> None:
    if not is_scalar(value):
        raise SpaceError(f"{what}: {show(value)} is no text, finite number, true, false or None, which a record can hold")


def _any_value(label: str, value: Any) -> Any:
    return value


def _check_hyperparameters(settings: SearchSettings, searched: SearchedPart, recipe: Mapping[str, Any]) -> None:
    """Refuse a searched hyperparameter that the evaluator does not take."""
    if settings.evaluator == TRAIN:
        unknown = [label for label in searched.hyperparameters if label not in (*recipe, "epochs")]
        if unknown:
            raise SpaceError(f"{settings.space.name}: trainings have no hyperparameter {unknown[0]!r}; known: {', '.join(recipe)}")
    elif settings.table is None:
        from evaluators.adapter import check_takes

        function = find_evaluator(settings.evaluator)[1].load()
        check_takes(function, list(searched.hyperparameters), given=[*recipe, *settings.fixed])


def _look_up(settings: SearchSettings, table: Any, searched: SearchedPart, epochs: int, reporter: Reporter) -> tuple[SearchedPart, Any]:
    """Return what is searched as ``table`` has it, and the table of samples of that."""
    architecture, hyperparameters = searched.architecture, searched.hyperparameters
    mutables, table = fit_to_table(settings, table, {**architecture, **hyperparameters})
    fitted = searched.replaced({label: mutables[label] for label in architecture}, {label: mutables[label] for label in hyperparameters})
    tell_table(settings, table, epochs, reporter)
    warn_of_missing_rows(Lookups(table, ()), mutables, fitted.canonical, reporter)
    return fitted, table


def search_identity(context: RunContext, settings: SearchSettings, plan: SearchPlan) -> dict[str, Any]:
    """Return what a resumed search must have in common with the first, beside what every run must."""
    same: dict[str, Any] = {"strategy": settings.strategy.name, "evaluator": settings.evaluator_name, "trials": plan.sized_by}
    same |= settings.trial_flags | settings.one_shot_flags
    if plan.share is not None:
        same[SECONDS_PER_TRIAL] = plan.share
    if isinstance(settings.strategy, NniTrials):
        same |= settings.strategy.settings()
    if find_evaluator(settings.evaluator)[1].untrained:
        same["metric"] = INHERITED.name if plan.supernet is not None else SCORE.name
    if plan.supernet is not None:
        same["supernet"] = plan.supernet.told
    if plan.costs:
        same[COSTS] = dict(plan.costs)
    if settings.nni_evaluation is not None:
        same["evaluator_arguments"] = settings.nni_evaluation.describe()
    if plan.numbers:
        same[KEY] = list(plan.numbers)
    if plan.chosen is not None:
        same |= {"search_space": settings.search_space, "start_step": settings.start_step}
    elif settings.start_step is not None:
        same["start_step"] = settings.start_step
    if settings.start_with:  # the networks, not where they lay
        told = json.dumps(list(plan.starts.values()), sort_keys=True)
        same["--start-with"] = f"{len(plan.starts)} networks, {hashlib.sha256(told.encode()).hexdigest()[:8]}"
    if settings.strategy.several_objectives:
        same["objectives"] = context.objectives
    if settings.optimize_mode == "minimize":
        same["optimize_mode"] = settings.optimize_mode
    if settings.measures_latency:
        same["device"] = str(context.device)
    return same
