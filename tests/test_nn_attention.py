"""Attention with several heads as a layer; the numbers are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import nn

zeros = torch.zeros
RNG = np.random.default_rng(0)
LATER = np.triu(np.ones((3, 5), bool), 2)
CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"batch_first": True}, {"average_attn_weights": False}),
    ({"bias": False}, {"need_weights": False}),
    ({"kdim": 6, "vdim": 5}, {}),
    ({"kdim": 6, "vdim": 5, "bias": False, "batch_first": True}, {"need_weights": False}),
    ({}, {"attn_mask": LATER}),
    ({}, {"attn_mask": LATER, "need_weights": False}),
    (
        {},
        {
            "attn_mask": RNG.standard_normal((3, 5)).astype(np.float32),
            "key_padding_mask": np.where(np.arange(10).reshape(2, 5) % 4 == 3, -np.inf, 0).astype(np.float32),
        },
    ),
    ({"batch_first": True}, {"attn_mask": RNG.random((8, 3, 5)) < 0.3, "need_weights": False}),
    ({"dropout": 0.5}, {}),
    ({"dropout": 0.5}, {"need_weights": False, "key_padding_mask": np.arange(10).reshape(2, 5) % 4 == 3}),
]


def inputs(options: dict[str, Any]) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    shapes = (2, 3, 8), (2, 5, options.get("kdim", 8)), (2, 5, options.get("vdim", 8))
    arrays = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    return arrays if options.get("batch_first") else [a.swapaxes(0, 1).copy() for a in arrays]


@pytest.mark.parametrize(("options", "given"), CASES)
def test_attention_is_pytorchs(options: dict[str, Any], given: dict[str, Any]) -> None:
    oracle: Any = pytest.importorskip("torch")
    found = []
    for lib in (torch, oracle):
        lib.manual_seed(4)
        layer = lib.nn.MultiheadAttention(8, 4, **options)
        state = {k: v.numpy().copy() for k, v in layer.state_dict().items()}
        xs = [lib.tensor(a, requires_grad=True) for a in inputs(options)]
        masks = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in given.items()}
        y, weights = layer(*xs, **masks)
        y.pow(2).sum().backward()
        grads = [t.grad for t in (*xs, *layer.parameters())]
        found.append((state, weights, [t.detach().numpy() for t in (y, *grads)]))
    (state, weights, values), (state_there, weights_there, values_there) = found
    assert list(state) == list(state_there)
    for name, value in state.items():
        np.testing.assert_array_equal(value, state_there[name])
    for a, b in zip(values, values_there, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert (weights is None) == (weights_there is None)
    if weights is not None:
        np.testing.assert_allclose(
            weights.detach().numpy(), weights_there.detach().numpy(), rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("need_weights", [True, False])
def test_self_attention_without_a_batch(need_weights: bool) -> None:
    layer = nn.MultiheadAttention(8, 2)
    x, mask = torch.randn(4, 8), torch.ones(4, 4, dtype=torch.bool).triu(1)
    y, weights = layer(x, x, x, attn_mask=mask, need_weights=need_weights, is_causal=True)
    expected, _ = layer(x.unsqueeze(1), x.unsqueeze(1), x.unsqueeze(1).clone(), attn_mask=mask)
    np.testing.assert_allclose(y.detach().numpy(), expected.squeeze(1).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert y.shape == (4, 8)
    if need_weights:
        assert weights.shape == (4, 4) and not weights.triu(1).any()


def test_state() -> None:
    layer = nn.MultiheadAttention(4, 2)
    assert list(layer.state_dict()) == ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
    assert not layer.in_proj_bias.any() and not layer.out_proj.bias.any()


X = (3, 2, 4)
ERRORS: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ((X, (5, 4), (5, 4)), {}, AssertionError, "received 3-D, 2-D and 2-D"),
    (((4,), (4,), (4,)), {}, AssertionError, "unbatched 2D or batched 3D"),
    (((3, 2, 5), X, X), {}, AssertionError, "was expecting embedding dimension of 4 for query, but got 5"),
    ((X, X, (4, 2, 4)), {}, AssertionError, r"key's sequence and batch dims do not match value's: \[3, 2\] and \[4, 2\]"),
    ((X, X, X), {"attn_mask": (2, 3)}, RuntimeError, r"attn_mask is \[2, 3\], but should be \(3, 3\) or \(4, 3, 3\)"),
    ((X, X, X), {"key_padding_mask": (3, 2)}, RuntimeError, r"key_padding_mask is \[3, 2\], but should be \(2, 3\)"),
    ((X, X, X), {"is_causal": True}, RuntimeError, "Need attn_mask if specifying the is_causal hint"),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "options", "error", "text"), ERRORS)
def test_errors(shapes: Any, options: dict[str, Any], error: type[Exception], text: str) -> None:
    given = {k: zeros(v) if isinstance(v, tuple) else v for k, v in options.items()}
    with pytest.raises(error, match=text):
        nn.MultiheadAttention(4, 2)(*map(zeros, shapes), **given)


def test_more_errors() -> None:
    with pytest.raises(AssertionError, match="embed_dim must be divisible by num_heads"):
        nn.MultiheadAttention(5, 2)
    with pytest.raises(ValueError, match="must be greater than 0"):
        nn.MultiheadAttention(0, 2)
    with pytest.raises(NotImplementedError, match="add_bias_kv and add_zero_attn are not supported"):
        nn.MultiheadAttention(4, 2, add_zero_attn=True)
    with pytest.raises(AssertionError, match="only bool and floating types of attn_mask are supported"):
        x = zeros(X)
        nn.MultiheadAttention(4, 2)(x, x, x, attn_mask=zeros(3, 3, dtype=torch.int64))
