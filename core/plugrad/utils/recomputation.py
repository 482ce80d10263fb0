"""What `checkpoint` consists of: a call that can be repeated, and holders for what it saves.

In the forward run a hook on saved tensors keeps an empty `_Holder` in the place of each value. The first holder that
a backward reads makes the function run again, from its saved arguments, with another hook that fills the holders:
what is saved comes in the same order both times. A value leaves its holder as it is read, so each backward
computes anew, and none keeps anything.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import Any

from .. import creation, dtypes, levels, random, saved, strict
from ..backend import backend_of
from ..graph import Variable, wrap
from ..modes import SAVED_TENSORS_HOOKS, set_mode, thread, tidy
from ..transforms.tree import flatten


class CheckpointError(RuntimeError):
    """The function did not save the same as in the forward run when it was run again."""

    __module__ = "plugrad.utils.checkpoint"


class _Holder:
    """What a node keeps instead of a value; full between a recomputation and the moment when it is read."""

    __slots__ = ("__weakref__", "value")

    def __init__(self) -> None:
        self.value: Any = None


class _Stop(BaseException):
    """Ends a recomputation; no Exception, lest the function should catch it."""


class _Argument:
    """A tensor among the arguments, as a graph would save it: writes do not change it, hooks around may pack it."""

    __slots__ = ("attributes", "edge", "type", "value")

    def __init__(self, tensor: Any, hooks: saved.Pair | None) -> None:
        self.type, self.edge = type(tensor), getattr(tensor, "_edge", None)  # an inference tensor has none
        self.attributes = dict(getattr(tensor, "__dict__", ()))
        self.value = tensor._raw if hooks is None else saved.Packed(tensor._raw, hooks)

    def tensor(self) -> Any:
        value = self.value.unpack() if type(self.value) is saved.Packed else self.value
        if self.type in (Variable._result, Variable._inference):
            return wrap(value, self.edge)
        tensor = object.__new__(self.type)  # a Parameter, or a class of the user's
        tensor._raw, tensor._edge = value, self.edge
        for name, attribute in self.attributes.items():
            setattr(tensor, name, attribute)
        return tensor


class Frame:
    """One call of `checkpoint`: what was called with what in which state, and the holders of what was saved."""

    checks = early_stop = True
    completed = wrote_shared_memory = False
    places: list[str] | None = None

    def __init__(
        self, function: Any, args: Any, kwargs: Any, context: AbstractContextManager[Any], preserve: bool
    ) -> None:
        self.function, self.context = function, context
        leaves, self.spec = flatten((args, kwargs))
        hooks = saved.current()
        self.arguments = [_Argument(a, hooks) if isinstance(a, Variable) else a for a in leaves]
        homes = [getattr(a, "_storage", None) for a in leaves]
        self.shared = [(h, h.version) for h, a in zip(homes, leaves) if h is not None and not h.alone(a)]
        self.mode = thread.mode & ~SAVED_TENSORS_HOOKS
        self.levels = list(levels.thread.stack)
        self.defaults = creation.chosen_device(), dtypes.get_default_dtype()
        self.random = random.get_all_states() if preserve else None
        # Weak, for a holder dies with its node: what a finished part of the graph saved is not kept again.
        self.holders: list[weakref.ref[_Holder]] = []
        self.metadata: list[tuple[Any, ...]] = []
        self.lock = RLock()

    def complete(self) -> None:
        """The forward run has come to its end."""
        self.completed = True
        self.wrote_shared_memory = any(home.version != version for home, version in self.shared)
        self.shared = []

    # What strict mode asks of nodes.

    def name(self) -> str:
        return "checkpoint"

    @property
    def _saved(self) -> list[tuple[Any]]:
        return [(a.value,) for a in self.arguments if type(a) is _Argument]

    # The hooks of the forward run.

    def pack(self, tensor: Any) -> _Holder:
        holder = _Holder()
        self.holders.append(weakref.ref(holder))
        self.metadata.append(_metadata(tensor))
        if self.places is not None:
            self.places.append(strict.user_line())
        return holder

    def unpack(self, holder: _Holder) -> Any:
        with self.lock:
            if holder.value is None:
                self._fill_holders()
            value, holder.value = holder.value, None
        return value

    def _fill_holders(self) -> None:
        run = _Recomputation(self)
        try:
            run.run()
            run.check()
        except BaseException:
            for reference in self.holders:
                if (holder := reference()) is not None:
                    holder.value = None
            raise


class _Recomputation:
    """One more run of a frame's function, in the state of the first."""

    def __init__(self, frame: Frame) -> None:
        self.frame, self.found = frame, 0
        self.different: list[tuple[int, tuple[Any, ...]]] = []
        self.places: list[str] = []

    def pack(self, tensor: Any) -> Any:
        frame, i = self.frame, self.found
        expected = len(frame.holders)
        if i >= expected and frame.early_stop:
            raise _Stop  # once more: the function has caught the first
        self.found += 1
        if frame.places is not None:
            self.places.append(strict.user_line())
        if i < expected:
            if (holder := frame.holders[i]()) is not None:
                holder.value = tensor
            if frame.checks and _metadata(tensor) != frame.metadata[i]:
                self.different.append((i, _metadata(tensor)))
            if frame.early_stop and self.found == expected:
                raise _Stop
        return tensor  # the function may differentiate what it computes

    def run(self) -> None:
        frame = self.frame
        if frame.wrote_shared_memory:
            raise RuntimeError(
                "checkpoint: an argument was modified by an inplace operation of the function, and other tensors show the "
                "same memory, which a recomputation could not do to them once more: pass a .clone() of the argument"
            )
        for level in frame.levels:
            if not level.alive:
                raise NotImplementedError(
                    f"checkpoint: it was called inside {level.name}, which has ended before backward: call "
                    f"the transform inside of the checkpointed function, or backward inside of {level.name}"
                )
        if strict.overwritten and strict.is_strict():
            strict.check([frame])
        leaves = [a.tensor() if type(a) is _Argument else a for a in frame.arguments]
        # With these references a write into an argument finds its memory in use, and goes to a copy.
        raws = [a._raw for a in leaves if isinstance(a, Variable)]
        args, kwargs = frame.spec.unflatten(leaves)
        del leaves
        with _state_of(frame):
            hooks = thread.saved_tensors_hooks
            try:
                saved.push((self.pack, _same))
                with frame.context:
                    frame.function(*args, **kwargs)
            except _Stop:
                pass
            finally:
                thread.saved_tensors_hooks = hooks  # the mode comes back with the rest of the state
        del raws

    def check(self) -> None:
        """Raise where this run did not save what the first did."""
        frame, found, expected = self.frame, self.found, len(self.frame.holders)
        if found > expected and frame.completed:
            self._raise(
                "trying to save more tensors during recomputation than during the original forward pass: "
                f"{expected} in the forward pass, {found} in the recomputation"
            )
        if found < expected:
            self._raise(
                "A different number of tensors was saved during the original forward and recomputation: "
                f"{expected} in the forward pass, {found} in the recomputation"
            )
        if self.different:
            listed = (
                f"tensor at position {i}:\nsaved metadata: {_described(frame.metadata[i])}\n"
                f"recomputed metadata: {_described(m)}"
                for i, m in self.different
            )
            self._raise(
                "Recomputed values for the following tensors have different metadata than during the forward pass\n"
                + "\n".join(listed)
            )

    def _raise(self, what: str) -> None:
        places = self.frame.places
        if places is None:
            where = "pass debug=True, or use set_checkpoint_debug_enabled(True), to see where each was saved"
        else:
            where = "saved in the forward pass at\n  {}\nand in the recomputation at\n  {}".format(
                *("\n  ".join(f"{i}: {p}" for i, p in enumerate(found)) for found in (places, self.places))
            )
        raise CheckpointError(
            f"checkpoint: {what}\nThe function must compute the same whenever it is called with the same arguments; {where}"
        )


