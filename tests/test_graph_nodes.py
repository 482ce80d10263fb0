"""Nodes and places in a graph: the same small programs in plugrad and in PyTorch."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch

Program = Callable[[Any, Any], Any]


def shown(value: Any) -> Any:
    """What a program found, to be compared between libraries."""
    if hasattr(value, "requires_grad") and hasattr(value, "tolist"):
        return np.round(value.detach().numpy().astype(float), 9).tolist(), value.requires_grad
    if isinstance(value, dict):
        return {k: shown(v) for k, v in value.items()}
    return [shown(v) for v in value] if isinstance(value, (tuple, list)) else value


def edge(t: Any, *args: Any) -> Any:
    return t.autograd.graph.GradientEdge(*args)


def edge_of(t: Any, y: Any) -> Any:
    return t.autograd.graph.get_gradient_edge(y)


def place(tensor: Any) -> Any:
    """A tensor and where it stands in the graph."""
    return tensor, tensor.is_leaf, tensor.grad_fn and tensor.grad_fn.name()


def with_hooks(t: Any, x: Any) -> Any:
    log: list[str] = []
    y = x.sin()
    y.grad_fn._raw_saved_self.register_hooks(
        lambda v: (log.append("pack"), v * 4)[1], lambda v: (log.append("unpack"), v / 4)[1]
    )
    return log, t.autograd.grad(y.sum(), x), log


def with_hooks_second_order(t: Any, x: Any) -> Any:
    y = x.exp()
    y.grad_fn._raw_saved_result.register_hooks(lambda v: v * 2, lambda v: v / 2)
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    return g, y.grad_fn._saved_result, t.autograd.grad((g * g).sum(), x)


def with_hooks_and_node_hooks(t: Any, x: Any) -> Any:
    y = x.sin()
    y.grad_fn.register_hook(lambda gi, go: (gi[0] * 10,))
    y.grad_fn._raw_saved_self.register_hooks(lambda v: v + 1, lambda v: v - 1)
    y.grad_fn.register_prehook(lambda go: (go[0] * 3,))
    y.sum().backward()
    return x.grad


def accumulated_by_a_call(t: Any, x: Any) -> Any:
    found = (x * 2).grad_fn.next_functions[0][0](t.ones(2))
    return found, x.grad


def filled_by_edge(t: Any, x: Any) -> Any:
    y = x * x
    t.autograd.backward(edge_of(t, y), t.ones(2), retain_graph=True)
    t.autograd.backward(y.sum(), inputs=[edge_of(t, x)])
    return x.grad


def split(t: Any, x: Any) -> Any:
    a, b = x.unbind()
    return a, b, a * 2 + b * b


def of_the_second(t: Any, x: Any) -> Any:
    _, b, y = split(t, x)
    return t.autograd.grad(y, edge(t, b.grad_fn, 1))


def of_one_that_was_not_used(t: Any, x: Any) -> Any:
    a, b, _ = split(t, x)
    return t.autograd.grad(a * 3, edge(t, b.grad_fn, 1), allow_unused=True)


def from_the_second(t: Any, x: Any) -> Any:
    _, b, _ = split(t, x)
    return t.autograd.grad(edge(t, b.grad_fn, 1), x, t.tensor(5.0))


def of_next_functions(t: Any, x: Any) -> Any:
    _, b, y = split(t, x)
    del b
    return [t.autograd.grad(y, edge(t, *f), retain_graph=True) for f in y.grad_fn.next_functions]


def of_the_only_output(t: Any, x: Any) -> Any:
    (a,) = x[:1].unbind()
    return t.autograd.grad(a * a, edge(t, a.grad_fn, 0)), a.grad_fn(t.tensor(3.0))


def called_with_one_missing(t: Any, x: Any) -> Any:
    a, b, _ = split(t, x)
    return a.grad_fn(None, t.tensor(2.0)), b.grad_fn(None, None)


def fields(t: Any, x: Any) -> Any:
    e = edge_of(t, x[:1].unbind()[0])
    return e._fields, len(e), e.output_nr, e.ownership_token, e._replace(output_nr=3).output_nr


PROGRAMS: dict[str, Program] = {
    "saved: a leaf": lambda t, x: (x.sin().grad_fn._saved_self is x, place(x.sin().grad_fn._saved_self)),
    "saved: both": lambda t, x: [place(v) for n in [(x * x.exp()).grad_fn] for v in (n._saved_self, n._saved_other)],
    "saved: an output": lambda t, x: place(x.exp().grad_fn._saved_result),
    "saved: an intermediate": lambda t, x: place((x * 2).sin().grad_fn._saved_self),
    "saved: nothing": lambda t, x: (x * 2).grad_fn._saved_self,
    "saved: a leaf written since": lambda t, x: _written(t, x),
    "saved: listed": lambda t, x: sorted(n for n in dir((x * x).grad_fn) if n.startswith("_saved")),
    "saved: differentiable": lambda t, x: t.autograd.grad((x * 3).exp().grad_fn._saved_result.sum(), x),
    "hooks of a value": with_hooks,
    "hooks of a value, twice differentiated": with_hooks_second_order,
    "hooks of a value and of the node": with_hooks_and_node_hooks,
    "called": lambda t, x: (x * x).grad_fn(t.ones(2)),
    "called with nothing": lambda t, x: (x * x).grad_fn(None),
    "called without recording": lambda t, x: t.no_grad()((x * x).grad_fn)(t.ones(2)),
    "called, a leaf's": accumulated_by_a_call,
    "called, one of two": called_with_one_missing,
    "a dict": lambda t, x: t.autograd.grad((x * x).sum(), {"x": x}),
    "a dict with an unused": lambda t, x: t.autograd.grad(
        x.sum(), {"x": x, "z": t.ones(1, requires_grad=True)}, allow_unused=True
    ),
    "a dict of edges": lambda t, x: [t.autograd.grad(h.sum(), {"h": edge_of(t, h)}) for h in [x * 2]],
    "a node": lambda t, x: [t.autograd.grad((h * h).sum(), edge(t, h.grad_fn, 0)) for h in [x * 2]],
    "a leaf's edge": lambda t, x: t.autograd.grad((x * x).sum(), edge_of(t, x)),
    "an edge from nothing": lambda t, x: t.autograd.grad(edge_of(t, (x * x).sum()), x),
    "an edge as output": lambda t, x: t.autograd.grad(edge_of(t, x * x), x, t.ones(2)),
    "an edge as output, another dtype": lambda t, x: t.autograd.grad(edge_of(t, x * x), x, t.ones(2, dtype=t.float32)),
    "edges: backward": filled_by_edge,
    "edges: the second output": of_the_second,
    "edges: not used": of_one_that_was_not_used,
    "edges: from the second output": from_the_second,
    "edges: of next_functions": of_next_functions,
    "edges: the only output of several": of_the_only_output,
    "edges: fields": fields,
    "the same twice": lambda t, x: t.autograd.grad((x * x).sum(), [x, x]),
    "itself": lambda t, x: [t.autograd.grad(y, y) for y in [x.sum()]],
    "materialized": lambda t, x: t.autograd.grad(x.sum(), [x, t.ones(3, requires_grad=True)], materialize_grads=True),
}  # fmt: skip


def _written(t: Any, x: Any) -> Any:
    n = (x * 2).sin().grad_fn
    return n._saved_self, (n._saved_self * 2).grad_fn.next_functions[0][0].name()


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    def run(t: Any) -> Any:
        return shown(PROGRAMS[name](t, t.tensor([1.0, 2.0], dtype=t.float64, requires_grad=True)))

    assert run(torch) == run(pytest.importorskip("torch"))


def registered(t: Any, x: Any, pack: Any, unpack: Any, times: int = 1) -> Any:
    y = x.sin()
    for _ in range(times):
        y.grad_fn._raw_saved_self.register_hooks(pack, unpack)
    return t.autograd.grad(y.sum(), x)


def registered_afterwards(t: Any, x: Any) -> Any:
    y = x.sin()
    y.sum().backward()
    y.grad_fn._raw_saved_self.register_hooks(lambda v: v, lambda v: v)


def registered_under_hooks(t: Any, x: Any) -> Any:
    with t.autograd.graph.saved_tensors_hooks(lambda v: v, lambda v: v):
        registered(t, x, lambda v: v, lambda v: v)


def same_value(v: Any) -> Any:
    return v


REFUSED: dict[str, tuple[type[Exception], str, Program]] = {
    "hooks twice": (RuntimeError, "hooks have already been set", lambda t, x: registered(t, x, same_value, same_value, 2)),
    "hooks of what hooks packed": (RuntimeError, "hooks have already been set", registered_under_hooks),
    "hooks of what is gone": (RuntimeError, "after it has been freed", registered_afterwards),
    "hooks of nothing": (
        RuntimeError, "with value None is forbidden",
        lambda t, x: (x * 2).grad_fn._raw_saved_self.register_hooks(same_value, same_value),
    ),
    "no hook": (TypeError, "register_hooks", lambda t, x: registered(t, x, 3, same_value)),
    "hooks that write": (
        RuntimeError, "modifying its input in place", lambda t, x: registered(t, x, lambda v: v.mul_(2), same_value)
    ),
    "too many gradients": (TypeError, "expected 1 arguments, got 2", lambda t, x: (x * x).grad_fn(x, x)),
    "no gradient": (TypeError, "argument 0 is a", lambda t, x: (x * x).grad_fn(3)),
    "another mapping": (TypeError, "not OrderedDict", lambda t, x: t.autograd.grad(x.sum(), OrderedDict(x=x))),
    "an empty dict": (RuntimeError, "is empty", lambda t, x: t.autograd.grad(x.sum(), {})),
    "a number": (RuntimeError, "all inputs have to be Tensors or GradientEdges", lambda t, x: t.autograd.grad(x.sum(), [3])),
    "a plain tuple": (RuntimeError, "element 1 of inputs is a int", lambda t, x: t.autograd.grad((x * x).sum(), (x, 0))),
    "a number in backward": (
        RuntimeError, "all inputs have to be Tensors", lambda t, x: t.autograd.backward(x.sum(), inputs=[3])
    ),
    "a gradient of another shape": (
        RuntimeError, "Mismatch in shape", lambda t, x: t.autograd.grad(edge_of(t, x * x), x, t.ones(3))
    ),
    "a gradient that broadcasts, for a mere node": (
        RuntimeError, "Mismatch in shape", lambda t, x: t.autograd.grad(edge(t, (x * 2).grad_fn, 0), x, t.ones(3, 2))
    ),
    "materialized edges": (
        RuntimeError, "materialize_grads cannot be used when the given input is a GradientEdge",
        lambda t, x: t.autograd.grad(x.sum(), edge_of(t, t.ones(1, requires_grad=True)), materialize_grads=True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    error, text, act = REFUSED[name]
    with pytest.raises(error, match=re.escape(text)):
        act(torch, torch.tensor([1.0, 2.0], requires_grad=True))


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_pytorch(name: str) -> None:
    oracle = pytest.importorskip("torch")
    error, _, act = REFUSED[name]
    with pytest.raises(error):
        act(oracle, oracle.tensor([1.0, 2.0], requires_grad=True))


def test_places_that_are_not_there() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    a, b = x.unbind()
    for node, i in ((a.grad_fn, 2), ((x * 2).grad_fn, 1), (b.grad_fn, -1)):  # PyTorch reads other memory
        with pytest.raises(IndexError, match=f"outputs, and none of number {i}"):
            torch.autograd.grad((a + b).sum(), edge(torch, node, i), allow_unused=True)
    with pytest.raises(RuntimeError, match=r"implies no gradient: .* get_gradient_edge\(tensor\)"):
        torch.autograd.grad(edge(torch, (x * x).sum().grad_fn), x)
    with pytest.raises(RuntimeError, match="must be that of a leaf"):  # PyTorch does nothing
        torch.autograd.backward((x * x).sum(), inputs=[edge_of(torch, x * 2)])


def test_a_saved_value_outlives_what_was_written_into_the_leaf() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x.sin()
    with torch.no_grad():
        x.mul_(10)
    saved = y.grad_fn._saved_self
    assert saved is not x and saved.tolist() == [1.0, 2.0] and saved.requires_grad
    with torch.no_grad():
        saved.zero_()  # which the graph does not feel
    (g,) = torch.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(g.numpy(), np.cos([1.0, 2.0]), rtol=1e-6)


def test_hooks_of_a_value_that_was_kept_and_released() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y, calls = x.sin(), []
    y.grad_fn._raw_saved_self.register_hooks(
        lambda v: v.tolist(), lambda v: calls.append(v) or torch.tensor(v)
    )
    assert type(y.grad_fn).__name__ == "SinBackward0" and y.grad_fn._saved_self.tolist() == [1.0, 2.0]
    for keep in (True, True, False):
        torch.autograd.grad(y.sum(), x, retain_graph=keep)
    assert calls == [[1.0, 2.0]] * 4
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(y.sum(), x)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        print(y.grad_fn._saved_self)
