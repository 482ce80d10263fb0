"""Elliptic integrals, in Legendre's form with the parameter m = k², and in Carlson's.

The derivatives of Legendre's integrals in m are 0/0 at m = 0, and for the complete ones at m = 1. In Carlson's
form they are not: all are values of R_D, whose own derivatives are values of `carlson`.
"""

from __future__ import annotations

import math
from typing import Any

from plugrad.ops import cos, round_, sin, sqrt, where, zeros_like
from plugrad.sdk import Op, elementwise

from ._tools import numbers

# --- Carlson's symmetric integrals --------------------------------------------------------------------------


def _carlson(u: Any, v: Any, w: Any, p: Any, a: float, b: float, c: float, d: float) -> Any:
    """The integral of (t+u)^-a (t+v)^-b (t+w)^-c (t+p)^-d over t > 0, by the trapezoidal rule in log(t).

    The integrand is analytic for |Im log(t)| < π, so steps of 1/2 leave an error of exp(-4π²): less than a
    rounding. It vanishes like a power of t on both sides.
    """
    if not a + b + c + d > 1:
        raise ValueError(
            f"carlson: the exponents {a}, {b}, {c}, {d} must sum to more than 1, or the integral is infinite"
        )
    like = next(e for e in (u, v, w, p) if hasattr(e, "dtype"))
    u, v, w, p = numbers(like, u, v, w, p)
    scale = (u + v + w + p) / 4
    u, v, w, p = u / scale, v / scale, w / scale, p / scale
    total = 0 * (u + v + w + p)
    for step in range(-300, 8 + math.ceil(76 / (a + b + c + d - 1))):
        t = math.exp(0.5 * step)
        total = total + 0.5 * t * ((t + u) ** -a * (t + v) ** -b * (t + w) ** -c * (t + p) ** -d)
    return total * scale ** (1 - a - b - c - d)


#: The common form of Carlson's integrals: their derivatives, and its own, are integrals of this form.
carlson: Op = elementwise(
    "special::carlson", "u v w p | a=0.5 b=0.5 c=0.5 d=0.0", result="float", ordered=True,
    u=lambda g, u, v, w, p, a, b, c, d: -g * (a * carlson(*numbers(g, u, v, w, p), a + 1, b, c, d)),
    v=lambda g, u, v, w, p, a, b, c, d: -g * (b * carlson(*numbers(g, u, v, w, p), a, b + 1, c, d)),
    w=lambda g, u, v, w, p, a, b, c, d: -g * (c * carlson(*numbers(g, u, v, w, p), a, b, c + 1, d)),
    p=lambda g, u, v, w, p, a, b, c, d: -g * (d * carlson(*numbers(g, u, v, w, p), a, b, c, d + 1)),
    default=_carlson,
)  # fmt: skip


def _rf_vjp(g: Any, u: Any, v: Any, w: Any) -> Any:
    """The derivative in w."""
    return -g * (elliprd(*numbers(g, u, v, w)) / 6)


def _rd_by_u(g: Any, u: Any, v: Any, w: Any) -> Any:
    u, v, w = numbers(g, u, v, w)
    return -g * (0.75 * carlson(u, v, w, w, 1.5, 0.5, 1.5, 0.0))


def _rd_by_w(g: Any, u: Any, v: Any, w: Any) -> Any:
    u, v, w = numbers(g, u, v, w)
    return -g * (2.25 * carlson(u, v, w, w, 0.5, 0.5, 2.5, 0.0))


def _rg_vjp(g: Any, u: Any, v: Any, w: Any) -> Any:
    """The derivative in w."""
    u, v, w = numbers(g, u, v, w)
    return g * (0.25 * elliprf(u, v, w) - w * elliprd(u, v, w) / 12)


def _rj_by_u(g: Any, u: Any, v: Any, w: Any, p: Any) -> Any:
    return -g * (0.75 * carlson(*numbers(g, u, v, w, p), 1.5, 0.5, 0.5, 1.0))


def _rj_by_p(g: Any, u: Any, v: Any, w: Any, p: Any) -> Any:
    return -g * (1.5 * carlson(*numbers(g, u, v, w, p), 0.5, 0.5, 0.5, 2.0))


def _rc_by_u(g: Any, u: Any, v: Any) -> Any:
    u, v = numbers(g, u, v)
    return -g * (elliprd(v, v, u) / 6)


def _rc_by_v(g: Any, u: Any, v: Any) -> Any:
    u, v = numbers(g, u, v)
    return -g * (elliprd(u, v, v) / 3)


