"""evaluators.training.augmentation against torchvision's own functions, one image at a time, and in distribution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import RandAugment
from torchvision.transforms.v2 import functional as reference

from evaluators.training.augmentation import (
    Normalizer,
    augment,
    crop_at,
    cutout,
    cutout_at,
    flip_at,
    rand_augment,
    random_crop,
    random_flip,
    shrink,
)

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
TYPES = [torch.uint8, torch.float32, torch.bfloat16]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(count: int, height: int = 8, width: int = 10, dtype: torch.dtype = torch.uint8) -> Tensor:
    # From 1 up, so that a 0 in a result can only come from padding or from cutout.
    return torch.randint(1, 256, (count, 3, height, width), generator=generator(), dtype=torch.uint8).to(dtype)


@pytest.mark.parametrize(("fill", "mode"), [("black", "constant"), ("reflect", "reflect")])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_crop_is_torchvisions_crop_at_the_same_offset(dtype: torch.dtype, fill: str, mode: str) -> None:
    padding = 2
    top, left = torch.cartesian_prod(torch.arange(5), torch.arange(5)).unbind(1)
    images = random_images(25, dtype=dtype)
    crops = crop_at(images, top, left, padding, fill)
    assert crops.dtype == dtype and crops.is_contiguous()
    padded = reference.pad(images.float(), [padding], padding_mode=mode).to(dtype)
    for i in range(25):
        assert torch.equal(crops[i], reference.crop(padded[i], int(top[i]), int(left[i]), 8, 10))


def test_random_crop_draws_every_offset_equally_often() -> None:
    count, padding = 18_000, 1
    # One image whose nine crops all differ, so that the crop tells its offset.
    image = torch.arange(1, 17, dtype=torch.uint8).reshape(1, 1, 4, 4)
    crops = random_crop(image.expand(count, -1, -1, -1), padding, generator=generator())
    _, times = torch.unique(crops.flatten(1), dim=0, return_counts=True)
    assert len(times) == 9
    # 5 standard deviations of a binomial count
    assert (times - count / 9).abs().max() < 5 * (count / 9 * 8 / 9) ** 0.5


@pytest.mark.parametrize("dtype", TYPES)
def test_flip_is_torchvisions_horizontal_flip_where_chosen(dtype: torch.dtype) -> None:
    images = random_images(6, dtype=dtype)
    chosen = torch.tensor([True, False, True, True, False, False])
    flipped = flip_at(images, chosen)
    for i in range(6):
        assert torch.equal(flipped[i], reference.horizontal_flip(images[i]) if chosen[i] else images[i])


def test_random_flip_flips_half_of_the_images() -> None:
    count = 10_000
    images = torch.tensor([1, 2], dtype=torch.uint8).reshape(1, 1, 1, 2).expand(count, -1, -1, -1)
    flipped = random_flip(images, generator=generator())[:, 0, 0, 0] == 2
    assert abs(int(flipped.sum()) - count / 2) < 5 * (count / 4) ** 0.5
    # A sequence that alternates would pass as well: neighbours must be independent.
    pairs = flipped[0::2].long() * 2 + flipped[1::2].long()
    assert (torch.bincount(pairs, minlength=4) - count / 8).abs().max() < 5 * (count / 2 * 3 / 16) ** 0.5


def test_rand_augment_is_torchvisions_drawn_anew_for_every_eight_images() -> None:
    images = random_images(20, 16, 16)
    changed = rand_augment(images, 9, generator=generator(1))
    assert changed.shape == images.shape and changed.dtype == torch.uint8
    seed = int(torch.randint(2**62, (1,), generator=generator(1)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected = [RandAugment(num_ops=2, magnitude=9)(group) for group in (images[:8], images[8:16], images[16:])]
    assert torch.equal(changed, torch.cat(expected))
    alike = rand_augment(images[:1].expand(64, -1, -1, -1), 15, generator=generator()).unflatten(0, (8, 8))
    assert (alike == alike[:, :1]).all(), "one way for eight images"
    assert len({group[0].numpy().tobytes() for group in alike}) > 4, "another way for the next eight"


@pytest.mark.parametrize("size", [1, 3, 4, 16])
@pytest.mark.parametrize("dtype", TYPES)
def test_cutout_is_torchvisions_erase_of_the_clipped_square(size: int, dtype: torch.dtype) -> None:
    row, column = torch.cartesian_prod(torch.arange(8), torch.arange(10)).unbind(1)
    images = random_images(80, dtype=dtype)
    cut = cutout_at(images, row, column, size, value=(7, 8, 9))
    assert cut.dtype == dtype
    fill = torch.tensor([7, 8, 9], dtype=dtype).reshape(3, 1, 1)
    for i in range(80):
        top, left = int(row[i]) - size // 2, int(column[i]) - size // 2
        bottom, right = min(top + size, 8), min(left + size, 10)
        top, left = max(top, 0), max(left, 0)
        assert torch.equal(cut[i], reference.erase(images[i], top, left, bottom - top, right - left, fill))


def test_cutout_centres_are_uniform_over_all_pixels() -> None:
    count = 6_400
    images = torch.ones(count, 1, 8, 8, dtype=torch.uint8)
    hits = (cutout(images, 1, generator=generator()) == 0).sum(dim=(0, 1))
    assert int(hits.sum()) == count
    assert (hits - count / 64).abs().max() < 5 * (count / 64) ** 0.5


def test_mean_cutout_area_is_that_of_a_square_clipped_at_the_border() -> None:
    # DeVries & Taylor: with 16 pixels on 32, a centre row in 8..24 loses nothing, the others lose what lies outside.
    covered = [min(row + 8, 32) - max(row - 8, 0) for row in range(32)]
    expected = (sum(covered) / 32) ** 2
    images = torch.ones(20_000, 1, 32, 32, dtype=torch.uint8)
    areas = (cutout(images, 16, generator=generator()) == 0).sum(dim=(1, 2, 3)).double()
    assert areas.max() == 256 and areas.min() == 64
    assert float((areas.mean() - expected).abs()) < 5 * float(areas.std()) / 20_000**0.5


def test_cutout_value_of_uint8_is_rounded_to_the_nearest_level() -> None:
    mean_level = [255 * value for value in MEAN]
    cut = cutout(random_images(2), 32, generator=generator(), value=mean_level)
    assert cut[0, :, 0, 0].tolist() == [125, 123, 114]
    # The paper's fill, 0 after normalisation, to within half a level.
    assert Normalizer(MEAN, STD)(cut).abs().max() <= 0.5 / 255 / min(STD)


def test_sizes_of_zero_switch_off() -> None:
    images = random_images(4)
    assert torch.equal(augment(images, padding=0, flip=False, rand_magnitude=0, cutout_size=0, generator=generator()), images)


@pytest.mark.parametrize("magnitude", [0, 9])
def test_augment_is_crop_then_flip_then_rand_augment_then_cutout(magnitude: int) -> None:
    images = random_images(64, 32, 32)
    g = generator(3)
    expected = random_flip(random_crop(images, 4, generator=g), generator=g)
    expected = rand_augment(expected, magnitude, generator=g)
    expected = cutout(expected, 16, generator=g, value=5)
    result = augment(images, padding=4, flip=True, rand_magnitude=magnitude, cutout_size=16, cutout_value=5, generator=generator(3))
    assert torch.equal(result, expected)


def test_the_same_generator_state_gives_the_same_images_and_another_gives_others() -> None:
    images = random_images(64, 32, 32)
    first, again, other = (augment(images, cutout_size=8, generator=generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_nothing_is_drawn_from_the_global_generator_and_the_input_is_left_alone() -> None:
    images = random_images(16, 32, 32)
    before, state = images.clone(), torch.get_rng_state()
    augment(images, rand_magnitude=9, cutout_size=16, generator=generator())
    assert torch.equal(images, before) and torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("channels_last", [False, True])
def test_normalizer_is_to_tensor_and_normalize(channels_last: bool) -> None:
    images = random_images(5)
    result = Normalizer(MEAN, STD, channels_last=channels_last)(images)
    expected = reference.normalize(reference.to_dtype(images, torch.float32, scale=True), list(MEAN), list(STD))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    assert result.is_contiguous(memory_format=wanted)


def test_normalizer_refuses_what_it_would_get_wrong() -> None:
    with pytest.raises(ValueError, match="every std must be above 0"):
        Normalizer(MEAN, (0.2, 0.0, 0.2))
    with pytest.raises(ValueError, match="must have one length, and every std must be above 0"):
        Normalizer(MEAN, (0.2, 0.2))
    with pytest.raises(TypeError, match=r"torch\.float32"):
        Normalizer(MEAN, STD)(torch.zeros(1, 3, 4, 4))


def test_images_grow_in_steps_of_four_pixels_and_equal_spans() -> None:
    images = random_images(2, 32, 32, torch.float32)
    sides = [shrink(images, 0.75, step / 90).shape[2] for step in range(90)]
    assert sides == 30 * [24] + 30 * [28] + 30 * [32]
    assert shrink(images, 0.75, 0.999) is images
    assert shrink(images, 1.0, 0.0) is images
    assert shrink(random_images(2, 32, 48, torch.float32), 0.5, 0.0).shape == (2, 3, 16, 24)
    assert shrink(random_images(1, 8, 8, torch.float32), 0.01, 0.0).shape == (1, 3, 4, 4)


def test_shrunk_images_are_torchvisions_antialiased_ones() -> None:
    images = random_images(3, 32, 32, torch.float32)
    torch.testing.assert_close(shrink(images, 0.75, 0.0), reference.resize(images, [24, 24], antialias=True))
