"""Windows over images on addresses: columns for convolutions, and pools. Images are dense, (planes, h, w)."""

from __future__ import annotations

from typing import NamedTuple

from .index import flat
from .launch import Kernels

__all__ = ["Windows", "avg_pool", "avg_unpool", "col2im", "embed_pooled", "im2col", "max_pool", "take_pooled"]


class Windows(NamedTuple):
    """The sizes of an image and a kernel, the padding before the image, and how many windows there are."""

    h: int
    w: int
    kh: int
    kw: int
    sh: int
    sw: int
    ph: int
    pw: int
    dh: int
    dw: int
    oh: int
    ow: int

    @property
    def pixels(self) -> int:
        return self.h * self.w

    @property
    def windows(self) -> int:
        return self.oh * self.ow


def im2col(kernels: Kernels, dtype: str, x: int, columns: int, planes: int, k: Windows) -> None:
    """columns (planes, kh, kw, oh, ow) of x."""
    kernels(f"windows_{dtype}", "im2col")(*flat(planes * k.kh * k.kw * k.windows), x, columns, planes, *k)


def col2im(kernels: Kernels, dtype: str, columns: int, x: int, planes: int, k: Windows) -> None:
    """The transpose of `im2col`, each element of x summed by one thread."""
    kernels(f"windows_{dtype}", "col2im")(*flat(planes * k.pixels), columns, x, planes, *k)


def max_pool(kernels: Kernels, dtype: str, x: int, y: int, which: int, planes: int, k: Windows) -> None:
    """The maxima y, and the number of each in its window, int64; 0 for what is not wanted."""
    kernels(f"windows_{dtype}", "max_pool")(*flat(planes * k.windows), x, y, which, planes, *k)


def take_pooled(kernels: Kernels, dtype: str, x: int, which: int, y: int, planes: int, k: Windows) -> None:
    """y: the element of each window whose number is given."""
    kernels(f"windows_{dtype}", "take_pooled")(*flat(planes * k.windows), x, which, y, planes, *k)


def embed_pooled(kernels: Kernels, dtype: str, g: int, which: int, x: int, planes: int, k: Windows) -> None:
    """The transpose of `take_pooled`."""
    kernels(f"windows_{dtype}", "embed_pooled")(*flat(planes * k.pixels), g, which, x, planes, *k)


def avg_pool(
    kernels: Kernels, dtype: str, x: int, y: int, planes: int, k: Windows, counted: bool, divisor: int | None
) -> None:
    """The means y of the windows."""
    kernels(f"windows_{dtype}", "avg_pool")(
        *flat(planes * k.windows), x, y, planes, *k, counted, divisor or 0
    )


def avg_unpool(
    kernels: Kernels, dtype: str, g: int, x: int, planes: int, k: Windows, counted: bool, divisor: int | None
) -> None:
    """The transpose of `avg_pool`."""
    kernels(f"windows_{dtype}", "avg_unpool")(
        *flat(planes * k.pixels), g, x, planes, *k, counted, divisor or 0
    )
