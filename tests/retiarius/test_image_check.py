"""Sizes of images that the networks of a user's space do not take are found before the first trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni_parts import Widths
from torch import Tensor, nn

import retiarius as rt


class Heard(rt.Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        self.warnings.append(line)


class Fixed(ModelSpace):
    """Takes images of one size alone, which its constructor is told."""

    def __init__(self, img_size: int = 224, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = LayerChoice([nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)], label="stem")
        self.norm, self.last = nn.BatchNorm2d(4), nn.Linear(4 * img_size**2, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.norm(self.stem(images)).flatten(1))


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def digits() -> Any:
    return rt.load_data("digits", limit=120)


def test_the_size_of_the_images_is_told_and_trainings_begin_with_no_smaller_ones(digits: Any) -> None:
    heard = Heard()
    found = rt.search(Fixed, "random", data=digits, trials=2, epochs=1, out="run", reporter=heard)
    assert [trial.state for trial in found.trials] == ["complete"] * 2
    assert found.best.record.space_arguments == {"img_size": 32, "num_classes": 10}
    assert found.trials[0].hyperparameters["start_size"] == 1.0
    assert "trainings start with images at 100% of their size, not 75%: the networks reject smaller ones" in heard.warnings
    again = Heard()
    final = rt.retrain(found.best, data=digits, epochs=1, recipe="fast", out="final", reporter=again)
    assert final.document["hyperparameters"]["start_size"] == 1.0 and len([line for line in again.warnings if "start with" in line]) == 1


def test_a_size_that_none_takes_ends_the_search_before_it_begins(digits: Any) -> None:
    with pytest.raises(
        rt.SpaceError,
        match=r"Fixed does not accept images of 32x32 pixels and 3 channels: .*; check the arguments of its constructor",
    ):
        rt.search(Fixed, "random", data=digits, trials=2, epochs=1, fixed={"img_size": 16}, out="run")
    assert not Path("run").exists()


def test_a_start_size_that_was_asked_for_stays(digits: Any) -> None:
    with pytest.raises(rt.SearchFailed, match=r"start_size: 0\.8 is too small for this network, which accepts only 1 of 32x32"):
        rt.search(Fixed, "random", data=digits, trials=1, epochs=1, fixed={"start_size": 0.8}, out="run")


def test_fewer_classes_than_the_images_have(digits: Any) -> None:
    class Two(Fixed):
        def __init__(self) -> None:
            super().__init__(32, 2)

    with pytest.raises(rt.SpaceError, match="Two has 2 outputs, and the images have 10"):
        rt.search(Two, "random", data=digits, trials=1, epochs=1)


def test_the_check_moves_nothing(digits: Any) -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    rt.search(Fixed, "random", data=digits, trials=1, epochs=1, out="run")
    assert torch.equal(torch.rand(1), expected)


def test_evaluators_of_ones_own_take_what_they_like() -> None:
    found = rt.search(Widths, "random", evaluator=lambda network: 0.5, trials=2, out="run")
    assert len(found.trials) == 2


@pytest.mark.slow
def test_a_retraining_begins_with_no_smaller_images_than_the_network_takes(tmp_path: Path) -> None:
    data, heard = rt.load_data("digits", limit=60), Heard()
    found = rt.search(Fixed, rt.Random(), evaluator=lambda network: 1.0, data=data, trials=1, out=tmp_path / "run")
    told: dict[str, Any] = {"data": data, "epochs": 2, "precision": "float32"}
    final = rt.retrain(found.best, **told, out=tmp_path / "again", reporter=heard)
    assert final.document["hyperparameters"]["start_size"] == 1.0
    assert [warning for warning in heard.warnings if "the networks reject smaller ones" in warning]
    with pytest.raises(rt.EvaluatorError, match=r"start_size: 0\.5 is too small for this network"):
        rt.retrain(found.best, **told, fixed={"start_size": 0.5}, out=tmp_path / "small")


def test_a_preview_tells_a_constructor_the_side_of_the_images_and_says_what_a_network_does_not_take() -> None:
    heard = Heard()
    assert rt.preview(Fixed, rt.Random(), reporter=heard).parameters == 4 * 32 * 32 * 10 + 10 + (3 * 4 + 4) + 8
    assert heard.warnings == []
    assert rt.preview(Fixed, rt.Random(), fixed={"img_size": 16}, reporter=heard).parameters is None
    assert len(heard.warnings) == 1 and "does not accept images of 32x32 pixels:" in heard.warnings[0]
