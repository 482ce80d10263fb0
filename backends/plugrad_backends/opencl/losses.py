"""Kernels of `plugrad.ops.loss`, named like the ops: what core composes of them, in one launch or two with the reduction.

A member NAME_vjp_INPUT is the whole formula of a derivative, as one kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from plugrad.op import OPS

from ..expressions import Functions as f
from ..expressions import traced
from ..expressions.expr import INT64, var
from ..expressions.functions import cast, where
from .elementwise import Elementwise
from .folds import single
from .kernels import elementwise
from .reduce import reduction
from .rows import rowwise


def _losses(name: str) -> Callable[..., Any]:
    """The losses of all elements by the op's composite, put together."""

    def function(row: Any, x: Any, target: Any, is_mean: bool, *params: Any) -> Any:
        op: Any = OPS[name]
        (losses,) = traced(lambda x, target: op.default(x, target, "none", *params), (x, target))
        return cast(row.mean(losses) if is_mean else row.sum(losses), x.dtype)

    return function


def _slopes(name: str, of: str) -> Callable[..., Any]:
    """The op's formula for the input `of`, with the cotangent divided by the number of elements."""

    def function(g: Any, x: Any, target: Any, n: Any, *params: Any) -> Any:
        op: Any = OPS[name]
        formula = op.saves.formulas[of]
        known = {"g": g / n, "x": x, "target": target, **dict(zip(op.params, ("sum", *params)))}
        return cast(formula.fn(*[known[k] for k in formula.names]), x.dtype)

    return function


class loss:
    """The member of a loss: falls back to core's composite where that raises, or there is nothing to put together."""

    def __init__(self) -> None:
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, backend: Any, owner: Any = None) -> Any:
        if backend is None:
            return self
        op: Any = OPS[self.name]
        total = reduction(_losses(self.name))
        total.__set_name__(type(backend), f"_total_{self.name}")
        kernel = total.__get__(backend)
        each = Elementwise(backend.device, f"each_{self.name}", op.default, op_by_op=True, inputs=2)

        def member(x: Any, target: Any, reduction: str, *params: Any) -> Any:
            if x.shape != target.shape or x.dtype.kind != "f" or x.dtype != target.dtype:
                return op.default(x, target, reduction, *params)
            if reduction == "none":
                return each(x, target, reduction, *params)
            return kernel.of((x, target), None, False, reduction == "mean", *params)

        backend.__dict__[self.name] = member
        return member


class slope:
    """The member of the formula `NAME_vjp_INPUT` of a loss's derivative."""

    def __init__(self) -> None:
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, backend: Any, owner: Any = None) -> Any:
        if backend is None:
            return self
        name, of = self.name.split("_vjp_")
        names = OPS[name].saves.formulas[of].names
        kernel = Elementwise(backend.device, self.name, _slopes(name, of), promote=True)

        def member(*args: Any) -> Any:
            known = dict(zip(names, args))
            g, x = known["g"], known["x"]
            n = max(math.prod(x.shape), 1) if known["reduction"] == "mean" else 1
            params = [known[k] for k in names if k not in ("g", "x", "target", "reduction")]
            return kernel(g, x, known.get("target", x), float(n), *params)

        backend.__dict__[self.name] = member
        return member


# --- of class indices: each element is asked whether it is that of the target, so there is nothing to gather -------------


def _matches(row: Any, target: Any, ignored: int) -> tuple[Any, Any]:
    """Of a row of classes: whether an element is that of the target and counts, and whether the target is right so far."""
    row.places = True
    target, place = cast(target, INT64), cast(var("place", np.int32), INT64)
    return (place == target) & (target != ignored), (place == target) | (target == ignored)


def _nll(row: Any, x: Any, target: Any, weight: Any, ignored: int) -> Any:
    """Minus the target's element times its weight, that weight, and whether the target is right."""
    (match, fits), w = _matches(row, target, ignored), single(weight)
    return row.sum(where(match, -single(x) * w, 0)), row.sum(where(match, w, 0)), row.any(fits)


