"""Exceptions and Ctrl-C in the middle of a program: leaves, graphs, modes and locks are usable afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import plugrad as torch
from plugrad import accumulate, levels, modes
from plugrad.autograd import Function
from plugrad.autograd.graph import register_multi_grad_hook, saved_tensors_hooks
from plugrad.op import OPS
from plugrad.utils.checkpoint import checkpoint


class Cube(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * x * x * 3


def usable() -> None:
    """The thread is in its ordinary state, no lock is held, and the next backward is right."""
    assert modes.thread.mode == 0 and torch.is_grad_enabled() and not levels.thread.stack
    acquired: list[bool] = []

    def look() -> None:
        acquired.append(accumulate.lock.acquire(timeout=1))
        if acquired[0]:
            accumulate.lock.release()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert acquired == [True]
    x = torch.tensor([2.0], requires_grad=True)
    y = (Cube.apply(x) + x.exp()).sum()
    assert y.requires_grad
    y.backward(create_graph=True)
    assert x.grad.tolist() == pytest.approx([12 + 7.389056])
    x.grad.sum().backward()
    assert x.grad.tolist() == pytest.approx([24 + 2 * 7.389056])
    assert not modes.active


def interrupted(run: Callable[[], None], n: int) -> bool:
    """Call `run` with a KeyboardInterrupt at the n-th place where the interpreter would look for one.

    Those are the entry of each function and the return from each function of C. Only plugrad's frames count, and
    among them not `__exit__`, in which every context manager written in Python can be interrupted, and not the clean-up
    of generators, where Python drops the interrupt.
    """
    count = 0

    def look(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        name = frame.f_globals.get("__name__") or "plugrad"
        if event in ("call", "c_return") and name.startswith("plugrad"):
            if event == "call" and frame.f_code.co_name in ("__exit__", "__del__", "<genexpr>"):
                return
            count += 1
            if count == n:
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(look)
    try:
        run()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


def first_order(x: Any, w: Any) -> None:
    h = Cube.apply(x) @ w
    h.retain_grad()
    h.register_hook(lambda g: g * 1)
    h.tanh().sum().backward()


def second_order(x: Any, w: Any) -> None:
    (g,) = torch.autograd.grad((Cube.apply(x) @ w).sum(), x, create_graph=True)
    (g * g).sum().backward()


def hooks_of_nodes(x: Any, w: Any) -> None:
    h = x @ w
    h.grad_fn.register_prehook(lambda gs: None)
    h.grad_fn.register_hook(lambda gi, go: None)
    handle = x.register_post_accumulate_grad_hook(lambda x: None)
    try:
        h.sum().backward()
    finally:
        handle.remove()


def writes(x: Any, w: Any) -> None:
    y = (x * 2).relu_()
    y[0] = w[0]
    y.mul_(y.sum())
    y.sum().backward()


def leaves(values: Any) -> list[Any]:
    return [torch.tensor(v, requires_grad=True) for v in values]


def vmapped(x: Any, w: Any) -> None:
    torch.func.vmap(lambda v: (v * w).sin().sum())(x).sum().backward()


def forward_over_reverse(x: Any, w: Any) -> None:
    torch.func.jvp(torch.func.grad(lambda v: (v.exp() @ w).sum()), (x.detach(),), (x.detach(),))
    (x @ w).sum().backward()


def batched_cotangents(x: Any, w: Any) -> None:
    torch.autograd.grad((x @ w).exp(), x, torch.ones(2, 2, 2), is_grads_batched=True)
    (x @ w).sum().backward()


def checkpointed(x: Any, w: Any) -> None:
    checkpoint(lambda a, b: (a @ b).exp(), x, w, use_reentrant=False).sum().backward()


PROGRAMS = {f.__name__: f for f in (
    first_order, second_order, hooks_of_nodes, writes, vmapped, forward_over_reverse, batched_cotangents, checkpointed,
)}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_interrupt_anywhere_leaves_everything_usable(name: str) -> None:
    program = PROGRAMS[name]
    values = [[1.0, 2.0], [0.5, -1.0]], [[0.5, 0.25], [-0.5, 1.0]]

    def gradients(x: Any, w: Any) -> list[Any]:
        program(x, w)
        return [x.grad.tolist(), w.grad.tolist()]

    expected = gradients(*leaves(values))
    for n in range(1, 5000):
        x, w = leaves(values)
        if not interrupted(lambda: gradients(x, w), n):  # noqa: B023
            break
        assert modes.thread.mode == 0, f"at place {n}"
        assert not levels.thread.stack and not modes.thread.saved_tensors_hooks, f"at place {n}"
        assert not accumulate.lock._is_owned(), f"at place {n}"
        assert (x.tolist(), w.tolist()) == values
        if n % 10 == 0:
            usable()
            x.grad = w.grad = None
            if name != "hooks_of_nodes":  # of which some may be left, as their handle was never returned
                assert gradients(x, w) == expected
    usable()
    assert n > 50 and gradients(*leaves(values)) == expected


# --- errors where the user's code runs -------------------------------------------------------------------------


class Stop(Exception):
    pass


def fail(*args: Any) -> Any:
    raise ERROR[0]


ERROR: list[type[BaseException]] = [Stop]


class Failing(Function):
    where = ""

    @staticmethod
    def forward(x: Any) -> Any:
        return fail() if Failing.where == "forward" else x * 2

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        if Failing.where == "setup_context":
            fail()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return fail() if Failing.where == "backward" else g * 2


def in_function(where: str) -> Callable[[Any], Any]:
    def run(h: Any) -> Any:
        Failing.where = where
        return Failing.apply(h)

    return run


def with_hook(register: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(h: Any) -> Any:
        register(h)
        return h * 2

    return run


def packed(pack: Any, unpack: Any) -> Callable[[Any], Any]:
    def run(h: Any) -> Any:
        with saved_tensors_hooks(pack, unpack):
            return h * h / h.detach() * 2

    return run


def in_op(h: Any) -> Any:
    kernels = OPS["multiply"].kernels
    before = dict(kernels)
    kernels.update(dict.fromkeys(kernels, fail))
    try:
        return h * 2
    finally:
        kernels.update(before)


def in_no_grad(h: Any) -> Any:
    with torch.no_grad(), torch.inference_mode(), torch.autograd.set_detect_anomaly(True):
        fail()


PLACES: dict[str, Callable[[Any], Any]] = {
    **{where: in_function(where) for where in ("forward", "setup_context", "backward")},
    "tensor hook": with_hook(lambda h: h.register_hook(fail)),
    "prehook": with_hook(lambda h: h.grad_fn.register_prehook(fail)),
    "node hook": with_hook(lambda h: h.grad_fn.register_hook(fail)),
    "post-accumulate hook": with_hook(lambda h: LEAF[0].register_post_accumulate_grad_hook(fail)),
    "hook of several": with_hook(lambda h: register_multi_grad_hook([h, LEAF[0]], fail)),
    "pack": packed(fail, lambda t: t),
    "unpack": packed(lambda t: t, fail),
    "op": in_op,
    "modes": in_no_grad,
    "vmap": lambda h: torch.func.vmap(fail)(h),
    "grad": lambda h: torch.func.grad(fail)(h),
    "hessian": lambda h: torch.func.hessian(lambda x: (x.sum(), fail()))(h),
    "decorated": lambda h: torch.no_grad()(fail)(),
}
LEAF: list[Any] = []


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt, SystemExit, RecursionError, AttributeError])
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("name", PLACES)
def test_an_error_in_the_users_code_leaves_everything_usable(name: str, recorded: bool, error: Any) -> None:
    ERROR[:] = [error]
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    LEAF[:] = [x]
    with pytest.raises((error, RuntimeError) if name == "op" else error):  # a kernel's error is explained
        PLACES[name](x * 3).sum().backward(create_graph=recorded)
    usable()
    LEAF[:] = [torch.tensor([1.0, 2.0])]
    assert x.tolist() == [1.0, 2.0]
    y = torch.tensor([1.0, 2.0], requires_grad=True)
    (y * 3).sum().backward()
    assert y.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("recorded", [False, True])
def test_a_graph_that_broke_off_is_differentiated_again(recorded: bool) -> None:
    x, w = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0], requires_grad=True)
    h = x * w
    y = (h.exp() * 0 + h * h).sum()
    ERROR[:] = [KeyboardInterrupt]
    handle = h.register_hook(fail)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            y.backward(retain_graph=True, create_graph=recorded)
        assert x.grad is w.grad is None
    handle.remove()
    y.backward()
    assert x.grad.tolist() == [18.0, 64.0] and w.grad.tolist() == [6.0, 32.0]
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.backward()


def test_ctrl_c_from_a_signal() -> None:
    """The real thing: a signal now and then, while a loop of forward and backward runs."""
    run = subprocess.run([sys.executable, "-c", SIGNALS], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) == 40


SIGNALS = """
import random, signal, sys
import plugrad as torch
from plugrad import accumulate, modes
random.seed(0)
x = torch.ones(3, requires_grad=True)
def step():
    y = x * 2
    y.register_hook(lambda g: g * 1)
    (g,) = torch.autograd.grad((y * y).sum(), x, create_graph=True)
    g.sum().backward()
