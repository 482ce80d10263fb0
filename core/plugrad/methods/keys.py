"""What stands in the brackets of `tensor[...]`, made canonical once.

A key is split in two: a *basic* one of integers, slices of positive step and None, which makes a view, and an
*advanced* one of index arrays and full slices, which is applied to that view. So integers are applied before
index arrays are, as in PyTorch; NumPy would take an integer beside an index array for another index array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import dtypes, ops
from ..backend import BY_ARRAY, Backend, backend_of, for_device
from ..errors import DeviceError
from ..graph import Variable

FULL = slice(None)


def is_basic(parts: tuple[Any, ...]) -> bool:
    """Whether a key consists of plain integers, slices of them and None: nothing is to be converted."""
    for p in parts:
        if type(p) is slice:
            if not (
                (p.step is None or (type(p.step) is int and p.step > 0))
                and (p.start is None or type(p.start) is int)
                and (p.stop is None or type(p.stop) is int)
            ):
                return False
        elif type(p) is not int and p is not None:
            return False
    return True


def split(parts: tuple[Any, ...], raw: Any) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
    """The basic and the advanced key that do, one after the other, what the key `parts` says.

    A basic key ends with an Ellipsis, so that the result is an array also where it has no dimension. The
    advanced key, if any, has raw arrays of integers or masks.
    """
    if parts and parts[-1] is Ellipsis:  # which says nothing: every key ends with one
        parts = parts[:-1]
    if is_basic(parts):
        return (*parts, ...), None
    backend, ndim = backend_of(raw), len(raw.shape)
    found = [_part(p, backend) for p in parts]
    _check_number(found, ndim)
    basic: list[Any] = []
    advanced: list[Any] = []
    for p in _without_ellipsis(found, ndim):
        if type(p) is bool:  # a dimension of size 1, which True keeps and False empties
            basic.append(None)
            advanced.append(backend.from_numpy(np.zeros(int(p), np.int64)))
        elif hasattr(p, "dtype"):
            basic += [FULL] * _consumes(p)
            advanced.append(p)
        else:
            basic.append(p)
            if type(p) is not int:
                advanced.append(FULL)
    if all(type(p) is slice for p in advanced):
        return (*basic, ...), None
    while type(advanced[-1]) is slice:
        advanced.pop()
    return (*(basic if any(p != FULL for p in basic) else ()), ...), tuple(advanced)


def _consumes(p: Any) -> int:
    """How many dimensions a canonical part is about."""
    if p is None or p is Ellipsis or type(p) is bool:
        return 0
    return len(p.shape) if hasattr(p, "dtype") and dtypes.of(p.dtype) is dtypes.bool_ else 1


def _check_number(parts: Sequence[Any], ndim: int) -> None:
    consumed = sum(map(_consumes, parts))
    if consumed > ndim:
        if not ndim:
            raise IndexError("invalid index of a 0-dim tensor: use tensor.item() to convert it to a number")
        raise IndexError(f"too many indices for tensor of dimension {ndim}: found {consumed}")


def _without_ellipsis(parts: Sequence[Any], ndim: int) -> list[Any]:
    """`parts` with the first Ellipsis replaced by full slices; PyTorch ignores further ones."""
    expanded: list[Any] = []
    missing = ndim - sum(map(_consumes, parts))
    for p in parts:
        if p is Ellipsis:
            expanded += [FULL] * missing
            missing = 0
        else:
            expanded.append(p)
    return expanded


def _part(p: Any, backend: Backend) -> Any:
    """One part of a key: a plain int or bool, None, Ellipsis, a slice of plain ints, or a raw array."""
    if p is None or p is Ellipsis or type(p) in (int, bool):
        return p
    if type(p) is slice:
        return _slice(p)
    if isinstance(p, Variable):
        return _part_of_array(index_array(p, backend), lambda: p.item())
    if isinstance(p, (np.ndarray, np.generic)):  # a copy: its owner may change it before a backward
        return _part_of_array(_checked(backend.from_numpy(np.array(p))), p.item)
    if isinstance(p, Sequence) and not isinstance(p, (str, bytes)):
        values = np.asarray(_plain(p))
        return _checked(backend.from_numpy(values if values.size else values.astype(np.int64)))
    if hasattr(p, "__index__"):
        return int(p)
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and integer or bool tensors are valid indices "
        f"(got {type(p).__name__})"
    )


def _slice(p: slice) -> slice:
    def bound(value: Any) -> int | None:
        return None if value is None else value.__index__()

    start, stop, step = bound(p.start), bound(p.stop), bound(p.step)
    if step is not None and step <= 0:
        raise ValueError(
            f"step must be greater than zero, found {step}: use torch.flip to reverse a dimension"
        )
    return slice(start, stop, step)


def _part_of_array(raw: Any, item: Any) -> Any:
    """A 0-d array indexes like a number, any other is an index array."""
    return raw if len(raw.shape) or BY_ARRAY[type(raw)].is_transform else item()


def _plain(p: Any) -> Any:
    if isinstance(p, Variable):
        return p.tolist()
    return [_plain(e) for e in p] if isinstance(p, Sequence) else p


def index_array(tensor: Any, backend: Backend) -> Any:
    """The raw index array in a tensor: int64, or a mask, on the device that it indexes."""
    raw = tensor._raw
    if BY_ARRAY[type(raw)].is_transform:  # an op goes up to its level
        return _checked(raw)
    backend = backend.base if backend.is_transform else backend
    if backend_of(raw) is not backend:
        if tensor.device.type != "cpu":
            raise DeviceError(
                "indices should be either on cpu or on the same device as the indexed tensor "
                f"({backend.device_name}), found {tensor.device}: move them with .to(...)"
            )
        raw = backend.from_numpy(tensor._host())
    return _checked(raw)


def _checked(raw: Any) -> Any:
    dt = dtypes.of(raw.dtype)
    if dt is dtypes.bool_ or dt is dtypes.int64:
        return raw
    if dt is dtypes.uint8:
        raise IndexError(
            "tensors used as indices must not be uint8: convert a mask with .bool(), positions with .long()"
        )
    if dt.category != dtypes.INTEGER:
        raise IndexError(f"tensors used as indices must be long, int or bool tensors, found {dt}")
    return ops.astype(raw, dtypes.int64)


def on_host(raw: Any) -> np.ndarray:
    """The values of a raw array as a NumPy array."""
    backend = BY_ARRAY[type(raw)]
    return np.asarray(backend.all_values(raw) if backend.is_transform else backend.to_numpy(raw))


def check_range(raw: Any, low: int, high: int, error: Callable[[Any], Exception]) -> None:
    """Raise `error(element)` for an element of a raw array that is not within low … high."""
    backend = BY_ARRAY[type(raw)]
    if backend.is_transform:
        for_device("cpu").check_range(on_host(raw), low, high, error)
    else:
        backend.check_range(raw, low, high, error)


def explained(error: Exception, parts: tuple[Any, ...], raw: Any) -> Exception:
    """The IndexError, in PyTorch's words, for a key that a backend has refused with `error`."""
    basic, advanced = split(parts, raw)
    shape = tuple(raw.shape)
    _check_number([p for p in basic if p is not Ellipsis], len(shape))
    try:
        shape = np.broadcast_to(0, shape)[basic].shape
    except IndexError as out_of_range:
        return IndexError(str(out_of_range).replace("axis", "dimension"))
    dim, arrays = 0, []
    for p in advanced or ():
        if hasattr(p, "dtype"):
            host = on_host(p)
            arrays.append(list(host.shape))
            if host.dtype == bool:
                for i, n in enumerate(host.shape):
                    if n != shape[dim + i]:
                        return IndexError(
                            f"The shape of the mask {list(host.shape)} at index {i} does not match the shape "
                            f"of the indexed tensor {list(shape)} at index {dim + i}"
                        )
            elif host.size and not -shape[dim] <= host.min() <= host.max() < shape[dim]:
                bad = host[(host < -shape[dim]) | (host >= shape[dim])].flat[0]
                return IndexError(f"index {bad} is out of bounds for dimension {dim} with size {shape[dim]}")
        dim += _consumes(p)
    if len(arrays) > 1:
        return IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {arrays}"
        )
    return error
