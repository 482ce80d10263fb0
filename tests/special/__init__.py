"""The table of special functions, by family."""

from __future__ import annotations

import pytest

pytest.importorskip("mpmath")
pytest.importorskip("scipy")

import importlib

from plugrad.op import OPS, Op
from plugrad_plugins import special
from plugrad_plugins.special import kernels

from . import bessel, distributions, elementary, error, gamma, hypergeometric, integrals
from .rows import Row

ROWS: list[Row] = [
    row
    for family in (gamma, bessel, error, integrals, elementary, hypergeometric, distributions)
    for row in family.ROWS
]


def op_of(row: Row) -> Op:
    """The op of a row."""
    op = OPS[f"special::{row.name}"]
    assert isinstance(op, Op)
    return op


for _name in (name for family in special.FAMILIES.values() for name in family.split()):
    _family = next(f for f, names in special.FAMILIES.items() if _name in names.split())
    _op = getattr(importlib.import_module(f"plugrad_plugins.special.{_family}"), _name)
    if _name not in special.COMPOSED:
        _op.default = getattr(kernels, _name)
