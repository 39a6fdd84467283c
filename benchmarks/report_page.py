"""How long the report of a search of 200 trials takes to write and to open, and how large it is; the last line is one JSON object.

python benchmarks/report_page.py                          # needs chromium (Debian: apt install chromium)
python benchmarks/report_page.py --picture docs/report.png runs/A runs/B
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from arguments import refuse

from common.errors import RecordError
from records.report import write_report

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "tests"))  # the browser, and the trials, of the tests
from browser import CHROMIUM, Browser  # noqa: E402
from report_runs import make_trials, write_search  # noqa: E402

LOADED = "(({loadEventEnd, startTime}) => loadEventEnd - startTime)(performance.getEntriesByType('navigation')[0])"
TIMES = 5
WIDTH, HEIGHT = 1200, 1050  # of a picture


def measure(folder: Path) -> dict[str, Any]:
    """Write the report and open it, several times each."""
    run = write_search(folder / "run", make_trials(200, epochs=12))
    seconds, opened = [], []
    for _ in range(TIMES):
        start = time.perf_counter()
        path, _ = write_report([run])
        seconds.append(time.perf_counter() - start)
    browser = Browser(folder / "profile")
    for _ in range(TIMES):
        browser.open("about:blank")
        browser.open(path.as_uri())
        browser.wait_for(f"{LOADED} > 0")
        opened.append(browser.evaluate(LOADED) / 1000)
    browser.close()
    told: dict[str, Any] = {"written_s": round(statistics.median(seconds), 2), "opened_s": round(statistics.median(opened), 2)}
    told |= {"megabytes": round(path.stat().st_size / 1e6, 2)}
    return {**told, "written_each_s": [round(one, 2) for one in seconds], "opened_each_s": [round(one, 2) for one in opened]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--picture", type=Path, help="write a picture of the report of RUN ... in place of measuring")
    parser.add_argument("--at", metavar="SELECTOR", help="where on the page: a selector of CSS, such as '#run4'")
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    options = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("chromium is not installed (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory() as folder:
        if options.picture is None:
            print(json.dumps(measure(Path(folder))))
            return
        with refuse(RecordError):
            path, _ = write_report(options.runs, Path(folder) / "report.html")
        browser = Browser(Path(folder) / "profile")
        browser.open(path.as_uri())
        browser.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False)
        if options.at:
            browser.evaluate(f"document.querySelector({json.dumps(options.at)}).scrollIntoView()")
        browser.take_picture(options.picture, WIDTH, HEIGHT)
        browser.close()


if __name__ == "__main__":
    main()
