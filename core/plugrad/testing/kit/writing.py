"""Layer 2, continued: writes, and who shares memory with whom."""

from __future__ import annotations

from typing import Any

import numpy as np

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
            if b.inplace != (result is raw):
                expected = "the array itself" if b.inplace else "a new array"
                raise Disagreement(f"{what}: inplace is {b.inplace}, so it must return {expected}")
            if not b.inplace:
                agreement.values(
                    bench.get(raw), before, f"inplace is false, but {what} wrote into its argument, which"
                )


def _values(bench: Bench, shape: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """Pairs of the dtype to write into and the value to write."""
    n = int(np.prod(shape))
    same = (np.arange(n, dtype=np.float32) + 100).reshape(shape)
    index = bench.fitted(np.arange(n).reshape(shape) + 100)
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
