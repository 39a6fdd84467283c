"""What a command needs of the machine beside the program: an optional package, a free port."""

from __future__ import annotations

import importlib.util
import socket

from common.errors import RecordError

DEFAULT_PORT = 8080
LOOPBACK = "127.0.0.1"


def require_package(module: str, package: str, argument: str) -> None:
    """Raise ``RecordError`` where ``module``, which ``argument`` needs, is not installed; ``package`` is what pip calls it."""
    if importlib.util.find_spec(module) is None:
        raise RecordError(f"`{argument}` needs {package}, which is not installed: pip install {package}")


def check_port(port: int, address: str) -> None:
    """Raise ``RecordError`` where something listens on ``port`` already, or may not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was let go of a moment ago is free
        try:
            probe.bind((address, port))
        except OSError as error:
            raise RecordError(f"port {port} cannot be used: {error.strerror}; set `port` to another") from None
