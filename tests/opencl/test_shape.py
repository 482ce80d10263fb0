"""Pieces, turns, triangles, diagonals, windows and bytes against NumPy's kernels, on each device."""

from __future__ import annotations

import numpy as np
import pytest

from plugrad import dtypes
from plugrad.backend import for_device

cpu = for_device("cpu")
RNG = np.random.default_rng(7)


def array(shape, char: str = "f") -> np.ndarray:
    x = RNG.integers(0, 2 if char == "?" else 100, shape)
    return (x * (1 - 2j) if char in "FD" else x).astype(char)


LAYOUTS = {
    "dense": lambda x: x,
    "turned": lambda x: x[::-1, :, ::-1],
    "permuted": lambda x: x.transpose(2, 0, 1),
    "strided": lambda x: x[:, 1::2, ::2],
    "broadcast": lambda x: x[:, :1] + np.zeros((1, 3, 1), x.dtype),
}
CALLS = [
    ("flip", (0,)), ("flip", (0, -1)), ("flip", ()), ("roll", (2,), (1,)), ("roll", (-1, 5), (0, 2)), ("roll", (3,), None),
    ("roll", (1, 1), (0, 0)), ("tile", (2,)), ("tile", (1, 2, 1, 3)), ("tile", (0, 1, 2)), ("tril", 0), ("tril", -1),
    ("triu", 0), ("triu", 2), ("triu", -3), ("diagonal", 0, 0, 1), ("diagonal", 1, 2, 0), ("diagonal", -2, 1, 2),
    ("diagonal", 9, 0, 2), ("windows", 0, 2, 1), ("windows", 2, 3, 2), ("windows", 1, 1, 1), ("squeeze", ()),
    ("expand_dims", 1), ("expand_dims", 3), ("split_sizes", (1, 0, 1), 0), ("unbind", 2), ("swapaxes", 0, 2), ("reverse_dims",),
    ("permute_dims", (1, 2, 0)),
]  # fmt: skip


def on(opencl, x: np.ndarray):
    """An array of the device with the strides of a NumPy array."""
    owner = x
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    memory = opencl.from_numpy(owner)
    start = (x.__array_interface__["data"][0] - owner.__array_interface__["data"][0]) // x.itemsize
    return memory.view(x.shape, tuple(s // x.itemsize for s in x.strides), start)


def same(found, expected) -> None:
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            same(a, b)
        return
    np.testing.assert_array_equal(found.get(), expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_another_order(opencl, call, layout):
    name, *params = call
    x = LAYOUTS[layout](array((3, 4, 5)))
    same(getattr(opencl, name)(on(opencl, x), *params), getattr(cpu, name)(x, *params))


@pytest.mark.parametrize("char", "?bhilefdFD")
def test_dtypes(opencl, char):
    x = array((4, 5), char)
    raw = opencl.from_numpy(x)
    for name, *params in [("tril", 1), ("triu", 1), ("flip", (1,)), ("roll", (2,), (1,)), ("tile", (2, 2))]:
        same(getattr(opencl, name)(raw, *params), getattr(cpu, name)(x, *params))
    same(opencl.embed_diagonal(raw, (4, 7, 6), 1, 1, 2), cpu.embed_diagonal(x, (4, 7, 6), 1, 1, 2))
    same(opencl.concat([raw, raw], 1), np.concatenate([x, x], 1))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pieces_together(opencl, axis):
    shapes = [(2, 4, 5), (2, 4, 5), (2, 4, 5)]
    xs = [array(shape) for shape in shapes] + [array((5, 4, 2)).T[:, ::-1]]
    same(opencl.stack([on(opencl, x) for x in xs], axis), np.stack(xs, axis))
    xs[1] = array(tuple(0 if i == axis else n for i, n in enumerate((2, 4, 5))))
    xs[2] = array(tuple(3 if i == axis else n for i, n in enumerate((2, 4, 5))))
    same(opencl.concat([on(opencl, x) for x in xs], axis), np.concatenate(xs, axis))


def test_pieces_that_do_not_fit(opencl):
    a, b = opencl.from_numpy(array((2, 3))), opencl.from_numpy(array((3, 2)))
    with pytest.raises(ValueError, match="sizes must match except in dimension 0"):
        opencl.concat([a, b], 0)
    with pytest.raises(ValueError, match="stack expects each tensor to be equal size"):
        opencl.stack([a, b], 0)


def test_diagonals_and_windows_put_back(opencl):
    for name, shape, params in [
        ("embed_diagonal", (3, 2), ((3, 4, 5), 3, 1, 2)),
        ("embed_diagonal", (4, 3), ((3, 4, 5), -0, 0, 2)),
        ("embed_diagonal", (2,), ((3, 4), -1, 0, 1)),
        ("embed_diagonal", (0,), ((3, 4), -5, 0, 1)),
        ("overlap_add", (3, 2, 4), ((3, 5), 1, 4, 1)),
        ("overlap_add", (2, 5, 3), ((6, 5), 0, 3, 2)),
    ]:
        x = array(shape)
        same(getattr(opencl, name)(opencl.from_numpy(x), *params), getattr(cpu, name)(x, *params))


def test_empty_arrays(opencl):
    x = array((2, 0, 3))
    raw = opencl.from_numpy(x)
    for name, *params in [
        ("flip", (1,)), ("roll", (2, 1), (1, 2)), ("roll", (2,), None), ("tile", (2, 2, 1)), ("tril", 0), ("diagonal", 0, 0, 1),
        ("windows", 2, 2, 1), ("windows", 1, 0, 1),
    ]:  # fmt: skip
        same(getattr(opencl, name)(raw, *params), getattr(cpu, name)(x, *params))


def test_bytes(opencl):
    x = RNG.normal(size=(3, 4)).astype("f")
    for name in ("int32", "uint8", "int16", "float64", "complex64", "bool"):
        dtype = dtypes.bool_ if name == "bool" else getattr(dtypes, name)
        same(opencl.bitcast(opencl.from_numpy(x), dtype), x.view(dtype.numpy))
    part = x[1:, :2]
    same(opencl.bitcast(on(opencl, part), dtypes.uint8), part.view("u1"))
    same(opencl.bitcast(on(opencl, part), dtypes.float64), part.view("d"))
    for wrong in (x[:, 1:], x[:, ::2], x[1:, :3]):
        with pytest.raises(ValueError, match="its last dimension must be dense"):
            opencl.bitcast(on(opencl, wrong), dtypes.complex64 if wrong.shape[1] != 2 else dtypes.uint8)


def test_views_share_memory(opencl):
    x = opencl.from_numpy(np.zeros((3, 4), "f"))
    for name, *params in [
        ("diagonal", 0, 0, 1),
        ("bitcast", dtypes.int32),
        ("squeeze", ()),
        ("expand_dims", 1),
    ]:
        y = getattr(opencl, name)(x, *params)
        assert y.base is x and y.buffer is x.buffer
    opencl.setitem(opencl.diagonal(x, 0, 0, 1), ..., 1)
    np.testing.assert_array_equal(x.get(), np.eye(3, 4))


def test_minus_1_stands_for_what_is_left(opencl):
    x = opencl.from_numpy(np.arange(6))
    assert x.reshape((-1, 2)).shape == (3, 2)
    for shape in ((-1, -1), (-1, 4), (-1, 0), (-2, 3)):
        with pytest.raises(ValueError, match="cannot reshape an array of size 6"):
            x.reshape(shape)
