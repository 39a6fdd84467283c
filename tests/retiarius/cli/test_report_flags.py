"""``--report`` beside the other flags."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_runs import make_trials, write_search

from run_experiment import main


@pytest.mark.parametrize(
    "flags", [["--space", "zoo"], ["--trials", "3"], ["--set", "a=1"], ["--resume"], ["--seed", "3"], ["--retrain", "x"]]
)
def test_other_flags_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    folder = write_search(tmp_path / "run", make_trials(2))
    assert main(["--report", str(folder), *flags]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert flags[0] in message
    assert not (folder / "report.html").exists()


def test_what_is_no_run_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_search(tmp_path / "run", make_trials(2))
    (tmp_path / "other").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    for wrong in ("other", "broken", "absent"):
        assert main(["--report", str(folder), str(tmp_path / wrong)]) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert str(tmp_path / wrong) in message
    for out in (tmp_path, tmp_path / "absent" / "report.html"):
        assert main(["--report", str(folder), "--out", str(out)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (folder / "report.html").exists()


def test_the_labs_table_is_asked_for_by_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_search(tmp_path / "run", make_trials(2))
    for flags, there in (([], False), (["--lab-table"], True)):
        assert main(["--report", str(folder), *flags]) == 0
        assert ("实验记录表" in (folder / "report.html").read_text(encoding="utf-8")) == there
    capsys.readouterr()
    assert main(["--lab-table", "--space", "zoo", "--strategy", "tpe"]) == 2
    assert capsys.readouterr().err == "error: --lab-table goes with --report RUN ...\n"
