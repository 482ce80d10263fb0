"""Which device's functions serve a call, and what the operands of a call are."""

from __future__ import annotations

from typing import Any

import numpy as np

from plugrad.backend import for_device

from ..array import Array
from ..device import Device


def functions_on(device: Any = None) -> Any:
    """The backend of a device: a `Device`, what stands behind "opencl:" in its name, or None for the default one."""
    if isinstance(device, Device):
        return device.functions
    if isinstance(device, str):
        device = device.removeprefix("opencl").removeprefix(":") or None
        device = int(device) if device is not None and device.isdecimal() else device
    if device is None or isinstance(device, (int, str)):
        return for_device("opencl", device)
    raise TypeError(
        f"a device is one of __array_namespace_info__().devices(), an index, or a name like 'opencl:gpu'; found {device!r}"
    )


def functions_of(*operands: Any) -> Any:
    """The backend of the arrays among operands; TypeError where there is none, or where they are on different devices."""
    found = None
    for x in operands:
        if isinstance(x, Array):
            if found is not None and x.device is not found:
                raise TypeError(f"arrays of two devices: {found} and {x.device}: call x.to_device first")
            found = x.device
    if found is None:
        kinds = ", ".join(type(x).__name__ for x in operands)
        raise TypeError(f"an array of OpenCL is needed, found {kinds}: make one by asarray")
    return found.functions


def checked(name: str, kinds: str, *operands: Any) -> Any:
    """The backend of the operands; TypeError where one is neither a number nor an array of a dtype of one of `kinds`."""
    functions = functions_of(*operands)
    for x in operands:
        if not isinstance(x, Array):
            if not isinstance(x, (bool, int, float, complex)):
                raise TypeError(
                    f"{name}: operands are arrays of OpenCL and Python numbers, found {type(x).__name__}"
                )
        elif x.dtype.kind not in kinds:
            names = ", ".join(text for kind, text in _KINDS.items() if kind in kinds)
            raise TypeError(
                f"{name}: the dtype must be one of {names}; found {x.dtype}: call xp.astype first"
            )
    return functions


_KINDS = {"b": "bool", "i": "signed integer", "u": "unsigned integer", "f": "float", "c": "complex"}
_WEAK = {bool: "b", int: "iu", float: "f", complex: "c"}


def as_arrays(*operands: Any) -> list[Any]:
    """The operands as arrays: a number is a 0-d one, of the dtype of the arrays unless its kind is higher."""
    functions = functions_of(*operands)
    common = np.result_type(*[x.dtype if isinstance(x, Array) else x for x in operands])
    if common.kind in "fc" and all(x.dtype.kind in "biu" for x in operands if isinstance(x, Array)):
        common = np.dtype(np.float32 if common.kind == "f" else np.complex64)
    return [x if isinstance(x, Array) else functions.full((), x, common) for x in operands]


def axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes, counted from the front: of None all. IndexError for what is no axis of `ndim`, ValueError for doubles.

    >>> axes((-1, 0), 3), axes(None, 2)
    ((2, 0), (0, 1))
    """
    if axis is None:
        return tuple(range(ndim))
    found = tuple(one_axis(a, ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))
    if len({*found}) < len(found):
        raise ValueError(f"axis {axis} names an axis twice")
    return found


def one_axis(axis: Any, ndim: int) -> int:
    """An axis, counted from the front."""
    axis = axis.__index__()
    if not -ndim <= axis < ndim:
        raise IndexError(f"axis {axis} is out of bounds for an array of {ndim} dimensions")
    return axis % ndim if ndim else 0


__all__ = ["Device", "as_arrays", "axes", "checked", "functions_of", "functions_on", "one_axis"]
