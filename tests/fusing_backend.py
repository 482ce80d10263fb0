"""Devices that fuse: what they are given to fuse they trace once for each kind of arguments, and count the runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from plugrad.backend import enter

from .fake_backend import Array, FakeBackend, MinimalBackend


class FusedArray(Array):
    """An array of "fusing"."""


class ConstantArray(Array):
    """An array of "fusing_constant", which nobody writes into."""


class Symbol(Array):
    """An array that stands for one of the arguments while a function is traced; its values are not known."""

    def __bool__(self) -> bool:
        raise TypeError("the values are not known while a function is traced")


class Tracer(MinimalBackend):
    """Computes on symbols. It is entered, but no device that users could name."""

    device_type, array_type = "tracer", Symbol

    def to_numpy(self, raw: Array) -> Any:
        raise TypeError("the values are not known while a function is traced")


class _Fuses(FakeBackend):
    """The member `fused`."""

    def __init__(self, index: int | None = None) -> None:
        super().__init__(index)
        enter(Tracer())
        self.asked: Counter[str] = Counter()
        self.traced: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        self.op_by_op: Counter[str] = Counter()

    def forget(self) -> None:
        """Count anew."""
        for counts in (self.asked, self.traced, self.runs, self.op_by_op):
            counts.clear()

    def softmax_vjp_x(self, g: Any, y: Any, axis: tuple[int, ...]) -> Any:
        """The formula of softmax's derivative, as a kernel of its own."""
        self.runs["softmax_vjp_x"] += 1
        return y * (g - self.sum(g * y, axis, True))

    def fused(self, name: str, function: Any, inputs: int) -> Any:
        """A kernel that computes with symbols, of which it takes the values in the end."""
        self.asked[name] += 1
        known: dict[Any, bool] = {}

        def kernel(*args: Any, out: Any = None) -> Any:
            key = tuple(a.dtype if isinstance(a, Array) else type(a) for a in args[:inputs]), args[inputs:]
            symbols = [Symbol(a.values) if isinstance(a, Array) else a for a in args[:inputs]]
            if key not in known:
                self.traced[name] += 1
            try:
                results = function(*symbols, *args[inputs:]) if known.get(key, True) else None
                known[key] = results is not None
            except Exception:
                results, known[key] = None, False
            if results is None:
                self.op_by_op[name] += 1
                results = function(*args)
            else:
                self.runs[name] += 1
            several = isinstance(results, tuple)
            made = [self.array_type(r.values) for r in (results if several else (results,))]
            if out is not None:
                places = out if several else (out,)
                made = [self.setitem(p, ..., m) for p, m in zip(places, made, strict=True)]
            return tuple(made) if several else made[0]

        return kernel


class FusingBackend(_Fuses):
    """`device("fusing")`: the required members, and `fused`; arrays are written in place."""

    device_type, array_type = "fusing", FusedArray
    dtypes = MinimalBackend.dtypes
    kernel_names = MinimalBackend.kernel_names


class ConstantBackend(_Fuses, MinimalBackend):
    """`device("fusing_constant")`: the same of arrays that are never written."""

    device_type, array_type = "fusing_constant", ConstantArray
