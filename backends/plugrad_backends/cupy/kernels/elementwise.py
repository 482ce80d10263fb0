"""Any elementwise function of arrays and numbers, with broadcasting, strides and promotion, as one kernel.

The text comes from the generator that OpenCL has, too (`plugrad_backends.expressions`). Where all arrays are dense, each
thread takes up to 16 bytes of each at once; else it finds its element in each by the strides.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...expressions import CUDA, Emitter, NotTraceable, traced, var
from ...expressions.c import parts, variables
from ...expressions.expr import FLOAT64, INT64, REAL_PART
from ...expressions.functions import cast
from .launch import Grid, Kernel, Kernels
from .source import Source

__all__ = ["Elementwise", "generate"]

THREADS = 128
#: Traces with numbers as constants, which some functions need, are kept up to this many for each function.
VARIANTS = 64
_NUMBERS = frozenset((int, float))
_BLOCK = (THREADS, 1)
_D = CUDA()


class Plan(NamedTuple):
    """All of a launch but the addresses: found once for each tuple of shapes, strides and dtypes."""

    wide: Kernel | None
    plain: Kernel | None
    grids: tuple[Grid, Grid]
    outs: list[tuple[tuple[int, ...], Any]]
    arrays: list[int]
    numbers: list[int]
    tail: list[int]
    #: Whether it holds for the values of numbers, which became constants.
    by_value: bool


class Elementwise:
    """The kernels of one function; called with arrays and numbers, it returns a new dense array.

    `kernels()` gives those of the current device, `empty(shape, dtype)` an array of type `array_type`. `function` computes with
    expressions; with `op_by_op` also with arrays, and does so where it cannot be traced. Behind the first `inputs` arguments
    there are parameters, which hardly ever change. Operands of several dtypes are brought to their common one, except those
    at the positions `free`.
    """

    def __init__(
        self, kernels: Callable[[], Kernels], empty: Callable[..., Any], array_type: Any, name: str,
        function: Callable[..., Any], free: tuple[int, ...] = (), op_by_op: bool = False, inputs: int | None = None,
    ) -> None:  # fmt: skip
        self.kernels, self.empty, self.array_type = kernels, empty, array_type
        self.name, self.function, self.free, self.op_by_op, self.inputs = (
            name,
            function,
            free,
            op_by_op,
            inputs,
        )
        self._plans: dict[Any, Plan] = {}
        #: Plans of new single results of all operands, which most calls are: shape, dtype, kernels, grids, tail.
        self._quick: dict[Any, tuple[Any, ...]] = {}
        self._by_value: set[Any] = set()
        self._constants = 0

    def __repr__(self) -> str:
        return f"<CUDA kernel of {self.name}>"

    def __call__(self, *args: Any, out: Any = None) -> Any:
        """The function of arrays, numbers and plain values; a tuple of arrays where it has several results.

        With `out`, an array or a tuple of them, the results are written there.
        """
        kernels, array_type = self.kernels(), self.array_type
        outs: tuple[Any, ...] = ()
        if out is not None:
            outs = out if isinstance(out, tuple) else (out,)
            args = _unclashed(args, outs, array_type)
        key: list[Any] = [kernels, len(args)]
        pointers: list[int] = []
        numbers: list[Any] = []
        for a in args:
            if isinstance(a, array_type):
                key += a.dtype.num, a.shape, a.strides
                pointers.append(a.data.ptr)
            elif type(a) in _NUMBERS:
                key.append(type(a))
                numbers.append(a)
            else:
                key += type(a), a
        for o in outs:
            key += o.dtype.num, o.shape, o.strides
        found = tuple(key)
        quick = self._quick.get(found)
        if quick is not None:
            shape, dtype, wide, plain, (grid, plain_grid), tail = quick
            y = self.empty(shape, dtype)
            together = address = y.data.ptr
            for pointer in pointers:
                together |= pointer
            if wide is None or together & 15:
                plain(plain_grid, _BLOCK, address, *pointers, *numbers, *tail)
            else:
                wide(grid, _BLOCK, address, *pointers, *numbers, *tail)
            return y
        plan = self._plans.get(found)
        if plan is None:
            try:
                plan = self._planned(found, kernels, args, outs or None)
            except NotTraceable:
                if not self.op_by_op:
                    raise
                return self._op_by_op(args, out)
        if not outs:
            outs = tuple([self.empty(shape, dtype) for shape, dtype in plan.outs])
            out = outs[0] if len(outs) == 1 else outs
        if plan.plain is None:  # nothing to compute
            return out
        given: list[Any] = [o.data.ptr for o in outs]
        given += [args[i].data.ptr for i in plan.arrays]
        wide = plan.wide
        if wide is not None:
            together = 0
            for address in given:
                together |= address
            if together & 15:
                wide = None
        given += [args[i] for i in plan.numbers]
        given += plan.tail
        if wide is not None:
            wide(plan.grids[0], _BLOCK, *given)
        else:
            plan.plain(plan.grids[1], _BLOCK, *given)
        return out

    def _op_by_op(self, args: Sequence[Any], out: Any) -> Any:
        results = self.function(*args)
        if out is None:
            return results
        pairs = zip(out, results) if isinstance(out, tuple) else [(out, results)]
        for o, result in pairs:
            o[...] = result
        return out

    # --- plans ------------------------------------------------------------------------------------------------------

    def _planned(self, key: Any, kernels: Kernels, args: Sequence[Any], outs: Any) -> Plan:
        # Where numbers became constants of the kernel, a plan is for their values, not their types alone.
        values = tuple([repr(a) for a in args if type(a) in _NUMBERS])
        if key in self._by_value and (key, values) in self._plans:
            return self._plans[key, values]
        plan = self._plan(kernels, args, outs)
        if len(self._plans) > 4096:
            self._plans.clear()
            self._quick.clear()
        if not plan.by_value:
            self._plans[key] = plan
            arrays = [i for i, a in enumerate(args) if isinstance(a, self.array_type)]
            numbers = [i for i, a in enumerate(args) if type(a) in _NUMBERS]
            if (
                not outs
                and plan.plain
                and len(plan.outs) == 1
                and (plan.arrays, plan.numbers) == (arrays, numbers)
            ):
                self._quick[key] = (*plan.outs[0], plan.wide, plan.plain, plan.grids, plan.tail)
        else:
            self._by_value.add(key)
            self._plans[key, values] = plan
        return plan

    def _plan(self, kernels: Kernels, args: Sequence[Any], outs: Any) -> Plan:
        kind = self.array_type
        arrays = [i for i, a in enumerate(args) if isinstance(a, kind)]
        if not arrays and outs is None:
            raise TypeError(f"{self.name}: needs an array among its operands")
        results, takes, types, by_value = self._traced(args, outs)
        shape = np.broadcast_shapes(*[args[i].shape for i in arrays]) if outs is None else outs[0].shape
        made = [(shape, r.dtype) for r in results] if outs is None else [(o.shape, o.dtype) for o in outs]
        if not math.prod(shape):
            return Plan(
                None, None, ((0, 1), (0, 1)), made, [], [i for i in takes if i not in arrays], [], by_value
            )
        used = [i for i in takes if i in arrays]
        memory = [(f"y{k}", d) for k, (_, d) in enumerate(made)] + [(f"x{i}", args[i].dtype) for i in used]
        numbers = [(f"x{i}", types[i]) for i in takes if i not in arrays]
        dense = _dense_strides(shape)
        strides = [dense] * len(made) if outs is None else [_broadcast(o, shape) for o in outs]
        strides += [_broadcast(args[i], shape) for i in used]
        extents, steps = _collapse(shape, strides)
        n = math.prod(extents)
        outputs = len(made)
        if (
            len(extents) == 1
            and all(s[0] in (0, 1) for s in steps)
            and all(s[0] == 1 or n == 1 for s in steps[:outputs])
        ):
            repeated = tuple(name for (name, _), s in zip(memory, steps) if s[0] == 0 and name[0] == "x")
            source, vector = generate(
                self.name, results, memory[:outputs], memory[outputs:], numbers, 0, repeated
            )
            grids = ((-(-n // (THREADS * vector)), 1), (-(-n // THREADS), 1))
            return Plan(
                kernels.of(source, "wide"),
                kernels.of(source, "plain"),
                grids,
                made,
                used,
                takes[len(used) :],
                [n],
                by_value,
            )
        rank = next(r for r in (2, 4, 8, 16, 64) if r >= len(extents))
        tail = [n, *_padded(extents, rank, 1)[1:]]
        for s in steps:
            tail += _padded(s, rank, 0)
        source, _ = generate(self.name, results, memory[:outputs], memory[outputs:], numbers, rank, ())
        grid = (-(-n // THREADS), 1)
        return Plan(
            None, kernels.of(source, "strided"), (grid, grid), made, used, takes[len(used) :], tail, by_value
        )

    def _traced(self, args: Sequence[Any], outs: Any) -> tuple[list[Any], list[int], dict[int, Any], bool]:
        """The results as expressions; which operands are handed over, arrays first; the dtypes of numbers among them, and
        whether some of these became constants.
        """
        kind = self.array_type
        # In functions of several steps bools are conditions.
        free = {
            *self.free,
            *(i for i, a in enumerate(args) if self.op_by_op and isinstance(a, kind) and a.dtype == bool),
        }
        found = [a.dtype for i, a in enumerate(args) if isinstance(a, kind) and i not in free]
        found = found or [a.dtype for a in args if isinstance(a, kind)] or [outs[0].dtype]
        common = np.result_type(*found) if len({*found}) > 1 else found[0]
        symbols: list[Any] = []
        types: dict[int, Any] = {}
        for i, a in enumerate(args):
            if isinstance(a, kind):
                x = var(f"x{i}", a.dtype)
                symbols.append(cast(x, common) if i not in free and a.dtype != common else x)
            elif type(a) in _NUMBERS:
                types[i] = _number_type(a, common)
                symbols.append(var(f"x{i}", types[i]))
            else:
                symbols.append(a)
        # What a function does with a parameter may depend on its value: then parameters are constants, then all numbers.
        operands = len(args) if self.inputs is None else self.inputs
        for first in dict.fromkeys((len(args), operands, 0)):
            given = [a if i in types and i >= first else v for i, (a, v) in enumerate(zip(args, symbols))]
            try:
                results: Any = traced(self.function, given, common)
                break
            except NotTraceable:
                if not first or not types:
                    raise
        by_value = any(g is not v for g, v in zip(given, symbols))
        if by_value:
            self._constants += 1
            if self._constants > VARIANTS:
                raise NotTraceable(f"{self.name} would need a kernel for each of many numbers")
        if outs is not None:
            results = [cast(r, o.dtype) for r, o in zip(results, outs)]
        read = variables(results)
        order = [i for i, a in enumerate(args) if f"x{i}" in read and isinstance(a, kind)]
        return list(results), [*order, *[i for i in types if f"x{i}" in read]], types, by_value


# --- the text of a kernel --------------------------------------------------------------------------------------------


def element(
    results: Sequence[Any], outs: Sequence[tuple[str, Any]], arrays: Sequence[tuple[str, Any]],
    numbers: Sequence[tuple[str, Any]],
) -> str:  # fmt: skip
    """The function `element` of the number of an element, the places of its results, its operands and numbers."""
    emitter = Emitter(_D, "flat")
    values = [[emitter.value(p) for p in parts(r)] for r in results]
    loads = []
    for x, dtype in arrays:
        if dtype in REAL_PART:
            loads.append(f"const {_D.base(REAL_PART[dtype])} {x}_re = {x}_raw.x, {x}_im = {x}_raw.y;")
        else:
            loads.append(f"const {_D.base(dtype)} {x} = {_D.lane(f'(&{x}_raw)', '0', dtype)};")
    for x, dtype in numbers:
        loads.append(f"const {_D.base(dtype)} {x} = {x}_number;")
    stores = []
    for (y, dtype), value in zip(outs, values):
        if dtype in REAL_PART:
            stores.append(f"{y}_raw = {_D.pair(value[0], value[1], dtype)};")
        else:
            stores.append(_D.store(f"&{y}_raw", value[0], dtype))
    raws = [f"const {_D.stored(d)} {x}_raw" for x, d in arrays] + [
        f"const {_D.base(d)} {x}_number" for x, d in numbers
    ]
    body = "\n    ".join([*loads, *emitter.lines, *stores])
    results_ = [f"{_D.stored(d)}& {y}_raw" for y, d in outs]
    return f"DEVICE void element({', '.join(['const index_t flat', *results_, *raws])}) {{\n    {body}\n}}\n"


def generate(
    name: str, results: Sequence[Any], outs: Sequence[tuple[str, Any]], arrays: Sequence[tuple[str, Any]],
    numbers: Sequence[tuple[str, Any]], rank: int, repeated: Sequence[str] = (),
) -> tuple[Source, int]:  # fmt: skip
    """The source of a kernel of arrays and numbers, by name and dtype, and how many elements its threads take at once.

    `rank` 0: parts `wide` and `plain`, of dense arrays, of which those `repeated` have one element. Else: part `strided`.
    """
    text, memory = element(results, outs, arrays, numbers), [*outs, *arrays]
    parameters = [f"{_D.stored(d)}* {y}" for y, d in outs] + [f"const {_D.stored(d)}* {x}" for x, d in arrays]
    parameters += [f"{_D.base(d)} {x}_number" for x, d in numbers]
    if rank:
        text += _strided(parameters, outs, arrays, numbers, rank)
        vector = 1
    else:
        vector = max(1, min(8, 16 // max(d.itemsize for _, d in memory)))
        text += _dense(parameters, outs, arrays, numbers, vector, repeated)
    return Generated(named(name, text), text), vector


def named(name: str, text: str) -> str:
    """A name for a source of that text."""
    label = "".join(c if c.isalnum() else "_" for c in name)
    return f"{label}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class Generated(Source):
    """A source whose text was made at run time, after the file `elementwise.cu`."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, ("elementwise.cu",), made=f'#line 1 "{name}"\n{text}')


