"""Arrays over a shared memory that graphs alone still hold, found by their addresses."""

from __future__ import annotations

import weakref
from bisect import bisect_left, insort
from collections import Counter
from typing import Any

from .backend import BY_ARRAY


def overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two spans of addresses have one in common."""
    return a[0] < b[1] and b[0] < a[1]


class Orphans:
    """Views of a memory that outlived their tensors, since graphs have saved them; found by their addresses.

    So writing a buffer element by element, each computed from the one before, takes a time that is linear in
    the number of elements.
    """

    __slots__ = ("_alive", "_longest", "_spans", "bases")

    def __init__(self) -> None:
        self._alive: dict[int, weakref.ref[Any]] = {}
        #: (first address, address after the last, key in `_alive`), sorted; some are of the dead.
        self._spans: list[tuple[int, int, int]] = []
        self._longest = 0
        #: How many there are of each base, by its id.
        self.bases: Counter[int] = Counter()

    def add(self, raw: Any) -> None:
        """Enter an array."""
        key, base, alive, bases = id(raw), id(raw.base), self._alive, self.bases
        if key in alive:
            return

        def forget(_: Any) -> None:
            if alive.pop(key, None) is not None:
                bases[base] -= 1

        alive[key] = weakref.ref(raw, forget)
        bases[base] += 1
        start, end = BY_ARRAY[type(raw)].span(raw)
        self._longest = max(self._longest, end - start)
        insort(self._spans, (start, end, key))

    def arrays(self) -> list[Any]:
        """They themselves."""
        return [raw for raw in [r() for r in self._alive.values()] if raw is not None]

    def reach_into(self, span: tuple[int, int] | None) -> bool:
        """Whether one of them shows an address of `span`, or is there at all."""
        if not self._alive:
            self._spans.clear()
            return False
        if span is None:
            return True
        i = bisect_left(self._spans, (span[0] - self._longest,))
        while i < len(self._spans) and self._spans[i][0] < span[1]:
            start, end, key = self._spans[i]
            if key not in self._alive:
                del self._spans[i]
                continue
            if overlap((start, end), span):
                return True
            i += 1
        return False
