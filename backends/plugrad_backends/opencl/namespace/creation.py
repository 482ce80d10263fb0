"""Creation functions of the array API standard."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..array import Array
from .devices import functions_of, functions_on
from .dtypes import DEFAULTS

_DEFAULT = {
    "b": np.dtype(np.bool_), "i": DEFAULTS["integral"], "f": DEFAULTS["real floating"],
    "c": DEFAULTS["complex floating"],
}  # fmt: skip


def _shape(shape: Any) -> tuple[int, ...]:
    return tuple(n.__index__() for n in shape) if isinstance(shape, (tuple, list)) else (shape.__index__(),)


def _values(obj: Any) -> Any:
    """Nested sequences with the arrays in them as NumPy's."""
    if isinstance(obj, Array):
        return obj.get()
    return [_values(x) for x in obj] if isinstance(obj, (list, tuple, range)) else obj


def _uploaded(host: np.ndarray, dtype: Any, device: Any) -> Any:
    functions = functions_on(device)
    dtype = functions._numpy(host.dtype.newbyteorder("=") if dtype is None else dtype)
    if host.dtype.kind == "c" and dtype.kind not in "cb":
        raise TypeError(f"asarray: complex numbers are no {dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        return functions.from_numpy(np.ascontiguousarray(host.astype(dtype)).reshape(host.shape))


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
    """An array of a number, of nested sequences of numbers, of an array, or of whatever gives its memory by DLPack.

    Python's floats become float32, which every device has, its integers int64. An array of OpenCL is returned as it is,
    unless `copy` is true, or `dtype` or `device` another one.
    """
    if isinstance(obj, Array):
        x = obj if device is None else obj.to_device(device)
        moved = x is not obj or (dtype is not None and np.dtype(dtype) != obj.dtype)
        if moved and copy is False:
            raise ValueError(f"asarray: {obj.dtype} on {obj.device} cannot be had otherwise without a copy")
        if dtype is not None and np.dtype(dtype) != obj.dtype:
            return x.astype(dtype)
        return x.copy() if copy and not moved else x
    if copy is False:
        raise ValueError(
            f"asarray: {type(obj).__name__} is not in the memory of an OpenCL device: it must be copied"
        )
    if (
        hasattr(obj, "dtype")
        or hasattr(obj, "__array_interface__")
        or isinstance(obj, (bytes, bytearray, memoryview))
    ):
        host = np.asarray(obj)
    elif hasattr(obj, "__dlpack__"):
        return asarray(from_dlpack(obj, device=device), dtype=dtype)
    else:
        host = np.asarray(_values(obj))
        if dtype is None and not hasattr(obj, "dtype"):
            dtype = host.dtype if _has_dtype(obj) else _DEFAULT.get(host.dtype.kind, host.dtype)
    if host.dtype.kind not in "biufc":
        raise TypeError(f"asarray: numbers are needed, found {obj!r}")
    return _uploaded(host, dtype, device)


def _has_dtype(obj: Any) -> bool:
    """Whether there is an array or scalar with a dtype in nested sequences: then NumPy has found the common dtype."""
    if isinstance(obj, (list, tuple)):
        return any(_has_dtype(x) for x in obj)
    return hasattr(obj, "dtype")


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """An array of what another library holds, by DLPack: a copy, but for an array of OpenCL itself."""
    if isinstance(x, Array):
        return asarray(x, device=device, copy=copy)
    if copy is False:
        raise BufferError("from_dlpack: memory of another library is not that of OpenCL: it must be copied")
    on_host = x.__dlpack_device__()[0] == 1
    host = np.from_dlpack(x) if on_host else np.from_dlpack(x, device="cpu", copy=True)
    return _uploaded(host, None, device)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of one value."""
    if dtype is None:
        host = np.asarray(fill_value)
        dtype = _DEFAULT.get(host.dtype.kind, host.dtype)
    functions = functions_on(device)
    return _filled(functions, _shape(shape), fill_value, functions._numpy(dtype))


def _filled(functions: Any, shape: tuple[int, ...], value: Any, dtype: Any) -> Any:
    if isinstance(value, complex) and dtype.kind not in "cb":
        raise TypeError(f"full: {value} is no {dtype}")
    return functions.full(shape, value, dtype)


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of unspecified values."""
    functions = functions_on(device)
    return functions.device.empty(
        _shape(shape), functions._numpy(DEFAULTS["real floating"] if dtype is None else dtype)
    )


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of zeros."""
    return full(shape, 0, dtype=DEFAULTS["real floating"] if dtype is None else dtype, device=device)


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of ones."""
    return full(shape, 1, dtype=DEFAULTS["real floating"] if dtype is None else dtype, device=device)


def _like(x: Any, dtype: Any, device: Any) -> tuple[Any, Any]:
    functions = functions_of(x) if device is None else functions_on(device)
    return functions, functions._numpy(x.dtype if dtype is None else dtype)


def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of unspecified values, of the shape of another."""
    functions, dtype = _like(x, dtype, device)
    return functions.device.empty(x.shape, dtype)


def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of one value, of the shape of another."""
    functions, dtype = _like(x, dtype, device)
    return _filled(functions, x.shape, fill_value, dtype)


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of zeros, of the shape of another."""
    return full_like(x, 0, dtype=dtype, device=device)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of ones, of the shape of another."""
    return full_like(x, 1, dtype=dtype, device=device)


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Any:
    """The numbers from `start` (from 0 where it is the only one) up to before `stop`, `step` apart."""
    start, stop = (0, start) if stop is None else (start, stop)
    if dtype is None:
        dtype = _DEFAULT["f" if any(isinstance(n, float) for n in (start, stop, step)) else "i"]
    return _uploaded(np.arange(start, stop, step), dtype, device)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Any:
    """`num` numbers at the same distance from `start` to `stop`, which is the last one unless `endpoint` is false."""
    if dtype is None:
        dtype = _DEFAULT["c" if isinstance(start, complex) or isinstance(stop, complex) else "f"]
    return _uploaded(np.linspace(start, stop, num, endpoint=endpoint), dtype, device)


def eye(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None
) -> Any:
    """Ones on a diagonal of zeros, `k` above the main one."""
    dtype = DEFAULTS["real floating"] if dtype is None else dtype
    return _uploaded(np.eye(n_rows, n_cols, k, dtype=bool), dtype, device)


def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    """The coordinates of the points of a grid: for each axis an array of the shape of the grid."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f'meshgrid: indexing must be "xy" or "ij", found {indexing!r}')
    n = len(arrays)
    order = list(range(n))
    if indexing == "xy" and n > 1:
        order[:2] = 1, 0
    shape = [0] * n
    for x, at in zip(arrays, order):
        shape[at] = x.size
    return tuple(
        x.reshape(tuple(x.size if i == at else 1 for i in range(n))).broadcast_to(tuple(shape)).copy()
        for x, at in zip(arrays, order)
    )


def _matrix(x: Any, name: str) -> Any:
    if x.ndim < 2:
        raise ValueError(f"{name}: 2 or more dimensions are needed, found shape {x.shape}")
    return functions_of(x)


def tril(x: Any, /, *, k: int = 0) -> Any:
    """The matrices with zeros above the diagonal that is `k` above the main one."""
    return _matrix(x, "tril").tril(x, k)


def triu(x: Any, /, *, k: int = 0) -> Any:
    """The matrices with zeros below the diagonal that is `k` above the main one."""
    return _matrix(x, "triu").triu(x, k)
