"""Rows of `plugrad.ops.sort`."""

from __future__ import annotations

import numpy as np

from .row import In, Row, S

NAN = np.nan


def argsort(x: np.ndarray, axis: int = -1, descending: bool = False) -> np.ndarray:
    """By Python's stable sort, NaN above everything."""

    def order(v: np.ndarray) -> list[int]:
        key = [(bool(np.isnan(e)), 0 if np.isnan(e) else e) for e in v.tolist()]
        return sorted(range(len(key)), key=key.__getitem__, reverse=descending)

    return np.apply_along_axis(order, axis, x) if x.size else np.zeros(x.shape, np.int64)


def argtopk(x: np.ndarray, k: int, axis: int, largest: bool = True) -> np.ndarray:
    return np.take(argsort(x, axis, largest), np.arange(k), axis)


DISTINCT = In((3, 5), distinct=True)
STEPS = np.array([-1.0, 0.0, 0.5, 1.0])

ROWS = [
    Row(
        "argsort",
        argsort,
        [
            S(DISTINCT, axis=0),
            S(DISTINCT, axis=-1, descending=True),
            S(In((0, 3)), axis=0),
            S(In((4, 3)), axis=0, descending=True),
        ],
        dtypes="f d e l ?",
        grad=False,
        special=[
            (([1.0, NAN, -np.inf, 1.0, np.inf],), [2, 0, 3, 4, 1]),
            (([1.0, NAN, -np.inf, 1.0, np.inf], -1, True), [1, 4, 0, 3, 2]),
        ],
    ),
    Row(
        "argtopk",
        argtopk,
        [
            S(DISTINCT, k=2, axis=1),
            S(DISTINCT, k=2, axis=0, largest=False),
            S(DISTINCT, k=5, axis=1),
            S(DISTINCT, k=0, axis=1),
        ],
        grad=False,
        special=[(([1.0, NAN, 3.0], 2, 0), [1, 2]), (([1.0, NAN, 3.0], 2, 0, False), [0, 2])],
    ),
    Row(
        "searchsorted",
        lambda x, values, right=False: np.searchsorted(x, values, "right" if right else "left"),
        [S(STEPS, In((2, 3))), S(STEPS, np.array([0.0, 1.0]), right=True), S(STEPS, In(()))],
        dtypes="d",
        grad=False,
    ),
    Row(
        "bincount",
        lambda x, weights=None, minlength=0: np.bincount(x, weights, minlength),
        [
            S(np.array([0, 3, 3])),
            S(np.array([0, 3, 3]), minlength=6),
            S(np.array([], np.int64)),
            S(np.array([0, 3, 3]), weights=np.array([0.5, 1.0, 2.0])),
        ],
        grad=False,
    ),
    Row(
        "unique",
        lambda x, axis=None: np.unique(x, return_inverse=True, return_counts=True, axis=axis),
        [S(In((3, 4), dtype="int64")), S(In((5, 2), dtype="int64", low=0, high=1), axis=0), S(In((0,)))],
        grad=False,
        special=[],
    ),
]
