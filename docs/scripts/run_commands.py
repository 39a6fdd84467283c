"""Run every command that README and docs/ show, small, in a fresh clone, page by page in order.

    python docs/scripts/run_commands.py               # all pages: about half an hour on two cores
    python docs/scripts/run_commands.py README.md     # these pages alone

The clone has what is committed. A page that shows a run of the reader's, such as runs/NAME, gets the latest one. `shrink.py` has the rules
by which commands are made small, or skipped. The status is 1 where one failed. Chinese pages have the same commands, which a test compares;
docs/measurements/ is a diary.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from docs.scripts.pages import list_pages, name_of, read_blocks
from docs.scripts.shrink import OWN_FILES, TABLE, Skipped, is_command, shrink, value_of

LIMIT = 600  # seconds of one command
WIDTH = 150  # of a line that is printed


def commands(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each command of a page; one that goes on in another line is in one piece."""
    for block in read_blocks(text):
        if block.kind != "code" or block.lines[0].startswith("#!"):
            continue  # a script for a batch system is no list of commands
        prompts = any(line.startswith("$ ") for line in block.lines)
        lines = iter(enumerate(block.lines, block.line))
        for number, line in lines:
            while line.endswith("\\"):
                line = f"{line[:-1].rstrip()} {next(lines)[1].strip()}"
            if line and not line.startswith((" ", "#")) and (line.startswith("$ ") if prompts else is_command(line)):
                yield number, line.removeprefix("$ ")


def run(command: str, folder: Path) -> tuple[int, str]:
    """Run a line of the shell in ``folder``; return its status and the last line that it wrote."""
    search_path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": search_path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return 124, f"not done after {LIMIT} s"
    finally:  # also where this script is interrupted
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, (output.strip().splitlines() or [""])[-1]


def is_refused(text: str, number: int) -> bool:
    """Return whether the page shows that the command on the line ``number`` is refused: a line that begins with ``error:`` follows."""
    return any(line.strip().startswith("error:") for line in text.splitlines()[number : number + 1])


def run_page(page: Path, folder: Path, table: Path | None) -> list[tuple[str, str]]:
    """Run the commands of a page; return of each how it went, and a line about it."""
    results, text = [], page.read_text(encoding="utf-8")
    for number, line in commands(text):
        place = f"{name_of(page)}:{number}"
        try:
            command = shrink(line, folder, table)
        except Skipped as reason:
            results.append(("skipped", f"{place}: {reason}: {line}"))
            continue
        words = shlex.split(command)
        if (out := value_of(words, "--out")) and "--resume" not in words and (folder / out).is_dir():
            shutil.rmtree(folder / out)
        begin = time.monotonic()
        status, last = run(command, folder)
        told = f"{place}: {time.monotonic() - begin:.0f} s: {command}"
        is_right = status == (2 if is_refused(text, number) else 0)
        results.append(("ok", told) if is_right else ("failed", f"{told}\n    status {status}: {last}"))
        print(f"{results[-1][0]:7} {results[-1][1][: WIDTH if is_right else None]}", flush=True)
    return results


def main(names: list[str]) -> int:
    """Run the commands of the pages called ``names``, or of all; return the exit status."""
    pages = [page for page in list_pages() if not page.name.endswith(".zh-CN.md") and page.name != "CHANGELOG.md"]
    pages = [page for page in pages if (name_of(page) in names if names else not name_of(page).startswith("docs/measurements/"))]
    table = ROOT.parent / "shared/nasbench201" / TABLE
    table = Path(os.environ.get("RETIARIUS_TABLE", table))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        for name, example in OWN_FILES.items():
            shutil.copy(folder / example, folder / name)
        results = [result for page in pages for result in run_page(page, folder, table if table.exists() else None)]
    skipped = [told for state, told in results if state == "skipped"]
    print(f"skipped: {len(skipped)}", *(told[:WIDTH] for told in skipped), sep="\n  ")
    counts = {state: sum(each == state for each, _ in results) for state in ("ok", "failed", "skipped")}
    print(", ".join(f"{number} {state}" for state, number in counts.items()))
    return int(counts["failed"] > 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
