"""evaluators.data.cifar10: what is downloaded, or cannot be. No test goes further than this machine."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from image_folders import all_keys
from made_cifar10 import ARCHIVE, listing, load
from torchvision.datasets import CIFAR10

from common.errors import DataError
from evaluators.data import cifar10 as _cifar10
from evaluators.data.cifar10 import why_unreachable

pytestmark = pytest.mark.usefixtures("offline")


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
    assert lines == [f"downloading CIFAR-10 into {tmp_path / 'data'}"]
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
