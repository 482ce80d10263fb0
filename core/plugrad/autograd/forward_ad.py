"""Forward mode by hand: dual numbers, `torch.autograd.forward_ad`.

>>> import plugrad as torch
>>> from plugrad.autograd import forward_ad as fwAD
>>> with fwAD.dual_level():
...     x = fwAD.make_dual(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0]))
...     fwAD.unpack_dual(x * x).tangent
tensor([2., 0.])
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import levels, ops
from ..graph import Variable, wrap
from ..transforms.dual import ForwardADLevel, check_tangent

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` returns: the value, and its tangent or None."""

    primal: Any
    tangent: Any


def _current() -> ForwardADLevel | None:
    return next((x for x in levels.thread.stack if isinstance(x, ForwardADLevel)), None)


def enter_dual_level() -> int:
    """Begin a level of forward mode, within which `make_dual` may be called; returns its number, which is 0."""
    if _current() is not None:
        raise RuntimeError(
            "Nested forward mode AD is not supported at the moment: nest torch.func.jvp instead"
        )
    levels.push(ForwardADLevel())
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level: the tangents are gone, the values stay."""
    current = _current()
    if current is None:
        raise RuntimeError(
            "Dual level must be a positive number: there is none to exit, found exit_dual_level()"
        )
    if level not in (None, 0) or levels.thread.stack[-1] is not current:
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
        )
    current.end()
    levels.pop(current)


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """A tensor of the values of `tensor` that moves along `tangent`; both are differentiated through.

    It is a snapshot: later writes into `tensor` do not show in it.
    """
    current = _level("make_dual", level)
    if current is None:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    check_tangent(tensor, tangent)
    for t in (tensor, tangent):
        if levels.of(t._raw) is current and t._raw.tangent is not None:
            raise RuntimeError(
                "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 is "
                "not supported."
            )
    primal, _ = current.parts(tensor)
    if primal._edge is not None:
        primal = ops.reshape_.call(primal, tuple(primal._raw.shape))  # for its node: `tensor` is not the dual
        primal = primal if primal._edge is not None else wrap(primal._raw, tensor._edge)
    dual = current.dual(primal, current.parts(tangent)[0])
    dual._edge = primal._edge
    current.note(dual)
    return dual


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """The value of a tensor and its tangent, which is None for a tensor that does not move."""
    if not isinstance(tensor, Variable):
        raise TypeError(f"unpack_dual(): argument 'tensor' must be Tensor, not {type(tensor).__name__}")
    current = _level("unpack_dual", level)
    if current is None:
        if levels.of(tensor._raw) is not None:
            levels.check_thread(type(tensor._raw))
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(*current.parts(tensor))


def _level(asked: str, level: int | None) -> ForwardADLevel | None:
    if level not in (None, 0):
        raise RuntimeError(f"{asked}: there is one level of forward mode, 0, found level={level}")
    return _current()


class dual_level:
    """A context in which `make_dual` may be called; at its end all tangents are gone.

    >>> with dual_level():
    ...     pass
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *error: object) -> None:
        exit_dual_level(level=0)
