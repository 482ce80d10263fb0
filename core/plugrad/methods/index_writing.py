"""The methods of `indexing` that PyTorch also has in place: each writes what the other would return."""

from __future__ import annotations

from typing import Any

from ..graph import Variable
from .inplace import write


class IndexWriting(Variable):
    """Methods that write at positions."""

    __slots__ = ()

    def scatter_(self, dim: int, index: Any, src: Any = None, **options: Any) -> Any:
        """`scatter` in place."""
        return write(self, lambda t, src: t.scatter(dim, index, src, **options), src, name="scatter_")

    def scatter_add_(self, dim: int, index: Any, src: Any) -> Any:
        """`scatter_add` in place."""
        return write(self, lambda t, src: t.scatter_add(dim, index, src), src, name="scatter_add_")

    def index_add_(self, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
        """`index_add` in place."""
        return write(
            self, lambda t, source: t.index_add(dim, index, source, alpha=alpha), source, name="index_add_"
        )

    def index_copy_(self, dim: int, index: Any, source: Any) -> Any:
        """`index_copy` in place."""
        return write(self, lambda t, source: t.index_copy(dim, index, source), source, name="index_copy_")

    def index_fill_(self, dim: int, index: Any, value: Any) -> Any:
        """`index_fill` in place."""
        return write(self, lambda t, value: t.index_fill(dim, index, value), value, name="index_fill_")

    def index_put_(self, indices: Any, values: Any, accumulate: bool = False) -> Any:
        """`index_put` in place."""
        return write(
            self, lambda t, values: t.index_put(indices, values, accumulate), values, name="index_put_"
        )

    def masked_scatter_(self, mask: Any, source: Any) -> Any:
        """`masked_scatter` in place."""
        return write(self, lambda t, source: t.masked_scatter(mask, source), source, name="masked_scatter_")
