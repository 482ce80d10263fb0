"""Layer 3: the required kernels of shapes, keys, reductions, products and indices."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ... import dtypes
from .agreement import RTOL, Disagreement, describe
from .bench import Bench
from .data import ADVANCED, ANY, INF, KEYS, LARGE, NAN, computed, random

# --- shapes and keys ----------------------------------------------------------------------------------------


def reshape(bench: Bench, name: str) -> None:
    """The elements in row-major order, from every layout, to and from no dimension, and of nothing."""
    for one, two in (
        ((2, 3), (6,)),
        ((2, 3), (3, 2)),
        ((2, 3), (2, 3)),
        ((2, 3, 4), (4, 1, 6)),
        ((), (1, 1)),
        ((1,), ()),
        ((0, 3), (3, 0, 2)),
        ((6,), (1, 2, 3)),
    ):
        x = random(bench, one, np.dtype(np.float32), *ANY)
        bench.call(name, x, two, want=x.reshape(two), exact=True, layouts=True)


def permute_dims(bench: Bench, name: str) -> None:
    """Every order of three axes; and of two, one, none."""
    for shape in ((2, 3, 4), (3, 3), (0, 2), (3,), ()):
        x = random(bench, shape, np.dtype(np.float32), *ANY)
        for axes in itertools.permutations(range(len(shape))):
            bench.call(name, x, axes, want=x.transpose(axes), exact=True, layouts=True)


def broadcast_to(bench: Bench, name: str) -> None:
    """New axes in front, axes of size 1, and of size 0; what does not fit raises."""
    fits = (
        ((3,), (2, 3)),
        ((2, 1), (2, 3)),
        ((), (2, 2)),
        ((), ()),
        ((1, 3), (4, 2, 3)),
        ((1,), (0,)),
        ((0,), (2, 0)),
        ((2, 3), (2, 3)),
    )
    for one, two in fits:
        x = random(bench, one, np.dtype(np.float32), *ANY)
        bench.call(name, x, two, want=np.broadcast_to(x, two), exact=True, layouts=True)
    for one, two in (((2,), (3,)), ((2, 3), (3,)), ((3, 2), (3,))):
        try:
            bench.backend.broadcast_to(bench.put(np.ones(one, np.float32)), two)
        except (ValueError, RuntimeError, TypeError):
            continue
        raise Disagreement(
            f"broadcast_to(float32{list(one)}, {two}) gives an array: it must raise ValueError"
        )


def getitem(bench: Bench, name: str) -> None:
    """Every form of key, in every dtype."""
    for dt in bench.numpy_dtypes("biufc"):
        for shape, key in bench.some(KEYS, dt):
            x = random(bench, shape, dt, *ANY)
            bench.call(name, x, key, want=x[key], exact=True)


def setitem(bench: Bench, name: str) -> None:
    """Every form of key, in every dtype, on every layout."""
    b = bench.backend
    for dt in bench.numpy_dtypes("biufc"):
        for shape, key in bench.some([*ADVANCED, *KEYS], dt, 6):
            x = random(bench, shape, dt, *ANY)
            want = x.copy()
            value = random(bench, x[key].shape, dt, *ANY, "value")
            want[key] = value
            for layout, raw in bench.some(list(bench.layouts(x)), dt, 1):
                what = f"setitem({describe(x)} {layout}, {describe(key)}, {describe(value)})"
                given = bench.put(value)
                bench.check(b.setitem(raw, bench.on_device(key), given), want, what)
                bench.unchanged([given], [value], what)
    x = np.zeros(LARGE, np.float32)
    places = bench.rng("places").permutation(LARGE)[:1000]
    x[places] = 1
    bench.check(
        b.setitem(b.zeros((LARGE,), dtypes.float32), (bench.on_device(places),), 1.0),
        x,
        f"setitem of 1000 places of {LARGE}",
    )


# --- reductions, products, indices --------------------------------------------------------------------------

REDUCED: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 3), (0,)), ((2, 3), (1,)), ((2, 3), (0, 1)), ((3, 3), (0,)), ((3, 3), (1,)), ((2, 2, 2), (0, 2)), ((2, 3, 4), (0, 2)),
    ((2, 3, 4), (1,)), ((), ()), ((2, 3), ()), ((0, 2), (1,)), ((1, 1), (0,)),
]  # fmt: skip


def sum_(bench: Bench, name: str) -> None:
    """Over any axes, with and without keepdims; of nothing it is 0."""
    # Core casts small integers before: only what it asks for is tried.
    for dt in [*bench.numpy_dtypes("fc"), *(d for d in bench.numpy_dtypes("i") if d.itemsize == 8)]:
        for shape, axis in bench.some([*REDUCED, ((0, 2), (0,)), ((2, 0), (0, 1))], dt, 6):
            x = random(bench, shape, dt, *ANY)
            for keepdims in (False, True):
                want = computed(lambda x, a=axis, k=keepdims: np.sum(x, axis=a, keepdims=k), x)
                bench.call(name, x, axis, keepdims, want=want, rtol=RTOL.get(dt.char, 0.0), layouts=True)
        if dt.kind == "f":
            edges = np.array([[NAN, 1], [INF, 1], [INF, -INF], [-INF, 0]], dt)
            bench.call(name, edges, (1,), False, want=np.array([NAN, INF, NAN, -INF], dt), exact=True)
            ones = np.ones((LARGE if dt.itemsize > 2 else 4099,), dt)
            bench.call(name, ones, (0,), False, want=np.array(ones.size, dt), rtol=RTOL[dt.char])


def max_(bench: Bench, name: str) -> None:
    """Over any axes, with and without keepdims; NaN wins."""
    for dt in bench.numpy_dtypes("iuf"):
        for shape, axis in bench.some(REDUCED, dt, 6):
            x = random(bench, shape, dt, *ANY)
            for keepdims in (False, True):
                if not (x.size == 0 and 0 in [shape[a] for a in axis]):
                    want = np.max(x, axis=axis, keepdims=keepdims)
                    bench.call(name, x, axis, keepdims, want=want, exact=True, layouts=True)
        if dt.kind == "f":
            edges = np.array([[NAN, 1], [1, NAN], [INF, 1], [-INF, -INF], [-2, -1]], dt)
            bench.call(name, edges, (1,), False, want=np.array([NAN, NAN, INF, -INF, -1], dt), exact=True)


def argmax(bench: Bench, name: str) -> None:
    """The first of the greatest, and the first NaN, as int64."""
    want_dt = bench.fitted(np.zeros(1, np.int64)).dtype
    for dt in bench.numpy_dtypes("iuf"):
        rows: list[list[float]] = [[1, 3, 3, 2], [5, 1, 5, 5], [0, 0, 0, 0], [1, 2, 3, 4]]
        if dt.kind == "f":
            rows += [[1, NAN, 5, NAN], [NAN, 1, 2, 3], [-INF, -INF, -INF, -INF], [1, INF, 2, INF]]
        cases = [np.array(rows, dt), random(bench, (2, 3, 4), dt, *ANY), random(bench, (3,), dt, *ANY)]
        for x in bench.some(cases, dt, 1):
            for axis in (None, *range(x.ndim)):
                for keepdims in (False, True):
                    want = np.asarray(np.argmax(x, axis, keepdims=keepdims)).astype(want_dt)
                    bench.call(name, x, axis, keepdims, want=want, exact=True, layouts=True)
        x = np.arange(LARGE).astype(np.float32)
        bench.call(name, x, 0, False, want=np.array(LARGE - 1, want_dt), exact=True)


def matmul(bench: Bench, name: str) -> None:
    """Matrices and stacks of them, square or not, of every layout, and empty; NaN is not multiplied away."""
    shapes: list[Any] = [
        ((2, 3), (3, 4)), ((3, 3), (3, 3)), ((1, 3), (3, 1)), ((4, 2, 3), (4, 3, 2)), ((2, 3), (4, 3, 2)),
        ((2, 1, 2, 2), (3, 2, 2)), ((2, 0), (0, 3)), ((0, 2), (2, 3)), ((0, 2, 2), (2, 2)), ((33, 65), (65, 17)),
    ]  # fmt: skip
    for dt in [*bench.numpy_dtypes("fc"), *(d for d in bench.numpy_dtypes("i") if d.itemsize == 8)]:
        for one, two in bench.some(shapes, dt, 5):
            a, b = random(bench, one, dt, *ANY, 0), random(bench, two, dt, *ANY, 1)
            want = computed(np.matmul, a, b)
            rtol = RTOL.get(dt.char, 0.0) * 5
            bench.call(name, a, b, want=want, rtol=rtol, layouts=True)
        if dt.kind == "f":
            a, b = np.array([[0, 1], [INF, 0]], dt), np.array([[NAN, 1], [0, 1]], dt)
            bench.call(name, a, b, want=np.array([[NAN, 1], [NAN, INF]], dt), exact=True)
            a = random(bench, (3, 3), dt, *ANY)
            second = _transposed(bench, a)
            what = f"matmul({describe(a)}, the same transposed by permute_dims)"
            bench.check(
                bench.backend.matmul(bench.put(a), second),
                computed(np.matmul, a, a.T),
                what,
                RTOL[dt.char],
                RTOL[dt.char],
            )


def _transposed(bench: Bench, a: np.ndarray) -> Any:
    return bench.backend.permute_dims(bench.put(a), (1, 0))


def take(bench: Bench, name: str) -> None:
    """Slices in any order, several times, none; from every axis, and from places beyond 16 bits."""
    for dt in bench.numpy_dtypes("biufc"):
        x = random(bench, (3, 4, 2), dt, *ANY)
        for axis, indices in bench.some(
            [(0, [2, 0, 2, 1]), (1, [3, 3]), (2, [1, 0]), (0, []), (1, [0])], dt, 2
        ):
            index = bench.fitted(np.array(indices, np.int64))
            bench.call(
                name, x, index, axis, want=x[(slice(None),) * axis + (index,)], exact=True, layouts=True
            )
    x = np.arange(LARGE, dtype=np.float32)
    index = bench.fitted(np.array([LARGE - 1, 0, 65536, 32768, LARGE - 1]))
    bench.call(name, x, index, 0, want=x[index], exact=True)
    x = np.ones((0, 3), np.float32)
    bench.call(name, x, index[:0], 0, want=x, exact=True)


def index_add(bench: Bench, name: str) -> None:
    """A copy to which slices are added, those of one place all together."""
    for dt in bench.numpy_dtypes("ifc"):
        for axis, indices in bench.some(
            [(0, [2, 0, 2, 2]), (1, [3, 1, 3]), (2, [1, 1, 0]), (0, []), (1, [0, 1, 2, 3])], dt, 2
        ):
            x = random(bench, (3, 4, 2), dt, *ANY)
            source = random(bench, (*x.shape[:axis], len(indices), *x.shape[axis + 1 :]), dt, *ANY, "source")
            index = bench.fitted(np.array(indices, np.int64))
            want = _added(x, source, index, axis)
            rtol = RTOL.get(dt.char, 0.0)
            bench.call(name, x, source, index, axis, want=want, rtol=rtol, layouts=True)
            b = bench.backend
            for layout, raw in bench.layouts(source):
                y = b.index_add(bench.put(x), raw, bench.put(index), axis)
                bench.check(
                    y, want, f"index_add({describe(x)}, {describe(source)} {layout}, …, {axis})", rtol, rtol
                )
    ones, places = np.ones(3000, np.float32), np.zeros(3000, np.int64)
    places[::3], want = LARGE - 1, np.zeros(LARGE, np.float32)
    want[0], want[-1] = 2000, 1000
    bench.call(name, np.zeros(LARGE, np.float32), ones, bench.fitted(places), 0, want=want, exact=True)


def _added(x: np.ndarray, source: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    """One slice after the other, in wide floats."""
    y = x.astype({"e": "f", "f": "d", "F": "D"}.get(x.dtype.char, x.dtype))
    for i, place in enumerate(index):
        y[(slice(None),) * axis + (place,)] += source[(slice(None),) * axis + (i,)]
    return y.astype(x.dtype)
