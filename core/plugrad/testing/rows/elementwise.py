"""Rows of `plugrad.ops.elementwise`."""

# ruff: noqa: E501 (tables: one line a case)

from __future__ import annotations

import math

import numpy as np

from .row import In, Row, S, elementwise

ANY, POSITIVE, UNIT, ABOVE_ONE = (-2.0, 2.0), (0.5, 2.0), (-0.9, 0.9), (1.1, 3.0)
INF, NAN, PI = math.inf, math.nan, math.pi

REAL, NUMBERS, COMPLEX = "f d e", "f d e l", "f d e l F D"


def smooth(op, reference, *intervals, **options):
    """A row for a holomorphic op that makes floats of integers."""
    return elementwise(op, reference, *intervals, dtypes="f d F D", complex_grad=True, **options)


def step(op, reference, **options):
    """A row for an op whose derivative is zero."""
    return elementwise(
        op, reference, ANY, dtypes=NUMBERS, special_grad=[(([0.5, INF],), [0.0, 0.0])], **options
    )


ARITHMETIC = [
    elementwise(
        "add", np.add, ANY, ANY, dtypes=COMPLEX, complex_grad=True,
        special=[(([INF, 1.0], [-INF, NAN]), [NAN, NAN])],
        errors=[(S(In((2, 3)), In((2,))), RuntimeError, r"add: the size of tensor a \(3\) must match the size of tensor b \(2\)")],
    ),
    elementwise(
        "subtract", np.subtract, ANY, ANY, dtypes=COMPLEX, complex_grad=True, special=[(([INF], [INF]), [NAN])],
        errors=[(S(In(dtype="bool"), In(dtype="bool")), RuntimeError, "subtract is not implemented for torch.bool and torch.bool")],
    ),
    elementwise("rsub", lambda a, b: b - a, ANY, ANY, dtypes="f d e l F D", complex_grad=True),
    elementwise(
        "multiply", np.multiply, ANY, ANY, dtypes=COMPLEX, complex_grad=True,
        special=[(([0.0, INF], [INF, -INF]), [NAN, -INF])],
        special_grad=[(([0.0, 1.0], [INF, 0.0]), [INF, 0.0])],
    ),
    elementwise(
        "divide", np.divide, ANY, POSITIVE, dtypes="f d e F D", complex_grad=True,
        special=[(([1.0, -1.0, 0.0, INF], [0.0, 0.0, 0.0, INF]), [INF, -INF, NAN, NAN])],
        special_grad=[(([1.0, 0.0], [0.0, 0.0]), [INF, INF])],
    ),
    elementwise(
        "negative", np.negative, ANY, dtypes=COMPLEX, complex_grad=True,
        errors=[(S(In(dtype="bool")), RuntimeError, "negative is not implemented for torch.bool")],
    ),
    smooth("reciprocal", lambda x: 1 / x, POSITIVE, special=[(([0.0, -0.0, INF],), [INF, -INF, 0.0])],
           special_grad=[(([0.0, INF],), [-INF, 0.0])]),
    elementwise(
        "floor_divide", np.floor_divide, ANY, POSITIVE, dtypes=REAL,
        special=[(([7.0, -7.0, 1.0, INF], [2.0, 2.0, 0.0, 1.0]), [3.0, -4.0, INF, NAN])],
        errors=[(S(In(dtype="int64"), np.zeros(3, int)), RuntimeError, "ZeroDivisionError: floor_divide of integers by 0")],
    ),
    elementwise(
        "trunc_divide", lambda a, b: np.trunc(a / b), ANY, POSITIVE, dtypes=REAL,
        special=[(([7.0, -7.0], [2.0, 2.0]), [3.0, -3.0])],
        errors=[(S(In(dtype="int64"), np.zeros(3, int)), RuntimeError, "ZeroDivisionError")],
    ),
    elementwise(
        "remainder", np.remainder, ANY, POSITIVE, dtypes=REAL,
        special=[(([7.0, -7.0, 1.0, -1.0, INF], [-2.0, 2.0, 0.0, INF, 1.0]), [-1.0, 1.0, NAN, INF, NAN])],
        errors=[(S(In(dtype="int64"), np.zeros(3, int)), RuntimeError, "ZeroDivisionError: remainder of integers by 0")],
    ),
    elementwise(
        "fmod", np.fmod, ANY, POSITIVE, dtypes=REAL,
        special=[(([7.0, -7.0, 1.0, -1.0], [-2.0, 2.0, 0.0, INF]), [1.0, -1.0, NAN, -1.0])],
        errors=[(S(In(dtype="int64"), np.zeros(3, int)), RuntimeError, "ZeroDivisionError: fmod of integers by 0")],
    ),
    elementwise("lerp", lambda a, b, w: a + w * (b - a), ANY, ANY, ANY, dtypes="f d e F D", complex_grad=True),
    elementwise("addcmul", lambda x, a, b: x + a * b, ANY, ANY, ANY, dtypes=COMPLEX, complex_grad=True),
    elementwise("addcdiv", lambda x, a, b: x + a / b, ANY, ANY, POSITIVE, dtypes="f d e F D", complex_grad=True),
    Row("addcmul", lambda x, a, b, value: x + value * a * b, [S(In(), In((3,)), In(), value=0.5)]),
    Row("addcdiv", lambda x, a, b, value: x + value * a / b, [S(In(), In((3,)), In((2, 3), *POSITIVE), value=0.5)]),
]  # fmt: skip

