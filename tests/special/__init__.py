"""The table of special functions, by family."""

from __future__ import annotations

import pytest

pytest.importorskip("mpmath")
pytest.importorskip("scipy")

from plugrad import ops, plugins
from plugrad.op import Op
from plugrad_plugins import special

from . import bessel, distributions, elementary, error, gamma, hypergeometric, integrals
from .rows import Row

if not plugins.installed().library("special"):  # a checkout that was installed before the plugin was there
    plugins.register(special)

ROWS: list[Row] = [
    row
    for family in (gamma, bessel, error, integrals, elementary, hypergeometric, distributions)
    for row in family.ROWS
]


def op_of(row: Row) -> Op:
    """The op of a row."""
    op = getattr(ops.special, row.name)
    assert isinstance(op, Op)
    return op
