"""`Function`: what `forward` may take, save and return, what `backward` gets and gives, and who frees it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.autograd import Function, gradcheck, gradgradcheck
from plugrad.autograd.function import once_differentiable


def function(
    forward: Callable[..., Any], backward: Callable[..., Any], base: Any = Function, **members: Any
) -> Any:
    """A Function called Custom of two plain functions."""
    members |= {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Custom", (base,), members)


def save_and(f: Callable[..., Any]) -> Callable[..., Any]:
    """A forward that saves its tensors and returns `f` of its arguments."""

    def forward(ctx: Any, *args: Any) -> Any:
        ctx.save_for_backward(*(a for a in args if isinstance(a, torch.Tensor)))
        return f(*args)

    return forward


def leaf(*values: float) -> Any:
    return torch.tensor(values, requires_grad=True)


class Exp(Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (y,) = ctx.saved_tensors
        return g * y


class Cubic(Function):
    """a x³ + b y: saves inputs, takes a number and a flag, and has a separate setup_context."""

    @staticmethod
    def forward(x: Any, y: Any, a: float, b: float = 1.0) -> Any:
        return a * x * x * x + b * y

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, _, ctx.a, *b = inputs
        ctx.b = b[0] if b else 1.0
        assert isinstance(output, torch.Tensor)
        ctx.save_for_backward(x, None)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, none = ctx.saved_tensors
        assert none is None
        return g * (3 * ctx.a) * x * x, g * ctx.b, None, None


class SinCos(Function):
    """Two outputs, both saved."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        s, c = x.sin(), x.cos()
        ctx.save_for_backward(s, c)
        return s, c

    @staticmethod
    def backward(ctx: Any, gs: Any, gc: Any) -> Any:
        s, c = ctx.saved_tensors
        return gs * c - gc * s


def double(*values: float) -> Any:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    ("f", "inputs"),
    [
        (Exp.apply, (double(0.3, -1.0),)),
        (lambda x, y: Cubic.apply(x, y, 2.0), (double(0.3, -1.0), double(1.0, 2.0))),
        (lambda x, y: Cubic.apply(x, y, 2.0, 0.5), (double(0.3), double(2.0))),
        (SinCos.apply, (double(0.3, -1.0),)),
        (lambda x: SinCos.apply(x)[1] * SinCos.apply(x)[0], (double(0.3, -1.0),)),
        (lambda x: Exp.apply(Exp.apply(x) * x), (double(0.3, -1.0),)),
    ],
)
def test_first_and_second_derivatives(f: Callable[..., Any], inputs: Any) -> None:
    assert gradcheck(f, inputs) and gradgradcheck(f, inputs)


def test_third_derivative_through_a_saved_output() -> None:
    x = double(0.5)
    y = Exp.apply(x)
    for _ in range(3):
        (y,) = torch.autograd.grad(y, x, create_graph=True)
    assert y.item() == pytest.approx(np.exp(0.5), rel=1e-14)


def test_a_complex_function_follows_pytorchs_convention() -> None:
    square = function(save_and(lambda z: z * z), lambda ctx, g: g * (2 * ctx.saved_tensors[0]).conj())
    z = torch.tensor([1 + 2j, -0.5j], dtype=torch.complex128, requires_grad=True)
    assert gradcheck(square.apply, z)


# --- ctx ----------------------------------------------------------------------------------------------------


def test_ctx_knows_what_needs_a_gradient() -> None:
    seen = []

    def forward(ctx: Any, *args: Any) -> Any:
        seen.append(ctx.needs_input_grad)
        return args[0] + args[2]

    def backward(ctx: Any, g: Any) -> Any:
        seen.append(ctx.needs_input_grad)
        return g, None, g

    y = function(forward, backward).apply(leaf(1.0), "text", torch.ones(1))
    y.backward()
    assert seen == [(True, False, False)] * 2


def test_forward_is_not_recorded_and_apply_under_no_grad_records_nothing() -> None:
    seen = []
    f = function(
        lambda ctx, x: seen.append((torch.is_grad_enabled(), (x * 2).requires_grad)) or x * 2,
        lambda ctx, g: g * 2,
    )
    assert f.apply(leaf(1.0)).grad_fn.name() == "CustomBackward"
    assert not f.apply(torch.ones(1)).requires_grad
    with torch.no_grad():
        assert not f.apply(leaf(1.0)).requires_grad
    assert seen == [(False, False)] * 3 and torch.is_grad_enabled()


