"""Rows of `plugrad.ops.compare`."""

# ruff: noqa: E501 (tables: one line a case)

from __future__ import annotations

import math

import numpy as np

from .row import In, Row, S, elementwise

ANY = (-2.0, 2.0)
INF, NAN = math.inf, math.nan
ORDERED = (
    S(In(dtype="complex128"), In(dtype="complex128")),
    NotImplementedError,
    "complex numbers have no order",
)


def predicate(op, reference, *intervals, **options):
    return elementwise(op, reference, *intervals, grad=False, **{"dtypes": "f d e l ?", **options})


def bits(op, reference, *, low=-8.0, dtypes="l ?"):
    """A row on whole numbers, which `In` makes of an interval."""
    n = 1 if op == "bitwise_invert" else 2
    return elementwise(op, reference, *((low, 8.0),) * n, grad=False, dtypes=dtypes)


COMPARISONS = [
    predicate("equal", np.equal, ANY, ANY, dtypes="f d e l ? F D", special=[(([NAN, 0.0, INF], [NAN, -0.0, INF]), [False, True, True])],
              errors=[(S(In((2, 3)), In((2,))), RuntimeError, "equal: the size of tensor a")]),
    predicate("not_equal", np.not_equal, ANY, ANY, dtypes="f d e l ? F D", special=[(([NAN], [NAN]), [True])]),
    *(predicate(op, reference, ANY, ANY, errors=[ORDERED], special=[(([NAN, 1.0], [NAN, 1.0]), [False, op.endswith("equal")])])
      for op, reference in [("less", np.less), ("less_equal", np.less_equal), ("greater", np.greater), ("greater_equal", np.greater_equal)]),
    *(predicate(op, getattr(np, op), ANY, ANY) for op in ("logical_and", "logical_or", "logical_xor")),
    predicate("logical_not", np.logical_not, ANY),
    *(predicate(op, getattr(np, op), ANY, special=[(([NAN, INF, -INF, 0.0],), expected)]) for op, expected in [
        ("isnan", [True, False, False, False]),
        ("isinf", [False, True, True, False]),
        ("isfinite", [False, False, False, True]),
    ]),
    predicate("signbit", np.signbit, ANY, dtypes="f d e", special=[(([-0.0, 0.0, -INF],), [True, False, True])]),
]  # fmt: skip

BITS = [
    bits("bitwise_and", lambda a, b: a & b),
    bits("bitwise_or", lambda a, b: a | b),
    bits("bitwise_xor", lambda a, b: a ^ b),
    bits("bitwise_invert", lambda x: ~x),
    bits("bitwise_left_shift", lambda a, b: a << b, low=0.0, dtypes="l"),
    bits("bitwise_right_shift", lambda a, b: a >> b, low=0.0, dtypes="l"),
]

CONDITION = np.array([[True, False, True], [False, True, True]])

CHOICES = [
    Row(
        "where", np.where, [S(CONDITION, In(), In()), S(CONDITION, In((3,)), In(())), S(CONDITION, In(), 0.0), S(CONDITION[:, :1], 1, In())],
        dtypes="f d e l F D", complex_grad=True,
        errors=[(S(CONDITION, In((2,)), In()), RuntimeError, r"where: the size of tensor a \(3\) must match the size of tensor b \(2\)")],
    ),
    elementwise(
        "maximum", np.maximum, ANY, ANY, dtypes="f d e l ?", errors=[ORDERED],
        special=[(([NAN, 1.0, INF], [1.0, NAN, 2.0]), [NAN, NAN, INF])],
        special_grad=[(([1.0, 2.0, 1.0, NAN, 1.0], [1.0, 1.0, 2.0, 1.0, NAN]), [0.5, 1.0, 0.0, 1.0, 1.0]), (([-1.0, 0.0, 1.0], 0), [0.0, 0.5, 1.0])],
    ),
    elementwise(
        "minimum", np.minimum, ANY, ANY, dtypes="f d e l ?", errors=[ORDERED],
        special=[(([NAN, 1.0, INF], [1.0, NAN, 2.0]), [NAN, NAN, 2.0])],
        special_grad=[(([1.0, 2.0, 1.0, NAN, 1.0], [1.0, 1.0, 2.0, 1.0, NAN]), [0.5, 0.0, 1.0, 1.0, 1.0])],
    ),
    elementwise(
        "fmax", np.fmax, ANY, ANY, errors=[ORDERED], special=[(([NAN, 1.0, NAN], [1.0, NAN, NAN]), [1.0, 1.0, NAN])],
        special_grad=[(([NAN, 1.0, 1.0, 2.0], [1.0, NAN, 1.0, 1.0]), [0.0, 1.0, 1.0, 1.0])],
    ),
    elementwise(
        "fmin", np.fmin, ANY, ANY, errors=[ORDERED], special=[(([NAN, 1.0, NAN], [1.0, NAN, NAN]), [1.0, 1.0, NAN])],
        special_grad=[(([NAN, 1.0, 1.0, 2.0], [1.0, NAN, 1.0, 1.0]), [0.0, 1.0, 1.0, 0.0])],
    ),
    Row(
        "clip", lambda x, min, max: np.clip(x, min, max), [S(In((2, 3)), -1, 1), S(In(()), 0.5, 1.0), S(In(), 0, None), S(In(), None, 1), S(In((0, 2)), 0, 1)], dtypes="f d e",
        special=[(([NAN, -INF, INF], 0, 1), [NAN, 0.0, 1.0]), (([0.0], 2, 1), [1.0])],
        special_grad=[(([-1.0, 0.0, 0.5, 1.0, 2.0], 0, 1), [0.0, 1.0, 1.0, 1.0, 0.0])],
        errors=[(S(In(dtype="complex128"), 0, 1), NotImplementedError, "complex numbers have no order")],
    ),
    elementwise("clamp_min", np.maximum, ANY, ANY, errors=[ORDERED], special=[(([NAN, 1.0], 2.0), [NAN, 2.0])],
                special_grad=[(([0.0, 1.0, 2.0], 1.0), [0.0, 1.0, 1.0])]),
    elementwise("clamp_max", np.minimum, ANY, ANY, errors=[ORDERED], special=[(([NAN, 3.0], 2.0), [NAN, 2.0])],
                special_grad=[(([0.0, 1.0, 2.0], 1.0), [1.0, 1.0, 0.0])]),
    elementwise(
        "nan_to_num", np.nan_to_num, ANY, dtypes="f d e l",
        special=[(([NAN, INF, -INF, 1.0],), [0.0, np.finfo("d").max, np.finfo("d").min, 1.0]), (([NAN, INF, -INF], 1, 2, 3), [1.0, 2.0, 3.0])],
        special_grad=[(([NAN, INF, 1.0],), [0.0, 0.0, 1.0])],
    ),
]  # fmt: skip

ROWS = [*COMPARISONS, *BITS, *CHOICES]
