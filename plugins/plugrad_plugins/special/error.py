"""The error function's family, and the normal distribution's."""

from __future__ import annotations

import math
from typing import Any

from plugrad.ops import abs_, complex_, cos, erf, exp, imag, real, round_, sin, where
from plugrad.sdk import Op, elementwise

from ._tools import horner, numbers

_ROOT_PI, _ROOT_2PI, _ROOT_HALF = math.sqrt(math.pi), math.sqrt(2 * math.pi), math.sqrt(0.5)

#: (2k + 1)!!
_ODD = tuple(float(math.prod(range(1, 2 * k + 2, 2))) for k in range(16))


def _asymptotic(t: Any) -> Any:
    """The sum of (2k + 1)!! t^k, with t = ±1/(2x²): what the derivatives below tend to for |x| > 10, by x^-2.

    Their plain expressions are there a difference of nearly equal numbers.
    """
    return horner(_ODD, t)


# --- error functions ----------------------------------------------------------------------------------------


def _erfcx_vjp(g: Any, x: Any, y: Any) -> Any:
    large = x > 10
    s = where(large, x, 10)
    far = -_asymptotic(-0.5 / (s * s)) / (_ROOT_PI * (s * s))
    return g * where(large, far, 2 * where(large, 0, x) * where(large, 0, y) - 2 / _ROOT_PI)


def _dawsn_vjp(g: Any, x: Any, y: Any) -> Any:
    large = abs_(x) > 10
    s = where(large, x, 10)
    far = -0.5 * _asymptotic(0.5 / (s * s)) / (s * s)
    return g * where(large, far, 1 - 2 * where(large, 0, x) * where(large, 0, y))


def _wofz_vjp(g: Any, z: Any, y: Any) -> Any:
    return g * _wofz_slope(z, y)


def _wofz_slope(z: Any, w: Any) -> Any:
    large = (abs_(z) > 10) & (imag(z) >= 0)
    s = where(large, z, 10j)
    far = -1j * _asymptotic(0.5 / (s * s)) / (_ROOT_PI * (s * s))
    return where(large, far, (2j / _ROOT_PI) - 2 * where(large, 0, z) * where(large, 0, w))


erfi = elementwise("special::erfi", "x", result="float", x=lambda g, x: g * (2 / _ROOT_PI * exp(x * x)))
erfcx: Op = elementwise("special::erfcx", "x", result="float", ordered=True, x=_erfcx_vjp)
erfinv = elementwise("special::erfinv", "x", result="float", x=lambda g, y: g * (_ROOT_PI / 2 * exp(y * y)))
erfcinv = elementwise(
    "special::erfcinv", "x", result="float", x=lambda g, y: -g * (_ROOT_PI / 2 * exp(y * y))
)
dawsn = elementwise("special::dawsn", "x", result="float", ordered=True, x=_dawsn_vjp)

#: Faddeeva's function, the complex exp(-z²) erfc(-iz).
wofz: Op = elementwise("special::wofz", "z", result="own", z=_wofz_vjp)

# --- Fresnel's integrals ------------------------------------------------------------------------------------


def _half_turns(x: Any) -> Any:
    """πx²/2 less whole turns: in the square of a large x, those would leave no digits for the rest."""
    n = round_(0.5 * x)
    r = x - 2 * n
    p = n * r
    return math.pi / 2 * (r * r + 4 * (p - round_(p)))


fresnel_s = elementwise(
    "special::fresnel_s", "x", result="float", ordered=True, x=lambda g, x: g * sin(_half_turns(x))
)
fresnel_c = elementwise(
    "special::fresnel_c", "x", result="float", ordered=True, x=lambda g, x: g * cos(_half_turns(x))
)

# --- the normal distribution --------------------------------------------------------------------------------


def _log_ndtr_vjp(g: Any, x: Any, y: Any) -> Any:
    # On the left φ/Φ is a quotient of vanishing numbers, of which erfcx knows the limit; on the right erfcx overflows.
    right = x > 0
    s, t, log_phi = where(right, x, 0), where(right, 0, x), where(right, y, 0)
    return g * where(right, exp(-0.5 * (s * s) - log_phi) / _ROOT_2PI, 2 / _ROOT_2PI / erfcx(-_ROOT_HALF * t))


def _ndtri_exp_vjp(g: Any, x: Any, y: Any) -> Any:
    right = y > 0
    s, t, log_p = where(right, y, 0), where(right, 0, y), where(right, x, 0)
    return g * where(right, exp(0.5 * (s * s) + log_p) * _ROOT_2PI, _ROOT_2PI / 2 * erfcx(-_ROOT_HALF * t))


ndtr = elementwise("special::ndtr", "x", result="float", x=lambda g, x: g * (exp(-0.5 * (x * x)) / _ROOT_2PI))
log_ndtr = elementwise("special::log_ndtr", "x", result="float", ordered=True, x=_log_ndtr_vjp)
ndtri = elementwise(
    "special::ndtri", "p", result="float", p=lambda g, y: g * (exp(0.5 * (y * y)) * _ROOT_2PI)
)
#: The inverse of `log_ndtr`.
ndtri_exp = elementwise("special::ndtri_exp", "x", result="float", x=_ndtri_exp_vjp)


def _owens_t_by_h(g: Any, h: Any, a: Any) -> Any:
    h, a = numbers(g, h, a)
    return -g * (exp(-0.5 * (h * h)) * erf(a * h * _ROOT_HALF) / (2 * _ROOT_2PI))


def _owens_t_by_a(g: Any, h: Any, a: Any) -> Any:
    h, a = numbers(g, h, a)
    s = 1 + a * a
    return g * (exp(-0.5 * (h * h) * s) / (2 * math.pi * s))


owens_t = elementwise("special::owens_t", "h a", result="float", h=_owens_t_by_h, a=_owens_t_by_a)

# --- Voigt's profile: the real part of Faddeeva's function at (x + iγ)/(σ√2) --------------------------------


def _voigt_slope(x: Any, sigma: Any, gamma: Any) -> Any:
    """The complex derivative, by √(4π) σ²."""
    z = complex_(x * _ROOT_HALF, gamma * _ROOT_HALF) / sigma
    return _wofz_slope(z, wofz(z)) / (2 * _ROOT_PI * (sigma * sigma))


def _voigt_by_x(g: Any, x: Any, sigma: Any, gamma: Any) -> Any:
    return g * real(_voigt_slope(*_spread(g, x, sigma, gamma)))


def _voigt_by_sigma(g: Any, x: Any, sigma: Any, gamma: Any, y: Any) -> Any:
    x, sigma, gamma = _spread(g, x, sigma, gamma)
    slope = _voigt_slope(x, sigma, gamma)
    return -g * ((y + x * real(slope) - gamma * imag(slope)) / sigma)  # it is homogeneous, of degree -1


def _voigt_by_gamma(g: Any, x: Any, sigma: Any, gamma: Any) -> Any:
    return -g * imag(_voigt_slope(*_spread(g, x, sigma, gamma)))


def _spread(g: Any, *values: Any) -> tuple[Any, ...]:
    values = numbers(g, *values)
    nothing = 0 * sum(values[1:], values[0])
    return tuple(v + nothing for v in values)


voigt_profile = elementwise(
    "special::voigt_profile", "x sigma gamma", result="float",
    x=_voigt_by_x, sigma=_voigt_by_sigma, gamma=_voigt_by_gamma,
)  # fmt: skip
