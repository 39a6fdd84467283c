"""After a search: what was found is trained anew, in a folder of its own within that of the search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import RecordError
from common.reporter import Reporter
from records.run_folder import stored_identity
from retiarius.results import RETRAINED, RetrainResult, SearchResult
from retiarius.run_record import how_to_resume
from retiarius.settings import SearchSettings

if TYPE_CHECKING:
    from common.trial import Trial
    from records.best import BestArchitecture


def retrain_found(found: SearchResult, settings: SearchSettings, reporter: Reporter) -> RetrainResult:
    """Train the best network of ``found`` for as long as ``settings`` say; an interrupted training is resumed, one that has ended is kept.

    Sizes of the network that ``settings`` fix are those of this training, too.

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
    is_begun = (out / "config.json").is_file()
    if is_begun and not is_training_of(out, best.record):
        told = f"{out}: in it another network or other hyperparameters are trained than the search has found by now"
        raise RecordError(f"{told}; retrain {found.path / 'best.json'} in another folder")
    if (out / "retrained.json").is_file():
        return RetrainResult(out, settings.space)
    sizes = best.record.space_arguments.keys() & best.find_space().settable("retrain")
    reporter.say(f"the best network is now trained anew: {out}")
    try:
        return retrain(
            best,
            data=None if isinstance(settings.data, str) else settings.data,
            time_budget=settings.then_retrain,
            fixed={label: value for label, value in settings.fixed.items() if label in sizes},
            seed=settings.seed,
            device=settings.device,
            precision=settings.precision,
            out=out,
            resume=is_begun,
            tensorboard=settings.tensorboard,
            reporter=reporter,
        )
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(how_to_resume(found.path, reporter.command)) from error


def is_training_of(folder: Path, best: Trial | BestArchitecture) -> bool:
    """Return whether the training that was begun in ``folder`` is one of this network with these hyperparameters."""
    begun = stored_identity(folder)
    recipe = begun.get("recipe") or {}
    return begun.get("architecture") == best.architecture and all(
        recipe[label] == value for label, value in best.hyperparameters.items() if label in recipe
    )
