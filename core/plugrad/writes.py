"""In-place writes as part of the recorded graph.

A recorded write is the op that computes a new tensor, after which the written one takes its place: its memory
gets the values, its edge is the new node's. Where it is a view, the base gets a `CopySlices`, which says that one
part of it now comes from elsewhere, and every view of the base gets its edge anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import engine, hooks, levels, ops, quiet, storage, strict
from .backend import BY_ARRAY, UNWRITABLE, backend_of
from .dtypes import bool_, can_cast, of
from .errors import InPlaceError
from .graph import Node, Variable, wrap
from .modes import ANOMALY, INFERENCE, NO_GRAD, SOURCE_LINES, active, set_recording, thread, tidy
from .rebinding import admit, edges_below, spread, with_part
from .storage import Step, follow


def is_recorded(tensor: Any, others: tuple[Any, ...] = ()) -> bool:
    """Whether writing `others` into `tensor` goes through `write`: it belongs to a graph, or to a transform."""
    if levels.thread.stack and levels.highest((tensor, *others)) is not None:
        return True
    if active and thread.mode & (NO_GRAD | INFERENCE):
        return False
    view = getattr(tensor, "_view", None)
    needed = tensor._edge is not None or (view is not None and view.base._edge is not None)
    return needed or any([isinstance(o, Variable) and o._edge is not None for o in others])


def is_indirect(tensor: Any, others: tuple[Any, ...] = ()) -> bool:
    """Whether writing goes through `write`: what is recorded, and arrays that are never written."""
    return bool(UNWRITABLE and type(tensor._raw) in UNWRITABLE) or is_recorded(tensor, others)


def check(tensor: Any, name: str) -> None:
    """Raise where PyTorch refuses a recorded write into `tensor`."""
    view = getattr(tensor, "_view", None)
    if tensor._edge is not None and tensor.is_leaf:
        raise InPlaceError(
            f"{name}: a leaf Variable that requires grad is being used in an in-place operation: "
            "write under torch.no_grad(), or compute a new tensor"
        )
    if view is None:
        return
    if view.base._edge is not None and view.base.is_leaf:
        raise InPlaceError(
            f"{name}: a view of a leaf Variable that requires grad is being used in an in-place operation: "
            "write under torch.no_grad(), or into a .clone() of the leaf"
        )
    if view.function is not None:
        raise InPlaceError(
            f"{name}: Output of {view.function} is a view and is being modified inplace. This view was created inside a "
            "custom Function (or because an input was returned as-is), and the write would override its custom backward. "
            "This behavior is forbidden. You can fix this by cloning the output of the custom Function."
        )
    if not view.recorded:
        raise InPlaceError(
            f"{name}: A view was created in no_grad mode and is being modified inplace with grad mode enabled. "
            "Move both the view and the write inside the no_grad block, or both outside"
        )
    several = view.one_of_several
    if several is not None:
        raise InPlaceError(
            f"{name}: Output {several[1]} of {several[0].node_name} is a view and is being modified inplace. This view "
            "is the output of a function that returns multiple views, which do not allow it: "
            "write into a slice of the base, or compute a new tensor"
        )


def _records(tensor: Any, others: tuple[Any, ...], name: str) -> bool:
    """Whether a write of `others` into `tensor` is recorded; raises where it must not be done."""
    base = tensor._view.base if hasattr(tensor, "_view") else tensor
    if not active or not thread.mode & (NO_GRAD | INFERENCE):
        recorded = any([isinstance(t, Variable) and t._edge is not None for t in (base, tensor, *others)])
        if recorded or (levels.thread.stack and levels.connected(wrap(base._raw))):
            check(tensor, name)
        return recorded
    if not levels.thread.stack:
        return False
    level = levels.of(base._raw)
    if (level is None or not level.keeps_edges) and levels.connected(wrap(base._raw)):
        raise NotImplementedError(
            f"{name}: writing under no_grad inside a transform into a tensor that somebody outside of it differentiates is "
            "not supported: compute a new tensor, or write into a .detach().clone()"
        )
    return False


def write(tensor: Any, compute: Callable[[], Any], others: tuple[Any, ...], name: str) -> Any:
    """Let `tensor` become what `compute()`, recorded, returns: a tensor of its shape. Returns `tensor`."""
    recording = _records(tensor, others, name)
    y = compute()
    shape, dtype = tuple(tensor._raw.shape), tensor.dtype
    if tuple(y._raw.shape) != shape:
        raise RuntimeError(
            f"{name}: output with shape {list(shape)} doesn't match the broadcast shape {list(y._raw.shape)}: "
            "an in-place operation cannot change the shape"
        )
    if not can_cast(y.dtype, dtype):
        raise RuntimeError(f"{name}: result type {y.dtype} can't be cast to the desired output type {dtype}")
    if y.dtype is not dtype:
        y = y.to(dtype)
    if recording and y._edge is None and tensor._edge is not None:  # a comparison, whose derivative is zero
        y._edge = ops.zero.call(tensor)._edge
    admit(tensor, y, name)
    below = edges_below(tensor) if levels.thread.stack and not recording else ()
    raw, home = y._raw, storage.of(tensor)
    fresh = not hasattr(y, "_storage") and getattr(raw, "base", None) is None
    fresh = fresh and all(not isinstance(o, Variable) or o._raw is not raw for o in (tensor, *others))
    if fresh and not hasattr(tensor, "_view") and home.alone(tensor) and _same_layout(raw, tensor._raw):
        if strict.is_strict():
            strict.note(home.arrays(), home, name)
        home.rebind(tensor, raw)  # no copy: what a graph has saved of the old array stays where it is
    else:
        memory = storage.prepare_write(tensor, name)
        tensor._raw = quiet.call(BY_ARRAY[type(memory)].setitem, memory, ..., raw)
    if levels.thread.stack or UNWRITABLE:
        spread(tensor, below)
    if recording:
        advance(tensor, y._edge)
    return tensor


def _same_layout(a: Any, b: Any) -> bool:
    backend = BY_ARRAY[type(a)]
    return type(a) is type(b) and backend.strides(a) == backend.strides(b)


def assign(
    tensor: Any, steps: tuple[Any, ...], values: Any, key: Any, set_: Callable[[Any], Any], name: str
) -> None:
    """Write the part of `tensor` that `steps` lead to by `set_`, recorded; `values` is the tensor there, or None."""
    recording = _records(tensor, () if values is None else (values,), name)
    below = edges_below(tensor) if levels.thread.stack and not recording else ()
    memory = storage.prepare_write(tensor, name, one_value=values is None, key=key)
    tensor._raw = set_(memory)
    if levels.thread.stack or UNWRITABLE:
        spread(tensor, below)
    if recording:
        advance(tensor, None if values is None else values._edge, steps)


def advance(tensor: Any, edge: Node | None, steps: tuple[Any, ...] = ()) -> None:
    """The graph of `tensor`, or of the part of it that `steps` lead to, goes on from `edge`; so do its views."""
    view = getattr(tensor, "_view", None)
    base = tensor if view is None else view.base
    before = base._edge
    if view is None and not steps:
        base._edge = edge
    else:
        steps = (*view.steps, *steps) if view is not None else steps
        base._edge = CopySlices(before, edge, steps, _order(base._raw))
    _go_on_retaining(before, base._edge)
    views = storage.of(base).views_of(base)
    if not views:
        return
    was = thread.mode
    try:
        set_recording(True)
        for v in views:
            old = v._edge
            if v._view.function is not None:
                v._edge = Overridden(base._edge, v._view.function)
            else:
                v._edge = None if base._edge is None else v._view.of(wrap(base._raw, base._edge))._edge
            _go_on_retaining(old, v._edge)
    finally:
        thread.mode = thread.mode & ~NO_GRAD | was & NO_GRAD  # in one step: see `tidy`
        tidy()


def turn(tensor: Any, compute: Callable[[], Any], back: Callable[[Any], Any], name: str) -> Any:
    """Let `tensor` become the view of itself that `compute()` returns; `back` makes of such a view what it was.

    Its memory, and the views of it, stay what they are. Returns `tensor`.
    """
    if type(tensor) is Variable._inference:
        storage.check_inference(name)
    elif is_recorded(tensor):
        check(tensor, name)
    elif tensor._edge is not None and not tensor.is_leaf:
        raise InPlaceError(
            f"{name}: not possible in no_grad mode for a tensor that was computed from one that requires grad, since its "
            f"graph knows its old shape: compute a new tensor, x = x.{name[:-1]}(...)"
        )
    y, before = compute(), tensor._edge
    before_recording = set_recording(False)
    try:
        inverse = back(y)
    finally:
        set_recording(before_recording)
    home = storage.of(tensor)
    if hasattr(tensor, "_view"):
        tensor._view = storage.View(y._view.base, y._view.steps, tensor._view.recorded, tensor._view.function)
    else:
        steps = inverse._view.steps[len(y._view.steps) :] if hasattr(inverse, "_view") else ()
        for v in home.views_of(tensor):
            v._view = storage.View(tensor, (*steps, *v._view.steps), v._view.recorded, v._view.function)
    tensor._raw = BY_ARRAY[type(y._raw)].alias(y._raw)
    if (level := levels.of(tensor._raw)) is not None:
        level.turned.append(tensor)
    home.add(tensor, y)
    home.version += 1
    if before is not None and not tensor.is_leaf:
        tensor._edge = y._edge
        _go_on_retaining(before, y._edge)
    return tensor


def _go_on_retaining(before: Node | None, after: Node | None) -> None:
    """A tensor whose gradient is kept keeps that of its newest values."""
    if before is not None and after is not None and before.hooks is not None and before is not after:
        hooks.of_node(after).retain, before.hooks.retain = before.hooks.retain, None


class CopySlices(Node):
    """One part of a tensor was overwritten: its gradient goes to what was written, the rest to what was before."""

    __slots__ = ("order", "steps")

    def __init__(
        self,
        before: Node | None,
        written: Node | None,
        steps: tuple[Step, ...],
        order: tuple[int, ...] | None,
    ) -> None:
        self.edges, self.hooks = (before, written), None
        if active and thread.mode & (SOURCE_LINES | ANOMALY):
            self.metadata["source"] = strict.user_place()
        #: The order of axes in the memory of what was written, in which alone the steps are views.
        self.steps, self.order = steps, order

    def backward(self, g: Any) -> tuple[Any, ...]:
        """`g` with zeros at the part, and `g` at the part."""
        before, written = self.edges
        return (
            None if before is None else quiet.call(_filled, self.steps, _dense(g, self.order), 0),
            None if written is None else quiet.call(follow, self.steps, g),
        )

    def backward_recorded(self, g: Any) -> tuple[Any, ...]:
        """The same on tensors."""
        before, written = self.edges
        return (
            None if before is None else self._rest(g),
            None if written is None else follow(self.steps, g),
        )

    def _rest(self, g: Any) -> Any:
        """`g` with zeros at the part, recorded."""
        backend: Any = backend_of(g._raw)
        shape = tuple(g._raw.shape)
        if all(op.holomorphic for op, _, _ in self.steps):
            backend = backend.base if backend.is_transform else backend
            mask = backend.zeros(shape, bool_)
            mask = mask if self.order is None else _dense(mask, self.order)
            return ops.where(wrap(_filled(self.steps, mask, True)), 0, g)
        # The real or imaginary part of complex numbers, which no mask can name.
        recording = set_recording(True)  # which is off inside of transforms
        try:
            zeros = wrap(backend.zeros(shape, of(g._raw.dtype))).requires_grad_()
            part, there = follow(self.steps, zeros), follow(self.steps, g)
            return g - engine.grad(part, zeros, there, create_graph=True)[0]
        finally:
            set_recording(recording)


def _filled(steps: tuple[Step, ...], raw: Any, value: Any) -> Any:
    """`raw`, a dense array of its own, with `value`, a number, at the part."""
    backend, part = backend_of(raw), follow(steps, raw)
    if type(raw) in UNWRITABLE:
        return with_part(raw, steps, backend.full(tuple(part.shape), value, of(raw.dtype)))
    backend.setitem(part, ..., value)
    return raw


def _order(raw: Any) -> tuple[int, ...] | None:
    """The axes of an array from the outermost in memory to the innermost; None where that is their order."""
    strides = BY_ARRAY[type(raw)].strides(raw)
    order = tuple(sorted(range(len(strides)), key=lambda i: -abs(strides[i])))
    return None if order == tuple(range(len(order))) else order


def _dense(raw: Any, order: tuple[int, ...] | None) -> Any:
    """A dense copy with the axes in that order in memory."""
    copy = BY_ARRAY[type(raw)].copy
    if order is None:
        return copy(raw)
    inverse = tuple([order.index(i) for i in range(len(order))])
    return ops.permute_dims(copy(ops.permute_dims(raw, order)), inverse)


class Overridden(Node):
    """The graph of a view that a Function returned, after its base was written: it would bypass the Function."""

    __slots__ = ("of",)

    def __init__(self, edge: Node | None, of: str) -> None:
        self.edges, self.hooks, self.of = (edge,), None, of

    def backward(self, g: Any) -> tuple[Any, ...]:
        """Raise."""
        raise RuntimeError(
            f"an output of {self.of} is a view of a tensor that was modified inplace afterwards: its gradient would "
            f"bypass the backward of {self.of}. Write into a .clone(), or return a .clone() from forward"
        )

    consume = backward_recorded = backward
