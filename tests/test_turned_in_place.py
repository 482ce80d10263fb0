"""`t_`, `transpose_`, `squeeze_`, `unsqueeze_`: a tensor becomes another view of its memory, its graph and views go on.

Also: every `op_` that PyTorch has is here, where `op` is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad
from tests.test_function_programs import comparable


def leaf(t: Any, *shape: int) -> Any:
    return t.arange(float(np.prod(shape)), dtype=t.float64).view(shape).clone().requires_grad_()


def weighted(t: Any, x: Any) -> Any:
    return (x * t.arange(float(x.numel()), dtype=t.float64).view(x.shape)).sum()


def turned(t: Any) -> Any:
    a = leaf(t, 2, 3)
    x = a * 1
    y = x.t_()
    weighted(t, x).backward()
    return y is x, x._version, x.is_contiguous(), x, a.grad


def a_view_is_turned(t: Any) -> Any:
    a = leaf(t, 2, 3)
    x = a * 1
    v = x[:, :2]
    v.t_()
    v.mul_(t.arange(4.0).view(2, 2))
    (weighted(t, x) + weighted(t, v)).backward()
    return v._base is x, v, x, a.grad


def a_view_is_written_after_its_base_was_turned(t: Any) -> Any:
    a = leaf(t, 2, 3)
    x = a * 1
    v = x[0]
    x.t_()
    v.mul_(5)
    weighted(t, x).backward()
    return v, x, a.grad


def a_base_is_written_after_it_was_turned(t: Any) -> Any:
    a = leaf(t, 2, 3)
    x = a * 1
    v = x[0]
    x.t_()
    x.mul_(t.arange(6.0).view(3, 2))
    weighted(t, v).backward()
    return v, x, a.grad


def a_constant_is_turned(t: Any) -> Any:
    c, w, u = t.zeros(2, 3), t.ones(3, requires_grad=True), t.ones(3, 2, requires_grad=True)
    v = c[0]
    c.t_()
    v.add_(w)
    c.mul_(u)
    weighted(t, c).backward()
    return c, v, w.grad, u.grad


def squeezed(t: Any) -> Any:
    a = leaf(t, 1, 3, 1)
    x = a * 1
    v = x[0, :2]
    x.squeeze_()
    v.mul_(3)
    weighted(t, x).backward()
    b = leaf(t, 1, 3, 1)
    y = (b * 1).squeeze_((0, 2))
    z = (b * 2).squeeze_(0).squeeze_(0).squeeze_(-1)
    weighted(t, y * z).backward()
    return x, v, a.grad, y, z, b.grad


def unsqueezed(t: Any) -> Any:
    a = leaf(t, 3)
    x = a * 1
    v = x[1:]
    x.unsqueeze_(-1)
    v.mul_(3)
    (x * x).sum().backward()
    return x, v, a.grad


def transposed(t: Any) -> Any:
    a = leaf(t, 1, 2, 3)
    x = a * 1
    v = x[0, 1]
    x.transpose_(0, 2)
    x[0].mul_(4)
    v.mul_(3)
    x.swapaxes_(0, 1).swapdims_(1, 2)
    weighted(t, x * x).backward()
    return x, v, a.grad


def columns_come_first_in_memory(t: Any) -> Any:
    """The steps from the base to its view are views in the base's own order of memory alone."""
    a = leaf(t, 2, 3)
    x = a.t() * 1
    x.t().view(6).mul_(2)
    x.t().view(3, 2)[1].mul_(5)
    (g,) = t.autograd.grad(weighted(t, x * x * x), a, create_graph=True)
    return g, *t.autograd.grad(weighted(t, g), a)


def a_view_in_three_dimensions(t: Any) -> Any:
    a = leaf(t, 2, 3, 2)
    x = a.permute(2, 0, 1) * 1
    y = x.permute(1, 2, 0).view(2, 6)
    y[:, 1:3].mul_(3)
    weighted(t, x * x).backward()
    return x.stride(), a.grad


