"""The lab's page: written from the record, in both languages, with what each step printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import lab_page, record
from benchmarks.lab_page import STEPS, command_of, read_runs, shorten, show
from records.report.cells import read_cells


def test_the_pages_say_what_the_record_says() -> None:
    runs = read_runs()
    assert {"given", "hand", "small"} <= set(runs) <= set(STEPS)
    for path, text in lab_page.pages(runs).items():
        assert not re.findall(r"\{\{.*?\}\}", text)
        assert path.read_text(encoding="utf-8") == text, "write it anew: python benchmarks/lab_page.py"
    picture = lab_page.PICTURE.read_text(encoding="utf-8")
    cell = read_cells(runs["darts"]["architecture"])["normal"]
    assert len(cell) == 4 and all(operation in picture for edges in cell.values() for _, operation in edges)


def test_a_step_shows_what_one_types_and_a_long_progress_is_cut() -> None:
    run = {"command": "python run_experiment.py --list", "output": ["first", "", *(f"step: {number}" for number in range(9)), "last"]}
    assert show(run).splitlines() == [
        f"    {line}" for line in ("$ python run_experiment.py --list", "first", "step: 0", "...", "step: 8", "last")
    ]
    assert shorten(["a: 1", "a: 2", "b: 1"]) == ["a: 1", "a: 2", "b: 1"]


def test_a_finished_step_is_noted_and_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_page, "ROOT", tmp_path)
    for module in (lab_page, record):
        monkeypatch.setattr(module, "RECORDS", tmp_path / "records")
    (tmp_path / "records").mkdir()
    folder = tmp_path / "runs" / "lab8" / "nas"
    folder.mkdir(parents=True)
    told: dict[str, Any] = {"plain_test_accuracy": 0.5, "mirrored_test_accuracy": 0.6, "seconds": 61.04, "epochs": 3, "parameters": 1234}
    (folder / "retrained.json").write_text(json.dumps(told))
    folder.with_name("nas.txt").write_text(f"written to {tmp_path}/x   \n")
    folder.with_name("nas.done").touch()
    lab_page.run_step("nas")
    run = read_runs()["nas"]
    assert (run["command"], run["output"]) == (command_of("nas"), ["written to /home/me/retiarius/x"])
    cells = "| NAS | 50.00% | 60.00% | 3 | 1.0 min | 1,234 | runs/lab8/nas |"
    assert lab_page.row(("NAS", "网络架构搜索"), run, "nas", chinese=False) == cells
    monkeypatch.setitem(STEPS, "nas", "--retrain other.json")
    assert read_runs() == {}, "another command is another step"
