"""`Array`: an n-dimensional array in the memory of an OpenCL device."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from . import layout
from .layout import Signature, signature
from .protocol import OPERATORS, ArrayProtocol


class Array(ArrayProtocol):
    """Elements of one dtype in a buffer: `sig` says how they lie, from `offset` on (counted in elements).

    A view shares the buffer of its `base`, which is None for an array that has memory of its own. Each device has a
    subclass of its own, whose attribute `device` it is.
    """

    __slots__ = ("__weakref__", "base", "buffer", "dtype", "offset", "shape", "sig")

    device: ClassVar[Any]

    def __init__(self, buffer: Any, offset: int, sig: Signature, base: Array | None = None) -> None:
        self.buffer, self.offset, self.sig, self.base = buffer, offset, sig, base
        self.shape, self.dtype = sig.shape, sig.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.sig.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.sig.size

    @property
    def strides(self) -> tuple[int, ...]:
        """How many elements apart neighbours along each dimension are."""
        return self.sig.strides

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.sig.nbytes

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    def __repr__(self) -> str:
        text = np.array2string(self.get(), separator=", ", prefix="Array(")
        return f"Array({text}, dtype={self.dtype}, device='opencl:{self.device.index}')"

    # --- views and copies ---------------------------------------------------------------------------------------------

    def view(self, shape: layout.Shape, strides: layout.Shape, offset: int) -> Any:
        """Another array over the same memory."""
        sig = signature(shape, self.dtype, strides)
        return type(self)(self.buffer, offset, sig, self if self.base is None else self.base)

    def reshape(self, shape: layout.Shape) -> Any:
        """The elements in row-major order in another shape: a view where that is possible."""
        if math.prod(shape) != self.sig.size:
            rest = -math.prod(shape)  # of the others, where -1 stands for one size
            if shape.count(-1) == 1 and rest > 0 and self.sig.size % rest == 0:
                return self.reshape(tuple(self.sig.size // rest if n == -1 else n for n in shape))
            raise ValueError(f"cannot reshape an array of size {self.sig.size} into shape {shape}")
        strides = layout.reshaped(self.sig, shape)
        if strides is None:
            copy = self.copy()
            return type(self)(copy.buffer, 0, signature(shape, self.dtype))
        return self.view(shape, strides, self.offset)

    def permute(self, axes: tuple[int, ...]) -> Any:
        """Axis `axes[i]` as axis `i`."""
        sig = self.sig
        return self.view(tuple(sig.shape[a] for a in axes), tuple(sig.strides[a] for a in axes), self.offset)

    def broadcast_to(self, shape: layout.Shape) -> Any:
        """Repeated along new axes in front, and along axes of size 1."""
        return self.view(shape, layout.broadcast_strides(self.sig, shape), self.offset)

    def basic_index(self, key: tuple[Any, ...]) -> Any:
        """The view `x[key]` for integers, slices, None and `...`."""
        return self.view(*layout.basic_index(self.sig, self.offset, key))

    def copy(self) -> Any:
        """A dense copy with memory of its own."""
        return self.device.functions.copy(self)

    def dense(self) -> Any:
        """Itself where it is dense, else a dense copy."""
        return self if self.sig.is_dense else self.copy()

    # --- to and from the host -----------------------------------------------------------------------------------------

    def get(self) -> np.ndarray:
        """A NumPy array of the elements; waits until they are computed."""
        source = self.dense()
        host = np.empty(self.shape, self.dtype)
        if host.nbytes:
            source.device.read(host, source.buffer, source.offset * self.dtype.itemsize)
        return host

    def set(self, values: np.ndarray) -> None:
        """Write the elements of a NumPy array of the same shape and dtype into this dense array."""
        if values.nbytes:
            self.device.write(
                self.buffer, self.offset * self.dtype.itemsize, np.ascontiguousarray(values, self.dtype)
            )

    def item(self) -> Any:
        """The one element, as a Python number."""
        return self.get().item()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError(f"an array of {self.dtype} is no index")
        return int(self.item())

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise TypeError("an array of OpenCL is not turned into one of NumPy unasked: call .get()")

    __array_ufunc__ = None  # NumPy's arrays leave operators to this class
    __hash__ = object.__hash__


def _as_operand(self: Any, other: Any) -> Any:
    """A complex number as an array, since a kernel takes none as an argument; NumPy's arrays are refused."""
    if type(other) is complex:
        return self.device.functions.full((), other, np.result_type(self.dtype, other))
    raise TypeError(
        "an array of NumPy beside one of OpenCL: xp.asarray copies it to the device, x.get() to the host"
    )


#: Operands that kernels do not take as they are.
_FOREIGN = frozenset((complex, np.ndarray))


def _binary(name: str) -> tuple[Any, Any]:
    def forward(self: Any, other: Any) -> Any:
        if type(other) in _FOREIGN:
            other = _as_operand(self, other)
        return getattr(self.device.functions, name)(self, other)

    def reflected(self: Any, other: Any) -> Any:
        if type(other) in _FOREIGN:
            other = _as_operand(self, other)
        return getattr(self.device.functions, name)(other, self)

    return forward, reflected


for _op, _name in OPERATORS.items():
    _forward, _reflected = _binary(_name)
    setattr(Array, f"__{_op}__", _forward)
    setattr(Array, f"__r{_op}__", _reflected)
for _op, _name in {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}.items():  # fmt: skip
    setattr(Array, f"__{_op}__", _binary(_name)[0])
for _op, _name in {"neg": "negative", "abs": "abs", "invert": "bitwise_invert", "pos": "positive"}.items():
    setattr(Array, f"__{_op}__", lambda self, name=_name: getattr(self.device.functions, name)(self))

__all__ = ["Array", "Signature", "signature"]
