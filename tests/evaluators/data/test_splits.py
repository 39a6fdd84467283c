"""evaluators.data.dataset: splits, batches, statistics and the digits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from image_folders import all_keys, keys, keys_on_disk, load, write_images

from common.errors import DataError
from evaluators.data.dataset import Split, iterate_batches, load_dataset
from evaluators.data.images import channel_statistics, stratified_cut


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path / "pets")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Splits


@pytest.mark.parametrize("seed", range(20))
def test_stratified_cut_keeps_the_proportions_to_within_one_image(seed: int) -> None:
    counts = torch.randint(1, 40, (7,), generator=generator(seed))
    labels = torch.repeat_interleave(torch.arange(7), counts)
    labels = labels[torch.randperm(len(labels), generator=generator(seed))]
    size = int(torch.randint(1, len(labels), (), generator=generator(seed)))
    chosen, others = stratified_cut(labels, size, generator(seed))
    assert len(chosen) == size
    assert torch.equal(torch.cat([chosen, others]).sort().values, torch.arange(len(labels)))
    shares = torch.bincount(labels[chosen], minlength=7)
    assert (shares - counts * size / len(labels)).abs().max() < 1


def test_stratified_cut_draws_which_of_many_small_classes_go_without() -> None:
    labels = torch.repeat_interleave(torch.arange(100), 4)
    first, again, other = (labels[stratified_cut(labels, 40, generator(seed))[0]] for seed in (0, 0, 1))
    assert len(first.unique()) == 40, "one image of each"
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.max() > 60, "not those of the lowest numbers"


def test_no_image_is_in_two_splits_and_none_is_lost(folder: Path) -> None:
    dataset = load(folder, validation_fraction=0.3)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [14, 6, 6]
    assert sorted(all_keys(dataset)) == sorted(keys_on_disk(folder))
    assert len(set(all_keys(dataset))) == 26
    assert torch.bincount(dataset.validation.labels).tolist() == [3, 3]
    assert keys(dataset.train_and_validation) == keys(dataset.train) + keys(dataset.validation)


def test_the_seed_decides_the_validation_split_and_nothing_else(folder: Path) -> None:
    first, again, other = (load(folder, validation_fraction=0.5, seed=seed) for seed in (1, 1, 2))
    assert all_keys(first) == all_keys(again)
    assert keys(first.validation) != keys(other.validation)
    assert keys(first.test) == keys(other.test)
    assert set(keys(first.train_and_validation)) == set(keys(other.train_and_validation))


def test_classes_are_mixed_even_without_shuffling(folder: Path) -> None:
    labels = load(folder).train.labels.tolist()
    assert labels != sorted(labels)


def test_limit_keeps_the_proportions_and_the_statistics_of_the_whole(folder: Path) -> None:
    whole = load(folder, validation_fraction=0.5)
    small, other = (load(folder, validation_fraction=0.5, limit=4, seed=seed) for seed in (0, 3))
    assert [len(split) for split in (small.train, small.validation, small.test)] == [2, 2, 4]
    assert [torch.bincount(split.labels).tolist() for split in (small.train, small.test)] == [[1, 1], [2, 2]]
    assert set(keys(small.train_and_validation)) < set(keys(whole.train_and_validation))
    assert keys(small.test) == keys(other.test) and keys(small.train) != keys(other.train)
    assert (small.mean, small.std, small.fingerprint) == (whole.mean, whole.std, whole.fingerprint)
    assert all_keys(load(folder, validation_fraction=0.5, limit=1000)) == all_keys(whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_fraction": 0.0}, r"validation fraction 0\.0 must be more than 0 and less than 1"),
        ({"validation_fraction": 1.0}, r"validation fraction 1\.0"),
        ({"validation_fraction": float("nan")}, "validation fraction nan"),
        ({"limit": 0}, "limit 0 must be a whole number of at least 1"),
        ({"limit": 1}, "leave 0 of 2 classes to train on; use more images or a smaller fraction"),
        ({"validation_fraction": 0.99}, "leave 0 of 2 classes"),
    ],
)
def test_sizes_that_leave_nothing_to_train_on(folder: Path, options: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(folder, **options)


# Batches


def numbered(count: int) -> Split:
    numbers = torch.arange(count)
    return Split(numbers.to(torch.uint8).reshape(-1, 1, 1, 1).repeat(1, 3, 2, 2), numbers)


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
@pytest.mark.parametrize("shuffled", [False, True])
def test_batches_hold_every_image_once_with_its_label(drop_last: bool, sizes: list[int], shuffled: bool) -> None:
    split = numbered(10)
    batches = list(iterate_batches(split, 4, generator=generator() if shuffled else None, drop_last=drop_last))
    assert [len(labels) for _, labels in batches] == sizes
    labels = torch.cat([labels for _, labels in batches])
    assert torch.equal(torch.cat([images for images, _ in batches])[:, 2, 1, 1].long(), labels)
    assert len(set(labels.tolist())) == sum(sizes)
    assert (labels.tolist() == list(range(sum(sizes)))) == (not shuffled)


def test_each_pass_has_a_new_order_and_the_same_generator_state_the_same_one() -> None:
    def order(g: torch.Generator) -> list[int]:
        return torch.cat([labels for _, labels in iterate_batches(numbered(50), 7, generator=g, drop_last=False)]).tolist()

    g = generator(1)
    first, second = order(g), order(g)
    assert first != second and first == order(generator(1))


def test_batch_sizes_that_give_no_batch_are_refused_at_once() -> None:
    with pytest.raises(DataError, match="batch size 0 must be at least 1"):
        iterate_batches(numbered(3), 0, generator=None, drop_last=False)
    with pytest.raises(DataError, match="batch size 4 is larger than the 3 images; use a smaller one"):
        iterate_batches(numbered(3), 4, generator=None, drop_last=True)


# Digits


def test_digits(tmp_path: Path) -> None:
    dataset = load_dataset("digits", data_dir=tmp_path / "none", seed=5)
    assert dataset.describe() == {
        "name": "digits",
        "classes": 10,
        "train": 1293,
        "validation": 144,
        "test": 360,
        "image_shape": [3, 32, 32],
        # Golden: the same bytes and the same test set on every machine, whatever the seed.
        "fingerprint": "96049f6df1da9d7dab56466ff4ddf2cc",
    }
    assert dataset.classes == tuple("0123456789") and dataset.num_classes == 10
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.images.dtype == torch.uint8 and split.images.is_contiguous()
        assert split.labels.dtype == torch.int64
        assert torch.bincount(split.labels).min() >= 0.9 * len(split) / 10
    assert dataset.train.images.max() == 255 and dataset.train.images.min() == 0
    assert not (tmp_path / "none").exists()


def test_digits_are_scikit_learns_enlarged(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits
    from torchvision.transforms.v2.functional import resize

    originals = load_digits()
    enlarged = resize(torch.from_numpy(originals.images)[:, None], [32, 32]) / 16 * 255
    images = enlarged.round().to(torch.uint8).repeat(1, 3, 1, 1)
    expected = keys(Split(images, torch.from_numpy(originals.target)))
    assert sorted(all_keys(load_dataset("digits", data_dir=tmp_path))) == sorted(expected)


# Statistics


def test_statistics_are_means_and_deviations_over_all_pixels() -> None:
    images = torch.randint(0, 256, (20, 3, 5, 4), generator=generator(), dtype=torch.uint8)
    images[:, 1] //= 3
    mean, std = channel_statistics(images)
    scaled = images.double() / 255
    torch.testing.assert_close(torch.tensor(mean).double(), scaled.mean(dim=(0, 2, 3)), rtol=1e-6, atol=0)
    torch.testing.assert_close(torch.tensor(std).double(), scaled.std(dim=(0, 2, 3), correction=0), rtol=1e-6, atol=0)


def test_a_constant_channel_can_still_be_normalised() -> None:
    images = torch.full((4, 3, 2, 2), 51, dtype=torch.uint8)
    assert channel_statistics(images) == (pytest.approx((0.2, 0.2, 0.2)), (1.0, 1.0, 1.0))
