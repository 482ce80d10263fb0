"""`tensor[...]`, gather, scatter, sort and their like under PyTorch's names."""

from __future__ import annotations

import pickle
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import plugrad as torch

X, B = np.arange(12.0).reshape(3, 4), np.arange(24.0).reshape(2, 3, 4)
V = np.array([3.0, 1.0, np.nan, 2.0, 2.0, -1.0])
EACH = [[0, 0], [2, 1]]


def tensors(library: Any, grad: bool = True) -> SimpleNamespace:
    """The arguments of a case: in plugrad, in torch, and (with NumPy as the library) as arrays."""
    if library is np:
        return SimpleNamespace(L=np, x=X, b=B, v=V, s=np.array(5.0), int=lambda a: np.array(a, np.int64))
    made = {k: library.tensor(a) for k, a in {"x": X, "b": B, "v": V, "s": np.array(5.0)}.items()}
    for t in made.values():
        t.requires_grad_(grad)
    return SimpleNamespace(L=library, int=lambda a: library.tensor(a, dtype=library.int64), **made)


def put(a: np.ndarray, key: Any, value: Any) -> np.ndarray:
    y = np.array(a)
    y[key] = value
    return y


def add(a: np.ndarray, key: Any, value: Any) -> np.ndarray:
    y = np.array(a)
    np.add.at(y, key, value)
    return y


def along(indices: Any, axis: int) -> Any:
    places = np.indices(np.shape(indices))
    places[axis] = indices
    return tuple(places)


