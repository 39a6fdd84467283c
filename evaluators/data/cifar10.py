"""CIFAR-10 (Krizhevsky 2009): found on disk, or downloaded, through torchvision."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import os
import socket
import tarfile
import tempfile
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from common.errors import DataError
from evaluators.data.folder import folder_source, subfolders
from evaluators.data.images import LabelledImages, Source, Split, file_identity, label_images

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
HOW_TO_GET = "put cifar-10-python.tar.gz, or its images as train/<class>/ and test/<class>/, into {}, or go online"
_IMAGES_PER_CLASS = (5000, 1000)
_MEAN = (0.4914, 0.4822, 0.4465)
_STD = (0.2470, 0.2435, 0.2616)
_ARCHIVE = "cifar-10-python.tar.gz"
_BATCHES = "cifar-10-batches-py"
_PROBE_SECONDS = 3.0
_STALL_SECONDS = 30.0


def find_cifar10(data_dir: Path) -> Source | None:
    """Return CIFAR-10 in ``data_dir`` or its folder ``cifar10``: images by class, torchvision's batches, or the archive."""
    for root in (data_dir, data_dir / "cifar10"):
        if (root / "train").is_dir() and set(subfolders(root / "train")) == set(CLASSES):
            return folder_source(root)
        source = find_archive(root)
        if source is not None:
            return source
    return None


def find_archive(root: Path) -> Source | None:
    """Return CIFAR-10 as torchvision keeps it in ``root``: unpacked batches if they are complete, else the archive."""
    archive, batches = root / _ARCHIVE, root / _BATCHES
    if batches.is_dir() and (all(path.is_file() for path in _batch_files(batches)) or not archive.is_file()):
        return _source(batches, _batch_files(batches), lambda: _read_batches(root))
    if archive.is_file():
        return _source(archive, [archive], lambda: _read_archive(archive))
    return None


def _source(path: Path, files: list[Path], read: Callable[[], LabelledImages]) -> Source:
    try:
        key = hashlib.sha256(b"".join(file_identity(file.name, file.stat()) for file in files)).hexdigest()
    except OSError as error:
        raise DataError(f"CIFAR-10 in {path} is incomplete ({error}); delete it to download it again") from error
    return Source(path, key, sum(_IMAGES_PER_CLASS) * len(CLASSES), read)


def require_cifar10(images: LabelledImages, path: Path) -> None:
    """Raise ``DataError`` unless the images read from ``path`` are CIFAR-10's."""
    if not is_cifar10(images):
        raise DataError(
            f"{path} has the classes of CIFAR-10, but {len(images.train):,} + {len(images.test):,} images instead of "
            "50,000 + 10,000 of 32x32; to use it as it is, give its path as the data set"
        )


def is_cifar10(images: LabelledImages) -> bool:
    """Return whether these are CIFAR-10's images, by their classes, numbers, size and channel statistics."""
    numbers = tuple(set(torch.bincount(split.labels).tolist()) for split in (images.train, images.test))
    return (
        images.classes == CLASSES
        and numbers == tuple({number} for number in _IMAGES_PER_CLASS)
        and tuple(images.train.images.shape[1:]) == (3, 32, 32)
        and all(abs(a - b) < 1e-3 for a, b in zip(images.mean + images.std, _MEAN + _STD, strict=True))
    )


def _batch_files(batches: Path) -> list[Path]:
    from torchvision.datasets import CIFAR10

    names = [name for name, _ in [*CIFAR10.train_list, *CIFAR10.test_list]]
    return [batches / name for name in [*names, CIFAR10.meta["filename"]]]


def _read_batches(root: Path) -> LabelledImages:
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    # torchvision unpickles these files, so none is opened before its MD5 is seen to be the published one.
    batches = root / _BATCHES
    for name, md5 in [*CIFAR10.train_list, *CIFAR10.test_list, [CIFAR10.meta["filename"], CIFAR10.meta["md5"]]]:
        if not check_integrity(batches / name, md5):
            raise DataError(f"{batches / name} is damaged (its MD5 is not {md5}); delete {batches} to download it again")
    with _quiet():
        parts = [CIFAR10(root, train=train) for train in (True, False)]
    train, test = (Split(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)) for part in parts)
    return label_images(parts[0].classes, train, test)


def _read_archive(archive: Path) -> LabelledImages:
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity, extract_archive

    if not check_integrity(archive, CIFAR10.tgz_md5):
        raise DataError(
            f"{archive} is not the whole CIFAR-10 archive ({archive.stat().st_size:,} bytes, and its MD5 is not "
            f"{CIFAR10.tgz_md5}); delete it to download it again"
        )
    try:
        with tempfile.TemporaryDirectory(prefix="retiarius-") as folder:
            with _quiet():
                extract_archive(archive, folder)
            return _read_batches(Path(folder))
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{archive} could not be unpacked in {tempfile.gettempdir()}: {error}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep quiet what a person can do nothing about: tarfile's advice to torchvision, NumPy's about old pickles."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
        warnings.filterwarnings("ignore", message=r"Python 3\.14 will, by default, filter", category=DeprecationWarning)
        yield


def download_cifar10(data_dir: Path, say: Callable[[str], None]) -> Source:
    """Download the archive into ``data_dir``, with a progress bar; it appears there only when it is whole.

    Raises
    ------
    DataError
        The reason why that cannot be done; an unreachable server is noticed within 5 s.
    """
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import download_url

    obstacle = why_unreachable(CIFAR10.url)
    if obstacle is not None:
        raise DataError(f"{CIFAR10.url} cannot be reached: {obstacle}")
    say(f"downloading CIFAR-10 into {data_dir}")
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=data_dir) as folder, _quiet(), _stall_limit():
            download_url(CIFAR10.url, folder, _ARCHIVE, CIFAR10.tgz_md5)
            os.replace(Path(folder) / _ARCHIVE, data_dir / _ARCHIVE)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise DataError(f"downloading {CIFAR10.url} into {data_dir} failed: {_reason(error)}") from error
    archive = data_dir / _ARCHIVE
    return _source(archive, [archive], lambda: _read_archive(archive))


def why_unreachable(url: str) -> str | None:
    """Return ``None`` if ``url`` answers, else the reason.

    In a thread, because no timeout that one can pass covers the look-up of the host's name.
    """
    answers: list[str | None] = []

    def probe() -> None:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "retiarius"})
        try:
            with urllib.request.urlopen(request, timeout=_PROBE_SECONDS):
                answers.append(None)
        except urllib.error.HTTPError as error:
            error.close()
            answers.append(_reason(error))
        except (OSError, ValueError, http.client.HTTPException) as error:
            answers.append(_reason(error))

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return answers[0] if answers else f"no answer within {_PROBE_SECONDS:g} s"


def _reason(error: BaseException) -> str:
    """Return one line of what went wrong."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, OSError) and cause.strerror:
        cause = cause.strerror
    return str(cause).replace("\n", " ") or type(error).__name__


@contextlib.contextmanager
def _stall_limit() -> Iterator[None]:
    """End a download that stands still; torchvision passes no timeout of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
