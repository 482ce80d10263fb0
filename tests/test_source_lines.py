"""`record_source_lines`: each recorded node knows the line that called its op."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import plugrad as torch


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2


@pytest.mark.parametrize("manager", [torch.autograd.record_source_lines, torch.autograd.detect_anomaly])
def test_nodes_know_their_line(manager: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    buffer = torch.zeros(3)
    line = inspect.currentframe().f_lineno  # type: ignore[union-attr]
    with manager():
        a = x * 2
        b = a + torch.ones(2, 3)
        c = b.unbind(0)[1]
        d = Double.apply(c)
        buffer[1:] = d[1:]
        e = torch.nn.functional.mse_loss(d, buffer)
    for tensor, after in ((a, 2), (b, 3), (c, 4), (d, 5), (buffer, 6), (e, 7)):
        assert tensor.grad_fn.metadata["source"] == (__file__, line + after)
    e.backward()
    assert (x * 2).grad_fn.metadata == {}


def test_a_recorded_derivative_has_lines_too() -> None:
    x = torch.ones(3, requires_grad=True)
    with torch.autograd.record_source_lines():
        y = (x**3).sum()
        line = inspect.currentframe().f_lineno  # type: ignore[union-attr]
        (g,) = torch.autograd.grad(y, x, create_graph=True)
    assert g.grad_fn.metadata["source"] == (__file__, line + 1)
