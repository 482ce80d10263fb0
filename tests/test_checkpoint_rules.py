"""What checkpoints keep, and let one choose: in plugrad and, where the rules are its, in PyTorch."""

from __future__ import annotations

import contextlib
import gc
import importlib
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import plugrad
from plugrad.utils import checkpoint as ours


@pytest.fixture(params=["plugrad", "torch"])
def t(request: pytest.FixtureRequest) -> Iterator[Any]:
    """plugrad, and PyTorch where installed."""
    return plugrad if request.param == "plugrad" else pytest.importorskip("torch")


def utils(t: Any) -> Any:
    return importlib.import_module(f"{t.__name__}.utils.checkpoint")


# --- memory -----------------------------------------------------------------------------------------------------


def peak(run: Callable[[], Any]) -> int:
    """The bytes that `run` has at most at a time."""
    run()  # what is made once, is made
    gc.collect()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_a_deep_network_falls() -> None:
    layers = [
        plugrad.nn.Sequential(plugrad.nn.Linear(16, 16), plugrad.nn.Tanh(), plugrad.nn.Sigmoid())
        for _ in range(36)
    ]
    net, x = plugrad.nn.Sequential(*layers), plugrad.ones(2000, 16, requires_grad=True)

    def plain() -> None:
        net(x).sum().backward()

    def checkpointed() -> None:
        ours.checkpoint_sequential(net, 6, x, use_reentrant=False).sum().backward()

    assert 0 < peak(checkpointed) < 0.5 * peak(plain)


def test_a_holder_is_empty_after_it_was_read_and_nothing_stays() -> None:
    x, kept = plugrad.ones(1000, requires_grad=True), []

    def function(x: Any) -> Any:
        h = x.sin()
        kept.append(weakref.ref(h._raw))
        return h.exp().cos()

    gc.collect()
    gc.disable()
    try:
        h = x * 2
        argument = weakref.ref(h._raw)
        y = ours.checkpoint(function, h).sum()
        del h
        assert kept[0]() is None and argument() is not None
        y.backward(retain_graph=True)
        assert kept[1]() is None
        y.backward()
        assert kept[2]() is None and argument() is None
        del y
    finally:
        gc.enable()


def test_an_argument_of_a_checkpoint_inside_is_not_kept_either() -> None:
    x, kept = plugrad.ones(10, requires_grad=True), []

    def inner(h: Any) -> Any:
        return h.exp().cos()

    def outer(x: Any) -> Any:
        h = x.sin()
        kept.append(weakref.ref(h._raw))
        return ours.checkpoint(inner, h) * x

    y = ours.checkpoint(outer, x).sum()
    assert kept[0]() is None
    y.backward()
    assert len(kept) == 2 and kept[1]() is None


def test_what_a_finished_part_of_the_graph_saved_is_not_kept_again() -> None:
    x, kept = plugrad.ones(10, requires_grad=True), []

    def two(x: Any) -> Any:
        h = x.exp()
        kept.append(weakref.ref(h._raw))
        return h.sin(), x.cos().sin()

    a, b = ours.checkpoint(two, x)
    a.sum().backward()
    b.sum().backward(retain_graph=True)  # reads what is there
    assert len(kept) == 2
    z = b.sum()
    z.backward(retain_graph=True)
    assert len(kept) == 3 and kept[2]() is None


# --- options ----------------------------------------------------------------------------------------------------


def test_the_contexts_of_a_checkpoint(t: Any) -> None:
    c, x, seen = utils(t), t.ones(3, requires_grad=True), []

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> None:
            seen.append(f"enter {self.name}")

        def __exit__(self, *error: object) -> None:
            seen.append(f"exit {self.name}")

    def contexts() -> tuple[Named, Named]:
        return Named("forward"), Named("again")

    y = c.checkpoint(lambda x: x.sin().exp(), x, use_reentrant=False, context_fn=contexts).sum()
    assert seen == ["enter forward", "exit forward"]
    y.backward(retain_graph=True)
    y.backward()
    assert seen[2:] == ["enter again", "exit again"] * 2
    with t.no_grad():
        c.checkpoint(lambda x: x.sin(), x, use_reentrant=False, context_fn=contexts)
    assert len(seen) == 6

    def suppressing() -> Any:
        return contextlib.suppress(KeyError), contextlib.nullcontext()

    with pytest.raises(RuntimeError, match="suppressed an exception raised during the checkpointed forward"):
        c.checkpoint(lambda x: {}["no"], x, use_reentrant=False, context_fn=suppressing)
    assert all(isinstance(context, contextlib.nullcontext) for context in c.noop_context_fn())


