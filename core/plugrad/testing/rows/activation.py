"""Rows of `plugrad.ops.activation`."""

# ruff: noqa: E501 (tables: one line a case)

from __future__ import annotations

import math

import numpy as np

from .row import In, Row, S, elementwise

ANY = (-3.0, 3.0)
INF, NAN = math.inf, math.nan

erf = np.vectorize(math.erf, otypes="d")


def one(op, reference, *params, special=(), special_grad=(), **options):
    """A row with shapes of every kind, and one sample more for each tuple of parameters."""
    samples = [S(In(shape, *ANY)) for shape in ((2, 3), (), (0, 2))] + [
        S(In((2, 3), *ANY), *p) for p in params
    ]
    return Row(op, reference, samples, dtypes="f d e", special=special, special_grad=special_grad, **options)


def softmax(x, axis):
    e = np.exp(x)
    return e / e.sum(axis, keepdims=True)


def gelu_tanh(x, approximate="none"):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ALONG = [
    S(In((2, 3)), (1,)),
    S(In((2, 3)), (0,)),
    S(In((2, 3, 2)), (1,)),
    S(In(()), ()),
    S(In((0, 2)), (0,)),
    S(In((2, 0)), (1,)),
]

ROWS = [
    elementwise("relu", lambda x: np.where(x > 0, x, 0), ANY, dtypes="f d e l", special=[(([NAN, -INF, INF],), [NAN, 0.0, INF])],
                special_grad=[(([0.0, -0.0, -1.0, 1.0],), [0.0, 0.0, 0.0, 1.0])]),
    one("leaky_relu", lambda x, slope=0.01: np.where(x > 0, x, slope * x), (0.2,), (-0.5,), special_grad=[(([0.0, 1.0],), [0.01, 1.0])]),
    one("hardtanh", lambda x, a=-1.0, b=1.0: np.clip(x, a, b), (0.0, 6.0), special_grad=[(([-1.0, 0.0, 1.0],), [0.0, 1.0, 0.0])]),
    one("elu", lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)), (0.5,), (-2.0,),
        special=[(([-INF, INF, 1e4],), [-1.0, INF, 1e4])], special_grad=[(([0.0, 1e4, -INF],), [1.0, 1.0, 0.0])]),
    one("softplus", lambda x, beta=1.0, threshold=20.0: np.log1p(np.exp(beta * x)) / beta, (2.0, 20.0),
        special=[(([1e4, -INF, 21.0, -1e4],), [1e4, 0.0, 21.0, 0.0])], special_grad=[(([1e4, 0.0, -1e4],), [1.0, 0.5, 0.0])]),
    one("logsigmoid", lambda x: -np.log1p(np.exp(-x)), special=[(([1e4, -1e4],), [0.0, -1e4])],
        special_grad=[(([1e4, 0.0, -1e4],), [0.0, 0.5, 1.0])]),
    Row("dropout", lambda x, mask, keep: x * mask / keep, [S(In(shape, *ANY), np.asarray(np.arange(math.prod(shape)).reshape(shape) % 2 == 0), 0.8)
        for shape in ((2, 3), (), (0, 2))], dtypes="f d e"),
    one("silu", lambda x: x / (1 + np.exp(-x)), special=[(([-1e4, 1e4],), [0.0, 1e4])], special_grad=[(([1e4, 0.0, -1e4],), [1.0, 0.5, 0.0])]),
    one("gelu", lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))), special_grad=[(([0.0, 40.0],), [0.5, 1.0])]),
    Row("gelu", gelu_tanh, [S(In((2, 3), *ANY), "tanh"), S(In((), *ANY), "tanh")], dtypes="f d e"),
    Row(
        "softmax", softmax, ALONG, dtypes="f d e",
        special=[(([1e4, 1e4, -INF], (0,)), [0.5, 0.5, 0.0]), (([-INF, -INF], (0,)), [NAN, NAN])],
        special_grad=[(([1e4, -INF], (0,)), [0.0, 0.0])],
    ),
    Row(
        "log_softmax", lambda x, axis: np.log(softmax(x, axis)), ALONG, dtypes="f d e",
        special=[(([1e4, 0.0, -INF], (0,)), [0.0, -1e4, -INF])],
    ),
    one("softsign", lambda x: x / (1 + abs(x))),
    one("tanhshrink", lambda x: x - np.tanh(x)),
    one("mish", lambda x: x * np.tanh(np.log1p(np.exp(x)))),
]  # fmt: skip
