"""Whether an array has the values that are expected, and the sentence that says where it has not."""

from __future__ import annotations

from typing import Any

import numpy as np

#: How far results may be from the exact ones, relatively, by the NumPy dtype they are computed in.
RTOL = {"e": 4e-3, "f": 2e-5, "d": 1e-11, "F": 2e-5, "D": 1e-11}


class Disagreement(AssertionError):
    """A result is not what is expected."""


def values(found: np.ndarray, want: Any, what: str, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Raise Disagreement where values differ; NaN equals NaN, infinities have signs; with no tolerance zeros have, too."""
    want = np.asarray(want)
    if found.shape != want.shape:
        raise Disagreement(f"{what}: found shape {found.shape}, expected {want.shape}")
    with np.errstate(all="ignore"):
        good = _same_parts(found, want) if not rtol and not atol else _near(found, want, rtol, atol)
    if not good.all():
        place = tuple(int(i) for i in np.argwhere(~good)[0]) if good.ndim else ()
        at = f"at {list(place)} " if place else ""
        count = f" ({int((~good).sum())} of {good.size} elements differ)" if good.size > 1 else ""
        raise Disagreement(f"{what}: {at}found {found[place]!s}, expected {want[place]!s}{count}")


def _same_parts(found: Any, want: Any) -> Any:
    if found.dtype.kind == "c":
        return _same(found.real, want.real) & _same(found.imag, want.imag)
    return _same(found, want)


def _same(found: Any, want: Any) -> Any:
    good = found == want
    if found.dtype.kind == "f":
        nan = np.isnan(found) & np.isnan(want)
        good = nan | (good & (np.signbit(found) == np.signbit(want)))
    return np.asarray(good)


def _near(found: Any, want: Any, rtol: float, atol: float) -> Any:
    return np.asarray(np.isclose(found, want, rtol=rtol, atol=atol, equal_nan=True))


def bits(found: np.ndarray, want: np.ndarray, what: str) -> None:
    """Raise Disagreement where the bytes differ: for NaN payloads, -0.0 and subnormal numbers."""
    if found.shape != want.shape or found.dtype != want.dtype:
        raise Disagreement(
            f"{what}: found {describe(found)}, expected {describe(want)}: shape and dtype must be those of the source"
        )
    one, two = (np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in (found, want))
    if not np.array_equal(one, two):
        i = int(np.argwhere(one != two)[0][0]) // want.itemsize
        raise Disagreement(
            f"{what}: element {i} in row-major order has other bits: found {found.reshape(-1)[i]!s}, "
            f"expected {want.reshape(-1)[i]!s}"
        )


def describe(value: Any) -> str:
    """An array as `float32[2, 3]`, in a list or alone; anything else as it prints.

    >>> describe([np.zeros((2, 3), np.float32), 2])
    '[float32[2, 3], 2]'
    """
    if isinstance(value, (list, tuple)):
        inside = ", ".join(map(describe, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    return repr(value)
