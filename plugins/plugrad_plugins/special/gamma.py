"""The gamma function and its family."""

from __future__ import annotations

import math
from typing import Any

from plugrad.ops import abs_, cos, exp, floor, log1p, sin, sqrt, where, zeros_like
from plugrad.sdk import Op, elementwise

from ._tools import horner, numbers
from .elementary import xlogy

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

# --- incomplete ---------------------------------------------------------------------------------------------

_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def stirling_error(a: Any) -> Any:
    """log Γ(a) less Stirling's formula, for a >= 10."""
    r = 1 / a
    return r * horner(_STIRLING, r * r)


def _gamma_density(a: Any, x: Any) -> Any:
    """x^(a-1) e^(-x) / Γ(a).

    Near the mode of a large `a` its logarithm is the small difference of large numbers. There it is computed from
    the deviance, which is small itself.
    """
    like = x if hasattr(x, "dtype") else a
    a, x = numbers(like, a, x)
    near = (a >= 10) & (abs_(x - a) <= 0.5 * a)
    s = where(near, a, 10)
    t = where(near, x, s)
    u = (t - s) / s
    by_deviance = exp(s * (log1p(u) - u) - stirling_error(s)) * sqrt(s / (2 * math.pi)) / t
    norm = gammaln(a)
    gone = (norm == math.inf) | (x == math.inf)  # 1/Γ is zero, or the exponential is
    by_logarithms = gammasgn(a) * exp(where(gone, -math.inf, xlogy(a - 1, x) - x - norm))
    return where(near, by_deviance, where(gone, 0, by_logarithms))


def _gamma_density_by_a(g: Any, a: Any, x: Any, y: Any) -> Any:
    a, x = numbers(g, a, x)
    return g * (xlogy(y, x) - y * digamma(a))


def _gamma_density_by_x(g: Any, a: Any, x: Any, y: Any) -> Any:
    a, x = numbers(g, a, x)
    return g * (gamma_density(a - 1, x) - y)


#: The density of the gamma distribution: closed under differentiation, right at x = 0 to every order.
gamma_density: Op = elementwise(
    "special::gamma_density", "a x", result="float", ordered=True,
    a=_gamma_density_by_a, x=_gamma_density_by_x, default=_gamma_density,
)  # fmt: skip

gammainc = elementwise("special::gammainc", "a x", result="float", x=lambda g, a, x: g * gamma_density(a, x))
gammaincc = elementwise(
    "special::gammaincc", "a x", result="float", x=lambda g, a, x: -g * gamma_density(a, x)
)
gammaincinv = elementwise(
    "special::gammaincinv", "a p", result="float", p=lambda g, a, y: g / gamma_density(a, y)
)
gammainccinv = elementwise(
    "special::gammainccinv", "a q", result="float", q=lambda g, a, y: -g / gamma_density(a, y)
)
