"""Hooks on what a graph saves: packed when it is recorded, unpacked when a backward reads it.

Only under a hook is a node of a class that knows of packing made, so other nodes pay nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any

from .backend import backend_of
from .dtypes import of
from .errors import GraphFreedError
from .graph import Node, Variable, wrap
from .modes import NO_GRAD, SAVED_TENSORS_HOOKS, active, set_mode, thread, tidy

Pair = tuple[Callable[[Any], Any], Callable[[Any], Any]]


def push(pair: Pair) -> None:
    """Make `pair`, (pack, unpack), the hooks of the calling thread."""
    refusal = thread.saved_tensors_hooks_refused
    if refusal is not None:
        raise RuntimeError(refusal)
    thread.saved_tensors_hooks = (*thread.saved_tensors_hooks, pair)
    set_mode(thread.mode | SAVED_TENSORS_HOOKS)


def pop() -> None:
    """Go back to the hooks before."""
    thread.saved_tensors_hooks = thread.saved_tensors_hooks[:-1]
    if not thread.saved_tensors_hooks:
        set_mode(thread.mode & ~SAVED_TENSORS_HOOKS)


def current() -> Pair | None:
    """The hooks of the calling thread."""
    return thread.saved_tensors_hooks[-1] if active and thread.mode & SAVED_TENSORS_HOOKS else None


class Packed:
    """What a pack hook returned for a saved array, and how to get the array back."""

    __slots__ = ("_backend", "_dtype", "_shape", "_unpack", "_value")

    def __init__(self, raw: Any, pair: Pair) -> None:
        pack, self._unpack = pair
        self._backend, self._shape, self._dtype = backend_of(raw), tuple(raw.shape), raw.dtype
        tensor = wrap(raw)
        self._value = _without_hooks(pack, tensor)
        if tensor._raw is not raw or tensor._version:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot "
                "be modified by in-place operations: return a new tensor"
            )

    @property
    def form(self) -> tuple[tuple[int, ...], Any]:
        """The shape and the raw dtype of the array."""
        return self._shape, self._dtype

    def unpack(self) -> Any:
        """The raw array."""
        tensor = _without_hooks(self._unpack, self._value)
        if not isinstance(tensor, Variable):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                f"{type(tensor).__name__}"
            )
        raw = tensor._raw
        found = backend_of(raw)
        if tuple(raw.shape) != self._shape or found is not self._backend:
            what = "shape" if found is self._backend else "device"
            raise RuntimeError(
                f"Output of saved tensor unpack_hook has another {what} than what was packed: found a tensor of shape "
                f"{list(raw.shape)} on {found.device_name!r}, expected {list(self._shape)} on "
                f"{self._backend.device_name!r}"
            )
        if raw.dtype != self._dtype:  # packed as something smaller
            raw = _without_hooks(lambda t: t.to(of(self._dtype)), tensor)._raw
        return raw


def _without_hooks(hook: Callable[[Any], Any], value: Any) -> Any:
    was = thread.mode
    try:
        set_mode(was & ~SAVED_TENSORS_HOOKS | NO_GRAD)
        return hook(value)
    finally:
        thread.mode = was  # in one step: see `tidy`
        tidy()


def packing(cls: type[Node]) -> type[Node]:
    """The subclass of a class of nodes whose saved values are packed."""
    if cls not in _PACKING:
        members: dict[str, Any] = {n: _unpacked(cls, n) for n in ("backward", "consume", "backward_recorded")}
        members.update(release=_release, _value_in=_value_in)
        _PACKING[cls] = type(
            cls.__name__, (cls,), {"__slots__": ("lock", "packed"), "__doc__": cls.__doc__, **members}
        )
    return _PACKING[cls]


_PACKING: dict[type[Node], type[Node]] = {}


def pack(node: Any, pair: Pair) -> None:
    """Replace the arrays in the slots of a node of a packing class by what the hooks make of them."""
    node.packed, node.lock = {}, RLock()
    for slot in node.saves:
        raw = getattr(node, slot)
        if hasattr(raw, "dtype"):
            node.packed[slot] = Packed(raw, pair)
            delattr(node, slot)


def _unpacked(cls: type[Node], name: str) -> Callable[..., Any]:
    method, consumes = getattr(cls, "backward" if name == "consume" else name), name == "consume"

    def call(node: Any, g: Any) -> tuple[Any, ...]:
        with node.lock:  # for the values are in the slots meanwhile
            packed = _packed(node)
            try:
                for slot, value in packed.items():
                    setattr(node, slot, value.unpack())
                return method(node, g)
            finally:
                for slot in packed:
                    if hasattr(node, slot):
                        delattr(node, slot)
                if consumes:
                    node.release()

    return call


def _packed(node: Any) -> dict[str, Packed]:
    if node.packed is None:
        raise GraphFreedError(
            f"backward: the saved values of {node.name()} are gone, because the graph was differentiated before "
            "(Trying to backward through the graph a second time): pass retain_graph=True to the first backward"
        )
    return node.packed


def _value_in(node: Any, slot: str) -> Any:
    packed = _packed(node)
    return node._placed(slot, packed[slot].unpack()) if slot in packed else Node._value_in(node, slot)


def _release(node: Any) -> None:
    if node.packed:  # what saved nothing can be differentiated again
        node.packed = None
    for slot in node.saves:
        if hasattr(node, slot):
            delattr(node, slot)


# --- hooks of a single value --------------------------------------------------------------------------------


class SavedTensor:
    """One saved value of a node, such as `node._raw_saved_self`, which takes hooks of its own."""

    __slots__ = ("_node", "_slot")

    def __init__(self, node: Node, slot: str) -> None:
        self._node, self._slot = node, slot

    def register_hooks(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        """Pack the value by `pack_hook` now, and read it through `unpack_hook` from now on."""
        asked = f"Calling register_hooks on a saved tensor of {self._node.name()}"
        for hook in (pack_hook, unpack_hook):
            if not callable(hook):
                raise TypeError(f"register_hooks: hooks must be callable, found {type(hook).__name__}")
        node: Any = self._node
        packed = getattr(node, "packed", {})  # of a node that was recorded under hooks
        value = gone = object()
        if packed is not None:
            value = packed.get(self._slot) or getattr(node, self._slot, gone)
        if value is gone:
            raise GraphFreedError(
                f"{asked} after it has been freed: pass retain_graph=True to the backward before"
            )
        if type(value) is Packed:
            raise RuntimeError(
                f"{asked} whose hooks have already been set: only one pair of hooks is allowed at a time"
            )
        if not hasattr(value, "dtype"):
            raise RuntimeError(f"{asked} with value {value} is forbidden: only tensors are packed")
        packed_value = Packed(value, (pack_hook, unpack_hook))
        if hasattr(type(node), "packed"):
            packed[self._slot] = packed_value
            delattr(node, self._slot)
        else:
            node.__class__ = _unpacking(type(node))
            setattr(node, self._slot, packed_value)


Node._raw_saved = SavedTensor

#: For a class of nodes the same class, whose nodes may have packed values in their slots.
_UNPACKING: dict[type[Node], type[Node]] = {}

#: Held while unpacked values are in the slots of such a node.
_unpacked_values = RLock()


def _unpacking(cls: type[Node]) -> type[Node]:
    if issubclass(cls, tuple(_UNPACKING.values())):
        return cls
    if cls not in _UNPACKING:
        members: dict[str, Any] = {
            n: _with_values(cls, n) for n in ("backward", "consume", "backward_recorded")
        }
        members.update(__slots__=(), __doc__=cls.__doc__, _value_in=_hooked_value_in)
        _UNPACKING[cls] = type(cls.__name__, (cls,), members)
    return _UNPACKING[cls]


def _with_values(cls: type[Node], name: str) -> Callable[..., Any]:
    method = getattr(cls, "backward" if name == "consume" else name)

    def call(node: Any, g: Any) -> tuple[Any, ...]:
        with _unpacked_values:
            packed = {
                slot: value for slot in node.saves if type(value := getattr(node, slot, None)) is Packed
            }
            try:
                for slot, value in packed.items():
                    setattr(node, slot, value.unpack())
                return method(node, g)
            finally:
                for slot, value in packed.items():
                    setattr(node, slot, value)
                if name == "consume":
                    node.release()

    return call


def _hooked_value_in(node: Any, slot: str) -> Any:
    value = getattr(node, slot, None)
    return node._placed(slot, value.unpack()) if type(value) is Packed else Node._value_in(node, slot)
