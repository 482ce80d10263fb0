"""What kernels over rows have in common: the walk over rows, lines and elements, and statements about states.

A row is all that is put together. Of both kinds of dimensions, kept (`k`) and reduced (`m`), number 0 is the last one; the other
reduced ones make the lines of a row. Every array has a step along each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..expressions.c import Emitter, OpenCL, entry
from ..expressions.expr import BOOL, INT32, REAL_PART
from .elementwise_source import BROADCAST, DENSE

#: The size of a group of the GPU schedules.
GROUP = 64
#: Vectors that are computed side by side, so that one addition need not wait for the other.
UNROLL = 4
#: So many rounds go into one accumulator before it is added to the total: sums of many numbers stay exact longer.
BLOCK = 64
#: The most columns whose states an item keeps, and how many elements go into them before it turns to the next columns.
COLUMN, DEEP = 512, 16

Name = Callable[[str], str]


def load(d: OpenCL, name: str, dtype: np.dtype[Any], how: str, pointer: str, place: str, step: str) -> str:
    """The statement that declares `name`, the elements from `pointer[place * step]` on, `step` elements apart."""
    at = place if how == DENSE else "0" if how == BROADCAST else f"({place})*{step}"
    if dtype in REAL_PART:
        return (
            f"const {d.type(REAL_PART[dtype])} {name}_re = {pointer}[{at}].x, {name}_im = {pointer}[{at}].y;"
        )
    if d.width == 1:
        text = d.lane(pointer, at, dtype)
    elif how == DENSE:
        text = d.load(f"{pointer} + {at}", dtype)
    elif how == BROADCAST:
        text = d.spread(d.scalar().lane(pointer, "0", dtype), dtype)
    else:
        text = d.gather(f"({pointer} + {at})", step, dtype)
    return f"const {d.type(dtype)} {name} = {text};"


def prefixed(prefix: str) -> Name:
    """The names of states, with `prefix` in front."""
    return lambda n: f"{prefix}{n}"


class Folding:
    """Statements about the states of some folds: `name` gives the C text of each state."""

    def __init__(self, folds: Sequence[Any]) -> None:
        self.folds = folds
        self.states = [(n, i) for fold in folds for n, i in zip(fold.names, fold.identity)]

    def declare(self, d: OpenCL, name: Name) -> list[str]:
        """Accumulators that hold nothing yet."""
        return [f"{d.type(i.dtype)} {name(n)} = {Emitter(d).value(i)};" for n, i in self.states]

    def step(self, d: OpenCL, name: Name, index: str = "") -> list[str]:
        """Add the element whose operands are in variables."""
        emitter = Emitter(d, index)
        new = [v for fold in self.folds for v in fold.step(fold.states(name), fold.lifts)]
        return self._assign(emitter, name, new)

    def merge(self, d: OpenCL, into: Name, other: Name) -> list[str]:
        """Put other states into the accumulators."""
        new = [v for fold in self.folds for v in fold.combine(fold.states(into), fold.states(other))]
        return ["{", *self._assign(Emitter(d), into, new), "}"]

    def join(self, d: OpenCL, target: Name, one: Name, other: Name, prefix: str = "") -> list[str]:
        """Declare new states, of two; `prefix` is of the variables on the way."""
        emitter = Emitter(d, "", prefix or f"{target('')}t")
        new = [v for fold in self.folds for v in fold.combine(fold.states(one), fold.states(other))]
        texts = [emitter.value(v) for v in new]
        return emitter.lines + [
            f"{d.type(i.dtype)} {target(n)} = {t};" for (n, i), t in zip(self.states, texts)
        ]

    def _assign(self, emitter: Emitter, name: Name, new: Sequence[Any]) -> list[str]:
        texts = [emitter.value(v) for v in new]
        return emitter.lines + [f"{name(n)} = {t};" for (n, _), t in zip(self.states, texts)]

    def across_lanes(
        self, dialect: Callable[[int], OpenCL], width: int, name: Name, prefix: str
    ) -> list[str]:
        """Put the lanes of vectors together, half by half, into scalars called `prefix` and the state's name."""
        lines: list[str] = []
        dtypes = {n: i.dtype for n, i in self.states}
        while width > 1:
            width //= 2
            d, before = dialect(width), name

            def half(which: str, before: Name = before, scalar: bool = width == 1) -> Name:
                def text(n: str) -> str:
                    part = f"{before(n)}.{which}"
                    return f"(-{part})" if scalar and dtypes[n] == BOOL else part

                return text

            target = prefixed(prefix if width == 1 else f"{prefix}{width}_")
            lines += self.join(d, target, half("lo"), half("hi"))
            name = target
        return lines


