"""Cells as a figure of matplotlib, by the layout that the page of a report has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from records.report.cells import Item, describe_curve, family_of, lay_out, span_of
from records.report.palette import LIGHT
from records.report.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 72.0  # to the inch


def plot_cells(cells: Mapping[str, Mapping[int, Sequence[tuple[int, str]]]]) -> Figure:
    """Return a figure with the cells below one another; kind to node to (state it reads, operation)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layouts = {kind: lay_out(nodes) for kind, nodes in cells.items()}
    width = max(layout.width for layout in layouts.values())
    heights = [layout.height + 24 for layout in layouts.values()]
    figure = Figure(figsize=(width / _POINTS, sum(heights) / _POINTS), facecolor="white")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(layouts), 1, squeeze=False, height_ratios=heights)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1 - 20 / sum(heights), hspace=24 * len(heights) / sum(heights))
    for axes, (kind, layout) in zip(rows[:, 0], layouts.items(), strict=True):
        axes.set(xlim=(0, width), ylim=(layout.height, 0))
        axes.set_title(f"{clean(kind)} cell", loc="left", x=12 / width, fontsize=12, weight="bold", color=LIGHT["ink"], parse_math=False)
        axes.axis("off")
        for item in layout.items:
            for end in item.after:
                _draw_arrow(axes, item, layout.items[end], layout.top)
        for item in layout.items:
            if item.kind != "bend":
                _draw_box(axes, item, layout.top)
    return figure


def _draw_arrow(axes: Axes, start: Item, end: Item, top: float) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    curve = describe_curve(start, end, top)
    codes = [Path.MOVETO, Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    axes.add_patch(PathPatch(Path(curve, codes), fill=False, edgecolor=LIGHT["soft"], linewidth=1.1))
    if end.kind in ("node", "output"):
        x, y = span_of(end)[0], end.y - top
        axes.add_patch(Polygon([(x, y), (x - 7, y - 3.5), (x - 7, y + 3.5)], facecolor=LIGHT["soft"], linewidth=0))


def _draw_box(axes: Axes, item: Item, top: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    (left, right), y = span_of(item), item.y - top
    colour = LIGHT[family_of(item) if item.kind == "operation" else item.kind]
    round_ = f"round,pad=0,rounding_size={11 if item.kind == 'operation' else 5}"
    corner = (left, y - item.height / 2)
    axes.add_patch(FancyBboxPatch(corner, right - left, item.height, round_, facecolor=colour, edgecolor=LIGHT["soft"], linewidth=0.7))
    math = item.kind in ("input", "output")
    text = f"${item.text}$" if math else clean(item.text, 17)
    axes.text((left + right) / 2, y, text, ha="center", va="center", fontsize=9, color=LIGHT["ink"], parse_math=math)
