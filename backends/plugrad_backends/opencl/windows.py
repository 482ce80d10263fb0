"""Kernels of `plugrad.ops.conv`, named like the ops: unfolded images, and products of matrices.

Images are taken some at a time, so that their columns stay in the caches. Where images have few places, the columns of all
make one matrix for each group; else each image's are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .sliding import Ints, Pads, Sliding, counts

#: How many bytes of columns are made at once: a kernel of k·k makes k·k times the image.
BLOCK_BYTES = {True: 1 << 23, False: 1 << 27}
#: Images of fewer places than this share a matrix: as many as a tile of a product has columns.
FEW_PLACES = 64
_HALF, _SINGLE = np.dtype(np.float16), np.dtype(np.float32)


def in_single(kernel: Any) -> Any:
    """The kernel of two arrays, on float16 computed in float32: sums are long."""

    def product(self: Any, x: Any, y: Any, *params: Any) -> Any:
        if x.dtype == _HALF:
            return self._cast(kernel(self, self._cast(x, _SINGLE), self._cast(y, _SINGLE), *params), _HALF)
        return kernel(self, x, y, *params)

    product.__doc__ = kernel.__doc__
    return product


def _check(channels: int, expected: int) -> None:
    if channels != expected:
        raise ValueError(f"the weight is for {expected} channels, found {channels}")


class WindowKernels:
    """A family of kernels; the backend inherits them all."""

    device: Any
    matmul: Any
    add: Any
    copy: Any
    _cast: Any
    _filled: Any

    @in_single
    def convolution(
        self, x: Any, weight: Any, stride: Ints, padding: Pads, dilation: Ints, groups: int
    ) -> Any:
        """The sums of what the weight's kernel meets, times it."""
        outputs, inner, *kernel = weight.shape
        n, channels, *size = x.shape
        _check(channels, inner * groups)
        count = counts(size, kernel, stride, padding, dilation)
        sliding = Sliding(size, kernel, count, stride, padding, dilation)
        rows, places = inner * sliding.kernels, sliding.places
        matrix = weight.reshape((groups, outputs // groups, rows))
        y = self.device.empty((n, outputs, *count), x.dtype)
        whole = y.reshape((n, groups, outputs // groups, places))
        alone = all(k == s == 1 for k, s in zip(kernel, stride)) and not any(map(any, padding))
        for some in self._blocks(n, channels * sliding.kernels * places * x.itemsize) if y.size else ():
            part = x.basic_index((some,))
            m = part.shape[0]
            if alone:  # the image is its columns
                found = self.matmul(matrix, part.reshape((m, groups, rows, places)))
            elif places < FEW_PLACES and m > 1:
                columns = sliding.unfold(part, together=True).reshape((groups, rows, m * places))
                found = self.matmul(matrix, columns).reshape((groups, outputs // groups, m, places))
                found = found.permute((2, 0, 1, 3))
            else:
                columns = sliding.unfold(part).reshape((m, groups, rows, places))
                found = self.matmul(matrix, columns)
            if m == n and found.sig.is_dense:
                return found.reshape(y.shape)
            self.copy.into((whole.basic_index((some,)),), found)
        return y

    @in_single
    def convolution_transposed(
        self, x: Any, weight: Any, size: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int
    ) -> Any:
        """The image whose elements are summed from those of the result `x` that they went into."""
        n, outputs, *count = x.shape
        _check(outputs, weight.shape[0])
        inner, *kernel = weight.shape[1:]
        channels, sliding = inner * groups, Sliding(size, kernel, count, stride, padding, dilation)
        matrix = weight.reshape((groups, outputs // groups, inner * sliding.kernels)).permute((0, 2, 1))
        y = self.device.empty((n, channels, *size), x.dtype)
        if not y.size:
            return y
        for some in self._blocks(n, channels * sliding.kernels * sliding.places * x.itemsize):
            part = x.basic_index((some,))
            m = part.shape[0]
            columns = self.matmul(matrix, part.reshape((m, groups, outputs // groups, sliding.places)))
            found = sliding.fold(columns, channels)
            if m == n:
                return found
            self.copy.into((y.basic_index((some,)),), found)
        return y

    @in_single
    def convolution_weight(
        self, x: Any, z: Any, size: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int
    ) -> Any:
        """The weight whose elements are summed from the products of image `x` and result `z`."""
        n, outputs, *count = z.shape
        if x.shape[0] != n:
            raise ValueError(f"{x.shape[0]} images do not belong to {n} results")
        channels = x.shape[1]
        inner, sliding = channels // groups, Sliding(x.shape[2:], size, count, stride, padding, dilation)
        rows, places, y = inner * sliding.kernels, sliding.places, None
        for some in self._blocks(n, channels * sliding.kernels * places * x.itemsize):
            part, result = x.basic_index((some,)), z.basic_index((some,))
            m = part.shape[0]
            columns = sliding.unfold(part, together=True).reshape((groups, rows, m * places))
            result = result.reshape((m, groups, outputs // groups, places)).permute((1, 2, 0, 3))
            found = self.matmul(
                result.reshape((groups, outputs // groups, m * places)), columns.permute((0, 2, 1))
            )
            if y is None:
                y = found
            else:
                self.add.into((y,), y, found)
        if y is None:
            y = self.device.empty((outputs, inner, *size), x.dtype)
            self._filled(y, 0)
        return y.reshape((outputs, inner, *size))

    def convolution_biased(self, x: Any, weight: Any, bias: Any, *params: Any) -> Any:
        """`convolution` plus a number for each channel of the result."""
        y = self.convolution(x, weight, *params)
        self.add.into((y,), y, bias.reshape((bias.shape[0], *(1,) * (len(x.shape) - 2))))
        return y

    def _blocks(self, n: int, each: int) -> Iterator[slice]:
        """The images, as many at a time as make a block of columns; `each` has so many bytes of them."""
        step = max(BLOCK_BYTES[self.device.is_cpu] // max(each, 1), 1)
        return (slice(i, i + step) for i in range(0, n, step))
