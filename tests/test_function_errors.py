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
        TypeError,
        "CustomBackward returned a float as gradient at index 0: expected a Tensor or None",
    ),
    "gradient of wrong shape": (
        lambda x: function(GOOD[0], lambda ctx, g: g[:1]).apply(x),
        RuntimeError,
        "Function CustomBackward returned an invalid gradient at index 0 - "
        "got [1] but expected shape compatible with [2]",
    ),
    "gradients in a list": (
        lambda x: function(GOOD[0], lambda ctx, g: [g]).apply(x),
        TypeError,
        "returned a list as gradient",
    ),
    "no backward": (
        lambda x: type("Custom", (Function,), {"forward": staticmethod(GOOD[0])}).apply(x),
        NotImplementedError,
        "You must implement the backward",
    ),
    "no forward": (
        lambda x: type("Custom", (Function,), {}).apply(x),
        NotImplementedError,
        "You must implement the forward function",
    ),
    "an instance": (lambda x: function(*GOOD)()(x), RuntimeError, "Custom is called as Custom.apply(...)"),
    "saving a number": (
        lambda x: function(lambda ctx, x: ctx.save_for_backward(3), GOOD[1]).apply(x),
        TypeError,
        "save_for_backward can only save variables, but got int",
    ),
    "writing in place": (
        lambda x: function(lambda ctx, x: ctx.mark_dirty(x) or x, GOOD[1]).apply(x * 1),
        RuntimeError,
        "mark_dirty on a recorded call",
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
