"""One trial, wherever it goes."""

from __future__ import annotations

import dataclasses
import math
from datetime import datetime, timezone
from typing import Any

import pytest

from common.errors import RecordError
from common.trial import STATES, Trial

SAMPLE = {"layer": "conv", "inputs": [0, 1], "lr": 0.1}


def trial(**changes: Any) -> Trial:
    return Trial(**{"number": 3, "sample": SAMPLE, "state": "complete", "score": 0.5, **changes})


def test_its_sample_has_two_parts() -> None:
    both = trial(architecture_labels=frozenset({"layer", "inputs"}))
    assert both.architecture == {"layer": "conv", "inputs": [0, 1]}
    assert both.hyperparameters == {"lr": 0.1}
    assert list({**both.architecture, **both.hyperparameters}) == list(SAMPLE), "in the order of the sample"
    assert (trial().architecture, trial().hyperparameters) == ({}, SAMPLE)
    both.hyperparameters.clear()
    assert both.hyperparameters == {"lr": 0.1}, "a part is a copy"


def test_what_is_known_of_it() -> None:
    assert (trial().parameters, trial().flops, trial().latency) == (None, None, None)
    measured = trial(facts={"parameters": 10, "flops": 20, "latency": 0.5})
    assert (measured.parameters, measured.flops, measured.latency) == (10, 20, 0.5)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_a_failure(score: float) -> None:
    failed = trial(score=score)
    assert (failed.state, failed.score, failed.error) == ("failed", None, f"the score is not finite: {score}")
    assert trial(score=score, error="RuntimeError: no").error == "RuntimeError: no"


def test_a_trial_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(RecordError, match="trial 3: status 'done', expected one of complete, failed, pruned"):
        trial(state="done")
    with pytest.raises(RecordError, match="trial 3: complete, but has no score"):
        trial(score=None)
    for state in STATES:
        assert trial(state=state).state == state, "a pruned or a failed one may have a score"


def test_it_is_a_value() -> None:
    assert trial(finished="now") == trial(finished="now") != trial(finished="now", number=4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        trial().score = 0.6  # type: ignore[misc]
    finished = datetime.fromisoformat(trial().finished)
    assert abs((datetime.now(timezone.utc) - finished).total_seconds()) < 60
