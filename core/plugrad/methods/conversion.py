"""Copies, other dtypes, other devices, other libraries."""

from __future__ import annotations

import builtins
from typing import Any

from .. import backend as backends
from .. import creation, dtypes, levels, ops, storage
from ..backend import for_device
from ..device import device as Device
from ..dtypes import dtype as Dtype
from ..errors import DeviceError
from ..graph import Variable, wrap


class Conversion(Variable):
    """Methods that give the same values in another form."""

    __slots__ = ()

    def numpy(self, *, force: bool = False) -> Any:
        """A NumPy array that shares the memory of this tensor.

        A tensor that requires grad, or that is not on the CPU, is refused unless `force` detaches and copies it.
        """
        if not force and self.requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        if not self.is_cpu:
            if not force:
                raise TypeError(
                    f"can't convert {self.device} tensor to numpy. Use tensor.cpu() to copy it to the host first."
                )
            return self._backend.to_numpy(self._raw)
        return storage.of(self).lend(self._raw)

    def _host(self) -> Any:
        """The values as a NumPy array for the library's own use: read, and not handed out."""
        return self._backend.to_numpy(self._raw)

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """This tensor with another dtype, on another device, or like another tensor: `to(torch.float64)`,
        `to("cuda:0", torch.float32)`, `to(other)`. Itself if it is so already and `copy` is not asked for.

        With `non_blocking` nobody waits for a copy between host and device: what came to the host is there after
        `synchronize()`, and what is sent from page-locked memory must not be changed before.
        """
        later = bool(kwargs.pop("non_blocking", False))
        place, dt, copy = _destination(args, kwargs)
        result = self
        if (
            place is not None and place != self.device and dt not in self._backend.dtypes
        ):  # it may be known there
            result, place = move(result, place, later), None
        if dt is not None and dt is not self.dtype:
            if dt not in result._backend.dtypes:
                raise DeviceError(f"device {str(result.device)!r} has no {dt.name}: convert to another dtype")
            result = ops.astype_.call(result if dt.category >= dtypes.FLOAT else result.detach(), dt)
        if place is not None and place != self.device:
            result = move(result, place, later)
        return self.clone() if copy and result is self else result

    def type(self, dtype: Any = None) -> Any:
        """This tensor with another dtype; without one, the name of its type, e.g. 'torch.FloatTensor'."""
        if dtype is None:
            return _type_names()[self.dtype]
        if isinstance(dtype, str):
            names = {name: dt for dt, name in _type_names().items()}
            if dtype not in names:
                raise ValueError(f"invalid type: {dtype!r}: give a dtype, or one of {', '.join(names)}")
            dtype = names[dtype]
        return self.to(dtype)

    def type_as(self, other: Any) -> Any:
        """This tensor with the dtype of `other`."""
        if not isinstance(other, Variable):
            raise TypeError(f"type_as(): argument 'other' must be Tensor, not {type(other).__name__}")
        return self.to(other.dtype)

    def float(self) -> Any:
        """This tensor as float32."""
        return self.to(dtypes.float32)

    def double(self) -> Any:
        """This tensor as float64."""
        return self.to(dtypes.float64)

    def half(self) -> Any:
        """This tensor as float16."""
        return self.to(dtypes.float16)

    def bfloat16(self) -> Any:
        """This tensor as bfloat16, where the device has it."""
        return self.to(dtypes.bfloat16)

    def int(self) -> Any:
        """This tensor as int32."""
        return self.to(dtypes.int32)

    def long(self) -> Any:
        """This tensor as int64."""
        return self.to(dtypes.int64)

    def short(self) -> Any:
        """This tensor as int16."""
        return self.to(dtypes.int16)

    def char(self) -> Any:
        """This tensor as int8."""
        return self.to(dtypes.int8)

    def byte(self) -> Any:
        """This tensor as uint8."""
        return self.to(dtypes.uint8)

    def bool(self) -> Any:
        """This tensor as bool."""
        return self.to(dtypes.bool_)

    def cfloat(self) -> Any:
        """This tensor as complex64."""
        return self.to(dtypes.complex64)

    def cdouble(self) -> Any:
        """This tensor as complex128."""
        return self.to(dtypes.complex128)

    def cpu(self) -> Any:
        """This tensor on the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None, non_blocking: builtins.bool = False) -> Any:
        """This tensor on a CUDA device."""
        if device is None or isinstance(device, builtins.int):
            device = Device("cuda", device)
        return self.to(device, non_blocking=non_blocking)

    def pin_memory(self) -> Any:
        """A copy in page-locked memory of the host, which a GPU reads while the host goes on; a tensor on the CPU only."""
        if not self.is_cpu:
            raise RuntimeError(f"cannot pin a tensor on {self.device}: only dense CPU tensors can be pinned")
        if self.requires_grad:
            raise RuntimeError("pin_memory: the tensor requires grad: pin .detach() instead")
        cuda: Any = for_device("cuda")
        return wrap(cuda.pinned(self._host()))

    def is_pinned(self) -> builtins.bool:
        """Whether this is in page-locked memory."""
        return self.is_cpu and backends.is_used("cuda") and for_device("cuda").is_pinned(self._raw)

    def new_tensor(
        self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Any:
        """A new tensor with a copy of `data`, of this dtype and on this device unless given."""
        return creation.tensor(data, **_like(self, dtype, device), requires_grad=requires_grad)

    def new_zeros(
        self, *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Any:
        """Zeros of this dtype and on this device unless given."""
        made = creation.zeros(*sizes, size=size, **_like(self, dtype, device), requires_grad=requires_grad)
        return levels.like(self, made)

    def new_ones(
        self, *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Any:
        """Ones of this dtype and on this device unless given."""
        made = creation.ones(*sizes, size=size, **_like(self, dtype, device), requires_grad=requires_grad)
        return levels.like(self, made)

    def new_empty(
        self, *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Any:
        """Unspecified values of this dtype and on this device unless given."""
        made = creation.empty(*sizes, size=size, **_like(self, dtype, device), requires_grad=requires_grad)
        return levels.like(self, made)

    def new_full(
        self, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Any:
        """One value, of this dtype and on this device unless given."""
        made = creation.full(size, fill_value, **_like(self, dtype, device), requires_grad=requires_grad)
        return levels.like(self, made)


def _like(tensor: Any, dtype: Dtype | None, device: Any) -> dict[str, Any]:
    return {
        "dtype": dtypes.asked(dtype) or tensor.dtype,
        "device": tensor.device if device is None else device,
    }


def _destination(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Device | None, Dtype | None, Any]:
    """The device, dtype and `copy` of the many ways to call `to`."""
    place, dt, copy = kwargs.pop("device", None), kwargs.pop("dtype", None), kwargs.pop("copy", False)
    other = kwargs.pop("other", None)
    kwargs.pop("memory_format", None)
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument {next(iter(kwargs))!r}")
    for arg in args:
        if isinstance(arg, (Dtype, builtins.type)):
            dt = arg
        elif isinstance(arg, Variable):
            other = arg
        elif isinstance(arg, (str, Device)):
            place = arg
        elif arg is not None and not isinstance(arg, builtins.bool):
            raise TypeError(f"to() received {arg!r}: expected a dtype, a device or a Tensor")
    if other is not None:
        place, dt = other.device, other.dtype
    return (None if place is None else Device(place).resolved()), dtypes.asked(dt), copy


def move(tensor: Any, place: Device, non_blocking: bool = False) -> Any:
    """`tensor` on another device."""
    return ops.to_device.call(tensor, str(place), str(tensor.device), non_blocking)


def _type_names() -> dict[Dtype, str]:
    names = {
        dtypes.float32: "Float", dtypes.float64: "Double", dtypes.float16: "Half", dtypes.bfloat16: "BFloat16",
        dtypes.uint8: "Byte", dtypes.int8: "Char", dtypes.int16: "Short", dtypes.int32: "Int", dtypes.int64: "Long",
        dtypes.bool_: "Bool", dtypes.complex64: "ComplexFloat", dtypes.complex128: "ComplexDouble",
    }  # fmt: skip
    return {dt: f"torch.{name}Tensor" for dt, name in names.items()}