POWERS = [
    elementwise(
        "pow", np.power, POSITIVE, ANY, dtypes="f d e F D", complex_grad=True,
        special=[
            (([0.0, NAN, INF, -2.0, 0.0, -8.0, 1.0], [0.0, 0.0, 0.0, 3.0, -1.0, 0.5, NAN]), [1.0, 1.0, 1.0, -8.0, INF, NAN, 1.0]),
            (([-1.0, 0.0, 3.0],  2), [1.0, 0.0, 9.0]),
            (([-1.0, 0.0, NAN], 0), [1.0, 1.0, 1.0]),
            ((-2.0, [3.0, 0.5]), [-8.0, NAN]),
        ],
        special_grad=[
            (([0.0, NAN, 2.0], [0.0, 0.0, 0.0]), [0.0, 0.0, 0.0]),
            (([0.0, -3.0, INF], 2), [0.0, -6.0, INF]),
            (([0.0, -2.0], 1), [1.0, 1.0]),
            (([0.0, -2.0], 3), [0.0, 12.0]),
            (([0.0, INF, NAN], 0), [0.0, 0.0, 0.0]),
            (([0.0, 4.0], 0.5), [INF, 0.25]),
            (([0.0, -2.0], -1), [-INF, -0.25]),
        ],
        errors=[(S(np.array([2, 3]), -1), RuntimeError, "Integers to negative integer powers are not allowed")],
    ),
    # The exponents that kernels and formulas treat on their own, and numbers as the base.
    *(Row("pow", np.power, [S(In((2, 3), *POSITIVE), n), S(In((), *POSITIVE), n)], dtypes="f d e")
      for n in (-1, 0, 0.5, 1, 2, 3, 4)),
    Row("pow", np.power, [S(1.5, In()), S(1.5, In(()))]),
    Row("pow", lambda a, b: np.array([[0, 1, 0], [-1, 1, 8]]),
        [S(np.array([[2, 1, 0], [-1, -1, 2]]), np.array([[-1, -3, 1], [-3, 0, 3]]))], grad=False, dtypes="d"),
    elementwise("square", np.square, ANY, dtypes=COMPLEX, complex_grad=True),
    smooth("sqrt", np.sqrt, POSITIVE, special=[(([0.0, -1.0, INF],), [0.0, NAN, INF])], special_grad=[(([0.0, 4.0],), [INF, 0.25])]),
    smooth("rsqrt", lambda x: 1 / np.sqrt(x), POSITIVE, special=[(([0.0, INF, -1.0],), [INF, 0.0, NAN])],
           special_grad=[(([0.0, 4.0],), [-INF, -0.0625])]),
    elementwise("hypot", np.hypot, ANY, ANY, dtypes=REAL, special=[(([3.0, INF], [4.0, NAN]), [5.0, INF])],
                special_grad=[(([0.0, 3.0], [0.0, 4.0]), [NAN, 0.6])]),
]  # fmt: skip

