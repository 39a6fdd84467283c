"""best.json: what is written is what is read, and what is wrong is named in one line, without running anything."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from common.errors import RecordError
from records.best import BestArchitecture, check_architecture, load_best, save_best

ARCHITECTURE = {"normal/edge_0_2": "sep_conv_3x3", "normal/inputs_2": [0, 1], "reduce/edge_0_2": "skip_connect"}
FIELDS: dict[str, Any] = {
    "space_name": "darts",
    "space_arguments": {"width": 16, "n_cells": 8},
    "architecture": ARCHITECTURE,
    "hyperparameters": {"initial_lr": 0.025, "optimizer": "sgd", "grad_clip": None, "nesterov": False},
    "score": {"metric": "validation accuracy", "value": 0.9123, "epochs": 3},
    "dataset": {"name": "cifar10", "n_train": 25_000},
    "strategy": {"name": "darts"},
    "seed": 0,
    "parameters": 199_762,
    "flops": 10**12,
    "versions": {"python": "3.11.7"},
}
OPERATIONS = ["none", "skip_connect", "sep_conv_3x3", "max_pool_3x3"]
CHOICES: dict[str, dict[str, Any]] = {
    "normal/edge_0_2": {"kind": "one", "values": OPERATIONS},
    "normal/inputs_2": {"kind": "several", "values": [0, 1, 2], "n_chosen": 2},
    "reduce/edge_0_2": {"kind": "one", "values": OPERATIONS},
}


def get_message(error: pytest.ExceptionInfo[RecordError]) -> str:
    message = str(error.value)
    assert "\n" not in message and len(message) < 1000, "an error message is one line"
    return message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_best(tmp_path / "best.json", **FIELDS)
    return tmp_path / "best.json"


def test_round_trip(path: Path) -> None:
    best = load_best(path)
    assert isinstance(best, BestArchitecture)
    assert {name: getattr(best, name) for name in FIELDS} == FIELDS
    assert list(best.architecture) == list(ARCHITECTURE)
    assert best.created.endswith("+00:00")


def test_the_file_is_version_1_as_designed(path: Path) -> None:
    document = json.loads(path.read_text())
    created = document.pop("created")
    assert len(created) == len("2026-01-31T12:00:00+00:00")
    assert document == {
        "format": "retiarius-architecture",
        "version": 1,
        "space": {"name": "darts", "arguments": {"width": 16, "n_cells": 8}},
        **{name: value for name, value in FIELDS.items() if not name.startswith("space")},
    }
    assert list(document)[:4] == ["format", "version", "space", "architecture"]


def test_what_is_unknown_may_be_null(tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"score": None, "seed": None, "parameters": None, "flops": None}
    save_best(tmp_path / "best.json", **{**FIELDS, **nothing})
    best = load_best(tmp_path / "best.json")
    assert (best.score, best.seed, best.parameters, best.flops) == (None, None, None, None)


def test_tuples_are_written_as_lists_and_saving_twice_replaces(path: Path) -> None:
    save_best(path, **{**FIELDS, "architecture": {"normal/inputs_2": (1, 2)}})
    assert load_best(path).architecture == {"normal/inputs_2": [1, 2]}


@pytest.mark.parametrize(
    "bad",
    [
        {"score": {"metric": "validation accuracy", "value": math.nan, "epochs": 3}},
        {"architecture": {"a": {"nested": 1}}},
        {"seed": -1},
        {"space_name": ""},
        {"dataset": {"mean": math.inf}},
    ],
)
def test_what_could_not_be_read_again_is_not_written(path: Path, bad: dict[str, Any]) -> None:
    before = path.read_bytes()
    with pytest.raises(RecordError) as error:
        save_best(path, **{**FIELDS, **bad})
    get_message(error)
    assert path.read_bytes() == before


MISSING = object()


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (
            ["format"],
            MISSING,
            "not a best.json: found no 'format' at all, expected the format 'retiarius-architecture'",
        ),
        (["format"], "retiarius-run", "found 'retiarius-run', expected the format 'retiarius-architecture'"),
        (["version"], 2, "found version 2, this program reads version 1"),
        (["version"], "1", "found version '1', this program reads version 1"),
        (["version"], True, "found version True, this program reads version 1"),
        (["version"], MISSING, "the key 'version' is missing"),
        (["space"], "darts", "'space' is the string 'darts', expected an object"),
        (["space", "name"], MISSING, "the key 'space.name' is missing"),
        (["space", "name"], 3, "'space.name' is 3, expected the name of a search space"),
        (["space", "arguments"], [1], "'space.arguments' is the list [1], expected an object"),
        (["architecture"], MISSING, "the key 'architecture' is missing"),
        (["architecture"], "DARTS_V2", "'architecture' is the string 'DARTS_V2', expected an object"),
        (["architecture", "normal/inputs_2"], {"a": 1}, "'architecture' has {'a': 1} at 'normal/inputs_2'"),
        (["architecture", "normal/inputs_2"], [[0], 1], "'architecture' has [[0], 1] at 'normal/inputs_2'"),
        (["hyperparameters"], None, "'hyperparameters' is the null None, expected an object"),
        (["hyperparameters", "initial_lr"], [0.1], "'hyperparameters' has [0.1] at 'initial_lr'"),
        (["score"], 0.9, "'score' is the number 0.9, expected an object"),
        (["score", "value"], "0.9", "'score.value' is '0.9', expected a finite number"),
        (["score", "value"], 10**400, "'score.value' is 1000000"),
        (["score", "value"], True, "'score.value' is True, expected a finite number"),
        (["score", "metric"], MISSING, "the key 'score.metric' is missing"),
        (["dataset"], "cifar10", "'dataset' is the string 'cifar10', expected an object"),
        (["strategy"], MISSING, "the key 'strategy' is missing"),
        (["seed"], 0.5, "'seed' is 0.5, expected a whole number of at least 0, or null"),
        (["parameters"], False, "'parameters' is False, expected a whole number"),
        (["flops"], -1, "'flops' is -1, expected a whole number"),
        (["created"], 5, "'created' is 5, expected a time"),
        (["versions"], [], "'versions' is the list [], expected an object"),
    ],
)
def test_a_wrong_form_is_named(path: Path, keys: list[str], value: object, said: str) -> None:
    document = json.loads(path.read_text())
    inner = document
    for key in keys[:-1]:
        inner = inner[key]
    if value is MISSING:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    path.write_text(json.dumps(document))
    with pytest.raises(RecordError) as error:
        load_best(path)
    assert said in get_message(error) and str(path) in get_message(error)


@pytest.mark.parametrize("text", ["[1]", '"x"', "null", "3"])
def test_what_is_not_an_object_is_named(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(RecordError, match="expected an object with the key 'format'"):
        load_best(path)


def test_every_truncation_is_refused(path: Path) -> None:
    data = path.read_bytes().rstrip()
    for end in range(len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(RecordError) as error:
            load_best(path)
        get_message(error)


def test_damaged_files_are_refused_or_read_but_nothing_else_happens(path: Path) -> None:
    generator = random.Random(0)
    data = path.read_bytes()
    refused = 0
    for _ in range(1000):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            position = generator.randrange(len(damaged))
            damaged[position : position + generator.randint(0, 3)] = generator.randbytes(generator.randint(0, 3))
        path.write_bytes(damaged)
        try:
            assert isinstance(load_best(path), BestArchitecture)
        except RecordError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 500


# --- against a space --------------------------------------------------------------------------------------------------


def test_a_legal_architecture_passes() -> None:
    check_architecture(ARCHITECTURE, CHOICES)
    check_architecture({**ARCHITECTURE, "normal/inputs_2": (2, 0)}, CHOICES)
    check_architecture({}, {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"normal/edge_0_2": "sep_conv_9x9"},
            "label 'normal/edge_0_2': found 'sep_conv_9x9'; legal: one of 'none', 'skip_connect', 'sep_conv_3x3', 'max_pool_3x3'",
        ),
        ({"normal/edge_0_2": ["none"]}, "label 'normal/edge_0_2': found ['none']; legal: one of 'none'"),
        ({"normal/edge_0_2": 0}, "label 'normal/edge_0_2': found 0; legal: one of 'none'"),
        (
            {"normal/inputs_2": "01"},
            "label 'normal/inputs_2': found the string '01' instead of a list; legal: a list of 2 of 0, 1, 2",
        ),
        ({"normal/inputs_2": 1}, "found the number 1 instead of a list"),
        ({"normal/inputs_2": [0, 3]}, "label 'normal/inputs_2': found 3 in [0, 3]; legal: a list of 2 of 0, 1, 2"),
        ({"normal/inputs_2": [0, True]}, "found True in [0, True]"),
        ({"normal/inputs_2": [0, 1.0]}, "found 1.0 in [0, 1.0]"),
        ({"normal/inputs_2": [1, 1]}, "found 1 twice in [1, 1]; legal: a list of 2 of 0, 1, 2, none twice"),
        ({"normal/inputs_2": [0]}, "found 1 choices, [0]; legal: a list of 2"),
        ({"normal/inputs_2": [0, 1, 2]}, "found 3 choices, [0, 1, 2]"),
        ({"normal/edge_0_3": "none"}, "unknown label 'normal/edge_0_3'; closest known: normal/edge_0_2"),
        ({"x" * 10_000: "none"}, "; known, for example: normal/edge_0_2, normal/inputs_2, reduce/edge_0_2"),
        ({"new\nline": "a\nb"}, "unknown label 'new\\nline'"),
    ],
)
def test_an_illegal_architecture_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RecordError) as error:
        check_architecture({**ARCHITECTURE, **changes}, CHOICES)
    assert said in get_message(error)


def test_missing_labels_are_named() -> None:
    with pytest.raises(RecordError) as error:
        check_architecture({"normal/edge_0_2": "none"}, CHOICES)
    message = get_message(error)
    assert "label 'normal/inputs_2' is missing (and 1 more are missing); it takes a list of 2 of 0, 1, 2" in message
    with pytest.raises(RecordError, match="this space has no labels"):
        check_architecture(ARCHITECTURE, {})


def test_numbers_booleans_and_tuples_are_kept_apart() -> None:
    choices: dict[str, dict[str, Any]] = {
        "depth": {"kind": "one", "values": [1, 2]},
        "ratio": {"kind": "one", "values": [0.5, 1.0]},
        "bias": {"kind": "one", "values": [True, False]},
        "kernel": {"kind": "one", "values": [(3, 3), (5, 5)]},
        "blocks": {"kind": "several", "values": ["a", "b"], "n_chosen": None},
    }
    legal = {"depth": 1, "ratio": 1, "bias": True, "kernel": [3, 3], "blocks": []}
    check_architecture(legal, choices)
    for label, bad in [
        ("depth", True),
        ("depth", 1.0),
        ("ratio", True),
        ("bias", 1),
        ("kernel", [3, 5]),
        ("kernel", 3),
    ]:
        with pytest.raises(RecordError, match=f"label '{label}'"):
            check_architecture({**legal, label: bad}, choices)
    with pytest.raises(RecordError, match=r"'c' in .*legal: a list of any number of 'a', 'b', none twice"):
        check_architecture({**legal, "blocks": ["a", "c"]}, choices)


def test_long_lists_of_legal_values_are_cut() -> None:
    choices = {"backbone": {"kind": "one", "values": [f"model_{number}" for number in range(500)]}}
    with pytest.raises(RecordError, match="'model_11' and 488 more") as error:
        check_architecture({"backbone": "x" * 1000}, choices)
    get_message(error)
