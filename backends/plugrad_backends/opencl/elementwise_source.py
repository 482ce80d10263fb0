"""The sources of template 1: the walk over all elements, in two schedules, around what an expression computes of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..expressions.c import Emitter, OpenCL, ScalarOnly, entry, parts, variables, walk
from ..expressions.expr import REAL_PART, Pair

#: How an operand steps along the last dimension: not at all, by one, or otherwise.
BROADCAST, DENSE, STRIDED = "0", "1", "s"
#: The size of a group of the GPU schedule.
GROUP = 64


class Source:
    """The text of a kernel.

    CPU schedule: the rows of the walk, the last dimension each, are cut into `pieces` of `piece` elements; an item does `each` of
    the `tiles` = rows · pieces. GPU schedule: an item does one element of `tiles`.
    """

    def __init__(
        self, name: str, device: Any, results: Sequence[Any], outs: Sequence[Any], operands: Sequence[tuple[int, Any]],
        rank: int, classes: str,
    ) -> None:  # fmt: skip
        self.name, self.device, self.results, self.rank, self.classes = name, device, results, rank, classes
        self.outs, self.operands = list(outs), list(operands)
        self.arrays: list[tuple[str, Any]] = [(f"y{k}", d) for k, d in enumerate(outs)]
        self.arrays += [(f"x{i}", d) for i, d in operands[: len(classes) - len(outs)]]
        self.numbers = [(f"x{i}", d) for i, d in operands[len(classes) - len(outs) :]]
        self.group = 1 if device.is_cpu else GROUP
        sizes = [4 if x.dtype.kind == "b" else max(x.dtype.itemsize, 1) for x in walk(results)]
        sizes += [2 if d.kind == "b" else d.itemsize for _, d in self.arrays]
        complex_ = any(d in REAL_PART for _, d in self.arrays) or any(isinstance(r, Pair) for r in results)
        self.width = 1 if complex_ else device.width(max(sizes))

    def text(self) -> tuple[str, list[Any]]:
        """The source, and the types of the kernel's arguments."""
        try:
            return self._text()
        except ScalarOnly:
            self.width = 1
            return self._text()

    def _text(self) -> tuple[str, list[Any]]:
        one = self.device.dialect(1)
        parameters: list[str] = []
        types: list[Any] = []
        for k, (name, dtype) in enumerate(self.arrays):
            const = "" if k < len(self.outs) else "const "
            parameters += [f"__global {const}{one.stored(dtype)} *{name}_memory", f"const long {name}_offset"]
            types += [None, np.int64]
        for name, dtype in self.numbers:
            parameters.append(f"const {one.base(dtype)} {name}_number")
            types.append({"?": np.int32, "e": np.float32}.get(dtype.char, dtype.type))
        parameters += [f"const long {p}" for p in ("n", "pieces", "piece", "tiles", "each")]
        parameters += [f"const long n{j}" for j in range(1, self.rank)]
        for (name, _), c in zip(self.arrays, self.classes):
            parameters += [f"const long {name}_s{j}" for j in range(1, self.rank)]
            if c == STRIDED:
                parameters.append(f"const long {name}_s0")
        types += [np.int64] * (len(parameters) - len(types))
        body = self._slab() if self.device.is_cpu else self._item()
        numbers = "\n".join(self._number(name, d) for name, d in self.numbers)
        return (
            f"{entry(self.group)}\n"
            f"void kernel_{self.name}({', '.join(parameters)}) {{\n{numbers}\n{body}\n}}\n"
        ), types

    def _number(self, name: str, dtype: np.dtype[Any]) -> str:
        one = self.device.dialect(1)
        text = f"{name}_number != 0" if dtype.kind == "b" else f"{name}_number"
        return f"    const {one.base(dtype)} {name}_0 = {text};"

    # --- one element, or a vector of them -----------------------------------------------------------------------------

    def _body(self, dialect: OpenCL, place: str, flat: str, indent: str) -> str:
        """Load, compute and store the elements from `place` on in the current row."""
        lines = []
        read = variables(self.results)
        for (name, dtype), c in list(zip(self.arrays, self.classes))[len(self.outs) :]:
            if name in read:
                lines += self._load(dialect, name, dtype, c, place)
        for name, dtype in self.numbers:
            if dialect.width > 1:
                lines.append(f"const {dialect.type(dtype)} {name} = {dialect.spread(f'{name}_0', dtype)};")
            else:
                lines.append(f"const {dialect.type(dtype)} {name} = {name}_0;")
        emitter = Emitter(dialect, flat)
        values = [[emitter.value(p) for p in parts(r)] for r in self.results]
        lines += emitter.lines
        for k, (value, dtype) in enumerate(zip(values, self.outs)):
            lines.append(self._store(dialect, f"y{k}", dtype, self.classes[k], place, value))
        return "\n".join(indent + line for line in lines)

    def _load(self, d: OpenCL, name: str, dtype: np.dtype[Any], c: str, place: str) -> list[str]:
        pointer = f"{name}_row"
        at = {BROADCAST: "0", DENSE: place, STRIDED: f"({place})*{name}_s0"}[c]
        if dtype in REAL_PART:
            part = REAL_PART[dtype]
            return [
                f"const {d.type(part)} {name}_re = {pointer}[{at}].x, {name}_im = {pointer}[{at}].y;",
            ]
        if c == BROADCAST and d.width > 1:
            return [f"const {d.type(dtype)} {name} = {d.spread(f'{name}_1', dtype)};"]
        if d.width == 1:
            text = d.lane(pointer, at, dtype)
        elif c == DENSE:
            text = d.load(f"{pointer} + {place}", dtype)
        else:
            text = d.gather(f"({pointer} + {at})", f"{name}_s0", dtype)
        return [f"const {d.type(dtype)} {name} = {text};"]

    def _store(self, d: OpenCL, name: str, dtype: np.dtype[Any], c: str, place: str, value: list[str]) -> str:
        at = place if c == DENSE else f"({place})*{name}_s0"
        pointer = f"{name}_row + {at}"
        if dtype in REAL_PART:
            return f"*({pointer}) = {d.pair(value[0], value[1], dtype)};"
        if d.width > 1 and c != DENSE:
            return f"{{ const {d.type(dtype)} v = {value[0]}; {d.scatter(f'({pointer})', f'{name}_s0', 'v', dtype)} }}"
        return d.store(pointer, value[0], dtype)

    # --- the schedules ------------------------------------------------------------------------------------------------

    def _rows(self, indent: str) -> str:
        """Pointers to the current row, of which `NAME_at` tells where it begins."""
        one, lines = self.device.dialect(1), []
        for k, (name, dtype) in enumerate(self.arrays):
            const = "" if k < len(self.outs) else "const "
            lines.append(f"__global {const}{one.stored(dtype)} *{name}_row = {name}_memory + {name}_at;")
        return "\n".join(indent + line for line in lines)

    def _decode(self, row: str, indent: str, declare: bool = False) -> str:
        """Where row number `row` begins in each array."""
        long = "long " if declare else ""
        lines = [f"{'long ' if declare else ''}rest = {row};"] if self.rank > 1 else []
        for j in range(1, self.rank):
            lines.append(
                f"{long}i{j} = rest;" if j == self.rank - 1 else f"{long}i{j} = rest % n{j}; rest /= n{j};"
            )
        for name, _ in self.arrays:
            steps = "".join(f" + i{j}*{name}_s{j}" for j in range(1, self.rank))
            lines.append(f"{long}{name}_at = {name}_offset{steps};")
        return "\n".join(indent + line for line in lines)

    def _item(self) -> str:
        flat = "flat"
        row = "flat / n" if self.rank > 1 else "0"
        place = "(flat % n)" if self.rank > 1 else "flat"
        return "\n".join(
            [
                "    const long flat = get_global_id(0);",
                "    if (flat >= tiles) return;",
                self._decode(row, "    ", declare=True),
                self._rows("    "),
                f"    const long j = {place};",
                self._body(self.device.dialect(1), "j", flat, "    "),
            ]
        )

    def _slab(self) -> str:
        one, wide = self.device.dialect(1), self.device.dialect(self.width)
        read = variables(self.results)
        splats = [
            f"            const {one.type(d)} {name}_1 = {one.lane(f'{name}_row', '0', d)};"
            for (name, d), c in list(zip(self.arrays, self.classes))[len(self.outs) :]
            if c == BROADCAST and d not in REAL_PART and name in read and self.width > 1
        ]
        lines = [
            "    long t = get_global_id(0)*each;",
            "    const long end = min(t + each, tiles);",
            "    long row = -1;" if self.rank > 1 else "    const long row = 0;",
        ]
        if self.rank > 1:
            lines.append("    long " + ", ".join(["rest", *(f"i{j} = 0" for j in range(1, self.rank))]) + ";")
            lines.append(
                "    long " + ", ".join(f"{name}_at = {name}_offset" for name, _ in self.arrays) + ";"
            )
        else:
            lines.append(self._decode("0", "    ", declare=True))
        lines += [
            "    for (; t < end; t++) {",
            "        long j = 0, stop = n;",
        ]
        if self.rank > 1:
            lines += [
                "        const long next = pieces == 1 ? t : t / pieces;",
                "        if (pieces > 1) { j = (t - next*pieces)*piece; stop = min(j + piece, n); }",
                "        if (row < 0 || next != row + 1) {",
                "            row = next;",
                self._decode("row", "            "),
                "        } else {",
                "            row = next;",
                self._advance("            "),
                "        }",
            ]
        else:
            lines += ["        j = t*piece; stop = min(j + piece, n);"]
        lines += ["        {", self._rows("            "), *splats]
        flat = "row*n + j" if self.rank > 1 else "j"
        if self.width > 1:
            w = self.width
            lines += [
                f"            for (; j + {w} <= stop; j += {w}) {{",
                self._body(wide, "j", flat, "                "),
                "            }",
                # What is left is less than a vector: to make vectors of it only costs the compiler's time.
                "            #pragma clang loop vectorize(disable) unroll(disable)",
            ]
        lines += [
            "            for (; j < stop; j++) {",
            self._body(one, "j", flat, "                "),
            "            }",
            "        }",
            "    }",
        ]
        return "\n".join(lines)

    def _advance(self, indent: str) -> str:
        """From one row to the next, without divisions."""
        lines, depth = [], 0
        for j in range(1, self.rank):
            pad = indent + "    " * depth
            moves = " ".join(f"{name}_at += {name}_s{j};" for name, _ in self.arrays)
            lines.append(f"{pad}i{j}++; {moves}")
            if j < self.rank - 1:
                back = " ".join(f"{name}_at -= n{j}*{name}_s{j};" for name, _ in self.arrays)
                lines.append(f"{pad}if (i{j} == n{j}) {{ i{j} = 0; {back}")
                depth += 1
        lines.append(indent + "}" * depth)
        return "\n".join(lines)
