"""The promises on speed: `python -m pytest tests/benchmarks` (with PyTorch installed, for the ratios)."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad


def polynomial(torch: Any) -> Callable[[], None]:
    x = torch.tensor(2.0, requires_grad=True)

    def step() -> None:
        y = 5 * x**3 + 2 * x**2 + 4 * x + 8
        y.backward()
        x.grad = None

    return step


def test_scalar_polynomial_forward_and_backward(versus: Any, peer: Any) -> None:
    versus(polynomial(plugrad), polynomial(peer), peer="PyTorch", promise="at most 0.5", number=300)


def test_one_recorded_multiplication_of_four_elements(versus: Any, peer: Any) -> None:
    def square(torch: Any) -> Callable[[], None]:
        x = torch.ones(4, requires_grad=True)
        return lambda: x * x

    versus(square(plugrad), square(peer), peer="PyTorch", promise="at most 0.7, aim 0.6", number=5000)


def test_one_multiplication_without_a_graph(versus: Any, peer: Any) -> None:
    def square(torch: Any) -> Callable[[], None]:
        x = torch.ones(4)
        return lambda: x * x

    versus(square(plugrad), square(peer), peer="PyTorch", promise="no promise", number=5000)


def two_layer_numbers() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [(64, 1000), (64, 10), (1000, 100), (100, 10)]
    return [rng.standard_normal(s).astype(np.float32) for s in shapes]


def two_layer_by_hand() -> Callable[[], None]:
    x, y, w1, w2 = two_layer_numbers()
    rate = np.float32(1e-6)

    def step() -> None:
        h = x.dot(w1)
        h_relu = np.maximum(h, 0)
        y_pred = h_relu.dot(w2)
        np.square(y_pred - y).sum()
        grad_y_pred = 2.0 * (y_pred - y)
        grad_w2 = h_relu.T.dot(grad_y_pred)
        grad_h = grad_y_pred.dot(w2.T)
        grad_h[h < 0] = 0
        grad_w1 = x.T.dot(grad_h)
        np.subtract(w1, rate * grad_w1, out=w1)
        np.subtract(w2, rate * grad_w2, out=w2)

    return step


def two_layer_autograd(torch: Any, zero: bool = True) -> Callable[[], None]:
    """A step that zeroes the gradients, as older tutorials do, or sets them to None, as newer ones do."""
    x, y, w1, w2 = (torch.from_numpy(a) for a in two_layer_numbers())
    w1.requires_grad_()
    w2.requires_grad_()

    def step() -> None:
        y_pred = x.mm(w1).clamp(min=0).mm(w2)
        loss = (y_pred - y).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            w1.sub_(1e-6 * w1.grad)
            w2.sub_(1e-6 * w2.grad)
            if zero:
                w1.grad.zero_()
                w2.grad.zero_()
            else:
                w1.grad = w2.grad = None

    return step


@pytest.mark.parametrize("zero", [True, False], ids=["zero_", "None"])
def test_two_layer_step_beside_numpy_by_hand(versus: Any, zero: bool) -> None:
    ours = two_layer_autograd(plugrad, zero)
    versus(ours, two_layer_by_hand(), peer="NumPy", promise="at most 1.15", number=10, rounds=120)


def test_two_layer_step_beside_pytorch(versus: Any, peer: Any) -> None:
    versus(
        two_layer_autograd(plugrad), two_layer_autograd(peer), peer="PyTorch", promise="no promise", number=20
    )


def chain(n: int) -> float:
    x = plugrad.ones((), requires_grad=True)
    start = time.perf_counter()
    y = x
    for _ in range(n):
        y = y * 1.0
    y.backward()
    del y
    return time.perf_counter() - start


@pytest.mark.parametrize("n", [250_000, 500_000, 1_000_000])
def test_chain_is_linear_in_its_length(benchmark: Any, n: int) -> None:
    benchmark.extra_info["seconds per op"] = benchmark.pedantic(chain, (n,), rounds=1) / n


def start_up(code: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # as users have it
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - start


def test_import_over_numpy(benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    codes = {
        "numpy": "import numpy",
        "plugrad": "import plugrad",
        "first use": "import plugrad; plugrad.zeros(1)",
    }
    for code in codes.values():
        start_up(code)  # bytecode is compiled and written once
    rounds = [{name: start_up(code) for name, code in codes.items()} for _ in range(15)]
    medians = {name: statistics.median(r[name] for r in rounds) for name in codes}
    benchmark.extra_info.update(medians)
    benchmark.pedantic(start_up, ("import plugrad",), rounds=3)
    with capsys.disabled():
        print(
            f"\nimport plugrad over import numpy: {1e3 * (medians['plugrad'] - medians['numpy']):.1f} ms (promise: 40); "
            f"first use: {1e3 * (medians['first use'] - medians['plugrad']):.1f} ms (promise: 100)"
        )
