"""The benchmark of any space: what counts, what its table says, and that its checks can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmark_program import run_benchmark
from bright_bars import make_data

import retiarius as rt
from benchmarks import any_space
from benchmarks.any_space import HUB, OWN, QUICK, SPACES, Outcome, format_table, retrain, search, summarize, write_images


@pytest.mark.slow
def test_one_space_is_tried_and_the_last_line_is_one_object() -> None:
    done = run_benchmark("any_space", "--quick", "--only", "NasBench201", "ValuesOfLayers", "--processes", "1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"spaces": 1, "searched": 1, "retrained": 1, "one_shot": 1}
    assert "ValuesOfLayers: one-shot: late_dropout is a range" in done.stderr


def test_all_eleven_of_the_hub_are_there() -> None:
    import nni.nas.hub.pytorch as hub

    names = [name.removeprefix(HUB) for name in SPACES if name.startswith(HUB)]
    assert len(set(names)) == 11 and all(hasattr(hub, name) for name in names)


def test_what_went_wrong_is_a_no_with_its_reason() -> None:
    good, bad = Outcome(f"{HUB}ENAS", dict.fromkeys(any_space.COLUMNS)), Outcome(f"{HUB}PNAS", dict.fromkeys(any_space.COLUMNS))
    bad.note("tpe", lambda: 1 / 0)
    bad.note("tpe", lambda: None)  # a second step that goes well does not make up for it
    data = make_data()
    *_, reason = lines = format_table([good, bad], data, QUICK).splitlines()
    assert "| `ENAS` | yes | yes | yes | yes | yes |" in lines and "| `PNAS` | yes | no | yes | yes | yes |" in lines
    assert reason.startswith("- `PNAS`, tpe: ZeroDivisionError")
    assert summarize([good, bad, Outcome(f"{OWN}ValuesOfLayers")], ["random", "tpe"]) == {
        "spaces": 2,
        "searched": 1,
        "retrained": 2,
        "one_shot": 2,
    }
    assert not Outcome("untried").went_well("tpe")


@pytest.mark.slow
def test_a_record_that_says_something_else_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, name = rt.load_data("digits", limit=64), f"{OWN}CellsAndDepths"
    write_images(data, tmp_path / "images")
    best = search(name, {"width": 8}, rt.Random(), data, QUICK, tmp_path / "run")
    retrain(name, best, data, tmp_path / "images", tmp_path / "good")
    relabelled = rt.load_data("digits", limit=64)
    relabelled.test.labels.zero_()
    with pytest.raises(ValueError, match="the network answers with"):
        retrain(name, best, relabelled, tmp_path / "images", tmp_path / "other")
    monkeypatch.setattr(any_space, "count_parameters", lambda network: 1)
    with pytest.raises(ValueError, match=r"the network of best\.json has 1 parameters"):
        search(name, {"width": 8}, rt.Random(), data, QUICK, tmp_path / "wrong")
