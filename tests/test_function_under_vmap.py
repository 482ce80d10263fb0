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


# --- what the generated rule keeps from one method to the next -------------------------------------------------


def custom(t: Any, **members: Any) -> Any:
    """A Function called Custom of plain functions."""
    members = {k: staticmethod(v) if callable(v) else v for k, v in members.items()}
    return type("Custom", (t.autograd.Function,), {"generate_vmap_rule": True, **members})


def _clamped(t: Any) -> Any:
    """Keeps a tensor as an attribute, and another in a container."""

    def setup(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mask, ctx.more = inputs[0] > 0, {"doubled": [inputs[0] * 2, "text"]}

    return custom(
        t, forward=lambda x: x.clamp(min=0), setup_context=setup,
        backward=lambda ctx, g: ctx.mask * g + 0 * ctx.more["doubled"][0],
    )  # fmt: skip


def _sorted(t: Any) -> Any:
    """Saves an output that needs no gradient."""

    def setup(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    def backward(ctx: Any, g: Any, _: Any) -> Any:
        (order,) = ctx.saved_tensors
        return t.zeros_like(g).scatter(0, order, g)

    return custom(
        t, forward=lambda x: (x.sort()[0], x.argsort()), setup_context=setup, backward=backward
    )  # fmt: skip


def _unmaterialized(t: Any) -> Any:
    """Gets None for an output that nobody uses."""

    def backward(ctx: Any, g: Any, h: Any) -> Any:
        return (0 if g is None else g) + (0 if h is None else 5 * h)

    return custom(
        t, forward=lambda x: (x * 1, x * 2),
        setup_context=lambda ctx, inputs, output: ctx.set_materialize_grads(False), backward=backward,
    )  # fmt: skip


def _product(t: Any) -> Any:
    """Saves inputs and an output; its backward is differentiable."""

    def backward(ctx: Any, g: Any, h: Any) -> Any:
        x, y, product = ctx.saved_tensors
        return y * g + h + 0 * product, x * g + h

    return custom(
        t, forward=lambda x, y: (x * y, x + y),
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs, output[0]), backward=backward,
    )  # fmt: skip


def _expanded(t: Any) -> Any:
    """Returns a gradient with one more dimension, which adds up."""
    return custom(
        t, forward=lambda x: x * t.ones(2, 3, dtype=t.float64), setup_context=lambda *_: None,
        backward=lambda ctx, g: g,
    )  # fmt: skip


def _squares(y: Any) -> Any:
    return sum((v * v).sum() for v in (y if isinstance(y, tuple) else (y,)) if v.is_floating_point())


def _each_way(t: Any, make: Any, *inputs: Any) -> list[Any]:
    """Values, gradients through vmap, and inside of it, also with one input that all share."""
    f, vmap = make(t), t.func.vmap
    found: list[Any] = []
    shared = [t.tensor(x[0]) for x in inputs[1:]]
    for xs, dims in (
        ([t.tensor(x) for x in inputs], 0),
        ([t.tensor(inputs[0]), *shared], (0, *[None] * len(shared))),
    ):
        found.append(vmap(f.apply, in_dims=dims)(*xs))
        leaves = [x.requires_grad_() for x in xs]
        y = vmap(lambda *a: _squares(f.apply(*a)), in_dims=dims)(*leaves).sum()
        first = t.autograd.grad(y, leaves, create_graph=True)
        found.append(first)
        xs = [x.detach() for x in xs]
        total = lambda *a: _squares(f.apply(*a))
        found.append(vmap(t.func.grad(total, argnums=tuple(range(len(xs)))), in_dims=dims)(*xs))
    return found


def _arrays_in(tree: Any) -> list[Any]:
    if isinstance(tree, (tuple, list)):
        return [a for part in tree for a in _arrays_in(part)]
    return [tree.detach().numpy()]


@pytest.mark.parametrize("make", [_clamped, _sorted, _unmaterialized, _product, _expanded])
def test_the_generated_rule_gives_what_it_gives_in_pytorch(make: Any) -> None:
    oracle = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    inputs = [rng.standard_normal((4, 3)) for _ in range(2 if make is _product else 1)]
    found, expected = (_arrays_in(_each_way(t, make, *inputs)) for t in (plugrad, oracle))
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_levels_in_each_other_keep_their_notes_apart() -> None:
    t, f = plugrad, _product(plugrad)
    rng = np.random.default_rng(2)
    x, y = (t.tensor(rng.standard_normal(s), requires_grad=True) for s in ((4, 3), (5, 3)))
    outer = lambda g: t.func.vmap(lambda x: t.func.vmap(lambda y: _squares(g(x, y)))(y))(x).sum()
    found = t.autograd.grad(outer(f.apply), (x, y), create_graph=True)
    expected = t.autograd.grad(outer(lambda x, y: (x * y, x + y)), (x, y), create_graph=True)
    for a, b in zip(found, expected, strict=True):
        assert a.allclose(b)
    second, wanted = (t.autograd.grad(sum((g**2).sum() for g in gs), (x, y)) for gs in (found, expected))
    for a, b in zip(second, wanted, strict=True):
        assert a.allclose(b)


def test_once_differentiable_under_vmap() -> None:
    t = plugrad
    f = custom(
        t, forward=lambda x: x * x, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
        backward=t.autograd.function.once_differentiable(lambda ctx, g: 2 * ctx.saved_tensors[0] * g),
    )  # fmt: skip
    x = t.tensor([1.0, 2.0], requires_grad=True)
    assert t.func.vmap(t.func.grad(f.apply))(x.detach()).tolist() == [2, 4]
    (g,) = t.autograd.grad(t.func.vmap(f.apply)(x).sum(), x, create_graph=True)
    assert g.tolist() == [2, 4]
    for again in (
        lambda: t.autograd.grad(g.sum(), x),
        lambda: t.func.vmap(t.func.grad(t.func.grad(f.apply)))(x.detach()),
    ):
        with pytest.raises(RuntimeError, match=r"marked with @once_differentiable: .*Custom"):
            again()


def test_random_numbers_in_a_function_under_vmap() -> None:
    t = plugrad
    f = custom(
        t, forward=lambda x: x * 0 + t.rand(20), setup_context=lambda *_: None, backward=lambda ctx, g: g
    )
    x = t.ones(3, 20)
    different, alike = (t.func.vmap(f.apply, randomness=r)(x) for r in ("different", "same"))
    assert (different[0] != different[1]).any() and (alike[0] == alike[1]).all()
    with pytest.raises(RuntimeError, match="randomness error mode"):
        t.func.vmap(f.apply)(x)


def test_a_vmap_staticmethod_runs_below_and_is_told_what_there_is() -> None:
    t, seen = plugrad, []

    def rule(info: Any, in_dims: Any, x: Any, k: int, y: Any) -> Any:
        seen.append((tuple(info), in_dims, tuple(x.shape), k, tuple(y.shape)))
        return (x * k + t.rand(3) * 0, y), (0, None)  # numbers drawn here are not of vmap

    f = custom(
        t, generate_vmap_rule=False, forward=lambda x, k, y: (x * k, y * 1), setup_context=lambda *_: None,
        vmap=rule,
    )  # fmt: skip
    a, b = t.func.vmap(lambda x: f.apply(x, 2, t.ones(5)))(t.ones(4, 3))
    assert seen == [((4, "error"), (0, None, None), (4, 3), 2, (5,))]
    assert a.tolist() == [[2.0] * 3] * 4 and b.shape == (4, 5)
    assert (
        t.func.vmap(lambda x: x * f.apply(t.ones(3), 3, t.ones(1))[0])(t.ones(2, 3)).tolist()
        == [[3.0] * 3] * 2
    )
    assert len(seen) == 1  # nothing of the batch in it
