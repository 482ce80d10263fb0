"""Compositions of elementary functions that keep their digits where the plain expression would lose them."""

from __future__ import annotations

import math
from typing import Any

from plugrad.ops import abs_, cos, exp, log, log1p, sign, sin, sqrt, where, zeros_like
from plugrad.sdk import Op, elementwise

from ._tools import horner, numbers

# --- logistic -----------------------------------------------------------------------------------------------

# `1 - y` would lose its digits where y is near 1.
expit: Op = elementwise("special::expit", "x", result="float", x=lambda g, x, y: g * (y * expit(-x)))
log_expit = elementwise("special::log_expit", "x", result="float", x=lambda g, x: g * expit(-x))
logit = elementwise("special::logit", "p", result="float", p=lambda g, p: g / (p * (1 - p)))

# --- products with logarithms, and entropies ----------------------------------------------------------------


def _xlogy_by_a(g: Any, a: Any, b: Any) -> Any:
    a, b = numbers(g, a, b)
    return where((a == 0) & (b == 0), 0, g * log(b))


def _xlogy_by_b(g: Any, a: Any, b: Any) -> Any:
    a, b = numbers(g, a, b)
    return g * a / where((a == 0) & (b == 0), 1, b)


def _xlog1py_by_a(g: Any, a: Any, b: Any) -> Any:
    a, b = numbers(g, a, b)
    return where((a == 0) & (b == -1), 0, g * log1p(b))


def _xlog1py_by_b(g: Any, a: Any, b: Any) -> Any:
    a, b = numbers(g, a, b)
    return g * a / where((a == 0) & (b == -1), 1, 1 + b)


# Where both factors' limits are at odds (0 log 0), the derivatives are 0 by agreement, as in PyTorch.
xlogy = elementwise("special::xlogy", "a b", result="float", a=_xlogy_by_a, b=_xlogy_by_b)
xlog1py = elementwise("special::xlog1py", "a b", result="float", a=_xlog1py_by_a, b=_xlog1py_by_b)


def _log_ratio(a: Any, b: Any) -> Any:
    """log(a / b), to full accuracy also where a is near b."""
    near = (2 * a > b) & (a < 2 * b)
    difference = where(near, a - b, 0)
    return where(near, log1p(difference / where(near, b, 1)), log(where(near, 1, a)) - log(where(near, 1, b)))


def _rel_entr_by_a(g: Any, a: Any, b: Any) -> Any:
    return g * (_log_ratio(*numbers(g, a, b)) + 1)


def _kl_div_by_a(g: Any, a: Any, b: Any) -> Any:
    return g * _log_ratio(*numbers(g, a, b))


entr = elementwise("special::entr", "x", result="float", x=lambda g, x: -g * (log(x) + 1))
rel_entr = elementwise(
    "special::rel_entr", "a b", result="float", a=_rel_entr_by_a, b=lambda g, a, b: -g * a / b
)
kl_div = elementwise(
    "special::kl_div", "a b", result="float", a=_kl_div_by_a, b=lambda g, a, b: g * ((b - a) / b)
)

# --- losses -------------------------------------------------------------------------------------------------


def _huber_by_r(g: Any, delta: Any, r: Any) -> Any:
    delta, r = numbers(g, delta, r)
    return g * where(abs_(r) <= delta, r, delta * sign(r))


def _huber_by_delta(g: Any, delta: Any, r: Any) -> Any:
    delta, r = numbers(g, delta, r)
    return g * where(abs_(r) <= delta, 0, abs_(r) - delta)


def _pseudo_huber_by_r(g: Any, delta: Any, r: Any) -> Any:
    delta, r = numbers(g, delta, r)
    return g * (r / sqrt(1 + (r / delta) * (r / delta)))


def _pseudo_huber_by_delta(g: Any, delta: Any, r: Any) -> Any:
    delta, r = numbers(g, delta, r)
    u = r / delta
    s = sqrt(1 + u * u)
    v = u * (u / (1 + s))  # s - 1, without the difference
    return g * (delta * v * (v / s))


huber = elementwise("special::huber", "delta r", result="float", delta=_huber_by_delta, r=_huber_by_r)
pseudo_huber = elementwise(
    "special::pseudo_huber", "delta r", result="float", delta=_pseudo_huber_by_delta, r=_pseudo_huber_by_r
)

# --- powers -------------------------------------------------------------------------------------------------

exp10 = elementwise("special::exp10", "x", result="float", x=lambda g, y: g * (y * math.log(10)))
cbrt = elementwise("special::cbrt", "x", result="float", x=lambda g, y: g / (3 * (y * y)))


def _powm1_by_a(g: Any, a: Any, b: Any) -> Any:
    a, b = numbers(g, a, b)
    return g * (b * a ** (b - 1))


def _powm1_by_b(g: Any, a: Any, b: Any) -> Any:
    a, b = numbers(g, a, b)
    return g * xlogy(a**b, a)


powm1 = elementwise("special::powm1", "a b", result="float", a=_powm1_by_a, b=_powm1_by_b)

# --- Box and Cox's transformation ---------------------------------------------------------------------------


