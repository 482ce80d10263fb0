"""Functions of the elementwise family that are no methods of a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import ops
from ..methods.comparison import chosen

if TYPE_CHECKING:
    from ..tensor import Tensor


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """The elements of `input` where `condition` is true, those of `other` elsewhere; numbers broadcast.

    With `condition` alone, the indices of its true elements, one tensor per dimension.

    >>> import plugrad as torch
    >>> x = torch.tensor([-1.0, 2.0])
    >>> torch.where(x > 0, x, 0.0)
    tensor([0., 2.])
    >>> torch.where(x > 0)
    (tensor([1]),)
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    return chosen(condition, input, other)


def complex(real: Tensor, imag: Tensor) -> Tensor:
    """Complex numbers of two tensors of one floating-point dtype."""
    if not (real.dtype.is_floating_point and imag.dtype is real.dtype):
        raise RuntimeError(
            f"complex: expected both parts of one floating-point dtype, but got {real.dtype} and {imag.dtype}"
            ": convert them with .to(...)"
        )
    return ops.complex_.call(real, imag)


def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """Complex numbers of their absolute values and angles."""
    return complex(abs * angle.cos(), abs * angle.sin())


def real(input: Tensor) -> Tensor:
    """The real part, which shares the memory."""
    return input.real


def imag(input: Tensor) -> Tensor:
    """The imaginary part of a complex tensor, which shares the memory."""
    return input.imag
