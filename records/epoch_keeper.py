"""What a one-shot search leaves behind, kept as its epochs end: ``epochs.jsonl``, and what reporter, log and TensorBoard say of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.reporter import Reporter
from records.formats import format_accuracy
from records.lines import EpochLog
from records.scalars import Scalars

_CHARTED = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "entropy", "temperature")
_OF_SOME = ("temperature", "paths", "kept_inputs", "frozen", "stage")  # which only some methods have


class EpochKeeper:
    """Keeps the epochs of one search, those of the interrupted run that it resumes included.

    Parameters
    ----------
    path
        ``epochs.jsonl``.
    reporter
        Hears of progress.
    scalars
        Where the numbers go beside the record.
    epochs, steps
        How many epochs there are to be, and how many steps each has.
    finished
        How many of them the search has behind it; what was noted of later ones, say one that a budget cut short, is dropped.
    describe
        Says of an architecture what its cells are.
    """

    def __init__(
        self,
        path: Path,
        reporter: Reporter,
        scalars: Scalars,
        *,
        epochs: int,
        steps: int,
        finished: int,
        describe: Callable[[Mapping[str, Any]], Mapping[str, str]],
    ) -> None:
        self._log, self._reporter, self._scalars, self._describe = EpochLog(path), reporter, scalars, describe
        self._epochs, self._steps = epochs, steps
        self._log.keep(finished)
        self._shown = self._log.noted * steps

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show progress while the ``with`` block lasts; the first epoch in it begins now."""
        self._since = time.monotonic()
        with self._reporter.progress(self._epochs * self._steps, "steps", "supernet", completed=self._shown) as self._progress:
            yield

    def note_step(self, done: int) -> None:
        """Show that ``done`` steps of the whole search are done; within :meth:`shown`."""
        self._progress.update(done - self._shown)
        self._shown = done

    def note_score(self, count: int, accuracy: float, most: int | None = None) -> None:
        """Show that the supernet was scored ``count`` times, of ``most``, to select an architecture, and the last accuracy.

        Within :meth:`shown`.
        """
        of = "" if most is None else f" of at most {most:,}"
        self._progress.update(0, detail=f"selection: {count:,}{of} scored, the last {format_accuracy(accuracy)}")

    def note(self, epoch: Any, warning: str | None = None) -> None:
        """Keep an epoch, an object with the fields of a line of ``epochs.jsonl``, and its seconds; within :meth:`shown`.

        ``warning`` is shown with it.
        """
        before, self._since = self._since, time.monotonic()
        told = {name: value for name, value in asdict(epoch).items() if value is not None or name not in _OF_SOME}
        if self._log.note({**told, "seconds": round(self._since - before, 3)}):
            values = {name: value for name in _CHARTED if (value := getattr(epoch, name)) is not None}
            skips = {} if epoch.skip_share is None else {"share of skip connections": epoch.skip_share}
            self._scalars.note(epoch.number, values | skips)
        cells = self._describe(epoch.sample) if epoch.sample else {}  # none is read off some supernets before they are trained
        found = "".join(f"; {cell}: {text}" for cell, text in cells.items())
        alphas = f"entropy {epoch.entropy:.3f}"
        if epoch.skip_share is not None:
            alphas += f", skip connections {100 * epoch.skip_share:.0f}%"
        if epoch.temperature is not None:
            alphas += f", temperature {epoch.temperature:.3g}"
        loss = "-" if epoch.train_loss is None else f"{epoch.train_loss:.3f}"
        detail = f"epoch {epoch.number}: loss {loss}, validation {format_accuracy(epoch.validation_accuracy)}, {alphas}"
        self._progress.update(0, detail=detail)
        logging.getLogger("retiarius.search").info("%s%s", detail, found)
        self._reporter.say(f"epoch {epoch.number}: {alphas}{found}")
        if warning is not None:
            self._reporter.warn(f"epoch {epoch.number}: {warning}")
