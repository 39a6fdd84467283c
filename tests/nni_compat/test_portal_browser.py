"""NNI's portal in a real browser, while a search of ours runs under it."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Browser, needs_chromium
from ports import free_port
from trial_scripts import write_script

from nni_compat.experiment import make_experiment
from nni_compat.service import NniService

SPACE = {"lr": {"_type": "uniform", "_value": [0, 1]}}


@pytest.mark.slow
@needs_chromium
def test_the_portal_shows_the_experiment(tmp_path: Path) -> None:
    write_script(tmp_path, "time.sleep(600)")
    experiment = make_experiment(strategy="tpe", search_space=SPACE, experiment="lab eight", code_dir=tmp_path, trials=2)
    port = free_port()
    with NniService(tmp_path / "nni", port) as service:
        service.begin(experiment, "python -S main.py", tmp_path)
        browser = Browser(tmp_path / "profile")
        try:
            browser.open(f"http://127.0.0.1:{port}/oview")
            browser.wait_for("document.body.innerText.includes('lab eight') && document.body.innerText.includes('Max trial')")
            asked = [event["params"]["request"]["url"] for event in browser.events if event["method"] == "Network.requestWillBeSent"]
            assert any(url.startswith(f"http://127.0.0.1:{port}/api/v1/nni/") for url in asked)
            for event in browser.complaints(f"http://127.0.0.1:{port}/"):
                assert "office.net" in str(event), "nothing but the fonts that its pages ask Microsoft's servers for"
        finally:
            browser.close()
