"""Incomplete gamma and beta functions, in all arguments.

In the variable their derivatives are the densities below. In a parameter they are integrals of the density times a
logarithm, over that side of the variable where all of it has one sign, and are computed as such.
"""

from __future__ import annotations

import math
from typing import Any

from plugrad.ops import abs_, exp, expm1, log, log1p, sqrt, where
from plugrad.sdk import Op, elementwise

from ._tools import horner, numbers
from .elementary import xlog1py, xlogy
from .gamma import betaln, digamma, gammaln, gammasgn

# --- densities ----------------------------------------------------------------------------------------------

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


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    """x^(a-1) (1-x)^(b-1) / B(a, b); by its deviance near the mode of large `a` and `b`, as for the gamma function."""
    like = next(v for v in (x, a, b) if hasattr(v, "dtype"))
    a, b, x = numbers(like, a, b, x)
    n = a + b
    near = (a >= 10) & (b >= 10) & (abs_(x * n - a) <= 0.5 * a) & (abs_((1 - x) * n - b) <= 0.5 * b)
    p, q = where(near, a, 10), where(near, b, 10)
    t, n = where(near, x, 0.5), p + q
    u, v = (t * n - p) / p, ((1 - t) * n - q) / q
    deviance = p * (log1p(u) - u) + q * (log1p(v) - v)
    errors = stirling_error(n) - stirling_error(p) - stirling_error(q)
    by_deviance = exp(deviance + errors) * sqrt(p * (q / n) / (2 * math.pi)) / (t * (1 - t))
    sign = gammasgn(a) * gammasgn(b) * gammasgn(a + b)
    by_logarithms = sign * exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) - betaln(a, b))
    return where(near, by_deviance, by_logarithms)


