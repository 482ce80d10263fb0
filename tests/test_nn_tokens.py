"""Embedding, layer normalization and attention: functions and layers; the numbers are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as torch
import plugrad.nn.functional as F
from plugrad import nn, ops
from plugrad.func import grad, jvp, vmap, vmap_fallbacks
from plugrad.testing.rows import In, Row, lookup, norm

zeros, INF = torch.zeros, float("inf")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# --- kernels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "sample"),
    [
        pytest.param(r, s, id=f"{r.id}-{i}")
        for m in (norm, lookup)
        for r in m.ROWS
        for i, s in enumerate(r.samples)
    ],
)
def test_the_kernels_for_any_library_agree_with_the_definition(row: Row, sample: Any) -> None:
    arrays = [a.make(rng()) if isinstance(a, In) else a for a in sample.args]
    zeros(0)  # raw arrays belong to a backend from its first use on
    op = getattr(ops, row.op)
    found = op.default(*arrays, *op.positional(tuple(arrays), sample.params))
    np.testing.assert_allclose(found, row.reference(*arrays, **sample.params), rtol=1e-12, atol=1e-12)


# --- embedding ----------------------------------------------------------------------------------------------


def test_rows_that_are_read_twice_get_the_sum() -> None:
    w = torch.arange(6.0).reshape(3, 2).requires_grad_()
    y = F.embedding(torch.tensor([[2, 0], [2, 2]]), w)
    assert y.tolist() == [[[4.0, 5.0], [0.0, 1.0]], [[4.0, 5.0], [4.0, 5.0]]]
    assert y.grad_fn.name() == "EmbeddingBackward0"
    y.backward(torch.arange(8.0).reshape(2, 2, 2))
    assert w.grad.tolist() == [[2.0, 3.0], [0.0, 0.0], [10.0, 13.0]]


@pytest.mark.parametrize("padding_idx", [1, -2])
def test_padding_has_no_gradient(padding_idx: int) -> None:
    w, i = torch.randn(3, 2, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 1, 2])
    f = lambda w: F.embedding(i, w, padding_idx)
    assert torch.equal(f(w), w[i])
    (g,) = torch.autograd.grad(f(w), w, torch.ones(4, 2, dtype=torch.float64))
    assert g.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]
    _, t = jvp(f, (w,), (torch.ones_like(w),))
    assert t.tolist() == [[1.0, 1.0]] * 4  # forward mode asks how the result changes, and it does


@pytest.mark.parametrize("padding_idx", [None, 1])
def test_derivatives_of_an_embedding_are_pytorchs(padding_idx: Any) -> None:
    oracle: Any = pytest.importorskip("torch")
    values, cotangent = rng().standard_normal((5, 3)), rng().standard_normal((2, 3, 3))

    def run(lib: Any) -> list[Any]:
        w = lib.tensor(values, requires_grad=True)
        v = lib.tensor(cotangent, requires_grad=True)
        y = lib.nn.functional.embedding(lib.tensor([[0, 1, 4], [1, 1, 0]]), w, padding_idx)
        (g,) = lib.autograd.grad(y, w, v, create_graph=True)
        (h,) = lib.autograd.grad(g.pow(3).sum(), v)
        return [t.detach().numpy() for t in (y, g, h)]

    for found, expected in zip(run(torch), run(oracle), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_indices_of_int32_and_none_at_all() -> None:
    w = torch.randn(3, 2)
    assert torch.equal(F.embedding(torch.tensor([2, 1], dtype=torch.int32), w), w[[2, 1]])
    assert F.embedding(torch.tensor(1), w).shape == (2,)
    assert F.embedding(torch.zeros(0, 4, dtype=torch.int64), w).shape == (0, 4, 2)


@pytest.mark.parametrize("padding_idx", [None, 1])
@pytest.mark.parametrize(("w_dim", "i_dim"), [(0, 0), (0, None), (None, 0)])
def test_embedding_under_vmap(padding_idx: Any, w_dim: Any, i_dim: Any) -> None:
    ws, js = torch.randn(3, 5, 2, dtype=torch.float64), torch.tensor([[0, 1, 1], [4, 4, 0], [2, 3, 1]])
    f = grad(lambda w, i: (F.embedding(i, w, padding_idx).cumsum(0)).pow(2).sum())
    w, i = ws if w_dim == 0 else ws[0], js if i_dim == 0 else js[0]
    found = vmap(f, (w_dim, i_dim))(w, i)
    expected = torch.stack([f(w[n] if w_dim == 0 else w, i[n] if i_dim == 0 else i) for n in range(3)])
    np.testing.assert_allclose(found.numpy(), expected.numpy())


EMBEDDING_ERRORS: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
    ([3], (3, 2), {}, IndexError, "index out of range in self: 3 is none of the 3 rows"),
    ([0, -1], (3, 2), {}, IndexError, "index out of range in self: -1 is none of the 3 rows"),
    ([1.0], (3, 2), {}, RuntimeError, "following scalar types: Long, Int; but got torch.float32 instead"),
    ([1], (3,), {}, RuntimeError, "'weight' must be 2-D"),
    ([1], (3, 2, 2), {}, RuntimeError, "'weight' must be 2-D"),
    ([1], (3, 2), {"padding_idx": 3}, AssertionError, "Padding_idx must be within num_embeddings"),
    ([1], (3, 2), {"padding_idx": -4}, AssertionError, "Padding_idx must be within num_embeddings"),
]


@pytest.mark.parametrize(("indices", "shape", "options", "error", "text"), EMBEDDING_ERRORS)
@pytest.mark.parametrize("library", ["plugrad", "torch"])
def test_embedding_errors(
    indices: Any, shape: Any, options: Any, error: type[Exception], text: str, library: str
) -> None:
    lib: Any = torch if library == "plugrad" else pytest.importorskip("torch")
    with pytest.raises(error, match=text if lib is torch else None):
        lib.nn.functional.embedding(lib.tensor(indices), lib.zeros(shape), **options)


@pytest.mark.parametrize("option", ["max_norm", "scale_grad_by_freq", "sparse"])
def test_options_that_are_not_supported(option: str) -> None:
    for make in (F.embedding, nn.Embedding):
        args: tuple[Any, ...] = (torch.tensor([0]), zeros(3, 2)) if make is F.embedding else (3, 2)
        with pytest.raises(
            NotImplementedError, match=option if option != "sparse" else "no sparse gradients"
        ):
            make(*args, **{option: True})


def test_embedding_layer() -> None:
    layer = nn.Embedding(4, 2, padding_idx=-1)
    assert repr(layer) == "Embedding(4, 2, padding_idx=3)" and list(layer.state_dict()) == ["weight"]
    assert not layer.weight[3].any() and layer.weight[:3].all()
    layer(torch.tensor([3, 0])).sum().backward()
    assert layer.weight.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    rows = torch.randn(3, 2)
    given = nn.Embedding.from_pretrained(rows)
    assert not given.weight.requires_grad and torch.equal(given(torch.tensor([1])), rows[1:2])
    assert nn.Embedding.from_pretrained(rows, freeze=False).weight.requires_grad
    with pytest.raises(AssertionError, match="expected to be 2-dimensional"):
        nn.Embedding.from_pretrained(zeros(3))
    with pytest.raises(AssertionError, match="Shape of weight does not match"):
        nn.Embedding(3, 2, _weight=zeros(2, 2))
    with pytest.raises(AssertionError, match="Padding_idx must be within num_embeddings"):
        nn.Embedding(3, 2, padding_idx=3)


# --- layer norm ---------------------------------------------------------------------------------------------


def test_layer_norm_by_hand() -> None:
    x = torch.tensor([[1.0, 3.0], [5.0, 5.0]])
    y = F.layer_norm(x, (2,), torch.tensor([2.0, 1.0]), torch.tensor([0.0, 10.0]), eps=0.0)
    assert y[0].tolist() == [-2.0, 11.0] and np.isnan(y[1].numpy()).all()
    assert F.layer_norm(x, (2,)).grad_fn is None
    y = F.layer_norm(x.requires_grad_(), (2,))
    assert (
        y.grad_fn.name() == F.layer_norm(x, (2,), torch.ones(2)).grad_fn.name() == "NativeLayerNormBackward0"
    )
    assert y[1].tolist() == [0.0, 0.0]


def test_a_bias_alone() -> None:
    """PyTorch's backward fails here."""
    x, b = torch.tensor([1.0, 3.0], requires_grad=True), torch.tensor([5.0, 6.0], requires_grad=True)
    y = F.layer_norm(x, (2,), bias=b, eps=0.0)
    assert y.tolist() == [4.0, 7.0]
    assert torch.autograd.grad(y.sum(), b)[0].tolist() == [1.0, 1.0]


