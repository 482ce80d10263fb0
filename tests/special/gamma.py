"""The gamma and beta families."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp

from .rows import Span, inverse, log, row, whole


def lower(a: Any, x: Any) -> Any:
    """The regularised lower incomplete gamma function."""
    return mp.gammainc(a, 0, x, regularized=True)


def upper(a: Any, x: Any) -> Any:
    """The regularised upper incomplete gamma function."""
    return mp.gammainc(a, x, mp.inf, regularized=True)


def gamma_density(a: Any, x: Any) -> Any:
    """x^(a-1) e^(-x) / Γ(a)."""
    return mp.power(x, a - 1) * mp.exp(-x) * mp.rgamma(a)


def below(a: Any, b: Any, x: Any) -> Any:
    """The regularised incomplete beta function."""
    return mp.betainc(a, b, 0, x, regularized=True)


def above(a: Any, b: Any, x: Any) -> Any:
    """Its complement."""
    return mp.betainc(a, b, x, 1, regularized=True)


def beta_density(a: Any, b: Any, x: Any) -> Any:
    """x^(a-1) (1-x)^(b-1) / B(a, b)."""
    return mp.power(x, a - 1) * mp.power(1 - x, b - 1) / mp.beta(a, b)


def in_parameter(of: Callable[..., Any], i: int) -> Callable[..., Any]:
    """The derivative of `of` in its i-th argument."""

    def slope(*args: Any) -> Any:
        step = args[i] * mp.mpf(10) ** (-mp.mp.dps // 3)
        moved = [[*args[:i], args[i] + s, *args[i + 1 :]] for s in (step, -step)]
        with mp.workdps(2 * mp.mp.dps):
            return (of(*moved[0]) - of(*moved[1])) / (2 * step)

    return slope


def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the multivariate gamma function."""
    return mp.mpf(d * (d - 1)) / 4 * mp.log(mp.pi) + sum(mp.loggamma(a - mp.mpf(j) / 2) for j in range(d))


def log_abs_gamma(x: Any) -> Any:
    """log |Γ(x)|."""
    return mp.loggamma(x) if x > 0 else mp.log(mp.pi / abs(mp.sinpi(x))) - mp.loggamma(1 - x)


NEGATIVE = (-0.5, -1.5, -2.001, -7.3)
UNIT = Span(0.01, 0.99)
inf = float("inf")