def _by_logarithm(g: Any, log_x: Any, lmbda: Any) -> Any:
    """The derivative of (x^λ - 1)/λ in λ: log(x)² times that of `exprel` at λ log(x)."""
    return g * (log_x * log_x) * exprel_slope(lmbda * log_x)


def _boxcox_by_x(g: Any, x: Any, lmbda: Any) -> Any:
    x, lmbda = numbers(g, x, lmbda)
    return g * x ** (lmbda - 1)


def _boxcox_by_lmbda(g: Any, x: Any, lmbda: Any) -> Any:
    x, lmbda = numbers(g, x, lmbda)
    return _by_logarithm(g, log(x), lmbda)


def _boxcox1p_by_x(g: Any, x: Any, lmbda: Any) -> Any:
    x, lmbda = numbers(g, x, lmbda)
    return g * exp((lmbda - 1) * log1p(x))


def _boxcox1p_by_lmbda(g: Any, x: Any, lmbda: Any) -> Any:
    x, lmbda = numbers(g, x, lmbda)
    return _by_logarithm(g, log1p(x), lmbda)


boxcox = elementwise("special::boxcox", "x lmbda", result="float", x=_boxcox_by_x, lmbda=_boxcox_by_lmbda)
boxcox1p = elementwise(
    "special::boxcox1p", "x lmbda", result="float", x=_boxcox1p_by_x, lmbda=_boxcox1p_by_lmbda
)


def _inverse_by_x(g: Any, x: Any, lmbda: Any, power: Any) -> Any:
    # The power is exp(log1p(λx)/λ), its derivative that to the power of 1 - λ: no 0/0 at λ = 0.
    return g * (power / (1 + lmbda * x))


def _inverse_by_lmbda(g: Any, x: Any, lmbda: Any, power: Any) -> Any:
    return g * (power * (x * x) * _log1p_over_slope(lmbda * x))


def _log1p_over_slope(v: Any) -> Any:
    """The derivative of log1p(v)/v, also at 0."""
    from .hypergeometric import hyp2f1

    near = abs_(v) < 0.5
    s, t = where(near, v, 0), where(near, 1, v)
    one = zeros_like(v) + 1
    return where(near, -0.5 * hyp2f1(2 * one, 2 * one, 3 * one, -s), (t / (1 + t) - log1p(t)) / (t * t))


def _inv_boxcox_by_x(g: Any, x: Any, lmbda: Any, y: Any) -> Any:
    x, lmbda = numbers(g, x, lmbda)
    return _inverse_by_x(g, x, lmbda, y)


def _inv_boxcox_by_lmbda(g: Any, x: Any, lmbda: Any, y: Any) -> Any:
    x, lmbda = numbers(g, x, lmbda)
    return _inverse_by_lmbda(g, x, lmbda, y)


def _inv_boxcox1p_by_x(g: Any, x: Any, lmbda: Any, y: Any) -> Any:
    x, lmbda = numbers(g, x, lmbda)
    return _inverse_by_x(g, x, lmbda, 1 + y)


def _inv_boxcox1p_by_lmbda(g: Any, x: Any, lmbda: Any, y: Any) -> Any:
    x, lmbda = numbers(g, x, lmbda)
    return _inverse_by_lmbda(g, x, lmbda, 1 + y)


inv_boxcox = elementwise(
    "special::inv_boxcox", "x lmbda", result="float", x=_inv_boxcox_by_x, lmbda=_inv_boxcox_by_lmbda
)
inv_boxcox1p = elementwise(
    "special::inv_boxcox1p", "x lmbda", result="float", x=_inv_boxcox1p_by_x, lmbda=_inv_boxcox1p_by_lmbda
)

# --- what cancels near 0 ------------------------------------------------------------------------------------


_EXPREL_SLOPE = tuple((k + 1) / math.factorial(k + 2) for k in range(20))
_SINC_SLOPE = tuple((-1) ** (k + 1) * (2 * k + 2) / math.factorial(2 * k + 3) for k in range(14))


def exprel_slope(x: Any) -> Any:
    """The derivative of (exp(x) - 1)/x, without overflow before the function itself."""
    small, large = abs_(x) < 1, x >= 1
    near = horner(_EXPREL_SLOPE, where(small, x, 0))
    t = where(small, 1, x)
    up, down = where(large, t, 1), where(large, -1, t)
    right = exprel(up) * (1 - 1 / up) + 1 / up
    return where(small, near, where(large, right, (exp(down) - exprel(down)) / down))


def _sinc_vjp(g: Any, x: Any, y: Any) -> Any:
    u = math.pi * x
    small = abs_(u) < 1.5
    s = where(small, u, 0)
    t = where(small, 1, u)
    return g * (math.pi * where(small, s * horner(_SINC_SLOPE, s * s), (cos(t) - where(small, 0, y)) / t))


exprel: Op = elementwise("special::exprel", "x", result="float", x=lambda g, x: g * exprel_slope(x))
cosm1 = elementwise("special::cosm1", "x", result="float", x=lambda g, x: -g * sin(x))


#: sin(πx)/(πx)
sinc = elementwise("special::sinc", "x", result="float", x=_sinc_vjp)
