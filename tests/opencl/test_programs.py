"""Programs of users, each with its gradient and its forward mode: what the CPU computes, on every runtime but the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests import test_integer_numbers
from tests.test_strict_arrays import PROGRAMS, results

from .conftest import backend_of


@pytest.mark.parametrize("name", ["pocl", "intel"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_programs(program: Callable[[Any, Any], Any], name: str) -> None:
    device = backend_of(name).device_name
    for found, expected in zip(results(device, program), results("cpu", program), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("name", "values", "number"), test_integer_numbers.NUMBERS)
def test_integers_that_a_dtype_does_not_hold(
    opencl: Any, name: str, values: tuple[int, int], number: int
) -> None:
    device = f"opencl:{opencl.index}"
    test_integer_numbers.check_comparisons(device, name, values, number)
    test_integer_numbers.check_refusals(device, name, values, number)
