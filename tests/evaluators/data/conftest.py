"""What the tests of data share: a cache of their own, a small CIFAR-10, and a server of it that is not there."""

from __future__ import annotations

import hashlib
import pickle
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from made_cifar10 import ARCHIVE, BATCHES
from torchvision.datasets import CIFAR10

from evaluators.data import cifar10
from evaluators.data.images import channel_statistics


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that refuses the connection."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/{ARCHIVE}"
    monkeypatch.setattr(CIFAR10, "url", address)


def old_pickle(content: dict[str, object]) -> bytes:
    """As Python 2 and its NumPy wrote the batches; some versions of NumPy warn of it."""
    written = pickle.dumps(content, protocol=2)
    return written.replace(b"numpy._core.multiarray", b"numpy.core.multiarray").replace(b"\x89\x88\x87", b"K\0K\1\x87")


@pytest.fixture
def small_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds the archive of a CIFAR-10 of 2 + 1 images a class, which is the real one for this test."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "made" / BATCHES
    folder.mkdir(parents=True)
    md5s = {}

    def write(name: str, content: dict[str, object]) -> None:
        (folder / name).write_bytes(old_pickle(content))
        md5s[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()

    pixels = [rng.integers(0, 256, (count, 3072), dtype=np.uint8) for count in (4, 4, 4, 4, 4, 10)]
    for i, name in enumerate([f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]):
        write(name, {"data": pixels[i], "labels": [(4 * i + j) % 10 for j in range(len(pixels[i]))]})
    write("batches.meta", {"label_names": list(cifar10.CLASSES)})
    archive = tmp_path / "archive" / ARCHIVE
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, BATCHES)
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(CIFAR10, "train_list", [[f"data_batch_{i}", md5s[f"data_batch_{i}"]] for i in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5s["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5s["batches.meta"]})
    mean, std = channel_statistics(torch.from_numpy(np.concatenate(pixels[:5]).reshape(-1, 3, 32, 32)))
    for name, value in (("_IMAGES_PER_CLASS", (2, 1)), ("_MEAN", mean), ("_STD", std)):
        monkeypatch.setattr(cifar10, name, value)
    return archive.parent
