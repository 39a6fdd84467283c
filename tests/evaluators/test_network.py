"""A trained network that takes images as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from bright_bars import SETTINGS, make_data, make_network
from PIL import Image
from torch import nn

from common.errors import DataError, EvaluatorError
from evaluators.network import ReadyNetwork
from evaluators.training.accuracy import measure_accuracy
from evaluators.training.augmentation import Normalizer
from evaluators.training.loop import retrain
from evaluators.training.recipes import make_recipe


@pytest.fixture(scope="module")
def trained() -> ReadyNetwork:
    data, network = make_data(), make_network(dropout=0.5)
    retrain(network, data=data, epochs=12, recipe=make_recipe(SETTINGS))
    return ReadyNetwork(network, data.mean, data.std, data.classes)


def test_raw_images_are_answered_as_in_training(trained: ReadyNetwork) -> None:
    data = make_data()
    assert not trained.training and not trained.network.training
    logits = trained(data.test.images)
    normalised = Normalizer(data.mean, data.std, channels_last=True)(data.test.images)
    assert torch.equal(logits, trained.network(normalised)), "bit by bit"
    torch.testing.assert_close(trained(data.test.images.float() / 255), logits)
    right = (logits.argmax(1) == data.test.labels).double().mean().item()
    assert right == measure_accuracy(trained.network, data.test, data) > 0.9


def test_doubles_are_answered_as_floats(trained: ReadyNetwork) -> None:
    images = make_data().test.images
    assert torch.equal(trained(images.double() / 255), trained((images.double() / 255).float()))


def test_it_computes_in_half_precision_where_it_is_asked_to() -> None:
    ready = ReadyNetwork(nn.Sequential(nn.Conv2d(3, 2, 4), nn.Flatten()), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "ab").bfloat16()
    image = torch.rand(2, 3, 4, 4)
    assert ready(image.bfloat16()).shape == ready(image).shape == ready((255 * image).byte()).shape == (2, 2)


def test_it_can_be_exported() -> None:
    ready = ReadyNetwork(nn.Sequential(nn.Conv2d(3, 2, 4), nn.Flatten()), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "ab")
    image = torch.rand(2, 3, 4, 4)
    assert torch.equal(torch.export.export(ready, (image,)).module()(image), ready(image))


def test_answers_are_float32_whatever_it_computes_in(trained: ReadyNetwork) -> None:
    data = make_data()
    rough = ReadyNetwork(trained.network, data.mean, data.std, data.classes, torch.bfloat16)
    logits = rough(data.test.images)
    assert logits.dtype == torch.float32 and logits.detach().numpy().shape == (len(data.test), len(data.classes))
    torch.testing.assert_close(logits, trained(data.test.images), atol=0.2, rtol=0.05)


def test_its_state_is_plain_and_can_be_loaded(trained: ReadyNetwork, tmp_path: Any) -> None:
    torch.save(trained.state_dict(), tmp_path / "network.pt")
    fresh = ReadyNetwork(make_network(), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), make_data().classes)
    fresh.load_state_dict(torch.load(tmp_path / "network.pt", weights_only=True))
    images = make_data().test.images
    assert torch.equal(fresh(images), trained(images))


@pytest.mark.parametrize(
    "form",
    [
        lambda images: images,
        lambda images: images.float() / 255,
        lambda images: images.permute(0, 2, 3, 1).numpy(),
        lambda images: [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images],
        lambda images: tuple(images.double() / 255),
    ],
)
def test_images_of_any_form_are_classified(trained: ReadyNetwork, form: Any) -> None:
    images, labels = make_data().test.images, make_data().test.labels
    names = [make_data().classes[number] for number in trained(images).argmax(1)]
    assert trained.classify(form(images)) == names
    assert sum(name == make_data().classes[label] for name, label in zip(names, labels, strict=True)) > 25


def test_one_image_or_none_is_classified(trained: ReadyNetwork) -> None:
    image = make_data().test.images[4]
    (name,) = trained.classify(image)
    assert trained.classify(image.permute(1, 2, 0).numpy()) == trained.classify(Image.fromarray(image.permute(1, 2, 0).numpy())) == [name]
    assert trained.classify([]) == trained.classify(make_data().test.images[:0]) == []
    grey = np.full((8, 8), 100, dtype=np.uint8)
    assert trained.classify(grey) == trained.classify(np.stack([grey] * 3))


def test_what_is_no_image_is_refused(trained: ReadyNetwork) -> None:
    with pytest.raises(EvaluatorError, match=r"images of shape \(3, 8, 8\); expected \[N, 3, H, W\]"):
        trained(torch.zeros(3, 8, 8))
    with pytest.raises(EvaluatorError, match=r"images of torch.int64; expected torch.uint8, or floating point from 0 to 1"):
        trained(torch.zeros(1, 3, 8, 8, dtype=torch.int64))
    fresh = ReadyNetwork(nn.Flatten(), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "rgb")
    for end in (255.0, -2.0):
        with pytest.raises(EvaluatorError, match=r"images in floating point from -?[0-9]+ to -?[0-9]+; expected 0 to 1, not normalised"):
            fresh(torch.full((1, 3, 8, 8), end))
    with pytest.raises(EvaluatorError, match=r"is no tensor; expected one, \[N, 3, H, W\]. classify\(\) takes pictures and arrays, too"):
        trained(np.zeros((1, 3, 8, 8)))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="the images: floating point from 0 to 255; expected 0 to 1"):
        trained.classify(torch.tensor([0.0, 255.0]).reshape(2, 1, 1, 1).expand(-1, 3, 8, 8))
    with pytest.raises(DataError, match="image 1: 'cat' is not a tensor or an array of numbers"):
        trained.classify([torch.zeros(3, 8, 8), "cat"])


def test_the_first_of_two_heads_answers() -> None:
    class TwoHeads(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return x.mean((2, 3)), x.amax((2, 3))

    ready = ReadyNetwork(TwoHeads(), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "rgb")
    assert ready.classify(torch.eye(3)[..., None, None].expand(-1, -1, 4, 4)) == ["r", "g", "b"]
