"""Reductions on OpenCL devices: each against NumPy, over layouts, dtypes and schedules."""

from __future__ import annotations

import numpy as np
import pytest

from plugrad_backends.numpy.reduce import ReduceKernels as Host

#: Shapes, axes: all schedules, several lines of a row, parts of rows, one element and none.
CASES = [
    ((5, 7), (0,)), ((5, 7), (1,)), ((5, 7), (0, 1)), ((3, 20, 18), (1,)), ((3, 20, 18), (0, 2)), ((2, 0, 3), (1,)),
    ((0, 3), (1,)), ((), ()), ((40, 3), (1,)), ((3, 40), (0,)), ((3, 2, 4, 2, 3), (1, 3)),
]  # fmt: skip
LARGE = [((300, 200), (0,)), ((300, 200), (1,)), ((70001,), (0,)), ((9, 7001), (1,)), ((5003, 9), (0,))]
#: One of each schedule, for dtypes that differ in the types of their kernels alone.
FEW = [((5, 37), (1,)), ((3, 40), (0,)), ((3, 20, 18), (0, 2))]
SUMS = ("float32", "bool", "int32", "float16", "complex64")


@pytest.fixture
def slow(opencl):
    """Whether large shapes take too long there."""
    return opencl.device.found.is_interpreter


def cases(dtype, slow):
    """The shapes and axes for a dtype."""
    if dtype != "float32":
        return FEW if slow else FEW + LARGE[-2:]
    return CASES if slow else CASES + LARGE


def values(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = np.asarray(rng.standard_normal(shape) * 5)
    if dtype.startswith("complex"):
        x = x + 1j * rng.standard_normal(shape)
    return np.asarray(np.abs(x) if dtype.startswith("u") else x).astype(dtype)


def same(found, wanted, tolerance=0.0):
    found, wanted = found.get(), np.asarray(wanted)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=10 * tolerance)


def total(x, axis, keepdims=False):
    return x.sum(axis, np.int64 if x.dtype.kind in "iub" else None, keepdims=keepdims)


@pytest.mark.parametrize("dtype", SUMS)
def test_sums(opencl, slow, dtype):
    for shape, axis in cases(dtype, slow):
        x = values(shape, dtype)
        wanted = x.astype(np.float32).sum(axis).astype(x.dtype) if dtype == "float16" else total(x, axis)
        same(opencl.sum(opencl.from_numpy(x), axis, False), wanted, 2e-3 if dtype == "float16" else 1e-5)


@pytest.mark.parametrize("dtype", ("float32", "bool", "int8"))
def test_extrema_and_their_places(opencl, slow, dtype):
    for shape, axis in cases(dtype, slow):
        x = values(shape, dtype)
        if not x.size:
            continue
        raw = opencl.from_numpy(x)
        same(opencl.max(raw, axis, False), x.max(axis))
        same(opencl.min(raw, axis, True), x.min(axis, keepdims=True))
        for one in (None, *range(x.ndim)):
            same(opencl.argmax(raw, one, False), x.argmax(one))
            same(opencl.argmin(raw, one, True), x.argmin(one, keepdims=True))


@pytest.mark.parametrize("shape", [(3, 40), (40, 3), (37,), (5, 300)])
def test_nan_and_infinities(opencl, shape):
    x = values(shape, "float32")
    for place in (0, 7, 36):
        for value in (np.nan, np.inf, -np.inf):
            y = x.copy()
            y.flat[place] = value
            y.flat[-1] = np.nan if place else x.flat[-1]
            raw = opencl.from_numpy(y)
            for axis in range(y.ndim):
                same(opencl.max(raw, (axis,), False), y.max(axis))
                same(opencl.min(raw, (axis,), False), y.min(axis))
                same(opencl.argmax(raw, axis, False), y.argmax(axis))
                same(opencl.argmin(raw, axis, False), y.argmin(axis))
                with np.errstate(invalid="ignore"):
                    same(opencl.sum(raw, (axis,), False), y.sum(axis), 1e-5)
    for value in (-np.inf, np.inf, np.nan):
        y = np.full(shape, value, np.float32)
        raw = opencl.from_numpy(y)
        same(opencl.argmax(raw, 0, False), y.argmax(0))
        same(opencl.argmin(raw, None, False), y.argmin())
        same(opencl.max(raw, (0,), False), y.max(0))


def test_strided_operands(opencl):
    x = values((6, 20, 9), "float32")
    raw = opencl.from_numpy(x)
    every = (slice(None, None, 2), slice(1, 19, 3))
    views = [
        (raw.permute((2, 0, 1)), x.transpose(2, 0, 1)),
        (raw.basic_index(every), x[every]),
        (raw.basic_index((slice(None), slice(None, None, -1), 4)), x[:, ::-1, 4]),
        (raw.basic_index((slice(None), slice(0, 1))).broadcast_to((6, 20, 9)), np.broadcast_to(x[:, :1], (6, 20, 9))),
        (raw.basic_index((0, 0, 0)).broadcast_to((4, 30)), np.broadcast_to(x[0, 0, 0], (4, 30))),
    ]  # fmt: skip
    for found, wanted in views:
        axes = [(i,) for i in range(wanted.ndim)] + [tuple(range(wanted.ndim)), (0, wanted.ndim - 1)]
        for axis in axes:
            same(opencl.sum(found, axis, True), wanted.sum(axis, keepdims=True), 1e-5)
            same(opencl.max(found, axis, False), wanted.max(axis))
        same(opencl.argmax(found, None, False), wanted.argmax())
        same(opencl.argmax(found, 1, False), wanted.argmax(1))


