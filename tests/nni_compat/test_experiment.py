"""Settings of ours as an experiment for NNI's own service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nni_options import adopt, experiment_of

from common.errors import RecordError
from nni_compat.experiment import make_experiment

SPACE = {
    "initial_lr": {"_type": "uniform", "_value": [1e-4, 0.1]},
    "batch_size": {"_type": "choice", "_value": [64, 128]},
}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("search_space.json").write_text(json.dumps(SPACE))


def adopted(text: str, *, portal: bool = True, **given: Any) -> tuple[dict[str, Any], list[str]]:
    Path("config.yml").write_text("searchSpaceFile: search_space.json\ntrialCommand: python main.py\nmaxTrialNumber: 3\n" + text)
    return adopt(config=Path("config.yml"), portal=portal, **given)


def tuner_of(options: dict[str, Any]) -> Any:
    return experiment_of(options, 3)["tuner"]


def test_what_nnis_own_algorithms_take_reaches_them() -> None:
    text = "port: 8123\ntuner: {name: TPE, classArgs: {optimize_mode: minimize, tpe_args: {n_startup_jobs: 4}}}\n"
    options, notes = adopted(text)
    assert (notes, options["port"]) == ([], 8123)
    arguments = {"tpe_args": {"n_startup_jobs": 4}, "optimize_mode": "minimize", "seed": 0}
    assert tuner_of(options) == {"name": "TPE", "classArgs": arguments}
    options, notes = adopted(text, strategy="evolution", port=8124)
    assert notes == ["tuner.classArgs.tpe_args has no effect: a flag replaces the algorithm it belongs to"]
    assert (options["port"], tuner_of(options)) == (8124, {"name": "Evolution", "classArgs": {"optimize_mode": "minimize"}})
    options, notes = adopted(text, strategy="tpe")
    assert (notes, tuner_of(options)["classArgs"]) == ([], arguments)
    _, notes = adopted(text + "assessor: {name: Curvefitting}\n")
    assert [note.split(";")[0] for note in notes] == ["assessor Curvefitting is not supported"]
    _, notes = adopted(text, portal=False)
    assert [note.split(" has no effect: it is not supported")[0] for note in notes] == [
        "tuner.classArgs.tpe_args",
        "port has no effect without --portal, which opens NNI's portal",
    ]


def test_settings_become_an_experiment() -> None:
    text = "trialConcurrency: 2\nmaxTrialDuration: 2m\ntuner: {name: TPE, classArgs: {optimize_mode: minimize, seed: 7}}\n"
    text += "assessor: {name: Medianstop, classArgs: {start_step: 4}}\n"
    options, notes = adopted(text)
    assert options["concurrency"] == 1
    assert notes == ["trials run one at a time, not 2: NNI's service mixes up the results of parallel trials"]
    assert experiment_of(options, 3) == {
        "experimentName": "retiarius",
        "searchSpace": SPACE,
        "maxTrialNumber": 3,
        "tuner": {"name": "TPE", "classArgs": {"optimize_mode": "minimize", "seed": 7}},
        "assessor": {"name": "Medianstop", "classArgs": {"optimize_mode": "minimize", "start_step": 4}},
        "maxTrialDuration": "120s",
    }


@pytest.mark.parametrize(
    ("strategy", "arguments"),
    [
        ("tpe", {"optimize_mode": "maximize", "seed": 4}),
        ("random", {"seed": 4}),
        ("grid", {}),
        ("evolution", {"optimize_mode": "maximize"}),
    ],
)
def test_each_tuner_gets_what_it_takes(strategy: str, arguments: dict[str, Any]) -> None:
    experiment = make_experiment(search_space=SPACE, trials=1, strategy=strategy, seed=4, code_dir=Path())
    assert experiment["tuner"]["classArgs"] == arguments


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "gp"}, "`portal` runs NNI's own tuners, and gp is not one of them; use tpe, random, grid, evolution"),
        ({"pruner": "hyperband"}, "hyperband is not one of them; use the pruner median, or none"),
        ({"resume": True}, "`portal` cannot `resume`, as NNI's service begins again after an interruption; set `out` to another folder"),
        ({"shares_study": True}, "`storage` does not work with `portal`, as NNI's service shares no trials: leave one out"),
        ({"pins": {"batch_size": 64}}, "`fixed['batch_size']` does not work with `portal`: change the search space instead"),
        ({"out": Path("my runs")}, r"/my runs, and NNI's service does not support ' ' in a path; use another folder"),
    ],
)
def test_what_the_service_cannot_do(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as error:
        make_experiment(**{"search_space": SPACE, "trials": 1, "strategy": "tpe", "code_dir": Path(), **changes})
    assert message in str(error.value)
