"""Functions of complex numbers, as expressions of their real and imaginary parts."""

from __future__ import annotations

import math
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


def _lost(x: Any) -> Any:
    """Infinitely far along the real axis, in a direction that nobody knows."""
    return _is("==", _call("fabs", x.re), float("inf")) & _is("!=", x.im - x.im, 0)


def exp(x: Any) -> Pair:
    """exp(re) · (cos im + i sin im); of a real number it stays real, and exp(-inf) is 0 in any direction."""
    return _exponential(x, _call("exp", x.re), x.im)


def exp2(x: Any) -> Pair:
    """exp(x · log 2)."""
    return _exponential(x, _call("exp2", x.re), x.im * math.log(2))


def _exponential(x: Any, size: Any, angle: Any) -> Pair:
    real, still = _is("==", x.im, 0), _is("==", x.re, -float("inf"))
    re = _select(still | _lost(x), size, size * _call("cos", angle))
    im = _select(still, size, size * _call("sin", angle))
    return Pair(_select(real, size, re), _select(real, x.im, im))


def log(x: Any) -> Pair:
    """log|x| + i arg x; where |x| is about 1, from |x|² - 1 without cancellation."""
    a, b, size = _call("fabs", x.re), _call("fabs", x.im), _call("hypot", x.re, x.im)
    large, small = _select(_is(">", a, b), a, b), _select(_is(">", a, b), b, a)
    near = _is(">", size, 0.7) & _is("<", size, 1.4)
    close = _call("log1p", (large - 1) * (large + 1) + small * small) * 0.5
    return Pair(_select(near, close, _call("log", size)), _call("atan2", x.im, x.re))


def sqrt(x: Any) -> Pair:
    """The root in the right half plane."""
    half = const(0.5, x.re.dtype)
    # Of the two halves the larger one first, without cancellation.
    t = _call("sqrt", half * (_call("fabs", x.re) + _call("hypot", x.re, x.im)))
    infinite = _is("==", _call("fabs", x.im), float("inf"))
    t = _select(infinite, _call("fabs", x.im), t)
    u = _select(_is("==", t, 0) | infinite, t, half * _call("fabs", x.im) / t)
    right = _is(">=", x.re, 0)
    return Pair(_select(right, t, u), _call("copysign", _select(right, u, t), x.im))


def pow(a: Any, b: Any) -> Pair:
    """exp(b · log a); 0 to a power is 0 or, where its real part is not positive, NaN; anything to the power 0 is 1."""
    y = exp(multiply(b, log(a)))
    zero = const(0, a.re.dtype)
    of_nothing = _select(_is(">", b.re, 0), zero, const(float("nan"), a.re.dtype))
    nothing = _is("==", a.re, 0) & _is("==", a.im, 0)
    one = _is("==", b.re, 0) & _is("==", b.im, 0)
    re, im = _select(nothing, of_nothing, y.re), _select(nothing, of_nothing, y.im)
    return Pair(_select(one, const(1, a.re.dtype), re), _select(one, zero, im))


def sin(x: Any) -> Pair:
    """-i sinh(i x)."""
    y = sinh(Pair(-x.im, x.re))
    minus: Any = y.re
    return Pair(y.im, -minus)


def cos(x: Any) -> Pair:
    """cosh(i x)."""
    return cosh(Pair(-x.im, x.re))


def tan(x: Any) -> Pair:
    """-i tanh(i x)."""
    y = tanh(Pair(-x.im, x.re))
    minus: Any = y.re
    return Pair(y.im, -minus)


def sinh(x: Any) -> Pair:
    """sinh re · cos im + i cosh re · sin im; a part of 0 stays 0."""
    size = _call("sinh", x.re)
    re = _select(_is("==", x.re, 0) | _lost(x), size, size * _call("cos", x.im))
    return Pair(re, _select(_is("==", x.im, 0), x.im, _call("cosh", x.re) * _call("sin", x.im)))


def cosh(x: Any) -> Pair:
    """cosh re · cos im + i sinh re · sin im; real on the axes."""
    axis = _is("==", x.re, 0) | _is("==", x.im, 0)
    zero = _call("copysign", const(0, x.re.dtype), x.re) * _call("copysign", const(1, x.re.dtype), x.im)
    im = _select(axis, zero, _call("sinh", x.re) * _call("sin", x.im))
    size = _call("cosh", x.re)
    return Pair(_select(_lost(x), size, size * _call("cos", x.im)), im)


def tanh(x: Any) -> Pair:
    """After Kahan (1987): with t = tan im, (β ρ s + i t) / (1 + β s²); ±1 far out, where s² would overflow."""
    t, s = _call("tan", x.im), _call("sinh", x.re)
    beta = 1 + t * t
    rho = _call("sqrt", 1 + s * s)
    scale = 1 + beta * s * s
    size = _call("fabs", x.re)
    far = _is(">", size, 20.0) & (_is("==", t, t) | _is("==", size, float("inf")))
    one = _call("copysign", const(1, x.re.dtype), x.re)
    zero = _call("copysign", const(0, x.re.dtype), x.im)
    re = _select(_is("==", x.re, 0), x.re, beta * rho * s / scale)
    im = _select(_is("==", x.im, 0), x.im, _select(far, zero, t / scale))
    return Pair(_select(far, one, re), im)


