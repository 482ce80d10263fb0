"""Layer 6, where the backend makes one kernel of a function: that it is the function."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...contract import defines
from . import agreement
from .agreement import Disagreement
from .bench import Bench
from .checks import Skip, collector

CHECKS, check = collector("capabilities", "capability")


def step(p: Any, g: Any, m: Any, rate: float, ahead: bool) -> Any:
    """What an optimizer might do: two results, of which one is a comparison's choice."""
    m = m * 0.5 + g
    slope = ops.where(m > 0, m, ops.tanh(m)) if ahead else m
    return p - rate * slope, m


def step_of_numpy(p: Any, g: Any, m: Any, rate: float, ahead: bool) -> list[np.ndarray]:
    """The same in double precision, rounded."""
    wide = [x.astype("d") for x in (p, g, m)]
    m2 = wide[2] * 0.5 + wide[1]
    slope = np.where(m2 > 0, m2, np.tanh(m2)) if ahead else m2
    return [(wide[0] - rate * slope).astype(p.dtype), m2.astype(p.dtype)]


def bump(x: Any, y: Any) -> Any:
    """A function of arrays that broadcast."""
    return ops.exp(-(x * x)) * y + 1


def by_the_largest(x: Any, y: Any) -> Any:
    """A function that no kernel of elements computes."""
    return x / ops.max_(x, tuple(range(len(x.shape))), True) + y


def _made(bench: Bench, function: Any, inputs: int) -> Any:
    if not defines(bench.backend, "fused"):
        raise Skip("the backend makes no kernels of functions: it has no member fused")
    kernel = bench.backend.fused(f"kit_{function.__name__}", function, inputs)
    if kernel is None:
        raise Disagreement(f"fused makes nothing of {function.__name__}: {function.__doc__}")
    return kernel


@check("fused")
def fused(bench: Bench) -> None:
    """A kernel of a function computes it: on arrays that broadcast, of any strides, and op by op where it must."""
    kernel, asking = _made(bench, bump, 2), _made(bench, by_the_largest, 2)
    rng = bench.rng("fused")
    for dt in bench.numpy_dtypes("f"):
        tolerance = 4 * agreement.RTOL[dt.char]
        for one, two in (((2, 3), (3,)), ((), (2,)), ((0, 2), (2,)), ((1000,), (1000,)), ((5, 7), (5, 1))):
            x, y = (np.asarray(rng.standard_normal(shape).astype(dt)) for shape in (one, two))
            want = (np.exp(-(x.astype("d") ** 2)) * y.astype("d") + 1).astype(dt)
            for layout, raw in bench.layouts(x):
                what = f"a fused kernel of {agreement.describe(x)}, {layout}, and {agreement.describe(y)}"
                raws = [raw, bench.put(y)]
                bench.check(kernel(*raws), want, what, tolerance, tolerance)
                bench.unchanged(raws, [x, y], what)
        x, y = (rng.standard_normal((3, 4)).astype(dt) for _ in range(2))
        want = (x.astype("d") / x.max() + y.astype("d")).astype(dt)
        found = asking(bench.put(x), bench.put(y))
        bench.check(found, want, "a kernel of a function that cannot be fused", tolerance, tolerance)
        bench.check(
            kernel(bench.put(x), 2.0), (np.exp(-(x.astype("d") ** 2)) * 2 + 1).astype(dt),
            "a fused kernel of an array and a number", tolerance, tolerance,
        )  # fmt: skip


@check("fused-results")
def fused_results(bench: Bench) -> None:
    """A kernel of several results returns them, or writes them where it is told, also over its operands."""
    kernel, b = _made(bench, step, 4), bench.backend
    rng = bench.rng("fused-results")
    for dt in bench.numpy_dtypes("f"):
        tolerance = 4 * agreement.RTOL[dt.char]
        for shape in ((2, 3), (), (0, 2), (1000,)):
            p, g, m = (np.asarray(rng.standard_normal(shape).astype(dt)) for _ in range(3))
            for rate, ahead in ((0.5, True), (0.125, True), (0.125, False)):
                want, what = step_of_numpy(p, g, m, rate, ahead), f"a fused kernel of {agreement.describe(p)}"
                given = [bench.put(x) for x in (p, g, m)]
                _compare(bench, kernel(*given, rate, ahead), want, f"{what}, rate={rate}", tolerance)
                bench.unchanged(given, [p, g, m], what)
            for layout, place in bench.layouts(p):
                given = [place, bench.put(g), bench.put(m)]
                what = f"a fused kernel over its operands of {agreement.describe(p)}, the first one {layout}"
                found = kernel(*given, 0.25, True, out=(given[0], given[2]))
                want = step_of_numpy(p, g, m, 0.25, True)
                _compare(bench, found, want, what, tolerance)
                if b.inplace:
                    _compare(bench, (given[0], given[2]), want, f"{what}, read there", tolerance)
                bench.unchanged([given[1]], [g], what)


def _compare(bench: Bench, found: Any, want: list[np.ndarray], what: str, tolerance: float) -> None:
    if not isinstance(found, tuple) or len(found) != len(want):
        raise Disagreement(f"{what}: found {type(found).__name__}, expected a tuple of {len(want)}")
    for i, (raw, w) in enumerate(zip(found, want, strict=True)):
        bench.check(raw, w, f"{what}, result {i}", tolerance, 4 * tolerance)
