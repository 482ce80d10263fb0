"""The graph as users meet it: leaves, nodes and their names, hooks, retained gradients, and its size."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import plugrad as torch
from tests.test_autograd import leaf, plain


@pytest.fixture(params=["plugrad", "torch"])
def t(request: pytest.FixtureRequest) -> Any:
    """plugrad, and PyTorch where installed: what holds for the one holds for the other."""
    return torch if request.param == "plugrad" else pytest.importorskip("torch")


# --- leaves and nodes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "requires_grad", "is_leaf", "has_grad_fn"),
    [
        (lambda x: x, True, True, False),
        (lambda x: x * 2, True, False, True),
        (lambda x: x.detach(), False, True, False),
        (lambda x: (x * 2).detach(), False, True, False),
        (lambda x: (x * 2).detach().requires_grad_(), True, True, False),
        (lambda x: x > 0, False, True, False),
        (lambda x: x.argmax(), False, True, False),
        (lambda x: torch.ones(2) * 2, False, True, False),
        (lambda x: torch.no_grad(lambda: x * 2)(), False, True, False),
        (lambda x: (x * 2).data, False, True, False),
        (lambda x: x.split(1)[1], True, False, True),
    ],
)
def test_leaves(make: Callable[[Any], Any], requires_grad: bool, is_leaf: bool, has_grad_fn: bool) -> None:
    y = make(leaf(torch, 1.0, 2.0))
    assert (y.requires_grad, y.is_leaf, y.grad_fn is not None) == (requires_grad, is_leaf, has_grad_fn)
    assert y.grad is None


NAMES: list[tuple[Callable[[Any, Any, Any], Any], str]] = [
    (lambda t, x, m: x + 2, "AddBackward0"),
    (lambda t, x, m: x - 2, "SubBackward0"),
    (lambda t, x, m: x * x, "MulBackward0"),
    (lambda t, x, m: x / 2, "DivBackward0"),
    (lambda t, x, m: x**2, "PowBackward0"),
    (lambda t, x, m: -x, "NegBackward0"),
    (lambda t, x, m: x.sum(), "SumBackward0"),
    (lambda t, x, m: x.sum(0), "SumBackward1"),
    (lambda t, x, m: x.mean(), "MeanBackward0"),
    (lambda t, x, m: x.exp(), "ExpBackward0"),
    (lambda t, x, m: m @ m, "MmBackward0"),
    (lambda t, x, m: m.t(), "TBackward0"),
    (lambda t, x, m: m.T, "PermuteBackward0"),
    (lambda t, x, m: m.view(4), "ViewBackward0"),
    (lambda t, x, m: x.split(1)[0], "SplitBackward0"),
    (lambda t, x, m: x.unbind()[0], "UnbindBackward0"),
    (lambda t, x, m: x.max(), "MaxBackward1"),
    (lambda t, x, m: m.max(0).values, "MaxBackward0"),
    (lambda t, x, m: m.sort().values, "SortBackward0"),
    (lambda t, x, m: x[0], "SelectBackward0"),
    (lambda t, x, m: x.clone(), "CloneBackward0"),
]


@pytest.mark.parametrize(("make", "name"), NAMES, ids=[name for _, name in NAMES])
def test_node_names(make: Callable[[Any, Any, Any], Any], name: str) -> None:
    y = make(torch, leaf(torch, 1.0, 2.0), torch.ones(2, 2, requires_grad=True))
    assert y.grad_fn.name() == type(y.grad_fn).__name__ == name
    assert re.fullmatch(rf"<{name} object at 0x[0-9a-f]+>", repr(y.grad_fn))
    assert f"grad_fn=<{name}>" in repr(y)


@pytest.mark.parametrize(("make", "name"), NAMES, ids=[name for _, name in NAMES])
def test_node_names_are_those_of_pytorch(make: Callable[[Any, Any, Any], Any], name: str) -> None:
    oracle = pytest.importorskip("torch")
    assert make(oracle, leaf(oracle, 1.0, 2.0), oracle.ones(2, 2, requires_grad=True)).grad_fn.name() == name


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda t, x: x * 2, [("AccumulateGrad", 0), (None, 0)]),
        (lambda t, x: t.ones(2) * x, [(None, 0), ("AccumulateGrad", 0)]),
        (lambda t, x: x * x, [("AccumulateGrad", 0), ("AccumulateGrad", 0)]),
        (lambda t, x: x.split(1)[1] * x.split(1)[0], [("SplitBackward0", 1), ("SplitBackward0", 0)]),
        (
            lambda t, x: t.cat([x, t.ones(1), x.exp()]),
            [("AccumulateGrad", 0), (None, 0), ("ExpBackward0", 0)],
        ),
    ],
)
def test_next_functions(make: Callable[[Any, Any], Any], expected: list[Any]) -> None:
    def edges(t: Any) -> list[Any]:
        node = make(t, leaf(t, 1.0, 2.0)).grad_fn
        return [(n and n.name().rpartition("::")[2], i) for n, i in node.next_functions]

    assert edges(torch) == expected
    assert edges(pytest.importorskip("torch")) == expected


def test_the_node_of_a_leaf_knows_it() -> None:
    x = leaf(torch, 1.0)
    node = (x * 2).grad_fn.next_functions[0][0]
    assert node is (x + 1).grad_fn.next_functions[0][0]
    assert node.variable is x and node.next_functions == ()


def test_outputs_of_one_node() -> None:
    a, b = leaf(torch, 1.0, 2.0).split(1)
    assert a.grad_fn is b.grad_fn and (a.output_nr, b.output_nr) == (0, 1)


def test_requires_grad_comes_and_goes() -> None:
    x = torch.ones(2)
    assert x.requires_grad_() is x and x.requires_grad
    y = x * 2
    x.requires_grad = False
    assert not (x * 3).requires_grad and y.requires_grad
    x.requires_grad_(False).requires_grad_(True)
    (x * 3).sum().backward()
    y.sum().backward()  # its graph still ends at x
    assert x.grad.tolist() == [5.0, 5.0]


def test_detach() -> None:
    x = leaf(torch, 1.0, 2.0)
    d = x.detach()
    assert d.requires_grad is False and d._raw.base is not None
    assert (x * d).sum().backward() is None and x.grad.tolist() == [1.0, 2.0]
    h = x * 3
    assert h.detach_() is h and h.is_leaf and not h.requires_grad


# --- hooks --------------------------------------------------------------------------------------------------


def test_hooks_run_in_order_and_each_sees_what_the_one_before_left(t: Any) -> None:
    x, seen = leaf(t, 1.0, 2.0), []
    h = x * 2
    h.retain_grad()
    h.register_hook(lambda g: seen.append(g.tolist()))
    h.register_hook(lambda g: g * 10)
    h.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: g + 1)
    (h + h).sum().backward()
    assert seen == [[2.0, 2.0], [20.0, 20.0]]
    assert h.grad.tolist() == [20.0, 20.0] and x.grad.tolist() == [41.0, 41.0]


def test_a_hook_is_removed_by_its_handle() -> None:
    x, seen = leaf(torch, 1.0), []
    with x.register_hook(lambda g: seen.append("with")):
        (x * 2).backward()
    handle = x.register_hook(lambda g: seen.append("handle"))
    x.register_hook(lambda g: seen.append("stays"))
    (x * 2).backward()
    handle.remove()
    handle.remove()
    (x * 2).backward()
    assert seen == ["with", "handle", "stays", "stays"]


@pytest.mark.parametrize("recorded", [False, True])
def test_hooks_record_only_when_the_backward_does(recorded: bool) -> None:
    x, seen = leaf(torch, 3.0), []
    x.register_hook(lambda g: seen.append((torch.is_grad_enabled(), g.requires_grad)) or g * x)
    (g,) = torch.autograd.grad(x * x, x, create_graph=recorded)
    assert seen == [(recorded, recorded)] and g.requires_grad is recorded and g.tolist() == [18.0]
    if recorded:  # 2x * x
        assert torch.autograd.grad(g, x, create_graph=False)[0].tolist() == [36.0]


def test_an_exception_in_a_hook_comes_out_and_leaves_no_mode_behind() -> None:
    x = leaf(torch, 3.0)
    x.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        (x * x).backward()
    assert torch.is_grad_enabled() and (x * 2).requires_grad


def test_hooks_on_outputs_of_one_node_are_each_its_own() -> None:
    x, seen = leaf(torch, 1.0, 2.0), []
    a, b = x.unbind()
    a.register_hook(lambda g: seen.append(("a", g.shape, g.item())))
    b.register_hook(lambda g: seen.append(("b", g.shape, g.item())))
    (a * 3).backward(retain_graph=True)
    assert seen == [("a", (), 3.0)]
    (a * 3 + b * 4).backward()
    assert sorted(seen[1:]) == [("a", (), 3.0), ("b", (), 4.0)] and x.grad.tolist() == [6.0, 4.0]


def test_a_backward_inside_a_hook() -> None:
    x, z = leaf(torch, 3.0), leaf(torch, 5.0)
    x.register_hook(torch.enable_grad()(lambda g: (z * z).backward()))
    (x * x).backward()
    assert x.grad.tolist() == [6.0] and z.grad.tolist() == [10.0]


# --- retained gradients -------------------------------------------------------------------------------------


def test_retain_grad(t: Any) -> None:
    x = leaf(t, 1.0, 2.0)
    h = x * 2
    h.retain_grad()
    h.retain_grad()
    x.retain_grad()
    assert (h.retains_grad, x.retains_grad, (x * 1).retains_grad) == (True, False, False)
    y = (h * h).sum()
    y.backward(retain_graph=True)
    assert plain([h.grad, x.grad]) == [[4.0, 8.0], [8.0, 16.0]]
    y.backward()
    assert plain([h.grad, x.grad]) == [[8.0, 16.0], [16.0, 32.0]]
    h.grad[0] = 100.0  # is its own
    assert x.grad.tolist() == [16.0, 32.0]


def test_a_retained_gradient_is_dense_writable_memory_of_its_own() -> None:
    x = leaf(torch, 1.0, 2.0)
    h = x * 1
    h.retain_grad()
    h.sum().backward()  # with an expanded gradient
    assert h.grad._raw.flags.owndata and h.grad._raw.flags.writeable and h.grad.stride() == (1,)
    assert h.grad.add_(1).tolist() == [2.0, 2.0] and x.grad.tolist() == [1.0, 1.0]


def test_retain_grad_of_a_recorded_backward_can_be_differentiated() -> None:
    x = leaf(torch, 3.0)
    h = x * 1
    h.retain_grad()
    (h * h * h).backward(create_graph=True)
    assert h.grad.tolist() == [27.0] and torch.autograd.grad(h.grad, x)[0].tolist() == [18.0]


# --- size ---------------------------------------------------------------------------------------------------


def test_a_chain_of_a_million_ops() -> None:
    x, two = leaf(torch, 1.0), torch.tensor([2.0])
    y, saved_first = x * two, weakref.ref(two._raw)
    del two
    for _ in range(500_000):
        y = y * 1.0 - 0.0
    gc.disable()
    try:
        y.backward(retain_graph=True)
        assert x.grad.tolist() == [2.0] and saved_first() is not None
        del y  # frees the chain, link by link
        assert saved_first() is None
    finally:
        gc.enable()


def test_a_wide_fan_out() -> None:
    x = leaf(torch, 1.0, 2.0)
    h = x * 1
    total = h * 0
    for k in range(1, 2001):
        total = total + h * k
    total.sum().backward()
    assert x.grad.tolist() == [2001000.0, 2001000.0]


def test_ladders_are_walked_once_per_node() -> None:
    x = leaf(torch, 1.0)
    y = x
    for _ in range(60):  # 2**60 paths
        y = y * 0.5 + y * 0.5
    y.backward()
    assert x.grad.tolist() == [1.0]