ROWS = [
    row(
        "gamma",
        Span(0.1, 60),
        mp.gamma,
        "x, but no pole 0, -1, -2, …; complex",
        at=[*NEGATIVE, 1e-8, 150.0],
        complex_orders=1,
    ),
    row(
        "gammaln",
        log(0.1, 1e6),
        log_abs_gamma,
        "x, but no pole 0, -1, -2, …",
        at=[*NEGATIVE, 1e-8, 1e100],
        atol=1e-12,
    ),
    row(
        "loggamma",
        log(0.1, 1e6),
        mp.loggamma,
        "x > 0; complex",
        complex_orders=1,
        at=[1e-8, 1e100],
        atol=1e-12,
    ),
    row("gammasgn", Span(0.1, 10), lambda x: mp.sign(mp.gamma(x)), "x", at=[*NEGATIVE]),
    row(
        "rgamma",
        Span(0.1, 100),
        mp.rgamma,
        "x",
        at=[0.0, -1.0, -2.0, -10.0, *NEGATIVE, 0.5, 1e-8, -100.25, 170.0],
    ),
    row("digamma", log(0.1, 1e6), mp.digamma, "x, but no pole 0, -1, -2, …", at=[*NEGATIVE, 1e-8, 1e100]),
    row(
        "polygamma",
        (whole(1, 6), log(0.1, 1e4)),
        mp.polygamma,
        "n = 0, 1, 2, …; x > 0",
        at=[(0.0, 2.5), (3.0, 1e-8)],
    ),
    row("multigammaln", Span(1.6, 50), multigammaln, "a > (d - 1)/2", params={"d": 4}),
    row("poch", (Span(0.2, 50), Span(0.1, 20)), mp.rf, "z > 0, z + m > 0", at=[(1.0, 0.0), (3.0, -1.5)]),
    row("binom", (Span(10, 40), Span(0.1, 9)), mp.binomial, "n ≥ k ≥ 0", at=[(5.0, 5.0), (5.0, 0.0)]),
    row(
        "gamma_density",
        (log(0.2, 100), log(0.01, 100)),
        gamma_density,
        "a > 0, x ≥ 0",
        at=[
            (1e4, 1e4),
            (1e4, 1.02e4),
            (1e8, 1e8 + 1e4),
            (1e8, 1e8 - 3e4),
            (9.9, 9.0),
            (10.1, 9.0),
            (0.5, 1e-10),
        ],
        limits=[
            ((2.0, 0.0), "x", 1.0),
            ((1.0, 0.0), "x", -1.0),
            ((3.0, 0.0), "x", 0.0),
            ((3.5, 0.0), "x", 0.0),
        ],
        rtol=1e-11,
    ),
    row(
        "gammainc",
        (log(0.1, 100), log(0.01, 100)),
        lower,
        "a > 0, x ≥ 0",
        at=[(0.5, 1e-10), (3.0, 700.0)],
        limits=[
            ((0.5, 0.0), "x", inf),
            ((1.0, 0.0), "x", 1.0),
            ((2.0, 0.0), "x", 0.0),
            ((2.0, inf), "x", 0.0),
            ((1e4, 1.01e4), "x", float(gamma_density(mp.mpf(1e4), mp.mpf(1.01e4)))),
            ((1e8, 1e8), "x", float(gamma_density(mp.mpf(1e8), mp.mpf(1e8)))),
        ],
        once=("a",),
        rtol=1e-10,
    ),
    row(
        "gammaincc",
        (log(0.1, 100), log(0.01, 100)),
        upper,
        "a > 0, x ≥ 0",
        at=[(0.5, 1e-10), (3.0, 700.0)],
        limits=[((0.5, 0.0), "x", -inf), ((1.0, 0.0), "x", -1.0), ((2.0, inf), "x", 0.0)],
        once=("a",),
        rtol=1e-10,
    ),
    row(
        "gammaincinv",
        (log(0.2, 50), UNIT),
        inverse("gammaincinv", lower),
        "a > 0, 0 ≤ p ≤ 1",
        at=[(3.0, 1e-10), (3.0, 1 - 1e-10)],
        limits=[((2.0, 0.0), "p", inf), ((2.0, 1.0), "p", inf), ((0.5, 0.0), "p", 0.0)],
        once=("a",),
        rtol=1e-9,
    ),
    row(
        "gammainccinv",
        (log(0.2, 50), UNIT),
        inverse("gammainccinv", upper),
        "a > 0, 0 ≤ q ≤ 1",
        at=[(3.0, 1e-10), (3.0, 1e-30)],
        limits=[((2.0, 0.0), "q", -inf), ((2.0, 1.0), "q", -inf)],
        once=("a",),
        rtol=1e-9,
    ),
    row("beta", (log(0.1, 50), log(0.1, 50)), mp.beta, "a, b > 0", at=[(1e-3, 2.0)], rtol=1e-12),
    row(
        "betaln",
        (log(0.1, 1e3), log(0.1, 1e3)),
        lambda a, b: mp.log(mp.beta(a, b)),
        "a, b > 0",
        at=[(1e-6, 2.0)],
        atol=1e-12,
    ),
    row(
        "beta_density",
        (log(0.2, 50), log(0.2, 50), UNIT),
        beta_density,
        "a, b > 0, 0 ≤ x ≤ 1",
        at=[(1e4, 2e4, 0.335), (1e8, 1e8, 0.50005), (0.5, 0.5, 1e-12), (0.5, 0.5, 0.3)],
        limits=[
            ((1.0, 3.0, 0.0), "x", -6.0),
            ((2.0, 1.0, 0.0), "x", 2.0),
            ((3.0, 1.0, 1.0), "x", 6.0),
            ((3.0, 2.0, 0.0), "x", 0.0),
        ],
        rtol=1e-9,
    ),
    row(
        "betainc",
        (log(0.2, 50), log(0.2, 50), UNIT),
        below,
        "a, b > 0, 0 ≤ x ≤ 1",
        at=[(0.5, 0.5, 1e-12), (2.0, 3.0, 0.999)],
        limits=[
            ((0.5, 2.0, 0.0), "x", inf),
            ((1.0, 3.0, 0.0), "x", 3.0),
            ((3.0, 1.0, 1.0), "x", 3.0),
            ((3.0, 2.0, 1.0), "x", 0.0),
            ((1e6, 1e6, 0.5), "x", 1128.3790260668096),
        ],
        once=("a", "b"),
        rtol=1e-10,
    ),
    row(
        "betaincc",
        (log(0.2, 50), log(0.2, 50), UNIT),
        above,
        "a, b > 0, 0 ≤ x ≤ 1",
        at=[(0.5, 0.5, 1e-12)],
        limits=[((0.5, 2.0, 0.0), "x", -inf)],
        once=("a", "b"),
        rtol=1e-10,
    ),
    row(
        "betaincinv",
        (log(0.5, 20), log(0.5, 20), UNIT),
        inverse("betaincinv", below),
        "a, b > 0, 0 ≤ p ≤ 1",
        limits=[((2.0, 2.0, 0.0), "p", inf), ((0.5, 2.0, 0.0), "p", 0.0)],
        once=("a", "b"),
        rtol=1e-9,
    ),
    row(
        "betainccinv",
        (log(0.5, 20), log(0.5, 20), UNIT),
        inverse("betainccinv", above),
        "a, b > 0, 0 ≤ q ≤ 1",
        limits=[((2.0, 2.0, 0.0), "q", -inf)],
        once=("a", "b"),
        rtol=1e-9,
    ),
    row(
        "gammainc_by_a",
        (log(0.02, 100), log(0.01, 100)),
        in_parameter(lower, 0),
        "a > 0, x ≥ 0",
        first=[(1e3, 1010.0), (50.0, 2.0)],
        limits=[((2.0, 0.0), "x", 0.0), ((2.0, inf), "x", 0.0)],
        rtol=1e-9,
    ),
    row(
        "betainc_by_a",
        (log(0.1, 50), log(0.1, 50), UNIT),
        in_parameter(below, 0),
        "a, b > 0, 0 ≤ x ≤ 1",
        rtol=1e-9,
    ),
    row(
        "betainc_by_b",
        (log(0.1, 50), log(0.1, 50), UNIT),
        in_parameter(below, 1),
        "a, b > 0, 0 ≤ x ≤ 1",
        rtol=1e-9,
    ),
]