def test_backward_is_recorded_only_if_asked() -> None:
    seen = []
    f = function(
        save_and(lambda x: x * x),
        lambda ctx, g: (
            seen.append((torch.is_grad_enabled(), g.requires_grad)) or g * 2 * ctx.saved_tensors[0]
        ),
    )
    x = leaf(3.0)
    f.apply(x).backward()
    (g,) = torch.autograd.grad(f.apply(x), x, create_graph=True)
    assert seen == [(False, False), (True, False)] and g.requires_grad
    assert torch.autograd.grad(g, x)[0].item() == 2.0


def test_saved_tensors_have_their_place_in_the_graph() -> None:
    seen: list[Any] = []

    def backward(ctx: Any, g: Any) -> Any:
        seen[:] = ctx.saved_tensors
        return g * 2 * seen[0]

    x = leaf(3.0)
    y = function(save_and(lambda x: x * x), backward).apply(x)
    torch.autograd.grad(y, x, create_graph=True)
    assert seen[0].is_leaf and seen[0].requires_grad and torch.autograd.grad(seen[0] * 1, x)[0].item() == 1.0


def test_a_saved_output_is_the_output_itself_to_the_second_derivative() -> None:
    x = double(0.3, -1.0)
    for f, output in ((SinCos, 1), (Exp, 0)):
        ys = f.apply(x)
        y = ys[output] if isinstance(ys, tuple) else ys
        retained = []
        y.register_hook(retained.append)
        (g,) = torch.autograd.grad(ys[0].sum() if isinstance(ys, tuple) else y.sum(), x, create_graph=True)
        retained.clear()
        (by_y,) = torch.autograd.grad(g.sum() + y.sum(), y)  # g is y
        assert by_y.tolist() == [2.0, 2.0] and [r.tolist() for r in retained] == [[2.0, 2.0]]


def test_a_change_of_a_saved_input_does_not_change_the_gradient() -> None:
    x, c = leaf(3.0), torch.tensor([5.0])
    y = function(save_and(lambda x, c: x * c), lambda ctx, g: (g * ctx.saved_tensors[1], None)).apply(x, c)
    c.add_(100)
    y.backward()
    assert x.grad.tolist() == [5.0] and c.tolist() == [105.0]


def test_a_change_of_a_saved_output_does_not_change_the_gradient() -> None:
    x = leaf(0.0)
    y = Exp.apply(x)
    y.detach().add_(100)
    y.backward()
    assert x.grad.tolist() == [1.0]


def test_a_backward_that_writes_into_its_gradient_disturbs_nobody() -> None:
    x, z, g = leaf(1.0, 2.0), leaf(3.0, 4.0), torch.tensor([1.0, 10.0])
    f = function(lambda ctx, x: x * 2, lambda ctx, g: g.mul_(2))
    (f.apply(x) + z).backward(g)
    assert (x.grad.tolist(), z.grad.tolist(), g.tolist()) == ([2.0, 20.0], [1.0, 10.0], [1.0, 10.0])


def test_a_gradient_that_the_author_keeps_is_not_taken_over() -> None:
    constant = torch.tensor([7.0])
    f = function(lambda ctx, x: x * 2, lambda ctx, g: constant)
    x = leaf(1.0)
    f.apply(x).backward()
    x.grad.zero_()
    assert constant.tolist() == [7.0]


# --- outputs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("materialize", [True, False])
@pytest.mark.parametrize("recorded", [True, False])
def test_outputs_that_nobody_differentiated(materialize: bool, recorded: bool) -> None:
    seen: list[Any] = []

    def forward(ctx: Any, x: Any) -> Any:
        ctx.set_materialize_grads(materialize)
        return x * 2, x.sum(), x * 3

    def backward(ctx: Any, *gs: Any) -> Any:
        seen[:] = gs
        return gs[2] * 3

    x = leaf(1.0, 2.0)
    function(forward, backward).apply(x)[2].sum().backward(create_graph=recorded)
    assert x.grad.tolist() == [3.0, 3.0]
    assert [g if g is None else g.tolist() for g in seen] == (
        [[0.0, 0.0], 0.0, [1.0, 1.0]] if materialize else [None, None, [1.0, 1.0]]
    )


def test_outputs_that_are_no_tensors_or_not_differentiable() -> None:
    seen: list[Any] = []

    def forward(ctx: Any, x: Any) -> Any:
        mask, y = x > 1, x * 2
        ctx.mark_non_differentiable(y)
        return None, y, mask, x * 3, "text"

    def backward(ctx: Any, *gs: Any) -> Any:
        seen[:] = [g if g is None else g.tolist() for g in gs]
        return gs[3] * 3

    x = leaf(1.0, 2.0)
    none, y, mask, z, text = function(forward, backward).apply(x)
    assert none is None and text == "text" and mask.tolist() == [False, True]
    assert (y.requires_grad, mask.requires_grad, z.requires_grad) == (False, False, True)
    z.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0] and seen == [None, [0.0, 0.0], [False, False], [1.0, 1.0], None]


