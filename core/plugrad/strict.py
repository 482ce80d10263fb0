"""Strict mode: writes that a graph would feel are errors of its backward, as in PyTorch.

plugrad keeps the values that a graph needs when their memory is written. A program that is to run on PyTorch, too,
may want to know where PyTorch would refuse: in strict mode a backward that needs a value that was overwritten
since raises PyTorch's error, and names the op that saved it, both versions, and the line that wrote.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterable
from typing import Any

from .dtypes import of
from .modes import STRICT, active, set_mode, thread

#: Whether threads are strict by themselves: `PLUGRAD_STRICT_MUTATION=1` in the environment.
BY_DEFAULT = os.environ.get("PLUGRAD_STRICT_MUTATION", "0") not in ("", "0")

#: From the id of an array to what overwrote it; empty unless somebody was strict.
overwritten: dict[int, Overwritten] = {}


class Overwritten:
    """An array that was saved at a version of its memory, and the write that came after."""

    __slots__ = ("line", "op", "raw", "saved_version", "storage")

    def __init__(self, raw: Any, storage: Any, op: str, line: str) -> None:
        key = id(raw)
        self.raw = weakref.ref(raw, lambda _: overwritten.pop(key, None))
        self.storage, self.saved_version, self.op, self.line = storage, storage.version, op, line
        overwritten[key] = self


class strict_mutation:
    """In here a write into memory that a graph needs makes its backward raise, as in PyTorch.

    >>> import plugrad as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.autograd.strict_mutation():
    ...     y = x.exp()
    ...     z = y * y
    ...     y += 1  # outside of here, z keeps what it needs
    ...     z.sum().backward()
    Traceback (most recent call last):
    RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation: ...
    """

    __slots__ = ("_before", "_enabled")

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled

    def __enter__(self) -> None:
        mode = thread.mode
        self._before = mode & STRICT
        set_mode(mode | STRICT if self._enabled else mode & ~STRICT)

    def __exit__(self, *error: object) -> None:
        set_mode(thread.mode & ~STRICT | self._before)


def is_strict() -> bool:
    """Whether the calling thread is in strict mode."""
    return BY_DEFAULT or bool(active and thread.mode & STRICT)


def note(raws: Iterable[Any], storage: Any, op: str) -> None:
    """Remember that `op` is about to overwrite what the arrays hold of the memory `storage`."""
    line = user_line()
    for raw in raws:
        if id(raw) not in overwritten:
            Overwritten(raw, storage, op, line)


def user_line() -> str:
    """File and line of the innermost frame that is not plugrad's."""
    return "{}:{}".format(*user_place())


def user_place() -> tuple[str, int]:
    """The file and the line of the innermost frame that is not plugrad's."""
    frame = user_frame()
    return frame.f_code.co_filename, frame.f_lineno


def user_frame() -> Any:
    """The innermost frame that is not plugrad's."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if not (
            name.partition(".")[0] in ("plugrad", "plugrad_backends")
            or frame.f_code.co_filename.startswith("<plugrad")
        ):
            break
        frame = frame.f_back
    return frame


def check(nodes: Iterable[Any]) -> None:
    """Raise if one of the nodes, which a backward is about to call, has saved what was overwritten since."""
    for node in nodes:
        for raw in saved(node):
            entry = overwritten.get(id(raw))
            if entry is None or id(entry.raw()) != id(raw):
                continue
            kind = _KINDS.get(str(of(raw.dtype)), "Tensor")
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"[{kind} {list(raw.shape)}], saved by {node.name()}, is at version {entry.storage.version}; "
                f"expected version {entry.saved_version} instead. {entry.op} modified it at {entry.line}: write "
                "to a .clone(), or leave strict mode, in which plugrad does not keep the old values"
            )


def saved(node: Any) -> list[Any]:
    """The raw arrays that a node has saved."""
    found: list[Any] = [getattr(node, slot, None) for slot in getattr(type(node), "saves", ())]
    found += [entry[0] for entry in getattr(node, "_saved", None) or () if type(entry) is tuple]
    return [raw for raw in found if raw is not None and hasattr(raw, "shape")]


_KINDS = {
    f"torch.{name}": f"torch.{kind}Tensor"
    for name, kind in {
        "float16": "Half", "float32": "Float", "float64": "Double", "int8": "Char", "uint8": "Byte", "int16": "Short",
        "int32": "Int", "int64": "Long", "bool": "Bool", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
    }.items()
}  # fmt: skip
