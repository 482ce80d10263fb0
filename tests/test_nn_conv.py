"""Convolutions: functions and layers, over tables of options; the numbers are PyTorch's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import plugrad as torch
import plugrad.nn.functional as F
from plugrad import nn, ops
from plugrad.testing.rows import In, Row, conv

zeros = torch.zeros

# --- by hand ------------------------------------------------------------------------------------------------


def test_a_convolution_by_hand() -> None:
    x = torch.arange(9.0).reshape(1, 1, 3, 3).requires_grad_()
    w = torch.tensor([[[[1.0, 0.0], [0.0, -1.0]]]], requires_grad=True)
    y = F.conv2d(x, w, torch.tensor([10.0]))
    assert y.tolist() == [[[[6.0, 6.0], [6.0, 6.0]]]]
    y.sum().backward()
    assert x.grad.tolist() == [[[[1.0, 1.0, 0.0], [1.0, 0.0, -1.0], [0.0, -1.0, -1.0]]]]
    assert w.grad.tolist() == [[[[8.0, 12.0], [20.0, 24.0]]]]


@pytest.mark.parametrize(("kernel", "dilation"), list(itertools.product([1, 2, 3, 4, 5], [1, 2])))
def test_same_keeps_the_size_and_puts_the_odd_zero_last(kernel: int, dilation: int) -> None:
    x, w = torch.arange(1.0, 12.0).reshape(1, 1, 11), torch.ones(1, 1, kernel)
    total = dilation * (kernel - 1)
    padded = np.pad(np.arange(1.0, 12.0), (total // 2, total - total // 2))
    expected = [padded[i : i + total + 1 : dilation].sum() for i in range(11)]
    assert F.conv1d(x, w, padding="same", dilation=dilation).tolist() == [[expected]]


def test_an_image_without_a_batch() -> None:
    x, w = torch.randn(3, 5, 5), torch.randn(4, 3, 3, 3)
    assert F.conv2d(x, w).shape == (4, 3, 3)
    assert torch.equal(F.conv2d(x, w), F.conv2d(x.unsqueeze(0), w)[0])


def test_nothing_to_convolve() -> None:
    w = torch.randn(4, 3, 3, 3, requires_grad=True)
    y = F.conv2d(zeros(0, 3, 5, 5), w, zeros(4))
    y.sum().backward()
    assert y.shape == (0, 4, 3, 3) and not w.grad.any()
    assert F.conv2d(zeros(2, 0, 5, 5), zeros(4, 0, 3, 3), torch.ones(4)).unique().tolist() == [1.0]


# --- kernels ------------------------------------------------------------------------------------------------

CALLS = [
    pytest.param(row, sample, id=f"{row.id}-{i}") for row in conv.ROWS for i, sample in enumerate(row.samples)
]


@pytest.mark.parametrize(("row", "sample"), CALLS)
def test_the_kernels_for_any_library_agree_with_the_definition(row: Row, sample: Any) -> None:
    rng = np.random.default_rng(0)
    arrays = [a.make(rng) if isinstance(a, In) else a for a in sample.args]
    zeros(0)  # raw arrays belong to a backend from its first use on
    op = getattr(ops, row.op)
    found = op.default(*arrays, *op.positional(tuple(arrays), sample.params))
    np.testing.assert_allclose(found, row.reference(*arrays, **sample.params), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("row", "sample"), CALLS)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_both_layouts_in_blocks(
    row: Row, sample: Any, last: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy's kernels have two layouts, and take as many images at a time as make so many bytes of columns."""
    from plugrad_backends.numpy import conv as kernels
    from plugrad_backends.numpy import sliding

    monkeypatch.setattr(sliding, "_BLOCK", block)
    monkeypatch.setattr(kernels, "channels_last", lambda channels, count, groups: last and groups == 1)
    rng = np.random.default_rng(0)
    arrays = [a.make(rng) if isinstance(a, In) else a for a in sample.args]
    found = getattr(kernels.ConvolutionKernels, row.op)(*arrays, *sample.params.values())
    np.testing.assert_allclose(found, row.reference(*arrays, **sample.params), rtol=1e-12, atol=1e-12)
    assert found.flags.c_contiguous


def test_half_precision_sums_in_single() -> None:
    """A sum of 4096 halves of 1/4096 each, plus 1: in float16 the small ones would be lost."""
    x = torch.full((1, 4097, 1, 1), 1 / 4096, dtype=torch.float16)
    x[0, 0] = 1
    assert F.conv2d(x, torch.ones(1, 4097, 1, 1, dtype=torch.float16)).item() == 2.0


def test_integers() -> None:
    x = torch.arange(9).reshape(1, 1, 3, 3)
    assert F.conv2d(x, torch.ones(1, 1, 2, 2, dtype=torch.int64)).tolist() == [[[[8, 12], [20, 24]]]]


# --- options, beside PyTorch --------------------------------------------------------------------------------

