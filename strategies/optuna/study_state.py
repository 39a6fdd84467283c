"""A study of Optuna's as plain data, for NNI's checkpoints."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState, create_trial


def describe_study(study: optuna.Study) -> dict[str, Any]:
    """Return the trials of a study that have ended, with all that samplers know of them."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    named = {name: distribution for trial in trials for name, distribution in trial.distributions.items()}
    return {
        "distributions": {name: distribution_to_json(distribution) for name, distribution in named.items()},
        "trials": [_describe(trial) for trial in trials],
    }


def _describe(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "state": trial.state.name,
        "values": None if trial.values is None else list(trial.values),
        "params": dict(trial.params),
        "intermediate_values": dict(trial.intermediate_values),
        "system_attrs": dict(trial.system_attrs),  # violated constraints, and of which generation it is
    }


def add_described(study: optuna.Study, state: dict[str, Any]) -> None:
    """Add the trials that ``describe_study`` gave to a study."""
    distributions = {name: json_to_distribution(text) for name, text in state["distributions"].items()}
    for told in state["trials"]:
        own = {name: distributions[name] for name in told["params"]}
        study.add_trial(create_trial(**{**told, "state": TrialState[told["state"]], "distributions": own}))
