"""The rules of saved-tensor hooks, in plugrad and in PyTorch, and what plugrad refuses beyond them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import plugrad as torch


@pytest.fixture(params=["plugrad", "torch"])
def t(request: pytest.FixtureRequest) -> Iterator[Any]:
    """plugrad, and PyTorch where installed."""
    return torch if request.param == "plugrad" else pytest.importorskip("torch")


def identity(value: Any) -> Any:
    return value


def test_a_pack_hook_must_not_write(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    with (
        t.autograd.graph.saved_tensors_hooks(lambda v: v.mul_(2), identity),
        pytest.raises(RuntimeError, match="A saved tensor pack hook is modifying its input in place"),
    ):
        x * x


def test_packing_does_not_record_and_second_order_is_right(t: Any) -> None:
    x, seen = t.ones(2, requires_grad=True), []

    def hook(v: Any) -> Any:
        seen.append(t.is_grad_enabled())
        return v + 0

    with t.autograd.graph.saved_tensors_hooks(hook, hook):
        y = x * x
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    assert seen[:2] == [False, False] and g.tolist() == [2, 2]
    assert t.autograd.grad(g.sum(), x)[0].tolist() == [2, 2]


def test_disabling_inside_of_hooks(t: Any) -> None:
    graph = t.autograd.graph
    refused, inner = graph.disable_saved_tensors_hooks("no hooks"), graph.disable_saved_tensors_hooks("inner")
    with (
        graph.saved_tensors_hooks(identity, identity),
        pytest.raises(RuntimeError, match="no hooks"),
        refused,
    ):
        pass
    with (
        pytest.raises(RuntimeError, match="inner"),
        graph.disable_saved_tensors_hooks("outer"),
        inner,
        graph.saved_tensors_hooks(identity, identity),
    ):
        pass
    with graph.saved_tensors_hooks(identity, identity):
        pass


def test_access_unpacks_each_time(t: Any) -> None:
    x, log = t.tensor([3.0], requires_grad=True), []
    with t.autograd.graph.saved_tensors_hooks(identity, lambda v: (log.append(1), v)[1]):
        y = x * x
    assert y.grad_fn._saved_self.tolist() == [3] and y.grad_fn._saved_other.tolist() == [3] and len(log) == 2
    y.backward()
    assert x.grad.tolist() == [6] and len(log) == 4
    with pytest.raises(RuntimeError, match="second time"):
        _ = y.grad_fn._saved_self


def test_what_saves_nothing_is_differentiated_again(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    with t.autograd.graph.saved_tensors_hooks(identity, identity):
        y = (x + x).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [4, 4]


def test_another_dtype_is_converted(t: Any) -> None:
    x = t.tensor([1.0, 0.5], requires_grad=True)
    for smaller in (t.float16, t.float64):
        with t.autograd.graph.saved_tensors_hooks(lambda v, d=smaller: v.to(d), identity):
            y = x * x
        (g,) = t.autograd.grad(y.sum(), x)
        assert g.dtype is t.float32 and g.tolist() == [2, 1]


def test_errors_of_hooks_come_through(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    for error in (AttributeError("mine"), RuntimeError("mine"), KeyError("mine")):

        def fail(v: Any, error: Exception = error) -> Any:
            raise error

        with t.autograd.graph.saved_tensors_hooks(identity, fail):
            y = x * x
        with pytest.raises(type(error), match="mine"):
            y.sum().backward()
        assert t.is_grad_enabled()


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1)])
def test_another_shape_is_refused_and_not_broadcast(shape: tuple[int, ...]) -> None:
    x = torch.ones(2, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(identity, lambda v: torch.ones(shape)):
        y = x * x
    with pytest.raises(RuntimeError, match=r"unpack_hook has another shape .* expected \[2\]"):
        y.sum().backward()


PACKINGS = {
    "itself": (identity, identity),
    "in a tuple": (lambda v: (v,), lambda p: p[0]),
    "a view": (lambda v: v.view(1, 2), lambda v: v.view(2)),
    "NumPy": (lambda v: v.numpy(), lambda a: torch.from_numpy(a)),
    "detached": (lambda v: v.detach(), identity),
}


@pytest.mark.parametrize("name", PACKINGS)
@pytest.mark.parametrize("whole", [True, False])
def test_writes_do_not_reach_what_was_packed(name: str, whole: bool) -> None:
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    c = torch.tensor([5.0, 7.0]) if whole else torch.tensor([0.0, 5.0, 7.0])[1:]
    with torch.autograd.graph.saved_tensors_hooks(*PACKINGS[name]):
        y = x * c
        z = y * y
    c.mul_(10)
    y.mul_(10)
    z.sum().backward()
    assert x.grad.tolist() == [2 * 2 * 25, 2 * 3 * 49] and c.tolist() == [50, 70]


def test_hooks_belong_to_a_thread(t: Any) -> None:
    log: list[int] = []
    x = t.ones(2, requires_grad=True)
    with t.autograd.graph.saved_tensors_hooks(lambda v: (log.append(1), v)[1], identity):
        thread = threading.Thread(target=lambda: x * x)
        thread.start()
        thread.join()
    assert not log


def test_threads_share_a_packed_graph() -> None:
    x = torch.tensor([3.0], requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda v: v.item(), lambda v: torch.tensor([v])):
        y = (x * x).exp()
    (expected,) = torch.autograd.grad(y, x, retain_graph=True)
    found: list[Any] = []

    def work() -> None:
        for _ in range(50):
            found.append(torch.autograd.grad(y, x, retain_graph=True)[0].item())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected.item()] * 200


def test_with_other_modes() -> None:
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda v: v.tolist(), lambda v: torch.tensor(v)),
        torch.autograd.nan_safe(),
        torch.autograd.record_source_lines(),
    ):
        y = torch.where(x > 0, x.sqrt() * torch.ones(3, 2), 0)
    assert y.grad_fn.metadata["source"][0] == __file__
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert g.tolist() == [0, 0.75]
    assert torch.autograd.grad(g.sum(), x)[0].tolist() == [0, -3 / 32]
