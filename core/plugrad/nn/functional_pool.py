"""The pools of `plugrad.nn.functional`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import creation, dtypes, ops
from ..ops.sliding import counts
from .functional_conv import numbers

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool1d_with_indices",
    "max_pool2d", "max_pool2d_with_indices",
]  # fmt: skip


class _Windows:
    """Where the windows of a pool over two dimensions are: checked, and with what `ceil_mode` adds at the end."""

    def __init__(
        self, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, asked: str
    ) -> None:
        if x.ndim not in (3, 4):
            raise RuntimeError(
                f"{asked}: non-empty 3D or 4D (batch mode) tensor expected for input, but got: {list(x.shape)}"
            )
        self.kernel = numbers(kernel, 2, "kernel_size", asked)
        empty = stride is None or (isinstance(stride, Sequence) and not stride)
        self.stride = self.kernel if empty else numbers(stride, 2, "stride", asked)
        self.dilation = numbers(dilation, 2, "dilation", asked)
        before = numbers(padding, 2, "padding", asked)
        self._check(before, asked)
        size = tuple(x.shape[-2:])
        if 0 in x.shape[-3:]:
            raise RuntimeError(
                f"{asked}: Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, "
                f"but got: {list(x.shape)}"
            )
        pads = []
        for n, k, s, p, d in zip(size, self.kernel, self.stride, before, self.dilation, strict=True):
            after = p
            if ceil_mode:
                count = -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1
                if (count - 1) * s >= n + p:  # every window must start in the image or before it
                    count -= 1
                after = max((count - 1) * s + d * (k - 1) + 1 - n - p, p)
            pads.append((p, after))
        self.padding = tuple(pads)
        count = counts(size, self.kernel, self.stride, self.padding, self.dilation)
        if min(count) < 1:
            channels = x.shape[-3]
            raise RuntimeError(
                f"{asked}: Given input size: ({channels}x{'x'.join(map(str, size))}). Calculated output size: "
                f"({channels}x{'x'.join(map(str, count))}). Output size is too small"
            )

    def _check(self, before: Sequence[int], asked: str) -> None:
        if min(self.kernel) < 1:
            raise RuntimeError(
                f"{asked}: kernel size should be greater than zero, but got {list(self.kernel)}"
            )
        if min(self.stride) < 1:
            raise RuntimeError(
                f"{asked}: stride should be greater than zero, but got {list(self.stride)}: stride should not be zero"
            )
        if min(self.dilation) < 1:
            raise RuntimeError(
                f"{asked}: dilation should be greater than zero, but got {list(self.dilation)}"
            )
        if min(before) < 0:
            raise RuntimeError(f"{asked}: pad must be non-negative, but got pad: {min(before)}")
        for p, k, d in zip(before, self.kernel, self.dilation):
            if p > ((k - 1) * d + 1) // 2:
                raise RuntimeError(
                    f"{asked}: pad should be at most half of effective kernel size, "
                    f"but got pad={p}, kernel_size={k} and dilation={d}"
                )


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, channels, height, width) or (channels, height, width).

    Windows move by `stride` (their own size, if not given), their elements are `dilation` apart, and `padding`
    (at most half a window) counts as -inf. With `ceil_mode` a last window may reach beyond the end. The gradient goes
    to the first maximum in row-major order, or to a NaN. With `return_indices` also where the maxima are in the
    flattened images.

    >>> import plugrad as torch
    >>> max_pool2d(torch.tensor([[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 9.0, 1.0]]]), 2, return_indices=True)
    (tensor([[[5., 9.]]]), tensor([[[1, 6]]]))
    """
    w = _Windows(input, kernel_size, stride, padding, dilation, ceil_mode, "max_pool2d")
    if input.dtype is dtypes.bool_ or input.dtype.is_complex:
        raise NotImplementedError(
            f"max_pool2d is not implemented for {input.dtype}: convert with .to(...), or take .abs()"
        )
    where = (w.kernel, w.stride, w.padding, w.dilation)
    if not return_indices:
        return ops.max_pool2d.call(input, *where)
    which = ops.argmax_pool2d.call(input.detach(), *where)
    return ops.take_pooled.call(input, which, *where), _flat_indices(which, w, input.shape[-1])


def _flat_indices(which: Any, w: _Windows, width: int) -> Any:
    """Where elements of windows, by their numbers, are in a flattened image."""
    rows, columns = (
        creation.arange(n, device=which.device) * s - p
        for n, s, (p, _) in zip(which.shape[-2:], w.stride, w.padding, strict=True)
    )
    rows = rows.unsqueeze(1) + which // w.kernel[1] * w.dilation[0]
    return rows * width + (columns + which % w.kernel[1] * w.dilation[1])


