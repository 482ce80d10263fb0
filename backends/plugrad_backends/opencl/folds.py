"""What a reduction does to the elements of a row, as expressions: which folds there are, and what is made of their results.

    def mean(row, x):
        return row.sum(x) / row.count(x)

A *row* is all that becomes one element of the result. `traced` calls such a function with a `Row` and a variable for each
operand. A fold, such as `row.sum`, keeps its state in one C variable or several, to which elements are added one by one, and
which can be put together from parts of a row in any order. Folds of what depends on other folds are of a later *pass*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..expressions import Functions as f
from ..expressions.c import parts, walk
from ..expressions.expr import BOOL, FLOAT32, INT32, INT64, REAL_PART, Expr, Pair, const, kind, var
from ..expressions.functions import cast, where

States = tuple[Any, ...]
Combine = Callable[[States, States], States]


class Fold:
    """One fold: its states begin as `identity`; `step` adds an element, `lifts`, and `combine` the states of two parts."""

    __slots__ = ("combine", "identity", "lifts", "names", "number", "step")

    def __init__(
        self, number: int, lifts: States, identity: States, combine: Combine, step: Combine | None
    ) -> None:
        self.number, self.lifts, self.identity = number, lifts, identity
        self.combine, self.step = combine, step or combine
        self.names = tuple(f"r{number}s{i}" for i in range(len(identity)))

    def states(self, text: Callable[[str], str]) -> States:
        """Its states as expressions, with the C text that `text` gives to each name."""
        return tuple(var(text(n), i.dtype) for n, i in zip(self.names, self.identity))


class Row:
    """All elements that are put together, as a function of a reduction sees them."""

    def __init__(self) -> None:
        self.folds: list[Fold] = []
        #: Whether a fold asks for the place of an element in its row.
        self.places = False

    def fold(self, lifts: States, identity: States, combine: Combine, step: Combine | None = None) -> States:
        """The states of a whole row."""
        made = Fold(len(self.folds), lifts, identity, combine, step)
        self.folds.append(made)
        return made.states(lambda name: name)

    def count(self, like: Any) -> Any:
        """How many elements a row has, in the dtype of `like`."""
        return cast(var("count", INT64), like.dtype)

    def sum(self, x: Any) -> Any:
        """The sum: of integers in int64, of float16 in float32."""
        x = widened(x)
        totals = [self.fold((p,), (const(0, p.dtype),), _added)[0] for p in parts(x)]
        return Pair(totals[0], totals[1], x.dtype) if isinstance(x, Pair) else totals[0]

    def mean(self, x: Any) -> Any:
        """The mean; NaN of nothing."""
        total = self.sum(x)
        return total / self.count(parts(total)[0])

    def prod(self, x: Any) -> Any:
        """The product, in the dtype of `sum`."""
        x = widened(x)
        if isinstance(x, Pair):
            re, im = self.fold(parts(x), parts(const(1, x.dtype)), _complex_product)
            return Pair(re, im, x.dtype)
        return self.fold((x,), (const(1, x.dtype),), lambda a, b: (f.multiply(a[0], b[0]),))[0]

    def max(self, x: Any) -> Any:
        """The greatest element; NaN if there is one."""
        x = single(x)
        return self.fold((x,), (_least(x.dtype),), lambda a, b: (f.maximum(a[0], b[0]),))[0]

    def min(self, x: Any) -> Any:
        """The smallest element; NaN if there is one."""
        x = single(x)
        return self.fold((x,), (_greatest(x.dtype),), lambda a, b: (f.minimum(a[0], b[0]),))[0]

    def any(self, x: Any) -> Any:
        """Whether one is not 0."""
        return self.max(cast(x, BOOL))

    def all(self, x: Any) -> Any:
        """Whether none is 0."""
        return self.min(cast(x, BOOL))

    def argmax(self, x: Any) -> Any:
        """The place of the first greatest element, or of the first NaN."""
        return self._place(single(x), _least, f.greater)

    def argmin(self, x: Any) -> Any:
        """The place of the first smallest element, or of the first NaN."""
        return self._place(single(x), _greatest, f.less)

    def _place(self, x: Any, identity: Callable[[Any], Any], better: Callable[..., Any]) -> Any:
        # A row in which nothing is better than the identity consists of it: so 0 is its place.
        self.places = True

        if x.dtype == BOOL:
            x = cast(x, INT32)

        def wins(a: Any, b: Any) -> Any:
            return (better(b, a) | f.isnan(b)) & ~f.isnan(a) if kind(a) == "f" else better(b, a)

        def step(a: States, b: States) -> States:
            found = wins(a[0], b[0])
            return where(found, b[0], a[0]), where(found, b[1], a[1])

        def combine(a: States, b: States) -> States:
            equal = (a[0] == b[0]) | (f.isnan(a[0]) & f.isnan(b[0])) if kind(a[0]) == "f" else a[0] == b[0]
            found = wins(a[0], b[0]) | (equal & (b[1] < a[1]))
            return where(found, b[0], a[0]), where(found, b[1], a[1])

        states = self.fold((x, var("place", INT32)), (identity(x.dtype), const(0, INT32)), combine, step)
        return cast(states[1], INT64)


def _added(a: States, b: States) -> States:
    return (f.add(a[0], b[0]),)


def _complex_product(a: States, b: States) -> States:
    return parts(f.multiply(Pair(*a), Pair(*b)))


def single(x: Any) -> Any:
    """float16 as float32, in which it is computed."""
    return cast(x, FLOAT32) if x.dtype == np.float16 else x


def widened(x: Any) -> Any:
    """`x` in the dtype in which it is summed: float32 of float16, int64 of integers and bools."""
    return cast(x, INT64) if x.dtype.kind in "iub" else single(x)


def _least(dtype: Any) -> Any:
    if dtype.kind == "f":
        return const(-math.inf, dtype)
    return const(False if dtype == BOOL else np.iinfo(dtype).min, dtype)


def _greatest(dtype: Any) -> Any:
    if dtype.kind == "f":
        return const(math.inf, dtype)
    return const(True if dtype == BOOL else np.iinfo(dtype).max, dtype)


class Program:
    """A function of a row, traced: the folds of each pass, and the results.

    Results of which an operand is read have an element for each of the row (`is_wide`); others have one for all of it.
    """

    def __init__(self, function: Callable[..., Any], operands: Sequence[Any], params: Sequence[Any]) -> None:
        row = Row()
        found = function(row, *operands, *params)
        self.results: tuple[Any, ...] = found if isinstance(found, tuple) else (found,)
        self.places = row.places
        by_name = {n: fold for fold in row.folds for n in fold.names}
        level: dict[int, int] = {}
        for fold in row.folds:  # a fold comes after those that it depends on
            level[fold.number] = 1 + max(
                (level[by_name[n].number] for n in names(fold.lifts) if n in by_name), default=-1
            )
        last = max(level.values(), default=-1) + 1
        self.passes = [[fold for fold in row.folds if level[fold.number] == k] for k in range(last)]
        #: All states, in order.
        self.states = [(n, i.dtype) for fold in row.folds for n, i in zip(fold.names, fold.identity)]
        self.is_wide = [any(n.startswith("x") for n in names((r,))) for r in self.results]

    @property
    def dtypes(self) -> list[Any]:
        """The dtypes of the results."""
        return [r.dtype for r in self.results]

    def widest(self) -> int:
        """The bytes of the largest value that is computed for an element."""
        values = [v for p in self.passes for fold in p for v in (*fold.lifts, *fold.identity)]
        sizes = [4 if x.dtype.kind == "b" else x.dtype.itemsize for x in walk([*values, *self._wide()])]
        return max([4, *sizes])

    def _wide(self) -> list[Any]:
        return [r for r, wide in zip(self.results, self.is_wide) if wide]

    def is_complex(self) -> bool:
        """Whether there are complex numbers among the results: they have no vectors."""
        return any(r.dtype in REAL_PART for r in self._wide())


def names(values: Sequence[Any]) -> set[str]:
    """The C variables that are read."""
    return {x.args[0] for x in walk(values) if isinstance(x, Expr) and x.op == "var"}


__all__ = ["Fold", "Program", "Row", "names", "single", "widened"]
