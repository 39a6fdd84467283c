"""NNI's files, and the options of a run as a command line hands them to the adoption of such files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nni_compat.experiment import make_experiment
from nni_compat.options import adopt_nni_files

SPACE = {"initial_lr": {"_type": "uniform", "_value": [1e-4, 0.1]}}
V2 = """
experimentName: lab8
searchSpaceFile: search_space.json
trialCommand: python main.py
trialCodeDirectory: code
trialGpuNumber: 0
trialConcurrency: 2
maxTrialNumber: 20
maxExperimentDuration: 2h
tuner:
  name: TPE
  classArgs:
    optimize_mode: maximize
assessor:
  name: Medianstop
  classArgs: {optimize_mode: maximize, start_step: 4}
trainingService:
  platform: local
"""

_LEFT_OUT = ("config", "search_space", "trial_command", "space", "strategy", "pruner", "start_step", "seed", "trials", "concurrency")
_LEFT_OUT += ("time_budget", "trial_time", "optimize_mode", "code_dir", "experiment", "port", "workers", "retrain", "dashboard")
_OF_EXPERIMENTS = ("search_space", "strategy", "pruner", "start_step", "seed", "code_dir", "experiment", "optimize_mode", "time_budget")
_OF_EXPERIMENTS += ("trial_time", "tuner_arguments", "assessor_arguments")


def adopt(**given: Any) -> tuple[dict[str, Any], list[str]]:
    """The options after NNI's files were read, and the notes; what is not ``given`` was left out."""
    options = {**dict.fromkeys(_LEFT_OUT), "portal": False, "list": False, "report": [], **given}
    notes = adopt_nni_files(options)
    return options, notes


def experiment_of(options: dict[str, Any], trials: int) -> dict[str, Any]:
    """The experiment for NNI's own service that the options describe."""
    given = {name: options[name] for name in _OF_EXPERIMENTS if options.get(name) is not None}
    return make_experiment(**{"code_dir": Path(), **given}, trials=trials)
