"""The file of a table: CSV, as it is or compressed by gzip."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from common.errors import EvaluatorError


def read_bytes(path: Path) -> bytes:
    """Return what the file holds; raise ``EvaluatorError`` where there is none."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise EvaluatorError(f"{path}: {error.strerror}; expected a CSV file, plain or gzipped") from None


def decode(path: Path, data: bytes) -> str:
    """Return ``data`` as text, uncompressed; raise ``EvaluatorError`` where it is cut off, or no text."""
    try:
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise EvaluatorError(f"{path}: broken or cut off: {error}") from None
    except UnicodeDecodeError as error:
        raise EvaluatorError(f"{path}: byte {error.start} is not UTF-8 text; expected a CSV file, plain or gzipped") from None
