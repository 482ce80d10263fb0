"""Running sums and products on OpenCL devices, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

SHAPES = [((), 0), ((1,), 0), ((70,), 0), ((5, 7), 0), ((5, 7), 1), ((3, 40), 0), ((40, 3), 0), ((3, 130), 1), ((2, 5, 37), 1),
          ((2, 3, 4, 5), 2), ((0, 3), 0), ((3, 0), 0)]  # fmt: skip


def same(found, wanted, tolerance):
    found = found.get()
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def wanted_of(ufunc, x, axis):
    wide = np.int64 if x.dtype.kind in "iub" else np.float32 if x.dtype == np.float16 else x.dtype
    y = ufunc.accumulate(np.atleast_1d(x), axis, wide).reshape(x.shape)
    return y.astype(x.dtype) if x.dtype == np.float16 else y


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool", "float16", "complex64"])
def test_running_sums_and_products(opencl, dtype):
    for shape, axis in SHAPES if dtype == "float32" else SHAPES[3:7]:
        x = np.asarray(np.random.default_rng(0).uniform(0.5, 1.7, shape) * (1 + (dtype == "int32"))).astype(
            dtype
        )
        raw = opencl.from_numpy(x)
        same(
            opencl.cumulative_sum(raw, axis), wanted_of(np.add, x, axis), 4e-3 if dtype == "float16" else 1e-5
        )
        short = raw.basic_index((..., slice(0, 30))) if x.ndim else raw
        x = x[..., :30] if x.ndim else x
        same(
            opencl.cumulative_prod(short, axis),
            wanted_of(np.multiply, x, axis),
            4e-3 if dtype == "float16" else 1e-4,
        )


def test_strided_rows(opencl):
    x = np.random.default_rng(0).standard_normal((6, 20, 9), np.float32)
    raw = opencl.from_numpy(x)
    for found, wanted in [
        (raw.permute((2, 0, 1)), x.transpose(2, 0, 1)),
        (raw.basic_index((slice(None, None, 2), slice(1, 19, 3))), x[::2, 1:19:3]),
        (raw.basic_index((slice(None), slice(None, None, -1), 4)), x[:, ::-1, 4]),
        (
            raw.basic_index((slice(None), slice(0, 1))).broadcast_to((6, 20, 9)),
            np.broadcast_to(x[:, :1], (6, 20, 9)),
        ),
    ]:
        for axis in range(wanted.ndim):
            same(opencl.cumulative_sum(found, axis), np.cumsum(wanted, axis), 1e-5)


@pytest.mark.parametrize("shape, axis", [((20011,), 0), ((2, 9001), 1), ((9001, 2), 0)])
def test_parts_of_long_rows(opencl, shape, axis):
    x = np.random.default_rng(0).integers(0, 9, shape)
    found = opencl.cumulative_sum(opencl.from_numpy(x), axis)
    np.testing.assert_array_equal(found.get(), np.cumsum(x, axis))
    y = np.random.default_rng(0).standard_normal(shape, np.float32)
    y[100 if axis == 0 else 1, ...] = np.nan
    np.testing.assert_allclose(
        opencl.cumulative_sum(opencl.from_numpy(y), axis).get(), np.cumsum(y, axis), 1e-3, 1e-3
    )


def test_another_shape_builds_nothing(opencl):
    opencl.cumulative_sum(opencl.from_numpy(np.ones((5, 70), np.float32)), 1)
    before = opencl.device.builds
    opencl.cumulative_sum(opencl.from_numpy(np.ones((6, 90), np.float32)), 1)
    assert opencl.device.builds == before
