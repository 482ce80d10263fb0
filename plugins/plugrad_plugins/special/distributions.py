"""Distribution functions and their inverses."""

from __future__ import annotations

import math
from typing import Any

from plugrad.ops import exp, floor, log, log1p, sign, where
from plugrad.sdk import Op, elementwise

from ._tools import numbers
from .gamma import betaln
from .incomplete import beta_density, betainc_by_a, betainc_by_b, gamma_density, gammainc_by_a

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


def _chdtr_by_v(g: Any, v: Any, x: Any) -> Any:
    v, x = numbers(g, v, x)
    return g * (0.5 * gammainc_by_a(0.5 * v, 0.5 * x))


def _chdtr_by_x(g: Any, v: Any, x: Any) -> Any:
    v, x = numbers(g, v, x)
    return g * (0.5 * gamma_density(0.5 * v, 0.5 * x))


def _chdtri_by_v(g: Any, v: Any, y: Any) -> Any:
    (v,) = numbers(g, v)
    return -g * (gammainc_by_a(0.5 * v, 0.5 * y) / gamma_density(0.5 * v, 0.5 * y))


def _chdtri_by_p(g: Any, v: Any, y: Any) -> Any:
    (v,) = numbers(g, v)
    return -g / (0.5 * gamma_density(0.5 * v, 0.5 * y))


def _gdtr_by_a(g: Any, a: Any, b: Any, x: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    return g * (x * gamma_density(b, a * x))


def _gdtr_by_b(g: Any, a: Any, b: Any, x: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    return g * gammainc_by_a(b, a * x)


def _gdtr_by_x(g: Any, a: Any, b: Any, x: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    return g * (a * gamma_density(b, a * x))


chdtr = elementwise("special::chdtr", "v x", result="float", v=_chdtr_by_v, x=_chdtr_by_x)
chdtrc = elementwise(
    "special::chdtrc", "v x", result="float",
    v=lambda g, v, x: -_chdtr_by_v(g, v, x),
    x=lambda g, v, x: -_chdtr_by_x(g, v, x),
)  # fmt: skip
chdtri = elementwise("special::chdtri", "v p", result="float", v=_chdtri_by_v, p=_chdtri_by_p)
gdtr = elementwise("special::gdtr", "a b x", result="float", a=_gdtr_by_a, b=_gdtr_by_b, x=_gdtr_by_x)
gdtrc = elementwise(
    "special::gdtrc", "a b x", result="float",
    a=lambda g, a, b, x: -_gdtr_by_a(g, a, b, x),
    b=lambda g, a, b, x: -_gdtr_by_b(g, a, b, x),
    x=lambda g, a, b, x: -_gdtr_by_x(g, a, b, x),
)  # fmt: skip

# --- F and Student's t --------------------------------------------------------------------------------------


def _f_parts(dfn: Any, dfd: Any, x: Any) -> tuple[Any, Any, Any, Any]:
    """F's distribution function is that of beta: its arguments, and the density by what the variable changes."""
    total = dfd + dfn * x
    a, b, w = 0.5 * dfn, 0.5 * dfd, dfn * x / total
    return a, b, w, beta_density(a, b, w) * (dfn / total) * (dfd / total)


def _f_by_dfn(dfn: Any, dfd: Any, x: Any) -> Any:
    a, b, w, density = _f_parts(dfn, dfd, x)
    return 0.5 * betainc_by_a(a, b, w) + density * x / dfn


def _f_by_dfd(dfn: Any, dfd: Any, x: Any) -> Any:
    a, b, w, density = _f_parts(dfn, dfd, x)
    return 0.5 * betainc_by_b(a, b, w) - density * x / dfd


def _fdtr(slope: Any, g: Any, dfn: Any, dfd: Any, x: Any) -> Any:
    return g * slope(*numbers(g, dfn, dfd, x))


def _fdtri(slope: Any, g: Any, dfn: Any, dfd: Any, y: Any) -> Any:
    dfn, dfd = numbers(g, dfn, dfd)
    return -g * (slope(dfn, dfd, y) / _f_density(dfn, dfd, y))


def _f_density(dfn: Any, dfd: Any, x: Any) -> Any:
    return _f_parts(dfn, dfd, x)[3]


def _t_density(df: Any, t: Any) -> Any:
    half = 0.5 * df
    return exp(-(half + 0.5) * log1p(t * t / df) - betaln(half, 0.5 + 0 * half) - 0.5 * log(df))


def _t_by_df(df: Any, t: Any) -> Any:
    # Of w and 1 - w, that which is small keeps its digits: u = t²/(df + t²) near the middle, w = df/(df + t²) in the tails.
    half, sum_ = 0.5 * df, df + t * t
    u, w, moved = t * t / sum_, df / sum_, t * t / (sum_ * sum_)
    middle = t * t < df
    one_half = 0.5 + 0 * half
    v = where(middle, u, 0.5)
    near = 0.5 * betainc_by_b(one_half, half, v) - beta_density(one_half, half, v) * moved
    v = where(middle, 0.5, w)
    far = 0.5 * betainc_by_a(half, one_half, v) + beta_density(half, one_half, v) * moved
    return 0.5 * sign(t) * where(middle, near, -far)


def _stdtr_by_df(g: Any, df: Any, t: Any) -> Any:
    return g * _t_by_df(*numbers(g, df, t))


def _stdtr_by_t(g: Any, df: Any, t: Any) -> Any:
    return g * _t_density(*numbers(g, df, t))


def _stdtrit_by_df(g: Any, df: Any, y: Any) -> Any:
    (df,) = numbers(g, df)
    return -g * (_t_by_df(df, y) / _t_density(df, y))


def _stdtrit_by_p(g: Any, df: Any, y: Any) -> Any:
    (df,) = numbers(g, df)
    return g / _t_density(df, y)


fdtr = elementwise(
    "special::fdtr", "dfn dfd x", result="float",
    dfn=lambda g, dfn, dfd, x: _fdtr(_f_by_dfn, g, dfn, dfd, x),
    dfd=lambda g, dfn, dfd, x: _fdtr(_f_by_dfd, g, dfn, dfd, x),
    x=lambda g, dfn, dfd, x: _fdtr(_f_density, g, dfn, dfd, x),
)  # fmt: skip
fdtrc = elementwise(
    "special::fdtrc", "dfn dfd x", result="float",
    dfn=lambda g, dfn, dfd, x: -_fdtr(_f_by_dfn, g, dfn, dfd, x),
    dfd=lambda g, dfn, dfd, x: -_fdtr(_f_by_dfd, g, dfn, dfd, x),
    x=lambda g, dfn, dfd, x: -_fdtr(_f_density, g, dfn, dfd, x),
)  # fmt: skip
fdtri = elementwise(
    "special::fdtri", "dfn dfd p", result="float",
    dfn=lambda g, dfn, dfd, y: _fdtri(_f_by_dfn, g, dfn, dfd, y),
    dfd=lambda g, dfn, dfd, y: _fdtri(_f_by_dfd, g, dfn, dfd, y),
    p=lambda g, dfn, dfd, y: -_fdtri(lambda *_: 1, g, dfn, dfd, y),
)  # fmt: skip
stdtr = elementwise("special::stdtr", "df t", result="float", df=_stdtr_by_df, t=_stdtr_by_t)
stdtrit = elementwise("special::stdtrit", "df p", result="float", df=_stdtrit_by_df, p=_stdtrit_by_p)

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
