"""The two pictures of README, as SVG that needs neither a network nor a light background.

python benchmarks/pictures.py cell      # docs/pictures/cell.svg: the normal cell of docs/found/longer-NAS.json, at once
python benchmarks/pictures.py search    # docs/pictures/search.svg: runs the search that it shows, half a minute on one core
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from records.best import load_best
from records.report.cells import draw_alone, read_cells
from retiarius.cli.main import dispatch
from retiarius.cli.progress import LiveProgress
from retiarius.cli.screen import Screen

PROJECT = Path(__file__).parents[1]
PICTURES = PROJECT / "docs" / "pictures"
FOUND = PROJECT / "docs" / "found" / "longer-NAS.json"
SEARCH = """retiarius --space zoo --strategy tpe --model convnet32 --set width=16 \\
    --dataset digits --epochs 4 --trials 8 --out runs/digits"""
WIDTH = 84  # columns: rich's letters are 12 pixels wide, README about 900
FONT = r"@font-face \{.*?\}"  # rich would fetch one from the network, which a picture in a page may not


class RecordedScreen(Screen):
    """The program's own screen on a terminal of ``WIDTH`` columns, which remembers what it holds in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.console = Console(record=True, file=io.StringIO(), force_terminal=True, width=WIDTH, highlight=False)

    def _get_console(self, name: str, stream: Any) -> Console:
        return self.console

    @contextmanager
    def progress(self, *what: Any, **options: Any) -> Iterator[LiveProgress]:
        """Redraw the bar in a terminal that nobody records; what stays of it, its last state, is recorded."""
        terminal = Console(file=io.StringIO(), force_terminal=True, width=WIDTH)
        with LiveProgress(terminal, *what, **options) as live:
            yield live
        self.console.print(live._render())


def draw_search(command: str, title: str) -> str:
    """Run ``command``, whose first word is the program, in an empty folder; return its terminal as an SVG."""
    screen = RecordedScreen()
    screen.console.print(Text.assemble(("$ ", "bold green"), (command, "bold")), soft_wrap=True)
    sys.argv[0] = "retiarius"  # by which the program is named in what it tells to type next
    with tempfile.TemporaryDirectory() as folder, working_in(Path(folder)):
        dispatch(shlex.split(command.replace("\\\n", ""))[1:], screen)
    svg = screen.console.export_svg(title=title, unique_id="search")
    return re.sub(r"\n{2,}", "\n", re.sub(FONT, "", svg, flags=re.DOTALL))


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("picture", choices=["cell", "search"])
    parser.add_argument("--command", default=SEARCH, help="the search to run and to show")
    options = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    if options.picture == "cell":
        picture = draw_alone("normal", read_cells(load_best(FOUND).architecture)["normal"])
    else:
        picture = draw_search(options.command, "a search on the digits of scikit-learn")
    (PICTURES / f"{options.picture}.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
