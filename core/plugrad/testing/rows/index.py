"""Rows of `plugrad.ops.index`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .row import In, Row, S

BASIC = [
    S(In((3, 4)), key=(1, ...)),
    S(In((3, 4)), key=(slice(0, 3, 2), None, slice(1, None), ...)),
    S(In((3,)), key=(-1, ...)),
    S(In(()), key=(None, ...)),
    S(In((2, 0, 3)), key=(slice(None), slice(None), 2, ...)),
]
MASK = np.array([[True, False, True], [False, False, True]])
PAIRS = np.array([1, 0, 1]), np.array([2, 2, 2])  # the element (1, 2) twice
ADVANCED = [
    S(In((2, 3)), key=PAIRS),
    S(In((2, 3)), key=(MASK,)),
    S(In((2, 3)), key=(np.array([[0, 1], [1, 1]]),)),
    S(In((2, 4, 3)), key=(slice(None), np.array([3, 0, 3]))),
    S(In((2, 4, 3)), key=(np.array([0, 0]), slice(None), np.array([1, 1]))),
    S(In((2, 3)), key=(np.array([], np.int64),)),
]
SOME = np.array([2, 0, 2])
EACH = np.array([[0, 0], [2, 1]])  # for a (3, 4) read along axis 0, or a (2, 3) along axis 1


def put(x: Any, key: Any, value: Any) -> np.ndarray:
    y = np.array(x)
    y[key] = value
    return y


def add(x: Any, key: Any, value: Any) -> np.ndarray:
    """One by one."""
    y = np.array(x)
    numbers = np.arange(y.size).reshape(y.shape)[key]
    for i, v in zip(numbers.ravel(), np.broadcast_to(value, numbers.shape).ravel(), strict=True):
        y.ravel()[i] += v
    return y


def whole(axis: int, indices: Any) -> tuple[Any, ...]:
    return (slice(None),) * axis + (indices,)


def along(indices: np.ndarray, axis: int) -> tuple[np.ndarray, ...]:
    places = np.indices(indices.shape)
    places[axis] = indices
    return tuple(places)


def reading(op: str, samples: Any, **options: Any) -> Row:
    return Row(op, lambda x, key: x[key], samples, dtypes="f d e l ? D", complex_grad=True, **options)


def gathering(op: str) -> Row:
    samples = [
        S(In((3, 4)), indices=EACH, axis=0),
        S(In((2, 3)), indices=EACH, axis=1),
        S(In((2, 0)), indices=np.zeros((2, 0), np.int64), axis=1),
    ]
    return Row(
        op, lambda x, indices, axis: x[along(indices, axis)], samples, dtypes="f d l ? D", complex_grad=True
    )


OUT = r"index 5 is out of bounds"
DTYPES = r"expected operands of the same dtype"

ROWS = [
    *(
        reading(op, BASIC, errors=[(S(In((3,)), key=(5, ...)), IndexError, OUT)])
        for op in ("getitem", "select", "newaxis", "whole")
    ),
    *(
        reading(op, ADVANCED, errors=[(S(In((3,)), key=(np.array([5]),)), IndexError, OUT)])
        for op in ("index_get", "masked_select", "take_flat")
    ),
    Row(
        "embed",
        lambda x, key, shape: put(np.zeros(shape, x.dtype), key, x),
        [
            S(In((4,)), key=(1, ...), shape=(3, 4)),
            S(In(()), key=(0, ...), shape=(2,)),
            S(In((1, 2)), key=(None, slice(2), ...), shape=(3,)),
        ],
        dtypes="f d D",
        complex_grad=True,
    ),
    Row(
        "embed_add",
        lambda x, key, shape: add(np.zeros(shape, x.dtype), key, x),
        [
            S(In((3,)), key=PAIRS, shape=(2, 3)),
            S(In((3,)), key=(MASK,), shape=(2, 3)),
            S(In((2, 2, 3)), key=(np.array([[0, 1], [1, 1]]),), shape=(2, 3)),
            S(In((2, 4)), key=(np.array([0, 0]), slice(None), np.array([1, 1])), shape=(2, 4, 3)),
        ],
        dtypes="f d D",
        complex_grad=True,
    ),
    Row(
        "index_fill",
        put,
        [S(In((2, 3)), key=PAIRS, value=7.0), S(In((3, 4)), key=whole(1, SOME), value=-1.0)],
        dtypes="f d l D",
        complex_grad=True,
    ),
    Row("zero", np.zeros_like, [S(In((2, 3))), S(In(()))], dtypes="f d l ? D", complex_grad=True),
    Row(
        "fill",
        lambda x, value: np.full_like(x, value),
        [S(In((2, 3)), value=3.0)],
        dtypes="f d D",
        complex_grad=True,
    ),
    *(
        Row(
            op,
            lambda x, src: np.broadcast_to(src, x.shape).astype(x.dtype),
            [S(In((2, 3)), In(shape)) for shape in shapes],
            dtypes="f d l D",
            complex_grad=True,
        )
        for op, shapes in {"fill_with": [()], "copy_into": [(2, 3), (3,), (2, 1), ()]}.items()
    ),
    Row(
        "index_put",
        lambda x, values, key, accumulate=False: (add if accumulate else put)(x, key, values),
        [
            S(In((2, 3)), In((3,)), key=PAIRS, accumulate=True),
            S(In((2, 3)), In((1,)), key=PAIRS, accumulate=True),
            S(In((3, 4)), In((4,)), key=(np.array([2, 0]),)),
            S(In((2, 3)), In((3,)), key=(MASK,)),
            S(In((2, 3)), In(()), key=(MASK,)),
        ],
        dtypes="f d l D",
        complex_grad=True,
        errors=[(S(In((2, 3)), In((3,), dtype="float32"), key=(MASK,)), RuntimeError, DTYPES)],
    ),
    Row(
        "take",
        lambda x, indices, axis: x[whole(axis, indices)],
        [
            S(In((3, 4)), indices=SOME, axis=0),
            S(In((3, 4)), indices=SOME, axis=1),
            S(In((3, 0)), indices=SOME, axis=0),
        ],
        dtypes="f d l ? D",
        complex_grad=True,
        errors=[(S(In((3,)), indices=np.array([5]), axis=0), IndexError, OUT)],
    ),
    Row(
        "index_add",
        lambda x, source, indices, axis: add(x, whole(axis, indices), source),
        [S(In((3, 4)), In((3, 4)), indices=SOME, axis=0), S(In((2, 4)), In((2, 3)), indices=SOME, axis=1)],
        dtypes="f d l D",
        complex_grad=True,
        errors=[(S(In((3,)), In((3,), dtype="float32"), indices=SOME), RuntimeError, DTYPES)],
    ),
    Row(
        "index_copy",
        lambda x, source, indices, axis: put(x, whole(axis, indices), source),
        [
            S(In((3, 4)), In((2, 4)), indices=SOME[:2], axis=0),
            S(In((2, 4)), In((2, 2)), indices=SOME[:2], axis=1),
        ],
        dtypes="f d l D",
        complex_grad=True,
    ),
    *(gathering(op) for op in ("gather", "take_sorted", "take_topk", "take_kth")),
    Row(
        "embed_gathered",
        lambda x, indices, axis, shape: add(np.zeros(shape, x.dtype), along(indices, axis), x),
        [
            S(In((2, 2)), indices=EACH, axis=0, shape=(3, 4)),
            S(In((2, 2)), indices=EACH, axis=1, shape=(2, 3)),
        ],
        dtypes="f d D",
        complex_grad=True,
    ),
    Row(
        "scatter_add",
        lambda x, src, indices, axis: add(x, along(indices, axis), src),
        [S(In((3, 4)), In((2, 2)), indices=EACH, axis=0), S(In((2, 3)), In((2, 2)), indices=EACH, axis=1)],
        dtypes="f d l D",
        complex_grad=True,
        errors=[(S(In((2, 3)), In((2, 2), dtype="float32"), indices=EACH, axis=1), RuntimeError, DTYPES)],
    ),
    Row(
        "scatter",
        lambda x, src, indices, axis: put(x, along(indices, axis), src),
        [
            S(In((3, 4)), In((2, 2)), indices=EACH, axis=0),
            S(In((2, 3)), In((2, 2)), indices=1 - EACH % 2 + [[0, 1], [1, 0]], axis=1),
        ],
        dtypes="f d l D",
        complex_grad=True,
    ),
    Row(
        "scatter_fill",
        lambda x, indices, axis, value: put(x, along(indices, axis), value),
        [S(In((3, 4)), indices=EACH, axis=0, value=2.0)],
        dtypes="f d l D",
        complex_grad=True,
    ),
    Row(
        "masked_fill",
        lambda x, mask, value: np.where(mask, value, x),
        [S(In((2, 3)), mask=MASK, value=5.0), S(In(()), mask=np.array(True), value=1.0)],
        dtypes="f d l D",
        complex_grad=True,
    ),
    Row("nonzero", np.nonzero, [S(In((2, 3))), S(In((0, 2)))], dtypes="f d l ?", grad=False),
    Row("argwhere", np.argwhere, [S(In((2, 3))), S(In(())), S(In((0, 2)))], dtypes="f d l ?", grad=False),
]
