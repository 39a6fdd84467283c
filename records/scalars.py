"""TensorBoard's scalars of a run, in its folder ``tensorboard``: one series of files for each training, so that curves lie over another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.trial import Trial
from records.metric import ACCURACY, Metric
from records.report.text import show_value


class Scalars:
    """Where the numbers of a run go, epoch by epoch; without a folder, nowhere. The end of a ``with`` block brings all to the disk.

    Args:
        folder: ``tensorboard`` in the run's folder, or None. Where it is given, the package tensorboard must be installed.
        metric: what trials are compared by; their results are written as they were reported.
    """

    def __init__(self, folder: Path | None, metric: Metric = ACCURACY) -> None:
        self._folder, self._metric = folder, metric
        self._writer: Any = None

    def __enter__(self) -> Scalars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def note(self, step: int, values: Mapping[str, float | None]) -> None:
        """Write the values of the epoch ``step`` of the one training of this run; what is no finite number is left out.

        What an interrupted run wrote for this and later epochs is replaced.
        """
        if self._folder is not None:
            if self._writer is None:
                self._writer = _open(self._folder, purge_step=step)
            _write(self._writer, step, values)
            self._writer.flush()

    def note_trial(self, trial: Trial) -> None:
        """Write the curve of a trial that has ended, and its hyperparameters for the tab HPARAMS."""
        if self._folder is None:
            return
        from torch.utils.tensorboard.summary import hparams

        writer = _open(self._folder / f"trial-{trial.number}", purge_step=0)
        for epoch, value in enumerate(trial.curve, start=1):
            _write(writer, epoch, {self._metric.name: self._metric.result(value)})
        chosen = {name: _plain(value) for name, value in trial.sample.items()}
        for summary in hparams(chosen, {self._metric.final: 0.0}):
            writer.file_writer.add_summary(summary)
        if trial.score is not None:
            _write(writer, len(trial.curve), {self._metric.final: self._metric.result(trial.score)})
        writer.close()


def open_scalars(run: Path, *, wanted: bool, metric: Metric = ACCURACY) -> Scalars:
    """The scalars of the run in this folder, which go nowhere unless they are ``wanted``."""
    return Scalars(run / "tensorboard" if wanted else None, metric)


def _open(folder: Path, purge_step: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=purge_step)


def _write(writer: Any, step: int, values: Mapping[str, float | None]) -> None:
    for name, value in values.items():
        if value is not None and math.isfinite(value):
            writer.add_scalar(name, value, step)


def _plain(value: object) -> bool | float | int | str:
    """A value as TensorBoard takes it."""
    return value if isinstance(value, bool | float | int | str) else show_value(value)
