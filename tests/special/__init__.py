"""The table of special functions, by family."""

from __future__ import annotations

import pytest

pytest.importorskip("mpmath")
pytest.importorskip("scipy")

import importlib

import scipy.special

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


for _family, _names in special.OPS.items():
    importlib.import_module(f"plugrad_plugins.special.{_family}")
    for _name in _names.split():
        _op = OPS["special::" + _name]
        if _name != "multigammaln" and (_op.default is None or hasattr(scipy.special, _name)):
            _op.default = getattr(kernels, _name, None) or getattr(scipy.special, _name)
