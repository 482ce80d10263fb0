"""Whether ops are recorded: the modes of each thread, and the context managers that switch them.

All modes of all threads are collapsed into one word, which an op reads once: `active` is empty while every
thread is in its ordinary state, and only where it is not does an op look at its own thread.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from threading import get_ident
from typing import Any

#: The bits of a thread's `mode`. Those of SPECIAL take every op to `Op.special`.
NO_GRAD, INFERENCE = 1, 2
SAVED_TENSORS_HOOKS, ANOMALY, SOURCE_LINES, NAN_SAFE, STRICT, WATCHED = 4, 8, 16, 32, 64, 128
SPECIAL = INFERENCE | SAVED_TENSORS_HOOKS | ANOMALY | SOURCE_LINES | NAN_SAFE | WATCHED


class _Farewell:
    """Dies with its thread, which then is no longer active."""

    def __init__(self) -> None:
        self._thread = get_ident()
        self._active = active  # at the interpreter's end the module may have none

    def __del__(self) -> None:
        self._active.pop(self._thread, None)


class _ThreadModes(threading.local):
    def __init__(self) -> None:
        self._farewell = _Farewell()

    mode = 0
    #: (pack, unpack), innermost last; and why there must be none.
    saved_tensors_hooks: tuple[Any, ...] = ()
    saved_tensors_hooks_refused: str | None = None
    anomaly_checks_nan = True
    #: Where WATCHED is set: what is told of every op on tensors, `watcher(op, raw inputs, params, raw outputs, node or None)`.
    watcher: Any = None


#: The threads whose mode is not 0; an op looks at its own thread only if there are any. One too many costs time and
#: nothing else; one too few would be wrong, so it is entered before its mode is set, and taken out afterwards.
active: dict[int, bool] = {}
#: The mode of the calling thread: bits, 0 in the ordinary state.
thread = _ThreadModes()


def set_mode(mode: int) -> int:
    """Set the mode of the calling thread; returns what it was."""
    was = thread.mode
    if mode != was:
        if mode:
            active[get_ident()] = True
        thread.mode = mode
        if not mode:
            active.pop(get_ident(), None)
    return was


def tidy() -> None:
    """Make `active` say what the mode of the calling thread is, which somebody has just set to what it was before.

    Who sets a mode for a while calls `set_mode` or `set_recording` within `try`; then, as the first thing in `finally`,
    sets `thread.mode`, and calls this. Ctrl-C comes at the entry of a function, and leaves the mode right even there.
    """
    if thread.mode:
        active[get_ident()] = True
    else:
        active.pop(get_ident(), None)


def set_recording(enabled: bool) -> bool:
    """Switch recording on or off in the calling thread; returns what it was."""
    was = thread.mode
    recording = not was & NO_GRAD
    if recording != enabled:
        set_mode(was ^ NO_GRAD)
    return recording


def is_grad_enabled() -> bool:
    """Whether ops of the calling thread are recorded."""
    return not (active and thread.mode & NO_GRAD)


class _GradMode:
    """A context manager and decorator that sets the grad mode of the calling thread."""

    __slots__ = ()
    enabled: bool

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if getattr(getattr(function, "__code__", None), "co_flags", 0) & _GENERATOR:
            return _generator_in_mode(function, enable_grad if self.enabled else no_grad)

        @functools.wraps(function)
        def in_mode(*args: Any, **kwargs: Any) -> Any:
            was = thread.mode
            try:
                set_recording(self.enabled)
                return function(*args, **kwargs)
            finally:
                thread.mode = thread.mode & ~NO_GRAD | was & NO_GRAD  # in one step: see `tidy`
                tidy()

        return in_mode


#: `inspect.CO_GENERATOR`, without the import.
_GENERATOR = 0x20


def _generator_in_mode(function: Callable[..., Any], manager: Callable[[], Any]) -> Callable[..., Any]:
    """The generator function with each step in `manager()`; between steps its consumer has its own mode."""

    @functools.wraps(function)
    def in_mode(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)

        def step(call: Callable[..., Any], *value: Any) -> Any:
            with manager():
                return call(*value)

        try:
            result = step(next, generator)
            while True:
                try:
                    sent = yield result
                except GeneratorExit:
                    step(generator.close)
                    raise
                except BaseException as error:
                    result = step(generator.throw, error)
                else:
                    result = step(generator.send, sent)
        except StopIteration as end:
            return end.value

    return in_mode


class no_grad(_GradMode):
    """Do not record: results need no gradient. A context manager, and a decorator with or without `()`.

    >>> import plugrad as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    #: The modes to go back to, innermost first: one object may be entered more than once.
    __slots__ = ("_before",)
    enabled = False
    _before: tuple[int, Any] | None

    def __enter__(self) -> None:
        was = thread.mode
        self._before = was, self._before
        if self.enabled is (was & NO_GRAD != 0):
            set_mode(was ^ NO_GRAD)

    def __exit__(self, *error: object) -> None:
        was, self._before = self._before  # type: ignore[misc]
        mode = thread.mode
        if (mode ^ was) & NO_GRAD:
            set_mode(mode ^ NO_GRAD)

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        if function is not None:
            return cls()(function)
        self = object.__new__(cls)
        self._before = None
        return self