@contextmanager
def _state_of(frame: Frame) -> Iterator[None]:
    """The modes, transforms, defaults and random numbers of a frame's forward run."""
    mode, stack = thread.mode, levels.thread.stack
    defaults, states = (creation.chosen_device(), dtypes.get_default_dtype()), None
    try:
        set_mode(frame.mode)
        levels.thread.stack = list(frame.levels)
        _set_defaults(frame.defaults)
        if frame.random is not None:
            states = random.get_all_states()
            random.set_all_states(frame.random)
        yield
    finally:
        levels.thread.stack, thread.mode = stack, mode  # in one step: see `modes.tidy`
        tidy()
        if states is not None:
            random.set_all_states(states)
        _set_defaults(defaults)


def _set_defaults(defaults: tuple[Any, Any]) -> None:
    creation.set_default_device(defaults[0])
    dtypes.set_default_dtype(defaults[1])


def _metadata(tensor: Any) -> tuple[Any, ...]:
    raw = tensor._raw
    return tuple(raw.shape), raw.dtype, backend_of(raw)


def _described(metadata: tuple[Any, ...]) -> str:
    shape, dtype, backend = metadata
    return f"shape {list(shape)}, dtype {dtypes.of(dtype)}, device {backend.device_name}"


def _same(tensor: Any) -> Any:
    return tensor
