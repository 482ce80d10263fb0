"""Threads side by side, and the floating-point state of the user, which plugrad neither obeys nor touches."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import quiet
from plugrad.autograd import Function
from tests.test_memory import GRAPHS, matrix


def in_threads(n: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work(i)` returns in each of n threads that start together; an exception in one comes out here."""
    barrier, results, errors = threading.Barrier(n), [None] * n, []

    def run(i: int) -> None:
        try:
            barrier.wait(10)
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return results


# --- threads ------------------------------------------------------------------------------------------------


def test_threads_with_graphs_of_their_own_get_right_results() -> None:
    def work(i: int) -> None:
        rng = np.random.default_rng(i)
        a, b = rng.standard_normal((160, 160)), rng.standard_normal((160,))
        for _ in range(20):
            x = torch.tensor(a, requires_grad=True)
            z = torch.tensor(b + 0j, requires_grad=True)
            y = (x @ x).sin() + (x * 0.1).exp() * b + (z * z * (1 + 1j)).abs()
            y.sum().backward()
            g = np.cos(a @ a)
            expected = g @ a.T + a.T @ g + 0.1 * np.exp(0.1 * a) * b
            np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(z.grad.numpy(), 160 * 2 * np.sqrt(2) * b, rtol=1e-9)

    in_threads(4, work)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("recorded", [False, True])
def test_ops_give_the_same_while_another_thread_is_in_the_quiet_context(name: str, recorded: bool) -> None:
    def gradient() -> list[Any]:
        x = matrix()
        y = GRAPHS[name](x)
        y.sum().backward(create_graph=recorded)
        if x.grad.requires_grad:
            (x.grad * x.grad).sum().backward()
        return [y.tolist(), x.grad.tolist()]

    expected = gradient()
    collided = quiet.run(
        gradient
    )  # as if another thread were inside: the context can be entered once at a time
    for mine, theirs in zip(collided, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_complex_gradient_is_conjugated_once_in_a_collision() -> None:
    def gradient() -> Any:
        z, w = torch.tensor([1 + 2j], requires_grad=True), torch.tensor([3 - 1j])
        (z * w).backward(torch.tensor([1j]))
        return z.grad.tolist()

    assert gradient() == quiet.run(gradient) == [-1 + 3j]


def test_a_leaf_that_threads_share_gets_all_its_gradient() -> None:
    x = torch.zeros(20_000, requires_grad=True)

    def work(i: int) -> None:
        for _ in range(50):
            (x * (i + 1.0)).sum().backward()

    in_threads(4, work)
    assert x.grad.unique().tolist() == [50 * (1 + 2 + 3 + 4)]


def test_a_graph_that_threads_share_is_differentiated_by_each() -> None:
    x = matrix()
    y = (x.exp() * x).sum()
    expected = torch.autograd.grad(y, x, retain_graph=True)[0].tolist()
    for g in in_threads(
        4, lambda i: [torch.autograd.grad(y, x, retain_graph=True)[0].tolist() for _ in range(30)]
    ):
        assert g == [expected] * 30


def test_a_graph_goes_from_one_thread_to_another() -> None:
    x = matrix()
    y = (x * x).sum()
    in_threads(1, lambda i: y.backward())
    assert x.grad.tolist() == (x.detach() * 2).tolist()


# --- the user's floating-point state ------------------------------------------------------------------------


@pytest.fixture
def strict() -> Iterator[None]:
    """NumPy set to raise, and Python to make errors of warnings: what plugrad does must not notice."""
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        before = np.geterr()
        yield
        assert np.geterr() == before


def grads(f: Callable[..., Any], *values: Any, dtype: Any = None) -> list[Any]:
    """f's value, then its gradients, once by raw arrays and once recorded."""
    found = []
    for recorded in (False, True):
        xs = [torch.tensor(v, dtype=dtype or torch.float32, requires_grad=True) for v in values]
        y = f(*xs)
        y.sum().backward(create_graph=recorded)
        found.append([y.tolist(), *(x.grad.tolist() for x in xs)])
    np.testing.assert_array_equal(found[0][0], found[1][0])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    return found[0]


INF, NAN = float("inf"), float("nan")
EVENTS: dict[str, tuple[Callable[..., Any], list[Any], list[Any]]] = {
    "log(0)": (lambda x: x.log(), [[0.0]], [[-INF], [INF]]),
    "sqrt(0)": (lambda x: x.sqrt(), [[0.0]], [[0.0], [INF]]),
    "sqrt(-1)": (lambda x: x.sqrt(), [[-1.0]], [[NAN], [NAN]]),
    "1 / 0": (lambda x: 1 / x, [[0.0]], [[INF], [-INF]]),
    "0 / 0": (lambda a, b: a / b, [[0.0], [0.0]], [[NAN], [INF], [NAN]]),
    "exp overflows": (lambda x: x.exp(), [[1000.0]], [[INF], [INF]]),
    "underflow": (lambda x: x * 1e-30, [[1e-30]], [[0.0], [float(np.float32(1e-30))]]),
    "0-d": (lambda x: x.log(), [0.0], [-INF, INF]),
    "broadcast": (lambda a, b: a / b, [[1.0, -1.0], 0.0], [[INF, -INF], [INF, INF], NAN]),
    "sums of inf and -inf": (lambda x: x * torch.tensor([INF, -INF]), [1.0], [[INF, -INF], NAN]),
    "fan-in of inf and -inf": (lambda x: x * INF + x * -INF, [[1.0]], [[NAN], [NAN]]),
    "fan-in that overflows": (lambda x: x * 3e38 + x * 3e38, [[0.1]], [[float(np.float32(6e37))], [INF]]),
    "a conversion that overflows": (
        lambda x: x * torch.tensor([1e300], dtype=torch.float64),
        [[1.0]],
        [[1e300], [INF]],
    ),
    "matmul": (lambda a, b: a @ b, [[[INF, 1.0]], [[0.0], [1.0]]], [[[NAN]], [[0.0, 1.0]], [[INF], [1.0]]]),
    "pow": (lambda x: x**-1.0, [[0.0]], [[INF], [-INF]]),
    "where": (lambda x: torch.where(x > 0, x.log(), x), [[0.0]], [[0.0], [NAN]]),
}


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("collide", [False, True])
def test_floating_point_events_are_silent(name: str, collide: bool) -> None:
    f, values, expected = EVENTS[name]
    found = quiet.run(grads, f, *values) if collide else grads(f, *values)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [n for n, (f, *_) in EVENTS.items() if "torch" not in f.__code__.co_names])