def _cross_entropy(row: Any, x: Any, target: Any, weight: Any, ignored: int) -> Any:
    """`_nll` of the row's log_softmax."""
    match, fits = _matches(row, target, ignored)
    z = single(x) - row.max(x)
    total, w = row.sum(f.exp(z)), row.sum(where(match, single(weight), 0))
    found = (f.log(total) - row.sum(where(match, z, 0))) * w
    return where(row.any(match), found, 0), w, row.any(fits)


def _cross_entropy_vjp(row: Any, g: Any, x: Any, target: Any, weight: Any, total: Any, ignored: int) -> Any:
    match, _ = _matches(row, target, ignored)
    e = f.exp(single(x) - row.max(x))
    scale = row.sum(where(match, single(g) * single(weight) / single(total), 0))
    return cast((e / row.sum(e) - cast(match, e.dtype)) * scale, x.dtype)


def _nll_total(row: Any, found: Any, weights: Any, fits: Any, is_mean: bool) -> Any:
    total = row.sum(found)
    return total / row.sum(weights) if is_mean else total, row.all(fits)


def _nll_weights(row: Any, target: Any, weight: Any, ignored: int) -> Any:
    match, _ = _matches(row, target, ignored)
    return row.sum(where(match, single(weight), 0))


def _nll_count(row: Any, target: Any, dtype: Any, ignored: int) -> Any:
    return cast(row.sum(f.not_equal(cast(target, INT64), ignored)), dtype)


def _nll_slope(g: Any, target: Any, weight: Any, total: Any, place: Any, ignored: Any) -> Any:
    target = cast(target, INT64)
    match = (cast(place, INT64) == target) & f.not_equal(target, cast(ignored, INT64))
    return where(match, -single(g) / single(total) * single(weight), 0)


