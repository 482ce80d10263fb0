"""The losses of `plugrad.nn.functional`."""

from __future__ import annotations

import warnings
from typing import Any

from .. import dtypes, fusion, ops
from ..backend import backend_of
from ..contract import defines
from ..functions.shapes import broadcast_tensors
from ..graph import Variable
from ..methods.index_arguments import check_place
from ..methods.keys import check_range
from ..modes import is_grad_enabled
from ..ops.loss import reduced

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss", "l1_loss",
    "mse_loss", "nll_loss", "smooth_l1_loss",
]  # fmt: skip

# --- losses of numbers --------------------------------------------------------------------------------------


def mse_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """(input - target)²; `reduction` is "mean", "sum" or "none", here and below."""
    return ops.mse_loss.call(*_alike(input, target, "mse_loss"), _checked(reduction))


def l1_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """|input - target|."""
    x, t = _alike(input, target, "l1_loss")
    return reduced((x - t).abs(), _checked(reduction))


def huber_loss(input: Any, target: Any, *, reduction: str = "mean", delta: float = 1.0) -> Any:
    """½ (input - target)² up to a distance of `delta`, and from there on the tangent."""
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta, found {delta}")
    return ops.huber_loss.call(*_alike(input, target, "huber_loss"), _checked(reduction), delta)


def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """`huber_loss` with `delta=beta`, divided by beta: for large distances `l1_loss` less ½ beta."""
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, found {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return ops.smooth_l1_loss.call(*_alike(input, target, "smooth_l1_loss"), _checked(reduction), beta)


def _alike(input: Any, target: Any, asked: str) -> tuple[Any, Any]:
    """Both in their common dtype and shape; other shapes are most likely a mistake, so they are warned of."""
    if input.dtype is not target.dtype:
        common = dtypes.promote_types(input.dtype, target.dtype)
        input, target = input.to(common), target.to(common)
    if input.dtype.category < dtypes.FLOAT:
        raise RuntimeError(
            f"{asked}: expected floating-point tensors, found {input.dtype}: convert one with .float()"
        )
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). "
            "This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )
        input, target = broadcast_tensors(input, target)
    return input, target


def _checked(reduction: str) -> str:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction: choose 'mean', 'sum' or 'none'")
    return reduction


# --- losses of probabilities --------------------------------------------------------------------------------


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """-target · log(input) - (1 - target) · log(1 - input), of probabilities; `weight` multiplies each."""
    _check_sizes(input, target, "binary_cross_entropy")
    check_range(
        input.detach()._raw,
        0,
        1,
        lambda _: RuntimeError(
            "binary_cross_entropy: all elements of input should be between 0 and 1: "
            "pass them through sigmoid, or use binary_cross_entropy_with_logits"
        ),
    )
    if weight is None:
        return ops.binary_cross_entropy.call(input, target, _checked(reduction))
    return reduced(ops.binary_cross_entropy.call(input, target, "none") * weight, _checked(reduction))


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """`binary_cross_entropy` of sigmoid(input), without overflow; `pos_weight` multiplies its first term."""
    _check_sizes(input, target, "binary_cross_entropy_with_logits")
    if weight is None and pos_weight is None:
        return ops.binary_cross_entropy_with_logits.call(input, target, _checked(reduction))
    if pos_weight is None:
        losses = ops.binary_cross_entropy_with_logits.call(input, target, "none")
    else:
        losses = (1 - target) * input - (1 + (pos_weight - 1) * target) * ops.logsigmoid.call(input)
    return reduced(losses if weight is None else losses * weight, _checked(reduction))


def _moves(x: Any) -> bool:
    """Whether a tensor needs a derivative, in forward mode or backward."""
    if x.requires_grad and is_grad_enabled():
        return True
    while x._backend.is_transform and not hasattr(x._raw, "tangent"):
        x = x._raw.value
    return x._backend.is_transform


