"""In-place writes where arrays are never written: all tensors that share memory get new arrays.

So it is with values of a transform, and with libraries whose arrays are immutable, or views of unknown memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from . import levels, ops, storage
from .backend import BY_ARRAY, UNWRITABLE, backend_of
from .dtypes import int64
from .graph import Variable, wrap
from .storage import Step, follow


def admit(tensor: Any, value: Any, name: str) -> None:
    """Let a value of a transform be written into `tensor`, which is of a level below: it goes up to that level."""
    if not levels.thread.stack or not isinstance(value, Variable):
        return
    level = levels.of(value._raw)
    if level is None or levels.highest((tensor, value)) is levels.of(tensor._raw):
        return
    home = storage.of(tensor)
    home.check_family(tensor, name)
    base = tensor._view.base if hasattr(tensor, "_view") else tensor
    raw = level.admitted(base, name)
    for t in (base, *home.views_of(base)):
        t._raw = raw if t is base else t._view.of(wrap(raw))._raw
        if not level.keeps_edges:  # what was recorded belongs to the level below
            t._edge = None
        level.note(t)
    home.refresh()


def edges_below(tensor: Any) -> list[tuple[Any, Any]]:
    """The tensors that share memory with `tensor`, each with its edge at the level below, to keep where nobody records."""
    level = levels.of(tensor._raw)
    if level is None:
        return []
    base = tensor._view.base if hasattr(tensor, "_view") else tensor
    return [(t, level.edge_below(t._raw)) for t in (base, *storage.of(tensor).views_of(base))]


def spread(tensor: Any, below: Iterable[tuple[Any, Any]] = ()) -> None:
    """Let all tensors that share memory with `tensor`, if its array is never written, show what was written into it.

    `below` are those whose edges at the level below stay.
    """
    if type(tensor._raw) in UNWRITABLE:
        return _spread_whole(tensor)
    level, view = levels.of(tensor._raw), getattr(tensor, "_view", None)
    if level is None:
        return
    home, base = storage.of(tensor), tensor if view is None else view.base
    if view is not None:
        base._raw = _with_part(base._raw, view.steps, tensor._raw)
    for v in home.views_of(base):
        if v is not tensor:
            v._raw = v._view.of(wrap(base._raw))._raw
    for t, edge in below:
        level.connect(t, edge)
    home.refresh()


def _spread_whole(tensor: Any) -> None:
    """`spread` where an array library's arrays are never written."""
    home, place = storage.of(tensor), getattr(tensor, "_place", ())
    home.whole = with_part(home.whole, place, tensor._raw)
    members = home.members()
    for t in members:
        if t is not tensor:
            t._raw = follow(getattr(t, "_place", ()), home.whole)
    home.regroup(members)


#: View ops that only arrange: the inverse is their formula.
_ARRANGING = frozenset(
    ("reshape", "expand_dims", "squeeze", "squeeze_dim", "squeeze_dims")
    + ("permute_dims", "swapaxes", "reverse_dims", "matrix_transpose")
)
_READING = frozenset(("getitem", "select", "newaxis", "whole"))


def with_part(raw: Any, steps: tuple[Step, ...], part: Any) -> Any:
    """A new array with `part` where `steps` lead to in `raw`, of a library whose arrays are never written."""
    if not steps:
        return part
    (op, params, index), rest = steps[0], steps[1:]
    if index is None and op.name in _ARRANGING:
        inner = with_part(op(raw, *params), rest, part) if rest else part
        return op.vjp("x", inner, None, (raw,), params)
    if index is None and op.name in _READING:
        inner = with_part(op(raw, *params), rest, part) if rest else part
        return BY_ARRAY[type(raw)].setitem(raw, params[0], inner)
    return _with_part(raw, steps, part)


def _with_part(raw: Any, steps: tuple[Step, ...], part: Any) -> Any:
    """The same for any steps, and for arrays of transforms: by the places of the elements."""
    if any(not op.holomorphic or op.name == "bitcast" for op, _, _ in steps):
        raise NotImplementedError(
            "writing into the real or imaginary part, or into a view of another dtype, is not supported inside transforms, "
            "and where a device's arrays are never written: compute a new tensor, e.g. with torch.complex"
        )
    shape = tuple(raw.shape)
    backend: Any = backend_of(raw)
    backend = backend.base if backend.is_transform else backend
    ones = wrap(backend.full((math.prod(shape),), 1, int64))
    numbers = ops.reshape_.call(ops.add.call(ops.cumsum_.call(ones, 0), -1), shape)
    at = follow(steps, numbers)
    at = ops.reshape_.call(at, (math.prod(at._raw.shape),))
    places = backend.to_numpy(at._raw).tolist()
    if len(set(places)) < len(places):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )
    flat = ops.reshape_.call(wrap(raw), (math.prod(shape),))
    values = ops.reshape_.call(wrap(part), (math.prod(part.shape),))
    return ops.reshape_.call(ops.index_put.call(flat, values, (at._raw,), False), shape)._raw
