"""Sorting and linear systems: in mapped memory on CPUs, by other kernels of the device elsewhere, never on the host unasked."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as torch
from plugrad import kernels
from plugrad.backend import for_device
from plugrad.contract import defines
from plugrad.op import OPS
from plugrad_backends.opencl import host

cpu = for_device("cpu")
RNG = np.random.default_rng(8)
X = RNG.normal(size=(4, 6)).astype("f")
SQUARE = RNG.normal(size=(2, 3, 3)) + 3 * np.eye(3)
WITH_NAN = np.array([1.0, np.nan, -np.inf, 1.0, np.inf])

CALLS = [
    ("argsort", X, -1, False), ("argsort", X, 0, True), ("argsort", X.T[::-1], 1, False), ("argsort", X[:, :0], 1, False),
    ("argsort", WITH_NAN, 0, True), ("argsort", X > 0, 1, False), ("argtopk", X, 2, 1, True), ("argtopk", X, 3, 0, False),
    ("argtopk", WITH_NAN, 2, 0, True), ("searchsorted", np.sort(X[0]), X[1:], True), ("searchsorted", X[0, :0], X, False),
    ("bincount", np.array([3, 1, 3, 0]), None, 6), ("bincount", np.array([3, 1]), np.array([0.5, 2.0]), 0),
    ("unique", np.array([[3, 1, 3], [1, 1, 7]]), None), ("unique", np.array([[3, 1], [1, 1], [3, 1]]), 0),
    ("argmedian", X, 1), ("inv", SQUARE), ("solve", SQUARE, SQUARE[:, :, :2]), ("solve", SQUARE[0], SQUARE[1, 0]),
    ("det", SQUARE), ("slogdet", SQUARE), ("cholesky", SQUARE @ SQUARE.transpose(0, 2, 1)), ("inv", SQUARE[0].T),
    ("det", SQUARE.astype("F") * (1 + 1j)),
]  # fmt: skip


def compare(found, expected) -> None:
    if isinstance(expected, tuple):
        for a, b in zip(found, expected, strict=True):
            compare(a, b)
        return
    expected = np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found.get(), expected, rtol=1e-5, atol=1e-6)


def raws(opencl, args):
    return [opencl.from_numpy(a) if isinstance(a, np.ndarray) else a for a in args]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_values(opencl, call):
    name, *args = call
    with np.errstate(all="ignore"):
        expected = getattr(cpu, name)(*args)
    given = raws(opencl, args)
    before = [a.get() for a in given if hasattr(a, "sig")]
    compare(getattr(opencl, name)(*given), expected)
    for a, b in zip((a for a in given if hasattr(a, "sig")), before, strict=True):
        np.testing.assert_array_equal(a.get(), b)


def test_views_are_read_where_they_are(opencl):
    x = opencl.from_numpy(np.arange(24.0).reshape(4, 6))
    part = x.basic_index((slice(None, None, -2), slice(1, None, 2)))
    compare(opencl.argsort(part, 0, False), np.argsort(np.arange(24.0).reshape(4, 6)[::-2, 1::2], 0))


def test_what_was_asked_before_is_done_before(opencl):
    x = opencl.from_numpy(np.arange(1000.0))
    for _ in range(20):
        x = x + 1
    compare(opencl.argtopk(opencl.negative(x), 2, 0, True), np.array([0, 1]))
    y = opencl.det(opencl.from_numpy(SQUARE)) + 1
    compare(y, np.linalg.det(SQUARE) + 1)


def test_members_exist_where_they_are_native(opencl):
    for name in host.NAMES:
        native = opencl.device.is_cpu or name == "argsort"  # which is a kernel of every device
        assert defines(opencl, name) is native
        assert kernels.find(OPS[name], opencl)[1] == ("native" if native else "composite")


def test_errors_are_those_of_the_cpu(opencl):
    singular = torch.zeros(2, 2, dtype=torch.float64)
    device = f"opencl:{opencl.index}"
    for function, text in (
        (torch.linalg.inv, "ingular matrix|matrix is singular"),
        (torch.linalg.cholesky, "positive"),
    ):
        with pytest.raises(RuntimeError, match=text):
            function(singular)
        with pytest.raises(RuntimeError, match=text):
            function(singular.to(device))


def test_nothing_stays_mapped(opencl):
    x = opencl.from_numpy(SQUARE * 0)
    if opencl.device.is_cpu:
        with pytest.raises(np.linalg.LinAlgError):
            opencl.inv(x)
        opencl.setitem(x, ..., 2.0)
        np.testing.assert_array_equal(x.get(), SQUARE * 0 + 2)


def test_no_private_member_hides_one_that_composites_use():
    from plugrad import composites
    from plugrad.contract import Backend
    from plugrad_backends.opencl import OpenCLBackend

    own = [name for name in dir(OpenCLBackend) if name.startswith("_") and not hasattr(Backend, name)]
    assert [name for name in own if composites.find(name) is not None] == [
        "_arange"
    ]  # the same, made on the device


@pytest.mark.parametrize("char", "?bBhHiIlLefd")
@pytest.mark.parametrize("n", [1, 2, 7, 33])
def test_argsort_of_every_dtype(opencl, char, n):
    x = (RNG.random((3, n)) < 0.5) if char == "?" else RNG.integers(0, 9, (3, n)).astype(char)
    if char in "efd":
        x.flat[::4], x.flat[1::5] = np.nan, -np.inf
    for descending in (False, True):
        for axis, part in ((1, x), (0, x), (1, x[::-1, ::-2])):
            raw = opencl.from_numpy(np.ascontiguousarray(part))
            compare(opencl.argsort(raw, axis, descending), cpu.argsort(part, axis, descending))
