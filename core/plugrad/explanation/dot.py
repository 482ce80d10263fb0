"""A graph in Graphviz' language, in the colours of torchviz."""

from __future__ import annotations

from collections.abc import Sequence

from .records import Record
from .text import described, dtype, kept, shape, short

COLOURS = {"leaf": "lightblue", "op": "lightgrey", "output": "darkolivegreen1", "saved": "orange"}


def source(nodes: Sequence[Record]) -> str:
    """The text of a `.dot` file: leaves above, outputs below."""
    lines = [
        "digraph {",
        "  graph [ordering=in]",
        "  node [align=left fontname=monospace fontsize=10 height=0.2 ranksep=0.1 shape=box style=filled]",
    ]
    for i, n in enumerate(nodes):
        label = "\n".join(caption(n))
        colour = COLOURS["output" if n.is_output and n.kind == "op" else n.kind]
        lines.append(f"  n{i} [label={quoted(label)} fillcolor={colour}]")
        for k, s in enumerate(n.saved):
            lines.append(f"  n{i}s{k} [label={quoted(described(s))} fillcolor={COLOURS['saved']}]")
            lines.append(f"  n{i}s{k} -> n{i} [dir=none]")
        lines += [f"  n{j} -> n{i}" for j in n.inputs]
    return "\n".join([*lines, "}"]) + "\n"


def caption(n: Record) -> list[str]:
    """What stands in a node's box."""
    lines = [n.name, f"{shape(n.shape)} {dtype(n)}".rstrip()]
    if n.kind == "op" and kept(n):
        lines.append(f"saves {kept(n)}" if n.saved_bytes else kept(n))
    return [*lines, short(n.place)] if n.place else lines


def quoted(label: str) -> str:
    """A string of that language."""
    escaped = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def render(text: str, path: str, format: str) -> str:
    """Have Graphviz draw an image."""
    try:
        import graphviz  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise ImportError(
            "explain: render needs the package 'graphviz', which is not installed: pip install \"plugrad[graphviz]\", or use "
            ".svg, which needs nothing"
        ) from None
    try:
        return str(graphviz.Source(text).render(outfile=path, format=format, cleanup=True))
    except graphviz.ExecutableNotFound:
        raise RuntimeError(
            "explain: render needs the program 'dot', which was not found: install Graphviz from your system's packages "
            "(apt install graphviz, brew install graphviz), or use .svg, which needs nothing"
        ) from None
