"""Threads over shared leaves, graphs and hooks, each in a mode of its own; nothing is lost, nothing leaks.

A long run: `PLUGRAD_THREAD_ROUNDS=50 python -m pytest tests/test_concurrency.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import plugrad as torch
from plugrad import modes, storage
from plugrad.autograd import Function, forward_ad
from plugrad.autograd.graph import register_multi_grad_hook, saved_tensors_hooks
from plugrad.op import OPS
from tests.test_threads import in_threads

ROUNDS = range(int(os.environ.get("PLUGRAD_THREAD_ROUNDS", "1")))
THREADS, BACKWARDS = 8, 200


@pytest.fixture(autouse=True, params=[None, 1e-6], ids=["", "switching"])
def switch(request: Any) -> Iterator[None]:
    """As usual, and with a switch of threads wherever the interpreter allows one."""
    before = sys.getswitchinterval()
    if request.param is not None:
        sys.setswitchinterval(request.param)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
    assert not modes.active


# --- shared leaves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("round", ROUNDS)
def test_shared_leaves_lose_nothing(round: int) -> None:
    """8 threads × 200 backwards: dense, through a view, an index and a matrix product; numbers that float32 holds."""
    w, b, table = (torch.zeros(n, requires_grad=True) for n in ((3, 3), 3, (4, 2)))
    x = torch.ones(2, 3)

    def work(i: int) -> None:
        for k in range(BACKWARDS):
            y = (x @ w.t()).sum() + (b * (i + 1)).sum() + w[0, 1:].sum()
            (y + table[torch.tensor([k % 4, k % 4])].sum()).backward()

    in_threads(THREADS, work)
    n = THREADS * BACKWARDS
    assert w.grad.tolist() == [[2.0 * n, 3.0 * n, 3.0 * n], *[[2.0 * n] * 3] * 2]
    assert b.grad.tolist() == [BACKWARDS * sum(range(1, THREADS + 1))] * 3
    assert table.grad.tolist() == [[2 * n / 4] * 2] * 4


WAYS: dict[str, Callable[[Any], None]] = {
    "backward": lambda x: (x * 1).sum().backward(),
    "inputs": lambda x: (x * 1).sum().backward(inputs=[x]),
    "create_graph": lambda x: (x * 1).sum().backward(create_graph=True),
    "autograd": lambda x: torch.autograd.backward([(x * 1).sum()]),
    "complex": lambda x: (x * (1 + 0j)).sum().real.backward(),
}


@pytest.mark.parametrize("name", WAYS)
def test_every_way_to_accumulate_counts(name: str) -> None:
    for _ in range(3):  # the first gradient of a leaf is an assignment
        x = torch.zeros(3, requires_grad=True)
        in_threads(THREADS, lambda i: [WAYS[name](x) for _ in range(25)])  # noqa: B023
        assert x.grad.tolist() == [25.0 * THREADS] * 3


def test_a_shared_intermediate_keeps_every_gradient() -> None:
    x = torch.zeros(2, requires_grad=True)
    h = x * 3
    h.retain_grad()
    in_threads(
        THREADS, lambda i: [h.sum().backward(retain_graph=True, inputs=[h, x][i % 2 :]) for _ in range(50)]
    )
    assert h.grad.tolist() == [50.0 * THREADS] * 2 and x.grad.tolist() == [150.0 * THREADS] * 2


def test_hooks_of_shared_tensors_are_called_for_every_backward() -> None:
    x, calls = torch.zeros(2, requires_grad=True), []
    x.register_hook(lambda g: calls.append("hook"))
    x.register_post_accumulate_grad_hook(lambda x: calls.append("post"))
    in_threads(THREADS, lambda i: [(x * 2).sum().backward() for _ in range(25)])
    assert calls.count("hook") == calls.count("post") == 25 * THREADS


def test_hooks_that_threads_register_are_all_there() -> None:
    for _ in range(20):
        x, calls = torch.zeros(2, requires_grad=True), []
        in_threads(THREADS, lambda i: x.register_hook(lambda g: calls.append(i)))  # noqa: B023
        x.sum().backward()
        assert sorted(calls) == list(range(THREADS))


def test_a_hook_of_several_tensors_is_called_once_for_each_backward() -> None:
    a, b, found = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True), []
    with register_multi_grad_hook([a, b], lambda gs: found.append([g.item() for g in gs])):
        in_threads(THREADS, lambda i: [(a * i + b * i).sum().backward() for _ in range(50)])
    assert sorted(found) == [[i, i] for i in range(THREADS) for _ in range(50)]


def test_a_hook_of_several_tensors_within_a_hook_of_several_tensors() -> None:
    a, b, found = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True), []
    deeper = iter([True])

    @torch.enable_grad()
    def once_more(g: Any) -> None:
        if next(deeper, False):
            (a * 10 + b * 20).sum().backward()

    b_times_2 = b * 2
    b_times_2.register_hook(once_more)
    with register_multi_grad_hook([a, b], lambda gs: found.append([g.item() for g in gs])):
        (b_times_2 + a).sum().backward()
    assert sorted(found) == [[1, 2], [10, 20]]


def test_views_that_threads_make_of_a_shared_tensor_share_its_memory() -> None:
    for _ in range(10):
        x = torch.zeros(64)
        views = in_threads(THREADS, lambda i: [x[k:] for k in range(60)])  # noqa: B023
        y = x.clone().requires_grad_() * x  # a graph keeps the old values: the memory moves
        x.add_(1)
        assert all(v.tolist() == [1.0] * len(v) for vs in views for v in vs)
        assert y.tolist() == [0.0] * 64 and len({id(storage.of(v)) for vs in views for v in vs}) == 1


# --- modes ----------------------------------------------------------------------------------------------------


class Twice(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        assert not torch.is_grad_enabled()
        return g * 2


def ordinary(x: Any) -> None:
    y = (x * x).sum()
    assert y.requires_grad and not y.is_inference() and torch.is_grad_enabled()
    y.backward()


def without_grad(x: Any) -> None:
    with torch.no_grad():
        y = x * x
        assert not y.requires_grad and not torch.is_grad_enabled()
        with torch.enable_grad():
            (x * x).sum().backward()


def inference(x: Any) -> None:
    with torch.inference_mode():
        y = x * 2
        assert y.is_inference() and not y.requires_grad
    (x * x).sum().backward()


def packing(x: Any) -> None:
    packed: list[Any] = []
    with saved_tensors_hooks(lambda t: (packed.append(1), t * 2)[1], lambda t: t / 2):
        y = (x * x).sum()
    assert packed == [1, 1] or packed == [1]
    y.backward()


def anomaly(x: Any) -> None:
    with torch.autograd.detect_anomaly():
        (x * x).sum().backward()


def vmapped(x: Any) -> None:
    assert torch.func.vmap(lambda v: v * v + x)(torch.ones(3, 2)).sum().item() == 12.0
    (x * x).sum().backward()


def dual(x: Any) -> None:
    with forward_ad.dual_level():
        t = forward_ad.unpack_dual((forward_ad.make_dual(torch.ones(2), torch.ones(2)) * 3) * 2).tangent
        assert t.tolist() == [6.0, 6.0]
    (x * x).sum().backward()


def function(x: Any) -> None:
    Twice.apply(x).sum().backward()


def transformed(x: Any) -> None:
    assert torch.func.hessian(lambda v: (v * v).sum())(torch.ones(2)).tolist() == [[2.0, 0.0], [0.0, 2.0]]
    (x * x).sum().backward()


def forgetful(x: Any) -> None:
    torch.set_grad_enabled(False)  # and the thread may end so
    assert not (x * x).requires_grad
    with torch.enable_grad():
        (x * x).sum().backward()


WORK = [ordinary, without_grad, inference, packing, anomaly, vmapped, dual, function, transformed, forgetful]


@pytest.mark.filterwarnings("ignore:Anomaly")
@pytest.mark.parametrize("round", ROUNDS)
def test_each_thread_is_in_its_own_mode(round: int) -> None:
    x = torch.ones(2, requires_grad=True)

    def work(i: int) -> None:
        for _ in range(20):
            WORK[i](x)

    in_threads(len(WORK), work)
    assert x.grad.tolist() == [40.0 * len(WORK)] * 2
    assert torch.is_grad_enabled() and not modes.active  # also where a thread ended in a mode


# --- first times ----------------------------------------------------------------------------------------------


def test_the_first_call_of_an_op_may_be_in_several_threads() -> None:
    for name in ("exp", "multiply", "mm", "swapaxes", "unbind", "concat", "sum_all", "greater", "where"):
        op = OPS[name]
        for made in ("node", "raw", "adapted_node", "saves", "inference_call", "nan_safe_nodes"):
            vars(op).pop(made, None)  # as if it had never been called
        op.kernels.clear()
        op.writers.clear()
        op.call = op._first_call

    def work(i: int) -> Any:
        x = torch.full((2, 2), 0.5, requires_grad=True)
        a, b = (x.exp() @ x.t()).unbind()
        torch.where(x > 0, torch.cat([a * b, a]).sum(), x).sum().backward()
        with torch.inference_mode():
            assert (x.exp() * x).is_inference()
        return x.grad.tolist()

    found = in_threads(THREADS, work)
    assert found == [found[0]] * THREADS


FIRST_USE = """
import sys, threading
sys.setswitchinterval(1e-6)
import plugrad as torch
barrier, found, errors = threading.Barrier(8), [], []
def work():
    barrier.wait()
    try:
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        (x.exp() * x).sum().backward()
        found.append(x.grad.tolist())
    except BaseException as error:
        errors.append(error)
