"""The update of an algorithm as one kernel, on devices that make one of a function: see `Backend.fused`.

The `update` of an optimizer is a sequence of in-place ops. Beside it stands the same step as a function of raw arrays and
numbers, which returns the new values; a device that fuses computes and writes all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes, fusion, levels, quiet, storage
from ..backend import UNWRITABLE
from ..graph import Variable
from ..modes import WATCHED, active, thread
from ..rebinding import spread

#: The written tensors after the parameter, then numbers and flags, of a step for (optimizer, parameter, state, options).
Arguments = Callable[[Any, Any, dict[str, Any], dict[str, Any]], tuple[list[Any], list[Any]] | None]


def one_kernel(function: Callable[..., Any], inputs: int, arguments: Arguments) -> Any:
    """Let an `update` be `function(p, grad, *moments, *numbers, *flags)` on devices that make one kernel of that.

    `function` takes `inputs` arrays and numbers, then flags, and returns the new values of p and of the moments, a tuple.
    `arguments(self, p, state, group)` gives the moments and the rest, and counts the step; where this step must go op by op it
    returns None, and has changed nothing. A subclass that overrides the `update` has no part in it.
    """
    kernels = fusion.Kernels(function.__name__.strip("_"), function, inputs, None)

    def declare(update: Any) -> Any:
        update.form = kernels, arguments
        return update

    return declare


class Waiting(dict[Any, Any]):
    """Steps that can be made together, by kernel, dtypes and numbers: each its operands, and the arrays to write into."""

    def __init__(self) -> None:
        #: What the memory of their tensors is known by, where they may share it.
        self.storages: set[Any] = set()

    def make_before(self, tensors: list[Any]) -> None:
        """Make them if one of `tensors`, whose step comes next, shares memory with theirs: as if they had not waited."""
        if not self.storages.isdisjoint(_storages(tensors)):
            self.make()

    def make(self) -> None:
        """Make them."""
        for alike in list(self):
            (kernel, _, *numbers), calls = alike, self.pop(alike)  # so that none is made twice if one raises
            if len(calls) < 2 or not quiet.run_anyway(kernel.many, calls, numbers):
                for operands, places in calls:
                    quiet.run_anyway(kernel, *operands, *numbers, out=places)
        self.storages.clear()


def run(
    update: Any, p: Any, grad: Any, state: dict[str, Any], group: dict[str, Any], waiting: Waiting
) -> bool:
    """Make the step of the bound method `update` by one kernel; False, and nothing is done, where there is none.

    Where the kernel takes many parameters at once, the step is added to `waiting`, if arrays can be written.
    """
    form = getattr(update, "form", None)
    if form is None or (active and thread.mode & WATCHED) or levels.thread.stack:
        return False
    kernels, arguments = form
    kernel = kernels[type(p._raw)]
    known = [p, grad, *(value for value in state.values() if isinstance(value, Variable))]
    if waiting:
        waiting.make_before(known)
    if kernel is None or not _alike(known) or not all(_is_number(v) for v in group.values()):
        return False
    given = arguments(update.__self__, p, state, group)
    if given is None:
        return False
    moments, numbers = given
    written = [p, *moments]
    for tensor in written:
        storage.prepare_write(tensor, "step")
    places = tuple(tensor._raw for tensor in written)  # only now: see `prepare_write`
    operands = (p._raw, grad._raw, *places[1:])
    if hasattr(kernel, "many") and type(p._raw) not in UNWRITABLE:
        waiting.setdefault((kernel, p._raw.dtype, *numbers), []).append((operands, places))
        waiting.storages.update(_storages([grad, *written]))
        return True
    results = quiet.run_anyway(kernel, *operands, *numbers, out=places)
    for tensor, raw in zip(written, results, strict=True):
        tensor._raw = raw
        if UNWRITABLE:
            spread(tensor)
    return True


def _alike(tensors: list[Any]) -> bool:
    """Whether arrays are of one type, shape and real dtype, and of memory of their own."""
    raw = tensors[0]._raw
    storages = _storages(tensors)
    return (
        raw.dtype in dtypes.REAL
        and all(
            type(t._raw) is type(raw) and t._raw.dtype == raw.dtype and t._raw.shape == raw.shape
            for t in tensors
        )
        and len(set(storages)) == len(storages)
    )


def _storages(tensors: list[Any]) -> list[Any]:
    return [t._storage for t in tensors if hasattr(t, "_storage")]


def _is_number(option: Any) -> bool:
    """Whether an option can be told to a kernel: no tensor or array, such as a learning rate that is one."""
    return not isinstance(option, (Variable, np.ndarray))