# The call, the same in NumPy, and the node's name in PyTorch.
SAME: Any = None  # NumPy means the same by it
GETITEM = [
    (lambda t: t.x[0], SAME, "Select"),
    (lambda t: t.x[-1], SAME, "Select"),
    (lambda t: t.x[1:], SAME, "Slice"),
    (lambda t: t.x[5:], SAME, "Slice"),
    (lambda t: t.x[::2, 1::2], SAME, "Slice"),
    (lambda t: t.x[:], SAME, "Slice"),
    (lambda t: t.x[...], SAME, "Alias"),
    (lambda t: t.x[()], SAME, "Alias"),
    (lambda t: t.x[None], SAME, "Unsqueeze"),
    (lambda t: t.x[:, None], SAME, "Unsqueeze"),
    (lambda t: t.x[0, 1:], SAME, "Slice"),
    (lambda t: t.x[1:, 0], SAME, "Select"),
    (lambda t: t.x[..., 0], SAME, "Select"),
    (lambda t: t.x[0, ...], SAME, "Select"),
    (lambda t: t.x[0, :], SAME, "Select"),
    (lambda t: t.x[1, 2], SAME, "Select"),
    (lambda t: t.x[t.int(1)], SAME, "Select"),
    (lambda t: t.x[np.int64(1)], SAME, "Select"),
    (lambda t: t.x[t.int(1) :], SAME, "Slice"),
    (lambda t: t.s[...], SAME, "Alias"),
    (lambda t: t.s[None], SAME, "Unsqueeze"),
    (lambda t: t.x[True], SAME, "Index"),
    (lambda t: t.x[False], SAME, "Index"),
    (lambda t: t.x[[0, 1]], SAME, "Index"),
    (lambda t: t.x[[]], lambda t: t.x[:0], "Index"),
    (lambda t: t.x[range(2)], SAME, "Index"),
    (lambda t: t.x[np.array([0, 2])], SAME, "Index"),
    (lambda t: t.x[t.int([-1, 0, 0])], SAME, "Index"),
    (lambda t: t.x[t.int([[0, 1], [1, 1]])], SAME, "Index"),
    (lambda t: t.x[t.int([0, 1, 1]), t.int([2, 3, 3])], SAME, "Index"),
    (lambda t: t.x[[0, 1], :, None], SAME, "Index"),
    (lambda t: t.x[None, [0, 1]], SAME, "Index"),
    (lambda t: t.x[[True, False, True]], SAME, "Index"),
    (lambda t: t.x[t.x > 3], SAME, "Index"),
    (lambda t: t.x[t.x > 300], SAME, "Index"),
    (lambda t: t.x[t.x > 3, None], SAME, "Index"),
    (lambda t: t.b[:, [0, 0, 2], 1:], SAME, "Index"),
    (lambda t: t.b[..., [0, 0, 3]], SAME, "Index"),
    (lambda t: t.b[[0], :, [0, 1]], SAME, "Index"),
    (lambda t: t.b[[0, 1], None, [0, 1]], SAME, "Index"),
    (lambda t: t.b[t.x[:2, :3] > 1, 1], SAME, "Index"),
    # An integer beside an index array is applied first, and does not move dimensions to the front.
    (lambda t: t.b[0, :, [0, 1]], lambda t: t.b[0][:, [0, 1]], "Index"),
    (lambda t: t.b[[0, 1], :, 0], lambda t: t.b[..., 0][[0, 1]], "Index"),
]
METHODS = [
    (lambda t: t.x.select(1, -1), lambda t: t.x[:, -1], "Select"),
    (lambda t: t.x.gather(1, t.int(EACH)), lambda t: t.x[along(EACH, 1)], "Gather"),
    (lambda t: t.x.gather(0, t.int(EACH)), lambda t: t.x[along(EACH, 0)], "Gather"),
    (lambda t: t.v.gather(0, t.int(0)), lambda t: t.v[0], None),
    (lambda t: t.s.gather(0, t.int([0])), lambda t: t.s[None], None),
    (
        lambda t: t.x.take_along_dim(t.int([[1], [0], [3]]), 1),
        lambda t: t.x[[0, 1, 2], [1, 0, 3]][:, None],
        "Gather",
    ),
    (lambda t: t.x.take_along_dim(t.int([11, 0])), lambda t: t.x.ravel()[[11, 0]], "Gather"),
    (lambda t: t.x.scatter(1, t.int(EACH), 7.0), lambda t: put(t.x, along(EACH, 1), 7), "Scatter1"),
    (
        lambda t: t.x.scatter(1, t.int([[0, 1]]), t.b[0, :1, :2]),
        lambda t: put(t.x, (0, [0, 1]), t.b[0, 0, :2]),
        "Scatter",
    ),
    (
        lambda t: t.x.scatter_add(1, t.int([[0, 0]]), t.b[1, :1, :2]),
        lambda t: add(t.x, (0, [0, 0]), t.b[1, 0, :2]),
        "ScatterAdd",
    ),
    (lambda t: t.x.index_select(1, t.int([2, 0, 2])), lambda t: t.x[:, [2, 0, 2]], "IndexSelect"),
    (
        lambda t: t.x.index_add(0, t.int([0, 0]), t.b[1, :2]),
        lambda t: add(t.x, [0, 0], t.b[1, :2]),
        "IndexAdd",
    ),
    (
        lambda t: t.x.index_add(0, t.int([1]), t.b[1, :1], alpha=2),
        lambda t: add(t.x, [1], 2 * t.b[1, :1]),
        "IndexAdd",
    ),
    (
        lambda t: t.x.index_copy(0, t.int([2, 0]), t.b[1, :2]),
        lambda t: put(t.x, [2, 0], t.b[1, :2]),
        "IndexCopy",
    ),
    (lambda t: t.x.index_fill(1, t.int([-1]), 3.0), lambda t: put(t.x, (slice(None), -1), 3), "IndexFill"),
    (
        lambda t: t.x.index_put((t.int([2, 0]),), t.b[1, :2]),
        lambda t: put(t.x, [2, 0], t.b[1, :2]),
        "IndexPut",
    ),
    (
        lambda t: t.x.index_put((t.int([0, 0]),), t.b[1, :2], accumulate=True),
        lambda t: add(t.x, [0, 0], t.b[1, :2]),
        "IndexPut",
    ),
    (lambda t: t.x.take(t.int([[0, -1]])), lambda t: t.x.take([[0, -1]]), "Take"),
    (lambda t: t.x.masked_fill(t.x > 3, 9.0), lambda t: np.where(t.x > 3, 9, t.x), "MaskedFill"),
    (lambda t: t.x.masked_fill(t.x > 3, t.s), lambda t: np.where(t.x > 3, t.s, t.x), None),
    (lambda t: t.s.masked_fill(t.x[0] > 2, 9.0), lambda t: np.array([5.0, 5, 5, 9]), "MaskedFill"),
    (lambda t: t.x.masked_select(t.x[0] > 1), lambda t: t.x[:, 2:].ravel(), "MaskedSelect"),
    (lambda t: t.x.masked_scatter(t.x > 7, t.b[1]), lambda t: put(t.x, t.x > 7, t.b[1, 0]), None),
    (lambda t: t.x.sort(0, descending=True).values, lambda t: t.x[::-1], "Sort"),
    (lambda t: t.v.sort().values, lambda t: np.array([-1.0, 1, 2, 2, 3, np.nan]), "Sort"),
    (lambda t: t.v.sort(descending=True).values, lambda t: np.array([np.nan, 3, 2, 2, 1, -1]), "Sort"),
    (lambda t: t.v.argsort(stable=True), lambda t: np.array([5, 1, 3, 4, 0, 2]), None),
    (lambda t: t.v.sort(descending=True, stable=True).indices, lambda t: np.array([2, 0, 3, 4, 1, 5]), None),
    (lambda t: t.x.msort(), lambda t: t.x, "Sort"),
    (lambda t: t.s.sort().values, lambda t: t.s, None),
    (lambda t: t.v.topk(2).values, lambda t: np.array([np.nan, 3]), "Topk"),
    (lambda t: t.v.topk(2, largest=False).indices, lambda t: np.array([5, 1]), None),
    (lambda t: t.x.topk(2, 0).values, lambda t: t.x[:0:-1], "Topk"),
    (lambda t: t.x.topk(3, 0).indices, lambda t: np.tile([[2], [1], [0]], 4), None),
    (lambda t: t.x.kthvalue(2, 0).values, lambda t: t.x[1], None),
    (lambda t: t.x.kthvalue(2, 1, keepdim=True).indices, lambda t: np.full((3, 1), 1), None),
    (lambda t: t.x.nonzero(), lambda t: np.argwhere(t.x), None),
    (lambda t: t.x.nonzero(as_tuple=True)[1], lambda t: np.nonzero(t.x)[1], None),
    (lambda t: t.s.nonzero(), lambda t: np.zeros((1, 0), np.int64), None),
    (lambda t: t.int([0, 3, 3]).bincount(minlength=5), lambda t: np.array([1, 0, 0, 2, 0]), None),
    (lambda t: t.int([3, 1, 3]).unique(return_counts=True)[1], lambda t: np.array([1, 2]), None),
    (
        lambda t: t.int([[3, 1], [3, 2]]).unique(return_inverse=True)[1],
        lambda t: np.array([[2, 0], [2, 1]]),
        None,
    ),
    (
        lambda t: t.L.searchsorted(t.x[0], t.x[:2], right=True),
        lambda t: np.array([[1, 2, 3, 4], [4, 4, 4, 4]]),
        None,
    ),
    (lambda t: t.L.bucketize(t.x[0], t.x[0, 1:]), lambda t: np.array([0, 0, 1, 2]), None),
]
CASES = [pytest.param(*case, id=f"getitem-{i}") for i, case in enumerate(GETITEM)] + [
    pytest.param(*case, id=f"{case[0].__code__.co_names[1]}-{i}") for i, case in enumerate(METHODS)
]


