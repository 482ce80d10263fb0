"""Derivatives as numbers: higher orders, shared and unused parts of graphs, broadcasting, mixed dtypes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch


def nth(f: Callable[[Any], Any], x: Any, n: int) -> Any:
    """The n-th derivative of `f` at `x`, by n backwards."""
    y = f(x)
    for _ in range(n):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return y


POINTS = [-1.3, 0.4, 2.0]


@pytest.mark.parametrize("n", range(6))
@pytest.mark.parametrize(
    ("f", "closed"),
    [
        (lambda x: x.sin(), lambda x, n: math.sin(x + n * math.pi / 2)),
        (lambda x: x.cos(), lambda x, n: math.cos(x + n * math.pi / 2)),
        (lambda x: (x * 3).exp(), lambda x, n: 3**n * math.exp(3 * x)),
        (
            lambda x: x * x * x * x * x * 2 - x * x,
            lambda x, n: float(np.polynomial.Polynomial([0, 0, -1, 0, 0, 2]).deriv(n)(x)),
        ),
        (lambda x: x**5, lambda x, n: math.perm(5, n) * x ** (5 - n)),
        (lambda x: 1 / (x + 3), lambda x, n: (-1) ** n * math.factorial(n) * (x + 3) ** (-n - 1)),
        (
            lambda x: (x + 3).log(),
            lambda x, n: (-1) ** (n - 1) * math.factorial(n - 1) * (x + 3) ** -n if n else math.log(x + 3),
        ),
        (lambda x: (x + 3).sqrt(), lambda x, n: math.prod(0.5 - k for k in range(n)) * (x + 3) ** (0.5 - n)),
    ],
    ids=["sin", "cos", "exp", "polynomial", "pow", "reciprocal", "log", "sqrt"],
)
def test_higher_orders_agree_with_closed_forms(
    f: Callable[[Any], Any], closed: Callable[[float, int], float], n: int
) -> None:
    x = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
    np.testing.assert_allclose(
        nth(f, x, n).detach().numpy(), [closed(p, n) for p in POINTS], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("by_x", range(4))
@pytest.mark.parametrize("by_y", range(3))
def test_mixed_derivatives_of_exp_xy(by_x: int, by_y: int) -> None:
    x, y = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.7, -1.1))
    f = (x * y).exp()
    for v in [x] * by_x + [y] * by_y:
        (f,) = torch.autograd.grad(f, v, create_graph=True)
    a, b, m, n = 0.7, -1.1, by_x, by_y  # d^n/dy^n (y^m e^(xy)), by Leibniz
    closed = sum(
        math.comb(n, k) * math.perm(m, k) * b ** (m - k) * a ** (n - k) for k in range(min(m, n) + 1)
    ) * math.exp(a * b)
    assert f.item() == pytest.approx(closed, rel=1e-12)


def test_hessian_times_vector_two_ways() -> None:
    x = torch.tensor([0.3, -0.8, 1.7], dtype=torch.float64, requires_grad=True)
    v = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
    y = (x[0] * x[1]).sin() + (x * x.flip(0)).sum() * x.prod()
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    (directional,) = torch.autograd.grad((g * v).sum(), x, retain_graph=True)
    rows = [torch.autograd.grad(g[i], x, retain_graph=True)[0] for i in range(3)]
    hessian = np.stack([r.numpy() for r in rows])
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-14)
    np.testing.assert_allclose(directional.numpy(), hessian @ v.numpy(), rtol=1e-12)


# --- graphs that part and meet ------------------------------------------------------------------------------

SHARED: dict[str, tuple[Callable[[Any], Any], list[float]]] = {  # at x = [3, 1, 2]
    "diamond": (lambda x: (x * 2) * (x + 1), [14.0, 6.0, 10.0]),
    "diamond of one node": (lambda x: (lambda h: h * h + h)(x * 2), [26.0, 10.0, 18.0]),
    "paths of unlike length": (lambda x: x + ((x * 2) * 2) * 2 + x * 0, [9.0, 9.0, 9.0]),
    "split, one unused": (lambda x: x.split([1, 2])[1] * 5, [0.0, 5.0, 5.0]),
    "split, all used": (lambda x: (lambda a, b, c: a * b + b * c)(*x.split(1)), [1.0, 5.0, 1.0]),
    "split, one used twice": (lambda x: (lambda a, b: b * b + b)(*x.split([1, 2])), [0.0, 3.0, 5.0]),
    "unbind": (lambda x: (lambda a, b, c: a * a + 7 * c)(*x.unbind()), [6.0, 0.0, 7.0]),
    "iteration": (lambda x: sum(v * v for v in x), [6.0, 2.0, 4.0]),
    "unpacking": (lambda x: (lambda a, *rest: a * rest[1])(*x), [2.0, 0.0, 3.0]),
    "sort": (lambda x: x.sort().values[0] * 4, [0.0, 4.0, 0.0]),
    "sort, weighted": (
        lambda x: x.sort(descending=True).values * torch.tensor([1.0, 2.0, 3.0]),
        [1.0, 3.0, 2.0],
    ),
    "max with dim": (lambda x: x.max(dim=0).values * 2, [2.0, 0.0, 0.0]),
    "max and its place": (lambda x: (lambda v, i: v * (i + 3))(*x.max(dim=0)), [3.0, 0.0, 0.0]),
    "topk": (lambda x: x.topk(2).values * torch.tensor([10.0, 1.0]), [10.0, 0.0, 1.0]),
    "cat with itself": (lambda x: torch.cat([x, x * 2, x[:1]]), [4.0, 3.0, 3.0]),
    "index with repetition": (lambda x: x[torch.tensor([0, 0, 2])], [2.0, 0.0, 1.0]),
}


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("recorded", [False, True])
def test_graphs_that_part_and_meet(name: str, recorded: bool) -> None:
    f, expected = SHARED[name]
    x = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
    f(x).sum().backward(create_graph=recorded)
    assert x.grad.tolist() == expected


# --- broadcasting -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3), (3,)),
        ((3,), (2, 3)),
        ((2, 1), (1, 3)),
        ((), (2, 3)),
        ((2, 3), (1, 1)),
        ((1,), (2, 2, 1)),
        ((), (1,)),
        ((0, 3), (3,)),
        ((0, 3), (1, 1)),
    ],
)
@pytest.mark.parametrize(
    "f",
    [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: torch.where(a > b, a * b, b)],
)
@pytest.mark.parametrize("recorded", [False, True])
def test_gradients_have_the_shape_of_their_input(
    shapes: Any, f: Callable[[Any, Any], Any], recorded: bool
) -> None:
    rng = np.random.default_rng(0)
    a, b = (torch.tensor(rng.uniform(0.5, 2, s), dtype=torch.float64, requires_grad=True) for s in shapes)
    y = f(a, b)
    g = torch.tensor(rng.standard_normal(tuple(y.shape)), dtype=torch.float64)
    found = torch.autograd.grad(y, (a, b), g, create_graph=recorded)
    wide = [torch.tensor(np.broadcast_to(v.detach().numpy(), y.shape), requires_grad=True) for v in (a, b)]
    full = torch.autograd.grad(f(*wide), wide, g)
    for v, mine, of_each in zip((a, b), found, full, strict=True):
        assert mine.shape == v.shape and mine.dtype == v.dtype
        extra = y.ndim - v.ndim
        axes = (*range(extra), *(i + extra for i, n in enumerate(v.shape) if n == 1))
        expected = of_each.numpy().sum(axes, keepdims=True).reshape(v.shape)
        np.testing.assert_allclose(mine.detach().numpy(), expected, rtol=1e-12, atol=1e-15)


# --- dtypes -------------------------------------------------------------------------------------------------


def operand(t: Any, kind: str) -> Any:
    """A leaf of a kind such as 'float32 0-d'; a constant where it can have no gradient; or a number."""
    dtype, _, zero_dim = kind.partition(" ")
    if dtype == "number":
        return 2.0
    values = {
        "int64": [1, 2],
        "bool": [True, False],
        "complex64": [1 + 2j, 2 - 1j],
        "complex128": [1 + 2j, 2 - 1j],
    }.get(dtype, [1.5, 2.0])
    x = t.tensor(values[0] if zero_dim else values, dtype=getattr(t, dtype))
    return x.requires_grad_() if dtype.startswith(("float", "complex")) else x


KINDS = [
    "float32",
    "float64",
    "float32 0-d",
    "float64 0-d",
    "int64",
    "int64 0-d",
    "bool",
    "complex64",
    "complex128 0-d",
    "number",
]


def product_grads(t: Any, one: str, two: str, recorded: bool) -> list[Any]:
    a, b = operand(t, one), operand(t, two)
    y = a * b + b
    leaves = [v for v in (a, b) if hasattr(v, "requires_grad") and v.requires_grad]
    if not leaves:
        return []
    weight = t.ones_like(y).detach() * (1 + 1j if y.is_complex() else 3)
    return [y, *t.autograd.grad(y, leaves, weight.to(y.dtype), create_graph=recorded)]


def as_numbers(values: list[Any]) -> list[Any]:
    return [(str(v.dtype), v.detach().tolist()) for v in values]


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (
            "float32",
            "float64",
            [("torch.float64", [3.75, 6.0]), ("torch.float32", [4.5, 6.0]), ("torch.float64", [7.5, 9.0])],
        ),
        (
            "float32",
            "float64 0-d",
            [("torch.float32", [3.75, 4.5]), ("torch.float32", [4.5, 4.5]), ("torch.float64", 16.5)],
        ),
        ("int64", "float32", [("torch.float32", [3.0, 6.0]), ("torch.float32", [6.0, 9.0])]),
        (
            "float32",
            "complex64",
            [
                ("torch.complex64", [2.5 + 5j, 6 - 3j]),
                ("torch.float32", [3.0, 1.0]),
                ("torch.complex64", [2.5 + 2.5j, 3 + 3j]),
            ],
        ),
    ],
)
def test_mixed_dtypes(one: str, two: str, expected: Any) -> None:
    assert as_numbers(product_grads(torch, one, two, False)) == expected


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("one", KINDS)
@pytest.mark.parametrize("two", KINDS)
def test_mixed_dtypes_as_in_pytorch(one: str, two: str, recorded: bool) -> None:
    oracle = pytest.importorskip("torch")
    if one == two == "number":
        return
    assert as_numbers(product_grads(torch, one, two, recorded)) == as_numbers(
        product_grads(oracle, one, two, recorded)
    )


@pytest.mark.parametrize("name", ["relu", "relu6", "leaky_relu", "hardtanh"])
def test_the_gradient_of_a_piecewise_linear_gradient_is_zero(name: str) -> None:
    x = torch.tensor([-1.0, 0.25, 2.0], requires_grad=True)
    (g,) = torch.autograd.grad(getattr(torch.nn.functional, name)(x).sum(), x, create_graph=True)
    (g * g).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_a_leaf_that_changed_its_shape_is_told_so() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.sum()
    x.data = torch.ones(5)
    with pytest.raises(RuntimeError, match=r"a gradient of shape \[3\] arrived at a leaf of shape \[5\]"):
        y.backward()
