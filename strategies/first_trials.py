"""The trials with which a search begins, before its strategy proposes any."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from nni.mutable import SampleValidationError
from nni.nas.space import ExecutableModelSpace

from common.trial import sample_key
from strategies.engines.recording import RecordingEngine


def submit_first_trials(samples: Mapping[str, Mapping[str, Any]], space: ExecutableModelSpace, engine: RecordingEngine) -> Iterator[str]:
    """Submit the samples, one after another, and yield a line for each that is left out, which says why.

    Parameters
    ----------
    samples
        By the name that the lines call them.
    space
        What is searched; it has all the samples.
    engine
        Where the trials run. It may have some of them on record.
    """
    for name, sample in samples.items():
        engine.idle_worker_available()  # waits for one; the budget may be spent then
        if not engine.budget_available() and engine.result_of(sample) is None:
            yield f"{name} is not tried first: the budget is spent"
            continue
        rejected = len(engine.rejections)
        engine.submit_models(space.freeze(dict(sample)))
        for rejection in engine.rejections[rejected:]:
            yield f"{name} is not tried first: {rejection.reason}"


def submit_known_trials(space: ExecutableModelSpace, engine: RecordingEngine) -> None:
    """Submit the sample of each trial that the engine knows, once: the strategy hears of it, and one that was cut off goes on."""
    known = {sample_key(trial.sample): trial for trial in [*engine.results, *engine.unfinished]}
    for trial in known.values():
        with contextlib.suppress(SampleValidationError):  # of a search that held more
            engine.submit_models(space.freeze(dict(trial.sample)))
    engine.forget_proposals()  # a strategy that draws by its seed proposes them all once more
