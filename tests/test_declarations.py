"""What a declaration of a library's op may rely on, and what it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.op import OPS, elementwise
from plugrad.ops import exp


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """The ops that a test declares are gone after it."""
    before = set(OPS)
    yield
    for name in set(OPS) - before:
        del OPS[name]


@pytest.mark.parametrize("signature", ["x y", "g", "x | y=1"])
def test_the_names_of_a_formula_are_no_names_of_inputs(signature: str) -> None:
    with pytest.raises(
        TypeError, match=r"'test::taken'.* in a formula, 'g' is the output's cotangent and 'y' the output"
    ):
        elementwise("test::taken", signature)
    assert "test::taken" not in OPS


def test_a_number_may_come_first_in_a_formula() -> None:
    power: Any = elementwise(
        "test::power", "a x", x=lambda g, a, x: g * (a * power(a - 1, x)), default=lambda a, x: x**a
    )
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    power(3, x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 12])
    assert torch.autograd.gradgradcheck(lambda x: power(3, x), x)


def test_a_kernel_of_another_dtype_is_converted() -> None:
    wide = elementwise(
        "test::wide", "x", x=lambda g, x: g * exp(x), default=lambda x: np.exp(x, dtype=np.float64)
    )
    x = torch.tensor([0.5, 1.0], requires_grad=True)
    for _ in range(2):
        assert wide(x).dtype is torch.float32
    wide(x).sum().backward()
    assert x.grad.dtype is torch.float32


def test_gradients_of_a_converted_result_are_of_the_inputs_dtype() -> None:
    raw_sine: Any = elementwise("test::sine", "x", default=lambda x: np.sin(x, dtype=np.float64))
    wide = elementwise(
        "test::wide", "x", x=lambda g, x: g * raw_sine(x), default=lambda x: -np.cos(x, dtype=np.float64)
    )
    x = torch.tensor([0.5, 1.0], dtype=torch.float16, requires_grad=True)
    (g,) = torch.autograd.grad(wide(x).sum(), x)
    assert g.dtype is torch.float16


def test_complex_results_of_real_numbers_have_real_gradients() -> None:
    turn = elementwise(
        "test::turn", "x", result="own", x=lambda g, y: g * (1j * y), default=lambda x: np.exp(1j * x)
    )
    x = torch.tensor([0.5, 1.0], dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(turn(x).real.sum(), x)
    assert g.dtype is torch.float64
    np.testing.assert_allclose(g.numpy(), -np.sin([0.5, 1.0]))
    assert torch.autograd.gradcheck(turn, x) and torch.autograd.gradgradcheck(turn, x)
