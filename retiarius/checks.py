"""What of a search can be refused before anything heavy is imported: unknown names, flags without effect, wrong values."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from common.arguments import mention
from common.errors import EvaluatorError, StrategyError, unknown_name
from common.text import show
from evaluators import EVALUATORS, find_evaluator, open_table
from evaluators.names import DATASETS, check_dataset_name, check_device_name, check_precision_name
from evaluators.training.recipes import HYPERPARAMETERS, check_hyperparameter, check_supernet_values, recipe_values
from records.best import check_architecture
from retiarius.architectures import read_architecture
from retiarius.inherited_trials import supernet_run
from retiarius.ray_cluster import check_cluster, cluster_of
from retiarius.recipe_values import recipe_values_of
from retiarius.settings import TRAIN, RunSettings, SearchSettings
from retiarius.strategy_choice import require_fixed, setting_names
from retiarius.warm_start import WORDS
from spaces import SPACES
from spaces.named import NAMES
from strategies import STRATEGIES, Darts, Grid, check_pair
from strategies.one_shot.search_epoch import AUTO
from strategies.selections import SelectionSettings, searches, selects

SIZE_LIMITS = {"--max-params", "--max-flops"}


def check_before_imports(settings: SearchSettings) -> Any:
    """Return the table of a search in one, None of another; refuse what cannot work.

    Raises
    ------
    InputError
        One line that says what is wrong.
    """
    check_pair(settings.strategy, settings.space.name, {**{name: entry.offers for name, entry in SPACES.items()}, **_own_offers(settings)})
    table = None
    if isinstance(settings.evaluator, str) and settings.evaluator in EVALUATORS:
        table = open_table(settings.evaluator, settings.table, settings.table_columns, settings.dataset)
    elif settings.table is not None or settings.table_columns is not None:
        raise EvaluatorError("`table` and `table_columns` need `evaluator='table'`")
    check_flags(settings, looks_up=table is not None)
    _check_options(settings)
    _check_weights(settings)
    if settings.screen is not None:
        _check_screen(settings, table)
    if table is None:
        check_names(settings)
    check_fixed_values(settings, "search", looked_up=() if table is None else table.labels)
    check_start_names(settings)
    if isinstance(settings.strategy, Darts) and settings.strategy.order == 2 and settings.lightning is None:
        _check_order(settings)
    return table


def _own_offers(settings: SearchSettings) -> dict[str, frozenset[str]]:
    """Return what a space that is not registered offers."""
    return {} if settings.space.is_registered else {settings.space.name: settings.space.offers}


def check_names(settings: RunSettings) -> None:
    """Refuse an unknown data set, device, precision or recipe."""
    if isinstance(settings.data, str | Path):
        check_dataset_name(str(settings.data))
    check_device_name(settings.device)
    check_precision_name(settings.precision)
    if isinstance(settings.recipe, str):
        recipe_values(settings.recipe)


def check_fixed_values(settings: Any, phase: str, looked_up: Collection[str] = ()) -> None:
    """Refuse an illegal value of a hyperparameter, a size or, of a registered space, a choice, and labels that no part knows.

    ``looked_up`` are the labels of a table, whose rows say what may be.
    """
    space, fixed = settings.space, settings.fixed
    for label, value in fixed.items():
        if label in HYPERPARAMETERS and label not in looked_up:
            check_hyperparameter(label, value)
    arguments = space.sized_arguments(settings.preset, phase, fixed)
    if not space.answers_at_once:
        return
    vocabulary = space.choices(arguments)
    if settings.evaluator == TRAIN and phase == "search":
        known = [*vocabulary, *space.settable(phase), *HYPERPARAMETERS, *setting_names(settings.strategy)]
        require_fixed(fixed, known, settings.strategy)
    pinned = {label: value for label, value in fixed.items() if label in vocabulary}
    check_architecture(pinned, {label: vocabulary[label] for label in pinned})
    if settings.strategy.one_shot:
        check_for_supernet(settings.strategy.name, pinned, fixed, settings.recipe)


def check_for_supernet(strategy: str, pinned: Mapping[str, Any], fixed: Mapping[str, Any], recipe: Any) -> None:
    """Refuse choices that are fixed, and hyperparameters that a supernet has no use for, in ``fixed`` or in values of a ``recipe``."""
    if pinned:
        raise StrategyError(f"{strategy} trains all choices at once, so none can be fixed: take {', '.join(pinned)} out of `fixed`")
    check_supernet_values(fixed)
    values = recipe if isinstance(recipe, Mapping) else {}
    if not set(values) >= set(HYPERPARAMETERS):  # a whole one is of another training, or of a record
        check_supernet_values(values, "recipe")


def check_start_names(settings: SearchSettings) -> None:
    """Refuse what ``start_with`` names and is not there."""
    for word in settings.start_with:
        path = re.sub(r":\d+$", "", word)
        if word not in (*NAMES, *WORDS) and not Path(word).exists() and not Path(path).exists():
            read_architecture(word, settings.fixed, "`start_with`: ")


def _check_order(settings: SearchSettings) -> None:
    """Refuse an architecture step of second order where the weights are moved by another optimizer than SGD."""
    optimizer = settings.fixed.get("optimizer", recipe_values_of(settings.recipe, "darts_search")["optimizer"])
    if optimizer != "sgd":
        raise StrategyError(f"`order=2` works with SGD only, not with {optimizer}: use `fixed['optimizer']='sgd'`, or leave out `order`")


def check_flags(settings: SearchSettings, *, looks_up: bool) -> None:
    """Raise ``StrategyError``, one line, where the strategy can do nothing with what else was asked for.

    ``looks_up`` says whether scores are looked up in a table.
    """
    strategy, name = settings.strategy, settings.strategy.name
    training_flags = settings.training_flags
    if settings.screen is not None:
        training_flags.pop("--data-dir", None)  # where the images lie that untrained networks are scored by
    if settings.search_space is not None and strategy.one_shot:
        raise StrategyError("an NNI search space needs a multi-trial strategy, such as tpe or evolution")
    if settings.optimize_mode == "minimize" and not looks_up and (strategy.one_shot or ":" not in settings.evaluator_name):
        others = "a table, a trial command, or an evaluator of your own"
        raise StrategyError(f"`optimize_mode='minimize'` needs {others}: the accuracy of trainings is maximised")
    cluster = cluster_of(settings.workers)
    if looks_up and cluster is not None:
        raise StrategyError("`workers` has no use with a table, which needs no training: leave it out")
    if looks_up and training_flags:
        raise StrategyError(f"a table needs no training: leave out {mention(training_flags)}")
    if settings.evaluator != TRAIN and strategy.one_shot and settings.lightning is None:
        given = f"evaluator={settings.evaluator_name}" if settings.supernet_weights is None else "supernet_weights"
        raise StrategyError(f"{name} trains a supernet and takes no evaluator: leave out `{given}`")
    if strategy.one_shot and settings.lightning is not None and settings.lightning.is_mutable():
        left_open = ", ".join(settings.lightning.simplify())
        raise StrategyError(f"{name} trains one supernet with one evaluator: give its {left_open} a value, or use a multi-trial strategy")
    if settings.lightning is not None and getattr(strategy, "alpha_lr", None) == AUTO:
        raise StrategyError(f"alpha_lr: '{AUTO}' counts the steps of supernets that this library trains: give a number")
    if settings.lightning is not None and selects(strategy):
        raise StrategyError(f"`selection='{strategy.selection}'` scores supernets that this library trains: leave out `evaluator`")
    if settings.objectives and not strategy.several_objectives:
        fitting = ", ".join(other for other, entry in STRATEGIES.items() if entry.several_objectives)
        raise StrategyError(f"{name} has one objective, the accuracy: leave out `objectives`, or use {fitting}")
    if settings.measures_latency and cluster is not None:
        raise StrategyError("latency cannot be measured while trials run in parallel: use `workers=1`")
    if cluster is not None and not strategy.one_shot:
        check_cluster(cluster, settings.storage)
    if settings.measures_latency and settings.storage is not None:
        raise StrategyError("latencies of different machines cannot be compared: leave out `storage`")
    if strategy.one_shot:
        _check_runs_no_trials(settings)


def _check_runs_no_trials(settings: SearchSettings) -> None:
    """Refuse what steers trials beside a one-shot strategy; limits of size hold where it searches among whole networks."""
    strategy, name = settings.strategy, settings.strategy.name
    idle = [flag for flag in settings.trial_flags if not (flag in SIZE_LIMITS and searches(strategy))]
    idle += [] if cluster_of(settings.workers) is None or "--workers" in idle else ["--workers"]
    idle += ["--trials"] if (settings.trials or 1) > 1 else []
    if idle and set(idle) <= SIZE_LIMITS and isinstance(strategy, SelectionSettings):
        raise StrategyError(f"{name}: {mention(idle)} needs `selection='inherited'` or 'trained', which score whole networks")
    if idle:
        raise StrategyError(f"{name} trains one supernet and runs no trials: leave out {mention(idle)}")


def _check_options(settings: SearchSettings) -> None:
    """Refuse an illegal value of an argument of the evaluator's own, and what has no use where nothing is trained."""
    name, entry = find_evaluator(settings.evaluator)
    for label, legal in entry.options.items():
        value = settings.fixed.get(label, legal[0])
        if isinstance(legal, range) and not (type(value) is int and value in legal):
            raise EvaluatorError(f"`fixed['{label}']`: {show(value)} is not a whole number of at least {legal[0]}")
        if not isinstance(legal, range) and value not in legal:
            raise EvaluatorError(f"`fixed['{label}']`: {unknown_name(label, value, legal)}")
    idle = {"epochs": settings.epochs, "recipe": settings.recipe, "pruner": settings.pruner}
    if entry.untrained and (given := [flag for flag, value in idle.items() if value is not None]):
        raise EvaluatorError(f"{name} trains nothing: leave out {mention(given)}")


