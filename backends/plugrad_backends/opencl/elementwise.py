"""Template 1: any elementwise function of arrays and numbers, with broadcasting, strides and promotion, as one kernel.

A kernel is specialised on the function, dtypes, the class of rank, and how each operand steps along the last dimension
(not at all, by one, or otherwise); extents, strides and offsets are arguments. So a new shape needs no new kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..expressions import NotTraceable, expr, traced
from ..expressions.c import variables
from ..expressions.expr import REAL_PART, var
from ..expressions.functions import cast
from . import layout
from .array import Array
from .elementwise_source import BROADCAST, DENSE, STRIDED, Source

#: An item of the CPU schedule gets at least so many elements: to hand out one costs as much as to compute some thousand.
GRAIN = 2048
#: Traces with numbers as constants, which some functions need, are kept up to this many for each kind of operands.
VARIANTS = 64


class Plan:
    """All of a launch but the operands' memory: found once for each tuple of signatures."""

    __slots__ = ("groups", "is_by_value", "items", "kernel", "limits", "outs", "tail", "takes")

    def __init__(
        self, kernel: Any, items: int, groups: int, outs: list[Any], tail: list[int], takes: list[int] | None,
        is_by_value: bool, limits: list[tuple[int, int, int]] | None,
    ) -> None:  # fmt: skip
        self.kernel, self.items, self.groups, self.outs, self.tail = kernel, (items,), (groups,), outs, tail
        #: Which of the operands are handed over; None for all.
        self.takes = takes
        #: Whether numbers among the operands are constants of the kernel.
        self.is_by_value = is_by_value
        #: The ints among the operands that are handed over as integers: their places, and the least and the greatest that fit.
        self.limits = limits

    def check(self, args: Sequence[Any]) -> None:
        """Raise OverflowError for an int that would wrap around."""
        for i, least, greatest in self.limits or ():
            if not least <= args[i] <= greatest:
                raise OverflowError(
                    f"Python integer {args[i]} out of bounds: it must be from {least} to {greatest}"
                )


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
        if plan.limits is not None:
            plan.check(args)
        device = self.device
        if not self._gives_tuple:
            sig = plan.outs[0]
            buffer = device.allocate(sig.nbytes)
            given: list[Any] = [buffer, 0]
            for a in args if plan.takes is None else [args[i] for i in plan.takes]:
                if type(a) is kind:
                    given += (a.buffer, a.offset)
                else:
                    given.append(a)
            if plan.kernel is not None:  # else there is nothing to compute
                device.run(plan.kernel, plan.items, plan.groups, *given, *plan.tail)
            return kind(buffer, 0, sig)
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
        plan.check(args)
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
        ints = [(i, np.iinfo(t)) for i, t in types.items() if type(args[i]) is int and t.kind in "iu"]
        limits = [(i, int(info.min), int(info.max)) for i, info in ints] or None
        if not sigs[0].size:
            return Plan(None, 0, 1, sigs, [], takes, is_by_value, limits)
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
        return Plan(kernel, items, source.group, sigs, tail, some, is_by_value, limits)

    def _shares(self, n: int, rows: int, group: int) -> tuple[int, list[int]]:
        """How many work items, and the arguments that say what each does: see `Source`."""
        size = n * rows
        if not self.device.is_cpu:
            return -(-size // group) * group, [n, 1, n, size, 1]
        items = self.device.shares(size, GRAIN)
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
        symbols: list[Any] = []
        types: dict[int, np.dtype[Any]] = {}
        for i, a in enumerate(args):
            if type(a) is kind:
                x = var(f"x{i}", a.dtype)
                if self.promote and i not in self.free and a.dtype != common:
                    x = cast(x, common)
                symbols.append(x)
            elif type(a) in _NUMBERS:
                types[i] = _number_type(a, common)
                symbols.append(var(f"x{i}", types[i]))
            else:
                symbols.append(a)
        # What a function does with a parameter may depend on its value: then first parameters are constants, then all numbers.
        operands = len(args) if self.inputs is None else self.inputs
        for first in dict.fromkeys((len(args), operands, 0)):
            given = [a if i in types and i >= first else v for i, (a, v) in enumerate(zip(args, symbols))]
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
        read = variables(results)
        order = [i for i, a in enumerate(args) if f"x{i}" in read and type(a) is kind]
        order += [i for i in types if f"x{i}" in read]
        return list(results), order, types


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


__all__ = ["Elementwise"]
