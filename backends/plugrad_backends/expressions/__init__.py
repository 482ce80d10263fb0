"""The one generator of elementwise kernels: what a device computes per element, as typed expressions, and C of it.

    y = functions.add(functions.sin(a), b)      expr       typed values; `a` and `b` are variables of a kernel
                                                functions  the elementwise functions, named like the ops
    Emitter(OpenCL(16)).value(y)                c          statements for a dialect of C, at a vector width
    traced(function, dtypes)                    trace      expressions of any function of elementwise kernels

So an op is written once, as an expression or as the composite that core has anyway, and a chain of ops becomes one
kernel. `opencl` and `cupy` make kernels of it; it knows neither.
"""

from __future__ import annotations

from .c import CUDA, Emitter, OpenCL
from .expr import Expr, Pair, const, index, var
from .functions import Functions
from .trace import NotTraceable, traced

__all__ = [
    "CUDA", "Emitter", "Expr", "Functions", "NotTraceable", "OpenCL", "Pair", "const", "index", "traced", "var",
]  # fmt: skip
