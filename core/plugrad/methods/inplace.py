"""Methods that write into a tensor: `add_`, `+=`, `zero_`, `copy_`, ….

Until in-place writes are part of the recorded graph they are refused there. They work on tensors without a
graph, and on leaves under `no_grad`; and they never change a value that a graph has saved (see `storage`).
"""

from __future__ import annotations

from typing import Any

from .. import creation, dtypes, ops, quiet, storage
from ..backend import BY_ARRAY
from ..errors import InPlaceError
from ..graph import Variable
from ..modes import NO_GRAD, active, set_recording, thread
from ..op import Op


def refuse_recorded_write(tensor: Any, others: tuple[Any, ...], name: str) -> None:
    """Raise if writing `others` into `tensor` would have to be recorded."""
    if active and thread.mode & NO_GRAD:
        return
    if tensor._edge is not None and tensor.is_leaf:
        raise InPlaceError(
            f"{name}: a leaf Variable that requires grad is being used in an in-place operation: "
            "write under torch.no_grad(), or compute a new tensor"
        )
    if tensor._edge is not None or (
        others and any([isinstance(o, Variable) and o._edge is not None for o in others])
    ):
        raise InPlaceError(
            f"{name}: in-place writes are not recorded in this release, and this one would belong to a graph: "
            "compute a new tensor instead (x = x + y; torch.where; masked_fill; index_add)"
        )


def _fits(x: Any, op: Any, args: tuple[Any, ...]) -> bool:
    """Whether the kernel of `op` can write straight into `x`: its result has this dtype and shape."""
    if x.dtype not in dtypes.REAL or op.__class__ is not Op or op.result != "same":
        return False
    for a in args:
        if isinstance(a, Variable):
            raw = a._raw
            if type(raw) is not type(x) or raw.dtype is not x.dtype or raw.shape not in (x.shape, ()):
                return False
        elif type(a) is not float and type(a) is not int:
            return False
    return True


def combine(tensor: Any, op: Op, other: Any, name: str) -> Any:
    """Write `op(tensor, other)` into `tensor`: `write`, with a short way for numbers and tensors alike."""
    kind = type(other)
    number = kind is float or kind is int
    alike = False
    try:
        raw, edge = tensor._raw, tensor._edge
        dtype, writer = raw.dtype, op.writers[type(raw)]
        if not number:
            y = other._raw
            alike = y.dtype is dtype and y.shape == raw.shape and type(y) is type(raw)
            edge = edge or other._edge
        if number or alike:
            alike = dtype in dtypes.REAL and (edge is None or bool(active and thread.mode & NO_GRAD))
    except (AttributeError, KeyError):
        pass
    raw = y = None  # who holds the array while it is written is taken for a graph
    if not alike:
        return write(tensor, op, other, name=name)
    x = storage.prepare_write(tensor, name)
    y = other if number else other._raw
    try:
        quiet.run(writer, x, y, x)
    except RuntimeError:
        quiet.run_anyway(writer, x, y, x)
    return tensor


def write(tensor: Any, op: Any, *args: Any, name: str) -> Any:
    """Write `op(tensor, *args)` into `tensor`, which is returned."""
    if not active or not thread.mode & NO_GRAD:
        refuse_recorded_write(tensor, args, name)
    if _fits(tensor._raw, op, args):
        x = storage.prepare_write(tensor, name)
        raws = [a._raw if isinstance(a, Variable) else a for a in args]  # only now: see `prepare_write`
        quiet.call(op.writer(type(x)), x, *raws, x)
        return tensor
    before = set_recording(False)
    try:
        y = op(tensor, *args)
    finally:
        set_recording(before)
    return replace(tensor, y, name)


def replace(tensor: Any, values: Any, name: str) -> Any:
    """Write the tensor `values`, which must have the shape, into `tensor`, which is returned."""
    shape, found = tensor.shape, values.dtype
    if values.shape != shape:
        raise RuntimeError(
            f"{name}: output with shape {list(shape)} doesn't match the broadcast shape {list(values.shape)}: "
            "an in-place operation cannot change the shape"
        )
    if not dtypes.can_cast(found, tensor.dtype):
        raise RuntimeError(
            f"{name}: result type {found} can't be cast to the desired output type {tensor.dtype}"
        )
    return assign(tensor, values, name)


def assign(tensor: Any, value: Any, name: str, key: Any = ...) -> Any:
    """Write a tensor, a raw array or a number into `tensor[key]`, broadcast and cast; returns the tensor."""
    raw = storage.prepare_write(tensor, name, one_value=not hasattr(value, "dtype"))
    values = value._raw if isinstance(value, Variable) else value
    try:
        tensor._raw = quiet.call(BY_ARRAY[type(raw)].setitem, raw, key, values)
    except (ValueError, OverflowError) as error:
        raise RuntimeError(f"{name}: {error}") from None
    return tensor


