"""What a graph keeps, and for how long: no cycles, no growth, and nothing that no formula names."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.graph import Meta, Node


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Nothing but reference counting frees memory."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def matrix(requires_grad: bool = True) -> Any:
    return torch.arange(1.0, 10.0).reshape(3, 3).clone().requires_grad_(requires_grad)


def nodes_of(y: Any) -> list[Node]:
    """All nodes of the graph of `y`."""
    found, stack = {}, [y.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and id(node) not in found:
            found[id(node)] = node
            stack += [n for n, _ in node.next_functions]
    return list(found.values())


def slots_of(node: Node) -> dict[str, Any]:
    names = [
        s for cls in type(node).__mro__ for s in getattr(cls, "__slots__", ()) if s not in ("edges", "hooks")
    ]
    return {name: getattr(node, name) for name in names if hasattr(node, name)}


def arrays_in(node: Node) -> dict[str, Any]:
    return {name: v for name, v in slots_of(node).items() if isinstance(v, np.ndarray)}


# --- what is kept -------------------------------------------------------------------------------------------

M = matrix(False)
KEPT: dict[str, tuple[Callable[[Any, Any], Any], set[str]]] = {
    "add": (lambda a, b: a + b, set()),
    "add, broadcast": (lambda a, b: a + b[0], set()),
    "sub": (lambda a, b: a - b, set()),
    "neg": (lambda a, b: -a, set()),
    "mul": (lambda a, b: a * b, {"a", "b"}),
    "mul by a constant": (lambda a, b: a * M, {"b"}),
    "constant mul": (lambda a, b: M * b, {"a"}),
    "mul by a number": (lambda a, b: a * 3.0, set()),
    "mul, broadcast": (lambda a, b: a * M[0], {"b"}),
    "div": (lambda a, b: a / b, {"b", "y"}),
    "div by a constant": (lambda a, b: a / M, {"b"}),
    "constant div": (lambda a, b: M / b, {"b", "y"}),
    "pow by a number": (lambda a, b: a**3, {"a"}),
    "exp": (lambda a, b: a.exp(), {"y"}),
    "sqrt": (lambda a, b: a.sqrt(), {"y"}),
    "sigmoid": (lambda a, b: a.sigmoid(), {"y"}),
    "tanh": (lambda a, b: a.tanh(), {"y"}),
    "log": (lambda a, b: a.log(), {"x"}),
    "sum": (lambda a, b: a.sum(), set()),
    "sum over a dim": (lambda a, b: a.sum(0), set()),
    "mean": (lambda a, b: a.mean(), set()),
    "reshape": (lambda a, b: a.reshape(9), set()),
    "transpose": (lambda a, b: a.t(), set()),
    "expand": (lambda a, b: a[:1].expand(3, 3), set()),
    "basic index": (lambda a, b: a[1:, 0], set()),
    "cat": (lambda a, b: torch.cat([a, b]), set()),
    "split": (lambda a, b: a.split(1)[0], set()),
    "astype": (lambda a, b: a.double(), set()),
    "clone": (lambda a, b: a.clone(), set()),
    "matmul": (lambda a, b: a @ b, {"a", "b"}),
    "matmul by a constant": (lambda a, b: a @ M, {"b"}),
    "where": (lambda a, b: torch.where(M > 2, a, b), {"condition"}),
    "floor": (lambda a, b: a.floor(), set()),
    "chosen by one mask": (lambda a, b: a.masked_fill(M > 2, 0.0), {"mask"}),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_node_keeps_what_its_formulas_name(name: str) -> None:
    f, expected = KEPT[name]
    a, b = matrix(), matrix()
    y = f(a, b)
    node = y.grad_fn
    kept = arrays_in(node)
    assert set(kept) == expected
    assert all(
        kept[k] is v._raw
        for k, v in {"y": y, "a": a, "b": b, "x": a}.items()
        if k in kept and v.shape == kept[k].shape and kept[k] is not M._raw
    )
    metas = [v for v in slots_of(node).values() if isinstance(v, Meta)]
    assert all(not hasattr(m, "__dict__") and type(m.shape) is tuple for m in metas)


def test_a_formula_that_reads_a_shape_keeps_a_meta() -> None:
    slots = slots_of(matrix().sum(0).grad_fn)
    assert slots["x_meta"].shape == (3, 3) and slots["x_meta"].dtype is torch.float32 and "x" not in slots


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize(
    "f", [lambda h: h + 1, lambda h: h.sum(), lambda h: h * M * 0 + h.t(), lambda h: h.reshape(9)[2:5] - 1]
)
def test_intermediates_that_nothing_needs_are_gone_at_once(f: Callable[[Any], Any]) -> None:
    h = matrix() + 1
    memory = weakref.ref(h._raw)
    y = f(h).sum()
    del h
    assert memory() is None and y.requires_grad


@pytest.mark.usefixtures("no_gc")
def test_without_recording_nothing_is_kept() -> None:
    x = matrix()
    with torch.no_grad():
        h = x.exp()
        y = h * h
        memory = weakref.ref(h._raw)
        del h
        assert memory() is None and y.grad_fn is None


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("name", ["relu_", "tanh_", "exp_", "sigmoid_", "neg_"])
def test_in_place_activations_let_go_of_what_they_overwrote(name: str) -> None:
    if not hasattr(torch.Tensor, name):
        pytest.skip(f"no {name}")
    h = matrix() + 1
    memory = weakref.ref(h._raw)
    getattr(h, name)()
    assert memory() is None and h.requires_grad


# --- for how long -------------------------------------------------------------------------------------------

GRAPHS: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: (x.exp() * x.sin() / (x + 1) - x**2).sqrt().tanh(),
    "broadcast": lambda x: x * x[0] + x[:, :1] / x[0, 0],
    "promoted": lambda x: x.double() * x + x * 2,
    "complex": lambda x: ((x * (1 + 2j)) * x).abs(),
    "reduced": lambda x: (x - x.mean()) / x.std() + x.max() - x.sum(0, keepdim=True),
    "shapes": lambda x: torch.cat([x.t(), x.reshape(9)[3:6].expand(3, 3)]).flip(0),
    "pieces": lambda x: (lambda a, b, c: a * b + c)(*x.split(1)),
    "sorted": lambda x: x.sort(dim=0).values * x.max(dim=0).values,
    "indexed": lambda x: x[torch.tensor([0, 0, 1])] * x.gather(0, torch.zeros(3, 3, dtype=torch.int64)),
    "matrices": lambda x: (x @ x).softmax(0) @ x[0],
    "hooked": lambda x: hooked(x * x * x),
}


def hooked(h: Any) -> Any:
    h.retain_grad()
    h.register_hook(lambda g: g * 2)
    return h * h


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("went_back", ["never", "once", "retained", "recorded"])
def test_a_graph_is_freed_with_its_last_tensor(name: str, went_back: str) -> None:
    gc.collect()  # what a test before this one left
    x = matrix()
    y = GRAPHS[name](x)
    memories = [
        weakref.ref(array)
        for node in nodes_of(y)
        for array in arrays_in(node).values()
        if array is not x._raw
    ]
    assert memories or name in ("shapes",)
    loss = y.sum()
    if went_back != "never":
        loss.backward(retain_graph=went_back == "retained", create_graph=went_back == "recorded")
        x.grad = None
    if went_back == "once":
        floats = [
            m for m in memories if m() is not None and m().dtype.kind != "i"
        ]  # an index is a parameter, and stays
        assert all(m() is M._raw or m() is y._raw for m in floats)
    before = len(gc.get_objects())
    del y, loss
    constants = [m() for m in memories if m() is not None]
    assert all(c is M._raw for c in constants), constants
    assert len(gc.get_objects()) < before
    assert gc.collect() == 0, "there were cycles"


@pytest.mark.usefixtures("no_gc")
def test_saved_values_go_with_the_backward_although_the_output_stays() -> None:
    x = matrix()
    h = x.exp()
    y = (h * h).log().sum()
    memory, nodes = weakref.ref(h._raw), nodes_of(y)
    del h
    y.backward(retain_graph=True)
    assert memory() is not None and any(arrays_in(n) for n in nodes)
    y.backward()
    assert memory() is None and not any(arrays_in(n) for n in nodes)


def test_a_second_backward_where_nothing_saved_is_needed() -> None:
    for f in (lambda x: x + 2, lambda x: torch.remainder(x, M), lambda x: x.reshape(9)):
        x = matrix()
        y = f(x)
        for _ in range(3):
            y.sum().backward()
        assert x.grad.tolist() == [[3.0] * 3] * 3


@pytest.mark.usefixtures("no_gc")
def test_gradients_that_are_recorded_form_no_cycle() -> None:
    x = matrix()
    memory = weakref.ref(x._raw)
    (x * x * x).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    del x
    assert memory() is None


@pytest.mark.usefixtures("no_gc")
def test_ten_thousand_training_steps_do_not_grow() -> None:
    rng = np.random.default_rng(0)
    inputs, targets = (torch.tensor(rng.standard_normal((4, n)), dtype=torch.float32) for n in (3, 1))
    w = torch.zeros(3, 1, requires_grad=True)
    b = torch.zeros(1, requires_grad=True)

    def steps(n: int) -> int:
        for _ in range(n):
            loss = ((inputs @ w + b - targets) ** 2).mean()
            w.grad = b.grad = None
            loss.backward()
            with torch.no_grad():
                w.sub_(0.01 * w.grad)
                b.__isub__(0.01 * b.grad)
        return sys.getallocatedblocks()

    before = steps(2_000)
    assert steps(10_000) - before < 100
    assert gc.collect() == 0
