"""Memory that tensors share, and in-place writes that never change what a graph has saved.

Ordinary ops pay nothing for this. A tensor gets a `Storage` when a view of it is made, when its memory is
handed out, or when it is first written. Each tensor has a raw array object of its own, which only the
tensor and the nodes of graphs refer to: so at the moment of a write, reference counts tell whether a graph
still needs the old values. If one does, the graph keeps the old memory and the tensors move to a copy.
"""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any

from . import strict
from .backend import BY_ARRAY, UNWRITABLE
from .errors import InPlaceError
from .graph import Variable
from .modes import INFERENCE, NO_GRAD, active, thread
from .orphans import Orphans, overlap


class View:
    """How a tensor was made from the tensor `base` whose memory it shows: by `steps`, one view op after the other.

    A step is (op, parameters, which of several outputs or None). `base` is no view itself. `function` is the name of
    the custom Function that made it, if one did.
    """

    __slots__ = ("base", "function", "recorded", "steps")

    def __init__(
        self, base: Variable, steps: tuple[Step, ...], recorded: bool, function: str | None = None
    ) -> None:
        self.base, self.steps, self.recorded, self.function = base, steps, recorded, function

    def of(self, x: Any) -> Any:
        """The same part of a raw array or tensor of the shape of `base`."""
        return follow(self.steps, x)

    @property
    def one_of_several(self) -> tuple[Any, int] | None:
        """The op with several outputs that made this, and which of them this is."""
        return next(((op, i) for op, _, i in self.steps if i is not None), None)


reference = weakref.ref
_NEVER = sys.maxsize
Step = tuple[Any, tuple[Any, ...], int | None]


def follow(steps: tuple[Step, ...], x: Any) -> Any:
    """The part of a raw array or tensor that view ops lead to, one after the other."""
    for op, params, index in steps:
        x = op(x, *params)
        if index is not None:
            x = x[index]
    return x


