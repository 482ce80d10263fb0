"""Distribution functions and their inverses."""

from __future__ import annotations

from typing import Any

import mpmath as mp

from .gamma import above, below, lower, upper
from .rows import Span, inverse, log, row, whole

inf = float("inf")
UNIT = Span(0.01, 0.99)


def f_below(dfn: Any, dfd: Any, x: Any) -> Any:
    """Fisher's F."""
    return below(dfn / 2, dfd / 2, dfn * x / (dfd + dfn * x))


def t_below(df: Any, t: Any) -> Any:
    """Student's t."""
    tail = below(df / 2, mp.mpf(0.5), df / (df + t * t)) / 2
    return tail if t < 0 else 1 - tail


def kolmogorov(x: Any) -> Any:
    """The survival function of Kolmogorov's distribution, by a theta function."""
    return 1 - mp.jtheta(4, 0, mp.exp(-2 * x * x))


ROWS = [
    row(
        "bdtr",
        (whole(0, 9), whole(10, 20), UNIT),
        lambda k, n, p: above(k + 1, n - k, p),
        "0 ≤ k ≤ n, integers; 0 ≤ p ≤ 1",
        limits=[((5.0, 5.0, 0.5), "p", 0.0), ((0.0, 3.0, 0.0), "p", -3.0)],
        rtol=1e-10,
    ),
    row(
        "bdtrc",
        (whole(0, 9), whole(10, 20), UNIT),
        lambda k, n, p: below(k + 1, n - k, p),
        "0 ≤ k ≤ n, integers; 0 ≤ p ≤ 1",
        limits=[((5.0, 5.0, 0.5), "p", 0.0)],
        rtol=1e-10,
    ),
    row(
        "nbdtr",
        (whole(0, 9), whole(1, 20), UNIT),
        lambda k, n, p: below(n, k + 1, p),
        "k ≥ 0, n ≥ 1, integers; 0 ≤ p ≤ 1",
        rtol=1e-10,
    ),
    row(
        "nbdtrc",
        (whole(0, 9), whole(1, 20), UNIT),
        lambda k, n, p: above(n, k + 1, p),
        "k ≥ 0, n ≥ 1, integers; 0 ≤ p ≤ 1",
        rtol=1e-10,
    ),
    row(
        "pdtr",
        (whole(0, 20), log(0.1, 30)),
        lambda k, m: upper(k + 1, m),
        "k = 0, 1, 2, …; m ≥ 0",
        limits=[((0.0, 0.0), "m", -1.0)],
        rtol=1e-10,
    ),
    row(
        "pdtrc",
        (whole(0, 20), log(0.1, 30)),
        lambda k, m: lower(k + 1, m),
        "k = 0, 1, 2, …; m ≥ 0",
        rtol=1e-10,
    ),
    row(
        "pdtri",
        (whole(0, 20), UNIT),
        inverse("pdtri", lambda k, m: upper(k + 1, m)),
        "k = 0, 1, 2, …; 0 < p < 1",
        rtol=1e-9,
    ),
    row(
        "chdtr",
        (log(0.5, 50), log(0.1, 50)),
        lambda v, x: lower(v / 2, x / 2),
        "v > 0, x ≥ 0",
        limits=[((2.0, 0.0), "x", 0.5)],
        once=("v",),
        rtol=1e-10,
    ),
    row(
        "chdtrc",
        (log(0.5, 50), log(0.1, 50)),
        lambda v, x: upper(v / 2, x / 2),
        "v > 0, x ≥ 0",
        at=[(3.0, 1e3)],
        once=("v",),
        rtol=1e-10,
    ),
    row(
        "chdtri",
        (log(0.5, 50), UNIT),
        inverse("chdtri", lambda v, x: upper(v / 2, x / 2)),
        "v > 0, 0 ≤ p ≤ 1",
        once=("v",),
        rtol=1e-9,
    ),
    row(
        "gdtr",
        (log(0.2, 5), log(0.2, 20), log(0.1, 20)),
        lambda a, b, x: lower(b, a * x),
        "a, b > 0, x ≥ 0",
        once=("b",),
        rtol=1e-10,
    ),
    row(
        "gdtrc",
        (log(0.2, 5), log(0.2, 20), log(0.1, 20)),
        lambda a, b, x: upper(b, a * x),
        "a, b > 0, x ≥ 0",
        once=("b",),
        rtol=1e-10,
    ),
    row(
        "fdtr",
        (log(0.5, 30), log(0.5, 30), log(0.1, 10)),
        f_below,
        "dfn, dfd > 0, x ≥ 0",
        limits=[((2.0, 3.0, 0.0), "x", 1.0)],
        once=("dfn", "dfd"),
        rtol=1e-10,
    ),
    row(
        "fdtrc",
        (log(0.5, 30), log(0.5, 30), log(0.1, 10)),
        lambda a, b, x: 1 - f_below(a, b, x),
        "dfn, dfd > 0, x ≥ 0",
        once=("dfn", "dfd"),
        rtol=1e-10,
    ),
    row(
        "fdtri",
        (log(2, 30), log(2, 30), UNIT),
        inverse("fdtri", f_below),
        "dfn, dfd > 0, 0 ≤ p ≤ 1",
        once=("dfn", "dfd"),
        rtol=1e-9,
    ),
    row(
        "stdtr",
        (log(0.5, 100), Span(-6, 6)),
        t_below,
        "df > 0, t",
        at=[(3.0, 1e3), (1e8, 1.0)],
        first=[(3.0, 1e-6), (3.0, -1.7), (3.0, -1.8)],
        once=("df",),
        rtol=1e-10,
    ),
    row(
        "stdtrit",
        (log(1, 100), UNIT),
        inverse("stdtrit", t_below),
        "df > 0, 0 ≤ p ≤ 1",
        once=("df",),
        rtol=1e-9,
    ),
    row(
        "kolmogorov",
        Span(0.3, 2),
        kolmogorov,
        "x ≥ 0",
        at=[0.99, 1.01, 3.0],
        limits=[(0.0, "x", 0.0)],
        rtol=1e-10,
    ),
    row("kolmogi", UNIT, inverse("kolmogi", kolmogorov), "0 < p < 1", rtol=1e-9),
]
