"""What the array API standard asks of an array: keys, operators in place, conversions. `Array` inherits it."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from . import layout

#: DLPack's numbers of kinds of devices.
DLPACK_CPU, DLPACK_OPENCL = 1, 4


def index_parts(key: Any) -> tuple[Any, ...]:
    """The parts of a key, with whatever counts as an integer as an int; TypeError for what is no index.

    >>> import numpy as np
    >>> index_parts((np.int8(1), ..., slice(2)))
    (1, Ellipsis, slice(None, 2, None))
    """
    return tuple(_part(k) for k in (key if isinstance(key, tuple) else (key,)))


def _part(k: Any) -> Any:
    if k is None or k is ... or isinstance(k, (bool, np.bool_, slice, list, np.ndarray)) or hasattr(k, "sig"):
        return k
    try:
        return operator.index(k)
    except TypeError:
        raise IndexError(
            f"an array of OpenCL is indexed by integers, slices, `...`, None, and arrays of integers or bools; found {k!r}"
        ) from None


class ArrayProtocol:
    """Methods and operators of the array API standard."""

    __slots__ = ()

    device: ClassVar[Any]
    dtype: Any
    shape: tuple[int, ...]

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        """The functions that go with this array: `plugrad_backends.opencl.namespace`."""
        from . import namespace

        if api_version is not None and api_version > namespace.__array_api_version__:
            raise ValueError(
                f"version {api_version} of the array API standard was asked for; this is {namespace.__array_api_version__}"
            )
        return namespace

    # --- keys -------------------------------------------------------------------------------------------------------

    def __getitem__(self: Any, key: Any, /) -> Any:
        """The view that integers, slices, None and `...` name, or a copy of what index arrays and masks name."""
        parts = index_parts(key)
        if any(hasattr(k, "dtype") or isinstance(k, (list, bool)) for k in parts):
            return self.device.functions.index_get(self, parts)
        return self.basic_index(parts)

    def __setitem__(self: Any, key: Any, value: Any, /) -> None:
        functions = self.device.functions
        if not hasattr(value, "sig") and not isinstance(value, (bool, int, float, complex)):
            value = functions.from_numpy(np.asarray(value))
        found = "c" if type(value) is complex else getattr(getattr(value, "dtype", None), "kind", "")
        if found == "c" and self.dtype.kind != "c":
            raise TypeError(f"complex numbers cannot be written into an array of {self.dtype}: take xp.real")
        functions.setitem(self, index_parts(key), value)

    def __iter__(self: Any) -> Iterator[Any]:
        """The slices along the first dimension."""
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self.basic_index((i,)) for i in range(self.shape[0]))

    # --- shape, dtype, device ---------------------------------------------------------------------------------------

    @property
    def T(self: Any) -> Any:
        """The transpose of a matrix, a view."""
        if len(self.shape) != 2:
            raise ValueError(
                f"T is of 2 dimensions, found shape {self.shape}: mT swaps the last two, xp.permute_dims any"
            )
        return self.permute((1, 0))

    @property
    def mT(self: Any) -> Any:
        """The last two dimensions swapped, a view."""
        n = len(self.shape)
        if n < 2:
            raise ValueError(f"mT is of 2 or more dimensions, found shape {self.shape}")
        return self.permute((*range(n - 2), n - 1, n - 2))

    def astype(self: Any, dtype: Any, *, copy: bool = True) -> Any:
        """The elements in another dtype, in new memory unless `copy` is false and the dtype is the same."""
        functions = self.device.functions
        dtype = functions._numpy(dtype)
        if dtype == self.dtype:
            return functions.copy(self) if copy else self
        if self.dtype.kind == "c" and dtype.kind not in "cb":
            raise TypeError(f"{self.dtype} cannot be cast to {dtype}: take xp.real or xp.abs first")
        return functions._cast(self, dtype)

    def to_device(self: Any, device: Any, /, *, stream: Any = None) -> Any:
        """The array on another device, by way of the host; itself if it is there."""
        from .namespace.devices import functions_on

        if stream is not None:
            raise ValueError(f"to_device: an OpenCL device has one queue, and no streams; found {stream!r}")
        functions = functions_on(device)
        return self if functions.device is self.device else functions.from_numpy(self.get())

    # --- DLPack: OpenCL's memory has no address that another library could use, so what is handed over is a copy ------

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's name of the device."""
        return DLPACK_OPENCL, self.device.index

    def __dlpack__(
        self: Any, /, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:  # fmt: skip
        """A copy in the host's memory, where the consumer asks for one there; BufferError otherwise."""
        wanted = None if dl_device is None else int(dl_device[0])
        if wanted != DLPACK_CPU or copy is False:
            raise BufferError(
                f"memory of device 'opencl:{self.device.index}' cannot be shared by DLPack: ask for a copy on the host, as in "
                'numpy.from_dlpack(x, device="cpu"), or call x.get()'
            )
        host = self.get()
        return host.__dlpack__() if max_version is None else host.__dlpack__(max_version=max_version)

    # --- operators --------------------------------------------------------------------------------------------------

    def __matmul__(self, other: Any, /) -> Any:
        return self.__array_namespace__().matmul(self, other)

    def __rmatmul__(self, other: Any, /) -> Any:
        return self.__array_namespace__().matmul(other, self)


def _stays(x: Any, other: Any) -> bool:
    """Whether an elementwise function of the two has the shape of `x`, and its dtype unless that is bool."""
    if type(other) in (int, float):
        return x.dtype.kind in ("f" if type(other) is float else "iuf")
    return (
        type(other) is type(x)
        and other.dtype == x.dtype
        and layout.broadcast([x.shape, other.shape]) == x.shape
    )


def _in_place(op: str, name: str) -> Any:
    def write(self: Any, other: Any, /) -> Any:
        kernel = getattr(self.device.functions, name)
        if hasattr(kernel, "into") and _stays(self, other):
            kernel.into((self,), self, other)
            return self
        result = getattr(self, op)(other)
        if result.shape != self.shape:
            raise ValueError(f"an array of shape {self.shape} cannot take results of shape {result.shape}")
        if not np.can_cast(result.dtype, self.dtype, "same_kind"):
            raise TypeError(f"an array of {self.dtype} cannot take results of {result.dtype}")
        return self.device.functions.setitem(self, ..., result)

    return write


#: Python's operators of two operands, and the functions that they call.
OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "pow", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}  # fmt: skip
for _op, _name in (*OPERATORS.items(), ("matmul", "matmul")):
    setattr(ArrayProtocol, f"__i{_op}__", _in_place(f"__{_op}__", _name))

__all__ = ["ArrayProtocol", "index_parts"]
