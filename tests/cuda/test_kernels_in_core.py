"""The whole core on plugrad's own CUDA kernels, run on the CPU: training steps, beside those of the device "cpu".

With PLUGRAD_CUDA_KIT=1 the conformance kit runs so, too, which takes long: g++ compiles a kernel for each kind of operands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cupy", reason="CuPy is not installed: pip install cupy-cuda13x")

import plugrad as torch
from plugrad.testing import Conformance
from plugrad_backends.cupy import devices

from . import kernels_plugin


@pytest.fixture
def device(kernels_device: str) -> str:
    return kernels_device


def images(device: str) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 10),
    )
    return net.to(device), torch.randn(5, 1, 8, 8).to(device), torch.randint(0, 10, (5,)).to(device)


def tokens(device: str) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Embedding(10, 8),
        torch.nn.LayerNorm(8),
        torch.nn.Linear(8, 16),
        torch.nn.GELU(),
        torch.nn.Linear(16, 10),
    )
    return net.to(device), torch.randint(0, 10, (5,)).to(device), torch.randint(0, 10, (5,)).to(device)


@pytest.mark.parametrize(("model", "optimizer"), [(images, "Adam"), (tokens, "SGD")])
def test_training_steps_are_those_of_the_cpu(
    device: str, model: Callable[[str], Any], optimizer: str
) -> None:
    losses: dict[str, list[float]] = {}
    parameters: dict[str, list[Any]] = {}
    for where in ("cpu", device):
        net, x, labels = model(where)
        steps = getattr(torch.optim, optimizer)(net.parameters(), lr=0.1)
        losses[where] = []
        for _ in range(3):
            steps.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x), labels)
            loss.backward()
            steps.step()
            losses[where].append(loss.item())
        parameters[where] = [p.detach().cpu().numpy() for p in net.parameters()]
    np.testing.assert_allclose(losses[device], losses["cpu"], rtol=1e-4)
    for found, expected in zip(parameters[device], parameters["cpu"], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("function", "kernels"),
    [
        (lambda x, w, b: torch.softmax(x, -1), ["softmax_float32_v1_i4_backward"]),
        (lambda x, w, b: torch.log_softmax(x, -1), ["log_softmax_float32_v1_i4_backward"]),
        (lambda x, w, b: torch.nn.functional.layer_norm(x, (6,)), ["layer_norm_float32_v1_i4_backward"]),
        (
            lambda x, w, b: torch.nn.functional.layer_norm(x, (6,), w, b),
            ["layer_norm_float32_v1_i4_backward", "layer_norm_parameters_float32_parameters",
             "layer_norm_parameters_float32_parameters_end"],
        ),
    ],
)  # fmt: skip
def test_derivatives_of_rows_are_kernels(
    device: str, launched: list[str], function: Any, kernels: list[str]
) -> None:
    given = [torch.randn(*shape) for shape in ((5, 6), (6,), (6,), (5, 6))]
    grads: dict[str, list[Any]] = {}
    for where in ("cpu", device):
        *xs, g = [t.detach().to(where) for t in given]
        xs = [x.requires_grad_() for x in xs]
        y = function(*xs)
        launched.clear()
        y.backward(g)
        if where == device:
            assert launched == kernels
        grads[where] = [x.grad.cpu().numpy() for x in xs if x.grad is not None]
    for found, expected in zip(grads[device], grads["cpu"], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_cross_entropy_is_one_pass_and_one_back(device: str, launched: list[str]) -> None:
    """The logits are read by two kernels; the others see a number for each row."""
    x, labels = torch.randn(40, 6), torch.randint(0, 6, (40,))
    for weight in (None, torch.rand(6)):
        found = []
        for where in ("cpu", device):
            logits = x.detach().to(where).requires_grad_()
            w = None if weight is None else weight.to(where)
            launched.clear()
            loss = torch.nn.functional.cross_entropy(logits, labels.to(where), w)
            loss.backward(create_graph=True)
            (logits.grad**2).sum().backward()
            found.append([loss.detach().cpu().numpy(), logits.grad.detach().cpu().numpy()])
            assert loss.grad_fn.name() == "NllLossBackward0"
        for one, other in zip(*found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    logits = x.to(device).requires_grad_()
    launched.clear()
    torch.nn.functional.cross_entropy(logits, labels.to(device)).backward()
    assert [s for s in launched if s.startswith("cross")] == [
        "cross_entropy_float32_v1_i4_forward",
        "cross_entropy_float32_v1_i4_backward",
    ]
    assert len(launched) <= 9, launched


def test_steps_use_no_operator_of_an_array(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What core computes on raw arrays goes to members: CuPy's operators cost more on the host."""

    def refused(*args: Any) -> Any:
        raise AssertionError("an operator of CuPy's")

    def elements(x: Any) -> Any:
        y = (x.exp() * x / (x * x + 2)).log1p() - 3 * x.sin()
        return y.mean() + y.mean(0).sum() + (-y).lerp(x, 0.3).sum() + (1 - y).sqrt().sum()

    pairs = [getattr(torch.nn.functional, name) for name in ("mse_loss", "huber_loss")]
    functions: list[Any] = [elements, *[lambda x, f=f: f(x, x * 0.5) for f in pairs]]
    functions += [lambda x, f=f: f(x, x * 0.5, reduction="sum") for f in pairs]
    functions.append(lambda x: torch.nn.functional.binary_cross_entropy(x, x * 0.5))
    functions.append(
        lambda x: torch.nn.functional.binary_cross_entropy_with_logits(x, x * 0.5, reduction="none").sum()
    )
    start = torch.rand(4, 5) * 0.5 + 0.2
    expected, found = [], []
    for function in functions:
        x = start.detach().requires_grad_()
        function(x).backward()
        expected.append(x.grad.numpy())
    xs = [start.to(device).requires_grad_() for _ in functions]
    net, images_, labels = images(device)
    optimizer = torch.optim.Adam(net.parameters())
    with monkeypatch.context() as patch:
        for name in [*vars(kernels_plugin.HostArray)]:
            if name in devices._OPERATORS:
                patch.setattr(kernels_plugin.HostArray, name, refused)
        for function, x in zip(functions, xs, strict=True):
            function(x).backward()
        torch.nn.functional.cross_entropy(net(images_), labels).backward()
        optimizer.step()
    found = [x.grad.cpu().numpy() for x in xs]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_what_our_kernels_cannot_do_others_do(device: str) -> None:
    """Dtypes and ranks without a kernel: what CuPy has, or what core composes of the other ops."""
    pool = torch.nn.functional.max_pool2d
    x = torch.arange(16).reshape(1, 1, 4, 4)
    assert pool(x.to(device), 2).tolist() == pool(x, 2).tolist()
    table, places = torch.randn(4, 3, dtype=torch.complex128), torch.tensor([1, 3, 1])
    grads = []
    for where in ("cpu", device):
        weight = table.detach().clone().to(where).requires_grad_()
        torch.nn.functional.embedding(places.to(where), weight).abs().sum().backward()
        grads.append(weight.grad.cpu().numpy())
    np.testing.assert_allclose(grads[1], grads[0])
    signal, kernel = torch.randn(2, 3, 9), torch.randn(4, 3, 2)
    found = torch.nn.functional.conv1d(signal.to(device), kernel.to(device))
    np.testing.assert_allclose(
        found.cpu().numpy(), torch.nn.functional.conv1d(signal, kernel).numpy(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.skipif("PLUGRAD_CUDA_KIT" not in os.environ, reason="it takes long: set PLUGRAD_CUDA_KIT=1")
class TestKernels(Conformance):
    """Every check of the kit."""

    device, plugins, timeout = "cuda_kernels", ("tests.cuda.kernels_plugin:KernelsPlugin",), 900