class Storage:
    """The memory that a group of tensors shares: who they are, and who outside knows it."""

    __slots__ = (
        "_lent", "_members", "_orphans", "_prune_at", "behind", "pinned", "plain", "version", "whole",
    )  # fmt: skip

    def __init__(self) -> None:
        #: Whether the memory came from outside, whose references nobody can count: then it never moves.
        self.pinned = False
        #: Whether one tensor alone knows the memory, and it is writable, its elements not overlapping: as long as
        #: that tensor alone refers to its array, it can be written without another look.
        self.plain = False
        self.version = 0
        #: The transform that has a tensor of this memory, from which one was detached; None if there is none.
        self.behind: Any = None
        #: The array of which all members are parts, where arrays are never written; else None.
        self.whole: Any = None
        self._members: list[tuple[weakref.ref[Variable] | None, weakref.ref[Any]]] = []
        self._lent: list[tuple[weakref.ref[Any], int]] = []
        self._prune_at = 16
        self._orphans: Orphans | None = None

    def add(self, tensor: Variable, like: Variable | None = None) -> None:
        """Enter a tensor that shares this memory; `like` is a member that shows the same part of it."""
        if UNWRITABLE and type(tensor._raw) in UNWRITABLE:
            self.whole = tensor._raw if self.whole is None else self.whole
            if like is not None:
                tensor._place = getattr(like, "_place", ())
        if len(self._members) >= self._prune_at:
            self._prune()
        member = reference(tensor), reference(tensor._raw)
        self._members.append(member)  # in one step: threads may make views of one tensor
        self.plain = False
        tensor._storage = self

    def mention(self, tensor: Variable) -> None:
        """Enter a tensor of a storage of its own that would share this memory if this were not that of a transform."""
        self._members.append((reference(tensor), reference(tensor._raw)))
        self.plain = False

    def _prune(self) -> None:
        """Forget members that are dead; meanwhile other threads may enter more."""
        limit, self._prune_at = self._prune_at, _NEVER  # in one step: one thread prunes at a time
        if limit == _NEVER:
            return
        try:
            found = self._members.copy()
            live = [m for m in found if m[1]() is not None]
            self._members[: len(found)] = live
            if 2 * len(live) > limit:
                self._settle()
        finally:
            self._prune_at = 2 * len(self._members) + 16

    def lend(self, raw: Any) -> Any:
        """An array over the memory of `raw` for somebody outside: the memory cannot move while it is in use."""
        self.plain = False
        array = BY_ARRAY[type(raw)].lend(raw)
        self._lent = [entry for entry in self._lent if entry[0]() is not None]
        self._lent.append((weakref.ref(array), id(raw)))
        _note_home(array, self)
        return array

    @property
    def handed_out(self) -> bool:
        """Whether somebody outside may look at the memory."""
        return self.pinned or any(array() is not None for array, _ in self._lent)

    def is_private(self, raw: Any) -> bool:
        """Whether one tensor alone refers to `raw`, and nobody to a view of it: the case to be quick about."""
        return (
            len(self._members) == 1
            and sys.getrefcount(raw) <= _PRIVATE_REFERENCES
            and not self._lent
            and (self.pinned or getattr(raw, "base", raw) is None)
        )

    def alone(self, tensor: Variable) -> bool:
        """Whether no other tensor, and nobody outside, shows the memory of `tensor`."""
        return (
            self.behind is None
            and not self.handed_out
            and not any(t is not None and t() is not None and t() is not tensor for t, _ in self._members)
        )

    def check_family(self, tensor: Variable, op: str) -> None:
        """Raise where, inside transforms, somebody shares the memory of `tensor` that is neither its base nor a view."""
        base = tensor._view.base if hasattr(tensor, "_view") else tensor
        known = [base, *self.views_of(base)]
        members = [t() for t, _ in self._members if t is not None]
        if self.handed_out or any(m is not None and all(m is not k for k in known) for m in members):
            raise NotImplementedError(
                f"{op}: writing into memory that is shared with a detached tensor, or with NumPy, is not supported inside "
                "transforms: write into a .clone(), or compute a new tensor"
            )

    def refresh(self) -> None:
        """Note that members have got new arrays."""
        members = [t() for t, _ in self._members if t is not None]
        self.regroup([t for t in members if t is not None])

    def regroup(self, tensors: list[Any]) -> None:
        """Let `tensors`, whose arrays are new, be the members."""
        self._members = [(reference(t), reference(t._raw)) for t in dict.fromkeys(tensors)]
        self.plain = False

    def rebind(self, tensor: Variable, raw: Any) -> None:
        """Give the one tensor of this storage another array: what graphs have saved of the old one stays."""
        tensor._raw = raw
        if self.whole is not None:
            self.whole, tensor._place = raw, ()
        self._members, self.plain = [(weakref.ref(tensor), weakref.ref(raw))], False
        self.version += 1

    def views_of(self, base: Variable) -> list[Variable]:
        """The tensors that are views of `base`, each once: one that was turned in place is a member twice."""
        found = {id(t): t for t in [t() for t, _ in self._members if t is not None] if t is not None}
        return [t for t in found.values() if hasattr(t, "_view") and t._view.base is base]

    def _settle(self) -> list[tuple[Any, Any]]:
        """The members that live, as (tensor or None, array); arrays that graphs alone hold become orphans."""
        members = self._members.copy()
        found = [(None if t is None else t(), r(), t is None) for t, r in members]
        known = {id(getattr(raw, "base", None)) for _, raw, _ in found if raw is not None}
        known.update(lender for array, lender in self._lent if array() is not None)
        live = []
        for tensor, raw, memory in found:
            if raw is None:
                continue
            if memory or tensor is not None or id(raw) in known or getattr(raw, "base", None) is None:
                live.append((tensor, raw))
            else:
                self._orphans = self._orphans or Orphans()
                self._orphans.add(raw)
        if len(live) < len(found):
            entries = [(None if t is None else weakref.ref(t), weakref.ref(raw)) for t, raw in live]
            self._members[: len(found)] = entries  # behind these another thread may have entered more
        return live

    def arrays(self) -> list[Any]:
        """All arrays over this memory that somebody holds."""
        known = [raw for _, raw in self._settle()]
        return known + (self._orphans.arrays() if self._orphans is not None else [])

    def saved_in_a_graph(self, span: tuple[int, int] | None = None) -> bool:
        """Whether somebody other than the tensors, the views among their arrays, and borrowers holds an array.

        With a `span` of addresses only arrays count that reach into it.
        """
        live = self._settle()
        others: dict[int, int] = {}
        if self._orphans is not None:
            if self._orphans.reach_into(span):
                return True
            others.update(self._orphans.bases)
        for base in [id(getattr(raw, "base", None)) for _, raw in live]:
            others[base] = others.get(base, 0) + 1
        for array, lender in self._lent:
            if array() is not None:
                others[lender] = others.get(lender, 0) + 1
        for tensor, raw in live:
            known = _OWN_REFERENCES + (tensor is not None and tensor._raw is raw) + others.get(id(raw), 0)
            if sys.getrefcount(raw) > known and (
                span is None or overlap(BY_ARRAY[type(raw)].span(raw), span)
            ):
                return True
        return False

    def move(self) -> None:
        """Give the tensors a copy of the memory, each its part; the old memory stays as it is."""
        tensors = self.tensors()
        backend = BY_ARRAY[type(tensors[0]._raw)]
        for tensor, raw in zip(tensors, backend.rebase([t._raw for t in tensors]), strict=True):
            tensor._raw = raw
        self._orphans = None
        self._members = [(weakref.ref(t), weakref.ref(t._raw)) for t in tensors]
        self.note_memory(raw)

    def note_memory(self, raw: Any) -> None:
        """Enter what `raw` is a view of, so that views that nobody entered are noticed: a member without a tensor."""
        memory = getattr(raw, "base", None)
        if memory is not None:
            self._members.append((None, weakref.ref(memory)))

    def members(self) -> list[Any]:
        """The tensors that live, each once."""
        found = [t() for t, _ in self._members if t is not None]
        return list({id(t): t for t in found if t is not None and t._storage is self}.values())

    def tensors(self) -> list[Any]:
        """The tensors that share this memory."""
        return [t for t, raw in self._settle() if t is not None and t._raw is raw]


