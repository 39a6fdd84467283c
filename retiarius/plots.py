"""Figures of runs, by the charts of the report: ``plot`` of one run, ``plot_runs`` of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from common.errors import RecordError, unknown_name
from common.libraries import keep_home_clean
from records.report.cells import read_cells
from records.report.collect import Run, read_run
from records.report.figure import Chart
from records.report.seeds import group_by_seed, plot_epochs_together, plot_searches
from records.report.training_plots import plot_epochs
from records.report.trial_plots import MEASURED_LATENCY, SIZES, plot_curves, plot_history, plot_pareto

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OVER = ("time", "trials")


class Result(Protocol):
    """What ``rt.search``, ``rt.retrain`` and ``rt.open_run`` return."""

    @property
    def record(self) -> Run:
        """What the files of the run say."""


def plot_run(run: Run, what: str, over: str) -> Figure:
    """Return the figure of one run; see ``RunResult.plot``."""
    keep_home_clean()
    if over not in OVER:
        raise RecordError(unknown_name("axis", over, OVER))
    costs = {cost.attribute: cost for cost in (*SIZES, MEASURED_LATENCY)}
    known = ("progress", "curves", *costs, "cells")
    if what not in known:
        raise RecordError(unknown_name("plot", what, known))
    if what == "cells":
        return _plot_cells(run)
    if what in costs:
        return _as_figure(plot_pareto("pareto", run.trials, costs[what], run.metric), run.path)
    return _as_figure(plot_curves("curves", run.trials, run.metric) if what == "curves" else _plot_progress(run, over), run.path)


def plot_runs(runs: Sequence[Result | str | Path] | Result | str | Path, *, over: str = "trials") -> Figure:
    """Return a matplotlib figure of several runs: the best so far of searches, or the accuracy of supernets or trainings by epoch.

    Runs that differ in their seed alone are one line, their mean, with a band from the lowest to the highest; the legend says of how many.

    Parameters
    ----------
    runs
        Results, or folders; or one of these.
    over
        ``"trials"`` or ``"time"``: what the horizontal axis of searches by trials is.

    Raises
    ------
    RecordError
        There is no run, a folder holds none, nothing was measured in them yet, or what was measured differs.
    """
    keep_home_clean()
    if over not in OVER:
        raise RecordError(unknown_name("axis", over, OVER))
    several = [runs] if isinstance(runs, str | Path) or hasattr(runs, "record") else runs
    records = [read_run(Path(run)) if isinstance(run, str | Path) else run.record for run in several]
    if not records:
        raise RecordError("no run to plot: give results, or folders such as 'runs/NAME'")
    records = [run for run in records if run.trials or run.epochs or run.retrained] or records  # others have measured nothing yet
    first, groups = records[0], group_by_seed(records)
    for run in records:
        if (_measure_of(run), run.metric.sign) != (_measure_of(first), first.metric.sign):
            raise RecordError(f"{run.path} has {_measure_of(run)} and {first.path} has {_measure_of(first)}: plot them apart")
    if first.trials:
        return _as_figure(plot_searches("runs", groups, over), first.path)
    key = "accuracy" if first.is_retraining else "validation_accuracy"
    return _as_figure(plot_epochs_together("runs", groups, key, _measure_of(first)), first.path)


def _measure_of(run: Run) -> str:
    """Return what a figure of several runs shows of ``run``."""
    if run.trials:
        return f"{run.metric.name} of trials{', the lower the better' if run.metric.sign < 0 else ''}"
    return "training accuracy" if run.is_retraining else "validation accuracy of the supernet"


def _plot_progress(run: Run, over: str) -> Chart | str:
    if run.trials or not run.epochs:
        return plot_history("progress", run, over)
    halves = {"train_accuracy": "training half", "validation_accuracy": "validation half"}
    keys = {"accuracy": "training images"} if run.is_retraining else halves
    return plot_epochs("progress", run.epochs, keys, "accuracy", percent=True)


def _plot_cells(run: Run) -> Figure:
    from records.report.cell_figure import plot_cells

    cells = read_cells(run.architecture)
    if not cells:
        raise RecordError(f"{run.path}: no cells to draw: its architecture is none of cells, or nothing was found yet")
    return plot_cells(cells)


def _as_figure(chart: Chart | str, path: Path) -> Figure:
    if isinstance(chart, str):
        raise RecordError(f"{path}: {chart}")
    return chart.figure()