class InPlace(Variable):
    """Methods that write."""

    __slots__ = ()

    def __iadd__(self, other: Any) -> Any:
        return combine(self, ops.add, other, "add_")

    def __isub__(self, other: Any) -> Any:
        return combine(self, ops.subtract, other, "sub_")

    def __imul__(self, other: Any) -> Any:
        return combine(self, ops.multiply, other, "mul_")

    def __itruediv__(self, other: Any) -> Any:
        return combine(self, ops.divide, other, "div_")

    def __ipow__(self, other: Any) -> Any:
        return write(self, ops.pow_, other, name="pow_")

    def __ifloordiv__(self, other: Any) -> Any:
        return write(self, ops.floor_divide, other, name="floor_divide_")

    def __imod__(self, other: Any) -> Any:
        return write(self, ops.remainder, other, name="remainder_")

    def __iand__(self, other: Any) -> Any:
        return write(self, ops.bitwise_and, other, name="bitwise_and_")

    def __ior__(self, other: Any) -> Any:
        return write(self, ops.bitwise_or, other, name="bitwise_or_")

    def __ixor__(self, other: Any) -> Any:
        return write(self, ops.bitwise_xor, other, name="bitwise_xor_")

    def add_(self, other: Any, *, alpha: Any = 1) -> Any:
        """Add `alpha * other` in place."""
        return combine(self, ops.add, other if alpha == 1 else other * alpha, "add_")

    def sub_(self, other: Any, *, alpha: Any = 1) -> Any:
        """Subtract `alpha * other` in place."""
        return combine(self, ops.subtract, other if alpha == 1 else other * alpha, "sub_")

    def mul_(self, other: Any) -> Any:
        """Multiply in place."""
        return combine(self, ops.multiply, other, "mul_")

    def div_(self, other: Any, *, rounding_mode: str | None = None) -> Any:
        """Divide in place; `rounding_mode` is None, "trunc" or "floor"."""
        if rounding_mode is None:
            return combine(self, ops.divide, other, "div_")
        return write(self, lambda t, other: t.div(other, rounding_mode=rounding_mode), other, name="div_")

    true_divide_ = divide_ = div_

    subtract_, multiply_ = sub_, mul_

    def pow_(self, exponent: Any) -> Any:
        """Raise to a power in place."""
        return write(self, ops.pow_, exponent, name="pow_")

    def neg_(self) -> Any:
        """Negate in place."""
        return write(self, ops.negative, name="neg_")

    negative_ = neg_

    def abs_(self) -> Any:
        """Take absolute values in place."""
        return write(self, ops.abs_, name="abs_")

    absolute_ = abs_

    def exp_(self) -> Any:
        """Exponentiate in place."""
        return write(self, ops.exp, name="exp_")

    def sqrt_(self) -> Any:
        """Take square roots in place."""
        return write(self, ops.sqrt, name="sqrt_")

    def relu_(self) -> Any:
        """Replace negative elements by 0 in place."""
        return self.clamp_(min=0)

    def clamp_(self, min: Any = None, max: Any = None) -> Any:
        """Limit to the interval from `min` to `max` in place."""
        refuse_recorded_write(self, (min, max), "clamp_")
        return replace(self, self.clamp(min, max), "clamp_")

    clip_ = clamp_

    def masked_fill_(self, mask: Any, value: Any) -> Any:
        """Write `value` where `mask` is true."""
        refuse_recorded_write(self, (value,), "masked_fill_")
        return replace(self, self.masked_fill(mask, value), "masked_fill_")

    def fill_(self, value: Any) -> Any:
        """Write `value`, a number or a 0-d tensor, everywhere."""
        refuse_recorded_write(self, (value,), "fill_")
        if isinstance(value, Variable):
            if value.ndim:
                raise RuntimeError(
                    f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions: use copy_"
                )
            return assign(self, value.to(self.dtype).item(), "fill_")
        return assign(
            self, dtypes.cast_number(creation.number(value, "fill_", "value"), self.dtype, "fill_"), "fill_"
        )

    def zero_(self) -> Any:
        """Write zeros everywhere."""
        refuse_recorded_write(self, (), "zero_")
        return assign(self, 0, "zero_")

    def copy_(self, src: Any, non_blocking: bool = False) -> Any:
        """Write the elements of `src`, a tensor or a number, broadcast, converted and moved as needed."""
        refuse_recorded_write(self, (src,), "copy_")
        if not isinstance(src, Variable):
            src = creation.tensor(creation.number(src, "copy_", "src"))
        return assign(self, src.detach().to(self.device, self.dtype), "copy_")
