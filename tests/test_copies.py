"""Copies, deep ones and through pickle: what they share, what they keep, and what they leave behind."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch


def reread(x: Any) -> Any:
    return pickle.loads(pickle.dumps(x))


TOGETHER = [copy.deepcopy, reread]


def sharing(t: Any, again: Callable[[Any], Any]) -> Any:
    """Views of one tensor, copied together, then written through each other."""
    x = t.arange(12.0).reshape(3, 4)
    a, b, c, d, e = again([x, x[1:], x.t(), x.detach()[:, ::2], x[0].expand(2, 4)])
    found = [[v.stride(), v.tolist()] for v in (a, b, c, d, e)]
    b[0, 0] = 50.0
    c.add_(100.0)
    if again is reread:  # which keeps no strides here
        found = [values for _, values in found]
    return found, [v.tolist() for v in (a, b, c, d, e, x)], [v._is_view() for v in (a, b, c)]


def leaves_and_views(t: Any, again: Callable[[Any], Any]) -> Any:
    """A leaf and a tensor over its memory; the copy of the leaf is trained, and the other one sees it."""
    w = t.ones(3, requires_grad=True)
    seen, w2 = again([w.detach(), w])
    (w2 * w2).sum().backward()
    with t.no_grad():
        w2 -= w2.grad
    return w2.tolist(), seen.tolist(), w.tolist(), w.grad, w2.is_leaf, w2.requires_grad


def gradients(t: Any, again: Callable[[Any], Any]) -> Any:
    x = t.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    p = t.nn.Parameter(t.ones(2))
    (p * 3).sum().backward()
    y, q = again([x, p])
    return [None if v.grad is None else v.grad.tolist() for v in (y, q)], type(q).__name__, q.requires_grad


def hooks(t: Any, again: Callable[[Any], Any]) -> Any:
    x = t.ones(2, requires_grad=True)
    x.register_hook(lambda g: g * 5)
    y = again(x)
    (y * 1).sum().backward()
    return y.grad.tolist()


def frozen(t: Any, again: Callable[[Any], Any]) -> Any:
    p, q = again([t.nn.Parameter(t.ones(2), requires_grad=False), t.ones(2, dtype=t.int64)])
    return p.requires_grad, q.requires_grad, str(q.dtype)


def modules(t: Any, again: Callable[[Any], Any]) -> Any:
    class Tied(t.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = t.nn.Linear(2, 2), t.nn.Linear(2, 2)
            self.b.weight = self.a.weight
            self.register_buffer("count", t.zeros(2))
            self.alias = self.count

    m = Tied()
    c = copy.deepcopy(m)
    c.count += 1
    return (
        c.a.weight is c.b.weight,
        c.a.weight is m.a.weight,
        c.alias.tolist(),
        m.count.tolist(),
        sorted(c.state_dict()),
    )


def computed(t: Any, again: Callable[[Any], Any]) -> Any:
    y = again(t.ones(2, requires_grad=True) * 2)
    return y.is_leaf, y.requires_grad, y.tolist()


def inference(t: Any, again: Callable[[Any], Any]) -> Any:
    with t.inference_mode():
        x = t.ones(2)
    return again(x).is_inference()


def one_object_twice(t: Any, again: Callable[[Any], Any]) -> Any:
    x = t.ones(2)
    a, b = again([x, x])
    return a is b, a is x


CASES = [sharing, leaves_and_views, gradients, hooks, frozen, modules, computed, inference, one_object_twice]


def outcome(case: Callable[..., Any], t: Any, again: Callable[[Any], Any]) -> Any:
    try:
        return case(t, again)
    except RuntimeError as error:
        assert "only tensors created explicitly by the user" in str(error).lower()
        return "RuntimeError"


@pytest.mark.filterwarnings("ignore:backward hook")
@pytest.mark.parametrize("again", TOGETHER)
@pytest.mark.parametrize("case", CASES)
def test_as_in_pytorch(case: Callable[..., Any], again: Callable[[Any], Any]) -> None:
    oracle = pytest.importorskip("torch")
    assert outcome(case, torch, again) == outcome(case, oracle, again)


EXPECTED: dict[tuple[Any, Any], Any] = {
    (leaves_and_views, copy.deepcopy): ([-1.0] * 3, [-1.0] * 3, [1.0] * 3, None, True, True),
    (leaves_and_views, reread): ([-1.0] * 3, [1.0] * 3, [1.0] * 3, None, True, True),
    (gradients, copy.deepcopy): ([[3.0, 3.0], None], "Parameter", True),
    (gradients, reread): ([None, None], "Parameter", True),
    (hooks, copy.deepcopy): [1.0, 1.0],
    (modules, copy.deepcopy): (True, False, [1.0, 1.0], [0.0, 0.0], ["a.bias", "a.weight", "b.bias", "b.weight", "count"]),
    (computed, reread): (True, True, [2.0, 2.0]),
    (one_object_twice, copy.deepcopy): (True, False),
}  # fmt: skip


@pytest.mark.parametrize(("case", "again"), EXPECTED)
def test_without_an_oracle(case: Callable[..., Any], again: Callable[[Any], Any]) -> None:
    assert case(torch, again) == EXPECTED[case, again]


def test_copies_that_share_memory_keep_what_graphs_need() -> None:
    x = torch.arange(4.0)
    a, b = copy.deepcopy([x, x[1:]])
    w = torch.ones(3, requires_grad=True)
    y = (w * b).sum()
    a.zero_()  # the graph keeps the old values, and both copies move
    y.backward()
    assert w.grad.tolist() == [1.0, 2.0, 3.0]
    a[2] = 7.0
    assert b.tolist() == [0.0, 7.0, 0.0] and x.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_a_recorded_gradient_is_not_copied() -> None:
    x = torch.ones(2, requires_grad=True)
    (x * x).sum().backward(create_graph=True)
    with pytest.raises(RuntimeError, match="only Tensors created explicitly by the user"):
        copy.deepcopy(x)


def test_a_subclass_keeps_its_attributes() -> None:
    p = Named(torch.ones(2))
    p.name = ["weight"]
    for again in (copy.copy, reread):
        assert again(p).name == ["weight"] and type(again(p)) is Named


class Named(torch.nn.Parameter):
    name: list[str]


def test_memory_with_gaps() -> None:
    x = torch.from_numpy(np.arange(12.0)[::2])
    assert copy.deepcopy(x).tolist() == reread(x).tolist() == x.tolist()
    view = x[1:]
    with pytest.raises(NotImplementedError, match=r"deepcopy: .* gaps .* copy its .clone\(\) instead"):
        copy.deepcopy([x, view])