def _dense(
    parameters: Any, outs: Any, arrays: Any, numbers: Any, vector: int, repeated: Sequence[str]
) -> str:
    call = [f"{x}[0]" if x in repeated else f"{x}[i]" for x, _ in arrays] + [
        f"{x}_number" for x, _ in numbers
    ]
    given = ", ".join(["i", *[f"{y}[i]" for y, _ in outs], *call])
    head = f"({', '.join(parameters)}, index_t n)"
    wide = [f"Pack<{_D.stored(d)}, {vector}> {y}_pack;" for y, d in outs]
    for x, d in arrays:
        t = _D.stored(d)
        if x in repeated:
            wide.append(f"const {t} {x}_pack = *{x};")
        else:
            wide.append(
                f"const Pack<{t}, {vector}> {x}_pack = *reinterpret_cast<const Pack<{t}, {vector}>*>({x} + i);"
            )
    packed = [f"{x}_pack" if x in repeated else f"{x}_pack.v[k]" for x, _ in arrays]
    packed = ["i + k", *[f"{y}_pack.v[k]" for y, _ in outs], *packed, *[f"{x}_number" for x, _ in numbers]]
    writes = [f"*reinterpret_cast<Pack<{_D.stored(d)}, {vector}>*>({y} + i) = {y}_pack;" for y, d in outs]
    return f"""KERNEL(plain){head} {{
    const index_t i = (index_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) element({given});
}}
KERNEL(wide){head} {{
    index_t i = ((index_t)blockIdx.x * blockDim.x + threadIdx.x) * {vector};
    if (i + {vector} <= n) {{
        {" ".join(wide)}
#pragma unroll
        for (int k = 0; k < {vector}; ++k) element({", ".join(packed)});
        {" ".join(writes)}
    }} else
        for (; i < n; ++i) element({given});
}}
"""


