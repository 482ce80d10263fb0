"""Whether ops are recorded: the modes of each thread, and the context managers that switch them.

All modes of all threads are collapsed into one word, which an op reads once: it is 0 while every thread
records, and only where it is not does an op look at its own thread.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any


class _ThreadModes(threading.local):
    grad_enabled = True


class Modes:
    """The word, and what it stands for."""

    __slots__ = ("_lock", "thread", "word")

    def __init__(self) -> None:
        self.word = 0
        self.thread = _ThreadModes()
        self._lock = threading.Lock()

    def set_grad_enabled(self, enabled: bool) -> bool:
        """Switch recording on or off in the calling thread; returns what it was."""
        thread = self.thread
        was = thread.grad_enabled
        if was != enabled:
            thread.grad_enabled = enabled
            with self._lock:
                self.word += -1 if enabled else 1
        return was


modes = Modes()


def is_grad_enabled() -> bool:
    """Whether ops of the calling thread are recorded."""
    return modes.thread.grad_enabled


class _GradMode:
    """A context manager and decorator that sets the grad mode of the calling thread."""

    enabled: bool
    #: The modes to go back to, innermost first: one object may be entered more than once.
    _before: Any = None

    def __enter__(self) -> None:
        self._before = modes.set_grad_enabled(self.enabled), self._before

    def __exit__(self, *error: object) -> None:
        was, self._before = self._before
        modes.set_grad_enabled(was)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if getattr(getattr(function, "__code__", None), "co_flags", 0) & _GENERATOR:
            return _generator_in_mode(function, self.enabled)

        @functools.wraps(function)
        def in_mode(*args: Any, **kwargs: Any) -> Any:
            before = modes.set_grad_enabled(self.enabled)
            try:
                return function(*args, **kwargs)
            finally:
                modes.set_grad_enabled(before)

        return in_mode


#: `inspect.CO_GENERATOR`, without the import.
_GENERATOR = 0x20


def _generator_in_mode(function: Callable[..., Any], enabled: bool) -> Callable[..., Any]:
    """The generator function with each step in the mode; between steps its consumer has its own."""

    @functools.wraps(function)
    def in_mode(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)

        def step(call: Callable[..., Any], *value: Any) -> Any:
            before = modes.set_grad_enabled(enabled)
            try:
                return call(*value)
            finally:
                modes.set_grad_enabled(before)

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

    enabled = False

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return object.__new__(cls) if function is None else cls()(function)


class enable_grad(no_grad):
    """Record, also inside `no_grad`."""

    enabled = True


class set_grad_enabled(_GradMode):
    """Record or do not record, from here on; as a context manager, until its end."""

    def __init__(self, mode: bool) -> None:
        self.enabled = bool(mode)
        self._was = modes.set_grad_enabled(self.enabled)

    def __enter__(self) -> None:
        modes.set_grad_enabled(self.enabled)

    def __exit__(self, *error: object) -> None:
        modes.set_grad_enabled(self._was)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        modes.set_grad_enabled(self._was)
        return super().__call__(function)
