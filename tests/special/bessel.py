"""Bessel functions and those near to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp

from .rows import Span, log, row, whole

inf = float("inf")


def i_scaled(v: Any, x: Any) -> Any:
    """I(v, x) exp(-|x|)."""
    return mp.besseli(v, x) * mp.exp(-abs(x))


def k_scaled(v: Any, x: Any) -> Any:
    """K(v, x) exp(x), by a function that takes mpmath less time."""
    v = abs(v)
    return mp.sqrt(mp.pi) * (2 * x) ** v * mp.hyperu(v + mp.mpf(0.5), 2 * v + 1, 2 * x)


def of_order(f: Callable[..., Any], v: int) -> Callable[..., Any]:
    """`f` of one argument."""
    return lambda x: f(v, x)


def spherical(n: Any, x: Any, sign: int) -> Any:
    """j (sign -1) or i (sign 1): by a series that is right at 0."""
    n = int(n)
    factor = mp.sqrt(mp.pi) / (2 ** (n + 1) * mp.gamma(n + 1.5))
    return x**n * factor * mp.hyp0f1(n + mp.mpf(1.5), sign * x * x / 4)


def wright_bessel(a: Any, b: Any, x: Any) -> Any:
    """The sum of x^k / (k! Γ(ak + b))."""
    return sum(x**k * mp.rgamma(a * k + b) / mp.factorial(k) for k in range(80))


X, ORDER = Span(-30, 30), Span(-3, 8)

ROWS = [
    row("j0", X, of_order(mp.besselj, 0), "x", at=[0.0, 1e-9, 1e3], atol=1e-13),
    row("j1", X, of_order(mp.besselj, 1), "x", at=[0.0, 1e-9, 1e3], atol=1e-13),
    row(
        "jv",
        (ORDER, log(0.01, 50)),
        mp.besselj,
        "x ≥ 0, or v an integer",
        at=[(0.0, 0.0), (1.0, 0.0), (2.0, -3.0), (3.0, 1e-3), (2.5, 1e3)],
        limits=[((0.5, 0.0), "x", inf), ((2.5, 0.0), "x", 0.0)],
        atol=1e-13,
    ),
    row("y0", log(0.01, 50), of_order(mp.bessely, 0), "x > 0", at=[1e-6, 1e3], atol=1e-13),
    row("y1", log(0.01, 50), of_order(mp.bessely, 1), "x > 0", at=[1e-6, 1e3], atol=1e-13),
    row("yv", (ORDER, log(0.1, 50)), mp.bessely, "x > 0", at=[(2.5, 1e3)], rtol=1e-10, atol=1e-13),
    row(
        "hankel1",
        (ORDER, log(0.5, 50)),
        mp.hankel1,
        "z > 0; complex z",
        complex_orders=2,
        at=[(2.5, 1e3)],
        rtol=1e-10,
        atol=1e-13,
    ),
    row(
        "hankel2",
        (ORDER, log(0.5, 50)),
        mp.hankel2,
        "z > 0; complex z",
        complex_orders=2,
        at=[(2.5, 1e3)],
        rtol=1e-10,
        atol=1e-13,
    ),
    row("i0", X, of_order(mp.besseli, 0), "x", at=[0.0, 1e-9, 700.0]),
    row("i1", X, of_order(mp.besseli, 1), "x", at=[0.0, 1e-9, 700.0]),
    row(
        "iv",
        (Span(0, 8), log(0.01, 50)),
        mp.besseli,
        "x ≥ 0, or v an integer",
        at=[(0.0, 0.0), (1.0, 0.0), (2.0, -3.0), (2.5, 500.0)],
    ),
    row(
        "i0e",
        X,
        of_order(i_scaled, 0),
        "x; at the kink at 0, the derivative is 0",
        at=[39.0, 41.0, 1e3, -1e3, 1e8, -1e8],
        limits=[(0.0, "x", 0.0)],
    ),
    row(
        "i1e", X, of_order(i_scaled, 1), "x", at=[1e-9, 39.0, 41.5, 1e3, -1e3, 1e8], limits=[(0.0, "x", 0.5)]
    ),
    row(
        "ive",
        (Span(0, 8), log(0.01, 500)),
        i_scaled,
        "x ≥ 0, or v an integer",
        at=[(2.0, -3.0), (3.0, -1e3), (2.0, -1e3), (7.5, 96.0), (7.5, 97.0), (30.5, 941.0), (2.5, 1e8)],
        rtol=1e-10,
    ),
    row("k0", log(0.01, 50), of_order(mp.besselk, 0), "x > 0", at=[1e-6, 700.0]),
    row("k1", log(0.01, 50), of_order(mp.besselk, 1), "x > 0", at=[1e-6, 700.0]),
    row("kv", (ORDER, log(0.01, 50)), mp.besselk, "x > 0", at=[(2.5, 600.0)]),
    row("k0e", log(0.01, 50), of_order(k_scaled, 0), "x > 0", at=[1e-6, 39.0, 41.0, 1e3, 1e8]),
    row("k1e", log(0.01, 50), of_order(k_scaled, 1), "x > 0", at=[1e-6, 39.0, 41.5, 1e3, 1e8]),
    row(
        "kve",
        (ORDER, log(0.01, 500)),
        k_scaled,
        "x > 0",
        at=[(7.5, 96.0), (7.5, 97.0), (30.5, 941.0), (2.5, 1e8)],
        rtol=1e-10,
    ),
    row(
        "spherical_jn",
        (whole(0, 6), log(0.1, 50)),
        lambda n, x: spherical(n, x, -1),
        "n = 0, 1, 2, …; x",
        at=[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0), (2.0, -3.0), (0.0, 1e-9), (2.0, 1e3)],
        atol=1e-13,
    ),
    row(
        "spherical_yn",
        (whole(0, 6), log(0.1, 50)),
        lambda n, x: mp.sqrt(mp.pi / (2 * x)) * mp.bessely(n + mp.mpf(0.5), x),
        "n = 0, 1, 2, …; x ≠ 0",
        at=[(2.0, 1e3)],
        atol=1e-13,
    ),
    row(
        "spherical_in",
        (whole(0, 6), log(0.1, 50)),
        lambda n, x: spherical(n, x, 1),
        "n = 0, 1, 2, …; x",
        at=[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0), (2.0, -3.0), (0.0, 1e-9)],
    ),
    row(
        "spherical_kn",
        (whole(0, 6), log(0.1, 50)),
        lambda n, x: mp.sqrt(mp.pi / (2 * x)) * mp.besselk(n + mp.mpf(0.5), x),
        "n = 0, 1, 2, …; x > 0",
    ),
    row("airy_ai", Span(-20, 10), mp.airyai, "x; complex", complex_orders=2, at=[0.0, 50.0], atol=1e-12),
    row(
        "airy_ai_prime",
        Span(-20, 10),
        lambda x: mp.airyai(x, derivative=1),
        "x; complex",
        complex_orders=2,
        at=[0.0, 50.0],
        atol=1e-11,
    ),
    row("airy_bi", Span(-20, 10), mp.airybi, "x; complex", complex_orders=2, at=[0.0, 50.0], atol=1e-12),
    row(
        "airy_bi_prime",
        Span(-20, 10),
        lambda x: mp.airybi(x, derivative=1),
        "x; complex",
        complex_orders=2,
        at=[0.0, 50.0],
        atol=1e-11,
    ),
    row(
        "struve",
        (Span(-1, 5), log(0.1, 50)),
        mp.struveh,
        "x > 0, or v = 0, 1, 2, …",
        at=[(1.0, 0.0), (1.0, -2.0)],
        first=[(0.0, 0.0)],
        rtol=1e-10,
        atol=1e-12,
    ),
    row(
        "modstruve",
        (Span(-1, 5), log(0.1, 30)),
        mp.struvel,
        "x > 0, or v = 0, 1, 2, …",
        at=[(1.0, 0.0), (1.0, -2.0)],
        first=[(0.0, 0.0)],
        rtol=1e-10,
    ),
    row(
        "wright_bessel",
        (Span(0.1, 2), Span(0.1, 2), log(0.01, 8)),
        wright_bessel,
        "a, b, x ≥ 0",
        at=[(1.0, 1.0, 0.0)],
        rtol=1e-10,
    ),
]
