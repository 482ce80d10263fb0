"""The elementwise functions of expressions, named like the ops; what is missing here, core's composites make of these.

Operands have one dtype, and a Python number is weakly promoted, as in the contract of a backend.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import complex_functions as of_complex
from .expr import BOOL, COMPLEX_OF, FLOAT32, FLOAT64, INT64, REAL_PART, Expr, Pair, Value, const, kind

_NUMBERS = (bool, int, float, complex)


def lifted(*operands: Any) -> list[Any]:
    """The operands as values of the dtype that those have which are no numbers; NumPy's numbers count as Python's."""
    operands = tuple(o.item() if isinstance(o, np.generic) else o for o in operands)
    like = next((o for o in operands if isinstance(o, Value)), None)
    if like is None:
        raise TypeError("an expression needs a value among its operands")
    found = {o.dtype for o in operands if isinstance(o, Value)}
    common = np.result_type(*found) if len(found) > 1 else like.dtype
    if common not in REAL_PART and any(isinstance(o, complex) for o in operands):
        if common not in COMPLEX_OF:
            raise TypeError(f"no complex numbers beside {common}")
        common = COMPLEX_OF[common]
    made = []
    for o in operands:
        if isinstance(o, _NUMBERS):
            if isinstance(o, float) and common.kind in "iub":
                raise TypeError(f"{o!r} is of a higher kind than {common}")
            o = const(o, common)
        elif not isinstance(o, Value):
            raise TypeError(f"{type(o).__name__} is no operand of an expression")
        made.append(cast(o, common))
    return made


def cast(x: Any, dtype: Any) -> Any:
    """`x` in another dtype; of a complex number the real part."""
    dtype = np.dtype(dtype)
    if x.dtype == dtype:
        return x
    if isinstance(x, Pair):
        if dtype in REAL_PART:
            return Pair(cast(x.re, REAL_PART[dtype]), cast(x.im, REAL_PART[dtype]))
        return not_equal(x, 0) if dtype == BOOL else cast(x.re, dtype)
    if dtype in REAL_PART:
        return Pair(cast(x, REAL_PART[dtype]), const(0, REAL_PART[dtype]))
    if x.op == "const":
        return const(x.args[0], dtype)
    if dtype == BOOL:
        return not_equal(x, 0)
    return Expr("cast", (x,), dtype)


def _same(op: str, a: Any, b: Any) -> Expr:
    return Expr(op, (a, b), a.dtype)


def _call(name: str, *args: Any) -> Expr:
    if not name.startswith("scalar_") and any(isinstance(a, Pair) or kind(a) != "f" for a in args):
        raise TypeError(f"{name} is of real floats, found {args[0].dtype}")
    return Expr("call", (name, *args), args[0].dtype)


def not_equal(a: Any, b: Any) -> Expr:
    a, b = lifted(a, b)
    if isinstance(a, Pair):
        return _same("|", not_equal(a.re, b.re), not_equal(a.im, b.im))
    return Expr("!=", (a, b), BOOL)


def where(condition: Any, a: Any, b: Any) -> Any:
    a, b = lifted(a, b)
    if isinstance(a, Pair):
        return Pair(where(condition, a.re, b.re), where(condition, a.im, b.im))
    return Expr("select", (condition, a, b), a.dtype)


def _comparison(op: str, swap: bool = False) -> Any:
    def compare(a: Any, b: Any) -> Expr:
        a, b = lifted(a, b)
        if isinstance(a, Pair):
            raise TypeError(f"complex numbers have no order: {op}")
        return Expr(op, (a, b), BOOL)

    return staticmethod(compare)


def _of_floats(name: str, complex_function: Any = None) -> Any:
    """The C function `name` of a float."""

    def function(x: Any) -> Any:
        if isinstance(x, Pair):
            if complex_function is None:
                raise TypeError(f"no {name} of complex numbers")
            return complex_function(x)
        return _call(name, _floating(x))

    return staticmethod(function)


def _floating(x: Any) -> Any:
    if kind(x) not in "fc":
        raise TypeError(f"floats are needed, found {x.dtype}")
    return x


def _step(name: str) -> Any:
    """The C function `name`, which leaves integers as they are."""

    def function(x: Any) -> Any:
        if isinstance(x, Pair):
            raise TypeError(f"no {name} of complex numbers")
        return x if kind(x) in "iub" else _call(name, x)

    return staticmethod(function)


def _bits(op: str) -> Any:
    def function(a: Any, b: Any) -> Expr:
        a, b = lifted(a, b)
        if kind(a) not in "iub":
            raise TypeError(f"{op} is of integers and bools, found {a.dtype}")
        return _same(op, a, b)

    return staticmethod(function)


def _truth(x: Any) -> Any:
    return x if isinstance(x, (bool, int, float)) or x.dtype == BOOL else not_equal(x, 0)


def _logic(op: str) -> Any:
    def function(a: Any, b: Any) -> Expr:
        a, b = (bool(o) if isinstance(o, _NUMBERS) else _truth(o) for o in (a, b))
        return _same(op, *lifted(a, b))

    return staticmethod(function)


class Functions:
    """A family of kernels; static, so that they serve without a backend, too."""

    cast = staticmethod(cast)
    where = staticmethod(where)

    @staticmethod
    def add(a: Any, b: Any) -> Any:
        a, b = lifted(a, b)
        if isinstance(a, Pair):
            return Pair(_same("+", a.re, b.re), _same("+", a.im, b.im))
        return _same("|" if a.dtype == BOOL else "+", a, b)

    @staticmethod
    def subtract(a: Any, b: Any) -> Any:
        a, b = lifted(a, b)
        if isinstance(a, Pair):
            return Pair(_same("-", a.re, b.re), _same("-", a.im, b.im))
        if a.dtype == BOOL:
            raise TypeError("bools cannot be subtracted")
        return _same("-", a, b)

    @staticmethod
    def multiply(a: Any, b: Any) -> Any:
        if isinstance(a, Pair) and isinstance(b, (int, float)):
            return Pair(Functions.multiply(a.re, b), Functions.multiply(a.im, b))
        if isinstance(b, Pair) and isinstance(a, (int, float)):
            return Functions.multiply(b, a)
        a, b = lifted(a, b)
        if isinstance(a, Pair):
            return of_complex.multiply(a, b)
        return _same("&" if a.dtype == BOOL else "*", a, b)

    @staticmethod
    def divide(a: Any, b: Any) -> Any:
        a, b = lifted(a, b)
        if isinstance(a, Pair):
            return of_complex.divide(a, b)
        return _same("/", _floating(a), b)

    @staticmethod
    def reciprocal(x: Any) -> Any:
        if isinstance(x, Pair):
            return of_complex.divide(const(1, x.dtype), x)
        if kind(x) != "f":
            return Functions.trunc_divide(1, x)
        return _same("/", const(1, x.dtype), x)

    @staticmethod
    def negative(x: Any) -> Any:
        if isinstance(x, Pair):
            return Pair(Functions.negative(x.re), Functions.negative(x.im))
        if x.dtype == BOOL:
            raise TypeError("bools cannot be negated")
        return Expr("neg", (x,), x.dtype)

    # --- division with a rest. C's divisions of integers by 0, and of the least integer by -1, are undefined --------

    @staticmethod
    def trunc_divide(a: Any, b: Any) -> Any:
        a, b = lifted(a, b)
        if kind(a) == "f":
            return _call("trunc", _same("/", a, b))
        if a.dtype == BOOL:
            raise TypeError("bools cannot be divided")
        bad = Expr("==", (b, const(0, b.dtype)), BOOL)
        if kind(a) == "u":
            return where(bad, 0, _same("/", a, where(bad, 1, b)))
        minus = Expr("==", (b, const(-1, b.dtype)), BOOL)
        safe = where(_same("|", bad, minus), 1, b)
        return where(bad, 0, where(minus, Functions.negative(a), _same("/", a, safe)))

    @staticmethod
    def fmod(a: Any, b: Any) -> Any:
        a, b = lifted(a, b)
        if kind(a) == "f":
            return _call("fmod", a, b)
        q = Functions.trunc_divide(a, b)
        return where(Expr("==", (b, const(0, b.dtype)), BOOL), 0, _same("-", a, _same("*", q, b)))

    @staticmethod
    def remainder(a: Any, b: Any) -> Any:
        a, b = lifted(a, b)
        rest = Functions.fmod(a, b)
        if kind(a) == "u":
            return rest
        zero = const(0, a.dtype)
        other = Expr("!=", (Expr("<", (rest, zero), BOOL), Expr("<", (b, zero), BOOL)), BOOL)
        moved = where(_same("&", not_equal(rest, 0), other), _same("+", rest, b), rest)
        if kind(a) == "f":  # a rest of 0 has the sign of the divisor
            moved = where(Expr("==", (rest, zero), BOOL), _call("copysign", zero, b), moved)
        return moved

    @staticmethod
    def floor_divide(a: Any, b: Any) -> Any:
        a, b = lifted(a, b)
        zero, one = const(0, a.dtype), const(1, a.dtype)
        if kind(a) == "u":
            return Functions.trunc_divide(a, b)
        rest = Functions.fmod(a, b)
        other = Expr("!=", (Expr("<", (rest, zero), BOOL), Expr("<", (b, zero), BOOL)), BOOL)
        down = _same("&", not_equal(rest, 0), other)
        if kind(a) == "i":
            q = Functions.trunc_divide(a, b)
            return where(down, _same("-", q, one), q)
        plain = _same("/", a, b)  # what NumPy does: the quotient without its rest, rounded to the nearest
        q = _same("/", _same("-", a, rest), b)
        q = where(down, _same("-", q, one), q)
        low = _call("floor", q)
        low = where(Expr(">", (_same("-", q, low), const(0.5, a.dtype)), BOOL), _same("+", low, one), low)
        low = where(Expr("==", (q, zero), BOOL), _call("copysign", zero, plain), low)
        return where(Expr("==", (b, zero), BOOL), plain, low)

    # --- powers -----------------------------------------------------------------------------------------------------

    @staticmethod
    def pow(a: Any, b: Any) -> Any:
        if isinstance(b, _NUMBERS) and not isinstance(b, complex):
            known = _power(a, b)
            if known is not None:
                return known
        a, b = lifted(a, b)
        if isinstance(a, Pair):
            return of_complex.pow(a, b)
        if kind(a) == "f":
            return _call("pow", a, b)
        if a.dtype == BOOL:
            raise TypeError("bools have no powers")
        wide = np.dtype(np.uint64) if kind(a) == "u" else INT64
        name = "scalar_pow_ulong" if kind(a) == "u" else "scalar_pow_long"
        return cast(_call(name, cast(a, wide), cast(b, wide)), a.dtype)

    @staticmethod
    def square(x: Any) -> Any:
        return Functions.multiply(x, x)

    sqrt = _of_floats("sqrt", of_complex.sqrt)
    rsqrt = staticmethod(lambda x: Functions.reciprocal(Functions.sqrt(x)))

    @staticmethod
    def hypot(a: Any, b: Any) -> Any:
        return _call("hypot", *lifted(a, b))

    # --- exponentials, logarithms, trigonometry ---------------------------------------------------------------------

    exp = _of_floats("exp", of_complex.exp)
    exp2 = _of_floats("exp2", of_complex.exp2)
    expm1 = _of_floats("expm1", of_complex.expm1)
    log = _of_floats("log", of_complex.log)
    log2 = _of_floats("log2", lambda x: Functions.multiply(of_complex.log(x), 1 / math.log(2)))
    log10 = _of_floats("log10", lambda x: Functions.multiply(of_complex.log(x), 1 / math.log(10)))
    log1p = _of_floats("log1p", of_complex.log1p)
    sin = _of_floats("sin", of_complex.sin)
    cos = _of_floats("cos", of_complex.cos)
    tan = _of_floats("tan", of_complex.tan)
    asin = _of_floats("asin", of_complex.asin)
    acos = _of_floats("acos", of_complex.acos)
    atan = _of_floats("atan", of_complex.atan)
    sinh = _of_floats("sinh", of_complex.sinh)
    cosh = _of_floats("cosh", of_complex.cosh)
    tanh = _of_floats("tanh", of_complex.tanh)
    asinh = _of_floats("asinh", of_complex.asinh)
    acosh = _of_floats("acosh", of_complex.acosh)
    atanh = _of_floats("atanh", of_complex.atanh)
    erf, erfc = _of_floats("erf"), _of_floats("erfc")

    @staticmethod
    def sigmoid(x: Any) -> Any:
        return Functions.reciprocal(Functions.add(Functions.exp(Functions.negative(x)), 1))

    @staticmethod
    def atan2(a: Any, b: Any) -> Any:
        return _call("atan2", *lifted(a, b))

    @staticmethod
    def copysign(a: Any, b: Any) -> Any:
        return _call("copysign", *lifted(a, b))

    @staticmethod
    def nextafter(a: Any, b: Any) -> Any:
        a, b = lifted(a, b)
        if a.dtype not in (FLOAT32, FLOAT64):
            raise TypeError(f"no neighbours of {a.dtype}, which is computed in float32")
        return _call("nextafter", a, b)

    # --- parts and signs ----------------------------------------------------------------------------------------------

    @staticmethod
    def abs(x: Any) -> Any:
        if isinstance(x, Pair):
            return _call("hypot", x.re, x.im)
        if kind(x) == "f":
            return _call("fabs", x)
        if kind(x) in "ub":
            return x
        return where(Expr("<", (x, const(0, x.dtype)), BOOL), Functions.negative(x), x)

    @staticmethod
    def sign(x: Any) -> Any:
        if isinstance(x, Pair):
            return of_complex.sign(x)
        if x.dtype == BOOL:
            return x
        zero = const(0, x.dtype)
        down = where(Expr("==", (x, zero), BOOL), 0, x) if kind(x) == "f" else x  # NaN stays, -0.0 does not
        down = x if kind(x) == "u" else where(Expr("<", (x, zero), BOOL), -1, down)
        return where(Expr(">", (x, zero), BOOL), 1, down)

    sgn = sign

    @staticmethod
    def real(x: Any) -> Any:
        return x.re if isinstance(x, Pair) else x

    @staticmethod
    def imag(x: Any) -> Any:
        return x.im if isinstance(x, Pair) else const(0, x.dtype)

    @staticmethod
    def conj(x: Any) -> Any:
        return Pair(x.re, Functions.negative(x.im)) if isinstance(x, Pair) else x

    @staticmethod
    def complex(a: Any, b: Any) -> Any:
        a, b = lifted(a, b)
        if a.dtype not in (FLOAT32, FLOAT64):
            raise TypeError(f"no complex numbers of {a.dtype}")
        return Pair(a, b)

    floor, ceil, trunc = _step("floor"), _step("ceil"), _step("trunc")

    @staticmethod
    def round(x: Any, decimals: int = 0) -> Any:
        if isinstance(x, Pair):
            return Pair(Functions.round(x.re, decimals), Functions.round(x.im, decimals))
        if kind(x) != "f":
            if decimals >= 0:
                return x
            raise TypeError("no round of integers to tens")
        if not decimals:
            return _call("rint", x)
        scale = 10.0 ** abs(decimals)
        if decimals > 0:
            return Functions.divide(_call("rint", Functions.multiply(x, scale)), scale)
        return Functions.multiply(_call("rint", Functions.divide(x, scale)), scale)

    # --- comparison, choice, logic and bits ---------------------------------------------------------------------------

    @staticmethod
    def equal(a: Any, b: Any) -> Any:
        a, b = lifted(a, b)
        if isinstance(a, Pair):
            return _same("&", Functions.equal(a.re, b.re), Functions.equal(a.im, b.im))
        return Expr("==", (a, b), BOOL)

    not_equal = staticmethod(not_equal)
    less, less_equal = _comparison("<"), _comparison("<=")
    greater, greater_equal = _comparison(">"), _comparison(">=")

    @staticmethod
    def maximum(a: Any, b: Any) -> Any:
        return _extreme(">", a, b)

    @staticmethod
    def minimum(a: Any, b: Any) -> Any:
        return _extreme("<", a, b)

    clamp_min, clamp_max = maximum, minimum

    @staticmethod
    def clip(x: Any, low: Any, high: Any) -> Any:
        x = x if low is None else Functions.maximum(x, low)
        return x if high is None else Functions.minimum(x, high)

    @staticmethod
    def logical_not(x: Any) -> Any:
        return Expr("not", (_truth(x),), BOOL)

    logical_and, logical_or, logical_xor = _logic("&"), _logic("|"), _logic("^")
    bitwise_and, bitwise_or, bitwise_xor = _bits("&"), _bits("|"), _bits("^")

    @staticmethod
    def bitwise_invert(x: Any) -> Any:
        if kind(x) not in "iub":
            raise TypeError(f"~ is of integers and bools, found {x.dtype}")
        return Expr("not" if x.dtype == BOOL else "invert", (x,), x.dtype)

    @staticmethod
    def bitwise_left_shift(a: Any, b: Any) -> Any:
        return _shift("<<", a, b)

    @staticmethod
    def bitwise_right_shift(a: Any, b: Any) -> Any:
        return _shift(">>", a, b)

    @staticmethod
    def isnan(x: Any) -> Any:
        return not_equal(x, x)

    @staticmethod
    def isinf(x: Any) -> Any:
        if isinstance(x, Pair):
            return _same("|", Functions.isinf(x.re), Functions.isinf(x.im))
        return Functions.equal(Functions.abs(x), math.inf) if kind(x) == "f" else not_equal(x, x)

    @staticmethod
    def isfinite(x: Any) -> Any:
        if isinstance(x, Pair):
            return _same("&", Functions.isfinite(x.re), Functions.isfinite(x.im))
        return Functions.less(Functions.abs(x), math.inf) if kind(x) == "f" else Functions.equal(x, x)


def _power(a: Any, b: float) -> Any:
    """A power that products give, or None."""
    if b == 2:
        return Functions.multiply(a, a)
    if b == 3:
        return Functions.multiply(Functions.multiply(a, a), a)
    if b == 1:
        return a
    if kind(a) in "fc":
        if b == 0.5:
            return Functions.sqrt(a)
        if b == -1:
            return Functions.reciprocal(a)
    return None


def _extreme(op: str, a: Any, b: Any) -> Any:
    """The greater or the smaller; NaN if one is NaN."""
    a, b = lifted(a, b)
    if isinstance(a, Pair):
        raise TypeError("complex numbers have no order")
    if a.dtype == BOOL:
        return _same("|" if op == ">" else "&", a, b)
    first = Expr(op, (a, b), BOOL)
    return where(_same("|", first, not_equal(a, a)) if kind(a) == "f" else first, a, b)


def _shift(op: str, a: Any, b: Any) -> Any:
    """`a` shifted; by as many bits as it has, or more, all are gone: C leaves that open."""
    a, b = lifted(a, b)
    if kind(a) not in "iu":
        raise TypeError(f"{op} is of integers, found {a.dtype}")
    bits = a.dtype.itemsize * 8
    near = Expr("<", (b, const(bits, b.dtype)), BOOL)
    if kind(b) == "i":
        near = _same("&", near, Expr(">=", (b, const(0, b.dtype)), BOOL))
    shifted = _same(op, a, where(near, b, 0))
    gone = const(0, a.dtype)
    if op == ">>" and kind(a) == "i":
        gone = where(Expr("<", (a, gone), BOOL), -1, gone)
    return where(near, shifted, gone)


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "pow", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}  # fmt: skip
for _name, _function in _OPERATORS.items():
    _f = getattr(Functions, _function)
    setattr(Value, f"__{_name}__", lambda a, b, f=_f: f(a, b))
    setattr(Value, f"__r{_name}__", lambda a, b, f=_f: f(b, a))
for _name, _function in {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}.items():  # fmt: skip
    _f = getattr(Functions, _function)
    setattr(Value, f"__{_name}__", lambda a, b, f=_f: f(a, b))
for _name, _function in {"neg": "negative", "abs": "abs", "invert": "bitwise_invert"}.items():
    _f = getattr(Functions, _function)
    setattr(Value, f"__{_name}__", lambda a, f=_f: f(a))
setattr(Value, "__pos__", lambda a: a)  # noqa: B010
