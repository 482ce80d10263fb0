"""Kernels of `plugrad.ops.elementwise` and `compare`, named like the ops: CuPy's ufuncs, and what these lack."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from . import sync

#: CuPy's functions that mean what the ops mean.
ALIKE = {
    "add": "add", "subtract": "subtract", "multiply": "multiply", "divide": "true_divide", "negative": "negative",
    "square": "square", "sqrt": "sqrt", "hypot": "hypot", "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log",
    "log2": "log2", "log10": "log10", "log1p": "log1p", "logaddexp": "logaddexp", "sin": "sin", "cos": "cos",
    "tan": "tan", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "sinh": "sinh",
    "cosh": "cosh", "tanh": "tanh", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "floor": "floor",
    "ceil": "ceil", "trunc": "trunc", "sign": "sign", "sgn": "sign", "copysign": "copysign", "abs": "absolute",
    "equal": "equal", "not_equal": "not_equal", "less": "less", "less_equal": "less_equal", "greater": "greater",
    "greater_equal": "greater_equal", "logical_and": "logical_and", "logical_or": "logical_or",
    "logical_xor": "logical_xor", "isnan": "isnan", "isinf": "isinf", "isfinite": "isfinite", "signbit": "signbit",
    "bitwise_and": "bitwise_and", "bitwise_or": "bitwise_or", "bitwise_xor": "bitwise_xor",
    "bitwise_invert": "invert", "maximum": "maximum", "minimum": "minimum", "fmax": "fmax", "fmin": "fmin",
    "clamp_min": "maximum", "clamp_max": "minimum", "conj": "conj",
}  # fmt: skip


def _kind(*operands: Any) -> str:
    """The kind of dtype that operands of one dtype have, numbers among them left out: 'b', 'i', 'u', 'f', 'c'."""
    kind = next(o.dtype.kind for o in operands if hasattr(o, "dtype"))
    return "f" if kind == "V" else kind  # bfloat16


class ElementwiseKernels:
    """A family of kernels; the backend inherits them all."""

    xp: ClassVar[Any]

    def zeros_like(self, x: Any) -> Any:
        return self.xp.zeros(x.shape, x.dtype)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        y = self.xp.where(condition, a, b)
        dtype = (a if hasattr(a, "dtype") else b).dtype
        return y if y.dtype == dtype else y.astype(dtype)  # CuPy's has no bfloat16

    def logical_not(self, x: Any) -> Any:
        return x == 0 if x.dtype.kind in "cV" else self.xp.logical_not(x)

    def pow(self, a: Any, b: Any) -> Any:
        if type(b) in (int, float):  # cheaper, and as exact as PyTorch's, which does the same
            if b == 2:
                return self.xp.square(a)
            if b == 3:
                return a * a * a
            if b == 1:
                return a.copy()
            if b == 0.5 and _kind(a) in "fc":
                return self.xp.sqrt(a)
            if b == -1 and _kind(a) in "fc":
                return 1 / a
        return self.xp.power(a, b)

    def reciprocal(self, x: Any) -> Any:
        return 1 / x

    # --- divisions: CuPy gives 0 for integers by 0, and rounds the quotient of floats before it takes its floor ---------

    def _check_divisor(self, asked: str, a: Any, b: Any) -> bool:
        """Whether the operands are integers; raises where one is divided by 0."""
        if _kind(a, b) not in "biu":
            return False
        if hasattr(b, "dtype"):
            sync.note(f"{asked} of integers, which looks for a divisor of 0")
            is_zero = bool((b == 0).any())
        else:
            is_zero = b == 0
        if is_zero:
            raise RuntimeError(f"ZeroDivisionError: {asked} of integers by 0")
        return True

    def fmod(self, a: Any, b: Any) -> Any:
        if not self._check_divisor("fmod", a, b):
            return self.xp.fmod(a, b)
        return self._fmod_of_integers(a, b)

    def _fmod_of_integers(self, a: Any, b: Any) -> Any:
        rest = self.xp.remainder(a, b)  # CuPy's fmod of integers goes by way of float64
        if _kind(rest) == "u":
            return rest
        return self.where((rest != 0) & (self.xp.less(a, 0) != self.xp.less(b, 0)), rest - b, rest)

    def remainder(self, a: Any, b: Any) -> Any:
        if self._check_divisor("remainder", a, b):
            return self.xp.remainder(a, b)
        rest = self.xp.fmod(a, b)
        return self.where((rest != 0) & ((rest < 0) != self.xp.less(b, 0)), rest + b, rest)

    def floor_divide(self, a: Any, b: Any) -> Any:
        if self._check_divisor("floor_divide", a, b):
            return self.xp.floor_divide(a, b)
        rest = self.xp.fmod(a, b)
        whole = self.xp.rint((a - rest) / b)
        whole = whole - ((rest != 0) & ((rest < 0) != self.xp.less(b, 0))).astype(whole.dtype)
        return self.where(self.xp.equal(b, 0) & (rest != rest), a / b, whole)

    def trunc_divide(self, a: Any, b: Any) -> Any:
        if self._check_divisor("trunc_divide", a, b):
            return self.xp.floor_divide(a - self._fmod_of_integers(a, b), b)
        return self.xp.trunc(a / b)

    # --- the rest -------------------------------------------------------------------------------------------------------

    def round(self, x: Any, decimals: int = 0) -> Any:
        return self.xp.round(x, decimals)

    def heaviside(self, x: Any, values: Any) -> Any:
        return self.xp.heaviside(x, values).astype((x if hasattr(x, "dtype") else values).dtype)

    def real(self, x: Any) -> Any:
        return x.real if x.dtype.kind == "c" else x

    def imag(self, x: Any) -> Any:
        return x.imag if x.dtype.kind == "c" else self.zeros_like(x)

    def complex(self, a: Any, b: Any) -> Any:
        like = a if hasattr(a, "dtype") else b
        y = self.xp.empty(
            np.broadcast_shapes(*(getattr(o, "shape", ()) for o in (a, b))), f"c{2 * like.itemsize}"
        )
        y.real[...], y.imag[...] = a, b
        return y

    def angle(self, x: Any) -> Any:
        if x.dtype.kind == "c":
            return self.xp.arctan2(x.imag, x.real)
        return self.where(x < 0, math.pi, self.where(x != x, x, 0))

    def clip(self, x: Any, low: Any, high: Any) -> Any:
        if low is not None:
            x = self.xp.maximum(x, low)
        return x if high is None else self.xp.minimum(x, high)

    # A shift by as many bits as there are, or by fewer than none, is not defined in C.

    def bitwise_left_shift(self, a: Any, b: Any) -> Any:
        bits = 8 * (a if hasattr(a, "dtype") else b).itemsize
        inside = (b >= 0) & (b < bits)
        if not hasattr(b, "dtype"):
            return self.xp.left_shift(a, b) if inside else self.zeros_like(a)
        return self.where(inside, self.xp.left_shift(a, self.where(inside, b, 0)), 0)

    def bitwise_right_shift(self, a: Any, b: Any) -> Any:
        like = a if hasattr(a, "dtype") else b
        bits, inside = 8 * like.itemsize, (b >= 0) & (b < 8 * like.itemsize)
        if like.dtype.kind == "u":
            if not hasattr(b, "dtype"):
                return self.xp.right_shift(a, b) if inside else self.zeros_like(a)
            return self.where(inside, self.xp.right_shift(a, self.where(inside, b, 0)), 0)
        if not hasattr(b, "dtype"):
            return self.xp.right_shift(a, b if inside else bits - 1)
        return self.xp.right_shift(a, self.where(inside, b, bits - 1))