def test_returning_an_input_gives_it_a_new_place() -> None:
    x = leaf(1.0, 2.0)
    y = function(lambda ctx, x: x, lambda ctx, g: g * 3).apply(x)
    assert y is not x and x.is_leaf and y.grad_fn.name() == "CustomBackward"
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0] and np.shares_memory(x._raw, y._raw)


def test_returning_a_constant_input_leaves_it_a_constant() -> None:
    x, c = leaf(1.0), torch.tensor([5.0])
    y = function(lambda ctx, x, c: c, lambda ctx, g: (g * 7, None)).apply(x, c)
    y.backward()
    assert not c.requires_grad and x.grad.tolist() == [7.0]


def test_returning_one_tensor_twice_keeps_the_two_apart() -> None:
    x = leaf(1.0)
    a, b = function(lambda ctx, x: (x * 1,) * 2, lambda ctx, ga, gb: ga * 10 + gb).apply(x)
    (a * 1 + b * 2).backward()
    assert x.grad.tolist() == [12.0]


def test_returning_a_tensor_that_belongs_to_another_graph_leaves_it_there() -> None:
    w, x = leaf(5.0), leaf(1.0)
    y = function(lambda ctx, x: w, lambda ctx, g: g * 7).apply(x)
    y.backward()
    assert w.is_leaf and w.grad is None and x.grad.tolist() == [7.0]


def test_a_tuple_of_one_stays_a_tuple() -> None:
    x = leaf(1.0)
    (y,) = function(lambda ctx, x: (x * 2,), lambda ctx, g: (g * 2,)).apply(x)
    y.backward()
    assert x.grad.tolist() == [2.0]


def test_gradients_are_brought_to_the_inputs_shape_and_dtype() -> None:
    f = function(
        lambda ctx, a, b: a.double() * b,
        lambda ctx, g: (g * torch.ones(2, 3, dtype=torch.float64), g.sum(0, keepdim=True)),
    )
    a, b = (
        torch.ones(3, requires_grad=True) * 1,
        torch.ones(1, 3, dtype=torch.float64, requires_grad=True) * 1,
    )
    ga, gb = torch.autograd.grad(f.apply(a, b).sum(), (a, b))
    assert (ga.dtype, ga.tolist()) == (torch.float32, [2.0, 2.0, 2.0]) and gb.shape == (1, 3)


@pytest.mark.parametrize("recorded", [True, False])
def test_inputs_without_gradient_cost_none(recorded: bool) -> None:
    x, z = leaf(1.0), leaf(1.0)
    f = function(lambda ctx, x, z, c: x + z + c, lambda ctx, g: (None, g * 4, g, None, None))
    f.apply(x, z, torch.ones(1)).backward(create_graph=recorded)
    assert x.grad is None and z.grad.tolist() == [4.0]


# --- once_differentiable, life and death --------------------------------------------------------------------


def test_once_differentiable() -> None:
    f = function(save_and(lambda x: x * x), once_differentiable(lambda ctx, g: g * 2 * ctx.saved_tensors[0]))
    x = leaf(3.0)
    assert torch.autograd.grad(f.apply(x), x)[0].tolist() == [6.0]
    (g,) = torch.autograd.grad(f.apply(x), x, create_graph=True)
    assert g.tolist() == [6.0]
    with pytest.raises(
        RuntimeError,
        match="differentiate twice a function that was marked with @once_differentiable: CustomBackward",
    ):
        torch.autograd.grad(g, x)


@pytest.mark.parametrize(
    "make",
    [
        Exp.apply,
        SinCos.apply,
        lambda x: Cubic.apply(x, x, 2.0),
        function(lambda ctx, x: x, lambda ctx, g: g).apply,
    ],
)
@pytest.mark.parametrize("went_back", [False, True])
def test_functions_are_freed_by_reference_counting(make: Callable[..., Any], went_back: bool) -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = make(x)
        first = y[0] if isinstance(y, tuple) else y
        if went_back:
            first.sum().backward(create_graph=True)
            x.grad = None
        node = weakref.ref(first.grad_fn)
        del y, first
        assert node() is None
    finally:
        gc.enable()
