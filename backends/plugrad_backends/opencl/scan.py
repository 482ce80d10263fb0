"""Template 8: running sums and products along an axis.

A row is what lies along the axis. An item of a CPU does row by row, or vectors of rows that lie side by side; a work group of
a GPU goes along a row, or an item each does one of many rows side by side. A few long rows are cut into parts: a first
launch finds the total of each, and a second one begins each part with the totals of those before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..expressions.c import Emitter, OpenCL, parts
from ..expressions.expr import REAL_PART, var
from . import layout
from .elementwise import GRAIN
from .elementwise_source import BROADCAST, DENSE, STRIDED
from .folds import Program, names, single
from .reduce import Launch, up
from .reductions import like
from .walking import GROUP, UNROLL, Folding, Name, Walking, prefixed

#: A part of a row has at least so many elements.
PART = 4096


#: The states under their own names, by which results know them.
OWN = prefixed("")


class Scan:
    """The kernels of one running fold on one device: `function` takes a `Row` and an expression, as in template 2."""

    def __init__(self, device: Any, name: str, function: Callable[..., Any]) -> None:
        self.device, self.name, self.function = device, name, function
        self._plans: dict[Any, Any] = {}

    def __call__(self, x: Any, axis: int) -> Any:
        """For each element what becomes of those up to it along the axis."""
        plan = self._plans.get((x.sig, axis))
        if plan is None:
            if len(self._plans) > 4096:
                self._plans.clear()
            plan = self._plans[x.sig, axis] = self._plan(x.sig, axis)
        sig, states, launches = plan
        device = self.device
        out = device.array_type(device.allocate(sig.nbytes), 0, sig)
        totals = [device.allocate(n) for n in states]
        for launch in launches:
            with device.lock:
                launch.kernel(
                    device.queue, launch.items, launch.groups, *totals, out.buffer, 0, x.buffer, x.offset, *launch.tail
                )  # fmt: skip
        return out

    def _plan(self, sig: Any, axis: int) -> Any:
        device, cpu = self.device, self.device.is_cpu
        program = Program(self.function, [var("x0", sig.dtype)], ())
        out = layout.signature(sig.shape, program.dtypes[0])
        if not out.size:
            return out, [], []
        shape = tuple(n for i, n in enumerate(sig.shape) if i != axis)
        both = [layout.broadcast_strides(s, s.shape) for s in (out, sig)]
        kept, steps = layout.collapse(shape, [tuple(s for i, s in enumerate(b) if i != axis) for b in both])
        n, along = sig.shape[axis], [b[axis] for b in both]
        rows, rank = math.prod(kept), layout.rank_class(len(kept))
        beside = steps[1][-1] and abs(steps[1][-1]) < abs(along[1])
        sizes = [program.widest(), out.dtype.itemsize, 2 if sig.dtype.kind == "b" else sig.dtype.itemsize]
        width = 1 if {out.dtype, sig.dtype} & set(REAL_PART) else device.width(max(sizes))
        if cpu:
            schedule = "across" if beside and kept[-1] >= width else "along"
        else:
            schedule = "item" if n < GROUP // 2 or (beside and rows >= GROUP) else "group"
        count, columns, column = 1, 1, 0
        if schedule == "across":
            lines = rows // kept[-1]
            columns = max(1, min(up(kept[-1], width), up(device.slabs, lines)))
            column = width * up(up(kept[-1], columns), width)
            columns = up(kept[-1], column)
            tiles = lines * columns
        else:
            busy = 4 * device.units if cpu else 64
            count = max(1, min(busy // rows, n // PART)) if schedule != "item" and 2 * rows <= busy else 1
            tiles = rows * count
        n_each = up(n, count)
        count = up(n, n_each)
        if schedule != "across":
            tiles = rows * count
        items = max(1, min(device.slabs, tiles, out.size // GRAIN)) if cpu else tiles
        each = up(tiles, items)
        head = [tiles, each, count, count, 1, n_each, columns, column, n]
        tail = [*head, *layout.padded(kept, rank, 1)[::-1], n]
        for s, a in zip(steps, along):
            tail += [*layout.padded(s, rank, 0)[::-1], a]
        lanes = [s[-1] for s in steps] if schedule == "across" else along
        extent = kept[-1] if schedule == "across" else n
        classes = "".join(
            DENSE if s == 1 or extent == 1 else STRIDED if s or i == 0 else BROADCAST
            for i, s in enumerate(lanes)
        )
        launches = []
        for phase in ("totals", "rest") if count > 1 else ("whole",):
            key = (self.name, self, schedule, phase, sig.dtype, rank, classes)
            source = ScanSource(self.name, device, program, sig.dtype, schedule, rank, classes, width, phase)
            number = up(tiles, each) * (GROUP if schedule == "group" else 1)
            launches.append(Launch(device.kernel(key, source.text), number, source.group, tail))
        states = [rows * count * d.itemsize for _, d in program.states] if count > 1 else []
        return out, states, launches


class ScanSource(Walking):
    """The text of a kernel: of whole rows, of the totals of parts, or of parts that begin with totals (`rest`)."""

    def __init__(
        self, name: str, device: Any, program: Program, dtype: Any, schedule: str, rank: int, classes: str, width: int,
        phase: str,
    ) -> None:  # fmt: skip
        super().__init__(name, device, schedule, (rank, 1), classes, False)
        self.program, self.width, self.phase = program, width, phase
        self.arrays = [("out", program.dtypes[0]), ("x0", dtype)]
        self.constant = frozenset(["x0"])
        self.folding = Folding(program.passes[0])
        self.read = names([v for fold in program.passes[0] for v in fold.lifts])

    def text(self) -> tuple[str, list[Any]]:
        """The source, and the types of the kernel's arguments."""
        body = {"along": self._along, "item": self._along, "across": self._across, "group": self._by_group}
        results = [] if self.phase == "whole" else [d for _, d in self.program.states]
        return self.signature(results, body[self.schedule]())

    def _result(self, d: OpenCL, place: str, step: str, pointer: str) -> list[str]:
        """Write what comes of the states, whose names are theirs in the program."""
        emitter, result = Emitter(d, "", "w"), self.program.results[0]
        value, how = [emitter.value(p) for p in parts(result)], self.classes[0]
        at = f"{pointer} + ({place})" if how == DENSE else f"{pointer} + ({place})*{step}"
        if len(value) == 2:
            lines = [f"*({at}) = {d.pair(value[0], value[1], result.dtype)};"]
        elif d.width > 1 and how != DENSE:
            lines = [
                f"const {d.type(result.dtype)} kept = {value[0]};",
                d.scatter(f"({at})", step, "kept", result.dtype),
            ]
        else:
            lines = [d.store(f"({at})", value[0], result.dtype)]
        return ["{", *emitter.lines, *lines, "}"]

    def _before(self) -> list[str]:
        """Begin with the totals of the parts before this one."""
        if self.phase != "rest":
            return []
        load = [f"const {self.one.type(d)} z_{n} = {self.one.lane(f'y{k}', 'row*parts + p', d)};"
                for k, (n, d) in enumerate(self.program.states)]  # fmt: skip
        merge = self.folding.merge(self.one, OWN, prefixed("z_"))
        return ["for (long p = 0; p < part; p++) {", *load, *merge, "}"]

    def _keep(self) -> list[str]:
        """Keep the total of a part."""
        return [self.one.store(f"(y{k} + t)", n, d) for k, (n, d) in enumerate(self.program.states)]

    def _step(self, d: OpenCL, name: Name = OWN) -> list[str]:
        return [*self._load(d, "j", "m0", self.read), *self.folding.step(d, name)]

    def _along(self) -> list[str]:
        d, fold = self.one, self.folding
        body = [
            *self._tile(False),
            *fold.declare(d, OWN),
            *self._before(),
            "const long l = 0;",
            *self._line(),
        ]
        body.append("long j = j0;")
        if self.phase == "totals":  # in any order
            some = [prefixed(f"a{u}_") for u in range(UNROLL)]
            body += [line for a in some for line in fold.declare(d, a)]
            body += [
                f"for (; j + {UNROLL} <= j1;) {{",
                *[t for a in some for t in ("{", *self._step(d, a), "}", "j++;")],
                "}",
            ]
            body += [line for a in some for line in fold.merge(d, OWN, a)]
        body += ["for (; j < j1; j++) {", *self._step(d)]
        body += (
            ["}", *self._keep()]
            if self.phase == "totals"
            else [*self._result(d, "j", "out_m0", "out_row"), "}"]
        )
        return self._items(body)

    def _across(self) -> list[str]:
        body = [
            *self._tile(True),
            "const long stop = min(first + column, k0_n);",
            "const long l = 0;",
            *self._line(),
            "long c = first;",
        ]
        for width in (self.width, 1) if self.width > 1 else (1,):
            d = self.device.dialect(width)
            body += [f"for (; c + {width} <= stop; c += {width}) {{", *self.folding.declare(d, OWN)]
            body += ["for (long j = j0; j < j1; j++) {"]
            body += [f"{self._pointer(n, t)}_here = {n}_row + j*{n}_m0;" for n, t in self.arrays]
            body += [*self._load(d, "c", "k0", self.read, "here"), *self.folding.step(d, OWN)]
            body += [*self._result(d, "c", "out_k0", "out_here"), "}", "}"]
        return self._items(body)

    def _by_group(self) -> list[str]:
        d, fold = self.one, self.folding
        states = [(n, i) for n, i in fold.states]
        local = [f"__local {d.type(i.dtype)} s_{n}[{GROUP}];" for n, i in states]
        put = [f"s_{n}[lane] = mine_{n};" for n, _ in states]
        fence = "barrier(CLK_LOCAL_MEM_FENCE);"
        body = [
            *local,
            "const long t = get_group_id(0);",
            "const int lane = get_local_id(0);",
            *self._tile(False),
        ]
        body += [*fold.declare(d, OWN), *self._before(), "const long l = 0;", *self._line()]
        body += [f"for (long base = j0; base < j1; base += {GROUP}) {{", "const long j = base + lane;"]
        body += [*fold.declare(d, prefixed("mine_")), "if (j < j1) {", *self._step(d, prefixed("mine_")), "}"]
        body += [
            *put,
            fence,
            f"for (int step = 1; step < {GROUP}; step *= 2) {{",
            *fold.declare(d, prefixed("left_")),
        ]
        body += ["if (lane >= step) {", *[f"left_{n} = s_{n}[lane - step];" for n, _ in states], "}", fence]
        body += [*fold.merge(d, prefixed("mine_"), prefixed("left_")), *put, fence, "}"]
        if self.phase != "totals":
            joined = fold.join(d, prefixed("r_"), OWN, prefixed("mine_"), "jt")
            shown = [f"const {d.type(i.dtype)} {n} = r_{n};" for n, i in states]
            body += [
                "if (j < j1) {",
                *joined,
                "{",
                *shown,
                *self._result(d, "j", "out_m0", "out_row"),
                "}",
                "}",
            ]
        body += [*fold.merge(d, OWN, lambda n: f"s_{n}[{GROUP - 1}]"), fence, "}"]
        return [*body, *(["if (lane == 0) {", *self._keep(), "}"] if self.phase == "totals" else [])]


class scan:
    """A member that is the `Scan` of a function of a row, made for each backend at its first use."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.name = function, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, backend: Any, owner: Any = None) -> Any:
        if backend is None:
            return self
        made = backend.__dict__[self.name] = Scan(backend.device, self.name, self.function)
        return made


class ScanKernels:
    """A family of kernels; the backend inherits them all."""

    _running_sum = scan(lambda row, x: like(row.sum(x), x))
    _running_product = scan(lambda row, x: like(row.prod(single(x)), x))

    def cumulative_sum(self: Any, x: Any, axis: int) -> Any:
        """The sum of the elements up to each one along an axis, in the dtype of `sum`."""
        return self._running_sum(x if x.ndim else x.reshape((1,)), axis).reshape(x.shape)

    def cumulative_prod(self: Any, x: Any, axis: int) -> Any:
        """The product of the elements up to each one along an axis, in the dtype of `sum`."""
        return self._running_product(x if x.ndim else x.reshape((1,)), axis).reshape(x.shape)


__all__ = ["Scan", "ScanKernels"]
