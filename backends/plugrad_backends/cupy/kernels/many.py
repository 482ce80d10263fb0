"""A function of elementwise kernels for many tuples of arrays in few launches: the step of an optimizer for all parameters.

The addresses are part of the kernel's arguments, as a table. A block takes CHUNK elements of one tuple, which it finds by the
number of the block with which each begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...expressions import NotTraceable
from .elementwise import _D, _NUMBERS, Elementwise, Generated, element, named
from .launch import Kernel, Kernels

__all__ = ["CHUNK", "Many", "generate_many", "together"]

THREADS, CHUNK = 128, 2048
#: The bytes that a kernel's arguments may take, less some for numbers.
ROOM = 3600


class Many(Elementwise):
    """A function whose calls with the same numbers can be made together."""

    def many(self, calls: Sequence[tuple[Sequence[Any], Sequence[Any]]], rest: Sequence[Any]) -> bool:
        """Make calls, (arrays, arrays to write the results into), with `rest` behind the arrays, in few launches.

        All arrays of a call have one shape; the calls have arrays of the same dtypes in the same places. False, and nothing is
        done, where that does not hold, or arrays are not dense.
        """
        arrays, outs = calls[0]
        types = [a.dtype for a in (*arrays, *outs)]
        for operands, results in calls:
            shape = results[0].shape
            for a, dtype in zip((*operands, *results), types):
                if a.dtype != dtype or a.shape != shape or not a.flags.c_contiguous:
                    return False
        kernels = self.kernels()
        key = (
            kernels,
            "many",
            *[t.num for t in types],
            *[type(v) if type(v) in _NUMBERS else (type(v), v) for v in rest],
        )
        plan: Any = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._plan_many(kernels, (*arrays, *rest), outs)
        if plan == ():
            return False
        kernel, used, numbers, most = plan
        given = [(*arrays, *rest)[i] for i in numbers]
        full = [(operands, results) for operands, results in calls if results[0].size]
        for start in range(0, len(full), most):
            _launch(kernel, full[start : start + most], used, given, most)
        return True

    def _plan_many(self, kernels: Kernels, args: Sequence[Any], outs: Sequence[Any]) -> Any:
        """The kernel, which of the arguments are arrays and numbers of it, and how many calls it takes; () for none."""
        try:
            results, takes, types, by_value = self._traced(args, outs)
        except NotTraceable:
            return ()
        if by_value:
            return ()
        used = [i for i in takes if isinstance(args[i], self.array_type)]
        numbers = [i for i in takes if i not in used]
        memory = [(f"y{k}", o.dtype) for k, o in enumerate(outs)], [(f"x{i}", args[i].dtype) for i in used]
        source, most = generate_many(self.name, results, *memory, [(f"x{i}", types[i]) for i in numbers])
        return kernels.of(source, "many"), used, numbers, most


def _launch(
    kernel: Kernel, calls: Sequence[Any], used: Sequence[int], numbers: Sequence[Any], most: int
) -> None:
    rest = (0,) * (most - len(calls))
    table: list[int] = []
    for k in range(len(calls[0][1])):
        table += [results[k].data.ptr for _, results in calls]
        table += rest
    for i in used:
        table += [operands[i].data.ptr for operands, _ in calls]
        table += rest
    sizes, first = [results[0].size for _, results in calls], [0]
    for n in sizes:
        first.append(first[-1] + -(-n // CHUNK))
    blocks = first[-1]
    kernel((blocks, 1), (THREADS, 1), *table, *sizes, *rest, *first, *[blocks] * len(rest), *numbers)


def together(pointers: int) -> int:
    """How many tuples of so many addresses fit into the arguments of a kernel; odd, so that numbers follow without a gap.

    >>> together(3), together(7)
    (63, 51)
    """
    return min(63, (ROOM // (8 * pointers + 12) - 1) // 2 * 2 + 1)


class _Table(Generated):
    """A source with a table as its kernel's first argument."""

    def __init__(self, name: str, text: str, packing: str) -> None:
        super().__init__(name, text)
        self._packing = packing

    def _code(self, c_type: str) -> str:
        return self._packing if c_type == "Table" else super()._code(c_type)


def generate_many(
    name: str, results: Sequence[Any], outs: Sequence[tuple[str, Any]], arrays: Sequence[tuple[str, Any]],
    numbers: Sequence[tuple[str, Any]],
) -> tuple[Generated, int]:  # fmt: skip
    """The source of a kernel `many` of a table and numbers, and how many tuples its table holds."""
    text, memory = element(results, outs, arrays, numbers), [*outs, *arrays]
    most = together(len(memory))
    vector = max(1, min(8, 16 // max(d.itemsize for _, d in memory)))
    pointers = [f"{_D.stored(d)}* {x}[{most}];" for x, d in outs]
    pointers += [f"const {_D.stored(d)}* {x}[{most}];" for x, d in arrays]
    mine = [f"{_D.stored(d)}* const {x} = t.{x}[low];" for x, d in outs]
    mine += [f"const {_D.stored(d)}* const {x} = t.{x}[low];" for x, d in arrays]
    values = [f"{x}_number" for x, _ in numbers]
    one = ", ".join(["i", *[f"{x}[i]" for x, _ in memory], *values])
    packed = ", ".join(["i + k", *[f"{x}_pack.v[k]" for x, _ in memory], *values])
    packs = [f"Pack<{_D.stored(d)}, {vector}> {y}_pack;" for y, d in outs]
    packs += [
        f"const Pack<{_D.stored(d)}, {vector}> {x}_pack = *reinterpret_cast<const Pack<{_D.stored(d)}, {vector}>*>({x} + i);"
        for x, d in arrays
    ]
    writes = [f"*reinterpret_cast<Pack<{_D.stored(d)}, {vector}>*>({y} + i) = {y}_pack;" for y, d in outs]
    addresses = " | ".join(f"(word_t){x}" for x, _ in memory)
    parameters = ", ".join(["Table t", *[f"{_D.base(d)} {x}_number" for x, d in numbers]])
    text += f"""struct Table {{
    {" ".join(pointers)}
    index_t n[{most}];
    int first[{most + 1}];
}};
KERNEL(many)({parameters}) {{
    int low = 0, high = {most};  // t.first[low] <= the block < t.first[high]
    while (high - low > 1) {{
        const int middle = (low + high) / 2;
        if ((int)blockIdx.x < t.first[middle]) high = middle;
        else low = middle;
    }}
    {" ".join(mine)}
    const index_t begin = (index_t)((int)blockIdx.x - t.first[low]) * {CHUNK};
    const index_t end = begin + {CHUNK} < t.n[low] ? begin + {CHUNK} : t.n[low];
    index_t i = begin + (index_t)threadIdx.x * {vector};
    if ((({addresses}) & 15) == 0)
        for (; i + {vector} <= end; i += (index_t)blockDim.x * {vector}) {{
            {" ".join(packs)}
#pragma unroll
            for (int k = 0; k < {vector}; ++k) element({packed});
            {" ".join(writes)}
        }}
    for (; i < end; i += (index_t)blockDim.x * {vector})
        for (index_t j = i, last = i + {vector} < end ? i + {vector} : end; j < last; ++j) {{
            const index_t i = j;
            element({one});
        }}
}}
"""
    return _Table(named(name, text), text, f"{len(memory) * most}Q{most}q{most + 1}i"), most
