"""The two faces of progress: a live bar on a terminal, occasional plain lines elsewhere. Imports rich."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from records.formats import format_accuracy, format_seconds

_SECONDS_BETWEEN_LINES = 10.0


class _State:
    """What both faces show, and when."""

    def __init__(
        self,
        total: float | None,
        unit: str,
        description: str,
        completed: float,
        clock: Callable[[], float],
        show_score: Callable[[float | None], str],
    ) -> None:
        self.total, self.unit, self.description, self.completed = total, unit, description, completed
        self.best: float | None = None
        self.detail = ""
        self._clock, self._show_score = clock, show_score
        self._start = self._last = clock()
        self._first = completed

    def update(self, advance: float, best: float | None, detail: str | None) -> None:
        self.completed += advance
        if advance > 0:
            self._last = self._clock()
        if best is not None and not math.isnan(best):
            self.best = best if self.best is None else max(best, self.best)
        if detail is not None:
            self.detail = detail

    @property
    def elapsed(self) -> float:
        return self._clock() - self._start

    @property
    def seconds_left(self) -> float | None:
        """By the mean pace so far, counting down between updates; None before the first and after the last."""
        done = self.completed - self._first
        if self.total is None or done <= 0 or self.completed >= self.total:
            return None
        expected = (self._last - self._start) / done * (self.total - self.completed)
        return max(0.0, expected - (self._clock() - self._last))

    def describe(self) -> list[str]:
        count = f"{self.completed:g}" if self.total is None else f"{self.completed:g}/{self.total:g}"
        parts = [f"{count} {self.unit}"]
        if self.best is not None:
            parts.append(f"best {self._show_score(self.best)}")
        left = self.seconds_left
        parts.append(f"{format_seconds(self.elapsed)} so far" if left is None else f"{format_seconds(left)} left")
        if self.detail:
            parts.append(self.detail)
        return parts


class PlainProgress:
    """A line at every tenth of the way; between, one when 10 seconds (later: a twentieth of the run) have passed."""

    def __init__(
        self,
        say: Callable[[str], None],
        total: float | None,
        unit: str,
        description: str,
        *,
        completed: float = 0,
        clock: Callable[[], float] = time.monotonic,
        show_score: Callable[[float | None], str] = format_accuracy,
    ) -> None:
        self._say = say
        self._state = _State(total, unit, description, completed, clock, show_score)
        self._tenths = self._count_tenths()
        self._said = 0.0

    def update(self, advance: float = 1, best: float | None = None, detail: str | None = None) -> None:
        self._state.update(advance, best, detail)
        elapsed, tenths = self._state.elapsed, self._count_tenths()
        if tenths > self._tenths or elapsed - self._said >= max(_SECONDS_BETWEEN_LINES, elapsed / 20):
            self._tenths, self._said = tenths, elapsed
            self._say(f"{self._state.description}: {', '.join(self._state.describe())}")

    def _count_tenths(self) -> int:
        return math.floor(10 * self._state.completed / self._state.total) if self._state.total else 0


class LiveProgress:
    """A bar that is redrawn in place, four times a second. Use it in a ``with`` block."""

    def __init__(
        self,
        console: Console,
        total: float | None,
        unit: str,
        description: str,
        *,
        completed: float = 0,
        clock: Callable[[], float] = time.monotonic,
        show_score: Callable[[float | None], str] = format_accuracy,
    ) -> None:
        self._console = console
        self._state = _State(total, unit, description, completed, clock, show_score)
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4)

    def update(self, advance: float = 1, best: float | None = None, detail: str | None = None) -> None:
        self._state.update(advance, best, detail)

    def _render(self) -> Table:
        """Return a bar, where the terminal is wide enough for one, and the words."""
        state = self._state
        words = Text(f"{state.description}  " + "  ".join(state.describe()), no_wrap=True, overflow="crop")
        row = Table.grid(padding=(0, 1))
        width = min(30, self._console.width - words.cell_len - 2)
        if width < 8:
            row.add_row(words)
        else:
            bar = ProgressBar(total=state.total, completed=state.completed, width=width, pulse=state.total is None)
            row.add_row(bar, words)
        return row

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._live.stop()
