"""NNI's own service: that nothing of it is left, whatever it does."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest
from ports import free_port, is_free
from trial_scripts import wait_until_gone

from common.errors import RunError
from nni_compat.service import NniService

# A service that says no more than that it is there, and does not end when it is told to.
SILENT = """#!{python}
import http.server, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "600"])
class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{{"status": "INITIALIZED"}}')
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Pages).serve_forever()
"""  # a service that says no more than that it is there, and does not end when it is told to


@pytest.mark.parametrize("guard_hangs", [False, True])
def test_a_service_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard_hangs: bool) -> None:
    node = tmp_path / "node"
    node.write_text(SILENT.format(python=sys.executable))
    node.chmod(0o700)
    monkeypatch.setattr("nni_compat.service._find_node", lambda: node)
    monkeypatch.setattr("nni_compat.service.SECONDS_TO_OBEY", "0.5")
    monkeypatch.setattr("nni_compat.service.SECONDS_TO_STOP", 2.0)
    port, started, before = free_port(), [], psutil.Process().children()
    silent = pytest.raises(RunError, match="NNI's service does not answer to experiment: HTTP Error 501")
    with silent, NniService(tmp_path / "nni", port) as service:
        (guard,) = (child for child in psutil.Process().children() if child not in before)
        started = [guard, *guard.children(recursive=True)]
        assert len(started) >= 3, "guard, service, what it has started"
        if guard_hangs:
            guard.suspend()
        service.begin({}, "true", tmp_path)
    assert wait_until_gone([process.pid for process in started], 10) and is_free(port)