def test_a_large_mean_costs_no_digits() -> None:
    x = rng().standard_normal((4, 64))
    found = F.layer_norm(torch.tensor((x + 1000).astype(np.float32)), (64,)).numpy()
    x = (x + 1000).astype(np.float32).astype(np.float64)
    expected = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("shape", [(2, 3, 4), (5, 4), (4,), (0, 4)])
@pytest.mark.parametrize("given", [(), ("weight",), ("weight", "bias")])
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_layer_norm_is_pytorchs(shape: Any, given: tuple[str, ...], eps: float) -> None:
    oracle: Any = pytest.importorskip("torch")
    for dims in range(1, len(shape) + 1):
        normal = shape[-dims:]
        if 0 in normal:
            continue
        r = rng()
        arrays = [r.standard_normal(shape), *(r.standard_normal(normal) for _ in given)]

        def run(lib: Any, arrays: Any = arrays, normal: Any = normal) -> list[Any]:
            xs = [lib.tensor(a, requires_grad=True) for a in arrays]
            options = dict(zip(given, xs[1:], strict=True))
            y = lib.nn.functional.layer_norm(xs[0], normal, eps=eps, **options)
            gs = lib.autograd.grad(y.pow(3).sum(), xs, create_graph=True)
            hs = lib.autograd.grad(sum(g.pow(2).sum() for g in gs), xs, allow_unused=True)
            return [t.detach().numpy() for t in (y, *gs, *(h for h in hs if h is not None))]

        for found, expected in zip(run(torch), run(oracle), strict=False):
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


