"""Memory that tensors share with each other and with NumPy: what a write may move, and what it may not."""

from __future__ import annotations

import copy
import gc
import random
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.errors import InPlaceError

# --- memory that was handed out -------------------------------------------------------------------------------

LENT: dict[str, Callable[[], tuple[Any, Any]]] = {
    "numpy": lambda: (t := torch.ones(3), t.numpy()),
    "view of it": lambda: (t := torch.ones(3), t.view(3, 1)[:, 0].detach().numpy()[0:3]),
    "asarray": lambda: (t := torch.ones(3), np.asarray(t)),
    "from_numpy": lambda: (torch.from_numpy(a := np.ones(3, np.float32)), a),
    "as_tensor": lambda: (torch.as_tensor(a := np.ones(3, np.float32)), a),
    "dlpack out": lambda: (t := torch.ones(3), np.from_dlpack(t)),
    "dlpack in": lambda: (torch.from_dlpack(a := np.ones(3, np.float32)), a),
    "again": lambda: (torch.from_numpy(torch.from_numpy(a := np.ones(3, np.float32)).numpy()), a),
}


@pytest.mark.parametrize("name", LENT)
def test_memory_that_was_handed_out_does_not_move(name: str) -> None:
    t, array = LENT[name]()
    w = torch.ones(3, requires_grad=True)
    t.add_(1)
    t[0] = 5
    t.mul_(t)
    assert np.array_equal(array, [25.0, 4.0, 4.0])
    y = w * t
    for write in (
        lambda: t.add_(1),
        lambda: t[:2].zero_(),
        lambda: t.__setitem__(0, 1.0),
        lambda: t.copy_(t * 2),
    ):
        with pytest.raises(
            InPlaceError, match=r"a recorded graph needs the values .* shared with NumPy .* write to a .clone"
        ):
            write()
    assert t.clone().add_(1).tolist() == [26.0, 5.0, 5.0]
    y.sum().backward()
    assert w.grad.tolist() == [25.0, 4.0, 4.0]
    t.zero_()  # the graph has let go of it
    assert not array.any()
    y = w * t
    del y
    t.fill_(3)
    assert array.tolist() == [3.0, 3.0, 3.0]


def test_an_assignment_reads_before_it_writes() -> None:
    x = torch.arange(9.0).view(3, 3)
    x[1] = x[:, 2]
    assert x[1].tolist() == [2.0, 5.0, 8.0]
    x[:2] = x[1:].clone()
    x.t().copy_(x)
    assert x.tolist() == [[2.0, 6.0, 6.0], [5.0, 7.0, 7.0], [8.0, 8.0, 8.0]]


def test_memory_that_came_back_may_move() -> None:
    t, w = torch.ones(3), torch.ones(3, requires_grad=True)
    array = t.numpy()[1:]
    y = w * t
    with pytest.raises(InPlaceError):
        t.add_(1)
    del array
    t.add_(1)
    y.sum().backward()
    assert t.tolist() == [2.0] * 3 and w.grad.tolist() == [1.0] * 3


def test_two_tensors_over_one_array_know_of_each_other() -> None:
    a = np.arange(6.0)
    one, two, apart = torch.from_numpy(a), torch.from_numpy(a[1:3]), torch.from_numpy(a[4:])
    y = torch.ones(6, dtype=torch.float64, requires_grad=True)[:3] * one[:3]
    with pytest.raises(InPlaceError):
        two.zero_()
    apart.zero_()  # the graph does not need these elements
    assert a.tolist() == [0.0, 1.0, 2.0, 3.0, 0.0, 0.0] and y is not None


def test_only_the_elements_that_a_graph_needs_count() -> None:
    x, w = torch.ones(4), torch.ones(1, requires_grad=True)
    address, ys = x.data_ptr(), []
    for i in range(1, 4):
        ys.append(w * x[i - 1])
        x[i] = 2 * ys[-1].detach()
    assert x.tolist() == [1.0, 2.0, 4.0, 8.0] and x.data_ptr() == address
    sum(ys).sum().backward()
    assert w.grad.tolist() == [7.0]


def test_empty_views_and_views_of_one_element() -> None:
    x, w = torch.arange(6.0).view(2, 3), torch.ones(3, requires_grad=True)
    empty, row, last = x[2:], x[::2], x[1]
    del x
    ys = []
    for _ in range(3):  # each write moves the memory
        ys.append(w * last)
        last.add_(1)
        row.mul_(2)
    assert (last.tolist(), row.tolist(), empty.tolist()) == ([6.0, 7.0, 8.0], [[0.0, 8.0, 16.0]], [])
    sum(ys).sum().backward()
    assert w.grad.tolist() == [12.0, 15.0, 18.0]


def test_errors_that_are_remembered_are_no_graphs() -> None:
    x = torch.from_numpy(np.ones(3))
    try:
        x + torch.ones(7)
    except RuntimeError:
        x.add_(1)  # here the error is being handled
    try:
        x[10] = 3
    except IndexError as error:
        sys.last_value = error  # as an interactive session does
    x.add_(1)
    del sys.last_value
    assert x.tolist() == [3.0] * 3


# --- where nothing is saved -----------------------------------------------------------------------------------


