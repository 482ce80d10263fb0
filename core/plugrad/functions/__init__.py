"""PyTorch's functions, for `from plugrad.functions import *`: those that are methods, too, and the rest by family."""

from __future__ import annotations

from .elementwise import complex, imag, polar, real, where
from .indexing import bucketize, searchsorted
from .linalg import einsum, tensordot
from .methods import *  # noqa: F403
from .reductions import std_mean, var_mean
from .shapes import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_shapes,
    broadcast_tensors,
    cat,
    column_stack,
    concat,
    concatenate,
    dstack,
    hstack,
    meshgrid,
    row_stack,
    stack,
    vstack,
)

__all__ = [name for name, value in globals().items() if callable(value) and not name.startswith("_")]
