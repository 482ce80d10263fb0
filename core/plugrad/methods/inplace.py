"""Methods that write into a tensor: `add_`, `+=`, `zero_`, `copy_`, ….

What belongs to a graph is recorded (see `writes`); everything else is written straight into the memory. Neither
ever changes a value that a graph has saved (see `storage`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import creation, dtypes, levels, ops, quiet, rebinding, storage, writes
from ..backend import BY_ARRAY
from ..graph import Variable, wrap
from ..levels import TransformArray
from ..modes import NO_GRAD, WATCHED, active, set_recording, thread, tidy
from ..op import Op
from ..writes import is_indirect


def _fits(x: Any, op: Any, args: tuple[Any, ...]) -> bool:
    """Whether the kernel of `op` can write straight into `x`: its result has this dtype and shape."""
    if x.dtype not in dtypes.REAL or op.__class__ is not Op or op.result != "same":
        return False
    if isinstance(x, TransformArray):
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
        if edge is None and hasattr(tensor, "_view"):
            edge = tensor._view.base._edge
        if number or alike:
            mode = thread.mode if active else 0
            alike = dtype in dtypes.REAL and not mode & WATCHED and (edge is None or bool(mode & NO_GRAD))
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
    if is_indirect(tensor, args):
        return writes.write(tensor, lambda: op(tensor, *args), args, name)
    if _fits(tensor._raw, op, args) and not (active and thread.mode & WATCHED):
        x = storage.prepare_write(tensor, name)
        raws = [a._raw if isinstance(a, Variable) else a for a in args]  # only now: see `prepare_write`
        quiet.call(op.writer(type(x)), x, *raws, x)
        return tensor
    was = thread.mode
    try:
        set_recording(False)
        y = op(tensor, *args)
    finally:
        thread.mode = thread.mode & ~NO_GRAD | was & NO_GRAD  # in one step: see `tidy`
        tidy()
    return replace(tensor, y, name)


def computed(tensor: Any, compute: Callable[[], Any], others: tuple[Any, ...], name: str) -> Any:
    """Write what `compute()`, a function of `tensor` and `others`, returns into `tensor`, which is returned."""
    if is_indirect(tensor, others):
        return writes.write(tensor, compute, others, name)
    return replace(tensor, compute(), name)


def overwrite(tensor: Any, values: Any, name: str) -> Any:
    """Write an array that depends on nothing, of the shape and dtype of `tensor`, which is returned."""
    if not is_indirect(tensor):
        values = wrap(values) if isinstance(values, TransformArray) else values  # for the level to see it
        return assign(tensor, values, name)

    def compute() -> Any:
        y = ops.zero.call(tensor)  # for its node
        y._raw = values
        return y

    return writes.write(tensor, compute, (), name)


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
    rebinding.admit(tensor, value, name)
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

    def __ilshift__(self, other: Any) -> Any:
        return write(self, ops.bitwise_left_shift, other, name="bitwise_left_shift_")

    def __irshift__(self, other: Any) -> Any:
        return write(self, ops.bitwise_right_shift, other, name="bitwise_right_shift_")

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
        return write(self, ops.relu, name="relu_")

    def clamp_(self, min: Any = None, max: Any = None) -> Any:
        """Limit to the interval from `min` to `max` in place."""
        return computed(self, lambda: self.clamp(min, max), (min, max), "clamp_")

    clip_ = clamp_

    def masked_fill_(self, mask: Any, value: Any) -> Any:
        """Write `value` where `mask` is true."""
        return computed(self, lambda: self.masked_fill(mask, value), (value,), "masked_fill_")

    def fill_(self, value: Any) -> Any:
        """Write `value`, a number or a 0-d tensor, everywhere."""
        if isinstance(value, Variable):
            if value.ndim:
                raise RuntimeError(
                    f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions: use copy_"
                )
            if is_indirect(self, (value,)):
                return writes.write(self, lambda: ops.fill_with.call(self, value), (value,), "fill_")
            value = value.to(self.dtype)
            return assign(self, value.item() if levels.of(value._raw) is None else value, "fill_")
        number = dtypes.cast_number(creation.number(value, "fill_", "value"), self.dtype, "fill_")
        if is_indirect(self):
            return writes.write(self, lambda: ops.fill.call(self, number), (), "fill_")
        return assign(self, number, "fill_")

    def zero_(self) -> Any:
        """Write zeros everywhere."""
        if is_indirect(self):
            return writes.write(self, lambda: ops.zero.call(self), (), "zero_")
        return assign(self, 0, "zero_")

    def copy_(self, src: Any, non_blocking: bool = False) -> Any:
        """Write the elements of `src`, a tensor or a number, broadcast, converted and moved as needed."""
        if not isinstance(src, Variable):
            src = creation.tensor(creation.number(src, "copy_", "src"))
        if is_indirect(self, (src,)):
            return writes.write(self, lambda: ops.copy_into.call(self, src.to(self.device)), (src,), "copy_")
        return assign(self, src.to(self.device, self.dtype), "copy_")
