"""Trials as a record holds them."""

from __future__ import annotations

from typing import Any

from common.trial import Trial


def make_trial(
    number: int,
    state: str,
    architecture: dict[str, Any],
    hyperparameters: dict[str, Any],
    score: float | None = None,
    curve: list[float] | None = None,
    *,
    seconds: float = 0.0,
    error: str | None = None,
    finished: str | None = None,
    **facts: Any,
) -> Trial:
    """A trial of its two parts; ``facts`` are those that are known of it."""
    return Trial(
        number,
        {**architecture, **hyperparameters},
        state,
        score,
        curve or [],
        seconds,
        error,
        {name: fact for name, fact in facts.items() if fact is not None},
        frozenset(architecture),
        **({} if finished is None else {"finished": finished}),
    )
