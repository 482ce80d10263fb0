"""A check of the conformance kit: what it is called, what it stands on, and the function that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench import Bench

#: The layers in their order, and the layer that each stands on.
STANDS_ON = {
    "declaration": None,
    "layout": "declaration",
    "primitives": "layout",
    "ops": "primitives",
    "models": "ops",
    "capabilities": "primitives",
}
LAYERS = tuple(STANDS_ON)


class Skip(Exception):
    """Raised by a check that does not apply to the device; the text says why."""


class Absent(Skip):
    """Raised where the device lacks an optional op."""


@dataclass(frozen=True)
class Check:
    """One check. `run(bench)`, or `run(bench, aspect)` where there are aspects, raises what is wrong."""

    layer: str
    id: str
    run: Callable[..., Any]
    aspects: tuple[str, ...] = ("",)

    def result_id(self, aspect: str) -> str:
        """What the result of an aspect is called."""
        return f"{self.id}:{aspect}" if aspect else self.id

    def __call__(self, bench: Bench, aspect: str = "") -> None:
        self.run(*((bench, aspect) if aspect else (bench,)))


def collector(layer: str, prefix: str) -> tuple[list[Check], Callable[..., Any]]:
    """A layer's list of checks, and the decorator that enters a function in it, by its name or the given one.

    >>> CHECKS, check = collector("layout", "layout")
    >>> @check()
    ... def round_trip(bench): ...
    >>> CHECKS[0].id
    'layout:round-trip'
    """
    checks: list[Check] = []

    def check(name: str | None = None) -> Callable[..., Any]:
        def enter(run: Callable[..., Any]) -> Callable[..., Any]:
            checks.append(Check(layer, f"{prefix}:{name or run.__name__.replace('_', '-')}", run))
            return run

        return enter

    return checks, check