class Walking:
    """The text of a kernel that walks over rows; subclasses say what it does there."""

    #: The arrays with a step along each dimension; those of `constant` are read only.
    arrays: list[tuple[str, np.dtype[Any]]]
    constant: frozenset[str]
    classes: str

    def __init__(
        self, name: str, device: Any, schedule: str, ranks: tuple[int, int], classes: str, places: bool
    ) -> None:
        self.name, self.device, self.schedule, self.ranks = name, device, schedule, ranks
        self.classes, self.places = classes, places
        self.group = GROUP if not device.is_cpu else 1
        self.one = device.dialect(1)

    def signature(self, results: Sequence[np.dtype[Any]], lines: Sequence[str]) -> tuple[str, list[Any]]:
        """The whole kernel around the statements, and the types of its arguments: first the results without steps."""
        parameters = [f"__global {self.one.stored(d)} *y{k}" for k, d in enumerate(results)]
        types: list[Any] = [None] * len(parameters)
        for name, dtype in self.arrays:
            parameters += [f"{self._pointer(name, dtype)}_memory", f"const long {name}_offset"]
            types += [None, np.int64]
        longs = ["tiles", "each", "parts", "n_parts", "lines_each", "n_each", "columns", "column", "count_n"]
        dimensions = [f"k{i}" for i in range(self.ranks[0])] + [f"m{i}" for i in range(self.ranks[1])]
        longs += [f"{d}_n" for d in dimensions] + [f"{x}_{d}" for x, _ in self.arrays for d in dimensions]
        parameters += [f"const long {p}" for p in longs]
        types += [np.int64] * len(longs)
        return (
            f"{entry(self.group)}\n"
            f"void kernel_{self.name}({', '.join(parameters)}) {{\n" + "\n".join(lines) + "\n}\n"
        ), types

    def _tile(self, lanes: bool) -> list[str]:
        """Where tile `t` begins: its row, the part of it, and the lines and elements of that; of `lanes` without column."""
        lines = []
        if self.schedule in ("along", "group"):
            lines += ["const long row = t / parts, part = t - row*parts;"]
        elif self.schedule == "item":
            lines += ["const long rows = tiles / parts, part = t / rows, row = t - part*rows;"]
        else:
            lines += [
                "const long all = tiles / parts, part = t / all, tile = t - part*all, outer = tile / columns;",
                "const long first = (tile - outer*columns)*column, row = outer*k0_n;",
            ]
        lines += [
            "const long line_part = part / n_parts, n_part = part - line_part*n_parts;",
            f"const long l0 = line_part*lines_each, l1 = min(l0 + lines_each, {self._lines()});",
            "const long j0 = n_part*n_each, j1 = min(j0 + n_each, m0_n);",
        ]
        begin = 1 if lanes else 0
        lines += self._decode("row" if not lanes else "outer", "k", begin, self.ranks[0])
        for name, _ in self.arrays:
            steps = "".join(f" + k{d}*{name}_k{d}" for d in range(begin, self.ranks[0]))
            lines.append(f"const long {name}_at = {name}_offset{steps};")
        return lines

    def _lines(self) -> str:
        return "*".join(f"m{d}_n" for d in range(1, self.ranks[1])) or "1L"

    def _decode(self, number: str, letter: str, begin: int, end: int) -> list[str]:
        lines, rest = [], number
        for d in range(begin, end):
            if d == end - 1:
                lines.append(f"const long {letter}{d} = {rest};")
            else:
                lines.append(
                    f"const long {letter}{d} = {rest} % {letter}{d}_n, {letter}{d}_rest = {rest} / {letter}{d}_n;"
                )
                rest = f"{letter}{d}_rest"
        return lines

    def _line(self, number: str = "l") -> list[str]:
        """Pointers to line `l`."""
        lines = self._decode(number, "m", 1, self.ranks[1])
        for name, dtype in self.arrays:
            steps = "".join(f" + m{d}*{name}_m{d}" for d in range(1, self.ranks[1]))
            lines.append(f"{self._pointer(name, dtype)}_row = {name}_memory + {name}_at{steps};")
        return lines

    def _pointer(self, name: str, dtype: np.dtype[Any]) -> str:
        """The beginning of the declaration of a pointer."""
        const = "const " if name in self.constant else ""
        return f"__global {const}{self.one.stored(dtype)} *{name}"

    def _load(self, d: OpenCL, place: str, step: str, used: set[str], pointer: str = "row") -> list[str]:
        """The statements that load those arrays of which there are variables in `used`."""
        read = {u.split("_")[0] if u.startswith("x") else u for u in used}
        return [
            load(d, name, dtype, how, f"{name}_{pointer}", place, f"{name}_{step}")
            for (name, dtype), how in zip(self.arrays, self.classes)
            if name in read
        ]

    def _place(self, d: OpenCL, place: str, lanes: bool) -> list[str]:
        """The variable `place`, where a fold asks for it."""
        if not self.places:
            return []
        text = d.splat(f"(int)({place})", INT32)
        if lanes and d.width > 1:
            text += f" + (int{d.width})({', '.join(map(str, range(d.width)))})"
        return [f"const {d.type(INT32)} place = {text};"]

    def _items(self, body: list[str]) -> list[str]:
        return [
            "const long begin = get_global_id(0)*each, end = min(begin + each, tiles);",
            "for (long t = begin; t < end; t++) {",
            *body,
            "}",
        ]


__all__ = ["BLOCK", "COLUMN", "DEEP", "GROUP", "UNROLL", "Folding", "Name", "Walking", "load", "prefixed"]