EXPONENTIALS = [
    smooth("exp", np.exp, ANY, special=[(([-INF, 0.0, 1e4],), [0.0, 1.0, INF])], special_grad=[(([-INF, 0.0],), [0.0, 1.0])]),
    elementwise("exp2", np.exp2, ANY, dtypes=REAL),
    smooth("expm1", np.expm1, ANY, special=[(([-INF, 1e-300],), [-1.0, 1e-300])]),
    smooth("log", np.log, POSITIVE, special=[(([0.0, -1.0, INF],), [-INF, NAN, INF])], special_grad=[(([0.0, -2.0],), [INF, -0.5])]),
    elementwise("log2", np.log2, POSITIVE, dtypes=REAL, special=[(([0.0, 8.0],), [-INF, 3.0])]),
    elementwise("log10", np.log10, POSITIVE, dtypes=REAL, special=[(([0.0, 1000.0],), [-INF, 3.0])]),
    smooth("log1p", np.log1p, POSITIVE, special=[(([-1.0, 1e-300, -2.0],), [-INF, 1e-300, NAN])], special_grad=[(([-1.0],), [INF])]),
    elementwise(
        "logaddexp", np.logaddexp, ANY, ANY, dtypes=REAL,
        special=[(([1e4, -INF, INF], [1e4, 0.0, 1.0]), [1e4 + math.log(2), 0.0, INF])],
        special_grad=[(([1e4, -INF, 900.0], [1e4, 0.0, -900.0]), [0.5, 0.0, 1.0])],
    ),
    smooth("sigmoid", lambda x: 1 / (1 + np.exp(-x)), ANY, special=[(([-INF, -1e4, 0.0, INF],), [0.0, 0.0, 0.5, 1.0])],
           special_grad=[(([-INF, 0.0, INF],), [0.0, 0.25, 0.0])]),
    elementwise("erf", np.vectorize(math.erf, otypes="d"), (-7.0, 7.0), dtypes=REAL,
                special=[(([-INF, INF, NAN, 1e-300],), [-1.0, 1.0, NAN, 1e-300 * 2 / math.sqrt(PI)])]),
    elementwise("erfc", np.vectorize(math.erfc, otypes="d"), (-7.0, 7.0), dtypes=REAL,
                special=[(([-INF, INF, NAN, 40.0],), [2.0, 0.0, NAN, 0.0])]),
]  # fmt: skip

