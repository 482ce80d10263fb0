"""What an array library lacks, made of what every one has: default kernels over the required members of `Backend`.

Each family is a class whose methods are named like the ops and take the backend as `self`; a backend that has a better
kernel defines a member of that name. Imported when an op is first missed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .activation import ActivationComposites
from .elementwise import ElementwiseComposites
from .index import IndexComposites
from .linalg import LinalgComposites
from .loss import LossComposites
from .reduce import ReduceComposites
from .shape import ShapeComposites
from .sort import SortComposites
from .special import SpecialComposites


class Composites(
    ElementwiseComposites,
    SpecialComposites,
    ActivationComposites,
    ReduceComposites,
    ShapeComposites,
    IndexComposites,
    SortComposites,
    LinalgComposites,
    LossComposites,
):
    """All of them."""


def find(name: str) -> Callable[..., Any] | None:
    """The composite of that name, a function of a backend and the op's arguments."""
    found = getattr(Composites, name, None) if not name.startswith("__") else None
    return found
