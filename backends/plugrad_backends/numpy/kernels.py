"""All kernels of the NumPy backend; NumPy's own functions serve unwrapped where they mean the same."""

from __future__ import annotations

from .activation import ActivationKernels
from .conv import ConvolutionKernels
from .elementwise import ElementwiseKernels
from .index import IndexKernels
from .linalg import LinalgKernels
from .loss import LossKernels
from .norm import NormKernels
from .pool import PoolKernels
from .reduce import ReduceKernels
from .shape import ShapeKernels
from .sort import SortKernels


class Kernels(
    ActivationKernels,
    ElementwiseKernels,
    ReduceKernels,
    ShapeKernels,
    IndexKernels,
    LinalgKernels,
    SortKernels,
    LossKernels,
    ConvolutionKernels,
    PoolKernels,
    NormKernels,
):
    """The kernels by the names of the ops."""
