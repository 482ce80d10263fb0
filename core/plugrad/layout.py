"""How a tensor lies in memory: where its backend cannot tell, as a NumPy array made in the same way would lie."""

from __future__ import annotations

from typing import Any

import numpy as np

from .backend import UNWRITABLE, for_device
from .dtypes import of
from .storage import follow


def strides(tensor: Any) -> tuple[int, ...]:
    """How many elements apart neighbours along each dimension are."""
    raw = _model(tensor)
    backend = tensor._backend if raw is tensor._raw else for_device("cpu")
    return backend.strides(raw)


def can_view(tensor: Any, shape: tuple[int, ...]) -> bool:
    """Whether the tensor takes that shape without a copy."""
    raw = _model(tensor)
    backend = tensor._backend if raw is tensor._raw else for_device("cpu")
    return backend.can_view(raw, shape)


def _model(tensor: Any) -> Any:
    """The raw array, or a NumPy array, of no particular values, that shows the same part of memory as it would."""
    raw = tensor._raw
    if not UNWRITABLE or type(raw) not in UNWRITABLE:
        return raw
    place = getattr(tensor, "_place", ())
    whole = tensor._storage.whole if place else raw
    for_device("cpu")  # whose kernels `follow` calls
    return follow(place, np.empty(tuple(whole.shape), of(whole.dtype).numpy or np.int16))
