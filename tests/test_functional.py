"""autograd.functional: against finite differences, and PyTorch where it is installed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.autograd import functional as F

X = np.array([0.5, -1.2, 2.0])
Y = np.array([[1.0, 0.3, -0.7], [0.2, 1.5, 0.9]])

#: name: (function, inputs); `t` is the library.
FUNCTIONS: dict[str, tuple[Callable[..., Any], Any]] = {
    "one to one": (lambda t: lambda x: x.sin() * x, X),
    "to a matrix": (lambda t: lambda x: x.exp() * x.reshape(3, 1), X),
    "to a number": (lambda t: lambda x: (x**3).sum(), X),
    "two inputs": (lambda t: lambda x, y: (y @ x) * x[0], (X, Y)),
    "a tuple of one": (lambda t: lambda x: x * x[1], (X,)),
    "two outputs": (lambda t: lambda x, y: (y @ x, x.prod()), (X, Y)),
    "an input unused": (lambda t: lambda x, y: x.cos(), (X, Y)),
    "an output constant": (lambda t: lambda x: (x * x, t.ones(2, dtype=t.float64)), X),
    "written in place": (lambda t: lambda x: _filled(t, x), X),
    "linear": (lambda t: lambda x: x * 3, X),
}

#: Functions that return one number.
NUMBERS: dict[str, tuple[Callable[..., Any], Any]] = {
    "cubes": (lambda t: lambda x: (x**3).sum(), X),
    "of two": (lambda t: lambda x, y: (y @ x).exp().sum() * x[1], (X, Y)),
    "one element": (lambda t: lambda x: (x.sin() * x[0]).sum().reshape(1), X),
    "linear": (lambda t: lambda x: (x * 3).sum(), X),
    "of a tuple of one": (lambda t: lambda x: x.prod(), (X,)),
    "an input unused": (lambda t: lambda x, y: x.prod(), (X, Y)),
}


def _filled(t: Any, x: Any) -> Any:
    y = t.zeros(3, dtype=t.float64)
    y[0] = x[1] * x[2]
    y[1:] = x[:2].exp()
    return y


def tensors(t: Any, arrays: Any, **options: Any) -> Any:
    if isinstance(arrays, tuple):
        return tuple(t.tensor(a, **options) for a in arrays)
    return t.tensor(arrays, **options)


def plain(result: Any) -> Any:
    return tuple(map(plain, result)) if isinstance(result, (tuple, list)) else result.detach().numpy()


def same(found: Any, expected: Any) -> None:
    assert isinstance(found, tuple) == isinstance(expected, tuple)
    if isinstance(found, tuple):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            same(a, b)
    else:
        assert found.shape == expected.shape and found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def numerical(f: Callable[..., Any], arrays: Any) -> Any:
    """The Jacobian by central differences, in the structure of `jacobian`."""
    xs = arrays if isinstance(arrays, tuple) else (arrays,)
    y0 = plain(f(*tensors(torch, xs)))
    outputs = y0 if isinstance(y0, tuple) else (y0,)
    blocks = [[np.zeros((*y.shape, *x.shape)) for x in xs] for y in outputs]
    for k, x in enumerate(xs):
        for i in np.ndindex(x.shape):
            sides = []
            for step in (1e-6, -1e-6):
                moved = [a.copy() for a in xs]
                moved[k][i] += step
                y = plain(f(*tensors(torch, tuple(moved))))
                sides.append(y if isinstance(y, tuple) else (y,))
            for j in range(len(outputs)):
                blocks[j][k][(..., *i)] = (sides[0][j] - sides[1][j]) / 2e-6
    rows = [tuple(b) if isinstance(arrays, tuple) else b[0] for b in blocks]
    return tuple(rows) if isinstance(y0, tuple) else rows[0]


WAYS: list[dict[str, Any]] = [{}, {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobian(name: str) -> None:
    make, arrays = FUNCTIONS[name]
    expected = numerical(make(torch), arrays)
    for way in WAYS:
        found = plain(F.jacobian(make(torch), tensors(torch, arrays), **way))
        _near(found, expected)


def _near(found: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        assert isinstance(found, tuple) and len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            _near(a, b)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", NUMBERS)
def test_hessian_is_the_jacobian_of_the_gradient(name: str) -> None:
    make, arrays = NUMBERS[name]
    several = isinstance(arrays, tuple)
    gradient = lambda *xs: torch.func.grad(
        lambda *v: make(torch)(*v).sum(), tuple(range(len(xs))) if several else 0
    )(*xs)
    expected = numerical(gradient, arrays)
    for way in ({}, {"vectorize": True}, {"vectorize": True, "outer_jacobian_strategy": "forward-mode"}):
        _near(plain(F.hessian(make(torch), tensors(torch, arrays), **way)), expected)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("create_graph", [False, True])
def test_functions_equal_pytorch_s(name: str, create_graph: bool) -> None:
    oracle = pytest.importorskip("torch")
    make, arrays = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    results = []
    for t, door in ((torch, F), (oracle, oracle.autograd.functional)):
        rng = np.random.default_rng(0)
        f, xs = make(t), tensors(t, arrays, requires_grad=create_graph)
        ys = f(*xs) if isinstance(xs, tuple) else f(xs)
        draw = lambda like: t.tensor(rng.standard_normal(tuple(like.shape)))  # noqa: B023
        v = tuple(map(draw, ys)) if isinstance(ys, tuple) else draw(ys)
        w = tuple(map(draw, xs)) if isinstance(xs, tuple) else draw(xs)
        options = {"create_graph": create_graph}
        found = [
            door.vjp(f, xs, v, **options),
            door.jvp(f, xs, w, **options),
            door.jacobian(f, xs, **options),
        ]
        found.append(door.jacobian(f, xs, vectorize=True, **options))
        flat = _flat(found)
        results.append((plain(found), [y.requires_grad for y in flat]))
        if create_graph:
            total = sum((y * y).sum() for y in flat if y.requires_grad)
            results[-1] += (plain(t.autograd.grad(total, xs, allow_unused=True, materialize_grads=True)),)
    same(results[0][0], results[1][0])
    if create_graph:
        same(results[0][2], results[1][2])
    assert create_graph or not any(results[0][1])


def _flat(tree: Any) -> list[Any]:
    return [y for part in tree for y in _flat(part)] if isinstance(tree, (tuple, list)) else [tree]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("create_graph", [False, True])
def test_second_derivatives_equal_pytorch_s(name: str, create_graph: bool) -> None:
    oracle = pytest.importorskip("torch")
    make, arrays = NUMBERS[name]
    results = []
    for t, door in ((torch, F), (oracle, oracle.autograd.functional)):
        rng = np.random.default_rng(0)
        f, xs = make(t), tensors(t, arrays, requires_grad=create_graph)
        draw = lambda like: t.tensor(rng.standard_normal(tuple(like.shape)))  # noqa: B023
        v = tuple(map(draw, xs)) if isinstance(xs, tuple) else draw(xs)
        options = {"create_graph": create_graph}
        if name == "an input unused" and t is oracle:  # PyTorch raises in hvp there
            found = [door.hessian(f, xs, **options)]
        else:
            found = [
                door.hvp(f, xs, v, **options),
                door.vhp(f, xs, v, **options),
                door.hessian(f, xs, **options),
            ]
        results.append(plain(found if name != "an input unused" else found[-1:]))
    same(*results)


def twice(x: Any) -> Any:
    return 2 * x


BAD: dict[str, tuple[type[Exception], str, Callable[[Any, Any], Any]]] = {
    "no tensor": (
        TypeError, "The inputs given to jacobian must be either a Tensor or a tuple", lambda t, f: f.jacobian(twice, 3.0)
    ),
    "no tensor in a tuple": (
        TypeError, "the value at index 1 has type", lambda t, f: f.vjp(lambda x, y: x, (t.ones(2), 1), t.ones(2))
    ),
    "no tensor returned": (
        TypeError, "The outputs of the user-provided function given to vjp must be", lambda t, f: f.vjp(lambda x: 3, t.ones(2))
    ),
    "a list returned": (
        TypeError, "must be either a Tensor or a tuple of Tensors but the given outputs of the user-provided function has type",
        lambda t, f: f.jacobian(lambda x: [x, x], t.ones(2)),
    ),
    "a list": (TypeError, "but the given inputs has type", lambda t, f: f.jvp(twice, [t.ones(2)], [t.ones(2)])),
    "forward, with a graph and strict": (
        NotImplementedError, "`create_graph=True`",
        lambda t, f: f.jacobian(twice, t.ones(2), create_graph=True, strict=True, strategy="forward-mode", vectorize=True),
    ),
    "vjp without v": (
        RuntimeError, "The vector v can only be None if the user-provided function returns a single Tensor with a single element",
        lambda t, f: f.vjp(twice, t.ones(2)),
    ),
    "jvp without v": (
        RuntimeError, "The vector v can only be None if the input to the user-provided function is a single Tensor",
        lambda t, f: f.jvp(twice, t.ones(2)),
    ),
    "v of another shape": (
        RuntimeError, "v has invalid size: should be", lambda t, f: f.vjp(twice, t.ones(2), t.ones(3))
    ),
    "v of another shape in a tuple": (
        RuntimeError, "Entry 0 in v has invalid size: should be", lambda t, f: f.jvp(twice, (t.ones(2),), (t.ones(3),))
    ),
    "too many v": (
        RuntimeError, "should contain a single Tensor", lambda t, f: f.vjp(twice, t.ones(2), (t.ones(2), t.ones(2)))
    ),
    "hessian of several": (
        RuntimeError, "should return a single Tensor", lambda t, f: f.hessian(lambda x: (x.sum(), x.sum()), t.ones(2))
    ),
    "hessian of a vector": (
        RuntimeError, "should contain a single element", lambda t, f: f.hessian(twice, t.ones(2))
    ),
    "strict and independent": (
        RuntimeError, "independent of input 1", lambda t, f: f.jacobian(lambda x, y: x * x, (t.ones(2), t.ones(2)), strict=True)
    ),
    "strict and constant": (
        RuntimeError, "Output 0 of the user-provided function does not require gradients",
        lambda t, f: f.vjp(lambda x: t.ones(1), t.ones(2), strict=True),
    ),
    "strict and linear": (
        RuntimeError, "independent of the input. This is not allowed in strict mode",
        lambda t, f: f.hessian(lambda x: (2 * x).sum(), t.ones(2), strict=True),
    ),
    "strict and vectorized": (
        RuntimeError, "are not supported together", lambda t, f: f.jacobian(twice, t.ones(2), strict=True, vectorize=True)
    ),
    "strict and forward": (
        RuntimeError, "are not supported together",
        lambda t, f: f.jacobian(twice, t.ones(2), strict=True, strategy="forward-mode"),
    ),
    "forward, one by one": (
        NotImplementedError, "only implemented for `vectorize=True`",
        lambda t, f: f.jacobian(twice, t.ones(2), strategy="forward-mode"),
    ),
    "forward with a graph": (
        NotImplementedError, '`create_graph=True` and `strategy="forward-mode"` are not supported',
        lambda t, f: f.jacobian(twice, t.ones(2), create_graph=True, vectorize=True, strategy="forward-mode"),
    ),
    "unknown strategy": (
        AssertionError, "Expected strategy to be either", lambda t, f: f.jacobian(twice, t.ones(2), strategy="sideways")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_errors(name: str) -> None:
    error, text, act = BAD[name]
    with pytest.raises(error, match=re.escape(text)):
        act(torch, F)


@pytest.mark.parametrize("name", BAD)
def test_errors_are_of_pytorch_s_class(name: str) -> None:
    oracle = pytest.importorskip("torch")
    error, _, act = BAD[name]
    with pytest.raises(error):
        act(oracle, oracle.autograd.functional)


def test_leaves_and_modes_stay_as_they_were() -> None:
    x = torch.tensor(X, requires_grad=True)
    with torch.no_grad():
        y, g = F.vjp(lambda v: (v * v).sum(), x)
        assert not torch.is_grad_enabled()
    assert x.grad is None and not y.requires_grad and not g.requires_grad
    np.testing.assert_allclose(g.numpy(), 2 * X)


def test_empty_outputs_and_inputs() -> None:
    for way in WAYS:
        assert F.jacobian(lambda x: x[:0] * 2, torch.ones(3), **way).shape == (0, 3)
        assert F.jacobian(lambda x: x.sum(), torch.ones(0), **way).shape == (0,)
