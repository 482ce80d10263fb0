"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import creation
from . import functional as F
from . import init
from .functional_conv import numbers, same_pads
from .module import Module
from .parameter import Parameter

_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """What the layers of one, two and three dimensions share."""

    rank: ClassVar[int]
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError(f"groups must be a positive integer, found {groups}")
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name} must be divisible by groups, found {channels} and {groups}")
        asked = type(self).__name__
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = numbers(kernel_size, self.rank, "kernel_size", asked)
        self.stride = numbers(stride, self.rank, "stride", asked)
        self.dilation = numbers(dilation, self.rank, "dilation", asked)
        self.padding = padding if isinstance(padding, str) else numbers(padding, self.rank, "padding", asked)
        self._check_padding(padding_mode)
        self.padding_mode = padding_mode
        self.weight = Parameter(creation.empty(*self._weight_shape(), device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(creation.empty(out_channels, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def _check_padding(self, mode: str) -> None:
        if isinstance(self.padding, str):
            if self.padding not in ("same", "valid"):
                raise ValueError(
                    f"Invalid padding string {self.padding!r}, should be one of 'valid' and 'same'"
                )
            if self.padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if mode not in _MODES:
            raise ValueError(f"padding_mode must be one of {_MODES}, but got padding_mode={mode!r}")

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init.fans(self.weight)
            if fan_in:
                init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def forward(self, input: Any) -> Any:
        """The images' convolution with the weight, plus the bias."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._extended(input), 0
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.rank - 1]
        return convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _extended(self, input: Any) -> Any:
        """The images with their own elements around them."""
        if isinstance(self.padding, str):
            none = ((0, 0),) * self.rank
            pads = same_pads(self.kernel_size, self.dilation) if self.padding == "same" else none
        else:
            pads = tuple((p, p) for p in self.padding)
        for dim, (before, after) in enumerate(pads, -self.rank):
            if before or after:
                places = _places(input.shape[dim], before, after, self.padding_mode)
                input = input.index_select(dim, creation.tensor(places, device=input.device))
        return input

    def extra_repr(self) -> str:
        """Sizes, and what is not usual."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        none, one = (0,) * self.rank, (1,) * self.rank
        usual = {"padding": none, "dilation": one, "output_padding": none, "groups": 1}
        for name, value in usual.items():
            if getattr(self, name, value) != value:
                text += f", {name}={getattr(self, name)}"
        text += "" if self.bias is not None else ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


def _places(n: int, before: int, after: int, mode: str) -> list[int]:
    """Which elements stand before, in and after a dimension of `n`.

    >>> _places(3, 1, 2, "reflect"), _places(3, 1, 2, "circular"), _places(3, 1, 2, "replicate")
    ([1, 0, 1, 2, 1, 0], [2, 0, 1, 2, 0, 1], [0, 0, 1, 2, 2, 2])
    """
    most = n - 1 if mode == "reflect" else n if mode == "circular" else math.inf
    if max(before, after) > most or not n:
        raise RuntimeError(
            f"padding_mode={mode!r}: padding of {before} and {after} is too much for a dimension of size {n}"
        )
    found = range(-before, n + after)
    if mode == "circular":
        return [i % n for i in found]
    if mode == "replicate":
        return [min(max(i, 0), n - 1) for i in found]
    return [n - 1 - abs(n - 1 - abs(i)) for i in found]


class Conv1d(_Conv):
    """A convolution of (N, in_channels, length), or without N.

    Weight and bias start uniform in ±1/√(in_channels / groups · kernel_size).
    """

    rank = 1


class Conv2d(_Conv):
    """A convolution of (N, in_channels, height, width), or without N; for the parameters see `F.conv2d`.

    `padding_mode` says what is put around images: "zeros", or their own elements, mirrored ("reflect"), those at the
    border ("replicate"), or from the other side ("circular"). Weight and bias start uniform in ±1/√fan_in, where
    fan_in is in_channels / groups · height · width of the kernel.
    """

    rank = 2


class Conv3d(_Conv):
    """A convolution of (N, in_channels, depth, height, width), or without N."""

    rank = 3
