"""What a person sees in the terminal: lines, warnings, progress, a closing table, the next command.

rich is imported when something is first shown. Nothing here ends a run: a terminal that is narrow, gone or unable to
show a character gets less, and the run goes on. NO_COLOR is honoured.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from common.arguments import with_flags
from common.passwords import hide_passwords
from common.reporter import Reporter
from records.formats import format_accuracy
from retiarius.cli.command_line import known_flags

if TYPE_CHECKING:
    from rich.console import Console

    from common.reporter import Progress


_WIDTH_OF_FILES = 1000  # a line in a file is not broken


class _ForgivingStream:
    """A text stream that replaces what its encoding lacks and falls silent where it cannot be written any more.

    A closed pipe (``| head``), a lost terminal or a full disk behind ``>`` must not end a search of hours.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_broken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        self._attempt(lambda: self._stream.write(text.encode(encoding, "replace").decode(encoding)))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, action: Any) -> None:
        if self._is_broken:
            return
        try:
            action()
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._is_broken = True
            # What is left in the stream's buffer would raise again when Python flushes it at exit.
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)


class Screen(Reporter):
    """The terminal: results to standard output, warnings and errors to standard error.

    Parameters
    ----------
    out, err
        The streams, by default ``sys.stdout`` and ``sys.stderr``.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out_stream = _ForgivingStream(out if out is not None else sys.stdout)
        self._err_stream = _ForgivingStream(err if err is not None else sys.stderr)
        self._consoles: dict[str, Console] = {}
        self._is_live = False

    def say(self, line: str) -> None:
        """Show a line as it is."""
        self._print(self._out, line)

    def warn(self, line: str) -> None:
        """Show a line that must not be overlooked, on standard error (above the progress bar while there is one)."""
        self._print(self._out if self._is_live else self._err, f"WARNING: {line}", "bold yellow")

    def error(self, line: str) -> None:
        """Show the line that says why the program ends, on standard error."""
        self._print(self._err, f"error: {line}", "bold red")

    def page(self, text: str) -> None:
        """Show a text of several lines as it is."""
        self._print(self._out, text.rstrip("\n"))

    def pause(self, text: str) -> None:
        """Say that a service stays open, and wait for Enter or Ctrl-C; not where nobody is there to press it."""
        if sys.stdin.isatty():
            self.say(text)
            with contextlib.suppress(KeyboardInterrupt):
                sys.stdin.readline()

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show on a terminal, while the ``with`` block lasts, what is waited for; nothing of it stays, and files get nothing."""
        with self._out.status(text) if self._is_terminal(self._out_stream) else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def progress(
        self,
        total: float | None,
        unit: str,
        description: str,
        *,
        completed: float = 0,
        show_score: Callable[[float | None], str] = format_accuracy,
    ) -> Iterator[Progress]:
        """Show how far something is, with the best so far and the time left, while the ``with`` block lasts.

        A terminal gets a bar. A file or a pipe gets a plain line at every tenth of the way. Between those it gets one at most every
        10 seconds, ever less often as the run gets longer.

        Parameters are those of ``Reporter.progress``.
        """
        from retiarius.cli.progress import LiveProgress, PlainProgress

        if not self._is_terminal(self._out_stream):
            yield PlainProgress(self.say, total, unit, description, completed=completed, show_score=show_score)
            return
        with LiveProgress(self._out, total, unit, description, completed=completed, show_score=show_score) as live:
            self._is_live = True
            try:
                yield live
            finally:
                self._is_live = False

    def closing_table(self, title: str, rows: Sequence[Sequence[object]], *, header: Sequence[str] = ()) -> None:
        """Show a small table: one row per sequence, the first column being names; ``header`` names the columns."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        columns = max([len(header), *map(len, rows)])
        table = Table(show_header=bool(header), box=box.SIMPLE_HEAD if header else None)
        for position in range(columns):
            table.add_column(header[position] if position < len(header) else "", overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self._print(self._out, title, "bold")
        self._out.print(table)

    def next_command(self, text: str) -> None:
        """Show the command to type next, on a line of its own so that it can be copied."""
        self._print(self._out, "Next:")
        self._print(self._out, f"    {text}", "bold")

    @property
    def _out(self) -> Console:
        return self._get_console("out", self._out_stream)

    @property
    def _err(self) -> Console:
        return self._get_console("err", self._err_stream)

    def _get_console(self, name: str, stream: _ForgivingStream) -> Console:
        if name not in self._consoles:
            from rich.console import Console

            # force_terminal: rich would take FORCE_COLOR, which CI systems set, for a terminal and draw bars into logs.
            is_terminal = self._is_terminal(stream)
            file: Any = stream
            self._consoles[name] = Console(
                file=file,
                force_terminal=is_terminal,
                force_jupyter=False,
                width=None if is_terminal or "COLUMNS" in os.environ else _WIDTH_OF_FILES,
                highlight=False,
            )
        return self._consoles[name]

    @staticmethod
    def _is_terminal(stream: _ForgivingStream) -> bool:
        try:
            return bool(stream.isatty()) and os.environ.get("TERM", "") not in ("dumb", "unknown")
        except ValueError:  # the stream was closed
            return False

    def _print(self, console: Console, line: str, style: str = "") -> None:
        from rich.text import Text

        console.print(Text(hide_passwords(line), style=style), soft_wrap=True)


class ProgramScreen(Screen):
    """The screen of the program: where a message mentions an argument of the library, it shows the flag for it."""

    def _print(self, console: Console, line: str, style: str = "") -> None:
        super()._print(console, with_flags(line, known_flags()), style)