def a_leaf_without_grad_mode(t: Any) -> Any:
    a = leaf(t, 2, 3)
    with t.no_grad():
        v = a[0]
        a.t_()
        v.add_(10)
    weighted(t, a).backward()
    return a.is_leaf, a, a.grad


def a_view_without_grad_mode_then_written(t: Any) -> Any:
    c, w = t.zeros(2, 3), t.ones(3, 1, requires_grad=True)
    v = c[:1]
    with t.no_grad():
        v.t_()
    v.add_(w)
    weighted(t, c).backward()
    return c, w.grad


def inference(t: Any) -> Any:
    with t.inference_mode():
        c = t.zeros(2, 3)
        v = c[0]
        c.t_()
        v.add_(1)
    return c, v, c.is_inference()


def shared_with_numpy(t: Any) -> Any:
    c = t.zeros(2, 3)
    n = c.numpy()
    c.t_()
    c[2, 1] = 7
    return n.tolist(), c


def batched(t: Any) -> Any:
    def f(x: Any) -> Any:
        y = x * 1
        y.t_()
        y.mul_(2)
        return y.unsqueeze_(0)

    return (t.func.vmap(f)(t.arange(12.0).view(2, 2, 3)),)


def a_comparison_stays_in_the_graph(t: Any) -> Any:
    a = leaf(t, 2)
    x = a * 1
    x.lt_(1)
    (x * a).sum().backward()
    return x.requires_grad, x, a.grad


def shifts(t: Any) -> Any:
    x = t.tensor([1, 5])
    same = x
    x <<= 2
    x >>= 1
    return x is same, x


def shown_elsewhere(t: Any) -> Any:
    a, b, w = t.ones(2), t.zeros(3), t.ones(2, requires_grad=True)
    same = a.set_(b)
    b.add_(1)
    with t.no_grad():
        w.set_(t.zeros(3))
    return same is a, a, w.is_leaf, w


