"""Whole runs of NSGA-II, on a made-up table and by trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from few_digits import use_few_digits
from nasbench201_table import make_rows, remember_tables, write_made_up, write_table

from records.trials import TrialLog
from run_experiment import main

SEARCH = ["--space", "nasbench201", "--evaluator", "table", "--table", "table.csv.gz"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    remember_tables(monkeypatch)


def test_nsga2_finds_the_front_and_writes_it(capsys: pytest.CaptureFixture[str]) -> None:
    write_made_up(Path("table.csv.gz"))
    assert main([*SEARCH, "--strategy", "nsga2", "--trials", "120", "--out", "run"]) == 0
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert len(trials) == 120
    document = json.loads(Path("run/pareto.json").read_text())
    assert document["objectives"] == ["accuracy", "parameters"]
    points = [(point["objectives"]["accuracy"], point["objectives"]["parameters"]) for point in document["points"]]
    assert points == sorted(points, reverse=True)
    # In this table accuracy and size grow together: every number of convolutions that was tried is on the front.
    assert {parameters for _, parameters in points} == {trial.parameters for trial in trials}
    assert f"{len(points)} trials on the Pareto front of accuracy, parameters" in capsys.readouterr().out
    assert points[0][0] == json.loads(Path("run/best.json").read_text())["score"]["value"]


@pytest.mark.slow
def test_nsga2_measures_latency(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    use_few_digits(monkeypatch)
    zoo = ["--space", "zoo", "--strategy", "nsga2", "--objectives", "accuracy,latency,flops", "--trials", "4", "--epochs", "1"]
    zoo += ["--dataset", "digits", "--device", "cpu", "--precision", "float32", "--set", "stem=own"]
    assert main([*zoo, "--out", "run"]) == 0
    trials = {trial.number: trial for trial in TrialLog(Path("run/trials.jsonl")).read()}
    assert all(trial.latency is not None and 0 < trial.latency < 10_000 for trial in trials.values())
    document = json.loads(Path("run/pareto.json").read_text())
    assert document["objectives"] == ["accuracy", "latency", "flops"] and document["units"] == {"latency": "milliseconds"}
    for point in document["points"]:
        assert point["objectives"]["latency"] == trials[point["trial"]].latency
    recorded = Path("run/trials.jsonl").read_bytes()
    assert main([*zoo, "--out", "run", "--resume"]) == 0
    assert Path("run/trials.jsonl").read_bytes() == recorded, "what was measured is not measured again"
    assert main([*zoo, "--out", "other", "--workers", "2"]) == 2
    assert "--workers 1" in capsys.readouterr().err
    assert main([*zoo, "--out", "other", "--storage", "sqlite:///a.db"]) == 2
    assert "leave out --storage" in capsys.readouterr().err
    assert main(["--report", "run"]) == 0
    page = Path("run/report.html").read_text()
    assert f"{trials[0].latency:.3g} ms" in page and "Accuracy against latency of one image" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--strategy", "tpe", "--objectives", "accuracy,flops"],
            "tpe has one objective, the accuracy: leave out --objectives, or use nsga2",
        ),
        (["--strategy", "nsga2", "--objectives", "accuracy,weight"], "'weight' is not one of accuracy, parameters, flops, latency"),
        (["--strategy", "nsga2", "--objectives", "accuracy,latency"], "has no column latency"),
        (
            ["--strategy", "nsga2", "--epochs", "200", "--pruner", "halving"],
            "nsga2 has several objectives, which pruners do not support: leave out --pruner",
        ),
    ],
)
def test_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(Path("table.csv.gz"), make_rows()[:50])
    assert main([*SEARCH, *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not Path("runs").exists(), "nothing is left behind"
