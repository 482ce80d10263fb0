"""`no_grad`, `enable_grad`, `set_grad_enabled`: as managers, as decorators, on generators, in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import plugrad as torch
from plugrad.modes import active

TORCHES = ["plugrad", "torch"]


@pytest.fixture(params=TORCHES)
def t(request: pytest.FixtureRequest) -> Iterator[Any]:
    """plugrad, and PyTorch where installed: what holds for the one holds for the other."""
    module = torch if request.param == "plugrad" else pytest.importorskip("torch")
    yield module
    left = not module.is_grad_enabled()
    module.set_grad_enabled(True)
    assert not left, "a mode was left behind"


def test_modes_set_what_they_say_and_restore_what_was(t: Any) -> None:
    x, seen = t.ones(2, requires_grad=True), []
    with t.no_grad():
        seen.append((x * 2).requires_grad)
        with t.enable_grad():
            seen.append((x * 2).requires_grad)
            with t.set_grad_enabled(False):
                seen.append((x * 2).requires_grad)
            seen.append(t.is_grad_enabled())
        seen.append((x * 2).requires_grad)
        seen.append(t.ones(2, requires_grad=True).requires_grad)  # a new leaf is as it was asked for
    assert seen == [False, True, False, True, False, True]
    assert (x * 2).requires_grad


def test_an_op_may_be_half_recorded(t: Any) -> None:
    x = t.tensor(3.0, requires_grad=True)
    with t.no_grad():
        c = x * x
    (c * x).backward()
    assert x.grad.item() == 9.0 and c.is_leaf


@pytest.mark.parametrize("manager", [lambda t: t.no_grad(), lambda t: t.set_grad_enabled(False)])
def test_an_exception_restores_the_mode(t: Any, manager: Callable[[Any], Any]) -> None:
    with pytest.raises(KeyError), manager(t):
        raise KeyError


def test_set_grad_enabled_as_a_call(t: Any) -> None:
    t.set_grad_enabled(False)
    assert not t.is_grad_enabled()
    t.set_grad_enabled(mode=True)
    assert t.is_grad_enabled()


def test_managers_are_used_again(t: Any) -> None:
    for make in (t.no_grad, lambda: t.set_grad_enabled(False)):
        manager = make()
        for _ in range(2):
            with manager:
                assert not t.is_grad_enabled()
            assert t.is_grad_enabled()


@pytest.mark.parametrize(
    ("decorate", "expected"),
    [
        (lambda t: t.no_grad(), False),
        (lambda t: t.no_grad, False),
        (lambda t: t.set_grad_enabled(False), False),
        (lambda t: t.enable_grad(), True),
        (lambda t: t.enable_grad, True),
    ],
)
def test_decorators(t: Any, decorate: Callable[[Any], Any], expected: bool) -> None:
    def ask(a: int, *, fail: bool = False) -> tuple[bool, int]:
        """Ask."""
        if fail:
            raise ValueError("asked to")
        return t.is_grad_enabled(), a

    decorated = decorate(t)(ask)
    assert t.is_grad_enabled(), "decorating changes nothing yet"
    assert (decorated.__name__, decorated.__doc__) == ("ask", "Ask.")
    for outside in (True, False):
        with t.set_grad_enabled(outside):
            assert decorated(5) == (expected, 5)
            with pytest.raises(ValueError, match="asked to"):
                decorated(5, fail=True)
            assert t.is_grad_enabled() is outside


def test_decorated_methods_and_recursion(t: Any) -> None:
    class Model:
        @t.no_grad()
        def depth(self, n: int) -> list[bool]:
            return [t.is_grad_enabled(), *(self.depth(n - 1) if n else [])]

    assert Model().depth(2) == [False] * 3


def test_generators_run_each_step_in_the_mode_and_the_consumer_in_its_own(t: Any) -> None:
    log: list[Any] = []

    @t.no_grad()
    def steps(n: int) -> Any:
        try:
            for i in range(n):
                try:
                    got = yield (i, t.is_grad_enabled())
                except KeyError:
                    log.append(("caught", t.is_grad_enabled()))
                else:
                    log.append((got, t.is_grad_enabled()))
        finally:
            log.append(("end", t.is_grad_enabled()))
        return "result"

    generator = steps(3)
    assert next(generator) == (0, False) and t.is_grad_enabled()
    assert generator.send("sent") == (1, False) and t.is_grad_enabled()
    assert generator.throw(KeyError()) == (2, False) and t.is_grad_enabled()
    with pytest.raises(StopIteration) as end:
        next(generator)
    assert end.value.value == "result"
    assert log == [("sent", False), ("caught", False), (None, False), ("end", False)]
    log.clear()
    generator = steps(3)
    next(generator)
    generator.close()
    assert log == [("end", False)] and t.is_grad_enabled()


def test_modes_belong_to_a_thread(t: Any) -> None:
    found: list[bool] = []

    def ask() -> None:
        found.append(t.is_grad_enabled())
        t.set_grad_enabled(False)
        found.append((t.ones(1, requires_grad=True) * 2).requires_grad)

    with t.no_grad():
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert found == [True, False] and t.is_grad_enabled()


def test_another_threads_mode_does_not_stop_this_one_from_recording() -> None:
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with torch.no_grad():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(10)
    try:
        assert thread.ident in active
        x = torch.ones(2, requires_grad=True)
        (x * x + x[:1]).sum().backward()
        assert x.grad.tolist() == [4.0, 2.0]
    finally:
        done.set()
        thread.join()
    assert thread.ident not in active
