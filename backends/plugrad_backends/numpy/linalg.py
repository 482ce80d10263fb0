"""NumPy kernels of `plugrad.ops.linalg`, named like the ops."""

from __future__ import annotations

from operator import attrgetter

import numpy as np


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`np.matmul` calls BLAS once per matrix of `a`; with a single `b` all rows of `a` go into one."""
    if b.ndim == 2 and a.ndim > 2 and a.size:
        return np.dot(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    return np.matmul(a, b)


def mm(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`np.dot` starts faster than `np.matmul`, but fills its result with zeros first."""
    return np.dot(a, b) if a.size + b.size < 1 << 14 else np.matmul(a, b)


class LinalgKernels:
    """A family of kernels; the backend inherits them all."""

    mm = staticmethod(mm)
    mv = vm = dot = staticmethod(np.dot)
    bmm = staticmethod(np.matmul)
    matmul = staticmethod(matmul)
    matrix_transpose = staticmethod(attrgetter("mT"))
    inv = staticmethod(np.linalg.inv)
    solve = staticmethod(np.linalg.solve)
    det = staticmethod(np.linalg.det)
    slogdet = staticmethod(lambda x: tuple(map(np.asarray, np.linalg.slogdet(x))))
    cholesky = staticmethod(np.linalg.cholesky)
