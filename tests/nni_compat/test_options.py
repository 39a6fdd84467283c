"""What NNI's files say to the options that were left out, and which notes are left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nni_options import SPACE, V2, adopt

from common.errors import RecordError


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("search_space.json").write_text(json.dumps(SPACE))


def adopted(text: str, **given: Any) -> tuple[dict[str, Any], list[str]]:
    Path("config.yml").write_text(text, encoding="utf-8")
    return adopt(config=Path("config.yml"), **given)


def picked(options: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(options[name] for name in names)


def test_the_file_fills_in_what_no_option_says() -> None:
    options, _ = adopted(V2)
    assert picked(options, "space", "strategy", "trials", "concurrency", "pruner") == (None, "tpe", 20, 2, "median")
    assert picked(options, "trial_command", "code_dir", "search_space") == ("python main.py", Path("code"), SPACE)
    options, _ = adopted(V2, trials=3, strategy="random", pruner="none", concurrency=1, seed=5)
    assert picked(options, "strategy", "trials", "concurrency", "pruner", "seed") == ("random", 3, 1, "none", 5)


def test_what_an_option_overrides_is_not_said_of_the_file() -> None:
    text = "searchSpaceFile: search_space.json\ntrialCommand: python main.py\ntuner: {name: Anneal}\nassessor: {name: Medianstop}\n"
    given: dict[str, Any] = {"strategy": "random", "pruner": "none", "trials": 3, "optimize_mode": "minimize"}
    assert len(adopted(text)[1]) == len(given)
    for name, value in given.items():
        assert len(adopted(text, **{name: value})[1]) == len(given) - 1, name


def test_a_space_that_is_named_takes_the_place_of_the_command() -> None:
    options, notes = adopted(V2, space="zoo")
    assert picked(options, "space", "trial_command", "concurrency", "workers") == ("zoo", None, None, 2)
    assert any("the trial command is not run" in note for note in notes)
    assert any("trialConcurrency 2: so many trainings run in parallel; for one at a time, use --workers 1" in note for note in notes)
    assert adopted(V2, space="zoo", concurrency=2)[0]["concurrency"] == 2, "which is refused: it goes with a trial command"
    assert adopted(V2, space="zoo", workers=1)[0]["workers"] == 1
    text = V2.replace("maximize", "minimize") + "maxTrialDuration: 1h\n"
    assert len(adopted(text, space="zoo")[1]) == len(notes) + 2


def test_a_search_space_alone_is_of_the_zoo() -> None:
    options, notes = adopt(search_space=Path("search_space.json"))
    assert (*picked(options, "space", "strategy", "search_space"), notes) == ("zoo", "tpe", SPACE, [])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trial_command": "python main.py"}, "--trial-command needs a search space: --search-space FILE"),
        ({"trial_command": "x", "space": "zoo", "search_space": Path("f")}, "--space and --trial-command"),
        (
            {"config": Path("f"), "space": "zoo", "portal": True},
            "--portal needs a trial command, and cannot be combined with --space: leave one out",
        ),
        ({"retrain": "best.json", "search_space": Path("f")}, "--search-space is for searches: leave it out"),
        ({"list": True, "config": Path("f")}, "--config is for searches: leave it out"),
        ({"config": Path("missing.yml")}, "missing.yml: no such file"),
    ],
)
def test_options_that_contradict_one_another(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as error:
        adopt(**given)
    assert message in str(error.value)
