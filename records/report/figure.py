"""Charts as inline SVG: matplotlib makes the axes, and what they hold is drawn over them, where it can be hovered and styled by the page.

Colours are those of the page (``currentColor`` and its variables), so that a chart suits a light, a dark and a printed page.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

from records.formats import format_accuracy, format_number
from records.report.text import bounded, clean, escape

_INK, _GRID = "#010203", "#040506"  # no chart has these colours: they stand for the page's
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.family": "DejaVu Sans",  # matplotlib brings it
    "font.size": 9.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "figure.constrained_layout.use": True,
}
_POINT = {
    "round": "M{x},{y}m-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0",
    "cross": "M{x},{y}m-3,-3l6,6m0,-6l-6,6",
    "diamond": "M{x},{y}m0,-4l4,4l-4,4l-4,-4z",
}


class Chart:
    """One chart of ``width`` by ``height`` points. Set up ``axes`` (matplotlib's), limits included, and then draw in data coordinates.

    Parameters
    ----------
    name
        Unique in the page.
    caption
        What screen readers say of the chart.
    xlabel, ylabel
        Of the axes.
    xlim, ylim
        Limits.
    log_x
        Whether the horizontal axis is logarithmic.
    percent
        Whether what stands on the vertical axis are fractions, which are shown as percent.
    whole_x
        Whether the horizontal axis has whole numbers only.
    unit
        Of the logarithmic axis, which gets a prefix as numbers want it: 0.002 is ``2 ms`` with ``s``.
    width, height
        In points.
    """

    def __init__(
        self,
        name: str,
        caption: str,
        *,
        xlabel: str = "",
        ylabel: str = "",
        xlim: tuple[float, float],
        ylim: tuple[float, float],
        log_x: bool = False,
        percent: bool = False,
        whole_x: bool = False,
        unit: str = "",
        width: float = 540,
        height: float = 250,
    ) -> None:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
        from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator

        self.name, self._caption, self._height, self._marks = name, caption, height, [""]
        self._format = format_accuracy if percent else format_number
        with self._styled():
            self._figure = Figure(figsize=(width / 72, height / 72), dpi=72)
            self._canvas = FigureCanvasSVG(self._figure)
            self.axes = self._figure.subplots()
            if log_x:
                self.axes.set_xscale("log")
                self.axes.xaxis.set_major_formatter(EngFormatter(unit, sep=" "))
                self.axes.xaxis.set_minor_formatter(EngFormatter(unit, sep=" ") if xlim[1] / xlim[0] < 10 else FuncFormatter(lambda *_: ""))
            elif whole_x:
                self.axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            if percent:
                self.axes.yaxis.set_major_formatter(FuncFormatter(lambda fraction, _: f"{100 * fraction:.4g}%"))
            self.axes.set(xlim=[bounded(x) for x in xlim], ylim=ylim, xlabel=clean(xlabel), ylabel=clean(ylabel))

    def settle(self) -> None:
        """Lay the axes out. What is drawn afterwards is placed by them, so set up ``axes`` before."""
        with self._styled():
            self._figure.draw_without_rendering()

    def line(self, xs: Sequence[float], ys: Sequence[float], css: str, title: str, style: str = "", *, points: bool = False) -> None:
        """Draw a line through the points, with a text for the pointer that rests on it; ``points`` adds one for each of them."""
        places = self._place(xs, ys)
        path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in places) + ("m-3,0h6" if len(places) == 1 else "")  # no length, no ink
        dots = [self._mark("round", x, y, "dot", text) for (x, y), text in zip(places, self._texts(title, xs, ys), strict=True)]
        attribute = f' style="{escape(style)}"' if style else ""
        self._marks.append(
            f'<g class="series {css}"{attribute}><title>{escape(title)}</title><path d="{path}"/>{"".join(dots if points else [])}</g>'
        )

    def point(self, x: float, y: float, css: str, title: str, shape: str = "round") -> None:
        """Draw a mark with a text for the pointer that rests on it; ``shape``: round, cross, diamond."""
        ((px, py),) = self._place([x], [y])
        self._marks.append(self._mark(shape, px, py, f"point {css}", title))

    def text(self, x: float, y: float, text: str, css: str = "") -> None:
        """Write a label whose first letter begins at the point."""
        ((px, py),) = self._place([x], [y])
        self._marks.append(f'<text class="label {css}" x="{px + 5:.1f}" y="{py + 3:.1f}">{escape(text, 24)}</text>')

    def render(self) -> str:
        """Return the chart as an ``<svg>`` element."""
        buffer = io.StringIO()
        with self._styled():
            self._canvas.print_svg(buffer, metadata={"Date": None})
        root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", buffer.getvalue()))
        _strip(root)
        root.set("role", "img")
        root.set("aria-label", clean(self._caption))
        svg = ElementTree.tostring(root, encoding="unicode").replace(_INK, "currentColor").replace(_GRID, "var(--grid)")
        return svg.removesuffix("</svg>") + f'<g class="marks">{"".join(self._marks)}</g></svg>'

    @contextmanager
    def _styled(self) -> Iterator[None]:
        import matplotlib

        style: Any = {**_STYLE, "svg.hashsalt": self.name}  # Any: matplotlib types the names of its settings, by version
        with matplotlib.rc_context(style), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of glyphs that the font lacks: the page's own font shows them
            yield

    def _place(self, xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
        places = self.axes.transData.transform([(bounded(x), bounded(y)) for x, y in zip(xs, ys, strict=True)])
        return [(float(x), self._height - float(y)) for x, y in places]

    def _texts(self, title: str, xs: Iterable[float], ys: Iterable[float]) -> list[str]:
        step = self.axes.get_xlabel() or "epoch"
        return [f"{title}, {step} {x:g}: {self._format(y)}" for x, y in zip(xs, ys, strict=True)]

    @staticmethod
    def _mark(shape: str, x: float, y: float, css: str, title: str) -> str:
        path = _POINT[shape].format(x=f"{x:.1f}", y=f"{y:.1f}")
        return f'<path class="{css}" d="{path}"><title>{escape(title, 300)}</title></path>'


def _strip(element: ElementTree.Element) -> None:
    """Take away what does not belong in a page: name spaces, the figure's own style sheet, names that other charts have too."""
    for child in list(element):
        if child.tag.endswith(("}metadata", "}style")):
            element.remove(child)
        else:
            _strip(child)
    element.tag = element.tag.rpartition("}")[2]
    for name in list(element.keys()):
        value = element.attrib.pop(name)
        if name.startswith("{http://www.w3.org/XML"):
            continue
        local = name.rpartition("}")[2]
        if not (local == "id" and element.tag == "g") and local not in ("version",):
            element.set(local, value)


def limits(values: Iterable[float], *, margin: float = 0.05, least: float = 1e-9) -> tuple[float, float]:
    """Return the range of ``values`` with a margin on both sides; (0, 1) where there are none."""
    values = [bounded(value) for value in values]
    if not values:
        return (0.0, 1.0)
    low, high = min(values), max(values)
    space = max((high - low) * margin, least, 1e-3 * abs(high) if high == low else 0.0)
    return (low - space, high + space)


def log_limits(values: Iterable[float]) -> tuple[float, float]:
    """Return the range of positive ``values`` with a margin on a logarithmic axis."""
    values = [bounded(value) for value in values]
    factor = min(max((max(values) / min(values)) ** 0.06, 1.1), 1e6)
    return (min(values) / factor, max(values) * factor)


def sparkline(
    curves: Sequence[tuple[str, Sequence[float]]], low: float, high: float, title: str, *, width: int = 96, height: int = 24
) -> str:
    """Draw small lines without axes, each given by its class and its values from ``low`` to ``high``; the title says what they are."""
    drawn = []
    for css, values in curves:
        step = (width - 6) / max(len(values) - 1, 1)
        places = [
            f"{3 + step * index:.1f},{height - 3 - (height - 6) * (bounded(value) - low) / ((high - low) or 1):.1f}"
            for index, value in enumerate(values)
        ]
        drawn.append(f'<path class="{css}" d="M{"L".join(places)}{"h0" if len(places) == 1 else ""}"/>')
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg class="spark" {size} role="img"><title>{escape(title, 2000)}</title>{"".join(drawn)}</svg>'
