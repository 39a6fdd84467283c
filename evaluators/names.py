"""Names that a person types, checked before torch is imported: data sets, devices, precisions."""

from __future__ import annotations

import os
import re
from pathlib import Path

from common.errors import DataError, EvaluatorError, unknown_name
from common.text import show

DATASETS: dict[str, str] = {
    "auto": "CIFAR-10 if it is on disk or can be downloaded, else digits (default)",
    "cifar10": "CIFAR-10: 50,000 + 10,000 images, 10 classes",
    "digits": "scikit-learn's handwritten digits, part of the installation",
}
FOLDER_LAYOUT = "train/<class>/ and test/<class>/"
# Those that torch knows and that compute; each may have a number, such as cuda:1.
DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "maia", "xla", "privateuseone")
PRECISIONS = ("auto", "float32", "bfloat16")
LONGEST_PATH = 300  # characters of a path in a message


def check_dataset_name(name: str) -> None:
    """Raise ``DataError`` unless ``name`` is one of ``DATASETS`` or the path of a folder that exists."""
    if name not in DATASETS:
        existing_folder(name)


def existing_folder(name: str) -> Path:
    """Return the path of the folder ``name``, in which ``~`` may stand for a home.

    Raises
    ------
    DataError
        It is not there, or it is a file.
    """
    path = Path(os.path.expanduser(name))
    if not name or "\0" in name or not _is_there(path, folder=True):
        what = "is a file" if name and "\0" not in name and _is_there(path) else "does not exist"
        legal = f"{', '.join(DATASETS)}, or the path of a folder with images in {FOLDER_LAYOUT}"
        raise DataError(f"data set {show(name, LONGEST_PATH)} {what}; expected {legal}")
    return path


def _is_there(path: Path, *, folder: bool = False) -> bool:
    try:
        return path.is_dir() if folder else path.exists()
    except OSError:  # a name that is too long
        return False


def check_device_name(name: str) -> None:
    """Raise ``EvaluatorError`` unless torch has devices of this name: ``auto``, or a kind with or without a number (``cuda:1``).

    Whether this machine has the device is seen by ``evaluators.devices.choose_device``.
    """
    if name != "auto" and not re.fullmatch(rf"({'|'.join(DEVICES)})(:\d{{1,3}})?", name):
        if name.lower() in ("gpu", "nvidia"):
            raise EvaluatorError(f"unknown device {show(name)} (did you mean cuda?)")
        raise EvaluatorError(unknown_name("device", name, ["auto", *DEVICES]))


def check_precision_name(name: str) -> None:
    """Raise ``EvaluatorError`` unless ``name`` is one of ``PRECISIONS``."""
    if name not in PRECISIONS:
        raise EvaluatorError(unknown_name("precision", name, PRECISIONS))
