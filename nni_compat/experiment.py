"""Settings of ours as an experiment for NNI's own service: the other way round from ``config``."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import RecordError
from nni_compat.algorithms import SERVED_ASSESSORS, SERVED_TUNERS

NO_PRUNER = "none"


def make_experiment(
    *,
    search_space: Mapping[str, Any],
    trials: int,
    strategy: str,
    code_dir: Path,
    pruner: str = NO_PRUNER,
    start_step: int | None = None,
    pins: Mapping[str, Any] | None = None,
    seed: int = 0,
    out: Path | None = None,
    experiment: str | None = None,
    optimize_mode: str = "maximize",
    time_budget: float | None = None,
    trial_time: float | None = None,
    tuner_arguments: Mapping[str, Any] | None = None,
    assessor_arguments: Mapping[str, Any] | None = None,
    resume: bool = False,
    shares_study: bool = False,
) -> dict[str, Any]:
    """Return the experiment, with the keys of ``config.yml``, version 2, as far as it does not say what a trial runs.

    Parameters
    ----------
    search_space
        The content of NNI's ``search_space.json``.
    trials
        How many trials to run.
    strategy, pruner
        Our names for NNI's tuner and assessor.
    code_dir, out
        Where trials run, and the folder of the run; their paths must be such that NNI's shells can take them.
    start_step
        Results of a trial before it can be ended early.
    pins
        Values that were set by hand, which the service cannot follow.
    experiment
        Its name.
    optimize_mode
        ``maximize`` or ``minimize``.
    time_budget, trial_time
        Seconds, for all trials and for each.
    tuner_arguments, assessor_arguments
        Further ``classArgs`` of NNI's own.
    resume, shares_study
        Whether a run is to be resumed, or a study shared, which the service can do neither.

    Raises
    ------
    RecordError
        Settings that NNI's service cannot follow.
    """
    tuner = SERVED_TUNERS.get(strategy)
    if tuner is None or tuner.served_with is None:
        served = ", ".join(SERVED_TUNERS)
        raise RecordError(f"`portal` runs NNI's own tuners, and {strategy} is not one of them; use {served}")
    if pruner not in (NO_PRUNER, *SERVED_ASSESSORS):
        served = ", ".join(SERVED_ASSESSORS)
        raise RecordError(f"`portal` runs NNI's own assessors, and {pruner} is not one of them; use the pruner {served}, or none")
    if resume:
        raise RecordError("`portal` cannot `resume`, as NNI's service begins again after an interruption; set `out` to another folder")
    if shares_study:
        raise RecordError("`storage` does not work with `portal`, as NNI's service shares no trials: leave one out")
    _check_paths({"`out`": out or Path("runs"), "trialCodeDirectory": code_dir, "Python": Path(sys.executable)})
    if pins:
        raise RecordError(f"`fixed['{next(iter(pins))}']` does not work with `portal`: change the search space instead")
    own = {"optimize_mode": optimize_mode, "seed": seed}
    arguments = {**(tuner_arguments or {}), **{name: own[name] for name in tuner.served_with}}
    content: dict[str, Any] = {
        "experimentName": experiment or "retiarius",
        "searchSpace": search_space,
        "maxTrialNumber": trials,
        "tuner": {"name": tuner.name, "classArgs": arguments},
    }
    if pruner != NO_PRUNER:
        arguments = {**(assessor_arguments or {}), "optimize_mode": optimize_mode}
        arguments |= {} if start_step is None else {"start_step": start_step}
        content["assessor"] = {"name": SERVED_ASSESSORS[pruner].name, "classArgs": arguments}
    for key, seconds in (("maxExperimentDuration", time_budget), ("maxTrialDuration", trial_time)):
        if seconds is not None:
            content[key] = f"{max(1, round(seconds))}s"
    return content


def _check_paths(places: Mapping[str, Path]) -> None:
    """Raise ``RecordError`` on a path that NNI's shells and scripts do not quote: a blank would send a trial's output elsewhere."""
    for name, path in places.items():
        if unsafe := re.search(r"[^\w@%+=:,./~-]", str(path.absolute())):
            raise RecordError(
                f"`portal`: {name} is {path.absolute()}, and NNI's service does not support {unsafe[0]!r} in a path; use another folder"
            )
