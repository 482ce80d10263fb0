"""Bessel functions, spherical and modified ones, and those near to them: derivatives in the argument.

In the order there is no formula: a backward that needs it raises. The recurrences are those without a quotient by
x, which are right at 0, too.
"""

from __future__ import annotations

import math
from typing import Any

from plugrad.ops import abs_, exp, sign, where
from plugrad.sdk import Op, elementwise

from ._tools import horner, numbers
from .gamma import rgamma


def _half_difference(op: Any, g: Any, v: Any, x: Any) -> Any:
    """The derivative of J, Y and Hankel's functions."""
    (v,) = numbers(abs_(x), v)  # the order is real, whatever else is complex
    return g * (0.5 * (op(v - 1, x) - op(v + 1, x)))


def _half_sum(op: Any, g: Any, v: Any, x: Any) -> Any:
    """The derivative of I; of K with the other sign."""
    v, x = numbers(g, v, x)
    return g * (0.5 * (op(v - 1, x) + op(v + 1, x)))


_ORDER_1 = tuple((2 * k + 1) / (2 * math.factorial(k) * math.factorial(k + 1)) for k in range(14))


def _order_1(x: Any, y: Any, order_0: Any, sign_: int) -> Any:
    """The derivative of J (sign -1) or I (sign 1) of order 1: near 0 by its series, in place of a quotient by x."""
    near = abs_(x) < 1
    s = where(near, 0.5 * x, 0)
    return where(near, horner(_ORDER_1, sign_ * (s * s)), order_0 - y / where(near, 1, x))


# --- J, Y and H ---------------------------------------------------------------------------------------------

jv: Op = elementwise("special::jv", "v x", result="float", x=lambda g, v, x: _half_difference(jv, g, v, x))
yv: Op = elementwise("special::yv", "v x", result="float", x=lambda g, v, x: _half_difference(yv, g, v, x))
hankel1: Op = elementwise(
    "special::hankel1", "v z", z=lambda g, v, z: _half_difference(hankel1, g, v, z), result="own"
)
hankel2: Op = elementwise(
    "special::hankel2", "v z", z=lambda g, v, z: _half_difference(hankel2, g, v, z), result="own"
)

j0: Op = elementwise("special::j0", "x", result="float", x=lambda g, x: -g * j1(x))
j1: Op = elementwise("special::j1", "x", result="float", x=lambda g, x, y: g * _order_1(x, y, j0(x), -1))
y0: Op = elementwise("special::y0", "x", result="float", x=lambda g, x: -g * y1(x))
y1: Op = elementwise("special::y1", "x", result="float", x=lambda g, x, y: g * (y0(x) - y / x))

# --- I and K, and both scaled by an exponential -------------------------------------------------------------

iv: Op = elementwise("special::iv", "v x", result="float", x=lambda g, v, x: _half_sum(iv, g, v, x))
kv: Op = elementwise("special::kv", "v x", result="float", x=lambda g, v, x: -_half_sum(kv, g, v, x))
i0: Op = elementwise("special::i0", "x", result="float", x=lambda g, x: g * i1(x))
i1: Op = elementwise("special::i1", "x", result="float", x=lambda g, x, y: g * _order_1(x, y, i0(x), 1))
k0: Op = elementwise("special::k0", "x", result="float", x=lambda g, x: -g * k1(x))
k1: Op = elementwise("special::k1", "x", result="float", x=lambda g, x, y: -g * (k0(x) + y / x))

_TERMS = 18


def _far(v: Any, x: Any) -> Any:
    """Where the asymptotic series of the scaled functions has all digits."""
    return x > 40 + v * v


def _scaled_slope(v: Any, x: Any, sign_: int) -> Any:
    """The derivative of exp(-x) I(v, x) √2π (sign -1) or exp(x) K(v, x) √(2/π) (sign 1) for large x, by their series.

    The recurrences give it as a difference of nearly equal numbers.
    """
    term = x ** (-0.5)
    total = -0.5 * term
    for k in range(1, _TERMS):
        term = term * (sign_ * (4 * v * v - (2 * k - 1) ** 2) / (8 * k * x))
        total = total - (k + 0.5) * term
    return total / x


def _ive_vjp(g: Any, v: Any, x: Any, y: Any) -> Any:
    v, x = numbers(g, v, x)
    far = _far(v, abs_(x))
    s, w = where(far, abs_(x), 40), where(far, v, 0)
    # Of a negative x, an integral order alone has a value: that of -x, with the sign of an odd order.
    parity = where(x < 0, 1 - 2 * abs_(v % 2), 1)
    series = sign(x) * parity * _scaled_slope(w, s, -1) / math.sqrt(2 * math.pi)
    near = where(far, 0, x)
    w = where(far, 0, v)
    return g * where(far, series, 0.5 * (ive(w - 1, near) + ive(w + 1, near)) - sign(near) * where(far, 0, y))


def _kve_vjp(g: Any, v: Any, x: Any, y: Any) -> Any:
    v, x = numbers(g, v, x)
    far = _far(v, x)
    series = _scaled_slope(where(far, v, 0), where(far, x, 40), 1) * math.sqrt(math.pi / 2)
    near = where(far, 1, x)
    w = where(far, 0, v)
    return g * where(far, series, where(far, 0, y) - 0.5 * (kve(w - 1, near) + kve(w + 1, near)))


