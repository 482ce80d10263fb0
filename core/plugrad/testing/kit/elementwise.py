"""Layer 3: the required kernels that work element by element, and conversions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import dtypes
from .agreement import describe
from .bench import Bench
from .data import ANY, INF, LARGE, NAN, POSITIVE, Interval, computed, random

SHAPES: list[tuple[int, ...]] = [(2, 3), (), (1,), (0, 3), (2, 3, 4)]
PAIRS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 3)), ((2,), ()), ((), ()), ((0, 2), (2,)), ((2, 0), (1, 1)),
]  # fmt: skip
TIGHT = {"d": 1e-13, "D": 1e-13, "f": 2e-6, "F": 2e-6, "e": 2e-3}
EDGES = (NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0)

TRIPLES: list[Any] = [
    ((2, 3), (2, 3), (2, 3)), ((2, 1), (3,), (2, 3)), ((), (), ()), ((), (2,), (2,)), ((3,), (), ()), ((0, 2), (2,), (1,)),
]  # fmt: skip

# What each unary and binary kernel is: the same in NumPy, the kinds of dtypes (b bool, i and u integers, f floats, c complex),
# where the random operands lie, and whether results are exact.
UNARY: dict[str, tuple[Callable[..., Any], str, Interval, bool]] = {
    "negative": (np.negative, "iufc", ANY, True),
    "exp": (np.exp, "fc", ANY, False),
    "log": (np.log, "fc", POSITIVE, False),
    "sqrt": (np.sqrt, "fc", POSITIVE, False),
    "sin": (np.sin, "fc", ANY, False),
    "cos": (np.cos, "fc", ANY, False),
    "tanh": (np.tanh, "fc", ANY, False),
    "abs": (np.abs, "iufc", ANY, True),
    "sign": (np.sign, "if", ANY, True),
    "floor": (np.floor, "iuf", ANY, True),
    "logical_not": (np.logical_not, "biufc", ANY, True),
}
BINARY: dict[str, tuple[Callable[..., Any], str, Interval, bool]] = {
    "add": (np.add, "biufc", ANY, True),
    "subtract": (np.subtract, "ifc", ANY, True),
    "multiply": (np.multiply, "biufc", ANY, True),
    "divide": (np.divide, "fc", POSITIVE, False),
    "pow": (np.power, "ifc", POSITIVE, False),
    "maximum": (np.maximum, "biuf", ANY, True),
    "equal": (np.equal, "biufc", ANY, True),
    "less": (np.less, "biuf", ANY, True),
}


def unary(bench: Bench, name: str) -> None:
    """An elementwise kernel of one operand."""
    f, kinds, interval, exact = UNARY[name]
    f = {"floor": lambda x: x if x.dtype.kind in "iu" else np.floor(x)}.get(name, f)
    for dt in bench.numpy_dtypes(kinds):
        rtol = TIGHT.get(dt.char, 0.0)
        exactly = exact and not (name == "abs" and dt.kind == "c")
        for i, shape in enumerate(bench.some(SHAPES, dt)):
            x = random(bench, shape, dt, *interval)
            bench.call(name, x, want=computed(f, x), exact=exactly, rtol=rtol, layouts=not i)
        if dt.kind == "f":
            edges = np.array(
                [*EDGES, 2.5, -2.5, *(() if name in ("sin", "cos") else (np.finfo(dt).max,))], dt
            )
            signed = exactly and name != "sign"  # of -0.0 it is either zero
            bench.call(name, edges, want=computed(f, edges), exact=signed, rtol=rtol)
            _signed_zeros(bench, name, dt)
        if dt in (np.float32, np.int32):
            x = random(bench, (LARGE,), dt, *interval)
            bench.call(name, x, want=computed(f, x), exact=exactly, rtol=rtol)


def _signed_zeros(bench: Bench, name: str, dt: np.dtype[Any]) -> None:
    """Of odd functions -0.0 is -0.0."""
    if name in ("sqrt", "sin", "tanh", "floor", "negative"):
        zeros = np.array([0.0, -0.0], dt)
        want = -zeros if name == "negative" else zeros
        bench.call(name, zeros, want=want, exact=True)


def binary(bench: Bench, name: str) -> None:
    """An elementwise kernel of two operands, which broadcast; either may be a Python number."""
    f, kinds, interval, exact = BINARY[name]
    for dt in bench.numpy_dtypes(kinds):
        rtol = TIGHT.get(dt.char, 0.0)
        exactly = exact and dt.kind != "c"
        for i, (one, two) in enumerate(bench.some(PAIRS, dt, 4)):
            a, b = random(bench, one, dt, *interval, 0), random(bench, two, dt, *interval, 1)
            bench.call(name, a, b, want=computed(f, a, b), exact=exactly, rtol=rtol, layouts=not i)
        x = random(bench, (2, 3), dt, *interval)
        for number in _beside(dt, name):
            for args in ((x, number), (number, x)):
                want = f(*args) if exact else computed(f, *args)
                bench.call(name, *args, want=want.astype(f(x, x).dtype), exact=exactly, rtol=rtol)
            zero = np.array(x[0, 0])
            for args in ((zero, number), (number, zero)):
                want = np.asarray(f(*args)).astype(f(x, x).dtype)
                bench.call(name, *args, want=want, exact=exactly, rtol=rtol)
        if dt.kind == "f":
            a, b = (np.array(e, dt) for e in zip(*itertools.product((*EDGES, 0.5, -3.0), repeat=2)))
            signed = exactly and name != "maximum"  # the maximum of 0.0 and -0.0 is either
            bench.call(name, a, b, want=computed(f, a, b), exact=signed, rtol=rtol or 1e-6)
        if dt in (np.float32, np.int32):
            a, b = (random(bench, (LARGE,), dt, *interval, i) for i in (0, 1))
            bench.call(name, a, b, want=computed(f, a, b), exact=exactly, rtol=rtol)
    if name == "pow":
        _powers(bench)


def _beside(dt: np.dtype[Any], name: str) -> tuple[Any, ...]:
    """Python numbers that may stand beside arrays of a dtype."""
    if dt.kind == "b":
        return ()
    whole: tuple[Any, ...] = (2,) if dt.kind in "iu" else (2, 0.5)
    return whole if name in ("pow", "divide") else (0, *whole)


def _powers(bench: Bench) -> None:
    """Exponents that kernels treat on their own, negative bases, and integers to negative powers."""
    for dt in bench.numpy_dtypes("f"):
        x = np.array([0.5, 2.0, 3.0], dt)
        for n in (-1, 0, 0.5, 1, 2, 3, 4, -2.0):
            bench.call("pow", x, n, want=computed(np.power, x, n).astype(dt), rtol=TIGHT[dt.char])
        x = np.array([-2.0, -1.0, 0.0, NAN, INF], dt)
        for n, want in (
            (2, [4, 1, 0, NAN, INF]),
            (3, [-8, -1, 0, NAN, INF]),
            (0, [1] * 5),
            (0.5, [NAN, NAN, 0, NAN, INF]),
        ):
            bench.call("pow", x, n, want=np.array(want, dt), rtol=TIGHT[dt.char])
    for dt in bench.numpy_dtypes("i"):
        a, b = np.array([[2, 1, 0], [-1, -1, 2]], dt), np.array([[-1, -3, 1], [-3, 0, 3]], dt)
        bench.call("pow", a, b, want=np.array([[0, 1, 0], [-1, 1, 8]], dt), exact=True)


def where(bench: Bench, name: str) -> None:
    """All three operands broadcast; numbers take the dtype of the array; nothing of the other operand shines through."""
    for dt in bench.numpy_dtypes("biufc"):
        for c, one, two in bench.some(TRIPLES, dt):
            m = random(bench, c, np.dtype(bool), 0, 1)
            a, b = random(bench, one, dt, *ANY, 0), random(bench, two, dt, *ANY, 1)
            bench.call(name, m, a, b, want=np.where(m, a, b), exact=True, layouts=c == (2, 3))
        m, a = np.array([True, False, True]), random(bench, (3,), dt, *ANY)
        for number in () if dt.kind == "b" else (0, 2, 0.5) if dt.kind in "fc" else (0, 2):
            bench.call(name, m, a, number, want=np.where(m, a, number).astype(dt), exact=True)
            bench.call(name, m, number, a, want=np.where(m, number, a).astype(dt), exact=True)
        if dt.kind == "f":
            bad, good = np.array([NAN, INF, -0.0], dt), np.array([1, 2, -0.0], dt)
            bench.call(name, ~np.array([1, 1, 0], bool), bad, 0, want=np.array([0, 0, -0.0], dt), exact=True)
            bench.call(name, np.zeros(3, bool), bad, good, want=good, exact=True)
            bench.call(name, np.ones(3, bool), bad, good, want=bad, exact=True)


def astype(bench: Bench, name: str) -> None:
    """Every pair of dtypes: floats are truncated towards 0, what is not 0 is True, a copy even of the same dtype."""
    b, all_ = bench.backend, bench.numpy_dtypes("biufc")
    for source, target in itertools.product(all_, all_):
        if source.kind == "c" and target.kind != "c":
            continue  # core takes the real part before
        values = [0.0, 1.0, 2.7, 100.5, 0.25] + (
            [-0.0, -1.5, -2.7] if target.kind in "ifc" and source.kind in "ifc" else []
        )
        if source.kind in "fc" and target.kind in "bfc":
            values += [INF, NAN]
        x = np.array(values).astype(source)
        for name_, raw in bench.some(list(bench.layouts(x)), source, 1):
            what = f"astype({describe(x)} {name_}, {target.name})"
            y = bench.check(b.astype(raw, dtypes.of(target)), x.astype(target), what)
            bench.unchanged([raw], [x], what)
            if b.inplace:
                b.setitem(y, ..., 0)
                bench.unchanged([raw], [x], f"{what} must be a copy: a write to it")
    for dt in bench.numpy_dtypes("iu"):
        info = np.iinfo(dt)
        x = np.array([info.max, info.max - 1, info.min], dt)
        bench.check(b.astype(bench.put(x), dtypes.of(dt)), x, f"astype of {dt.name}'s limits to {dt.name}")
        if dt.kind == "i" and dt.itemsize > 1:
            x = np.array([2 ** (8 * dt.itemsize - 2) + 1, 255], dt)
            bench.check(b.astype(bench.put(x), dtypes.of(dt)), x, f"astype({dt.name}) of whole numbers")