def of(tensor: Variable) -> Storage:
    """The storage of a tensor, made at the first call."""
    try:
        return tensor._storage
    except AttributeError:
        with _making:
            if not hasattr(tensor, "_storage"):  # in another thread meanwhile
                Storage().add(tensor)
        return tensor._storage


#: Held while a tensor gets its storage.
_making = threading.RLock()


#: From the `id` of an array outside to the array and the storage of its memory, kept for tensors to come.
_HOMES: dict[int, tuple[weakref.ref[Any], Storage]] = {}


def _note_home(array: Any, storage: Storage) -> None:
    key, homes = id(array), _HOMES

    def forget(_: Any) -> None:
        homes.pop(key, None)

    homes[key] = weakref.ref(array, forget), storage


def adopt(tensor: Variable, owner: Any) -> None:
    """Enter a tensor over the memory of `owner`, an array from outside, into the one storage of all such tensors."""
    array, storage = _HOMES.get(id(owner), (lambda: None, None))
    if storage is None or array() is not owner:
        storage = Storage()
        storage.pinned = True
        _note_home(owner, storage)
    storage.add(tensor)


def share(base: Variable, view: Variable, op: Any, params: tuple[Any, ...], index: int | None = None) -> None:
    """Note that `view`, which `op` made from `base`, shares its memory; do nothing where it is a copy."""
    raw, origin = view._raw, base._raw
    if UNWRITABLE and type(raw) in UNWRITABLE:
        if op.name == "unsafe_view":  # a copy
            return
        of(base).add(view)
        view._place = (*getattr(base, "_place", ()), (op, params, index))
    elif raw is origin:
        view._raw = BY_ARRAY[type(raw)].alias(raw)
        of(base).add(view)
    else:
        owner = getattr(raw, "base", None)
        if owner is None or (owner is not origin and owner is not getattr(origin, "base", None)):
            return
        of(base).add(view)
    step = (op, params, index)
    recorded = not (active and thread.mode & NO_GRAD)
    before: View | None = getattr(base, "_view", None)
    if before is None:
        view._view = View(base, (step,), recorded, None)
    else:
        recorded = recorded and before.recorded
        view._view = View(before.base, (*before.steps, step), recorded, before.function)


def prepare_write(tensor: Variable, op: str, one_value: bool = False, key: Any = None) -> Any:
    """The raw array of `tensor`, which the op called `op` may now write into, if there is a `key`: only there.

    A caller that holds a raw array of this memory is taken for a graph: it fetches its operands afterwards.
    Where elements overlap, as in an expanded tensor, only `one_value` can be written, everywhere.
    """
    try:
        storage = tensor._storage
    except AttributeError:
        storage = of(tensor)
    if not storage.plain or sys.getrefcount(tensor._raw) > _PLAIN_REFERENCES:
        _look_around(tensor, storage, op, one_value, key)
    storage.version += 1
    return tensor._raw


