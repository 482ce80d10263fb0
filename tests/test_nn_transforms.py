"""Networks of convolutions, pools and attention inside transforms: all without one loop over a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as torch
import plugrad.nn.functional as F
from plugrad import nn
from plugrad.func import functional_call, grad, jacfwd, jacrev, jvp, vmap, vmap_fallbacks
from plugrad.utils.checkpoint import checkpoint


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-9)


def network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding="same", groups=2),
        nn.Tanh(),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(4, 3, (2, 3), dilation=(1, 1), bias=False),
        nn.AvgPool2d(2, 1),
        nn.Flatten(-3),
        nn.LayerNorm(3),
        nn.Linear(3, 2),
    ).to(torch.float64)


IMAGES = np.random.default_rng(0).standard_normal((5, 2, 6, 8))


def test_gradients_of_each_sample() -> None:
    model, x = network(), torch.tensor(IMAGES)
    parameters = dict(model.named_parameters())
    loss = lambda p, x: functional_call(model, p, (x,)).pow(2).sum()
    with vmap_fallbacks("error"):
        found = vmap(grad(loss), (None, 0))(parameters, x)
    for i in range(5):
        for name, g in grad(loss)(parameters, x[i]).items():
            close(found[name][i], g)


def test_an_ensemble() -> None:
    """Each model with its own parameters, and the same images or its own."""
    model, x = network(), torch.tensor(IMAGES)
    stacked = {n: torch.stack([p.detach() * s for s in (1.0, 0.5, 2.0)]) for n, p in model.named_parameters()}
    f = lambda p, x: functional_call(model, p, (x,))
    for dim, images in ((None, x), (0, torch.stack([x, x + 1, x * 2]))):
        with vmap_fallbacks("error"):
            found = vmap(f, (0, dim))(stacked, images)
        for i in range(3):
            mine = {n: p[i] for n, p in stacked.items()}
            close(found[i], f(mine, images if dim is None else images[i]))


def test_forward_and_reverse_mode_agree() -> None:
    model, x = network(), torch.tensor(IMAGES[0])
    f = lambda x: functional_call(model, dict(model.named_parameters()), (x,))
    with vmap_fallbacks("error"):
        by_columns, by_rows = jacfwd(f)(x), jacrev(f)(x)
    close(by_columns, by_rows)
    t = torch.tensor(IMAGES[1])
    close(jvp(f, (x,), (t,))[1], (by_rows * t).sum((-3, -2, -1)))


def test_second_order_by_both_modes() -> None:
    model, x, t = network(), torch.tensor(IMAGES[0]), torch.tensor(IMAGES[1])
    f = lambda x: functional_call(model, dict(model.named_parameters()), (x,)).pow(3).sum()
    forward_over_reverse = jvp(grad(f), (x,), (t,))[1]
    close(forward_over_reverse, grad(lambda x: (grad(f)(x) * t).sum())(x))
    step = 1e-5
    expected = (grad(f)(x + step * t) - grad(f)(x - step * t)) / (2 * step)
    np.testing.assert_allclose(
        forward_over_reverse.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6
    )


def test_attention_of_each_sample() -> None:
    q, k, v = (torch.tensor(np.random.default_rng(i).standard_normal((4, 2, 3, 5))) for i in range(3))
    mask = torch.tensor(np.random.default_rng(4).random((4, 1, 3, 3)) < 0.6)

    def loss(q: Any, k: Any, v: Any, mask: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v, mask).pow(2).sum()

    with vmap_fallbacks("error"):
        found = vmap(grad(loss, (0, 1, 2)))(q, k, v, mask)
    for i in range(4):
        for g, e in zip(found, grad(loss, (0, 1, 2))(q[i], k[i], v[i], mask[i]), strict=True):
            close(g[i], e)


def test_indices_of_maxima_under_vmap() -> None:
    x = torch.tensor(IMAGES)
    values, indices = vmap(lambda x: F.max_pool2d(x, 2, return_indices=True))(x)
    expected, places = F.max_pool2d(x, 2, return_indices=True)
    close(values, expected)
    assert torch.equal(indices, places)


def test_dropout_in_attention_under_vmap() -> None:
    q = torch.randn(4, 3, 5)
    attend = lambda q: F.scaled_dot_product_attention(q, q, q, dropout_p=0.5)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(attend)(q)
    assert vmap(attend, randomness="different")(q).shape == (4, 3, 5)


def test_checkpoints() -> None:
    model, x = network(), torch.tensor(IMAGES, requires_grad=True)
    model(x).pow(2).sum().backward()
    expected, x.grad = x.grad, None
    checkpoint(model, x, use_reentrant=False).pow(2).sum().backward()
    close(x.grad, expected)


def test_names_in_an_explanation() -> None:
    text = str(torch.explain(network()(torch.tensor(IMAGES, requires_grad=True)).sum()))
    for name in ("Convolution", "MaxPool2DWithIndices", "AvgPool2D", "NativeLayerNorm"):
        assert name in text
