"""The checks of `opcheck`: their table, and what they share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ... import composites, kernels
from ...backend import BY_ARRAY
from ...contract import defines
from ...op import Op
from ..tolerances import difference
from .calls import Case, host
from .report import Fault, Inapplicable


class Spec(NamedTuple):
    """A check: what it asks, the usual cure, and the function that makes it, which returns a detail or raises."""

    asked: str
    cure: str
    run: Callable[..., str | None]


#: Every check by name, in the order in which they are made.
CHECKS: dict[str, Spec] = {}


def check(name: str, asked: str, cure: str) -> Callable[[Any], Any]:
    """Declare the decorated function as the check of that name."""

    def declare(run: Any) -> Any:
        CHECKS[name] = Spec(asked, cure, run)
        return run

    return declare


def agree(
    found: Sequence[Any], expected: Sequence[Any], what: str, options: dict[str, Any], **more: Any
) -> None:
    """Raise a `Fault` where arrays or None, one of each kind by position, differ."""
    if len(found) != len(expected):
        raise Fault(f"{what}: {len(found)} results, expected {len(expected)}")
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        which = f" {i}" if len(found) > 1 else ""
        if (a is None) != (b is None):
            some = a if b is None else b
            if np.any(some):
                raise Fault(
                    f"{what}{which}: {'none' if a is None else 'one'}, expected {'none' if b is None else 'one'}"
                )
        elif a is not None and (d := difference(a, b, **options, **more)) is not None:
            raise Fault(f"{what}{which}: {d}")


def hosts(values: Sequence[Any]) -> list[Any]:
    """The values of tensors, None where there is none."""
    return [None if v is None else host(v) for v in values]


@contextlib.contextmanager
def attempt(what: str) -> Iterator[None]:
    """Say what was tried where the op raises."""
    try:
        yield
    except (Fault, Inapplicable):
        raise
    except Exception as error:
        raise Fault(f"{what} raised {type(error).__name__}: {error}") from error


# --- kernels ------------------------------------------------------------------------------------------


def kernel_of(case: Case) -> tuple[Any, str]:
    """The kernel of an op on the device, and where it comes from."""
    op: Any = case.subject.op
    kernel = op.kernel(case.subject.backend.array_type)
    found, origin = kernels.find(op, case.subject.backend)
    return kernel, origin if same_function(kernel, found) else "native"


def same_function(a: Any, b: Any) -> bool:
    """Whether two kernels are one: bound methods and partial functions are new objects each time."""
    return a == b or getattr(a, "func", a) == getattr(b, "func", b)


def meaning_of(op: Any, backend: Any) -> Any:
    """What a kernel has to agree with; None where there is nothing.

    The op's default; the core's composite; or the device's own kernel, whose place that of a plugin may have taken.
    """
    if isinstance(op.default, Op):
        return op.default.kernel(backend.array_type)
    if op.default is not None:
        return op.default
    found = composites.find(op.name)
    if found is not None:
        return partial(found, backend)
    return getattr(backend, op.name) if defines(backend, op.name) else None


def results(y: Any) -> list[Any]:
    """What a kernel returned as a list."""
    return list(y) if isinstance(y, (tuple, list)) else [y]


def host_of(raw: Any) -> np.ndarray:
    """The values of a raw array, a NumPy array of their own."""
    backend = BY_ARRAY[type(raw)]
    return np.array(backend.to_numpy(backend.asarray(raw)))
