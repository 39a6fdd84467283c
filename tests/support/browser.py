"""A page of a headless Chromium, for tests of what people see; ``needs_chromium`` skips where there is none."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)")


class Browser:
    """A page of a headless Chromium, spoken to by the DevTools protocol over loopback."""

    def __init__(self, profile: Path) -> None:
        from websockets.sync.client import connect  # NNI brings it

        command = [
            str(CHROMIUM),
            *FLAGS.split(),
            "--disable-sync",
            f"--user-data-dir={profile}",
            "--remote-debugging-port=0",
            "about:blank",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.events: list[dict[str, Any]] = []
        self._numbers, self._session = itertools.count(1), ""
        place = profile / "DevToolsActivePort"
        end = time.monotonic() + 120
        while not (place.exists() and place.read_text().count("\n")):
            assert self._process.poll() is None and time.monotonic() < end, "chromium did not start"
            time.sleep(0.1)
        port, path = place.read_text().split("\n")[:2]
        self._stack = ExitStack()
        self._socket = self._stack.enter_context(
            connect(f"ws://127.0.0.1:{port}{path}", max_size=None, open_timeout=60, ping_interval=None)
        )
        target = next(info for info in self.call("Target.getTargets")["targetInfos"] if info["type"] == "page")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps({**message, "sessionId": self._session} if self._session else message))
        while True:
            answer = json.loads(self._socket.recv(timeout=120))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(self, url: str) -> None:
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait_for(f"document.readyState == 'complete' && location.href.startsWith({json.dumps(url)})")

    def wait_for(self, condition: str) -> None:
        end = time.monotonic() + 120
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"never: {condition}"
            time.sleep(0.05)

    def take_picture(self, path: Path, width: int, height: int) -> None:
        """A PNG of what a window of this size shows."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        time.sleep(1)  # what moves has come to rest
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def evaluate(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def move_to(self, expression: str, *, click: bool = False) -> None:
        """Put the pointer on the middle of an element, where it can be seen."""
        middle = "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]"
        box = f"(e => {{ e.scrollIntoView({{block: 'center'}}); {middle} }})({expression})"
        x, y = self.evaluate(box)
        kinds = ["mouseMoved", "mousePressed", "mouseReleased"] if click else ["mouseMoved"]
        for kind in kinds:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="none" if kind == "mouseMoved" else "left", clickCount=1)

    def complaints(self, *allowed: str) -> list[dict[str, Any]]:
        """What the console holds, and every address that was asked for beside this machine's."""
        noise = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening")
        asked = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        others = [event for event in asked if not event["params"]["request"]["url"].startswith(("file:", "data:", *allowed))]
        return [event for event in self.events if event.get("method") in noise] + others

    def close(self) -> None:
        self._stack.close()
        self._process.terminate()
        self._process.wait(timeout=60)
