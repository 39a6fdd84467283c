"""How a search by trials ended, in lines, and why there is no result where there is none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from common.errors import SearchFailed, StrategyError
from common.trial import STATES, Trial
from strategies.engines.recording import MAX_REPEATS, RecordingEngine, Rejection
from strategies.pruners import Pruner
from strategies.rungs import SHARES_DONE, Length


def summarize_search(engine: RecordingEngine, pruner: Pruner | None) -> Iterator[str]:
    """Yield lines about the trials that ended early and what was never tried, and why.

    Parameters
    ----------
    engine
        After the search.
    pruner
        What ended trials early; ``None``: nothing did.

    Raises
    ------
    StrategyError
        Every configuration that was proposed was rejected, and not for want of time.
    SearchFailed
        There was no time for a trial, no choice that the space allows, or none was completed.
    """
    results, rejections = engine.results, engine.rejections
    ended = {state: [trial for trial in results if trial.state == state] for state in STATES}
    if results and pruner is not None:
        yield f"{len(ended['pruned'])} of {len(results)} trials were pruned by {pruner.name}"
    if dropped := [trial for trial in ended["pruned"] if trial.planned_epochs is not None]:
        yield f"{_trials(len(results))} began; {_places(dropped)}"
    if rejections:
        count = "1 network was" if len(rejections) == 1 else f"{len(rejections):,} networks were"
        yield f"{count} skipped as {_faults(rejections)}; skipped.jsonl lists them"
        fault = _faults(rejections)
        if not results and (engine.found_nothing_allowed or not engine.out_of_time or "slow" in fault):
            raise nothing_allowed(rejections)
        if engine.found_nothing_allowed:
            yield f"the search ended early, after many networks in a row that were {fault}; {_nearest(rejections)}"
    if engine.found_nothing_new:
        yield f"the search ended early: the last {MAX_REPEATS} proposals had all been tried before"
    elif results and engine.budget_available():  # all that mean the same are one, so that there may be fewer than it seems
        count = f"{len(results)} of {_trials(len(results) + engine.left_over)}" if engine.left_over else _trials(len(results))
        yield f"the search ended after {count}: nothing else was left to try"
    if not results and not engine.out_of_time:
        raise SearchFailed("no trial was run: no sample meets the constraints of the space")
    if not results:
        raise SearchFailed("the time budget ended before the first trial: raise `time_budget`")
    if all(trial.score is None for trial in results):
        first = next((trial.error for trial in ended["failed"]), None)
        counts = f"{len(ended['failed'])} failed, {len(ended['pruned'])} pruned"
        cause = f"the first failure: {first} (details: log.txt in the run's folder)" if first else "leave out `pruner` to let trials end"
        raise SearchFailed(f"no trial was completed: {counts}; {cause}")


def nothing_allowed(rejections: Collection[Rejection]) -> StrategyError:
    """Return the error of a search that rejected all networks that it found; there is one or more."""
    fault = _faults(rejections)
    way = f"raise {'the limit' if 'large' in fault else '`time_budget`'}"
    return StrategyError(f"all {len(rejections):,} proposed networks are {fault}; {_nearest(rejections)}: {way}")


def _nearest(rejections: Iterable[Rejection]) -> str:
    return f"the closest to the limit has {min(rejections, key=lambda rejection: rejection.excess).reason}"


def _trials(count: int) -> str:
    return f"{count} {'trial' if count == 1 else 'trials'}"


def _faults(rejections: Iterable[Rejection]) -> str:
    return " or ".join(sorted({rejection.fault for rejection in rejections}))


def _places(dropped: Iterable[Trial]) -> str:
    """Return in words how many trials were dropped at which part of their training."""
    rungs = [Length(trial.planned_epochs or 0).rungs.get(len(trial.curve), 0) for trial in dropped]
    counts = {SHARES_DONE[rung]: rungs.count(rung) for rung in sorted(set(rungs))}
    return ", ".join(f"{count} {'was' if count == 1 else 'were'} left after {share} of the training" for share, count in counts.items())
