"""`explain`: what a graph consists of and what it keeps in memory, as text, DOT and a picture."""

from __future__ import annotations

from collections import Counter
from typing import Any

from . import dot, svg, text
from .records import Record, Saved, records

__all__ = ["Explanation", "Record", "Saved", "explain"]


def explain(*outputs: Any, params: Any = None, limit: int = 100) -> Explanation:
    """The graph that leads to `outputs`: tensors, lists of them, or nodes as `tensor.grad_fn` gives them.

    `params` names leaves: an `nn.Module`, or a dict from name to tensor. Printed, the result is a table; in a notebook
    it is a picture. Both show at most `limit` nodes, from the outputs on. Where an op was called is known of what was
    recorded under `autograd.record_source_lines()` or `autograd.detect_anomaly()`.

    >>> import plugrad as torch
    >>> w = torch.ones(3, requires_grad=True)
    >>> torch.explain((w.exp() * 2).sum(), params={"w": w})
    #  op            shape  dtype    saves  from
    0  SumBackward0  ()     float32         1
    1  MulBackward0  (3,)   float32         2
    2  ExpBackward0  (3,)   float32  12 B   3
    3  w             (3,)   float32  leaf
    3 ops, 1 leaf; the graph keeps 12 B
    """
    if not isinstance(limit, int) or limit < 1:
        raise ValueError(f"explain: limit must be a number of nodes to show, at least 1, found {limit!r}")
    flat = [y for o in outputs for y in (o if type(o) in (list, tuple) else (o,))]
    return Explanation(records(flat, _names(params)), limit)


def _names(params: Any) -> dict[int, str]:
    if params is None:
        return {}
    named = getattr(params, "named_parameters", None) or getattr(params, "items", None)
    if named is None:
        raise TypeError(
            f"explain: params is a {type(params).__name__}: expected an nn.Module or a dict from name to tensor"
        )
    return {id(tensor): name for name, tensor in named()}


class Explanation:
    """A graph, from the outputs to the leaves: `nodes`, and ways to show them."""

    def __init__(self, nodes: list[Record], limit: int) -> None:
        self.nodes, self.limit = nodes, limit

    @property
    def saved_bytes(self) -> int:
        """How many bytes the graph keeps alive, apart from the leaves; each array counts once."""
        return sum(n.saved_bytes for n in self.nodes)

    def by_line(self) -> dict[str, int]:
        """The bytes that ops called at a line of the user's keep, most first; "unknown" for those without a line."""
        found: Counter[str] = Counter()
        for n in self.nodes:
            if n.saved_bytes:
                found[n.place or "unknown"] += n.saved_bytes
        return dict(found.most_common())

    def __repr__(self) -> str:
        return text.table(self.nodes, self.limit, self.by_line())

    @property
    def dot(self) -> str:
        """The graph in Graphviz' language, with torchviz' colours."""
        return dot.source(self.nodes)

    @property
    def svg(self) -> str:
        """A picture, drawn without Graphviz."""
        return svg.picture(self.nodes, self.limit)

    @property
    def html(self) -> str:
        """The picture, the table under it, as a piece of HTML."""
        return svg.page(self.svg, repr(self))

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return self.html

    def render(self, path: str, format: str = "svg") -> str:
        """Have Graphviz draw an image into the file `path`; returns its name. Needs `pip install "plugrad[graphviz]"`."""
        return dot.render(self.dot, path, format)
