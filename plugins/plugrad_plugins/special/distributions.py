"""Distribution functions and their inverses, in the variable; the parameters of degrees of freedom have no formula."""

from __future__ import annotations

import math
from typing import Any

from plugrad.ops import exp, floor, log, log1p, where
from plugrad.sdk import Op, elementwise

from ._tools import numbers
from .beta import beta_density, betaln
from .gamma import gamma_density

# --- discrete: binomial, negative binomial, Poisson ---------------------------------------------------------


def _bdtr_slope(g: Any, k: Any, n: Any, p: Any) -> Any:
    k, n, p = numbers(g, k, n, p)
    k = floor(k)
    last = k >= n  # all of it: the distribution function is 1, whatever p is
    return g * where(last, 0, beta_density(where(last, 1, k + 1), where(last, 1, n - k), p))


def _nbdtr_slope(g: Any, k: Any, n: Any, p: Any) -> Any:
    k, n, p = numbers(g, k, n, p)
    return g * beta_density(n, floor(k) + 1, p)


def _pdtr_slope(g: Any, k: Any, m: Any) -> Any:
    k, m = numbers(g, k, m)
    return g * gamma_density(floor(k) + 1, m)


def _pdtri_vjp(g: Any, k: Any, y: Any) -> Any:
    (k,) = numbers(g, k)
    return -g / gamma_density(floor(k) + 1, y)


bdtr = elementwise("special::bdtr", "k n p", result="float", p=lambda g, k, n, p: -_bdtr_slope(g, k, n, p))
bdtrc = elementwise("special::bdtrc", "k n p", result="float", p=_bdtr_slope)
nbdtr = elementwise("special::nbdtr", "k n p", result="float", p=_nbdtr_slope)
nbdtrc = elementwise(
    "special::nbdtrc", "k n p", result="float", p=lambda g, k, n, p: -_nbdtr_slope(g, k, n, p)
)
pdtr = elementwise("special::pdtr", "k m", result="float", m=lambda g, k, m: -_pdtr_slope(g, k, m))
pdtrc = elementwise("special::pdtrc", "k m", result="float", m=_pdtr_slope)
pdtri = elementwise("special::pdtri", "k p", result="float", p=_pdtri_vjp)

# --- gamma and χ² -------------------------------------------------------------------------------------------


def _chdtr_slope(g: Any, v: Any, x: Any) -> Any:
    v, x = numbers(g, v, x)
    return g * (0.5 * gamma_density(0.5 * v, 0.5 * x))


def _chdtri_vjp(g: Any, v: Any, y: Any) -> Any:
    (v,) = numbers(g, v)
    return -g / (0.5 * gamma_density(0.5 * v, 0.5 * y))


def _gdtr_by_a(g: Any, a: Any, b: Any, x: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    return g * (x * gamma_density(b, a * x))


def _gdtr_by_x(g: Any, a: Any, b: Any, x: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    return g * (a * gamma_density(b, a * x))


chdtr = elementwise("special::chdtr", "v x", result="float", x=_chdtr_slope)
chdtrc = elementwise("special::chdtrc", "v x", result="float", x=lambda g, v, x: -_chdtr_slope(g, v, x))
chdtri = elementwise("special::chdtri", "v p", result="float", p=_chdtri_vjp)
gdtr = elementwise("special::gdtr", "a b x", result="float", a=_gdtr_by_a, x=_gdtr_by_x)
gdtrc = elementwise(
    "special::gdtrc", "a b x", result="float",
    a=lambda g, a, b, x: -_gdtr_by_a(g, a, b, x), x=lambda g, a, b, x: -_gdtr_by_x(g, a, b, x),
)  # fmt: skip

# --- F and Student's t --------------------------------------------------------------------------------------


def _fdtr_slope(g: Any, dfn: Any, dfd: Any, x: Any) -> Any:
    dfn, dfd, x = numbers(g, dfn, dfd, x)
    return g * _f_density(dfn, dfd, x)


def _f_density(dfn: Any, dfd: Any, x: Any) -> Any:
    total = dfd + dfn * x
    return beta_density(0.5 * dfn, 0.5 * dfd, dfn * x / total) * (dfn / total) * (dfd / total)


def _fdtri_vjp(g: Any, dfn: Any, dfd: Any, y: Any) -> Any:
    dfn, dfd = numbers(g, dfn, dfd)
    return g / _f_density(dfn, dfd, y)


def _t_density(df: Any, t: Any) -> Any:
    half = 0.5 * df
    return exp(-(half + 0.5) * log1p(t * t / df) - betaln(half, 0.5 + 0 * half) - 0.5 * log(df))


def _stdtr_vjp(g: Any, df: Any, t: Any) -> Any:
    return g * _t_density(*numbers(g, df, t))


def _stdtrit_vjp(g: Any, df: Any, y: Any) -> Any:
    (df,) = numbers(g, df)
    return g / _t_density(df, y)


fdtr = elementwise("special::fdtr", "dfn dfd x", result="float", x=_fdtr_slope)
fdtrc = elementwise(
    "special::fdtrc", "dfn dfd x", result="float", x=lambda g, dfn, dfd, x: -_fdtr_slope(g, dfn, dfd, x)
)
fdtri = elementwise("special::fdtri", "dfn dfd p", result="float", p=_fdtri_vjp)
stdtr = elementwise("special::stdtr", "df t", result="float", t=_stdtr_vjp)
stdtrit = elementwise("special::stdtrit", "df p", result="float", p=_stdtrit_vjp)

# --- Kolmogorov's -------------------------------------------------------------------------------------------


def _kolmogorov_slope(x: Any) -> Any:
    """The derivative of the survival function: by one of Jacobi's two series, of which each converges at once."""
    right, zero = x > 1, x < 0.04  # where exp(-π²/8x²) is 0
    s, t = where(right, x, 1), where(right | zero, 1, x)
    tail: Any = sum((-1) ** k * k * k * exp(-2 * k * k * (s * s)) for k in range(1, 6))
    r = math.pi * math.pi / 8 / (t * t)
    head: Any = sum((1 - 2 * j * j * r) * exp(-j * j * r) for j in range(1, 10, 2))
    left = head * math.sqrt(2 * math.pi) / (t * t)
    return where(right, 8 * s * tail, where(zero, 0, left))


kolmogorov: Op = elementwise(
    "special::kolmogorov", "x", result="float", x=lambda g, x: g * _kolmogorov_slope(x)
)
#: The inverse of `kolmogorov`.
kolmogi = elementwise("special::kolmogi", "p", result="float", p=lambda g, y: g / _kolmogorov_slope(y))
