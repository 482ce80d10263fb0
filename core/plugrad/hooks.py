"""Functions that a backward calls on its way: at a tensor, before a node, after a node.

A node keeps them in one slot, None for nearly all nodes, which is all that an ordinary backward looks at. The
order is PyTorch's: the hooks of a tensor as they were registered, then what keeps its `.grad` (`retain_grad`), the
prehooks of the node, the node, its hooks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .backend import as_array, backend_of
from .dtypes import of
from .graph import Node, Variable, wrap
from .modes import NO_GRAD, is_grad_enabled, set_recording, thread, tidy


class Hooks:
    """What is hooked to one node."""

    __slots__ = ("after", "before", "retain", "tensor")

    def __init__(self) -> None:
        #: By the key of its handle: what is called with the gradient of the tensor that the node made.
        self.tensor: dict[Any, Callable[[Any], Any]] = {}
        self.retain: Callable[[Any], None] | None = None
        #: What is called with the gradients of all outputs, and with those of the inputs and the outputs.
        self.before: dict[Any, Callable[[Any], Any]] = {}
        self.after: dict[Any, Callable[[Any, Any], Any]] = {}


class RemovableHandle:
    """What registers a hook returns: `remove()` takes the hook away; as a context manager, at its end."""

    __slots__ = ("_homes", "_key")

    def __init__(self, hook: Any, *homes: dict[Any, Any]) -> None:
        self._homes = homes  # not the nodes: a handle that is kept would keep the graph
        self._key = object()  # not the handle, which would form a cycle with its homes
        for home in homes:
            home[self._key] = hook

    def remove(self) -> None:
        """Take the hook away; once is enough."""
        for home in self._homes:
            home.pop(self._key, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def of_node(node: Node) -> Hooks:
    """The hooks of a node, made at the first call."""
    if node.hooks is None:
        with _lock:  # two threads may hook to one tensor
            if node.hooks is None:
                node.hooks = Hooks()
    return node.hooks


_lock = threading.RLock()


def call_after(node: Node) -> dict[Any, Any]:
    """The hooks that run after a node, which from now on looks for them."""
    cls = type(node)
    if not getattr(cls, "_calls_hooks", False):
        if cls not in _CALLING:
            members: dict[str, Any] = {name: _then_hooks(cls, name) for name in cls.methods()}
            members.update(__slots__=(), __doc__=cls.__doc__, _calls_hooks=True)
            _CALLING[cls] = type(cls.__name__, (cls,), members)
        node.__class__ = _CALLING[cls]  # so that other nodes need not even be asked
    return of_node(node).after


Node._hooked_after = lambda node, hook: RemovableHandle(hook, call_after(node))
Node._hooked_before = lambda node, hook: RemovableHandle(hook, of_node(node).before)

#: For a class of nodes the same class, whose nodes call hooks afterwards.
_CALLING: dict[type[Node], type[Node]] = {}


def _then_hooks(cls: type[Node], name: str) -> Callable[..., Any]:
    method, recorded = getattr(cls, name), name == "backward_recorded"

    def call(node: Any, g: Any) -> tuple[Any, ...]:
        grads = method(node, g)
        if node.hooks is None or not node.hooks.after:
            return grads
        outputs = _tensors(g if type(g) is list else [g], recorded)
        was = thread.mode
        try:
            set_recording(recorded and is_grad_enabled())
            inputs = _tensors(grads, recorded)
            for hook in list(node.hooks.after.values()):
                inputs = _replaced(hook, inputs, hook(inputs, outputs))
        finally:
            thread.mode = thread.mode & ~NO_GRAD | was & NO_GRAD  # in one step: see `tidy`
            tidy()
        return inputs if recorded else tuple(None if x is None else x._raw for x in inputs)

    return call


def _tensors(gs: Any, recorded: bool) -> tuple[Any, ...]:
    return tuple(g if g is None or recorded else wrap(as_array(g)) for g in gs)


def _replaced(hook: Any, old: tuple[Any, ...], new: Any) -> tuple[Any, ...]:
    """The gradients that a node's hook leaves: what it returns, a tensor or a tuple, or what there was."""
    if new is None:
        return old
    new = new if isinstance(new, tuple) else (new,)
    if len(new) != len(old):
        raise RuntimeError(
            f"hook {_name(hook)!r} has returned an incorrect number of values (got {len(new)}, but expected {len(old)})"
        )
    for a, b in zip(old, new, strict=True):
        if a is not None and b is not None:
            check_replacement(hook, a, b)
    return new


