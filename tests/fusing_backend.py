"""A device that fuses: what it is given to fuse it traces once for each kind of arguments, and counts the runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from plugrad.backend import enter

from .fake_backend import Array, MinimalBackend


class FusedArray(Array):
    """An array of the device, which nobody writes into."""


class Symbol(Array):
    """An array that stands for one of the arguments while a function is traced; its values are not known."""

    def __bool__(self) -> bool:
        raise TypeError("the values are not known while a function is traced")


class Tracer(MinimalBackend):
    """Computes on symbols. It is entered, but no device that users could name."""

    device_type, array_type = "tracer", Symbol

    def to_numpy(self, raw: Array) -> Any:
        raise TypeError("the values are not known while a function is traced")


class FusingBackend(MinimalBackend):
    """`device("fusing")`: the required members, and `fused`."""

    device_type, array_type = "fusing", FusedArray

    def __init__(self, index: int | None = None) -> None:
        super().__init__(index)
        enter(Tracer())
        self.asked: Counter[str] = Counter()
        self.traced: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        self.op_by_op: Counter[str] = Counter()

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
