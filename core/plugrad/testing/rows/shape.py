"""Rows of `plugrad.ops.shape`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import float64, int32
from .row import In, Row, S

ALL = "f d e l ? F D"


def embed_diagonal(x: np.ndarray, shape: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> np.ndarray:
    y = np.zeros(shape, x.dtype)
    d = np.diagonal(y, offset, axis1, axis2)
    d.flags.writeable = True
    d[...] = x
    return y


def windows(x: np.ndarray, axis: int, size: int, step: int) -> np.ndarray:
    starts = range(0, x.shape[axis] - size + 1, step)
    return np.stack([np.moveaxis(x.take(range(i, i + size), axis), axis, -1) for i in starts], axis)


def overlap_add(x: np.ndarray, shape: Any, axis: int, size: int, step: int) -> np.ndarray:
    y = np.zeros(shape, x.dtype)
    for i in range(x.shape[axis]):
        place = [slice(None)] * y.ndim
        place[axis] = slice(i * step, i * step + size)
        y[tuple(place)] += np.moveaxis(np.take(x, i, axis), -1, axis)
    return y


def split(x: np.ndarray, sizes: Any, axis: int = 0) -> list[np.ndarray]:
    return np.split(x, np.cumsum(sizes)[:-1], axis)


def row(op: str, reference: Any, *samples: Any, **options: Any) -> Row:
    return Row(op, reference, samples, **{"dtypes": ALL, "complex_grad": True, **options})


RESHAPES = [
    S(In(), shape=(3, 2)),
    S(In(), shape=(6,)),
    S(In(()), shape=(1, 1)),
    S(In((0, 2)), shape=(4, 0)),
    S(In(), shape=(1, 6, 1)),
]
SQUEEZES = [
    S(In((1, 2, 1)), axis=(0, 2)),
    S(In((1, 2, 1)), axis=(2,)),
    S(In(), axis=()),
    S(In(()), axis=()),
    S(In((1, 0)), axis=(0,)),
]
SPLITS = [
    S(In((4, 3)), sizes=(1, 3)),
    S(In((2, 5)), sizes=(2, 0, 3), axis=1),
    S(In((0, 2)), sizes=(0, 0)),
    S(In((3,)), sizes=(3,)),
]
SQUARES = [S(In((3, 3))), S(In((2, 3, 4)), k=1), S(In((4, 2)), k=-2), S(In((0, 3)))]

ROWS = [
    row(
        "reshape",
        lambda x, shape: np.reshape(x, shape),
        *RESHAPES,
        errors=[(S(In(), shape=(4,)), RuntimeError, "reshape")],
    ),
    row("unsafe_view", lambda x, shape: np.reshape(x, shape), *RESHAPES),
    row(
        "expand_dims",
        np.expand_dims,
        S(In(), axis=0),
        S(In(), axis=1),
        S(In(), axis=2),
        S(In(()), axis=0),
        S(In((0, 2)), axis=1),
    ),
    row("squeeze", np.squeeze, *SQUEEZES),
    row("squeeze_dim", np.squeeze, *SQUEEZES),
    row("squeeze_dims", np.squeeze, *SQUEEZES),
    row(
        "broadcast_to",
        np.broadcast_to,
        S(In((3,)), shape=(2, 3)),
        S(In((2, 1, 3)), shape=(4, 2, 5, 3)),
        S(In(()), shape=(2,)),
        S(In((1, 2)), shape=(0, 2)),
        S(In((2, 3)), shape=(2, 3)),
        S(In(()), shape=()),
        errors=[
            (S(In((2, 3)), shape=(2, 4)), RuntimeError, "broadcast"),
            (S(In((2, 3)), shape=(3,)), RuntimeError, "broadcast"),
        ],
    ),
    row(
        "permute_dims",
        np.transpose,
        S(In((2, 3, 4)), axes=(2, 0, 1)),
        S(In(()), axes=()),
        S(In((0, 2)), axes=(1, 0)),
    ),
    row(
        "swapaxes",
        lambda x, axis1=0, axis2=1: np.swapaxes(x, axis1, axis2),
        S(In((2, 3, 4)), axis1=0, axis2=2),
        S(In((2, 3)), axis1=1, axis2=1),
        S(In((0, 2))),
    ),
    row("reverse_dims", np.transpose, S(In((2, 3))), S(In((3,))), S(In(())), S(In((2, 0)))),
    row(
        "flip",
        np.flip,
        S(In((2, 3)), axis=(1,)),
        S(In((2, 3, 4)), axis=(0, 2)),
        S(In(()), axis=()),
        S(In((0, 2)), axis=(0,)),
    ),
    row(
        "roll",
        np.roll,
        S(In((2, 3)), shift=(1,)),
        S(In((2, 3)), shift=(1, -4), axis=(0, 1)),
        S(In((3,)), shift=(2, 2), axis=(0, 0)),
        S(In((0, 2)), shift=(1,), axis=(0,)),
        S(In(()), shift=(1,)),
    ),
    row(
        "concat",
        lambda xs, axis=0: np.concatenate(xs, axis),
        S([In((2, 3)), In((1, 3))]),
        S([In((2, 3)), In((2, 0)), In((2, 1))], axis=1),
        S([In((2,))]),
        S([In((0, 2)), In((0, 2))]),
        S([In((2,)), In((3,), dtype="float32")]),
        S([In((2,), dtype="float32"), In((3,), dtype="int64")]),
        errors=[(S([In((2, 3)), In((2, 2))]), RuntimeError, "concat")],
    ),
    row(
        "stack",
        lambda xs, axis=0: np.stack(xs, axis),
        S([In((2, 3)), In((2, 3))]),
        S([In((2, 3)), In((2, 3))], axis=2),
        S([In(()), In(())]),
        S([In((0,)), In((0,))], axis=1),
        S([In((2,)), In((2,), dtype="float32")]),
    ),
    row("split_sizes", split, *SPLITS),
    row("split", split, *SPLITS),
    row(
        "unbind",
        lambda x, axis=0: list(np.moveaxis(x, axis, 0)),
        S(In((2, 3))),
        S(In((2, 3)), axis=1),
        S(In((2,))),
        S(In((2, 0))),
    ),
    row(
        "tile",
        lambda x, repetitions: np.tile(x, repetitions),
        S(In((2, 3)), repetitions=(2, 3)),
        S(In((3,)), repetitions=(2, 1, 2)),
        S(In(()), repetitions=(2,)),
        S(In((2,)), repetitions=(0,)),
        S(In(()), repetitions=()),
    ),
    row("tril", np.tril, *SQUARES),
    row("triu", np.triu, *SQUARES),
    row(
        "diagonal",
        lambda x, offset=0, axis1=0, axis2=1: np.diagonal(x, offset, axis1, axis2),
        S(In((3, 3))),
        S(In((2, 4)), offset=1),
        S(In((4, 2)), offset=-1),
        S(In((2, 3, 4)), axis1=2, axis2=0),
        S(In((2, 3)), offset=7),
    ),
    row(
        "embed_diagonal",
        embed_diagonal,
        S(In((3,)), shape=(3, 3)),
        S(In((2,)), shape=(2, 4), offset=1),
        S(In((3, 2)), shape=(2, 3, 4), axis1=2, axis2=0),
        S(In((0,)), shape=(2, 3), offset=7),
    ),
    row(
        "windows",
        windows,
        S(In((5,)), axis=0, size=2, step=1),
        S(In((2, 7, 3)), axis=1, size=3, step=2),
        S(In((4,)), axis=0, size=4, step=3),
    ),
    row(
        "overlap_add",
        overlap_add,
        S(In((4, 2)), shape=(5,), axis=0, size=2, step=1),
        S(In((2, 3, 3, 3)), shape=(2, 8, 3), axis=1, size=3, step=2),
    ),
    row("to_device", lambda x, target=None, source=None: x, S(In()), S(In(())), S(In((0, 2)))),
    row(
        "astype",
        lambda x, dtype: x.astype(dtype.numpy),
        S(In(), dtype=float64),
        S(In(()), dtype=float64),
        dtypes="f d e l ?",
        complex_grad=False,
    ),
    row(
        "bitcast",
        lambda x, dtype: x.astype("f").view(dtype.numpy),
        S(In(), dtype=int32),
        dtypes="f",
        grad=False,
    ),
    row("copy", np.copy, S(In()), S(In(())), S(In((0, 2)))),
]
