"""Layers, activations and losses as functions: `import plugrad.nn.functional as F`.

With `inplace` the result is written into the input, which is returned.
"""

from __future__ import annotations

import warnings
from typing import Any

from .. import creation, dtypes, ops, random
from ..methods.inplace import write
from ..methods.keys import on_host
from .functional_conv import *  # noqa: F403
from .functional_losses import *  # noqa: F403
from .functional_pool import *  # noqa: F403
from .functional_tokens import *  # noqa: F403

# --- layers -------------------------------------------------------------------------------------------------


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """`input @ weight.T + bias`; `input` is (*, in), `weight` (out, in) or (in), `bias` (out) or None."""
    if input.ndim == 2 and weight.ndim == 2:
        return input.mm(weight.t()) if bias is None else bias.addmm(input, weight.t())
    product = input.matmul(weight.t())
    return product if bias is None else product + bias


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """`input` with elements zeroed with probability `p`, the others divided by 1 - p.

    `input` itself where `training` is false.
    """
    check_probability(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        return input.mul_(0) if inplace else input * creation.zeros_like(input)
    if inplace:
        return input.mul_(random.bernoulli(input, 1 - p).div_(1 - p))
    return ops.dropout.call(input, random.kept(input, 1 - p), 1 - p)


def check_probability(p: float) -> None:
    """ValueError unless 0 <= p <= 1."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Rows of zeros with a one at each class index; as many classes as the largest index needs, if not given.

    >>> import plugrad as torch
    >>> one_hot(torch.tensor([2, 0]))
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    if tensor.dtype is not dtypes.int64:
        raise RuntimeError(
            f"one_hot: expected class indices of dtype torch.int64, found {tensor.dtype}: use .long()"
        )
    if tensor.numel() == 0 and num_classes <= 0:
        raise RuntimeError(
            "one_hot: an empty tensor does not say how many classes there are: pass num_classes"
        )
    if tensor.numel():
        # Of the whole batch, inside of vmap.
        low, high = int(on_host(tensor.min()._raw).min()), int(on_host(tensor.max()._raw).max())
        if low < 0:
            raise RuntimeError(f"one_hot: Class values must be non-negative, found {low}")
        if num_classes == -1:
            num_classes = int(tensor.max()) + 1
        if high >= num_classes:
            raise RuntimeError(
                f"one_hot: Class values must be smaller than num_classes, found {high} of {num_classes}"
            )
    classes = creation.arange(num_classes, device=tensor.device)
    return (tensor.unsqueeze(-1) == classes).to(dtypes.int64)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """`input` divided by its p-norm along `dim`, or by `eps` where that is larger."""
    return input / input.norm(p, dim, keepdim=True).clamp(min=eps)


# --- activations --------------------------------------------------------------------------------------------


def _activation(op: Any, input: Any, inplace: bool, *params: Any) -> Any:
    return write(input, op, *params, name=f"{op.name}_") if inplace else op.call(input, *params)


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0); the derivative at 0 is 0."""
    return _activation(ops.relu, input, inplace)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x, limited to [min_val, max_val], which are truncated for integers."""
    if input.dtype.category == dtypes.INTEGER:
        min_val, max_val = int(min_val), int(max_val)
        dtypes.check_bounds((min_val, max_val), input.dtype, "hardtanh")
    return _activation(ops.hardtanh, input, inplace, min_val, max_val)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where it is positive, else negative_slope · x."""
    return _activation(ops.leaky_relu, input, inplace, negative_slope)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where it is positive, else alpha · (exp(x) - 1)."""
    return _activation(ops.elu, input, inplace, alpha)


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return ops.sigmoid.call(input)


def logsigmoid(input: Any) -> Any:
    """log(sigmoid(x)), without overflow."""
    return ops.logsigmoid.call(input)


def tanh(input: Any) -> Any:
    """tanh(x)."""
    return ops.tanh.call(input)


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return ops.softsign(input)


def silu(input: Any, inplace: bool = False) -> Any:
    """x · sigmoid(x)."""
    return _activation(ops.silu, input, inplace)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x · Φ(x), exact or, with `approximate="tanh"`, by the tanh formula."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu: approximate argument must be either none or tanh, found {approximate!r}")
    return ops.gelu.call(input, approximate)


def relu_(input: Any) -> Any:
    """`relu`, written into the input."""
    return relu(input, inplace=True)


def hardtanh_(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """`hardtanh`, written into the input."""
    return hardtanh(input, min_val, max_val, inplace=True)


def leaky_relu_(input: Any, negative_slope: float = 0.01) -> Any:
    """`leaky_relu`, written into the input."""
    return leaky_relu(input, negative_slope, inplace=True)


def elu_(input: Any, alpha: float = 1.0) -> Any:
    """`elu`, written into the input."""
    return elu(input, alpha, inplace=True)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta · x)) / beta; the identity where beta · x is above `threshold`."""
    return ops.softplus.call(input, beta, threshold)


def softmax(input: Any, dim: int | None = None, *, dtype: Any = None) -> Any:
    """exp(x) / Σ exp(x) along `dim`."""
    return input.softmax(_chosen(dim, input, "softmax"), dtype)


def log_softmax(input: Any, dim: int | None = None, *, dtype: Any = None) -> Any:
    """log(softmax(x)) along `dim`, without overflow."""
    return input.log_softmax(_chosen(dim, input, "log_softmax"), dtype)


def _chosen(dim: int | None, input: Any, asked: str) -> int:
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {asked} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=3,
    )
    return 0 if input.ndim in (0, 1, 3) else 1
