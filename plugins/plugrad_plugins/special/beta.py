"""The beta function and its family."""

from __future__ import annotations

import math
from typing import Any

from plugrad.ops import abs_, exp, log1p, sqrt, where
from plugrad.sdk import Op, elementwise

from ._tools import numbers
from .elementary import xlog1py, xlogy
from .gamma import digamma, gammasgn, stirling_error


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

# --- incomplete ---------------------------------------------------------------------------------------------


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

betainc = elementwise(
    "special::betainc", "a b x", result="float", x=lambda g, a, b, x: g * beta_density(a, b, x)
)
betaincc = elementwise(
    "special::betaincc", "a b x", result="float", x=lambda g, a, b, x: -g * beta_density(a, b, x)
)
betaincinv = elementwise(
    "special::betaincinv", "a b p", result="float", p=lambda g, a, b, y: g / beta_density(a, b, y)
)
betainccinv = elementwise(
    "special::betainccinv", "a b q", result="float", q=lambda g, a, b, y: -g / beta_density(a, b, y)
)
