"""Derivatives by central differences, for `gradcheck`. Complex numbers count as pairs of real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import creation
from ..modes import no_grad

Values = Callable[[], Sequence[Any]]  # computes the outputs, tensors, anew


def pairs(x: np.ndarray) -> np.ndarray:
    """Values as one vector of real numbers, complex ones as pairs."""
    flat = np.ascontiguousarray(x).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


def from_pairs(values: np.ndarray, like: Any) -> Any:
    """A tensor of the shape, dtype and device of `like`; undoes `pairs`."""
    dtype = like.dtype.numpy
    array = values.astype(np.zeros(0, dtype).real.dtype).view(dtype).reshape(tuple(like.shape))
    return creation.tensor(array, device=like.device)


@contextmanager
def moved(x: Any, values: np.ndarray) -> Iterator[None]:
    """`x` with other values, written into its memory, so that a function that closes over it sees them."""
    before = x.detach().clone()
    with no_grad():
        x.copy_(from_pairs(values, x))
    try:
        yield
    finally:
        with no_grad():
            x.copy_(before)


def _read(outputs: Values) -> list[np.ndarray]:
    return [pairs(y.detach()._host().copy()) for y in outputs()]


def along(outputs: Values, x: Any, direction: np.ndarray, eps: float) -> list[np.ndarray]:
    """How fast each output changes while `x` moves along `direction`, a vector of real numbers."""
    here = pairs(x.detach()._host().copy())
    with moved(x, here + eps * direction):
        above = _read(outputs)
    with moved(x, here - eps * direction):
        below = _read(outputs)
    return [(up - down) / (2 * eps) for up, down in zip(above, below, strict=True)]


def jacobians(outputs: Values, x: Any, eps: float) -> list[np.ndarray]:
    """For each output its Jacobian with respect to `x`: a row for each element of the output."""
    size = pairs(np.zeros(tuple(x.shape), x.dtype.numpy)).size
    columns = [along(outputs, x, unit, eps) for unit in np.eye(size)]
    if not columns:
        return [np.zeros((y.size, 0)) for y in _read(outputs)]
    return [np.stack(column, axis=1) for column in zip(*columns, strict=True)]
