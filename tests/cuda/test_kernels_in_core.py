"""The whole core on plugrad's own CUDA kernels, run on the CPU: training steps, beside those of the device "cpu".

With PLUGRAD_CUDA_KIT=1 the conformance kit runs so, too, which takes long: g++ compiles a kernel for each kind of operands.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cupy", reason="CuPy is not installed: pip install cupy-cuda13x")

import plugrad as torch
from plugrad import plugins
from plugrad.testing import Conformance

from . import host, kernels_plugin


@pytest.fixture(scope="module")
def device() -> Iterator[str]:
    if host.missing():
        pytest.skip(str(host.missing()))
    record = plugins.register(kernels_plugin.KernelsPlugin())
    yield "cuda_kernels"
    del record


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
