"""Custom Functions under vmap: their own rule, the generated one, in and under reverse and forward mode."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad


def functions(t: Any) -> tuple[Any, Any]:
    """x · y and Σ x with a backward and a jvp that are wrong by a factor, so that one sees who computed: by the rule
    that is generated, and by one of their own."""

    class Product(t.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any, y: Any) -> Any:
            return x * y, x.sum()

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)
            ctx.factor = 3.0

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            x, y = ctx.saved_tensors
            return g * y * ctx.factor + h * t.ones_like(x), g * x * ctx.factor

        @staticmethod
        def jvp(ctx: Any, a: Any, b: Any) -> Any:
            x, y = ctx.saved_tensors
            return (a * y + b * x) * ctx.factor, a.sum()

    class OwnRule(Product):
        generate_vmap_rule = False

        @staticmethod
        def vmap(info: Any, in_dims: Any, x: Any, y: Any) -> Any:
            x = x.expand(info.batch_size, *x.shape) if in_dims[0] is None else x.movedim(in_dims[0], 0)
            y = y.expand(info.batch_size, *y.shape) if in_dims[1] is None else y.movedim(in_dims[1], 0)
            return ((x * y).movedim(0, -1), x.sum(-1)), (-1, 0)

    return Product, OwnRule


def arrays(t: Any) -> Any:
    rng = np.random.default_rng(0)
    return [t.tensor(rng.standard_normal(s)) for s in [(3, 2), (3, 2), (2,)]]


def number(f: Any) -> Callable[..., Any]:
    """A number made of both outputs."""
    return lambda a, b: (lambda p: p[0].sum() + 2 * p[1] * p[1])(f.apply(a, b))


def backward(t: Any, f: Any) -> Any:
    x, _, v = arrays(t)
    x, v = x.requires_grad_(), v.requires_grad_()
    t.func.vmap(number(f), in_dims=(0, None))(x, v).sum().backward()
    return x.grad, v.grad


PROGRAMS: dict[str, Callable[[Any, Any, Any, Any, Any], Any]] = {
    "both batched": lambda t, f, x, y, v: t.func.vmap(f.apply)(x, y),
    "first batched": lambda t, f, x, y, v: t.func.vmap(f.apply, in_dims=(0, None))(x, v),
    "second batched": lambda t, f, x, y, v: t.func.vmap(f.apply, in_dims=(None, 0))(v, y),
    "another dimension": lambda t, f, x, y, v: t.func.vmap(f.apply, in_dims=1, out_dims=(1, 0))(x, y),
    "grad inside": lambda t, f, x, y, v: t.func.vmap(t.func.grad(number(f), argnums=(0, 1)), in_dims=(0, None))(x, v),
    "grad of vmap": lambda t, f, x, y, v: t.func.grad(
        lambda a, b: t.func.vmap(number(f), in_dims=(0, None))(a, b).sum(), argnums=(0, 1))(x, v),
    "backward of vmap": lambda t, f, x, y, v: backward(t, f),
    "jvp of vmap": lambda t, f, x, y, v: t.func.jvp(
        lambda a, b: t.func.vmap(number(f), in_dims=(0, None))(a, b), (x, v), (y, v + 1)),
    "jvp inside": lambda t, f, x, y, v: t.func.vmap(
        lambda a, d: t.func.jvp(lambda q: number(f)(q, v), (a,), (d,)))(x, y),
    "jacrev": lambda t, f, x, y, v: t.func.jacrev(lambda a: f.apply(a, v)[0])(v + 1),
    "jacfwd": lambda t, f, x, y, v: t.func.jacfwd(lambda a: f.apply(a, v)[0])(v + 1),
    "nested": lambda t, f, x, y, v: t.func.vmap(t.func.vmap(f.apply), in_dims=(0, None))(t.stack([x, y]), y),
    "second order": lambda t, f, x, y, v: t.func.grad(
        lambda a: t.func.grad(lambda q: t.func.vmap(number(f), in_dims=(0, None))(q, v).sum())(a).pow(2).sum())(x),
    "nothing batched": lambda t, f, x, y, v: t.func.vmap(lambda a: f.apply(v, v)[0] + a)(x),
}  # fmt: skip


def flat(result: Any) -> list[np.ndarray]:
    if isinstance(result, (tuple, list)):
        return [y for part in result for y in flat(part)]
    return [result.detach().numpy()]


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("own", [False, True])
def test_programs_equal_pytorch_s(name: str, own: bool) -> None:
    oracle = pytest.importorskip("torch")
    found, expected = (flat(PROGRAMS[name](t, functions(t)[own], *arrays(t))) for t in (plugrad, oracle))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_the_author_s_backward_computes_inside_and_outside() -> None:
    f, (x, y, v) = functions(plugrad)[0], arrays(plugrad)
    inside = plugrad.func.vmap(plugrad.func.grad(lambda a: f.apply(a, v)[0].sum()))(x)
    np.testing.assert_allclose(inside.numpy(), np.broadcast_to(3 * v.numpy(), (3, 2)))
    x.requires_grad_()
    plugrad.func.vmap(lambda a, b: f.apply(a, b)[0])(x, y).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * y.numpy())


class Bare(plugrad.autograd.Function):
    """Without a rule."""

    @staticmethod
    def forward(x: Any) -> Any:
        return x * 2

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass


class Both(Bare):
    generate_vmap_rule = True
    vmap = staticmethod(lambda info, dims, x: (x, 0))


class Combined(plugrad.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2


class OneReturn(Bare):
    vmap = staticmethod(lambda info, dims, x: x)


class Misfit(Bare):
    vmap = staticmethod(lambda info, dims, x: (x * 2, (0, 0)))


class NoBatch(Bare):
    vmap = staticmethod(lambda info, dims, x: (x[:1], 0))


class Dirty(Bare):
    generate_vmap_rule = True
    setup_context = staticmethod(lambda ctx, inputs, output: ctx.mark_dirty(*inputs))


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (Bare, RuntimeError, "You tried to vmap over Bare, but it does not have vmap support"),
        (Both, RuntimeError, "it has both generate_vmap_rule=True and an overridden vmap staticmethod"),
        (
            Combined,
            RuntimeError,
            "Combined: In order to use an autograd.Function with functorch transforms",
        ),
        (OneReturn, RuntimeError, "Expected the vmap staticmethod of OneReturn to have two returns"),
        (Misfit, RuntimeError, "Misfit.vmap: returned an incompatible (output, out_dims)"),
        (NoBatch, RuntimeError, "NoBatch.vmap: out_dims says 0 for an output of shape [1, 2]"),
        (Dirty, NotImplementedError, "mark_dirty under vmap is not supported: return a new tensor"),
    ],
)
def test_errors(function: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        plugrad.func.vmap(function.apply)(plugrad.ones(3, 2))
