"""Figures of a run, drawn by matplotlib without its global state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from common.libraries import keep_home_clean
from common.trial import Trial
from records.metric import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_trials(trials: Sequence[Trial], metric: Metric) -> Figure:
    """Draw the score of every trial, and the best so far, over the number of trials."""
    figure, axes = _new_figure("trial", metric.name)
    scored = [(position, trial) for position, trial in enumerate(trials, start=1) if trial.score is not None]
    scores = [metric.result(trial.score) for _, trial in scored if trial.score is not None]
    axes.plot([position for position, _ in scored], scores, "o", label="a trial")
    best = [max(scores[: end + 1], key=lambda score: metric.sign * score) for end in range(len(scores))]
    axes.step([position for position, _ in scored], best, where="post", label="best so far")
    if scored:
        axes.legend()
    return figure


def plot_supernet(epochs: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the supernet's accuracies on both halves of the training images over its epochs."""
    figure, axes = _new_figure("epoch", "accuracy")
    numbers = [epoch["number"] for epoch in epochs]
    for name, label in (("train_accuracy", "training half"), ("validation_accuracy", "validation half")):
        axes.plot(numbers, [float(epoch.get(name, math.nan)) for epoch in epochs], "o-", label=label)
    if numbers:
        axes.legend()
    return figure


def _new_figure(x: str, y: str) -> tuple[Figure, Axes]:
    keep_home_clean()
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, alpha=0.3)
    return figure, axes
