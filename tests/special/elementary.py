"""Compositions of elementary functions."""

from __future__ import annotations

import math
from typing import Any

import mpmath as mp

from .rows import Span, log, row

inf = float("inf")
UNIT, POSITIVE = Span(0.01, 0.99), log(0.05, 20)


def log_expit(x: Any) -> Any:
    """-log(1 + e^-x)."""
    return -mp.log1p(mp.exp(-x))


def xlogy(a: Any, b: Any) -> Any:
    """a log(b), and 0 for a = 0."""
    return a * mp.log(b) if b else mp.mpf(0)


def huber(delta: Any, r: Any) -> Any:
    """Quadratic up to delta, then linear."""
    return r * r / 2 if abs(r) <= delta else delta * (abs(r) - delta / 2)


def pseudo_huber(delta: Any, r: Any) -> Any:
    """Its smooth relative."""
    return delta * delta * (mp.sqrt(1 + (r / delta) ** 2) - 1)


def boxcox(x: Any, lmbda: Any) -> Any:
    """(x^λ - 1)/λ."""
    return mp.expm1(lmbda * mp.log(x)) / lmbda if lmbda else mp.log(x)


def inv_boxcox(x: Any, lmbda: Any) -> Any:
    """Its inverse."""
    return mp.exp(mp.log1p(lmbda * x) / lmbda) if lmbda else mp.exp(x)


def exprel(x: Any) -> Any:
    """(e^x - 1)/x."""
    return mp.expm1(x) / x if x else mp.mpf(1)


AROUND = [(2.0, 1e-9), (0.3, -1e-9), (2.0, 0.0)]
ROWS = [
    row("expit", Span(-20, 20), lambda x: 1 / (1 + mp.exp(-x)), "x", at=[0.0, 700.0, -700.0]),
    row("log_expit", Span(-20, 20), log_expit, "x", at=[0.0, 700.0, -1e4]),
    row(
        "logit",
        UNIT,
        lambda p: mp.log(p / (1 - p)),
        "0 ≤ p ≤ 1",
        at=[1e-30],
        limits=[(0.0, "p", inf), (1.0, "p", inf)],
    ),
    row(
        "xlogy",
        (Span(-5, 5), POSITIVE),
        xlogy,
        "b > 0, or a = b = 0; complex",
        complex_orders=2,
        at=[(0.0, 2.0)],
        limits=[((0.0, 0.0), "a", 0.0), ((0.0, 0.0), "b", 0.0), ((1.0, 0.0), "b", inf)],
    ),
    row(
        "xlog1py",
        (Span(-5, 5), Span(-0.9, 5)),
        lambda a, b: a * mp.log1p(b),
        "b > -1, or a = 0 and b = -1; complex",
        complex_orders=2,
        at=[(0.0, 2.0), (1.0, 1e-9)],
        limits=[((0.0, -1.0), "a", 0.0), ((0.0, -1.0), "b", 0.0)],
    ),
    row("entr", POSITIVE, lambda x: -x * mp.log(x), "x ≥ 0", limits=[(0.0, "x", inf)]),
    row(
        "rel_entr",
        (POSITIVE, POSITIVE),
        lambda a, b: a * mp.log(a / b),
        "a ≥ 0, b > 0",
        limits=[((0.0, 1.0), "b", 0.0)],
    ),
    row(
        "kl_div",
        (POSITIVE, POSITIVE),
        lambda a, b: a * mp.log(a / b) - a + b,
        "a ≥ 0, b > 0",
        first=[(1.0, 1.0 + 1e-9)],
        limits=[((0.0, 1.0), "b", 1.0), ((1.0, 1 + 2**-30), "a", -math.log1p(2**-30))],
        atol=1e-13,
    ),
    row("huber", (Span(0.5, 2), Span(-4, 4)), huber, "δ ≥ 0, r", at=[(1.0, 0.0)]),
    row(
        "pseudo_huber",
        (Span(0.5, 2), Span(-4, 4)),
        pseudo_huber,
        "δ > 0, r",
        at=[(1.0, 0.0), (1.0, 1e-6), (1.0, 1e3)],
    ),
    row("exp10", Span(-5, 5), lambda x: mp.power(10, x), "x", at=[300.0]),
    row("cbrt", Span(0.1, 50), mp.cbrt, "x", limits=[(0.0, "x", inf), (-8.0, "x", 1 / 12)]),
    row(
        "powm1", (POSITIVE, Span(-3, 3)), lambda a, b: mp.powm1(a, b), "a > 0, b", at=[(1.0, 2.0), (2.0, 0.0)]
    ),
    row("boxcox", (POSITIVE, Span(-3, 3)), boxcox, "x > 0, λ", at=AROUND, atol=1e-13),
    row(
        "boxcox1p",
        (Span(-0.9, 5), Span(-3, 3)),
        lambda x, lmbda: boxcox(1 + x, lmbda),
        "x > -1, λ",
        at=[*AROUND, (1e-9, 1.0)],
        atol=1e-13,
    ),
    row(
        "inv_boxcox",
        (Span(0.1, 5), Span(0.1, 3)),
        inv_boxcox,
        "λx > -1",
        at=[*AROUND, (-0.5, 1.0), (0.5, -1.0)],
        atol=1e-13,
    ),
    row(
        "inv_boxcox1p",
        (Span(0.1, 5), Span(0.1, 3)),
        lambda x, lmbda: inv_boxcox(x, lmbda) - 1,
        "λx > -1",
        at=[*AROUND, (1e-9, 1.0)],
        atol=1e-13,
    ),
    row("exprel", Span(-20, 20), exprel, "x", at=[0.0, 1e-9, 0.99, 1.01, -0.99, -1.01, 700.0, -1e6]),
    row("cosm1", Span(-5, 5), lambda x: mp.cos(x) - 1, "x", at=[0.0, 1e-9]),
    row("sinc", Span(-8, 8), mp.sincpi, "x", at=[0.0, 1e-9, 0.2, 0.45, 0.48, 1.0, 100.5], atol=1e-12),
]
