"""Functions of complex numbers, as expressions of their real and imaginary parts."""

from __future__ import annotations

from typing import Any

from .expr import BOOL, Expr, Pair, const


def _call(name: str, *args: Any) -> Any:
    return Expr("call", (name, *args), args[0].dtype)


def _select(condition: Any, a: Any, b: Any) -> Any:
    return Expr("select", (condition, a, b), a.dtype)


def _is(op: str, a: Any, b: Any) -> Any:
    return Expr(op, (a, b if isinstance(b, Expr) else const(b, a.dtype)), BOOL)


def multiply(a: Any, b: Any) -> Pair:
    """`a * b` by its definition."""
    return Pair(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)


def divide(a: Any, b: Any) -> Pair:
    """`a / b` after Smith (1962), which does not overflow where the result does not."""
    wide = _is(">=", _call("fabs", b.re), _call("fabs", b.im))
    large, small = _select(wide, b.re, b.im), _select(wide, b.im, b.re)
    ratio = _select(_is("==", large, 0), small, small / large)  # 0 / 0: then everything is divided by 0 below
    scale = large + small * ratio
    re = _select(wide, a.re + a.im * ratio, a.re * ratio + a.im)
    im = _select(wide, a.im - a.re * ratio, a.im * ratio - a.re)
    return Pair(re / scale, im / scale)


def exp(x: Any) -> Pair:
    """exp(re) · (cos im + i sin im); of a real number it stays real."""
    size, real = _call("exp", x.re), _is("==", x.im, 0)
    still = _is("==", size, 0)  # also where the angle is infinite
    re = _select(still, const(0, x.re.dtype), size * _call("cos", x.im))
    im = _select(still, const(0, x.re.dtype), size * _call("sin", x.im))
    return Pair(_select(real, size, re), _select(real, x.im, im))


def log(x: Any) -> Pair:
    """log|x| + i arg x."""
    return Pair(_call("log", _call("hypot", x.re, x.im)), _call("atan2", x.im, x.re))


def sqrt(x: Any) -> Pair:
    """The root in the right half plane."""
    half = const(0.5, x.re.dtype)
    # Of the two halves the larger one first, without cancellation.
    t = _call("sqrt", half * (_call("fabs", x.re) + _call("hypot", x.re, x.im)))
    u = _select(_is("==", t, 0), t, half * _call("fabs", x.im) / t)
    right = _is(">=", x.re, 0)
    return Pair(_select(right, t, u), _call("copysign", _select(right, u, t), x.im))


def pow(a: Any, b: Any) -> Pair:
    """exp(b · log a); 0 to a positive power is 0, and anything to the power 0 is 1."""
    y = exp(multiply(b, log(a)))
    zero = const(0, a.re.dtype)
    nothing = _is("==", a.re, 0) & _is("==", a.im, 0)
    one = _is("==", b.re, 0) & _is("==", b.im, 0)
    re, im = _select(nothing, zero, y.re), _select(nothing, zero, y.im)
    return Pair(_select(one, const(1, a.re.dtype), re), _select(one, zero, im))


def sin(x: Any) -> Pair:
    """sin re · cosh im + i cos re · sinh im."""
    return Pair(_call("sin", x.re) * _call("cosh", x.im), _call("cos", x.re) * _call("sinh", x.im))


def cos(x: Any) -> Pair:
    """cos re · cosh im - i sin re · sinh im."""
    return Pair(_call("cos", x.re) * _call("cosh", x.im), -(_call("sin", x.re) * _call("sinh", x.im)))


def tan(x: Any) -> Pair:
    """-i tanh(i x)."""
    y = tanh(Pair(-x.im, x.re))
    minus: Any = y.re
    return Pair(y.im, -minus)


def sinh(x: Any) -> Pair:
    """sinh re · cos im + i cosh re · sin im."""
    return Pair(_call("sinh", x.re) * _call("cos", x.im), _call("cosh", x.re) * _call("sin", x.im))


def cosh(x: Any) -> Pair:
    """cosh re · cos im + i sinh re · sin im."""
    return Pair(_call("cosh", x.re) * _call("cos", x.im), _call("sinh", x.re) * _call("sin", x.im))


def tanh(x: Any) -> Pair:
    """After Kahan (1987): with t = tan im, (β ρ s + i t) / (1 + β s²); ±1 far out, where s² would overflow."""
    t, s = _call("tan", x.im), _call("sinh", x.re)
    beta = 1 + t * t
    rho = _call("sqrt", 1 + s * s)
    scale = 1 + beta * s * s
    far = _is(">", _call("fabs", x.re), 20.0)
    one = _call("copysign", const(1, x.re.dtype), x.re)
    return Pair(_select(far, one, beta * rho * s / scale), _select(far, t * 0, t / scale))


# --- inverse functions, after Kahan (1987): the signs of zeros choose the side of a branch cut ------------------------


def _roots(x: Any) -> tuple[Any, Any]:
    """sqrt(1 - x) and sqrt(1 + x)."""
    return sqrt(Pair(1 - x.re, -x.im)), sqrt(Pair(1 + x.re, x.im))


def asin(x: Any) -> Pair:
    """The angle in the right half plane's strip whose sine is x."""
    low, high = _roots(x)
    re = _call("atan2", x.re, low.re * high.re - low.im * high.im)
    return Pair(re, _call("asinh", low.re * high.im - low.im * high.re))


def acos(x: Any) -> Pair:
    """The angle whose cosine is x."""
    low, high = _roots(x)
    re = 2 * _call("atan2", low.re, high.re)
    return Pair(re, _call("asinh", high.re * low.im - high.im * low.re))


def atan(x: Any) -> Pair:
    """-i atanh(i x)."""
    y = atanh(Pair(-x.im, x.re))
    minus: Any = y.re
    return Pair(y.im, -minus)


def asinh(x: Any) -> Pair:
    """-i asin(i x)."""
    y = asin(Pair(-x.im, x.re))
    minus: Any = y.re
    return Pair(y.im, -minus)


def acosh(x: Any) -> Pair:
    """In the right half plane."""
    low: Any = sqrt(Pair(x.re - 1, x.im))
    high: Any = sqrt(Pair(x.re + 1, x.im))
    im = 2 * _call("atan2", low.im, high.re)
    return Pair(_call("asinh", low.re * high.re + low.im * high.im), im)


def atanh(x: Any) -> Pair:
    """(log(1 + x) - log(1 - x)) / 2, without cancellation."""
    away, square = 1 - x.re, x.im * x.im
    re = 0.25 * _call("log1p", 4 * x.re / (away * away + square))
    return Pair(re, 0.5 * _call("atan2", 2 * x.im, away * (1 + x.re) - square))


def sign(x: Any) -> Pair:
    """x / |x|; 0 of 0."""
    size = _call("hypot", x.re, x.im)
    safe = _select(_is("==", size, 0), const(1, size.dtype), size)
    return Pair(x.re / safe, x.im / safe)