def sign(x: Any) -> Pair:
    """x / |x|; 0 of 0."""
    size = _call("hypot", x.re, x.im)
    nothing = _is("==", size, 0)
    zero, safe = const(0, size.dtype), _select(nothing, const(1, size.dtype), size)
    return Pair(_select(nothing, zero, x.re / safe), _select(nothing, zero, x.im / safe))


# --- inverse functions, after Kahan (1987): accurate also near the branch points 1 and -1 ---------------------------


def _infinite(x: Any) -> Any:
    return _is("==", _call("fabs", x.re), float("inf")) | _is("==", _call("fabs", x.im), float("inf"))


def _roots(x: Any) -> tuple[Any, Any]:
    """sqrt(1 - x) and sqrt(1 + x)."""
    return sqrt(Pair(1 - x.re, -x.im)), sqrt(Pair(1 + x.re, x.im))


def asin(x: Any) -> Pair:
    """By the roots of 1 - x and 1 + x; where x is infinite by its direction."""
    far = _infinite(x)
    low, high = _roots(x)
    re = _select(_is("==", x.re, 0), x.re, _call("atan2", x.re, low.re * high.re - low.im * high.im))
    im = _call("asinh", low.re * high.im - low.im * high.re)
    infinity = const(float("inf"), x.re.dtype)
    return Pair(
        _select(far, _call("atan2", x.re, _call("fabs", x.im)), re),
        _select(far, _call("copysign", infinity, x.im), im),
    )


def acos(x: Any) -> Pair:
    """By the roots of 1 - x and 1 + x; where x is infinite by its direction."""
    far = _infinite(x)
    low, high = _roots(x)
    quarter = const(1.5707963267948966, x.re.dtype)
    re = _select(_is("==", x.re, 0), quarter, 2 * _call("atan2", low.re, high.re))
    im = _call("asinh", high.re * low.im - high.im * low.re)
    infinity = const(float("inf"), x.re.dtype)
    return Pair(
        _select(far, _call("atan2", _call("fabs", x.im), x.re), re),
        _select(far, _call("copysign", infinity, -x.im), im),
    )


def acosh(x: Any) -> Pair:
    """±i acos x, of a positive real part."""
    y = acos(x)
    return Pair(_call("fabs", y.im), _call("copysign", y.re, x.im))


def asinh(x: Any) -> Pair:
    """-i asin(i x)."""
    y = asin(Pair(-x.im, x.re))
    minus: Any = y.re
    return Pair(y.im, -minus)


def atanh(x: Any) -> Pair:
    """log1p(4 re / |1 - x|²) / 4 and half the angle of (1 + x) / (1 - x); far out, where squares overflow, ±i π/2."""
    limit = 1e18 if x.re.dtype.itemsize == 4 else 1e150
    size, height = _call("fabs", x.re), _call("fabs", x.im)
    far = (_is(">", size, limit) & _is("==", x.im, x.im)) | (_is(">", height, limit) & _is("==", x.re, x.re))
    far = far | _is("==", height, float("inf"))
    away = 1 - size
    re = _call("copysign", _call("log1p", 4 * size / (away * away + x.im * x.im)) * 0.25, x.re)
    re = _select(
        _is("==", size, 0),
        x.re,
        _select(_is("==", size, float("inf")), _call("copysign", const(0, size.dtype), x.re), re),
    )
    im = _call("atan2", 2 * x.im, away * (1 + size) - x.im * x.im) * 0.5
    nothing, quarter = const(0, x.re.dtype), const(1.5707963267948966, x.re.dtype)
    return Pair(
        _select(far, _call("copysign", nothing, x.re), re), _select(far, _call("copysign", quarter, x.im), im)
    )


def atan(x: Any) -> Pair:
    """-i atanh(i x)."""
    y = atanh(Pair(-x.im, x.re))
    minus: Any = y.re
    return Pair(y.im, -minus)


def expm1(x: Any) -> Pair:
    """expm1(re) cos im - 2 sin²(im / 2), without cancellation, and the imaginary part of exp."""
    y = exp(x)
    half = _call("sin", x.im * 0.5)
    real = _call("expm1", x.re)
    re = real * _call("cos", x.im) - 2 * half * half
    plain = _is("==", x.im, 0) | _is("==", x.re, -float("inf")) | _lost(x)
    return Pair(_select(plain, real + 0.0, re), y.im)


def log1p(x: Any) -> Pair:
    """log|1 + x| + i arg(1 + x); near 0 by log1p."""
    near = _is("<", _call("fabs", x.re), 0.5) & _is("<", _call("fabs", x.im), 0.5)
    up = 1 + x.re
    small = _call("log1p", x.re * (2 + x.re) + x.im * x.im) * 0.5
    return Pair(_select(near, small, _call("log", _call("hypot", up, x.im))), _call("atan2", x.im, up))
