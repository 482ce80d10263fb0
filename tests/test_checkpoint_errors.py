"""What checkpoints refuse and how they fail, in plugrad and in PyTorch, and that all is usable afterwards."""

from __future__ import annotations

import contextlib
import importlib
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
        (True, r"in the forward pass at\n  0: .*test_checkpoint_errors\.py:\d+"),
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
