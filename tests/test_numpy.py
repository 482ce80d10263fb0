"""Beside NumPy: operators and ufuncs with arrays, NumPy's functions, the array protocol, DLPack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch

V = [1.25, 2.5, 4.0]
W = [0.5, 3.0, -1.0]

# --- operators and ufuncs that plugrad has: a tensor with the gradient, never an array of objects ---------------

BINARY: dict[str, tuple[Callable[[Any, Any], Any], bool]] = {  # f(array or number, tensor), differentiable?
    "+": (lambda a, t: a + t, True), "-": (lambda a, t: a - t, True), "*": (lambda a, t: a * t, True),
    "/": (lambda a, t: a / t, True), "**": (lambda a, t: abs(a) ** t, True), "//": (lambda a, t: a // t, False),
    "%": (lambda a, t: a % t, True), "<": (lambda a, t: a < t, False), "<=": (lambda a, t: a <= t, False),
    "==": (lambda a, t: a == t, False), "!=": (lambda a, t: a != t, False), ">": (lambda a, t: a > t, False),
    ">=": (lambda a, t: a >= t, False), "add": (np.add, True), "subtract": (np.subtract, True),
    "multiply": (np.multiply, True), "divide": (np.divide, True), "maximum": (np.maximum, True),
    "minimum": (np.minimum, True), "arctan2": (np.arctan2, True), "hypot": (np.hypot, True),
    "logaddexp": (np.logaddexp, True), "fmod": (np.fmod, True), "equal": (np.equal, False), "less": (np.less, False),
}  # fmt: skip


@pytest.mark.parametrize("name", BINARY)
def test_arrays_beside_tensors(name: str) -> None:
    f, differentiable = BINARY[name]
    arrays = [np.array(W), np.array([W]), np.array(2.0), np.float64(2), 2.0]
    for a in arrays:
        for t in (
            torch.tensor(V, dtype=torch.float64),
            torch.tensor(V, dtype=torch.float64, requires_grad=True),
        ):
            y = f(a, t)
            assert isinstance(y, torch.Tensor) and y.dtype is (
                torch.bool if f(1.0, np.ones(1)).dtype == bool else torch.float64
            )
            np.testing.assert_allclose(y.detach().numpy(), f(a, np.array(V)), rtol=1e-15)
            assert y.requires_grad == (t.requires_grad and y.dtype is torch.float64)
            if y.requires_grad and differentiable:
                y.sum().backward()
                step = 1e-6
                slope = (f(a, np.array(V) + step) - f(a, np.array(V) - step)) / (2 * step)
                np.testing.assert_allclose(t.grad.numpy(), slope.reshape(3), rtol=1e-4, atol=1e-8)


UNARY = {
    "sin cos tan sinh cosh tanh arctan arcsinh exp exp2 expm1 square negative absolute abs conj floor ceil trunc rint sign": V,
    "sqrt log log2 log10 log1p reciprocal": V,
    "arcsin arccos arctanh": [0.1, -0.5, 0.9],
    "arccosh": [1.5, 2.0, 4.0],
    "isnan isinf isfinite signbit logical_not": [1.0, float("nan"), float("-inf")],
}


@pytest.mark.parametrize(("name", "values"), [(n, v) for names, v in UNARY.items() for n in names.split()])
def test_ufuncs(name: str, values: list[float]) -> None:
    ufunc, expected = getattr(np, name), getattr(np, name)(np.array(values))
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    y = ufunc(x)
    assert isinstance(y, torch.Tensor) and y.requires_grad == (expected.dtype != bool)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-14)
    if y.requires_grad:
        y.sum().backward()
        assert x.grad.shape == x.shape


def test_ufuncs_on_integers_and_bools() -> None:
    i = torch.tensor([1, 6])
    assert np.bitwise_and(i, 3).tolist() == [1, 2] and np.invert(i).tolist() == [-2, -7]
    assert np.left_shift(i, 1).tolist() == [2, 12] and np.right_shift(i, 1).tolist() == [0, 3]
    assert (np.array([True, False]) & (i > 0)).tolist() == [True, False]
    assert (np.array([1, 2]) * i).dtype is torch.int64 and (np.int64(2) * i).tolist() == [2, 12]


def test_dtypes_of_results() -> None:
    t = torch.ones(2)
    assert (np.ones(2) * t).dtype is torch.float64  # two with dimensions: promoted
    assert (np.array(2.0) * t).dtype is (np.float64(2) * t).dtype is (2.0 * t).dtype is torch.float32
    assert (np.ones(2, np.float32) * t.double()).dtype is torch.float64


def test_an_array_in_a_graph_is_a_copy() -> None:
    for f in (lambda a, x: a * x, lambda a, x: x * a, lambda a, x: np.multiply(a, x)):
        a, x = np.ones(2), torch.ones(2, dtype=torch.float64, requires_grad=True)
        y = f(a, x)
        a[:] = 99
        y.sum().backward()
        assert x.grad.tolist() == [1.0, 1.0]


def test_ufuncs_that_plugrad_lacks_and_their_options() -> None:
    t, a = torch.tensor([1.0, 8.0]), np.array([1.0, 2.0])
    assert np.cbrt(t).tolist() == [1.0, 2.0] and np.divmod(t, 3)[1].tolist() == [1.0, 2.0]
    assert np.add.reduce(t) == 9 and np.add.accumulate(t).tolist() == [1.0, 9.0]
    assert np.multiply.outer(t, t).shape == (2, 2)
    assert np.add(t, 1, where=np.array([True, False]), out=np.zeros(2)).tolist() == [2.0, 0.0]
    assert np.add(a, t, out=a) is a and a.tolist() == [2.0, 10.0]
    a += t
    assert type(a) is np.ndarray and a.tolist() == [3.0, 18.0]
    with pytest.raises(
        TypeError, match=r"np.add: out= cannot be a Tensor: use its .numpy\(\), or an in-place method"
    ):
        np.add(t, t, out=t)


@pytest.mark.parametrize(
    ("call", "text"),
    [(lambda g: np.cbrt(g), "np.cbrt does not differentiate: call .detach"),
     (lambda g: np.add.reduce(g), "np.add.reduce does not differentiate"),
     (lambda g: np.add(g, 1, where=np.array([True])), "np.add with where does not differentiate"),
     (lambda g: np.add(np.ones(1), g, out=np.ones(1)), "np.add with out does not differentiate")],
)  # fmt: skip
def test_what_does_not_differentiate_says_so(call: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        call(torch.ones(1, requires_grad=True))


# --- NumPy's other functions: arrays in place of tensors ------------------------------------------------------

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "mean": np.mean, "sum": np.sum, "argsort": np.argsort, "sort": np.sort, "cumsum": np.cumsum,
    "clip": lambda t: np.clip(t, 0, 2),
    "norm": np.linalg.norm, "concatenate": lambda t: np.concatenate([t, t]), "stack": lambda t: np.stack((t, np.ones(3))),
    "where": lambda t: np.where(np.greater(np.asarray(t), 1), t, 0), "dot": lambda t: np.dot(t, np.ones(3)), "diag": np.diag,
    "einsum": lambda t: np.einsum("i,i", t, t), "allclose": lambda t: np.allclose(t, t), "isclose": lambda t: np.isclose(t, 1.0),
    "reshape": lambda t: np.reshape(t, (3, 1)), "median": np.median, "unique": np.unique, "zeros_like": np.zeros_like,
    "histogram": lambda t: np.histogram(t)[0], "interp": lambda t: np.interp(1.5, t, t), "fft": np.fft.fft, "shape": np.shape,
    "asarray": np.asarray, "array of a list": lambda t: np.array([t, t]), "float64": lambda t: np.asarray(t, dtype=np.float64),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    f = FUNCTIONS[name]
    found, expected = f(torch.tensor(V)), f(np.array(V, np.float32))
    assert type(found) is type(expected) and np.asarray(found).dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(
        RuntimeError,
        match=r"Can't call numpy\(\) on Tensor that requires grad. Use tensor.detach\(\).numpy\(\)",
    ):
        f(torch.tensor(V, requires_grad=True))


def test_functions_share_the_memory() -> None:
    t = torch.zeros(4)
    np.reshape(t, (2, 2))[0, 1] = 5
    np.asarray(t)[3] = 7
    assert t.tolist() == [0.0, 5.0, 0.0, 7.0]
    with pytest.raises(TypeError, match=r"np.concatenate: out= cannot be a Tensor"):
        np.concatenate([t, t], out=torch.zeros(8))


def test_tensors_as_indices_and_sizes() -> None:
    a = np.arange(5)
    assert a[torch.tensor(1)] == 1 and a[torch.tensor([0, 3])].tolist() == [0, 3]
    assert a[torch.arange(5) > 2].tolist() == [3, 4]
    assert np.ones(torch.tensor(3)).shape == np.ones(torch.zeros(3).shape).shape == (3,)
    a[0] = torch.tensor(9)
    assert a[0] == 9


# --- numpy() and __array__ ------------------------------------------------------------------------------------


def test_numpy() -> None:
    x = torch.arange(6.0).view(2, 3)
    n = x.numpy()
    assert type(n) is np.ndarray and n.dtype == np.float32 and n.ctypes.data == x.data_ptr()
    assert x.t().numpy().strides == (4, 12) and x[:, 1].numpy().tolist() == [1.0, 4.0]
    n[0, 0] = 9
    x[1, 2] = 8
    assert x[0, 0] == 9 and n[1, 2] == 8
    g = torch.ones(2, requires_grad=True)
    for asks in (g.numpy, (g * 1).numpy, lambda: np.asarray(g)):
        with pytest.raises(RuntimeError, match="Can't call numpy"):
            asks()
    assert g.detach().numpy().tolist() == g.numpy(force=True).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dtype", ["?", "B", "b", "h", "i", "q", "e", "f", "d", "F", "D"])
def test_numpy_of_every_dtype_and_layout(dtype: str) -> None:
    for a in (
        np.ones((2, 3), dtype),
        np.zeros((), dtype),
        np.zeros((0, 2), dtype),
        np.ones((4, 6), dtype)[::2, ::-2],
        np.ones((2, 3), dtype).T,
    ):
        for back in (torch.from_numpy(a).numpy(), torch.tensor(a).numpy()):
            assert back.dtype == a.dtype and back.shape == a.shape and np.array_equal(back, a)
        assert torch.from_numpy(a).numpy().strides == a.strides or not a.size


def test_the_array_protocol() -> None:
    t = torch.tensor(V)
    assert np.asarray(t).ctypes.data == t.data_ptr() and np.array(t).ctypes.data != t.data_ptr()
    assert np.array(t, copy=False).ctypes.data == t.data_ptr()
    assert np.asarray(t, dtype=np.float64).dtype == np.float64 and np.asarray(t, dtype=int).tolist() == [
        1,
        2,
        4,
    ]
    with pytest.raises(ValueError, match="float32 becomes float64 only by a copy, which copy=False forbids"):
        np.array(t, dtype=np.float64, copy=False)


# --- DLPack ---------------------------------------------------------------------------------------------------


def test_dlpack_out() -> None:
    t = torch.arange(6.0).view(2, 3).t()
    a = np.from_dlpack(t)
    assert a.shape == (3, 2) and a.strides == (4, 12) and a.ctypes.data == t.data_ptr()
    assert t.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError, match="Can't export tensors that require gradient"):
        np.from_dlpack(torch.ones(2, requires_grad=True))


def test_dlpack_in() -> None:
    a = np.arange(4.0)
    t = torch.from_dlpack(a)
    t[0] = 9
    assert a[0] == 9 and t.dtype is torch.float64
    a.flags.writeable = False
    with pytest.raises(RuntimeError, match="the memory of the tensor is read-only"):
        torch.from_dlpack(a).zero_()
    x = torch.ones(2, requires_grad=True)
    y = torch.from_dlpack(x)
    assert y.data_ptr() == x.data_ptr() and not y.requires_grad


def test_dlpack_with_pytorch() -> None:
    T = pytest.importorskip("torch")
    ours = torch.arange(6.0).view(2, 3)
    theirs = T.from_dlpack(ours)
    theirs[0, 0] = 7
    assert ours[0, 0] == 7 and theirs.shape == (2, 3)
    ours.add_(1)
    assert theirs[0, 0] == 8
    back = torch.from_dlpack(T.arange(3.0))
    assert back.tolist() == [0.0, 1.0, 2.0] and back.dtype is torch.float32
    del ours
    assert theirs[0, 1] == 2
