"""What ``--start-with`` takes out of the folder of an earlier run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from records import RecordError
from records.best import BestArchitecture, load_best
from records.trials import TrialLog


def load_run(folder: Path) -> list[tuple[str, BestArchitecture]]:
    """The completed trials of the run in ``folder``, the best first, each with a name for it; of a one-shot run what it found.

    Raises:
        RecordError: there is no ``best.json``, or one of the files is damaged.
    """
    path = folder / "best.json"
    if not path.is_file():
        raise RecordError(f"{folder}: no best.json in this folder, so no run that has found something")
    best = load_best(path)
    trials = [trial for trial in TrialLog(folder / "trials.jsonl").read() if trial.score is not None and trial.status == "complete"]
    trials.sort(key=lambda trial: -(trial.score or 0.0))
    named = [(f"trial {trial.number} of {folder}", trial) for trial in trials]
    found = [(name, replace(best, architecture=trial.architecture, hyperparameters=trial.hyperparameters)) for name, trial in named]
    return found or [(str(path), best)]
