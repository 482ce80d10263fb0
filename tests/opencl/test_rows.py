"""Functions of rows on OpenCL devices, each against NumPy, with rows that lie along memory and across it."""

from __future__ import annotations

import numpy as np
import pytest

from plugrad.backend import for_device

SHAPES = [
    ((5, 7), (1,)), ((5, 70), (1,)), ((40, 6), (0,)), ((40, 37), (0,)), ((3, 20, 18), (1,)), ((3, 20, 18), (0, 2)), ((), ()),
    ((0, 3), (1,)), ((3, 0), (1,)), ((4, 5, 6, 3), (1, 3)),
]  # fmt: skip
OPS = {
    "softmax": lambda axis: (axis,), "log_softmax": lambda axis: (axis,), "logsumexp": lambda axis: (axis, False),
    "var": lambda axis: (axis, 1, True), "std": lambda axis: (axis, 0, False),
}  # fmt: skip


def close(found, wanted, tolerance=2e-6):
    found = found.get()
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPS)
def test_functions_of_rows(opencl, name):
    host = for_device("cpu")
    for shape, axis in SHAPES:
        x = np.asarray(np.random.default_rng(0).standard_normal(shape, np.float32) * 3)
        with np.errstate(all="ignore"):
            wanted = np.asarray(getattr(host, name)(x.astype(np.float64), *OPS[name](axis)))
        close(getattr(opencl, name)(opencl.from_numpy(x), *OPS[name](axis)), wanted.astype(np.float32), 5e-6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "var"])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_dtypes(opencl, name, dtype):
    host = for_device("cpu")
    x = np.random.default_rng(0).standard_normal((6, 37)).astype(dtype)
    wanted = getattr(host, name)(x.astype(np.float64), *OPS[name]((1,)))
    found = getattr(opencl, name)(opencl.from_numpy(x), *OPS[name]((1,)))
    close(found, wanted.astype(dtype), 2e-3 if dtype == "float16" else 1e-13)


def test_variance_of_complex_numbers(opencl):
    x = np.random.default_rng(0).standard_normal((6, 37, 2), np.float32).view(np.complex64)[..., 0]
    close(opencl.var(opencl.from_numpy(x), (1,), 1, False), x.var(1, ddof=1), 1e-5)


def test_values_that_no_sum_survives(opencl):
    inf, nan = np.inf, np.nan
    x = np.array([[1e30, 0, -inf], [-inf, -inf, -inf], [inf, 1, 2], [nan, 1, 2], [200, 201, 202]], np.float32)
    host = for_device("cpu")
    for name in ("softmax", "log_softmax", "logsumexp"):
        with np.errstate(all="ignore"):
            wanted = getattr(host, name)(x, *OPS[name]((1,)))
        close(getattr(opencl, name)(opencl.from_numpy(x), *OPS[name]((1,))), wanted)


@pytest.mark.parametrize("shape, axis", [((6, 37), (1,)), ((3, 4, 20), (2,)), ((3, 4, 20), (1, 2))])
def test_layer_norm(opencl, shape, axis):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape, np.float32) * 3 + 100
    weight, bias = rng.standard_normal((2, *shape[axis[0] :]), np.float32)
    raw = opencl.from_numpy(x)
    d = x.astype(np.float64) - x.mean(axis, np.float64, keepdims=True)
    wanted = d / np.sqrt((d * d).mean(axis, keepdims=True) + 1e-5)
    close(opencl.layer_norm(raw, axis, 1e-5), wanted.astype(np.float32), 5e-5)
    found = opencl.layer_norm_affine(raw, opencl.from_numpy(weight), opencl.from_numpy(bias), axis, 1e-5)
    close(found, (wanted * weight + bias).astype(np.float32), 2e-4)


def test_strided_rows(opencl):
    x = np.random.default_rng(0).standard_normal((8, 20, 9), np.float32)
    raw, host = opencl.from_numpy(x), for_device("cpu")
    for found, wanted in [
        (raw.permute((2, 0, 1)), x.transpose(2, 0, 1)),
        (raw.basic_index((slice(None, None, 2), slice(1, 19, 3))), x[::2, 1:19:3]),
        (raw.basic_index((slice(None), slice(None, None, -1))), x[:, ::-1]),
        (
            raw.basic_index((slice(None), slice(0, 1))).broadcast_to((8, 20, 9)),
            np.broadcast_to(x[:, :1], (8, 20, 9)),
        ),
    ]:
        for axis in range(3):
            close(opencl.softmax(found, (axis,)), host.softmax(wanted, (axis,)))
            close(opencl.var(found, (axis,), 1, False), host.var(wanted, (axis,), 1, False), 1e-5)


def test_one_long_row(opencl):
    if opencl.device.found.is_interpreter:
        pytest.skip("too many elements")
    x = np.random.default_rng(0).standard_normal((1, 1 << 17), np.float32)
    raw, host = opencl.from_numpy(x), for_device("cpu")
    close(opencl.softmax(raw, (1,)), host.softmax(x, (1,)), 1e-6)
    close(opencl.var(raw, (0, 1), 1, False), np.asarray(host.var(x, (0, 1), 1, False)), 1e-5)
    close(opencl.layer_norm(raw, (1,), 1e-5), host.layer_norm(x, (1,), 1e-5), 1e-4)


def test_one_launch(opencl, monkeypatch):
    """A row is read and written by one kernel, whatever its length."""
    x = opencl.from_numpy(np.ones((9, 50), np.float32))
    opencl.softmax(x, (1,))
    before = opencl.device.builds
    opencl.softmax(opencl.from_numpy(np.ones((7, 51), np.float32)), (1,))
    assert opencl.device.builds == before
    monkeypatch.setattr(type(opencl), "max", None)
    opencl.softmax(opencl.from_numpy(np.ones((7, 52), np.float32)), (1,))
