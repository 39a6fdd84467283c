"""Images to search and train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.libraries import quiet_libraries
from common.reporter import Reporter
from retiarius.settings import DEFAULT_DATA_DIR
from retiarius.value_checks import as_path, as_reporter, check_seed

if TYPE_CHECKING:
    from evaluators.data.dataset import Dataset


def load_data(
    source: Any = "auto",
    *,
    test: Any = None,
    data_dir: str | Path = DEFAULT_DATA_DIR,
    limit: int | None = None,
    seed: int = 0,
    validation_fraction: float = 0.1,
    reporter: Reporter | None = None,
) -> Dataset:
    """Load images into memory, split into train, validation and test.

    Parameters
    ----------
    source
        ``"cifar10"``, ``"digits"`` of scikit-learn, ``"auto"`` (CIFAR-10, or the digits where that cannot be had), or a folder with
        ``train/<class>/`` and ``test/<class>/``. Or images of your own: a pair of images and labels, or a torchvision-style data set of
        images of one size. Images are [N, 3, H, W] or [N, H, W, 3], uint8 or floats in [0, 1]; labels [N].
    test
        Test images of your own, in the same form; a part of ``source`` is cut off for them otherwise.
    data_dir
        Where CIFAR-10 is looked for and downloaded to.
    limit
        Keep at most so many training images, and as many test images.
    seed
        Of the subset and of the validation split.
    validation_fraction
        Share of the training images that becomes the validation split, in (0, 1).
    reporter
        Hears what takes long, and what happens in place of what was asked for.

    Returns
    -------
    Dataset
        ``train``, ``validation`` and ``test``, each with ``images`` (uint8 [N, 3, H, W]) and ``labels`` (int64 [N]); ``classes``.

    Raises
    ------
    DataError
        The images cannot be had or used; the message says what would be right.
    """
    check_seed(seed)
    quiet_libraries()
    from evaluators.data.dataset import load_dataset

    heard = as_reporter(reporter)
    told: dict[str, Any] = {
        "data_dir": as_path("data_dir", data_dir),
        "seed": seed,
        "limit": limit,
        "validation_fraction": validation_fraction,
    }
    source = str(source) if isinstance(source, Path) else source
    return load_dataset(source, test=test, **told, announce=heard.say, warn=heard.warn)
