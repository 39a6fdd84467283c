"""What ``start_with`` names: architectures in files, in the folders of runs, or known by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.files import LARGEST_OWN_FILE, read_json, write_json_atomically
from records.best import BestArchitecture, load_best
from records.lines import EpochLog
from records.trials import TrialLog

PORTFOLIO = "portfolio"
DEFAULT = "the default configuration"  # what messages call it
WORDS = (PORTFOLIO, "default")  # what ``start_with`` may say beside files, runs and known names

FORMAT, VERSION = "retiarius-starts", 1
Named = tuple[str, BestArchitecture]
Fit = Callable[[str, BestArchitecture], BestArchitecture]
Meaning = Callable[[BestArchitecture], Hashable]


def load_starts(
    words: Sequence[str], known: Collection[str], load: Callable[[str], BestArchitecture], fit: Fit, meaning: Meaning
) -> list[Named]:
    """Return the architectures, each with a name for it.

    Parameters
    ----------
    words
        A name among ``known`` or a file, which ``load`` loads; the folder of a run, of which what it found counts; ``FOLDER:4``: its
        best four trials, no two of one meaning, or those of a one-shot search's latest epochs.
    fit
        Returns one as the search has it; raises ``RecordError`` where it holds no such. Of a folder the next best is taken then.
    meaning
        Equal for two that are the same network, trained in the same way.

    Raises
    ------
    RecordError
        There is no such file or run, it is damaged, or too few of its networks fit.
    """
    starts: list[Named] = []
    for word in words:
        match = re.fullmatch(r"(.*):(\d+)", word)
        path, count = (match[1], int(match[2])) if match and not Path(word).exists() else (word, 1)
        if count < 1:
            raise RecordError(f"`start_with`: {word} asks for no network; the number after the colon is 1 or more")
        if word not in known and Path(path).is_dir():
            starts += _best_that_fit(word, load_run(Path(path)), count, fit, meaning)
        else:
            starts.append((word, fit(word, load(word))))
    return starts


def load_run(folder: Path) -> list[Named]:
    """Return the networks of the run in ``folder``, each with a name for it, the best first.

    They are the completed trials; of a one-shot run what it found, and then what its epochs had found so far, the latest first.

    Raises
    ------
    RecordError
        There is no ``best.json``, or one of the files is damaged.
    """
    path = folder / "best.json"
    if not path.is_file():
        raise RecordError(f"`start_with`: {folder} has no best.json; name a run that has found something")
    best = load_best(path)
    trials = [trial for trial in TrialLog(folder / "trials.jsonl").read() if trial.state == "complete"]
    trials.sort(key=lambda trial: (trial.number != best.strategy.get("trial"), -(trial.score or 0.0)))  # what was found comes first
    if trials:
        found = [replace(best, architecture=trial.architecture, hyperparameters=trial.hyperparameters) for trial in trials]
        return [(f"trial {trial.number} of {folder}", of_trial) for trial, of_trial in zip(trials, found, strict=True)]
    epochs = [epoch for epoch in EpochLog(folder / "epochs.jsonl").read() if isinstance(epoch.get("sample"), dict) and epoch["sample"]]
    return [(str(path), best)] + [
        (f"epoch {epoch.get('number')} of {folder}", replace(best, architecture=epoch["sample"])) for epoch in reversed(epochs)
    ]


def save_starts(path: Path, words: Sequence[str], samples: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep with what a search begins, unless it is kept already: the folder of a run that is named in ``words`` may change or go."""
    if words and not path.exists():
        write_json_atomically(path, {"format": FORMAT, "version": VERSION, "start_with": list(words), "samples": samples})


def stored_starts(path: Path, words: Sequence[str]) -> dict[str, dict[str, Any]] | None:
    """Return with what the search in this folder began, samples by name; None unless it was told to begin with the same ``words``.

    Raises
    ------
    RecordError
        The file is none of ours.
    """
    if not words or not path.exists():
        return None
    document = read_json(path, max_bytes=LARGEST_OWN_FILE)
    if not isinstance(document, dict) or document.get("format") != FORMAT or not isinstance(document.get("samples"), dict):
        raise RecordError(f"{path}: damaged; remove it, so that `start_with` is read again")
    return document["samples"] if document.get("start_with") == list(words) else None


def _best_that_fit(word: str, found: list[Named], count: int, fit: Fit, meaning: Meaning) -> list[Named]:
    fitting: dict[Hashable, Named] = {}
    refusals: list[RecordError] = []
    for name, best in found:
        try:
            fitted = fit(name, best)
        except RecordError as error:
            refusals.append(error)
            continue
        fitting.setdefault(meaning(fitted), (name, fitted))
        if len(fitting) == count:
            return list(fitting.values())
    if refusals and not fitting:
        raise refusals[0]
    raise RecordError(f"`start_with`: {word} asks for {count} networks, and only {len(fitting)} of this search are there")
