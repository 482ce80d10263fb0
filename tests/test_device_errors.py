"""Devices that are not there, and tensors of two devices in one place."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import plugrad as torch
from plugrad import plugins
from plugrad.errors import DeviceError
from plugrad.plugins import registry
from tests.fake_backend import FakePlugin


@pytest.fixture
def fake() -> Iterator[str]:
    """A second device, over arrays that NumPy cannot read."""
    record = plugins.register(FakePlugin())
    yield "fake"
    registry.REGISTRY._stages["by hand"].remove(record)


@pytest.mark.parametrize(
    ("device", "text"),
    [
        ("cuda", r"device 'cuda' needs 'cupy', which is not installed: pip install \"plugrad\[cuda\]\""),
        ("cuda:1", r"pip install \"plugrad\[cuda\]\""),
        (
            "opencl",
            r"device 'opencl' needs 'pyopencl', which is not installed: pip install \"plugrad\[opencl\]\"",
        ),
        ("banana", r"device 'banana' is unknown: plugrad knows .*'cpu', 'cuda', 'opencl'"),
        ("cpu:1", r"device 'cpu:1' is not there: NumPy has one CPU device"),
    ],
)
def test_devices_that_are_not_there(device: str, text: str) -> None:
    library = {"cuda": "cupy", "open": "pyopencl"}.get(device[:4])
    if library and importlib.util.find_spec(library):
        pytest.skip(f"{library} is installed")
    place = torch.device(device)  # only names it
    for make in (lambda: torch.ones(2, device=place), lambda: torch.tensor([1.0]).to(device)):
        with pytest.raises(DeviceError, match=text):
            make()


def test_a_second_device_goes_through_the_same_core(fake: str) -> None:
    x = torch.tensor([1.0, 2.0], device=fake).requires_grad_()
    for expected in ([3.0, 12.0], [6.0, 24.0]):
        (x * x * x).sum().backward()
        assert str(x.grad.device) == fake and x.grad.tolist() == expected
    (g,) = torch.autograd.grad((x * x * x).sum(), x, create_graph=True)
    assert torch.autograd.grad(g.sum(), x)[0].tolist() == [6.0, 12.0]


@pytest.mark.parametrize(
    "mix",
    [
        lambda a, b: a + b,
        lambda a, b: b * a,
        lambda a, b: a @ b,
        lambda a, b: torch.cat([a, b]),
        lambda a, b: torch.where(a > 0, a, b),
    ],
)
def test_tensors_of_two_devices(fake: str, mix: Callable[[Any, Any], Any]) -> None:
    here, there = torch.ones(2, 2), torch.ones(2, 2, device=fake)
    with pytest.raises(
        DeviceError, match=r"(tensors on 'cpu' and 'fake'|tensors on 'fake' and 'cpu'): move one with \.to\("
    ):
        mix(here, there)


def test_gradients_of_another_device(fake: str) -> None:
    x = torch.ones(2, device=fake).requires_grad_()
    with pytest.raises(DeviceError, match=r"output\[0\] is on 'fake' and grad_output\[0\] on 'cpu': move it"):
        (x * 2).backward(torch.ones(2))
    with pytest.raises(RuntimeError, match=r"assigned grad has device cpu, but the tensor has device fake"):
        x.grad = torch.ones(2)
    with pytest.raises(RuntimeError, match=r"has changed the type of value: .*on 'fake', .*on 'cpu'"):
        x.register_hook(lambda g: torch.ones(2))
        (x * 2).sum().backward()


def test_a_gradient_on_another_device_than_its_input(fake: str) -> None:
    class Elsewhere(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g.to(fake)

    y = Elsewhere.apply(torch.ones(2, requires_grad=True)).sum()
    with pytest.raises(
        DeviceError, match=r"ElsewhereBackward .* at index 0 - expected device cpu but got fake"
    ):
        y.backward()
