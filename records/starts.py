"""What ``--start-with`` names: architectures in files, in the folders of runs, or known by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from records import RecordError
from records.best import BestArchitecture, load_best
from records.trials import TrialLog

Named = tuple[str, BestArchitecture]
Fit = Callable[[str, BestArchitecture], BestArchitecture]


def load_starts(words: Sequence[str], known: Collection[str], load: Callable[[str], BestArchitecture], fit: Fit) -> list[Named]:
    """The architectures, each with a name for it.

    Args:
        words: a name among ``known`` or a file, which ``load`` loads; the folder of a run, whose best trial counts; ``FOLDER:4``: its
            best four.
        fit: gives one as the search has it; raises ``RecordError`` where it holds no such. Of a folder the next best is taken then.

    Raises:
        RecordError: there is no such file or run, it is damaged, or too few of its trials fit.
    """
    starts: list[Named] = []
    for word in words:
        match = re.fullmatch(r"(.*):(\d+)", word)
        path, count = (match[1], int(match[2])) if match and not Path(word).exists() else (word, 1)
        if word not in known and Path(path).is_dir():
            starts += _best_that_fit(word, load_run(Path(path)), count, fit)
        else:
            starts.append((word, fit(word, load(word))))
    return starts


def load_run(folder: Path) -> list[Named]:
    """The completed trials of the run in ``folder``, the best first, each with a name for it; of a one-shot run what it found.

    Raises:
        RecordError: there is no ``best.json``, or one of the files is damaged.
    """
    path = folder / "best.json"
    if not path.is_file():
        raise RecordError(f"--start-with {folder}: no best.json in this folder, so no run that has found something")
    best = load_best(path)
    trials = [trial for trial in TrialLog(folder / "trials.jsonl").read() if trial.status == "complete"]
    trials.sort(key=lambda trial: -(trial.score or 0.0))
    found = [replace(best, architecture=trial.architecture, hyperparameters=trial.hyperparameters) for trial in trials]
    return [(f"trial {trial.number} of {folder}", of_trial) for trial, of_trial in zip(trials, found, strict=True)] or [(str(path), best)]


def _best_that_fit(word: str, found: list[Named], count: int, fit: Fit) -> list[Named]:
    fitting: list[Named] = []
    refusals: list[RecordError] = []
    for name, best in found:
        try:
            fitting.append((name, fit(name, best)))
        except RecordError as error:
            refusals.append(error)
        if len(fitting) == count:
            return fitting
    if refusals and not fitting:
        raise refusals[0]
    raise RecordError(f"--start-with {word}: {len(fitting)} trials are there that this search holds, and not {count}")
