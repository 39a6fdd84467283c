"""After a search: what was found is trained anew, in a folder of its own within that of the search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import RecordError
from common.reporter import Reporter
from records.retraining import RETRAINED, is_training_of
from records.run_folder import read_config, stored_identity
from retiarius.architectures import Architecture
from retiarius.results import RetrainResult, SearchResult
from retiarius.run_record import how_to_resume
from retiarius.settings import SearchSettings


def retrain_found(found: SearchResult, settings: SearchSettings, reporter: Reporter) -> RetrainResult:
    """Train the best network of ``found`` for as long as ``settings`` say; an interrupted training is resumed, one that has ended is kept.

    Sizes of the network that ``settings`` fix are those of this training, too, unless they are those of a supernet.

    Raises
    ------
    RecordError
        The search has gone on since, and found something else than was retrained.
    KeyboardInterrupt
        On Ctrl-C; it says how to resume the search, and with it this training.
    TrainingDiverged
        As ``retrain`` raises it.
    """
    from retiarius.retrain_run import retrain

    out, best = found.path / RETRAINED, found.best
    begun = stored_identity(out)
    if begun and not is_training_of(begun, best.record):
        told = f"{out}: in it another network or other hyperparameters are trained than the search has found by now"
        raise RecordError(f"{told}; retrain {found.path / 'best.json'} in another folder")
    if (out / "retrained.json").is_file():
        return RetrainResult(out, settings.space)
    reporter.say(f"the best network is now trained anew: {out}")
    try:
        return retrain(
            best,
            data=None if isinstance(settings.data, str) else settings.data,
            time_budget=settings.then_retrain,
            fixed=_fixed_sizes(best, settings, begun),
            seed=settings.seed,
            device=settings.device,
            precision=settings.precision,
            out=out,
            resume=bool(begun),
            tensorboard=settings.tensorboard,
            reporter=reporter,
        )
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(how_to_resume(found.path, reporter.command)) from error


def _fixed_sizes(best: Architecture, settings: SearchSettings, begun: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes that are fixed; of a training that has begun, the ones with which it has."""
    if settings.strategy.one_shot:
        return {}
    sizes = best.record.space_arguments.keys() & best.find_space().settable("retrain")
    fixed = {label: value for label, value in settings.fixed.items() if label in sizes}
    arguments = (begun.get("space") or {}).get("arguments", fixed)
    return {label: value for label, value in fixed.items() if arguments.get(label) == value}


def is_search_over(settings: SearchSettings) -> bool:
    """Return whether the training after the search that is resumed has begun, and no longer search is asked for than the one before it.

    Its seconds are known by its trials alone: a search that was resumed would take for itself what it once spent beside them.
    """
    if not settings.resume or settings.then_retrain is None or settings.out is None or not stored_identity(settings.out / RETRAINED):
        return False
    config = read_config(settings.out)
    occasions = [occasion.get("settings") or {} for occasion in (config, *config.get("resumed", []))]

    def is_more(name: str) -> bool:
        return (getattr(settings, name) or 0) > max(occasion.get(name) or 0 for occasion in occasions)

    return config.get("ended") is not None and not is_more("time_budget") and not is_more("trials")