ive: Op = elementwise("special::ive", "v x", result="float", ordered=True, x=_ive_vjp)
kve: Op = elementwise("special::kve", "v x", result="float", ordered=True, x=_kve_vjp)


def _i0e_vjp(g: Any, x: Any, y: Any) -> Any:
    far = _far(0, abs_(x))
    series = sign(x) * _scaled_slope(0, where(far, abs_(x), 40), -1) / math.sqrt(2 * math.pi)
    near = where(far, 0, x)
    return g * where(far, series, i1e(near) - sign(near) * where(far, 0, y))


def _i1e_vjp(g: Any, x: Any, y: Any) -> Any:
    far, small = _far(1, abs_(x)), abs_(x) < 1
    series = _scaled_slope(1, where(far, abs_(x), 42), -1) / math.sqrt(2 * math.pi)
    s = where(small, x, 0)
    by_x = where(small, exp(-abs_(s)) * horner(_ORDER_1, 0.25 * (s * s)), i0e(x) - y / where(small, 1, x))
    return g * where(far, series, by_x - sign(x) * where(far, 0, y))


def _k0e_vjp(g: Any, x: Any, y: Any) -> Any:
    far = _far(0, x)
    series = _scaled_slope(0, where(far, x, 40), 1) * math.sqrt(math.pi / 2)
    return g * where(far, series, where(far, 0, y) - k1e(where(far, 1, x)))


def _k1e_vjp(g: Any, x: Any, y: Any) -> Any:
    far = _far(1, x)
    series = _scaled_slope(1, where(far, x, 40), 1) * math.sqrt(math.pi / 2)
    near, w = where(far, 1, x), where(far, 0, y)
    return g * where(far, series, w - k0e(near) - w / near)


i0e: Op = elementwise("special::i0e", "x", result="float", ordered=True, x=_i0e_vjp)
i1e: Op = elementwise("special::i1e", "x", result="float", ordered=True, x=_i1e_vjp)
k0e: Op = elementwise("special::k0e", "x", result="float", ordered=True, x=_k0e_vjp)
k1e: Op = elementwise("special::k1e", "x", result="float", ordered=True, x=_k1e_vjp)

# --- spherical: the order is an integer, not below 0 --------------------------------------------------------


def _spherical(op: Any, g: Any, n: Any, x: Any, sign_: int) -> Any:
    n, x = numbers(g, n, x)
    below = where(n > 0, n - 1, 0)
    return g * ((where(n > 0, n * op(below, x), 0) + sign_ * (n + 1) * op(n + 1, x)) / (2 * n + 1))


spherical_jn: Op = elementwise(
    "special::spherical_jn", "n x", result="float", x=lambda g, n, x: _spherical(spherical_jn, g, n, x, -1)
)
spherical_yn: Op = elementwise(
    "special::spherical_yn", "n x", result="float", x=lambda g, n, x: _spherical(spherical_yn, g, n, x, -1)
)
spherical_in: Op = elementwise(
    "special::spherical_in", "n x", result="float", x=lambda g, n, x: _spherical(spherical_in, g, n, x, 1)
)
spherical_kn: Op = elementwise(
    "special::spherical_kn", "n x", result="float", x=lambda g, n, x: -_spherical(spherical_kn, g, n, x, 1)
)

# --- Airy, Struve and Wright --------------------------------------------------------------------------------

airy_ai: Op = elementwise("special::airy_ai", "x", result="float", x=lambda g, x: g * airy_ai_prime(x))
airy_ai_prime: Op = elementwise(
    "special::airy_ai_prime", "x", result="float", x=lambda g, x: g * (x * airy_ai(x))
)
airy_bi: Op = elementwise("special::airy_bi", "x", result="float", x=lambda g, x: g * airy_bi_prime(x))
airy_bi_prime: Op = elementwise(
    "special::airy_bi_prime", "x", result="float", x=lambda g, x: g * (x * airy_bi(x))
)


def _inhomogeneity(v: Any, x: Any) -> Any:
    """What sets Struve's functions apart from Bessel's."""
    return (0.5 * x) ** v * rgamma(v + 1.5) / math.sqrt(math.pi)


def _struve_vjp(g: Any, v: Any, x: Any) -> Any:
    v, x = numbers(g, v, x)
    return g * (0.5 * (struve(v - 1, x) - struve(v + 1, x) + _inhomogeneity(v, x)))


def _modstruve_vjp(g: Any, v: Any, x: Any) -> Any:
    v, x = numbers(g, v, x)
    return g * (0.5 * (modstruve(v - 1, x) + modstruve(v + 1, x) + _inhomogeneity(v, x)))


def _wright_bessel_vjp(g: Any, a: Any, b: Any, x: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    return g * wright_bessel(a, a + b, x)


struve: Op = elementwise("special::struve", "v x", result="float", x=_struve_vjp)
modstruve: Op = elementwise("special::modstruve", "v x", result="float", x=_modstruve_vjp)
wright_bessel: Op = elementwise("special::wright_bessel", "a b x", result="float", x=_wright_bessel_vjp)
