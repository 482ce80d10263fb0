"""Template 1: any elementwise function of arrays and numbers, with broadcasting, strides and promotion, as one kernel.

A kernel is specialised on the function, dtypes, the class of rank, and how each operand steps along the last dimension
(not at all, by one, or otherwise); extents, strides and offsets are arguments. So a new shape needs no new kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..expressions import NotTraceable, expr, traced
from ..expressions.c import Emitter, OpenCL, ScalarOnly, parts
from ..expressions.expr import REAL_PART, Expr, Pair, var
from ..expressions.functions import cast
from . import layout
from .array import Array

#: An item of the CPU schedule gets at least so many elements: to hand out one costs as much as to compute some thousand.
GRAIN = 2048
#: Traces with numbers as constants, which some functions need, are kept up to this many for each kind of operands.
VARIANTS = 64

BROADCAST, DENSE, STRIDED = "0", "1", "s"


class Plan:
    """All of a launch but the operands' memory: found once for each tuple of signatures."""

    __slots__ = ("groups", "is_by_value", "items", "kernel", "outs", "tail", "takes")

    def __init__(
        self, kernel: Any, items: int, groups: int, outs: list[Any], tail: list[int], takes: list[int] | None,
        is_by_value: bool,
    ) -> None:  # fmt: skip
        self.kernel, self.items, self.groups, self.outs, self.tail = kernel, (items,), (groups,), outs, tail
        #: Which of the operands are handed over; None for all.
        self.takes = takes
        #: Whether numbers among the operands are constants of the kernel.
        self.is_by_value = is_by_value


