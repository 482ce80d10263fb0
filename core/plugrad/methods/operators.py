"""Python's operators on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import ops
from ..graph import Variable

if TYPE_CHECKING:
    from ..tensor import Tensor


class Operators(Variable):
    """Arithmetic, comparison and bits.

    Each calls the generated function of its op itself: a frame less than `ops.add(...)`.
    """

    __slots__ = ()

    def __add__(self, other: Any) -> Tensor:
        return ops.add.call(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add.call(self, other)

    def __sub__(self, other: Any) -> Tensor:
        return ops.subtract.call(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.rsub.call(self, other)

    def __mul__(self, other: Any) -> Tensor:
        return ops.multiply.call(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.multiply.call(self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.divide.call(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.divide.call(other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide.call(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide.call(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return ops.remainder.call(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return ops.remainder.call(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return ops.pow_.call(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.pow_.call(other, self)

    def __neg__(self) -> Tensor:
        return ops.negative.call(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return ops.abs_.call(self)

    # --- comparison: what cannot be compared is not equal, and Python says so -------------------------------

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        try:
            return ops.equal.call(self, other)
        except TypeError:
            return NotImplemented

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        try:
            return ops.not_equal.call(self, other)
        except TypeError:
            return NotImplemented

    def __lt__(self, other: Any) -> Tensor:
        return ops.less.call(self, other)

    def __le__(self, other: Any) -> Tensor:
        return ops.less_equal.call(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return ops.greater.call(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return ops.greater_equal.call(self, other)

    __hash__ = object.__hash__

    # --- bits -----------------------------------------------------------------------------------------------

    def __and__(self, other: Any) -> Tensor:
        return ops.bitwise_and.call(self, other)

    def __rand__(self, other: Any) -> Tensor:
        return ops.bitwise_and.call(other, self)

    def __or__(self, other: Any) -> Tensor:
        return ops.bitwise_or.call(self, other)

    def __ror__(self, other: Any) -> Tensor:
        return ops.bitwise_or.call(other, self)

    def __xor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor.call(self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor.call(other, self)

    def __invert__(self) -> Tensor:
        return ops.bitwise_invert.call(self)

    def __lshift__(self, other: Any) -> Tensor:
        return ops.bitwise_left_shift.call(self, other)

    def __rlshift__(self, other: Any) -> Tensor:
        return ops.bitwise_left_shift.call(other, self)

    def __rshift__(self, other: Any) -> Tensor:
        return ops.bitwise_right_shift.call(self, other)

    def __rrshift__(self, other: Any) -> Tensor:
        return ops.bitwise_right_shift.call(other, self)
