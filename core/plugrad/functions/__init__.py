"""PyTorch's functions, for `from plugrad.functions import *`: those that are methods, too, and the rest by family."""

from __future__ import annotations

from .elementwise import where, complex, polar, real, imag
from .indexing import searchsorted, bucketize
from .linalg import einsum, tensordot
from .reductions import var_mean, std_mean
from .shapes import cat, concat, concatenate, stack, hstack, vstack, row_stack, dstack, column_stack, atleast_1d, atleast_2d, atleast_3d, broadcast_shapes, broadcast_tensors, meshgrid
from .methods import *  # noqa: F403

__all__ = [name for name, value in globals().items() if callable(value) and not name.startswith("_")]
