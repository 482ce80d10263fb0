"""Comparison, logic, bits and choice under PyTorch's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import dtypes, ops
from ..graph import Variable

if TYPE_CHECKING:
    from ..tensor import Tensor


class Comparison(Variable):
    """Methods that compare elements or choose between them."""

    __slots__ = ()

    def eq(self, other: Any) -> Tensor:
        """`self == other`, element by element."""
        return ops.equal.call(self, other)

    def ne(self, other: Any) -> Tensor:
        """`self != other`, element by element."""
        return ops.not_equal.call(self, other)

    def lt(self, other: Any) -> Tensor:
        """`self < other`, element by element."""
        return ops.less.call(self, other)

    def le(self, other: Any) -> Tensor:
        """`self <= other`, element by element."""
        return ops.less_equal.call(self, other)

    def gt(self, other: Any) -> Tensor:
        """`self > other`, element by element."""
        return ops.greater.call(self, other)

    def ge(self, other: Any) -> Tensor:
        """`self >= other`, element by element."""
        return ops.greater_equal.call(self, other)

    not_equal = ne
    less = lt
    less_equal = le
    greater = gt
    greater_equal = ge

    def equal(self, other: Any) -> bool:
        """Whether `other` has the same shape and elements."""
        _check_tensor("equal", "other", other)
        return self.shape == other.shape and bool(ops.equal.call(self, other).all())

    def isclose(
        self, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
    ) -> Tensor:
        """Whether `|self - other| <= atol + rtol * |other|`, element by element; infinities must be equal.

        RuntimeError where the dtypes differ; `equal_nan` makes two NaNs close.
        """
        _check_tensor("isclose", "other", other)
        if self.dtype is not other.dtype:
            raise RuntimeError(
                f"isclose: expected operands of the same dtype, but got {self.dtype} and {other.dtype}"
            )
        a, b = self.detach(), other.detach()
        close = a == b
        if a.dtype.category >= dtypes.FLOAT:
            if equal_nan:
                close = close | ((a != a) & (b != b))
            distance = (a - b).abs()
            return close | (distance.isfinite() & (distance <= atol + rtol * b.abs()))
        if a.dtype is dtypes.bool_:
            return close
        a, b = a.to(dtypes.float64), b.to(dtypes.float64)
        return close | ((a - b).abs() <= atol + rtol * b.abs())

    def allclose(self, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
        """Whether all elements are close in the sense of `isclose`."""
        return bool(self.isclose(other, rtol, atol, equal_nan).all())

    def logical_and(self, other: Any) -> Tensor:
        """Whether both are true (not 0), element by element."""
        return ops.logical_and.call(self, other)

    def logical_or(self, other: Any) -> Tensor:
        """Whether one or both are true (not 0), element by element."""
        return ops.logical_or.call(self, other)

    def logical_xor(self, other: Any) -> Tensor:
        """Whether one of both is true (not 0), element by element."""
        return ops.logical_xor.call(self, other)

    def logical_not(self) -> Tensor:
        """Whether each element is false (0)."""
        return ops.logical_not.call(self)

    def isnan(self) -> Tensor:
        """Whether each element is NaN."""
        return ops.isnan.call(self)

    def isinf(self) -> Tensor:
        """Whether each element is infinite."""
        return ops.isinf.call(self)

    def isfinite(self) -> Tensor:
        """Whether each element is neither infinite nor NaN."""
        return ops.isfinite.call(self)

    def signbit(self) -> Tensor:
        """Whether each element is negative, or -0.0."""
        return ops.signbit.call(self)

    def bitwise_and(self, other: Any) -> Tensor:
        """The bits that are set in both."""
        return ops.bitwise_and.call(self, other)

    def bitwise_or(self, other: Any) -> Tensor:
        """The bits that are set in one or both."""
        return ops.bitwise_or.call(self, other)

    def bitwise_xor(self, other: Any) -> Tensor:
        """The bits that are set in one, but not both."""
        return ops.bitwise_xor.call(self, other)

    def bitwise_not(self) -> Tensor:
        """The bits that are not set; of booleans the opposite."""
        return ops.bitwise_invert.call(self)

    def bitwise_left_shift(self, other: Any) -> Tensor:
        """The bits moved up by `other` places."""
        return ops.bitwise_left_shift.call(self, other)

    def bitwise_right_shift(self, other: Any) -> Tensor:
        """The bits moved down by `other` places."""
        return ops.bitwise_right_shift.call(self, other)

    # --- choice ---------------------------------------------------------------------------------------------

    def maximum(self, other: Tensor) -> Tensor:
        """The larger of both, element by element; NaN where either is NaN."""
        _check_tensor("maximum", "other", other)
        return ops.maximum.call(self, other)

    def minimum(self, other: Tensor) -> Tensor:
        """The smaller of both, element by element; NaN where either is NaN."""
        _check_tensor("minimum", "other", other)
        return ops.minimum.call(self, other)

    def fmax(self, other: Tensor) -> Tensor:
        """The larger of both, element by element; a number is preferred to NaN."""
        _check_tensor("fmax", "other", other)
        return ops.fmax.call(self, other)

    def fmin(self, other: Tensor) -> Tensor:
        """The smaller of both, element by element; a number is preferred to NaN."""
        _check_tensor("fmin", "other", other)
        return ops.fmin.call(self, other)

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        """The elements moved into [`min`, `max`]; bounds are numbers or tensors, and one may be left out."""
        if min is None and max is None:
            raise RuntimeError("clamp: At least one of 'min' or 'max' must not be None")
        if isinstance(min, Variable) or isinstance(max, Variable):
            x = self if min is None else ops.clamp_min.call(self, min)
            return x if max is None else ops.clamp_max.call(x, max)
        if self._raw.dtype not in dtypes.REAL:
            common = dtypes.result_type([v for v in (self._raw, min, max) if v is not None])
            self = self if self.dtype is common else self.to(common)
            dtypes.check_bounds((min, max), common, "clamp")
        return ops.clip.call(self, min, max)

    def clamp_min(self, min: Any) -> Tensor:
        """The elements, but at least `min`."""
        return ops.clamp_min.call(self, min)

    def clamp_max(self, max: Any) -> Tensor:
        """The elements, but at most `max`."""
        return ops.clamp_max.call(self, max)

    clip = clamp

    def where(self, condition: Any, other: Any) -> Tensor:
        """The elements of this tensor where `condition` is true, those of `other` elsewhere."""
        return chosen(condition, self, other)

    def nan_to_num(
        self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
    ) -> Tensor:
        """Numbers instead of NaN, inf and -inf; by default 0, the largest and the smallest of the dtype."""
        return ops.nan_to_num.call(self, nan, posinf, neginf)


def chosen(condition: Any, input: Any, other: Any) -> Any:
    """`where` of the three, with its condition checked."""
    _check_tensor("where", "condition", condition)
    if condition.dtype is not dtypes.bool_:
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype}"
            ": compare it with something, or convert it with .bool()"
        )
    return ops.where.call(condition, input, other)


def _check_tensor(asked: str, name: str, value: Any) -> None:
    if not isinstance(value, Variable):
        raise TypeError(f"{asked}(): argument {name!r} must be Tensor, not {type(value).__name__}")
