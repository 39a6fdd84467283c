"""NNI's ``config.yml`` of both versions, as flags of ours; what does not apply is said, what is wrong is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from nni_options import SPACE, V2, adopt

from common.errors import RecordError
from nni_compat.algorithms import ASSESSORS, SERVED_ASSESSORS, SERVED_TUNERS, TUNERS, find_assessor, find_tuner
from nni_compat.config import NniConfig, load_config
from nni_compat.files import read_search_space, read_yaml
from strategies import PRUNERS, STRATEGIES

V1 = """
authorName: default
experimentName: lab8
trialConcurrency: 2
maxExecDuration: 2h
maxTrialNum: 20
trainingServicePlatform: local
searchSpacePath: search_space.json
useAnnotation: false
tuner:
  builtinTunerName: TPE
  classArgs:
    optimize_mode: maximize
assessor:
  builtinAssessorName: Medianstop
  classArgs: {optimize_mode: maximize, start_step: 4}
trial:
  command: python main.py
  codeDir: code
  gpuNum: 0
"""


@pytest.fixture(autouse=True)
def space_file(tmp_path: Path) -> None:
    (tmp_path / "search_space.json").write_text(json.dumps(SPACE))


def load(folder: Path, text: str) -> NniConfig:
    path = folder / "config.yml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


@pytest.mark.parametrize("text", [V1, V2])
def test_both_versions_say_the_same(tmp_path: Path, text: str) -> None:
    config = load(tmp_path, text)
    assert (config.experiment, config.strategy, config.pruner, config.start_step) == ("lab8", "tpe", "median", 4)
    assert (config.trials, config.concurrency, config.time_budget, config.optimize_mode) == (20, 2, 7200, "maximize")
    assert config.search_space == SPACE
    assert (config.trial_command, config.code_dir) == ("python main.py", tmp_path / "code"), "relative to the file's folder"
    assert [note.text.split()[0:2] for note in config.notes] == [["assessor", "Medianstop"]]


def test_keys_may_be_written_in_any_case_and_with_underscores(tmp_path: Path) -> None:
    config = load(tmp_path, "max_trial_number: 3\nTrialConcurrency: 4\nsearch_space: {x: {_type: choice, _value: [1]}}")
    assert (config.trials, config.concurrency) == (3, 4)
    assert config.search_space == {"x": {"_type": "choice", "_value": [1]}}


def test_names_lead_to_strategies_and_pruners_that_are_there() -> None:
    assert {tuner.strategy for tuner in TUNERS} <= set(STRATEGIES)
    assert {tuner.pruner for tuner in TUNERS if tuner.pruner} | {assessor.pruner for assessor in ASSESSORS} <= set(PRUNERS)
    assert all(tuner.is_same for tuner in TUNERS if tuner.is_offered)


def test_the_one_table_is_read_both_ways() -> None:
    for tuner in TUNERS:
        assert find_tuner(tuner.name.upper()) is find_tuner("_".join(tuner.name)) is tuner
    for assessor in ASSESSORS:
        assert find_assessor(assessor.name.lower()) is assessor
    assert find_tuner("Medianstop") is find_assessor("TPE") is None
    assert {strategy: tuner.name for strategy, tuner in SERVED_TUNERS.items()} == {
        "tpe": "TPE",
        "random": "Random",
        "grid": "GridSearch",
        "evolution": "Evolution",
    }
    assert {pruner: assessor.name for pruner, assessor in SERVED_ASSESSORS.items()} == {"median": "Medianstop"}
    assert all(tuner.is_same for tuner in SERVED_TUNERS.values())


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("trialGpuNumber: 1", "trialGpuNumber has no effect: trials are assigned no GPU"),
        ("trainingService: {platform: local, useActiveGpu: true}", "trainingService.useActiveGpu has no effect"),
        ("localConfig: {maxTrialNumPerGpu: 2}", "trainingService.maxTrialNumPerGpu has no effect"),
        ("experimentWorkingDirectory: here", "the search runs on this machine only, and writes its results to --out DIR"),
        ("logLevel: debug", "log.txt in the run's folder has everything"),
        ("port: 8080", "port has no effect without --portal, which opens NNI's portal"),
        ("nniManagerIp: 10.0.0.1", "nniManagerIp has no effect: the search runs on this machine only"),
        ("tuner: {name: Anneal}", "tuner Anneal is not supported; the closest, --strategy tpe, is used instead"),
        (
            "tuner: {name: TPE}",
            "results are maximised, as the tuner's classArgs have no optimize_mode (some of NNI's tuners would minimise)",
        ),
        ("tuner: {name: Evolution, classArgs: {population_size: 5}}", "tuner.classArgs.population_size has no effect"),
        (
            "assessor: {name: Curvefitting, classArgs: {epoch_num: 8}}",
            "Curvefitting is not supported; the closest, --pruner median, is used instead",
        ),
        ("trialConcurrency: 1", "maxTrialNumber is missing: the number of trials comes from --trials or --preset"),
    ],
)
def test_what_does_not_apply_is_said(tmp_path: Path, text: str, note: str) -> None:
    load(tmp_path, text + "\nsearchSpace: {x: {_type: choice, _value: [1]}}\ntrialCommand: python main.py")
    _, notes = adopt(config=tmp_path / "config.yml")
    assert any(note in line for line in notes)
    assert all(line.isprintable() for line in notes)


def test_the_assessor_may_say_what_is_better(tmp_path: Path) -> None:
    config = load(tmp_path, "tuner: {name: Random}\nassessor: {name: Medianstop, classArgs: {optimize_mode: minimize}}")
    assert config.optimize_mode == "minimize"
    assert not any("maximised" in note.text for note in config.notes)


def test_merge_keys_are_yaml(tmp_path: Path) -> None:
    shared = "searchSpace: {a: &c {_type: choice, _value: [1, 2]}, b: {<<: *c, _value: [3]}}"
    assert load(tmp_path, shared).search_space["b"] == {"_type": "choice", "_value": [3]}


def test_what_asks_for_nothing_is_not_worth_a_line(tmp_path: Path) -> None:
    text = "maxTrialNumber: 2\ntrialGpuNumber: 0\ndebug: false\nnniManagerIp:\ntrainingService: {platform: local, maxTrialNumberPerGpu: 1}"
    assert load(tmp_path, text).notes == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maxTrialNumbr: 3", "unknown key 'maxTrialNumbr'; closest known: maxTrialNumber"),
        ("trialConcurrency: 0", "trialConcurrency is 0; expected a whole number of at least 1"),
        ("trialConcurrency: true", "trialConcurrency is True; expected a whole number"),
        ("maxTrialNumber: '20'", "maxTrialNumber is '20'; expected a whole number"),
        ("maxTrialNum: 3\nmaxTrialNumber: 3", "maxTrialNum and maxTrialNumber mean the same; leave one out"),
        ("maxExperimentDuration: soon", "maxExperimentDuration is 'soon'; expected a time such as 30m, 2h or 1d, or a number of seconds"),
        ("maxExecDuration: 0", "is 0; expected a time such as 30m, 2h or 1d, or a number of seconds"),
        ("maxTrialDuration: [1]", "; expected a time such as 30m, 2h or 1d, or a number of seconds"),
        ("searchSpaceFile: missing.json", "missing.json: no such file"),
        ("searchSpaceFile: search_space.json\nsearchSpace: {}", "searchSpace and searchSpaceFile cannot be combined; leave one out"),
        ("useAnnotation: true", "useAnnotation is not supported; write a search_space.json and set searchSpaceFile"),
        ("trainingService: {platform: kubeflow}", "the platform 'kubeflow' is not supported; expected local"),
        (
            "trainingService: {platform: remote}",
            "the platform 'remote' is not supported; expected local; for other machines, start Ray on each of the machineList",
        ),
        ("trainingServicePlatform: pai", "the platform 'pai' is not supported;"),
        ("tuner: {name: PBTTuner}", "'PBTTuner' is not supported; supported: TPE, Random, GridSearch"),
        ("tuner: {classArgs: {}}", "the name is missing, such as 'name: TPE'"),
        (
            "tuner: {className: mine.Tuner, codeDirectory: .}",
            "own tuners and assessors are not supported; write a strategy instead (CONTRIBUTING.md)",
        ),
        ("tuner: {name: TPE, classArgs: {optimize_mode: best}}", "optimize_mode is 'best'; expected maximize or minimize"),
        ("tuner: {name: TPE, classArgs: {seed: 99999999999}}", "seed is 99999999999; expected a whole number from 0 to 4294967295"),
        ("tuner: {name: TPE}\nadvisor: {name: BOHB}", "tuner and advisor cannot be combined; leave one out"),
        (
            "tuner: {name: TPE, classArgs: {optimize_mode: minimize}}\nassessor: {name: Medianstop, classArgs: {optimize_mode: maximize}}",
            "optimize_mode is maximize, and the tuner's is minimize",
        ),
        ("tuner: {name: BOHB}\nassessor: {name: Medianstop}", "the tuner stops trials itself"),
        ("assessor: {name: Patience}", "'Patience' is not supported; supported: Medianstop, Curvefitting"),
        ("tuner: TPE", "'TPE'; expected keys and values, such as 'trialConcurrency: 2'"),
        ("trialCommand: x\ntrial: {command: x}", "is of version 1"),
        ("trialCommand: ''", "trialCommand is ''; expected a string"),
        ("experimentType: nas", "only experiments of type hpo are supported; for NAS, use --space and --strategy"),
        ("- 1\n- 2", "expected keys and values, such as 'trialConcurrency: 2'"),
        ("just a text", "'just a text'; expected keys and values, such as 'trialConcurrency: 2'"),
        ("", "the file is empty; expected a YAML file"),
        ("a: [1", "not YAML: line 1, column 6"),
        ("a: 1\na: 2", "line 2: the key 'a' appears twice in one object"),
        ("a: &x [*x]", "line 1: an alias refers to an object that contains it"),
        ("a: !!python/object/apply:os.system [echo]", "not YAML: line 1, column 4: could not determine a constructor"),
        ("{[1]: 2}", "not YAML"),
        ("a: 2020-99-99", "not readable as YAML: month"),
        ("a: \x07", "not readable as YAML: unacceptable character"),
        ("[" * 5000, "not readable as YAML: nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecordError) as error:
        load(tmp_path, text)
    assert message in str(error.value)
    assert str(error.value).isprintable()


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="is not UTF-8 text; expected a YAML file"):
        read_yaml(tmp_path / "binary.yml")
    with pytest.raises(RecordError, match="this is a folder; expected a YAML file"):
        read_yaml(tmp_path)


def test_numbers_without_a_point_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("lr: {_type: loguniform, _value: [1e-4, 1E-1]}")
    assert yaml.safe_load("1e-4") == "1e-4", "PyYAML has learnt YAML 1.2: the resolver can go"
    assert read_search_space(path) == {"lr": {"_type": "loguniform", "_value": [1e-4, 0.1]}}


def test_the_wrong_one_of_the_two_files_is_told_apart(tmp_path: Path) -> None:
    config, space = tmp_path / "config.yml", tmp_path / "search_space.json"
    config.write_text("trial_command: python main.py\nsearchSpaceFile: search_space.json\n")
    space.write_text(json.dumps({"trial": {"_type": "choice", "_value": [1, 2]}, "tuner": {"_type": "uniform", "_value": [0, 1]}}))
    with pytest.raises(RecordError, match="is a configuration, not a search space: use it with --config"):
        read_search_space(config)
    with pytest.raises(RecordError, match="is a search space, not a configuration: use it with --search-space"):
        load_config(space)
    assert set(read_search_space(space)) == {"trial", "tuner"}, "parameters may have any name"


@pytest.mark.parametrize(("name", "content"), [("space.json", "null"), ("space.yml", "# nothing yet")])
def test_a_search_space_with_nothing_in_it(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(RecordError, match="the file is empty; expected a search space such as"):
        read_search_space(tmp_path / name)


def test_a_search_space_that_is_not_json(tmp_path: Path) -> None:
    path = tmp_path / "space.json"
    path.write_text('{"lr": {"_type": "uniform", "_value": [0, NaN]}}')
    with pytest.raises(RecordError, match="NaN is not JSON"):
        read_search_space(path)
