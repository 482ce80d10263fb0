"""Convolutions and pools of images of two dimensions, named like the ops; others' are left to whoever has them.

A convolution is cuDNN's where that is installed and takes it, in 1 to 3 dimensions; else a product of matrices with the
columns of the images, some images at a time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import cudnn, windows
from .source import FLOATS
from .windows import Windows

__all__ = ["Images"]

Ints = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]
#: How many bytes of columns are made at once.
COLUMNS = 256 << 20


def _windows(size: Ints, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints = (1, 1)) -> Windows:
    """The windows over images of a size; padding after the end counts only for their number."""
    counts = [
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation)
    ]
    h, w = size
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    return Windows(h, w, kh, kw, sh, sw, padding[0][0], padding[1][0], dh, dw, *counts)


class Images:
    """A family of members."""

    device: Any
    others: Any
    dense: Any
    matmul: Any
    copy: Any
    sum: Any

    # --- pools -----------------------------------------------------------------------------------------------------------

    def max_pool2d(self, x: Any, *where: Any) -> Any:
        """The greatest element of each window."""
        return self._maxima("max_pool2d", x, where, False)

    def argmax_pool2d(self, x: Any, *where: Any) -> Any:
        """The number of the first greatest element in each window."""
        return self._maxima("argmax_pool2d", x, where, True)

    def _maxima(self, op: str, x: Any, where: Any, numbers: bool) -> Any:
        if x.dtype.name not in FLOATS:
            return getattr(self.others, op)(x, *where)
        x, k = self.dense(x), _windows(x.shape[-2:], *where)
        y = self.device.empty((*x.shape[:-2], k.oh, k.ow), np.int64 if numbers else x.dtype)
        if y.size:
            maxima, which = (0, y.data.ptr) if numbers else (y.data.ptr, 0)
            planes = math.prod(x.shape[:-2])
            windows.max_pool(self.device.kernels(), x.dtype.name, x.data.ptr, maxima, which, planes, k)
        return y

    def take_pooled(self, x: Any, which: Any, *where: Any) -> Any:
        """The element of each window whose number is given."""
        k = _windows(x.shape[-2:], *where)
        if x.dtype.name not in FLOATS or which.shape != (*x.shape[:-2], k.oh, k.ow):
            return self.others.take_pooled(x, which, *where)
        x, which, y = self.dense(x), self.dense(which), self.device.empty(which.shape, x.dtype)
        if y.size:
            at = x.data.ptr, which.data.ptr, y.data.ptr
            windows.take_pooled(self.device.kernels(), x.dtype.name, *at, math.prod(x.shape[:-2]), k)
        return y

    def embed_pooled(self, x: Any, which: Any, size: Ints, *where: Any) -> Any:
        """The transpose of `take_pooled`."""
        k = _windows(tuple(size), *where)
        if x.dtype.name not in FLOATS or which.shape != x.shape:
            return self.others.embed_pooled(x, which, size, *where)
        x, which = self.dense(x), self.dense(which)
        y = self.device.empty((*x.shape[:-2], *size), x.dtype)
        if y.size:
            at = x.data.ptr, which.data.ptr, y.data.ptr
            windows.embed_pooled(self.device.kernels(), x.dtype.name, *at, math.prod(x.shape[:-2]), k)
        return y

    def avg_pool2d(
        self, x: Any, kernel: Ints, stride: Ints, padding: Pads, counted: bool, divisor: int | None
    ) -> Any:
        """The mean of each window."""
        if x.dtype.name not in FLOATS:
            return self.others.avg_pool2d(x, kernel, stride, padding, counted, divisor)
        x, k = self.dense(x), _windows(x.shape[-2:], kernel, stride, padding)
        y = self.device.empty((*x.shape[:-2], k.oh, k.ow), x.dtype)
        if y.size:
            planes = math.prod(x.shape[:-2])
            windows.avg_pool(
                self.device.kernels(), x.dtype.name, x.data.ptr, y.data.ptr, planes, k, counted, divisor
            )
        return y

    def avg_unpool2d(
        self,
        x: Any,
        size: Ints,
        kernel: Ints,
        stride: Ints,
        padding: Pads,
        counted: bool,
        divisor: int | None,
    ) -> Any:
        """The transpose of `avg_pool2d`."""
        if x.dtype.name not in FLOATS:
            return self.others.avg_unpool2d(x, size, kernel, stride, padding, counted, divisor)
        x, k = self.dense(x), _windows(tuple(size), kernel, stride, padding)
        y = self.device.empty((*x.shape[:-2], *size), x.dtype)
        if y.size:
            planes = math.prod(x.shape[:-2])
            windows.avg_unpool(
                self.device.kernels(), x.dtype.name, x.data.ptr, y.data.ptr, planes, k, counted, divisor
            )
        return y

    # --- convolutions ------------------------------------------------------------------------------------------------------

    def _by_cudnn(
        self, op: str, a: Any, b: Any, image: Ints, weight: Ints, result: Ints | None, *where: Any
    ) -> Any:
        """What cuDNN computes of two operands; None where it is not there, or does not take them."""
        found = self.device.cudnn()
        if found is None or a.dtype != b.dtype:
            return None
        shapes = image, weight, result
        asked = cudnn.asked(op, a.dtype.name, *shapes, *where)
        plan = None if asked is None else found.plan(asked)
        if plan is None:
            return None
        a, b = (self.dense(x) for x in (a, b))
        a, b = (self.copy(x) if x.data.ptr % cudnn.ALIGNMENT else x for x in (a, b))
        y = self.device.empty(plan.asked.made, a.dtype)
        found.run(plan, a.data.ptr, b.data.ptr, y.data.ptr)
        return y

    def _columns(self, x: Any, k: Windows) -> Any:
        """(N, channels · kh · kw, oh · ow) of dense images; the images themselves where that is the same."""
        n, c = x.shape[:2]
        shape = n, c * k.kh * k.kw, k.windows
        if (k.kh, k.kw, k.sh, k.sw, k.ph, k.pw, k.oh, k.ow) == (1, 1, 1, 1, 0, 0, k.h, k.w):
            return x.reshape(shape)
        columns = self.device.empty(shape, x.dtype)
        windows.im2col(self.device.kernels(), x.dtype.name, x.data.ptr, columns.data.ptr, n * c, k)
        return columns

    @staticmethod
    def _some(n: int, each: int) -> Any:
        """As many images at a time as make `COLUMNS` bytes."""
        step = max(1, COLUMNS // max(each, 1))
        return [slice(i, min(i + step, n)) for i in range(0, n, step)]

    def _plain(self, x: Any, kernel: Ints) -> bool:
        return x.ndim == 4 and len(kernel) == 2 and x.dtype.name in FLOATS

    def convolution(
        self, x: Any, weight: Any, stride: Ints, padding: Pads, dilation: Ints, groups: int
    ) -> Any:
        """Images and kernels correlated."""
        where = stride, padding, dilation, groups
        y = self._by_cudnn("convolution", x, weight, x.shape, weight.shape, None, *where)
        if y is not None:
            return y
        o, c = weight.shape[:2]
        kernel = weight.shape[2:]
        if not self._plain(x, kernel) or x.shape[1] != c * groups or not (x.size and weight.size):
            return self.others.convolution(x, weight, stride, padding, dilation, groups)
        x, k = self.dense(x), _windows(x.shape[2:], kernel, stride, padding, dilation)
        matrix = self.dense(weight).reshape(groups, o // groups, c * k.kh * k.kw)
        parts = []
        for some in self._some(len(x), x.dtype.itemsize * x.shape[1] * k.kh * k.kw * k.windows):
            columns = self._columns(x[some], k).reshape(-1, groups, matrix.shape[2], k.windows)
            parts.append(self.matmul(matrix, columns).reshape(-1, o, k.oh, k.ow))
        return self._joined(parts)

    def convolution_biased(self: Any, x: Any, weight: Any, bias: Any, *params: Any) -> Any:
        """`convolution` plus a number for each channel of the result, written over it."""
        y = self.convolution(x, weight, *params)
        return self._add(y, bias.reshape((bias.shape[0], *[1] * (x.ndim - 2))), out=y)

    def convolution_transposed(
        self, x: Any, weight: Any, size: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int
    ) -> Any:
        """The images of a size whose elements are summed from those of `x` that they went into."""
        o, c = weight.shape[:2]
        where, image = (stride, padding, dilation, groups), (len(x), c * groups, *size)
        made = self._by_cudnn("convolution_transposed", x, weight, image, weight.shape, x.shape, *where)
        if made is not None:
            return made
        kernel = weight.shape[2:]
        if not self._plain(x, kernel) or x.shape[1] != o or not (x.size and weight.size and math.prod(size)):
            return self.others.convolution_transposed(x, weight, size, stride, padding, dilation, groups)
        x, k = self.dense(x), _windows(tuple(size), kernel, stride, padding, dilation)
        matrix = self.dense(weight).reshape(groups, o // groups, -1).swapaxes(1, 2)
        y = self.device.empty((len(x), c * groups, *size), x.dtype)
        for some in self._some(len(x), x.dtype.itemsize * c * groups * k.kh * k.kw * k.windows):
            columns = self.matmul(matrix, x[some].reshape(-1, groups, o // groups, k.windows))
            images = y[some]
            windows.col2im(
                self.device.kernels(),
                x.dtype.name,
                columns.data.ptr,
                images.data.ptr,
                len(images) * c * groups,
                k,
            )
        return y

    def convolution_weight(
        self, x: Any, z: Any, size: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int
    ) -> Any:
        """The kernels of a size whose elements are summed from the products of images and results."""
        o, c = z.shape[1], x.shape[1]
        where, weight = (stride, padding, dilation, groups), (o, c // groups, *size)
        made = self._by_cudnn("convolution_weight", x, z, x.shape, weight, z.shape, *where)
        if made is not None:
            return made
        if not self._plain(x, tuple(size)) or len(x) != len(z) or not (x.size and z.size):
            return self.others.convolution_weight(x, z, size, stride, padding, dilation, groups)
        x, z, k = self.dense(x), self.dense(z), _windows(x.shape[2:], tuple(size), stride, padding, dilation)
        parts = []
        for some in self._some(len(x), x.dtype.itemsize * c * k.kh * k.kw * k.windows):
            columns = self._columns(x[some], k).reshape(-1, groups, c // groups * k.kh * k.kw, k.windows)
            results = z[some].reshape(-1, groups, o // groups, k.windows)
            parts.append(self.sum(self.matmul(results, columns.swapaxes(2, 3)), (0,), True))
        total = parts[0] if len(parts) == 1 else self.sum(self._joined(parts), (0,), False)
        return total.reshape(o, c // groups, *size)

    def _joined(self, parts: list[Any]) -> Any:
        return parts[0] if len(parts) == 1 else self.others.concat(parts, 0)