def _beta_density_by_a(g: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    return g * (xlogy(y, x) - y * (digamma(a) - digamma(a + b)))


def _beta_density_by_b(g: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    return g * (xlog1py(y, -x) - y * (digamma(b) - digamma(a + b)))


def _beta_density_by_x(g: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    inside = (x > 0) & (x < 1)
    t = where(inside, x, 0.5)
    e = where(inside, 0.5, x)
    norm = betaln(a, b)
    left = _power(a - 1, xlogy(a - 2, e) + xlog1py(b - 1, -e) - norm)
    right = _power(b - 1, xlogy(a - 1, e) + xlog1py(b - 2, -e) - norm)
    return g * where(inside, y * ((a - 1) / t - (b - 1) / (1 - t)), left - right)


def _power(exponent: Any, logarithm: Any) -> Any:
    """A power's derivative: none where the exponent is 0, whatever the base is."""
    return where(exponent == 0, 0, exponent * exp(where(exponent == 0, 0, logarithm)))


#: The density of the beta distribution.
beta_density: Op = elementwise(
    "special::beta_density", "a b x", result="float", ordered=True,
    a=_beta_density_by_a, b=_beta_density_by_b, x=_beta_density_by_x, default=_beta_density,
)  # fmt: skip


# --- in a parameter -----------------------------------------------------------------------------------------

_STEP = 0.14


def _integral(f: Any, scale: Any) -> Any:
    """The integral over t > 0 of f, which decays like exp(-t/scale), and may have a singularity near t = 0.

    With t = scale exp(v - exp(-v)) it decays doubly exponentially on both sides, and the trapezoidal rule in v has all
    digits.
    """
    total = 0
    for k in range(-33, 34):
        v = _STEP * k
        p = math.exp(v - math.exp(-v))
        total = total + f(scale * p) * (_STEP * p * (1 + math.exp(-v)))
    return total * scale


def _gammainc_by_a(a: Any, x: Any) -> Any:
    """The integral of the density times log(t) - ψ(a) up to x; less that of the other side, since both sum to 0."""
    a, x = numbers(x if hasattr(x, "dtype") else a, a, x)
    below, inside = x <= a, (x > 0) & (x < math.inf)
    end = (x == 0) | (x == math.inf)
    x = where(inside, x, a)
    mean = log(x) - digamma(a)
    # Below, t = x exp(-s). The integrand falls linearly with a - x, then like a Gaussian, in the end like exp(-as).
    s = 1 / (abs_(a - x) + sqrt(x))
    left = lambda t: exp(-(a - x) * t - x * (t + expm1(-t))) * (mean - t)
    # Above, t = x + r.
    r = where(a < 1, 1, x / (abs_(x - a) + 1 + sqrt(a)))
    right = lambda t: exp((a - 1) * log1p(t / x) - t) * (mean + log1p(t / x))
    low = x * _integral(left, where(s > 1, 1 / a, s))
    value = gamma_density(a, x) * where(below, low, -_integral(right, r))
    return where(end, 0, where(inside, value, math.nan))


def _betainc_by(a: Any, b: Any, x: Any, first: bool) -> Any:
    """The same for the beta function: log(t) - ψ(a) + ψ(a + b), or log(1 - t) - ψ(b) + ψ(a + b)."""
    a, b, x = numbers(next(e for e in (x, a, b) if hasattr(e, "dtype")), a, b, x)
    inside, end = (x > 0) & (x < 1), (x == 0) | (x == 1)
    x = where(inside, x, 0.5)
    below = x * (a + b) <= a
    # The side that shrinks is u exp(-s), with exponent p; the other, v of exponent q, grows.
    p, q = where(below, a, b), where(below, b, a)
    u, v = where(below, x, 1 - x), where(below, 1 - x, x)
    odds, curved = u / v, where(q > 1, q - 1, 0)
    s = 1 / (abs_(p - curved * odds) + sqrt(curved * u) / v)
    s = where((q < 1) | ((p < 1) & (s > 1)), 1 / p, s)
    mean = digamma(a + b) + (log(x) - digamma(a) if first else log1p(-x) - digamma(b))
    shrinks = below if first else ~below

    def integrand(t: Any) -> Any:
        grown = log1p(-odds * expm1(-t))
        return exp((q - 1) * grown - p * t) * (mean + where(shrinks, -t, grown))

    integral = u * _integral(integrand, s)
    value = beta_density(a, b, x) * where(below, integral, -integral)
    return where(end, 0, where(inside, value, math.nan))


def _gammainc_by_a_vjp(g: Any, a: Any, x: Any) -> Any:
    a, x = numbers(g, a, x)
    density = gamma_density(a, x)
    return g * (xlogy(density, x) - density * digamma(a))


def _betainc_by_a_vjp(g: Any, a: Any, b: Any, x: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    density = beta_density(a, b, x)
    return g * (xlogy(density, x) - density * (digamma(a) - digamma(a + b)))


def _betainc_by_b_vjp(g: Any, a: Any, b: Any, x: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    density = beta_density(a, b, x)
    return g * (xlog1py(density, -x) - density * (digamma(b) - digamma(a + b)))


#: The derivatives in the parameters; which have one in the variable alone.
gammainc_by_a: Op = elementwise(
    "special::gammainc_by_a",
    "a x",
    result="float",
    ordered=True,
    x=_gammainc_by_a_vjp,
    default=_gammainc_by_a,
)
betainc_by_a: Op = elementwise(
    "special::betainc_by_a", "a b x", result="float", ordered=True,
    x=_betainc_by_a_vjp, default=lambda a, b, x: _betainc_by(a, b, x, True),
)  # fmt: skip
betainc_by_b: Op = elementwise(
    "special::betainc_by_b", "a b x", result="float", ordered=True,
    x=_betainc_by_b_vjp, default=lambda a, b, x: _betainc_by(a, b, x, False),
)  # fmt: skip

# --- gamma --------------------------------------------------------------------------------------------------


def _gamma_quantile_by_a(g: Any, a: Any, y: Any) -> Any:
    """How a quantile moves with the parameter: by the implicit function theorem."""
    (a,) = numbers(g, a)
    return -g * where(y == 0, 0, gammainc_by_a(a, y) / gamma_density(a, where(y == 0, 1, y)))


gammainc = elementwise(
    "special::gammainc", "a x", result="float",
    a=lambda g, a, x: g * gammainc_by_a(a, x),
    x=lambda g, a, x: g * gamma_density(a, x),
)  # fmt: skip
gammaincc = elementwise(
    "special::gammaincc", "a x", result="float",
    a=lambda g, a, x: -g * gammainc_by_a(a, x),
    x=lambda g, a, x: -g * gamma_density(a, x),
)  # fmt: skip
gammaincinv = elementwise(
    "special::gammaincinv", "a p", result="float",
    a=_gamma_quantile_by_a,
    p=lambda g, a, y: g / gamma_density(a, y),
)  # fmt: skip
gammainccinv = elementwise(
    "special::gammainccinv", "a q", result="float",
    a=_gamma_quantile_by_a,
    q=lambda g, a, y: -g / gamma_density(a, y),
)  # fmt: skip

# --- beta ---------------------------------------------------------------------------------------------------


def _beta_quantile(by: Any, g: Any, a: Any, b: Any, y: Any) -> Any:
    a, b = numbers(g, a, b)
    inside = (y > 0) & (y < 1)
    return -g * where(inside, by(a, b, y) / beta_density(a, b, where(inside, y, 0.5)), 0 * y)


betainc = elementwise(
    "special::betainc", "a b x", result="float",
    a=lambda g, a, b, x: g * betainc_by_a(a, b, x),
    b=lambda g, a, b, x: g * betainc_by_b(a, b, x),
    x=lambda g, a, b, x: g * beta_density(a, b, x),
)  # fmt: skip
betaincc = elementwise(
    "special::betaincc", "a b x", result="float",
    a=lambda g, a, b, x: -g * betainc_by_a(a, b, x),
    b=lambda g, a, b, x: -g * betainc_by_b(a, b, x),
    x=lambda g, a, b, x: -g * beta_density(a, b, x),
)  # fmt: skip
betaincinv = elementwise(
    "special::betaincinv", "a b p", result="float",
    a=lambda g, a, b, y: _beta_quantile(betainc_by_a, g, a, b, y),
    b=lambda g, a, b, y: _beta_quantile(betainc_by_b, g, a, b, y),
    p=lambda g, a, b, y: g / beta_density(a, b, y),
)  # fmt: skip
betainccinv = elementwise(
    "special::betainccinv", "a b q", result="float",
    a=lambda g, a, b, y: _beta_quantile(betainc_by_a, g, a, b, y),
    b=lambda g, a, b, y: _beta_quantile(betainc_by_b, g, a, b, y),
    q=lambda g, a, b, y: -g / beta_density(a, b, y),
)  # fmt: skip
