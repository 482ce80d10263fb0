"""Sums, extrema, norms and scans as methods: values, dtypes, names of nodes, gradients at corners, errors."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import plugrad

INF, NAN = math.inf, math.nan


def tensors(T: Any) -> SimpleNamespace:
    """The tensors of the tables, in plugrad or in PyTorch; `T` is the library."""
    x = T.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=T.float64)
    i = T.tensor([[0, 1, 2], [3, 4, 5]])
    return SimpleNamespace(
        T=T,
        x=x.clone().requires_grad_(),
        i=i,
        i32=i.to(T.int32),
        u=i.to(T.uint8),
        b=i > 2,
        h=x.to(T.float16),
        z=T.tensor(2.5, dtype=T.float64, requires_grad=True),
        e=T.zeros(0, 3),
        c=T.tensor([3 + 4j, -1j], dtype=T.complex128),
        n=T.tensor([1.0, NAN, 3.0], dtype=T.float64),
    )


Case = tuple[Callable[[Any], Any], Any, str, str | None]

#: call, values, dtype, name of the node (None: without a graph)
CASES: list[Case] = [
    (lambda e: e.x.sum(), 21.0, "float64", "SumBackward0"),
    (lambda e: e.x.sum(0), [5.0, 7.0, 9.0], "float64", "SumBackward1"),
    (lambda e: e.x.sum(-1, True), [[6.0], [15.0]], "float64", "SumBackward1"),
    (lambda e: e.x.sum((0, -1), keepdim=True), [[21.0]], "float64", "SumBackward1"),
    (lambda e: e.x.sum(axis=1, keepdims=True), [[6.0], [15.0]], "float64", "SumBackward1"),
    (lambda e: e.x.sum(()), 21.0, "float64", "SumBackward1"),
    (lambda e: e.z.sum(-1), 2.5, "float64", "SumBackward1"),
    (lambda e: e.b.sum(), 3, "int64", None),
    (lambda e: e.u.sum(0), [3, 5, 7], "int64", None),
    (lambda e: e.i32.sum(1), [3, 12], "int64", None),
    (lambda e: e.i.sum(dtype=e.T.int32), 15, "int32", None),
    (lambda e: e.b.sum(dtype=e.T.float32), 3.0, "float32", None),
    (lambda e: e.e.sum(0), [0.0, 0.0, 0.0], "float32", None),
    (lambda e: e.e.sum(1), [], "float32", None),
    (lambda e: e.x.mean(), 3.5, "float64", "MeanBackward0"),
    (lambda e: e.x.mean((0,)), [2.5, 3.5, 4.5], "float64", "MeanBackward1"),
    (lambda e: e.x.mean(1, keepdim=True), [[2.0], [5.0]], "float64", "MeanBackward1"),
    (lambda e: e.h.mean(), 3.5, "float16", None),
    (lambda e: e.i.mean(dtype=e.T.float64), 2.5, "float64", None),
    (lambda e: e.e.mean(0), [NAN, NAN, NAN], "float32", None),
    (lambda e: e.n.nansum(), 4.0, "float64", None),
    (lambda e: e.x.nansum(0), [5.0, 7.0, 9.0], "float64", "NansumBackward0"),
    (lambda e: e.i.nansum(), 15, "int64", None),
    (lambda e: e.n.nanmean(), 2.0, "float64", None),
    (lambda e: e.x.var(), 3.5, "float64", "VarBackward0"),
    (lambda e: e.x.var(False), 35 / 12, "float64", "VarBackward0"),
    (lambda e: e.x.var(0, unbiased=False), [2.25, 2.25, 2.25], "float64", "VarBackward0"),
    (lambda e: e.x.var((0, 1), True, True), [[3.5]], "float64", "VarBackward0"),
    (lambda e: e.x.var(dim=1, keepdim=True, correction=2), [[2.0], [2.0]], "float64", "VarBackward0"),
    (lambda e: e.x.std(0), [math.sqrt(4.5)] * 3, "float64", "StdBackward0"),
    (lambda e: e.x.std(1, correction=0.5), [math.sqrt(0.8)] * 2, "float64", "StdBackward0"),
    (lambda e: e.c.var(), 17.0, "float64", None),
    (lambda e: e.T.var_mean(e.x, 0)[1], [2.5, 3.5, 4.5], "float64", None),
    (lambda e: e.T.std_mean(e.x, 1, keepdim=True)[0], [[1.0], [1.0]], "float64", None),
    (lambda e: e.x.prod(), 720.0, "float64", "ProdBackward0"),
    (lambda e: e.x.prod(1, True), [[6.0], [120.0]], "float64", "ProdBackward1"),
    (lambda e: e.z.prod(0), 2.5, "float64", None),
    (lambda e: e.i32.prod(0), [0, 4, 10], "int64", None),
    (lambda e: e.b.prod(), 0, "int64", None),
    (lambda e: e.e.prod(), 1.0, "float32", None),
    (lambda e: e.x.cumsum(0), [[1.0, 2.0, 3.0], [5.0, 7.0, 9.0]], "float64", "CumsumBackward0"),
    (lambda e: e.b.cumsum(-1), [[0, 0, 0], [1, 2, 3]], "int64", None),
    (lambda e: e.x.cumprod(1), [[1.0, 2.0, 6.0], [4.0, 20.0, 120.0]], "float64", "CumprodBackward0"),
    (lambda e: e.z.cumsum(0), 2.5, "float64", None),
    (lambda e: e.x.diff(), [[1.0, 1.0], [1.0, 1.0]], "float64", "SubBackward0"),
    (lambda e: e.x.diff(n=2, dim=1), [[0.0], [0.0]], "float64", "SubBackward0"),
    (
        lambda e: e.x.diff(dim=0, prepend=e.x[:1]),
        [[0.0, 0.0, 0.0], [3.0, 3.0, 3.0]],
        "float64",
        "SubBackward0",
    ),
    (lambda e: e.b.diff(dim=0), [[True, True, True]], "bool", None),
    (lambda e: e.x.max(), 6.0, "float64", "MaxBackward1"),
    (lambda e: e.x.max(0)[0], [4.0, 5.0, 6.0], "float64", "MaxBackward0"),
    (lambda e: e.x.max(1, True).values, [[3.0], [6.0]], "float64", "MaxBackward0"),
    (lambda e: e.x.max(dim=1, keepdim=True).indices, [[2], [2]], "int64", None),
    (lambda e: e.x.max(axis=-1)[1], [2, 2], "int64", None),
    (lambda e: e.z.max(0)[1], 0, "int64", None),
    (lambda e: e.b.max(0)[1], [1, 1, 1], "int64", None),
    (lambda e: e.n.max(), NAN, "float64", None),
    (lambda e: e.n.max(0)[1], 1, "int64", None),
    (
        lambda e: e.x.max(3 * e.T.ones_like(e.x)),
        [[3.0, 3.0, 3.0], [4.0, 5.0, 6.0]],
        "float64",
        "MaximumBackward0",
    ),
    (lambda e: e.T.max(e.x, 0)[1], [1, 1, 1], "int64", None),
    (lambda e: e.e.max(1)[0], [], "float32", None),
    (lambda e: e.x.min(), 1.0, "float64", "MinBackward1"),
    (lambda e: e.x.min(1)[0], [1.0, 4.0], "float64", "MinBackward0"),
    (lambda e: e.x.min(other=e.x), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float64", "MinimumBackward0"),
    (lambda e: e.x.amax(), 6.0, "float64", "AmaxBackward0"),
    (lambda e: e.x.amax((0, 1), keepdim=True), [[6.0]], "float64", "AmaxBackward0"),
    (lambda e: e.x.amin(0), [1.0, 2.0, 3.0], "float64", "AminBackward0"),
    (lambda e: e.b.amax(1), [False, True], "bool", None),
    (lambda e: e.x.aminmax(dim=0).max, [4.0, 5.0, 6.0], "float64", None),
    (lambda e: e.x.aminmax()[0], 1.0, "float64", None),
    (lambda e: e.x.argmax(), 5, "int64", None),
    (lambda e: e.x.argmax(0), [1, 1, 1], "int64", None),
    (lambda e: e.x.argmax(keepdim=True), [[5]], "int64", None),
    (lambda e: e.x.argmin(dim=1, keepdim=True), [[0], [0]], "int64", None),
    (lambda e: e.n.argmin(), 1, "int64", None),
    (lambda e: e.z.argmax(0), 0, "int64", None),
    (lambda e: e.x.median(), 3.0, "float64", "MedianBackward0"),
    (lambda e: e.x.median(1)[0], [2.0, 5.0], "float64", "MedianBackward1"),
    (lambda e: e.x.median(0, True).indices, [[0, 0, 0]], "int64", None),
    (lambda e: e.n.median(), NAN, "float64", None),
    (lambda e: e.i.median(), 2, "int64", None),
    (lambda e: e.z.median(0)[0], 2.5, "float64", None),
    (lambda e: e.i.any(), True, "bool", None),
    (lambda e: e.i.all(0), [False, True, True], "bool", None),
    (lambda e: e.x.any((0, 1), keepdim=True), [[True]], "bool", None),
    (lambda e: e.b.all(()), [[False] * 3, [True] * 3], "bool", None),
    (lambda e: e.u.any(), 1, "uint8", None),
    (lambda e: e.e.all(), True, "bool", None),
    (lambda e: e.i.count_nonzero(), 5, "int64", None),
    (lambda e: e.b.count_nonzero(dim=1), [0, 3], "int64", None),
    (
        lambda e: e.x.logsumexp(1),
        [3 + math.log(1 + math.exp(-1) + math.exp(-2)), 6 + math.log(1 + math.exp(-1) + math.exp(-2))],
        "float64",
        "LogsumexpBackward0",
    ),
    (lambda e: e.e.logsumexp(0), [-INF, -INF, -INF], "float32", None),
    (lambda e: e.b.logsumexp((0, 1), True), [[math.log(3 + 3 * math.e)]], "float32", None),
    (lambda e: e.x.norm(), math.sqrt(91), "float64", "LinalgVectorNormBackward0"),
    (lambda e: e.x.norm(1), 21.0, "float64", "LinalgVectorNormBackward0"),
    (
        lambda e: e.x.norm(dim=1, keepdim=True),
        [[math.sqrt(14)], [math.sqrt(77)]],
        "float64",
        "LinalgVectorNormBackward0",
    ),
    (lambda e: e.x.norm(INF, 0), [4.0, 5.0, 6.0], "float64", "LinalgVectorNormBackward0"),
    (lambda e: e.x.norm(-INF), 1.0, "float64", "LinalgVectorNormBackward0"),
    (lambda e: e.x.norm(0), 6.0, "float64", "LinalgVectorNormBackward0"),
    (lambda e: e.x.norm("fro", dim=(0, 1)), math.sqrt(91), "float64", "LinalgVectorNormBackward0"),
    (lambda e: e.x.norm(3, 1), [36 ** (1 / 3), 405 ** (1 / 3)], "float64", "LinalgVectorNormBackward0"),
    (lambda e: e.c.norm(), math.sqrt(26), "float64", None),
    (lambda e: e.h.norm(), float(np.float16(math.sqrt(91))), "float16", None),
    (lambda e: e.x.dist(e.x + 1), math.sqrt(6), "float64", None),
]
IDS = [str(i) for i in range(len(CASES))]


@pytest.mark.parametrize(("call", "values", "dtype", "node"), CASES, ids=IDS)
def test_values_dtypes_and_nodes(call: Any, values: Any, dtype: str, node: str | None) -> None:
    y = call(tensors(plugrad))
    np.testing.assert_allclose(y.detach().numpy(), values, rtol=1e-12 if dtype == "float64" else 1e-6)
    assert y.shape == np.shape(values)
    assert str(y.dtype) == f"torch.{dtype}"
    if node is not None:
        assert y.grad_fn.name() == node
    assert not (y.requires_grad and y.grad_fn is None)


@pytest.mark.parametrize(("call", "values", "dtype", "node"), CASES, ids=IDS)
def test_the_table_is_what_pytorch_does(call: Any, values: Any, dtype: str, node: str | None) -> None:
    torch = pytest.importorskip("torch")
    y = call(tensors(torch))
    np.testing.assert_allclose(y.detach().numpy(), values, rtol=1e-12 if dtype == "float64" else 1e-6)
    assert tuple(y.shape) == np.shape(values)
    assert str(y.dtype) == f"torch.{dtype}"
    if node is not None:
        assert y.grad_fn.name() == node


# --- gradients where a formula could go wrong ---------------------------------------------------------------

#: call on a vector, the vector, the gradient of its sum
GRADIENTS: list[tuple[Callable[[Any], Any], list[float], list[float]]] = [
    (lambda x: x.max(), [1.0, 3.0, 3.0], [0.0, 0.5, 0.5]),
    (lambda x: x.max(0)[0], [1.0, 3.0, 3.0], [0.0, 1.0, 0.0]),
    (lambda x: x.max(0, keepdim=True)[0], [1.0, 3.0, 3.0], [0.0, 1.0, 0.0]),
    (lambda x: x.max(), [1.0, NAN, NAN], [0.0, 0.5, 0.5]),
    (lambda x: x.amax(), [1.0, 3.0, 3.0], [0.0, 0.5, 0.5]),
    (lambda x: x.amin(0), [1.0, 1.0, 3.0], [0.5, 0.5, 0.0]),
    (lambda x: x.median(), [1.0, 2.0, 2.0, 2.0], [0.0, 1 / 3, 1 / 3, 1 / 3]),
    (lambda x: x.median(0)[0], [1.0, 2.0, 2.0, 2.0], [0.0, 1.0, 0.0, 0.0]),
    (lambda x: x.prod(), [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    (lambda x: x.prod(0), [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    (lambda x: x.cumprod(0), [2.0, 0.0, 3.0, 5.0], [1.0, 38.0, 0.0, 0.0]),
    (lambda x: x.std(), [1.0, 1.0], [0.0, 0.0]),
    (lambda x: x.logsumexp(0), [-INF, 0.0], [0.0, 1.0]),
    (lambda x: x.nansum(), [1.0, NAN], [1.0, 0.0]),
    *((lambda x, p=p: x.norm(p), [0.0, 0.0], [0.0, 0.0]) for p in (1, 2, 3, 0.5, INF, -INF, -1)),
    (lambda x: x.norm(INF), [-2.0, 2.0], [-0.5, 0.5]),
    (lambda x: x.norm(0.5), [0.0, 2.0], [0.0, 1.0]),
    (lambda x: x.norm(-1), [0.0, 2.0], [0.0, 0.0]),
]


@pytest.mark.parametrize("library", ["plugrad", "torch"])
@pytest.mark.parametrize(("call", "at", "expected"), GRADIENTS, ids=[str(i) for i in range(len(GRADIENTS))])
def test_gradients_at_corners(library: str, call: Any, at: list[float], expected: list[float]) -> None:
    T = pytest.importorskip(library)
    x = T.tensor(at, dtype=T.float64, requires_grad=True)
    call(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("at", [[2.0, 3.0, 5.0], [0.0, 3.0, 5.0], [0.0, 0.0, 5.0], [0.0, 0.0, 0.0]])
def test_second_derivative_of_a_product_with_zeros(at: list[float]) -> None:
    a, b, c = at
    for call in (lambda x: x.prod(), lambda x: x.prod(0), lambda x: x.cumprod(0)[2]):
        x = plugrad.tensor(at, dtype=plugrad.float64, requires_grad=True)
        (g,) = plugrad.autograd.grad(call(x), x, create_graph=True)
        rows = [plugrad.autograd.grad(g[i], x, retain_graph=True)[0].numpy() for i in range(3)]
        np.testing.assert_allclose(rows, [[0, c, b], [c, 0, a], [b, a, 0]])


# --- errors -------------------------------------------------------------------------------------------------

ERRORS: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda e: e.x.sum(2), IndexError, r"sum: Dimension out of range .*\[-2, 1\], but got 2"),
    (lambda e: e.x.sum((0, 0)), RuntimeError, "sum: a dim appears multiple times"),
    (lambda e: e.x.sum("a"), TypeError, "'dim' must be int, not str"),
    (
        lambda e: e.i.mean(),
        RuntimeError,
        r"mean\(\): could not infer output dtype.*Got: torch.int64.*\.float\(\)",
    ),
    (lambda e: e.i.var(), RuntimeError, r"var\(\): expected a floating point or complex dtype"),
    (lambda e: e.x.var(0, True, correction=1), TypeError, "unbiased"),
    (lambda e: e.x.prod((0, 1)), TypeError, "'dim' must be int, not tuple"),
    (lambda e: e.x.cumsum(), TypeError, "dim"),
    (lambda e: e.x.cumsum(2), IndexError, "Dimension out of range"),
    (
        lambda e: e.e.max(),
        RuntimeError,
        r"max\(\): Expected reduction dim to be specified for input.numel\(\) == 0",
    ),
    (lambda e: e.e.max(0), IndexError, r"max\(\): Expected reduction dim 0 to have non-zero size"),
    (lambda e: e.e.amin(), RuntimeError, r"amin\(\): Expected reduction dim to be specified"),
    (lambda e: e.e.amax(0), IndexError, "non-zero size"),
    (lambda e: e.e.argmax(), IndexError, "numel"),
    (lambda e: e.e.argmin(0), IndexError, "non-zero size"),
    (lambda e: e.e.median(0), IndexError, "non-zero size"),
    (lambda e: e.x.max((0, 1)), TypeError, "not tuple"),
    (lambda e: e.c.max(), NotImplementedError, "complex"),
    (lambda e: e.c.amax(), NotImplementedError, "complex"),
    (lambda e: e.b.argmax(), RuntimeError, r"argmax\(\): does not support .*bool"),
    (lambda e: e.c.nansum(), RuntimeError, "nansum.*complex"),
    (lambda e: e.i.norm(), RuntimeError, "expected a floating point|Expected a floating point"),
    (lambda e: e.x.norm("abc"), RuntimeError, "Order abc not supported"),
    (lambda e: e.e.norm(INF), RuntimeError, "cannot compute the inf norm"),
    (lambda e: e.x.norm(2, 5), IndexError, "Dimension out of range"),
    (lambda e: e.x.logsumexp(), TypeError, "dim"),
    (lambda e: e.x.count_nonzero(3), IndexError, "Dimension out of range"),
    (lambda e: e.z.diff(), RuntimeError, "at least a? ?(1|one)-dim"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(tensors(plugrad))


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_the_classes_of_errors_are_pytorchs(call: Any, error: type[Exception], text: str) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(error):
        call(tensors(torch))


def test_too_few_elements_for_a_variance_warn() -> None:
    x = plugrad.tensor([1.0])
    for spread in (x.var, x.std):
        with pytest.warns(UserWarning, match="degrees of freedom is <= 0"):
            assert math.isnan(spread().item())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert x.var(correction=0).item() == 0


# --- results of two -----------------------------------------------------------------------------------------


def test_values_and_indices_print_unpack_and_pickle() -> None:
    result = plugrad.tensor([[1, 5], [7, 2]]).max(dim=1)
    assert repr(result) == "torch.return_types.max(\nvalues=tensor([5, 7]),\nindices=tensor([1, 0]))"
    values, indices = result
    assert values is result.values and indices is result[1]
    assert pickle.loads(pickle.dumps(result)).indices.tolist() == [1, 0]


def test_float16_sums_are_accumulated_in_float32() -> None:
    ones = plugrad.ones(3000, 2, dtype=plugrad.float16)
    assert ones.sum(0).tolist() == [3000.0, 3000.0]
    assert ones.cumsum(0)[-1].tolist() == [3000.0, 3000.0]
    assert ones.mean(0).tolist() == [1.0, 1.0]


def test_inputs_stay_as_they_are() -> None:
    x = plugrad.tensor([[3.0, 1.0, 2.0]])
    for name in (
        "sum",
        "mean",
        "prod",
        "var",
        "std",
        "max",
        "min",
        "amax",
        "median",
        "norm",
        "argmax",
        "any",
    ):
        getattr(x, name)()
    x.cumsum(0), x.cumprod(1), x.logsumexp(1), x.median(1), x.max(1)
    assert x.tolist() == [[3.0, 1.0, 2.0]] and x._version == 0