def _strided(parameters: Any, outs: Any, arrays: Any, numbers: Any, rank: int) -> str:
    memory = [*outs, *arrays]
    parameters = [*parameters, "index_t n", *[f"index_t e{j}" for j in range(1, rank)]]
    parameters += [f"index_t {x}_s{j}" for x, _ in memory for j in range(rank)]
    lines = ["index_t rest = flat;"]
    for j in range(rank - 1, 0, -1):
        lines.append(f"const index_t i{j} = rest % e{j}; rest /= e{j};")
    lines.append("const index_t i0 = rest;")
    places = {x: " + ".join(f"i{j} * {x}_s{j}" for j in range(rank)) for x, _ in memory}
    given = ["flat", *[f"{x}[{places[x]}]" for x, _ in memory], *[f"{x}_number" for x, _ in numbers]]
    body = "\n    ".join([*lines, f"element({', '.join(given)});"])
    return f"""KERNEL(strided)({", ".join(parameters)}) {{
    const index_t flat = (index_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (flat >= n) return;
    {body}
}}
"""


def _number_type(number: Any, common: Any) -> Any:
    """The dtype in which a number is handed to a kernel: that of the arrays, of a higher kind if it is."""
    if common in REAL_PART:
        return REAL_PART[common]
    if type(number) is float and common.kind in "iub":
        return FLOAT64
    return INT64 if common.kind == "b" else common


