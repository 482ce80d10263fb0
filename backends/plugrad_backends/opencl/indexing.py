"""Kernels of `plugrad.ops.index`, named like the ops: reading and writing by index arrays, masks and positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..expressions import Functions as f
from ..expressions import index
from .index import gather, scatter, true_places
from .kernels import elementwise
from .selection import FULL, INT64, Selection, check, select, walk, walk_along


class IndexKernels:
    """A family of kernels; the backend inherits them all."""

    device: Any

    _count = elementwise(lambda start, step: index() * step + start)
    _place = elementwise(lambda *terms: _place(*terms))
    _coordinate = elementwise(lambda place, step, n: f.remainder(f.floor_divide(place, step), n))

    def _arange(self: Any, n: int, step: int = 1, start: int = 0) -> Any:
        """`n` int64 numbers from `start` on."""
        y = self.device.empty((n,), INT64)
        self._count.into((y,), start, step)
        return y

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self: Any, x: Any, key: tuple[Any, ...]) -> Any:
        axis = _one_axis(x, key)
        if axis is not None:
            index = key[axis]
            check([index], [(x.shape[axis], axis)])
            out = self.device.empty((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]), x.dtype)
            launch = out.size and self._planned(
                (x.sig, index.sig, axis), lambda: walk(Selection(x, [index], axis), self), x, index
            )
            if launch:
                launch(x, index, out)
                return out
        selected = select(x, key, self)
        out = self.device.empty(selected.shape, x.dtype)
        if out.size:
            way = walk(selected, self)[0]
            gather(way)(way.x, way.index, out)
        return out

    def _planned(
        self: Any, key: Any, walk_by: Any, x: Any, index: Any, value: Any = None, adds: bool = False
    ) -> Any:
        """The launch of a read or write at one index array; None where copies are needed.

        It depends on signatures alone, so it is found once for each tuple of those, by what `walk_by` returns.
        """
        launches = self.device.launches
        try:
            return launches[key]
        except KeyError:
            pass
        way, v, steps, reach = walk_by()
        pairs = [(way.x, x), (way.index, index), (v, value)]
        found = None
        if all(a is b or (a.buffer is b.buffer and a.offset == b.offset) for a, b in pairs):
            found = gather(way) if value is None else scatter(way, steps, reach, adds)
        if len(launches) > 4096:
            launches.clear()
        launches[key] = found
        return found

    def index_get(self: Any, x: Any, key: Any) -> Any:
        return self._read(x, key if isinstance(key, tuple) else (key,))

    def take(self: Any, x: Any, indices: Any, axis: int) -> Any:
        return self._read(x, (*(FULL,) * axis, indices))

    def embedding(self: Any, x: Any, indices: Any, padding_idx: int | None) -> Any:
        return self._read(x, (indices,))

    def gather(self: Any, x: Any, indices: Any, axis: int) -> Any:
        check([indices], [(x.shape[axis], axis)])
        out = self.device.empty(indices.shape, x.dtype)
        if out.size:
            launch = self._planned(
                (x.sig, indices.sig, axis, "along"), lambda: walk_along(x, indices, axis, self), x, indices
            )
            if launch:
                launch(x, indices, out)
            else:
                way = walk_along(x, indices, axis, self)[0]
                gather(way)(way.x, way.index, out)
        return out

    # --- writing ------------------------------------------------------------------------------------------------------

    def _write(self: Any, x: Any, key: tuple[Any, ...], value: Any, adds: bool = False) -> Any:
        """Write `value`, an array that broadcasts or a number, into `x[key]`, or add it; returns `x`."""
        value = self._value(value, x)
        axis = _one_axis(x, key)
        if axis is not None and key[axis].buffer is not x.buffer:
            index = key[axis]
            shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
            if value.shape == shape:
                check([index], [(x.shape[axis], axis)])
                launch = value.size and self._planned(
                    (x.sig, index.sig, axis, value.sig, adds),
                    lambda: walk(Selection(x, [index], axis), self, value), x, index, value, adds,
                )  # fmt: skip
                if launch:
                    launch(x, index, value)
                    return x
        selected = select(x, key, self)
        while value.ndim > len(selected.shape) and value.shape[0] == 1:
            value = value.reshape(value.shape[1:])
        try:
            value.broadcast_to(selected.shape)
        except ValueError:
            raise ValueError(
                f"shape mismatch: value array of shape {value.shape} could not be broadcast to indexing result of shape "
                f"{selected.shape}"
            ) from None
        selected.arrays = [a.copy() if a.buffer is x.buffer else a for a in selected.arrays]
        if math.prod(selected.shape):
            way, value, steps, reach = walk(selected, self, value)
            scatter(way, steps, reach, adds)(way.x, way.index, value)
        return x

    def _value(self: Any, value: Any, x: Any) -> Any:
        """What is written into `x` as an array of its dtype, with memory of its own."""
        if not hasattr(value, "sig"):
            raw = self.device.empty((), x.dtype)
            self._filled(raw, self._fitting(value, x.dtype))
            return raw
        if value.dtype != x.dtype:
            return self._cast(value, x.dtype)
        return value.copy() if value.buffer is x.buffer else value

    def _write_along(self: Any, x: Any, indices: Any, axis: int, value: Any, adds: bool = False) -> Any:
        check([indices], [(x.shape[axis], axis)])
        value = self._value(value, x)
        if indices.size:
            value = value if value.shape else value.broadcast_to(indices.shape)
            launch = self._planned(
                (x.sig, indices.sig, axis, value.sig, adds, "along"),
                lambda: walk_along(x, indices, axis, self, value), x, indices, value, adds,
            )  # fmt: skip
            if launch:
                launch(x, indices, value)
            else:
                way, value, steps, reach = walk_along(x, indices, axis, self, value)
                scatter(way, steps, reach, adds)(way.x, way.index, value)
        return x

    def setitem_at(self: Any, raw: Any, key: Any, value: Any) -> Any:
        """Write at indices or a mask."""
        mask = key[0] if isinstance(key, tuple) and len(key) == 1 else key
        if type(mask) is type(raw) and mask.dtype.kind == "b" and mask.shape == raw.shape[: mask.ndim] != ():
            value = self._value(value, raw)
            if not value.shape:  # no need to know how many there are
                mask = mask.reshape((*mask.shape, *(1,) * (raw.ndim - mask.ndim)))
                self.where.into((raw,), mask, value, raw)
                return raw
        return self._write(raw, key if isinstance(key, tuple) else (key,), value)

    def masked_fill(self: Any, x: Any, mask: Any, value: Any) -> Any:
        return self.where(mask, self._value(value, x), x)

    def index_put(self: Any, x: Any, values: Any, key: Any, accumulate: bool) -> Any:
        y = self.copy(x)
        return self._write(y, key, values, True) if accumulate else self.setitem_at(y, key, values)

    def index_add(self: Any, x: Any, source: Any, indices: Any, axis: int) -> Any:
        return self._write(self.copy(x), (*(FULL,) * axis, indices), source, True)

    def embed_add(self: Any, x: Any, key: Any, shape: tuple[int, ...]) -> Any:
        return self._write(self._zeros(shape, x), key, x, True)

    def _zeros(self: Any, shape: tuple[int, ...], like: Any) -> Any:
        y = self.device.empty(tuple(shape), like.dtype)
        self._filled(y, 0)
        return y

    def embedding_backward(self: Any, x: Any, indices: Any, padding_idx: int | None, rows: int) -> Any:
        y = self.embed_add(x, (indices,), (rows, x.shape[-1]))
        if padding_idx is not None:
            self._filled(y.basic_index((padding_idx,)), 0)
        return y

    def scatter(self: Any, x: Any, src: Any, indices: Any, axis: int) -> Any:
        return self._write_along(self.copy(x), indices, axis, src)

    def scatter_fill(self: Any, x: Any, indices: Any, axis: int, value: Any) -> Any:
        return self._write_along(self.copy(x), indices, axis, value)

    def scatter_add(self: Any, x: Any, src: Any, indices: Any, axis: int) -> Any:
        return self._write_along(self.copy(x), indices, axis, src, True)

    def embed_gathered(self: Any, x: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
        return self._write_along(self._zeros(shape, x), indices, axis, x, True)

    # --- where something is -------------------------------------------------------------------------------------------

    def nonzero(self: Any, x: Any) -> tuple[Any, ...]:
        places = self._true(x)
        if x.ndim < 2:
            return (places,)
        return tuple(self._coordinate(places, step, n) for step, n in _steps(x.shape))

    def argwhere(self: Any, x: Any) -> Any:
        places = self._true(x)
        y = self.device.empty((places.size, x.ndim), INT64)
        for axis, (step, n) in enumerate(_steps(x.shape)):
            self._coordinate.into((y.basic_index((FULL, axis)),), places, step, n)
        return y

    def _true(self: Any, x: Any) -> Any:
        """The places, in the flattened array, of elements that are not 0."""
        mask = x if x.dtype.kind == "b" else self.not_equal(x, 0)
        return true_places(mask.reshape((mask.size,)).dense())


def _one_axis(x: Any, key: Any) -> int | None:
    """The axis that a key indexes, if it is full slices and then one array of int64."""
    axis = len(key) - 1
    index = key[axis]
    if type(index) is not type(x) or index.dtype != INT64 or axis >= x.ndim:
        return None
    return axis if all(type(k) is slice and k == FULL for k in key[:axis]) else None


def _steps(shape: Sequence[int]) -> list[tuple[int, int]]:
    """How far apart neighbours along each axis of a dense array are, and the sizes; 1 instead of 0."""
    return [(max(math.prod(shape[i + 1 :]), 1), max(n, 1)) for i, n in enumerate(shape)]


def _place(*terms: Any) -> Any:
    """Where elements are by index arrays, sizes and strides, in turns."""
    place: Any = 0
    for i, n, step in zip(terms[::3], terms[1::3], terms[2::3]):
        place = f.where(f.less(i, 0), i + n, i) * step + place
    return place


__all__ = ["IndexKernels"]
