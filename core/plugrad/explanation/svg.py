"""A graph as a picture: layers from the leaves above to the outputs below, drawn without Graphviz."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .dot import caption
from .records import Record

FILL = {"leaf": "#add8e6", "op": "#e4e4e4", "output": "#caff70"}
CHARACTER, LINE, GAP, LAYER_GAP, MARGIN = 6.1, 13, 18, 34, 12


def picture(nodes: Sequence[Record], limit: int) -> str:
    """The text of an `.svg` file with the first `limit` nodes."""
    shown = nodes[:limit]
    captions = [caption(n) for n in shown]
    widths = [max(map(len, c)) * CHARACTER + 14 for c in captions]
    heights = [len(c) * LINE + 8 for c in captions]
    places, width, height = _layout(shown, widths, heights)
    left = len(nodes) - len(shown)
    height += 22 * (left > 0)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="10">',
        '<defs><marker id="plugrad-arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>',
    ]
    for i, n in enumerate(shown):
        out += [_arrow(places[j], places[i], heights[j]) for j in dict.fromkeys(n.inputs) if j < len(shown)]
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
        out.append(f'<text x="{MARGIN}" y="{height - 10:.1f}">... and {left} more nodes</text>')
    return "\n".join([*out, "</svg>"])


def _layout(
    nodes: Sequence[Record], widths: Sequence[float], heights: Sequence[float]
) -> tuple[list[tuple[float, float]], float, float]:
    """For each node the middle of its upper side; the width and height of all."""
    depth = [0] * len(nodes)  # the longest way from an output
    for i, n in enumerate(nodes):
        for j in n.inputs:
            if j < len(nodes):
                depth[j] = max(depth[j], depth[i] + 1)
    layers: list[list[int]] = [[] for _ in range(max(depth) + 1)]
    for i, d in enumerate(depth):
        layers[d].append(i)
    consumers: list[list[int]] = [[] for _ in nodes]
    for i, n in enumerate(nodes):
        for j in n.inputs:
            if j < len(nodes):
                consumers[j].append(i)
    # Each layer in the order of the middle of those that it leads to, spread so that no two overlap.
    middle = [0.0] * len(nodes)
    for d, layer in enumerate(layers):
        if d:
            layer.sort(key=lambda i: sum(middle[c] for c in consumers[i]) / max(len(consumers[i]), 1))
        want = [sum(middle[c] for c in consumers[i]) / max(len(consumers[i]), 1) for i in layer]
        at = _spread(want, [widths[i] for i in layer])
        for i, x in zip(layer, at, strict=True):
            middle[i] = x
    left = min(middle[i] - widths[i] / 2 for i in range(len(nodes)))
    width = max(middle[i] + widths[i] / 2 for i in range(len(nodes))) - left + 2 * MARGIN
    tops, y = [0.0] * len(layers), float(MARGIN)
    for d in reversed(range(len(layers))):  # leaves above
        tops[d] = y
        y += max(heights[i] for i in layers[d]) + LAYER_GAP
    places = [(middle[i] - left + MARGIN, tops[depth[i]]) for i in range(len(nodes))]
    return places, width, y - LAYER_GAP + MARGIN


def _spread(want: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Places near those that are wanted, in their order, with room for the widths."""
    at: list[float] = []
    for x, w in zip(want, widths, strict=True):
        least = at[-1] + (widths[len(at) - 1] + w) / 2 + GAP if at else x
        at.append(max(x, least))
    shift = sum(a - w for a, w in zip(at, want, strict=True)) / len(at)
    return [a - shift for a in at]


def _arrow(source: tuple[float, float], target: tuple[float, float], height: float) -> str:
    (x0, y0), (x1, y1) = source, target
    y0 += height
    bend = (y1 - y0) / 2
    return (
        f'<path d="M{x0:.1f},{y0:.1f} C{x0:.1f},{y0 + bend:.1f} {x1:.1f},{y1 - bend:.1f} {x1:.1f},{y1:.1f}" fill="none" '
        'stroke="#555" marker-end="url(#plugrad-arrow)"/>'
    )


def page(svg: str, table: str) -> str:
    """The picture with the table under it."""
    return (
        f'<div style="overflow:auto">{svg}</div>'
        f"<details><summary>{escape(table.splitlines()[-1] if table else '')}</summary><pre>{escape(table)}</pre></details>"
    )
