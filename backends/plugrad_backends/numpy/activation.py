"""NumPy kernels of `plugrad.ops.activation`, named like the ops."""

from __future__ import annotations

from typing import Any

import numpy as np


def _elu(x: np.ndarray, alpha: float) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _softplus(x: np.ndarray, beta: float, threshold: float) -> Any:
    z = x * beta  # the exponential of a number that is not positive never overflows
    return np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta)


def _logsigmoid(x: np.ndarray) -> Any:
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


def _shifted(x: np.ndarray, axis: tuple[int, ...]) -> Any:
    """`x` less its maximum, so that no exponential overflows; an empty axis has none."""
    return x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)


def _softmax(x: np.ndarray, axis: tuple[int, ...]) -> Any:
    e = np.exp(_shifted(x, axis))
    return e / np.sum(e, axis=axis, keepdims=True)


def _log_softmax(x: np.ndarray, axis: tuple[int, ...]) -> Any:
    z = _shifted(x, axis)
    return z - np.log(np.sum(np.exp(z), axis=axis, keepdims=True))


class ActivationKernels:
    """A family of kernels; the backend inherits them all."""

    relu = staticmethod(lambda x: np.maximum(x, 0))
    hardtanh = staticmethod(np.clip)
    elu = staticmethod(_elu)
    softplus = staticmethod(_softplus)
    logsigmoid = staticmethod(_logsigmoid)
    dropout = staticmethod(lambda x, mask, keep: x * np.divide(mask, keep, dtype=x.dtype))
    softmax = staticmethod(_softmax)
    log_softmax = staticmethod(_log_softmax)
