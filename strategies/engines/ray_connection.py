"""The connection of this process to Ray: to one of its own, to a cluster of others, or the one that it has already."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from common.errors import StrategyError, describe_error
from strategies.engines.ray_head import RayHead

logger = logging.getLogger("retiarius.strategies")
_SECONDS_TO_ANSWER = 10.0
QUIET: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}


def require_ray(asked: str) -> None:
    """Raise ``StrategyError`` where Ray is not installed; ``asked`` is what needs it."""
    if importlib.util.find_spec("ray") is None:
        raise StrategyError(f"{asked} needs Ray, which is not installed: pip install 'retiarius[ray]'")


def import_ray() -> Any:
    """Return the package, imported without what it sets for a whole process."""
    hook = sys.excepthook
    import ray

    sys.excepthook = hook
    return ray


@contextlib.contextmanager
def own_ray(slots: int, store_bytes: int = 0) -> Iterator[None]:
    """Connect to a Ray of our own within the block, or to none where this process is connected already.

    Parameters
    ----------
    slots, store_bytes
        As ``RayHead`` takes them.
    """
    if is_connected():
        yield
        return
    head = RayHead(slots, store_bytes)
    try:
        import_ray()  # while it starts
        address = head.wait()
        with _variables(head.authentication), _loopback_only(), _connected(address):
            yield
    finally:
        head.close()
        _read_token_again()


@contextlib.contextmanager
def cluster_ray(address: str, runtime_environment: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Connect to the Ray at ``address`` (``auto``, ``HOST:PORT``, ``ray://HOST:PORT``) within the block.

    Parameters
    ----------
    address
        A connection that this process has already is used instead, and stays.
    runtime_environment
        Ray's ``runtime_env``: what the nodes are to have.

    Raises
    ------
    StrategyError
        There is no Ray at that address, or no client of Ray here for ``ray://``.
    """
    if is_connected():
        yield
        return
    if address.startswith("ray://") and importlib.util.find_spec("grpc") is None:
        raise StrategyError(f"{address} is reached by Ray's client, which needs grpcio: pip install 'ray[client]'")
    import_ray()
    try:
        _knock(address)
    except (OSError, OverflowError) as error:
        raise StrategyError(f"no Ray answers at {address!r} ({describe_error(error)}); start one with: ray start --head") from error
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_connected(address, runtime_env=dict(runtime_environment or {})))
        except Exception as error:  # whatever Ray and its transport raise: also where code is too large, or the token is another
            what = "it has to run, with the same token and the same versions of Python and Ray as here"
            raise StrategyError(f"cannot join the Ray at {address!r} ({describe_error(error)}); {what}") from error
        yield


def _knock(address: str) -> None:
    """Raise ``OSError`` where nothing listens at ``HOST:PORT``: Ray itself would try for a minute, with a line every few seconds."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()


def is_connected() -> bool:
    """Return whether this process is connected to a Ray."""
    return "ray" in sys.modules and sys.modules["ray"].is_initialized()


@contextlib.contextmanager
def _connected(address: str, **options: Any) -> Iterator[None]:
    ray = import_ray()
    _read_token_again()
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later Ray will do
            ray.init(address, **QUIET, **options)
    finally:
        if in_main and handler is not None:
            signal.signal(signal.SIGTERM, handler)  # Ray has set its own, which ends a process as if nothing were to be kept
    with _messages_logged(ray):
        try:
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _messages_logged(ray: Any) -> Iterator[None]:
    """Let Ray's long messages, of a worker that died, go to the log instead of the standard output."""
    worker = ray._private.worker
    before = worker.print_to_stdstream
    worker.print_to_stdstream = lambda data, *_, **__: logger.debug("%s", "\n".join(data["lines"]))
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextlib.contextmanager
def _loopback_only() -> Iterator[None]:
    """Let this process listen on 127.0.0.1 only, where Ray calls a head at 127.0.0.1 by another address of the machine otherwise.

    Ray reads the variable that says so as it is imported: too early for a process that may join a cluster later.
    """
    from ray._private import ray_constants

    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _read_token_again() -> None:
    """Let Ray forget the token of an earlier connection; a Ray before 2.52 knows none."""
    if "ray" not in sys.modules:
        return
    with contextlib.suppress(ImportError, AttributeError):
        raylet: Any = importlib.import_module("ray._raylet")
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process within the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