@pytest.mark.parametrize("name", ["mean", "nansum", "any", "all", "count_nonzero"])
def test_other_reductions(opencl, name):
    for shape, axis in FEW + [((2, 0, 3), (1,)), ((), ())]:
        x = np.round(values(shape, "float32") / 4)
        if name == "nansum" and x.size:
            x.flat[0] = np.nan
        with np.errstate(all="ignore"):
            wanted = getattr(Host, name)(x, axis, True)
        same(getattr(opencl, name)(opencl.from_numpy(x), axis, True), wanted, 1e-5)


@pytest.mark.parametrize("dtype", ("float32", "int32", "bool", "float16", "complex64"))
def test_products(opencl, dtype):
    for shape, axis in [((5, 7), 0), ((5, 7), 1), ((0, 3), 0), ((), ()), ((2, 3, 40), 2)]:
        x = values(shape, dtype) if dtype == "int32" else (values(shape, dtype) / 4).astype(dtype)
        wide = {"i": np.int64, "b": np.int64}.get(x.dtype.kind, np.float32 if dtype == "float16" else x.dtype)
        wanted = np.multiply.reduce(x, axis, wide).astype(x.dtype if dtype == "float16" else wide)
        same(opencl.prod(opencl.from_numpy(x), axis, False), wanted, 2e-3 if dtype == "float16" else 1e-4)


@pytest.mark.parametrize("ord", [0, 1, 2, 3, 0.5, np.inf, -np.inf])
def test_norms(opencl, ord):
    for dtype in ("float32", "complex64"):
        x = values((4, 37), dtype)
        x[0, 3] = 0
        for axis in ((0,), (1,)):
            wanted = Host.vector_norm(x, ord, axis, False)
            same(opencl.vector_norm(opencl.from_numpy(x), ord, axis, False), wanted, 1e-4)


def test_a_sum_of_millions_is_as_exact_as_numpys(opencl, slow):
    if slow:
        pytest.skip("too many elements")
    x = np.random.default_rng(1).random((2000, 2001), np.float32)
    exact = x.sum(dtype=np.float64)
    found = float(opencl.sum(opencl.from_numpy(x), (0, 1), False))
    assert abs(found - exact) <= 4 * np.spacing(np.float32(exact))
    again = float(opencl.sum(opencl.from_numpy(x), (0, 1), False))
    assert found == again


def test_a_new_shape_builds_nothing(opencl):
    for shape in [(8, 40), (40, 8)]:
        opencl.sum(opencl.from_numpy(np.ones(shape, np.float32)), (1,), False)
    before = opencl.device.builds
    for shape in [(8, 41), (9, 50), (50, 8)]:
        opencl.sum(opencl.from_numpy(np.ones(shape, np.float32)), (1,), False)
    assert opencl.device.builds == before


def test_parts_of_long_rows(opencl, slow):
    """Rows that several items share, by their elements or by their lines, in each schedule."""
    few = [((9003, 17), (0,)), ((20011,), (0,)), ((200, 5, 51), (0, 2)), ((2, 9001), (1,)), ((9001, 2), (0,))]
    for shape, axis in (
        few if slow else [*few, ((5003, 40), (0,)), ((3000, 5, 30), (0, 2)), ((1, 30000, 16), (1,))]
    ):
        x = np.random.default_rng(0).integers(-9, 9, shape)
        raw = opencl.from_numpy(x)
        same(opencl.sum(raw, axis, False), x.sum(axis))
        place = axis[0] if len(axis) == 1 else None
        same(opencl.argmax(raw, place, False), x.argmax(place))


@pytest.mark.parametrize("name", ("sum", "max", "argmax"))
@pytest.mark.parametrize("shape", ((700, 771), (3, 37, 600), (21, 5, 530), (2, 9, 3, 513)))
def test_many_columns(opencl, slow, name, shape):
    """More columns than an item keeps states of, in blocks of elements, several lines, and parts."""
    if slow:
        shape = tuple(min(n, 3) if i else min(n, 20) for i, n in enumerate(shape))
    x = np.round(values(shape, "float32"))  # with equals
    axis = tuple(range(0, len(shape) - 1, 2))
    if name == "argmax":
        axis = axis[-1]
        same(opencl.argmax(opencl.from_numpy(x), axis, False), x.argmax(axis))
    else:
        same(getattr(opencl, name)(opencl.from_numpy(x), axis, False), getattr(x, name)(axis), 1e-5)
        same(
            getattr(opencl, name)(opencl.from_numpy(x)[..., ::-1], axis, False),
            getattr(x[..., ::-1], name)(axis),
            1e-5,
        )
