"""Formulas of derivatives that are a kernel each: members `NAME_vjp_INPUT`, which core calls instead of the formula.

What the kernels do not know, the formula of the op computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import ref

import numpy as np

from plugrad.op import OPS

from . import rows
from .source import FLOATS

__all__ = ["Derivatives"]

Axes = tuple[int, ...]


class Derivatives:
    """Those of softmax, log-softmax and layer normalization."""

    device: Any
    #: What the derivatives of one layer normalization, which follow each other, leave for the next one: by `x` for the weight
    #: (g, x, axis, eps, mean and scale of each row), and that for the bias (g, its derivative). Arrays are referred to weakly.
    _for_weight: tuple[Any, ...] | None = None
    _for_bias: tuple[Any, ...] | None = None

    def _formula(self, op: str, of: str) -> Callable[..., Any]:
        """The formula of core."""
        found: Any = OPS[op]
        return found.saves.formulas[of].fn

    def _in_rows(self: Any, arrays: tuple[Any, ...], axis: Axes, kernel: Callable[..., None]) -> Any:
        """What a kernel makes of arrays of one shape and dtype, the axes of a row last in memory; the result is dense."""
        ndim = arrays[0].ndim
        if not ndim:
            moved, order = tuple(self.dense(a) for a in arrays), ()
        else:
            moved, orders = zip(*[self._last(a, axis or (0,)) for a in arrays])
            order = orders[0]
        cols = math.prod([arrays[0].shape[a % ndim] for a in axis]) if ndim else 1
        y = self.device.empty(moved[0].shape, arrays[0].dtype)
        if y.size:
            kernel(*[a.data.ptr for a in moved], y.data.ptr, y.size // cols, cols)
        return y if order == tuple(range(ndim)) else self.dense(y.transpose(np.argsort(order).tolist()))

    # --- means: the quotient of the cotangent, which is then repeated ---------------------------------------------------------

    def mean_vjp_x(self: Any, g: Any, x: Any, axis: Axes) -> Any:
        """g / n, repeated."""
        shape = tuple(x.shape)
        kept = tuple(1 if i in {a % len(shape) for a in axis} else n for i, n in enumerate(shape))
        n = math.prod([shape[a] for a in axis])
        return self.others.broadcast_to(self._quotient(g, n).reshape(kept), shape)

    def mean_all_vjp_x(self: Any, g: Any, x: Any) -> Any:
        """The same of all elements."""
        return self.others.broadcast_to(self._quotient(g, math.prod(x.shape)), tuple(x.shape))

    # --- softmax ----------------------------------------------------------------------------------------------------------

    def softmax_vjp_x(self, g: Any, y: Any, axis: Axes) -> Any:
        """y (g - sum(g y))."""
        return self._softmax_vjp("softmax", False, g, y, axis)

    def log_softmax_vjp_x(self, g: Any, y: Any, axis: Axes) -> Any:
        """g - exp(y) sum(g)."""
        return self._softmax_vjp("log_softmax", True, g, y, axis)

    def _softmax_vjp(self: Any, op: str, log: bool, g: Any, y: Any, axis: Axes) -> Any:
        name = _common(g, y)
        if name is None or (y.ndim and not axis):
            return self._formula(op, "x")(g, y, axis)
        kernels = self.device.kernels()

        def backward(g: int, y: int, dx: int, n: int, cols: int) -> None:
            rows.softmax_backward(kernels, name, log, g, y, dx, n, cols)

        return self._in_rows((g, y), axis, backward)

    # --- layer normalization: the derivative by `x` leaves mean and scale of each row for the others -------------------------

    def layer_norm_vjp_x(self: Any, g: Any, x: Any, axis: Axes, eps: float) -> Any:
        """The part of `g` that changes neither the mean nor the variance."""
        name = _common(g, x)
        if name is None or (x.ndim and not axis):
            return self._formula("layer_norm", "x")(g, x, axis, eps)
        kernels = self.device.kernels()

        def backward(g: int, x: int, dx: int, n: int, cols: int) -> None:
            rows.layer_norm_backward(kernels, name, g, x, 0, dx, eps, n, cols)

        return self._in_rows((g, x), axis, backward)

    def layer_norm_affine_vjp_x(self: Any, g: Any, x: Any, weight: Any, axis: Axes, eps: float) -> Any:
        """That of `layer_norm`, of `g` times the weight."""
        if not self._affine(g, x, weight, axis) or weight.dtype != x.dtype:
            return self._formula("layer_norm_affine", "x")(g, x, weight, axis, eps)
        dx, stats = self._normalized_vjp(g, x, weight, eps, len(axis))
        self._for_weight, self._for_bias = (ref(g), ref(x), axis, eps, stats), None
        return dx

    def layer_norm_affine_vjp_weight(self: Any, g: Any, x: Any, weight: Any, axis: Axes, eps: float) -> Any:
        """The products of `g` and what the weight was multiplied by, summed over the rows; of the weight only shape is known."""
        if not self._affine(g, x, weight, axis):
            return self._formula("layer_norm_affine", "weight")(g, x, weight, axis, eps)
        kept, self._for_weight = self._for_weight, None
        if kept is not None and kept[0]() is g and kept[1]() is x and kept[2:4] == (axis, eps):
            stats = kept[4]
        else:
            stats = self._normalized_vjp(g, x, None, eps, len(axis))[1]
        name, n = _common(g, x), len(stats)
        cols = x.size // n
        dweight, dbias = self.device.empty(weight.shape, x.dtype), self.device.empty(weight.shape, x.dtype)
        partial = self.device.empty((2, rows.parts(n), cols), stats.dtype)
        g_, x_ = self.dense(g), self.dense(x)
        rows.layer_norm_parameters(
            self.device.kernels(), name, g_.data.ptr, x_.data.ptr, stats.data.ptr, partial.data.ptr, dweight.data.ptr,
            dbias.data.ptr, n, cols,
        )  # fmt: skip
        self._for_bias = ref(g), dbias
        return dweight

    def layer_norm_affine_vjp_bias(self: Any, g: Any, bias: Any) -> Any:
        """The sums of `g` over the rows."""
        kept, self._for_bias = self._for_bias, None
        if kept is not None and kept[0]() is g and kept[1].shape == bias.shape:
            return kept[1]
        y = self.sum(g, tuple(range(g.ndim - len(bias.shape))), False)
        return y if y.shape == bias.shape else self._formula("layer_norm_affine", "bias")(g, bias)

    def _affine(self, g: Any, x: Any, weight: Any, axis: Axes) -> bool:
        """Whether the kernels serve: g and x of one dtype, and of rows over the last axes, of which the weight has all."""
        first = x.ndim - len(axis)
        if not (x.size and axis and _common(g, x)):
            return False
        return axis == tuple(range(first, x.ndim)) and weight.shape == x.shape[first:]

    def _normalized_vjp(self: Any, g: Any, x: Any, weight: Any, eps: float, axes: int) -> Any:
        """The derivative by `x`, and mean and scale of each row."""
        name, cols = _common(g, x), math.prod(x.shape[x.ndim - axes :])
        n = x.size // cols
        g_, x_ = self.dense(g), self.dense(x)
        w: Any = None if weight is None else self.dense(weight)
        dx = self.device.empty(x.shape, x.dtype)
        stats = self.device.empty((n, 2), np.float64 if name == "float64" else np.float32)
        rows.layer_norm_backward(
            self.device.kernels(),
            name,
            g_.data.ptr,
            x_.data.ptr,
            0 if w is None else w.data.ptr,
            dx.data.ptr,
            eps,
            n,
            cols,
            stats.data.ptr,
        )
        return dx, stats


def _common(*arrays: Any) -> Any:
    """The name of the float dtype that all have; None where there is none."""
    first = arrays[0].dtype
    if any(a.dtype != first for a in arrays):
        return None
    name = str(first.name)
    return name if name in FLOATS else None
