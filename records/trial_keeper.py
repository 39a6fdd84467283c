"""What a search by trials leaves behind, kept as the trials end: ``trials.jsonl``, the best one, and what the reporter says of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.reporter import Reporter
from common.trial import Trial
from records.best import load_best
from records.formats import format_accuracy
from records.scalars import Scalars
from records.trials import TrialLog, latest


class TrialKeeper:
    """Keeps the trials of one search, those of the interrupted run that it resumes included.

    Parameters
    ----------
    trials_path
        ``trials.jsonl``.
    best_path
        ``best.json``, which ``save_best`` writes.
    reporter
        Hears of progress and failures.
    architecture
        The labels of a sample that belong to the architecture; the others are hyperparameters.
    recipe
        The hyperparameters of every trial, where its sample says nothing else.
    save_best
        Called with each trial that is better than all before it.
    durable
        As in :class:`records.trials.TrialLog`.
    show_score
        How a score is shown.
    scalars
        Where curves go beside the record.

    Attributes
    ----------
    trials
        All so far, in their order.
    best
        The completed one with the highest score, the earliest of equals, or None.
    """

    def __init__(
        self,
        trials_path: Path,
        best_path: Path,
        reporter: Reporter,
        *,
        architecture: Collection[str],
        recipe: Mapping[str, Any],
        save_best: Callable[[Trial], None],
        durable: bool = True,
        show_score: Callable[[float | None], str] = format_accuracy,
        scalars: Scalars | None = None,
    ) -> None:
        self._scalars = scalars or Scalars(None)
        self._log, self._reporter = TrialLog(trials_path, durable=durable), reporter
        self._architecture, self._recipe, self._save_best = frozenset(architecture), recipe, save_best
        self._best_path, self._show_score = best_path, show_score
        self.trials = self._log.read()
        self.best: Trial | None = None
        if self._log.note:
            reporter.warn(self._log.note)

    @contextmanager
    def shown(self, total: int | None, strategy: str) -> Iterator[None]:
        """Show progress while the ``with`` block lasts. A best of the recorded trials that is not in ``best.json`` is saved first."""
        shown = self._reporter.progress(total, "trials", strategy, completed=len(self.trials), show_score=self._show_score)
        with shown as self._progress:
            best = self._new_best(self.trials)
            if best is not None and not self._is_saved(best):  # the run ended between a trial's record and its best.json
                self._save_best(best)
            yield

    def recorded(self, searched: Collection[str]) -> list[Trial]:
        """Return the trials as an engine takes them: a sample is the architecture and the hyperparameters that were ``searched``."""
        samples = [{**trial.architecture, **{label: trial.sample[label] for label in searched}} for trial in self.trials]
        return [replace(trial, sample=sample) for trial, sample in zip(self.trials, samples, strict=True)]

    def note(self, trial: Trial) -> None:
        """Keep a new trial of the engine, whose sample is what was searched; it is recorded with the recipe beside it."""
        trial = self._complete(trial)
        self._log.append(trial)
        is_new = all(other.number != trial.number for other in self.trials)  # otherwise it has waited, and gone on
        self.trials = latest([*self.trials, trial])
        self._scalars.note_trial(trial)
        if trial.state == "failed":
            self._reporter.warn(f"trial {trial.number} failed: {trial.error}")
        best = self._new_best([self.best, trial] if is_new else self.trials)  # one that goes on may become worse
        if best is not None:
            self._save_best(best)
        self._progress.update(1 if is_new else 0, detail=_detail(trial))

    def note_epoch(self, number: int, score: float) -> None:
        """Show how the trial that runs, or one of those, is doing."""
        self._progress.update(0, detail=f"epoch {number}: {self._show_score(score)}")

    def _complete(self, trial: Trial) -> Trial:
        """Return ``trial`` with the recipe in its sample, told apart from its architecture."""
        architecture = {label: value for label, value in trial.sample.items() if label in self._architecture}
        searched = {label: value for label, value in trial.sample.items() if label not in self._architecture}
        recipe = {label: value for label, value in self._recipe.items() if label not in architecture}
        return replace(trial, sample={**architecture, **recipe, **searched}, architecture_labels=frozenset(architecture))

    def _new_best(self, trials: Iterable[Trial | None]) -> Trial | None:
        """Choose the best of ``trials``, the first of equals; return it if it is another one than before, or has gone on."""
        before, scored = self.best, [trial for trial in trials if trial is not None and trial.score is not None]
        self.best = max(scored, key=lambda trial: trial.score or 0.0, default=None)
        if self.best is None or self.best is before:
            return None
        self._progress.update(0, best=self.best.score)
        return self.best

    def _is_saved(self, trial: Trial) -> bool:
        try:
            saved = load_best(self._best_path)
        except RecordError:  # there is none, or it was cut off
            return False
        epochs = (saved.score or {}).get("epochs")
        return saved.strategy.get("trial") == trial.number and (trial.planned_epochs is None or epochs == len(trial.curve))


def _detail(trial: Trial) -> str:
    """Return in a few words how a trial ended early; nothing where it did not."""
    if trial.state != "pruned":
        return ""
    if trial.planned_epochs is not None:
        return f"trial {trial.number} waits after {len(trial.curve)} of {trial.planned_epochs} epochs"
    return f"trial {trial.number} pruned in epoch {len(trial.curve)}"
