"""What a plugin prints while it is imported: kept for its record, so that it cannot spoil the program's output."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Output:
    """Stands for ``sys.stdout`` while one thread imports a plugin; what other threads print passes."""

    def __init__(self, beneath: Any) -> None:
        self._beneath, self._thread = beneath, threading.get_ident()
        self._active = True
        self.text = ""

    def write(self, text: str) -> int:
        """Keep the text, or pass it on where it is not the plugin's, or the import is over."""
        if self._active and threading.get_ident() == self._thread:
            self.text += text
            return len(text)
        # Somebody kept this object, a handler of `logging` for example.
        return self._beneath.write(text) if self._beneath is not None else len(text)

    def writelines(self, lines: Any) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush what is beneath."""
        if self._beneath is not None:
            self._beneath.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._beneath, name)


@contextmanager
def kept_output() -> Iterator[Output]:
    """Keep what this thread prints inside the block."""
    output = Output(sys.stdout)
    sys.stdout = output
    try:
        yield output
    finally:
        output._active = False
        if sys.stdout is output:  # else the plugin put something else there, which is its affair
            sys.stdout = output._beneath


def after_fork() -> None:
    """In a child process: the imports of the parent's other threads are none of ours."""
    while isinstance(sys.stdout, Output) and sys.stdout._thread != threading.get_ident():
        sys.stdout._active = False
        sys.stdout = sys.stdout._beneath
