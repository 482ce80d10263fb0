"""Hooks of tensors and nodes, gradient edges, and what nodes tell; PyTorch is asked the same where it is installed."""

from __future__ import annotations

from typing import Any

import pytest

import plugrad
import plugrad as torch


def log_of_all_hooks(t: Any) -> list[Any]:
    log: list[Any] = []
    a = t.tensor([1.0, 2.0], requires_grad=True)
    b = t.tensor([3.0, 4.0])
    y = a * b
    z = y.exp() * 0.01
    y.register_hook(lambda g: log.append(("first", g.tolist())) or g * 2)
    y.retain_grad()
    second = y.register_hook(lambda g: log.append(("second", g.tolist())))
    y.grad_fn.register_prehook(lambda gs: log.append(("before", gs[0].tolist())) or (gs[0] * 3,))
    y.grad_fn.register_hook(
        lambda gi, go: log.append(("after", gi[0].tolist(), go[0].tolist())) or (gi[0] * 10, None)
    )
    a.register_hook(lambda g: log.append(("leaf", g.tolist())))
    a.register_post_accumulate_grad_hook(lambda p: log.append(("accumulated", p.grad.tolist())))
    z.sum().backward(retain_graph=True)
    log.append(y.grad.tolist())
    second.remove()
    (g,) = t.autograd.grad(z.sum(), a, create_graph=True)
    log.append(g.tolist())
    g.sum().backward()
    log.append(a.grad.tolist())
    s, u = t.stack([a, a * 2]).unbind(0)
    s.register_hook(lambda g: log.append(("output", g.tolist())))
    s.grad_fn.register_prehook(
        lambda gs: log.append(("outputs", [None if g is None else g.tolist() for g in gs]))
    )
    (s * u).sum().backward()
    return log


def test_the_order_of_hooks() -> None:
    log = log_of_all_hooks(plugrad)
    assert [entry[0] for entry in log[:6]] == ["first", "second", "before", "after", "leaf", "accumulated"]
    pytorch = pytest.importorskip("torch")
    for ours, theirs in zip(log, log_of_all_hooks(pytorch), strict=True):
        assert str(ours) == str(theirs)


@pytest.mark.parametrize(("mode", "expected"), [("all", [[1.0], [2.0], None, [4.0]]), ("any", 1)])
def test_multi_grad_hooks(mode: str, expected: Any) -> None:
    tensors = [torch.tensor([float(i)], requires_grad=True) for i in range(1, 5)]
    calls: list[Any] = []
    handle = torch.autograd.graph.register_multi_grad_hook(tensors, calls.append, mode=mode)

    def loss() -> Any:
        return tensors[0] + 2 * tensors[1] + tensors[3] * 4

    for n in (1, 2):
        loss().backward()
        assert len(calls) == n
    if mode == "all":
        assert [None if g is None else g.tolist() for g in calls[-1]] == expected
    torch.autograd.grad(loss(), [tensors[0]])
    assert len(calls) == 3
    with pytest.raises(ZeroDivisionError):
        broken = tensors[3] * 1
        broken.register_hook(lambda g: 1 / 0)
        (tensors[0] + broken).backward()
    loss().backward()
    assert len(calls) in (4, 5)
    handle.remove()
    loss().backward()
    assert len(calls) in (4, 5)


def test_retained_gradients_follow_in_place_writes() -> None:
    a = torch.ones(2, requires_grad=True)
    x = a * 2
    x.retain_grad()
    seen = []
    x.register_hook(lambda g: seen.append(g.tolist()))  # of the values before
    x.mul_(5)
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3, 3] and seen == [[15, 15]] and a.grad.tolist() == [30, 30]


def test_gradient_edges() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 3
    edge, leaf = (torch.autograd.graph.get_gradient_edge(t) for t in (y, x))
    z = (y * y).sum()
    assert edge.node is y.grad_fn and edge.output_nr == 0 and leaf.node.variable is x
    del y
    g, h = torch.autograd.grad(z, [edge, leaf], retain_graph=True)
    assert g.tolist() == [6, 6] and h.tolist() == [18, 18]
    assert torch.autograd.grad(edge, x, torch.ones(2), retain_graph=True)[0].tolist() == [3, 3]
    z.backward(inputs=[leaf])
    assert x.grad.tolist() == [18, 18]
    second = torch.stack([x, x]).unbind(0)[1]
    place = torch.autograd.graph.get_gradient_edge(second)
    assert place.output_nr == 1 and torch.autograd.grad((second * 2).sum(), place)[0].tolist() == [2, 2]
    assert torch.autograd.grad((x * x).sum(), {"x": x})["x"].tolist() == [2, 2]


def test_what_nodes_tell() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).exp()
    node = y.grad_fn
    node.metadata["note"] = 1
    assert node.metadata == {"note": 1} and node._saved_result.tolist() == y.tolist()
    product = node.next_functions[0][0]
    assert product._saved_self.tolist() == product._saved_other.tolist() == [1, 2]
    with pytest.raises(AttributeError, match="ExpBackward0' object has saved no 'other': it saves y"):
        print(node._saved_other)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        print(node.nonsense)
    y.sum().backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        print(node._saved_result)


ERRORS = {
    "a node's hook returns too many": (
        lambda x, y: y.grad_fn.register_hook(lambda gi, go: (gi[0], gi[0])),
        RuntimeError,
        "has returned an incorrect number of values .got 2, but expected 1",
    ),
    "of another shape": (
        lambda x, y: y.grad_fn.register_prehook(lambda go: (go[0].sum(),)),
        RuntimeError,
        "changed the size",
    ),
    "no tensor": (
        lambda x, y: y.register_hook(lambda g: 3),
        TypeError,
        "expected Variable, but hook '<lambda>' returned 'int'",
    ),
    "not a leaf": (
        lambda x, y: y.register_post_accumulate_grad_hook(print),
        RuntimeError,
        "cannot be registered on non-leaf",
    ),
    "no gradient": (lambda x, y: x.detach().register_hook(print), RuntimeError, "doesn't require gradient"),
    "no gradient, accumulated": (
        lambda x, y: x.detach().register_post_accumulate_grad_hook(print),
        RuntimeError,
        "doesn't require",
    ),
    "no edge": (
        lambda x, y: torch.autograd.graph.get_gradient_edge(x.detach()),
        RuntimeError,
        "does not require gradients",
    ),
    "mode": (
        lambda x, y: torch.autograd.graph.register_multi_grad_hook([x], print, mode="some"),
        ValueError,
        "one of .'all', 'any'.",
    ),
    "an edge without weight": (
        lambda x, y: torch.autograd.grad(torch.autograd.graph.get_gradient_edge(y), x),
        RuntimeError,
        "implicitly created only for scalar outputs",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_refused(case: str) -> None:
    what, error, text = ERRORS[case]
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    with pytest.raises(error, match=text):
        what(x, y)
        y.sum().backward()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("make", [lambda x: x.split([1, 2]), lambda x: x.sort()[:1] * 2])
def test_a_prehook_may_let_nothing_arrive_at_a_node_of_several_outputs(make: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    a, b = make(x)
    a.grad_fn.register_prehook(lambda gs: (None,) * len(gs))
    loss = a.sum() + (b.sum() if b.requires_grad else 0)
    assert torch.autograd.grad(loss, x, allow_unused=True) == (None,)
