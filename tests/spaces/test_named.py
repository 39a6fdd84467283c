"""Networks that have a name: what the names stand for, and a training of one by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from image_folders import write_images

from common.errors import RecordError
from records.best import check_architecture, load_best
from spaces.adapter import find_space
from spaces.choices import legal_choices
from spaces.darts.genotypes import GENOTYPES
from spaces.named import NAMES, check_choices, choices_left, named_architecture
from spaces.zoo.vocabulary import BACKBONES


@pytest.mark.parametrize("name", NAMES)
def test_every_name_stands_for_a_legal_architecture(name: str) -> None:
    space, architecture = named_architecture(name, {})
    assert find_space(space).canonical(architecture) == architecture
    assert (space, name) in {*(("darts", genotype) for genotype in GENOTYPES), *(("zoo", backbone) for backbone in BACKBONES)}


def test_the_other_choices_of_a_backbone_can_be_made() -> None:
    _, architecture = named_architecture("convnet32", {"width": 16, "initial_lr": 0.1, "backbone": "resnet50"})
    assert architecture == {"backbone": "convnet32", "stem": "own", "width": 16, "depth": 2}
    assert choices_left("convnet32") == ("width", "depth") and choices_left("resnet18") == ("stem",)
    assert choices_left("DARTS_V2") == choices_left("best.json") == ()


@pytest.mark.slow
def test_a_backbone_is_trained_without_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from run_experiment import main

    monkeypatch.chdir(tmp_path)
    command = ["--retrain", "convnet32", "--set", "width=16", "--dataset", "digits", "--epochs", "4", "--out", "run"]
    assert main([*command, "--device", "cpu", "--precision", "float32", "--set", "batch_size=64"]) == 0
    result = json.loads(Path("run/retrained.json").read_text())
    assert result["architecture"]["width"] == 16 and result["hyperparameters"]["optimizer"] == "muon"
    assert result["test_accuracy"] > 0.9 and result["flip_averaging"] is True
    assert "test accuracy, image and mirror image averaged" in capsys.readouterr().out


def test_images_that_are_too_small_for_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from run_experiment import main

    monkeypatch.chdir(tmp_path)
    folder = write_images(tmp_path / "images")
    assert main(["--retrain", "squeezenet1_1", "--dataset", str(folder), "--device", "cpu", "--precision", "float32"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: squeezenet1_1 does not accept images of 8x8 pixels: ")
    assert not Path("runs").exists()


FOUND = [path for path in sorted((Path(__file__).parents[2] / "docs" / "found").glob("*.json")) if not path.stem.endswith("-alphas")]


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_the_labs_table_found_can_be_trained_by_anyone(path: Path) -> None:
    best = load_best(path)
    space = find_space(best.space_name)
    space.check_arguments(best.space_arguments)
    check_architecture(best.architecture, legal_choices(space.make(best.space_arguments).simplify()))
    with torch.random.fork_rng():
        network = space.network(best.space_arguments, best.architecture)
    assert sum(parameter.numel() for parameter in network.parameters()) == best.parameters


@pytest.mark.parametrize(
    ("name", "choices", "said"),
    [
        ("convnet32", {"widht": 16}, "`fixed['widht']`: convnet32 leaves width and depth to choose"),
        ("resnet18", {"width": 16}, "`fixed['width']`: resnet18 leaves stem to choose"),
        ("DARTS_V2", {"num_cells": 5}, "`fixed['num_cells']`: DARTS_V2 leaves nothing to choose"),
        ("convnet32", {"width": 8}, "`fixed['width']`: 8; legal: one of 16, 32, 48, 64, 96, 128"),
        ("convnet32", {"depth": True}, "`fixed['depth']`: True; legal: one of 2, 3"),
        ("resnet18", {"stem": "smal"}, "`fixed['stem']`: 'smal'; legal: one of own, small"),
    ],
)
def test_what_a_name_does_not_leave_is_refused(name: str, choices: dict[str, Any], said: str) -> None:
    with pytest.raises(RecordError) as error:
        check_choices(name, choices)
    assert str(error.value) == said
    check_choices("convnet32", {"width": 16, "depth": 3})
