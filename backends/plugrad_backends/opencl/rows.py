"""Template 3: functions of a whole row, such as softmax, in one launch: several passes over a row while it is in a cache.

Like template 2, a row is all elements over the reduced axes. A result is as wide as the operands, or one for a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..expressions.expr import var
from . import layout
from .elementwise import GRAIN
from .elementwise_source import BROADCAST, STRIDED
from .folds import Program
from .reduce import Launch, Walk, up
from .rows_source import RowSource
from .walking import GROUP

#: A row of so many elements is long: one work item or group would take too long for it, where there are few.
LONG = 1 << 16


class Rows:
    """The kernels of one function of rows on one device; see `Row` for what it computes with."""

    def __init__(self, device: Any, name: str, function: Callable[..., Any]) -> None:
        self.device, self.name, self.function = device, name, function
        self.c_name = "".join(c if c.isalnum() else "_" for c in name)
        self._plans: dict[Any, Any] = {}
        self.ordered = False

    def __repr__(self) -> str:
        return f"<kernel of rows {self.name} on {self.device}>"

    def of(
        self, operands: tuple[Any, ...], axis: tuple[int, ...], keepdims: bool = False, *params: Any
    ) -> Any:
        """The results for arrays that broadcast; None where there are few long rows: passes of their own are quicker then."""
        key = (*[a.sig for a in operands], axis, keepdims, params)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) > 4096:
                self._plans.clear()
            plan = self._plans[key] = self._plan(operands, axis, keepdims, params)
        outs, launch = plan
        if outs is None:
            return None
        device = self.device
        arrays = [device.array_type(device.allocate(s.nbytes), 0, s) for s in outs]
        if launch is not None:
            given: list[Any] = []
            for a in (*arrays, *operands):
                given += (a.buffer, a.offset)
            device.run(launch.kernel, launch.items, launch.groups, *given, *launch.tail)
        return arrays[0] if len(arrays) == 1 else tuple(arrays)

    def _plan(
        self, operands: Sequence[Any], axes: tuple[int, ...], keepdims: bool, params: tuple[Any, ...]
    ) -> Any:
        device = self.device
        for a in operands:
            if type(a) is not device.array_type:
                raise TypeError(
                    f"{self.name}: arrays of {device} are needed, found {getattr(a, 'device', type(a))}"
                )
        shape = layout.broadcast([a.shape for a in operands])
        program = Program(self.function, [var(f"x{i}", a.dtype) for i, a in enumerate(operands)], params)
        beside = tuple(1 if i in axes else n for i, n in enumerate(shape))
        narrow = beside if keepdims else tuple(n for i, n in enumerate(shape) if i not in axes)
        outs = [layout.signature(shape if w else narrow, d) for w, d in zip(program.is_wide, program.dtypes)]
        if not any(o.size for o in outs):
            return outs, None
        walked = [
            layout.signature(shape if w else beside, d) for w, d in zip(program.is_wide, program.dtypes)
        ]
        walk = RowWalk(self, program, shape, axes, [*walked, *[a.sig for a in operands]], params)
        few = walk.rows < (device.units / 2 if device.is_cpu else 32)
        return (None, None) if few and walk.count >= LONG else (outs, walk.launch())


class RowWalk(Walk):
    """How rows are walked: the arrays are the results, then the operands."""

    def _largest(self, sigs: Sequence[Any]) -> int:
        return max(range(len(self.program.results), len(sigs)), key=lambda i: sigs[i].size)

    def launch(self) -> Launch:
        """The one launch."""
        sizes = [self.program.widest(), *[2 if d.kind == "b" else d.itemsize for d in self.dtypes]]
        width = 1 if self.is_complex else self.device.width(max(sizes))
        tiles, columns, column = self.rows, 1, 0
        if self.schedule == "across":
            lines, n = self.rows // self.kept[-1], self.kept[-1]
            columns = max(1, min(up(n, width), up(self.device.slabs, lines)))
            column = width * up(up(n, columns), width)
            columns = up(n, column)
            tiles = lines * columns
        items, each = tiles, 1
        if self.schedule == "group":
            items = tiles * GROUP
        elif self.device.is_cpu:
            items = min(tiles, self.device.shares(self.rows * self.count, GRAIN))
            each = up(tiles, items)
            items = up(tiles, each)
        n = self.reduced[-1]
        head = [tiles, each, 1, 1, max(1, self.count // max(n, 1)), n, columns, column, self.count]
        classes = self._classes("across" if self.schedule == "across" else "along")
        results = len(self.program.results)
        if (
            self.schedule == "across" or self.count > 1
        ):  # a narrow result is written as a scalar, or across rows
            classes = classes[:results].replace(BROADCAST, STRIDED) + classes[results:]
        ranks = layout.rank_class(len(self.kept)), layout.rank_class(len(self.reduced))
        r, operands = self.reduce, self.dtypes[results:]
        source = RowSource(
            r.c_name, self.device, self.program, operands, self.schedule, ranks, classes, width
        )
        key = (r.c_name, r, self.schedule, tuple(operands), ranks, classes, self.params)
        return Launch(self.device.kernel(key, source.text), items, source.group, head + self._dimensions())


class rowwise:
    """A member that is the `Rows` of a function of a row, made for each backend at its first use."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.name = function, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, backend: Any, owner: Any = None) -> Any:
        if backend is None:
            return self
        made = backend.__dict__[self.name] = Rows(backend.device, self.name, self.function)
        return made


__all__ = ["Rows", "rowwise"]
