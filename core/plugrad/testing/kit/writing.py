"""Layer 2, continued: writes, and who shares memory with whom."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import dtypes
from . import agreement
from .agreement import Disagreement
from .bench import Bench
from .checks import Skip, collector
from .data import ADVANCED, KEYS, numbers

CHECKS, check = collector("layout", "layout")


@check()
def setitem(bench: Bench) -> None:
    """`setitem` writes arrays and numbers, broadcast and cast, under every form of key, and returns the result."""
    b = bench.backend
    keys: list[Any] = [*KEYS, *ADVANCED, ((2, 3), ...)]
    for shape, key in keys:
        for dt, value in _values(bench, numbers(shape)[key].shape):
            before = numbers(shape).astype(dt)
            want = before.copy()
            want[key] = value
            what = f"setitem({agreement.describe(before)}, {agreement.describe(key)}, {agreement.describe(value)})"
            raw = bench.put(before)
            result = b.setitem(raw, bench.on_device(key), bench.on_device(value))
            if result is None:
                raise Disagreement(f"{what} returns None: it must return the array that holds the result")
            bench.check(result, want, what)
            if b.inplace != (result is raw) and want[key].size:  # where nothing is written both are right
                expected = "the array itself" if b.inplace else "a new array"
                raise Disagreement(f"{what}: inplace is {b.inplace}, so it must return {expected}")
            if not b.inplace:
                agreement.values(
                    bench.get(raw), before, f"inplace is false, but {what} wrote into its argument, which"
                )


def _values(bench: Bench, shape: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """Pairs of the dtype to write into and the value to write."""
    n = int(np.prod(shape))
    same = np.asarray(np.arange(n, dtype=np.float32).reshape(shape) + 100)
    index = np.asarray(bench.fitted(np.arange(n).reshape(shape) + 100))
    pairs: list[tuple[Any, Any]] = [
        ("f", same),
        ("f", 5.5),
        ("f", 3),
        ("f", True),
        ("f", index),
        ("?", same),
        ("?", True),
    ]
    pairs.append(("f", np.array(2.5, np.float32)))
    if shape and shape[-1] > 1:
        pairs.append(("f", same[..., :1]))
    return pairs + [(index.dtype, index), (index.dtype, 7)]


@check()
def views(bench: Bench) -> None:
    """A write through a view reaches the array where arrays are written, and nothing where they are not."""
    b = bench.backend
    part = (slice(0, 2), slice(0, 3, 2))
    cases: list[tuple[str, tuple[Any, ...], Any]] = [
        ("getitem", ((1, ...),), 1),
        ("getitem", ((*part, ...),), part),
        ("permute_dims", ((1, 0),), ...),
        ("reshape", ((6,),), ...),
        ("broadcast_to", ((2, 3),), ...),
    ]
    for member, args, where in cases:
        name = f"{member}(x, {', '.join(map(repr, args))})"
        before = numbers((2, 3))
        raw = bench.put(before)
        view = getattr(b, member)(raw, *args)
        if b.inplace:
            expected = before.copy()
            expected[where] = 9
            b.setitem(view, ..., 9.0)
            if np.array_equal(bench.get(raw), before):
                raise Disagreement(f"inplace is true, but {name} is a copy: a write to it must reach x")
            agreement.values(bench.get(raw), expected, f"after a write to {name}, x")
        else:
            b.setitem(view, ..., 9.0)
            agreement.values(bench.get(raw), before, f"inplace is false, but after setitem of {name}, x")


@check()
def owners(bench: Bench) -> None:
    """The `base` of a view, and of a view of a view, is the array that owns the memory."""
    b = bench.backend
    if not b.inplace:
        raise Skip("arrays are never written: nobody asks whose memory they show")
    raw = b.setitem(b.empty((2, 3), dtypes.float32), ..., 1.0)
    owner = raw if getattr(raw, "base", None) is None else raw.base
    views = {
        "getitem": b.getitem(raw, (1, ...)),
        "permute_dims": b.permute_dims(raw, (1, 0)),
        "alias": b.alias(raw),
    }
    views["reshape"] = b.reshape(views["alias"], (6,))
    views["getitem of a getitem"] = b.getitem(views["getitem"], (slice(0, 2), ...))
    for name, view in views.items():
        if getattr(view, "base", None) is not owner:
            raise Disagreement(
                f"the base of {name} is {_kind(getattr(view, 'base', None))}, expected the array that owns the memory: without "
                "it a write cannot see who shares it"
            )
    fresh = b.add(raw, 1.0)
    if getattr(fresh, "base", None) is owner:
        raise Disagreement("the base of add(x, 1.0) is x, whose memory it does not share")


def _kind(value: Any) -> str:
    return "None" if value is None else f"another {type(value).__qualname__}"


@check()
def rebase(bench: Bench) -> None:
    """`rebase` moves arrays that share memory to a copy of it, which they share as before; the old memory stays."""
    b = bench.backend
    if not b.inplace:
        raise Skip("arrays are never written: nothing moves")
    raw = bench.put(numbers((2, 3)))
    raw = b.copy(raw)
    olds = [raw, b.getitem(raw, (1, ...)), b.permute_dims(raw, (1, 0))]
    before = [bench.get(r) for r in olds]
    news = list(b.rebase(olds))
    for i, (new, want) in enumerate(zip(news, before, strict=True)):
        bench.check(new, want, f"rebase, array {i}")
    b.setitem(news[1], ..., 9.0)
    written: list[Any] = [1, ..., (..., 1)]
    for i, (new, key) in enumerate(zip(news, written, strict=True)):
        want = before[i].copy()
        want[key] = 9
        bench.check(new, want, f"after a write to the second array of rebase, array {i}")
    for i, (old, want) in enumerate(zip(olds, before, strict=True)):
        agreement.values(bench.get(old), want, f"after a write to an array of rebase, the old array {i}")


@check()
def ownership(bench: Bench) -> None:
    """`owned` is never true of an array that others know of, `span` reaches over all of an array."""
    b = bench.backend
    raw = b.setitem(b.empty((2, 3), dtypes.float32), ..., 1.0)
    view = b.getitem(raw, (slice(0, 1), ...))
    if b.owned(raw, 0):
        raise Disagreement(
            "owned(x, 0) is true, though the caller refers to x: count who refers to it, or return False"
        )
    if b.inplace and b.owned(view, 1000):
        raise Disagreement("owned is true of a view: its memory is another array's")
    (start, end), (first, last) = b.span(raw), b.span(view)
    if not (start < end and max(start, first) < min(end, last)):
        raise Disagreement(
            f"span of an array is {(start, end)}, of a view of it {(first, last)}: they must overlap"
        )


@check()
def overlapping_write(bench: Bench) -> None:
    """`setitem` is right where the value shares the memory that is written."""
    b = bench.backend
    for target, source in ((slice(1, 6), slice(0, 5)), (slice(0, 5), slice(1, 6))):
        want = numbers((6,))
        want[target] = want[source].copy()
        raw = bench.put(numbers((6,)))
        result = b.setitem(raw, (target, ...), b.getitem(raw, (source, ...)))
        bench.check(result, want, f"setitem(x, {target}, getitem(x, {source}))")


@check()
def copies(bench: Bench) -> None:
    """`copy` shares memory with nothing, `alias` with its argument."""
    b = bench.backend
    for name, raw in bench.layouts(numbers((2, 3))):
        copy = b.copy(raw)
        bench.check(copy, numbers((2, 3)), f"copy of an array, {name}")
        if b.inplace:
            if copy is raw:
                raise Disagreement(f"copy returns the array ({name}) itself, which may be written to")
            if not b.writable(copy):
                raise Disagreement(f"copy of an array ({name}) cannot be written to")
            b.setitem(copy, ..., 9.0)
            agreement.values(bench.get(raw), numbers((2, 3)), f"after a write to its copy, an array ({name})")
            alias = b.alias(raw)
            if alias is raw:
                raise Disagreement(
                    "alias returns its argument: it must be another array object over the same memory"
                )
            b.setitem(alias, ..., 8.0)
            agreement.values(
                bench.get(raw), np.full((2, 3), 8.0), f"after a write to its alias, an array ({name})"
            )


@check()
def can_view(bench: Bench) -> None:
    """Where `can_view` says that a shape needs no copy, `reshape` shares memory."""
    b = bench.backend
    if not b.inplace:
        raise Skip("arrays are never written: nobody can tell views from copies")
    for name, raw in bench.layouts(numbers((2, 3))):
        for shape in ((6,), (3, 2), (2, 1, 3)):
            before = bench.get(raw)
            view = b.reshape(raw, shape)
            bench.check(view, before.reshape(shape), f"reshape(float32[2, 3] {name}, {shape})")
            b.setitem(view, ..., 9.0)
            shared, told = bool((bench.get(raw) == 9).all()), b.can_view(raw, shape)
            b.setitem(raw, ..., bench.put(before))
            if told and not shared:
                raise Disagreement(
                    f"can_view says that a float32[2, 3] ({name}) takes shape {shape} without a copy, but reshape copies"
                )


@check()
def results_stay(bench: Bench) -> None:
    """What a kernel returned is not written by its next call."""
    b = bench.backend
    x, y = bench.put(numbers((3, 3))), bench.put(numbers((3, 3)) + 10)
    index = bench.put(bench.fitted(np.array([2, 0, 1])))
    calls: dict[str, tuple[Any, Any]] = {
        name: ((x,), (y,))
        for name in ("negative", "exp", "sqrt", "sin", "tanh", "abs", "floor", "logical_not")
    }
    calls |= {
        name: ((x, y), (y, y))
        for name in ("add", "subtract", "multiply", "divide", "pow", "maximum", "less", "matmul")
    }
    calls |= {name: ((x, (0,), False), (y, (0,), False)) for name in ("sum", "max")}
    calls |= {
        "argmax": ((x, 0, False), (b.negative(x), 0, False)),
        "where": ((b.less(x, 4.0), x, y), (b.less(x, 2.0), y, x)),
        "take": ((x, index, 0), (y, index, 0)),
        "index_add": ((x, x, index, 0), (y, y, index, 0)),
        "astype": ((x, dtypes.int32 if bench.has(dtypes.int32) else dtypes.int64), (y, dtypes.bool_)),
    }
    for name, (one, two) in calls.items():
        result = bench.as_array(getattr(b, name)(*one), name)
        before = bench.get(result)
        getattr(b, name)(*two)
        agreement.values(
            bench.get(result), before, f"after another call of {name}, the result of the first one"
        )


@check()
def writer(bench: Bench) -> None:
    """`writer` makes a kernel write its result into an array, which may be one of the operands."""
    b = bench.backend
    x, y = numbers((2, 3)), numbers((2, 3)) * 10
    for name, want in (("add", x + y), ("multiply", x * y), ("subtract", x - y)):
        raws, out = [bench.put(x), bench.put(y)], b.zeros((2, 3), dtypes.float32)
        write = b.writer(getattr(b, name))
        result = write(*raws, out)
        bench.check(result, want, f"writer({name})(x, y, out)")
        bench.unchanged(raws, [x, y], f"writer({name})(x, y, out)")
        if b.inplace:
            bench.check(out, want, f"after writer({name})(x, y, out), out")
        for i in (0, 1):
            raws = [bench.put(x), bench.put(y)]
            bench.check(
                write(*raws, raws[i]), want, f"writer({name})(x, y, {'xy'[i]}), which writes into an operand"
            )
