"""Checkpoints: the same gradients as without, as often recomputed as in PyTorch."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import plugrad
from tests.programs import BINARY, PURE, UNARY, WRITES, Instruction, programs, run, tried

PROGRAMS: list[Callable[..., Any]] = []
#: What PyTorch refuses, or gets wrong.
OURS: list[Callable[..., Any]] = []


def program(body: Callable[..., Any]) -> Callable[..., Any]:
    """Enter a program: `body(t, check)`, where `check` is the checkpoint of the library `t`, or a mere call."""
    PROGRAMS.append(body)
    return body


def program_of_ours(body: Callable[..., Any]) -> Callable[..., Any]:
    """Enter a program that PyTorch refuses, or gets wrong."""
    OURS.append(body)
    return body


class Runner:
    """The checkpoint of a library; counts the calls of each function."""

    def __init__(self, t: Any, enabled: bool = True) -> None:
        self.t, self.enabled, self.log = t, enabled, {}

    def __call__(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        name = getattr(function, "__name__", "module")

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.log[name] = self.log.get(name, 0) + 1
            return function(*args, **kwargs)

        if self.enabled:
            return checkpoint_of(self.t)(counted, *args, use_reentrant=False, **options)
        for option in ("early_stop", "preserve_rng_state", "context_fn", "determinism_check"):
            options.pop(option, None)
        return counted(*args, **options)


def checkpoint_of(t: Any) -> Any:
    return importlib.import_module(f"{t.__name__}.utils.checkpoint").checkpoint


def leaf(t: Any, *shape: int, start: float = 0.1) -> Any:
    n = int(np.prod(shape))
    return (t.arange(float(n)) * 0.1 + start).reshape(*shape).clone().requires_grad_()


@program
def several_backwards(t: Any, check: Any) -> Any:
    x, w = leaf(t, 2, 3), leaf(t, 3, 3, start=-0.4)

    def block(x: Any, w: Any) -> Any:
        return ((x @ w).tanh() @ w).sigmoid()

    y = check(block, x, w).pow(2).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    return [x.grad, w.grad]


@program
def differentiated_twice(t: Any, check: Any) -> Any:
    x = leaf(t, 3)

    def cube(x: Any) -> Any:
        return (x * x * x).sin()

    (g,) = t.autograd.grad(check(cube, x).sum(), x, create_graph=True)
    (gg,) = t.autograd.grad(g.pow(2).sum(), x)
    return [g, gg]


@program
def checkpoints_in_checkpoints(t: Any, check: Any) -> Any:
    x = leaf(t, 3)

    def innermost(x: Any) -> Any:
        return x.sin().exp().cos()

    def inner(x: Any) -> Any:
        return check(innermost, x.exp()).sin() * x

    def outer(x: Any) -> Any:
        return check(inner, (check(inner, x.cos()) * x).tanh()).exp()

    y = check(outer, x).sum()
    y.backward(retain_graph=True)
    y.backward()
    return [y, x.grad]


@program
def keywords_and_containers(t: Any, check: Any) -> Any:
    x, w, b = leaf(t, 3), leaf(t, 3), leaf(t, 3)

    def function(x: Any, tensors: Any, power: int, *, scale: Any, more: Any) -> Any:
        return {"y": (x * tensors[0]).sin() ** power * scale, "z": [more["b"].exp() * tensors[1][0], "text"]}

    out = check(function, x, (w, [b]), 3, scale=2.5, more={"b": b})
    (out["y"].sum() + out["z"][0].sum()).backward()
    return [x.grad, w.grad, b.grad, len(out["z"])]


@program
def closures_and_outside_tensors(t: Any, check: Any) -> Any:
    x, w = leaf(t, 3), leaf(t, 3)
    h = w.exp()

    def closed(x: Any) -> Any:
        return (x * h).sin() * w

    y = check(closed, x.sin()) + h
    y.sum().backward()
    return [x.grad, w.grad]


@program
def no_argument_requires_grad(t: Any, check: Any) -> Any:
    w, x = leaf(t, 3), t.arange(3.0)

    def closed(x: Any) -> Any:
        return (x * w).sin() * 2

    check(closed, x).sum().backward()
    return [w.grad]


@program
def without_grad(t: Any, check: Any) -> Any:
    x = leaf(t, 3)

    def function(x: Any) -> Any:
        return x.exp()

    with t.no_grad():
        y = check(function, x)
    return [y, y.requires_grad]


@program
def writes_inside(t: Any, check: Any) -> Any:
    x = leaf(t, 4)

    def writing(x: Any) -> Any:
        h = x * 0.3
        h.add_(0.5)
        h[1:3].mul_(x[:2])
        h.exp_()
        return h.cos()

    y = check(writing, x)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    return [y, x.grad]


@program_of_ours
def writes_over_what_was_saved(t: Any, check: Any) -> Any:
    x = leaf(t, 4)

    def overwriting(x: Any) -> Any:
        h = x * 2
        y = h.sin()
        h += y
        z = h.exp()
        h[:2] = y[2:]
        y.zero_()
        return z * h.cos()

    y = check(overwriting, x)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    return [y, x.grad]


@program_of_ours
def writes_into_an_argument(t: Any, check: Any) -> Any:
    x, w = leaf(t, 4), leaf(t, 4)
    h, state = x * 2, t.zeros(4)

    def into(h: Any, state: Any) -> Any:
        y = h.sin()
        h.mul_(w)
        h[1:3] += 1
        state += h.detach()
        return y * h.exp() * state

    y = check(into, h, state)
    state.fill_(9)
    (y.sum() + h.sum()).backward(retain_graph=True)
    y.sum().backward()
    return [y, x.grad, w.grad, state]


@program_of_ours
def writes_into_an_argument_of_a_checkpoint_inside(t: Any, check: Any) -> Any:
    x = leaf(t, 4)

    def into(v: Any) -> Any:
        v.mul_(3)
        return v.sin()

    def outer(x: Any) -> Any:
        h = x.exp()
        y = h * h
        return check(into, h) * y

    y = check(outer, x)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    return [y, x.grad]


@program_of_ours
def an_argument_that_is_written_afterwards(t: Any, check: Any) -> Any:
    x = leaf(t, 4)
    h, more = x.exp(), t.ones(4)

    def function(h: Any, others: Any) -> Any:
        return h.sin() * others["more"]

    y = check(function, h, {"more": more})
    h.zero_()
    more.zero_()
    with t.no_grad():
        x.fill_(5)
    y.sum().backward()
    return [y, x.grad]


@program
def several_outputs_and_parts_of_the_graph(t: Any, check: Any) -> Any:
    x, w = leaf(t, 3), leaf(t, 3)

    def two(x: Any, w: Any) -> Any:
        return x.sin() * x, (w.exp() * x).cos()

    a, b = check(two, x, w)
    first = t.autograd.grad(a.sum(), x, retain_graph=True)[0]
    b.sum().backward()
    return [first, x.grad, w.grad]


@program
def random_numbers(t: Any, check: Any) -> Any:
    t.manual_seed(7)
    x = leaf(t, 50)

    def noisy(x: Any) -> Any:
        h = x.sin() * t.rand(50)
        return t.nn.functional.dropout(h, 0.4, True).exp() * t.randn(50)

    y = check(noisy, check(noisy, x))
    between = t.rand(2)
    y.sum().backward()
    return [y, x.grad, between, t.rand(3)]


@program
def a_network(t: Any, check: Any) -> Any:
    t.manual_seed(3)
    net = t.nn.Sequential(t.nn.Linear(3, 8), t.nn.Dropout(0.3), t.nn.ReLU(), t.nn.Linear(8, 2))
    x = leaf(t, 5, 3)
    check(net, x).pow(2).mean().backward()
    return [x.grad, *(p.grad for p in net.parameters())]


@program
def all_of_the_function(t: Any, check: Any) -> Any:
    x = leaf(t, 3)

    def end(y: Any) -> Any:
        return y + 1

    def long(x: Any) -> Any:
        return check(end, x.sin() * x)

    check(long, x, early_stop=False).sum().backward()
    check(long, x).sum().backward()
    return [x.grad]


@program
def backward_inside(t: Any, check: Any) -> Any:
    x = leaf(t, 3)

    def inside(x: Any) -> Any:
        y = x.sin()
        z = y.cos()
        (gx,) = t.autograd.grad(z.sum(), x, retain_graph=True)
        return x.cos() * gx * z

    check(inside, x).sum().backward()
    return [x.grad]


@program
def backward_inside_that_frees(t: Any, check: Any) -> Any:
    x = leaf(t, 3)

    def inside(x: Any) -> Any:
        (gx,) = t.autograd.grad(x.sin().cos().sum(), x)
        return x.cos() * gx

    check(inside, x).sum().backward()
    check(inside, x, early_stop=False).sum().backward()
    return [x.grad]


@program
def views_of_an_argument(t: Any, check: Any) -> Any:
    x = leaf(t, 2, 3)

    def viewing(x: Any) -> Any:
        a, b = x.unbind(0)
        return (a * b).sin() @ x.t().exp()[:, 0] * x[0, 1]

    y = check(viewing, (x * 2).t().t())
    y.sum().backward()
    return [x.grad]


@program
def a_function_of_the_users(t: Any, check: Any) -> Any:
    class Cube(t.autograd.Function):  # type: ignore[name-defined, misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    x = leaf(t, 3)

    def custom(x: Any) -> Any:
        return Cube.apply(x.sin()).exp()

    check(custom, x).sum().backward()
    return [x.grad]


@program
def linear_ops_save_nothing(t: Any, check: Any) -> Any:
    x = leaf(t, 3)

    def linear(x: Any) -> Any:
        return x + x - 1

    check(linear, x).sum().backward()
    return [x.grad]


@program
def dtypes_that_are_promoted(t: Any, check: Any) -> Any:
    x, y = leaf(t, 3), leaf(t, 3, start=1.0).detach().double().requires_grad_()

    def mixed(x: Any, y: Any) -> Any:
        return (x * y).sin() / (t.arange(3) + x)

    check(mixed, x, y).sum().backward()
    return [x.grad, y.grad]


@program_of_ours
def in_transforms(t: Any, check: Any) -> Any:
    x = leaf(t, 2, 3).detach()

    def function(x: Any) -> Any:
        return x.sin().exp()

    def loss(x: Any) -> Any:
        return check(function, x).sum()

    first = t.func.grad(loss)(x)
    second = t.func.vmap(t.func.grad(loss))(x)
    hessian = t.func.hessian(loss)(x[0])
    return [first, second, hessian]


def values(results: Any) -> list[Any]:
    return [r.detach().numpy() if hasattr(r, "detach") else r for r in results]


def alike(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)


@pytest.mark.parametrize("body", PROGRAMS + OURS, ids=lambda body: body.__name__)
def test_as_without_a_checkpoint(body: Callable[..., Any]) -> None:
    alike(values(body(plugrad, Runner(plugrad))), values(body(plugrad, Runner(plugrad, enabled=False))))


@pytest.mark.parametrize("body", PROGRAMS, ids=lambda body: body.__name__)
def test_as_in_pytorch_and_as_often_recomputed(body: Callable[..., Any]) -> None:
    torch = pytest.importorskip("torch")
    check, oracle = Runner(plugrad), Runner(torch)
    alike(values(body(plugrad, check)), values(body(torch, oracle)))
    if body is several_outputs_and_parts_of_the_graph:
        assert (check.log, oracle.log) == ({"two": 2}, {"two": 3})  # ours reads what the first backward left
    else:
        assert check.log == oracle.log


class EachOp:
    """plugrad, with every op of random programs in a checkpoint of its own."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(plugrad, name)
        return functools.partial(check, function) if name in UNARY or name in BINARY else function


check = importlib.import_module("plugrad.utils.checkpoint").checkpoint
BODIES: dict[str, Callable[..., Any]] = {
    "the whole": lambda program, x: check(run, plugrad, program, x),
    "each op": lambda program, x: run(EachOp(), program, x),
    "both": lambda program, x: check(run, EachOp(), program, x),
}


@tried(40)
@given(programs(*PURE, *WRITES))
def test_random_programs(instructions: list[Instruction]) -> None:
    def gradients(body: Callable[..., Any]) -> list[Any]:
        x = leaf(plugrad, 3, 3).detach().double().requires_grad_()
        y = body(instructions, x)
        y.backward(retain_graph=True)
        first = x.grad.clone()
        y.backward()
        return values([y, first, x.grad])

    try:
        expected = gradients(lambda program, x: run(plugrad, program, x))
    except RuntimeError as error:  # the program writes what must not be written
        with pytest.raises(type(error)):
            gradients(BODIES["the whole"])
        return
    for body in BODIES.values():
        alike(gradients(body), expected)