@pytest.mark.parametrize("enabled", [True, False])
def test_early_stop_for_a_part_of_a_program(t: Any, enabled: bool) -> None:
    c, x, ends = utils(t), t.ones(3, requires_grad=True), []

    def function(x: Any) -> Any:
        y = x.sin()
        ends.append(1)
        return y

    with c.set_checkpoint_early_stop(enabled):
        y = c.checkpoint(function, x, use_reentrant=False, early_stop=not enabled)
    y.sum().backward()
    assert len(ends) == (1 if enabled else 2)


def test_random_numbers_that_are_not_kept(t: Any) -> None:
    c, x, drawn = utils(t), t.ones(50, requires_grad=True), []

    def function(x: Any) -> Any:
        drawn.append(t.rand(50))
        return (x * drawn[-1]).sin()

    for preserve in (True, False):
        drawn.clear()
        c.checkpoint(function, x, use_reentrant=False, preserve_rng_state=preserve).sum().backward()
        assert len(drawn) == 2 and bool((drawn[0] == drawn[1]).all()) is preserve


def test_a_generator_that_is_new_since() -> None:
    from plugrad import random

    random.manual_seed(5)
    states = random.get_all_states()
    generators, key = random._default, plugrad.device("meta:3")
    generators[key] = random.Generator("cpu")
    try:
        generators[key].manual_seed(5)
        first = generators[key].stream.uniform((3,), np.float32)
        random.manual_seed(6)
        random.set_all_states(states)
        assert (generators[key].stream.uniform((3,), np.float32) == first).all()
        assert random._seed_of_all == 5
    finally:
        del random._default[key]


@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_sequences(t: Any, segments: int) -> None:
    t.manual_seed(0)
    net = t.nn.Sequential(*(m for _ in range(3) for m in (t.nn.Linear(3, 3), t.nn.Tanh())))
    x, c = t.ones(2, 3, requires_grad=True), utils(t)
    for functions in (net, list(net.children())):
        y = c.checkpoint_sequential(functions, segments, x, use_reentrant=False)
        (g,) = t.autograd.grad(y.sum(), x)
        (expected,) = t.autograd.grad(net(x).sum(), x)
        assert t.allclose(g, expected)


# --- modes, hooks and threads -----------------------------------------------------------------------------------


def test_hooks_around_get_the_arguments_only(t: Any) -> None:
    c, x, packed = utils(t), t.ones(3, requires_grad=True), []

    def pack(v: Any) -> Any:
        packed.append(tuple(v.shape))
        return v

    h = x * 2
    with t.autograd.graph.saved_tensors_hooks(pack, lambda v: v):
        y = c.checkpoint(lambda h: h.sin().exp().cos(), h, use_reentrant=False)
    assert packed == [(3,)]
    y.sum().backward()
    assert packed == [(3,)]


def test_what_hooks_around_return_is_not_written() -> None:
    x, buffer = plugrad.ones(3, requires_grad=True), plugrad.zeros(0, 3)

    def pack(v: Any) -> int:
        nonlocal buffer
        buffer = plugrad.cat([buffer, v[None]])
        return len(buffer) - 1

    def function(x: Any, state: Any) -> Any:
        state.mul_(2)
        return (x * state).exp()

    with plugrad.autograd.graph.saved_tensors_hooks(pack, lambda i: buffer[i]):
        y = ours.checkpoint(function, x, plugrad.ones(3) * 3)
    y.sum().backward()
    assert buffer.tolist() == [[1, 1, 1], [3, 3, 3]] and plugrad.allclose(x.grad, 6 * (6 * x).exp())


def test_hooks_disabled(t: Any) -> None:
    c, x = utils(t), t.ones(3, requires_grad=True)
    with (
        t.autograd.graph.disable_saved_tensors_hooks("none here"),
        pytest.raises(RuntimeError, match="none here"),
    ):
        c.checkpoint(lambda h: h.sin(), x, use_reentrant=False)
    c.checkpoint(lambda h: h.sin(), x, use_reentrant=False).sum().backward()


