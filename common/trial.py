"""One trial, the same class wherever it goes: from the engine that ran it to the record, the report and the person who asks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from common.errors import RecordError
from common.text import show

STATES = ("complete", "failed", "pruned")
PLANNED_EPOCHS = "planned_epochs"  # the fact of how many epochs a trial has to its end, where trials have their own
AT_ONE_GO = "at_one_go"  # the fact why a trial does not wait on its way, where others do: it is one of these
FIRST, LAST = "first", "last"
Sample = Mapping[str, Any]
# run(sample, report, note) -> score. ``report`` takes the score after each epoch and may end the trial by raising; ``note`` takes facts.
RunTrial = Callable[[Sample, Callable[[float], None], Callable[[dict[str, Any]], None]], float]


def sample_key(sample: Sample) -> str:
    """Return one text for one sample, or one architecture, whatever the order of its labels."""
    return json.dumps(sample, sort_keys=True)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Trial:
    """What was tried, and how it went.

    Attributes
    ----------
    number
        0, 1, 2, ... in the order of submission.
    sample
        Label to value: the architecture's choices and the hyperparameters.
    state
        ``complete``, ``failed`` or ``pruned``.
    score
        Higher is better; a validation accuracy in [0, 1] where networks are trained. Of what is minimised it is the negative: the value
        itself is ``best.score``, and in ``to_frame()`` the column ``result``. None where there is none. A score that is not finite
        becomes None, and the trial ``failed``. A ``pruned`` trial has one where it was to go on, as those of a search with a time
        budget: the score so far.
    curve
        The score after each epoch; NaN where it was no number.
    seconds
        Duration.
    error
        One line, for a failed trial.
    facts
        What else is known: ``parameters``, ``flops`` (multiply-adds of one image), ``latency`` (milliseconds of one image). Where trials
        have lengths of their own, ``planned_epochs`` of the whole training, and ``at_one_go`` of one that does not wait.
    architecture_labels
        Those labels of ``sample`` that belong to the architecture.
    finished
        Time of the end, ISO 8601, UTC.

    Raises
    ------
    RecordError
        The state is unknown, or the trial is complete and has no score.
    """

    number: int
    sample: dict[str, Any]
    state: str
    score: float | None = None
    curve: list[float] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    architecture_labels: frozenset[str] = frozenset()
    finished: str = field(default_factory=_now)

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise RecordError(f"trial {self.number}: status {show(self.state)}, expected one of {', '.join(STATES)}")
        if self.score is not None and not math.isfinite(self.score):
            error = self.error or f"the score is not finite: {float(self.score)}"
            for name, value in (("score", None), ("state", "failed"), ("error", error)):
                object.__setattr__(self, name, value)
        if self.state == "complete" and self.score is None:
            raise RecordError(f"trial {self.number}: complete, but has no score")

    @property
    def architecture(self) -> dict[str, Any]:
        """The choices of the architecture, label to choice."""
        return {label: value for label, value in self.sample.items() if label in self.architecture_labels}

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Everything else in the sample, name to value."""
        return {label: value for label, value in self.sample.items() if label not in self.architecture_labels}

    @property
    def planned_epochs(self) -> int | None:
        """Epochs that the whole training has, where trials have their own number."""
        return self.facts.get(PLANNED_EPOCHS)

    @property
    def parameters(self) -> int | None:
        """Number of trainable parameters, where it was measured."""
        return self.facts.get("parameters")

    @property
    def flops(self) -> int | None:
        """Multiply-adds of one forward pass of one image, where they were measured."""
        return self.facts.get("flops")

    @property
    def latency(self) -> float | None:
        """Milliseconds of one forward pass of one image, where they were measured."""
        return self.facts.get("latency")
