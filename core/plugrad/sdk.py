"""The door for authors of plugins: everything that a backend, an operator or a kernel is made of.

A backend subclasses `Backend`, or `ArrayAPIBackend` where its library follows the array API standard. A plugin's thin
module returns specs from functions marked with `hookimpl`.
"""

from __future__ import annotations

from . import dtypes
from .array_api import ArrayAPIBackend
from .contract import REQUIRED, Backend, Lowering
from .declaration import op
from .elementwise_kernels import elementwise_kernel
from .function import Function
from .op import Op, composite, elementwise, linear, multilinear, operator
from .plugins import BackendSpec, CheckSpec, CommandSpec, KernelSpec, OpSpec, hookimpl

__all__ = [
    "REQUIRED",
    "ArrayAPIBackend",
    "Backend",
    "BackendSpec",
    "CheckSpec",
    "CommandSpec",
    "Function",
    "KernelSpec",
    "Lowering",
    "Op",
    "OpSpec",
    "composite",
    "dtypes",
    "elementwise",
    "elementwise_kernel",
    "hookimpl",
    "linear",
    "multilinear",
    "op",
    "operator",
]
