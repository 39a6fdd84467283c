"""How much each label of a search mattered."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

from common.trial import Trial
from records.report.labels import varied_labels
from records.report.text import as_number

LEAST_TRIALS = 10
EVALUATOR = "PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255), by Optuna"


def measure_importance(trials: Sequence[Trial]) -> dict[str, float] | str:
    """Label to importance, the most important first, from completed trials; or a sentence that says why there is none.

    PED-ANOVA compares the distribution of a label's values among the best tenth of the trials with that among all of them; the shares
    add up to 1.
    """
    labels = varied_labels(trials)
    if not labels:
        return "Importance needs completed trials that differ in something."
    if len(trials) < LEAST_TRIALS:
        return f"Importance needs at least {LEAST_TRIALS} completed trials; there are {len(trials)}."
    if len({trial.score for trial in trials}) == 1:
        return "All completed trials have the same score: nothing made a difference."
    import optuna

    previous = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(direction="maximize")
            study.add_trials(_as_optuna(trials, labels))
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError) as error:  # values of which Optuna can make no distribution
        return f"Importance could not be computed: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    finally:
        optuna.logging.set_verbosity(previous)
    return dict(sorted(((label, float(share)) for label, share in shares.items()), key=lambda item: -item[1]))


def _as_optuna(trials: Sequence[Trial], labels: Sequence[str]) -> list[Any]:
    """The trials as Optuna has them; what is not a number on a range is one of the values that occurred."""
    import optuna

    columns: dict[str, list[Any]] = {label: [trial.sample.get(label) for trial in trials] for label in labels}
    distributions: dict[str, Any] = {}
    for label, values in columns.items():
        numbers = [as_number(value) for value in values]
        present = [number for number in numbers if number is not None]
        if len(present) == len(values) and any(isinstance(value, float) for value in values):
            low, high = min(present), max(present)
            distributions[label] = optuna.distributions.FloatDistribution(low, high, log=low > 0 and high / low > 50)
        else:
            columns[label] = [json.dumps(value, sort_keys=True) for value in values]
            distributions[label] = optuna.distributions.CategoricalDistribution(sorted(set(columns[label])))
    return [
        optuna.trial.create_trial(params={label: columns[label][index] for label in labels}, distributions=distributions, value=trial.score)
        for index, trial in enumerate(trials)
    ]
