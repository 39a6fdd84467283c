"""The other way round from ``nni_config``: settings of ours as an experiment for NNI's own service."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from common.errors import RecordError
from retiarius.cli.settings import Settings

# What NNI's service can run on today's libraries, by our names for it.
TUNERS = {"tpe": "TPE", "random": "Random", "grid": "GridSearch", "evolution": "Evolution"}
SEEDED = ("tpe", "random")
ASSESSORS = {"none": None, "median": "Medianstop"}


def make_experiment(settings: Settings, trials: int) -> dict[str, Any]:
    """The experiment that ``settings`` describe, with the keys of ``config.yml``, version 2, as far as it does not say what a trial runs.

    Raises:
        RecordError: settings that NNI's service cannot follow.
    """
    if settings.strategy not in TUNERS:
        raise RecordError(f"--portal runs NNI's own tuners, and {settings.strategy} is none of those that work; take {', '.join(TUNERS)}")
    if settings.pruner not in ASSESSORS:
        raise RecordError(
            f"--portal runs NNI's own assessors, and {settings.pruner} is none of those that work; take --pruner median, or none"
        )
    if settings.resume:
        raise RecordError("--resume: NNI's service begins anew after an interruption; name another folder with --out")
    for flag in ("--storage", "--study"):
        if flag in settings.trial_flags:
            raise RecordError(f"{flag}: NNI's service keeps its trials to itself, and joins no study; leave it out, or leave out --portal")
    # NNI's shells and scripts do not quote paths: a blank would send a trial's output into another file.
    places = {"--out": settings.out or Path("runs"), "trialCodeDirectory": settings.code_dir, "Python": Path(sys.executable)}
    for name, path in places.items():
        if unsafe := re.search(r"[^\w@%+=:,./~-]", str(path.absolute())):
            raise RecordError(f"--portal: {name} is {path.absolute()}: NNI's service cannot work with {unsafe[0]!r} in a path")
    if settings.pins:
        raise RecordError(f"--set {next(iter(settings.pins))}: NNI's service takes the search space as it is; change the file")
    mode: dict[str, Any] = {"optimize_mode": settings.optimize_mode}
    seed = {"seed": settings.seed} if settings.strategy in SEEDED else {}
    arguments = {} if settings.strategy in ("random", "grid") else mode
    tuner = {"name": TUNERS[settings.strategy], "classArgs": {**settings.tuner_arguments, **arguments, **seed}}
    experiment: dict[str, Any] = {"experimentName": settings.experiment or "retiarius", "searchSpace": settings.search_space}
    experiment |= {"maxTrialNumber": trials, "tuner": tuner}
    if settings.pruner != "none":
        start = {} if settings.start_step is None else {"start_step": settings.start_step}
        experiment["assessor"] = {"name": ASSESSORS[settings.pruner], "classArgs": {**settings.assessor_arguments, **mode, **start}}
    for key, seconds in (("maxExperimentDuration", settings.time_budget), ("maxTrialDuration", settings.trial_time)):
        if seconds is not None:
            experiment[key] = f"{max(1, round(seconds))}s"
    return experiment
