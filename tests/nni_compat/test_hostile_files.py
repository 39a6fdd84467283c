"""NNI's files that are made to harm: aliases that stand for more than any memory holds, characters that no terminal should get."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
from nni_options import adopt

from common.errors import EvaluatorError, RecordError, SpaceError
from nni_compat.config import load_config
from nni_compat.files import MOST_VALUES, read_search_space, read_yaml
from nni_compat.search_space import parse_search_space
from nni_compat.trial_command import TrialCommand, check_command


def laughs(levels: int = 9) -> str:
    """A list in which each member stands ten times in the next one; 10 to the power of ``levels`` texts."""
    names = "abcdefghijklm"[:levels]
    lines = ["&a [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"&{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in itertools.pairwise(names)]
    return f"[{', '.join(lines)}]"


TOP = ("experimentName", "authorName", "description", "experimentType", "trialConcurrency", "maxTrialNum", "maxTrialNumber")
TOP += ("maxExecDuration", "maxExperimentDuration", "maxTrialDuration", "webPort", "port", "useAnnotation", "multiPhase")
TOP += ("searchSpacePath", "searchSpaceFile", "searchSpace", "trialCommand", "trialCodeDirectory", "trial", "tuner", "advisor", "assessor")
TOP += ("localConfig", "trainingService", "trainingServicePlatform", "trialGpuNumber", "nniManagerIp", "debug", "unknownKey", "<<")
INNER = ("trial: {command: %s}", "trial: {codeDir: %s}", "tuner: {name: %s}", "tuner: {builtinTunerName: %s}", "tuner: {className: %s}")
INNER += (
    "tuner: {name: TPE, classArgs: %s}",
    "tuner: {name: TPE, classArgs: {optimize_mode: %s}}",
    "tuner: {name: TPE, classArgs: {seed: %s}}",
)
INNER += ("tuner: {name: TPE, classArgs: {other: %s}}", "assessor: {name: %s}", "assessor: {name: Medianstop, classArgs: {start_step: %s}}")
INNER += ("assessor: {name: Medianstop, classArgs: {other: %s}}", "trainingService: {platform: %s}", "trainingService: {reuseMode: %s}")
INNER += ("searchSpace: {x: %s}", "searchSpace: {x: {_type: %s, _value: [1]}}", "searchSpace: {x: {_type: choice, _value: %s}}")
INNER += ("searchSpace: {x: {_type: uniform, _value: [0, %s]}}", "tuner: {%s: 1}", "? %s\n: 1", "- %s")
PLACES = (*(f"{key}: %s" for key in TOP), *INNER, "%s")


@pytest.mark.parametrize("place", PLACES)
def test_aliases_that_stand_for_too_much_are_refused_at_once_wherever_they_are(tmp_path: Path, place: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text(place % laughs())
    assert path.stat().st_size < 1000
    start = time.process_time()
    for read in (load_config, read_search_space):
        with pytest.raises(RecordError) as error:
            read(path)
        assert str(error.value) == f"{path}: its aliases expand to more than {MOST_VALUES:,} values; write the values out"
    assert time.process_time() - start < 2


def test_aliases_of_maps_and_merges_are_counted_too(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    maps = ["a: &a {1: x, 2: x, 3: x, 4: x, 5: x}"]
    merged = ["a: &a {1: x, 2: x, 3: x, 4: x, 5: x}"]
    for before, name in zip("abcdefghij", "bcdefghijk", strict=True):
        maps.append(f"{name}: &{name} {{1: *{before}, 2: *{before}, 3: *{before}, 4: *{before}, 5: *{before}}}")
        merged.append(f"{name}: &{name} {{<<: [*{before}, *{before}, *{before}, *{before}, *{before}]}}")
    for lines in (maps, merged):
        path.write_text("\n".join(lines))
        with pytest.raises(RecordError, match="its aliases expand to more than"):
            read_yaml(path)


@pytest.mark.parametrize("text", ["a: &x [*x]", "&x {a: {b: *x}}", "a: &x {<<: *x}"])
def test_what_stands_for_itself_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yml").write_text(text)
    with pytest.raises(RecordError, match="line 1: an alias refers to an object that contains it"):
        read_yaml(tmp_path / "config.yml")


def test_aliases_that_spare_typing_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.yml"
    path.write_text(laughs(4))
    assert json.dumps(read_yaml(path)).count("ha") == 11_110
    path.write_text("searchSpace: {a: &c {_type: choice, _value: [1, 2]}, b: *c}")
    assert load_config(path).search_space["b"] == {"_type": "choice", "_value": [1, 2]}
    monkeypatch.setattr("nni_compat.files.MOST_VALUES", 100)
    path.write_text(f"[{'1,' * 1000} &a 2, *a]")
    assert len(read_yaml(path)) == 1002, "without aliases there may be as many values as the file has room for"


@pytest.mark.slow
def test_many_keys_are_read_in_time(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("".join(f"k{number}: 1\n" for number in range(20_000)))
    start = time.process_time()
    assert len(read_yaml(tmp_path / "config.yml")) == 20_000
    assert time.process_time() - start < 20, "keys are compared once, not each with each"


UNSEEN = (r"nul\0", r"half\ud800", r"\x1b[31mred", r"line\nend", r"turn\u202eed")
TEXTS = ("experimentName: %s", "trialCommand: %s", "trialCodeDirectory: %s", "searchSpaceFile: %s", "tuner: {name: %s}")
TEXTS += ("assessor: {name: %s}", "trainingService: {platform: %s}", "tuner: {name: TPE, classArgs: {optimize_mode: %s}}")
TEXTS += ("tuner: {name: TPE, classArgs: {%s: 1}}", "%s: 1", "tuner: {%s: 1}", "{%s: 1, %s: 2}", "maxTrialDuration: %s")
TEXTS += ("searchSpace: {%s: {_type: uniform, _value: [1]}}", "searchSpace: {x: {_type: %s, _value: []}}", "trial: {codeDir: %s}")


@pytest.mark.parametrize("place", TEXTS)
@pytest.mark.parametrize("text", UNSEEN)
def test_what_has_no_ink_never_gets_to_the_terminal(tmp_path: Path, place: str, text: str) -> None:
    path = tmp_path / "config.yml"
    content = place.replace("%s", f'"{text}"')
    path.write_text(content if "earchSpace" in content else f"{content}\nsearchSpace: {{x: {{_type: choice, _value: [1]}}}}\n")
    try:
        options, notes = adopt(config=path)
        assert all(note.isprintable() for note in notes)
        parse_search_space(options["search_space"])
        check_command(options["trial_command"] or "true", options["code_dir"] or tmp_path)
    except (RecordError, SpaceError, EvaluatorError) as error:
        assert str(error).isprintable() and len(str(error)) < 2000


@pytest.mark.parametrize("command", ["python \ud800.py", "echo \0", "\udfff"])
def test_a_command_that_no_program_can_be_given_is_refused(tmp_path: Path, command: str) -> None:
    with pytest.raises(EvaluatorError, match="has a character that cannot be passed to a program: NUL, or an unpaired surrogate") as error:
        check_command(command, tmp_path)
    assert str(error.value).isprintable()


def test_parameters_with_half_a_character_reach_the_trial(tmp_path: Path) -> None:
    trial = TrialCommand("true", tmp_path, tmp_path / "trials").start(0, {"name": "\ud800"})
    try:
        content: Any = json.loads((tmp_path / "trials/0/parameter.cfg").read_text())
        assert content["parameters"] == {"name": "\ud800"}
    finally:
        trial.stop()


@pytest.mark.parametrize("read", [load_config, read_search_space, read_yaml])
def test_that_this_is_a_folder_is_said_once(tmp_path: Path, read: Any) -> None:
    with pytest.raises(RecordError) as error:
        read(tmp_path)
    assert str(error.value).count("this is a folder") == str(error.value).count(str(tmp_path)) == 1


def test_names_of_parameters_have_a_length() -> None:
    long = "x" * 400_000
    parameter = {"_type": "uniform", "_value": [0, 1]}
    inner = {f"p{number}": parameter for number in range(2000)}
    for document in ({long: parameter}, {"p": {"_type": "choice", "_value": [{"_name": long, **inner}]}}):
        with pytest.raises(SpaceError, match="a name of 400,000 characters, more than 1,000") as error:
            parse_search_space(document)
        assert len(str(error.value)) < 300
