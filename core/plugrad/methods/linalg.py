"""Products of matrices and vectors under PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes, ops
from ..graph import Variable
from . import results

#: The op of `a @ b` by the numbers of dimensions of both; the general one takes any two of at least 2.
_MATMUL = {(1, 1): ops.dot, (1, 2): ops.vm, (2, 1): ops.mv, (2, 2): ops.mm}


class Linalg(Variable):
    """Methods of linear algebra."""

    __slots__ = ()

    def __matmul__(self, other: Any) -> Any:
        return self.matmul(other) if isinstance(other, Variable) else NotImplemented

    def matmul(self, other: Any) -> Any:
        """The product of vectors, matrices, or stacks of matrices, whose leading dimensions broadcast.

        >>> import plugrad as torch
        >>> torch.ones(5, 2, 3).matmul(torch.ones(3)).shape
        torch.Size([5, 2])
        """
        _check_tensors("matmul", other=other)
        a, b = len(self._raw.shape), len(other._raw.shape)
        op = _MATMUL.get((a, b))
        if op is not None or (a > 1 and b > 1):
            return _product(op or ops.matmul, self, other, "matmul")
        if not (a and b):
            raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a}D and {b}D")
        if b == 1:
            rows = _product(ops.mv, self.reshape(-1, self.shape[-1]), other, "matmul")
            return ops.unsafe_view.call(rows, tuple(self.shape[:-1]))
        return _product(ops.matmul, self.unsqueeze(0), other, "matmul").squeeze(-2)

    def mm(self, mat2: Any) -> Any:
        """The product of two matrices."""
        if isinstance(mat2, Variable) and len(self._raw.shape) == len(mat2._raw.shape) == 2:
            try:
                return ops.mm.call(self, mat2)
            except RuntimeError:
                pass
        return _checked(ops.mm, self, mat2, "mm", 2, 2)

    def bmm(self, mat2: Any) -> Any:
        """The products of two stacks of matrices of equal length."""
        _check_dims("bmm", 3, self, 3, mat2)
        if self.shape[0] != mat2.shape[0]:
            raise RuntimeError(
                "bmm: Expected size for first two dimensions of batch2 tensor to be: "
                f"[{self.shape[0]}, {self.shape[2]}] but got: {list(mat2.shape[:2])}"
            )
        return _product(ops.bmm, self, mat2, "bmm")

    def mv(self, vec: Any) -> Any:
        """The product of a matrix and a vector."""
        return _checked(ops.mv, self, vec, "mv", 2, 1)

    def dot(self, tensor: Any) -> Any:
        """The sum of the products of the elements of two vectors."""
        return _checked(ops.dot, self, tensor, "dot", 1, 1)

    def vdot(self, other: Any) -> Any:
        """`dot` with the complex conjugate of this vector."""
        return _checked(ops.dot, self.conj() if self.is_complex() else self, other, "vdot", 1, 1)

    def outer(self, vec2: Any) -> Any:
        """The matrix of the products of the elements of two vectors."""
        _check_dims("outer", 1, self, 1, vec2)
        return self.reshape(-1, 1) * vec2

    ger = outer

    def inner(self, other: Any) -> Any:
        """The products of all vectors along the last dimensions; of vectors, `dot`."""
        _check_tensors("inner", other=other)
        if not (self.ndim and other.ndim):
            return self * other
        if self.shape[-1] != other.shape[-1]:
            raise RuntimeError(
                "inner(): the last dimension must match on both input tensors but got shapes "
                f"{list(self.shape)} and {list(other.shape)}"
            )
        if self.ndim == other.ndim == 1:
            return self.dot(other)
        n = self.shape[-1]
        product = self.reshape(-1, n).mm(other.reshape(-1, n).t())
        return product.reshape(*self.shape[:-1], *other.shape[:-1])

    def addmm(self, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
        """`beta * self + alpha * mat1 @ mat2`."""
        return _checked(ops.addmm, mat1, mat2, "addmm", 2, 2, plus=(self, beta, alpha))

    def addmv(self, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
        """`beta * self + alpha * mat @ vec`."""
        return _checked(ops.addmv, mat, vec, "addmv", 2, 1, plus=(self, beta, alpha))

    def baddbmm(self, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
        """`beta * self + alpha * batch1 @ batch2` for stacks of matrices."""
        return _checked(ops.baddbmm, batch1, batch2, "baddbmm", 3, 3, plus=(self, beta, alpha))

    def addbmm(self, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
        """`beta * self + alpha * (batch1 @ batch2).sum(0)`."""
        _check_dims("addbmm", 3, batch1, 3, batch2)
        k = batch1.shape[0] * batch1.shape[2]
        left = batch1.transpose(0, 1).reshape(batch1.shape[1], k)
        return self.addmm(left, batch2.reshape(k, batch2.shape[2]), beta=beta, alpha=alpha)

    def addr(self, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
        """`beta * self + alpha * outer(vec1, vec2)`."""
        _check_dims("addr", 1, vec1, 1, vec2)
        return self.addmm(vec1.reshape(-1, 1), vec2.reshape(1, -1), beta=beta, alpha=alpha)

    def trace(self) -> Any:
        """The sum of the main diagonal of a matrix."""
        if self.ndim != 2:
            raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {self.ndim}")
        x = self if self.dtype.category >= dtypes.FLOAT else self.to(dtypes.int64)
        return ops.trace_.call(x)

    def kron(self, other: Any) -> Any:
        """The Kronecker product: every element of this tensor times the whole of the other."""
        _check_tensors("kron", other=other)
        n = max(self.ndim, other.ndim)
        a = (1,) * (n - self.ndim) + tuple(self.shape)
        b = (1,) * (n - other.ndim) + tuple(other.shape)
        spread_a = [size for m in a for size in (m, 1)]
        spread_b = [size for m in b for size in (1, m)]
        product = self.reshape(spread_a) * other.reshape(spread_b)
        return product.reshape([i * j for i, j in zip(a, b)])

    def det(self) -> Any:
        """The determinant of a square matrix, or of each of a stack."""
        return ops.det.call(square(self, "det"))

    def slogdet(self) -> Any:
        """The sign of the determinant and the logarithm of its absolute value."""
        return results.slogdet(ops.slogdet.call(square(self, "slogdet")))

    def inverse(self) -> Any:
        """The inverse of a square matrix, or of each of a stack; RuntimeError if it has none."""
        return ops.inv.call(square(self, "inverse"))

    def logdet(self) -> Any:
        """The logarithm of the determinant; of a real one NaN where it is negative."""
        sign, logarithm = ops.slogdet.call(square(self, "logdet"))
        if self.is_complex():
            return ops.log.call(sign) + logarithm
        return ops.where.call(sign < 0, float("nan"), logarithm)

    def cholesky(self) -> Any:
        """The lower triangular factor of a Hermitian positive definite matrix, or of each of a stack."""
        return ops.cholesky.call(square(self, "cholesky"))

    def matrix_power(self, n: int) -> Any:
        """A square matrix multiplied `n` times with itself; of its inverse where `n` is negative."""
        square(self, "matrix_power")
        base, n = (self.inverse(), -n) if n < 0 else (self, n)
        result = None
        while n:
            if n & 1:
                result = base if result is None else result @ base
            n >>= 1
            base = base @ base if n else base
        return _identity_like(self) if result is None else result


def _identity_like(x: Any) -> Any:
    """A stack of identity matrices of the shape of `x`."""
    eye = np.broadcast_to(np.eye(x.shape[-1]), tuple(x.shape))
    return type(x)(eye).to(device=x.device, dtype=x.dtype)


def square(x: Any, asked: str) -> Any:
    """`x` itself, a stack of square matrices."""
    _check_tensors(asked, A=x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"{asked}: expected a square matrix or a stack of them, found shape {list(x.shape)}"
        )
    if not (x.is_floating_point() or x.is_complex()):
        raise RuntimeError(
            f"{asked}: expected a floating-point or complex tensor, found {x.dtype}: convert it first"
        )
    return x


def _check_tensors(asked: str, **given: Any) -> None:
    for name, value in given.items():
        if not isinstance(value, Variable):
            raise TypeError(f"{asked}(): argument {name!r} must be Tensor, not {type(value).__name__}")


def _check_dims(asked: str, m: int, a: Any, n: int, b: Any) -> None:
    _check_tensors(asked, input=a, other=b)
    if (a.ndim, b.ndim) != (m, n):
        raise RuntimeError(f"{asked}: expected a {m}-D and a {n}-D tensor, but got {a.ndim}-D and {b.ndim}-D")


def _checked(op: Any, a: Any, b: Any, asked: str, m: int, n: int, plus: Any = None) -> Any:
    """A product that asks for certain numbers of dimensions."""
    _check_dims(asked, m, a, n, b)
    return _product(op, a, b, asked, plus)


def _product(op: Any, a: Any, b: Any, asked: str, plus: Any = None) -> Any:
    """`op` of two tensors, added to a third if given; what a kernel refuses is explained."""
    try:
        if plus is None:
            return op.call(a, b)
        x, beta, alpha = plus
        return op.call(x, a, b, beta, alpha)
    except RuntimeError as error:
        shapes = tuple(a.shape), tuple(b.shape)
        rows = shapes[1][-2] if len(shapes[1]) > 1 else shapes[1][-1]
        if a.dtype is b.dtype and shapes[0][-1] != rows:
            found = " and ".join("x".join(map(str, s)) for s in shapes)
            raise RuntimeError(
                f"{asked}: mat1 and mat2 shapes cannot be multiplied ({found}): "
                f"size {shapes[0][-1]} of the first must match size {rows} of the second"
            ) from None
        raise error
