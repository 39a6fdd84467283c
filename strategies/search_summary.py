"""How a search by trials ended, in lines, and why there is no result where there is none."""

from __future__ import annotations

from collections.abc import Iterator

from common.errors import SearchFailed, StrategyError
from common.trial import STATES
from strategies.engines.recording import MAX_REPEATS, RecordingEngine
from strategies.pruners import NO_PRUNER, Pruner


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
    if rejections:
        count = "1 configuration was" if len(rejections) == 1 else f"{len(rejections):,} configurations were"
        yield f"{count} too large and not trained; log.txt lists all that were"
        nearest = min(rejections, key=lambda rejection: rejection.excess).reason
        if not results and (engine.found_nothing_allowed or not engine.out_of_time):
            raise StrategyError(f"nothing proposed is small enough; the nearest of {len(rejections):,} has {nearest}: raise the limit")
        if engine.found_nothing_allowed:
            yield f"the search ended early, after many in a row that were too large; the nearest of all has {nearest}"
    if engine.found_nothing_new:
        yield f"the search ended early, after {MAX_REPEATS} proposals in a row of what had been tried"
    elif results and engine.left_over:  # all that mean the same are one, so that there may be fewer than it seems
        yield f"the search ended after {len(results)} of {len(results) + engine.left_over} trials: it found nothing else to try"
    if not results and not engine.out_of_time:
        raise SearchFailed("the search tried nothing: no choice was found that the constraints of the space allow")
    if not results:
        raise SearchFailed("the time budget ended before the first trial: give it more")
    if not ended["complete"]:
        first = next((trial.error for trial in ended["failed"]), None)
        counts = f"{len(ended['failed'])} failed, {len(ended['pruned'])} pruned"
        cause = f"the first failure: {first} (log.txt in the run's folder says more)" if first else f"--pruner {NO_PRUNER} lets them end"
        raise SearchFailed(f"no trial was completed: {counts}; {cause}")
