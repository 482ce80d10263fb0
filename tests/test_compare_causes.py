"""`compare`: what no op is to blame for, errors, and the mode in which ops are watched."""

# ruff: noqa: F811 (a fixture is imported)

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.modes import active, thread
from plugrad.testing import DivergenceError, compare
from tests.test_compare import BOTH, X, devices, line_of, program, spoil  # noqa: F401 (fixtures)

# --- what is no op's fault ----------------------------------------------------------------------------------------


def on_cpu(x: Any) -> bool:
    return x.device.type == "cpu"


def test_numbers_that_no_op_made() -> None:
    first = compare(
        lambda x: x.exp() * torch.tensor(1.0 if on_cpu(x) else 2.0, device=x.device), BOTH, X
    ).first
    assert first is not None and (first.kind, first.op) == ("input", "multiply")
    assert "operand 1 differs already, and no op made it so" in str(first)


def test_results_that_no_op_made() -> None:
    def written(x: Any) -> Any:
        with torch.no_grad():
            x[0] = 5.0 if on_cpu(x) else 6.0

    first = compare(written, BOTH, X).first
    assert first is not None and first.kind == "result" and first.op is None
    assert "argument 0 differs, though all ops agree" in str(first) and "found 6.0, expected 5.0" in str(
        first
    )


@pytest.mark.parametrize(("fn", "text"), [
    (lambda x: x.exp() if on_cpu(x) else x.sin(), r"it calls sin\(float32\[2, 3\]\), where 'cpu' calls exp\(float32"),
    (lambda x: x.exp() if on_cpu(x) else x.exp().sin(), "it calls sin, where 'cpu' has ended"),
    (lambda x: x.exp().sin() if on_cpu(x) else x.exp(), "it has ended, where 'cpu' calls sin"),
    (lambda x: (x if on_cpu(x) else x.detach()).exp() * x, "passes to its operand 'a' differs.*: none, expected one"),
    (lambda x: x.exp() if on_cpu(x) else x.detach().exp(), "its backward has ended, where that of 'cpu' comes to exp"),
    (lambda x: x.exp().sum() if on_cpu(x) else [x.exp().sum(), x], "it comes to result 0, result 1"),
])  # fmt: skip
def test_sequences_that_part(fn: Any, text: str) -> None:
    found = compare(fn, BOTH, X)
    assert found.first is not None and found.first.kind in ("sequence", "result", "gradient")
    with pytest.raises(DivergenceError, match=text):
        compare(fn, BOTH, X, raise_exception=True)


def test_an_error_of_one_device(spoil: Any) -> None:
    def fail(y: np.ndarray) -> Any:
        raise MemoryError("too little of it")

    spoil("sin", fail)
    first = compare(program, BOTH, X).first
    assert first is not None and (first.kind, first.op) == ("error", "sin")
    assert first.what == "it raises MemoryError: too little of it" and first.place is not None
    assert first.place[1] == line_of(program, "b.sin()")


def test_an_error_after_a_divergence_is_not_what_counts(spoil: Any) -> None:
    spoil("exp", lambda y: y * np.float32(2))
    first = compare(lambda x: x.exp().sum().log() / (1 if on_cpu(x) else [].pop()), BOTH, X).first
    assert first is not None and (first.kind, first.op) == ("value", "exp")


def test_several_devices(spoil: Any) -> None:
    spoil("sin")
    found = compare(program, ["cpu", "minimal", "fake"], X)
    assert [d.device for d in found.found] == ["fake"] and not found
    assert compare(program, ["fake", "fake"], X).agree


# --- the mode ---------------------------------------------------------------------------------------------------


def test_nothing_is_watched_outside() -> None:
    def fail(x: Any) -> Any:
        raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        compare(fail, BOTH, X)
    assert thread.mode == 0 and thread.watcher is None and not active

    seen: list[int] = []

    def in_threads(x: Any) -> Any:
        other = threading.Thread(target=lambda: seen.append((torch.ones(2).exp(), thread.mode)[1]))
        other.start()
        other.join()
        return x.exp()

    assert compare(in_threads, BOTH, X).ops == 1 and seen == [0, 0]


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda: compare(program, "cpu", X), ValueError, "devices='cpu': give two or more, the first to compare with"),
    (lambda: compare(program, ["cpu"], X), ValueError, "give two or more"),
    (lambda: compare(X, BOTH), TypeError, "fn is a Tensor: expected a function of tensors"),
    (lambda: compare(lambda x: compare(program, BOTH, x), BOTH, X), RuntimeError, "call it outside"),
    (lambda: compare(program, BOTH, torch.optim.SGD([X], lr=1.0)), TypeError, "an argument is a SGD, .* let fn make it"),
    (lambda: compare(program, ["cpu", "banana"], X), RuntimeError, "device 'banana' is unknown"),
])  # fmt: skip
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
