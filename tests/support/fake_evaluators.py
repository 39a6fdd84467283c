"""Evaluators that train nothing: their scores are functions of what they are given."""

from __future__ import annotations

from typing import Any


def score_by_rate(network: Any, *, epochs: int, report: Any, initial_lr: float, **others: Any) -> float:
    """The learning rate, risen to linearly."""
    for epoch in range(epochs):
        report(initial_lr * (epoch + 1) / epochs)
    return initial_lr


def score_by_rate_and_check(network: Any, *, epochs: int, report: Any, initial_lr: float, optimizer: str, **others: Any) -> float:
    """The same, of a search by the files of ``trial_scripts``."""
    assert type(epochs) is int
    assert optimizer in ("sgd", "adam", "rmsprop"), optimizer
    assert others["momentum"] == 0.85, "what the file does not name is the recipe's"
    return score_by_rate(network, epochs=epochs, report=report, initial_lr=initial_lr)


def score_by_dropout(network: Any, *, report: Any, dropout: float, **others: Any) -> float:
    """Scores a network of 20% dropout best."""
    report(1 - abs(dropout - 0.2))
    return 1 - abs(dropout - 0.2)
