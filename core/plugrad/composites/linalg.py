"""Composites of `plugrad.ops.linalg`: products by `matmul`, linear systems by Gauss's elimination, column by column."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from .shape import part


def _check_square(x: Any, asked: str) -> int:
    if len(x.shape) < 2 or x.shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"{asked}: A must be batches of square matrices, but they are of shape {tuple(x.shape)}"
        )
    return x.shape[-1]


class LinalgComposites:
    """A family of composites."""

    def matrix_transpose(self: Any, x: Any) -> Any:
        return self.swapaxes(x, len(x.shape) - 2, len(x.shape) - 1)

    def mm(self: Any, a: Any, b: Any) -> Any:
        return self.matmul(a, b)

    bmm = mm

    def mv(self: Any, a: Any, b: Any) -> Any:
        return self.squeeze(self.matmul(a, self.expand_dims(b, 1)), (1,))

    def vm(self: Any, a: Any, b: Any) -> Any:
        return self.squeeze(self.matmul(self.expand_dims(a, 0), b), (0,))

    def dot(self: Any, a: Any, b: Any) -> Any:
        return self.reshape(
            self.matmul(self.reshape(a, (1, a.shape[0])), self.reshape(b, (b.shape[0], 1))), ()
        )

    # --- linear systems -----------------------------------------------------------------------------------------------

    def _eliminated(self: Any, a: Any, b: Any) -> tuple[Any, Any, Any]:
        """The solution of `a @ y = b`, the pivots, and the sign of the exchange of rows; NaN where `a` is singular."""
        n, outer = a.shape[-1], tuple(a.shape[:-2])
        table, last = self.concat([a, b], len(a.shape) - 1), len(a.shape) - 1
        rows = self.reshape(self._arange(n), (n, 1))
        sign, pivots = self.full(outer, 1, dtypes.of(a.dtype)), []
        for i in range(n):
            column = self.abs(part(self, table, last, i))
            p = self.argmax(self.where(rows < i, -1.0, column), last - 1, True)
            here, there = part(self, table, last - 1, i), self._row(table, rows == p, last - 1)
            table = self.where(rows == i, there, self.where(rows == p, here, table))
            sign = self.where(self.reshape(p, outer) == i, sign, -sign)
            pivot = part(self, there, last, i)
            pivots.append(self.reshape(pivot, (*outer, 1)))
            factor = self.where(rows == i, 0.0, part(self, table, last, i) / pivot)
            table = self.where(rows == i, table, table - factor * there)
        pivots = self.concat(pivots, len(outer)) if pivots else self.zeros((*outer, 0), dtypes.of(a.dtype))
        y = part(self, table, last, n, table.shape[-1]) / self.expand_dims(pivots, len(outer) + 1)
        return y, pivots, sign

    def _row(self: Any, table: Any, mask: Any, axis: int) -> Any:
        return self.sum(self.where(mask, table, 0.0), (axis,), True)

    def solve(self: Any, a: Any, b: Any) -> Any:
        _check_square(a, "linalg.solve")
        vector = len(b.shape) == 1
        if vector:
            b = self.expand_dims(b, 1)
        outer = np.broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2]))
        a, b = (self.broadcast_to(x, (*outer, *x.shape[-2:])) for x in (a, b))
        y, pivots, _ = self._eliminated(a, b)
        if not self.to_numpy(pivots != 0).all():
            raise RuntimeError("linalg.solve: The solver failed because the input matrix is singular.")
        return self.squeeze(y, (len(y.shape) - 1,)) if vector else y

    def inv(self: Any, x: Any) -> Any:
        n = _check_square(x, "linalg.inv")
        one = self.astype(self.from_numpy(np.eye(n, dtype=np.float32)), dtypes.of(x.dtype))
        return self.solve(x, one)

    def det(self: Any, x: Any) -> Any:
        pivots, sign = self._pivots(x, "linalg.det")
        return sign * self.prod(pivots, len(pivots.shape) - 1, False)

    def slogdet(self: Any, x: Any) -> Any:
        pivots, sign = self._pivots(x, "linalg.slogdet")
        last = len(pivots.shape) - 1
        direction = sign * self.prod(self.sgn(pivots), last, False)
        return direction, self.sum(self.log(self.abs(pivots)), (last,), False)

    def _pivots(self: Any, x: Any, asked: str) -> tuple[Any, Any]:
        n = _check_square(x, asked)
        _, pivots, sign = self._eliminated(x, self.zeros((*x.shape[:-2], n, 0), dtypes.of(x.dtype)))
        # After a pivot of 0 everything is NaN: then the determinant is 0, unless x has NaN itself.
        singular = self.any(pivots == 0, (len(pivots.shape) - 1,), True)
        return self.where(singular, 0.0, pivots), sign

    def cholesky(self: Any, x: Any) -> Any:
        """Column by column: each takes its square out of the rest."""
        n, last = _check_square(x, "linalg.cholesky"), len(x.shape) - 1
        rows = self.reshape(self._arange(n), (n, 1))
        columns = []
        for i in range(n):
            pivot = self.sqrt(self.real(part(self, part(self, x, last, i), last - 1, i)))
            if not self.to_numpy(pivot > 0).all():
                raise RuntimeError(
                    f"linalg.cholesky: The factorization could not be completed because the input is not positive-definite "
                    f"(the leading minor of order {i + 1} is not positive-definite)."
                )
            column = self.where(rows < i, 0.0, part(self, x, last, i) / pivot)
            columns.append(column)
            x = x - column * self.matrix_transpose(self.conj(column))
        return self.concat(columns, last) if columns else self.copy(x)
