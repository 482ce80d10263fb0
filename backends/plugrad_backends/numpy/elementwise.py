"""NumPy kernels of `plugrad.ops.elementwise` and `compare`, named like the ops."""

from __future__ import annotations

from typing import Any

import numpy as np


def _pow(a: Any, b: Any) -> Any:
    # `**` knows cheap ways for the exponents -1, 0, 0.5, 1 and 2, which `np.power` does not take.
    kind = type(b)
    if kind is int or kind is float:
        return a * a * a if b == 3 else a**b
    if _are_integers(a, b) and np.any(np.less(b, 0)):
        small = np.where(np.abs(a) == 1, a ** (b & 1), 0)  # 1 / a**-b, rounded to 0
        return np.where(b < 0, small, a ** np.maximum(b, 0))
    return a**b


def _are_integers(a: Any, b: Any) -> bool:
    return np.result_type(a, b).kind in "iu"


def _checked_division(ufunc: np.ufunc) -> Any:
    """`ufunc`, a division, with an error where integers are divided by 0: NumPy gives 0."""

    def divide(a: Any, b: Any) -> Any:
        if _are_integers(a, b) and not np.all(b):
            raise RuntimeError(f"ZeroDivisionError: {ufunc.__name__} of integers by 0")
        return ufunc(a, b)

    return staticmethod(divide)


def _trunc_divide(a: Any, b: Any) -> Any:
    if not _are_integers(a, b):
        return np.trunc(np.divide(a, b))
    if not np.all(b):
        raise RuntimeError("ZeroDivisionError: division of integers by 0")
    return (a - np.fmod(a, b)) // b


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _angle(x: Any) -> Any:
    if x.dtype.kind == "c":
        return np.arctan2(x.imag, x.real)
    return np.where(x < 0, x.dtype.type(np.pi), np.where(np.isnan(x), x, 0))


def _complex(a: Any, b: Any) -> np.ndarray:
    y = np.empty(np.broadcast(a, b).shape, np.result_type(a, b, np.complex64))
    y.real, y.imag = a, b
    return y


_BOOL = np.dtype(bool)
_BITS = {np.dtype(np.float32): np.dtype(np.int32), np.dtype(np.float64): np.dtype(np.int64)}


def where(condition: Any, a: Any, b: Any) -> Any:
    """`np.where`; in the form of masks, `where(mask, g, 0)`, at half its price: the bits times 0 or 1, so without a branch."""
    if type(b) is int and b == 0 and type(a) is np.ndarray:
        bits = _BITS.get(a.dtype)
        if bits is not None and condition.dtype is _BOOL and condition.shape == a.shape != ():
            return np.multiply(a.view(bits), condition).view(a.dtype)
    return np.where(condition, a, b)


def clip(x: Any, low: Any, high: Any) -> Any:
    """`np.clip` at a third of its price."""
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


class ElementwiseKernels:
    """A family of kernels; the backend inherits them all."""

    zeros_like = staticmethod(np.zeros_like)

    add = np.add
    subtract = np.subtract
    multiply = np.multiply
    divide = np.divide
    negative = np.negative
    reciprocal = np.reciprocal
    floor_divide = _checked_division(np.floor_divide)
    trunc_divide = staticmethod(_trunc_divide)
    remainder = _checked_division(np.remainder)
    fmod = _checked_division(np.fmod)

    pow = staticmethod(_pow)
    square = np.square
    sqrt = np.sqrt
    hypot = np.hypot

    exp = np.exp
    exp2 = np.exp2
    expm1 = np.expm1
    log = np.log
    log2 = np.log2
    log10 = np.log10
    log1p = np.log1p
    logaddexp = np.logaddexp
    sigmoid = staticmethod(_sigmoid)

    sin = np.sin
    cos = np.cos
    tan = np.tan
    asin = np.arcsin
    acos = np.arccos
    atan = np.arctan
    atan2 = np.arctan2
    sinh = np.sinh
    cosh = np.cosh
    tanh = np.tanh
    asinh = np.arcsinh
    acosh = np.arccosh
    atanh = np.arctanh

    floor = np.floor
    ceil = np.ceil
    trunc = np.trunc
    round = staticmethod(np.round)
    sign = np.sign
    copysign = np.copysign
    heaviside = staticmethod(lambda x, values: np.heaviside(x, values).astype(np.result_type(x, values)))

    conj = np.conj
    real = staticmethod(np.real)
    imag = staticmethod(np.imag)
    complex = staticmethod(_complex)
    sgn = np.sign
    abs = np.absolute
    angle = staticmethod(_angle)

    equal = np.equal
    not_equal = np.not_equal
    less = np.less
    less_equal = np.less_equal
    greater = np.greater
    greater_equal = np.greater_equal
    logical_and = np.logical_and
    logical_or = np.logical_or
    logical_xor = np.logical_xor
    logical_not = np.logical_not
    isnan = np.isnan
    isinf = np.isinf
    isfinite = np.isfinite
    signbit = np.signbit
    bitwise_and = np.bitwise_and
    bitwise_or = np.bitwise_or
    bitwise_xor = np.bitwise_xor
    bitwise_invert = np.invert
    bitwise_left_shift = np.left_shift
    bitwise_right_shift = np.right_shift

    where = staticmethod(where)
    maximum = np.maximum
    minimum = np.minimum
    fmax = np.fmax
    fmin = np.fmin
    clip = staticmethod(clip)
    clamp_min = np.maximum
    clamp_max = np.minimum
    nan_to_num = staticmethod(lambda x, nan, posinf, neginf: np.nan_to_num(x, True, nan, posinf, neginf))
