"""NaN safety: no derivative where no gradient arrives, be the slope there finite or not.

`where(x > 0, sqrt(x), 0)` does not depend on `sqrt(x)` at 0, so what arrives at the square root there is exactly 0;
but its slope is infinite, and 0 * inf is NaN, in plugrad by default as in PyTorch. Ops that are recorded in
this mode put a zero in the place of such a product:

- of an elementwise op element by element, before broadcasting is undone by sums;
- of an op along axes (`softmax`, `vector_norm`, `prod` …) where all that arrives along those axes is 0;
- of any other op, and of a `Function`, where all that arrives is 0.

Finite products stay as they are, also as functions of what arrives: second derivatives are those of the op. A
NaN that comes of a gradient other than 0 stays, too. The mode belongs to the recorded op: backward may run anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import quiet
from .backend import BY_ARRAY, as_array
from .graph import Node, Variable
from .modes import NAN_SAFE, Switch, set_mode, thread, tidy


class nan_safe(Switch):
    """Record in here so that no NaN comes of a slope to which no gradient arrives; also a decorator.

    >>> import plugrad as torch
    >>> x = torch.tensor([0.0, 4.0], requires_grad=True)
    >>> with torch.autograd.nan_safe():
    ...     y = torch.where(x > 0, x.sqrt(), 0)
    >>> y.sum().backward()
    >>> x.grad
    tensor([0.0000, 0.2500])
    """

    __slots__ = ()
    bit = NAN_SAFE


def guarded(cls: type[Node], ops: dict[str, Any], elementwise: bool = False) -> type[Node]:
    """The subclass of a class of nodes whose results are 0 instead of not finite where no gradient arrives.

    `ops` are all operators by name.
    """
    key = cls, elementwise
    if key not in _GUARDED:
        members = {n: _guarded(getattr(cls, n), n, ops, elementwise) for n in cls.methods()}
        _GUARDED[key] = type(cls.__name__, (cls,), {"__slots__": (), "__doc__": cls.__doc__, **members})
    return _GUARDED[key]


_GUARDED: dict[tuple[type[Node], bool], type[Node]] = {}


def _guarded(
    apply: Callable[..., Any], name: str, ops: dict[str, Any], elementwise: bool
) -> Callable[..., Any]:
    recorded = name == "backward_recorded"

    def safe(node: Any, g: Any) -> tuple[Any, ...]:
        was = thread.mode
        try:
            if recorded:  # the derivative's derivative is to be safe, too
                set_mode(was | NAN_SAFE)
            grads = apply(node, g)
            arrived = [x for x in (g if type(g) is list else [g]) if x is not None]
            return tuple(
                None if r is None else quiet.run_anyway(_replaced, ops, node, arrived, r, elementwise)
                for r in grads
            )
        finally:
            if recorded:
                thread.mode = was  # in one step: see `tidy`
                tidy()

    safe.__name__ = name
    return safe


def _replaced(ops: dict[str, Any], node: Any, arrived: list[Any], result: Any, elementwise: bool) -> Any:
    """`result` with zeros where it is not finite and nothing `arrived`."""
    finite = ops["isfinite"](_array(result))
    if _is_true(_every(ops, finite)):
        return result
    if not arrived:
        return ops["where"](finite, _array(result), 0)
    zeros = [ops["equal"](_array(g), 0) for g in arrived]
    shape = tuple(result.shape)
    if elementwise and tuple(zeros[0].shape) == shape:
        nothing = zeros[0]
    elif len(zeros) == 1 and hasattr(node, "axis") and not elementwise:
        nothing = _along_axes(ops, zeros[0], shape, node.axis)
    else:
        nothing = _every(ops, zeros[0])
        for z in zeros[1:]:
            nothing = ops["logical_and"](nothing, _every(ops, z))
    return ops["where"](ops["logical_and"](nothing, ops["logical_not"](finite)), 0, _array(result))


def _along_axes(ops: dict[str, Any], zeros: Any, shape: tuple[int, ...], axis: Any) -> Any:
    """Where all `zeros` along the axes are true, in a form that broadcasts to `shape`, the shape of the op's input."""
    axes = (
        tuple(a % len(shape) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))) if shape else ()
    )
    if len(zeros.shape) < len(shape):
        zeros = ops["reshape"](zeros, tuple([1 if i in axes else n for i, n in enumerate(shape)]))
    return ops["all"](zeros, axes, True) if axes else zeros


def _every(ops: dict[str, Any], truths: Any) -> Any:
    return ops["all"](truths, tuple(range(len(truths.shape))), False)


def _array(x: Any) -> Any:
    return x if isinstance(x, Variable) else as_array(x)


def _is_true(x: Any) -> bool:
    """Whether a truth without dimensions holds; False where it cannot be known, under a transform."""
    raw = x._raw if isinstance(x, Variable) else x
    backend = BY_ARRAY[type(raw)]
    if getattr(backend, "is_transform", False):
        return False
    return bool(backend.to_numpy(as_array(raw)))
