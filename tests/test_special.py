"""Special functions against mpmath and by their own differences: values, first and second derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.op import OPS, Op
from plugrad_plugins import special
from tests.special import ROWS, Row, op_of
from tests.special.oracle import derivative

EACH = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def test_every_function_has_one_row() -> None:
    names = [name for family in special.FAMILIES.values() for name in family.split()]
    assert sorted(names) == sorted(row.name for row in ROWS)
    assert len(names) == len(set(names)) >= 40


def test_no_function_has_the_name_of_a_core_op() -> None:
    names = {name for family in special.FAMILIES.values() for name in family.split()}
    assert names & set(OPS) == set()


def scalars(row: Row, point: tuple[float, ...], needed: tuple[str, ...]) -> list[Any]:
    """The point as 0-d tensors, those of the arguments `needed` as leaves."""
    return [
        torch.tensor(v, dtype=torch.float64, requires_grad=name in needed)
        for v, name in zip(point, op_of(row).inputs, strict=True)
    ]


def real(y: Any) -> Any:
    """One real number of a complex one."""
    return y.real + 2 * y.imag if isinstance(y, complex) or y.is_complex() else y


@EACH
def test_values_and_derivatives_are_those_of_mpmath(row: Row) -> None:
    op = op_of(row)
    for point, orders in [*[(p, 2) for p in row.points(4) + list(row.at)], *[(p, 1) for p in row.first]]:
        inputs = scalars(row, point, op.differentiable)
        y = real(op(*inputs, **row.params))
        check(row, f"{point}", y, derivative(row, point, 0, 0))
        for name in op.differentiable:
            i = op.inputs.index(name)
            found = y
            for order in range(1, min(orders, 1 if name in row.once else 2) + 1):
                found = slope(found, inputs[i])
                check(row, f"d{order} {name} at {point}", found, derivative(row, point, i, order))


def slope(y: Any, x: Any) -> Any:
    """The recorded derivative; 0 where y does not depend on x any more."""
    if y.requires_grad:
        (g,) = torch.autograd.grad(y, x, create_graph=True, allow_unused=True)
        if g is not None:
            return g
    return torch.zeros((), dtype=torch.float64)


def check(row: Row, what: str, found: Any, expected: complex) -> None:
    want = expected.real + 2 * expected.imag
    np.testing.assert_allclose(float(found), want, rtol=row.rtol, atol=row.atol, err_msg=what)


@EACH
def test_limits(row: Row) -> None:
    for point, name, expected in row.limits:
        inputs = scalars(row, point, (name,))
        op_of(row)(*inputs, **row.params).backward()
        found = inputs[op_of(row).inputs.index(name)].grad.item()
        assert math.isclose(found, expected, rel_tol=row.rtol), f"{name} at {point}: {found}, not {expected}"


def columns(row: Row, count: int = 3, dtype: Any = None) -> list[np.ndarray]:
    """Points of the domain as an array for each argument."""
    return [np.array(column, dtype or np.float64) for column in zip(*row.points(count, seed=1), strict=True)]


def leaves(op: Op, arrays: list[np.ndarray]) -> list[Any]:
    """Tensors of the arrays, those that have a derivative as leaves."""
    return [
        torch.from_numpy(a).requires_grad_(name in op.differentiable)
        for a, name in zip(arrays, op.inputs, strict=True)
    ]


@EACH
def test_gradcheck_and_gradgradcheck(row: Row) -> None:
    op = op_of(row)
    f = lambda *xs: op(*xs, **row.params)
    inputs = leaves(op, columns(row))
    assert torch.autograd.gradcheck(f, inputs, check_forward_ad=True, rtol=1e-4, atol=1e-5)
    for x, name in zip(inputs, op.inputs, strict=True):
        x.requires_grad_(name in op.differentiable and name not in row.once)
    assert torch.autograd.gradgradcheck(f, inputs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("row", [r for r in ROWS if r.complex_orders], ids=lambda row: row.name)
def test_complex_numbers(row: Row) -> None:
    op = op_of(row)
    f = lambda *xs: op(*xs, **row.params)
    orders = [name == "v" for name in op.inputs]
    inputs = [
        torch.from_numpy(a if order else a * np.exp(0.5j)).requires_grad_(not order)
        for a, order in zip(columns(row), orders, strict=True)
    ]
    assert f(*inputs).is_complex()
    assert torch.autograd.gradcheck(f, inputs, rtol=1e-4, atol=1e-5)
    if row.complex_orders > 1:
        assert torch.autograd.gradgradcheck(f, inputs, rtol=1e-3, atol=1e-4)
