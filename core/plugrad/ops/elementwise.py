"""Element by element: arithmetic, powers, exponentials, trigonometry, rounding, complex numbers.

Where a formula could be written with an input or with the output, it is written with the output: that is
what the graph then keeps, and mostly somebody else keeps it anyway.
"""

from __future__ import annotations

import cmath
import math
from typing import Any

from .. import dtypes
from ..graph import Variable
from ..op import Op, astype, elementwise
from .compare import *  # noqa: F403
from .compare import where

#: Zeros like a cotangent: the derivative of steps. (`g * 0` would make NaN of an infinite cotangent.)
zeros_like = elementwise("zeros_like", "x")

# --- arithmetic ---------------------------------------------------------------------------------------------

add = elementwise("add", "a b", a=lambda g: g, b=lambda g: g)
subtract = elementwise("subtract", "a b", node="SubBackward0", a=lambda g: g, b=lambda g: -g)
#: `b - a`: PyTorch has a node of its own for a number minus a tensor.
rsub = elementwise(
    "rsub", "a b", node="RsubBackward1", a=lambda g: -g, b=lambda g: g, default=lambda a, b: b - a
)
multiply = elementwise("multiply", "a b", node="MulBackward0", a=lambda g, b: g * b, b=lambda g, a: g * a)
divide = elementwise(
    "divide", "a b", result="float", node="DivBackward0", a=lambda g, b: g / b, b=lambda g, b, y: -g * y / b
)
negative = elementwise("negative", "x", node="NegBackward0", x=lambda g: -g)
reciprocal = elementwise("reciprocal", "x", result="float", x=lambda g, y: -g * (y * y))

