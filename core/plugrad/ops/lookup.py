"""Rows of a table by their numbers."""

from __future__ import annotations

import math
from typing import Any

from ..op import linear
from .compare import equal, where
from .index import index_add, masked_fill, take
from .shape import broadcast_to, reshape_
from .sliding import zeros

__all__ = ["embedding", "embedding_backward"]


def _embedding(x: Any, indices: Any, padding_idx: int | None) -> Any:
    flat = reshape_(indices, (math.prod(indices.shape),))
    return reshape_(take(x, flat, 0), (*indices.shape, *x.shape[1:]))


def _backward(x: Any, indices: Any, padding_idx: int | None, rows: int) -> Any:
    n, width = math.prod(indices.shape), x.shape[-1]
    flat, x = reshape_(indices, (n,)), reshape_(x, (n, width))
    if padding_idx is not None:
        x = where(reshape_(equal(flat, padding_idx), (n, 1)), 0, x)
    return index_add(zeros(x, (rows, width)), x, flat, 0)


# Linear, but its vjp is not quite its transpose: the row `padding_idx` gets no gradient, as in PyTorch.
embedding = linear(
    "embedding", "x | indices=None padding_idx=None", default=_embedding,
    x=lambda g, x, indices, padding_idx: embedding_backward(g, indices, padding_idx, x.shape[0]),
)  # fmt: skip
#: Zeros of so many rows, to each of which is added what it was read as.
embedding_backward = linear(
    "embedding_backward", "x | indices=None padding_idx=None rows=0", default=_backward,
    x=lambda g, indices, padding_idx: _read_back(g, indices, padding_idx),
)  # fmt: skip


def _read_back(g: Any, indices: Any, padding_idx: int | None) -> Any:
    y = embedding(g, indices, padding_idx)
    if padding_idx is None:
        return y
    padding = reshape_(equal(indices, padding_idx), (*indices.shape, 1))
    return masked_fill(y, broadcast_to(padding, tuple(y.shape)), 0)
