"""`Function` in programs that run on PyTorch, too: writes, views, arguments, modes; each prints what PyTorch would."""

from __future__ import annotations

import warnings
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest

import plugrad

Pair = namedtuple("Pair", "a b")


def custom(t: Any, forward: Callable[..., Any], backward: Callable[..., Any], **members: Any) -> Any:
    """A Function of the library `t` called Custom."""
    members |= {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Custom", (t.autograd.Function,), members)


def leaf(t: Any, *values: float) -> Any:
    return t.tensor(values, requires_grad=True)


def tripled(ctx: Any, x: Any) -> Any:
    ctx.mark_dirty(x)
    return x.mul_(3)


def dirty(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    h = x * 2
    y = custom(t, tripled, lambda ctx, g: g * 5).apply(h)
    h.sum().backward()
    return y is h, x.grad, h, h.grad_fn.name(), h.grad_fn.next_functions[0][0].name()


def dirty_view(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    h = x * 2
    first, last, all_ = h[:1], h[1:], h.view(2)
    y = custom(t, tripled, lambda ctx, g: g * 5).apply(first)
    grads = [t.autograd.grad(v.sum(), x, retain_graph=True)[0] for v in (h, first, last, all_)]
    return y is first, h.grad_fn.name()[-10:], h, first, *grads


def dirty_constant(t: Any) -> Any:
    x, c = leaf(t, 2.0), t.ones(1)

    def forward(ctx: Any, c: Any, x: Any) -> Any:
        ctx.mark_dirty(c)
        ctx.save_for_backward(x)
        return c.mul_(x)

    y = custom(t, forward, lambda ctx, g: (None, g * 7)).apply(c, x)
    y.backward()
    return y is c, c, c.requires_grad, x.grad


def dirty_and_another(t: Any) -> Any:
    x = leaf(t, 1.0)
    h = x * 1

    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        x.mul_(3)
        return x, x * 2

    a, b = custom(t, forward, lambda ctx, ga, gb: ga * 5 + gb * 7).apply(h)
    (a + b * 2).backward()
    return a is h, x.grad, a, b


def dirty_and_saved(t: Any) -> Any:
    """The saved tensor is the output, not what the input was: exp in place, differentiated twice."""

    def forward(ctx: Any, x: Any) -> Any:
        x.exp_()
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    x = t.tensor([0.5, -1.0], dtype=t.float64, requires_grad=True)
    y = custom(t, forward, lambda ctx, g: g * ctx.saved_tensors[0]).apply(x * 1)
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    return y, g, *t.autograd.grad(g.sum(), x)


def dirty_without_grad(t: Any) -> Any:
    c = t.ones(2)
    with t.no_grad():
        h = leaf(t, 1.0)
        y = custom(t, tripled, lambda ctx, g: g).apply(h)
    z = custom(t, tripled, lambda ctx, g: g).apply(c)
    return y is h, h.is_leaf, h, z is c, z


def written_constants(t: Any) -> Any:
    """Statistics that nobody differentiates may be written without a word."""
    x, count = leaf(t, 1.0), t.zeros(1)
    f = custom(t, lambda ctx, x, count: count.add_(1) * 0 + x * 2, lambda ctx, g: (g * 2, None))
    f.apply(x, count)
    f.apply(x, count).backward()
    return count, x.grad


def returned_view(t: Any) -> Any:
    x = leaf(t, 1.0, 2.0)
    h = x * 1
    y = custom(t, lambda ctx, x: x[:1], lambda ctx, g: t.cat([g * 5, g * 0])).apply(h)
    y.sum().backward()
    return y, x.grad


def non_differentiable_input(t: Any) -> Any:
    x, i = leaf(t, 3.0, 1.0), []

    def forward(ctx: Any, x: Any) -> Any:
        values, places = x.sort()
        ctx.mark_non_differentiable(places)
        ctx.save_for_backward(places)
        return values, places

    def backward(ctx: Any, g: Any, none: Any) -> Any:
        i.append((none.dtype.is_floating_point, none.tolist()))
        return g[ctx.saved_tensors[0].argsort()]

    values, places = custom(t, forward, backward).apply(x)
    (values * t.tensor([1.0, 2.0])).sum().backward()
    return values, places, places.requires_grad, x.grad, str(i)


def separate_with_defaults_and_keywords(t: Any) -> Any:
    seen: list[Any] = []

    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        seen.append((len(inputs), *inputs[1:], output.item()))
        ctx.a, ctx.b = inputs[1:]

    f = custom(
        t,
        lambda x, a=2, b=5: x * a * b,
        lambda ctx, g: (g * ctx.a * ctx.b, None, None),
        setup_context=staticmethod(setup_context),
    )
    x = leaf(t, 1.0)
    (f.apply(x) + f.apply(x, 3) + f.apply(x, b=1) + f.apply(x=x, b=4, a=0) + f.apply(x, 1, 1)).backward()
    return str(seen), x.grad


def combined_with_keywords(t: Any) -> Any:
    def forward(ctx: Any, x: Any, a: int = 1, b: int = 1) -> Any:
        ctx.factor = a * b
        return x * ctx.factor

    f = custom(t, forward, lambda ctx, g: (g * ctx.factor, None, None))
    x = leaf(t, 1.0)
    (f.apply(x) + f.apply(x, a=2) + f.apply(x, 5, b=1)).backward()
    return (x.grad,)


def nested_arguments(t: Any) -> Any:
    """Containers go through as they are: what is in them is not differentiated."""
    x, w = leaf(t, 2.0), leaf(t, 5.0)
    seen: list[Any] = []

    def forward(ctx: Any, x: Any, weights: Any, options: Any, pair: Any) -> Any:
        seen.append((weights[0] is w, options["scale"], pair.b, ctx.needs_input_grad))
        return {"kept": x}, x * weights[0] * options["scale"], [x]

    f = custom(t, forward, lambda ctx, *gs: (gs[1] * 3, None, None, None))
    kept, y, some = f.apply(x, [w], {"scale": 10}, Pair(1, 2))
    y.backward()
    return kept["kept"] is x, some[0] is x, y, x.grad, w.grad is None, str(seen)


def named_tuple(t: Any) -> Any:
    x = leaf(t, 2.0)
    y = custom(t, lambda ctx, x: Pair(x * 1, x * 2), lambda ctx, a, b: a + b * 2).apply(x)
    (y[0] + y[1]).backward()
    return isinstance(y, tuple), x.grad


def vjp_instead_of_backward(t: Any) -> Any:
    x = leaf(t, 2.0)
    members = {"forward": staticmethod(lambda ctx, x: x * 1), "vjp": staticmethod(lambda ctx, g: g * 5)}
    type("Custom", (t.autograd.Function,), members).apply(x).backward()
    return (x.grad,)


def boxed(t: Any) -> Any:
    seen: list[Any] = []
    f = custom(
        t,
        lambda ctx, x: (x * 2, x * 3),
        lambda ctx, gs: seen.append((type(gs).__name__, len(gs))) or gs.pop() * 3 + gs.pop() * 2,
        boxed_grads_call=True,
    )
    x = leaf(t, 1.0)
    sum(f.apply(x)).backward()
    return x.grad, str(seen)


def cleared_on_access(t: Any) -> Any:
    seen: list[Any] = []

    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        try:
            _ = ctx.saved_tensors
        except RuntimeError as error:
            seen.append("can only be accessed once" in str(error))
        return g * 2 * x

    x = leaf(t, 3.0)
    y = custom(t, forward, backward, clear_saved_tensors_on_access=True).apply(x)
    y.backward(retain_graph=True)
    try:
        y.backward()
    except RuntimeError as error:
        seen.append("can only be accessed once" in str(error))
    return x.grad, str(seen)


def names_on_ctx(t: Any) -> Any:
    seen: list[Any] = []

    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x, None)
        ctx.save_for_forward(x)
        seen.append((len(ctx.to_save), len(ctx.saved_for_forward)))
        ctx.set_materialize_grads(False)
        ctx.own = "kept"
        return x * 2

    def backward(ctx: Any, g: Any) -> Any:
        seen.append((ctx.own, ctx.needs_input_grad, ctx.name(), hasattr(ctx, "other")))
        return g * 2

    x = leaf(t, 1.0)
    y = custom(t, forward, backward).apply(x)
    y.grad_fn.metadata["mine"] = 1
    y.backward()
    return x.grad, y.grad_fn.metadata["mine"], str(seen)


def inplace_function(t: Any) -> Any:
    class Twice(t.autograd.function.InplaceFunction):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = leaf(t, 1.0)
    Twice.apply(x).backward()
    return (x.grad,)


def gradients_are_converted(t: Any) -> Any:
    def grads(change: Callable[[Any], Any], x: Any) -> Any:
        y = custom(t, lambda ctx, x: x * 1, lambda ctx, g: change(g)).apply(x)
        return t.autograd.grad(y, x, t.ones_like(y))[0]

    z = t.tensor([1 + 1j], requires_grad=True)
    x = leaf(t, 1.0)
    return grads(lambda g: g.double(), x), grads(lambda g: g.long(), x), grads(lambda g: g.real, z)


PROGRAMS = [
    dirty, dirty_view, dirty_constant, dirty_and_another, dirty_and_saved, dirty_without_grad, written_constants,
    returned_view, non_differentiable_input, separate_with_defaults_and_keywords, combined_with_keywords,
    nested_arguments, named_tuple, vjp_instead_of_backward, boxed, cleared_on_access, names_on_ctx, inplace_function,
    gradients_are_converted,
]  # fmt: skip

EXPECTED: dict[str, Any] = {
    "dirty": [True, [10.0, 10.0], [6.0, 12.0], "CustomBackward", "MulBackward0"],
    "dirty_view": [True, "CopySlices", [6.0, 4.0], [6.0], [10.0, 2.0], [10.0, 0.0], [0.0, 2.0], [10.0, 2.0]],
    "dirty_constant": [True, [2.0], True, [7.0]],
    "dirty_and_another": [True, [19.0], [3.0], [6.0]],
    "written_constants": [[2.0], [2.0]],
    "returned_view": [[1.0], [5.0, 0.0]],
    "boxed": [[5.0], "[('list', 2)]"],
    "combined_with_keywords": [[8.0]],
}  # fmt: skip


def comparable(values: Any) -> list[Any]:
    return [v.detach().tolist() if hasattr(v, "detach") else v for v in values]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_programs(program: Callable[[Any], Any]) -> None:
    found = comparable(program(plugrad))
    assert found == EXPECTED.get(program.__name__, found)
    try:
        import torch
    except ImportError:
        return
    expected = comparable(program(torch))
    assert [type(v) for v in found] == [type(v) for v in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine == (pytest.approx(theirs, rel=1e-6) if isinstance(theirs, list) else theirs)


# --- what is refused ----------------------------------------------------------------------------------------


def write_into_view(t: Any) -> None:
    y = custom(t, lambda ctx, x: x[:1], lambda ctx, g: t.cat([g, g])).apply(leaf(t, 1.0, 2.0) * 1)
    y.mul_(2)


def write_into_view_of_view(t: Any) -> None:
    y = custom(t, lambda ctx, x: x.view(2, 1), lambda ctx, g: g.view(2)).apply(leaf(t, 1.0, 2.0) * 1)
    y[0].mul_(2)


def write_into_returned_input(t: Any) -> None:
    custom(t, lambda ctx, x: x, lambda ctx, g: g).apply(leaf(t, 1.0) * 1).mul_(2)


def dirty_leaf(t: Any) -> None:
    custom(t, tripled, lambda ctx, g: g).apply(leaf(t, 1.0))


def dirty_view_of_leaf(t: Any) -> None:
    custom(t, tripled, lambda ctx, g: g).apply(leaf(t, 1.0, 2.0)[:1])


def dirty_not_returned(t: Any) -> None:
    custom(t, lambda ctx, x: tripled(ctx, x) * 1, lambda ctx, g: g).apply(leaf(t, 1.0) * 1)


def complex_for_real(t: Any) -> None:
    custom(t, lambda ctx, x: x * 1, lambda ctx, g: g * 1j).apply(leaf(t, 1.0)).backward()


def unknown_keyword(t: Any) -> None:
    setup = staticmethod(lambda ctx, inputs, output: None)
    custom(t, lambda x, a=1: x * a, lambda ctx, g: (g, None), setup_context=setup).apply(leaf(t, 1.0), c=3)


def keyword_only(t: Any) -> None:
    setup = staticmethod(lambda ctx, inputs, output: None)
    custom(t, lambda x, *, a=1: x * a, lambda ctx, g: g, setup_context=setup).apply(leaf(t, 1.0), a=3)


def backward_and_vjp(t: Any) -> None:
    f = custom(t, lambda ctx, x: x * 1, lambda ctx, g: g, vjp=staticmethod(lambda ctx, g: g))
    f.apply(leaf(t, 1.0)).backward()


def save_for_forward_a_number(t: Any) -> None:
    custom(t, lambda ctx, x: ctx.save_for_forward(3), lambda ctx, g: g).apply(leaf(t, 1.0))


def dirty_number(t: Any) -> None:
    custom(t, lambda ctx, x: ctx.mark_dirty(3), lambda ctx, g: g).apply(leaf(t, 1.0))


def non_differentiable_number(t: Any) -> None:
    custom(t, lambda ctx, x: (ctx.mark_non_differentiable(3), x * 1)[1], lambda ctx, g: g).apply(leaf(t, 1.0))


REFUSED = {
    write_into_view: (RuntimeError, "Custom", "This view was created inside a custom Function"),
    write_into_view_of_view: (RuntimeError, "Custom", "This view was created inside a custom Function"),
    write_into_returned_input: (RuntimeError, "Custom", "or because an input was returned as-is"),
    dirty_leaf: (RuntimeError, "Custom", "a leaf Variable that requires grad"),
    dirty_view_of_leaf: (RuntimeError, "Custom", "a view of a leaf Variable that requires grad"),
    dirty_not_returned: (RuntimeError, "Custom", "were not returned as output"),
    complex_for_real: (
        RuntimeError,
        "CustomBackward returned an invalid gradient at index 0 - got torch.complex64",
        None,
    ),
    unknown_keyword: (TypeError, "Custom.apply", "got an unexpected keyword argument 'c'"),
    keyword_only: (TypeError, "Custom.apply: forward has keyword-only arguments, a", None),
    backward_and_vjp: (
        RuntimeError,
        "Custom",
        "Implementing both 'backward' and 'vjp' for a custom Function is not allowed",
    ),
    save_for_forward_a_number: (
        AssertionError,
        "Custom",
        "save_for_forward expects all arguments to be tensors",
    ),
    dirty_number: (RuntimeError, "Custom", "mark_dirty can only accept variables, but argument"),
    non_differentiable_number: (
        RuntimeError,
        "Custom",
        "mark_non_differentiable only accepts variable arguments, but",
    ),
}


@pytest.mark.parametrize("program", REFUSED, ids=lambda p: p.__name__)
def test_refusals(program: Callable[[Any], Any]) -> None:
    error, own, shared = REFUSED[program]
    with pytest.raises(error) as caught:
        program(plugrad)
    assert own in str(caught.value) and (shared is None or shared in str(caught.value))
    try:
        import torch
    except ImportError:
        return
    with pytest.raises(error) as theirs, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program(torch)
    assert shared is None or shared in str(theirs.value)
