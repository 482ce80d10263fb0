"""Inverse functions of complex numbers beside NumPy's, on both sides of their branch cuts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

AXIS = (-3.0, -1.5, -0.5, -0.0, 0.0, 0.5, 1.5, 3.0)


@pytest.mark.parametrize("name", ["asin", "acos", "atan", "asinh", "acosh", "atanh"])
def test_inverse_functions_of_complex_numbers(opencl, name):
    x = np.array([complex(re, im) for re, im in itertools.product(AXIS, AXIS)], np.complex64)
    found = opencl.to_numpy(getattr(opencl, name)(opencl.from_numpy(x)))
    with np.errstate(all="ignore"):
        want = getattr(np, name)(x.astype(np.complex128))
    np.testing.assert_allclose(found, want, 1e-5, 1e-6)


def test_a_complex_number_beside_an_array_of_reals(opencl):
    x = opencl.from_numpy(np.array([1.0, -2.0], np.float32))
    found = opencl.to_numpy(opencl.multiply(x, 1j))
    assert found.dtype == np.complex64
    np.testing.assert_array_equal(found, [1j, -2j])
    with pytest.raises(TypeError, match="no complex numbers beside float16"):
        opencl.multiply(opencl.from_numpy(np.ones(2, np.float16)), 1j)