OPTIONS: list[dict[str, Any]] = [
    {"stride": s, "padding": p, "dilation": d, "groups": g}
    for s, p, d, g in itertools.product([1, 2], [0, 1, "same", "valid"], [1, 2], [1, 2])
    if s == 1 or p != "same"
]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_values_and_derivatives_are_pytorchs(rank: int, options: dict[str, Any], bias: bool) -> None:
    oracle: Any = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal((2, 4, *(5, 6, 4)[:rank])),
        rng.standard_normal((6, 4 // options["groups"], *(2, 3, 1)[:rank])),
        *([rng.standard_normal(6)] if bias else []),
    ]

    def run(lib: Any) -> list[Any]:
        xs = [lib.tensor(a, requires_grad=True) for a in arrays]
        y = getattr(lib.nn.functional, f"conv{rank}d")(*xs, **options)
        gs = lib.autograd.grad(y.pow(3).sum(), xs, create_graph=True)
        hs = lib.autograd.grad(sum(g.pow(2).sum() for g in gs), xs)
        return [t.detach().numpy() for t in (y, *gs, *hs)]

    for found, expected in zip(run(torch), run(oracle), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_complex_numbers_are_pytorchs() -> None:
    oracle: Any = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal(s) + 1j * rng.standard_normal(s) for s in ((2, 3, 5, 5), (4, 3, 2, 2), (4,))
    ]

    def run(lib: Any) -> list[Any]:
        xs = [lib.tensor(a, requires_grad=True) for a in arrays]
        y = lib.nn.functional.conv2d(*xs, padding=1)
        return [t.detach().numpy() for t in (y, *lib.autograd.grad(y.abs().pow(2).sum(), xs))]

    for found, expected in zip(run(torch), run(oracle), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_names_of_nodes() -> None:
    x, w, b = (
        torch.randn(1, 1, 4, requires_grad=True),
        torch.randn(1, 1, 2, requires_grad=True),
        torch.ones(1),
    )
    assert F.conv1d(x, w).grad_fn.name() == F.conv1d(x, w, b).grad_fn.name() == "ConvolutionBackward0"
    assert F.conv1d(x[0], w).grad_fn.name() == "SqueezeBackward1"


def test_the_gradient_of_data_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first layer's images need none, and computing it costs as much as the rest."""
    x, w = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3, requires_grad=True)
    F.conv2d(x, w).sum().backward()
    called: list[Any] = []
    monkeypatch.setitem(ops.convolution_transposed.kernels, np.ndarray, lambda *a: called.append(a))
    F.conv2d(x, w).sum().backward()
    assert not called
    F.conv2d(x * w.sum(), w).mean().backward()
    assert called


# --- errors -------------------------------------------------------------------------------------------------

X, W = (1, 3, 5, 5), (4, 3, 3, 3)
ERRORS: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ((X, (4, 2, 3, 3)), {}, RuntimeError,
     r"weight of size \[4, 2, 3, 3\], expected input\[1, 3, 5, 5\] to have 2 channels, but got 3 channels instead"),
    ((X, (4, 3, 6, 3)), {}, RuntimeError,
     r"padded input size per channel: \(5 x 5\). Kernel size: \(6 x 3\). Kernel size can't be greater than actual"),
    ((X, W), {"dilation": 3}, RuntimeError, r"Kernel size: \(7 x 7\). Kernel size can't be greater"),
    ((X, W), {"padding": -1}, RuntimeError, "negative padding is not supported"),
    ((X, W), {"stride": 0}, RuntimeError, "non-positive stride is not supported"),
    ((X, W), {"dilation": 0}, RuntimeError, r"dilation should be greater than zero, but got \[0, 0\]"),
    ((X, W), {"groups": 2}, RuntimeError, "to have 6 channels, but got 3 channels instead"),
    (((1, 4, 5, 5), (3, 2, 3, 3)), {"groups": 2}, RuntimeError, "expected weight to be divisible by 2 at dimension 0"),
    ((X, (0, 3, 3, 3)), {}, RuntimeError, r"at least 1, but got weight of size \[0, 3, 3, 3\]"),
    ((X, W), {"groups": 0}, RuntimeError, "non-positive groups is not supported"),
    (((5, 5), W), {}, RuntimeError,
     r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv2d, but got input of size: \[5, 5\]"),
    ((X, (4, 3, 3)), {}, RuntimeError, r"expected a weight of 4 dimensions, .* but got weight of size \[4, 3, 3\]"),
    ((X, W, (3,)), {}, RuntimeError, r"bias to be 1-dimensional with 4 elements, but got bias of size \[3\]"),
    ((X, W, (4, 1)), {}, RuntimeError, r"but got bias of size \[4, 1\] instead"),
    ((X, W), {"stride": (1, 2, 3)}, RuntimeError,
     r"expected stride to be a single integer value or a list of 2 values .* but got stride=\[1, 2, 3\]"),
    ((X, W), {"padding": "same", "stride": 2}, RuntimeError, "padding='same' is not supported for strided convolutions"),
    ((X, W), {"padding": "foo"}, RuntimeError, "Invalid padding string: 'foo'"),
    (((1, 3, 0, 5), W), {"padding": 2}, RuntimeError, "only zero batch or zero channel inputs are supported"),
    ((X, (4, 3, 0, 3)), {}, RuntimeError, "kernel size should be greater than zero"),
    ((X, W), {"stride": 1.5}, TypeError, "argument 'stride' must be int or tuple of ints, not 1.5"),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "options", "error", "text"), ERRORS)