def _check_weights(settings: SearchSettings) -> None:
    """Refuse a supernet's weights without the evaluator that uses them, it without them, and several processes for trials of seconds."""
    name, entry = find_evaluator(settings.evaluator)
    if entry.inherits and settings.supernet_weights is None:
        raise EvaluatorError(f"`evaluator='{name}'` needs the run that trained the supernet: set `supernet_weights`")
    if settings.supernet_weights is not None and not entry.inherits:
        raise EvaluatorError("`supernet_weights` needs `evaluator='supernet'`")
    if settings.supernet_weights is not None:
        supernet_run(settings.supernet_weights)
    if entry.inherits and cluster_of(settings.workers) is not None:
        raise EvaluatorError("`workers` has no use with inherited weights, by which a trial takes seconds: leave it out")


def _check_screen(settings: SearchSettings, table: Any) -> None:
    """Refuse to score untrained networks where that changes nothing, or where a table's images are not known."""
    if isinstance(settings.strategy, Grid):
        raise StrategyError("grid tries all in an order of its own: leave out `screen`, or use another strategy")
    if settings.strategy.fixes_architecture:
        raise StrategyError(f"{settings.strategy.name} searches one network's hyperparameters: leave out `screen`")
    if table is not None and isinstance(settings.data, str) and table.name not in DATASETS:
        raise EvaluatorError(f"`screen` looks at images, and {table.name} has none here: leave it out, or use `data='cifar10'`")


def check_takes_commands(strategy: Any) -> None:
    """Raise ``StrategyError`` unless ``strategy``, or the one of that name, can search by running a user program for each trial."""
    check_takes_parameters(strategy, "a trial command")


def check_takes_parameters(strategy: Any, what: str) -> None:
    """Raise ``StrategyError`` unless ``strategy``, or the one of that name, can search parameters without a network, by ``what``."""
    fitting = [name for name, entry in STRATEGIES.items() if not (entry.one_shot or entry.several_objectives)]
    kind = STRATEGIES.get(strategy) if isinstance(strategy, str) else strategy
    if kind is not None and (kind.one_shot or kind.several_objectives):
        raise StrategyError(f"{kind.name} needs a model space; with {what}, use one of {', '.join(fitting)}")