class Elementwise:
    """The kernels of one function on one device; called with arrays and numbers, it returns a new dense array.

    `function` computes with expressions. With `promote` operands of different dtypes are brought to their common one, by
    NumPy's rules; `free` are the positions of operands that take no part in that, such as a condition. With `op_by_op` the
    function computes with arrays, too, and does so where it cannot be traced. Behind the first `inputs` arguments there are
    parameters, which hardly ever change.
    """

    def __init__(
        self,
        device: Any,
        name: str,
        function: Callable[..., Any],
        promote: bool = False,
        free: tuple[int, ...] = (),
        op_by_op: bool = False,
        inputs: int | None = None,
    ) -> None:
        self.device, self.name, self.function = device, name, function
        self.c_name = "".join(c if c.isalnum() else "_" for c in name)
        self.promote, self.free, self.op_by_op, self.inputs = promote, free, op_by_op, inputs
        self._plans: dict[Any, Plan] = {}
        #: Operands of which some numbers are constants of the kernel.
        self._by_value: set[Any] = set()
        self._constants = 0
        self._gives_tuple = False

    def __repr__(self) -> str:
        return f"<elementwise kernel {self.name} on {self.device}>"

    def __call__(self, *args: Any, out: Any = None) -> Any:
        """The function of arrays, numbers and plain values; a tuple of arrays where it has several results.

        With `out`, an array or a tuple of them, the results are written there.
        """
        if out is not None:
            return self._with_out(args, out)
        kind = self.device.array_type
        key = tuple([a.sig if type(a) is kind else type(a) if type(a) in _NUMBERS else a for a in args])
        plan = self._plans.get(key)
        if plan is None:
            try:
                plan = self._planned(key, args, None)
            except NotTraceable:
                if not self.op_by_op:
                    raise
                return self.function(*args)
        device = self.device
        if not self._gives_tuple:
            sig = plan.outs[0]
            y = kind(device.allocate(sig.nbytes), 0, sig)
            self._run(plan, (y,), args)
            return y
        outs = tuple([kind(device.allocate(sig.nbytes), 0, sig) for sig in plan.outs])
        self._run(plan, outs, args)
        return outs

    def _with_out(self, args: Sequence[Any], out: Any) -> Any:
        outs = out if isinstance(out, tuple) else (out,)
        try:
            self.into(outs, *args)
        except NotTraceable:
            if not self.op_by_op:
                raise
            results = self.function(*args)
            results = results if isinstance(out, tuple) else (results,)
            written = {
                id(o.buffer) for o in outs
            }  # by one result, while another may still be read from there
            results = [r.copy() if id(r.buffer) in written else r for r in results]
            for o, r in zip(outs, results):
                self.device.functions.setitem(o, ..., r)
        return out

    def into(self, outs: Sequence[Any], *args: Any) -> None:
        """Write the results into arrays, of any strides, which may be among the operands."""
        kind = self.device.array_type
        key = (
            *[a.sig if type(a) is kind else type(a) if type(a) in _NUMBERS else a for a in args],
            ...,  # so that it is no key of a call
            *[o.sig for o in outs],
        )
        plan = self._plans.get(key)
        if plan is None:
            plan = self._planned(key, args, [o.sig for o in outs])
        for out in outs:
            if any(type(a) is kind and a.buffer is out.buffer and _clash(a, out) for a in args):
                args = tuple(a.copy() if type(a) is kind and a.buffer is out.buffer else a for a in args)
                return self.into(outs, *args)
        self._run(plan, outs, args)
        return None

    def _run(self, plan: Plan, outs: Sequence[Any], args: Sequence[Any]) -> None:
        device = self.device
        if plan.kernel is None:  # nothing to compute
            return
        given: list[Any] = [outs[0].buffer, outs[0].offset]
        for o in outs[1:]:
            given += (o.buffer, o.offset)
        kind = device.array_type
        for a in args if plan.takes is None else [args[i] for i in plan.takes]:
            if type(a) is kind:
                given += (a.buffer, a.offset)
            else:
                given.append(a)
        device.run(plan.kernel, plan.items, plan.groups, *given, *plan.tail)

    # --- what a plan holds -----------------------------------------------------------------------------------------

    def _planned(self, key: Any, args: Sequence[Any], outs: Sequence[Any] | None) -> Plan:
        # Where numbers became constants of the kernel, a plan is for their values, not their types.
        values = tuple([repr(a) for a in args if type(a) in _NUMBERS])
        if key in self._by_value:
            plan = self._plans.get((key, values))
            if plan is not None:
                return plan
        plan = self._plan(args, outs)
        if len(self._plans) > 4096:
            self._plans.clear()
        if plan.is_by_value:
            self._by_value.add(key)
            self._plans[key, values] = plan
        else:
            self._plans[key] = plan
        return plan

    def _plan(self, args: Sequence[Any], outs: Sequence[Any] | None) -> Plan:
        device, kind = self.device, self.device.array_type
        for a in args:
            if isinstance(a, Array) and type(a) is not kind:
                raise TypeError(f"{self.name}: arrays of two devices: {device} and {a.device}")
        arrays = [i for i, a in enumerate(args) if type(a) is kind]
        if not arrays and outs is None:
            raise TypeError(f"{self.name}: needs an array among its operands")
        shape = layout.broadcast([args[i].shape for i in arrays]) if outs is None else outs[0].shape
        results, takes, types = self._traced(args, outs)
        dtypes = [device.functions._numpy(r.dtype) for r in results]  # raises where the device lacks one
        sigs = [layout.signature(shape, d) for d in dtypes] if outs is None else list(outs)
        is_by_value = any(type(a) in _NUMBERS and i not in types for i, a in enumerate(args))
        used = [i for i in takes if i in arrays]
        numbers = [i for i in takes if i not in arrays]
        if not sigs[0].size:
            return Plan(None, 0, 1, sigs, [], takes, is_by_value)
        strides = [layout.broadcast_strides(s, shape) for s in sigs]
        strides += [layout.broadcast_strides(args[i].sig, shape) for i in used]
        extents, steps = layout.collapse(shape, strides)
        rank = layout.rank_class(len(extents))
        extents = layout.padded(extents, rank, 1)
        steps = [layout.padded(s, rank, 0) for s in steps]
        classes = "".join(DENSE if s[-1] == 1 else BROADCAST if s[-1] == 0 else STRIDED for s in steps)
        if extents[-1] == 1:  # one element steps nowhere
            classes = "".join(DENSE if i < len(sigs) else BROADCAST for i in range(len(steps)))
        else:  # results that step nowhere are written element by element
            classes = classes[: len(sigs)].replace(BROADCAST, STRIDED) + classes[len(sigs) :]
        operands = [(i, args[i].dtype) for i in used] + [(i, types[i]) for i in numbers]
        constants = tuple((i, repr(a)) for i, a in enumerate(args) if i not in arrays and i not in types)
        spec = (self.c_name, self, rank, classes, tuple(operands), tuple(s.dtype for s in sigs), constants)
        source = Source(self.c_name, device, results, [s.dtype for s in sigs], operands, rank, classes)
        kernel = device.kernel(spec, source.text)
        n, rows = extents[-1], sigs[0].size // extents[-1]
        items, tail = self._shares(n, rows, source.group)
        for j in range(2, rank + 1):
            tail.append(extents[-j])
        for s, c in zip(steps, classes):
            tail += [s[-j] for j in range(2, rank + 1)]
            if c == STRIDED:
                tail.append(s[-1])
        order = [*used, *numbers]
        some = None if order == list(range(len(args))) else order
        return Plan(kernel, items, source.group, sigs, tail, some, is_by_value)

    def _shares(self, n: int, rows: int, group: int) -> tuple[int, list[int]]:
        """How many work items, and the arguments that say what each does: see `Source`."""
        size = n * rows
        if not self.device.is_cpu:
            return -(-size // group) * group, [n, 1, n, size, 1]
        items = max(1, min(8 * self.device.units, size // GRAIN))
        pieces = 1 if rows >= items else -(-items // rows)
        piece = -(-n // pieces)
        piece = -(-piece // 16) * 16  # so that pieces begin where vectors do
        pieces = -(-n // piece)
        tiles = rows * pieces
        items = min(items, tiles)
        each = -(-tiles // items)
        return -(-tiles // each), [n, pieces, piece, tiles, each]

    def _watched(self, *args: Any) -> Any:
        result = self.function(*args)
        self._gives_tuple = isinstance(result, tuple)
        return result

    def _traced(
        self, args: Sequence[Any], outs: Sequence[Any] | None
    ) -> tuple[list[Any], list[int], dict[int, np.dtype[Any]]]:
        """The results as expressions; the operands to hand over, arrays first; dtypes of numbers that are no constants."""
        kind = self.device.array_type
        found = [a.dtype for i, a in enumerate(args) if type(a) is kind and i not in self.free]
        found = found or [a.dtype for a in args if type(a) is kind] or [outs[0].dtype]
        common = np.result_type(*found) if len({*found}) > 1 else found[0]
        variables: list[Any] = []
        types: dict[int, np.dtype[Any]] = {}
        for i, a in enumerate(args):
            if type(a) is kind:
                x = var(f"x{i}", a.dtype)
                if self.promote and i not in self.free and a.dtype != common:
                    x = cast(x, common)
                variables.append(x)
            elif type(a) in _NUMBERS:
                types[i] = _number_type(a, common)
                variables.append(var(f"x{i}", types[i]))
            else:
                variables.append(a)
        # What a function does with a parameter may depend on its value: then first parameters are constants, then all numbers.
        operands = len(args) if self.inputs is None else self.inputs
        for first in dict.fromkeys((len(args), operands, 0)):
            given = [a if i in types and i >= first else v for i, (a, v) in enumerate(zip(args, variables))]
            try:
                results = traced(self._watched, given, common)
                break
            except NotTraceable:
                if not first or not types:
                    raise
        if any(i >= first for i in types):
            types = {i: t for i, t in types.items() if i < first}
            self._constants += 1
            if self._constants > VARIANTS:
                raise NotTraceable(f"{self.name} would need a kernel for each of many numbers")
        if outs is not None:
            results = tuple(cast(r, o.dtype) for r, o in zip(results, outs))
        read = _variables(results)
        order = [i for i, a in enumerate(args) if f"x{i}" in read and type(a) is kind]
        order += [i for i in types if f"x{i}" in read]
        return list(results), order, types


#: The size of a group of the GPU schedule.
GROUP = 64
_NUMBERS = frozenset((int, float))


def _number_type(number: Any, common: Any) -> Any:
    """The dtype in which a number is handed to a kernel: that of the arrays, of a higher kind if it is."""
    if common in REAL_PART:
        return REAL_PART[common]
    if type(number) is float and common.kind in "iub":
        return expr.FLOAT64  # no kernel of the contract is called so
    if common.kind == "b" and type(number) is int:
        return expr.INT64
    return common


def _clash(a: Array, out: Array) -> bool:
    """Whether `a` may read what was written into `out`, its memory, for other elements."""
    if a.sig is out.sig and a.offset == out.offset:
        return False
    if a.dtype.itemsize != out.dtype.itemsize:
        return True
    one, two = layout.span(a.sig, a.offset), layout.span(out.sig, out.offset)
    return one[0] < two[1] and two[0] < one[1]


def _walk(results: Sequence[Any]) -> list[Expr]:
    """All expressions below, each once."""
    found: dict[int, Expr] = {}
    todo = [p for r in results for p in parts(r)]
    while todo:
        x = todo.pop()
        if id(x) not in found:
            found[id(x)] = x
            todo += [a for a in x.args if isinstance(a, Expr)]
    return list(found.values())


def _variables(results: Sequence[Any]) -> set[str]:
    """The names of the variables that are read, without `_re` and `_im`."""
    return {x.args[0].split("_")[0] for x in _walk(results) if x.op == "var"}


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
        sizes = [4 if x.dtype.kind == "b" else max(x.dtype.itemsize, 1) for x in _walk(results)]
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
            f"__kernel __attribute__((reqd_work_group_size({self.group}, 1, 1)))\n"
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
        read = _variables(self.results)
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
        read = _variables(self.results)
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


__all__ = ["Elementwise"]
