"""evaluators.data.dataset: CIFAR-10 found on disk or downloaded. No test goes further than this machine."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import socket
import tarfile
import threading
import time
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from image_folders import all_keys, open_image, write_images
from PIL import Image
from torchvision.datasets import CIFAR10

from common.errors import DataError
from evaluators.data import cifar10 as _cifar10
from evaluators.data.cifar10 import why_unreachable
from evaluators.data.dataset import Dataset, Split, load_dataset
from evaluators.data.images import channel_statistics, label_images

SPRITES = Path(__file__).parents[4] / "shared" / "cifar10" / "sprites"
ARCHIVE, BATCHES = "cifar-10-python.tar.gz", "cifar-10-batches-py"


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of one's own, and a server that refuses the connection."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
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
    write("batches.meta", {"label_names": list(_cifar10.CLASSES)})
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
        monkeypatch.setattr(_cifar10, name, value)
    return archive.parent


def load(data_dir: Path, dataset: str = "cifar10", announce: Callable[[str], None] | None = None) -> Dataset:
    return load_dataset(dataset, data_dir=data_dir, validation_fraction=0.5, announce=announce)


def unpack(data_dir: Path) -> Path:
    with tarfile.open(data_dir / ARCHIVE) as tar:
        tar.extractall(data_dir, filter="data")
    (data_dir / ARCHIVE).unlink()
    return data_dir


def as_images(data_dir: Path) -> Path:
    """What `data_dir` holds, as train/<class>/ and test/<class>/ images."""
    unpack(data_dir)
    for split in ("train", "test"):
        part = CIFAR10(data_dir, train=split == "train")
        for index, (pixels, label) in enumerate(zip(part.data, part.targets, strict=True)):
            file = data_dir / split / _cifar10.CLASSES[label] / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    shutil.rmtree(data_dir / BATCHES)
    return data_dir


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


# On disk


@pytest.mark.filterwarnings("ignore:dtype:Warning")  # as_images reads the old pickles for itself
@pytest.mark.parametrize("dataset", ["cifar10", "auto"])
def test_archive_batches_and_images_are_one_data_set(
    small_cifar10: Path, tmp_path: Path, dataset: str, capfd: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    from_archive = load(small_cifar10, dataset, lines.append)
    shutil.copytree(small_cifar10, tmp_path / "batches")
    from_batches = load(unpack(tmp_path / "batches"), dataset, lines.append)
    shutil.copytree(small_cifar10, tmp_path / "images" / "cifar10")
    as_images(tmp_path / "images" / "cifar10")
    from_images = load(tmp_path / "images", dataset, lines.append)
    by_path = load(tmp_path, str(tmp_path / "images" / "cifar10"), lines.append)
    for other in (from_batches, from_images, by_path):
        assert other.describe() == from_archive.describe()
        assert all_keys(other) == all_keys(from_archive)
    assert from_archive.name == "cifar10" and from_archive.classes == _cifar10.CLASSES
    assert [len(split) for split in (from_archive.train, from_archive.validation, from_archive.test)] == [10, 10, 10]
    assert lines == [] and capfd.readouterr() == ("", "")


def test_pixels_and_labels_are_those_of_the_batches(small_cifar10: Path) -> None:
    dataset = load(unpack(small_cifar10))
    written = []
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        with (small_cifar10 / BATCHES / name).open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batch = pickle.load(file, encoding="latin1")
        written += [(row.tobytes(), label) for row, label in zip(batch["data"], batch["labels"], strict=True)]
    assert sorted(all_keys(dataset)) == sorted(written)


def test_the_second_start_unpickles_nothing(small_cifar10: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(small_cifar10)
    assert listing(small_cifar10)[-1] == ARCHIVE and len(listing(small_cifar10)) == 3  # .cache, its file, the archive

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    assert all_keys(load(small_cifar10)) == all_keys(first)


def test_batches_half_unpacked_beside_the_whole_archive_do_no_harm(small_cifar10: Path) -> None:
    (small_cifar10 / BATCHES).mkdir()
    (small_cifar10 / BATCHES / "data_batch_1").write_bytes(b"half")
    assert len(load(small_cifar10).test) == 10


def cut_archive(folder: Path) -> None:
    content = (folder / ARCHIVE).read_bytes()
    (folder / ARCHIVE).write_bytes(content[: len(content) // 2])


def damage_batch(folder: Path) -> None:
    file = unpack(folder) / BATCHES / "data_batch_3"
    file.write_bytes(file.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize("dataset", ["cifar10", "auto"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_archive, r"cifar-10-python\.tar\.gz is not the whole CIFAR-10 archive \([\d,]+ bytes whose MD5 is not"),
        (lambda f: (f / ARCHIVE).write_bytes(b""), r"is not the whole CIFAR-10 archive \(0 bytes .*; delete it to"),
        (damage_batch, r"data_batch_3 is damaged \(its MD5 is not [0-9a-f]{32}\); delete .*-py to download it anew"),
        (
            lambda f: (unpack(f) / BATCHES / "test_batch").unlink(),
            r"batches-py is incomplete \(.*test_batch'?\); delete",
        ),
    ],
)
def test_a_broken_archive_is_one_line_and_never_unpickled(
    small_cifar10: Path,
    dataset: str,
    damage: Callable[[Path], object],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    damage(small_cifar10)
    monkeypatch.setattr(pickle, "load", lambda *arguments, **options: pytest.fail("unpickled"))
    with pytest.raises(DataError, match=message) as caught:
        load(small_cifar10, dataset)
    assert "\n" not in str(caught.value)


def test_an_archive_that_cannot_be_unpacked_for_want_of_space(small_cifar10: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_the_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torchvision.datasets.utils.extract_archive", fill_the_disk)
    with pytest.raises(DataError, match=r"tar\.gz could not be unpacked in .*: .*No space left on device"):
        load(small_cifar10)


@pytest.mark.parametrize("dataset", ["cifar10", "auto"])
def test_other_images_in_cifar10s_classes_do_not_pass_for_it(tmp_path: Path, dataset: str) -> None:
    other = write_images(tmp_path / "cifar10", _cifar10.CLASSES, side=32)
    by_path = load(tmp_path, str(other))  # which also leaves a cache behind
    assert by_path.name == "folder-cifar10"
    with pytest.raises(DataError, match=r"cifar10 has the classes of CIFAR-10 but not its 50,000 \+ 10,000 .*100 \+ 30\)"):
        load(tmp_path, dataset)


def test_images_of_other_classes_in_the_data_folder_are_not_taken(tmp_path: Path) -> None:
    write_images(tmp_path / "data")
    assert load(tmp_path / "data", "auto").name == "digits"


# Downloads


def test_auto_falls_back_to_the_digits_and_says_so_in_one_line(tmp_path: Path) -> None:
    lines: list[str] = []
    assert load(tmp_path / "data", "auto", lines.append).name == "digits"
    (line,) = lines
    assert "scikit-learn's digits INSTEAD" in line and "Connection refused" in line and "\n" not in line
    assert f"put {ARCHIVE}, or its images as train/<class>/ and test/<class>/, into {tmp_path / 'data'}" in line
    assert not (tmp_path / "data").exists()


def test_cifar10_by_name_is_never_substituted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"CIFAR-10 is not in .*data and http.* cannot be reached: Connection refused; put"):
        load(tmp_path / "data")


def test_a_server_that_never_answers_and_a_name_that_never_resolves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _cifar10._PROBE_SECONDS <= 3  # beside a second or so of imports: 5 s in all
    monkeypatch.setattr(_cifar10, "_PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        # Whichever of the two limits comes first, that of the connection or that of the whole.
        assert why_unreachable(url) in ("timed out", "no answer within 0.2 s")
    release = threading.Event()

    def resolve_slowly(*arguments: object) -> None:
        release.wait(10)
        raise OSError("too late")

    monkeypatch.setattr(socket, "getaddrinfo", resolve_slowly)
    started = time.monotonic()
    assert why_unreachable("http://some.host/") == "no answer within 0.2 s"
    assert time.monotonic() - started < 5
    release.set()


class Server:
    """Serves `content` for every path from a thread; `announced` bytes are promised."""

    def __init__(self, content: bytes, announced: int | None = None, status: int = 200) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content) if announced is None else announced))
                self.end_headers()

            def do_GET(self) -> None:
                self.do_HEAD()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_port}/{ARCHIVE}"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.mark.parametrize("dataset", ["cifar10", "auto"])
def test_a_download_ends_as_the_archive_on_disk(
    small_cifar10: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    dataset: str,
) -> None:
    content = (small_cifar10 / ARCHIVE).read_bytes()
    lines: list[str] = []
    with Server(content) as server:
        monkeypatch.setattr(CIFAR10, "url", server.url)
        downloaded = load(tmp_path / "data", dataset, lines.append)
    assert all_keys(downloaded) == all_keys(load(small_cifar10))
    assert (tmp_path / "data" / ARCHIVE).read_bytes() == content
    assert lines == [f"Downloading CIFAR-10 into {tmp_path / 'data'}"]
    output, bar = capfd.readouterr()
    assert output == "" and "100%" in bar
    assert all_keys(load(tmp_path / "data", dataset)) == all_keys(downloaded)  # the server is gone


@pytest.mark.parametrize("announced", [None, 10**6])
def test_a_broken_download_leaves_nothing_behind(
    small_cifar10: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, announced: int | None
) -> None:
    half = (small_cifar10 / ARCHIVE).read_bytes()[:1000]
    with Server(half, announced) as server:
        monkeypatch.setattr(CIFAR10, "url", server.url)
        with pytest.raises(DataError, match=r"downloading http.* into .*data failed: .+; put cifar-10-python") as caught:
            load(tmp_path / "data")
        assert "\n" not in str(caught.value)
        assert load(tmp_path / "data", "auto").name == "digits"
    assert listing(tmp_path / "data") == []


def test_a_server_without_the_file_counts_as_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(b"", status=404) as server:
        monkeypatch.setattr(CIFAR10, "url", server.url)
        with pytest.raises(DataError, match=r"cannot be reached: Not Found"):
            load(tmp_path)


def test_an_interrupted_download_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(url: str, root: str, filename: str, md5: str) -> None:
        (Path(root) / filename).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(_cifar10, "why_unreachable", lambda url: None)
    monkeypatch.setattr("torchvision.datasets.utils.download_url", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path / "data", "auto")
    assert listing(tmp_path / "data") == []
    assert socket.getdefaulttimeout() is None


def test_a_data_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cifar10, "why_unreachable", lambda url: None)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"downloading .* into .*file/data failed: Not a directory"):
        load(tmp_path / "file" / "data")


# The real one


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
    whole = label_images(_cifar10.CLASSES, train, test)
    assert (len(whole.train), len(whole.test)) == (50_000, 10_000)
    assert whole.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=5e-5)
    assert whole.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=5e-5)
    assert _cifar10.is_cifar10(whole)
    assert not _cifar10.is_cifar10(label_images(_cifar10.CLASSES, train, train))
