"""A search that has ended goes on with more trials, as if it had been meant to; what was sized by their number stays as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nasbench201_table import remember_tables, write_made_up
from trial_scripts import write_script
from two_layers import TwoLayers

import retiarius as rt
from records.trials import TrialLog
from run_experiment import main
from strategies import STRATEGIES

LOG = Path("run/trials.jsonl")


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_made_up(tmp_path_factory.mktemp("table") / "made-up.csv.gz")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    remember_tables(monkeypatch)


def test_fewer_trials_than_it_began_with_are_refused_and_nothing_is_changed(made_up: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = ["--space", "nasbench201", "--strategy", "random", "--table", str(made_up), "--out", "run"]
    assert main([*search, "--trials", "4"]) == 0
    before = Path("run/config.json").read_bytes()
    assert main([*search, "--trials", "2", "--resume"]) == 2
    assert "--trials 2: the search began with 4 and can have more, not fewer" in capsys.readouterr().err
    assert Path("run/config.json").read_bytes() == before


@pytest.mark.parametrize("name", [name for name, entry in STRATEGIES.items() if not entry.one_shot and not entry.needs])
@pytest.mark.slow
def test_every_strategy_goes_on_where_it_ended(name: str, made_up: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = ["--space", "nasbench201", "--strategy", name, "--table", str(made_up), "--out", "run"]
    assert main([*search, "--trials", "12"]) == 0
    first = TrialLog(LOG).read()
    assert len(first) == 12
    assert main([*search, "--trials", "20", "--resume"]) == 0
    assert "the search began with 12 trials and now has 20; what its strategy sizes by their number stays" in capsys.readouterr().out
    extended = TrialLog(LOG).read()
    assert len(extended) == 20
    assert extended[:12] == first
    assert json.loads(Path("run/best.json").read_text())["score"]["value"] == max(trial.score or 0 for trial in extended)
    assert main([*search, "--resume"]) == 0
    assert TrialLog(LOG).read() == extended, "who says no number asks for that of the beginning, which is there"


@pytest.mark.parametrize("name", ["tpe", "evolution", "local"])
def test_an_extension_that_was_interrupted_proposes_the_same(name: str, made_up: Path) -> None:
    search = ["--space", "nasbench201", "--strategy", name, "--table", str(made_up), "--out", "run"]
    assert main([*search, "--trials", "8"]) == 0
    assert main([*search, "--trials", "16", "--resume"]) == 0
    whole, lines = TrialLog(LOG).read(), LOG.read_text().splitlines(keepends=True)
    LOG.write_text("".join(lines[:11]))
    assert main([*search, "--trials", "16", "--resume"]) == 0
    assert [trial.sample for trial in TrialLog(LOG).read()] == [trial.sample for trial in whole]


def test_trainings_and_rows_without_a_space_are_extended_too() -> None:
    def score(network: object) -> float:
        return float(sum(parameter.numel() for parameter in network.parameters()))  # type: ignore[attr-defined]

    rt.search(TwoLayers, rt.Random(), evaluator=score, trials=1, out="run")
    assert len(rt.search(TwoLayers, rt.Random(), evaluator=score, trials=3, out="run", resume=True).trials) == 3
    Path("rows.csv").write_text("x,score\n" + "".join(f"{x},{x}\n" for x in range(9)))
    told = {"search_space": {"x": {"_type": "choice", "_value": list(range(9))}}, "table": "rows.csv", "out": "rows"}
    assert len(rt.search(strategy="random", trials=2, **told).trials) == 2
    assert len(rt.search(strategy="random", trials=5, resume=True, **told).trials) == 5


@pytest.mark.slow
def test_the_search_of_a_program_is_extended_too() -> None:
    write_script(Path(), 'send("FINAL", parameters["x"])')
    told = {"search_space": {"x": {"_type": "choice", "_value": list(range(9))}}, "strategy": "tpe", "out": "run"}
    assert len(rt.search_command("python -S main.py", trials=2, **told).trials) == 2
    assert len(rt.search_command("python -S main.py", trials=4, resume=True, **told).trials) == 4
