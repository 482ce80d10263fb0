"""Losses that are ops of their own: the names of PyTorch's nodes are visible at the end of every graph.

`reduction` is "mean", "sum" or "none". Targets that are class indices, and class weights, are parameters.
"""

from __future__ import annotations

import math
from typing import Any

from ..op import linear, operator
from .activation import log_softmax, softmax
from .compare import clip, maximum, minimum, where
from .elementwise import abs_, exp, is_complex, log, log1p, sigmoid
from .reduce import mean_all, sum_, sum_all
from .shape import alias


def reduced(losses: Any, reduction: str) -> Any:
    """The losses of the elements put together."""
    if reduction == "mean":
        return mean_all(losses)
    return sum_all(losses) if reduction == "sum" else losses


def _each(g: Any, x: Any, reduction: str) -> Any:
    """The cotangent of each element's loss, or one for all of them."""
    return g / max(math.prod(x.shape), 1) if reduction == "mean" else g


def _check_shapes(asked: str, x: Any, target: Any) -> None:
    """Raise for operands that would broadcast: the formulas count the elements of `x`."""
    if x.shape != target.shape:
        raise RuntimeError(
            f"{asked}: expected operands of one shape, but got {list(x.shape)} and {list(target.shape)}: broadcast them first"
        )


def _mse(x: Any, target: Any, reduction: str) -> Any:
    _check_shapes("mse_loss", x, target)
    difference = x - target
    return reduced(difference * difference, reduction)


mse_loss = operator(
    "mse_loss", "x target | reduction='mean'", default=_mse,
    x=lambda g, x, target, reduction: (x - target) * (2 * _each(g, x, reduction)),
    target=lambda g, x, target, reduction: (target - x) * (2 * _each(g, x, reduction)),
)  # fmt: skip


def _check_real(asked: str, *operands: Any) -> None:
    """Raise for complex numbers, where a library may compare by parts."""
    if any(map(is_complex, operands)):
        raise NotImplementedError(
            f"{asked} is not implemented for complex tensors, which have no order: take .real, .imag or .abs() first"
        )


def _huber(x: Any, target: Any, reduction: str, delta: float) -> Any:
    _check_real("huber_loss or smooth_l1_loss", x, target)
    _check_shapes("huber_loss or smooth_l1_loss", x, target)
    distance = abs_(x - target)
    losses = where(distance < delta, 0.5 * (distance * distance), delta * (distance - 0.5 * delta))
    return reduced(losses, reduction)


huber_loss = operator(
    "huber_loss", "x target | reduction='mean' delta=1.0", default=_huber,
    x=lambda g, x, target, reduction, delta: clip(x - target, -delta, delta) * _each(g, x, reduction),
    target=lambda g, x, target, reduction, delta: clip(target - x, -delta, delta) * _each(g, x, reduction),
)  # fmt: skip


def _smooth_l1_slope(x: Any, target: Any, beta: float) -> Any:
    return clip((x - target) / beta, -1.0, 1.0)


smooth_l1_loss = operator(
    "smooth_l1_loss", "x target | reduction='mean' beta=1.0", node="SmoothL1LossBackward0",
    default=lambda x, target, reduction, beta: _huber(x, target, reduction, beta) / beta,
    x=lambda g, x, target, reduction, beta: _each(g, x, reduction) * _smooth_l1_slope(x, target, beta),
    target=lambda g, x, target, reduction, beta: _each(g, x, reduction) * _smooth_l1_slope(target, x, beta),
)  # fmt: skip


def _bce(x: Any, target: Any, reduction: str) -> Any:
    _check_real("binary_cross_entropy", x, target)
    _check_shapes("binary_cross_entropy", x, target)
    # Logarithms below -100 count as -100, so that a confident mistake costs a finite loss.
    losses = (target - 1) * maximum(log1p(-x), -100.0) - target * maximum(log(x), -100.0)
    return reduced(losses, reduction)


binary_cross_entropy = operator(
    "binary_cross_entropy", "x target | reduction='mean'", default=_bce,
    x=lambda g, x, target, reduction: (x - target) / maximum((1 - x) * x, 1e-12) * _each(g, x, reduction),
    target=lambda g, x, reduction: (log1p(-x) - log(x)) * _each(g, x, reduction),
)  # fmt: skip


def _bce_with_logits(x: Any, target: Any, reduction: str) -> Any:
    _check_real("binary_cross_entropy_with_logits", x, target)
    _check_shapes("binary_cross_entropy_with_logits", x, target)
    return reduced((1 - target) * x - minimum(x, 0.0) + log1p(exp(-abs_(x))), reduction)


binary_cross_entropy_with_logits = operator(
    "binary_cross_entropy_with_logits", "x target | reduction='mean'", default=_bce_with_logits,
    x=lambda g, x, target, reduction: (sigmoid(x) - target) * _each(g, x, reduction),
    target=lambda g, x, reduction: -x * _each(g, x, reduction),
)  # fmt: skip

# --- of log-probabilities and class indices -----------------------------------------------------------------

# `x` is (C), (N, C) or (N, C, *d), `target` of that shape without C. Linear in `x`; the second op is the
# transpose of the first. "mean" divides by the sum of the targets' weights: their number, without weights.
nll_loss = linear(
    "nll_loss", "x | target=None weight=None reduction='mean' ignore_index=-100",
    x=lambda g, x, target, weight, reduction, ignore_index: nll_loss_backward(
        g, target, weight, reduction, ignore_index, x.shape
    ),
)  # fmt: skip
nll_loss_backward = linear(
    "nll_loss_backward", "x | target=None weight=None reduction='mean' ignore_index=-100 shape=()",
    x=lambda g, target, weight, reduction, ignore_index: nll_loss(g, target, weight, reduction, ignore_index),
)  # fmt: skip
nll_loss2d = alias(nll_loss, "nll_loss2d", "NllLoss2DBackward0")


def _cross_entropy_vjp(g: Any, x: Any, target: Any, weight: Any, reduction: str, ignore_index: int) -> Any:
    axis = (min(len(x.shape) - 1, 1),)
    each = nll_loss_backward(g, target, weight, reduction, ignore_index, x.shape)
    return each - softmax(x, axis) * sum_(each, axis, True)


#: `nll_loss` of log_softmax(x) as one op: for devices that have one kernel of the two, see `nn.functional.cross_entropy`.
cross_entropy = operator(
    "cross_entropy", "x | target=None weight=None reduction='mean' ignore_index=-100", node="NllLossBackward0", ordered=True,
    default=lambda x, target, weight, reduction, ignore_index: nll_loss(
        log_softmax(x, (min(len(x.shape) - 1, 1),)), target, weight, reduction, ignore_index
    ),
    x=_cross_entropy_vjp,
)  # fmt: skip