class enable_grad(no_grad):
    """Record, also inside `no_grad`."""

    __slots__ = ()
    enabled = True


class set_grad_enabled(_GradMode):
    """Record or do not record, from here on; as a context manager, until its end."""

    __slots__ = ("_was", "enabled")

    def __init__(self, mode: bool) -> None:
        self.enabled = bool(mode)
        self._was = set_recording(self.enabled)

    def __enter__(self) -> None:
        set_recording(self.enabled)

    def __exit__(self, *error: object) -> None:
        set_recording(self._was)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        set_recording(self._was)
        return super().__call__(function)


def decorated(function: Callable[..., Any], manager: Callable[[], Any]) -> Callable[..., Any]:
    """The function, each call of it in `manager()`; the generator function, each step of it."""
    if getattr(getattr(function, "__code__", None), "co_flags", 0) & _GENERATOR:
        return _generator_in_mode(function, manager)

    @functools.wraps(function)
    def in_mode(*args: Any, **kwargs: Any) -> Any:
        with manager():
            return function(*args, **kwargs)

    return in_mode


class Switch:
    """A context manager and decorator that sets one bit of the calling thread's mode, or with False clears it."""

    __slots__ = ("_before", "_enabled")
    bit: int

    def __init__(self, mode: bool = True) -> None:
        self._enabled = bool(mode)
        self._before: tuple[int, Any] | None = None  # what to go back to, innermost first

    def __enter__(self) -> None:
        was = thread.mode
        self._before = was & self.bit, self._before
        set_mode(was | self.bit if self._enabled else was & ~self.bit)

    def __exit__(self, *error: object) -> None:
        before, self._before = self._before  # type: ignore[misc]
        set_mode(thread.mode & ~self.bit | before)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return decorated(function, lambda: type(self)(self._enabled))


class inference_mode(Switch):
    """Do not record, and never will: tensors that are made in here cannot take part in a graph later.

    A context manager, and a decorator with or without `()`. With False it is the ordinary mode inside of one.

    >>> import plugrad as torch
    >>> with torch.inference_mode():
    ...     x = torch.ones(2)
    >>> x.is_inference(), x.clone().is_inference()
    (True, False)
    """

    __slots__ = ()
    bit = INFERENCE | NO_GRAD

    def __new__(cls, mode: bool | Callable[..., Any] = True) -> Any:
        if callable(mode):
            return decorated(mode, cls)
        return object.__new__(cls)


def is_inference_mode_enabled() -> bool:
    """Whether the calling thread is in inference mode."""
    return bool(active and thread.mode & INFERENCE)


class record_source_lines(Switch):
    """Keep with each op that is recorded in here the file and line that called it: `node.metadata["source"]`.

    >>> import plugrad as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.autograd.record_source_lines():
    ...     y = x * 2
    >>> file, line = y.grad_fn.metadata["source"]
    """

    __slots__ = ()
    bit = SOURCE_LINES
