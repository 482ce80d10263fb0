"""Kernels of functions of rows, named like the ops: softmax, normalization, variance, and their derivatives; template 3.

Where rows are few and long, each falls back to several launches: then it is what core composes of reductions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plugrad.composites.activation import ActivationComposites
from plugrad.composites.reduce import ReduceComposites
from plugrad.op import OPS

from ..expressions import Functions as f
from ..expressions.functions import cast, where
from .folds import single
from .reduce import reduction
from .reductions import like
from .rows import rowwise


def _softmax(row: Any, x: Any) -> Any:
    e = f.exp(single(x) - row.max(x))
    return cast(e * (1 / row.sum(e)), x.dtype)  # one division for a row


def _log_softmax(row: Any, x: Any) -> Any:
    z = single(x) - row.max(x)
    return cast(z - f.log(row.sum(f.exp(z))), x.dtype)


def _logsumexp(row: Any, x: Any) -> Any:
    wide = single(x)
    largest = row.max(f.real(wide))
    largest = where(f.isfinite(largest), largest, 0)
    return cast(f.log(row.sum(f.exp(wide - largest))) + largest, x.dtype)


def _softmax_vjp(row: Any, g: Any, y: Any) -> Any:
    g, wide = single(g), single(y)
    return cast(wide * (g - row.sum(g * wide)), y.dtype)


def _log_softmax_vjp(row: Any, g: Any, y: Any) -> Any:
    wide = single(g)
    return cast(wide - f.exp(single(y)) * row.sum(wide), g.dtype)


def _variance(row: Any, x: Any, correction: float) -> Any:
    wide = single(x)
    d = wide - row.mean(wide)
    squares = d.re * d.re + d.im * d.im if x.dtype.kind == "c" else d * d
    total = row.sum(squares)
    return total / f.maximum(row.count(total) - correction, 0.0)


def _var(row: Any, x: Any, correction: float) -> Any:
    y = _variance(row, x, correction)
    return cast(y, x.dtype) if x.dtype == np.float16 else y


def _var_vjp(row: Any, g: Any, x: Any, correction: float) -> Any:
    wide, g = single(x), single(g)
    n = f.maximum(row.count(f.real(g)) - correction, 0.0)
    return cast((wide - row.mean(wide)) * (g * 2 / n), x.dtype)


def _std(row: Any, x: Any, correction: float) -> Any:
    y = f.sqrt(_variance(row, x, correction))
    return cast(y, x.dtype) if x.dtype == np.float16 else y


def _deviation(row: Any, x: Any, eps: float) -> tuple[Any, Any]:
    d = single(x) - row.mean(x)
    return d, f.rsqrt(row.mean(d * d) + eps)


def _layer_norm(row: Any, x: Any, eps: float) -> Any:
    d, scale = _deviation(row, x, eps)
    return cast(d * scale, x.dtype)


def _layer_norm_affine(row: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    d, scale = _deviation(row, x, eps)
    return cast(d * scale * single(weight) + single(bias), x.dtype)


def _layer_norm_vjp(row: Any, g: Any, x: Any, eps: float) -> Any:
    g = single(g)
    d, scale = _deviation(row, x, eps)
    slope = row.mean(g * d) * (scale * scale)
    return cast(scale * (g - row.mean(g) - d * slope), x.dtype)


def _layer_norm_affine_vjp(row: Any, g: Any, x: Any, weight: Any, eps: float) -> Any:
    return _layer_norm_vjp(row, single(g) * single(weight), x, eps)


class RowKernels:
    """A family of kernels; the backend inherits them all."""

    _rows_softmax, _rows_log_softmax = rowwise(_softmax), rowwise(_log_softmax)
    _rows_logsumexp, _rows_var, _rows_std = rowwise(_logsumexp), rowwise(_var), rowwise(_std)
    _rows_layer_norm, _rows_layer_norm_affine = rowwise(_layer_norm), rowwise(_layer_norm_affine)

    _rows_softmax_vjp, _rows_log_softmax_vjp = rowwise(_softmax_vjp), rowwise(_log_softmax_vjp)
    _rows_var_vjp = rowwise(_var_vjp)
    _dot = reduction(lambda row, a, b: like(row.sum(single(a) * single(b)), a))
    _rows_layer_norm_vjp = rowwise(_layer_norm_vjp)
    _rows_layer_norm_affine_vjp = rowwise(_layer_norm_affine_vjp)

    def softmax(self: Any, x: Any, axis: tuple[int, ...]) -> Any:
        """Exponentials by their sum."""
        y = self._rows_softmax.of((x,), axis)
        return ActivationComposites.softmax(self, x, axis) if y is None else y

    def log_softmax(self: Any, x: Any, axis: tuple[int, ...]) -> Any:
        """The logarithm of `softmax`."""
        y = self._rows_log_softmax.of((x,), axis)
        return ActivationComposites.log_softmax(self, x, axis) if y is None else y

    def logsumexp(self: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        """log(sum(exp(x))), without overflow."""
        y = self._rows_logsumexp.of((x,), axis, keepdims)
        return ReduceComposites.logsumexp(self, x, axis, keepdims) if y is None else y

    def var(self: Any, x: Any, axis: tuple[int, ...], correction: float, keepdims: bool) -> Any:
        """The sum of squared deviations by n - correction, or by 0 where that is negative."""
        y = self._rows_var.of((x,), axis, keepdims, correction)
        return ReduceComposites.var(self, x, axis, correction, keepdims) if y is None else y

    def std(self: Any, x: Any, axis: tuple[int, ...], correction: float, keepdims: bool) -> Any:
        """The square root of `var`."""
        y = self._rows_std.of((x,), axis, keepdims, correction)
        return ReduceComposites.std(self, x, axis, correction, keepdims) if y is None else y

    def layer_norm(self: Any, x: Any, axis: tuple[int, ...], eps: float) -> Any:
        """(x - mean) / √(variance + eps)."""
        y = self._rows_layer_norm.of((x,), axis, False, eps)
        if y is None:
            d = x - self.mean(x, axis, True)
            y = d * self.rsqrt(self.mean(d * d, axis, True) + eps)
        return y

    def layer_norm_affine(
        self: Any, x: Any, weight: Any, bias: Any, axis: tuple[int, ...], eps: float
    ) -> Any:
        """`layer_norm`, times a weight, plus a bias."""
        y = self._rows_layer_norm_affine.of((x, weight, bias), axis, False, eps)
        return self.layer_norm(x, axis, eps) * weight + bias if y is None else y

    # --- the formulas of derivatives, as one kernel each --------------------------------------------------------------

    def softmax_vjp_x(self: Any, g: Any, y: Any, axis: tuple[int, ...]) -> Any:
        """y (g - sum(g y))."""
        found = self._rows_softmax_vjp.of((g, y), axis)
        return y * (g - self.sum(g * y, axis, True)) if found is None else found

    def log_softmax_vjp_x(self: Any, g: Any, y: Any, axis: tuple[int, ...]) -> Any:
        """g - exp(y) sum(g)."""
        found = self._rows_log_softmax_vjp.of((g, y), axis)
        return g - self.exp(y) * self.sum(g, axis, True) if found is None else found

    def layer_norm_vjp_x(self: Any, g: Any, x: Any, axis: tuple[int, ...], eps: float) -> Any:
        """The part of `g` that changes neither the mean nor the variance."""
        found = self._rows_layer_norm_vjp.of((g, x), axis, False, eps)
        return _formula("layer_norm")(g, x, axis, eps) if found is None else found

    def layer_norm_affine_vjp_x(
        self: Any, g: Any, x: Any, weight: Any, axis: tuple[int, ...], eps: float
    ) -> Any:
        """That of `layer_norm`, of `g` times the weight."""
        found = self._rows_layer_norm_affine_vjp.of((g, x, weight), axis, False, eps)
        return _formula("layer_norm_affine")(g, x, weight, axis, eps) if found is None else found

    def layer_norm_affine_vjp_weight(
        self: Any, g: Any, x: Any, weight: Any, axis: tuple[int, ...], eps: float
    ) -> Any:
        """The products of `g` and what the weight was multiplied by, summed over the rows."""
        return self._dot.of((g, self.layer_norm(x, axis, eps)), tuple(range(x.ndim - len(axis))))

    def var_vjp_x(self: Any, g: Any, x: Any, axis: tuple[int, ...], correction: float) -> Any:
        """The deviations from the mean, by what each changes the variance."""
        if g.ndim not in (0, x.ndim):
            g = g.reshape(tuple(1 if i in axis else n for i, n in enumerate(x.shape)))
        found = self._rows_var_vjp.of((g, x), axis, False, correction)
        return _formula("var")(g, x, axis, correction) if found is None else found


def _formula(name: str) -> Any:
    """The formula of core for the derivative by `x`."""
    op: Any = OPS[name]
    return op.saves.formulas["x"].fn
