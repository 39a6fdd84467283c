"""The samples with which a search by trials begins, before its strategy proposes any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nni.nas.space import ExecutableModelSpace

from strategies.engines.recording import RecordingEngine


def begin_with(starts: Mapping[str, Mapping[str, Any]], explored: ExecutableModelSpace, engine: RecordingEngine) -> Iterator[str]:
    """Submit the samples of ``starts``, which are named, one after another; a line for each that is left out says why."""
    for name, sample in starts.items():
        engine.idle_worker_available()  # waits for one; the budget may be spent then
        if not engine.budget_available() and engine.result_of(sample) is None:
            yield f"the search begins without {name}: the budget is spent"
            continue
        rejected = len(engine.rejections)
        engine.submit_models(explored.freeze(dict(sample)))
        for rejection in engine.rejections[rejected:]:
            yield f"the search begins without {name}: {rejection.reason}"
