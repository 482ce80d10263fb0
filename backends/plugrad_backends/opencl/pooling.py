"""Kernels of `plugrad.ops.pool`, named like the ops: one kernel each, and no padded copies.

Two kinds: those that compute an element for each window ("gather"), and those that spread an element for each window over
an image ("spread"). On CPUs a work item that spreads owns a whole image; on GPUs, each element of the image is the sum of the
windows that cover it. Either way sums have one order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from plugrad.ops.pool import check_which

from ..expressions.c import entry
from ..expressions.expr import REAL_PART
from .elementwise_source import GROUP
from .sliding import Ints, Pads, counts, shares

_ONES = (1, 1)
#: Names of the sizes that each kernel is given: of the image, kernel, windows, steps, padding before, and dilation.
_SIZES = [f"{p}{a}" for p in "nkcspd" for a in (0, 1)]

#: What a window's element at (i0, i1) of the image adds to it; `e` is its number.
_VISITS = {
    "max_pool": "if (v > best || v != v) best = v;",
    "argmax_pool": "if (first || v > best || v != v) { best = v; found = e; first = 0; }",
    "avg_pool": "sum += v;",
}
#: By how many elements a window's mean is divided: padding counts, if it does, up to that before the image.
_DIVISOR = [
    "const long a0 = o0*s0 - p0, a1 = o1*s1 - p1, b0 = min(a0 + k0, n0 + p0), b1 = min(a1 + k1, n1 + p1);",
    "const long usual = extra & 1 ? (b0 - a0)*(b1 - a1) : (min(b0, n0) - max(a0, 0L))*(min(b1, n1) - max(a1, 0L));",
    "const long n = extra >> 1 ? extra >> 1 : usual;",
]
#: Where element `e` of the window (o0, o1) is in the image.
_PLACE = [
    "const long i0 = o0*s0 - p0 + e / k1*d0, i1 = o1*s1 - p1 + e % k1*d1;",
    "const int inside = e >= 0 && e < k0*k1 && i0 >= 0 && i0 < n0 && i1 >= 0 && i1 < n1;",
]


class Pooling:
    """The kernel of one op on a device, for elements of a dtype."""

    def __init__(self, device: Any, name: str, dtype: np.dtype[Any]) -> None:
        self.device, self.name, self.dtype, self.one = device, name, dtype, device.dialect(1)
        self.stored = self.one.stored(dtype)
        self.type = self.stored if dtype in REAL_PART else self.one.base(dtype)
        self.spreads = name in ("avg_unpool", "embed_pooled")
        self.whole = self.spreads and device.is_cpu  # whether a work item does a whole image
        self.made = np.dtype(np.int64) if name == "argmax_pool" else dtype

    def __call__(
        self, x: Any, which: Any, size: Ints, count: Ints, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints,
        extra: int = 0,
    ) -> Any:  # fmt: skip
        """A new array (*x.shape[:-2], …): of images of a `size` if it spreads, else of `count` windows."""
        device, shape = self.device, tuple(size if self.spreads else count)
        y = device.empty((*x.shape[:-2], *shape), self.made)
        if not y.size:
            return y
        x, which = x.dense(), x if which is None else which.dense()
        planes = math.prod(x.shape[:-2])
        tiles = planes * (1 if self.whole else shape[0] if device.is_cpu else math.prod(shape))
        items, each = shares(
            device, tiles, planes * math.prod(count) * math.prod(kernel) // max(tiles, 1) + 1
        )
        before = [a for a, _ in padding]
        key = self.name, self.dtype
        device.launch(
            device.kernel(key, self.source), items, (1 if device.is_cpu else GROUP,),
            y.buffer, y.offset, x.buffer, x.offset, which.buffer, which.offset,
            *size, *kernel, *count, *stride, *before, *dilation, tiles, each, extra,
        )  # fmt: skip
        return y

    # --- source -------------------------------------------------------------------------------------------------------

    def source(self) -> tuple[str, list[Any]]:
        """The source, and the types of the kernel's arguments."""
        group = 1 if self.device.is_cpu else GROUP
        longs = ", ".join(f"const long {n}" for n in [*_SIZES, "tiles", "each", "extra"])
        lines = [
            entry(group),
            f"void kernel_{self.name}(__global {self.one.stored(self.made)} *Y, const long y_offset, "
            f"__global const {self.stored} *X, const long x_offset, "
            f"__global const long *W, const long w_offset, {longs}) {{",
            "    const long end = min((long)(get_global_id(0) + 1)*each, tiles);",
            "    Y += y_offset; X += x_offset; W += w_offset;",
            "    for (long t = get_global_id(0)*each; t < end; t++) {",
            *("        " + line for line in self._tile()),
            "    }",
            "}",
        ]
        return "\n".join(lines), [None, np.int64] * 3 + [np.int64] * (len(_SIZES) + 3)

    def _tile(self) -> list[str]:
        body = (self._covering() if not self.whole else self._spread()) if self.spreads else self._window()
        if self.whole:
            return ["const long plane = t;", *body]
        rows, columns = ("n0", "n1") if self.spreads else ("c0", "c1")
        i = "i" if self.spreads else "o"
        if self.device.is_cpu:
            loop = f"for (long o1 = 0; o1 < {columns}; o1++) {{"
            return [f"const long plane = t / {rows}, o0 = t % {rows};", loop, *body, "}"]
        decode = (
            f"const long {i}1 = t % {columns}, {i}0 = t / {columns} % {rows}, plane = t / ({rows}*{columns});"
        )
        return [decode, *body]

    def _window(self) -> list[str]:
        """An element for the window (o0, o1)."""
        y = "Y + (plane*c0 + o0)*c1 + o1"
        if self.name == "take_pooled":
            taken = self.one.lane("X", "(plane*n0 + i0)*n1 + i1", self.dtype)
            lines = ["const long e = W[(plane*c0 + o0)*c1 + o1];", *_PLACE, f"{self.type} v = 0;"]
            return [*lines, f"if (inside) v = {taken};", self.one.store(y, "v", self.dtype)]
        lines = []
        if self.name == "avg_pool":
            lines += [f"{self.type} sum = 0;"]
            result = f"sum / ({self._scalar()})n"
        else:
            least = -math.inf if self.dtype.kind == "f" else np.iinfo(self.dtype).min
            lines += [
                f"{self.type} best = {self.one.number(least, self.dtype)};",
                "long found = 0; int first = 1;",
            ]
            result = "best" if self.name == "max_pool" else "found"
        lines += [
            "for (long j0 = 0; j0 < k0; j0++) {",
            "    const long i0 = o0*s0 - p0 + j0*d0;",
            "    if (i0 < 0 || i0 >= n0) continue;",
            f"    __global const {self.stored} *row = X + (plane*n0 + i0)*n1;",
            "    for (long j1 = 0; j1 < k1; j1++) {",
            "        const long i1 = o1*s1 - p1 + j1*d1, e = j0*k1 + j1;",
            "        if (i1 < 0 || i1 >= n1) continue;",
            f"        const {self.type} v = {self.one.lane('row', 'i1', self.dtype)};",
            f"        {_VISITS[self.name]}",
            "    }",
            "}",
        ]
        if self.name == "avg_pool":
            lines += _DIVISOR
        return [*lines, self.one.store(y, result, self.made)]

    def _scalar(self) -> str:
        return self.one.base(REAL_PART.get(self.dtype, self.dtype))

    def _value(self) -> str:
        """What the window (o0, o1) spreads."""
        value = self.one.lane("X", "(plane*c0 + o0)*c1 + o1", self.dtype)
        return f"{value} / ({self._scalar()})n" if self.name == "avg_unpool" else value

    def _spread(self) -> list[str]:
        """Window by window over the image of a plane."""
        lines = [f"__global {self.stored} *image = Y + plane*n0*n1;"]
        lines += ["for (long i = 0; i < n0*n1; i++) image[i] = 0;"]
        lines += ["for (long o0 = 0; o0 < c0; o0++) for (long o1 = 0; o1 < c1; o1++) {"]
        if self.name == "embed_pooled":
            lines += ["const long e = W[(plane*c0 + o0)*c1 + o1];", *_PLACE]
            return [*lines, f"if (inside) image[i0*n1 + i1] += {self._value()};", "}"]
        lines += [*_DIVISOR, f"const {self.type} v = {self._value()};"]
        lines += ["const long z0 = min(a0 + k0, n0), z1 = min(a1 + k1, n1);"]
        lines += ["for (long i0 = max(a0, 0L); i0 < z0; i0++)"]
        return [*lines, "    for (long i1 = max(a1, 0L); i1 < z1; i1++) image[i0*n1 + i1] += v;", "}"]

    def _covering(self) -> list[str]:
        """The sum of the windows that cover element (i0, i1) of the image, by the elements of the kernel."""
        lines = [f"{self.type} sum = 0;"]
        for a in (0, 1):
            lines += [f"for (long j{a} = 0; j{a} < k{a}; j{a}++) {{"]
            lines += [f"const long t{a} = i{a} + p{a} - j{a}*d{a}, o{a} = t{a} / s{a};"]
            lines += [f"if (t{a} < 0 || t{a} % s{a} || o{a} >= c{a}) continue;"]
        if self.name == "avg_unpool":
            lines += [*_DIVISOR, f"sum += {self._value()};"]
        else:
            lines += [f"if (W[(plane*c0 + o0)*c1 + o1] == j0*k1 + j1) sum += {self._value()};"]
        return [*lines, "}", "}", self.one.store("Y + (plane*n0 + i0)*n1 + i1", "sum", self.dtype)]


