"""cuBLAS as NumPy: what `Cublas.gemm` is asked for, computed on addresses of the host's memory, columns first.

It refuses what cuBLAS refuses: leading dimensions that are too small, sizes that do not fit in 32 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import stored

_REAL = {"bfloat16": np.uint16}


class FakeCublas:
    """Stands in for `Cublas`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def gemm(
        self, dtype: str, tf32: bool, t_first: bool, t_second: bool, m: int, n: int, k: int, first: int, ld_first: int,
        step_first: int, second: int, ld_second: int, step_second: int, y: int, ld_y: int, step_y: int, count: int,
    ) -> None:  # fmt: skip
        """y = first · second, `count` times."""
        self.calls.append((dtype, tf32, t_first, t_second, m, n, k, count))
        assert min(m, n, k, count) > 0 and max(m, n, k, count, ld_first, ld_second, ld_y) < 2**31
        for i in range(count):
            a = self._matrix(first, dtype, i * step_first, m, k, ld_first, t_first)
            b = self._matrix(second, dtype, i * step_second, k, n, ld_second, t_second)
            target = self._matrix(y, dtype, i * step_y, m, n, ld_y, False)
            wide: Any = np.float32 if dtype in ("float16", "bfloat16") else a.dtype
            product = _wide(a, dtype).astype(wide) @ _wide(b, dtype).astype(wide)
            target[...] = stored(product, dtype)

    def _matrix(
        self, address: int, dtype: str, offset: int, rows: int, cols: int, ld: int, transposed: bool
    ) -> Any:
        if transposed:
            return self._matrix(address, dtype, offset, cols, rows, ld, False).T
        assert ld >= max(1, rows), "a leading dimension is too small"
        raw = np.dtype(_REAL.get(dtype, dtype))

        class Interface:
            __array_interface__ = {  # noqa: RUF012
                "data": (address + offset * raw.itemsize, False), "shape": (rows, cols), "version": 3,
                "strides": (raw.itemsize, ld * raw.itemsize), "typestr": raw.str,
            }  # fmt: skip

        return np.asarray(Interface())


def _wide(x: np.ndarray, dtype: str) -> np.ndarray:
    return (x.astype(np.uint32) << 16).view(np.float32) if dtype == "bfloat16" else x
