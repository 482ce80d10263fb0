"""The error function's family, and the normal distribution's."""

from __future__ import annotations

from typing import Any

import mpmath as mp

from .rows import Span, log, row

inf = float("inf")
UNIT = Span(0.01, 0.99)


def erfcinv(p: Any) -> Any:
    """The inverse of erfc; of small numbers by an equation of logarithms."""
    if p > 0.01:
        return mp.erfinv(1 - p)
    return mp.findroot(lambda t: mp.log(mp.erfc(t)) - mp.log(p), mp.sqrt(-mp.log(p)))


def log_ndtr(x: Any) -> Any:
    """The logarithm of the normal distribution function."""
    return mp.log(mp.erfc(-x / mp.sqrt(2)) / 2)


def ndtri(p: Any) -> Any:
    """The inverse of the normal distribution function."""
    return -mp.sqrt(2) * erfcinv(2 * p)


def ndtri_exp(x: Any) -> Any:
    """The same of a logarithm; by an equation, since mpmath's inverse fails for small probabilities."""
    start = -mp.sqrt(-2 * x) if x < -5 else ndtri(mp.exp(x))
    return mp.findroot(lambda t: log_ndtr(t) - x, start)


def faddeeva(z: Any) -> Any:
    """exp(-z²) erfc(-iz)."""
    return mp.exp(-z * z) * mp.erfc(-1j * z)


def owens_t(h: Any, a: Any) -> Any:
    """Owen's T by its integral."""
    return mp.quad(lambda t: mp.exp(-h * h * (1 + t * t) / 2) / (1 + t * t), [0, a]) / (2 * mp.pi)


def voigt(x: Any, sigma: Any, gamma: Any) -> Any:
    """Voigt's profile."""
    w = faddeeva((x + 1j * gamma) / (sigma * mp.sqrt(2)))
    return mp.re(w) / (sigma * mp.sqrt(2 * mp.pi))


ROWS = [
    row("erfi", Span(-5, 5), mp.erfi, "x; complex", at=[0.0, 26.0], complex_orders=2),
    row(
        "erfcx",
        Span(-5, 12),
        lambda x: mp.exp(x * x) * mp.erfc(x),
        "x",
        at=[0.0, 9.9, 10.1, 1e3, 1e6, -20.0],
        limits=[(inf, "x", 0.0)],
        rtol=1e-11,
    ),
    row(
        "erfinv",
        Span(-0.99, 0.99),
        mp.erfinv,
        "-1 ≤ x ≤ 1",
        at=[0.0, 1 - 2**-30],
        limits=[(1.0, "x", inf), (-1.0, "x", inf)],
        rtol=1e-12,
    ),
    row(
        "erfcinv",
        Span(0.01, 1.99),
        erfcinv,
        "0 ≤ x ≤ 2",
        at=[1.0, 1e-30],
        limits=[(0.0, "x", -inf), (2.0, "x", -inf)],
    ),
    row(
        "dawsn",
        Span(-12, 12),
        lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x),
        "x",
        at=[0.0, 9.9, 10.1, -10.1, 1e3, 1e6],
        limits=[(inf, "x", 0.0)],
        rtol=1e-10,
    ),
    row("wofz", Span(-12, 12), faddeeva, "z; complex", at=[0.0, 1e3], complex_orders=2, rtol=1e-10),
    row("fresnel_s", Span(-8, 8), mp.fresnels, "x", at=[0.0, 1e-3, 100.25], atol=1e-12, first=[12345.678]),
    row("fresnel_c", Span(-8, 8), mp.fresnelc, "x", at=[0.0, 1e-3, 100.25], atol=1e-12, first=[12345.678]),
    row(
        "ndtr",
        Span(-8, 8),
        mp.ncdf,
        "x; complex",
        complex_orders=2,
        at=[0.0, -30.0],
        limits=[(inf, "x", 0.0)],
    ),
    row(
        "log_ndtr",
        Span(-20, 8),
        log_ndtr,
        "x",
        at=[0.0, -40.0, -1e3, -1e5, 20.0],
        limits=[(50.0, "x", 0.0)],
    ),
    row("ndtri", UNIT, ndtri, "0 ≤ p ≤ 1", at=[0.5, 1e-30], limits=[(0.0, "p", inf), (1.0, "p", inf)]),
    row("ndtri_exp", Span(-30, -0.01), ndtri_exp, "x ≤ 0", at=[-1e-3, -300.0, -1e5], rtol=1e-10),
    row("owens_t", (Span(-3, 3), Span(-3, 3)), owens_t, "h, a", at=[(0.0, 1.0), (1.0, 0.0)]),
    row(
        "voigt_profile",
        (Span(-5, 5), log(0.2, 3), log(0.01, 3)),
        voigt,
        "σ > 0, γ ≥ 0",
        at=[(0.0, 1.0, 0.5), (30.0, 1.0, 0.5)],
        first=[(0.5, 1.0, 0.0)],
        rtol=1e-8,
    ),
]
