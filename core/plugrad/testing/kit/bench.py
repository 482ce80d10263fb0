"""The device under test, and what all checks ask of it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from ... import dtypes
from ...device import device as Device
from . import agreement
from .agreement import RTOL, Disagreement, describe

#: Letters of NumPy's dtypes that a device may lack, and what stands in for them in tests.
NARROWER = {"d": "f", "D": "F", "l": "i", "q": "i"}


class Bench:
    """A device, a tier and a seed."""

    def __init__(self, device: str, tier: str = "quick", seed: int = 0) -> None:
        self.device, self.tier, self.seed = device, tier, seed
        #: Where the kernels of the ops that were tried come from.
        self.origins: dict[str, str] = {}

    @property
    def full(self) -> bool:
        """Whether the tier is the full one."""
        return self.tier == "full"

    @cached_property
    def backend(self) -> Any:
        """The backend of the device; DeviceError says why there is none."""
        return Device(self.device).backend

    @cached_property
    def reference(self) -> Bench:
        """The device that derivatives are compared with: the CPU; on the CPU itself this one."""
        return self if self.backend.device_type == "cpu" else Bench("cpu", self.tier, self.seed)

    def rng(self, *key: Any) -> np.random.Generator:
        """Random numbers that depend on the seed and a key alone, so that a check run alone repeats its failure."""
        return np.random.default_rng([self.seed, *(zlib.crc32(str(k).encode()) for k in key)])

    # --- dtypes ---------------------------------------------------------------------------------------------

    def some(self, cases: list[Any], dtype: Any, most: int = 3) -> list[Any]:
        """All cases in the full tier and in float32 and float64; of other dtypes the quick tier tries the first ones."""
        return cases if self.full or np.dtype(dtype).char in "fd" else cases[:most]

    def has(self, dtype: Any) -> bool:
        """Whether the device computes in a dtype of plugrad or NumPy."""
        return (
            dtype if isinstance(dtype, dtypes.dtype) else dtypes.of(np.dtype(dtype))
        ) in self.backend.dtypes

    def numpy_dtypes(self, kinds: str) -> list[np.dtype[Any]]:
        """The device's dtypes of some kinds ("b" bool, "i" and "u" integers, "f" floats, "c" complex), as NumPy's."""
        return [d.numpy for d in dtypes.ALL if d.numpy is not None and d.numpy.kind in kinds and self.has(d)]

    @property
    def widest(self) -> np.dtype[Any]:
        """The device's most precise float dtype."""
        return np.dtype(np.float64 if self.has(np.float64) else np.float32)

    def fitted(self, array: np.ndarray) -> np.ndarray:
        """The array in a dtype that the device has: its own one, or the narrower one of its kind."""
        char: Any = array.dtype.char
        while not self.has(char) and char in NARROWER:
            char = NARROWER[char]
        return array.astype(char, copy=False)

    def fitted_dtype(self, dtype: dtypes.dtype) -> dtypes.dtype:
        """A dtype that the device has: the same, or the narrower one of its kind."""
        return dtype if dtype.numpy is None else dtypes.of(self.fitted(np.empty(0, dtype.numpy)).dtype)

    # --- arrays ---------------------------------------------------------------------------------------------

    def put(self, array: Any) -> Any:
        """A raw array of the device with the values of a NumPy array."""
        return self.backend.from_numpy(np.array(array))

    def get(self, raw: Any) -> np.ndarray:
        """The values of a raw array of the device, which nobody changes any more."""
        return np.array(self.backend.to_numpy(raw))

    def as_array(self, value: Any, what: str) -> Any:
        """A kernel's result as the array that it must be, or that `asarray` must make of it."""
        b = self.backend
        if type(value) is b.array_type:
            return value
        if type(value) in b.scalar_types:
            made = b.asarray(value)
            if type(made) is b.array_type:
                return made
            raise Disagreement(
                f"{what}: asarray({type(value).__qualname__}) gives {type(made).__qualname__}, no array"
            )
        raise Disagreement(
            f"{what}: the result is of type {_name(type(value))}, expected array_type, {_name(b.array_type)}; "
            "results of no dimension are arrays, too"
        )

    def check(self, value: Any, want: Any, what: str, rtol: float = 0.0, atol: float = 0.0) -> Any:
        """Raise where a kernel's result is not an array of the shape, dtype and values of `want`; return the array."""
        raw, want = self.as_array(value, what), np.asarray(want)
        if not isinstance(raw.shape, tuple) or tuple(raw.shape) != want.shape:
            raise Disagreement(f"{what}: found shape {raw.shape!r}, expected the tuple {want.shape}")
        if raw.ndim != want.ndim:
            raise Disagreement(f"{what}: found ndim {raw.ndim}, expected {want.ndim}")
        found, expected = dtypes.of(raw.dtype), dtypes.of(want.dtype)
        if found is not expected:
            raise Disagreement(f"{what}: found dtype {found.name}, expected {expected.name}")
        agreement.values(self.get(raw), want, what, rtol, atol)
        return raw

    def layouts(self, array: np.ndarray) -> Iterator[tuple[str, Any]]:
        """Raw arrays of the same values that lie differently in memory, where the device has such."""
        b, shape = self.backend, array.shape
        yield "dense", self.put(array)
        if array.ndim:
            wide = np.ones(tuple(2 * n for n in shape), array.dtype)
            wide[tuple(slice(None, None, 2) for _ in shape)] = array
            yield "strided", b.getitem(self.put(wide), (*(slice(0, 2 * n, 2) for n in shape), ...))
        if array.ndim > 1:
            axes = tuple(range(array.ndim))[::-1]
            yield "transposed", b.permute_dims(self.put(np.ascontiguousarray(array.T)), axes)

    def call(
        self,
        member: str,
        *args: Any,
        want: Any,
        exact: bool = False,
        rtol: float = 0.0,
        layouts: bool = False,
    ) -> None:
        """Call a kernel on NumPy arrays put on the device (once a layout) and check all that every kernel promises.

        That is: shape, dtype and values of the result, no argument written to, and a result that is nobody else's.
        """
        want = np.asarray(want)
        tolerance = 0.0 if exact else rtol or RTOL.get(want.dtype.char, 0.0)
        first = next((i for i, a in enumerate(args) if isinstance(a, np.ndarray)), None)
        for layout in self.layouts(args[first]) if layouts and first is not None else [("", None)]:
            name, laid = layout
            raws = [laid if i == first and name else self.on_device(a) for i, a in enumerate(args)]
            what = f"{member}({', '.join(map(describe, args))})" + (f", first array {name}" if name else "")
            self.checked(member, raws, args, want, what, tolerance)

    def checked(
        self, member: str, raws: list[Any], args: tuple[Any, ...], want: Any, what: str, tolerance: float
    ) -> None:
        """One call of `call`."""
        b = self.backend
        terms = member in ("sum", "matmul", "index_add")  # large ones may cancel
        atol = tolerance * (3 if terms else 1e-3)
        y = self.check(getattr(b, member)(*raws), want, what, tolerance, atol)
        self.unchanged(raws, args, what)
        if b.inplace and member not in VIEWS and b.writable(y):
            b.setitem(y, ..., 0)
            self.unchanged(raws, args, f"{what}: the result shares memory with an argument, so writing to it")

    def unchanged(self, raws: Any, args: Any, what: str) -> None:
        """Raise where raw arrays no longer have the values of the NumPy arrays that they were made of."""
        for raw, array in zip(raws, args, strict=True):
            if isinstance(array, np.ndarray):
                agreement.values(self.get(raw), array, f"{what} changed an argument of shape {array.shape}")

    def on_device(self, value: Any) -> Any:
        """The value with NumPy arrays replaced by raw arrays, also inside sequences; dtypes the device has."""
        if isinstance(value, np.ndarray):
            return self.put(self.fitted(value))
        if isinstance(value, (list, tuple)):
            return type(value)(map(self.on_device, value))
        return value


#: Members whose result may share the memory of its argument.
VIEWS = frozenset(("reshape", "permute_dims", "broadcast_to", "getitem"))


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