def max_pool2d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> Any:
    """`max_pool2d`, and where the maxima are."""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool2d` over the one dimension of (N, channels, length) or (channels, length)."""
    x, given = _as_images(input, "max_pool1d", kernel_size, stride, padding, dilation)
    y = max_pool2d(x, ceil_mode=ceil_mode, return_indices=return_indices, **given)
    return (y[0].squeeze(-2), y[1].squeeze(-2)) if return_indices else y.squeeze(-2)


def max_pool1d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> Any:
    """`max_pool1d`, and where the maxima are."""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def _as_images(
    input: Any, asked: str, kernel: Any, stride: Any, padding: Any, dilation: Any = 1
) -> tuple[Any, dict[str, Any]]:
    """Lines as images of one row, and the parameters for these."""
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"{asked}: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, "
            f"but got: {list(input.shape)}"
        )
    (k,) = numbers(kernel, 1, "kernel_size", asked)
    (s,) = (k,) if stride is None or stride in ((), []) else numbers(stride, 1, "stride", asked)
    (p,), (d,) = numbers(padding, 1, "padding", asked), numbers(dilation, 1, "dilation", asked)
    return input.unsqueeze(-2), {
        "kernel_size": (1, k),
        "stride": (1, s),
        "padding": (0, p),
        **({} if d == 1 else {"dilation": (1, d)}),
    }


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of (N, channels, height, width) or (channels, height, width).

    As `max_pool2d`, but `padding` counts as 0, or not at all with `count_include_pad=False`. Sums are divided by
    `divisor_override`, if given, instead of the number of elements.
    """
    w = _Windows(input, kernel_size, stride, padding, 1, ceil_mode, "avg_pool2d")
    if divisor_override == 0:
        raise RuntimeError("avg_pool2d: divisor must be not zero")
    if input.dtype.category != dtypes.FLOAT:
        raise NotImplementedError(
            f"avg_pool2d is not implemented for {input.dtype}: convert to a floating-point dtype, e.g. with .float()"
        )
    return ops.avg_pool2d.call(
        input, w.kernel, w.stride, w.padding, bool(count_include_pad), divisor_override
    )


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """`avg_pool2d` over the one dimension of (N, channels, length) or (channels, length)."""
    x, given = _as_images(input, "avg_pool1d", kernel_size, stride, padding)
    return avg_pool2d(x, ceil_mode=ceil_mode, count_include_pad=count_include_pad, **given).squeeze(-2)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Means of as many windows as `output_size` asks for in each dimension; None keeps the input's size.

    Window i of m over n elements reaches from ⌊i n / m⌋ to ⌈(i + 1) n / m⌉: they overlap where m does not divide n.
    """
    if input.ndim not in (3, 4):
        raise RuntimeError(
            f"adaptive_avg_pool2d(): Expected 3D or 4D tensor, but got input of size {list(input.shape)}"
        )
    wanted = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * 2
    if len(wanted) != 2:
        raise RuntimeError(f"adaptive_avg_pool2d: output_size must be 2 numbers, found {list(wanted)}")
    size = tuple(input.shape[-2:])
    out = tuple(n if w is None else w for n, w in zip(size, wanted))
    if min(out) < 1:
        raise RuntimeError(
            f"adaptive_avg_pool2d: elements of output_size must be greater than 0, but received {list(out)}"
        )
    if out == (1, 1):
        return input.mean((-2, -1), keepdim=True)
    if not any(n % m for n, m in zip(size, out)):
        return avg_pool2d(input, tuple(n // m for n, m in zip(size, out)))
    for dim, (n, m) in enumerate(zip(size, out), -2):  # a window's mean is that of its rows' means
        ends = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        parts = [input.narrow(dim, a, b - a).mean(dim, keepdim=True) for a, b in ends]
        input = ops.concat.call(parts, input.ndim + dim) if n != m else input
    return input


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """`adaptive_avg_pool2d` over the one dimension of (N, channels, length) or (channels, length)."""
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"adaptive_avg_pool1d(): Expected 2D or 3D tensor, but got input of size {list(input.shape)}"
        )
    (out,) = numbers(output_size, 1, "output_size", "adaptive_avg_pool1d")
    return adaptive_avg_pool2d(input.unsqueeze(-2), (1, out)).squeeze(-2)
