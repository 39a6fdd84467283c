"""Charts, for the page of a report and as figures of matplotlib.

In the page a chart is inline SVG: matplotlib makes the axes, and what they hold is drawn over them, where it can be hovered and styled.
Its colours are those of the page (``currentColor`` and its variables), so that it suits a light, a dark and a printed page.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from records.formats import format_accuracy, format_number
from records.report.marks import Mark
from records.report.text import bounded, clean, escape, paragraph

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, GRID = "#010203", "#040506"  # no chart has these colours: they stand for the page's
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.family": "DejaVu Sans",  # matplotlib brings it
    "font.size": 10.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.constrained_layout.use": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
}
POINTS = {  # the page's own
    "round": "M{x},{y}m-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0",
    "cross": "M{x},{y}m-3,-3l6,6m0,-6l-6,6",
    "diamond": "M{x},{y}m0,-4l4,4l-4,4l-4,-4z",
}


class Chart:
    """One chart of ``width`` by ``height`` points. Set up ``axes`` (matplotlib's) before what it holds is drawn.

    Parameters
    ----------
    name
        Unique in the page.
    title
        What stands above the chart.
    xlabel, ylabel
        Of the axes, with their units.
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

    Attributes
    ----------
    legend
        What a line, a band or a kind of points is called, to its class.
    note
        A sentence for below the chart.
    """

    def __init__(
        self,
        name: str,
        title: str,
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
        height: float = 280,
    ) -> None:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
        from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator

        self.name, self._title, self._height, self.note = name, title, height, ""
        self.marks: list[Mark] = []
        self.legend: dict[str, str] = {}
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
                ylabel += " (%)"
                self.axes.yaxis.set_major_formatter(FuncFormatter(lambda fraction, _: f"{100 * fraction:.4g}"))
            self.axes.set(xlim=[bounded(x) for x in xlim], ylim=ylim, xlabel=clean(xlabel), ylabel=clean(ylabel))
            self.axes.set_title(clean(title))

    def line(
        self, xs: Sequence[float], ys: Sequence[float], css: str, title: str, style: str = "", *, points: bool = False, label: str = ""
    ) -> None:
        """Draw a line through the points, with a text for the pointer that rests on it; ``points`` adds one for each of them."""
        self._add(Mark("line", xs, ys, css, title, style, points=points), label)

    def band(self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], css: str, title: str, label: str = "") -> None:
        """Fill what lies between two lines."""
        self._add(Mark("band", xs, highs, css, title, lows=lows), label)

    def point(self, x: float, y: float, css: str, title: str, shape: str = "round", label: str = "") -> None:
        """Draw a mark with a text for the pointer that rests on it; ``shape``: round, cross, diamond."""
        self._add(Mark("point", [x], [y], css, title, shape=shape), label)

    def text(self, x: float, y: float, text: str, css: str = "") -> None:
        """Write a label whose first letter begins at the point."""
        self._add(Mark("text", [x], [y], css, text), "")

    def html(self) -> str:
        """Return the chart as an ``<svg>`` element, with what its lines mean and its note below it."""
        with self._styled():
            self._figure.draw_without_rendering()  # lays the axes out, by which the marks are placed
            self._figure.set_layout_engine("none")  # once is enough
        marks = "".join(self._draw(mark) for mark in self.marks)
        words = "".join(f'<span class="{css}">{escape(label)}</span>' for label, css in self.legend.items())
        legend = f'<p class="legend">{words}</p>' if words else ""
        note = f'<p class="note">{escape(self.note, 400)}</p>' if self.note else ""
        return self._render_axes().removesuffix("</svg>") + f'<g class="marks">{marks}</g></svg>{legend}{note}'

    def figure(self) -> Figure:
        """Return the chart as a figure of matplotlib, on white paper."""
        from records.report.paper import draw_on_paper

        with self._styled():
            draw_on_paper(self._figure, self.marks, self.legend)
        return self._figure

    def _add(self, mark: Mark, label: str) -> None:
        self.marks.append(mark)
        if label:
            self.legend.setdefault(label, f"{mark.css} {mark.shape}" if mark.kind == "point" else mark.css)

    def _render_axes(self) -> str:
        buffer = io.StringIO()
        with self._styled():
            self._canvas.print_svg(buffer, metadata={"Date": None})
        root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", buffer.getvalue()))
        _strip(root)
        root.set("role", "img")
        root.set("aria-label", clean(self._title))
        return ElementTree.tostring(root, encoding="unicode").replace(INK, "currentColor").replace(GRID, "var(--grid)")

    @contextmanager
    def _styled(self) -> Iterator[None]:
        import matplotlib

        style: Any = {**_STYLE, "svg.hashsalt": self.name}  # Any: matplotlib types the names of its settings, by version
        with matplotlib.rc_context(style), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of glyphs that the font lacks: the page's own font shows them
            yield

    def _draw(self, mark: Mark) -> str:
        places = self._place(mark.xs, mark.ys)
        (x, y), *_ = places
        if mark.kind == "text":
            return f'<text class="label {mark.css}" x="{x + 5:.1f}" y="{y + 3:.1f}">{escape(mark.title, 24)}</text>'
        if mark.kind == "point":
            return _draw_point(mark.shape, x, y, f"point {mark.css}", mark.title)
        path = _join(places)
        if mark.kind == "band":
            back = "L".join(f"{x:.1f},{y:.1f}" for x, y in reversed(self._place(mark.xs, mark.lows)))
            return f'<g class="band {mark.css}"><title>{escape(mark.title)}</title><path d="{path}L{back}z"/></g>'
        path += "m-3,0h6" if len(places) == 1 else ""  # no length, no ink
        step = self.axes.get_xlabel() or "epoch"
        dots = "".join(
            _draw_point("round", x, y, "dot", f"{mark.title}, {step} {number:g}: {self._format(value)}")
            for (x, y), number, value in (zip(places, mark.xs, mark.ys, strict=True) if mark.points else ())
        )
        style = f' style="{escape(mark.style)}"' if mark.style else ""
        return f'<g class="series {mark.css}"{style}><title>{escape(mark.title)}</title><path d="{path}"/>{dots}</g>'

    def _place(self, xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
        places = self.axes.transData.transform([(bounded(x), bounded(y)) for x, y in zip(xs, ys, strict=True)])
        return [(float(x), self._height - float(y)) for x, y in places]


def show(chart: Chart | str) -> str:
    """Return a chart for the page, or the sentence that says why there is none."""
    return paragraph(chart) if isinstance(chart, str) else chart.html()


def steps(xs: Sequence[float], *rows: Sequence[float]) -> list[list[float]]:
    """Return the places and the values of functions that keep a value until the next place, as lines with corners."""
    corners = [[x for x in xs for _ in (0, 1)][1:]]
    return corners + [[value for value in row for _ in (0, 1)][: len(corners[0])] for row in rows]


def _join(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _draw_point(shape: str, x: float, y: float, css: str, title: str) -> str:
    path = POINTS[shape].format(x=f"{x:.1f}", y=f"{y:.1f}")
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
