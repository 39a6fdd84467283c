"""A chart as a figure of matplotlib on white paper: for a notebook, a slide or a printed page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from records.report.palette import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from records.report.marks import Mark


@dataclass(frozen=True)
class _Pen:
    colour: str
    width: float = 1.4
    alpha: float = 1.0
    dash: str = "-"


# By the first of these words that a mark's class holds, as page.css has it.
_PENS = {
    "best": _Pen("best", 2.0),
    "front": _Pen("best"),
    "top": _Pen("best", 2.4),
    "faint": _Pen("soft", 0.8, 0.3),
    "pruned": _Pen("pruned", 1.2, 0.6, "--"),
    "failed": _Pen("failed", 1.2, 0.8),
    "complete": _Pen("accent", 1.2, 0.55),
}
_DPI = 144  # twice that of the page's charts
_SHAPES = {"round": "o", "cross": "x", "diamond": "D"}


def draw_on_paper(figure: Figure, marks: Sequence[Mark], legend: Mapping[str, str]) -> None:
    """Draw what a chart holds into the axes of ``figure``, in colours for white paper; ``legend`` is label to class."""
    from matplotlib.text import Text

    (axes,) = figure.axes
    figure.set_facecolor("white")
    axes.tick_params(which="both", color=LIGHT["ink"], labelcolor=LIGHT["ink"], grid_color=LIGHT["grid"])
    for spine in axes.spines.values():
        spine.set_edgecolor(LIGHT["ink"])
    for text in figure.findobj(Text):
        text.set_color(LIGHT["ink"])
    names = {css: label for label, css in reversed([*legend.items()])}
    for mark in marks:
        css = f"{mark.css} {mark.shape}" if mark.kind == "point" else mark.css
        _draw(axes, mark, names.pop(css, None) if mark.kind != "band" else None)
    if legend:
        columns = 4 if max(map(len, legend)) <= 20 else 1
        figure.legend(frameon=False, fontsize=9.5, loc="outside lower left", ncols=columns, labelcolor=LIGHT["ink"])
        figure.set_figheight(figure.get_figheight() + 0.3 * -(-len(legend) // columns))  # the legend takes nothing from the axes
    figure.set_dpi(_DPI)


def _draw(axes: Axes, mark: Mark, label: str | None) -> None:
    words = mark.css.split()
    pen = next((pen for word, pen in _PENS.items() if word in words), None)
    pen = pen or _Pen(next((word for word in words if word in LIGHT), "accent"), 2.0)
    colour = LIGHT[pen.colour]
    if mark.kind == "text":
        axes.annotate(mark.title, (mark.xs[0], mark.ys[0]), (4, 0), textcoords="offset points", fontsize=7, va="center", color=LIGHT["ink"])
    elif mark.kind == "band":
        axes.fill_between(mark.xs, mark.lows, mark.ys, color=colour, alpha=0.16, linewidth=0)
    elif mark.kind == "point":
        hollow = mark.shape != "round"
        face, edge = ("none", colour) if mark.shape == "diamond" else (colour, colour if hollow else "white")
        marker = _SHAPES[mark.shape]
        axes.plot(mark.xs, mark.ys, marker, ms=4.5, mfc=face, mec=edge, mew=1.3 if hollow else 0.5, label=label, zorder=3, clip_on=False)
    else:
        marker = "o" if len(mark.xs) == 1 else ""
        axes.plot(mark.xs, mark.ys, pen.dash, color=colour, lw=pen.width, alpha=pen.alpha, marker=marker, ms=4, label=label)