NORM_ERRORS: list[tuple[Any, tuple[Any, ...], type[Exception], str]] = [
    ((2, 3), ((4,),), RuntimeError, r"=\[4\], expected input with shape \[\*, 4\], but got input of size\[2, 3\]"),
    ((2, 3), ((3,), (2,)), RuntimeError, r"weight of shape \[2\] and normalized_shape = \[3\]"),
    ((2, 3), ((3,), (3,), (2,)), RuntimeError, r"bias of shape \[2\] and normalized_shape = \[3\]"),
    ((2, 3), ((),), RuntimeError, "at least 1-dimensional, i.e., containing at least one element"),
    ((3,), ((2, 3),), RuntimeError, r"expected input with shape \[\*, 2, 3\], but got input of size\[3\]"),
    ((2, 3), (3,), TypeError, "argument 'normalized_shape' must be tuple of ints, not int"),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "args", "error", "text"), NORM_ERRORS)
@pytest.mark.parametrize("library", ["plugrad", "torch"])
def test_layer_norm_errors(shape: Any, args: Any, error: type[Exception], text: str, library: str) -> None:
    lib: Any = torch if library == "plugrad" else pytest.importorskip("torch")
    with pytest.raises(error, match=text if lib is torch else None):
        lib.nn.functional.layer_norm(lib.zeros(shape), args[0], *map(lib.zeros, args[1:]))


def test_integers_have_no_layer_norm() -> None:
    with pytest.raises(NotImplementedError, match=r"layer_norm is not implemented for torch.int64: convert"):
        F.layer_norm(zeros(2, 3, dtype=torch.int64), (3,))


def test_layer_norm_layer() -> None:
    layer = nn.LayerNorm((2, 3), eps=0.1)
    assert repr(layer) == "LayerNorm((2, 3), eps=0.1, elementwise_affine=True, bias=True)"
    assert list(layer.state_dict()) == ["weight", "bias"]
    x = torch.randn(4, 2, 3)
    assert torch.equal(layer(x), F.layer_norm(x, (2, 3), layer.weight, layer.bias, 0.1))
    assert list(nn.LayerNorm(3, bias=False).state_dict()) == ["weight"]
    assert not nn.LayerNorm(3, elementwise_affine=False).state_dict()


@pytest.mark.parametrize("name", ["LayerNorm", "Embedding"])
@pytest.mark.parametrize("options", [
    {}, {"padding_idx": 1}, {"bias": False}, {"elementwise_affine": False, "eps": 0.5}
])  # fmt: skip
def test_layers_are_pytorchs(name: str, options: dict[str, Any]) -> None:
    oracle: Any = pytest.importorskip("torch")
    if ("padding_idx" in options) != (name == "Embedding") and options:
        pytest.skip("no such option")
    layers = []
    for lib in (torch, oracle):
        lib.manual_seed(3)
        layers.append(getattr(lib.nn, name)(*((7, 5) if name == "Embedding" else (5,)), **options))
    a, b = layers
    assert repr(a) == repr(b) and list(a.state_dict()) == list(b.state_dict())
    for x, y in zip(a.parameters(), b.parameters(), strict=True):
        np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=1e-6)  # as `randn` is


# --- attention ----------------------------------------------------------------------------------------------

BLIND = rng().random((3, 6)) < 0.5
BLIND[1] = False
ATTENTION: list[dict[str, Any]] = [
    {}, {"scale": 0.3}, {"is_causal": True}, {"attn_mask": BLIND}, {"attn_mask": np.where(BLIND, 0.3, -np.inf)},
    {"attn_mask": rng().standard_normal((2, 1, 1, 6))}, {"dropout_p": 0.4}, {"dropout_p": 0.4, "is_causal": True},
]  # fmt: skip


