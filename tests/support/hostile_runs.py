"""A run whose every text tries to be markup."""

from __future__ import annotations

import json
from pathlib import Path

from recorded_trials import make_trial
from report_runs import (
    DATASET,
    make_trials,
    write_best,
    write_config,
    write_retraining,
    write_search,
)

HOSTILE = "</script></title></style><img src=x onerror=alert(1)>\"'><b>$x_1$ | `&amp; \u202e\u2066\x00\x1b[31m\ud800 --> ]]>"


def make_hostile(root: Path) -> list[Path]:
    """A search, a one-shot search and a retraining with the hostile text wherever a file can hold text."""
    name = HOSTILE
    trials = []
    for trial in make_trials(24, epochs=2):
        architecture = {f"{name}{label}": f"{value}{name}" for label, value in trial.architecture.items()}
        architecture |= {f"{name}/edge_0_2": name, f"{name}/edge_1_2": f"b{name}", f"{name}/inputs_2": [0, 1]}
        values = {f"{name}{label}": f"{value}{name}" if isinstance(value, str) else value for label, value in trial.hyperparameters.items()}
        told = {"seconds": trial.seconds, "error": trial.error and name * 40, "finished": trial.finished, **trial.facts}
        trials.append(make_trial(trial.number, trial.state, architecture, values, trial.score, trial.curve, **told))
    search = write_search(root / "a<b>&'\"", trials, strategy=name)
    texts = {name: name}
    best = trials[0]
    write_best(search, name, name, best.architecture, best.hyperparameters, 0.5, trial=name)
    dataset = {**DATASET, "name": name}
    settings = {"space": name, "strategy": name, "retrain": None, "pins": texts, "dataset": name, name: name}
    identity = {
        "space": {"name": name, "arguments": texts},
        "dataset": dataset,
        "recipe": texts,
        "strategy": name,
        "trials": 99,
        "preset": name,
    }
    more = {"command": f"python {name}", "commit": name, "created": name, "versions": texts, "resumed": [texts]}
    write_config(search, settings, identity, **more)
    (search / "log.txt").write_text(f"{name}\n{name}\n".encode("utf-8", "replace").decode())
    one_shot = write_config(root / "one-shot", settings, identity, **more)
    epoch = {"number": 1, "train_loss": name, "train_accuracy": 0.5, "probabilities": {f"{name}/x": {name: 0.5, "b": 0.5}, name: name}}
    (one_shot / "epochs.jsonl").write_text(json.dumps(epoch) + "\n" + json.dumps({name: 1}) + "\n[]\n{")
    retraining = write_retraining(root / "retrain", name, {name: name}, 0.5, recipe=name)
    document = json.loads((retraining / "retrained.json").read_text())
    document |= {"epochs": name, "parameters": name, "hyperparameters": texts, "curve": [*document["curve"], name, {"number": name}]}
    (retraining / "retrained.json").write_text(json.dumps(document))
    return [search, one_shot, retraining]
