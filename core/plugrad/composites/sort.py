"""Composites of `plugrad.ops.sort`: a bitonic network, in which every step is a comparison of whole arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from .elementwise import category
from .shape import part


class SortComposites:
    """A family of composites."""

    def argsort(self: Any, x: Any, axis: int, descending: bool) -> Any:
        if not x.shape:
            return self.zeros((), dtypes.int64)
        axis %= len(x.shape)
        n, axes = x.shape[axis], [i for i in range(len(x.shape)) if i != axis]
        x = self.permute_dims(x, (*axes, axis))
        outer, size = tuple(x.shape[:-1]), 1 << max(n - 1, 0).bit_length()
        order = self.broadcast_to(self._arange(size), (*outer, size))
        # NaN is a key of its own, greater than any number; what fills up to a power of two comes last in any case.
        numbers = category(x) < dtypes.FLOAT
        missing = self.astype(self.zeros_like(x) != 0 if numbers else x != x, dtypes.int64)
        if category(x) == dtypes.BOOL:
            x = self.astype(x, dtypes.int64)
        keys = x if numbers else self.where(missing == 1, 0.0, x)
        if descending:
            keys, missing = self._turned(keys), -missing
        fill = size - n
        if fill:
            keys = self.concat([keys, self.zeros((*outer, fill), dtypes.of(keys.dtype))], len(outer))
            missing = self.concat([missing, self.full((*outer, fill), 2, dtypes.int64)], len(outer))
        run = 2
        while run <= size:
            gap = run // 2
            while gap:
                keys, missing, order = self._exchanged(keys, missing, order, run, gap)
                gap //= 2
            run *= 2
        order = part(self, order, len(outer), 0, n)
        back = list(range(len(axes)))
        back.insert(axis, len(axes))
        return self.copy(self.permute_dims(order, tuple(back)))

    def _exchanged(self: Any, keys: Any, missing: Any, order: Any, run: int, gap: int) -> Any:
        """One step of the network: elements `gap` apart change places if need be; every second run goes downwards."""
        shape = tuple(keys.shape)
        split = (*shape[:-1], shape[-1] // (2 * gap), 2, gap)
        ends = []
        for a in (keys, missing, order):
            a = self.reshape(a, split)
            axis = len(split) - 2
            ends.append((part(self, a, axis, 0), part(self, a, axis, 1)))
        (ka, kb), (ma, mb), (oa, ob) = ends
        after = (ma > mb) | ((ma == mb) & ((ka > kb) | ((ka == kb) & (oa > ob))))
        up = np.arange(split[-3]) * 2 * gap & run == 0
        wrong = after == self.from_numpy(np.ascontiguousarray(up.reshape(-1, 1, 1)))
        found = []
        for a, b in ends:
            pair = [self.where(wrong, b, a), self.where(wrong, a, b)]
            found.append(self.reshape(self.concat(pair, len(split) - 2), shape))
        return found

    def argtopk(self: Any, x: Any, k: int, axis: int, largest: bool) -> Any:
        axis %= max(len(x.shape), 1)
        order = self.argsort(x, axis, largest)
        return self.copy(part(self, order, axis, 0, k)) if x.shape else order

    def searchsorted(self: Any, x: Any, values: Any, right: bool) -> Any:
        """By halving: the answer is from `low` on and before `high`."""
        n, shape = x.shape[0], tuple(values.shape)
        values = self.reshape(values, (math.prod(shape),))
        low = self.zeros(tuple(values.shape), dtypes.int64)
        if not n:
            return self.reshape(low, shape)
        high = low + n
        for _ in range(n.bit_length()):
            middle = (low + high) // 2
            seen = self.take(x, self.clip(middle, 0, n - 1), 0)
            before = (
                (seen <= values) | (values != values)
                if right
                else (seen < values) | ((values != values) & (seen == seen))
            )
            before = before & (middle < high)
            low, high = self.where(before, middle + 1, low), self.where(before, high, middle)
        return self.reshape(low, shape)

    def bincount(self: Any, x: Any, weights: Any, minlength: int) -> Any:
        size = max(minlength, int(self.to_numpy(self.max(x, (0,), False))) + 1 if x.shape[0] else 0)
        x = self.astype(x, dtypes.int64)
        if weights is None:
            weights, dt = self.full(tuple(x.shape), 1, dtypes.int64), dtypes.int64
        else:
            dt = dtypes.float64 if dtypes.float64 in self.dtypes else dtypes.float32
        return self.index_add(self.zeros((size,), dt), self.astype(weights, dt), x, 0)

    def unique(self: Any, x: Any, axis: int | None) -> tuple[Any, Any, Any]:
        """Rows in lexicographic order, found by sorting by each column from the last to the first."""
        places = tuple(x.shape) if axis is None else (x.shape[axis],)
        shape, at = (tuple(x.shape), axis) if axis is not None else ((math.prod(x.shape),), 0)
        outer = [i for i in range(len(shape)) if i != at]
        x = self.permute_dims(self.reshape(x, shape), (at, *outer))
        n = shape[at]
        rows = self.reshape(x, (n, math.prod(x.shape[1:])))
        order = self._arange(n)
        for column in reversed(range(rows.shape[1])):
            keys = self.take(self.getitem(rows, (slice(None), column, ...)), order, 0)
            order = self.take(order, self.argsort(keys, 0, False), 0)
        ordered = self.take(rows, order, 0)
        differs = part(self, ordered, 0, min(n, 1), n) != part(self, ordered, 0, 0, max(n - 1, 0))
        first = self.concat([self.full((min(n, 1),), True, dtypes.bool_), self.any(differs, (1,), False)], 0)
        group = self.cumulative_sum(self.astype(first, dtypes.int64), 0) - 1
        found = self.take(ordered, self.nonzero(first)[0], 0)
        inverse = self.index_add(self.zeros((n,), dtypes.int64), group, order, 0)
        inverse = self.reshape(inverse, places)
        values = self.reshape(found, (found.shape[0], *x.shape[1:]))
        back = [i + 1 for i in range(len(outer))]
        back.insert(at, 0)
        return self.permute_dims(values, tuple(back)), inverse, self.bincount(group, None, 0)
