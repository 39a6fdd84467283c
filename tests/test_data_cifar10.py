"""evaluators.data: CIFAR-10 found on disk or downloaded. No test goes further than this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from image_folders import open_image

from evaluators import _cifar10
from evaluators._images import label_images
from evaluators.data import Split

SPRITES = Path(__file__).parents[2] / "shared" / "cifar10" / "sprites"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


# The real CIFAR-10


@pytest.mark.skipif(not SPRITES.is_dir(), reason="the real CIFAR-10 is not beside the checkout")
def test_the_real_cifar10_is_recognised_and_has_the_published_statistics() -> None:
    parts: dict[str, list[tuple[torch.Tensor, int]]] = {"train": [], "test": []}
    for sprite in sorted(SPRITES.glob("*.webp")):
        split, name, _ = sprite.stem.split("-")
        strip = torch.from_numpy(np.array(open_image(sprite)))
        images = strip.reshape(-1, 32, 32, 3).permute(0, 3, 1, 2).contiguous()
        parts[split].append((images, _cifar10.CLASSES.index(name)))
    train, test = (
        Split(torch.cat([images for images, _ in part]), torch.cat([torch.full((len(i),), label) for i, label in part]))
        for part in parts.values()
    )
    images = label_images(_cifar10.CLASSES, train, test)
    assert (len(images.train), len(images.test)) == (50_000, 10_000)
    assert images.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=5e-5)
    assert images.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=5e-5)
    assert _cifar10.is_cifar10(images)
    assert not _cifar10.is_cifar10(label_images(_cifar10.CLASSES, train, train))
