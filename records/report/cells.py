"""Cells as the papers draw them: states as boxes, operations on the arrows, from left to right; from plain labels, as SVG.

A cell ``normal`` is read from ``normal/inputs_<node>``, a list of the states that the node reads, and ``normal/edge_<from>_<node>``, the
operation on the way; 0 and 1 are the outputs of the two cells before, and the cell's output joins its nodes (arXiv 1806.09055). The
layout is that of Sugiyama, Tagawa and Toda (1981): layers, an order in each by barycentres, then heights. Operations and the ways of
long arrows take places of their own in their layers, so that nothing lies on anything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from records.report.text import clean, escape

_SWEEPS = 12
_LAYER_WIDTHS = (64.0, 150.0)  # of boxes, of operations
_LEAST_GAP = 12.0
_MOST_NODES = 24
_FAMILIES = {"conv": "conv", "pool": "pool", "skip": "skip", "none": "skip"}  # by the first of these that an operation's name holds
# Of a picture that stands alone: dark words on boxes of their own, arrows in a grey that white and black paper both show.
_ALONE = """text{font:11.5px system-ui,"Segoe UI","DejaVu Sans",sans-serif;text-anchor:middle;fill:#1d2330}
.index{font-size:8.5px}rect{stroke:#7d8794;stroke-width:.8;fill:#dcebfb}.input rect{fill:#ddf3e4}.output rect{fill:#fcf0cf}
.operation rect{fill:#eceef1}.operation.conv rect{fill:#e3ecfa}.operation.pool rect{fill:#fbe6d9}
.arrow{fill:none;stroke:#7d8794;stroke-width:1.3}.head{fill:#7d8794}"""


@dataclass
class Item:
    """Something with a place of its own: a state, an operation, or a bend of a long arrow; ``before`` and ``after`` are others' numbers."""

    kind: str
    text: str
    layer: int
    y: float = 0.0
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)

    @property
    def height(self) -> float:
        return {"bend": 6.0, "operation": 22.0}.get(self.kind, 30.0)


def read_cells(architecture: Mapping[str, Any]) -> dict[str, dict[int, list[tuple[int, str]]]]:
    """Return cell to node to (state it reads, operation). Labels of no cell are left out, and so is a cell that is not whole."""
    cells: dict[str, dict[int, list[tuple[int, str]]]] = {}
    broken: set[str] = set()
    for label, sources in architecture.items():
        match = re.fullmatch(r"(?s)(.+)/inputs_(\d{1,3})", str(label))
        if match is None:
            continue
        kind, node = match[1], int(match[2])
        sources = sources if isinstance(sources, list) else [sources]
        edges = [(source, architecture.get(f"{kind}/edge_{source}_{node}")) for source in sources]
        if 2 <= node <= _MOST_NODES and all(
            type(source) is int and 0 <= source < node and operation is not None for source, operation in edges
        ):
            cells.setdefault(kind, {})[node] = [(source, str(operation)) for source, operation in edges]
        else:
            broken.add(kind)
    whole = {kind: dict(sorted(nodes.items())) for kind, nodes in cells.items() if kind not in broken}
    return {kind: nodes for kind, nodes in whole.items() if list(nodes) == list(range(2, len(nodes) + 2))}


def describe_cell(nodes: Mapping[int, Sequence[tuple[int, str]]]) -> str:
    """Return a cell in one line: the nodes in order, each as operation(state it reads)."""
    return "; ".join(" + ".join(f"{operation}({source})" for source, operation in edges) for edges in nodes.values())


def draw_cell(kind: str, nodes: Mapping[int, Sequence[tuple[int, str]]]) -> str:
    """Return a cell as an ``<svg>`` element."""
    layout = lay_out(nodes)
    items, top, width, height = layout.items, layout.top, layout.width, layout.height
    arrows = "".join(_draw_arrow(items[index], items[other], top) for index in range(len(items)) for other in items[index].after)
    boxes = "".join(_draw_item(item, top) for item in items if item.kind != "bend")
    title = f"{kind} cell: {describe_cell(nodes)}"
    return (
        f'<svg class="cell" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img">'
        f"<title>{escape(title, 2000)}</title>{arrows}{boxes}</svg>"
    )


def draw_alone(kind: str, nodes: Mapping[int, Sequence[tuple[int, str]]]) -> str:
    """Return a cell as an SVG file, for a page or a slide that is white or black."""
    return (
        draw_cell(kind, nodes).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(">", f"><style>{_ALONE}</style>", 1)
    )


@dataclass(frozen=True)
class Layout:
    """Where everything of a cell stands, in points; ``top`` is what heights are measured from."""

    items: list[Item]
    top: float
    width: float
    height: float


def lay_out(nodes: Mapping[int, Sequence[tuple[int, str]]]) -> Layout:
    """Return the layout of a cell."""
    items = _make_items(nodes)
    layers = [[index for index, item in enumerate(items) if item.layer == layer] for layer in range(1 + max(item.layer for item in items))]
    _place(items, layers)
    top = min(item.y - item.height / 2 for item in items) - 10
    height = max(item.y + item.height / 2 for item in items) + 10 - top
    return Layout(items, top, sum(_LAYER_WIDTHS[layer % 2] for layer in range(len(layers))) + 24, height)


def _make_items(nodes: Mapping[int, Sequence[tuple[int, str]]]) -> list[Item]:
    """Put states on even layers, operations on odd ones, just before the node they lead to."""
    depth = {0: 0, 1: 0}
    for node, edges in nodes.items():
        depth[node] = 2 + max(depth[source] for source, _ in edges)
    items = [Item("input", "c_{k-2}", 0), Item("input", "c_{k-1}", 0)]
    items += [Item("node", str(node - 2), depth[node]) for node in nodes]
    output = len(items)
    items.append(Item("output", "c_{k}", 2 + max(depth.values())))
    for node, edges in nodes.items():
        for source, operation in edges:
            place = len(items)
            items.append(Item("operation", operation, depth[node] - 1))
            _connect(items, source, place)
            _connect(items, place, node)
        _connect(items, node, output)
    return items


def _connect(items: list[Item], start: int, end: int) -> None:
    """Draw an arrow, with a bend in every layer that it passes."""
    for layer in range(items[start].layer + 1, items[end].layer):
        items.append(Item("bend", "", layer))
        items[start].after.append(len(items) - 1)
        items[-1].before.append(start)
        start = len(items) - 1
    items[start].after.append(end)
    items[end].before.append(start)


def _place(items: list[Item], layers: list[list[int]]) -> None:
    """Order the layers and give every item its height, in turns from the left and from the right."""
    for layer in layers:
        _spread(items, layer, [0.0] * len(layer))
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for layer in layers if forward else reversed(layers):
            wanted = []
            for index in layer:
                near = items[index].before if forward else items[index].after
                wanted.append(sum(items[other].y for other in near) / len(near) if near else items[index].y)
            order = sorted(range(len(layer)), key=lambda position: wanted[position])
            layer[:] = [layer[position] for position in order]
            _spread(items, layer, [wanted[position] for position in order])


def _spread(items: list[Item], layer: list[int], wanted: list[float]) -> None:
    """Set heights near the wanted ones, in this order and without overlap; together as far up as down from what was wanted."""
    heights, bottom = [], float("-inf")
    for index, y in zip(layer, wanted, strict=True):
        y = max(y, bottom + _LEAST_GAP + items[index].height / 2)
        heights.append(y)
        bottom = y + items[index].height / 2
    shift = sum(wanted) / len(wanted) - sum(heights) / len(heights)
    for index, y in zip(layer, heights, strict=True):
        items[index].y = y + shift


def _left(layer: int) -> float:
    return 12 + sum(_LAYER_WIDTHS[before % 2] for before in range(layer))


def span_of(item: Item) -> tuple[float, float]:
    """Return from where to where an item goes, left to right."""
    left, width = _left(item.layer), _LAYER_WIDTHS[item.layer % 2]
    inset = {"bend": width / 3, "operation": 20.0, "node": 14.0}.get(item.kind, 2.0)
    return left + inset, left + width - inset


def describe_curve(start: Item, end: Item, top: float) -> list[tuple[float, float]]:
    """Return the points of an arrow: where it begins, how far it goes straight, and three of a Bezier curve."""
    (left, x1), (x2, _) = span_of(start), span_of(end)
    y1, y2 = start.y - top, end.y - top
    stop = x2 - (4 if end.kind in ("node", "output") else 0)
    bend = (stop - x1) / 2
    return [(left if start.kind == "bend" else x1, y1), (x1, y1), (x1 + bend, y1), (stop - bend, y2), (stop, y2)]


def _draw_arrow(start: Item, end: Item, top: float) -> str:
    first, *others = (f"{x:.0f},{y:.1f}" for x, y in describe_curve(start, end, top))
    path = f'<path class="arrow" d="M{first}L{others[0]}C{" ".join(others[1:])}"/>'
    head = end.kind in ("node", "output")
    return path + (f'<path class="head" d="M{span_of(end)[0]:.0f},{end.y - top:.1f}l-7,-3.5v7z"/>' if head else "")


def _draw_item(item: Item, top: float) -> str:
    (left, right), y = span_of(item), item.y - top
    middle, radius = (left + right) / 2, 11 if item.kind == "operation" else 5
    box = f'<rect x="{left:.0f}" y="{y - item.height / 2:.1f}" width="{right - left:.0f}" height="{item.height:.0f}" rx="{radius}"/>'
    base, _, index = item.text.partition("_{") if item.kind in ("input", "output") else (item.text, "", "")
    low = f'<tspan dy="3" class="index">{escape(index.rstrip("}"))}</tspan>' if index else ""
    full = f"<title>{escape(item.text)}</title>" if len(clean(item.text)) > 17 else ""
    text = f'<text x="{middle:.0f}" y="{y + 4:.1f}">{escape(base, 17)}{low}</text>'
    family = f" {family_of(item)}" if item.kind == "operation" else ""
    return f'<g class="{item.kind}{family}">{full}{box}{text}</g>'


def family_of(item: Item) -> str:
    """Return the kind of an operation, by which it has its colour: ``conv``, ``pool``, ``skip``."""
    return next((family for part, family in _FAMILIES.items() if part in item.text), "skip")
