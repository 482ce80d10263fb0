"""The table of ops: a row says what an op is called with and what NumPy makes of it; one module per family of ops.

plugrad's own tests and the conformance kit for backends run every row through values, first and second derivative,
forward mode, dtypes, layouts and purity.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from .row import In, Row, S, Sample, elementwise

#: Every row, in the order of the families' names.
ROWS: list[Row] = [
    row
    for module in iter_modules(__path__)
    if module.name != "row"
    for row in import_module(f"{__name__}.{module.name}").ROWS
]

__all__ = ["ROWS", "In", "Row", "S", "Sample", "elementwise"]
