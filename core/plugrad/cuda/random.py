"""The default generators of GPUs. Without a GPU, seeding does nothing: programs seed whatever there may be."""

from __future__ import annotations

from typing import Any

from .. import random
from ..device import device as Device
from .devices import device_count, index_of, is_available


def _default(device: Any) -> random.Generator:
    return random.default(Device("cuda", index_of(device)))


def manual_seed(seed: int) -> None:
    """Seed the default generator of the current GPU."""
    if is_available():
        _default(None).manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seed the default generators of all GPUs."""
    for index in range(device_count() if is_available() else 0):
        _default(index).manual_seed(seed)


def seed() -> None:
    """Seed the default generator of the current GPU by chance."""
    if is_available():
        _default(None).seed()


def initial_seed() -> int:
    """What the default generator of the current GPU was seeded with."""
    return _default(None).initial_seed()


def get_rng_state(device: Any = "cuda") -> Any:
    """The state of the default generator of a GPU, a tensor of bytes."""
    return _default(device).get_state()


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Go back to a state of the default generator of a GPU."""
    _default(device).set_state(new_state)
