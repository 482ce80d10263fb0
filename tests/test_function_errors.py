"""`Function` used wrongly: the class and the words of each error."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import plugrad as torch
from plugrad.autograd import Function
from tests.test_function import Exp, function, leaf

GOOD = (lambda ctx, x, *_: x * 2, lambda ctx, g: g * 2)


class Intermediate(Function):
    """exp, in a way that cannot be differentiated twice."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y)
        return y * 1

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.saved_tensors[0]


MISUSES: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "too many gradients": (
        lambda x: function(GOOD[0], lambda ctx, g: (g, g)).apply(x),
        RuntimeError,
        "CustomBackward returned an incorrect number of gradients (expected 1, got 2)",
    ),
    "too few gradients": (
        lambda x: function(*GOOD).apply(x, x),
        RuntimeError,
        "returned an incorrect number of gradients (expected 2, got 1)",
    ),
    "gradient of a number": (
        lambda x: function(GOOD[0], lambda ctx, g: (g, g)).apply(x, 2.0),
        RuntimeError,
        "returned a gradient different than None at position 1",
    ),
    "gradient that is no tensor": (
        lambda x: function(GOOD[0], lambda ctx, g: 3.0).apply(x),
        RuntimeError,
        "CustomBackward returned a float as gradient at index 0: expected Variable or None",
    ),
    "gradient of wrong shape": (
        lambda x: function(GOOD[0], lambda ctx, g: g[:1]).apply(x),
        RuntimeError,
        "Function CustomBackward returned an invalid gradient at index 0 - "
        "got [1] but expected shape compatible with [2]",
    ),
    "gradients in a list": (
        lambda x: function(GOOD[0], lambda ctx, g: [g]).apply(x),
        RuntimeError,
        "returned a list as gradient",
    ),
    "no backward": (
        lambda x: type("Custom", (Function,), {"forward": staticmethod(GOOD[0])}).apply(x),
        NotImplementedError,
        "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
        "backward mode AD: Custom has neither",
    ),
    "no forward": (
        lambda x: type("Custom", (Function,), {}).apply(x),
        NotImplementedError,
        "You must implement the forward function for custom autograd.Function: Custom has none",
    ),
    "a call": (lambda x: function(*GOOD)(x), RuntimeError, "Custom is called as Custom.apply(...)"),
    "saving a number": (
        lambda x: function(lambda ctx, x: ctx.save_for_backward(3), GOOD[1]).apply(x),
        TypeError,
        "Custom: save_for_backward can only save variables, but argument 0 is of type int: keep other values as attributes",
    ),
    "a second derivative through an intermediate": (
        lambda x: torch.autograd.grad(Intermediate.apply(x).sum(), x, create_graph=True)[0],
        RuntimeError,
        "Intermediate is differentiated twice, but save_for_backward kept a tensor that is neither an input nor an output",
    ),
    "a write without mark_dirty": (
        lambda x: function(lambda ctx, x: x.mul_(2), GOOD[1]).apply(x * 1),
        RuntimeError,
        "Custom: forward wrote into its argument 0 in place and did not say so, so that its gradient would be wrong: "
        "call ctx.mark_dirty",
    ),
    "a write into a view without mark_dirty": (
        lambda x: function(lambda ctx, x: x[:1].mul_(2) + 0, GOOD[1]).apply(x * 1),
        RuntimeError,
        "call ctx.mark_dirty",
    ),
    "a write into the input under its view": (
        lambda x: (lambda h: (function(lambda ctx, x: x[:1], GOOD[1]).apply(h), h.mul_(2)))(x * 1)[0],
        RuntimeError,
        "an output of Custom is a view of a tensor that was modified inplace afterwards: its gradient would bypass",
    ),
    "saving on the class": (
        lambda x: function(lambda ctx, x: Exp.save_for_backward(x), GOOD[1]).apply(x),
        TypeError,
        "Exp.save_for_backward: it is a method of ctx",
    ),
    "marking on the class": (
        lambda x: function(lambda ctx, x: Exp.mark_dirty(x), GOOD[1]).apply(x),
        TypeError,
        "ctx.mark_dirty(...)",
    ),
    "setting saved_tensors": (
        lambda x: function(lambda ctx, x: setattr(ctx, "saved_tensors", (x,)), GOOD[1]).apply(x),
        AttributeError,
        "Custom: saved_tensors cannot be set: call ctx.save_for_backward(...)",
    ),
    "saving in backward": (
        lambda x: function(GOOD[0], lambda ctx, g: ctx.save_for_backward(g)).apply(x),
        RuntimeError,
        "Custom: save_for_backward is for forward or setup_context, but it was called after them",
    ),
    "saving a list": (
        lambda x: function(lambda ctx, x: ctx.save_for_backward([x]), GOOD[1]).apply(x),
        TypeError,
        "argument 0 is of type list",
    ),
    "returning an array": (
        lambda x: function(lambda ctx, x: x.detach().numpy(), GOOD[1]).apply(x),
        TypeError,
        "Custom: forward returned no Tensor but ndarray, though an argument requires grad: the graph would be lost",
    ),
    "returning a list": (
        lambda x: function(lambda ctx, x: [x * 2], GOOD[1]).apply(x),
        TypeError,
        "Custom: forward returned no Tensor but list",
    ),
    "returning nothing": (
        lambda x: function(lambda ctx, x: None, GOOD[1]).apply(x),
        TypeError,
        "Custom: forward returned no Tensor but NoneType",
    ),
    "a complex gradient of a real input": (
        lambda x: function(GOOD[0], lambda ctx, g: g * 1j).apply(x),
        RuntimeError,
        "got torch.complex64 but that argument of forward is torch.float32: return the .real",
    ),
    "an unknown attribute": (
        lambda x: function(GOOD[0], lambda ctx, g: g * ctx.factor).apply(x),
        AttributeError,
        "'CustomBackward' object has no attribute 'factor'",
    ),
    "an error of its own": (lambda x: function(GOOD[0], lambda ctx, g: {}["key"]).apply(x), KeyError, "key"),
}


