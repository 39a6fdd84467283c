"""A search whose scores are looked up in a table: what the table has of what is searched."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import EvaluatorError
from common.reporter import Reporter
from records.pareto import DEFAULT_OBJECTIVES
from retiarius.settings import SearchSettings

MOST_COUNTED = 20_000  # samples for which a row is looked up before the search


@dataclass(frozen=True)
class Lookups:
    """A table as a search asks it.

    Attributes
    ----------
    table
        Narrowed to the labels of the search.
    fidelities
        The numbers of epochs after which a trial has a score.
    sign
        -1 where scores are losses, so that higher is better; else 1.
    fields
        Maps a sample to the values by which its row is found.
    """

    table: Any
    fidelities: Sequence[int]
    sign: int = 1
    fields: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict

    def steps(self, sample: Mapping[str, Any]) -> list[tuple[float, float]]:
        """Return (score, seconds) for each of the fidelities, higher is better."""
        return [(self.sign * score, seconds) for score, seconds in self.table.steps(self.fields(sample), self.fidelities)]

    def facts(self, sample: Mapping[str, Any]) -> dict[str, int]:
        """Return what else the table knows."""
        known: dict[str, int] = self.table.facts(self.fields(sample))
        return known


def plan_budget(settings: SearchSettings, table: Any, trials: int, *, epochs: int | None) -> tuple[int, int]:
    """Return epochs and number of trials of a search in ``table``.

    Parameters
    ----------
    trials
        As many as the preset says, or as were asked for.
    epochs
        As were asked for.

    Raises
    ------
    EvaluatorError
        The table has no such epochs, no time for a time budget, or lacks a size that the search needs.
    """
    costs = (settings.objectives or DEFAULT_OBJECTIVES)[1:] if settings.strategy.several_objectives else ()
    limits = {"parameters": settings.max_parameters, "flops": settings.max_multiply_adds}
    table.check_sizes([*costs, *(name for name, limit in limits.items() if limit is not None)])
    epochs = table.check_epochs(epochs)
    if settings.time_budget is not None and not table.has_seconds:
        raise EvaluatorError("`time_budget` needs training times, and the table has no column seconds: set `trials` instead")
    if settings.trials is None and settings.time_budget is not None:
        trials = table.trials_within(settings.time_budget, epochs)
    return epochs, trials


ERRORS = ("mse", "rmse", "mae", "loss", "error")  # in the name of a score that is usually to be small


def tell_table(settings: SearchSettings, table: Any, epochs: int, reporter: Reporter) -> None:
    """Say which table it is."""
    size = f"{len(table):,} rows of {settings.table}"
    size += f", {epochs} epochs per trial" if table.has_epochs else ""
    costs = "times are the table's training times" if table.has_seconds else "no training times"
    reporter.say(f"{table.name}: {size}; {costs}")
    # Of several seeds the name is a list of columns.
    if settings.optimize_mode == "maximize" and any(word in str(table.score_name).lower() for word in ERRORS):
        reporter.warn(f"{table.score_name} is maximised; to minimise it, use `optimize_mode='minimize'`")


def fit_to_table(settings: SearchSettings, table: Any, mutables: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return what is searched as the table has it (``as_looked_up``), by label, and the table of samples of these labels.

    A label of which there is one value needs no column. What is fixed and is no label of these takes the rows with that value.

    Raises
    ------
    EvaluatorError, SpaceError
        There is no column for a label, two rows are of one sample, a range has something else than numbers in its column, or takes none.
    """
    from spaces.choices import is_fixed
    from spaces.ordered_choices import as_looked_up

    labels = [label for label, mutable in mutables.items() if label in table.labels or not is_fixed(mutable)]
    rows = {label: value for label, value in settings.fixed.items() if label in table.labels and label not in mutables}
    names_score = settings.space is None or settings.optimize_mode == "minimize"
    narrowed = table.narrowed(labels, rows, names_score=names_score)
    # That of our own spaces was not told at first: ``retiarius.told_numbers`` does it, and leaves it out where such a run is resumed.
    orders = settings.space is None or settings.search_space is not None or not settings.space.is_registered
    return as_looked_up(mutables, narrowed.numbers_of, orders=orders), narrowed


def warn_of_missing_rows(lookups: Lookups, mutables: Mapping[str, Any], canonical: Callable[[Any], Any], reporter: Reporter) -> None:
    """Say how many samples have a row, where these can be counted and not all have one.

    Raises
    ------
    EvaluatorError
        None has.
    """
    values = [list(mutable.grid()) if hasattr(mutable, "grid") else [] for mutable in mutables.values()]
    if not 0 < math.prod(map(len, values)) <= MOST_COUNTED:
        return
    keys: dict[str, bool] = {}
    for drawn in itertools.product(*values):
        fields = lookups.fields(canonical(dict(zip(mutables, drawn, strict=True))))
        keys.setdefault(str(sorted(fields.items())), lookups.table.has(fields))
    found = sum(keys.values())
    if found == 0:
        first = next(iter(mutables))
        raise EvaluatorError(
            f"none of the {len(keys):,} samples of the space has a row in the table: compare the values of {first!r} with its column"
        )
    if found < len(keys):
        reporter.warn(f"only {found:,} of the {len(keys):,} samples of the space have a row in the table; trials of the others fail")