def test_writes_stay_in_the_memory() -> None:
    x = torch.zeros(4)
    address, array = x.data_ptr(), x.numpy()
    y = x + 1  # saves nothing
    for write in (lambda: x.add_(1), lambda: x.__setitem__(0, 9), lambda: x.exp_(), lambda: x.sin_(), lambda: x.uniform_(),
                  lambda: x.copy_(torch.ones(4)), lambda: x.view(2, 2).t().mul_(2),
                  lambda: setattr(x, "data", x.data * 1)):  # fmt: skip
        assert x.data_ptr() == address
        write()
    assert array.tolist() == [2.0] * 4 and y.tolist() == [1.0] * 4
    p = torch.nn.Parameter(torch.ones(3))
    address = p.data_ptr()
    for _ in range(3):
        (p * p).sum().backward()
        with torch.no_grad():
            p -= 0.1 * p.grad
        p.grad.zero_()
    assert p.data_ptr() == address


def test_a_storage_forgets_its_dead() -> None:
    x = torch.ones(1000)
    for _ in range(200):
        x.detach()[1:]
    assert len(x._storage._members) < 60
    gone = weakref.ref(x._raw)
    gc.disable()
    try:
        x.numpy()
        del x
        assert gone() is None
    finally:
        gc.enable()


# --- random programs ------------------------------------------------------------------------------------------


def view_of(rng: random.Random, t: Any, a: np.ndarray) -> tuple[Any, np.ndarray]:
    """A view of the tensor `t`, and the same of the array `a` that stands for it."""
    kind = rng.choice(["slice", "row", "flat", "swap", "expand", "detach", "copy", "data"])
    if kind == "slice" and a.ndim and len(a):
        i = rng.randrange(len(a))
        part = slice(i, rng.randint(i, len(a)), rng.choice([1, 2]))
        return t[part], a[part]
    if kind == "row" and a.ndim and len(a):
        return t[-1], a[-1, ...]
    if kind == "flat" and a.flags.c_contiguous:
        return t.reshape(-1), a.reshape(-1)
    if kind == "swap" and a.ndim > 1:
        return t.transpose(0, 1), a.swapaxes(0, 1)
    if kind == "expand" and a.ndim < 3:
        wide = np.broadcast_to(a, (2, *a.shape))
        wide.flags.writeable = True
        return t.expand(2, *a.shape), wide
    return {"copy": copy.copy(t), "data": t.data}.get(kind, t.detach()), a[...]


#: Writes that do the same to a tensor and to an array.
STEPS: list[Callable[[Any], Any]] = [
    lambda t: t.__iadd__(1),
    lambda t: t.__imul__(0.5),
    lambda t: t.__setitem__(slice(1, None) if t.ndim else ..., 4.0),
    lambda t: t.__setitem__(0 if t.ndim else ..., t[-1] * 1 if t.ndim else t + 1),
]


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.filterwarnings("ignore:Numpy has detected that you may be viewing")
def test_random_programs(outside: bool) -> None:
    """Views, writes, deaths, graphs and loans at random; values are as in NumPy, gradients as when recorded."""
    for seed in range(120):
        rng = random.Random(seed)
        shape = rng.choice([(6,), (2, 3), (), (0, 3), (2, 2, 2), (3, 1)])
        pool: list[tuple[Any, np.ndarray]] = []
        graphs: list[tuple[Any, Any, np.ndarray]] = []
        loans: list[tuple[np.ndarray, np.ndarray]] = []
        for _ in range(50):
            step = rng.choice(
                [
                    "new",
                    "view",
                    "view",
                    "write",
                    "write",
                    "graph",
                    "graph",
                    "kill",
                    "forget",
                    "lend",
                    "return",
                ]
            )
            if step == "new" or not pool:
                a = np.array(np.arange(float(np.prod(shape))).reshape(shape) + rng.random())
                pool.append(
                    (torch.tensor(a), a)
                    if a.ndim < 2
                    else (torch.tensor(a).transpose(0, 1) * 1, a.swapaxes(0, 1))
                )
            i = rng.randrange(len(pool))
            t, a = pool[i]
            if step == "view":
                pool.append(view_of(rng, t, a))
            elif step == "kill":
                del pool[i]
            elif step == "forget" and graphs:
                graphs.pop(rng.randrange(len(graphs)))
            elif step == "return" and loans:
                loans.pop()
            elif step == "lend" and outside:
                loans.append((t.numpy(), a))
                pool.append((torch.from_numpy(loans[0][0]), loans[0][1]))
            elif step == "graph":
                w = torch.ones(a.shape, dtype=torch.float64, requires_grad=True)
                y = w * t
                graphs.append((w, y * y, 2 * a.copy() ** 2))
                pool.append((y.detach(), a.copy()))
                del y
            elif step == "write" and (not a.ndim or len(a)):
                write = rng.choice(STEPS)
                try:
                    write(t)
                except InPlaceError:
                    assert outside and graphs
                except RuntimeError as error:
                    assert "single memory" in str(error) and 0 in a.strides
                else:
                    write(a)
            for t, a in pool:
                assert np.array_equal(t._host(), a), (seed, step)
            for loan, a in loans:
                assert np.array_equal(loan, a), (seed, step)
        for w, y, expected in graphs:
            y.backward(torch.ones(y.shape, dtype=torch.float64))
            assert np.allclose(w.grad.numpy(), expected), seed
