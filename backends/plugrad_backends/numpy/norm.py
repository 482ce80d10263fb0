"""NumPy kernels of `plugrad.ops.norm`, named like the ops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .reduce import in_single


def layer_norm(x: np.ndarray, axis: tuple[int, ...], eps: float) -> np.ndarray:
    """In place after the first pass; the products of rows with themselves are BLAS's."""
    shape, n = x.shape, math.prod([x.shape[i] for i in axis])
    if not x.size:
        return np.empty(shape, x.dtype)
    rows = x.reshape(-1, n)
    rows = rows - np.add.reduce(rows, 1, keepdims=True) / n
    scale = np.vecdot(rows, rows)
    scale /= n
    scale += eps
    rows /= np.sqrt(scale, out=scale)[:, None]
    return rows.reshape(shape)


def layer_norm_affine(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, axis: tuple[int, ...], eps: float
) -> np.ndarray:
    y = layer_norm(x, axis, eps)
    y *= weight
    y += bias
    return y


class NormKernels:
    """A family of kernels; the backend inherits them all."""

    layer_norm: Any = staticmethod(in_single(layer_norm))
    layer_norm_affine: Any = staticmethod(in_single(layer_norm_affine))
