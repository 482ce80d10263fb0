"""Rows of `plugrad.ops.norm`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .row import In, Row, S


def normal(x: Any, axis: Any, eps: float = 1e-5) -> Any:
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)


def affine(x: Any, weight: Any, bias: Any, axis: Any, eps: float = 1e-5) -> Any:
    return normal(x, axis, eps) * weight + bias


WHOLE = [((3, 4), (1,)), ((2, 3, 4), (1, 2)), ((5,), (0,)), ((0, 4), (1,)), ((2, 3, 1, 4), (3,))]

ROWS = [
    Row(
        "layer_norm", normal, [*(S(In(s), axis=a) for s, a in WHOLE), S(In((3, 4)), axis=(1,), eps=0.5)],
        dtypes="f d e",
        special=[(([[2.0, 2.0]], (1,)), [[0.0, 0.0]]), (([[1.0, np.inf]], (1,)), [[np.nan, np.nan]])],
        errors=[(S(In((2, 3), dtype="complex128"), axis=(1,)), NotImplementedError, "complex")],
    ),
    Row(
        "layer_norm_affine", affine,
        [S(In(s), In(s[a[0]:]), In(s[a[0]:]), axis=a, eps=0.1) for s, a in WHOLE], dtypes="f d e",
        errors=[
            (S(In((2, 3)), In((3,), dtype="float32"), In((3,)), axis=(1,)), RuntimeError,
             "expected operands of the same dtype, but got torch.float64 and torch.float32"),
        ],
    ),
]  # fmt: skip
