"""Composites of `plugrad.ops.loss`."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes

Shape = tuple[int, ...]


def _axis(ndim: int) -> int:
    """The axis of the classes."""
    return min(ndim - 1, 1)


class LossComposites:
    """A family of composites."""

    def _picked(
        self: Any, target: Any, weight: Any, ignore_index: int, shape: Shape, dt: Any
    ) -> tuple[Any, Any, Any]:
        """Where the elements of the targets are in the flattened array of `shape`, and their weights, 0 to ignore."""
        axis = _axis(len(shape))
        classes = shape[axis]
        index = self.astype(target, dtypes.int64)
        counts = index != ignore_index
        index = self.where(counts, index, 0)
        self.check_range(
            index,
            0,
            classes - 1,
            lambda wrong: IndexError(
                f"nll_loss: Target {wrong} is out of bounds: expected a class from 0 to {classes - 1}"
            ),
        )
        flat = self.reshape(index, (math.prod(index.shape),))
        one = (
            self.full(tuple(flat.shape), 1, dt)
            if weight is None
            else self.take(self.astype(weight, dt), flat, 0)
        )
        weights = self.where(counts, self.reshape(one, tuple(index.shape)), 0.0)
        places = self._along(self.expand_dims(index, axis), axis, shape)
        return self.reshape(places, (math.prod(index.shape),)), weights, tuple(index.shape)

    def nll_loss(self: Any, x: Any, target: Any, weight: Any, reduction: str, ignore_index: int) -> Any:
        places, weights, shape = self._picked(
            target, weight, ignore_index, tuple(x.shape), dtypes.of(x.dtype)
        )
        found = self.reshape(self.take(self.reshape(x, (math.prod(x.shape),)), places, 0), shape)
        ignored = self.astype(target, dtypes.int64) == ignore_index
        losses = self.where(ignored, 0.0, -found * weights)
        if reduction == "none":
            return losses
        return self.sum_all(losses) / self.sum_all(weights) if reduction == "mean" else self.sum_all(losses)

    def nll_loss_backward(
        self: Any, g: Any, target: Any, weight: Any, reduction: str, ignore_index: int, shape: Shape
    ) -> Any:
        dt = dtypes.of(g.dtype)
        places, weights, _ = self._picked(target, weight, ignore_index, tuple(shape), dt)
        values = -g / self.sum_all(weights) if reduction == "mean" else -g
        values = self.where(weights == 0, 0.0, values * weights)
        flat = self.zeros((math.prod(shape),), dt)
        values = self.reshape(values, (math.prod(values.shape),))
        return self.reshape(self.index_add(flat, values, places, 0), tuple(shape))
