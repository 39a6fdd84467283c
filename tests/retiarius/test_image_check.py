"""Networks that take images of one size alone: trainings keep to it, and say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import Tensor, nn

import retiarius as rt


class OneSize(ModelSpace):
    """Flattens the image, whose side it is told."""

    def __init__(self, img_size: int = 16, num_classes: int = 10) -> None:
        super().__init__()
        inputs = 3 * img_size**2
        self.layer = LayerChoice({"one": nn.Linear(inputs, num_classes), "two": nn.Linear(inputs, num_classes, False)}, label="layer")

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(1))


class Heard(rt.Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def score(network: nn.Module) -> float:
    return 1.0


@pytest.mark.slow
def test_a_retraining_begins_with_no_smaller_images_than_the_network_takes(tmp_path: Path) -> None:
    data, heard = rt.load_data("digits", limit=60), Heard()
    found = rt.search(OneSize, rt.Random(), evaluator=score, data=data, trials=1, out=tmp_path / "run")
    told: dict[str, Any] = {"data": data, "epochs": 2, "precision": "float32"}
    final = rt.retrain(found.best, **told, out=tmp_path / "again", reporter=heard)
    assert final.document["hyperparameters"]["start_size"] == 1.0
    assert [warning for warning in heard.warnings if "smaller ones are refused" in warning]
    with pytest.raises(rt.EvaluatorError, match=r"start_size: 0\.5 is too small for this network"):
        rt.retrain(found.best, **told, fixed={"start_size": 0.5}, out=tmp_path / "small")


def test_a_preview_tells_a_constructor_the_side_of_the_images_and_says_what_a_network_does_not_take() -> None:
    heard = Heard()
    assert rt.preview(OneSize, rt.Random(), reporter=heard).parameters == 3 * 32 * 32 * 10 + 10
    assert heard.warnings == []
    assert rt.preview(OneSize, rt.Random(), fixed={"img_size": 16}, reporter=heard).parameters is None
    assert len(heard.warnings) == 1 and "takes no images of 32x32 pixels: " in heard.warnings[0]
