"""Rows of `plugrad.ops.attention`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .row import In, Row, S


def attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any = None,
    scale: float = 1.0,
    causal: bool = False,
    kept: Any = 1,
) -> Any:
    """The definition; exp(-inf) is 0, and a sum of zeros is divided by 1."""
    scores = query @ np.swapaxes(key, -1, -2) * scale
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    top = scores.max(-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = powers.sum(-1, keepdims=True)
    return powers / np.where(total == 0, 1, total) * kept @ value


BLIND = np.array([[True, False, True, True], [False] * 4, [False, True, False, False]])
TRIANGLE = np.tril(np.ones((3, 4), bool))
THREE = (In((2, 3, 5)), In((2, 4, 5)), In((2, 4, 2)))

ROWS = [
    Row(
        "scaled_dot_product_attention", attention,
        [
            S(*THREE, scale=0.5),
            S(In((3, 5)), In((4, 5)), In((4, 2))),
            S(*THREE, BLIND, scale=0.5),
            S(*THREE, In((2, 3, 4))),
            S(*THREE, In((3, 1))),
            S(*THREE, TRIANGLE, scale=0.5, causal=True),
            S(*THREE, None, 0.5, False, In((2, 3, 4))),
        ],
        dtypes="f d e",
    ),
]  # fmt: skip