floor_divide = elementwise(
    "floor_divide", "a b", operands="numbers", node="DivBackward2",
    a=lambda g: zeros_like(g), b=lambda g: zeros_like(g),
)  # fmt: skip
trunc_divide = elementwise(
    "trunc_divide", "a b", operands="numbers", node="DivBackward2",
    a=lambda g: zeros_like(g), b=lambda g: zeros_like(g),
)  # fmt: skip
remainder = elementwise(
    "remainder", "a b", operands="numbers", a=lambda g: g, b=lambda g, a, b: -g * (a // b)
)
fmod = elementwise("fmod", "a b", operands="numbers", a=lambda g: g, b=lambda g, a, b: -g * trunc(a / b))

lerp = elementwise(
    "lerp", "start end weight",
    start=lambda g, weight: g * (1 - weight),
    end=lambda g, weight: g * weight,
    weight=lambda g, start, end: g * (end - start),
    default=lambda start, end, weight: start + weight * (end - start),
)  # fmt: skip
addcmul = elementwise(
    "addcmul", "x a b | value=1",
    x=lambda g: g,
    a=lambda g, b, value: g * b * value,
    b=lambda g, a, value: g * a * value,
    default=lambda x, a, b, value: x + value * a * b,
)  # fmt: skip
addcdiv = elementwise(
    "addcdiv", "x a b | value=1", result="float",
    x=lambda g: g,
    a=lambda g, b, value: g * value / b,
    b=lambda g, a, b, value: -g * value * a / (b * b),
    default=lambda x, a, b, value: x + value * (a / b),
)  # fmt: skip

# --- powers -------------------------------------------------------------------------------------------------


def is_complex(x: Any) -> bool:
    """Whether a raw array or tensor is of complex numbers."""
    return (x._raw if isinstance(x, Variable) else x).dtype in dtypes.COMPLEX


def _dtype(x: Any) -> dtypes.dtype:
    return dtypes.of((x._raw if isinstance(x, Variable) else x).dtype)


def _power_by_base(g: Any, a: Any, b: Any) -> Any:
    if not hasattr(b, "shape"):
        if b == 2:
            return g * a * b
        return zeros_like(g) if b == 0 else g * a ** (b - 1) * b
    # Where b is 0 the power is 1, whatever a is: keep 0 * inf and 0 * nan out.
    return g * (b * where((b == 0) & ~(abs_(a) > 0), 1, a) ** (b - 1.0))


def _power_by_exponent(g: Any, a: Any, b: Any, y: Any) -> Any:
    if is_complex(y):
        a = a + 0j  # so that a negative number has a logarithm
    if hasattr(a, "shape"):
        result = _dtype(y)
        if _dtype(a) != result:  # the logarithm of an int8 would be a float16
            a = astype(a, result)
        return g * (y * log(where((a == 0) & (real(b) >= 0), 1, a)))
    if a == 0:
        return g * where(real(b) >= 0, 0, y * -math.inf)
    return g * (y * (cmath.log(a) if isinstance(a, complex) else math.log(a) if a > 0 else math.nan))


pow_ = elementwise("pow", "a b", operands="numbers", a=_power_by_base, b=_power_by_exponent)
square = elementwise("square", "x", node="PowBackward0", x=lambda g, x: g * (2 * x))
sqrt: Op = elementwise("sqrt", "x", result="float", x=lambda g, y: g / (2 * y))
rsqrt = elementwise(
    "rsqrt", "x", result="float", x=lambda g, y: g * (-0.5 * (y * y * y)), default=lambda x: 1 / sqrt(x)
)
hypot = elementwise(
    "hypot", "a b", result="float", a=lambda g, a, y: g * (a / y), b=lambda g, b, y: g * (b / y)
)

# --- exponentials and logarithms ----------------------------------------------------------------------------

_LN2, _LN10, _ERF_SLOPE = math.log(2), math.log(10), 2 / math.sqrt(math.pi)

exp = elementwise("exp", "x", result="float", x=lambda g, y: g * y)
exp2 = elementwise("exp2", "x", result="float", x=lambda g, y: g * (y * _LN2))
expm1 = elementwise("expm1", "x", result="float", x=lambda g, y: g * (y + 1))
log: Op = elementwise("log", "x", result="float", x=lambda g, x: g / x)
log2 = elementwise("log2", "x", result="float", x=lambda g, x: g / (x * _LN2))
log10 = elementwise("log10", "x", result="float", x=lambda g, x: g / (x * _LN10))
log1p = elementwise("log1p", "x", result="float", node="Log1PBackward0", x=lambda g, x: g / (x + 1))
logaddexp = elementwise(
    "logaddexp",
    "a b",
    result="float",
    a=lambda g, a, b: g * sigmoid(a - b),
    b=lambda g, a, b: g * sigmoid(b - a),
)
sigmoid: Op = elementwise(
    "sigmoid", "x", result="float", x=lambda g, y: g * (y * (1 - y)), default=lambda x: 1 / (1 + exp(-x))
)
erf = elementwise("erf", "x", result="float", x=lambda g, x: g * (_ERF_SLOPE * exp(-x * x)))
erfc = elementwise("erfc", "x", result="float", x=lambda g, x: g * (-_ERF_SLOPE * exp(-x * x)))

# --- trigonometry -------------------------------------------------------------------------------------------


def _square_of_radius(a: Any, b: Any) -> Any:
    """a² + b², but 1 at the origin, where the derivative is 0 by agreement."""
    r2 = a * a + b * b
    return where(r2 == 0, 1, r2)


sin = elementwise("sin", "x", result="float", x=lambda g, x: g * cos(x))
cos: Op = elementwise("cos", "x", result="float", x=lambda g, x: g * -sin(x))
tan = elementwise("tan", "x", result="float", x=lambda g, y: g * (1 + y * y))
asin = elementwise("asin", "x", result="float", x=lambda g, x: g / sqrt(1 - x * x))
acos = elementwise("acos", "x", result="float", x=lambda g, x: -g / sqrt(1 - x * x))
atan = elementwise("atan", "x", result="float", x=lambda g, x: g / (x * x + 1))
atan2 = elementwise(
    "atan2", "a b", result="float",
    a=lambda g, a, b: g * (b / _square_of_radius(a, b)),
    b=lambda g, a, b: g * (-a / _square_of_radius(a, b)),
)  # fmt: skip
sinh = elementwise("sinh", "x", result="float", x=lambda g, x: g * cosh(x))
cosh: Op = elementwise("cosh", "x", result="float", x=lambda g, x: g * sinh(x))
tanh = elementwise("tanh", "x", result="float", x=lambda g, y: g * (1 - y * y))
asinh = elementwise("asinh", "x", result="float", x=lambda g, x: g / sqrt(x * x + 1))
# Two roots: on complex numbers the root of the product would take the other branch.
acosh = elementwise("acosh", "x", result="float", x=lambda g, x: g / (sqrt(x - 1) * sqrt(x + 1)))
atanh = elementwise("atanh", "x", result="float", x=lambda g, x: g / (1 - x * x))

# --- steps --------------------------------------------------------------------------------------------------

floor = elementwise("floor", "x", operands="numbers", x=lambda g: zeros_like(g))
ceil = elementwise("ceil", "x", operands="numbers", x=lambda g: zeros_like(g))
trunc: Op = elementwise("trunc", "x", operands="numbers", x=lambda g: zeros_like(g))
round_ = elementwise("round", "x | decimals=0", operands="numbers", x=lambda g: zeros_like(g))
frac = elementwise("frac", "x", x=lambda g: g, default=lambda x: x - trunc(x))
sign = elementwise("sign", "x", ordered=True, x=lambda g: zeros_like(g))
copysign = elementwise(
    "copysign", "a b", result="float", a=lambda g, a, y: g * sign(a) * sign(y), b=lambda g: zeros_like(g)
)
heaviside = elementwise(
    "heaviside", "x values", x=lambda g: zeros_like(g), values=lambda g, x: where(x == 0, g, 0)
)

# --- complex numbers, and what is not holomorphic: full vjps in PyTorch's convention ------------------------


def _by_direction(g: Any, x: Any, y: Any) -> Any:
    """The vjp of x / |x|: what of g is orthogonal to x, by |x|."""
    if not is_complex(x):
        return zeros_like(g)
    r = abs_(x)
    return where(r == 0, 0, (g - y * real(conj(y) * g)) / where(r == 0, 1, r))


def _by_angle(g: Any, x: Any) -> Any:
    """The vjp of arg(x): i x / |x|²."""
    if not is_complex(x):
        return zeros_like(g)
    return g * (x * 1j / _square_of_radius(real(x), imag(x)))


# `+ 0j` and `* 1j` make a real cotangent complex, as the input is.
real: Op = elementwise(
    "real", "x", node="SelectBackward0", result="own", holomorphic=False, view=True, x=lambda g: g + 0j
)
imag: Op = elementwise(
    "imag", "x", node="SelectBackward0", result="own", holomorphic=False, view=True, x=lambda g: g * 1j
)
conj: Op = elementwise("conj", "x", holomorphic=False, x=lambda g: conj(g))
complex_ = elementwise(
    "complex", "a b", result="own", holomorphic=False, a=lambda g: real(g), b=lambda g: imag(g)
)
sgn: Op = elementwise("sgn", "x", holomorphic=False, x=_by_direction)
abs_: Op = elementwise("abs", "x", result="own", holomorphic=False, x=lambda g, x: g * sgn(x))
angle = elementwise("angle", "x", result="own", holomorphic=False, x=_by_angle)