def test_errors(shapes: Any, options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        F.conv2d(*map(zeros, shapes), **options)


@pytest.mark.parametrize(("shapes", "options", "error", "text"), ERRORS)
def test_pytorch_raises_the_same_classes(
    shapes: Any, options: Any, error: type[Exception], text: str
) -> None:
    oracle: Any = pytest.importorskip("torch")
    with pytest.raises(error):
        oracle.nn.functional.conv2d(*map(oracle.zeros, shapes), **options)


@pytest.mark.parametrize("mixed", [(0,), (1,), (2,)])
def test_operands_of_different_dtypes(mixed: tuple[int]) -> None:
    xs = [zeros(s).double() if i in mixed else zeros(s) for i, s in enumerate((X, W, (4,)))]
    with pytest.raises(RuntimeError, match=r"same dtype, but got .*float64"):
        F.conv2d(*xs)


# --- layers -------------------------------------------------------------------------------------------------

LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Conv2d", (3, 4, 3), {}, (2, 3, 5, 6)),
    ("Conv2d", (3, 4, (3, 2)), {"stride": 2, "padding": 1, "dilation": (2, 1), "bias": False}, (2, 3, 6, 6)),
    ("Conv2d", (4, 6, 3), {"padding": "same", "groups": 2}, (4, 5, 5)),
    ("Conv2d", (2, 3, 3), {"padding": (2, 1), "padding_mode": "circular"}, (2, 2, 4, 5)),
    ("Conv2d", (2, 3, (3, 4)), {"padding": "same", "padding_mode": "reflect"}, (2, 2, 4, 5)),
    ("Conv2d", (2, 3, 3), {"padding": 2, "padding_mode": "replicate", "stride": 2}, (2, 2, 4, 5)),
    ("Conv1d", (3, 4, 3), {"padding": 1}, (2, 3, 7)),
    ("Conv1d", (2, 2, 2), {"padding": "valid", "padding_mode": "reflect"}, (2, 2, 7)),
    ("Conv3d", (2, 3, 2), {"stride": (1, 2, 1)}, (2, 2, 3, 4, 3)),
]


@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS)
def test_layers_are_pytorchs(name: str, args: Any, options: Any, shape: Any) -> None:
    """Their first parameters bit by bit, their text, their names in a state, their results and gradients."""
    oracle: Any = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = []
    for lib in (torch, oracle):
        lib.manual_seed(5)
        layer = getattr(lib.nn, name)(*args, **options)
        y = layer(lib.tensor(x))
        y.pow(2).sum().backward()
        state = {k: v.numpy() for k, v in layer.state_dict().items()}
        grads = [p.grad.numpy() for p in layer.parameters()]
        found.append((repr(layer), list(state), list(state.values()), [y.detach().numpy(), *grads]))
    (text, names, values, results), expected = found
    assert text == expected[0] and names == expected[1]
    for a, b in zip(values, expected[2], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(results, expected[3], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_a_layer() -> None:
    layer = nn.Conv2d(4, 6, 3, padding=1, groups=2, dtype=torch.float64)
    assert repr(layer) == "Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=2)"
    assert {k: tuple(v.shape) for k, v in layer.state_dict().items()} == {
        "weight": (6, 2, 3, 3),
        "bias": (6,),
    }
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    assert torch.equal(layer(x), F.conv2d(x, layer.weight, layer.bias, padding=1, groups=2))
    assert layer.weight.abs().max() <= 1 / 18**0.5 and layer.bias.abs().max() <= 1 / 18**0.5


LAYER_ERRORS: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ((3, 4, 3), {"groups": 2}, ValueError, "in_channels must be divisible by groups"),
    ((4, 3, 3), {"groups": 2}, ValueError, "out_channels must be divisible by groups"),
    ((3, 4, 3), {"groups": 0}, ValueError, "groups must be a positive integer"),
    ((3, 4, 3), {"padding": "foo"}, ValueError, "Invalid padding string 'foo'"),
    ((3, 4, 3), {"padding": "same", "stride": 2}, ValueError, "padding='same' is not supported for strided"),
    ((3, 4, 3), {"padding_mode": "foo"}, ValueError, "but got padding_mode='foo'"),
]


@pytest.mark.parametrize(("args", "options", "error", "text"), LAYER_ERRORS)
def test_layer_errors(args: Any, options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        nn.Conv2d(*args, **options)


def test_too_much_of_ones_own_padding() -> None:
    with pytest.raises(
        RuntimeError, match=r"padding_mode='reflect': padding of 3 and 3 is too much .* of size 3"
    ):
        nn.Conv1d(1, 1, 2, padding=3, padding_mode="reflect")(zeros(1, 1, 3))
