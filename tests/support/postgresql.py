"""A PostgreSQL of the test's own, on the loopback interface, with a password."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "s3cret-p4ss"


class Server:
    """A running server; ``url`` has a user, a password and a database."""

    def __init__(self, folder: Path, port: int, user: dict[str, Any], binaries: Path) -> None:
        self.port, self.url = port, f"postgresql://tester:{PASSWORD}@127.0.0.1:{port}/postgres"
        self._folder, self._binaries, self._user = folder, binaries, user
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [binaries / "postgres", "-D", folder / "data", "-p", str(port), *options], stdout=log, stderr=log, **user
            )

    def wait(self) -> None:
        """Until it can be spoken to."""
        deadline = time.monotonic() + 60
        while subprocess.run([self._binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once."""
        if self._process.poll() is None:
            command = [self._binaries / "pg_ctl", "-D", self._folder / "data", "-m", "immediate", "-w", "stop"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **self._user)
        self._process.wait(30)


@contextlib.contextmanager
def postgresql() -> Iterator[Server]:
    """A new server; skips the test, with a reason, where there is none on this machine."""
    pytest.importorskip("psycopg", reason="psycopg, the driver for PostgreSQL, is not installed")
    # Debian keeps them out of the path; a wrapper in the path may lead anywhere.
    found = [Path(path).resolve() for path in [shutil.which("initdb")] if path] + sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = [path for path in found if all(path.with_name(name).exists() for name in ("postgres", "pg_ctl", "pg_isready"))]
    if not found:
        pytest.skip("PostgreSQL is not on this machine (apt-get install postgresql)")
    user: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="retiarius-postgresql-"))
    try:
        if os.getuid() == 0:  # which PostgreSQL refuses to be
            try:
                account = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        user["cwd"] = folder
        (folder / "password").write_text(PASSWORD)
        os.chmod(folder / "password", 0o644)
        options = ["--username=tester", f"--pwfile={folder / 'password'}", "--auth=scram-sha-256", "--no-sync"]
        subprocess.run([found[-1], "-D", folder / "data", *options], check=True, stdout=subprocess.DEVNULL, **user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = Server(folder, port, user, found[-1].parent)
        try:
            server.wait()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
