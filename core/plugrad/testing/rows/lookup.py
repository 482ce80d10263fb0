"""Rows of `plugrad.ops.lookup`; what `padding_idx` does to derivatives is in the tests of `F.embedding`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .row import In, Row, S


def backward(x: Any, indices: Any, rows: int, padding_idx: Any = None) -> Any:
    """One index at a time."""
    y = np.zeros((rows, x.shape[-1]), x.dtype)
    for i in np.ndindex(indices.shape):
        if indices[i] != padding_idx:
            y[indices[i]] += x[i]
    return y


INDICES = [np.array([1, 0, 1]), np.array([[2, 2], [2, 0]]), np.array(1), np.zeros((0, 2), np.int64)]

ROWS = [
    Row(
        "embedding", lambda x, indices: x[indices], [S(In((3, 4)), indices=i) for i in INDICES],
        dtypes="f d e D", complex_grad=True,
        errors=[(S(In((3, 4)), indices=np.array([3])), IndexError, "index 3 is out of bounds")],
    ),
    Row(
        "embedding_backward", backward,
        [
            *(S(In((*i.shape, 4)), indices=i, rows=3) for i in INDICES),
            *(S(In((*i.shape, 4)), indices=i, rows=3, padding_idx=2) for i in INDICES),
        ],
        dtypes="f d e D", complex_grad=True,
    ),
]  # fmt: skip