_HALF, _SINGLE = np.dtype(np.float16), np.dtype(np.float32)


class PoolKernels:
    """A family of kernels; the backend inherits them all."""

    device: Any
    _cast: Any

    def max_pool2d(self, x: Any, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> Any:
        """The greatest element of each window; NaN if there is one."""
        return self._of_windows("max_pool", x, kernel, stride, padding, dilation)

    def argmax_pool2d(self, x: Any, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> Any:
        """The number of the element of each window that is its maximum."""
        return self._of_windows("argmax_pool", x, kernel, stride, padding, dilation)

    def avg_pool2d(
        self, x: Any, kernel: Ints, stride: Ints, padding: Pads, count_include_pad: bool, divisor: int | None
    ) -> Any:
        """The mean of each window."""
        extra = self._extra(x, count_include_pad, divisor)
        return self._of_windows("avg_pool", x, kernel, stride, padding, _ONES, extra)

    def _of_windows(
        self, name: str, x: Any, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints, extra: int = 0
    ) -> Any:
        size = x.shape[-2:]
        count = counts(size, kernel, stride, padding, dilation)
        pooling = Pooling(self.device, name, x.dtype)
        return pooling(x, None, size, count, kernel, stride, padding, dilation, extra)

    def _extra(self, x: Any, counted: bool, divisor: int | None) -> int:
        if x.dtype.kind in "iub":
            raise TypeError(f"means are of floats, found {x.dtype}: convert with .float()")
        return (divisor or 0) * 2 + bool(counted)

    def avg_unpool2d(
        self, x: Any, size: Ints, kernel: Ints, stride: Ints, padding: Pads, count_include_pad: bool,
        divisor: int | None,
    ) -> Any:  # fmt: skip
        """The means' cotangents spread over the windows of an image of a `size`."""
        if x.dtype == _HALF:
            wide = self._cast(x, _SINGLE)
            y = self.avg_unpool2d(wide, size, kernel, stride, padding, count_include_pad, divisor)
            return self._cast(y, _HALF)
        extra = self._extra(x, count_include_pad, divisor)
        pooling = Pooling(self.device, "avg_unpool", x.dtype)
        return pooling(x, None, size, x.shape[-2:], kernel, stride, padding, _ONES, extra)

    def take_pooled(
        self, x: Any, which: Any, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints
    ) -> Any:
        """The element of each window whose number is given."""
        check_which((*x.shape[:-2], *which.shape[-2:]), which.shape)
        pooling = Pooling(self.device, "take_pooled", x.dtype)
        return pooling(x, which, x.shape[-2:], which.shape[-2:], kernel, stride, padding, dilation)

    def embed_pooled(
        self, x: Any, which: Any, size: Ints, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints
    ) -> Any:
        """Zeros of a `size`, to which each window's `x` is added at the element whose number is given."""
        check_which(x.shape, which.shape)
        if x.dtype == _HALF:
            wide = self._cast(x, _SINGLE)
            return self._cast(self.embed_pooled(wide, which, size, kernel, stride, padding, dilation), _HALF)
        pooling = Pooling(self.device, "embed_pooled", x.dtype)
        return pooling(x, which, size, which.shape[-2:], kernel, stride, padding, dilation)
