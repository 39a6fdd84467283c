"""The batches of a training: growing images, alternating flips, the last batch."""

from __future__ import annotations

import pytest
import torch
from bright_bars import SETTINGS, make_data

from evaluators.training.batches import TrainingBatches
from evaluators.training.recipes import make_recipe


def test_images_grow_over_the_whole_training() -> None:
    data = make_data()
    recipe = make_recipe({"start_size": 0.5, "batch_size": 9})
    batches = TrainingBatches(data.train, data, recipe, 4, torch.Generator().manual_seed(0), torch.device("cpu"))
    sides = [[images.shape[3] for images, _ in batches.epoch(number)] for number in range(4)]
    flat = [side for of_epoch in sides for side in of_epoch]
    assert flat == sorted(flat)
    assert flat[0] == 4 and flat[-1] == 8
    assert sides[0][-1] < sides[3][0]


@pytest.mark.parametrize(("keep", "batch_size", "sizes"), [(False, 40, [40, 40]), (True, 40, [40, 40, 10]), (True, 89, [89])])
def test_the_last_batch(keep: bool, batch_size: int, sizes: list[int]) -> None:
    data = make_data()
    recipe = make_recipe({"drop_last": not keep, "batch_size": batch_size})
    batches = TrainingBatches(data.train, data, recipe, 1, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert [len(labels) for _, labels in batches.epoch(0)] == sizes, "of 90 images; one alone cannot be normalised"
    assert (batches.images, batches.steps) == (sum(sizes), len(sizes))


def test_alternating_flips_show_both_sides_in_turn() -> None:
    data = make_data()
    recipe = make_recipe({**SETTINGS, "flip": "alternating", "crop_padding": 0, "batch_size": 90})
    batches = TrainingBatches(data.train, data, recipe, 3, torch.Generator().manual_seed(0), torch.device("cpu"))
    shown = [next(batches.epoch(number))[0] for number in range(3)]
    first, second, third = (sorted(image.sum(0).flatten().tolist() for image in images) for images in shown)
    mirrored = sorted(image.flip(2).sum(0).flatten().tolist() for image in shown[0])
    assert first == third and second == mirrored and first != second
    as_they_are = sorted(image.sum(0).flatten().tolist() for image in batches.normalize(data.train.images))
    assert sum(image in as_they_are for image in first) not in (0, 90)
