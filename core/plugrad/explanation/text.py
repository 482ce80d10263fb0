"""A graph as a table."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .records import Record, Saved


def table(nodes: Sequence[Record], limit: int, lines: dict[str, int]) -> str:
    """A row for each of the first `limit` nodes, and sums."""
    shown = nodes[:limit]
    head = ["#", "op", "shape", "dtype", "saves", "from"]
    places = any(n.place for n in nodes)
    rows = [[*head, "called at"] if places else head]
    for i, n in enumerate(shown):
        row = [str(i), n.name, shape(n.shape), dtype(n), kept(n), " ".join(map(str, n.inputs))]
        rows.append([*row, short(n.place or "")] if places else row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    out = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if len(nodes) > len(shown):
        out.append(more(len(nodes) - len(shown)))
    out.append(total(nodes))
    if places and lines:
        width = max(len(size(n)) for n in lines.values())
        out += ["kept by line:", *(f"  {size(n).rjust(width)}  {short(place)}" for place, n in lines.items())]
    return "\n".join(out)


def more(count: int) -> str:
    """How many nodes are not shown."""
    return f"... and {count} more node{'s' * (count != 1)}"


def total(nodes: Sequence[Record]) -> str:
    """How many there are, and what they keep."""
    leaves = sum(n.kind == "leaf" for n in nodes)
    ops = len(nodes) - leaves
    kept = sum(n.saved_bytes for n in nodes)
    return f"{ops} op{'s' * (ops != 1)}, {leaves} lea{'f' if leaves == 1 else 'ves'}; the graph keeps {size(kept)}"


def shape(value: tuple[int, ...] | None) -> str:
    """A shape; a question mark where it is not known."""
    return "?" if value is None else str(value)


def dtype(n: Record) -> str:
    """A dtype without the library's name."""
    return "" if n.dtype is None else str(n.dtype).removeprefix("torch.")


def kept(n: Record) -> str:
    """What a node keeps, in bytes, or why it adds none."""
    if n.kind == "leaf":
        return "leaf"
    if n.saved_bytes:
        return size(n.saved_bytes)
    if n.freed:
        return "freed"
    notes = [s.note for s in n.saved if s.note != "leaf"]
    return notes[0] if notes else ""


def size(count: int) -> str:
    """Bytes in a unit that gives a short number."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def described(s: Saved) -> str:
    """A saved value in one line."""
    form = f"{s.name}: {shape(s.shape)} {str(s.dtype).removeprefix('torch.')}"
    return f"{form} ({s.note})" if s.note else f"{form}, {size(s.bytes)}"


def short(place: str) -> str:
    """A place without the folder of the file."""
    return os.path.basename(place)
