"""Elements out of range, found on the device, and told when values are next read.

A look at each index array on the host would make it wait for the device once an op. A kernel notes the first bad
element instead; whoever waits for the device anyway reads that note.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

#: How many of the last checks can still say what was asked.
REMEMBERED = 10_000
NAME = "plugrad_check_range"
SOURCE = """
unsigned long long* note = (unsigned long long*)&found[0];
if (!(x >= low && x <= high) && atomicCAS(note + 1, 0ULL, (unsigned long long)number) == 0ULL) {
    note[0] = (unsigned long long)x;
}
"""


class Ranges:
    """The checks of one device that nobody has read yet."""

    def __init__(self, xp: Any) -> None:
        self._xp, self._number = xp, 0
        self._note: Any = None
        self._errors: OrderedDict[int, Callable[[int], Exception]] = OrderedDict()
        self._lock = threading.Lock()
        self._kernel = xp.ElementwiseKernel(
            "int64 x, int64 low, int64 high, int64 number", "raw int64 found", SOURCE, NAME
        )

    def check(self, x: Any, low: int, high: int, error: Callable[[int], Exception]) -> None:
        """Let the device look whether low <= x <= high; `told` raises `error(element)` if not."""
        with self._lock:
            if self._note is None:
                self._note = self._xp.zeros(2, np.int64)
            self._number += 1
            self._errors[self._number] = error
            if len(self._errors) > REMEMBERED:
                self._errors.popitem(last=False)
            self._kernel(x, low, high, self._number, self._note)

    def told(self) -> Exception | None:
        """The error of the first check that failed since the last call, if one did; waits for the device."""
        if not self._errors:
            return None
        with self._lock:  # what another thread checks meanwhile is neither read nor forgotten
            bad, number = (0, 0) if self._note is None else self._note.get().tolist()
            known = self._errors.get(number)
            self._errors.clear()
            if not number:
                return None
            self._note.fill(0)
        error = known(bad) if known is not None else IndexError(f"index {bad} is out of bounds")
        error.add_note("This was found when values were next read: the op itself was called before.")
        return error