def node_name(y: Any) -> str | None:
    return None if y.grad_fn is None else y.grad_fn.name().replace("torch::autograd::", "")


@pytest.mark.parametrize(("call", "reference", "node"), CASES)
def test_values_are_numpys_and_the_node_is_pytorchs(call: Any, reference: Any, node: Any) -> None:
    y = call(tensors(torch))
    expected = np.asarray((reference or call)(tensors(np)))
    assert y.shape == expected.shape
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    if node:
        assert node_name(y) == (node[:-1] + "Backward1" if node.endswith("1") else f"{node}Backward0")


@pytest.mark.parametrize(("call", "reference", "node"), CASES)
def test_values_gradients_and_dtypes_are_pytorchs(call: Any, reference: Any, node: Any) -> None:
    oracle = pytest.importorskip("torch")
    ours, theirs = tensors(torch), tensors(oracle)
    y, z = call(ours), call(theirs)
    assert y.shape == tuple(z.shape) and str(y.dtype) == str(z.dtype) and y.requires_grad == z.requires_grad
    np.testing.assert_array_equal(y.detach().numpy(), z.detach().numpy())
    if not y.requires_grad:
        return
    if node:
        assert node_name(y) == node_name(z)
    g = np.arange(1.0, y.numel() + 1).reshape(y.shape)
    y.backward(torch.tensor(g))
    z.backward(oracle.tensor(g))
    for name in "xbvs":
        found, expected = getattr(ours, name).grad, getattr(theirs, name).grad
        assert (found is None) == (expected is None)
        if found is not None:
            np.testing.assert_array_equal(found.numpy(), expected.numpy())


