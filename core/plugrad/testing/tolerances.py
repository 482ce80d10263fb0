"""How far two results of one computation may be apart, by dtype; what `opcheck` and `compare` go by.

Two numbers agree where |found - expected| <= atol + rtol * |expected|. NaN agrees with NaN, an infinity with itself, and
integers and bools with nothing but themselves. The figures are PyTorch's (`torch.testing.assert_close`).

| dtype | rtol | atol |
|---|---|---|
| float16 | 1e-3 | 1e-5 |
| bfloat16 | 1.6e-2 | 1e-5 |
| float32, complex64 | 1.3e-6 | 1e-5 |
| float64, complex128 | 1e-7 | 1e-7 |
| anything else | 0 | 0 |
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: (rtol, atol) by the name of a dtype.
TOLERANCES: dict[str, tuple[float, float]] = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "complex64": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex128": (1e-7, 1e-7),
}


def tolerance(dtype: Any, rtol: float | None = None, atol: float | None = None) -> tuple[float, float]:
    """(rtol, atol) for results of a dtype; those given take the place of the table's, for inexact dtypes alone.

    >>> tolerance(np.dtype("float32")), tolerance(np.dtype("int64"), rtol=0.1)
    ((1.3e-06, 1e-05), (0.0, 0.0))
    """
    known = TOLERANCES.get(str(dtype).rpartition(".")[2])
    if known is None:
        return 0.0, 0.0
    return known[0] if rtol is None else rtol, known[1] if atol is None else atol


class Difference:
    """Where two arrays are furthest apart, measured by what was allowed there; or what else is unlike: `reason`."""

    __slots__ = ("allowed", "count", "error", "expected", "found", "place", "reason", "size")

    def __init__(self, reason: str = "") -> None:
        #: "shape", "dtype", or "" where it is a number.
        self.reason = reason
        self.found: Any = None
        self.expected: Any = None
        #: |found - expected| and what was allowed, at the worst place.
        self.error = self.allowed = float("inf")
        self.place: tuple[int, ...] = ()
        #: How many of how many elements are too far apart.
        self.count = self.size = 0

    def __str__(self) -> str:
        if self.reason:
            return f"{self.reason} {self.found}, expected {self.expected}"
        where = f" at {list(self.place)}" if self.place else ""
        return (
            f"{self.found}, expected {self.expected}{where}: they differ by {self.error:.3g}, allowed are "
            f"{self.allowed:.3g} ({self.count} of {self.size} elements differ too much)"
        )


def difference(
    found: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    dtypes: bool = True,
) -> Difference | None:
    """What two NumPy arrays differ in by more than their dtype allows; None where they agree.

    Without `dtypes` that of the expected array decides, and the other may have another.

    >>> print(difference(np.array([1.0, 2.5]), np.array([1.0, 2.0])))
    2.5, expected 2.0 at [1]: they differ by 0.5, allowed are 3e-07 (1 of 2 elements differ too much)
    """
    found, expected = np.asarray(found), np.asarray(expected)
    for reason, a, b in (
        ("shape", list(found.shape), list(expected.shape)),
        ("dtype", found.dtype, expected.dtype),
    ):
        if a != b and (dtypes or reason == "shape"):
            d = Difference(reason)
            d.found, d.expected = a, b
            return d
    relative, absolute = tolerance(expected.dtype, rtol, atol)
    if found.dtype.kind not in "fc" or expected.dtype.kind not in "fc":
        wrong = found != expected
    else:
        wide = np.complex128 if "c" in (found.dtype.kind, expected.dtype.kind) else np.float64
        found, expected = found.astype(wide), expected.astype(wide)
        with np.errstate(all="ignore"):
            allowed = absolute + relative * np.abs(expected)
            error = np.abs(found - expected)
            same = (found == expected) | (np.isnan(found) & np.isnan(expected))
            wrong = ~(same | (np.isfinite(expected) & (error <= allowed)))
    if not wrong.any():
        return None
    d = Difference()
    d.count, d.size = int(wrong.sum()), int(wrong.size)
    if found.dtype.kind in "fc" and expected.dtype.kind in "fc":
        with np.errstate(all="ignore"):
            excess = np.where(
                wrong, np.where(np.isfinite(error), error / np.maximum(allowed, 1e-300), np.inf), -1
            )
    else:
        excess = wrong.astype(float)
    place = np.unravel_index(int(np.argmax(excess)), wrong.shape)
    d.place = tuple(int(i) for i in place)
    d.found, d.expected = found[place].item(), expected[place].item()
    try:
        d.error = float(abs(d.found - d.expected))
    except TypeError:  # of bools it is a number
        pass
    relative_there = relative * abs(d.expected) if np.isfinite(d.expected) else 0.0
    d.allowed = float(absolute + relative_there)
    return d
