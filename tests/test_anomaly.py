"""Anomaly mode: it finds the NaN, names the op, and shows the line."""

from __future__ import annotations

from typing import Any

import pytest

import plugrad as torch


def bad_backward(x: Any) -> Any:
    return x.sqrt() * 0  # the line that is looked for


def test_backward_names_the_op_and_the_line_of_its_forward() -> None:
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    with torch.autograd.detect_anomaly():
        y = bad_backward(x).sum()
        with pytest.raises(
            RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th"
        ) as caught:
            y.backward()
    text = str(caught.value)
    assert "the line that is looked for" in text and __file__ in text and "plugrad/op.py" not in text
    assert not torch.autograd.is_anomaly_enabled()
    y = bad_backward(x).sum()
    with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="No forward pass information"):
        y.backward(retain_graph=True)
    y.backward()  # outside of the mode as ever
    assert x.grad[0].isnan() and x.grad[1].item() == 0


def test_forward_names_the_op() -> None:
    x = torch.tensor([-1.0], requires_grad=True)
    with torch.autograd.detect_anomaly():
        with pytest.raises(RuntimeError, match="Function 'log' returned nan values in its forward") as caught:
            x.log()
        assert "x.log()" in str(caught.value)
        nan = torch.tensor([float("nan")])
        assert (nan * x).isnan().item()  # it was there before
        with torch.autograd.detect_anomaly(check_nan=False):
            assert x.log().isnan().item() and not torch.autograd.is_anomaly_check_nan_enabled()


def test_second_order_functions_and_errors() -> None:
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            raise RuntimeError("broken on purpose")

    x = torch.tensor([2.0], requires_grad=True)
    with torch.autograd.detect_anomaly():
        (g,) = torch.autograd.grad(x**3, x, create_graph=True)
        assert torch.autograd.grad(g, x)[0].item() == 12
        with pytest.raises(RuntimeError, match="broken on purpose\\nError detected in BrokenBackward"):
            Broken.apply(x).backward()
        (a, b) = torch.stack([x, x * 2]).unbind(0)
        (a * b).backward()
    assert x.grad.item() == 8


def test_switches() -> None:
    torch.autograd.set_detect_anomaly(True)
    assert torch.autograd.is_anomaly_enabled()
    with torch.autograd.set_detect_anomaly(False):
        assert not torch.autograd.is_anomaly_enabled()
    assert torch.autograd.is_anomaly_enabled()
    torch.autograd.set_detect_anomaly(False)

    @torch.autograd.detect_anomaly()
    def f() -> bool:
        return torch.autograd.is_anomaly_enabled()

    assert f() and not torch.autograd.is_anomaly_enabled()


def test_it_leaves_leaves_alone_and_keeps_the_frames() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    with torch.autograd.detect_anomaly():
        y = x * 3
        accumulate = type(y.grad_fn.next_functions[0][0])
        y.backward(retain_graph=True)
    assert type(y.grad_fn.next_functions[0][0]) is accumulate
    assert (
        isinstance(y.grad_fn.metadata["traceback_"], list)
        and __file__ in y.grad_fn.metadata["traceback_"][-1]
    )
    assert x.grad.item() == 3


def test_functions_errors_of_any_class_and_generators() -> None:
    class Odd(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return torch.tensor([float("nan")]) if x.item() < 0 else x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            raise KeyError("odd")

    x = torch.tensor([2.0], requires_grad=True)
    with torch.autograd.detect_anomaly():
        y = Odd.apply(x)  # here
        with pytest.raises(KeyError, match="odd") as caught:
            y.backward()
        assert (
            "Error detected in OddBackward" in caught.value.__notes__[0]
            and "# here" in caught.value.__notes__[0]
        )
        with pytest.raises(RuntimeError, match="Function 'Odd' returned nan values in its forward"):
            Odd.apply(-x.detach().requires_grad_())

    @torch.autograd.detect_anomaly()
    def steps() -> Any:
        yield torch.autograd.is_anomaly_enabled()

    assert list(steps()) == [True] and not torch.autograd.is_anomaly_enabled()
