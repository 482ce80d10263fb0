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


def test_real_and_imaginary_parts_share_the_memory(opencl):
    import plugrad as torch

    values = np.array([[1 + 2j, 3 + 4j, 5 + 6j], [-1j, 2.5, 7 - 1j]], np.complex64)

    def program(device):
        x = torch.tensor(values, device=device, requires_grad=True)
        y = x * 1
        old = y.exp()
        y.imag.mul_(y.real)
        y.real[1] = 7
        y.t()[1:].imag += 0.5
        y.mul_(y[0].imag)
        loss = y.abs().sum() + old.abs().sum() + y.real.sort(1)[0].sum() + (y.imag @ y.real.t()).sum()
        loss.backward()
        return y, x.grad, y.flatten().imag

    for found, want in zip(program(torch.device("opencl", opencl.index)), program("cpu")):
        np.testing.assert_allclose(found.detach().cpu().numpy(), want.detach().numpy(), 1e-5, 1e-5)


def test_two_to_a_complex_power(opencl):
    x = np.array(
        [complex(re, im) for re, im in itertools.product([-200, -1.5, 0, 3, np.nan], [-2, -0.0, 7, np.inf])],
        "F",
    )
    x = np.append(x, np.array([complex(-np.inf, 1), complex(np.inf, -0.0)], "F"))
    with np.errstate(all="ignore"):
        want = np.exp2(x.astype(np.complex128))
    np.testing.assert_allclose(opencl.to_numpy(opencl.exp2(opencl.from_numpy(x))), want, 1e-5, 1e-30)


def test_powers_of_a_complex_zero(opencl):
    exponents = np.array([2, 1 + 1j, 0, 1j, -1 + 1j, -2], np.complex64)
    x = opencl.from_numpy(np.zeros(6, np.complex64))
    found = opencl.to_numpy(opencl.pow(x, opencl.from_numpy(exponents)))
    np.testing.assert_array_equal(found[:3], [0, 0, 1])
    assert not np.isfinite(found[3:]).any()