def _look_around(tensor: Variable, storage: Storage, op: str, one_value: bool, key: Any) -> None:
    """See that the memory is writable, and that no graph needs it: then the storage moves."""
    inference = type(tensor) is Variable._inference
    if inference:
        check_inference(op)
    if storage.behind is not None and storage.behind.alive:
        raise NotImplementedError(
            f"{op}: writing into a tensor that was detached from one of {storage.behind.name} is not supported: write into "
            "a .clone(), or compute a new tensor"
        )
    if UNWRITABLE and type(tensor._raw) in UNWRITABLE:  # a write makes a new array, see `rebinding`
        return
    level = getattr(tensor._raw, "level", None)
    if level is not None:  # so it is with arrays of transforms
        level.check_alive()
        storage.check_family(tensor, op)
        return
    private = storage.is_private(tensor._raw)
    if not private or (storage.pinned and not storage.plain):  # new memory is writable, and dense
        if not BY_ARRAY[type(tensor._raw)].writable(tensor._raw):
            raise RuntimeError(f"{op}: the memory of the tensor is read-only: write to a .clone() instead")
        if not one_value and _overlaps_itself(tensor._raw, key):
            raise RuntimeError(
                f"{op}: unsupported operation: more than one element of the written-to tensor refers to a single "
                "memory location. Please clone() the tensor before performing the operation."
            )
    if private:
        storage.plain = key is None and not (one_value and storage.pinned) and not inference
        return
    if storage.saved_in_a_graph():
        strictly = (
            strict.is_strict() and not storage.handed_out
        )  # PyTorch does not look which part is written
        span = None if strictly else BY_ARRAY[type(tensor._raw)].span(_part(tensor._raw, key))
        if storage.saved_in_a_graph(span) and not (_forget_errors() and not storage.saved_in_a_graph(span)):
            if storage.handed_out:
                raise InPlaceError(
                    f"{op}: a recorded graph needs the values that this would overwrite, and the memory is shared "
                    "with NumPy (numpy(), from_numpy() or DLPack), so it cannot move: write to a .clone() instead"
                )
            if strictly:
                strict.note(storage.arrays(), storage, op)
            storage.move()


def check_inference(op: str) -> None:
    """Raise where `op` must not write into a tensor of inference mode: outside of that mode."""
    if not (active and thread.mode & INFERENCE):
        raise InPlaceError(
            f"{op}: Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to "
            "get a normal tensor before doing inplace update."
        )


def _part(raw: Any, key: Any) -> Any:
    return raw if key is None else BY_ARRAY[type(raw)].getitem(raw, key)


def _overlaps_itself(raw: Any, key: Any) -> bool:
    strides = BY_ARRAY[type(raw)].strides(raw)
    if 0 not in strides:
        return False
    part = _part(raw, key)
    strides = BY_ARRAY[type(raw)].strides(part)
    return 0 not in part.shape and any(n > 1 and not s for n, s in zip(part.shape, strides))


def _forget_errors() -> bool:
    """Clear our frames in the errors that Python remembers, for their variables hold arrays; False if there are none."""
    errors = [sys.exc_info()[1], getattr(sys, "last_value", None)]
    found = set()
    while errors:
        error = errors.pop()
        if error is None or id(error) in found:
            continue
        found.add(id(error))
        errors += error.__cause__, error.__context__
        place = error.__traceback__
        while place is not None:
            frame = place.tb_frame
            if f"{frame.f_globals.get('__name__')} {frame.f_code.co_filename}".startswith(
                ("plugrad", "None <plugrad")
            ):
                try:
                    frame.clear()
                except RuntimeError:  # it is still running
                    pass
            place = place.tb_next
    return bool(found)


#: What `saved_in_a_graph` and `is_private` themselves hold of an array while they count. Measured, not written
#: down: interpreters differ.
_OWN_REFERENCES = _PRIVATE_REFERENCES = 0
#: What an array of one tensor has when `prepare_write` asks.
_PLAIN_REFERENCES = 0


def _measure() -> None:
    class Raw:
        base = None

    tensor = object.__new__(Variable)
    tensor._raw, tensor._edge = Raw(), None
    storage = of(tensor)
    global _OWN_REFERENCES, _PRIVATE_REFERENCES, _PLAIN_REFERENCES
    _PLAIN_REFERENCES = sys.getrefcount(tensor._raw)
    while storage.saved_in_a_graph():
        _OWN_REFERENCES += 1
    while not storage.is_private(tensor._raw):
        _PRIVATE_REFERENCES += 1


_measure()
