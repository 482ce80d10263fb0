"""Kernels of `plugrad.ops.elementwise` and `compare`, named like the ops: expressions, by template 1."""

from __future__ import annotations

from typing import Any, ClassVar

from ..expressions import Functions as f
from .kernels import elementwise

#: Functions that are kernels as they are.
_PLAIN = (
    "add", "subtract", "multiply", "divide", "negative", "reciprocal", "square", "sqrt", "rsqrt", "hypot", "exp",
    "exp2", "expm1", "log", "log2", "log10", "log1p", "sigmoid", "sin", "cos", "tan", "asin", "acos", "atan",
    "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "floor", "ceil", "trunc", "round",
    "sign", "copysign", "nextafter", "conj", "complex", "sgn", "abs", "equal", "not_equal", "less",
    "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor", "logical_not", "isnan",
    "isinf", "isfinite", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert", "bitwise_left_shift",
    "bitwise_right_shift", "maximum", "minimum", "clamp_min", "clamp_max", "clip",
)  # fmt: skip


class ElementwiseKernels:
    """A family of kernels; the backend inherits them all."""

    device: Any

    for _name in _PLAIN:
        locals()[_name] = elementwise(getattr(f, _name))
    del _name

    where = elementwise(f.where, free=(0,))
    copy = elementwise(lambda x: x)
    zeros_like = elementwise(lambda x: 0)
    positive = elementwise(lambda x: x)
    signbit = elementwise(lambda x: f.less(f.copysign(1, x) if x.dtype.kind == "f" else x, 0))
    _pow = elementwise(f.pow)
    _floor_divide = elementwise(f.floor_divide)
    _remainder = elementwise(f.remainder)
    _trunc_divide = elementwise(f.trunc_divide)
    _cast = elementwise(f.cast)
    _fmod = elementwise(f.fmod)
    _fill = elementwise(lambda value: value)
    _without_end = elementwise(lambda x, end, start: f.where(f.equal(x, end), start, x))
    _fill_complex = elementwise(f.complex)

    _powers: ClassVar[dict[float, str]] = {
        0.5: "_pow_half",
        -1: "_pow_minus_1",
        1: "copy",
        2: "square",
        3: "_pow_3",
    }
    _pow_half = elementwise(lambda x: f.pow(x, 0.5))
    _pow_minus_1 = elementwise(lambda x: f.pow(x, -1))
    _pow_3 = elementwise(lambda x: f.pow(x, 3))

    def pow(self, a: Any, b: Any) -> Any:
        """Powers that are products are computed as such."""
        known = self._powers.get(b) if type(b) in (int, float) else None
        if known is None or (a.dtype.kind not in "fc" and b in (0.5, -1)):
            if type(b) is int and b < 0 and a.dtype.kind in "iu":
                raise RuntimeError(
                    f"Integers to negative integer powers are not allowed: found {b}; use x.float()"
                )
            return self._pow(a, b)
        return getattr(self, known)(a)

    def _checked(self, a: Any, b: Any) -> None:
        """Raise where integers are divided by 0; to look at an array of divisors waits for it."""
        array = b if hasattr(b, "dtype") else a
        if array.dtype.kind in "iub" and (b == 0 if array is a else not self.all_of(b)):
            raise RuntimeError("ZeroDivisionError: division of integers by 0")

    def all_of(self, x: Any) -> bool:
        """Whether no element is 0."""
        return bool(x.get().all())

    def floor_divide(self, a: Any, b: Any) -> Any:
        """`a // b`."""
        self._checked(a, b)
        return self._floor_divide(a, b)

    def remainder(self, a: Any, b: Any) -> Any:
        """`a % b`."""
        self._checked(a, b)
        return self._remainder(a, b)

    def trunc_divide(self, a: Any, b: Any) -> Any:
        """`a / b` without its fraction."""
        self._checked(a, b)
        return self._trunc_divide(a, b)

    def fmod(self, a: Any, b: Any) -> Any:
        """The rest of `trunc_divide`."""
        self._checked(a, b)
        return self._fmod(a, b)
