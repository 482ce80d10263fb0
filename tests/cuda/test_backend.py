"""The CUDA backend over the strict double: the conformance kit, and what the kit cannot know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("cupy")

import plugrad as torch
from plugrad.testing import Conformance

from . import strict_double as double


class TestDouble(Conformance):
    """Every check of the kit, through `CuPyBackend`'s own code."""

    device, plugins = "cuda", ("tests.cuda.double_plugin:DoublePlugin",)


def _classifier(device: str) -> Any:
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 10),
    ).to(device)


def _tokens(device: str) -> Any:
    return torch.nn.Sequential(
        torch.nn.Embedding(10, 8),
        torch.nn.LayerNorm(8),
        torch.nn.GELU(),
        torch.nn.Dropout(0.1),
        torch.nn.Linear(8, 10),
    ).to(device)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("model", [_classifier, _tokens])
def test_a_training_step_does_not_wait_for_the_device(cuda: str, model: Any, optimizer: str) -> None:
    net = model(cuda)
    steps = getattr(torch.optim, optimizer)(net.parameters(), lr=0.1)
    torch.manual_seed(0)
    x = torch.randn(5, 1, 8, 8).to(cuda) if model is _classifier else torch.randint(0, 10, (5,)).to(cuda)
    y = torch.randint(0, 10, (5,)).to(cuda)
    losses = []
    for _ in range(8):
        with double.no_sync():
            steps.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x), y)
            loss.backward()
            steps.step()
        losses.append(loss.detach())
    assert losses[-1].item() < losses[0].item()


def test_the_double_forbids_waiting(cuda: str) -> None:
    x = torch.ones(2, device=cuda)
    for wait in (
        lambda: x.sum().item(),
        lambda: x.tolist(),
        lambda: bool(x[0] > 0),
        lambda: x[x > 0],
        x.nonzero,
    ):
        with pytest.raises(double.Waited), double.no_sync():
            wait()


def _read(x: Any) -> Any:
    return x.tolist()


@pytest.mark.parametrize(
    "program",
    [
        lambda x, i: x[i],
        lambda x, i: x.index_select(0, i),
        lambda x, i: x.take(i),
        lambda x, i: torch.nn.functional.embedding(i, x.reshape(3, 1)),
        lambda x, i: x.gather(0, i),
        lambda x, i: x.index_add(0, i, torch.ones_like(x)[: len(i)]),
        lambda x, i: x.scatter_add(0, i, torch.ones_like(x)[: len(i)]),
        lambda x, i: torch.nn.functional.cross_entropy(x.reshape(1, 3), i),
    ],
)
def test_an_index_out_of_range_is_told_when_values_are_read(cuda: str, program: Any) -> None:
    x, i = torch.tensor([1.0, 2.0, 3.0], device=cuda), torch.tensor([3], device=cuda)
    with double.no_sync():
        y = program(x, i)  # CuPy would take 3 for 0
    with pytest.raises((IndexError, RuntimeError), match="3") as error:
        _read(y)
    assert "found when values were next read" in error.value.__notes__[0]
    assert _read(x) == [1, 2, 3]  # and then everything goes on


def test_what_is_no_probability_is_told_when_values_are_read(cuda: str) -> None:
    x = torch.tensor([0.5, float("nan"), 0.25], device=cuda, requires_grad=True)
    with double.no_sync():
        loss = torch.nn.functional.binary_cross_entropy(x, torch.zeros_like(x))
        loss.backward()
        again = torch.nn.functional.binary_cross_entropy(x.detach() + 0.6, torch.zeros_like(x))
    with pytest.raises(RuntimeError, match="all elements of input should be between 0 and 1"):
        again.item()
    assert loss.isnan().item()


def test_writes_out_of_range_are_told(cuda: str) -> None:
    x = torch.zeros(3, device=cuda)
    x[torch.tensor([-4], device=cuda)] = 1.0
    with pytest.raises(IndexError, match="index -4 is out of bounds for dimension 0 with size 3"):
        x.sum().item()


def test_integers_by_zero(cuda: str) -> None:
    x = torch.tensor([4, 2], device=cuda)
    for divide in (lambda: x // torch.tensor([2, 0], device=cuda), lambda: x % 0, lambda: torch.fmod(x, 0)):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            divide()


@pytest.mark.parametrize("value", [7.3, -7.3, 0.0, 1.0, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("divisor", [2.1, -2.1, 0.1, np.inf, -np.inf, 0.0, np.nan])
def test_divisions_of_floats(cuda: str, value: float, divisor: float) -> None:
    """CuPy rounds the quotient before it takes the floor; here they are PyTorch's."""
    reference = pytest.importorskip("torch")
    for name in ("floor_divide", "remainder", "fmod"):
        pair = [torch.tensor([v], dtype=torch.float64, device=cuda) for v in (value, divisor)]
        wanted = getattr(reference, name)(
            *(reference.tensor([v], dtype=reference.float64) for v in (value, divisor))
        )
        np.testing.assert_allclose(
            getattr(torch, name)(*pair).tolist(), wanted.tolist(), rtol=1e-12, err_msg=name
        )


def test_a_refusal_of_the_double_is_one() -> None:
    """What the double is for: it refuses what CuPy refuses."""
    x = double.wrap(np.ones((2, 2), np.float32))
    for wrong in (
        lambda: x + np.ones(2),
        lambda: double.DOUBLE.sum(x, where=x > 0),
        lambda: double.DOUBLE.amax(x, initial=0),
        lambda: double.DOUBLE.take(x, x, mode="clip"),
        lambda: double.DOUBLE.add.at(x.astype(np.complex64), (0,), x.astype(np.complex64)),
        lambda: double.DOUBLE.bitwise_and(x, x),
        lambda: double.DOUBLE.no_such_function,
    ):
        with pytest.raises((TypeError, AttributeError)):
            wrong()
    double.STATE.devices, double.STATE.current = 2, 1
    try:
        with pytest.raises(double.Strict, match="an array on device 0 met a kernel on device 1"):
            x + x
    finally:
        double.STATE.devices, double.STATE.current = 1, 0


def test_digits_trains(cuda: str, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.test_examples import import_example

    digits = import_example("digits")
    accuracy, losses = digits.main(["--device", cuda, "--epochs", "6"])
    assert accuracy > 0.85 and losses[-1] < losses[0] / 4
    assert "on cuda" in capsys.readouterr().out
