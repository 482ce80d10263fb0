"""NumPy kernels of `plugrad.ops.linalg`, named like the ops."""

from __future__ import annotations

from operator import attrgetter

import numpy as np


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`np.matmul` calls BLAS once per matrix of `a`; with a single `b` all rows of `a` go into one."""
    if b.ndim == 2 and a.ndim > 2 and a.size:
        return np.dot(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    return np.matmul(a, b)


class LinalgKernels:
    """A family of kernels; the backend inherits them all."""

    # For matrices and vectors np.dot does what np.matmul does, and starts faster.
    mm = mv = vm = dot = staticmethod(np.dot)
    bmm = staticmethod(np.matmul)
    matmul = staticmethod(matmul)
    matrix_transpose = staticmethod(attrgetter("mT"))
    inv = staticmethod(np.linalg.inv)
    solve = staticmethod(np.linalg.solve)
    det = staticmethod(np.linalg.det)
    slogdet = staticmethod(lambda x: tuple(map(np.asarray, np.linalg.slogdet(x))))
    cholesky = staticmethod(np.linalg.cholesky)
