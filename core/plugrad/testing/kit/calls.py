"""Calls of ops from the table of rows: their arguments as NumPy arrays and on a device, and what comes out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

import plugrad

from ... import dtypes
from ...graph import made
from ...op import OPS, Composite
from ..rows import ROWS, In, Row
from .agreement import Disagreement, describe
from .bench import NARROWER, Bench


@cache
def rows() -> dict[str, list[Row]]:
    """The rows of each op."""
    found: dict[str, list[Row]] = {}
    for row in ROWS:
        found.setdefault(row.op, []).append(row)
    return found


@dataclass(frozen=True)
class Call:
    """One call of an op; its arrays are NumPy's."""

    row: Row
    args: list[Any]
    params: dict[str, Any]
    layout: str = "dense"
    leads: bool = True  # whether it is the first one of its row

    def __str__(self) -> str:
        params = [f"{k}={describe(v)}" for k, v in self.params.items()]
        laid = "" if self.layout == "dense" else f", arrays {self.layout}"
        return f"{self.row.op}({', '.join([*map(describe, self.args), *params])}){laid}"

    @property
    def inputs(self) -> int:
        """How many of the arguments are the op's inputs: tensors, not parameters."""
        op = OPS[self.row.op]
        return len(self.args) if isinstance(op, Composite) else 1 if op.variadic else len(op.inputs)

    def wide(self) -> Call:
        """The same values in double precision."""
        return replace(self, args=_each(_widened, self.args))

    def run(self, bench: Bench, args: list[Any]) -> list[Any]:
        """The outputs as tensors of the device; `args` are `on` it already."""
        params = {k: bench.on_device(v) for k, v in self.params.items()}
        y: Any = OPS[self.row.op].call(*args, **params)
        ys = list(y) if isinstance(y, (tuple, list)) else [y]
        for y in ys:
            if not isinstance(y, plugrad.Tensor):
                raise Disagreement(f"{self}: the op returned a {type(y).__qualname__}, no tensor")
        return ys

    def on(self, bench: Bench, grad: bool = False) -> list[Any]:
        """The arguments on a device: inputs as tensors, floating-point ones as leaves if `grad`, other arrays raw."""

        def tensor(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            laid = dict(bench.layouts(value)) if self.layout != "dense" else {}
            x = made(laid[self.layout] if self.layout in laid else bench.put(value))
            return x.requires_grad_() if grad and value.dtype.kind in "fc" else x

        n = self.inputs
        return [*_each(tensor, self.args[:n]), *map(bench.on_device, self.args[n:])]

    def arrays(self) -> list[np.ndarray]:
        """The floating-point arrays among the inputs, in order."""
        return [
            x for x in flat(self.args[: self.inputs]) if isinstance(x, np.ndarray) and x.dtype.kind in "fc"
        ]

    def dtypes(self) -> list[Any]:
        """The dtypes of the input arrays, and those that are parameters."""
        inputs = [x.dtype for x in flat(self.args[: self.inputs]) if isinstance(x, np.ndarray)]
        return inputs + [p for p in self.params.values() if isinstance(p, dtypes.dtype)]

    def moved(self, tangents: list[np.ndarray], step: float) -> Call:
        """The call with its floating-point inputs moved along tangents."""
        there = {id(x): np.asarray(x + step * t) for x, t in zip(self.arrays(), tangents, strict=True)}
        return replace(self, args=_each(lambda v: there.get(id(v), v), self.args))


def flat(values: list[Any]) -> list[Any]:
    """The values, and those inside lists."""
    return [e for v in values for e in (v if isinstance(v, list) else [v])]


def _each(f: Any, values: list[Any]) -> list[Any]:
    return [[f(e) for e in v] if isinstance(v, list) else f(v) for v in values]


def _widened(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fc":
        return value.astype(np.complex128 if value.dtype.kind == "c" else np.float64)
    return value


def drawn(bench: Bench, op: str, letters: Callable[[Row], str], most: int = 1000) -> Iterator[Call]:
    """The calls of an op's rows that the device has the dtypes for; `letters` names those to draw a row's arrays in.

    Where those are double precision alone, which the device lacks, single precision serves. In the quick tier the first
    sample of a row is called in every dtype, the others, `most` in all, in one, by turns.
    """
    for number, row in enumerate(rows()[op]):
        asked = letters(row)
        chars = [c for c in asked if bench.has(c)] or [n for c in asked if bench.has(n := NARROWER.get(c, c))]
        for i, sample in enumerate(row.samples if bench.full else row.samples[:most]):
            for c in chars if bench.full or not i else chars[i % len(chars) :][:1] if chars else "":
                rng = bench.rng(op, number, i)
                args = _each(lambda a, rng=rng, c=c: _made(bench, a, rng, c), list(sample.args))
                call = Call(row, args, dict(sample.params), leads=not i and c == chars[0])
                if all(map(bench.has, call.dtypes())):
                    yield call


def _made(bench: Bench, a: Any, rng: np.random.Generator, char: str) -> Any:
    array = a.make(rng, char) if isinstance(a, In) else a
    return bench.fitted(array) if isinstance(array, np.ndarray) else array
