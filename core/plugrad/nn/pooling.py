"""Pooling layers; see the functions of the same names in `functional`."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .functional_conv import numbers
from .module import Module


class _MaxPool(Module):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def _given(self) -> tuple[Any, ...]:
        where = (self.kernel_size, self.stride, self.padding, self.dilation)
        return (*where, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        """All parameters."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The maximum of each window of (N, channels, length)."""

    def forward(self, input: Any) -> Any:
        """`F.max_pool1d`."""
        return F.max_pool1d(input, *self._given())


class MaxPool2d(_MaxPool):
    """The maximum of each window of (N, channels, height, width)."""

    def forward(self, input: Any) -> Any:
        """`F.max_pool2d`."""
        return F.max_pool2d(input, *self._given())


class AvgPool1d(Module):
    """The mean of each window of (N, channels, length)."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        asked = "AvgPool1d"
        self.kernel_size = numbers(kernel_size, 1, "kernel_size", asked)
        self.stride = self.kernel_size if stride is None else numbers(stride, 1, "stride", asked)
        self.padding = numbers(padding, 1, "padding", asked)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Any) -> Any:
        """`F.avg_pool1d`."""
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        """Windows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window of (N, channels, height, width)."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Any) -> Any:
        """`F.avg_pool2d`."""
        return F.avg_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Windows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AdaptiveAvgPool(Module):
    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        """What comes out."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of `output_size` windows of (N, channels, length)."""

    def forward(self, input: Any) -> Any:
        """`F.adaptive_avg_pool1d`."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of `output_size` windows in each dimension of (N, channels, height, width)."""

    def forward(self, input: Any) -> Any:
        """`F.adaptive_avg_pool2d`."""
        return F.adaptive_avg_pool2d(input, self.output_size)