ERRORS = [
    (lambda t: t.x[5], IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
    (lambda t: t.x[0, -5], IndexError, "index -5 is out of bounds for dimension 1 with size 4"),
    (lambda t: t.x[t.int([0, 5])], IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
    (lambda t: t.b[0, :, [0, 4]], IndexError, "index 4 is out of bounds for dimension 1 with size 4"),
    (lambda t: t.x[0, 0, 0], IndexError, "too many indices for tensor of dimension 2"),
    (lambda t: t.x[:, t.x > 3], IndexError, "too many indices for tensor of dimension 2"),
    (lambda t: t.s[0], IndexError, "invalid index of a 0-dim tensor"),
    (lambda t: t.x[1.5], IndexError, r"only integers, slices .* are valid indices \(got float\)"),
    (
        lambda t: t.x[t.x],
        IndexError,
        "tensors used as indices must be long, int or bool tensors, found torch.float64",
    ),
    (lambda t: t.x[::-1], ValueError, "step must be greater than zero, found -1: use torch.flip"),
    (lambda t: t.x[::0], ValueError, "step must be greater than zero"),
    (
        lambda t: t.x[t.int([0, 1]), t.int([0, 1, 2])],
        IndexError,
        r"could not be broadcast together with shapes \[\[2\], \[3\]\]",
    ),
    (
        lambda t: t.x[[True, False]],
        IndexError,
        r"The shape of the mask \[2\] at index 0 does not match .* \[3, 4\]",
    ),
    (lambda t: t.x[t.x[:, :3] > 3], IndexError, r"The shape of the mask \[3, 3\] at index 1"),
    (
        lambda t: t.x.select(0, 5),
        IndexError,
        r"index 5 out of range for tensor of size \[3, 4\] at dimension 0",
    ),
    (lambda t: t.x.select(3, 0), IndexError, "Dimension out of range"),
    (
        lambda t: t.x.gather(0, t.int([[0, 5]])),
        RuntimeError,
        "index 5 is out of bounds for dimension 0 with size 3",
    ),
    (lambda t: t.x.gather(0, t.int([[-1]])), RuntimeError, "index -1 is out of bounds"),
    (lambda t: t.x.gather(0, t.int([0])), RuntimeError, "same number of dimensions"),
    (lambda t: t.x.gather(0, t.L.zeros(3, 5, dtype=t.L.int64)), RuntimeError, "no larger than self"),
    (lambda t: t.x.gather(0, t.x), RuntimeError, "Expected dtype int32/int64 for index, found torch.float64"),
    (lambda t: t.x.scatter(0, t.int([[5]]), 1.0), RuntimeError, "index 5 is out of bounds"),
    (lambda t: t.x.scatter(0, t.int([[0, 1]]), t.x[:1, :1]), RuntimeError, r"no larger than src \[1, 1\]"),
    (lambda t: t.x.scatter_add(0, t.int([[0]]), t.x.float()), RuntimeError, "same dtype"),
    (lambda t: t.x.index_select(0, t.int([3])), IndexError, "index 3 is out of bounds"),
    (lambda t: t.x.index_select(0, t.int([[1]])), IndexError, "Index is supposed to be a vector"),
    (
        lambda t: t.x.index_add(0, t.int([0]), t.x[:2]),
        RuntimeError,
        r"Number of indices \(1\) should be equal to source.size\(dim\): \(2\)",
    ),
    (
        lambda t: t.x.index_add(0, t.int([0]), t.x[:1, 1:]),
        RuntimeError,
        "source tensor shape must match self tensor shape",
    ),
    (lambda t: t.x.index_add(0, t.int([-1]), t.x[:1]), RuntimeError, "index -1 is out of bounds"),
    (lambda t: t.x.index_put((0,), t.x[0]), TypeError, "expected Tensor as element 0"),
    (lambda t: t.x.index_put((t.int([8]),), t.x[0]), IndexError, "index 8 is out of bounds for dimension 0"),
    (
        lambda t: t.x.index_put((t.int([0]),), t.x[0, :3]),
        RuntimeError,
        r"value tensor of shape \[3\] cannot be broadcast to indexing result of shape \[1, 4\]",
    ),
    (lambda t: t.x.take(t.int([12])), IndexError, "index 12 on a tensor of 12 elements"),
    (lambda t: t.x.take_along_dim(t.int([0]), 0), RuntimeError, "same number of dimensions"),
    (lambda t: t.x.masked_fill(t.x, 1.0), RuntimeError, "expected a bool mask, but got torch.float64"),
    (lambda t: t.x.masked_fill(t.x > 3, t.x), RuntimeError, "0-dimensional value tensor"),
    (
        lambda t: t.x.masked_select(t.x[:, :2] > 3),
        RuntimeError,
        r"\[3, 4\] must match the size of the mask \[3, 2\]",
    ),
    (lambda t: t.x.masked_scatter(t.x > 2, t.x[0]), RuntimeError, "found 4 and 9"),
    (lambda t: t.x.topk(5), RuntimeError, "selected index k out of range: 5 of 4 elements"),
    (lambda t: t.x.kthvalue(0), RuntimeError, "selected number k out of range"),
    (lambda t: t.x.sort(3), IndexError, "Dimension out of range"),
    (lambda t: t.L.tensor([1j]).sort(), RuntimeError, "complex numbers have no order"),
    (lambda t: t.int([-1]).bincount(), RuntimeError, "non-negative"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(tensors(torch))


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors_are_of_pytorchs_class(call: Any, error: type[Exception], text: str) -> None:
    oracle = pytest.importorskip("torch")
    with pytest.raises(error):
        call(tensors(oracle))


def test_uint8_is_no_index() -> None:
    with pytest.raises(IndexError, match=r"must not be uint8: convert a mask with .bool\(\)"):
        torch.ones(2)[torch.tensor([0, 1], dtype=torch.uint8)]


# --- writing ------------------------------------------------------------------------------------------------

SETITEM = [
    (lambda t: t.x.__setitem__(0, t.b[1, 0]), SAME),
    (lambda t: t.x.__setitem__((0, 0), 1), SAME),
    (lambda t: t.x.__setitem__((slice(None), 1), 2.5), SAME),
    (lambda t: t.x.__setitem__(0, t.b[1, :1]), SAME),
    (lambda t: t.x.__setitem__(..., 3), SAME),
    (lambda t: t.x.__setitem__(None, 3), SAME),
    (lambda t: t.x.__setitem__(False, 3), SAME),
    (lambda t: t.s.__setitem__((), 3), SAME),
    (lambda t: t.x.__setitem__(t.x > 9, 0), SAME),
    (lambda t: t.x.__setitem__(t.x > 9, t.b[1, 0, :2]), SAME),
    (lambda t: t.x.__setitem__(t.x > 100, t.b[1, 0, 0]), SAME),
    (lambda t: t.x.__setitem__((t.int([0, 1]), t.int([1, 2])), t.s), SAME),
    (lambda t: t.x.__setitem__((slice(1, None), [0, 0, 1]), 9.0), SAME),
    (lambda t: t.x.__setitem__((0, [0, 1]), t.b[1, 0, :2]), SAME),
    (
        lambda t: t.b.__setitem__((0, slice(None), [0, 1]), t.b[1, :, 2:]),
        lambda t: t.b[0].__setitem__((slice(None), [0, 1]), t.b[1, :, 2:]),
    ),
    (
        lambda t: t.b.__setitem__((slice(None), [True, False, True], 0), t.b[1, 0, :2]),
        lambda t: t.b[..., 0].__setitem__((slice(None), [0, 2]), t.b[1, 0, :2]),
    ),
    (lambda t: t.x[1].__setitem__(0, 100.0), SAME),
    (lambda t: t.x[:, 1:].__setitem__(t.x[:, 1:] > 5, 0.0), SAME),
    (lambda t: t.x[0, 0].__setitem__(..., 42.0), lambda t: t.x.__setitem__((0, 0), 42)),
    (lambda t: t.x.__setitem__(slice(1, None), t.x[:-1]), SAME),
]


@pytest.mark.parametrize(("call", "reference"), SETITEM)
def test_setitem(call: Any, reference: Any) -> None:
    ours, arrays = tensors(torch, grad=False), tensors(np)
    for name in "xbvs":
        setattr(arrays, name, np.array(getattr(arrays, name)))
    call(ours)
    (reference or call)(arrays)
    for name in "xbvs":
        np.testing.assert_array_equal(getattr(ours, name).numpy(), getattr(arrays, name))


SETITEM_ERRORS = [
    (lambda t: t.x.__setitem__(5, 0), IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
    (lambda t: t.x.__setitem__([5], 0), IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
    (lambda t: t.x.__setitem__(slice(None, None, -1), 0), ValueError, "step must be greater than zero"),
    (
        lambda t: t.x.__setitem__(0, t.x[0, :3]),
        RuntimeError,
        r"\[3\] cannot be broadcast to indexing result of shape \[4\]",
    ),
    (
        lambda t: t.x.__setitem__([0, 1], t.x[0, :3]),
        RuntimeError,
        r"\[3\] cannot be broadcast to indexing result of shape \[2, 4\]",
    ),
    (
        lambda t: t.x.__setitem__(t.x > 9, t.x[0, :3]),
        RuntimeError,
        r"\[3\] cannot be broadcast to indexing result of shape \[2\]",
    ),
    (lambda t: t.x.__setitem__(0, 1j), RuntimeError, "value 1j cannot be converted to torch.float64"),
    (
        lambda t: t.int([1]).__setitem__(0, float("inf")),
        RuntimeError,
        "value inf cannot be converted to torch.int64",
    ),
    (lambda t: t.x.__setitem__(0, [1, 2, 3, 4]), TypeError, r"can't assign a list to .* torch.tensor"),
    (lambda t: t.x.__setitem__([0], t.x[:1].float()), RuntimeError, "source and destination dtypes match"),
    (lambda t: t.x.requires_grad_().__setitem__(0, 1), RuntimeError, "leaf Variable that requires grad"),
]


@pytest.mark.parametrize(("call", "error", "text"), SETITEM_ERRORS)
def test_setitem_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(tensors(torch, grad=False))


@pytest.mark.parametrize(("call", "error", "text"), SETITEM_ERRORS)
def test_setitem_errors_are_of_pytorchs_class(call: Any, error: type[Exception], text: str) -> None:
    oracle = pytest.importorskip("torch")
    with pytest.raises(error):
        call(tensors(oracle, grad=False))


AT, W = [2, 0], [[5.0, 6.0]]
IN_PLACE: list[Any] = [
    ("scatter", lambda t: (0, t.int([AT]), 7.0), {}),
    ("scatter", lambda t: (0, t.int([AT]), t.w), {}),
    ("scatter", lambda t: (1, t.int([AT]), t.w), {"reduce": "add"}),
    ("scatter_add", lambda t: (1, t.int([AT]), t.w), {}),
    ("index_add", lambda t: (1, t.int(AT), t.w.expand(3, 2)), {"alpha": 3}),
    ("index_copy", lambda t: (1, t.int(AT), t.w.expand(3, 2)), {}),
    ("index_fill", lambda t: (0, t.int(AT), -1.0), {}),
    ("index_put", lambda t: ((t.int(AT), t.int(AT)), t.w[0]), {"accumulate": True}),
    ("masked_scatter", lambda t: (t.x.detach() > 9, t.w), {}),
    ("masked_fill", lambda t: (t.x.detach() > 9, 0.0), {}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), IN_PLACE)
def test_in_place_methods_write_what_the_others_return(name: str, arguments: Any, options: Any) -> None:
    t = tensors(torch, grad=False)
    t.w = torch.tensor(W, dtype=torch.float64)
    expected = getattr(t.x, name)(*arguments(t), **options).tolist()
    assert getattr(t.x, f"{name}_")(*arguments(t), **options) is t.x
    assert t.x.tolist() == expected != X.tolist()
    with pytest.raises(RuntimeError, match=f"{name}_: .*leaf Variable that requires grad"):
        getattr(t.x.requires_grad_(), f"{name}_")(*arguments(t), **options)


def test_setitem_casts_the_value() -> None:
    x = torch.arange(4)
    x[1:] = torch.tensor([1.5, 2.5, -0.5])
    x[0] = 1.7
    assert x.tolist() == [1, 1, 2, 0]


def test_assignment_to_a_leaf_under_no_grad() -> None:
    x = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        x[0] = 5.0
    assert x.tolist() == [5.0, 1.0, 1.0]


def test_a_write_never_changes_what_a_graph_has_saved() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x * x).sum()
    with torch.no_grad():
        x[1:] = 100.0
    y.backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_a_graph_keeps_the_indices_that_it_was_recorded_with() -> None:
    x = torch.arange(3.0).requires_grad_()
    i, n, m = torch.tensor([2, 2]), np.array([1, 1]), torch.tensor([True, False, False])
    y = x[i].sum() + x[n].sum() + x[m].sum() + x.gather(0, i).sum()
    i[:], n[:], m[:] = 0, 0, True
    y.backward()
    assert x.grad.tolist() == [1.0, 2.0, 4.0]


def test_basic_indexing_shares_memory_and_the_rest_copies() -> None:
    x = torch.zeros(2, 3)
    for view in (x[0], x[0, 1], x[:, 1:], x[None], x[..., 0], x[...]):
        view[...] = 1.0
        assert x.sum().item() > 0
        x[...] = 0.0
    for copy in (x[[0, 1]], x[x == 0], x[True]):
        copy[...] = 1.0
        assert x.sum().item() == 0


# --- what comes out -----------------------------------------------------------------------------------------


def test_named_results_print_unpack_and_pickle_as_pytorchs() -> None:
    found = torch.tensor([3, 1, 2]).sort()
    assert repr(found) == "torch.return_types.sort(\nvalues=tensor([1, 2, 3]),\nindices=tensor([1, 2, 0]))"
    values, indices = found
    assert values is found.values and indices is found[1]
    assert pickle.loads(pickle.dumps(found)).indices.tolist() == [1, 2, 0]
    with pytest.raises(TypeError, match="expected a sequence of 2 elements, found 1"):
        type(found)((values,))


def test_second_derivative_through_an_index() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x[torch.tensor([0, 0, 2])] ** 3).sum() + (x[1:] ** 3).sum()
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    np.testing.assert_allclose(h.numpy(), [12.0, 12.0, 36.0])


ZERO_D = [
    (op, self_, index, source)
    for op in ("index_add", "index_copy")
    for self_ in (1.0, [1.0], [1.0, 2.0])
    for index in (0, [0], [0, 0], [])
    for source in (5.0, [5.0], [5.0, 6.0], [])
]


@pytest.mark.parametrize(("op", "self_", "index", "source"), ZERO_D)
def test_slices_of_tensors_without_dimensions(op: str, self_: Any, index: Any, source: Any) -> None:
    oracle = pytest.importorskip("torch")

    def tried(t: Any, name: str) -> Any:
        x, s = t.tensor(self_), t.tensor(source, requires_grad=True)
        try:
            y = getattr(x, name)(0, t.tensor(index, dtype=t.int64), s)
        except (RuntimeError, IndexError) as error:
            return type(error)
        try:
            y.sum().backward()
        except RuntimeError:  # PyTorch's own, for several values copied into one element
            return y.tolist(), [1.0] * len(index)
        return y.tolist(), s.grad.tolist()

    expected = tried(oracle, op)
    assert tried(torch, op) == tried(torch, f"{op}_") == expected


@pytest.mark.parametrize("index", [0, [0], [0, 0], [], [-1]])
def test_filling_and_selecting_of_tensors_without_dimensions(index: Any) -> None:
    oracle = pytest.importorskip("torch")

    def tried(t: Any, call: Any) -> Any:
        x = t.tensor(1.0, requires_grad=True)
        try:
            y = call(x, t.tensor(index, dtype=t.int64))
        except (RuntimeError, IndexError) as error:
            return type(error)
        y.sum().backward()
        return y.tolist(), x.grad.tolist()

    calls = [
        lambda x, i: x.index_fill(0, i, 7.0),
        lambda x, i: x.clone().index_fill_(0, i, 7.0),
        lambda x, i: x.index_select(0, i),
    ]
    for call in calls:
        found, expected = tried(torch, call), tried(oracle, call)
        assert found == expected or {found, expected} == {IndexError, RuntimeError}


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x, i: x.index_add(0, i, x[:2, 0]), RuntimeError, "source tensor shape must match self tensor shape"),
        (lambda x, i: x[0].index_add(0, i, x[0, 0]), IndexError, r"index should have one element \(got 2\)"),
        (lambda x, i: x[0, 0].index_copy(0, i, x[0]), IndexError, r"indices \(2\) should be equal to source.size\(dim\): \(4\)"),
        (lambda x, i: x[0, 0].index_select(0, i), RuntimeError, "Index to scalar can have only 1 value, got 2"),
        (lambda x, i: x[0, 0].roll(0, 0), IndexError, "roll: Dimension specified as 0 but tensor has no dimensions"),
    ],
)  # fmt: skip
def test_errors_of_slices(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.compile(text, re.I)):
        call(torch.zeros(3, 4), torch.tensor([0, 0]))