@pytest.mark.parametrize("options", ATTENTION, ids=lambda o: "-".join(o) or "none")
@pytest.mark.parametrize("heads", [2, 1])
def test_attention_is_pytorchs(options: dict[str, Any], heads: int) -> None:
    """Dropout draws the same numbers, too; a query that sees no key gets zeros, and passes none on."""
    oracle: Any = pytest.importorskip("torch")
    r = rng()
    arrays = [
        r.standard_normal((2, 4, 3, 5)),
        r.standard_normal((2, heads, 6, 5)),
        r.standard_normal((2, heads, 6, 7)),
    ]

    def run(lib: Any) -> list[Any]:
        lib.manual_seed(3)
        xs = [lib.tensor(a, requires_grad=True) for a in arrays]
        given = {n: lib.tensor(o) if isinstance(o, np.ndarray) else o for n, o in options.items()}
        y = lib.nn.functional.scaled_dot_product_attention(*xs, enable_gqa=True, **given)
        return [t.detach().numpy() for t in (y, *lib.autograd.grad(y.pow(3).sum(), xs))]

    for found, expected in zip(run(torch), run(oracle), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_attention_by_hand() -> None:
    q, k = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    v = torch.tensor([[2.0], [4.0]])
    assert F.scaled_dot_product_attention(q, k, v).tolist() == [[3.0]]
    assert F.scaled_dot_product_attention(q, k, v, torch.tensor([[True, False]])).tolist() == [[2.0]]
    assert F.scaled_dot_product_attention(q, k, v, torch.tensor([[False, False]])).tolist() == [[0.0]]
    assert F.scaled_dot_product_attention(k, k, v, is_causal=True)[0].tolist() == [2.0]
    assert F.scaled_dot_product_attention(q, zeros(0, 2), zeros(0, 3)).tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_attention_to_second_order(kind: str) -> None:
    r = rng()
    xs = [torch.tensor(r.standard_normal(s), requires_grad=True) for s in ((3, 2), (6, 2), (6, 2))]
    mask = torch.tensor(BLIND) if kind == "bool" else torch.tensor(np.where(BLIND, 0.0, -np.inf))
    f = lambda *xs: F.scaled_dot_product_attention(*xs, attn_mask=mask)
    assert torch.autograd.gradcheck(f, xs, check_forward_ad=True) and torch.autograd.gradgradcheck(f, xs)


def test_attention_under_vmap() -> None:
    q, k, v = (torch.randn(4, 3, 5, dtype=torch.float64) for _ in range(3))
    with vmap_fallbacks("error"):
        found = vmap(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True))(q, k, v)
    np.testing.assert_allclose(found.numpy(), F.scaled_dot_product_attention(q, k, v, is_causal=True).numpy())


Q = ((2, 3, 4), (2, 5, 4), (2, 5, 6))
HEADS = ((2, 8, 3, 4), (2, 3, 5, 4), (2, 3, 5, 6))
MISMATCH = "do not fit together"
ATTENTION_ERRORS: list[tuple[Any, dict[str, Any], str]] = [
    (((2, 3, 4), (2, 5, 3), (2, 5, 6)), {}, MISMATCH),
    (((2, 3, 4), (2, 5, 4), (2, 4, 6)), {}, MISMATCH),
    (((4,), (5, 4), (5, 4)), {}, "query.dim: 1 key.dim: 2 and value.dim: 2"),
    (Q, {"attn_mask": "int64"}, "Expected attn_mask dtype to be bool or to match query dtype"),
    (Q, {"attn_mask": "float64"}, "attn_mask.dtype: torch.float64 and query.dtype: torch.float32"),
    (Q, {"attn_mask": "float32", "is_causal": True}, "Explicit attn_mask should not be set when is_causal=True"),
    (HEADS, {"enable_gqa": True}, "number of heads in key and value must divide"),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "options", "text"), ATTENTION_ERRORS)
@pytest.mark.parametrize("library", ["plugrad", "torch"])
def test_attention_errors(shapes: Any, options: dict[str, Any], text: str, library: str) -> None:
    lib: Any = torch if library == "plugrad" else pytest.importorskip("torch")
    given = {k: lib.zeros(3, 5, dtype=getattr(lib, v)) if k == "attn_mask" else v for k, v in options.items()}
    with pytest.raises(RuntimeError, match=text if lib is torch else None):
        lib.nn.functional.scaled_dot_product_attention(*map(lib.zeros, shapes), **given)


def test_more_attention_errors() -> None:
    q, k, v = map(zeros, Q)
    with pytest.raises(RuntimeError, match=r"to have the same dtype, but got .* key.dtype: torch.float64"):
        F.scaled_dot_product_attention(q, k.double(), v)
    with pytest.raises(NotImplementedError, match=r"not implemented for torch.int64: convert"):
        F.scaled_dot_product_attention(q.long(), k.long(), v.long())
    with pytest.raises(ValueError, match=r"dropout probability has to be between 0 and 1, but got 1.5"):
        F.scaled_dot_product_attention(q, k, v, dropout_p=1.5)