def test_floating_point_events_end_as_in_pytorch(name: str) -> None:
    oracle = pytest.importorskip("torch")
    f, values, expected = EVENTS[name]
    xs = [oracle.tensor(v, requires_grad=True) for v in values]
    y = f(*xs)
    y.sum().backward()
    for theirs, stored in zip([y, *(x.grad for x in xs)], expected, strict=True):
        np.testing.assert_allclose(theirs.detach().numpy(), np.float32(stored), rtol=1e-6)


@pytest.mark.usefixtures("strict")
def test_accumulating_is_silent() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    for _ in range(2):
        (x * 3e38).backward()
    assert x.grad.tolist() == [INF]
    h = x * 1
    h.retain_grad()
    for _ in range(2):
        (h * 3e38).backward(retain_graph=True)
    assert h.grad.tolist() == [INF]


@pytest.mark.usefixtures("strict")
def test_writes_are_silent() -> None:
    x = torch.tensor([1.0, 0.0])
    assert x.div_(0).tolist()[0] == INF and np.isnan(x[1].item())
    x[0] = 1e300
    assert x.tolist()[0] == INF


def test_code_of_the_user_runs_in_the_users_state() -> None:
    seen = []

    class Look(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            seen.append(np.geterr()["divide"])
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            seen.append(np.geterr()["divide"])
            return g

    x = torch.tensor([1.0], requires_grad=True)
    x.register_hook(lambda g: seen.append(np.geterr()["divide"]))
    for state in ("raise", "ignore", "print"):
        with np.errstate(divide=state):
            Look.apply(x).backward()
            assert seen == [state] * 3
            seen.clear()
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        np.log(np.zeros(1))
