"""Exponential, trigonometric and elliptic integrals, the dilogarithm, and Hurwitz's zeta function."""

from __future__ import annotations

from typing import Any

from plugrad.ops import abs_, cos, cosh, exp, log, where, zeros_like
from plugrad.sdk import Op, elementwise

from ._tools import numbers
from .bessel import spherical_in, spherical_jn
from .hypergeometric import hyp2f1

# --- exponential and trigonometric --------------------------------------------------------------------------


def _expn_vjp(g: Any, n: Any, x: Any) -> Any:
    n, x = numbers(g, n, x)
    lowest = n == 0
    s, t = where(lowest, x, 1), where(lowest, 1, x)
    return -g * where(lowest, exp(-s) * (1 + s) / (s * s), expn(where(lowest, 0, n - 1), t))


exp1 = elementwise("special::exp1", "x", result="float", x=lambda g, x: -g * (exp(-x) / x))
expi = elementwise("special::expi", "x", result="float", x=lambda g, x: g * (exp(x) / x))
expn: Op = elementwise("special::expn", "n x", result="float", x=_expn_vjp)

# sin(x)/x and sinh(x)/x as spherical Bessel functions are right at 0, to every order.
si = elementwise(
    "special::si", "x", result="float", ordered=True, x=lambda g, x: g * spherical_jn(zeros_like(x), x)
)
ci = elementwise("special::ci", "x", result="float", ordered=True, x=lambda g, x: g * (cos(x) / x))
shi = elementwise(
    "special::shi", "x", result="float", ordered=True, x=lambda g, x: g * spherical_in(zeros_like(x), x)
)
chi = elementwise("special::chi", "x", result="float", ordered=True, x=lambda g, x: g * (cosh(x) / x))

# --- dilogarithm and zeta -----------------------------------------------------------------------------------


def _spence_vjp(g: Any, x: Any) -> Any:
    near = abs_(x - 1) < 0.5
    s, t = where(near, x, 1), where(near, 2, x)
    one = zeros_like(x) + 1
    return g * where(near, -hyp2f1(one, one, 2 * one, 1 - s), log(t) / (1 - t))


def _zeta_vjp(g: Any, x: Any, q: Any) -> Any:
    x, q = numbers(g, x, q)
    return -g * (x * zeta(x + 1, q))


#: The dilogarithm, as SciPy has it: the integral of log(t)/(1 - t) from 1 to x.
spence = elementwise("special::spence", "x", result="float", ordered=True, x=_spence_vjp)
#: Hurwitz's zeta function; with q = 1 Riemann's.
zeta: Op = elementwise("special::zeta", "x q", result="float", q=_zeta_vjp)
