"""Pools: functions and layers, over tables of options; the numbers are PyTorch's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import plugrad as torch
import plugrad.nn.functional as F
from plugrad import nn, ops
from plugrad.testing.rows import In, Row, pool

zeros, INF, NAN = torch.zeros, float("inf"), float("nan")

# --- by hand ------------------------------------------------------------------------------------------------


def test_the_first_maximum_has_the_gradient() -> None:
    x = torch.tensor([[[1.0, 2.0, 7.0, 7.0], [2.0, 0.0, 7.0, 7.0]]], requires_grad=True)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    assert y.tolist() == [[[2.0, 7.0]]] and indices.tolist() == [[[1, 2]]] and indices.dtype is torch.int64
    for result in (y, F.max_pool2d(x, 2)):
        (g,) = torch.autograd.grad(result.sum(), x)
        assert g.tolist() == [[[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]


def test_nan_goes_through() -> None:
    x = torch.tensor([[[1.0, NAN], [5.0, 2.0], [3.0, 4.0], [0.0, 1.0]]], requires_grad=True)
    y = F.max_pool2d(x, 2)
    assert np.isnan(y[0, 0, 0].item()) and y[0, 1, 0].item() == 4
    y.sum().backward()
    assert x.grad.tolist() == [[[0.0, 1.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]]


def test_an_infinite_gradient_stays_where_it_belongs() -> None:
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]], requires_grad=True)
    F.max_pool2d(x, 2, 1, 1).backward(torch.full((1, 3, 3), INF))
    assert not np.isnan(x.grad.numpy()).any() and x.grad[0, 1, 1] == INF


def test_a_mean_by_hand() -> None:
    x = torch.arange(1.0, 10.0).reshape(1, 3, 3).requires_grad_()
    assert F.avg_pool2d(x, 2).tolist() == [[[3.0]]]
    assert F.avg_pool2d(x, 2, 2, 1).tolist() == [[[0.25, 1.25], [2.75, 7.0]]]
    assert F.avg_pool2d(x, 2, 2, 1, count_include_pad=False).tolist() == [[[1.0, 2.5], [5.5, 7.0]]]
    assert F.avg_pool2d(x, 2, ceil_mode=True).tolist() == [[[3.0, 4.5], [7.5, 9.0]]]
    assert F.avg_pool2d(x, 2, divisor_override=2).tolist() == [[[6.0]]]
    F.avg_pool2d(x, 2, ceil_mode=True).sum().backward()
    assert x.grad.tolist() == [[[0.25, 0.25, 0.5], [0.25, 0.25, 0.5], [0.5, 0.5, 1.0]]]


def test_a_last_window_must_not_start_beyond_the_end() -> None:
    x = torch.arange(9.0).reshape(1, 3, 3)
    assert F.max_pool2d(x, 1, 3, ceil_mode=True).tolist() == [[[0.0]]]
    assert F.max_pool2d(x, 2, 2, ceil_mode=True).tolist() == [[[4.0, 5.0], [7.0, 8.0]]]


def test_adaptive_windows() -> None:
    x = torch.arange(1.0, 13.0).reshape(1, 3, 4)
    assert F.adaptive_avg_pool2d(x, 1).tolist() == [[[6.5]]]
    assert F.adaptive_avg_pool2d(x, (None, 2)).tolist() == [[[1.5, 3.5], [5.5, 7.5], [9.5, 11.5]]]
    assert F.adaptive_avg_pool2d(x, (2, 3)).tolist() == [[[3.5, 4.5, 5.5], [7.5, 8.5, 9.5]]]
    assert F.adaptive_avg_pool1d(x, 2).tolist() == [[[1.5, 3.5], [5.5, 7.5], [9.5, 11.5]]]


def test_an_infinity_stays_in_its_window() -> None:
    assert F.adaptive_avg_pool1d(torch.tensor([[INF, 1.0, 2.0, 3.0, 4.0]]), 3).tolist() == [[INF, 2.0, 3.5]]


# --- kernels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "sample"),
    [pytest.param(r, s, id=f"{r.id}-{i}") for r in pool.ROWS for i, s in enumerate(r.samples)],
)
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_the_kernels_for_any_library_agree_with_the_definition(row: Row, sample: Any, dtype: str) -> None:
    if dtype == "int64" and "l" not in row.dtypes:
        pytest.skip("means of integers are refused")
    rng = np.random.default_rng(0)
    arrays = [a.make(rng, dtype) if isinstance(a, In) else a for a in sample.args]
    zeros(0)  # raw arrays belong to a backend from its first use on
    op = getattr(ops, row.op)
    found = op.default(*arrays, *op.positional(tuple(arrays), sample.params))
    expected = row.reference(*arrays, **sample.params)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert found.dtype == expected.dtype


@pytest.mark.parametrize(
    ("row", "args", "expected"),
    [pytest.param(r, *case, id=f"{r.id}-{i}") for r in pool.ROWS for i, case in enumerate(r.special)],
)
def test_the_kernels_for_any_library_at_special_values(row: Row, args: Any, expected: Any) -> None:
    zeros(0)
    found = getattr(ops, row.op).default(np.array(args[0]), *args[1:])
    np.testing.assert_array_equal(found, expected)


# --- options, beside PyTorch --------------------------------------------------------------------------------


def both(function: str, x: np.ndarray, *args: Any, **options: Any) -> list[list[Any]]:
    """The values, the gradient, and how that depends on the cotangent, of both libraries."""
    found = []
    for lib in (torch, pytest.importorskip("torch")):
        t = lib.tensor(x, requires_grad=True)
        y = getattr(lib.nn.functional, function)(t, *args, **options)
        y, *indices = y if isinstance(y, tuple) else (y,)
        v = np.random.default_rng(1).standard_normal(tuple(y.shape))
        v = lib.tensor(v, requires_grad=True)
        (g,) = lib.autograd.grad(y, t, v, create_graph=True)
        (h,) = lib.autograd.grad(g.pow(3).sum(), v)
        found.append([a.detach().numpy() for a in (y, g, h, *indices)])
    return found


def awkward(shape: tuple[int, ...]) -> np.ndarray:
    """Images with ties, infinities and NaN."""
    x = np.random.default_rng(0).standard_normal(shape)
    x[0] = np.round(x[0])
    x[-1, ..., :3] = -np.inf
    x[-1, ..., 4] = np.where(x[-1, ..., 4] > 0.5, np.nan, x[-1, ..., 4])
    return x


KERNELS = [(2, 2), (3, 2), (3, 3)]
MAXIMA = [
    (k, s, p, d, c)
    for k, s, p, d, c in itertools.product(
        KERNELS, [None, (1, 1), (3, 2)], [0, 1, (1, 0)], [1, (2, 1)], [False, True]
    )
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation", "ceil"), MAXIMA)
@pytest.mark.parametrize("indices", [False, True])
def test_maxima_are_pytorchs(
    kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool, indices: bool
) -> None:
    x = awkward((3, 2, 7, 6))
    found, expected = both("max_pool2d", x, kernel, stride, padding, dilation, ceil, return_indices=indices)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


MEANS = [
    (k, s, p, c, i, d)
    for k, s, p, c, i, d in itertools.product(
        KERNELS, [None, (1, 1), (3, 2)], [0, 1, (1, 0)], [False, True], [False, True], [None, 3]
    )
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil", "counted", "divisor"), MEANS)
def test_means_are_pytorchs(
    kernel: Any, stride: Any, padding: Any, ceil: bool, counted: bool, divisor: Any
) -> None:
    x = np.random.default_rng(0).standard_normal((2, 2, 7, 6))
    found, expected = both("avg_pool2d", x, kernel, stride, padding, ceil, counted, divisor)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("function", "args"), [
    ("max_pool1d", (2,)), ("max_pool1d", (3, 2, 1)), ("max_pool1d", (3, None, 1, 2, True)),
    ("avg_pool1d", (2,)), ("avg_pool1d", (3, 1, 1)), ("avg_pool1d", ((3,), (2,), (1,), True, False)),
    ("adaptive_avg_pool1d", (1,)), ("adaptive_avg_pool1d", (3,)), ("adaptive_avg_pool1d", (5,)),
])  # fmt: skip
@pytest.mark.parametrize("shape", [(2, 3, 9), (3, 9)])
def test_lines_are_pytorchs(function: str, args: Any, shape: Any) -> None:
    found, expected = both(function, np.random.default_rng(0).standard_normal(shape), *args)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_indices_of_lines() -> None:
    y, indices = F.max_pool1d(torch.tensor([[3.0, 1.0, 2.0, 5.0]]), 2, return_indices=True)
    assert y.tolist() == [[3.0, 5.0]] and indices.tolist() == [[0, 3]]


@pytest.mark.parametrize("out", [1, (1, 4), (3, None), (2, 3), (7, 6), 5, (9, 1)])
@pytest.mark.parametrize("shape", [(2, 3, 7, 6), (3, 6, 6)])
def test_adaptive_means_are_pytorchs(out: Any, shape: Any) -> None:
    found, expected = both("adaptive_avg_pool2d", np.random.default_rng(0).standard_normal(shape), out)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_integers_have_maxima() -> None:
    x = torch.arange(16).reshape(1, 4, 4)
    assert F.max_pool2d(x, 2).tolist() == [[[5, 7], [13, 15]]]
    assert F.max_pool2d(x - 20, 3, 2, 1, return_indices=True)[1].tolist() == [[[5, 7], [13, 15]]]


def test_names_of_nodes() -> None:
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    for y, name in [
        (F.max_pool2d(x, 2), "MaxPool2DWithIndicesBackward0"),
        (F.max_pool2d(x, 2, return_indices=True)[0], "MaxPool2DWithIndicesBackward0"),
        (F.avg_pool2d(x, 2), "AvgPool2DBackward0"),
        (F.adaptive_avg_pool2d(x, 1), "MeanBackward1"),
        (F.max_pool1d(x[0], 2), "SqueezeBackward1"),
    ]:
        assert y.grad_fn.name() == name


# --- errors -------------------------------------------------------------------------------------------------

X = (1, 3, 5, 5)
POOL_ERRORS: list[tuple[str, Any, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ("max_pool2d", X, (6,), {}, RuntimeError,
     r"Given input size: \(3x5x5\). Calculated output size: \(3x0x0\). Output size is too small"),
    ("max_pool2d", X, (2,), {"padding": 2}, RuntimeError,
     "pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and dilation=1"),
    ("max_pool2d", X, (2,), {"stride": 0}, RuntimeError, "stride should not be zero"),
    ("max_pool2d", X, (0,), {}, RuntimeError, "kernel size should be greater than zero"),
    ("max_pool2d", X, (2,), {"padding": -1}, RuntimeError, "pad must be non-negative, but got pad: -1"),
    ("max_pool2d", X, (2,), {"dilation": 0}, RuntimeError, "dilation should be greater than zero"),
    ("max_pool2d", (5, 5), (2,), {}, RuntimeError, "non-empty 3D or 4D"),
    ("max_pool2d", (1, 3, 0, 5), (2,), {}, RuntimeError, r"with optional 0 dim batch size for input, but got: \[1, 3, 0, 5\]"),
    ("max_pool2d", X, ((2, 2, 2),), {}, RuntimeError, "kernel_size must either be a single int, or a tuple of two ints"),
    ("max_pool1d", (5,), (2,), {}, RuntimeError, "Expected 2D or 3D"),
    ("max_pool1d", (1, 3, 5), (6,), {}, RuntimeError, "Output size is too small"),
    ("avg_pool2d", X, (6,), {}, RuntimeError, "Output size is too small"),
    ("avg_pool2d", X, (2,), {"padding": 2}, RuntimeError, "pad should be at most half"),
    ("avg_pool2d", X, (2,), {"divisor_override": 0}, RuntimeError, "divisor must be not zero"),
    ("avg_pool1d", (1, 3, 5), (6,), {}, RuntimeError, "Output size is too small"),
    ("adaptive_avg_pool2d", (5, 5), (1,), {}, RuntimeError, "Expected 3D or 4D tensor, but got input of size") ,
    ("adaptive_avg_pool2d", X, (-1,), {}, RuntimeError, "elements of output_size must be greater than"),
    ("adaptive_avg_pool2d", X, ((1, 2, 3),), {}, RuntimeError, "output_size must be 2"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "shape", "args", "options", "error", "text"), POOL_ERRORS)
def test_errors(
    function: str, shape: Any, args: Any, options: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        getattr(F, function)(zeros(shape), *args, **options)


@pytest.mark.parametrize(("function", "shape", "args", "options", "error", "text"), POOL_ERRORS)
def test_pytorch_raises_the_same_classes(
    function: str, shape: Any, args: Any, options: Any, error: type[Exception], text: str
) -> None:
    oracle: Any = pytest.importorskip("torch")
    if function == "adaptive_avg_pool2d" and shape == (5, 5):
        pytest.skip("PyTorch takes two dimensions here, against its documentation")
    with pytest.raises(error):
        getattr(oracle.nn.functional, function)(oracle.zeros(shape), *args, **options)


@pytest.mark.parametrize(
    ("function", "dtype"),
    [
        ("max_pool2d", torch.bool),
        ("max_pool2d", torch.complex64),
        ("avg_pool2d", torch.int64),
        ("avg_pool2d", torch.complex64),
    ],
)
def test_dtypes_that_have_no_pool(function: str, dtype: Any) -> None:
    with pytest.raises(NotImplementedError, match=f"{function} is not implemented for {dtype}: convert"):
        getattr(F, function)(zeros(X, dtype=dtype), 2)


# --- layers -------------------------------------------------------------------------------------------------

LAYERS = [
    (nn.MaxPool2d(2), "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"),
    (
        nn.MaxPool2d(2, 3, 1, 2, True, True),
        "MaxPool2d(kernel_size=2, stride=3, padding=1, dilation=2, ceil_mode=True)",
    ),
    (nn.MaxPool1d(2), "MaxPool1d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"),
    (nn.AvgPool2d((2, 1), 1, ceil_mode=True), "AvgPool2d(kernel_size=(2, 1), stride=1, padding=0)"),
    (nn.AvgPool1d(2), "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))"),
    (nn.AdaptiveAvgPool2d((None, 1)), "AdaptiveAvgPool2d(output_size=(None, 1))"),
    (nn.AdaptiveAvgPool1d(3), "AdaptiveAvgPool1d(output_size=3)"),
]


@pytest.mark.parametrize(("layer", "text"), LAYERS)
def test_text_of_layers(layer: Any, text: str) -> None:
    assert repr(layer) == text and not layer.state_dict()


def test_layers() -> None:
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(nn.MaxPool2d(3, 2, 1, 1, ceil_mode=True)(x), F.max_pool2d(x, 3, 2, 1, 1, True))
    assert torch.equal(nn.AvgPool2d(3, 2, 1, True, False, 4)(x), F.avg_pool2d(x, 3, 2, 1, True, False, 4))
    assert torch.equal(nn.AdaptiveAvgPool2d(3)(x), F.adaptive_avg_pool2d(x, 3))
    assert torch.equal(nn.MaxPool1d(3, 2, 1)(x[0]), F.max_pool1d(x[0], 3, 2, 1))
    assert torch.equal(nn.AvgPool1d(3, 2, 1, True, False)(x[0]), F.avg_pool1d(x[0], 3, 2, 1, True, False))
    assert torch.equal(nn.AdaptiveAvgPool1d(3)(x[0]), F.adaptive_avg_pool1d(x[0], 3))
    y, indices = nn.MaxPool2d(2, return_indices=True)(x)
    assert torch.equal(x.flatten(2).gather(2, indices.flatten(2)), y.flatten(2))


@pytest.mark.parametrize("given", [
    ("MaxPool2d", (3, 2, 1), (2, 3, 7, 7)), ("MaxPool2d", (2, 2, 0, 1, True, True), (2, 3, 7, 7)),
    ("MaxPool1d", (3, 2, 1), (2, 3, 7)), ("AvgPool2d", (3, 2, 1, True, False), (3, 7, 7)),
    ("AvgPool2d", (2, None, 0, False, True, 3), (2, 3, 7, 7)), ("AvgPool1d", (3, 2, 1), (2, 3, 7)),
    ("AdaptiveAvgPool2d", (2,), (2, 3, 7, 7)), ("AdaptiveAvgPool1d", (2,), (2, 3, 7)),
])  # fmt: skip
def test_layers_are_pytorchs(given: Any) -> None:
    oracle: Any = pytest.importorskip("torch")
    name, args, shape = given
    x = np.random.default_rng(0).standard_normal(shape)
    a, b = getattr(nn, name)(*args), getattr(oracle.nn, name)(*args)
    assert repr(a) == repr(b)
    for y, z in zip(
        *(v if isinstance(v, tuple) else (v,) for v in (a(torch.tensor(x)), b(oracle.tensor(x)))), strict=True
    ):
        np.testing.assert_allclose(y.numpy(), z.numpy(), rtol=1e-12)
