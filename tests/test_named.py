"""Networks that have a name: what the names stand for, and a training of one by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from run_experiment import main
from spaces import SPACES
from spaces.backbones import BACKBONES
from spaces.genotypes import GENOTYPES
from spaces.named import NAMES, named_architecture


@pytest.mark.parametrize("name", NAMES)
def test_every_name_stands_for_a_legal_architecture(name: str) -> None:
    space, architecture = named_architecture(name, {})
    assert SPACES[space].load().canonical(architecture) == architecture
    assert (space, name) in {*(("darts", genotype) for genotype in GENOTYPES), *(("zoo", backbone) for backbone in BACKBONES)}


def test_the_other_choices_of_a_backbone_can_be_made() -> None:
    _, architecture = named_architecture("convnet32", {"width": 16, "initial_lr": 0.1, "backbone": "resnet50"})
    assert architecture == {"backbone": "convnet32", "stem": "own", "width": 16, "depth": 2}


def test_a_backbone_is_trained_without_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["--retrain", "convnet32", "--set", "width=16", "--dataset", "digits", "--epochs", "6", "--out", "run"]
    assert main([*command, "--device", "cpu", "--set", "batch_size=64"]) == 0
    result = json.loads(Path("run/retrained.json").read_text())
    assert result["architecture"]["width"] == 16 and result["hyperparameters"]["optimizer"] == "muon"
    assert result["test_accuracy"] > 0.9 and result["flip_averaging"] is True
    assert "test accuracy, image and mirror image averaged" in capsys.readouterr().out
