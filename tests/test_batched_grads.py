"""Batches of cotangents, `is_grads_batched=True` of `autograd.grad`: against a loop, and PyTorch where it is installed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from tests.test_functional import X, Y, plain, same


@pytest.mark.parametrize("create_graph", [False, True])
def test_batched_cotangents_equal_a_loop(create_graph: bool) -> None:
    rng = np.random.default_rng(1)
    x, y = (torch.tensor(a, requires_grad=True) for a in (X, Y))
    outputs = ((y @ x).exp() * x[0], (x * x).sum())
    vs = (torch.tensor(rng.standard_normal((5, 2))), torch.tensor(rng.standard_normal(5)))
    found = torch.autograd.grad(
        outputs, (x, y), vs, retain_graph=True, create_graph=create_graph, is_grads_batched=True
    )
    rows = [
        torch.autograd.grad(
            outputs, (x, y), tuple(v[i] for v in vs), retain_graph=True, create_graph=create_graph
        )
        for i in range(5)
    ]
    for g, parts in zip(found, zip(*rows, strict=True), strict=True):
        np.testing.assert_allclose(
            g.detach().numpy(), np.stack([p.detach().numpy() for p in parts]), rtol=1e-12
        )
        assert g.requires_grad == create_graph
    if create_graph:
        second = torch.autograd.grad(found[0].pow(2).sum(), x, retain_graph=True)[0]
        expected = torch.autograd.grad(sum(r[0].pow(2).sum() for r in rows), x, retain_graph=True)[0]
        np.testing.assert_allclose(second.numpy(), expected.numpy(), rtol=1e-10)


def test_batched_cotangents_of_unused_inputs() -> None:
    x, other = torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
    y = x * 2
    v = torch.eye(3)
    options: dict[str, Any] = {"is_grads_batched": True, "retain_graph": True}
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        torch.autograd.grad(y, (x, other), v, **options)
    assert torch.autograd.grad(y, (x, other), v, allow_unused=True, **options)[1] is None
    g = torch.autograd.grad(y, (x, other), v, materialize_grads=True, **options)[1]
    assert g.shape == (3, 2) and not g.any()
    assert torch.autograd.grad(y, other, v, allow_unused=True, **options) == (None,)
    named = torch.autograd.grad(y, {"x": x}, v, **options)
    assert named["x"].tolist() == (2 * v).tolist()


def _square(t: Any) -> Any:
    class Square(t.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * g * ctx.saved_tensors[0]

    return Square.apply


def _written(t: Any, x: Any) -> Any:
    y = t.zeros(3, dtype=t.float64)
    y[0] = x[1] * x[2]
    y[1:] = x[:2].exp()
    return y


def _hooked(t: Any, x: Any) -> Any:
    y = x * x
    y.register_hook(lambda g: g * x)
    return y


#: name: a function of a vector of 3 to one of 3; `t` is the library.
PROGRAMS: dict[str, Callable[[Any, Any], Any]] = {
    "elementwise": lambda t, x: x.sin() * x,
    "broadcast": lambda t, x: x * x[0] + 2,
    "matrix": lambda t, x: t.outer(x, x) @ x,
    "reduction": lambda t, x: x - x.logsumexp(0),
    "softmax": lambda t, x: x.softmax(0),
    "pieces": lambda t, x: t.stack(list(x.unbind())[::-1]) * x,
    "sorted": lambda t, x: x.sort().values * x,
    "indexed": lambda t, x: x[t.tensor([0, 0, 2])] ** 2,
    "masked": lambda t, x: t.where(x > 0, x * x, -x),
    "cumulative": lambda t, x: x.cumsum(0).exp(),
    "written in place": _written,
    "a Function": lambda t, x: _square(t)(x) * x,
    "a hook": _hooked,
    "linear": lambda t, x: x * 3,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    weights = np.random.default_rng(2).standard_normal((4, 3))

    def run(t: Any, batched: bool) -> Any:
        x = t.tensor(X, requires_grad=True)
        y, vs = PROGRAMS[name](t, x), t.tensor(weights)
        if batched:
            return plain(t.autograd.grad(y, x, vs, is_grads_batched=True)[0])
        return np.stack([plain(t.autograd.grad(y, x, v, retain_graph=True)[0]) for v in vs])

    found = run(torch, batched=True)
    same(found, run(torch, batched=False))
    same(found, run(pytest.importorskip("torch"), batched=True))


def test_runs_no_loop_where_every_rule_is_known() -> None:
    x, sizes = torch.tensor(X, requires_grad=True), []
    y = x.sin() * x
    torch.autograd.grad(y, x, torch.eye(3, dtype=torch.float64), is_grads_batched=True, retain_graph=True)
    x.register_hook(lambda g: sizes.append(tuple(g.shape)))
    torch.autograd.grad(y, x, torch.eye(3, dtype=torch.float64), is_grads_batched=True)
    assert sizes == [(3,)]  # once, and as if there were one example


def test_gradients_of_intermediates_and_from_them() -> None:
    x = torch.tensor(X, requires_grad=True)
    h = x * 2
    eye, edge = torch.eye(3, dtype=torch.float64), torch.autograd.graph.get_gradient_edge(h)
    options: dict[str, Any] = {"is_grads_batched": True, "retain_graph": True}
    assert torch.equal(torch.autograd.grad(h * h, edge, eye, **options)[0], 2 * h.detach() * eye)
    assert torch.equal(torch.autograd.grad(edge, x, eye, **options)[0], 2 * eye)
    assert torch.equal(torch.autograd.grad(h, (v for v in [x]), eye, **options)[0], 2 * eye)


def test_an_empty_batch_and_an_output_without_a_batch() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    assert torch.autograd.grad(x * x, x, torch.ones(0, 2), is_grads_batched=True)[0].shape == (0, 2)
    (g,) = torch.autograd.grad([x * x, x.sum()], x, [torch.eye(2), None], is_grads_batched=True)
    assert g.tolist() == [[3.0, 1.0], [1.0, 5.0]]  # the 1 of the sum counts in every example


Act = Callable[[Any, Any], Any]
BAD: dict[str, tuple[type[Exception], str, Act]] = {
    "no batch": (RuntimeError, "grad_output[0] has a shape of (2,) and output[0] has a shape of (2,)", lambda t, x: t.ones(2)),
    "another shape": (
        RuntimeError, "we interpret the first dimension of each grad_output as the batch dimension", lambda t, x: t.ones(2, 4)
    ),
    "no dimensions": (IndexError, "grad_output[0] has no dimensions", lambda t, x: t.ones(())),
    "no weights": (RuntimeError, "grad can be implicitly created only for scalar outputs", lambda t, x: None),
    "no tensor": (TypeError, "gradients can be either Tensors or None, but got float", lambda t, x: [3.0]),
    "another dtype": (
        RuntimeError, "for complex Tensors, both grad_output and output are required to have the same dtype",
        lambda t, x: t.ones(2, 2, dtype=t.complex64),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_errors(name: str) -> None:
    error, text, weights = BAD[name]
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(error, match=re.escape(text)):
        torch.autograd.grad(x * 2, x, weights(torch, x), is_grads_batched=True)


@pytest.mark.parametrize("name", BAD)
def test_errors_are_of_pytorch_s_class(name: str) -> None:
    oracle = pytest.importorskip("torch")
    error, _, weights = BAD[name]
    x = oracle.ones(2, requires_grad=True)
    with pytest.raises(error):
        oracle.autograd.grad(x * 2, x, weights(oracle, x), is_grads_batched=True)


def test_weights_that_are_missing() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="is_grads_batched=True, but grad_outputs has no batch"):
        torch.autograd.grad(x.sum(), x, is_grads_batched=True)
    with pytest.raises(RuntimeError, match="got 1 tensors and 0 gradients"):
        torch.autograd.grad(x * 2, x, [], is_grads_batched=True)


def test_batches_of_different_sizes() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="vmap"):
        torch.autograd.grad([x * 2, x.sum()], x, [torch.ones(3, 2), torch.ones(4)], is_grads_batched=True)
