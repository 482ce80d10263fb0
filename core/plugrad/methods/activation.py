"""Activations under PyTorch's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import dtypes, ops
from ..graph import Variable

if TYPE_CHECKING:
    from ..tensor import Tensor


class Activation(Variable):
    """The activations that are methods; `nn.functional` has the others."""

    __slots__ = ()

    def relu(self) -> Tensor:
        """The elements, but 0 instead of negative ones."""
        return ops.relu.call(self)

    def sigmoid(self) -> Tensor:
        """`1 / (1 + exp(-x))` for each element."""
        return ops.sigmoid.call(self)

    def tanh(self) -> Tensor:
        """The hyperbolic tangent of each element."""
        return ops.tanh.call(self)

    def softmax(self, dim: int, dtype: dtypes.dtype | None = None) -> Tensor:
        """`exp(x) / exp(x).sum(dim)`, without overflow: positive numbers whose sum along `dim` is 1."""
        return _along(ops.softmax, self, dim, dtype)

    def log_softmax(self, dim: int, dtype: dtypes.dtype | None = None) -> Tensor:
        """The logarithm of `softmax`, without overflow."""
        return _along(ops.log_softmax, self, dim, dtype)


def _along(op: Any, x: Any, dim: int, dtype: dtypes.dtype | None) -> Any:
    """`op` along one dimension, in `dtype` if given; a 0-d tensor counts as one of size 1."""
    if dtype is not None and dtype is not x.dtype:
        x = x.to(dtype)
    if not x.dtype.is_floating_point:
        raise NotImplementedError(
            f"{op.name} is not implemented for {x.dtype}: convert it with .float() or pass dtype="
        )
    axis = ops.axes.one(dim, x.ndim, op.name)
    return op.call(x, (axis,) if x.ndim else ())
