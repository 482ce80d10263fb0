"""Convolutions and pooling on OpenCL devices, in both schedules, beside NumPy's kernels."""

from __future__ import annotations

import numpy as np
import pytest

from plugrad.backend import for_device
from plugrad_backends.opencl import windows

from .conftest import backend_of, scheduled_as_gpu


@pytest.fixture(scope="module", params=["pocl", "pocl as a GPU", "intel", "intel as a GPU", "oclgrind"])
def backend(request):
    """The backend of a device; "as a GPU" with the schedule of one."""
    made = backend_of(request.param.split()[0])
    return scheduled_as_gpu(made) if "GPU" in request.param else made


@pytest.fixture
def numpy():
    return for_device("cpu", None)


def random(shape, dtype="f8", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def close(got, want):
    e = {"e": 1e-2, "f": 1e-4, "F": 1e-4}.get(want.dtype.char, 1e-12)
    assert got.dtype == want.dtype and got.sig.is_dense
    np.testing.assert_allclose(got.get(), want, rtol=e, atol=10 * e)


# images, channels, outputs, groups; size, kernel, stride, padding, dilation
CONVOLUTIONS = [
    ((2, 3, 4, 1), (5, 6), (3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((3, 2, 3, 1), (6, 21), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    ((2, 4, 6, 2), (7, 19), (2, 3), (2, 2), ((2, 0), (1, 3)), (2, 1)),
    ((2, 3, 6, 3), (4, 5), (2, 2), (1, 3), ((0, 0), (4, 0)), (2, 2)),
    ((2, 3, 5, 1), (4, 5), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((3, 3, 2, 1), (23,), (3,), (3,), ((2, 2),), (2,)),
    ((1, 2, 2, 2), (3, 4, 3), (2, 2, 2), (1, 1, 1), ((0, 1), (1, 0), (0, 0)), (1, 1, 1)),
    ((0, 2, 3, 1), (4, 4), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    (
        (1, 2, 3, 1),
        (20, 20),
        (3, 3),
        (1, 1),
        ((1, 1), (1, 1)),
        (1, 1),
    ),  # as many places as a matrix of its own has
]


def convolved(backend, numpy, case, dtype="f8", lay=lambda x: x):
    (n, channels, outputs, groups), size, kernel, *where = case
    x, w = random((n, channels, *size), dtype), random((outputs, channels // groups, *kernel), dtype, 1)
    y = numpy.convolution(x, w, *where, groups)
    z, bias = random(y.shape, dtype, 2), random((outputs,), dtype, 3)
    rx, rw, rz = (lay(backend.from_numpy(a)) for a in (x, w, z))
    close(backend.convolution(rx, rw, *where, groups), y)
    close(
        backend.convolution_biased(rx, rw, backend.from_numpy(bias), *where, groups),
        numpy.convolution_biased(x, w, bias, *where, groups),
    )
    close(
        backend.convolution_transposed(rz, rw, size, *where, groups),
        numpy.convolution_transposed(z, w, size, *where, groups),
    )
    close(
        backend.convolution_weight(rx, rz, kernel, *where, groups),
        numpy.convolution_weight(x, z, kernel, *where, groups),
    )


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolutions(backend, numpy, case):
    convolved(backend, numpy, case)


@pytest.mark.parametrize("dtype", ["f2", "f4", "c8", "c16"])
def test_dtypes_of_convolutions(backend, numpy, dtype):
    convolved(backend, numpy, CONVOLUTIONS[1], dtype)


def test_images_a_few_at_a_time(backend, numpy, monkeypatch):
    monkeypatch.setattr(windows, "BLOCK_BYTES", {True: 3000, False: 3000})
    for case in (CONVOLUTIONS[0], CONVOLUTIONS[4], ((3, 1, 2, 1), *CONVOLUTIONS[-1][1:])):
        convolved(backend, numpy, case)


def test_images_of_other_layouts(backend, numpy):
    def reversed_twice(x):
        back = (slice(None),) * 2 + (slice(None, None, -1),) * (x.ndim - 2)
        return x.basic_index(back).copy().basic_index(back)

    def channels_last(x):
        last = (0, *range(2, x.ndim), 1)
        return x.permute(last).copy().permute((0, x.ndim - 1, *range(1, x.ndim - 1)))

    convolved(backend, numpy, CONVOLUTIONS[2], lay=reversed_twice)
    convolved(backend, numpy, CONVOLUTIONS[2], lay=channels_last)


def test_other_sizes_build_nothing(backend, numpy):
    convolved(backend, numpy, CONVOLUTIONS[1], "f4")
    convolved(backend, numpy, ((2, 4, 6, 2), (4, 18), (2, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)), "f4")
    before = backend.device.builds
    convolved(backend, numpy, ((1, 6, 9, 3), (5, 17), (3, 2), (1, 1), ((1, 1), (1, 1)), (1, 1)), "f4")
    assert backend.device.builds <= before + 2  # how few rows and columns matrices have chooses among kernels


def test_too_many_dimensions(backend):
    x, one = backend.from_numpy(random((1, 1, 2, 2, 2, 2))), (1,) * 4
    with pytest.raises(RuntimeError, match=r"over 4 dimensions: .* up to 3"):
        backend.convolution(x, x, one, ((0, 0),) * 4, one, 1)


# size, kernel, stride, padding, dilation
POOLS = [
    ((6, 7), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ((7, 21), (3, 2), (2, 1), ((1, 1), (1, 0)), (1, 1)),
    ((8, 9), (2, 3), (1, 2), ((1, 2), (1, 1)), (3, 1)),
]


def pooled(backend, numpy, x, kernel, stride, padding, dilation):
    rx, where = backend.from_numpy(x), (kernel, stride, padding, dilation)
    y, which = numpy.max_pool2d(x, *where), numpy.argmax_pool2d(x, *where)
    close(backend.max_pool2d(rx, *where), y)
    found = backend.argmax_pool2d(rx, *where)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found.get(), which)
    close(backend.take_pooled(rx, found, *where), numpy.take_pooled(x, which, *where))
    z = random(y.shape, x.dtype, 1)
    close(
        backend.embed_pooled(backend.from_numpy(z), found, x.shape[-2:], *where),
        numpy.embed_pooled(z, which, x.shape[-2:], *where),
    )


@pytest.mark.parametrize("case", POOLS, ids=str)
def test_maxima(backend, numpy, case):
    size, *where = case
    x = random((2, 3, *size))
    pooled(backend, numpy, x, *where)
    x[0, :, 2, 3] = np.nan
    x[1, :, :4, :4] = -np.inf
    pooled(backend, numpy, x, *where)
    pooled(backend, numpy, random((2, 1, *size), "f2"), *where)
    pooled(backend, numpy, np.round(random((2, 1, *size), "f4")), *where)  # many that are equal


def test_maxima_of_integers(backend, numpy):
    x = np.random.default_rng(0).integers(-128, -120, (2, 6, 7)).astype(np.int8)
    for _, *where in POOLS[:2]:
        y = backend.max_pool2d(backend.from_numpy(x), *where)
        np.testing.assert_array_equal(y.get(), numpy.max_pool2d(x, *where))
        which = backend.argmax_pool2d(backend.from_numpy(x), *where)
        np.testing.assert_array_equal(which.get(), numpy.argmax_pool2d(x, *where))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8"])
@pytest.mark.parametrize(("counted", "divisor"), [(True, None), (False, None), (True, 3)])
def test_means(backend, numpy, dtype, counted, divisor):
    for size, kernel, stride, padding, _ in [*POOLS[:2], ((9, 20), (3, 3), (2, 3), ((1, 0), (1, 2)), 1)]:
        x, rest = random((2, 3, *size), dtype), (kernel, stride, padding, counted, divisor)
        y = numpy.avg_pool2d(x, *rest)
        close(backend.avg_pool2d(backend.from_numpy(x), *rest), y)
        z = random(y.shape, dtype, 1)
        close(backend.avg_unpool2d(backend.from_numpy(z), size, *rest), numpy.avg_unpool2d(z, size, *rest))


def test_pooling_of_views_and_of_nothing(backend, numpy):
    x, where = random((2, 6, 8)), POOLS[0][1:]
    view = backend.from_numpy(x).permute((0, 2, 1))
    close(backend.max_pool2d(view, *where), numpy.max_pool2d(x.mT, *where))
    assert backend.max_pool2d(backend.from_numpy(x[:0]), *where).shape == (0, 3, 4)


def test_means_of_integers(backend):
    x = backend.from_numpy(np.zeros((1, 4, 4), np.int32))
    with pytest.raises(TypeError, match="means are of floats, found int32"):
        backend.avg_pool2d(x, (2, 2), (2, 2), ((0, 0), (0, 0)), True, None)