step()
def interrupt(*args):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
count = 0
for _ in range(40):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, 3e-3))
        while True:
            step()
    except KeyboardInterrupt:
        count += 1
    assert modes.thread.mode == 0, modes.thread.mode
    assert not accumulate.lock._is_owned()
    x.grad = None
    step()
    assert x.grad.tolist() == [8.0] * 3 and not modes.active, x.grad
print(count)
"""


# --- backward within backward ----------------------------------------------------------------------------------


def nested(t: Any, depth: int) -> Any:
    """The gradient through functions whose backward differentiates another such function."""

    class Deeper(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, depth: int) -> Any:
            ctx.depth = depth
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            if not ctx.depth:
                return g * 3, None
            with t.enable_grad():
                x = t.ones(2, requires_grad=True)
                Deeper.apply(x, ctx.depth - 1).sum().backward()
            return g * x.grad, None

    x = t.ones(2, requires_grad=True)
    Deeper.apply(x, depth).sum().backward()
    return x.grad.tolist()


def in_a_hook(t: Any) -> Any:
    x, w = t.tensor([1.0, 2.0], requires_grad=True), t.tensor([3.0, 4.0], requires_grad=True)
    h = x * w

    def hook(g: Any) -> Any:
        assert not t.is_grad_enabled()
        with t.enable_grad():
            (w * w).sum().backward()  # of a leaf of the outer one
        return g * w.grad

    h.register_hook(hook)
    h.sum().backward()
    return x.grad.tolist(), w.grad.tolist()


def on_the_same_graph(t: Any) -> Any:
    x = t.tensor([1.0, 2.0], requires_grad=True)
    h = x.exp()
    y = (h * h).sum()
    once = iter([True])
    found = []

    def hook(g: Any) -> None:
        if next(once, False):
            y.backward(retain_graph=True)
            found.append(x.grad.tolist())

    h.register_hook(hook)
    y.backward(retain_graph=True)
    return found, x.grad.tolist()


def gradients_in_a_hook(t: Any) -> Any:
    x = t.tensor([1.0, 2.0], requires_grad=True)
    h = x * x

    def hook(g: Any) -> Any:
        with t.enable_grad():
            v = t.tensor([1.0, 2.0], requires_grad=True)
            (first,) = t.autograd.grad((v**3).sum(), v, create_graph=True)
            return g * t.autograd.grad(first.sum(), v)[0]

    h.register_hook(hook)
    (g,) = t.autograd.grad(h.sum(), x, create_graph=True)
    return g.tolist(), t.autograd.grad(g.sum(), x)[0].tolist()


def from_a_post_accumulate_hook(t: Any) -> Any:
    x, w = t.tensor([1.0], requires_grad=True), t.tensor([2.0], requires_grad=True)

    def hook(leaf: Any) -> None:
        with t.enable_grad():
            (w * leaf.grad.detach()).sum().backward()
        leaf.grad = None

    x.register_post_accumulate_grad_hook(hook)
    for i in range(3):
        (x * (i + 1)).sum().backward()
    return x.grad, w.grad.tolist()


def that_fails_and_is_caught(t: Any) -> Any:
    x = t.tensor([1.0, 2.0], requires_grad=True)
    h = x * 2

    def hook(g: Any) -> Any:
        with t.enable_grad():
            inner = t.ones(2, requires_grad=True) * 2
            inner.register_hook(lambda g: 1 / 0)
            try:
                inner.sum().backward()
            except ZeroDivisionError:
                return g * 5
        return g

    h.register_hook(hook)
    h.sum().backward()
    return x.grad.tolist(), t.is_grad_enabled()


NESTED: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "ten levels": (lambda t: nested(t, 10), [3.0, 3.0]),
    "in a hook": (in_a_hook, ([18.0, 32.0], [12.0, 24.0])),
    "on the same graph": (on_the_same_graph, None),
    "gradients in a hook": (gradients_in_a_hook, ([12.0, 48.0], [12.0, 24.0])),
    "from a post-accumulate hook": (from_a_post_accumulate_hook, (None, [6.0])),
    "that fails and is caught": (that_fails_and_is_caught, ([10.0, 10.0], True)),
}


@pytest.mark.parametrize("name", NESTED)
def test_a_backward_within_a_backward(name: str) -> None:
    run, expected = NESTED[name]
    found = run(torch)
    if expected is not None:
        assert found == expected
    usable()


@pytest.mark.parametrize("name", NESTED)
def test_a_backward_within_a_backward_as_in_pytorch(name: str) -> None:
    oracle = pytest.importorskip("torch")
    run, _ = NESTED[name]
    expected, found = run(oracle), run(torch)
    for a, b in zip(expected, found, strict=True):
        assert a == b or all(x == pytest.approx(y, rel=1e-5) for x, y in zip(a, b, strict=True)), (
            expected,
            found,
        )


def test_a_thousand_levels_need_a_higher_limit_of_recursion() -> None:
    """Each level is a few calls of Python: without the room it is Python's error, after which all is usable."""
    before = sys.getrecursionlimit()
    with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
        nested(torch, before)
    usable()
    run = subprocess.run([sys.executable, "-c", DEEP], capture_output=True, text=True, timeout=120)
    assert run.stdout == "[3.0, 3.0]", run.stderr


DEEP = """
import sys, threading
sys.path.insert(0, ".")
import plugrad as torch
from tests.test_interruptions import nested
sys.setrecursionlimit(30_000)
threading.stack_size(256 << 20)
thread = threading.Thread(target=lambda: print(nested(torch, 1000), end=""))
thread.start()
thread.join()
"""