threads = [threading.Thread(target=work) for _ in range(8)]
for t in threads: t.start()
for t in threads: t.join()
assert not errors, errors
assert len(found) == 8 and all(f == found[0] for f in found), found
"""


def test_the_first_use_of_a_backend_may_be_in_several_threads(request: Any) -> None:
    if "switching" in request.node.name:
        subprocess.run([sys.executable, "-c", FIRST_USE], check=True, timeout=120)


def test_writes_into_tensors_of_their_own() -> None:
    start = torch.arange(100.0)

    def work(i: int) -> None:
        x, w = start.clone(), torch.ones(100, requires_grad=True)
        total = w.sum() * 0
        for k in range(30):
            total = total + (w * x).sum()  # the graph needs the values that the next line overwrites
            x[k:].add_(i)
        total.backward()
        count = (torch.arange(100).unsqueeze(1) >= torch.arange(30)).cumsum(1)  # writes after step k
        before = torch.cat([torch.zeros(100, 1), count[:, :-1]], 1).sum(1)
        assert w.grad.tolist() == (30 * start + i * before).tolist()
        assert x.tolist() == (start + i * count[:, -1]).tolist()

    in_threads(4, work)


@pytest.mark.parametrize("algorithm", ["mt19937", "philox"])
def test_threads_that_draw_from_one_generator_never_draw_the_same(algorithm: str) -> None:
    for _ in range(3):
        stream = torch.Generator(algorithm=algorithm)  # whose first draw is in one of the threads
        draws = in_threads(
            THREADS,
            lambda i: [torch.randn(3, dtype=torch.float64, generator=stream).tolist() for _ in range(50)],  # noqa: B023
        )
        numbers = [x for rows in draws for row in rows for x in row]
        assert len(set(numbers)) == len(numbers)
        alone = torch.Generator(algorithm=algorithm)
        rows = [torch.randn(3, dtype=torch.float64, generator=alone).tolist() for _ in range(50 * THREADS)]
        assert set(numbers) == {x for row in rows for x in row}


def test_threads_that_start_threads_in_a_backward() -> None:
    x = torch.ones(2, requires_grad=True)

    class Elsewhere(Function):
        @staticmethod
        def forward(ctx: Any, y: Any) -> Any:
            return y.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            thread = threading.Thread(target=lambda: (x * 3).sum().backward())
            thread.start()
            thread.join(10)
            assert not thread.is_alive()
            return g

    in_threads(2, lambda i: Elsewhere.apply(x * 2).sum().backward())
    assert x.grad.tolist() == [10.0, 10.0]
