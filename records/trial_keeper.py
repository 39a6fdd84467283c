"""What a search by trials leaves behind, kept as the trials end: ``trials.jsonl``, the best one, and what the screen says of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from records.formats import format_accuracy
from records.screen import Screen
from records.trials import Trial, TrialLog


class TrialKeeper:
    """Keeps the trials of one search, those of the interrupted run that it goes on with included.

    Args:
        path: ``trials.jsonl``.
        screen: where progress and failures are shown.
        architecture: the labels of a sample that belong to the architecture; the others are hyperparameters.
        recipe: the hyperparameters of every trial, where its sample says nothing else.
        save_best: called with each trial that is better than all before it.

    Attributes:
        trials: all so far, in their order.
        best: the completed one with the highest score, the earliest of equals, or None.
    """

    def __init__(
        self,
        path: Path,
        screen: Screen,
        *,
        architecture: Collection[str],
        recipe: Mapping[str, Any],
        save_best: Callable[[Trial], None],
    ) -> None:
        self._log, self._screen = TrialLog(path), screen
        self._architecture, self._recipe, self._save_best = architecture, recipe, save_best
        self.trials = self._log.read()
        self.best: Trial | None = None
        if self._log.note:
            screen.warn(self._log.note)

    @contextmanager
    def shown(self, total: int, strategy: str) -> Iterator[None]:
        """Show progress while the ``with`` block lasts. The best of the recorded trials is saved again at its beginning."""
        with self._screen.progress(total, "trials", strategy, completed=len(self.trials)) as self._progress:
            for trial in self.trials:  # the run may have ended between a trial's record and its best.json
                self._keep_if_best(trial)
            yield

    def recorded(self, searched: Collection[str]) -> list[dict[str, Any]]:
        """The trials as an engine takes them, ``searched`` being the hyperparameters that its samples hold."""
        return [
            {
                "number": trial.number,
                "sample": {**trial.architecture, **{label: trial.hyperparameters[label] for label in searched}},
                "status": trial.status,
                "score": trial.score,
                "curve": trial.curve,
                "seconds": trial.seconds,
                "error": trial.error,
                "facts": {"parameters": trial.parameters, "flops": trial.flops},
            }
            for trial in self.trials
        ]

    def note(self, result: Any) -> None:
        """Keep a new result of the engine, an object with what :meth:`recorded` gives as attributes."""
        hyperparameters = {label: value for label, value in result.sample.items() if label not in self._architecture}
        trial = Trial(
            number=result.number,
            status=result.status,
            architecture={label: value for label, value in result.sample.items() if label in self._architecture},
            hyperparameters={**self._recipe, **hyperparameters},
            score=result.score,
            curve=result.curve,
            seconds=result.seconds,
            error=result.error,
            **result.facts,
        )
        self._log.append(trial)
        self.trials.append(trial)
        if trial.status == "failed":
            self._screen.warn(f"trial {trial.number} failed: {trial.error}")
        self._keep_if_best(trial)
        self._progress.update(1, detail=f"trial {trial.number} pruned in epoch {len(trial.curve)}" if trial.status == "pruned" else "")

    def note_epoch(self, number: int, accuracy: float) -> None:
        """Show how the trial that runs is doing."""
        self._progress.update(0, detail=f"epoch {number}: {format_accuracy(accuracy)}")

    def _keep_if_best(self, trial: Trial) -> None:
        if trial.score is not None and (self.best is None or self.best.score is None or trial.score > self.best.score):
            self.best = trial
            self._save_best(trial)
        self._progress.update(0, best=trial.score)
