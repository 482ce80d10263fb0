"""Layers of transposed convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import functional as F
from .conv import _Conv
from .functional_conv import numbers, transposed_size


class _ConvTranspose(_Conv):
    """What the layers of one, two and three dimensions share."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        asked = type(self).__name__
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {asked}, found {padding_mode!r}')
        super().__init__(
            in_channels, out_channels, kernel_size, stride, numbers(padding, self.rank, "padding", asked), dilation,
            groups, bias, padding_mode, device, dtype,
        )  # fmt: skip
        self.output_padding = numbers(output_padding, self.rank, "output_padding", asked)

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.in_channels, self.out_channels // self.groups, *self.kernel_size)

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        """The transposed convolution of the images; `output_size` takes the place of `output_padding`."""
        more = self.output_padding if output_size is None else self._padding_for(input, output_size)
        convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.rank - 1]
        return convolve(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )

    def _padding_for(self, input: Any, output_size: Sequence[int]) -> tuple[int, ...]:
        """What is to be added to the smallest result to get one of that size."""
        wanted = tuple(output_size)[-self.rank :]
        padding: Any = self.padding
        size = input.shape[-self.rank :]
        least = transposed_size(size, self.kernel_size, self.stride, padding, self.dilation)
        most = tuple(n + s - 1 for n, s in zip(least, self.stride))
        if len(wanted) != self.rank or not all(a <= n <= b for a, n, b in zip(least, wanted, most)):
            raise ValueError(
                f"requested an output size of {list(output_size)}, but valid sizes range from {list(least)} to "
                f"{list(most)} (for an input of {list(input.shape[-self.rank :])})"
            )
        return tuple(n - a for n, a in zip(wanted, least))


class ConvTranspose1d(_ConvTranspose):
    """`ConvTranspose2d` in one dimension."""

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """The transpose of a convolution, which makes images larger; see `F.conv_transpose2d`.

    Weight and bias start uniform in ±1/√fan_in, where fan_in is out_channels / groups · height · width of the kernel.
    """

    rank = 2


class ConvTranspose3d(_ConvTranspose):
    """`ConvTranspose2d` in three dimensions."""

    rank = 3