PROGRAMS = [
    turned,
    a_view_is_turned,
    a_view_is_written_after_its_base_was_turned,
    a_base_is_written_after_it_was_turned,
    a_constant_is_turned,
    columns_come_first_in_memory,
    a_view_in_three_dimensions,
    squeezed,
    unsqueezed,
    transposed,
    a_leaf_without_grad_mode,
    a_view_without_grad_mode_then_written,
    inference,
    shared_with_numpy,
    batched,
    a_comparison_stays_in_the_graph,
    shifts,
    shown_elsewhere,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_pytorch_says_the_same(program: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    assert comparable(program(plugrad)) == comparable(program(torch))


def mixed(t: Any, a: Any, in_place: bool) -> Any:
    """Views, turns and writes in turn; and the same without any."""
    if not in_place:
        x = a * 2
        x = t.stack([x[0], x[1] + 1]) * 3
        return t.cat([x[:, :2], (x[:, 2] * x[1, 2])[:, None]], 1).T
    x = a * 1
    row, flat = x[1], x.view(6)
    x.t_()
    x.unsqueeze_(1)
    x.transpose_(0, 1)
    x.squeeze_()
    flat.mul_(2)
    row.add_(1)
    x.mul_(3)
    x[2].mul_(row[2])
    return x


def test_turns_between_writes_to_the_second_derivative() -> None:
    results = []
    for in_place in (True, False):
        a = leaf(plugrad, 2, 3)
        x = mixed(plugrad, a, in_place)
        (g,) = plugrad.autograd.grad(weighted(plugrad, x * x), a, create_graph=True)
        results.append((x.tolist(), g.tolist(), plugrad.autograd.grad(weighted(plugrad, g), a)[0].tolist()))
    assert results[0] == results[1]


def test_a_view_and_then_its_base_are_turned() -> None:
    results = []
    for in_place in (True, False):
        a = leaf(plugrad, 3, 2)
        if in_place:
            x = a * 1
            v = x[1:]
            v.transpose_(0, 1)
            x.t_()
            v[0].mul_(2)
            v.mul_(5)
            x.mul_(3)
        else:
            x = (a * plugrad.tensor([[1.0, 1.0], [10.0, 5.0], [10.0, 5.0]], dtype=plugrad.float64)).T * 3
        weighted(plugrad, x * x).backward()
        results.append((x.tolist(), a.grad.tolist()))
    assert results[0] == results[1]


def test_what_a_graph_saved_is_what_it_was() -> None:
    a = leaf(plugrad, 2, 3)
    x = a * 1
    y = x * x
    x.t_()
    y.sum().backward()
    assert a.grad.tolist() == [[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]


def test_a_retained_gradient_is_that_of_the_newest_shape() -> None:
    x = leaf(plugrad, 2, 3) * 1
    x.retain_grad()
    x.t_()
    x.sum().backward()
    assert x.grad.shape == (3, 2)


def no_grad(t: Any) -> Any:
    return t.no_grad()


def view_without_graph(t: Any) -> Any:
    x = leaf(t, 2, 3) * 1
    with t.no_grad():
        v = x[:1]
    return v


def in_inference(t: Any) -> Any:
    with t.inference_mode():
        return t.ones(2, 2)


def turned_computed_without_grad_mode(t: Any) -> Any:
    x = leaf(t, 2, 3) * 1
    with t.no_grad():
        x.t_()
    return x.sum().backward()


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a leaf": (lambda t: leaf(t, 2, 3).t_(), "a leaf Variable that requires grad is being used in an in-place"),
    "a view of a leaf": (lambda t: leaf(t, 2, 3)[:1].t_(), "a view of a leaf Variable that requires grad"),
    "one of several": (lambda t: (leaf(t, 2, 3, 1) * 1).unbind(0)[0].t_(), "Output 0 of UnbindBackward0 is a view"),
    "a view without graph": (lambda t: view_without_graph(t).t_(), "t_: A view was created in no_grad mode"),
    "inference": (lambda t: in_inference(t).squeeze_(), "squeeze_: Inplace update to inference tensor outside"),
    "computed, without grad mode": (
        turned_computed_without_grad_mode,
        "t_: not possible in no_grad mode for a tensor that was computed from one that requires grad, since its graph "
        "knows its old shape: compute a new tensor, x = x.t(...)",
    ),
    "three dimensions": (lambda t: (leaf(t, 2, 3, 1) * 1).t_(), "dimensions"),
    "set_ of a leaf": (lambda t: leaf(t, 2).set_(t.ones(2)), "set_: a leaf Variable that requires grad"),
    "resize_": (lambda t: (leaf(t, 2) * 1).resize_(3), "cannot resize variables that require grad"),
    "detach_ of a view": (lambda t: (leaf(t, 2) * 1)[:1].detach_(), "Can't detach views in-place. Use detach() instead"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    run, text = REFUSED[name]
    with pytest.raises(RuntimeError) as caught:
        run(plugrad)
    assert text in str(caught.value)


@pytest.mark.parametrize("name", REFUSED)
def test_pytorch_refuses_too(name: str) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError):
        REFUSED[name][0](torch)


def test_set_has_no_derivative() -> None:
    with pytest.raises(
        NotImplementedError, match=r"set_: has no derivative: use copy_, or do it under torch.no_grad"
    ):
        (leaf(plugrad, 2) * 1).set_(plugrad.ones(2))


def test_every_form_in_place_is_there() -> None:
    torch = pytest.importorskip("torch")
    theirs = [n for n in dir(torch.Tensor) if n.endswith("_") and not n.startswith("_")]
    here = [n for n in theirs if hasattr(plugrad.Tensor, n[:-1]) or hasattr(plugrad, n[:-1])]
    assert [n for n in here if not hasattr(plugrad.Tensor, n)] == []
    functions = [n for n in dir(torch) if n.endswith("_") and not n.startswith(("_", "resize"))]
    assert [n for n in functions if hasattr(plugrad.Tensor, n) and not hasattr(plugrad, n)] == []
