"""Rows of `plugrad.ops.linalg`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .row import In, Row, S

ALL = "f d e l F D"
DTYPES = r"expected operands of the same dtype, but got torch.float64 and torch.float32"


def pair(a: tuple[int, ...], b: tuple[int, ...]) -> Any:
    return S(In(a), In(b))


def product(op: str, reference: Any, samples: Any, wrong: Any) -> Row:
    first = samples[0].args
    errors = [
        (wrong, RuntimeError, "2.*3"),
        (S(first[0], In(first[1].shape, dtype="float32")), RuntimeError, DTYPES),
    ]
    return Row(op, reference, samples, dtypes=ALL, complex_grad=True, errors=errors)


def plus(x: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    return beta * x + alpha * (a @ b)


def triple(*shapes: tuple[int, ...], **params: Any) -> Any:
    return S(*map(In, shapes), **params)


def added(op: str, samples: Any) -> Row:
    return Row(op, plus, samples, dtypes="f d D", complex_grad=True)


NAN = [[np.nan]]

#: Square matrices, well conditioned because the diagonal dominates.
RNG = np.random.default_rng(3)
MATRIX = RNG.uniform(-1, 1, (3, 3)) + 3 * np.eye(3)
STACK = RNG.uniform(-1, 1, (2, 1, 3, 3)) + 3 * np.eye(3)
COMPLEX = MATRIX + 1j * RNG.uniform(-1, 1, (3, 3))
POSITIVE = MATRIX @ MATRIX.T
SINGULAR = np.ones((2, 2))
WHOLE = [S(MATRIX), S(STACK), S(COMPLEX), S(np.zeros((0, 3, 3)))]

ROWS = [
    Row(
        "matrix_transpose",
        lambda x: np.swapaxes(x, -1, -2),
        [S(In((2, 3))), S(In((4, 2, 3)))],
        dtypes=ALL,
        complex_grad=True,
    ),
    product(
        "mm",
        np.matmul,
        [pair((2, 3), (3, 4)), pair((2, 0), (0, 3)), pair((0, 2), (2, 3))],
        pair((2, 3), (2, 3)),
    ),
    product(
        "bmm", np.matmul, [pair((2, 2, 3), (2, 3, 4)), pair((0, 2, 3), (0, 3, 4))], pair((4, 2, 3), (4, 2, 3))
    ),
    product("mv", np.matmul, [pair((2, 3), (3,)), pair((2, 0), (0,))], pair((2, 3), (2,))),
    product("vm", np.matmul, [pair((3,), (3, 2)), pair((0,), (0, 2))], pair((3,), (2, 3))),
    product("dot", np.dot, [pair((3,), (3,)), pair((0,), (0,))], pair((2,), (3,))),
    product(
        "matmul",
        np.matmul,
        [
            pair((2, 3), (3, 4)),
            pair((5, 2, 3), (3, 4)),
            pair((2, 3), (5, 3, 4)),
            pair((5, 2, 3), (5, 3, 4)),
            pair((1, 2, 3), (5, 3, 4)),
            pair((4, 1, 2, 3), (5, 3, 1)),
            pair((0, 2, 3), (3, 4)),
            pair((5, 2, 0), (0, 4)),
        ],
        pair((4, 2, 3), (4, 2, 3)),
    ),
    added(
        "addmm",
        [
            triple((2, 4), (2, 3), (3, 4)),
            triple((4,), (2, 3), (3, 4), beta=2.0, alpha=-0.5),
            triple((2, 1), (2, 3), (3, 4)),
        ],
    ),
    added("addmv", [triple((2,), (2, 3), (3,)), triple((), (2, 3), (3,), beta=2.0, alpha=-0.5)]),
    added(
        "baddbmm",
        [triple((5, 2, 4), (5, 2, 3), (5, 3, 4)), triple((4,), (5, 2, 3), (5, 3, 4), beta=0.5, alpha=3.0)],
    ),
    Row(
        "trace", np.trace, [S(In((3, 3))), S(In((2, 4))), S(In((0, 2)))], dtypes="f d l D", complex_grad=True
    ),
    Row("inv", np.linalg.inv, WHOLE, errors=[(S(SINGULAR), RuntimeError, "inv.*Singular")]),
    Row("det", np.linalg.det, WHOLE),
    Row(
        "solve",
        np.linalg.solve,
        [
            S(MATRIX, In((3, 2))),
            S(STACK, In((4, 3, 2))),
            S(MATRIX, In((5, 3, 1))),
            S(COMPLEX, In((3, 2), dtype="complex128")),
        ],
        dtypes="d",
        errors=[(S(SINGULAR, In((2, 1))), RuntimeError, "solve.*Singular")],
    ),
    Row("slogdet", np.linalg.slogdet, [S(MATRIX), S(STACK), S(-MATRIX)]),
    # Its kernel reads one triangle and its derivative is symmetric: see test_methods_linalg.
    Row(
        "cholesky",
        np.linalg.cholesky,
        [S(POSITIVE), S(np.stack([POSITIVE, np.eye(3)]))],
        grad=False,
        errors=[(S(-POSITIVE), RuntimeError, "cholesky.*not positive definite")],
    ),
]
