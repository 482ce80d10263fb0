"""A graph as a picture: layers from the leaves above to the outputs below, drawn without Graphviz."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .dot import caption
from .records import Record
from .text import more

FILL = {"leaf": "#add8e6", "op": "#e4e4e4", "output": "#caff70"}
CHARACTER, LINE, GAP, LAYER_GAP, MARGIN, LANE = 6.1, 13, 18, 34, 12, 2
Point = tuple[float, float]
Place = tuple[int, int]


def picture(nodes: Sequence[Record], limit: int) -> str:
    """The text of an `.svg` file with the first `limit` nodes."""
    shown = nodes[:limit]
    captions = [caption(n) for n in shown]
    widths = [max(map(len, c)) * CHARACTER + 14 for c in captions]
    heights = [len(c) * LINE + 8 for c in captions]
    places, arrows, width, height = _layout(shown, widths, heights)
    left = len(nodes) - len(shown)
    height += 22 * (left > 0)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="10">',
        '<defs><marker id="plugrad-arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>',
    ]
    out += arrows.values()
    for i, n in enumerate(shown):
        x, y = places[i]
        fill = FILL["output" if n.is_output and n.kind == "op" else n.kind]
        out.append(
            f'<rect x="{x - widths[i] / 2:.1f}" y="{y:.1f}" width="{widths[i]:.1f}" height="{heights[i]}" rx="3" '
            f'fill="{fill}" stroke="#555"/>'
        )
        for k, line in enumerate(captions[i]):
            weight = ' font-weight="bold"' if k == 0 else ""
            out.append(
                f'<text x="{x:.1f}" y="{y + 4 + (k + 0.8) * LINE:.1f}" text-anchor="middle"{weight}>{escape(line)}</text>'
            )
    if left:
        out.append(f'<text x="{MARGIN}" y="{height - 10:.1f}">{more(left)}</text>')
    return "\n".join([*out, "</svg>"])


def _layout(
    nodes: Sequence[Record], widths: Sequence[float], heights: Sequence[float]
) -> tuple[list[Point], dict[tuple[int, int], str], float, float]:
    """For each node the middle of its upper side, for each pair (from, to) its arrow; the width and height of all."""
    consumers: list[list[int]] = [[] for _ in nodes]
    depth = [0] * len(nodes)  # the longest way from an output
    for i, n in enumerate(nodes):
        for j in dict.fromkeys(n.inputs):
            if j < len(nodes):
                consumers[j].append(i)
                depth[j] = max(depth[j], depth[i] + 1)
    # In a layer are its nodes, and a lane for the arrows of each node that pass it: (node, layer), both of them.
    layers: list[list[Place]] = [[] for _ in range(max(depth) + 1)]
    leads_to: dict[Place, list[Place]] = {}
    for j, users in enumerate(consumers):
        layers[depth[j]].append((j, depth[j]))
        last = min((depth[i] for i in users), default=0)
        for d in range(depth[j], last, -1):
            leads_to[j, d] = [(i, d - 1) for i in users if depth[i] == d - 1]
            if d - 1 > last:
                leads_to[j, d].append((j, d - 1))
                layers[d - 1].append((j, d - 1))
    # Each layer in the order of the middle of those that it leads to, spread so that no two overlap.
    width_of = {(j, d): widths[j] if d == depth[j] else LANE for layer in layers for j, d in layer}
    middle: dict[Place, float] = {}
    for layer in layers:
        want = {
            p: sum(middle[q] for q in leads_to[p]) / len(leads_to[p]) if p in leads_to else 0.0 for p in layer
        }
        layer.sort(key=want.__getitem__)
        at = _spread([want[p] for p in layer], [width_of[p] for p in layer])
        middle.update(zip(layer, at, strict=True))
    left = MARGIN - min(x - width_of[p] / 2 for p, x in middle.items())
    width = max(x + width_of[p] / 2 for p, x in middle.items()) + left + MARGIN
    tops, bottoms, y = [0.0] * len(layers), [0.0] * len(layers), float(MARGIN)
    for d in reversed(range(len(layers))):  # leaves above
        tops[d] = y
        bottoms[d] = y + max(heights[j] for j, at_depth in layers[d] if depth[j] == at_depth)
        y = bottoms[d] + LAYER_GAP
    places = [(middle[i, d] + left, tops[d]) for i, d in enumerate(depth)]
    arrows = {}
    for j, users in enumerate(consumers):
        for i in users:
            lanes = [(middle[j, d] + left, tops[d], bottoms[d]) for d in range(depth[j] - 1, depth[i], -1)]
            x, top = places[j]
            arrows[j, i] = _arrow((x, top + heights[j]), lanes, places[i])
    return places, arrows, width, y - LAYER_GAP + MARGIN


def _spread(want: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Places near those that are wanted, in their order, with room for the widths."""
    at: list[float] = []
    for x, w in zip(want, widths, strict=True):
        least = at[-1] + (widths[len(at) - 1] + w) / 2 + GAP if at else x
        at.append(max(x, least))
    shift = sum(a - w for a, w in zip(at, want, strict=True)) / len(at)
    return [a - shift for a in at]


def _arrow(source: Point, lanes: Sequence[tuple[float, float, float]], target: Point) -> str:
    """A line from `source` down the lanes, each a (place, top, bottom), to `target`."""
    x, y = source
    path = f"M{x:.1f},{y:.1f}"
    for to, top, bottom in [*lanes, (*target, None)]:
        bend = (top - y) / 2
        path += f" C{x:.1f},{y + bend:.1f} {to:.1f},{top - bend:.1f} {to:.1f},{top:.1f}"
        if bottom is not None:
            path += f" V{bottom:.1f}"
            x, y = to, bottom
    return f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#plugrad-arrow)"/>'


def page(svg: str, table: str) -> str:
    """The picture with the table under it."""
    return (
        f'<div style="overflow:auto">{svg}</div>'
        f"<details><summary>{escape(table.splitlines()[-1] if table else '')}</summary><pre>{escape(table)}</pre></details>"
    )
