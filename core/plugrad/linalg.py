"""`plugrad.linalg`: matrices and linear systems under the names of `torch.linalg`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import ops
from .methods import results
from .methods.linalg import square
from .tensor import Tensor

det = Tensor.det
inv = Tensor.inverse
cholesky = Tensor.cholesky
matmul = Tensor.matmul
matrix_power = Tensor.matrix_power


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """The solution of `A @ X = B`, or of `X @ A = B`; `B` is a vector, a matrix, or a stack of either.

    >>> import plugrad as torch
    >>> torch.linalg.solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    square(A, "linalg.solve")
    if not isinstance(B, Tensor):
        raise TypeError(f"linalg.solve(): argument 'B' must be Tensor, not {type(B).__name__}")
    if not left:
        return solve(A.mT, B.mT).mT
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    x = B.unsqueeze(-1) if vector else B
    if x.shape[-2] != A.shape[-1]:
        raise RuntimeError(
            "linalg.solve: Incompatible shapes of A and B for the equation AX = B: "
            f"{list(A.shape)} and {list(B.shape)}"
        )
    y = ops.solve.call(A, x)
    return y.squeeze(-1) if vector else y


def slogdet(A: Any) -> Any:
    """The sign of the determinant and the logarithm of its absolute value."""
    return results.linalg_slogdet(ops.slogdet.call(square(A, "linalg.slogdet")))


def multi_dot(tensors: Sequence[Any]) -> Any:
    """The product of several matrices, in the order that takes the fewest multiplications.

    The first and the last may be vectors.
    """
    if len(tensors) < 2:
        raise RuntimeError(f"linalg.multi_dot: expected at least 2 tensors but got {len(tensors)}")
    factors = list(tensors)
    first, last = factors[0].ndim == 1, factors[-1].ndim == 1
    if first:
        factors[0] = factors[0].unsqueeze(0)
    if last:
        factors[-1] = factors[-1].unsqueeze(1)
    for i, x in enumerate(factors):
        if x.ndim != 2:
            raise RuntimeError(
                f"linalg.multi_dot: expected a matrix for factor {i}, found shape {list(x.shape)}"
            )
    product = _in_order(factors)
    return product.squeeze((0,) * first + (1,) * last) if first or last else product


def _in_order(factors: list[Any]) -> Any:
    """The product of matrices, by the textbook's dynamic program over where to split each run of them."""
    sizes = [x.shape[0] for x in factors] + [factors[-1].shape[1]]
    best: dict[tuple[int, int], tuple[int, Any]] = {(i, i + 1): (0, None) for i in range(len(factors))}
    for length in range(2, len(factors) + 1):
        for i in range(len(factors) - length + 1):
            j = i + length
            best[i, j] = min(
                (best[i, k][0] + best[k, j][0] + sizes[i] * sizes[k] * sizes[j], k) for k in range(i + 1, j)
            )

    def product(i: int, j: int) -> Any:
        k = best[i, j][1]
        return factors[i] if k is None else product(i, k) @ product(k, j)

    return product(0, len(factors))
