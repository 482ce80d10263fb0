"""Elementwise functions of the array API standard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..array import Array
from .devices import as_arrays, checked


def _unary(name: str, kinds: str, doc: str) -> Callable[..., Any]:
    """The function of an array that is the backend's member `name`; `kinds` are those of the dtypes that it takes."""

    def function(x: Any, /) -> Any:
        return getattr(checked(name, kinds, x), name)(x)

    return _named(function, name, doc)


def _binary(name: str, kinds: str, doc: str) -> Callable[..., Any]:
    """The function of two arrays, or of an array and a Python number."""

    def function(x1: Any, x2: Any, /) -> Any:
        functions = checked(name, kinds, x1, x2)
        if type(x1) is complex or type(x2) is complex:
            x1, x2 = as_arrays(x1, x2)
        return getattr(functions, name)(x1, x2)

    return _named(function, name, doc)


def _named(function: Any, name: str, doc: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


abs = _unary("abs", "iufc", "The absolute value; of complex numbers a real array.")
acos = _unary("acos", "fc", "The inverse cosine.")
acosh = _unary("acosh", "fc", "The inverse hyperbolic cosine.")
asin = _unary("asin", "fc", "The inverse sine.")
asinh = _unary("asinh", "fc", "The inverse hyperbolic sine.")
atan = _unary("atan", "fc", "The inverse tangent.")
atanh = _unary("atanh", "fc", "The inverse hyperbolic tangent.")
bitwise_invert = _unary("bitwise_invert", "biu", "Each bit inverted; of bools the other one.")
ceil = _unary("ceil", "biuf", "The smallest whole number that is not below.")
conj = _unary("conj", "iufc", "The complex conjugate.")
cos = _unary("cos", "fc", "The cosine of radians.")
cosh = _unary("cosh", "fc", "The hyperbolic cosine.")
exp = _unary("exp", "fc", "The exponential.")
expm1 = _unary("expm1", "fc", "exp(x) - 1, exact near 0.")
floor = _unary("floor", "biuf", "The greatest whole number that is not above.")
imag = _unary("imag", "fc", "The imaginary part.")
isfinite = _unary("isfinite", "biufc", "Whether elements are neither infinite nor NaN.")
isinf = _unary("isinf", "biufc", "Whether elements are infinite.")
isnan = _unary("isnan", "biufc", "Whether elements are NaN.")
log = _unary("log", "fc", "The natural logarithm.")
log10 = _unary("log10", "fc", "The logarithm to base 10.")
log1p = _unary("log1p", "fc", "log(1 + x), exact near 0.")
log2 = _unary("log2", "fc", "The logarithm to base 2.")
logical_not = _unary("logical_not", "biufc", "Whether elements are 0.")
negative = _unary("negative", "iufc", "The number of the other sign; unsigned integers wrap.")
positive = _unary("positive", "iufc", "The numbers themselves, copied.")
real = _unary("real", "iufc", "The real part.")
reciprocal = _unary("reciprocal", "fc", "1 / x.")
round = _unary("round", "iufc", "The nearest whole number; the even one of two.")
sign = _unary("sign", "iufc", "-1, 0 or 1; of complex numbers x / |x|.")
signbit = _unary("signbit", "f", "Whether the sign is minus, also of 0 and NaN.")
sin = _unary("sin", "fc", "The sine of radians.")
sinh = _unary("sinh", "fc", "The hyperbolic sine.")
sqrt = _unary("sqrt", "fc", "The square root.")
square = _unary("square", "iufc", "x * x.")
tan = _unary("tan", "fc", "The tangent of radians.")
tanh = _unary("tanh", "fc", "The hyperbolic tangent.")
trunc = _unary("trunc", "biuf", "The whole number without the fraction.")

add = _binary("add", "biufc", "The sum.")
atan2 = _binary("atan2", "f", "The angle of the point with coordinates x2 and x1, from -π to π.")
bitwise_and = _binary("bitwise_and", "biu", "The bits that both have.")
bitwise_left_shift = _binary("bitwise_left_shift", "iu", "The bits moved up.")
bitwise_or = _binary("bitwise_or", "biu", "The bits that one has.")
bitwise_right_shift = _binary("bitwise_right_shift", "iu", "The bits moved down; the sign stays.")
bitwise_xor = _binary("bitwise_xor", "biu", "The bits in which the two differ.")
copysign = _binary("copysign", "f", "The size of x1 with the sign of x2.")
divide = _binary("divide", "fc", "The quotient.")
equal = _binary("equal", "biufc", "Whether the two are equal.")
floor_divide = _binary(
    "floor_divide",
    "iuf",
    "The greatest whole number that is not above the quotient; RuntimeError for integers by 0.",
)
greater = _binary("greater", "biuf", "Whether x1 is greater.")
greater_equal = _binary("greater_equal", "biuf", "Whether x1 is greater or equal.")
hypot = _binary("hypot", "f", "The length of the hypotenuse, without overflow.")
less = _binary("less", "biuf", "Whether x1 is less.")
less_equal = _binary("less_equal", "biuf", "Whether x1 is less or equal.")
logaddexp = _binary("logaddexp", "f", "log(exp(x1) + exp(x2)), without overflow.")
logical_and = _binary("logical_and", "biufc", "Whether neither is 0.")
logical_or = _binary("logical_or", "biufc", "Whether one is not 0.")
logical_xor = _binary("logical_xor", "biufc", "Whether just one is not 0.")
maximum = _binary("maximum", "biuf", "The greater one; NaN if one is NaN.")
minimum = _binary("minimum", "biuf", "The smaller one; NaN if one is NaN.")
multiply = _binary("multiply", "biufc", "The product.")
nextafter = _binary("nextafter", "f", "The number next to x1 in the direction of x2.")
not_equal = _binary("not_equal", "biufc", "Whether the two differ.")
pow = _binary("pow", "iufc", "x1 to the power x2.")
remainder = _binary(
    "remainder", "iuf", "The rest of the quotient, with the sign of x2; RuntimeError for integers by 0."
)
subtract = _binary("subtract", "iufc", "The difference.")


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """The nearest number that is neither less than `min` nor greater than `max`; None is no bound."""
    functions = checked("clip", "iuf", *[o for o in (x, min, max) if o is not None])
    if min is None and max is None:
        return functions.copy(x)
    y = functions.clip(x, min, max)
    return y if y.dtype == x.dtype else functions._cast(y, x.dtype)


def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    """`x1` where the condition is true, else `x2`."""
    functions = checked("where", "b", condition)
    checked("where", "biufc", condition, x1, x2)
    if not isinstance(x1, Array) and not isinstance(x2, Array):
        from .creation import asarray

        x1 = asarray(x1, device=condition.device)
    if complex in (type(x1), type(x2)):
        x1, x2 = as_arrays(x1, x2)
    return functions.where(condition, x1, x2)
