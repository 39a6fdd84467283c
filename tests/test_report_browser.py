"""The report in a real browser: it opens without a word in the console, asks for nothing, sorts its table and answers the pointer."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from report_runs import make_trials, write_search
from test_report import make_hostile

from records.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)"),
]


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
        self._socket = self._stack.enter_context(connect(f"ws://127.0.0.1:{port}{path}", max_size=None, open_timeout=60))
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

    def open(self, path: Path) -> None:
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        end = time.monotonic() + 120
        while self.evaluate("document.readyState + location.protocol") != "completefile:":
            assert time.monotonic() < end, "the page did not load"
            time.sleep(0.05)

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

    def complaints(self) -> list[dict[str, Any]]:
        """What the console holds, and every address that was asked for beside the page and its icon."""
        noise = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening")
        asked = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        others = [event for event in asked if not event["params"]["request"]["url"].startswith(("file:", "data:"))]
        return [event for event in self.events if event.get("method") in noise] + others

    def close(self) -> None:
        self._stack.close()
        self._process.terminate()
        self._process.wait(timeout=60)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


COLUMN = "[...document.querySelectorAll('table.trials tbody tr')].map(row => row.cells[%d].dataset.v)"


def test_a_click_on_a_head_sorts_and_the_pointer_is_answered(browser: Browser, tmp_path: Path) -> None:
    trials = make_trials(200, epochs=12)
    path, _ = write_report([write_search(tmp_path / "run", trials)])
    browser.open(path)
    timing = browser.evaluate("(({loadEventEnd, startTime}) => loadEventEnd - startTime)(performance.getEntriesByType('navigation')[0])")
    assert 0 < timing < 20_000, "the goal is 2 s; a busy machine gets more"
    scores = [max(trial.curve) if trial.score is None and trial.curve else trial.score for trial in trials]
    known = sorted((score for score in scores if score is not None), reverse=True)
    accuracy = "document.querySelectorAll('table.trials th button')[2]"
    for expected in (known, known[::-1]):
        browser.move_to(accuracy, click=True)
        shown = browser.evaluate(COLUMN % 2)
        assert [float(value) for value in shown[:180]] == expected
        assert shown[180:] == [""] * 20, "those without a value come last, whichever way"
    browser.move_to("document.querySelectorAll('table.trials th button')[1]", click=True)
    assert browser.evaluate(COLUMN % 1) == sorted(trial.status for trial in trials)

    browser.move_to("document.querySelector('.series.top .dot:last-of-type')")
    best = max((trial for trial in trials if trial.score is not None), key=lambda trial: trial.score or 0.0)
    tip = browser.evaluate("document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent")
    assert tip == f"trial {best.number}, complete, epoch 12: {100 * best.curve[-1]:.2f}%"
    assert browser.complaints() == []


def test_a_page_of_hostile_texts_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    path, _ = write_report(make_hostile(tmp_path))
    browser.open(path)
    assert browser.evaluate("document.images.length") == 0
    assert browser.evaluate("document.scripts.length") == 1
    browser.move_to("document.querySelector('table.trials th button')", click=True)
    assert browser.evaluate("document.querySelector('table.trials th').getAttribute('aria-sort')") == "ascending"
    assert browser.complaints() == []
