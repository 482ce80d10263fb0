"""A backend of any array library that follows the Python array API standard (2023.12 or later): https://data-apis.org.

The standard leaves open whether two arrays share memory, so arrays are never written here: a write makes a new one.
Where it says nothing (indices that occur twice, the order of NaN), what is done is put together of what it does say.
"""

from __future__ import annotations

import math
from functools import partial
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from . import dtypes
from .composites.shape import part
from .composites.shape import zero_of as _zero
from .contract import Backend

#: Functions of the standard that mean what the ops of these names mean; a namespace may lack some.
ALIKE = (
    "negative", "exp", "log", "sqrt", "sin", "cos", "tanh", "sign", "floor", "divide", "equal", "not_equal",
    "reshape", "permute_dims", "broadcast_to", "signbit", "copysign", "tan", "asin", "acos", "atan", "atan2", "sinh",
    "cosh", "asinh", "acosh", "atanh", "expm1", "log1p", "log2", "log10", "hypot", "ceil", "trunc", "square",
    "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert", "real", "imag", "conj", "matrix_transpose",
)  # fmt: skip
#: The same, but the standard leaves out bools, which go as 0 and 1.
OF_NUMBERS = ("less", "less_equal", "greater", "greater_equal", "isnan", "isinf", "isfinite")


