"""Exponential, trigonometric and elliptic integrals, zeta, Lambert's W and Wright's ω."""

from __future__ import annotations

from typing import Any

import mpmath as mp

from .rows import Span, log, row, whole

inf = float("inf")


def carlson(x: Any, y: Any, z: Any, p: Any, d: float) -> Any:
    """Of this form, Carlson's R_J."""
    assert d == 1
    return 2 * mp.elliprj(x, y, z, p) / 3


def spence(x: Any) -> Any:
    """The dilogarithm of 1 - x."""
    return mp.re(mp.polylog(2, 1 - x))


def expn(n: Any, x: Any) -> Any:
    """The exponential integral of order n."""
    return mp.expint(n, x)


def lambertw(x: Any, k: int) -> Any:
    """A real branch of W."""
    return mp.re(mp.lambertw(x, k))


POSITIVE = log(0.05, 20)
ROWS = [
    row("exp1", log(0.01, 50), mp.e1, "x > 0; complex", at=[1e-8, 700.0], complex_orders=2),
    row("expi", Span(-20, 30), mp.ei, "x ≠ 0; complex", at=[1e-8, 700.0], complex_orders=2, atol=1e-13),
    row(
        "expn",
        (whole(0, 6), log(0.1, 50)),
        expn,
        "n = 0, 1, 2, …; x > 0",
        at=[(1.0, 1e-8), (2.0, 1e-3)],
        rtol=1e-10,
    ),
    row("si", Span(-30, 30), mp.si, "x", at=[0.0, 1e-9, 1e4], atol=1e-12),
    row("ci", log(0.01, 50), mp.ci, "x > 0", at=[1e-8, 1e4], atol=1e-12),
    row("shi", Span(-30, 30), mp.shi, "x", at=[0.0, 1e-9]),
    row("chi", log(0.01, 50), mp.chi, "x > 0", at=[1e-8], atol=1e-13),
    row(
        "spence",
        log(0.01, 20),
        spence,
        "x ≥ 0",
        at=[1.0, 1.0 + 1e-9, 0.5, 1.5, 0.51, 1e8],
        limits=[(0.0, "x", -inf)],
        atol=1e-13,
    ),
    row(
        "zeta",
        (Span(1.5, 10), log(0.2, 100)),
        mp.zeta,
        "x > 1, q > 0",
        at=[(2.0, 1.0), (3.5, 1e3), (1.001, 2.0)],
    ),
    # --- elliptic
    row(
        "ellipk",
        Span(-5, 0.99),
        mp.ellipk,
        "m ≤ 1",
        at=[0.0, 1e-9, -1e-3, -1e6, 1 - 1e-6],
        limits=[(1.0, "m", inf)],
    ),
    row(
        "ellipkm1",
        Span(0.05, 3),
        lambda p: mp.ellipk(1 - p),
        "p ≥ 0",
        at=[1.0, 1.0 - 1e-9, 1e-12, 1e-30],
        limits=[(0.0, "p", -inf)],
    ),
    row(
        "ellipe",
        Span(-5, 0.99),
        mp.ellipe,
        "m ≤ 1",
        at=[0.0, 1e-9, -1e-3, -1e6, 1 - 1e-6],
        limits=[(1.0, "m", -inf)],
    ),
    row(
        "ellipkinc",
        (Span(-1.5, 4.5), Span(-3, 0.95)),
        mp.ellipf,
        "φ, m sin²φ ≤ 1",
        at=[(0.0, 0.5), (0.7, 0.0), (0.7, 1.0), (-1.2, 0.3), (10.0, 0.5), (1e-3, 0.5), (0.7, -1e4)],
        rtol=1e-10,
        atol=1e-13,
    ),
    row(
        "ellipeinc",
        (Span(-1.5, 4.5), Span(-3, 0.95)),
        mp.ellipe,
        "φ, m sin²φ ≤ 1",
        at=[(0.0, 0.5), (0.7, 0.0), (0.7, 1.0), (-1.2, 0.3), (10.0, 0.5), (1e-3, 0.5), (0.7, -1e4)],
        rtol=1e-10,
        atol=1e-13,
    ),
    row(
        "elliprc",
        (POSITIVE, POSITIVE),
        mp.elliprc,
        "u ≥ 0, v > 0",
        at=[(1.0, 1.0), (2.0, 2.0 + 1e-9)],
        rtol=1e-10,
    ),
    row(
        "elliprf",
        (POSITIVE,) * 3,
        mp.elliprf,
        "u, v, w ≥ 0, at most one of them 0",
        at=[(1.0, 1.0, 1.0), (1.0, 1.0 + 1e-9, 3.0)],
        rtol=1e-10,
    ),
    row(
        "elliprd",
        (POSITIVE,) * 3,
        mp.elliprd,
        "u, v ≥ 0, at most one of them 0; w > 0",
        at=[(1.0, 1.0, 1.0), (1.0, 3.0, 1.0), (1e-6, 2.0, 3.0)],
        rtol=1e-10,
    ),
    row(
        "elliprg",
        (POSITIVE,) * 3,
        mp.elliprg,
        "u, v, w > 0",
        at=[(1.0, 1.0, 1.0), (1.0, 1.0, 3.0)],
        rtol=1e-10,
    ),
    row(
        "elliprj",
        (POSITIVE,) * 4,
        mp.elliprj,
        "u, v, w ≥ 0, at most one of them 0; p > 0",
        at=[(1.0, 1.0, 1.0, 1.0), (1.0, 2.0, 1.0, 2.0)],
        rtol=1e-10,
    ),
    row("carlson", (POSITIVE,) * 4, carlson, "u, v, w, p > 0", params={"d": 1.0}, rtol=1e-10),
    row("agm", (POSITIVE, POSITIVE), mp.agm, "a, b > 0", at=[(2.0, 2.0), (1.0, 1e-6)], rtol=1e-10),
    # --- inverse to exponentials
    row(
        "lambertw",
        log(0.01, 1e6),
        lambertw,
        "x ≥ -1/e (k = 0), -1/e ≤ x < 0 (k = -1); NaN elsewhere; complex x, any k",
        params={"k": 0},
        complex_orders=2,
        at=[0.0, 1e-9, -0.2, -0.36, 1e100],
        first=[-0.3678],
        rtol=1e-12,
    ),
    row(
        "wrightomega",
        Span(-20, 100),
        lambda x: mp.re(mp.lambertw(mp.exp(x))),
        "x; complex",
        at=[0.0, 1.0, 1e3],
        complex_orders=2,
    ),
]
