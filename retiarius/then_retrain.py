"""After a search: what was found is trained anew, in a folder of its own within that of the search."""

from __future__ import annotations

from common.reporter import Reporter
from retiarius.results import RETRAINED, RetrainResult, SearchResult
from retiarius.retrain_run import retrain
from retiarius.settings import SearchSettings


def retrain_found(found: SearchResult, settings: SearchSettings, reporter: Reporter) -> RetrainResult:
    """Train the best network of ``found`` for as long as ``settings`` say; an interrupted training is resumed, one that has ended is kept.

    Raises
    ------
    RecordError
        The search has gone on since, and found a network that is not the one that was retrained.
    TrainingDiverged
        As ``retrain`` raises it.
    """
    out = found.path / RETRAINED
    if (out / "retrained.json").is_file() and (before := RetrainResult(out, settings.space)).document["architecture"] == dict(
        found.best.record.architecture
    ):
        return before
    reporter.say(f"the best network is now trained anew: {out}")
    return retrain(
        found.best,
        data=None if isinstance(settings.data, str) else settings.data,
        time_budget=settings.then_retrain,
        seed=settings.seed,
        device=settings.device,
        precision=settings.precision,
        out=out,
        resume=(out / "config.json").is_file(),
        tensorboard=settings.tensorboard,
        reporter=reporter,
    )
