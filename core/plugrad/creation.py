"""New tensors: from data, filled, and in sequences."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import reduce
from itertools import chain
from operator import index
from typing import Any

import numpy as np

from . import dtypes, levels, ops, plugins, quiet, storage
from .backend import for_array, for_device
from .device import device as Device
from .dtypes import dtype as Dtype
from .errors import DeviceError
from .graph import Variable
from .graph import made as wrap
from .size import Size

_default_device: Device | None = None  # not asked for yet


def get_default_device() -> Device:
    """The device of new tensors for which none is named: the CPU, unless `set_default_device` changed it.

    The environment variable PLUGRAD_DEFAULT_DEVICE names another one to begin with; "auto": what a plugin proposes.
    """
    return chosen_device().resolved()


def chosen_device() -> Device:
    """The same as it was named: without an index, maybe, that its type stands for."""
    if _default_device is None:
        try:
            set_default_device(os.environ.get("PLUGRAD_DEFAULT_DEVICE") or None)
        except RuntimeError as error:
            raise DeviceError(f"the environment variable PLUGRAD_DEFAULT_DEVICE: {error}") from error
    return _default_device


def set_default_device(device: Any) -> None:
    """Make `device` the place of new tensors for which none is named; "auto": the one that a plugin proposes, else the CPU."""
    global _default_device
    if device == "auto":
        device = plugins.installed().default_device()
    _default_device = Device("cpu" if device is None else device)


def place(device: Any) -> Any:
    """The backend of a device as users name it; None is the default device."""
    d = Device((_default_device or chosen_device()) if device is None else device)
    return for_device(d.type, d.name or d.index)


def finish(raw: Any, requires_grad: bool) -> Any:
    """A new tensor over `raw`, a leaf that requires grad if asked."""
    tensor = wrap(raw)
    return tensor.requires_grad_() if requires_grad else tensor


# --- from data ----------------------------------------------------------------------------------------------


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A new tensor with a copy of `data`: numbers, nested sequences of them, an array or a tensor.

    Python floats become the default dtype (float32), ints int64; arrays and NumPy's scalars keep their dtype.

    >>> tensor([[1, 2], [3, 4]]).dtype, tensor([True, 2.5])
    (torch.int64, tensor([1.0000, 2.5000]))
    """
    if isinstance(data, Variable):
        device = data.device if device is None else device
    elif hasattr(data, "shape") and not isinstance(data, (np.ndarray, np.generic)):
        shared = _of_other_library(data)
        if shared is not None:
            found = shared.to(device=device, dtype=dtypes.asked(dtype))
            return finish(found.clone()._raw if found is shared else found._raw, requires_grad)
    return finish(_copied(data, dtypes.asked(dtype), device), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """`data` as a tensor, without a copy where it is a tensor or an array of that dtype and place already."""
    dt = dtypes.asked(dtype)
    if isinstance(data, Variable):
        return data.to(device=device, dtype=dt)
    if isinstance(data, np.ndarray):
        alike = data.dtype.isnative and dt in (None, dtypes.of(data.dtype))
        return (
            from_numpy(data)
            if alike and place(device).device_type == "cpu"
            else tensor(data, dtype=dt, device=device)
        )
    shared = _of_other_library(data) if hasattr(data, "shape") else None
    return tensor(data, dtype=dt, device=device) if shared is None else shared.to(device=device, dtype=dt)


def _of_other_library(data: Any) -> Any:
    """A tensor over the memory of an array of a backend's library, or of one with CUDA's array interface; None for others."""
    backend = for_array(data)
    if backend is not None and type(data) is backend.array_type:
        shared = wrap(backend.lend(data))
        if backend.inplace:
            storage.adopt(shared, data)
        return shared
    try:
        data.__cuda_array_interface__  # noqa: B018
    except Exception:  # it has none, or is not on a GPU
        return None
    cuda: Any = for_device("cuda")
    shared = wrap(cuda.from_interface(data))
    storage.adopt(shared, data)
    return shared


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Any:
    """`as_tensor`, outside any graph; with `copy` always a copy or, if it is False, never (ValueError if need be)."""
    result = tensor(obj, dtype=dtype, device=device) if copy else _outside(as_tensor(obj, dtype, device))
    if copy is False and not isinstance(obj, Variable) and not storage.of(result).handed_out:
        raise ValueError(
            f"asarray: this {type(obj).__name__} cannot be shared as asked, only copied: leave copy=False out"
        )
    return result.requires_grad_(requires_grad)


def _outside(x: Any) -> Any:
    """`x` outside any graph; what a transform knows of it stays, where it needs no gradient."""
    return (
        ops.reshape_.call(x, tuple(x._raw.shape)) if levels.of(x._raw) and not x.requires_grad else x.detach()
    )


def from_numpy(ndarray: np.ndarray) -> Any:
    """A CPU tensor that shares the memory of a NumPy array; where that is read-only, so is the tensor."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if not ndarray.dtype.isnative:
        raise ValueError(
            f"from_numpy: given numpy array has byte order different from the native byte order ({ndarray.dtype}): "
            "copy it with torch.tensor(...)"
        )
    dtypes.of(ndarray.dtype)
    shared, owner = wrap(place("cpu").from_numpy(ndarray)), ndarray
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    storage.adopt(shared, owner)
    return shared


def _copied(data: Any, dt: Dtype | None, device: Any) -> Any:
    """A raw array with a copy of `data`."""
    if isinstance(data, Variable):
        values: np.ndarray = data._host()
    elif isinstance(data, (np.ndarray, np.generic)) or (
        hasattr(data, "__array__") and not isinstance(data, Sequence)
    ):
        values = np.asarray(data)
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
    else:
        values, dt = _read(data, dt)
    return _from_host(values, dt or dtypes.of(values.dtype), device)


def _from_host(values: np.ndarray, dt: Dtype, device: Any) -> Any:
    """A raw array with a copy of `values`."""
    backend = place(device)
    if dt not in backend.dtypes:
        raise DeviceError(f"device {backend.device_type!r} has no {dt.name}: ask for another dtype")
    raw = backend.from_numpy(quiet.run_anyway(np.array, values, dt.numpy or np.float32, order="C"))
    return backend.astype(raw, dt) if dt.numpy is None else raw  # the backend has what NumPy lacks


def _read(data: Any, dt: Dtype | None) -> tuple[np.ndarray, Dtype]:
    """The values of a number or of nested sequences, and the dtype: `dt`, or what PyTorch infers."""
    shape: tuple[int, ...] = ()
    level = [data]
    while True:
        kinds = set(map(type, level))
        sequences = {k for k in kinds if k not in _NUMBERS and _is_sequence(k)}
        if not sequences:
            break
        if sequences != kinds:
            other = (kinds - sequences).pop()
            raise TypeError(f"tensor: expected a sequence at dim {len(shape)}, found {other.__name__}")
        for s in level:
            if len(s) != len(level[0]):
                raise ValueError(
                    f"tensor: expected sequence of length {len(level[0])} at dim {len(shape)} (got {len(s)}): "
                    "all sequences at one depth must be of one length"
                )
        if len(shape) == 64:
            raise ValueError("tensor: too many dimensions: the sequences are nested deeper than 64")
        shape += (len(level[0]),)
        level = list(chain.from_iterable(level))
    if not level:
        return np.empty(shape), dt or dtypes.get_default_dtype()
    if kinds <= _NUMBERS:
        found = reduce(dtypes.promote_types, map(_of_kind, kinds))
        return _numbers(level, found, dt or found).reshape(shape), dt or found
    if all(isinstance(x, np.ndarray) for x in level):
        arrays = np.stack(level)
        return arrays.reshape(shape + level[0].shape), dt or reduce(
            dtypes.promote_types, {dtypes.of(x.dtype) for x in level}
        )
    found = reduce(dtypes.promote_types, {_inferred(x) for x in level})
    level = [x.item() if hasattr(x, "item") else x for x in level]
    return _numbers(level, found, dt or found).reshape(shape), dt or found


_NUMBERS = frozenset((bool, int, float, complex))


def _of_kind(kind: type) -> Dtype:
    return dtypes.of_scalar(kind())


def _is_sequence(kind: type) -> bool:
    return issubclass(kind, Sequence) and not issubclass(kind, (str, bytes))


def _inferred(x: Any) -> Dtype:
    """The dtype of one number in a sequence."""
    if isinstance(x, Variable):
        if x.numel() != 1:
            raise ValueError(
                "tensor: only one element tensors can be converted to Python scalars, found one of shape "
                f"{list(x.shape)} in a sequence: use torch.stack"
            )
        return x.dtype
    if isinstance(x, (np.ndarray, np.generic)):
        return dtypes.of(x.dtype)
    if isinstance(x, (str, bytes)):
        raise TypeError(
            f"tensor: invalid data type {type(x).__name__!r}: expected numbers, sequences of them or arrays"
        )
    if not isinstance(x, (int, float, complex)):
        raise RuntimeError(
            f"Could not infer dtype of {type(x).__name__}: expected numbers, sequences of them or arrays"
        )
    return dtypes.of_scalar(x)


def _numbers(values: list[Any], found: Dtype, dt: Dtype) -> np.ndarray:
    """Python numbers, whose inferred dtype is `found`, as an array that converts to `dt`; errors if they do not fit."""
    if found.is_complex and not dt.is_complex:
        raise TypeError(f"tensor: complex numbers cannot become {dt}: take their .real")
    wide = [np.bool_, np.uint64 if dt is dtypes.uint64 else np.int64, np.float64, np.complex128]
    kind = (
        found.category if dt.category in (dtypes.BOOL, dtypes.INTEGER) else max(found.category, dt.category)
    )
    try:
        array = np.array(values, wide[kind])
    except OverflowError:
        if dt is found:
            raise ValueError(
                "tensor: Overflow when unpacking long long: ints beyond 64 bits need a float dtype"
            ) from None
        raise RuntimeError(f"value cannot be converted to type {dt.name} without overflow") from None
    if (
        dt.category == dtypes.INTEGER
        and array.dtype != dt.numpy
        and not np.all([dtypes.fits(v, dt) for v in (array.min(), array.max())])
    ):
        raise RuntimeError(
            f"value cannot be converted to type {dt.name} without overflow: found {array.min()} … {array.max()}"
        )
    return array


# --- filled -------------------------------------------------------------------------------------------------


def _sizes(sizes: tuple[Any, ...], asked: str, size: Any = None) -> tuple[int, ...]:
    """The shape that `zeros(2, 3)`, `zeros((2, 3))` and `zeros(size=(2, 3))` ask for."""
    given = sizes if size is None else (size,)
    if not given:
        raise TypeError(f'{asked}() missing 1 required positional arguments: "size"')
    shape = tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
    for n in shape:
        if not hasattr(n, "__index__") or isinstance(n, bool):
            raise TypeError(
                f"{asked}(): argument 'size' must be tuple of ints, not {type(n).__name__}: found {n!r}"
            )
        if n < 0:
            raise RuntimeError(f"{asked}: Trying to create tensor with negative dimension {n}: {list(shape)}")
    return tuple(map(index, shape))


def _dtype(dtype: Any) -> Dtype:
    return dtypes.asked(dtype) or dtypes.get_default_dtype()


def empty(
    *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """A tensor of unspecified values."""
    return finish(place(device).empty(_sizes(sizes, "empty", size), _dtype(dtype)), requires_grad)


def zeros(
    *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """A tensor of zeros.

    >>> zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    return finish(place(device).zeros(_sizes(sizes, "zeros", size), _dtype(dtype)), requires_grad)


def ones(
    *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """A tensor of ones."""
    return finish(place(device).full(_sizes(sizes, "ones", size), 1, _dtype(dtype)), requires_grad)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """A tensor of one value, a number or a 0-d tensor; its dtype is that of the Python number unless given."""
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full(): argument 'size' must be tuple of ints, not {type(size).__name__}")
    value = number(fill_value, "full", "fill_value")
    dt = dtypes.asked(dtype) or dtypes.of_scalar(value)
    return finish(
        place(device).full(_sizes((size,), "full"), dtypes.cast_number(value, dt, "full"), dt), requires_grad
    )


def number(value: Any, asked: str, name: str) -> Any:
    """A Python number from a number of any kind, 0-d tensors included."""
    if isinstance(value, (Variable, np.generic)) and not value.shape:
        value = value.item()
    if not isinstance(value, (int, float, complex)):
        raise TypeError(f"{asked}(): argument {name!r} must be Number, not {type(value).__name__}")
    return value


def _like(input: Any, dtype: Any, device: Any) -> tuple[Size, Dtype, Any]:
    if not isinstance(input, Variable):
        raise TypeError(f"argument 'input' must be Tensor, not {type(input).__name__}")
    return input.shape, dtypes.asked(dtype) or input.dtype, input.device if device is None else device


def empty_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A tensor of unspecified values with the shape, dtype and device of `input`."""
    shape, dt, where = _like(input, dtype, device)
    return levels.like(input, empty(shape, dtype=dt, device=where, requires_grad=requires_grad))


def zeros_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Zeros with the shape, dtype and device of `input`."""
    shape, dt, where = _like(input, dtype, device)
    return levels.like(input, zeros(shape, dtype=dt, device=where, requires_grad=requires_grad))


def ones_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Ones with the shape, dtype and device of `input`."""
    shape, dt, where = _like(input, dtype, device)
    return levels.like(input, ones(shape, dtype=dt, device=where, requires_grad=requires_grad))


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """One value with the shape, dtype and device of `input`."""
    shape, dt, where = _like(input, dtype, device)
    return levels.like(input, full(shape, fill_value, dtype=dt, device=where, requires_grad=requires_grad))


# --- sequences ----------------------------------------------------------------------------------------------


def arange(
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """The numbers from `start` (0 if only one is given) up to, but not including, `end`.

    >>> arange(3), arange(1, 2, 0.5)
    (tensor([0, 1, 2]), tensor([1.0000, 1.5000]))
    """
    start, end = (0, start) if end is None else (0 if start is None else start, end)
    start, end, step = (number(v, "arange", n) for v, n in ((start, "start"), (end, "end"), (step, "step")))
    whole = all(isinstance(v, int) for v in (start, end, step))
    dt = dtypes.asked(dtype) or (dtypes.int64 if whole else dtypes.get_default_dtype())
    if dt.category not in (dtypes.INTEGER, dtypes.FLOAT):
        raise NotImplementedError(
            f"arange: not implemented for {dt}: ask for an integer or floating-point dtype"
        )
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"arange: unsupported range: {start} -> {end}")
    if dt.category == dtypes.INTEGER:
        start, end, step = int(start), int(end), int(step)
    if step == 0:
        raise RuntimeError("arange: step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(
            f"arange: upper bound and lower bound inconsistent with step sign: {start}, {end}, {step}"
        )
    count = -((start - end) // step) if isinstance(step, int) else math.ceil((end - start) / step)
    kind = np.int64 if dt.category == dtypes.INTEGER else np.float64
    values = kind(start) + np.arange(int(count), dtype=kind) * kind(step)
    return finish(_from_host(values, dt, device), requires_grad)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """`steps` equally spaced numbers from `start` to `end`, both included."""
    steps = index(steps)
    if steps < 0:
        raise RuntimeError(f"linspace: number of steps must be non-negative, found {steps}")
    start, end = number(start, "linspace", "start"), number(end, "linspace", "end")
    dt = dtypes.asked(dtype) or dtypes.promote_types(
        dtypes.get_default_dtype(), dtypes.of_scalar(start + end)
    )
    if dt.category == dtypes.BOOL:
        raise NotImplementedError(f"linspace: not implemented for {dt}: ask for a number's dtype")
    if dt.is_complex:
        values = np.empty(steps, dt.numpy)
        values.real, values.imag = (
            linspace(a, b, steps, dtype=dt.to_real())._host()
            for a, b in ((start.real, end.real), (start.imag, end.imag))
        )
        return finish(_from_host(values, dt, device), requires_grad)
    kind = np.dtype(np.float64) if dt.category == dtypes.INTEGER else dt.numpy
    low, high = (
        np.asarray(dtypes.cast_number(v, dt, "linspace") if steps else 0, kind)
        for v in (start, end if steps > 1 else start)
    )
    with np.errstate(all="ignore"):  # an infinite end
        # From both ends towards the middle, so that the sequence is symmetric, as PyTorch's is.
        step, i = (high - low) / kind.type(max(steps - 1, 1)), np.arange(steps)
        values = np.where(i < steps // 2, _fused(low, step, i), _fused(high, -step, steps - 1 - i))
    return finish(_from_host(values, dt, device), requires_grad)


def _fused(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`a + b * counts`, rounded once, as the processor's fused multiply-add does it, which PyTorch's kernels use."""
    c = counts.astype(b.dtype)
    if b.dtype == np.float32:  # a product of float32 is exact in float64
        return (a.astype(np.float64) + b.astype(np.float64) * c).astype(np.float32)
    if b.dtype != np.float64:
        return a + b * c
    # The product and its rounding error (Dekker), then the sum and its rounding error (Knuth).
    product = b * c
    b_high, c_high = ((x * 134217729.0) - ((x * 134217729.0) - x) for x in (b, c))
    b_low, c_low = b - b_high, c - c_high
    error = ((b_high * c_high - product) + b_high * c_low + b_low * c_high) + b_low * c_low
    total = a + product
    part = total - a
    return total + ((a - (total - part)) + (product - part) + error)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """The identity matrix, of `n` rows and `m` columns (`n` if not given)."""
    rows, columns = index(n), index(n if m is None else m)
    for name, size in (("n", rows), ("m", columns)):
        if size < 0:
            raise RuntimeError(f"eye: {name} must be greater or equal to 0, got {size}")
    return finish(_from_host(np.eye(rows, columns), _dtype(dtype), device), requires_grad)
