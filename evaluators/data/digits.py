"""scikit-learn's handwritten digits, which come with the installation (Alpaydin & Kaynak 1998, the UCI test part)."""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate

from evaluators.data.images import LabelledImages, Split, label_images, stratified_cut

_TEST_SIZE = 360
_TEST_SEED = 0


def read_digits() -> LabelledImages:
    """Return 1,797 digits of 8x8 pixels, resized to 3x32x32: 1,437 to train and 360 to test, always the same ones."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    grey = torch.from_numpy(pixels).float().reshape(-1, 1, 8, 8)
    # Interpolated while the values are whole numbers in 0..16: exact in float32, so the same bytes on every machine.
    larger = interpolate(grey, size=(32, 32), mode="bilinear", align_corners=False) * (255 / 16)
    images = larger.round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
    whole = Split(images, torch.from_numpy(labels).long())
    test, train = stratified_cut(whole.labels, _TEST_SIZE, torch.Generator().manual_seed(_TEST_SEED))
    return label_images([str(digit) for digit in range(10)], whole.take(train), whole.take(test))