class ArrayAPIBackend(Backend):
    """A backend over `namespace`; a subclass gives `device_type` and `namespace`, and its own kernels where it has better.

        class AcmeBackend(ArrayAPIBackend):
            device_type = "acme"
            namespace = acme.array_api

    What the standard leaves out (`erf`, losses, …) core computes of the rest.
    """

    #: The module with the functions of the standard.
    namespace: ClassVar[ModuleType]
    inplace = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        xp = getattr(cls, "namespace", None)
        if xp is None:
            return
        if "array_type" not in vars(cls):
            cls.array_type = type(xp.asarray(0.0))
        found = []
        for dt in (dt for dt in dtypes.ALL if hasattr(xp, dt.name)):
            raw = xp.zeros((), dtype=getattr(xp, dt.name)).dtype
            # A library may have the name only, and give a narrower dtype, as JAX does for float64 unless it is told to.
            if dtypes.BY_RAW.setdefault(raw, dt) is dt:
                dtypes.register(raw, dt)
                found.append(dt)
        cls.dtypes = frozenset(found)

    def __init__(self, index: int | None = None) -> None:
        super().__init__(index)
        for name in ALIKE:
            if hasattr(self.namespace, name) and name not in vars(type(self)):
                setattr(self, name, getattr(self.namespace, name))

        for name in OF_NUMBERS:
            if name not in vars(type(self)):
                setattr(self, name, partial(self._of_numbers, getattr(self.namespace, name)))

    def _of_numbers(self, function: Any, *operands: Any) -> Any:
        if _are_bools(*operands):
            operands = tuple(
                self.astype(o, dtypes.uint8) if hasattr(o, "dtype") else int(o) for o in operands
            )
        return function(*operands)

    def _raw(self, dt: dtypes.dtype) -> Any:
        return getattr(self.namespace, dt.name)

    # --- memory -----------------------------------------------------------------------------------------------------

    def from_numpy(self, array: np.ndarray) -> Any:
        return self.namespace.asarray(np.array(array, order="C"), dtype=self._raw(dtypes.of(array.dtype)))

    def to_numpy(self, raw: Any) -> np.ndarray:
        try:
            return np.from_dlpack(raw)
        except (BufferError, TypeError, RuntimeError, AttributeError):  # bool, say, or a device of its own
            return np.asarray(raw)

    def empty(self, shape: tuple[int, ...], dtype: dtypes.dtype) -> Any:
        return self.namespace.empty(shape, dtype=self._raw(dtype))

    def full(self, shape: tuple[int, ...], value: Any, dtype: dtypes.dtype) -> Any:
        return self.namespace.full(shape, dtypes.cast_number(value, dtype, "full"), dtype=self._raw(dtype))

    def zeros(self, shape: tuple[int, ...], dtype: dtypes.dtype) -> Any:
        return self.namespace.zeros(shape, dtype=self._raw(dtype))

    def lend(self, raw: Any) -> Any:
        return self.namespace.asarray(raw, copy=True)  # its owner may write into it

    def synchronize(self) -> None:
        return None

    def astype(self, x: Any, dtype: dtypes.dtype) -> Any:
        if dtypes.of(x.dtype).is_complex and not dtype.is_complex:
            x = self.real(x)
        return self.namespace.astype(x, self._raw(dtype))

    def getitem(self, x: Any, key: tuple[Any, ...]) -> Any:
        sizes = iter(x.shape)
        for k in key:
            n = next(sizes, 0) if k is not None and k is not ... else 0
            if type(k) is int and not -n <= k < n:  # the standard leaves open what then happens
                raise IndexError(f"index {k} is out of range for an axis of size {n}")
        return x[key]

    def setitem(self, raw: Any, key: Any, value: Any) -> Any:
        """Where each element comes from is found by sorting: the standard knows no assignment to index arrays."""
        dt = dtypes.of(raw.dtype)
        value = self.astype(value, dt) if hasattr(value, "dtype") else self.full((), value, dt)
        if key is ... or (len(key) == 1 and key[0] is ...):
            return self.broadcast_to(value, tuple(raw.shape))
        numbers = self.reshape(self._arange(math.prod(raw.shape)), tuple(raw.shape))
        if any(hasattr(k, "dtype") for k in key):
            places = self._places(tuple(k for k in key if k is not ...), tuple(raw.shape))
        else:
            places = numbers[key]
        count = math.prod(places.shape)
        if not count:
            return raw
        flat = self.reshape(self.broadcast_to(value, tuple(places.shape)), (count,))
        order, last, hit = self._groups(self.reshape(places, (count,)), math.prod(raw.shape))
        written = self.take(flat, self.take(order, last, 0), 0)
        return self.reshape(self.where(hit, written, self.reshape(raw, tuple(hit.shape))), tuple(raw.shape))

    # --- element by element: what the standard leaves open, or allows for fewer dtypes ----------------------------------

    def add(self, a: Any, b: Any) -> Any:
        return self.logical_or(a, b) if _are_bools(a, b) else self.namespace.add(a, b)

    def subtract(self, a: Any, b: Any) -> Any:
        return self.namespace.subtract(a, b)

    def multiply(self, a: Any, b: Any) -> Any:
        return self.logical_and(a, b) if _are_bools(a, b) else self.namespace.multiply(a, b)

    def pow(self, a: Any, b: Any) -> Any:
        like = a if hasattr(a, "dtype") else b
        if dtypes.of(like.dtype).category != dtypes.INTEGER:
            return self.namespace.pow(a, b)
        a, b = self._both(a, b, like)  # 1 / a**-b, rounded to 0, which the standard leaves open
        small = self.where((a == 1) | (a == -1), self.where(b % 2 == 0, a * a, a), 0)
        return self.where(b < 0, small, self.namespace.pow(a, self.where(b < 0, 0, b)))

    def abs(self, x: Any) -> Any:
        return self.namespace.abs(x)

    def sgn(self, x: Any) -> Any:
        return self.namespace.sign(x)

    def logical_not(self, x: Any) -> Any:
        return self.namespace.logical_not(x) if _are_bools(x) else x == 0

    def maximum(self, a: Any, b: Any) -> Any:
        if _are_bools(a, b):
            return self.logical_or(a, b)
        a, b = self._both(a, b, a if hasattr(a, "dtype") else b)
        return self.where((a >= b) | (a != a), a, b)  # the standard leaves NaN open

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        a, b = self._both(a, b, a if hasattr(a, "dtype") else b)
        return self.namespace.where(condition, a, b)

    def complex(self, a: Any, b: Any) -> Any:
        dt = dtypes.of(a.dtype).to_complex()
        return self.astype(a, dt) + self.astype(b, dt) * 1j

    # --- reductions, products, indices ----------------------------------------------------------------------------------

    def sum(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        dt = dtypes.of(x.dtype)
        if dt.category < dtypes.FLOAT:
            x = self.astype(x, dtypes.int64)
        if not axis:
            return x
        if dt is dtypes.float16:
            return self.astype(self.sum(self.astype(x, dtypes.float32), axis, keepdims), dt)
        return self.namespace.sum(x, axis=axis, keepdims=keepdims)

    def max(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        if not axis:
            return x
        if _are_bools(x):
            return self.max(self.astype(x, dtypes.uint8), axis, keepdims) == 1
        y = self.namespace.max(x, axis=axis, keepdims=keepdims)
        if dtypes.of(x.dtype).category < dtypes.FLOAT:
            return y
        return self.where(self.any(x != x, axis, keepdims), math.nan, y)

    def argmax(self, x: Any, axis: int | None, keepdims: bool) -> Any:
        """A NaN is made the greatest, and then the only one of 1 instead of 0."""
        category = dtypes.of(x.dtype).category
        if category == dtypes.FLOAT:
            missing = x != x
            axes = tuple(range(len(x.shape))) if axis is None else (axis,) if x.shape else ()
            some = self.any(missing, axes, True)
            top = self.max(self.where(missing, -math.inf, x), axes, True)
            x = self.where(some, missing, x == top)
        x = self.astype(x, dtypes.uint8) if _are_bools(x) else x
        if not x.shape:
            return self.full((), 0, dtypes.int64)
        return self.astype(self.namespace.argmax(x, axis=axis, keepdims=keepdims), dtypes.int64)

    def matmul(self, a: Any, b: Any) -> Any:
        return self.namespace.matmul(a, b)

    def take(self, x: Any, indices: Any, axis: int) -> Any:
        return self.namespace.take(x, indices, axis=axis)

    def index_add(self, x: Any, source: Any, indices: Any, axis: int) -> Any:
        """The slices of one place come side by side by sorting; a scan in log n steps sums them."""
        n, count = x.shape[axis], indices.shape[0]
        if not count:
            return x
        order, last, hit = self._groups(indices, n)
        groups = self.take(indices, order, 0)
        s, form = self.take(source, order, axis), (-1, *(1,) * (len(x.shape) - axis - 1))
        step = 1
        while step < count:
            alike = groups[step:] == groups[:-step]
            low = self.where(self.reshape(alike, form), part(self, s, axis, 0, count - step), _zero(s))
            rest = self.add(part(self, s, axis, step, count), low)
            s = self.concat([part(self, s, axis, 0, step), rest], axis)
            step *= 2
        return self.add(x, self.where(self.reshape(hit, form), self.take(s, last, axis), _zero(s)))

    def _groups(self, indices: Any, n: int) -> tuple[Any, Any, Any]:
        """The stable order that sorts `indices`, where the last one of each of 0 … n - 1 is in it, and which occur."""
        xp = self.namespace
        order = xp.argsort(indices, axis=0, stable=True)
        ordered, places = self.take(indices, order, 0), self._arange(n)
        end = xp.searchsorted(ordered, places, side="right")
        start = xp.searchsorted(ordered, places, side="left")
        return order, self.where(end > 0, end - 1, 0), end > start

    # --- what most libraries have, under the law of the ops ---------------------------------------------------------------

    def concat(self, xs: Any, axis: int) -> Any:
        return self.namespace.concat(list(xs), axis=axis)

    def stack(self, xs: Any, axis: int) -> Any:
        return self.namespace.stack(list(xs), axis=axis)

    def flip(self, x: Any, axis: tuple[int, ...]) -> Any:
        return self.namespace.flip(x, axis=axis) if axis else x

    def tril(self, x: Any, k: int) -> Any:
        return self.namespace.tril(x, k=k)

    def triu(self, x: Any, k: int) -> Any:
        return self.namespace.triu(x, k=k)

    def any(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        return self.namespace.any(self._truth(x), axis=axis, keepdims=keepdims) if axis else self._truth(x)

    def all(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        return self.namespace.all(self._truth(x), axis=axis, keepdims=keepdims) if axis else self._truth(x)

    def argsort(self, x: Any, axis: int, descending: bool) -> Any:
        """Stable, and NaN is greater than any number: a second stable sort puts those at their end."""
        if not x.shape:
            return self.full((), 0, dtypes.int64)
        if _are_bools(x):
            x = self.astype(x, dtypes.uint8)

        def order_of(keys: Any) -> Any:
            return self.namespace.argsort(keys, axis=axis, descending=descending, stable=True)

        if dtypes.of(x.dtype).category < dtypes.FLOAT:
            return self.astype(order_of(x), dtypes.int64)
        missing, axis = x != x, axis % len(x.shape)
        order = order_of(self.where(missing, 0.0, x))
        second = order_of(self.gather(self.astype(missing, dtypes.uint8), order, axis))
        return self.astype(self.gather(order, second, axis), dtypes.int64)


def _are_bools(*operands: Any) -> bool:
    return all(
        type(o) is bool or (hasattr(o, "dtype") and dtypes.of(o.dtype) is dtypes.bool_) for o in operands
    )
