"""The error function, which array libraries lack: composites.

In float64 these are the rational approximations of W. J. Cody, "Rational Chebyshev approximations for the
error function", Mathematics of Computation 23 (1969). For narrower types one approximation of our own serves
everywhere: a least-squares fit of erf(x) / x in x², relative error 2e-9, calculated in float64 where the device has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import dtypes

# Coefficients by falling powers. |x| <= 0.46875: erf(x) = x P(x²) / Q(x²).
_SMALL = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
# To 4: erfc(x) = exp(-x²) P(x) / Q(x).
_MIDDLE = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
# Beyond: erfc(x) = exp(-x²) / x (1 / √π - t P(t) / Q(t)) with t = 1 / x².
_LARGE = (
    (
        1.63153871373020978e-2,
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ),
    (
        1.0,
        2.56852019228982242e0,
        1.87295284992346725e0,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)
# |x| <= 3.92, for float32: erf(x) = x P(x²) / Q(x²).
_NARROW = (
    (
        -1.279983938932576e-8,
        4.609239858817469e-6,
        3.76759376457802e-4,
        3.838631253055041e-3,
        5.424401536297636e-2,
        1.8513547976184025e-1,
        1.128379169143872,
    ),
    (
        6.23992357896602e-5,
        1.30152722897776e-3,
        1.5430066612111921e-2,
        1.1387384498263322e-1,
        4.974054532765803e-1,
        1.0,
    ),
)
_ROOT_PI = math.sqrt(math.pi)


class SpecialComposites:
    """A family of composites."""

    def erf(self: Any, x: Any) -> Any:
        """The error function of floating-point numbers, to 2e-16 in float64 and the last place in float32."""
        dt = check_real(x, "erf")
        if dt is not dtypes.float64:
            z = self.clip(self._widened(x), -3.92, 3.92)
            return self.astype(z * _ratio(z * z, _NARROW), dt)
        size = self.abs(x)
        small = size <= 0.46875
        return self.where(
            small, _small_erf(self.where(small, x, 0.0)), self.copysign(1 - _erfc_of_large(self, size), x)
        )

    def erfc(self: Any, x: Any) -> Any:
        """1 - erf(x), with a small relative error also where that is tiny."""
        dt = check_real(x, "erfc")
        x = self._widened(x)
        size = self.abs(x)
        small = size <= 0.46875
        tail = _erfc_of_large(self, size)
        large = self.where(x < 0, 2 - tail, tail)
        return self.astype(self.where(small, 1 - _small_erf(self.where(small, x, 0.0)), large), dt)

    def _widened(self: Any, x: Any) -> Any:
        return self.astype(x, dtypes.float64 if dtypes.float64 in self.dtypes else dtypes.float32)


def check_real(x: Any, asked: str) -> dtypes.dtype:
    """The dtype of `x`; raises for complex numbers."""
    dt = dtypes.of(x.dtype)
    if dt.is_complex:
        raise NotImplementedError(
            f"{asked} is not implemented for complex numbers, found {dt}: take .real or .imag first"
        )
    return dt


def _small_erf(x: Any) -> Any:
    return x * _ratio(x * x, _SMALL)


def _erfc_of_large(backend: Any, x: Any) -> Any:
    """erfc of x >= 0.46875; any number for smaller ones."""
    x = backend.clip(x, 0.46875, 28.0)  # beyond 28 the result is 0
    # exp(-x²) with x² split in two, since exp magnifies the rounding error of x².
    head = backend.floor(x * 16) / 16
    bell = backend.exp(-head * head) * backend.exp(-(x - head) * (x + head))
    t = 1 / (x * x)
    return bell * backend.where(x <= 4, _ratio(x, _MIDDLE), (1 / _ROOT_PI - t * _ratio(t, _LARGE)) / x)


def _ratio(x: Any, polynomials: tuple[Sequence[float], Sequence[float]]) -> Any:
    upper, lower = polynomials
    return _horner(x, upper) / _horner(x, lower)


def _horner(x: Any, coefficients: Sequence[float]) -> Any:
    y = coefficients[0] * x + coefficients[1]
    for c in coefficients[2:]:
        y = y * x + c
    return y