def _check_sizes(input: Any, target: Any, asked: str) -> None:
    if input.shape != target.shape:
        raise ValueError(
            f"{asked}: Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    if input.dtype is not target.dtype:
        raise RuntimeError(
            f"{asked}: Found dtype {target.dtype} but expected {input.dtype}: "
            "convert the target with .to(input.dtype)"
        )


# --- losses of classes --------------------------------------------------------------------------------------


def nll_loss(
    input: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """Minus the log-probability of each target class.

    `input` holds log-probabilities (C), (N, C) or (N, C, *d); `target` class indices (), (N) or (N, *d).
    `weight` (C) weighs the classes, and "mean" divides by the sum of the targets' weights. Targets equal to
    `ignore_index` do not count. IndexError for a target that is no class.
    """
    _check_classes(input, target, weight)
    op = ops.nll_loss2d if input.ndim > 2 else ops.nll_loss
    return _of_classes(op, input, target, weight, reduction, ignore_index)


def _of_classes(op: Any, input: Any, target: Any, weight: Any, reduction: str, ignore_index: int) -> Any:
    """An op of class indices and weights, which are parameters of it."""
    for other in (target, weight):
        if isinstance(other, Variable):
            check_place(input, other, op.name)
    if weight is not None and _moves(weight):
        raise RuntimeError(
            f"The function '{op.name}_forward' is not differentiable with respect to argument 'weight': pass weight.detach()"
        )
    weights = None if weight is None else weight.to(input.dtype)._raw
    return op.call(input, target._raw, weights, _checked(reduction), ignore_index)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """`nll_loss` of log_softmax(input); targets are class indices, or probabilities of the shape of `input`.

    `label_smoothing` is the part of each target's probability that is spread evenly over all classes.
    """
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    dim = min(input.ndim - 1, 1)
    if target.shape == input.shape:
        return _soft_cross_entropy(input, target, weight, _checked(reduction), label_smoothing, dim)
    _check_classes(input, target, weight)
    if fusion.wanted and not label_smoothing and input.dtype.is_floating_point:
        backend = backend_of(input._raw)
        if defines(backend, "cross_entropy") and not backend.is_transform:
            return _of_classes(ops.cross_entropy, input, target, weight, reduction, ignore_index)
    logs = input.log_softmax(dim)
    loss = nll_loss(logs, target, weight, ignore_index=ignore_index, reduction=reduction)
    if not label_smoothing:
        return loss
    smooth = _each_class(logs, weight, dim).sum(dim).neg()
    counted = target != ignore_index
    smooth = ops.where(counted, smooth, 0)
    if reduction == "mean":
        weights = counted if weight is None else ops.where(counted, weight[ops.where(counted, target, 0)], 0)
        smooth = smooth.sum() / weights.sum()
    elif reduction == "sum":
        smooth = smooth.sum()
    return (1 - label_smoothing) * loss + label_smoothing / input.shape[dim] * smooth


def _soft_cross_entropy(
    input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float, dim: int
) -> Any:
    if not target.is_floating_point():
        raise RuntimeError(
            "cross_entropy: Expected floating point type for target with class probabilities, "
            f"got {target.dtype}: convert it, or pass class indices, which have no dimension of classes"
        )
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[dim]
    losses = _each_class(input.log_softmax(dim), weight, dim) * target
    if reduction == "none":
        return -losses.sum(dim)
    return -losses.sum() / (max(1, input.numel()) / input.shape[dim] if reduction == "mean" else 1)


def _each_class(logs: Any, weight: Any, dim: int) -> Any:
    """Log-probabilities with the weights of the classes."""
    return logs if weight is None else logs * weight.reshape(-1, *(1,) * (logs.ndim - 1 - dim))


def _check_classes(input: Any, target: Any, weight: Any) -> None:
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {target.dtype}: convert it with .long()"
        )
    if input.ndim == 0:
        raise ValueError(
            "cross_entropy: input has no dimension of classes: expected (C), (N, C) or (N, C, *d)"
        )
    if input.ndim > 1 and target.ndim and input.shape[0] != target.shape[0]:
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({target.shape[0]})."
        )
    expected = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    if tuple(target.shape) != tuple(expected):
        raise RuntimeError(
            f"Expected target size {list(expected)}, got {list(target.shape)}, for an input of {input.shape}"
        )
    classes = input.shape[min(input.ndim - 1, 1)]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes "
            f"but got weight tensor of shape: {list(weight.shape)}"
        )
