"""The text of the kernels of reductions, in four schedules.

along    CPU: an item does row by row (or parts of rows), its lanes are neighbours in a row
across   CPU: the lanes are neighbouring rows: for those that lie side by side, or are short
group    GPU: a work group does a row (or a part), by a tree in local memory
item     GPU: an item does a row (or a part); also what puts the states of parts together
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..expressions.c import Emitter, OpenCL, parts
from ..expressions.expr import BOOL, INT32, INT64, REAL_PART
from .elementwise import BROADCAST, DENSE
from .folds import Program, names

#: The size of a group of the GPU schedules.
GROUP = 64
#: Vectors that are computed side by side, so that one addition need not wait for the other.
UNROLL = 4
#: So many rounds go into one accumulator before it is added to the total: sums of many numbers stay exact longer.
BLOCK = 64

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

    def join(self, d: OpenCL, target: Name, one: Name, other: Name) -> list[str]:
        """Declare new states, of two."""
        emitter = Emitter(d, "", f"{target('')}t")
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


class Source:
    """The text of one kernel: of a whole reduction, of the states of parts (`partial`), or of their second launch."""

    def __init__(
        self, name: str, device: Any, program: Program, dtypes: Sequence[Any], schedule: str, ranks: tuple[int, int],
        classes: str, width: int, partial: bool, second: bool = False,
    ) -> None:  # fmt: skip
        self.name, self.device, self.program, self.schedule, self.ranks = (
            name,
            device,
            program,
            schedule,
            ranks,
        )
        self.classes, self.width, self.partial, self.second = classes, width, partial, second
        self.folding = Folding([fold for p in program.passes for fold in p])
        # In a second launch the operands are the states.
        self.operands = [(f"z_{n}" if second else n, d) for n, d in zip(
            [n for n, _ in program.states] if second else [f"x{i}" for i in range(len(dtypes))], dtypes)]  # fmt: skip
        self.outs = [d for _, d in program.states] if partial else program.dtypes
        self.group = GROUP if not device.is_cpu else 1
        self.one = device.dialect(1)

    def text(self) -> tuple[str, list[Any]]:
        """The source, and the types of the kernel's arguments."""
        parameters = [f"__global {self.one.stored(d)} *y{k}" for k, d in enumerate(self.outs)]
        types: list[Any] = [None] * len(parameters)
        for name, dtype in self.operands:
            parameters += [
                f"__global const {self.one.stored(dtype)} *{name}_memory",
                f"const long {name}_offset",
            ]
            types += [None, np.int64]
        longs = ["tiles", "each", "parts", "n_parts", "lines_each", "n_each", "columns", "column", "count_n"]
        dimensions = [f"k{i}" for i in range(self.ranks[0])] + [f"m{i}" for i in range(self.ranks[1])]
        longs += [f"{d}_n" for d in dimensions] + [f"{x}_{d}" for x, _ in self.operands for d in dimensions]
        parameters += [f"const long {p}" for p in longs]
        types += [np.int64] * len(longs)
        body = {"along": self._along, "across": self._across, "group": self._by_group, "item": self._by_item}
        lines = body[self.schedule]()
        return (
            f"__kernel __attribute__((reqd_work_group_size({self.group}, 1, 1)))\n"
            f"void kernel_{self.name}({', '.join(parameters)}) {{\n" + "\n".join(lines) + "\n}\n"
        ), types

    # --- pieces -------------------------------------------------------------------------------------------------------

    def _tile(self, lanes: bool) -> list[str]:
        """Where tile `t` begins: its row, the part of it, and the lines and elements of that; of `lanes` without column."""
        lines = []
        if self.schedule in ("along", "group"):
            lines += ["const long row = t / parts, part = t - row*parts;"]
        elif self.schedule == "item":
            lines += ["const long rows = tiles / parts, part = t / rows, row = t - part*rows;"]
        else:
            lines += [
                "const long part = t % parts, tile = t / parts, outer = tile / columns;",
                "const long first = (tile - outer*columns)*column, row = outer*k0_n;",
            ]
        lines += [
            "const long line_part = part / n_parts, n_part = part - line_part*n_parts;",
            f"const long l0 = line_part*lines_each, l1 = min(l0 + lines_each, {self._lines()});",
            "const long j0 = n_part*n_each, j1 = min(j0 + n_each, m0_n);",
        ]
        begin = 1 if lanes else 0
        lines += self._decode("row" if not lanes else "outer", "k", begin, self.ranks[0])
        for name, _ in self.operands:
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
        for name, dtype in self.operands:
            steps = "".join(f" + m{d}*{name}_m{d}" for d in range(1, self.ranks[1]))
            lines.append(
                f"__global const {self.one.stored(dtype)} *{name}_row = {name}_memory + {name}_at{steps};"
            )
        return lines

    def _load(self, d: OpenCL, place: str, step: str, classes: str, pointer: str = "row") -> list[str]:
        used = names([v for fold in self.folding.folds for v in fold.lifts]) if not self.second else None
        return [
            load(d, name, dtype, how, f"{name}_{pointer}", place, f"{name}_{step}")
            for (name, dtype), how in zip(self.operands, classes)
            if used is None or any(u.split("_")[0] == name for u in used)
        ]

    def _place(self, d: OpenCL, place: str, lanes: bool) -> list[str]:
        """The variable `place`, where a fold asks for it."""
        if not self.program.places:
            return []
        text = d.splat(f"(int)({place})", INT32)
        if lanes and d.width > 1:
            text += f" + (int{d.width})({', '.join(map(str, range(d.width)))})"
        return [f"const {d.type(INT32)} place = {text};"]

    def _element(self, d: OpenCL, name: Name, loads: list[str]) -> list[str]:
        return ["{", *loads, *self.folding.step(d, name), "}"]

    def _finish(self, place: str, partial_place: str) -> list[str]:
        """Write what comes of the states, whose names are theirs in the program."""
        return ["{", *self._stores(self.one, place, partial_place), "}"]

    def _stores(self, d: OpenCL, place: str, partial_place: str) -> list[str]:
        if self.partial:
            return [
                d.store(f"(y{k} + {partial_place})", n, dtype)
                for k, (n, dtype) in enumerate(self.program.states)
            ]
        emitter = Emitter(d)
        emitter.lines.append(f"const {d.type(INT64)} count = {d.spread('count_n', INT64)};")
        lines = []
        for k, r in enumerate(self.program.results):
            values = [emitter.value(p) for p in parts(r)]
            if len(values) == 2:
                lines.append(f"y{k}[{place}] = {d.pair(values[0], values[1], r.dtype)};")
            else:
                lines.append(d.store(f"(y{k} + {place})", values[0], r.dtype))
        return emitter.lines + lines

    def _items(self, body: list[str]) -> list[str]:
        return [
            "const long begin = get_global_id(0)*each, end = min(begin + each, tiles);",
            "for (long t = begin; t < end; t++) {",
            *body,
            "}",
        ]

    # --- the schedules ------------------------------------------------------------------------------------------------

    def _along(self) -> list[str]:
        w, d, fold = self.width, self.device.dialect(self.width), self.folding

        total, rest = prefixed("total_"), prefixed("rest_")

        def element(d: OpenCL, name: Name, at: str) -> list[str]:
            loads = self._load(d, at, "m0", self.classes)
            return self._element(d, name, [*loads, *self._place(d, f"l*m0_n + {at}", True)])

        accumulators: list[Name] = [prefixed(f"a{u}_") for u in range(UNROLL)]
        block = [line for a in accumulators for line in fold.declare(d, a)]
        block.append(f"for (; j < stop; j += {UNROLL * w}) {{")
        for u, a in enumerate(accumulators):
            block += element(d, a, f"j + {u * w}" if u else "j")
        block.append("}")
        for a in accumulators:
            block += fold.merge(d, total, a)
        loop = [
            f"while (j + {UNROLL * w} <= j1) {{",
            f"const long stop = j + min((j1 - j) / {UNROLL * w}, (long){BLOCK})*{UNROLL * w};",
            *block,
            "}",
        ]
        if w > 1:
            loop += [f"for (; j + {w} <= j1; j += {w})", *element(d, total, "j")]
            loop += ["for (; j < j1; j++)", *element(self.one, rest, "j")]
        else:
            loop += ["for (; j < j1; j++)", *element(self.one, total, "j")]
        body = [
            *self._tile(False),
            *fold.declare(d, total),
            *(fold.declare(self.one, rest) if w > 1 else []),
            "for (long l = l0; l < l1; l++) {",
            *self._line(),
            "long j = j0;",
            *loop,
            "}",
        ]
        if w > 1:
            body += fold.across_lanes(self.device.dialect, w, total, "lane_")
            body += fold.join(self.one, prefixed(""), prefixed("lane_"), rest)
        else:
            body += [f"const {self.one.type(i.dtype)} {n} = total_{n};" for n, i in fold.states]
        body += self._finish("row", "t")
        return self._items(body)

    def _across(self) -> list[str]:
        w = self.width
        body = [*self._tile(True), "const long stop = min(first + column, k0_n);", "long c = first;"]
        for width, count in ((w, UNROLL), (w, 1), (1, 1)) if w > 1 else ((1, UNROLL), (1, 1)):
            body += [
                f"for (; c + {width * count} <= stop; c += {width * count}) {{",
                *self._columns(width, count),
                "}",
            ]
        return self._items(body)

    def _columns(self, width: int, count: int) -> list[str]:
        d, fold = self.device.dialect(width), self.folding
        accumulators: list[Name] = [prefixed(f"a{u}_") for u in range(count)]
        lines = [line for a in accumulators for line in fold.declare(d, a)]
        lines += ["for (long l = l0; l < l1; l++) {", *self._line(), "for (long j = j0; j < j1; j++) {"]
        for name, dtype in self.operands:
            stored = self.one.stored(dtype)
            lines.append(f"__global const {stored} *{name}_here = {name}_row + j*{name}_m0;")
        for u, a in enumerate(accumulators):
            at = f"c + {u * width}" if u else "c"
            loads = self._load(d, at, "k0", self.classes, "here")
            lines += self._element(d, a, [*loads, *self._place(d, "l*m0_n + j", False)])
        lines += ["}", "}"]
        for u, a in enumerate(accumulators):
            final = [f"const {d.type(i.dtype)} {n} = {a(n)};" for n, i in fold.states]
            at = f"row + c + {u * width}"
            rows = "*".join(f"k{i}_n" for i in range(self.ranks[0]))
            lines += ["{", *final, *self._stores(d, at, f"part*({rows}) + {at}"), "}"]
        return lines

    def _by_group(self) -> list[str]:
        d, fold = self.one, self.folding
        local = [f"__local {self._local(i.dtype)} s_{n}[{GROUP}];" for n, i in fold.states]
        element = [
            "const long l = l0 + q / width, j = j0 + q % width;"
            if self.ranks[1] > 1
            else "const long l = 0, j = j0 + q;",
            *self._line(),
            *self._load(d, "j", "m0", self.classes),
            *self._place(d, "l*m0_n + j", False),
            *fold.step(d, prefixed("")),
        ]
        put = [f"s_{n}[lane] = {n};" for n, _ in fold.states]
        return [
            *local,
            "const long t = get_group_id(0);",
            "const int lane = get_local_id(0);",
            *self._tile(False),
            *fold.declare(d, prefixed("")),
            "const long width = j1 - j0, all = (l1 - l0)*width;",
            f"for (long q = lane; q < all; q += {GROUP}) {{",
            *element,
            "}",
            *put,
            "barrier(CLK_LOCAL_MEM_FENCE);",
            f"for (int half_ = {GROUP // 2}; half_ > 0; half_ /= 2) {{",
            "if (lane < half_) {",
            *fold.merge(d, prefixed(""), lambda n: f"s_{n}[lane + half_]"),
            *put,
            "}",
            "barrier(CLK_LOCAL_MEM_FENCE);",
            "}",
            "if (lane == 0) {",
            *self._finish("row", "t"),
            "}",
        ]

    def _local(self, dtype: Any) -> str:
        return self.one.type(dtype)

    def _by_item(self) -> list[str]:
        d, fold = self.one, self.folding
        if self.second:
            step = fold.merge(d, prefixed(""), prefixed("z_"))
        else:
            step = [*self._place(d, "l*m0_n + j", False), *fold.step(d, prefixed(""))]
        return self._items(
            [
                *self._tile(False),
                *fold.declare(d, prefixed("")),
                "for (long l = l0; l < l1; l++) {",
                *self._line(),
                "for (long j = j0; j < j1; j++) {",
                *self._load(d, "j", "m0", self.classes),
                *step,
                "}",
                "}",
                *self._finish("row", "t"),
            ]
        )


__all__ = ["Folding", "Source", "load"]
