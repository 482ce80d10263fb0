"""Composites of `plugrad.ops.elementwise` and `compare`."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .. import dtypes


def category(x: Any) -> int:
    """BOOL, INTEGER, FLOAT or COMPLEX_."""
    return dtypes.of(x.dtype).category


def limits(x: Any) -> tuple[float, float]:
    """The least and the greatest number of the dtype of a float array."""
    dt = dtypes.of(x.dtype)
    if dt is dtypes.bfloat16:
        return -3.3895313892515355e38, 3.3895313892515355e38
    info = np.finfo(dt.numpy)
    return float(info.min), float(info.max)


def _by(function: Any) -> Any:
    """The composite that is one of Python's operators."""
    return lambda self, *operands: function(*operands)


def _array(*operands: Any) -> Any:
    """The first of the operands that is an array."""
    return next(o for o in operands if hasattr(o, "dtype"))


def _of_reals(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The composite, refusing complex numbers, of which it is not true."""

    @wraps(kernel)
    def checked(self: Any, *operands: Any) -> Any:
        if any(hasattr(x, "dtype") and _is_complex(x) for x in operands):
            raise NotImplementedError(
                f"device {self.device_type!r} has no {kernel.__name__!r} of complex numbers"
            )
        return kernel(self, *operands)

    return checked


class ElementwiseComposites:
    """A family of composites."""

    def zeros_like(self: Any, x: Any) -> Any:
        return self.zeros(tuple(x.shape), dtypes.of(x.dtype))

    # --- comparison, logic and bits: Python's operators -----------------------------------------------------------

    not_equal, less_equal = _by(operator.ne), _by(operator.le)
    greater, greater_equal = _by(operator.gt), _by(operator.ge)
    bitwise_and, bitwise_or, bitwise_xor = _by(operator.and_), _by(operator.or_), _by(operator.xor)
    bitwise_left_shift, bitwise_right_shift = _by(operator.lshift), _by(operator.rshift)
    bitwise_invert = _by(operator.invert)

    def _truth(self: Any, x: Any) -> Any:
        if not hasattr(x, "dtype"):
            return bool(x)
        return x if category(x) == dtypes.BOOL else self.logical_not(self.logical_not(x))

    def logical_and(self: Any, a: Any, b: Any) -> Any:
        return self._truth(a) & self._truth(b)

    def logical_or(self: Any, a: Any, b: Any) -> Any:
        return self._truth(a) | self._truth(b)

    def logical_xor(self: Any, a: Any, b: Any) -> Any:
        return self._truth(a) ^ self._truth(b)

    def isnan(self: Any, x: Any) -> Any:
        return x != x

    def isinf(self: Any, x: Any) -> Any:
        if category(x) < dtypes.FLOAT:
            return x != x
        return (
            self.isinf(self.real(x)) | self.isinf(self.imag(x)) if _is_complex(x) else self.abs(x) == math.inf
        )

    def isfinite(self: Any, x: Any) -> Any:
        if category(x) < dtypes.FLOAT:
            return x == x
        if _is_complex(x):
            return self.isfinite(self.real(x)) & self.isfinite(self.imag(x))
        return self.abs(x) < math.inf

    @_of_reals
    def signbit(self: Any, x: Any) -> Any:
        if category(x) == dtypes.BOOL:
            return x != x
        if category(x) == dtypes.INTEGER:
            return x < 0
        return self.where(x == 0, 1 / x, x) < 0  # 1 / -0.0 is -inf

    # --- the greater, the smaller, within bounds --------------------------------------------------------------------

    @_of_reals
    def minimum(self: Any, a: Any, b: Any) -> Any:
        x = _array(a, b)
        if category(x) == dtypes.BOOL:
            return self.logical_and(a, b)
        a, b = self._both(a, b, x)
        return self.where((a <= b) | (a != a), a, b)

    @_of_reals
    def fmax(self: Any, a: Any, b: Any) -> Any:
        a, b = self._both(a, b, _array(a, b))
        return self.where(b != b, a, self.where(a != a, b, self.maximum(a, b)))

    @_of_reals
    def fmin(self: Any, a: Any, b: Any) -> Any:
        a, b = self._both(a, b, _array(a, b))
        return self.where(b != b, a, self.where(a != a, b, self.minimum(a, b)))

    def _both(self: Any, a: Any, b: Any, like: Any) -> tuple[Any, Any]:
        """Two operands, of which one may be a number, as arrays."""
        dt = dtypes.of(like.dtype)
        return tuple(o if hasattr(o, "dtype") else self.full((), o, dt) for o in (a, b))

    def clip(self: Any, x: Any, low: Any, high: Any) -> Any:
        if low is not None:
            x = self.maximum(x, low)
        return x if high is None else self.minimum(x, high)

    def nan_to_num(self: Any, x: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
        if category(x) < dtypes.FLOAT:
            return self.copy(x)
        if _is_complex(x):
            return self.complex(
                *(self.nan_to_num(part, nan, posinf, neginf) for part in (self.real(x), self.imag(x)))
            )
        least, greatest = limits(x)
        x = self.where(x == math.inf, greatest if posinf is None else posinf, x)
        x = self.where(x == -math.inf, least if neginf is None else neginf, x)
        return self.where(x != x, 0.0 if nan is None else nan, x)

    # --- arithmetic -------------------------------------------------------------------------------------------------

    def reciprocal(self: Any, x: Any) -> Any:
        return 1 / x

    def square(self: Any, x: Any) -> Any:
        return x * x

    @_of_reals
    def hypot(self: Any, a: Any, b: Any) -> Any:
        a, b = self.abs(a), self.abs(b)
        large, small = self.maximum(a, b), self.minimum(a, b)
        ratio = small / self.where((large == 0) | (large == math.inf), 1.0, large)
        y = large * self.sqrt(1 + ratio * ratio)
        return self.where((a == math.inf) | (b == math.inf), math.inf, y)

    def _check_divisor(self: Any, a: Any, b: Any) -> None:
        """Raise where integers are divided by 0."""
        if category(_array(a, b)) >= dtypes.FLOAT:
            return
        if (not hasattr(b, "dtype") and b == 0) or (hasattr(b, "dtype") and self.to_numpy(b == 0).any()):
            raise RuntimeError("ZeroDivisionError: division of integers by 0")

    @_of_reals
    def floor_divide(self: Any, a: Any, b: Any) -> Any:
        self._check_divisor(a, b)
        return a // b

    @_of_reals
    def remainder(self: Any, a: Any, b: Any) -> Any:
        self._check_divisor(a, b)
        return a % b

    @_of_reals
    def trunc_divide(self: Any, a: Any, b: Any) -> Any:
        self._check_divisor(a, b)
        if category(_array(a, b)) == dtypes.FLOAT:
            return self.trunc(a / b)
        return (a - self.fmod(a, b)) // b

    @_of_reals
    def fmod(self: Any, a: Any, b: Any) -> Any:
        self._check_divisor(a, b)
        a, b = self._both(a, b, _array(a, b))
        if category(a) != dtypes.FLOAT:  # the least integer has no absolute value
            rest = a % b
            return self.where((rest != 0) & ((a < 0) != (b < 0)), rest - b, rest)
        size = self.abs(a) % self.abs(b)
        size = self.where((self.abs(b) == math.inf) & (self.abs(a) < math.inf), self.abs(a), size)
        return self.where(a < 0, -size, size)

    # --- steps ------------------------------------------------------------------------------------------------------

    @_of_reals
    def ceil(self: Any, x: Any) -> Any:
        return -self.floor(-x) if category(x) == dtypes.FLOAT else x

    @_of_reals
    def trunc(self: Any, x: Any) -> Any:
        if category(x) < dtypes.FLOAT:
            return x
        return self.where(x < 0, self.ceil(x), self.floor(x))

    def round(self: Any, x: Any, decimals: int = 0) -> Any:
        if _is_complex(x):
            return self.complex(self.round(self.real(x), decimals), self.round(self.imag(x), decimals))
        if category(x) < dtypes.FLOAT and decimals >= 0:
            return x
        if decimals:
            scale = 10.0 ** abs(decimals)
            return self.round(x * scale) / scale if decimals > 0 else self.round(x / scale) * scale
        size = self.abs(x)
        low = self.floor(size)
        rest, is_odd = size - low, low - 2 * self.floor(low / 2)
        up = (rest > 0.5) | ((rest == 0.5) & (is_odd == 1))  # a half goes to the even neighbour
        low = self.where(size == math.inf, size, self.where(up, low + 1, low))
        return self.copysign(low, x)

    @_of_reals
    def copysign(self: Any, a: Any, b: Any) -> Any:
        a, b = self._both(a, b, _array(a, b))
        return self.where(self.signbit(b), -self.abs(a), self.abs(a))

    @_of_reals
    def heaviside(self: Any, x: Any, values: Any) -> Any:
        x, values = self._both(x, values, _array(x, values))
        step = self.where(x < 0, 0, self.where(x > 0, self.zeros_like(x) + 1, x))
        return self.where(x == 0, values, step)

    # --- exponentials and logarithms --------------------------------------------------------------------------------

    def exp2(self: Any, x: Any) -> Any:
        return self.pow(2.0, x)

    def log2(self: Any, x: Any) -> Any:
        return self.log(x) * (1 / math.log(2))

    def log10(self: Any, x: Any) -> Any:
        return self.log(x) * (1 / math.log(10))

    # Kahan: the rounding errors of u and of its logarithm cancel.

    def expm1(self: Any, x: Any) -> Any:
        u = self.exp(x)
        near = (u != 1) & (self.abs(x) < 1)
        y = (u - 1) * x / self.where(near, self.log(self.where(near, u, 2.0)), 1.0)
        return self.where(near, y, self.where(u == 1, x, u - 1))

    def log1p(self: Any, x: Any) -> Any:
        u = 1 + x
        near = (u != 1) & (self.abs(x) < 1) & (u != 0)
        y = self.log(u) * x / self.where(near, u - 1, 1.0)
        return self.where(near, y, self.where(u == 1, x, self.log(u)))

    @_of_reals
    def logaddexp(self: Any, a: Any, b: Any) -> Any:
        alike = a == b  # so are two infinities
        gap = self.abs(self.where(alike, 0.0, a - b))
        return self.maximum(a, b) + self.log1p(self.exp(-gap))

    # --- trigonometry ------------------------------------------------------------------------------------------------

    def tan(self: Any, x: Any) -> Any:
        return self.sin(x) / self.cos(x)

    @_of_reals
    def atan(self: Any, x: Any) -> Any:
        size = self.abs(x)
        inverted = size > 1
        t = 1 / self.where(inverted, size, 1.0)
        t = self.where(inverted, t, size)
        y = t / (1 + 0.28 * t * t)  # to 0.005; each step squares the error and more
        for _ in range(3):
            s, c = self.sin(y), self.cos(y)
            y = y - (s - t * c) / (c + t * s)
        y = self.where(inverted, math.pi / 2 - y, y)
        return self.where(size < 1e-4, x - x * x * x / 3, self.where(x < 0, -y, y))

    @_of_reals
    def atan2(self: Any, a: Any, b: Any) -> Any:
        a, b = self._both(a, b, _array(a, b))
        far = (self.abs(a) == math.inf) & (self.abs(b) == math.inf)
        small = self.abs(a) <= self.abs(b)
        top, bottom = self.where(small, self.abs(a), self.abs(b)), self.where(small, self.abs(b), self.abs(a))
        ratio = self.where(far, 1.0, top / self.where(bottom == 0, 1.0, bottom))
        y = self.atan(ratio)
        y = self.where(small, y, math.pi / 2 - y)
        y = self.where(self.signbit(b), math.pi - y, y)
        y = self.where(self.signbit(a), -y, y)
        return self.where((a != a) | (b != b), math.nan, y)

    @_of_reals
    def asin(self: Any, x: Any) -> Any:
        return self.atan2(x, self.sqrt((1 - x) * (1 + x)))

    @_of_reals
    def acos(self: Any, x: Any) -> Any:
        return 2 * self.atan2(self.sqrt(1 - x), self.sqrt(1 + x))

    @_of_reals
    def sinh(self: Any, x: Any) -> Any:
        t = self.expm1(self.abs(x) * 1.0)
        large = self.abs(x) > 20
        half = self.exp(self.abs(x) - math.log(2))  # no overflow before the result's
        y = self.where(large, half, 0.5 * (t + t / (t + 1)))
        return self.where(x < 0, -y, self.where(x == 0, x, y))

    @_of_reals
    def cosh(self: Any, x: Any) -> Any:
        size = self.abs(x)
        return self.where(size > 20, self.exp(size - math.log(2)), 0.5 * (self.exp(size) + self.exp(-size)))

    @_of_reals
    def asinh(self: Any, x: Any) -> Any:
        size = self.abs(x)
        large = size > 1e4
        small = self.where(large, 1.0, size)
        y = self.log1p(small + small * small / (1 + self.sqrt(small * small + 1)))
        y = self.where(large, self.log(size) + math.log(2), y)
        return self.where(x < 0, -y, self.where(x == 0, x, y))

    @_of_reals
    def acosh(self: Any, x: Any) -> Any:
        large = x > 1e4
        t = self.where(large, 2.0, x) - 1
        y = self.where(large, self.log(x) + math.log(2), self.log1p(t + self.sqrt(2 * t + t * t)))
        return self.where(x < 1, math.nan, y)  # the root of large squares rounds to -t

    @_of_reals
    def atanh(self: Any, x: Any) -> Any:
        return 0.5 * self.log1p(2 * x / (1 - x))

    # --- complex numbers: a device that has them defines `real`, `imag` and `complex` itself ----------------------------

    @_of_reals
    def real(self: Any, x: Any) -> Any:
        return x

    def conj(self: Any, x: Any) -> Any:
        return self.complex(self.real(x), -self.imag(x)) if _is_complex(x) else x

    def sgn(self: Any, x: Any) -> Any:
        if not _is_complex(x):
            return self.sign(x)
        size = self.abs(x)
        return self.where(size == 0, x, x / self.where(size == 0, 1.0, size))

    def angle(self: Any, x: Any) -> Any:
        if _is_complex(x):
            return self.atan2(self.imag(x), self.real(x))
        return self.where(x < 0, math.pi, self.where(x != x, x, self.zeros_like(x)))


def _is_complex(x: Any) -> bool:
    return category(x) == dtypes.COMPLEX_
