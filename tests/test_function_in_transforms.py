"""A custom `Function` under every sequence of transforms, whatever its author keeps, and where: derivatives are those of ops."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

import plugrad as torch
from plugrad.autograd import forward_ad as fwAD
from plugrad.func import grad, jvp, linearize, vmap

ONE = torch.ones((), dtype=torch.float64)


def product(keep: str) -> Callable[[Any, Any], Any]:
    """`exp(x² y) * (x + y)`, of which a Function computes the factors; `keep` is how it keeps inputs and an output."""

    class Factors(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any, y: Any) -> Any:
            return (x * x * y).exp(), x + y

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            if keep == "saved":
                ctx.save_for_backward(*inputs, output[0])
                ctx.save_for_forward(*inputs, output[0])
            elif keep == "attributes":
                (ctx.x, ctx.y), ctx.exp = inputs, output[0]
            else:
                ctx.all = {"inputs": inputs, "exp": [output[0]]}

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            x, y, exp = kept(ctx)
            return 2 * x * y * exp * g + h, x * x * exp * g + h

        @staticmethod
        def jvp(ctx: Any, s: Any, t: Any) -> Any:
            x, y, exp = kept(ctx)
            return 2 * x * y * exp * s + x * x * exp * t, s + t

    def kept(ctx: Any) -> Any:
        if keep == "saved":
            return ctx.saved_tensors
        return (ctx.x, ctx.y, ctx.exp) if keep == "attributes" else (*ctx.all["inputs"], *ctx.all["exp"])

    def f(x: Any, y: Any) -> Any:
        exp, both = Factors.apply(x, y)
        return exp * both

    return f


def by_hand(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The derivative of `f` by dual numbers."""

    def derivative(a: Any) -> Any:
        with fwAD.dual_level():
            value, tangent = fwAD.unpack_dual(f(fwAD.make_dual(a, ONE)))
            return 0 * value if tangent is None else tangent

    return derivative


TRANSFORMS: dict[str, Callable[[Any], Callable[[Any], Any]]] = {
    "jvp": lambda f: lambda a: jvp(f, (a,), (ONE,))[1],
    "dual": by_hand,
    "grad": lambda f: grad(f),
    "linearize": lambda f: lambda a: linearize(f, a)[1](ONE),
    "vmap": lambda f: lambda a: vmap(f)(torch.stack([a, a]))[1],
}


def under(f: Callable[[Any, Any], Any], path: Any, x: Any, y: Any) -> Any:
    """`f` under the transforms of `path`, each with respect to one of the two arguments."""
    if not path:
        return f(x, y)
    (name, argument), rest = path[0], path[1:]
    if argument == "x":
        return TRANSFORMS[name](lambda a: under(f, rest, a, y))(x)
    return TRANSFORMS[name](lambda a: under(f, rest, x, a))(y)


@pytest.mark.parametrize("keep", ["saved", "attributes", "containers"])
@pytest.mark.parametrize("outermost", TRANSFORMS)
def test_derivatives_in_each_other(outermost: str, keep: str) -> None:
    x, y = 1.5 * ONE, 0.7 * ONE
    steps = list(itertools.product(TRANSFORMS, "xy"))
    for path in itertools.product([(outermost, "x")], steps, steps):
        if sum(name == "dual" for name, _ in path) < 2:  # there is one level of dual numbers
            want = under(lambda x, y: (x * x * y).exp() * (x + y), path, x, y)
            assert under(product(keep), path, x, y).item() == pytest.approx(want.item()), path
