"""What checkpoints keep, refuse, and let one choose: in plugrad and, where the rules are its, in PyTorch."""

from __future__ import annotations

import contextlib
import gc
import importlib
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import plugrad
from plugrad.utils import checkpoint as ours

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


# --- errors -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["plugrad", "torch"])
def t(request: pytest.FixtureRequest) -> Iterator[Any]:
    """plugrad, and PyTorch where installed."""
    return plugrad if request.param == "plugrad" else pytest.importorskip("torch")


def utils(t: Any) -> Any:
    return importlib.import_module(f"{t.__name__}.utils.checkpoint")


def changing(t: Any, *bodies: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that is another at each call."""
    calls = iter(bodies)

    def function(x: Any) -> Any:
        return next(calls)(x)

    return function


DIFFERENT = {
    "fewer": (lambda x: x.sin().exp().cos(), lambda x: x.sin(), "A different number of tensors was saved"),
    "shape": (lambda x: x.sin().cos(), lambda x: x[:1].sin().cos(), "different metadata"),
    "dtype": (lambda x: x.sin().cos(), lambda x: x.double().sin().cos(), "different metadata"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_a_function_that_changes(t: Any, case: str) -> None:
    first, second, message = DIFFERENT[case]
    c, x = utils(t), t.ones(3, requires_grad=True)
    y = c.checkpoint(changing(t, first, second, second), x, use_reentrant=False).sum()
    for _ in range(2):  # it fails each time
        with pytest.raises(c.CheckpointError, match=message):
            y.backward(retain_graph=True)
    assert x.grad is None and t.is_grad_enabled()


@pytest.mark.parametrize("case", DIFFERENT)
def test_where_a_function_that_changes_saves(case: str) -> None:
    x = plugrad.ones(3, requires_grad=True)
    first, second, _ = DIFFERENT[case]
    for debug, cure in (
        (True, r"in the forward pass at\n  0: .*test_checkpoint_rules\.py:\d+"),
        (False, "pass debug=True"),
    ):
        y = ours.checkpoint(changing(plugrad, first, second), x, debug=debug).sum()
        with pytest.raises(ours.CheckpointError, match=cure):
            y.backward()


def test_a_function_that_saves_more(t: Any) -> None:
    c, x = utils(t), t.ones(3, requires_grad=True)
    one, two = (lambda x: x.sin()), (lambda x: x.sin().cos())
    y = c.checkpoint(changing(t, one, two), x, use_reentrant=False, early_stop=False)
    with pytest.raises(
        c.CheckpointError, match="trying to save more tensors during recomputation than during"
    ):
        y.sum().backward()
    y = c.checkpoint(changing(t, one, two), x, use_reentrant=False)  # the early stop comes before
    y.sum().backward()


def test_no_check_of_metadata(t: Any) -> None:
    c, x = utils(t), t.ones(3, requires_grad=True)
    first, second, _ = DIFFERENT["dtype"]
    y = c.checkpoint(changing(t, first, second), x, use_reentrant=False, determinism_check="none")
    with contextlib.suppress(RuntimeError):  # PyTorch multiplies float64 into what it has
        y.sum().backward()
        assert t.allclose(x.grad, -x.sin().sin() * x.cos())


def test_what_differs_is_listed() -> None:
    x = plugrad.ones(3, requires_grad=True)
    first, second, _ = DIFFERENT["shape"]
    with pytest.raises(ours.CheckpointError) as error:
        ours.checkpoint(changing(plugrad, first, second), x).sum().backward()
    assert (
        "position 0:\nsaved metadata: shape [3], dtype torch.float32, device cpu\nrecomputed metadata: shape [1]"
        in str(error.value)
    )


def test_wrong_arguments(t: Any) -> None:
    c, x = utils(t), t.ones(3, requires_grad=True)
    with pytest.raises(ValueError, match="determinism_check should be one of"):
        c.checkpoint(t.sin, x, use_reentrant=False, determinism_check="all")
    with pytest.raises(ValueError, match="Unexpected keyword arguments: flavour"):
        c.checkpoint_sequential([t.sin], 1, x, use_reentrant=False, flavour=1)
    with pytest.raises(ValueError):
        c.checkpoint_sequential([t.sin], 2, x, use_reentrant=False)
    with pytest.raises(TypeError):
        c.checkpoint(lambda x: x, x, use_reentrant=False, flavour=1)


def test_reentrant_checkpoints_are_refused() -> None:
    x = plugrad.ones(3, requires_grad=True)
    for call in (ours.checkpoint, lambda *a, **k: ours.checkpoint_sequential([plugrad.sin], 1, x, **k)):
        with pytest.raises(NotImplementedError, match="pass use_reentrant=False"):
            call(plugrad.sin, x, use_reentrant=True)
    ours.checkpoint(plugrad.sin, x, use_reentrant=None).sum().backward()
    assert plugrad.allclose(x.grad, x.cos())


@pytest.mark.parametrize("fails_at", [1, 2])
def test_an_error_in_the_function_leaves_all_usable(t: Any, fails_at: int) -> None:
    c, x, calls = utils(t), t.ones(3, requires_grad=True), []

    def function(x: Any) -> Any:
        calls.append(t.rand(1))
        y = x.sin()
        if len(calls) == fails_at:
            raise KeyError("mine")
        return y.exp()

    with contextlib.ExitStack() as stack:
        if fails_at == 1:
            stack.enter_context(pytest.raises(KeyError, match="mine"))
        y = c.checkpoint(function, x, use_reentrant=False)
    if fails_at == 1:
        y = c.checkpoint(function, x, use_reentrant=False)
    else:
        state = t.get_rng_state()
        with pytest.raises(KeyError, match="mine"):
            y.sum().backward(retain_graph=True)
        assert (t.get_rng_state() == state).all()
    assert t.is_grad_enabled()
    y.sum().backward()
    assert len(calls) == 3 and t.allclose(x.grad, x.sin().exp() * x.cos())
    z = x * x  # and nothing is packed any more
    assert z.grad_fn._saved_self is not None and len(calls) == 3


def test_a_function_that_catches_everything_stops_nevertheless() -> None:
    x, after = plugrad.ones(3, requires_grad=True), []

    def function(x: Any) -> Any:
        try:
            return x.sin()
        except Exception:
            return x.cos()
        except BaseException:
            after.append(1)
            return (x.sin() * x).exp()

    ours.checkpoint(function, x).sum().backward()
    assert plugrad.allclose(x.grad, x.cos()) and after == [1]


def test_writes_that_a_recomputation_could_not_repeat() -> None:
    x = plugrad.ones(4, requires_grad=True)

    def function(h: Any, *others: Any) -> Any:
        h.mul_(2)
        return h.sin()

    h = x * 1
    for args in ((h, h[1:]), (h[:2],), (h.view(2, 2),)):
        y = ours.checkpoint(function, *args)
        with pytest.raises(
            RuntimeError, match=r"modified by an inplace operation of the function.*pass a \.clone\(\)"
        ):
            y.sum().backward()
    lent = plugrad.from_numpy(np.ones(4))
    with pytest.raises(RuntimeError, match=r"write to a \.clone\(\)"):
        ours.checkpoint(lambda v: v.mul_(2) * x, lent)


def test_backward_after_the_transform_has_ended() -> None:
    x = plugrad.ones(2, 3, requires_grad=True)

    def function(row: Any) -> Any:
        return row.sin().exp()

    y = plugrad.func.vmap(lambda row: ours.checkpoint(function, row))(x)
    with pytest.raises(NotImplementedError, match="has ended before backward: call the transform inside"):
        y.sum().backward()
    y = ours.checkpoint(plugrad.func.vmap(function), x)
    y.sum().backward()
    assert plugrad.allclose(x.grad, x.sin().exp() * x.cos())


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


def test_debug_for_a_part_of_a_program() -> None:
    x = plugrad.ones(3, requires_grad=True)
    first, second, _ = DIFFERENT["fewer"]
    for enabled, debug, match in (
        (True, False, r"\.py:\d"),
        (False, True, "pass debug"),
        (None, True, r"\.py:\d"),
    ):
        with ours.set_checkpoint_debug_enabled(enabled):
            y = ours.checkpoint(changing(plugrad, first, second), x, debug=debug)
        with pytest.raises(ours.CheckpointError, match=match):
            y.sum().backward()


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
    random.default("meta:3")
    try:
        generators = random._default
        key = next(k for k in generators if str(k) == "meta:3")
        generators[key] = random.Generator("cpu")
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
