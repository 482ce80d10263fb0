"""The Philox stream of OpenCL devices against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as torch
from plugrad_backends.numpy.random import PhiloxStream, _box_muller

SIZES = ((), (1,), (2, 3), (0, 4), (513,))


def streams(opencl, seed=11):
    return opencl.stream("philox", seed), PhiloxStream(seed)


@pytest.mark.parametrize("dtype", ["f", "d", "e", "F"])
def test_uniforms_are_equal_bit_for_bit(opencl, dtype):
    ours, numpys = streams(opencl)
    for shape in SIZES:
        for bounds in ((0.0, 1.0), (-2.5, 3.25)):
            found, expected = ours.uniform(shape, dtype, *bounds), numpys.uniform(shape, dtype, *bounds)
            np.testing.assert_array_equal(found.get(), expected)
            assert ours.offset == numpys.offset


def test_an_end_that_rounding_would_reach_is_excluded(opencl):
    ours, numpys = streams(opencl)
    for dtype, low, high in (("e", 0.0, 1.0), ("f", 1.0, float(np.nextafter(np.float32(1), np.float32(2))))):
        found, expected = ours.uniform((5000,), dtype, low, high), numpys.uniform((5000,), dtype, low, high)
        np.testing.assert_array_equal(found.get(), expected)
        assert (found.get() < np.dtype(dtype).type(high)).all()


@pytest.mark.parametrize(("dtype", "bits"), [("f", 20), ("d", 49)])
def test_normals_are_close(opencl, dtype, bits):
    ours = opencl.stream("philox", 5)
    n = 20000 if opencl.device.is_cpu else 400
    found = ours.normal((n,), dtype).get().astype(np.float64)
    units = PhiloxStream(5)._units(n, np.dtype(dtype)).astype(np.float64).reshape(-1, 2)
    exact = np.stack(_box_muller(units[:, 0], units[:, 1]), 1).ravel()
    radius = np.repeat(np.sqrt(-2 * np.log(1 - units[:, 0])), 2)
    assert (np.abs(found - exact) <= radius * 2.0**-bits + 1e-300).all()


def test_normals_of_other_shapes(opencl):
    ours, numpys = streams(opencl, 3)
    for shape, dtype, mean, std in (
        ((7,), "f", 2.0, 0.5),
        ((3,), "e", 0.0, 1.0),
        ((2, 2), "F", 0.0, 2.0),
        ((), "d", -1.0, 0.0),
    ):
        found, expected = ours.normal(shape, dtype, mean, std).get(), numpys.normal(shape, dtype, mean, std)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-3 if dtype == "e" else 1e-5, atol=1e-5)
    with pytest.raises(RuntimeError, match="std is -1"):
        ours.normal((2,), "f", 0.0, -1.0)


@pytest.mark.parametrize("dtype", ["l", "i", "B", "b", "f", "?"])
def test_integers_are_equal(opencl, dtype):
    ours, numpys = streams(opencl, 2**64 - 3)
    ranges = [(0, 2)] if dtype == "?" else [(0, 7), (3, 100), (0, 128 if dtype == "b" else 200)]
    if dtype == "l":
        ranges += [(-5, 5), (-(2**63), 2**63 - 1), (-(2**62), 2**62)]
    for low, high in ranges:
        for shape in SIZES:
            found, expected = ours.randint(low, high, shape, dtype), numpys.randint(low, high, shape, dtype)
            np.testing.assert_array_equal(found.get(), expected)
            assert found.dtype == expected.dtype


def test_bernoulli_and_permutations_are_equal(opencl):
    ours, numpys = streams(opencl)
    for p in (0.0, 0.25, 0.5, 1.0):
        np.testing.assert_array_equal(ours.bernoulli(p, (9, 5)).get(), numpys.bernoulli(p, (9, 5)))
    for dtype in "fde":
        p = np.linspace(0, 1, 12).reshape(3, 4).astype(dtype)
        found = ours.bernoulli(opencl.from_numpy(p), (2, 3, 4)).get()
        np.testing.assert_array_equal(found, numpys.bernoulli(p, (2, 3, 4)))
    np.testing.assert_array_equal(ours.permutation(10).get(), numpys.permutation(10))
    with pytest.raises(RuntimeError, match=r"p must be in \[0, 1\]"):
        ours.bernoulli(1.5, (2,))
    with pytest.raises(RuntimeError, match=r"p must be in \[0, 1\]"):
        ours.bernoulli(opencl.from_numpy(np.array([0.5, 1.5])), (2,))


def test_a_state_travels(opencl):
    ours, numpys = streams(opencl)
    ours.uniform((7,))
    numpys.set_state(ours.get_state())
    np.testing.assert_array_equal(ours.uniform((9,)).get(), numpys.uniform((9,)))


def test_tensors_draw_on_their_device(opencl):
    device = f"opencl:{opencl.index}"
    torch.manual_seed(3)
    a = torch.rand(4, device=device)
    torch.manual_seed(3)
    b = torch.rand(4, device=device)
    assert a.device == b.device == torch.device(device)
    np.testing.assert_array_equal(a.cpu().numpy(), b.cpu().numpy())
    np.testing.assert_array_equal(a.cpu().numpy(), PhiloxStream(3).uniform((4,)))
    dropped = torch.nn.functional.dropout(torch.ones(1000, device=device), 0.5)
    assert set(np.unique(dropped.cpu().numpy())) == {0.0, 2.0}
