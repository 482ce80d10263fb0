"""Transposed convolutions: functions and layers; the numbers are PyTorch's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import plugrad as torch
import plugrad.nn.functional as F
from plugrad import nn

zeros = torch.zeros


def test_by_hand() -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0]]])
    w = torch.tensor([[[1.0, 10.0]]])
    assert F.conv_transpose1d(x, w).tolist() == [[[1.0, 12.0, 23.0, 30.0]]]
    assert F.conv_transpose1d(x, w, torch.tensor([5.0]), 2, output_padding=1).tolist() == [
        [[6.0, 15.0, 7.0, 25.0, 8.0, 35.0, 5.0]]
    ]
    assert F.conv_transpose1d(x[0], w, padding=1).tolist() == [[12.0, 23.0]]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_it_is_the_transpose_of_a_convolution(stride: int, groups: int) -> None:
    rng = np.random.default_rng(0)
    x, w = (torch.tensor(rng.standard_normal(s)) for s in ((2, 4, 6, 7), (6, 4 // groups, 3, 2)))
    options = {"stride": stride, "padding": 1, "groups": groups}
    y = F.conv2d(x, w, **options)
    z = torch.tensor(rng.standard_normal(tuple(y.shape)))
    back = nn.ConvTranspose2d(6, 4, (3, 2), **options, bias=False, dtype=torch.float64)
    back.weight = nn.Parameter(w)
    found = (back(z, output_size=(6, 7)) * x).sum()
    np.testing.assert_allclose(found.item(), (y * z).sum().item())


OPTIONS = [
    {"stride": s, "padding": p, "output_padding": o, "dilation": d, "groups": g}
    for s, p, o, d, g in itertools.product([1, 2, 3], [0, 1], [0, 1], [1, 2], [1, 2])
    if o < s
]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_values_and_derivatives_are_pytorchs(rank: int, options: dict[str, Any]) -> None:
    oracle: Any = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal((2, 4, *(4, 3, 4)[:rank])),
        rng.standard_normal((4, 6 // options["groups"], *(3, 2, 2)[:rank])),
        rng.standard_normal(6),
    ]

    def run(lib: Any) -> list[Any]:
        xs = [lib.tensor(a, requires_grad=True) for a in arrays]
        y = getattr(lib.nn.functional, f"conv_transpose{rank}d")(*xs, **options)
        gs = lib.autograd.grad(y.pow(3).sum(), xs, create_graph=True)
        hs = lib.autograd.grad(sum(g.pow(2).sum() for g in gs), xs)
        return [t.detach().numpy() for t in (y, *gs, *hs)]

    for found, expected in zip(run(torch), run(oracle), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


X, W = (1, 3, 5, 5), (3, 4, 3, 3)
ERRORS: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ((X, (4, 3, 3, 3)), {}, RuntimeError, "to have 4 channels, a multiple of groups, but got 3 channels instead"),
    ((X, W), {"groups": 2}, RuntimeError, "a multiple of groups"),
    ((X, W), {"groups": 0}, RuntimeError, "non-positive groups is not supported"),
    ((X, W, (3,)), {}, RuntimeError, r"bias to be 1-dimensional with 4 elements, but got bias of size \[3\]"),
    ((X, W), {"padding": -1}, RuntimeError, "negative padding is not supported"),
    ((X, W), {"stride": 0}, RuntimeError, "non-positive stride is not supported"),
    ((X, W), {"output_padding": 1}, RuntimeError, "output padding must be smaller than stride"),
    (((1, 3, 1, 1), W), {"padding": 2}, RuntimeError, r"Calculated output size per channel: \[-1, -1\]. Output size is"),
    (((5, 5), W), {}, RuntimeError, "Expected 3D .* input to conv_transpose2d, but got input of size"),
    ((X, (3, 4, 3)), {}, RuntimeError, "expected a weight of 4 dimensions"),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "options", "error", "text"), ERRORS)
@pytest.mark.parametrize("library", ["plugrad", "torch"])
def test_errors(shapes: Any, options: Any, error: type[Exception], text: str, library: str) -> None:
    lib: Any = torch if library == "plugrad" else pytest.importorskip("torch")
    with pytest.raises(error, match=text if lib is torch else None):
        lib.nn.functional.conv_transpose2d(*map(lib.zeros, shapes), **options)


def test_what_only_pytorch_has() -> None:
    with pytest.raises(
        NotImplementedError, match=r"smaller than stride \(or dilation, which is not supported\)"
    ):
        F.conv_transpose2d(zeros(X), zeros(W), output_padding=1, dilation=2)


LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...], Any]] = [
    ("ConvTranspose2d", (3, 4, 3), {}, (2, 3, 4, 5), None),
    (
        "ConvTranspose2d",
        (4, 6, (3, 2)),
        {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
        (4, 4, 5),
        None,
    ),
    ("ConvTranspose2d", (3, 4, 3), {"stride": 2, "bias": False}, (2, 3, 4, 5), (10, 12)),
    ("ConvTranspose1d", (3, 4, 3), {"stride": 3, "dilation": 2}, (2, 3, 4), (2, 4, 16)),
    ("ConvTranspose3d", (2, 3, 2), {"stride": (1, 2, 1)}, (2, 2, 3, 2, 3), None),
]


@pytest.mark.parametrize(("name", "args", "options", "shape", "size"), LAYERS)
def test_layers_are_pytorchs(name: str, args: Any, options: Any, shape: Any, size: Any) -> None:
    oracle: Any = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    layers = []
    for lib in (torch, oracle):
        lib.manual_seed(5)
        layers.append(getattr(lib.nn, name)(*args, **options))
    a, b = layers
    assert repr(a) == repr(b) and list(a.state_dict()) == list(b.state_dict())
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
    y, z = a(torch.tensor(x), output_size=size), b(oracle.tensor(x), output_size=size)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_layer_errors() -> None:
    layer = nn.ConvTranspose1d(1, 1, 3, stride=2)
    with pytest.raises(ValueError, match=r"size of \[12\], but valid sizes range from \[9\] to \[10\]"):
        layer(zeros(1, 1, 4), output_size=[12])
    with pytest.raises(ValueError, match='Only "zeros" padding mode is supported for ConvTranspose1d'):
        nn.ConvTranspose1d(1, 1, 3, padding_mode="circular")
    assert repr(layer) == "ConvTranspose1d(1, 1, kernel_size=(3,), stride=(2,))"
