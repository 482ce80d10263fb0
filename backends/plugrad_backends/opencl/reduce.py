"""Template 2: reductions of any function of several operands, over any axes, as one launch or two.

Kept and reduced dimensions are merged by themselves. Dimension 0 of each kind is its last one; over the others of the
reduced ones a kernel walks in *lines*. Where there are too few results to keep a device busy, a row is cut into *parts*,
and a second launch puts the states of the parts together. See `reduce_source` for the schedules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from plugrad.errors import DeviceError

from ..expressions.expr import REAL_PART, var
from . import layout
from .elementwise import GRAIN
from .elementwise_source import BROADCAST, DENSE, STRIDED
from .folds import Program
from .reduce_source import Source
from .walking import COLUMN, GROUP, UNROLL

#: The items or groups that a GPU is to have at least, before rows are cut; and the elements that are worth a group's part.
BUSY, PART = 512, 4096
#: So many elements are worth a second launch, if the first can read them in wide lines then.
LARGE = 1 << 19


def up(n: int, by: int) -> int:
    """`n / by`, rounded up."""
    return -(-n // by)


class Launch:
    """One launch, but the memory."""

    __slots__ = ("groups", "items", "kernel", "tail")

    def __init__(self, kernel: Any, items: int, group: int, tail: list[int]) -> None:
        self.kernel, self.tail = kernel, tail
        self.items, self.groups = (up(items, group) * group,), (group,)


class Plan:
    """The launches for operands of known signatures; `states` are what the first one writes if there are two."""

    __slots__ = ("launches", "outs", "states")

    def __init__(self, outs: list[Any], states: list[Any], launches: list[Launch]) -> None:
        self.outs, self.states, self.launches = outs, states, launches


class Reduce:
    """The kernels of one reduction on one device.

    `function` takes a `Row`, an expression for each operand, and parameters, which are constants of the kernels. An ordered one
    asks for places, so that its axes may not be walked in another order.
    """

    def __init__(self, device: Any, name: str, function: Callable[..., Any], ordered: bool = False) -> None:
        self.device, self.name, self.function, self.ordered = device, name, function, ordered
        self.c_name = "".join(c if c.isalnum() else "_" for c in name)
        self._plans: dict[Any, Plan] = {}

    def __repr__(self) -> str:
        return f"<reduction {self.name} on {self.device}>"

    def __call__(
        self, x: Any, axis: tuple[int, ...] | None = None, keepdims: bool = False, *params: Any
    ) -> Any:
        """The reduction of one array."""
        return self.of((x,), axis, keepdims, *params)

    def of(
        self, operands: tuple[Any, ...], axis: tuple[int, ...] | None, keepdims: bool = False, *params: Any
    ) -> Any:
        """The reduction of arrays that broadcast, over axes of what they broadcast to; a tuple for several results."""
        key = (*[a.sig for a in operands], axis, keepdims, params)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) > 4096:
                self._plans.clear()
            plan = self._plans[key] = self._plan(operands, axis, keepdims, params)
        device = self.device
        outs = [device.array_type(device.allocate(s.nbytes), 0, s) for s in plan.outs]
        given: list[Any] = []
        for a in operands:
            given += (a.buffer, a.offset)
        results = [o.buffer for o in outs]
        if len(plan.launches) == 2:
            first, last = plan.launches
            states = [device.allocate(s.nbytes) for s in plan.states]
            device.run(first.kernel, first.items, first.groups, *states, *given, *first.tail)
            given = []
            for s in states:
                given += (s, 0)
        elif plan.launches:
            (last,) = plan.launches
        if plan.launches:
            device.run(last.kernel, last.items, last.groups, *results, *given, *last.tail)
        return outs[0] if len(outs) == 1 else tuple(outs)

    # --- what a plan holds --------------------------------------------------------------------------------------------

    def _plan(self, operands: Sequence[Any], axis: Any, keepdims: bool, params: tuple[Any, ...]) -> Plan:
        device = self.device
        for a in operands:
            if type(a) is not device.array_type:
                raise TypeError(
                    f"{self.name}: arrays of {device} are needed, found {getattr(a, 'device', type(a))}"
                )
        shape = layout.broadcast([a.shape for a in operands])
        axes = tuple(range(len(shape))) if axis is None else (axis,) if isinstance(axis, int) else axis
        dtypes = [a.dtype for a in operands]
        program = Program(self.function, [var(f"x{i}", d) for i, d in enumerate(dtypes)], params)
        if any(program.is_wide) or len(program.passes) > 1:
            raise ValueError(f"{self.name}: a reduction has one pass, and results of rows")
        kept = tuple(1 if i in axes else n for i, n in enumerate(shape) if keepdims or i not in axes)
        outs = [layout.signature(kept, d) for d in program.dtypes]
        if not outs[0].size:
            return Plan(outs, [], [])
        return Walk(self, program, shape, axes, [a.sig for a in operands], params).plan(outs)


class Walk:
    """How the elements of operands are walked: the merged dimensions, the schedule, and the shares of items."""

    def __init__(
        self, reduce: Any, program: Program, shape: layout.Shape, axes: tuple[int, ...], sigs: list[Any], params: Any
    ) -> None:  # fmt: skip
        self.reduce, self.device, self.program, self.params = reduce, reduce.device, program, params
        self.dtypes = [s.dtype for s in sigs]
        strides = [layout.broadcast_strides(s, shape) for s in sigs]
        largest = self._largest(sigs)
        inner = [i for i in range(len(shape)) if i in axes]
        if not (reduce.ordered or program.places):  # in the order in which elements lie
            inner.sort(key=lambda i: -abs(strides[largest][i]))
        self.kept, self.kept_strides = _merged(
            shape, strides, [i for i in range(len(shape)) if i not in axes]
        )
        self.reduced, self.reduced_strides = _merged(shape, strides, inner)
        self.count = math.prod(self.reduced)
        if not self.count:  # several axes of nothing are one
            self.reduced, self.reduced_strides = (0,), [(0,) for _ in sigs]
        if self.count >= 2**31:
            raise DeviceError(
                f"{reduce.name}: a reduction of {self.count:,} elements to one; the most are {2**31 - 1:,}: reduce in two steps"
            )
        self.rows = math.prod(self.kept)
        self.is_complex = any(d in REAL_PART for d in self.dtypes) or program.is_complex()
        step = self.kept_strides[largest][-1], self.reduced_strides[largest][-1]
        self.schedule = self._schedule(*map(abs, step))

    def _largest(self, sigs: Sequence[Any]) -> int:
        """The number of the array by which the order of a walk is chosen."""
        return max(range(len(sigs)), key=lambda i: sigs[i].size)

    def _schedule(self, kept: int, reduced: int) -> str:
        """Which of the schedules of `Source`, by the steps of neighbours."""
        n, width = self.reduced[-1], self.device.width(4)
        along = kept < reduced and kept != 0  # neighbours lie in other rows
        if self.device.is_cpu:
            # Only the extent along which memory is read matters: so no size of a batch builds another kernel.
            across = self.kept[-1] >= width if along else n < width and self.kept[-1] > 1
            return "across" if across else "along"
        return "item" if self.count < GROUP // 2 or (along and self.rows >= GROUP) else "group"

    def plan(self, outs: list[Any]) -> Plan:
        """The launches."""
        sizes = [self.program.widest(), *[2 if d.kind == "b" else d.itemsize for d in self.dtypes]]
        width = 1 if self.is_complex else self.device.width(max(sizes))
        tiles, columns, column = self.rows, 1, 0
        if self.schedule == "across":
            # As many columns as keep all units busy; where much is to be read, wide ones, of which rows are cut into parts.
            lines, n, step = self.rows // self.kept[-1], self.kept[-1], width * UNROLL
            wide = step if self.rows * self.count < LARGE else COLUMN
            columns = max(1, up(n, COLUMN), min(up(n, wide), up(self.device.slabs, lines)))
            column = step * up(up(n, columns), step)
            columns = up(n, column)
            tiles = lines * columns
        parts, line_parts, lines_each, n_each = self._parts(tiles)
        tiles *= parts
        n_parts = parts // line_parts
        if self.schedule == "group":
            each, items = 1, tiles * GROUP
        elif self.device.is_cpu:
            items = min(tiles, self.device.shares(self.rows * self.count, GRAIN))
            each = up(tiles, items)
            items = up(tiles, each)
        else:
            each, items = 1, tiles
        head = [tiles, each, parts, n_parts, lines_each, n_each, columns, column, self.count]
        first = self._launch(self.schedule, parts > 1, self.dtypes, width, items, head, self._dimensions())
        if parts == 1:
            return Plan(outs, [], [first])
        states = [layout.signature((self.rows * parts,), d) for _, d in self.program.states]
        if self.schedule in ("across", "item"):
            steps = 1, self.rows
        else:
            steps = parts, 1
        items = max(1, min(self.device.slabs, self.rows // 64)) if self.device.is_cpu else self.rows
        each = up(self.rows, items)
        head = [self.rows, each, 1, 1, 1, parts, 1, 0, self.count]
        tail = [self.rows, parts]
        for _ in states:
            tail += steps
        second = self._second(up(self.rows, each), head + tail, [s.dtype for s in states])
        return Plan(outs, states, [first, second])

    def _parts(self, tiles: int) -> tuple[int, int, int, int]:
        """The number of parts of a row, that of parts of its lines; the lines and elements of one."""
        n, lines = self.reduced[-1], math.prod(self.reduced[:-1])
        cpu = self.device.is_cpu
        wanted = (self.device.slabs if cpu else BUSY) // max(tiles, 1)
        grain = GRAIN * 2 if cpu else PART if self.schedule == "group" else GROUP
        per_part = self.count * (self.rows // tiles if tiles else 1)
        wanted = max(1, min(wanted, per_part // grain, self.count // 16))
        if lines >= wanted:
            lines_each = up(lines, wanted)
            return up(lines, lines_each), up(lines, lines_each), lines_each, n
        wanted = up(wanted, lines)
        n_each = 16 * up(up(n, wanted), 16)
        n_parts = max(1, up(n, n_each))
        return lines * n_parts, lines, 1, n_each

    def _dimensions(self) -> list[int]:
        """The extents, last dimensions first, and each operand's steps along them."""
        kept, reduced = layout.rank_class(len(self.kept)), layout.rank_class(len(self.reduced))
        tail = [*layout.padded(self.kept, kept, 1)[::-1], *layout.padded(self.reduced, reduced, 1)[::-1]]
        for k, r in zip(self.kept_strides, self.reduced_strides):
            tail += [*layout.padded(k, kept, 0)[::-1], *layout.padded(r, reduced, 0)[::-1]]
        return tail

    def _launch(
        self, schedule: str, partial: bool, dtypes: list[Any], width: int, items: int, head: list[int], tail: list[int]
    ) -> Launch:  # fmt: skip
        classes = self._classes(schedule)
        ranks = layout.rank_class(len(self.kept)), layout.rank_class(len(self.reduced))
        r = self.reduce
        source = Source(r.c_name, self.device, self.program, dtypes, schedule, ranks, classes, width, partial)
        key = (r.c_name, r, schedule, partial, tuple(dtypes), ranks, classes, self.params)
        return Launch(self.device.kernel(key, source.text), items, source.group, head + tail)

    def _classes(self, schedule: str) -> str:
        """How each array steps along the lanes."""
        lanes = self.kept_strides if schedule == "across" else self.reduced_strides
        extent = (self.kept if schedule == "across" else self.reduced)[-1]
        steps = [s[-1] if extent > 1 else 1 for s in lanes]
        return "".join(DENSE if s == 1 else BROADCAST if s == 0 else STRIDED for s in steps)

    def _second(self, items: int, args: list[int], dtypes: list[Any]) -> Launch:
        r = self.reduce
        source = Source(
            r.c_name, self.device, self.program, dtypes, "item", (1, 1), "s" * len(dtypes), 1, False, True
        )
        key = (r.c_name, r, "second", tuple(self.dtypes), self.params)
        return Launch(self.device.kernel(key, source.text), items, source.group, args)


def _merged(shape: layout.Shape, strides: list[layout.Shape], axes: list[int]) -> tuple[Any, Any]:
    """Some of the dimensions, merged: their extents, and the strides of each operand."""
    return layout.collapse(tuple(shape[i] for i in axes), [tuple(s[i] for i in axes) for s in strides])


class reduction:
    """A member that is the `Reduce` of a function of a row, made for each backend at its first use."""

    def __init__(self, function: Callable[..., Any], ordered: bool = False) -> None:
        self.function, self.ordered = function, ordered
        self.names: list[str] = []

    def __set_name__(self, owner: type, name: str) -> None:
        self.names.append(name)

    def __get__(self, backend: Any, owner: Any = None) -> Any:
        if backend is None:
            return self
        made = Reduce(backend.device, self.names[0], self.function, self.ordered)
        backend.__dict__.update(dict.fromkeys(self.names, made))
        return made


__all__ = ["Reduce", "reduction"]