class LossKernels:
    """A family of kernels; the backend inherits them all."""

    device: Any

    mse_loss, huber_loss, smooth_l1_loss = loss(), loss(), loss()
    binary_cross_entropy, binary_cross_entropy_with_logits = loss(), loss()
    mse_loss_vjp_x, mse_loss_vjp_target = slope(), slope()
    huber_loss_vjp_x, smooth_l1_loss_vjp_x = slope(), slope()
    binary_cross_entropy_vjp_x, binary_cross_entropy_with_logits_vjp_x = slope(), slope()

    _nll, _nll_total, _nll_weights = reduction(_nll), reduction(_nll_total), reduction(_nll_weights)
    _nll_count = reduction(_nll_count)
    _cross_entropy, _cross_entropy_vjp = rowwise(_cross_entropy), rowwise(_cross_entropy_vjp)
    _nll_slope = elementwise(_nll_slope, promote=False)

    def nll_loss(self: Any, x: Any, target: Any, weight: Any, reduction: str, ignore_index: int) -> Any:
        """Minus the element of `x` that belongs to each target; waits, to see whether all targets are classes."""
        rows, weights = self._beside_classes(x.shape, x.dtype, target, weight)
        found = self._nll.of((x, rows, weights), (_axis(x.ndim),), False, ignore_index)
        return self._loss_of_classes(found, x, target, reduction, ignore_index)

    def cross_entropy(self: Any, x: Any, target: Any, weight: Any, reduction: str, ignore_index: int) -> Any:
        """`nll_loss` of log_softmax(x)."""
        axis = _axis(x.ndim)
        rows, weights = self._beside_classes(x.shape, x.dtype, target, weight)
        found = self._cross_entropy.of((x, rows, weights), (axis,), False, ignore_index)
        if found is None:
            return self.nll_loss(self.log_softmax(x, (axis,)), target, weight, reduction, ignore_index)
        return self._loss_of_classes(found, x, target, reduction, ignore_index)

    def _loss_of_classes(
        self: Any, rows: tuple[Any, Any, Any], x: Any, target: Any, reduction: str, ignore_index: int
    ) -> Any:
        """The loss of the results of `_nll`; IndexError where a target is no class."""
        total, fit = self._nll_total.of(rows, None, False, reduction == "mean")
        if not fit.item():
            known, n = target.get(), x.shape[_axis(x.ndim)]
            wrong = known[(known != ignore_index) & ((known < 0) | (known >= n))].flat[0]
            raise IndexError(f"nll_loss: Target {wrong} is out of bounds: expected a class from 0 to {n - 1}")
        y = rows[0] if reduction == "none" else total
        return y if y.dtype == x.dtype else self._cast(y, x.dtype)

    def cross_entropy_vjp_x(
        self: Any, g: Any, x: Any, target: Any, weight: Any, reduction: str, ignore_index: int
    ) -> Any:
        """(softmax - 1 at the target) times g and the target's weight, by the sum of weights for the mean."""
        axis = _axis(x.ndim)
        rows, weights = self._beside_classes(x.shape, g.dtype, target, weight)
        total = self._total_weight(
            g.dtype, target, rows, weights, weight is None, reduction, ignore_index, axis
        )
        if reduction == "none":
            g = g.reshape((*g.shape[:axis], 1, *g.shape[axis:]))
        found = self._cross_entropy_vjp.of((g, x, rows, weights, total), (axis,), False, ignore_index)
        if found is None:
            formula: Any = OPS["cross_entropy"].saves.formulas["x"].fn
            return formula(g, x, target, weight, reduction, ignore_index)
        return found

    def nll_loss_backward(
        self: Any, g: Any, target: Any, weight: Any, reduction: str, ignore_index: int, shape: tuple[int, ...]
    ) -> Any:
        """`g` at the element of each target, zeros elsewhere."""
        axis = _axis(len(shape))
        rows, weights = self._beside_classes(shape, g.dtype, target, weight)
        total = self._total_weight(
            g.dtype, target, rows, weights, weight is None, reduction, ignore_index, axis
        )
        if reduction == "none":
            g = g.reshape((*g.shape[:axis], 1, *g.shape[axis:]))
        out = self.device.empty(shape, g.dtype)
        places = self._class_numbers(shape[axis]).reshape((shape[axis], *(1,) * (len(shape) - axis - 1)))
        self._nll_slope.into((out,), g, rows, weights, total, places, ignore_index)
        return out

    def _total_weight(
        self: Any, dtype: Any, target: Any, rows: Any, weights: Any, is_counted: bool, reduction: str,
        ignored: int, axis: int,
    ) -> Any:  # fmt: skip
        """What a loss was divided by: the sum of the targets' weights for the mean, else 1."""
        dtype = np.dtype(np.float32) if dtype.itemsize == 2 else dtype
        if reduction != "mean":
            return self._one(dtype)
        if is_counted:
            return self._nll_count.of((target,), None, False, dtype, ignored)
        each = self._nll_weights.of((rows, weights), (axis,), False, ignored)
        return self.sum(each, tuple(range(each.ndim)), False)

    def _beside_classes(
        self: Any, shape: tuple[int, ...], dtype: Any, target: Any, weight: Any
    ) -> tuple[Any, Any]:
        """Targets and weights in forms that broadcast to `shape`."""
        axis = _axis(len(shape))
        rows = target.reshape((*target.shape[:axis], 1, *target.shape[axis:]))
        if weight is None:
            return rows, self._one(dtype)
        return rows, weight.reshape((weight.size, *(1,) * (len(shape) - axis - 1)))

    def _class_numbers(self: Any, n: int) -> Any:
        """The numbers of `n` classes, kept for the sizes that were asked for last."""
        known = self.__dict__.setdefault("_classes", {})
        if n not in known:
            if len(known) >= 16:
                known.clear()
            known[n] = self.from_numpy(np.arange(n, dtype=np.int32))
        return known[n]

    def _one(self: Any, dtype: Any) -> Any:
        """The number 1, made once for each dtype."""
        ones = self.__dict__.setdefault("_ones", {})
        if dtype not in ones:
            one = self.device.empty((), dtype)
            one.set(np.ones((), dtype))
            ones[dtype] = one
        return ones[dtype]


def _axis(ndim: int) -> int:
    """The axis of the classes."""
    return min(ndim - 1, 1)
