"""The text of row kernels: several passes over one row, then its results.

The folds of a pass see the results of the passes before it. What depends on those alone is computed once a row; and what a
pass and the results both need, and takes a function such as `exp`, is kept in the memory of the result in the meantime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..expressions.c import Emitter, OpenCL, parts, walk
from ..expressions.expr import INT64, Expr, Pair, var
from .elementwise_source import DENSE
from .folds import Fold, Program, names
from .walking import BLOCK, GROUP, UNROLL, Folding, Walking, prefixed


class Stage:
    """One walk over a row: a pass with its folds, or the last one, which writes wide results."""

    def __init__(self, number: int, folds: Sequence[Fold], results: dict[int, Any]) -> None:
        self.number = number
        #: Values of the row that are computed before the walk, by their names.
        self.values: dict[str, Any] = {}
        known: dict[int, Any] = {}
        self.keeps: dict[int, Any] = {}
        self.folds = [
            Fold(f.number, tuple(self._lifted(x, known) for x in f.lifts), f.identity, f.combine, f.step) for f in folds
        ]  # fmt: skip
        self.results = {k: _each(r, lambda x: self._lifted(x, known)) for k, r in results.items()}
        self.known = known

    def _lifted(self, x: Expr, known: dict[int, Any]) -> Expr:
        """`x` with variables for the parts that are the same in a whole row."""

        def value(x: Expr) -> Any:
            found = names([x])
            if x.op in ("var", "const") or not found or any(n[0] in "xyp" for n in found):
                return None
            name = f"h{self.number}_{len(self.values)}"
            self.values[name] = x
            return var(name, x.dtype)

        return _replaced(x, value, known)


def _each(r: Any, function: Callable[[Any], Any]) -> Any:
    return Pair(function(r.re), function(r.im), r.dtype) if isinstance(r, Pair) else function(r)


def _replaced(x: Expr, replacement: Callable[[Expr], Any], known: dict[int, Any]) -> Expr:
    """`x` with replacements of what `replacement` has one for; `known` are those that were made, with their originals."""
    found = known.get(id(x))
    if found is None:
        made = replacement(x)
        if made is None:
            args = tuple(_replaced(a, replacement, known) if isinstance(a, Expr) else a for a in x.args)
            made = x if all(a is b for a, b in zip(args, x.args)) else Expr(x.op, args, x.dtype)
        found = known[id(x)] = made, x
    return found[0]


def stages(program: Program) -> list[Stage]:
    """The walks over a row. The last one has no folds; without wide results there is nothing for it to do."""
    wide = {k: r for k, (r, w) in enumerate(zip(program.results, program.is_wide)) if w}
    kept: dict[int, dict[int, Any]] = {}
    for k, r in wide.items():
        found = _worth_keeping(r, program) if not isinstance(r, Pair) else None
        if found is not None:
            number, x = found
            kept.setdefault(number, {})[k] = x
            wide[k] = _replaced(r, lambda e: None, {id(x): (var(f"y{k}", x.dtype), x)})
    made = []
    for i, folds in enumerate(program.passes):
        stage = Stage(i, folds, kept.get(i, {}))
        stage.keeps, stage.results = stage.results, {}
        made.append(stage)
    return [*made, Stage(len(made), [], wide)]


def _worth_keeping(result: Any, program: Program) -> tuple[int, Any] | None:
    """A part of the result that calls a function and is computed in a pass, too: the number of that, and the part."""
    if result.dtype.name not in ("float32", "float64"):
        return None
    in_passes: dict[int, int] = {}
    for number, folds in enumerate(program.passes):
        for x in walk([p for fold in folds for p in fold.lifts]):
            in_passes.setdefault(id(x), number)
    for x in sorted(walk([result]), key=lambda x: -len(walk([x]))):
        reads = any(n.startswith("x") for n in names([x]))
        if x.op == "call" and reads and id(x) in in_passes and x.dtype == result.dtype:
            return in_passes[id(x)], x
    return None


class RowSource(Walking):
    """The text of one kernel; the arrays are the results, as y0, y1 and so on, and the operands."""

    def __init__(
        self, name: str, device: Any, program: Program, dtypes: Sequence[Any], schedule: str, ranks: tuple[int, int],
        classes: str, width: int,
    ) -> None:  # fmt: skip
        super().__init__(name, device, schedule, ranks, classes, program.places)
        self.program, self.width = program, width
        self.arrays = [(f"y{k}", d) for k, d in enumerate(program.dtypes)]
        self.arrays += [(f"x{i}", d) for i, d in enumerate(dtypes)]
        self.constant = frozenset(f"x{i}" for i in range(len(dtypes)))
        self.how = dict(zip([n for n, _ in self.arrays], classes))
        self.stages = stages(program)

    def text(self) -> tuple[str, list[Any]]:
        """The source, and the types of the kernel's arguments."""
        body = {"along": self._along, "across": self._across, "group": self._by_group, "item": self._by_item}
        return self.signature([], body[self.schedule]())

    # --- values of a row: in C variables with `s_` in front ------------------------------------------------------------

    def _values(self, stage: Stage, d: OpenCL) -> list[str]:
        """Declare the values of the row that a walk needs."""
        if not stage.values:
            return []
        emitter = Emitter(d, "", f"h{stage.number}t")
        texts = {n: emitter.value(self._named(x)) for n, x in stage.values.items()}
        return emitter.lines + [
            f"const {d.type(stage.values[n].dtype)} s_{n} = {t};" for n, t in texts.items()
        ]

    def _named(self, x: Any) -> Any:
        """`x` with the names that values of a row have outside of walks."""
        return _replaced(x, lambda e: var(f"s_{e.args[0]}", e.dtype) if e.op == "var" else None, {})

    def _known(self, stage: Stage, d: OpenCL, splat: bool, more: Sequence[Any] = ()) -> list[str]:
        """Declare the values of the row inside a walk, which may be of another width."""
        values = [x for fold in stage.folds for x in fold.lifts]
        values += [p for r in (*stage.results.values(), *stage.keeps.values()) for p in parts(r)]
        lines = []
        found = {x.args[0]: x.dtype for x in walk(values) if x.op == "var" and x.args[0][0] in "rhc"}
        for name, dtype in sorted(found.items()):
            text = d.spread(f"s_{name}", dtype) if splat else f"s_{name}"
            lines.append(f"const {d.type(dtype)} {name} = {text};")
        return lines

    def _count(self, d: OpenCL) -> list[str]:
        return [f"const {d.type(INT64)} s_count = {d.spread('count_n', INT64)};"]

    # --- one element ----------------------------------------------------------------------------------------------------

    def _element(
        self, stage: Stage, d: OpenCL, name: Callable[[str], str], place: str, index: str, lanes: bool
    ) -> list[str]:
        """Load the element at `place` and add it to the accumulators, or write its results."""
        step, pointer = ("k0", "here") if self.schedule == "across" else ("m0", "row")
        used = names([x for fold in stage.folds for x in fold.lifts])
        used |= names([p for r in (*stage.results.values(), *stage.keeps.values()) for p in parts(r)])
        emitter = Emitter(d)
        states = [
            (n, v)
            for fold in stage.folds
            for n, v in zip(fold.names, fold.step(fold.states(name), fold.lifts))
        ]
        texts = [(name(n), emitter.value(v)) for n, v in states]
        stores = []
        for k, r in {**stage.keeps, **stage.results}.items():
            stores += self._store(
                d, f"y{k}", self.program.dtypes[k], pointer, place, step, [emitter.value(p) for p in parts(r)]
            )
        place_lines = self._place(d, index, lanes) if "place" in used else []
        return [
            "{", *self._load(d, place, step, used, pointer), *place_lines, *emitter.lines,
            *[f"{n} = {t};" for n, t in texts], *stores, "}",
        ]  # fmt: skip

    def _store(
        self, d: OpenCL, name: str, dtype: Any, pointer: str, place: str, step: str, value: list[str]
    ) -> list[str]:
        how, base = self.how[name], f"{name}_{pointer}"
        at = f"{base} + ({place})" if how == DENSE else f"{base} + ({place})*{name}_{step}"
        if len(value) == 2:
            return [f"*({at}) = {d.pair(value[0], value[1], dtype)};"]
        if d.width > 1 and how != DENSE:
            text = d.scatter(f"({at})", f"{name}_{step}", "kept", dtype)
            return [f"{{ const {d.type(dtype)} kept = {value[0]}; {text} }}"]
        return [d.store(f"({at})", value[0], dtype)]

    def _narrow(self, d: OpenCL, place: str) -> list[str]:
        """Write the results that are one for a row; pointers to it are called `NAME_row`."""
        emitter, lines = Emitter(d, "", "w"), []
        step, pointer = ("k0", "here") if self.schedule == "across" else ("m0", "row")
        for k, r in enumerate(self.program.results):
            if not self.program.is_wide[k]:
                values = [emitter.value(self._named(p)) for p in parts(r)]
                lines += self._store(d, f"y{k}", r.dtype, pointer, place, step, values)
        return ["{", *emitter.lines, *lines, "}"] if lines else []

    def _first_line(self) -> list[str]:
        return ["const long l = 0;", *self._line()]

    # --- the schedules --------------------------------------------------------------------------------------------------

    def _along(self) -> list[str]:
        body = [*self._tile(False), *self._count(self.one)]
        for stage in self.stages:
            body += self._values(stage, self.one)
            if stage.folds or stage.results:
                body += self._along_stage(stage)
        narrow = self._narrow(self.one, "0")
        return self._items([*body, *(["{", *self._first_line(), *narrow, "}"] if narrow else [])])

    def _along_stage(self, stage: Stage) -> list[str]:
        w, wide, fold = self.width, self.device.dialect(self.width), Folding(stage.folds)
        total, rest = prefixed(f"total{stage.number}_"), prefixed(f"rest{stage.number}_")
        calls = any(x.op == "call" for x in walk([x for f in stage.folds for x in f.lifts]))
        unroll = 1 if calls or not stage.folds or w == 1 else UNROLL
        accumulators = [prefixed(f"a{u}_") for u in range(unroll)]

        def element(d: OpenCL, name: Callable[[str], str], at: str) -> list[str]:
            return self._element(stage, d, name, at, f"l*m0_n + {at}", True)

        if stage.folds:
            loop = [line for a in accumulators for line in fold.declare(wide, a)]
            loop.append(f"for (; j < stop; j += {unroll * w}) {{")
            for u, a in enumerate(accumulators):
                loop += element(wide, a, f"(j + {u * w})" if u else "j")
            loop.append("}")
            for a in accumulators:
                loop += fold.merge(wide, total, a)
            loop = [
                f"while (j + {unroll * w} <= j1) {{",
                f"const long stop = j + min((j1 - j) / {unroll * w}, (long){BLOCK})*{unroll * w};",
                *loop,
                "}",
            ]
            if unroll > 1:
                loop += [f"for (; j + {w} <= j1; j += {w})", *element(wide, total, "j")]
        else:
            loop = [f"for (; j + {w} <= j1; j += {w})", *element(wide, total, "j")]
        loop = ["{", *self._known(stage, wide, True), *loop, "}"]
        if w > 1:
            tail = ["for (; j < j1; j++)", *element(self.one, rest, "j")]
            loop += ["{", *self._known(stage, self.one, True), *tail, "}"]
        lines = [*fold.declare(wide, total), *(fold.declare(self.one, rest) if w > 1 else [])]
        lines += ["for (long l = l0; l < l1; l++) {", *self._line(), "long j = j0;", *loop, "}"]
        if not stage.folds:
            return lines
        if w > 1:
            lane = f"lane{stage.number}_"
            lines += fold.across_lanes(self.device.dialect, w, total, lane)
            return lines + fold.join(self.one, prefixed("s_"), prefixed(lane), rest, f"s{stage.number}t")
        return lines + [f"const {self.one.type(i.dtype)} s_{n} = {total(n)};" for n, i in fold.states]

    def _across(self) -> list[str]:
        body = [*self._tile(True), "const long stop = min(first + column, k0_n);", "long c = first;"]
        for width in (self.width, 1) if self.width > 1 else (1,):
            body += [
                f"for (; c + {width} <= stop; c += {width}) {{",
                *self._column(self.device.dialect(width)),
                "}",
            ]
        return self._items(body)

    def _column(self, d: OpenCL) -> list[str]:
        here = [f"{self._pointer(n, t)}_here = {n}_row + j*{n}_m0;" for n, t in self.arrays]
        lines = self._count(d)
        for stage in self.stages:
            lines += self._values(stage, d)
            if not (stage.folds or stage.results):
                continue
            fold, total = Folding(stage.folds), prefixed("s_")
            lines += fold.declare(d, total)
            lines += ["for (long l = l0; l < l1; l++) {", *self._line(), *self._known(stage, d, False)]
            lines += ["for (long j = j0; j < j1; j++) {", *here]
            lines += [*self._element(stage, d, total, "c", "l*m0_n + j", False), "}", "}"]
        narrow = self._narrow(d, "c")
        return lines + (
            ["{", "const long j = 0;", *self._first_line(), *here, *narrow, "}"] if narrow else []
        )

    def _by_group(self) -> list[str]:
        d = self.one
        local = [f"__local {d.type(t)} local_{n}[{GROUP}];" for n, t in self.program.states]
        place = (
            "const long l = l0 + q / m0_n, j = q % m0_n;" if self.ranks[1] > 1 else "const long l = 0, j = q;"
        )
        body = [
            *local,
            "const long t = get_group_id(0);",
            "const int lane = get_local_id(0);",
            *self._tile(False),
        ]
        body += [*self._count(d), f"const long all = {self._lines()}*m0_n;"]
        for stage in self.stages:
            body += self._values(stage, d)
            if not (stage.folds or stage.results):
                continue
            fold, mine = Folding(stage.folds), prefixed("mine_")
            body += ["{", *fold.declare(d, mine), *self._known(stage, d, False)]
            body += [f"for (long q = lane; q < all; q += {GROUP}) {{", place, *self._line()]
            body += [*self._element(stage, d, mine, "j", "l*m0_n + j", False), "}"]
            if stage.folds:
                put = [f"local_{n}[lane] = {mine(n)};" for n, _ in fold.states]
                body += [*put, "barrier(CLK_LOCAL_MEM_FENCE);"]
                body += [f"for (int half_ = {GROUP // 2}; half_ > 0; half_ /= 2) {{", "if (lane < half_) {"]
                body += [*fold.merge(d, mine, lambda n: f"local_{n}[lane + half_]"), *put, "}"]
                body += ["barrier(CLK_LOCAL_MEM_FENCE);", "}"]
            body += ["}", *[f"const {d.type(i.dtype)} s_{n} = local_{n}[0];" for n, i in fold.states]]
        narrow = self._narrow(d, "0")
        return body + (["if (lane == 0) {", *self._first_line(), *narrow, "}"] if narrow else [])

    def _by_item(self) -> list[str]:
        d, body = self.one, [*self._tile(False), *self._count(self.one)]
        for stage in self.stages:
            body += self._values(stage, d)
            if not (stage.folds or stage.results):
                continue
            fold, total = Folding(stage.folds), prefixed("s_")
            body += [*fold.declare(d, total), "for (long l = l0; l < l1; l++) {", *self._line()]
            body += [*self._known(stage, d, False), "for (long j = j0; j < j1; j++)"]
            body += [*self._element(stage, d, total, "j", "l*m0_n + j", False), "}"]
        narrow = self._narrow(d, "0")
        return self._items([*body, *(["{", *self._first_line(), *narrow, "}"] if narrow else [])])


__all__ = ["RowSource"]
