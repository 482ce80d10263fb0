"""Hooks on saved tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import plugrad as torch

hooks = torch.autograd.graph


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * 2 * x


PROGRAMS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "input": (lambda x: x.sin(), 1),
    "output": (lambda x: x.exp(), 1),
    "both inputs": (lambda x: x * x, 2),
    "nothing": (lambda x: x + x, 0),
    "a constant": (lambda x: x * torch.tensor([3.0, 4.0]), 1),
    "broadcast": (lambda x: x * x[:1], 2),
    "promoted": (lambda x: x.double() * 2.5, 0),
    "matrices": (lambda x: x.view(2, 1) @ x.view(1, 2), 2),
    "a Function": (Square.apply, 1),
    "several outputs": (lambda x: (x * x).view(2, 1).unbind(0)[1].exp(), 3),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_saved_is_packed_and_unpacked(name: str) -> None:
    f, count = PROGRAMS[name]
    packed: list[Any] = []
    unpacked: list[int] = []
    store: list[Any] = []

    def pack(t: Any) -> int:
        packed.append(t)
        store.append(t.clone())
        return len(store) - 1

    def unpack(i: int) -> Any:
        unpacked.append(i)
        return store[i]

    x = torch.tensor([0.5, 2.0], requires_grad=True)
    with hooks.saved_tensors_hooks(pack, unpack):
        y = f(x)
    assert len(packed) == count and all(not t.requires_grad for t in packed)
    (expected,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert g.tolist() == expected.tolist() and sorted(unpacked) == list(range(count))
    if g.requires_grad:
        again = [torch.autograd.grad((t * t).sum(), x, retain_graph=True)[0].tolist() for t in (g, expected)]
        assert again[0] == again[1]
    y.sum().backward()
    assert x.grad.tolist() == expected.tolist()
    if count:
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            y.sum().backward()


def test_what_is_unpacked_counts() -> None:
    x = torch.tensor([3.0], requires_grad=True)
    with hooks.saved_tensors_hooks(lambda t: t, lambda t: t * 10):
        with hooks.saved_tensors_hooks(lambda t: t, lambda t: t * 100):
            inner = x.sin() * 0 + x * x
        outer = x * x
    plain = x * x
    for y, expected in ((inner, 600.0), (outer, 60.0), (plain, 6.0)):
        assert torch.autograd.grad(y, x)[0].tolist() == [expected]


def test_disabled_and_wrong_hooks() -> None:
    x = torch.tensor([3.0], requires_grad=True)
    with hooks.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        hooks.saved_tensors_hooks(lambda t: t, lambda t: t).__enter__()
    with hooks.saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = x * x
    with pytest.raises(TypeError, match="unpack_hook expected to be a Tensor but got result of type int"):
        y.backward()
    with pytest.raises(ZeroDivisionError), hooks.saved_tensors_hooks(lambda t: 1 / 0, lambda t: t):
        x * x
    assert torch.is_grad_enabled()
    with hooks.save_on_cpu(), hooks.allow_mutation_on_saved_tensors():
        z = (x * x).exp()
    z.backward()
    assert x.grad.requires_grad is False
