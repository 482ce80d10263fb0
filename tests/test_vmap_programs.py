"""vmap over what users write: it gives what a loop gives, and what PyTorch gives where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad
from plugrad.func import vmap, vmap_fallbacks

#: PyTorch says where it has no rule.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")

F32, INT = np.float32, np.int64


def draw(*shape: int, dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).normal(size=shape).astype(dtype)


X, Y, M = draw(4, 3), draw(4, 3, seed=1), draw(4, 3, 3)
S = draw(4)
I2 = np.array([[0, 1], [2, 1], [1, 0], [0, 2]])
CLASSES = np.array([0, 1, 2, 0])

#: name: (program of (library, one example of each), batches)
CALLS: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    # A number of each example counts as a number when dtypes are promoted.
    "promotion *": (lambda t, s, x: s * x, (S, X.astype(F32))),
    "promotion of integers": (lambda t, s, x: x + s, (CLASSES, X.astype(F32))),
    "promotion of numbers": (lambda t, s, x: s * x, (S, S.astype(F32))),
    "promotion maximum": (lambda t, s, x: t.maximum(s, x), (S, X.astype(F32))),
    "promotion compared": (lambda t, x: x > x.double().sum(), (X.astype(F32),)),
    "promotion in place": (lambda t, s, x: x.clone().add_(s), (S, X.astype(F32))),
    "promotion cat": (lambda t, s, x: t.cat([s.reshape(1), x]), (S, X.astype(F32))),
    "promotion bits": (lambda t, s, x: s & x, (CLASSES, I2.astype(np.int32))),
    "masked_fill by a number": (lambda t, s, x: x.masked_fill(x > 0, s), (S, X.astype(F32))),
    "index_select": (lambda t, x, i: x.index_select(0, i), (X, I2)),
    "index_fill": (lambda t, x, i: x.index_fill(0, i, 2.0), (X, I2)),
    "index_add": (lambda t, x, i: x.index_add(0, i, x[:2]), (X, I2)),
    "index_copy": (lambda t, x, i: x.index_copy(0, i, x[:2]), (X, I2)),
    "index_put": (lambda t, x, i: x.index_put((i,), x[:2], accumulate=True), (X, I2)),
    "take": (lambda t, x, i: x.take(i), (X, I2)),
    "gather and scatter": (lambda t, x, i: (x.gather(0, i), x.scatter(0, i, x[:2])), (X, I2)),
    "keys of two arrays": (lambda t, m, i: (m[i, i], m[:, i], m[i[0], 1:], m[i - 3]), (M, I2)),
    "a mask for all": (lambda t, x: x[t.tensor([True, False, True])], (X,)),
    "one_hot": (lambda t, i: t.nn.functional.one_hot(i, 5), (I2,)),
    "losses": (
        lambda t, x, y: [getattr(t.nn.functional, n)(x, y) for n in ("mse_loss", "l1_loss", "smooth_l1_loss")],
        (X, Y),
    ),
    "binary losses": (
        lambda t, x, y: [
            t.nn.functional.binary_cross_entropy(x.sigmoid(), y.sigmoid()),
            t.nn.functional.binary_cross_entropy_with_logits(x, y.sigmoid()),
        ],
        (X, Y),
    ),
    "cross_entropy": (lambda t, x, y: t.nn.functional.cross_entropy(x, y), (X, CLASSES)),
    "cross_entropy of rows": (
        lambda t, x, y: [
            t.nn.functional.cross_entropy(x, y, label_smoothing=0.1),
            t.nn.functional.cross_entropy(x, y, ignore_index=1),
            t.nn.functional.nll_loss(x, y, reduction="none"),
        ],
        (draw(4, 2, 3), I2),
    ),
    "linear": (lambda t, x, w: t.nn.functional.linear(x, w), (X, draw(4, 5, 3))),
    "einsum": (lambda t, x, m: t.einsum("i,ij->j", x, m), (X, M)),
    "norm": (lambda t, x: x.norm() + x.norm(p=3), (X,)),
    "linalg": (lambda t, m: (t.linalg.det(m), t.linalg.inv(m), t.linalg.solve(m, m[0])), (M,)),
    "matrices": (lambda t, m: (m.tril(), m.triu(1), m.diagonal(), m.trace(), m @ m[0], m.t() @ m), (M,)),
    "sort": (lambda t, x: (*x.sort(descending=True), *x.topk(2), x.argsort()), (X,)),
    "extrema": (lambda t, x: (*x.max(0), x.max(), x.median(), x.argmax()), (X,)),
    "statistics": (lambda t, x: (x.softmax(0), x.logsumexp(0), x.cumsum(0), x.std(), x.var(unbiased=False)), (X,)),
    "pieces": (lambda t, x: (*x.chunk(2), *x.split([1, 2]), *x.unbind()), (X,)),
    "repeated": (lambda t, x: (x.roll(1), x.flip(0), x.repeat(2), x.tile(2, 1), x.repeat_interleave(2)), (X,)),
    "tests": (lambda t, x: ((x > 0).any(), (x > 0).all(), t.isnan(x)), (X,)),
    "views": (lambda t, x: x.view(-1).view(1, 3).expand(2, 3).contiguous().view(6), (X,)),
    "constants": (lambda t, x: x + t.tensor([1.0, 2, 3]) + t.arange(3) + x.stride(0), (X,)),
    "stack with a constant": (lambda t, x: t.stack([x, t.ones(3, dtype=t.float64), x.flip(0)]), (X,)),
    "turned in place": (lambda t, m: (m * 1).t_(), (M,)),
    "turned, then written": (lambda t, m: _turned(m * 1), (M,)),
    "unsqueezed in place": (lambda t, x: (x * 2).unsqueeze_(0), (X,)),
}  # fmt: skip


def _turned(y: Any) -> Any:
    row = y[0]
    y.t_()
    row.mul_(2)
    y[1].add_(row * 1)
    return y


def results(t: Any, found: Any) -> list[Any]:
    return list(found) if isinstance(found, (tuple, list)) else [found]


@pytest.mark.parametrize("name", CALLS)
def test_calls_equal_a_loop(name: str) -> None:
    f, batches = CALLS[name]
    with vmap_fallbacks("error"):
        found = results(plugrad, vmap(lambda *a: f(plugrad, *a))(*map(plugrad.tensor, batches)))
    rows = [results(plugrad, f(plugrad, *(plugrad.tensor(b[i]) for b in batches))) for i in range(4)]
    for j, y in enumerate(found):
        expected = np.stack([r[j].numpy() for r in rows])
        assert (y.shape, y.numpy().dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", CALLS)
def test_calls_equal_pytorch(name: str) -> None:
    oracle = pytest.importorskip("torch")
    f, batches = CALLS[name]
    found, expected = (
        results(t, t.func.vmap(lambda *a, t=t: f(t, *a))(*map(t.tensor, batches))) for t in (plugrad, oracle)
    )
    for y, want in zip(found, expected, strict=True):
        assert (y.shape, y.numpy().dtype) == (tuple(want.shape), want.numpy().dtype)
        np.testing.assert_allclose(y.numpy(), want.numpy(), rtol=1e-5, atol=1e-7)


def test_errors_of_values_look_at_the_whole_batch() -> None:
    t = plugrad
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        vmap(lambda x, i: x[i])(t.tensor(X), t.tensor(I2 + 1))
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        vmap(t.nn.functional.binary_cross_entropy)(t.tensor(X), t.tensor(X))
    with pytest.raises(RuntimeError, match="smaller than num_classes, found 2"):
        vmap(lambda i: t.nn.functional.one_hot(i, 2))(t.tensor(I2))
    with pytest.raises(RuntimeError, match="data-dependent"):
        vmap(t.nn.functional.one_hot)(t.tensor(I2))
    with pytest.raises(NotImplementedError, match=r"x = x\.t\(\) instead"):
        vmap(lambda m: m.t_() * 1)(t.tensor(M))