def run_tensor_hooks(hooks: Hooks, g: Any, recorded: bool, counts: Any, needed: Any) -> Any:
    """`g` as the hooks of a tensor leave it; they see tensors, and record only if the backward is recorded."""
    if not hooks.tensor and hooks.retain is None:
        return g
    was = thread.mode
    try:
        set_recording(recorded and is_grad_enabled())
        tensor = g if recorded else wrap(as_array(g))
        for hook in list(hooks.tensor.values()):
            result = hook.arrive(tensor, counts, needed) if type(hook) is OneOfMany else hook(tensor)
            if result is not None:
                check_replacement(hook, tensor, result)
                tensor = result
        if hooks.retain is not None:
            hooks.retain(tensor)
    finally:
        thread.mode = thread.mode & ~NO_GRAD | was & NO_GRAD  # in one step: see `tidy`
        tidy()
    return tensor if recorded else tensor._raw


def note_missing(hooks: Hooks, recorded: bool, counts: Any, needed: Any) -> None:
    """Tell the hooks of several tensors that no gradient will arrive at this one; other hooks are not called."""
    before = set_recording(recorded and is_grad_enabled())
    try:
        for hook in list(hooks.tensor.values()):
            if type(hook) is OneOfMany:
                hook.arrive(None, counts, needed)
    finally:
        set_recording(before)


def run_prehooks(hooks: Hooks, g: Any, recorded: bool) -> Any:
    """`g`, the cotangent of a node or a list of those of its outputs, as the prehooks of the node leave it."""
    if not hooks.before:
        return g
    several = type(g) is list
    was = thread.mode
    try:
        set_recording(recorded and is_grad_enabled())
        tensors = _tensors(g if several else [g], recorded)
        for hook in list(hooks.before.values()):
            tensors = _replaced(hook, tensors, hook(tensors))
    finally:
        thread.mode = thread.mode & ~NO_GRAD | was & NO_GRAD  # in one step: see `tidy`
        tidy()
    gs = [x if x is None or recorded else x._raw for x in tensors]
    if not several:
        return gs[0]
    return gs if any(x is not None for x in gs) else None


class MultiGradHook:
    """The hook of several tensors: called once a backward, when all their gradients are there, or with the first."""

    def __init__(self, edges: list[Node], function: Callable[[Any], None], first: bool) -> None:
        self.edges, self.function, self.first = edges, function, first

    def arrive(self, i: int, g: Any, counts: Any, needed: Any) -> None:
        """Note that the gradient `g` of tensor `i` has arrived in the backward that walks `counts`.

        What has arrived is kept in `counts`: other backwards, within this one or in other threads, have their own.
        """
        if self not in counts:
            expected = [edge for edge in self.edges if edge in counts and (needed is None or edge in needed)]
            counts[self] = [None] * len(self.edges), 1 if self.first else len(expected)
        arrived, missing = counts[self]
        if missing == 0 or (self.first and g is None):  # the first was there before, or is to come
            return
        arrived[i] = g
        counts[self] = arrived, missing - 1
        if missing == 1:
            counts[self] = [], 0
            self.function(g if self.first else arrived)


class OneOfMany:
    """The part of a `MultiGradHook` that is hooked to tensor `i`."""

    __slots__ = ("_all", "_i")

    def __init__(self, all_: MultiGradHook, i: int) -> None:
        self._all, self._i = all_, i

    def arrive(self, g: Any, counts: Any, needed: Any) -> None:
        """Pass the gradient on."""
        self._all.arrive(self._i, g, counts, needed)


def check_replacement(hook: Any, g: Any, result: Any) -> None:
    """Raise if what a hook returned cannot stand for the gradient `g`."""
    if not isinstance(result, Variable):
        found = type(result).__name__
        raise TypeError(
            f"expected Variable, but hook {_name(hook)!r} returned {found!r}: return a Tensor or None"
        )
    old, new = g._raw, result._raw
    if tuple(new.shape) != tuple(old.shape):
        raise RuntimeError(
            f"hook {_name(hook)!r} has changed the size of value: the gradient has shape {tuple(old.shape)}, "
            f"what it returned {tuple(new.shape)}"
        )
    if new.dtype != old.dtype or backend_of(new) is not backend_of(old):
        given, found = (f"{of(r.dtype)} on {backend_of(r).device_name!r}" for r in (old, new))
        raise RuntimeError(
            f"hook {_name(hook)!r} has changed the type of value: the gradient is {given}, what it returned {found}"
        )


def _name(hook: Any) -> str:
    return getattr(hook, "__name__", type(hook).__name__)
