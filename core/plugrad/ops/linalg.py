"""Products of matrices and vectors, and linear systems.

Formulas are plain transposes, since conjugates are the core's affair; only `slogdet` and `cholesky`, which are not
holomorphic, take them themselves. `mm`, `bmm`, `mv`, `vm` and `dot` are `matmul` for certain numbers of dimensions:
PyTorch's node names for them are visible, and their formulas and kernels are cheaper.
"""

from __future__ import annotations

import math
from typing import Any

from ..op import Op, linear, multilinear, operator, sum_to
from .elementwise import conj, imag, is_complex
from .reduce import sum_
from .shape import broadcast_to, diagonal_, embed_diagonal, reshape_, tril_

# --- products ---------------------------------------------------------------------------------------------

matrix_transpose = linear(
    "matrix_transpose", "x", view=True, node="TransposeBackward0", x=lambda g: matrix_transpose(g)
)

mm = multilinear(
    "mm", "a b", a=lambda g, b: mm(g, matrix_transpose(b)), b=lambda g, a: mm(matrix_transpose(a), g)
)
bmm = multilinear(
    "bmm", "a b", a=lambda g, b: bmm(g, matrix_transpose(b)), b=lambda g, a: bmm(matrix_transpose(a), g)
)
mv = multilinear("mv", "a b", a=lambda g, b: outer_(g, b), b=lambda g, a: vm(g, a))
vm = multilinear("vm", "a b", node="SqueezeBackward4", a=lambda g, b: mv(b, g), b=lambda g, a: outer_(a, g))
dot = multilinear("dot", "a b", a=lambda g, b: g * b, b=lambda g, a: g * a)


def outer_(a: Any, b: Any) -> Any:
    """The matrix of the products of the elements of two vectors."""
    return reshape_(a, (a.shape[0], 1)) * b


def _rows(x: Any) -> Any:
    """A stack of matrices as one tall matrix."""
    return reshape_(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _matmul_b(g: Any, a: Any, b: Any) -> Any:
    if len(b.shape) == 2:  # one product instead of a stack of them and a sum
        return mm(matrix_transpose(_rows(a)), _rows(g))
    return sum_to(matmul(matrix_transpose(a), g), b.shape)


#: Stacks of matrices; the dimensions before the last two broadcast.
matmul = multilinear(
    "matmul", "a b", node="UnsafeViewBackward0",
    a=lambda g, a, b: sum_to(matmul(g, matrix_transpose(b)), a.shape),
    b=lambda g, a, b: _matmul_b(g, a, b),
)  # fmt: skip


def _plus(name: str, product: Op) -> Op:
    """`beta * x + alpha * product(a, b)`: one node, as in PyTorch, where it is visible."""
    da, db = product.formulas["a"], product.formulas["b"]

    def kernel(x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
        y = product(a, b) if alpha == 1 else product(a, b) * alpha
        if beta == 0:  # whatever x holds, NaN too
            return y
        ends = tuple(y.shape)[len(y.shape) - len(x.shape) :]
        if len(x.shape) > len(y.shape) or any(n not in (1, m) for n, m in zip(x.shape, ends)):
            raise RuntimeError(
                f"{name}: the input of shape {list(x.shape)} does not expand to the shape {list(y.shape)} "
                "of the product"
            )
        return (x if beta == 1 else x * beta) + y

    return operator(
        name, "x a b | beta=1 alpha=1", result="alike", default=kernel,
        x=lambda g, x, beta: sum_to(g if beta == 1 else g * beta, x.shape),
        a=lambda g, b, alpha: da(g if alpha == 1 else g * alpha, b),
        b=lambda g, a, alpha: db(g if alpha == 1 else g * alpha, a),
    )  # fmt: skip


addmm, addmv, baddbmm = _plus("addmm", mm), _plus("addmv", mv), _plus("baddbmm", bmm)

#: The sum of the main diagonal of a matrix.
trace_ = linear(
    "trace", "x", default=lambda x: sum_(diagonal_(x, 0, 0, 1), (0,), False),
    x=lambda g, x: embed_diagonal(broadcast_to(g, (min(x.shape),)), tuple(x.shape), 0, 0, 1),
)  # fmt: skip

# --- linear systems: stacks of square matrices ------------------------------------------------------------


def _each(g: Any) -> Any:
    """A number for each matrix of a stack, so that it multiplies the whole matrix."""
    return reshape_(g, (*g.shape, 1, 1))


inv = operator(
    "inv", "x", node="LinalgInvExBackward0",
    x=lambda g, y: -matmul(matrix_transpose(y), matmul(g, matrix_transpose(y))),
)  # fmt: skip
#: The solution of `a @ y = b`, for stacks of matrices `b`.
solve = operator(
    "solve", "a b", result="alike", node="LinalgSolveExBackward0",
    a=lambda g, y, a: sum_to(-matmul(solve(matrix_transpose(a), g), matrix_transpose(y)), a.shape),
    b=lambda g, a, b: sum_to(solve(matrix_transpose(a), g), b.shape),
)  # fmt: skip
det = operator(
    "det", "x", node="LinalgDetBackward0", x=lambda g, y, x: _each(g * y) * matrix_transpose(inv(x))
)


def _adjoint(x: Any) -> Any:
    """The conjugate transpose."""
    return conj(matrix_transpose(x)) if is_complex(x) else matrix_transpose(x)


def _slogdet_vjp(g: Any, x: Any) -> Any:
    """With d = tr(x⁻¹ dx) the logarithm changes by the real part of d, the sign by i sign times the imaginary part."""
    if not is_complex(x):
        return _each(g[1]) * matrix_transpose(inv(x))
    sign = slogdet(x)[0]
    return _each(g[1] + 1j * imag(conj(sign) * g[0])) * _adjoint(inv(x))


#: The sign of the determinant, of a complex one its direction, and the logarithm of its absolute value.
slogdet: Op = operator(
    "slogdet", "x", outputs=True, node="LinalgSlogdetBackward0", holomorphic=False, x=_slogdet_vjp
)


def _cholesky_vjp(g: Any, y: Any) -> Any:
    """Murray, "Differentiation of the Cholesky decomposition" (2016), eq. 10, made symmetric."""
    y_t = _adjoint(y)
    inner = matmul(y_t, g)
    inner = (tril_(inner, 0) + _adjoint(tril_(inner, -1))) * 0.5
    return _adjoint(solve(y_t, _adjoint(solve(y_t, inner))))


#: The lower triangle whose product with its conjugate transpose is `x`.
cholesky = operator(
    "cholesky", "x", node="LinalgCholeskyExBackward0", holomorphic=False, x=lambda g, y: _cholesky_vjp(g, y)
)