def test_the_state_of_the_forward_run_comes_back() -> None:
    x = plugrad.tensor([0.0, 4.0], requires_grad=True)

    def function(x: Any) -> Any:
        return plugrad.where(x > 0, x.sqrt(), 0) * plugrad.ones(2).exp() * x.sin()

    with plugrad.autograd.nan_safe():
        y = ours.checkpoint(function, x).sum()
        expected = plugrad.autograd.grad(function(x).sum(), x)[0]
    plugrad.set_default_dtype(plugrad.float64)
    try:
        with plugrad.inference_mode():
            (g,) = plugrad.autograd.grad(y, x)
        assert plugrad.get_default_dtype() is plugrad.float64
    finally:
        plugrad.set_default_dtype(plugrad.float32)
    assert g.tolist() == expected.tolist()


def test_an_argument_that_is_written_in_strict_mode(t: Any) -> None:
    c, x = utils(t), t.ones(3, requires_grad=True)
    mode = plugrad.autograd.strict_mutation() if t is plugrad else contextlib.nullcontext()
    with mode:
        h = x * 2
        y = c.checkpoint(lambda h: h.sin(), h, use_reentrant=False).sum()
        h.zero_()
        with pytest.raises(
            RuntimeError, match="needed for gradient computation has been modified by an inplace"
        ):
            y.backward()


def test_recomputed_without_the_transforms_of_backward() -> None:
    x = plugrad.arange(4.0)

    def noisy(x: Any) -> Any:
        return (x.sin() * plugrad.rand(4)).exp()

    def jacobian(function: Callable[..., Any]) -> Any:
        plugrad.manual_seed(0)
        return plugrad.func.jacrev(function)(x)

    assert jacobian(lambda x: ours.checkpoint(noisy, x)).tolist() == jacobian(noisy).tolist()


def test_backward_under_anomaly_mode_and_with_source_lines() -> None:
    x = plugrad.ones(3, requires_grad=True)
    with plugrad.autograd.record_source_lines(), plugrad.autograd.detect_anomaly():
        y = ours.checkpoint(lambda x: x.sin().exp(), x)
        y.sum().backward()
    assert plugrad.allclose(x.grad, x.sin().exp() * x.cos())


def test_saved_values_are_read_from_outside_a_backward() -> None:
    x = plugrad.ones(3, requires_grad=True)
    y = ours.checkpoint(lambda x: x.sin().exp(), x)
    assert plugrad.allclose(y.grad_fn._saved_result, x.sin().exp())


def test_classes_of_arguments() -> None:
    class Named(plugrad.Tensor):
        name: str

    seen: list[Any] = []
    p, x = plugrad.nn.Parameter(plugrad.ones(3)), object.__new__(Named)
    x._raw, x._edge, x.name = plugrad.ones(3)._raw, None, "x"

    def function(p: Any, x: Any) -> Any:
        seen.append((type(p), type(x), getattr(x, "name", None), p.requires_grad, p.is_leaf, x.requires_grad))
        return (p * x).sin()

    ours.checkpoint(function, p, x).sum().backward()
    assert seen == [(plugrad.nn.Parameter, Named, "x", True, True, False)] * 2
    with plugrad.inference_mode():
        v = plugrad.ones(3)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        ours.checkpoint(function, p, v)
    ours.checkpoint(lambda p, v: p.sin() + v, p, v).sum().backward()


def test_backwards_in_threads() -> None:
    x = plugrad.linspace(0, 1, 20).requires_grad_()

    def function(x: Any) -> Any:
        return (x.sin() * x).exp().cos()

    y = ours.checkpoint(function, x).sum()
    (expected,) = plugrad.autograd.grad(function(x).sum(), x)
    found = []

    def work() -> None:
        for _ in range(20):
            found.append(plugrad.autograd.grad(y, x, retain_graph=True)[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80 and all(plugrad.allclose(g, expected) for g in found)


def test_threads_share_a_recomputation() -> None:
    x, calls, started = plugrad.ones(3, requires_grad=True), [], threading.Event()

    def two(x: Any) -> Any:
        first = x.sin().exp()
        if calls:
            started.set()
            time.sleep(0.1)
        calls.append(1)
        return first, x.cos().sin()

    a, b = ours.checkpoint(two, x)
    thread = threading.Thread(target=a.sum().backward)
    thread.start()
    assert started.wait(10)
    b.sum().backward()
    thread.join()
    assert len(calls) == 2
    assert plugrad.allclose(x.grad, x.sin().exp() * x.cos() - x.cos().cos() * x.sin())