@pytest.mark.parametrize("name", MISUSES)
@pytest.mark.parametrize("recorded", [False, True])
def test_misuse(name: str, recorded: bool) -> None:
    run, error, text = MISUSES[name]
    with pytest.raises(error, match=re.escape(text)):
        run(leaf(1.0, 2.0)).sum().backward(create_graph=recorded)
    assert torch.is_grad_enabled()


def test_a_second_backward_says_so_and_saved_values_are_gone() -> None:
    y = Exp.apply(leaf(1.0))
    node = y.grad_fn
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        _ = node.saved_tensors


def test_an_intermediate_may_be_saved_as_long_as_nobody_differentiates_twice_through_it() -> None:
    x, weight = leaf(1.0, 2.0), leaf(1.0, 1.0)
    y = Intermediate.apply(x)
    (y * weight).sum().backward(create_graph=True)
    (by_weight,) = torch.autograd.grad(x.grad.sum(), weight, retain_graph=True)
    assert by_weight.tolist() == pytest.approx(x.exp().tolist())
    with pytest.raises(RuntimeError, match="decorate backward with @once_differentiable"):
        torch.autograd.grad(x.grad.sum(), x)


def test_a_mask_that_forward_drew_may_be_returned_as_a_constant() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        mask = torch.tensor([0.0, 2.0])
        ctx.mark_non_differentiable(mask)
        ctx.save_for_backward(x, mask)
        return x * x * mask, mask

    def backward(ctx: Any, g: Any, _: Any) -> Any:
        x, mask = ctx.saved_tensors
        return g * 2 * x * mask

    x = leaf(1.0, 3.0)
    (g,) = torch.autograd.grad(function(forward, backward).apply(x)[0].sum(), x, create_graph=True)
    assert torch.autograd.grad(g.sum(), x)[0].tolist() == [0.0, 4.0]


def test_an_instance_is_deprecated_and_cannot_be_called() -> None:
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        instance = function(*GOOD)()
    with pytest.raises(RuntimeError, match=re.escape("Custom is called as Custom.apply(...)")):
        instance(leaf(1.0))


def test_a_dirty_tensor_that_is_no_input() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        y = x * 1
        ctx.mark_dirty(y)
        return y

    x = leaf(1.0)
    with pytest.warns(UserWarning, match=r"mark_dirty\(\) received a tensor that was not an input"):
        y = function(forward, lambda ctx, g: g * 5).apply(x)
    y.backward()
    assert x.grad.tolist() == [5.0]
