"""Pixels of any form that images come in, as bytes: uint8, three channels."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from common.errors import DataError
from common.text import show

_EIGHT_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}


def check_memory(what: str, count: int, height: int, width: int) -> None:
    """Raise ``DataError`` where ``count`` images of this size, of ``what``, do not fit into this machine's memory."""
    needed = count * 3 * height * width
    present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else needed
    if needed > present:
        raise DataError(
            f"{what}: images of {height}x{width} need {needed / 2**30:.1f} GiB of memory, and "
            f"this machine has {present / 2**30:.1f}; use smaller or fewer images"
        )


def rgb_pixels(image: Image.Image, what: str) -> np.ndarray:
    """Return the pixels of a picture, uint8 [H, W, 3]; what is transparent is white.

    Raises
    ------
    DataError
        Its pixels have more than 8 bits a channel; ``what`` names the picture.
    """
    if image.mode not in _EIGHT_BIT_MODES:
        raise DataError(f"{what} has pixels of mode {image.mode}; expected 8 bits per channel")
    if "A" in image.getbands() or "transparency" in image.info:
        # What lies under transparent pixels is often black, as a drawing on them is: on white it is seen.
        pixels = Image.new("RGBA", image.size, "white")
        pixels.alpha_composite(image.convert("RGBA"))
        return np.asarray(pixels.convert("RGB"))
    return np.asarray(image.convert("RGB"))


def one_image(image: Any, what: str) -> Tensor:
    """Return one picture (pillow's, or a tensor or array [C, H, W], [H, W, C] or [H, W]) as uint8 [3, H, W].

    Raises
    ------
    DataError
        As ``many_images`` does; ``what`` names the picture.
    """
    if isinstance(image, Image.Image):
        return torch.from_numpy(rgb_pixels(image, what).transpose(2, 0, 1).copy())
    return many_images(as_tensor(image, what)[None], what)[0]


def many_images(images: Any, what: str) -> Tensor:
    """Return images as uint8 [N, 3, H, W], contiguous, on the CPU.

    Parameters
    ----------
    images
        A tensor or array [N, C, H, W], [N, H, W, C] or [N, H, W]; C is 3, or 1, which is repeated. Whole numbers from 0 to 255, or
        floating point from 0 to 1.
    what
        Names the images in messages.

    Raises
    ------
    DataError
        The shape or the range is another.
    """
    tensor = _channels_first(as_tensor(images, what), what)
    return _as_bytes(tensor, what).expand(-1, 3, -1, -1).contiguous()


def as_tensor(values: Any, what: str) -> Tensor:
    """Return numbers in any form as a tensor on the CPU, without its gradient.

    Raises
    ------
    DataError
        They are no numbers; ``what`` names them.
    """
    try:
        tensor = values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(_array(values))
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: {show(values)} is not a tensor or an array of numbers") from error
    return tensor.long() if tensor.dtype in (torch.uint16, torch.uint32, torch.uint64) else tensor  # which torch cannot compare


def _array(values: Any) -> np.ndarray:
    array = np.asarray(values)
    return array if array.flags.writeable and min(array.strides, default=0) >= 0 else array.copy()  # as torch takes it


def _channels_first(images: Tensor, what: str) -> Tensor:
    if images.dim() == 3:
        images = images[:, None]
    if images.dim() == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.permute(0, 3, 1, 2)
    if images.dim() != 4 or images.shape[1] not in (1, 3) or 0 in images.shape[2:]:
        raise DataError(f"{what}: shape {tuple(images.shape)}; expected [N, 3, H, W] or [N, H, W, 3], or one channel")
    return images


def _as_bytes(images: Tensor, what: str) -> Tensor:
    if images.dtype == torch.uint8 or not len(images):
        return images.to(torch.uint8)
    if images.dtype == torch.bool or images.is_complex():
        raise DataError(f"{what}: values of type {images.dtype}; expected uint8, or floating point from 0 to 1")
    low, high = float(images.min()), float(images.max())
    if images.is_floating_point():
        if not (low >= 0 and high <= 1):  # nor is NaN
            raise DataError(f"{what}: floating point from {low:g} to {high:g}; expected 0 to 1, not normalised, or uint8")
        return (images * 255).round().to(torch.uint8)
    if low < 0 or high > 255:
        raise DataError(f"{what}: whole numbers from {low:g} to {high:g}; expected 0 to 255")
    return images.to(torch.uint8)
