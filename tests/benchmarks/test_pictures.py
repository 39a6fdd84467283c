"""README's pictures: small, of the project's own drawing, and without an address that a page would fetch."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from project import PROJECT

from benchmarks import pictures
from records.best import load_best
from records.report.cells import draw_alone, read_cells


@pytest.mark.parametrize("name", ["cell", "search"])
def test_a_picture_is_small_and_fetches_nothing(name: str) -> None:
    text = (PROJECT / "docs" / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
    assert len(text.encode()) < 60_000
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.findall(r"url\((?!#)|href=|src=|@import", text)


def test_the_cell_is_what_the_found_file_says() -> None:
    cell = read_cells(load_best(pictures.FOUND).architecture)["normal"]
    assert (pictures.PICTURES / "cell.svg").read_text(encoding="utf-8") == draw_alone("normal", cell)


def test_the_terminal_holds_the_last_state_of_the_bar() -> None:
    screen = pictures.RecordedScreen()
    with screen.progress(2, "trials", "tpe") as progress:
        progress.update(best=0.5)
        progress.update(best=0.75)
    screen.say("done")
    text = screen.console.export_text()
    assert text.count("trials") == 1 and "2/2 trials  best 75.00%" in text and text.endswith("done\n")
