"""What the formulas share."""

from __future__ import annotations

from typing import Any

from plugrad import dtypes
from plugrad.ops import zeros_like


def numbers(like: Any, *values: Any) -> tuple[Any, ...]:
    """The values as floating-point arrays or tensors: Python numbers and integers take the dtype of `like`."""
    return tuple(v if _is_float(v) else zeros_like(like) + v for v in values)


def _is_float(value: Any) -> bool:
    raw = getattr(value, "_raw", value)
    return hasattr(raw, "dtype") and dtypes.of(raw.dtype).category >= dtypes.FLOAT


def horner(coefficients: tuple[float, ...], t: Any) -> Any:
    """The polynomial in `t` whose coefficients these are, the constant first."""
    value = t * 0 + coefficients[-1]
    for c in reversed(coefficients[:-1]):
        value = value * t + c
    return value