TRIGONOMETRY = [
    smooth("sin", np.sin, ANY, special=[(([INF, 0.0],), [NAN, 0.0])]),
    smooth("cos", np.cos, ANY, special=[(([INF, 0.0],), [NAN, 1.0])]),
    smooth("tan", np.tan, UNIT),
    smooth("asin", np.arcsin, UNIT, special=[(([1.0, 1.5],), [PI / 2, NAN])], special_grad=[(([1.0, -1.0, 0.0],), [INF, INF, 1.0])]),
    smooth("acos", np.arccos, UNIT, special=[(([1.0, 1.5],), [0.0, NAN])], special_grad=[(([1.0, 0.0],), [-INF, -1.0])]),
    smooth("atan", np.arctan, UNIT, special=[(([INF, -INF],), [PI / 2, -PI / 2])], special_grad=[(([INF, 0.0],), [0.0, 1.0])]),
    elementwise("atan2", np.arctan2, ANY, ANY, dtypes=REAL, special=[(([0.0, 0.0, -0.0], [1.0, -1.0, -1.0]), [0.0, PI, -PI])],
                special_grad=[(([0.0, 1.0], [0.0, 2.0]), [0.0, 0.4])]),
    smooth("sinh", np.sinh, ANY),
    smooth("cosh", np.cosh, ANY),
    smooth("tanh", np.tanh, ANY, special=[(([-INF, INF],), [-1.0, 1.0])], special_grad=[(([INF, 0.0],), [0.0, 1.0])]),
    smooth("asinh", np.arcsinh, UNIT),
    smooth("acosh", np.arccosh, ABOVE_ONE, special=[(([1.0, 0.5],), [0.0, NAN])], special_grad=[(([1.0],), [INF])]),
    smooth("atanh", np.arctanh, UNIT, special=[(([1.0, 2.0],), [INF, NAN])], special_grad=[(([1.0, 0.0],), [INF, 1.0])]),
]  # fmt: skip

STEPS = [
    elementwise("zeros_like", np.zeros_like, ANY, dtypes="f d e l ? F D", grad=False, special=[(([INF, NAN],), [0.0, 0.0])]),
    step("floor", np.floor, special=[(([-0.5, INF],), [-1.0, INF])]),
    step("ceil", np.ceil, special=[(([-0.5, 0.5],), [-0.0, 1.0])]),
    step("trunc", np.trunc, special=[(([-1.5, 1.5],), [-1.0, 1.0])]),
    step("round", np.round, special=[(([0.5, 1.5, -2.5],), [0.0, 2.0, -2.0]), (([1.25, 0.75], 1), [1.2, 0.8])]),
    step("sign", np.sign, special=[(([-3.0, 0.0, NAN, INF],), [-1.0, 0.0, NAN, 1.0])]),
    elementwise("frac", lambda x: x - np.trunc(x), ANY, dtypes=REAL, special=[(([-1.5, 2.0],), [-0.5, 0.0])]),
    elementwise("copysign", np.copysign, ANY, ANY, dtypes=REAL, special=[(([1.0, -1.0], [-0.0, 0.0]), [-1.0, 1.0])],
                special_grad=[(([0.0, -2.0], [1.0, 1.0]), [0.0, -1.0])]),
    elementwise("heaviside", np.heaviside, ANY, ANY, dtypes=NUMBERS, special=[(([-1.0, 0.0, 1.0], [5.0, 6.0, 7.0]), [0.0, 6.0, 1.0])]),
]  # fmt: skip

COMPLEX_NUMBERS = [
    *(Row(op, getattr(np, op), [S(In(s, dtype="complex128")) for s in ((2, 3), (), (0, 2))]) for op in ("real", "imag")),
    elementwise("conj", np.conj, ANY, dtypes="f d F D", complex_grad=True),
    elementwise("complex", lambda a, b: a + 1j * b, ANY, ANY, dtypes="f d",
                special=[(([INF, 0.0], [0.0, INF]), [complex(INF, 0.0), complex(0.0, INF)])]),
    elementwise("sgn", np.sign, ANY, dtypes=COMPLEX, complex_grad=True),
    elementwise("abs", np.abs, ANY, dtypes=COMPLEX, complex_grad=True, special=[(([-INF, -0.0, NAN],), [INF, 0.0, NAN])],
                special_grad=[(([0.0, -2.0, 3.0],), [0.0, -1.0, 1.0])]),
    elementwise("angle", np.angle, ANY, dtypes="f d e F D", complex_grad=True, special=[(([-2.0, 0.0, NAN],), [PI, 0.0, NAN])],
                special_grad=[(([-2.0, 0.0],), [0.0, 0.0])]),
]  # fmt: skip

ROWS = [*ARITHMETIC, *POWERS, *EXPONENTIALS, *TRIGONOMETRY, *STEPS, *COMPLEX_NUMBERS]
