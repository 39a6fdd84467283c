"""What a retraining leaves behind, kept as its epochs end: ``epochs.jsonl``, and what reporter and TensorBoard say of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.reporter import Reporter
from records.formats import format_accuracy
from records.lines import EpochLog
from records.scalars import Scalars


class TrainingKeeper:
    """Keeps the epochs of one training, those of the interrupted run that it resumes included.

    Parameters
    ----------
    path
        ``epochs.jsonl``.
    reporter
        Hears of progress.
    scalars
        Where the numbers go beside the record.
    epochs
        How many there are to be; where there is no time for all, numbers are left out.
    goes_on
        Whether there is a state to resume; without one the epochs that were noted are those of a training that begins anew.
    """

    def __init__(self, path: Path, reporter: Reporter, scalars: Scalars, epochs: int, *, goes_on: bool) -> None:
        self._log, self._reporter, self._scalars, self._epochs = EpochLog(path), reporter, scalars, epochs
        if not goes_on:
            self._log.keep(0)
        self._shown = self._log.noted

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show progress while the ``with`` block lasts."""
        with self._reporter.progress(self._epochs, "epochs", "retrain", completed=self._shown) as self._progress:
            yield

    def note(self, epoch: Any) -> None:
        """Keep an epoch, an object with the fields of a line of ``epochs.jsonl``, unless it is kept already; within :meth:`shown`."""
        self._log.note(asdict(epoch))
        advance = max(0, epoch.number - self._shown)
        self._shown += advance
        self._progress.update(advance, detail=f"loss {epoch.loss:.3f}, training accuracy {format_accuracy(epoch.accuracy)}")
        values = {"training loss": epoch.loss, "training accuracy": epoch.accuracy, "learning rate": epoch.learning_rate}
        self._scalars.note(epoch.number, values)
