"""The gamma and beta functions, their logarithms and derivatives."""

from __future__ import annotations

import math
from typing import Any

from plugrad.ops import cos, floor, sin, where, zeros_like
from plugrad.sdk import Op, elementwise

from ._tools import numbers

# --- Γ, its logarithm and its reciprocal --------------------------------------------------------------------


def _rgamma_vjp(g: Any, x: Any, y: Any) -> Any:
    # On the left by reflection, 1/Γ(x) = Γ(1-x) sin(πx)/π: the poles of Γ are ordinary points of its reciprocal.
    # What is left of the sine's argument after the nearest integer keeps the sine of a zero exact.
    left = x < 0.5
    s = where(left, x, 0)
    n = floor(s + 0.5)
    sign = 1 - 2 * (n - 2 * floor(n / 2))
    angle = math.pi * (s - n)
    reflected = gamma(1 - s) * sign * (cos(angle) - sin(angle) * digamma(1 - s) / math.pi)
    r = where(left, 1, x)
    return g * where(left, reflected, -digamma(r) * rgamma(r))


gamma: Op = elementwise("special::gamma", "x", result="float", x=lambda g, x, y: g * (y * digamma(x)))
gammaln = elementwise("special::gammaln", "x", result="float", x=lambda g, x: g * digamma(x))
loggamma = elementwise("special::loggamma", "x", result="float", x=lambda g, x: g * digamma(x))
gammasgn = elementwise("special::gammasgn", "x", result="float", x=lambda g: zeros_like(g))
rgamma: Op = elementwise("special::rgamma", "x", result="float", ordered=True, x=_rgamma_vjp)

digamma: Op = elementwise(
    "special::digamma", "x", result="float", x=lambda g, x: g * polygamma(zeros_like(x) + 1, x)
)


def _polygamma_vjp(g: Any, n: Any, x: Any) -> Any:
    n, x = numbers(g, n, x)
    return g * polygamma(n + 1, x)


#: The n-th derivative of digamma.
polygamma: Op = elementwise("special::polygamma", "n x", result="float", x=_polygamma_vjp)

# --- several arguments --------------------------------------------------------------------------------------


def _multigammaln(a: Any, d: int) -> Any:
    terms = [gammaln(a - 0.5 * j) for j in range(_count(d))]
    return sum(terms, d * (d - 1) / 4 * math.log(math.pi)) + where(a > (d - 1) / 2, 0, math.nan)


def _multigammaln_vjp(g: Any, a: Any, d: int) -> Any:
    return g * sum(digamma(a - 0.5 * j) for j in range(d))


def _count(d: Any) -> int:
    if not isinstance(d, int) or d < 1:
        raise ValueError(f"multigammaln: the dimension is {d!r}: give a positive int")
    return d


multigammaln = elementwise(
    "special::multigammaln",
    "a | d=1",
    result="float",
    ordered=True,
    a=_multigammaln_vjp,
    default=_multigammaln,
)


def _poch_by_z(g: Any, z: Any, m: Any, y: Any) -> Any:
    z, m = numbers(g, z, m)
    return g * (y * (digamma(z + m) - digamma(z)))


def _poch_by_m(g: Any, z: Any, m: Any, y: Any) -> Any:
    z, m = numbers(g, z, m)
    return g * (y * digamma(z + m))


#: Γ(z + m) / Γ(z)
poch = elementwise("special::poch", "z m", result="float", z=_poch_by_z, m=_poch_by_m)


def _binom_by_n(g: Any, n: Any, k: Any, y: Any) -> Any:
    n, k = numbers(g, n, k)
    return g * (y * (digamma(n + 1) - digamma(n - k + 1)))


def _binom_by_k(g: Any, n: Any, k: Any, y: Any) -> Any:
    n, k = numbers(g, n, k)
    return g * (y * (digamma(n - k + 1) - digamma(k + 1)))


binom = elementwise("special::binom", "n k", result="float", n=_binom_by_n, k=_binom_by_k)

# --- beta ---------------------------------------------------------------------------------------------------


def _beta_by_a(g: Any, a: Any, b: Any, y: Any) -> Any:
    a, b = numbers(g, a, b)
    return g * (y * (digamma(a) - digamma(a + b)))


def _beta_by_b(g: Any, a: Any, b: Any, y: Any) -> Any:
    a, b = numbers(g, a, b)
    return g * (y * (digamma(b) - digamma(a + b)))


def _betaln_by_a(g: Any, a: Any, b: Any) -> Any:
    a, b = numbers(g, a, b)
    return g * (digamma(a) - digamma(a + b))


def _betaln_by_b(g: Any, a: Any, b: Any) -> Any:
    a, b = numbers(g, a, b)
    return g * (digamma(b) - digamma(a + b))


beta = elementwise("special::beta", "a b", result="float", a=_beta_by_a, b=_beta_by_b)
betaln: Op = elementwise("special::betaln", "a b", result="float", a=_betaln_by_a, b=_betaln_by_b)
