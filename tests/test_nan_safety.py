"""NaN safety: no NaN from a slope to which no gradient arrives; everything else as without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import plugrad as torch

nan_safe = torch.autograd.nan_safe
nan, inf = float("nan"), float("inf")


def where(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: torch.where(x > 0, f(x), 0)


#: (function, values, its true gradient there, its true second derivative summed over the elements)
CASES: dict[str, tuple[Callable[[Any], Any], list[float], list[float], list[float]]] = {
    "sqrt": (where(lambda x: x.sqrt()), [0.0, -1.0, 4.0], [0, 0, 0.25], [0, 0, -1 / 32]),
    "log": (where(lambda x: x.log()), [0.0, -1.0, 2.0], [0, 0, 0.5], [0, 0, -0.25]),
    "x log x": (where(lambda x: x * x.log()), [0.0, 1.0], [0, 1], [0, 1]),
    "reciprocal": (where(lambda x: 1 / x), [0.0, 2.0], [0, -0.25], [0, 0.25]),
    "power": (where(lambda x: x**0.5), [0.0, 4.0], [0, 0.25], [0, -1 / 32]),
    "overflow": (where(lambda x: (-x).exp() * x), [-1000.0, 1.0], [0, 0], [0, -0.36787945]),
    "mask by a product": (lambda x: x.sqrt() * (x > 0), [0.0, 4.0], [0, 0.25], [0, -1 / 32]),
    "broadcast": (
        lambda x: torch.where(x > 0, x.sqrt() * torch.ones(3, 2), 0),
        [0.0, 4.0], [0, 0.75], [0, -3 / 32],
    ),
    "index": (lambda x: x.sqrt()[1:], [0.0, 4.0], [0, 0.25], [0, -1 / 32]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_masked_slopes_give_zero_to_second_order(name: str) -> None:
    f, values, first, second = CASES[name]
    x = torch.tensor(values, requires_grad=True)
    with nan_safe():
        y = f(x)
    (g,) = torch.autograd.grad(
        y.sum(), x, create_graph=True
    )  # outside: the mode belongs to what was recorded
    assert g.tolist() == pytest.approx(first)
    assert torch.autograd.grad(g.sum(), x)[0].tolist() == pytest.approx(second)
    with nan_safe():
        y = f(x)
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx(first)


@pytest.mark.parametrize("name", [n for n in CASES if n != "overflow"])
def test_without_the_mode_they_are_nan_as_in_pytorch(name: str) -> None:
    f, values, _, _ = CASES[name]
    x = torch.tensor(values, requires_grad=True)
    f(x).sum().backward()
    assert x.grad[0].isnan()


def test_a_nan_of_a_gradient_stays() -> None:
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    with nan_safe():
        y = x.sqrt()
        z = (x - x) / (x - x)
    assert torch.autograd.grad(y.sum(), x, retain_graph=True)[0].tolist() == [inf, 0.25]
    (g,) = torch.autograd.grad(y, x, torch.tensor([nan, 0.0]))
    assert g[0].isnan() and g[1].item() == 0
    assert torch.autograd.grad(z.sum(), x)[0].isnan().all()


def test_broadcasting_is_undone_afterwards() -> None:
    a = torch.tensor([[1.0], [2.0]], requires_grad=True)
    b = torch.tensor([[inf, 5.0]], requires_grad=True)
    weight = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    with nan_safe():
        y = a * b
    ga, gb = torch.autograd.grad(y, (a, b), weight)
    assert ga.tolist() == [[5.0], [5.0]] and gb.tolist() == [[0.0, 3.0]]


@pytest.mark.parametrize("keepdim", [False, True])
def test_along_axes(keepdim: bool) -> None:
    x = torch.tensor([[inf, 1.0], [3.0, 4.0]], requires_grad=True)

    def gradient(weight: list[float]) -> Any:
        with nan_safe():
            y = torch.logsumexp(x, 1, keepdim)
        return torch.autograd.grad(y, x, torch.tensor(weight).reshape(y.shape))[0]

    expected = torch.softmax(torch.tensor([3.0, 4.0]), 0).tolist()
    g = gradient([0.0, 1.0])
    assert g[0].tolist() == [0, 0] and g[1].tolist() == pytest.approx(expected)
    assert gradient([1.0, 1.0])[0].isnan().any()  # this row is asked for


def test_softmax_goes_by_rows() -> None:
    x = torch.tensor([[inf, 1.0], [3.0, 4.0]], requires_grad=True)
    with nan_safe():
        y = torch.softmax(x, 1)
    g = torch.autograd.grad(y, x, torch.tensor([[0.0, 0.0], [1.0, 0.0]]))[0]
    assert g[0].tolist() == [0, 0] and g[1, 0].item() == pytest.approx(-g[1, 1].item())
    g = torch.autograd.grad(torch.softmax(x, 1), x, torch.tensor([[0.0, 0.0], [1.0, 0.0]]))[0]
    assert g[0].isnan().all()


def test_matrices_and_functions_where_nothing_arrives_at_all() -> None:
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * inf

    a = torch.tensor([[1.0, 2.0]], requires_grad=True)
    b = torch.tensor([[inf], [1.0]])
    with nan_safe():
        y, z = a @ b, Bad.apply(a)
    assert torch.autograd.grad(y, a, torch.zeros(1, 1))[0].tolist() == [[0, 0]]
    assert torch.autograd.grad(z, a, torch.zeros(1, 2), retain_graph=True)[0].tolist() == [[0, 0]]
    g = torch.autograd.grad(z, a, torch.tensor([[0.0, 1.0]]))[0]
    assert g[0, 0].isnan() and g[0, 1].item() == inf  # a Function need not be elementwise
    assert z.grad_fn.name() == "BadBackward"


def test_complex_and_promoted() -> None:
    x = torch.tensor([0j, 4 + 0j], requires_grad=True)
    with nan_safe():
        y = torch.where(torch.tensor([False, True]), x.sqrt(), 0)
    y.backward(torch.ones(2, dtype=torch.complex64))
    assert x.grad.tolist() == [0, 0.25]
    h = torch.tensor([0.0, 4.0], requires_grad=True)
    with nan_safe():
        z = torch.where(h > 0, h.sqrt().double() * torch.ones(2, dtype=torch.float64), 0)
    assert torch.autograd.grad(z.sum(), h)[0].tolist() == [0, 0.25]


def test_decorators_generators_and_switching_off() -> None:
    x = torch.tensor([0.0], requires_grad=True)

    def slope(y: Any) -> float:
        return torch.autograd.grad(y.sum(), x)[0].item()

    f = where(lambda x: x.sqrt())
    assert slope(nan_safe()(f)(x)) == 0 and slope(f(x)) != slope(f(x))

    @nan_safe()
    def steps() -> Any:
        yield f(x)
        with nan_safe(False):
            yield f(x)
        yield f(x)

    inside = []
    for y in steps():
        inside.append(slope(y) == 0)
        assert slope(f(x)) != 0  # between the steps
    assert inside == [True, False, True]
    with pytest.raises(KeyError), nan_safe():
        raise KeyError
    assert slope(f(x)) != 0


def test_ordinary_gradients_are_the_same() -> None:
    x = torch.tensor([[0.5, -2.0], [3.0, 1.5]], requires_grad=True)

    def f(x: Any) -> Any:
        y = (x @ x.T).softmax(0) * x.exp() + x[0] / x.std(1, keepdim=True)
        return (torch.stack([y, x]).unbind(0)[0] ** 2).mean()

    (expected,) = torch.autograd.grad(f(x), x, create_graph=True)
    (second,) = torch.autograd.grad((expected**2).sum(), x)
    with nan_safe():
        y = f(x)
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    assert g.tolist() == expected.tolist()
    assert torch.autograd.grad((g**2).sum(), x)[0].tolist() == second.tolist()
