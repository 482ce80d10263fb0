"""Kernels of `plugrad.ops.linalg`, named like the ops: cuBLAS and cuSOLVER, through CuPy."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from . import sync


class LinalgKernels:
    """A family of kernels; the backend inherits them all."""

    xp: ClassVar[Any]
    xpx: ClassVar[Any]

    def matmul(self, a: Any, b: Any) -> Any:
        if b.ndim == 2 and a.ndim > 2 and a.size:  # one product of matrices instead of a batch
            return self.xp.matmul(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
        if a.dtype.kind == "V" and a.ndim + b.ndim > 4:  # CuPy's batches know no bfloat16
            return self.xp.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
        return self.xp.matmul(a, b)

    def mm(self, a: Any, b: Any) -> Any:
        return self.xp.matmul(a, b)

    bmm = matmul

    def mv(self, a: Any, b: Any) -> Any:
        return self.xp.matmul(a, b)

    vm = mv

    def dot(self, a: Any, b: Any) -> Any:
        return self.xp.dot(a, b)

    # By default CuPy does not look whether a matrix was singular, and returns what came out.

    def _checked(self, asked: str) -> Any:
        sync.note(f"{asked}, which looks whether the matrix can be factorized")
        return self.xpx.errstate(linalg="raise")

    def inv(self, x: Any) -> Any:
        with self._checked("inv"):
            return self.xp.linalg.inv(x)

    def solve(self, a: Any, b: Any) -> Any:
        with self._checked("solve"):
            return self.xp.linalg.solve(a, b)

    def cholesky(self, x: Any) -> Any:
        with self._checked("cholesky"):
            return self.xp.linalg.cholesky(x)

    def det(self, x: Any) -> Any:
        return self.xp.linalg.det(x)

    def slogdet(self, x: Any) -> Any:
        sign, log = self.xp.linalg.slogdet(x)
        return sign, log
