"""Dtypes, which are NumPy's, and what the standard asks of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..array import Array
from .devices import functions_on

bool = np.dtype(np.bool_)  # the standard's names hide Python's
int8, int16, int32, int64 = (np.dtype(f"int{n}") for n in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{n}") for n in (8, 16, 32, 64))
float16, float32, float64 = (np.dtype(f"float{n}") for n in (16, 32, 64))
complex64, complex128 = np.dtype("complex64"), np.dtype("complex128")

#: What Python's numbers become where nothing says otherwise; a device need not have float64.
DEFAULTS = {"real floating": float32, "complex floating": complex64, "integral": int64, "indexing": int64}
_KINDS = {
    "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f",
    "complex floating": "c", "numeric": "iufc",
}  # fmt: skip
_ALL = (
    bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, complex64, complex128, float16,
)  # fmt: skip


def _dtype(x: Any) -> np.dtype[Any]:
    return x.dtype if isinstance(x, Array) else np.dtype(x)


def isdtype(dtype: Any, kind: Any) -> Any:
    """Whether a dtype is one, or of a kind, or of one of a tuple of both.

    >>> isdtype(float32, "real floating"), isdtype(int8, ("bool", int16))
    (True, False)
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ValueError(f"isdtype: {kind!r} is no kind of dtypes; there are {', '.join(_KINDS)}")
        return np.dtype(dtype).kind in _KINDS[kind]
    return np.dtype(dtype) == kind


def can_cast(from_: Any, to: Any, /) -> Any:
    """Whether an array or a dtype can be cast to a dtype without loss, by NumPy's rules."""
    return np.can_cast(_dtype(from_), np.dtype(to))


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The dtype of what is computed of arrays, dtypes and Python numbers, which are weak."""
    given = [x.dtype if isinstance(x, Array) else x for x in arrays_and_dtypes]
    if not any(hasattr(x, "dtype") or isinstance(x, (np.dtype, type)) for x in given):
        raise ValueError("result_type: an array or dtype is needed, found Python numbers only")
    return np.result_type(*given)


def astype(x: Any, dtype: Any, /, *, copy: Any = True, device: Any = None) -> Any:
    """The elements in another dtype: floats are truncated on their way to integers, and complex numbers stay complex."""
    x = x.astype(dtype, copy=copy)
    return x if device is None else x.to_device(device)


class FloatInfo(NamedTuple):
    """What `finfo` tells of a float dtype; of a complex one that of its parts."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype[Any]


class IntegerInfo(NamedTuple):
    """What `iinfo` tells of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: np.dtype[Any]


def finfo(type: Any, /) -> FloatInfo:
    """The limits of a float or complex dtype, or of that of an array.

    >>> finfo(float32).bits
    32
    """
    found = np.finfo(_dtype(type))
    eps, largest, least, normal = map(float, (found.eps, found.max, found.min, found.smallest_normal))
    return FloatInfo(int(found.bits), eps, largest, least, normal, np.dtype(found.dtype))


def iinfo(type: Any, /) -> IntegerInfo:
    """The limits of an integer dtype, or of that of an array."""
    found = np.iinfo(_dtype(type))
    return IntegerInfo(int(found.bits), int(found.max), int(found.min), np.dtype(found.dtype))


class Info:
    """What `__array_namespace_info__()` returns."""

    def capabilities(self) -> dict[str, Any]:
        """What the standard leaves to a library."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 8}

    def default_device(self) -> Any:
        """The device where new arrays are."""
        return functions_on().device

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype[Any]]:
        """The dtypes of what is made of Python's numbers."""
        return dict(DEFAULTS)

    def devices(self) -> tuple[Any, ...]:
        """All devices, interpreters not among them."""
        from .. import runtimes

        return tuple(functions_on(found.index).device for found in runtimes.devices())

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype[Any]]:
        """The dtypes that a device computes in, by their names, of one kind or of several if asked."""
        known = {d.numpy for d in functions_on(device).dtypes}
        kinds = None if kind is None else kind
        return {
            d.name: d for d in _ALL if d in known and d != float16 and (kinds is None or isdtype(d, kinds))
        }


def __array_namespace_info__() -> Info:
    """What there is: devices, dtypes and their defaults, capabilities."""
    return Info()
