"""What holds for every test: it reaches no machine but this one, what it starts can be interrupted, and slow strategies make it slow."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # A process of tests on every core: threads of torch that wait for one another on busy cores take many times as long as one alone.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has started the tests in the background. What they start would ignore Ctrl-C as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What every strategy must do is a quick test but for those whose model is fitted anew for each proposal, seconds a search."""
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if any(parameters.get(key) in ("gp", "bo") for key in ("name", "strategy")):
            item.add_marker(pytest.mark.slow)


_resolve = socket.getaddrinfo


def _is_here(host: Any) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _resolve_here(host: Any, *arguments: Any, **options: Any) -> Any:
    if not _is_here(host):
        raise socket.gaierror(socket.EAI_NONAME, f"tests reach no network (asked for {host!r})")
    return _resolve(host, *arguments, **options)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of other machines do not resolve, and no proxy leads there, so that tests do the same with and without a network."""
    monkeypatch.setattr(socket, "getaddrinfo", _resolve_here)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def one_ray() -> Iterator[None]:
    """Ray on this machine, for all tests of this process that ask for it: it takes seconds to start. Searches in this process use it."""
    from strategies.engines.ray_connection import own_ray

    with own_ray(3, 2**28):
        yield
