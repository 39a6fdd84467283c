"""What a run writes it reads, however large: a legal search of thousands of parameters."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from common.errors import RecordError
from common.files import LARGEST_FILE, read_json
from common.reporter import Reporter
from common.trial import Trial
from records.best import load_best, save_best
from records.parameter_record import ParameterRecord
from records.pareto import save_pareto
from records.report import write_report
from records.report.collect import read_run
from records.run_folder import RunFolder, read_config, stored_identity

COUNT = 5_000
SPACE = {f"parameter_{number}_of_a_layer": {"_type": "quniform", "_value": [0.001, 0.999, 0.001]} for number in range(COUNT)}
IDENTITY: dict[str, Any] = {"strategy": "tpe", "trials": 3, "search_space": SPACE, "space": None}
SETTINGS: dict[str, Any] = {"trial_command": "python main.py", "optimize_mode": "maximize", "search_space": SPACE, "strategy": "tpe"}


def create(out: Path, *, resume: bool = False) -> RunFolder:
    return RunFolder.create(out, space="command", strategy="tpe", identity=IDENTITY, resume=resume)


def run_trials(folder: RunFolder, numbers: range) -> list[Trial]:
    draw = random.Random(0)
    record = ParameterRecord(folder.path / "best_parameters.json", {"trial_command": "python main.py"}, "maximize", dict)
    keeper = record.keep_trials(folder, Reporter())
    with keeper.shown(3, "tpe"):
        for number in numbers:
            keeper.note(Trial(number, {name: draw.random() for name in SPACE}, "complete", 0.5 + number / 10, [0.5]))
    return keeper.recorded(SPACE)


@pytest.mark.slow
def test_a_search_of_5000_parameters_is_resumed_and_reported(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with create(out) as folder:
        folder.write_config(SETTINGS)
        first = run_trials(folder, range(2))
    assert folder.config_path.stat().st_size > LARGEST_FILE
    assert stored_identity(out) == IDENTITY == read_config(out)["identity"]
    with create(out, resume=True) as folder:
        folder.write_config(SETTINGS)
        trials = run_trials(folder, range(2, 3))
        folder.note_end()
    assert trials[:2] == first and len(trials) == 3
    run = read_run(out)
    assert (run.state, len(run.trials), run.notes) == ("finished", 3, [])
    assert run.best_parameters["parameters"] == trials[2].sample and run.best_parameters["trial"] == 2
    path, notes = write_report([out])
    assert notes == [] and path.stat().st_size < 5_000_000


def test_what_a_search_of_large_networks_found_is_read(tmp_path: Path) -> None:
    architecture = {f"a_block/with_a_long_name/of_its_layer_{number}": "separable_convolution" for number in range(20_000)}
    fields: dict[str, Any] = {"space_name": "s", "space_arguments": {}, "architecture": architecture, "hyperparameters": {}, "score": None}
    fields |= {"dataset": {}, "strategy": {}, "seed": 0, "parameters": 1, "flops": 1, "versions": {}}
    save_best(tmp_path / "best.json", **fields)
    assert (tmp_path / "best.json").stat().st_size > LARGEST_FILE
    assert load_best(tmp_path / "best.json").architecture == architecture
    with RunFolder.create(tmp_path / "run", space="s", strategy="nsga2") as folder:
        folder.write_config({})
        trial = Trial(0, architecture, "complete", 0.5, facts={"parameters": 1}, architecture_labels=frozenset(architecture))
        save_pareto(folder.path / "pareto.json", [trial], ("accuracy", "parameters"), space={"name": "s", "arguments": {}})
    assert read_run(folder.path).pareto["points"][0]["architecture"] == architecture


def test_files_that_anyone_may_have_made_are_bounded_as_before(tmp_path: Path) -> None:
    (tmp_path / "search_space.json").write_text(json.dumps(SPACE) + " " * LARGEST_FILE)
    with pytest.raises(RecordError, match="larger than 1,000,000 bytes"):
        read_json(tmp_path / "search_space.json")
    (tmp_path / "config.json").write_text(" " * 64_000_001)
    with pytest.raises(RecordError, match="larger than 64,000,000 bytes"):
        read_config(tmp_path)
