"""Losses. Cross entropy of class indices: a pass over the logits forward, and one backward, without a wait of the host.

Those of two arrays: a kernel of their elements and a reduction, and a kernel for each derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from plugrad.op import OPS

from ...expressions import Functions as f
from . import rows
from .source import FLOATS

__all__ = ["Losses"]

#: Losses of two arrays of one shape, element by element, put together.
_OF_PAIRS = (
    "mse_loss",
    "huber_loss",
    "smooth_l1_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
)


class Losses:
    """Members named like the op, and the formula of its derivative."""

    def __init__(self, device: Any, others: Any) -> None:
        super().__init__(device, others)  # type: ignore[call-arg]
        make: Any = self._elementwise  # type: ignore[attr-defined]
        self._counted = make(
            "counted", lambda target, ignored: f.where(f.not_equal(target, ignored), target, 0)
        )
        self._weight_of = make(
            "weight_of",
            lambda target, weight, ignored: f.where(f.not_equal(target, ignored), weight, 0.0),
            free=(0,),
        )
        self._divided = make("mean_of_losses", lambda losses, weights: losses / weights)
        for name in _OF_PAIRS:
            setattr(self, name, self._of_pairs(name))
            op: Any = OPS[name]
            for of, formula in op.saves.formulas.items():
                setattr(self, f"{name}_vjp_{of}", self._slope(name, of, formula))

    def _of_pairs(self: Any, name: str) -> Callable[..., Any]:
        """The member of a loss of two arrays."""
        op: Any = OPS[name]
        each = self.fused(f"each_{name}", op.default, 2)

        def member(x: Any, target: Any, reduction: str, *params: Any) -> Any:
            if x.shape != target.shape or x.dtype != target.dtype or str(x.dtype.name) not in FLOATS:
                return op.default(x, target, reduction, *params)  # which says what is wrong with them
            losses = each(x, target, "none", *params)
            if reduction == "none":
                return losses
            return self.mean_all(losses) if reduction == "mean" else self.sum_all(losses)

        return member

    def _slope(self: Any, name: str, of: str, formula: Any) -> Callable[..., Any]:
        """The formula of a loss's derivative as one kernel, with the cotangent divided by the number of elements."""
        names, op = formula.names, OPS[name]
        arrays = [n for n in names if n in ("x", "target")]
        params = [n for n in names if n not in ("g", "x", "target", "reduction")]

        def divided(g: Any, n: Any, *rest: Any) -> Any:
            known = {"g": g / n, "reduction": "sum", **dict(zip([*arrays, *params], rest))}
            return formula.fn(*[known[k] for k in names])

        kernel = self.fused(f"{name}_vjp_{of}", divided, 2 + len(arrays))

        def member(*args: Any) -> Any:
            known = dict(zip(names, args))
            g, x = known["g"], known["x"]
            if str(g.dtype.name) not in FLOATS or g.dtype != x.dtype:
                return formula.fn(*args)
            n = max(math.prod(x.shape), 1) if known["reduction"] == "mean" else 1
            return kernel(g, float(n), *[known[k] for k in (*arrays, *params)])

        member.__doc__ = f"{op.name}: the derivative by {of}."
        return member

    def cross_entropy(self: Any, x: Any, target: Any, weight: Any, reduction: str, ignore_index: int) -> Any:
        """Minus the logarithm of the softmax at each target; a target that is no class is told when values are next read."""
        name = str(x.dtype.name)
        if name not in FLOATS or not x.size or (weight is not None and weight.dtype != x.dtype):
            return self.others.cross_entropy(x, target, weight, reduction, ignore_index)
        logits, target, shape = self._of_targets(x, target)
        rows_, classes = target.size, logits.shape[-1]
        self.others.check_range(
            self._counted(target, ignore_index), 0, classes - 1,
            lambda wrong: IndexError(
                f"nll_loss: Target {wrong} is out of bounds: expected a class from 0 to {classes - 1}"
            ),
        )  # fmt: skip
        weight = None if weight is None else self.dense(weight)
        both = self.device.empty((2, rows_), np.float64 if name == "float64" else np.float32)
        fault = self.device.empty((1,), np.int64)  # which row it was: nobody asks
        losses, weights = both[0], both[1]
        rows.cross_entropy(
            self.device.kernels(), name, logits.data.ptr, target.data.ptr, 0 if weight is None else weight.data.ptr,
            losses.data.ptr, weights.data.ptr, fault.data.ptr, ignore_index, rows_, classes,
        )  # fmt: skip
        if reduction == "none":
            y = losses.reshape(shape)
        elif reduction == "sum":
            y = self.sum(losses, (0,), False)
        else:
            sums = self.sum(both, (1,), False)
            y = self._divided(sums[0], sums[1])
        return y if y.dtype == x.dtype else self._cast(y, x.dtype)

    def cross_entropy_vjp_x(
        self: Any, g: Any, x: Any, target: Any, weight: Any, reduction: str, ignore_index: int
    ) -> Any:
        """(softmax - 1 at the target) g, by the sum of the weights for the mean."""
        name = str(x.dtype.name)
        if (
            name not in FLOATS
            or not x.size
            or g.dtype != x.dtype
            or (weight is not None and weight.dtype != x.dtype)
        ):
            formula: Any = OPS["cross_entropy"].saves.formulas["x"].fn  # type: ignore[union-attr]
            return formula(g, x, target, weight, reduction, ignore_index)
        axis, target_shape = min(x.ndim - 1, 1), target.shape
        logits, target, _ = self._of_targets(x, target)
        g, weight = self.dense(g), None if weight is None else self.dense(weight)
        total = self._total(target, weight, ignore_index, name) if reduction == "mean" else None
        dx = self.device.empty(logits.shape, x.dtype)
        rows.cross_entropy_backward(
            self.device.kernels(), name, g.data.ptr, 0 if total is None else total.data.ptr, logits.data.ptr,
            target.data.ptr, 0 if weight is None else weight.data.ptr, dx.data.ptr, ignore_index,
            reduction == "none", target.size, logits.shape[-1],
        )  # fmt: skip
        if axis == x.ndim - 1:
            return dx.reshape(x.shape)
        dx = dx.reshape((*target_shape, x.shape[axis]))
        return self.dense(dx.transpose((0, x.ndim - 1, *range(1, x.ndim - 1))))

    def _of_targets(self: Any, x: Any, target: Any) -> tuple[Any, Any, tuple[int, ...]]:
        """The logits, classes last, and the targets, both dense; and the shape of the targets."""
        axis = min(x.ndim - 1, 1)
        logits = self._last(x, (axis,))[0]
        return logits, self._int64(self.dense(target)).reshape(-1), target.shape

    def _total(self: Any, target: Any, weight: Any, ignore_index: int, name: str) -> Any:
        """The sum of the targets' weights, in the dtype that losses are summed in."""
        wide = np.dtype(np.float64 if name == "float64" else np.float32)
        if weight is None:
            counts = self.sum(self.not_equal(target, ignore_index), (0,), False)
            return self._cast(counts, wide)
        each = self.take(self._cast(weight, wide), self._counted(target, ignore_index), 0)
        return self.sum(self._weight_of(target, each, ignore_index), (0,), False)