elliprc = elementwise("special::elliprc", "u v", result="float", ordered=True, u=_rc_by_u, v=_rc_by_v)
elliprf: Op = elementwise(
    "special::elliprf", "u v w", result="float", ordered=True,
    u=lambda g, u, v, w: _rf_vjp(g, v, w, u),
    v=lambda g, u, v, w: _rf_vjp(g, w, u, v),
    w=_rf_vjp,
)  # fmt: skip
elliprd: Op = elementwise(
    "special::elliprd", "u v w", result="float", ordered=True,
    u=_rd_by_u,
    v=lambda g, u, v, w: _rd_by_u(g, v, u, w),
    w=_rd_by_w,
    default=lambda u, v, w: 1.5 * _carlson(u, v, w, w, 0.5, 0.5, 1.5, 0.0),
)  # fmt: skip
elliprg = elementwise(
    "special::elliprg", "u v w", result="float", ordered=True,
    u=lambda g, u, v, w: _rg_vjp(g, v, w, u),
    v=lambda g, u, v, w: _rg_vjp(g, w, u, v),
    w=_rg_vjp,
)  # fmt: skip
elliprj = elementwise(
    "special::elliprj", "u v w p", result="float", ordered=True,
    u=_rj_by_u,
    v=lambda g, u, v, w, p: _rj_by_u(g, v, w, u, p),
    w=lambda g, u, v, w, p: _rj_by_u(g, w, u, v, p),
    p=_rj_by_p,
)  # fmt: skip

# --- complete -----------------------------------------------------------------------------------------------


def _k_slope(p: Any) -> Any:
    """The derivative of K in m, at p = 1 - m."""
    return elliprd(zeros_like(p), zeros_like(p) + 1, p) / 6


def _e_slope(p: Any) -> Any:
    """The derivative of E in m, at p = 1 - m."""
    return -elliprd(zeros_like(p), p, zeros_like(p) + 1) / 6


ellipk = elementwise("special::ellipk", "m", result="float", m=lambda g, m: g * _k_slope(1 - m))
ellipkm1 = elementwise("special::ellipkm1", "p", result="float", p=lambda g, p: -g * _k_slope(p))
ellipe = elementwise("special::ellipe", "m", result="float", m=lambda g, m: g * _e_slope(1 - m))


def _agm_by_a(g: Any, a: Any, b: Any, y: Any) -> Any:
    a, b = numbers(g, a, b)
    r = b / a
    return g * ((y / a) * (y / a) * elliprd(zeros_like(r), r * r, zeros_like(r) + 1) * (2 / (3 * math.pi)))


#: The arithmetic-geometric mean, π/2 by the complete integral of a² and b².
agm = elementwise(
    "special::agm", "a b", result="float",
    a=_agm_by_a,
    b=lambda g, a, b, y: _agm_by_a(g, b, a, y),
)  # fmt: skip

# --- incomplete ---------------------------------------------------------------------------------------------


def _parts(g: Any, phi: Any, m: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Whole half turns of the angle; sine and squared cosine of the rest; 1 - m sin², without cancellation; m."""
    phi, m = numbers(g, phi, m)
    n = round_(phi / math.pi)
    s, c = sin(phi - n * math.pi), cos(phi)
    return n, s, c * c, c * c + (1 - m) * (s * s), m


def _with_half_turns(n: Any, slope: Any, rest: Any) -> Any:
    return rest + where(n == 0, 0, 2 * n * slope)


def _f_by_phi(g: Any, phi: Any, m: Any) -> Any:
    return g / sqrt(_parts(g, phi, m)[3])


def _f_by_m(g: Any, phi: Any, m: Any) -> Any:
    n, s, c2, w, m = _parts(g, phi, m)
    return g * _with_half_turns(n, _k_slope(1 - m), s * s * s * elliprd(c2, zeros_like(c2) + 1, w) / 6)


def _e_by_phi(g: Any, phi: Any, m: Any) -> Any:
    return g * sqrt(_parts(g, phi, m)[3])


def _e_by_m(g: Any, phi: Any, m: Any) -> Any:
    n, s, c2, w, m = _parts(g, phi, m)
    return g * _with_half_turns(n, _e_slope(1 - m), -(s * s * s) * elliprd(c2, w, zeros_like(c2) + 1) / 6)


ellipkinc = elementwise("special::ellipkinc", "phi m", result="float", phi=_f_by_phi, m=_f_by_m)
ellipeinc = elementwise("special::ellipeinc", "phi m", result="float", phi=_e_by_phi, m=_e_by_m)
