"""Sorting on the device: a bitonic network, one kernel for a step, in which work items compare and exchange positions.

Positions are sorted, not elements: of equal elements the first comes first, as a position decides. CPUs sort in mapped memory,
see `host`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..expressions.c import entry

GROUP = 64


class SortKernels:
    """A family of kernels; the backend inherits them all."""

    device: Any

    def argsort(self: Any, x: Any, axis: int, descending: bool) -> Any:
        if not x.size or not x.ndim:
            return self._zeros(x.shape, self._arange(0))
        axis %= x.ndim
        axes = (*(i for i in range(x.ndim) if i != axis), axis)
        keys = x.permute(axes).dense()
        n, rows = x.shape[axis], x.size // x.shape[axis]
        size = 1 << (n - 1).bit_length()
        order = self.copy(self._arange(size).broadcast_to((rows, size)))
        device, pairs = self.device, rows * size // 2
        kernel = device.kernel(
            ("exchange", x.dtype, descending), lambda: _source(device, x.dtype, descending)
        )
        run = 2
        while run <= size:
            gap = run // 2
            while gap:
                device.launch(
                    kernel, pairs, (GROUP,), keys.buffer, keys.offset, order.buffer, n, size, pairs, run, gap
                )
                gap //= 2
            run *= 2
        found = order.basic_index((slice(None), slice(0, n))).reshape(tuple(x.shape[i] for i in axes))
        return self.copy(found.permute(tuple(axes.index(i) for i in range(x.ndim))))


def _source(device: Any, dtype: np.dtype[Any], descending: bool) -> tuple[str, list[Any]]:
    """One step: positions `gap` apart change places if need be; in every second `run` the greater comes first."""
    one = device.dialect(1)
    a, b = ("b", "a") if descending else ("a", "b")
    after = f"{a} > {b}" if dtype.kind != "f" else f"{a} > {b} || ({a} != {a} && {b} == {b})"
    before = f"{b} > {a}" if dtype.kind != "f" else f"{b} > {a} || ({b} != {b} && {a} == {a})"
    text = f"""
{entry(GROUP)}
void kernel_exchange(__global const {one.stored(dtype)} *keys, const long offset, __global long *order,
                     const long n, const long size, const long pairs, const long run, const long gap) {{
    const long q = get_global_id(0);
    if (q >= pairs) return;
    const long half_ = size / 2, row = q / half_, p = q - row*half_;
    const long i = (p / gap)*2*gap + p % gap;
    __global long *here = order + row*size + i;
    const long one = here[0], other = here[gap];
    int after;  // what fills up to a power of two comes last
    if (one >= n || other >= n) after = one > other;
    else {{
        __global const {one.stored(dtype)} *x = keys + offset + row*n;
        const {one.type(dtype)} a = {one.lane("x", "one", dtype)}, b = {one.lane("x", "other", dtype)};
        after = ({after}) || (!({before}) && one > other);
    }}
    if (after == ((i & run) == 0)) {{ here[0] = other; here[gap] = one; }}
}}
"""
    return text, [None, np.int64, None, *[np.int64] * 5]


__all__ = ["SortKernels"]
