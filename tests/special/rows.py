"""One row per special function: where it is defined, and what mpmath says that it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import mpmath as mp
import numpy as np
import scipy.special


@dataclass(frozen=True)
class Span:
    """Where an argument is drawn from: evenly, evenly in its logarithm, or among the integers."""

    low: float
    high: float
    how: str = "even"

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        if self.how == "integer":
            return float(rng.integers(int(self.low), int(self.high) + 1))
        if self.how == "log":
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))


def log(low: float, high: float) -> Span:
    """A span of which each order of magnitude has its share."""
    return Span(low, high, "log")


def whole(low: int, high: int) -> Span:
    """The integers from `low` to `high`."""
    return Span(low, high, "integer")


@dataclass(frozen=True)
class Row:
    """A function: spans of its arguments, mpmath's form, points where it is hard, and its domain for the reader.

    `at` are points for the first and second derivative, `first` for the first alone. `limits` are derivatives that
    mpmath does not know, such as infinite ones: (point, argument, value). A value may be off by `rtol` of its size, or
    by `atol`, where it is a sum of terms of that size. `complex_orders` counts the derivatives for complex numbers.
    In the arguments `once` there is a first derivative alone.
    """

    name: str
    spans: tuple[Span, ...]
    reference: Callable[..., Any]
    domain: str
    at: tuple[tuple[float, ...], ...] = ()
    first: tuple[tuple[float, ...], ...] = ()
    limits: tuple[tuple[tuple[float, ...], str, float], ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    rtol: float = 1e-13
    atol: float = 1e-15
    complex_orders: int = 0
    once: tuple[str, ...] = ()

    def points(self, count: int, seed: int = 0) -> list[tuple[float, ...]]:
        """Points within the domain, always the same."""
        rng = np.random.default_rng([seed, *self.name.encode()])
        return [tuple(span.draw(rng) for span in self.spans) for _ in range(count)]


def row(name: str, spans: Span | Iterable[Span], reference: Any, domain: str, **more: Any) -> Row:
    """A row whose arguments may be given alone, without their tuples."""
    spans = (spans,) if isinstance(spans, Span) else tuple(spans)
    for key in ("at", "first"):
        more[key] = tuple(p if isinstance(p, tuple) else (p,) for p in more.get(key, ()))
    more["limits"] = tuple(
        (p if isinstance(p, tuple) else (p,), *rest) for p, *rest in more.get("limits", ())
    )
    return Row(name, spans, reference, domain, **more)


def inverse(name: str, of: Callable[..., Any]) -> Callable[..., Any]:
    """The inverse of mpmath's `of` in its last argument, to full precision from SciPy's value on."""
    start = getattr(scipy.special, name)

    def solve(*args: Any) -> Any:
        *parameters, p = args
        y = start(*map(float, args))
        return mp.re(mp.findroot(lambda x: of(*parameters, x) - p, mp.mpf(float(y)) or mp.mpf(1e-5)))

    return solve
