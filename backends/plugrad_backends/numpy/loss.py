"""NumPy kernels of `plugrad.ops.loss`, named like the ops."""

from __future__ import annotations

from typing import Any

import numpy as np


class LossKernels:
    """A family of kernels; the backend inherits them all."""

    @staticmethod
    def nll_loss(x: np.ndarray, target: Any, weight: Any, reduction: str, ignore_index: int) -> Any:
        """Minus the element of `x` that belongs to each target."""
        classes = x.shape[_axis(x.ndim)]
        rows = np.moveaxis(x, _axis(x.ndim), -1).reshape(-1, classes)
        index, ignored = _places(target, classes, ignore_index)
        losses = -rows[np.arange(index.size), index]
        if weight is not None:
            losses *= weight[index]
        if ignored is not None:
            losses[ignored] = 0
        if reduction == "none":
            return losses.reshape(target.shape)
        return (
            np.divide(losses.sum(), _total(index, ignored, weight), dtype=losses.dtype)
            if reduction == "mean"
            else losses.sum()
        )

    @staticmethod
    def nll_loss_backward(
        g: np.ndarray, target: Any, weight: Any, reduction: str, ignore_index: int, shape: tuple[int, ...]
    ) -> Any:
        """`g` at the element of each target, zeros elsewhere."""
        classes = shape[_axis(len(shape))]
        index, ignored = _places(target, classes, ignore_index)
        values = -(g.reshape(-1) if reduction == "none" else g)
        if reduction == "mean":
            values = values / _total(index, ignored, weight)
        if weight is not None:
            values = values * weight[index]
        if ignored is not None:
            values = np.where(ignored, g.dtype.type(0), values)
        rows = np.zeros((index.size, classes), g.dtype)
        rows[np.arange(index.size), index] = values
        return np.ascontiguousarray(np.moveaxis(rows.reshape(*target.shape, classes), -1, _axis(len(shape))))


def _axis(ndim: int) -> int:
    """The axis of the classes."""
    return min(ndim - 1, 1)


def _places(target: np.ndarray, classes: int, ignore_index: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The class of each target in one row, 0 for those to ignore; and which these are, None for no such."""
    index = target.reshape(-1)
    if _all_below(index, classes) and not 0 <= ignore_index < classes:
        return index, None
    ignored = index == ignore_index
    index = np.where(ignored, 0, index)
    if not _all_below(index, classes):
        wrong = index[(index < 0) | (index >= classes)][0]
        raise IndexError(
            f"nll_loss: Target {wrong} is out of bounds: expected a class from 0 to {classes - 1}"
        )
    return index, ignored


def _all_below(index: np.ndarray, classes: int) -> bool:
    """Whether 0 <= index < classes everywhere, in one comparison: unsigned, the negative ones are large."""
    return not index.size or bool(index.view(f"u{index.itemsize}").max() < classes)


def _total(index: np.ndarray, ignored: np.ndarray | None, weight: Any) -> Any:
    """The sum of the weights of the targets that count."""
    if weight is None:
        return index.size - (0 if ignored is None else int(np.count_nonzero(ignored)))
    weights = weight[index]
    return weights.sum() if ignored is None else weights[~ignored].sum()