# --- where elements lie ------------------------------------------------------------------------------------------------


def _dense_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= max(n, 1)
    return tuple(reversed(steps))


def _broadcast(a: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The steps, in elements, by which an array reads as one of a larger shape: 0 along what is repeated."""
    extra = len(shape) - a.ndim
    if extra < 0 or any(n not in (1, m) for n, m in zip(a.shape, shape[extra:])):
        raise ValueError(f"shape {a.shape} cannot be broadcast to {shape}")
    size = a.dtype.itemsize
    return (0,) * extra + tuple(0 if n == 1 else s // size for n, s in zip(a.shape, a.strides))


def _collapse(
    shape: tuple[int, ...], strides: Sequence[tuple[int, ...]]
) -> tuple[list[int], list[list[int]]]:
    """The same walk with as few dimensions as possible, one at least.

    >>> _collapse((4, 1, 5, 6), [(30, 30, 6, 1), (0, 0, 6, 1)])
    ([4, 30], [[30, 1], [0, 1]])
    """
    extents: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for i, n in enumerate(shape):
        if n == 1:
            continue
        if extents and all(k[-1] == s[i] * n for k, s in zip(steps, strides)):
            extents[-1] *= n
            for k, s in zip(steps, strides):
                k[-1] = s[i]
        else:
            extents.append(n)
            for k, s in zip(steps, strides):
                k.append(s[i])
    return (extents, steps) if extents else ([1], [[0] for _ in strides])


def _padded(values: Sequence[int], rank: int, by: int) -> list[int]:
    return [by] * (rank - len(values)) + list(values)


def _unclashed(args: Sequence[Any], outs: Sequence[Any], kind: Any) -> tuple[Any, ...]:
    """The operands, copied where a result would be written over elements of theirs that are still to be read."""

    def clash(a: Any, o: Any) -> bool:
        same = (
            a.data.ptr == o.data.ptr and a.shape == o.shape and a.strides == o.strides and a.dtype == o.dtype
        )
        (low, high), (begin, end) = _span(a), _span(o)
        return not same and low < end and begin < high

    return tuple(a.copy() if isinstance(a, kind) and any(clash(a, o) for o in outs) else a for a in args)


def _span(a: Any) -> tuple[int, int]:
    """The addresses of an array's first byte and of the one behind its last."""
    start = a.data.ptr
    if not a.size:
        return start, start
    moves = [(n - 1) * s for n, s in zip(a.shape, a.strides)]
    return start + sum(m for m in moves if m < 0), start + sum(m for m in moves if m > 0) + a.dtype.itemsize
