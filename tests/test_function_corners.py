"""`Function` where its rules meet others: keyword arguments, missing gradients, hooks, modes; PyTorch says the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import plugrad
from tests.test_function_programs import comparable, custom, leaf, tripled


def hooks_after_the_node(t: Any) -> Any:
    x, seen = leaf(t, 1.0), []
    y = custom(t, lambda ctx, x: x * 2, lambda ctx, g: g * 2).apply(x)
    y.grad_fn.register_prehook(lambda gs: (gs[0] * 5,))
    y.grad_fn.register_hook(lambda gi, go: seen.append((gi[0].item(), go[0].item())) or (gi[0] * 3,))
    y.backward(retain_graph=True)
    y.backward(create_graph=True)
    y.backward()
    return str(seen), x.grad


def hooks_after_a_write(t: Any) -> Any:
    a, seen = leaf(t, 1.0, 2.0), []
    x = a * 1
    x[:1].mul_(2)
    x.grad_fn.register_hook(
        lambda gi, go: seen.append(len(go)) or tuple(None if g is None else g * 3 for g in gi)
    )
    x.sum().backward()
    return str(seen), a.grad


def keyword_tensors(t: Any) -> Any:
    """They are differentiable, in the place that the signature gives them."""
    x, a, b = leaf(t, 1.0), leaf(t, 5.0), leaf(t, 7.0)
    seen: list[Any] = []

    def backward(ctx: Any, g: Any) -> Any:
        seen.append(ctx.needs_input_grad)
        return g * 1, g * 2, g * 3

    f = custom(t, lambda ctx, x, a, b: x * a - b, backward)
    f.apply(x, b=b, a=a).backward()
    f.apply(b=b, a=3.0, x=x) if t is plugrad else None
    return x.grad, a.grad, b.grad, str(seen)


def keyword_of_several(t: Any) -> Any:
    x = leaf(t, 1.0)
    f = custom(
        t, lambda ctx, x, a=1, b=2: x * a * b, lambda ctx, g: (g * 3, None, None)[: len(ctx.needs_input_grad)]
    )
    (f.apply(x, a=4) + f.apply(x) + f.apply(x, 1, b=3)).backward()
    return (x.grad,)


def no_gradient_arrives(t: Any) -> Any:
    """An upstream backward returns None; a Function is called with zeros, and may have a gradient of its own."""
    x, seen = leaf(t, 1.0), []
    up = custom(t, lambda ctx, x: x * 1, lambda ctx, g: None)
    y = custom(t, lambda ctx, x: x * 1, lambda ctx, g: seen.append(g.item()) or g + 4).apply(x)
    up.apply(y).backward()
    z = x * 2
    up.apply(z).backward()
    (g,) = t.autograd.grad(up.apply(x * 2), x, allow_unused=True)
    return x.grad, str(seen), g is None


def no_gradient_arrives_at_several(t: Any) -> Any:
    x, seen = leaf(t, 1.0), []
    up = custom(t, lambda ctx, *xs: xs[0] * 1, lambda ctx, g: (None, None))

    def forward(ctx: Any, x: Any) -> Any:
        ctx.set_materialize_grads(materialize)
        return x * 1, x * 2

    def backward(ctx: Any, *gs: Any) -> Any:
        seen.append([g if g is None else g.tolist() for g in gs])
        return None if gs[0] is None else gs[0] + 1

    f = custom(t, forward, backward)
    for materialize in (True, False):  # noqa: B007
        up.apply(*f.apply(x)).backward()
        up.apply(*f.apply(x)).backward(create_graph=True)
    return str(seen), x.grad


def hook_of_several_where_one_gets_nothing(t: Any) -> Any:
    x, z, seen = leaf(t, 1.0), leaf(t, 1.0), []
    y = x * 2
    t.autograd.graph.register_multi_grad_hook(
        [y, z], lambda gs: seen.append([g if g is None else g.tolist() for g in gs])
    )
    up = custom(t, lambda ctx, x: x * 1, lambda ctx, g: None)
    (up.apply(y) + z * 3).backward()
    return (str(seen),)


def the_graph_knows_tensors_alone(t: Any) -> Any:
    x, sizes = leaf(t, 1.0), []
    f = custom(t, lambda ctx, a, k, b, c: a * b * c, lambda ctx, g: (g, None, g * 2, None))
    y = f.apply(x, 3, x * 1, t.ones(1))
    y.grad_fn.register_hook(lambda gi, go: sizes.append(([g is None for g in gi], len(go))))
    names = [(n if n is None else n.name(), i) for n, i in y.grad_fn.next_functions]
    y.backward()
    return str(names), str(sizes), x.grad


PROGRAMS = {
    hooks_after_the_node: ["[(10.0, 5.0), (10.0, 5.0), (10.0, 5.0)]", [90.0]],
    hooks_after_a_write: ["[1]", [6.0, 3.0]],
    keyword_tensors: [[1.0], [2.0], [3.0], "[(True, True, True)]"],
    keyword_of_several: [[9.0]],
    no_gradient_arrives: [[4.0], "[0.0]", True],
    no_gradient_arrives_at_several: ["[[[0.0], [0.0]], [[0.0], [0.0]], [None, None], [None, None]]", [2.0]],
    hook_of_several_where_one_gets_nothing: ["[[None, [3.0]]]"],
    the_graph_knows_tensors_alone: [
        "[('torch::autograd::AccumulateGrad', 0), ('MulBackward0', 0), (None, 0)]",
        "[([False, False, True], 1)]",
        [3.0],
    ],
}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_programs(program: Callable[[Any], Any]) -> None:
    assert comparable(program(plugrad)) == PROGRAMS[program]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_pytorch_says_the_same(program: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert comparable(program(torch)) == PROGRAMS[program]


# --- what is refused ----------------------------------------------------------------------------------------


def dirty_view_without_graph(t: Any) -> None:
    """The write would change what the base is in the graph, and the graph would not know."""
    h = leaf(t, 1.0, 2.0) * 1
    with t.no_grad():
        view = h[:1]
    custom(t, tripled, lambda ctx, g: g).apply(view)


def dirty_none(t: Any) -> None:
    custom(t, lambda ctx, x: (ctx.mark_dirty(None), x * 1)[1], lambda ctx, g: g).apply(leaf(t, 1.0))


def dirty_constant_not_returned(t: Any) -> None:
    custom(t, lambda ctx, x: tripled(ctx, x) * 1, lambda ctx, g: g).apply(t.ones(1))


def a_number_as_gradient(t: Any) -> None:
    custom(t, lambda ctx, x: x * 1, lambda ctx, g: 3.0).apply(leaf(t, 1.0)).backward()


def keyword_only_tensor(t: Any) -> None:
    custom(t, lambda ctx, x, *, k: x * k, lambda ctx, g: g).apply(leaf(t, 1.0), k=leaf(t, 1.0))


def collected_keywords(t: Any) -> None:
    custom(t, lambda ctx, x, **ks: x * ks["k"], lambda ctx, g: g).apply(leaf(t, 1.0), k=leaf(t, 1.0))


def missing_argument(t: Any) -> None:
    custom(t, lambda ctx, x, y: x * y, lambda ctx, g: g).apply(y=leaf(t, 1.0))


REFUSED = {
    dirty_view_without_graph: (
        RuntimeError,
        "A view was created in no_grad mode and is being modified inplace",
    ),
    dirty_none: (
        RuntimeError,
        "Custom: mark_dirty can only accept variables, but argument 0 is of type NoneType",
    ),
    dirty_constant_not_returned: (
        RuntimeError,
        "Some elements marked as dirty during the forward method were not",
    ),
    a_number_as_gradient: (RuntimeError, "expected Variable or None"),
    keyword_only_tensor: (
        TypeError,
        "Custom.apply: forward has keyword-only arguments, k, for which backward could",
    ),
    collected_keywords: (
        TypeError,
        "Custom.apply: forward has keyword-only arguments, k, for which backward could",
    ),
    missing_argument: (
        TypeError,
        "Custom.apply: missing a required argument: 'x': forward(x, y) (beside ctx) is what",
    ),
}


@pytest.mark.parametrize("program", REFUSED, ids=lambda p: p.__name__)
def test_refusals(program: Callable[[Any], Any]) -> None:
    error, text = REFUSED[program]
    with pytest.raises(error) as caught:
        program(plugrad)
    assert text in str(caught.value)


@pytest.mark.parametrize("program", REFUSED, ids=lambda p: p.__name__)
def test_pytorch_refuses_too(program: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(REFUSED[program][0]):
        program(torch)
