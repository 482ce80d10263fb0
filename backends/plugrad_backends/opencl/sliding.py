"""Windows of images as the columns of matrices, and back: `unfold` and `fold`, one kernel each.

Images (N, channels, *size), of up to three dimensions, become (N, channels, *kernel, *count): what each element of the
kernel meets at each place; outside of the image that is 0. A fold gathers: each element of the image is summed by one work
item, in one order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..expressions.c import entry
from .elementwise import GRAIN
from .elementwise_source import GROUP

Ints = Sequence[int]
Pads = Sequence[tuple[int, int]]

#: Elements that are only moved are moved as integers of their size; 16 bytes as two.
_MOVED = {1: np.dtype(np.uint8), 2: np.dtype(np.uint16), 4: np.dtype(np.uint32), 8: np.dtype(np.uint64)}
_AXES = (0, 1, 2)


def counts(size: Ints, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> tuple[int, ...]:
    """At how many places the kernel stands along each axis."""
    return tuple(
        (n + a + b - d * (k - 1) - 1) // s + 1
        for n, k, s, (a, b), d in zip(size, kernel, stride, padding, dilation)
    )


class Sliding:
    """A kernel that slides over images: up to three axes, of which those that are missing have one element."""

    def __init__(
        self, size: Ints, kernel: Ints, count: Ints, stride: Ints, padding: Pads, dilation: Ints
    ) -> None:
        if len(size) > 3:
            raise RuntimeError(f"windows over {len(size)} dimensions: device 'opencl' slides over up to 3")
        missing = 3 - len(size)
        ones, zeros = (1,) * missing, (0,) * missing
        self.kernel_shape, self.count_shape = tuple(kernel), tuple(count)
        self.size, self.kernel, self.count = (*ones, *size), (*ones, *kernel), (*ones, *count)
        self.stride, self.dilation = (*ones, *stride), (*ones, *dilation)
        self.before = (*zeros, *(a for a, _ in padding))
        self.kernels, self.places = math.prod(kernel), math.prod(count)

    def arguments(self) -> list[int]:
        """As `parameters` begin."""
        return [*self.size, *self.kernel, *self.count, *self.stride, *self.before, *self.dilation]

    # --- unfold -------------------------------------------------------------------------------------------------------

    def unfold(self, x: Any, together: bool = False) -> Any:
        """The windows of `x` (N, channels, *size) as a dense (N, channels, *kernel, *count).

        `together` they are (channels, *kernel, N, *count) in memory, and returned as such.
        """
        device, (n, channels) = x.device, x.shape[:2]
        columns = self.kernels * self.places
        if together:
            shape: Any = (channels, *self.kernel_shape, n, *self.count_shape)
            steps = [self.places, n * columns, n * self.places]
        else:
            shape = (n, channels, *self.kernel_shape, *self.count_shape)
            steps = [channels * columns, columns, self.places]
        y = device.empty(shape, x.dtype)
        if not y.size:
            return y
        inner = (0,) * (5 - len(x.shape)) + x.strides[2:]
        planes, moved = n * channels, _MOVED.get(x.dtype.itemsize)
        kernel = device.kernel(("unfold", x.dtype.itemsize), lambda: self._unfold_source(device, moved))
        tiles = planes * self.kernels * (1 if device.is_cpu else self.places)
        items, each = shares(device, tiles, self.places)
        device.launch(
            kernel, items, (1 if device.is_cpu else GROUP,), y.buffer, 0, x.buffer, x.offset, *self.arguments(),
            channels, tiles, each, *steps, *x.strides[:2], *inner,
        )  # fmt: skip
        return y

    @staticmethod
    def _unfold_source(device: Any, moved: Any) -> tuple[str, list[Any]]:
        names = ["y_n", "y_c", "y_k", "x_n", "x_c", "x_0", "x_1", "x_2"]
        stored = "ulong2" if moved is None else device.dialect(1).stored(moved)
        if device.is_cpu:
            body = [*_decoded("t"), *_span(), f"__global {stored} *to = Y;"]
            body += ["for (long o0 = 0; o0 < c0; o0++) for (long o1 = 0; o1 < c1; o1++, to += c2) {"]
            body += ["    const long i0 = o0*s0 + base0, i1 = o1*s1 + base1;"]
            body += ["    const int inside = i0 >= 0 && i0 < n0 && i1 >= 0 && i1 < n1;"]
            body += ["    const long first = inside ? low : c2, last = inside ? high : c2;"]
            body += ["    for (long o = 0; o < first; o++) to[o] = 0;"]
            body += ["    for (long o = last; o < c2; o++) to[o] = 0;"]
            body += [
                f"    __global const {stored} *from = X + i0*x_0 + i1*x_1 + base2*x_2;",
                "    long o = first;",
            ]
            if moved is not None:
                d = device.dialect(8)
                copy = d.store("to + o", d.load("from + o", moved), moved)
                body += ["    if (step == 1 && last - first >= 8) {"]
                body += [f"        for (; o + 8 <= last; o += 8) {copy}"]
                body += [f"        if (o < last) {{ o = last - 8; {copy} o = last; }}", "    }"]
            body += ["    for (; o < last; o++) to[o] = from[o*step];", "}"]
            body.insert(0, "const long step = s2*x_2;")
        else:
            body = ["const long o2 = t % c2, o1 = t / c2 % c1, o0 = t / (c1*c2) % c0;"]
            body += _decoded("t / (c0*c1*c2)")
            body += [f"const long i{a} = o{a}*s{a} + base{a};" for a in _AXES]
            body += ["const int inside = " + " && ".join(f"i{a} >= 0 && i{a} < n{a}" for a in _AXES) + ";"]
            body += ["Y[(o0*c1 + o1)*c2 + o2] = inside ? X[i0*x_0 + i1*x_1 + i2*x_2] : 0;"]
        return _source(device, "unfold", stored, names, body)

    # --- fold ---------------------------------------------------------------------------------------------------------

    def fold(self, x: Any, channels: int) -> Any:
        """The images (N, channels, *size) whose elements are the sums of those of the dense windows that cover them."""
        device, n = x.device, x.shape[0]
        y = device.empty((n, channels, *self.size[3 - len(self.count_shape) :]), x.dtype)
        if not y.size:
            return y
        if not x.size:
            device.functions._filled(y, 0)
            return y
        columns, planes = self.kernels * self.places, n * channels
        kernel = device.kernel(("fold", x.dtype), lambda: self._fold_source(device, x.dtype))
        tiles = planes * math.prod(self.size[:2] if device.is_cpu else self.size)
        items, each = shares(device, tiles, self.size[2] * self.kernels)
        device.launch(
            kernel, items, (1 if device.is_cpu else GROUP,), y.buffer, 0, x.buffer, x.offset, *self.arguments(),
            channels, tiles, each, columns, math.prod(self.size),
        )  # fmt: skip
        return y

    @staticmethod
    def _fold_source(device: Any, dtype: np.dtype[Any]) -> tuple[str, list[Any]]:
        one, stored = device.dialect(1), device.dialect(1).stored(dtype)
        near = []
        for a in (0, 1) if device.is_cpu else _AXES:
            near += [f"const long t{a} = i{a} + p{a} - j{a}*d{a}, o{a} = t{a} / s{a};"]
            near += [f"if (t{a} < 0 || t{a} % s{a} || o{a} >= c{a}) continue;"]
        loops = [f"for (long j{a} = 0; j{a} < k{a}; j{a}++)" for a in _AXES]
        if device.is_cpu:
            width = device.width(dtype.itemsize) if dtype.kind == "f" else 1
            d = device.dialect(width)
            body = ["const long i1 = t % n1, i0 = t / n1 % n0, plane = t / (n0*n1);"]
            body += [f"__global {stored} *to = Y + plane*y_plane + (i0*n1 + i1)*n2;"]
            body += ["for (long i = 0; i < n2; i++) to[i] = 0;"]
            body += [*loops[:2], "{", *near, loops[2], "{", "const long base2 = j2*d2 - p2;", *_span()]
            body += [
                f"__global const {stored} *from = X + plane*x_plane + (((j0*k1 + j1)*k2 + j2)*c0 + o0)*c1*c2 + o1*c2;",
                "long o = low;",
            ]
            if width > 1:
                add = f"{d.load('to + o + base2', dtype)} + {d.load('from + o', dtype)}"
                body += [
                    f"if (s2 == 1) for (; o + {width} <= high; o += {width}) {d.store('to + o + base2', add, dtype)}"
                ]
            body += ["for (; o < high; o++) to[o*s2 + base2] += from[o];", "}", "}"]
        else:
            body = [
                "const long i2 = t % n2, i1 = t / n2 % n1, i0 = t / (n1*n2) % n0, plane = t / (n0*n1*n2);"
            ]
            body += [f"{stored} sum = 0;", *loops, "{", *near]
            body += ["sum += X[plane*x_plane + (((j0*k1 + j1)*k2 + j2)*c0 + o0)*c1*c2 + o1*c2 + o2];", "}"]
            body += ["Y[plane*y_plane + (i0*n1 + i1)*n2 + i2] = sum;"]
        return _source(device, "fold", one.stored(dtype), ["x_plane", "y_plane"], body)


def _decoded(number: str) -> list[str]:
    """Of the element of a kernel and the plane with this number: where both begin."""
    return [
        f"const long element = {number} % (k0*k1*k2), plane = {number} / (k0*k1*k2);",
        "const long j2 = element % k2, j1 = element / k2 % k1, j0 = element / (k1*k2);",
        *(f"const long base{a} = j{a}*d{a} - p{a};" for a in _AXES),
        "Y += plane / channels*y_n + plane % channels*y_c + element*y_k;",
        "X += plane / channels*x_n + plane % channels*x_c;",
    ]


def _span() -> list[str]:
    """The places along the last axis at which an element of the kernel meets the image."""
    return [
        "const long low = base2 >= 0 ? 0 : min((-base2 + s2 - 1) / s2, c2);",
        "const long high = n2 <= base2 ? low : max(min(c2, (n2 - base2 - 1) / s2 + 1), low);",
    ]


def shares(device: Any, tiles: int, work: int) -> tuple[int, int]:
    """How many work items there are, and how many tiles each does."""
    if not device.is_cpu:
        return tiles, 1
    items = max(1, min(device.slabs, tiles, tiles * work // GRAIN))
    each = -(-tiles // items)
    return -(-tiles // each), each


def _source(device: Any, name: str, stored: str, names: list[str], body: list[str]) -> tuple[str, list[Any]]:
    """A kernel from an array X to an array Y, of elements of one type."""
    axes = [f"{p}{a}" for p in "nkcspd" for a in _AXES]
    longs = [*axes, "channels", "tiles", "each", *names]
    parameters = [f"__global {stored} *Y_memory, const long y_offset"]
    parameters += [
        f"__global const {stored} *X_memory, const long x_offset",
        *(f"const long {n}" for n in longs),
    ]
    group = 1 if device.is_cpu else GROUP
    lines = [
        entry(group),
        f"void kernel_{name}({', '.join(parameters)}) {{",
        "    const long end = min((long)(get_global_id(0) + 1)*each, tiles);",
        "    for (long t = get_global_id(0)*each; t < end; t++) {",
        f"        __global {stored} *Y = Y_memory + y_offset;",
        f"        __global const {stored} *X = X_memory + x_offset;",
        *("        " + line for line in body),
        "    }",
        "}",
    ]
    return "\n".join(lines), [None, np.int64] * 2 + [np.int64] * len(longs)


__all__ = ["Sliding", "counts", "shares"]
