"""The text of the kernels of reductions, in four schedules.

along    CPU: an item does row by row (or parts of rows), its lanes are neighbours in a row
across   CPU: the lanes are neighbouring rows: for those that lie side by side, or are short
group    GPU: a work group does a row (or a part), by a tree in local memory
item     GPU: an item does a row (or a part); also what puts the states of parts together
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..expressions.c import Emitter, OpenCL, parts
from ..expressions.expr import INT64
from .folds import Program, names
from .walking import BLOCK, COLUMN, DEEP, GROUP, UNROLL, Folding, Name, Walking, prefixed


class Source(Walking):
    """The text of one kernel: of a whole reduction, of the states of parts (`partial`), or of their second launch."""

    def __init__(
        self, name: str, device: Any, program: Program, dtypes: Sequence[Any], schedule: str, ranks: tuple[int, int],
        classes: str, width: int, partial: bool, second: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(name, device, schedule, ranks, classes, program.places)
        self.program, self.width, self.partial, self.second = program, width, partial, second
        self.folding = Folding([fold for p in program.passes for fold in p])
        if second:  # the operands are the states
            self.arrays = [(f"z_{n}", d) for (n, _), d in zip(program.states, dtypes)]
            self.read = {n for n, _ in self.arrays}
        else:
            self.arrays = [(f"x{i}", d) for i, d in enumerate(dtypes)]
            self.read = names([v for fold in self.folding.folds for v in fold.lifts])
        self.constant = frozenset(n for n, _ in self.arrays)
        self.outs = [d for _, d in program.states] if partial else program.dtypes

    def text(self) -> tuple[str, list[Any]]:
        """The source, and the types of the kernel's arguments."""
        body = {"along": self._along, "across": self._across, "group": self._by_group, "item": self._by_item}
        return self.signature(self.outs, body[self.schedule]())

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

    # --- the schedules ------------------------------------------------------------------------------------------------

    def _along(self) -> list[str]:
        w, d, fold = self.width, self.device.dialect(self.width), self.folding

        total, rest = prefixed("total_"), prefixed("rest_")

        def element(d: OpenCL, name: Name, at: str) -> list[str]:
            loads = self._load(d, at, "m0", self.read)
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
        body += ["{", *self._blocks(), "}"]
        if w > 1:
            body += ["for (; c < stop; c++) {", *self._column(), "}"]
        return self._items(body)

    def _blocks(self) -> list[str]:
        """Vectors of columns: their states wait in arrays while a few elements of each are added, so that memory is read in
        long lines."""
        w, d, fold = self.width, self.device.dialect(self.width), self.folding
        slots, a, vectors = COLUMN // w, prefixed("a_"), f"; c + {w} <= stop; c += {w}, k++) {{"
        to_slot = [f"slots_{n}[k] = {a(n)};" for n, _ in fold.states]
        from_slot = [f"{a(n)} = slots_{n}[k];" for n, _ in fold.states]
        lines = [f"{d.type(i.dtype)} slots_{n}[{slots}];" for n, i in fold.states]
        lines += [*fold.declare(d, a), "int k;", f"for (k = 0; k < {slots}; k++) {{", *to_slot, "}"]
        lines += ["for (long l = l0; l < l1; l++) {", *self._line()]
        lines += [f"for (long b0 = j0; b0 < j1; b0 += {DEEP}) {{", f"const long b1 = min(b0 + {DEEP}, j1);"]
        lines += [f"for (c = first, k = 0{vectors}", *from_slot, "for (long j = b0; j < b1; j++) {"]
        lines += [*self._lane(d, a), "}", *to_slot, "}", "}", "}"]
        return [*lines, f"for (c = first, k = 0{vectors}", *from_slot, *self._put(d, a), "}"]

    def _column(self) -> list[str]:
        """One column, which is no part of a vector."""
        d, fold, a = self.one, self.folding, prefixed("a_")
        lines = [*fold.declare(d, a), "for (long l = l0; l < l1; l++) {", *self._line()]
        return [*lines, "for (long j = j0; j < j1; j++) {", *self._lane(d, a), "}", "}", *self._put(d, a)]

    def _lane(self, d: OpenCL, name: Name) -> list[str]:
        """Add element j of the columns from c on."""
        here = [f"{self._pointer(n, t)}_here = {n}_row + j*{n}_m0;" for n, t in self.arrays]
        loads = self._load(d, "c", "k0", self.read, "here")
        return [*here, *self._element(d, name, [*loads, *self._place(d, "l*m0_n + j", False)])]

    def _put(self, d: OpenCL, name: Name) -> list[str]:
        """Write what comes of the states of the columns from c on."""
        final = [f"const {d.type(i.dtype)} {n} = {name(n)};" for n, i in self.folding.states]
        rows = "*".join(f"k{i}_n" for i in range(self.ranks[0]))
        return ["{", *final, *self._stores(d, "row + c", f"part*({rows}) + row + c"), "}"]

    def _by_group(self) -> list[str]:
        d, fold = self.one, self.folding
        local = [f"__local {self._local(i.dtype)} s_{n}[{GROUP}];" for n, i in fold.states]
        element = [
            "const long l = l0 + q / width, j = j0 + q % width;"
            if self.ranks[1] > 1
            else "const long l = 0, j = j0 + q;",
            *self._line(),
            *self._load(d, "j", "m0", self.read),
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
                *self._load(d, "j", "m0", self.read),
                *step,
                "}",
                "}",
                *self._finish("row", "t"),
            ]
        )


__all__ = ["Source"]
