"""Layer 2: data go to the device and come back, lie in memory as the contract says, and are written only by right."""

from __future__ import annotations

import itertools
import operator
from typing import Any

import numpy as np

from ... import dtypes
from . import agreement
from .agreement import Disagreement
from .bench import Bench
from .checks import Check, Skip, collector
from .data import KEYS, numbers, sources

CHECKS, check = collector("layout", "layout")


def round_trip(bench: Bench, dt: dtypes.dtype) -> None:
    """What goes to the device comes back with the same bits."""
    if not bench.has(dt):
        raise Skip(f"the device has no {dt.name}")
    b = bench.backend
    if dt.numpy is None:  # NumPy lacks it: by way of float32, whose upper half it is
        x = np.array([1.0, -2.5, 0.0, np.inf, np.nan, 3.0], np.float32)
        raw = b.astype(b.from_numpy(x), dt)
        if dtypes.of(raw.dtype) is not dt:
            raise Disagreement(f"astype to {dt.name} gives an array of dtype {dtypes.of(raw.dtype).name}")
        agreement.values(bench.get(b.astype(raw, dtypes.float32)), x, f"float32 → {dt.name} → float32")
        return
    for name, source in sources(dt.numpy).items():
        what = f"to_numpy(from_numpy({agreement.describe(source)} {name}))"
        before = source.copy()
        raw = b.from_numpy(source)
        if type(raw) is not b.array_type:
            raise Disagreement(
                f"from_numpy of {source.shape} {name}: the result is a {type(raw).__qualname__}"
            )
        if tuple(raw.shape) != source.shape or raw.ndim != source.ndim or dtypes.of(raw.dtype) is not dt:
            raise Disagreement(
                f"from_numpy({agreement.describe(source)} {name}) gives {agreement.describe(raw)}"
            )
        found = b.to_numpy(raw)
        if type(found) is not np.ndarray:
            raise Disagreement(f"{what} is a {type(found).__qualname__}, expected a numpy.ndarray")
        agreement.bits(found, before, what)
        agreement.bits(source, before, f"from_numpy changed its argument, {name}")


CHECKS += [
    Check("layout", f"layout:round-trip-{dt.name}", lambda bench, dt=dt: round_trip(bench, dt))
    for dt in dtypes.ALL
]


@check()
def no_sharing_with_numpy(bench: Bench) -> None:
    """An array on the device does not change with the NumPy array that it was made of, unless arrays are NumPy's."""
    b = bench.backend
    if b.array_type is np.ndarray:
        raise Skip("the arrays are NumPy's: they share memory on purpose")
    for layout, source in {
        "dense": np.ones((2, 3), np.float32),
        "strided": np.ones((4, 6), np.float32)[::2, ::2],
    }.items():
        raw = b.from_numpy(source)
        source[...] = 7
        agreement.values(
            bench.get(raw), np.ones((2, 3)), f"after a write to the NumPy array ({layout}) of from_numpy, raw"
        )


@check()
def empty(bench: Bench) -> None:
    """`empty`, `zeros` and `full` make dense arrays that are all different ones."""
    b = bench.backend
    for shape, dt in itertools.product([(), (3,), (2, 3), (0, 2)], (dtypes.float32, dtypes.bool_)):
        raw = b.empty(shape, dt)
        if tuple(raw.shape) != shape or dtypes.of(raw.dtype) is not dt:
            raise Disagreement(f"empty({shape}, {dt.name}) gives {agreement.describe(raw)}")
        bench.check(b.zeros(shape, dt), np.zeros(shape, dt.numpy), f"zeros({shape}, {dt.name})")
        bench.check(b.full(shape, 1, dt), np.ones(shape, dt.numpy), f"full({shape}, 1, {dt.name})")
    bench.check(
        b.full((2,), float("nan"), dtypes.float32), np.full(2, np.nan, np.float32), "full((2,), nan, float32)"
    )
    for make in ("empty", "zeros", "full"):
        args = ((64,), *((0,) if make == "full" else ()), dtypes.float32)
        one = b.setitem(getattr(b, make)(*args), ..., 1.0)
        b.setitem(getattr(b, make)(*args), ..., 2.0)
        agreement.values(
            bench.get(one), np.ones(64), f"after a write to another array of {make}(), the first one"
        )


@check()
def strides(bench: Bench) -> None:
    """`strides` counts elements, not bytes; dense arrays have those of row-major order."""
    b = bench.backend
    for shape in ((2, 3, 4), (5,), ()):
        for dt in bench.numpy_dtypes("fi")[:3]:
            for name, raw in {
                "empty": b.empty(shape, dtypes.of(dt)),
                "from_numpy": bench.put(np.ones(shape, dt)),
            }.items():
                want = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
                if tuple(b.strides(raw)) != want:
                    raise Disagreement(
                        f"strides of {name}, {dt}{list(shape)}: found {tuple(b.strides(raw))}, expected {want}"
                    )
    x = bench.put(np.ones((2, 3, 4), np.float32))
    found, dense = tuple(b.strides(b.permute_dims(x, (2, 0, 1)))), (6, 3, 1)
    if found not in ((1, 12, 4), dense):
        raise Disagreement(
            f"strides of permute_dims((2, 3, 4), (2, 0, 1)): found {found}, expected (1, 12, 4)"
        )


@check()
def getitem(bench: Bench) -> None:
    """`getitem` reads every form of key, in arrays of every layout."""
    b = bench.backend
    for shape, key in KEYS:
        x = numbers(shape)
        for name, raw in bench.layouts(x):
            bench.check(b.getitem(raw, key), x[key], f"getitem({agreement.describe(x)} {name}, {key})")
    for bad in ((3, ...), (-4, ...)):
        try:
            b.getitem(bench.put(numbers((3, 2))), bad)
        except IndexError:
            continue
        raise Disagreement(
            f"getitem(float32[3, 2], {bad}) gives an array: an integer out of range must raise IndexError"
        )


@check()
def shapes(bench: Bench) -> None:
    """`reshape`, `permute_dims` and `broadcast_to` one after the other, on every layout."""
    b = bench.backend
    x = numbers((2, 3, 4))
    for name, raw in bench.layouts(x):
        y = b.permute_dims(raw, (2, 0, 1))
        z = b.reshape(y, (4, 6))
        w = b.broadcast_to(b.reshape(z, (4, 1, 6)), (2, 4, 3, 6))
        want = x.transpose(2, 0, 1).reshape(4, 6)
        bench.check(z, want, f"reshape(permute_dims(float32[2, 3, 4] {name}, (2, 0, 1)), (4, 6))")
        want = np.broadcast_to(want.reshape(4, 1, 6), (2, 4, 3, 6))
        bench.check(w, want, f"broadcast_to of that ({name})")
        bench.check(b.add(w, w), want + want, f"add of that to itself ({name})")
        bench.check(b.sum(w, (0, 2), False), want.sum((0, 2)), f"sum of that over axes 0 and 2 ({name})")


@check()
def python_operators(bench: Bench) -> None:
    """Python's operators on raw arrays, with arrays that broadcast and with numbers on either side."""
    arithmetic = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.floordiv]
    comparisons = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]
    bool_ops = [operator.and_, operator.or_]
    x, y = np.array([[1.5, 2.0, 4.0], [0.5, 3.0, 2.0]], np.float32), np.array([1.5, 0.5, 4.0], np.float32)
    i, m = bench.fitted(np.array([3, 1, 2])), np.array([True, False, True])
    cases: list[tuple[Any, tuple[Any, ...]]] = [(f, (x, y)) for f in [*arithmetic, *comparisons]]
    cases += [(f, pair) for f in [*arithmetic, *comparisons] for pair in ((x, 2), (2, x), (x, 0.5), (1.5, x))]
    cases += [
        (f, pair)
        for f in [operator.add, operator.sub, operator.mul, *comparisons]
        for pair in ((i, 2), (2, i))
    ]
    cases += [(f, (m, ~m)) for f in bool_ops] + [(operator.invert, (m,)), (operator.neg, (x,))]
    cases += [(f, (np.array(2.0, np.float32), 0.5)) for f in arithmetic]
    for f, args in cases:
        what = f"operator.{f.__name__}({', '.join(map(agreement.describe, args))})"
        raws = [bench.on_device(a) for a in args]
        bench.check(f(*raws), f(*args), what, 2e-6)
        bench.unchanged(raws, args, what)


@check()
def results_are_arrays(bench: Bench) -> None:
    """Results of no dimension are arrays with which everything goes on."""
    b = bench.backend
    for dt in bench.numpy_dtypes("f"):
        x, zero = bench.put(np.array([1, 2, 3], dt)), bench.put(np.array(2, dt))
        for what, y, want in (
            ("sum(x, (0,), False)", b.sum(x, (0,), False), 6),
            ("max(x, (0,), False)", b.max(x, (0,), False), 3),
            ("getitem(x, (1, ...))", b.getitem(x, (1, ...)), 2),
            ("add of 0-d arrays", b.add(zero, zero), 4),
            ("multiply(0-d, 2.0)", b.multiply(zero, 2.0), 4),
            ("negative(0-d)", b.negative(zero), -2),
            ("0-d + 1", zero + 1, 3),
        ):
            raw = bench.check(y, np.array(want, dt), f"{what} of {dt}")
            bench.check(
                b.multiply(raw, x),
                np.array([1, 2, 3], dt) * np.array(want, dt),
                f"multiply({what}, x) of {dt}",
            )
        bench.check(b.argmax(x, None, False), np.array(2), "argmax(x, None, False)")
        bench.check(b.less(zero, zero), np.array(False), "less of 0-d arrays")


@check()
def synchronize(bench: Bench) -> None:
    """`synchronize` can be called at any time, and again."""
    b = bench.backend
    y = b.add(bench.put(np.ones(3, np.float32)), 1.0)
    for _ in range(2):
        b.synchronize()
    bench.check(y, np.full(3, 2, np.float32), "1 + 1 after synchronize()")
