"""Training on OpenCL devices: losses equal to the CPU's to the accuracy of float32, and no builds for new sizes."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as torch
from plugrad import random
from plugrad.random import Generator
from tests import test_examples
from tests.test_examples import import_example


@pytest.fixture
def philox_on_the_cpu(monkeypatch):
    """The CPU draws what devices draw: so batches and dropout are the same."""
    cpu = torch.device("cpu")
    monkeypatch.setitem(random._default, cpu, Generator("cpu", "philox"))
    monkeypatch.setattr(random, "default_generator", random._default[cpu])


def test_digits_loses_what_it_loses_on_the_cpu(opencl, philox_on_the_cpu, monkeypatch, capsys):
    if not opencl.device.is_cpu:
        pytest.skip("an interpreter takes minutes")

    def losses(device):
        digits = import_example("digits")
        made = digits.make_model
        weights = np.random.default_rng(0)

        def make_model():
            model = made()
            with torch.no_grad():
                for p in model.parameters():
                    bound = 1 / np.sqrt(p.shape[-1])
                    p.copy_(torch.tensor(weights.uniform(-bound, bound, tuple(p.shape)).astype(np.float32)))
            torch.manual_seed(1)  # of every device: the weights drew on the CPU alone
            return model

        digits.make_model = make_model
        return digits.main(["--epochs", "2", "--device", device])

    (cpu_accuracy, cpu), (accuracy, found) = losses("cpu"), losses(f"opencl:{opencl.index}")
    np.testing.assert_allclose(found, cpu, rtol=2e-5)
    assert abs(accuracy - cpu_accuracy) <= 1 / 360


def step(device, batch):
    """A step of a small network with every layer that the digits have."""
    nn = torch.nn
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, 5)).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    x = torch.tensor(rng.standard_normal((batch, 8)).astype(np.float32), device=device)
    y = torch.tensor(rng.integers(0, 5, batch), device=device)
    for _ in range(2):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def test_other_sizes_build_nothing(opencl):
    device = f"opencl:{opencl.index}"
    step(device, 6)
    before = opencl.device.builds
    for batch in (7, 9, 20):
        step(device, batch)
    assert opencl.device.builds == before


def test_every_other_example(opencl, capsys):
    if not opencl.device.is_cpu:
        pytest.skip("an interpreter takes minutes")
    device = f"opencl:{opencl.index}"
    test_examples.test_the_tutorials_run_on_other_devices(device, capsys)
    test_examples.test_two_layer_net_on_other_devices(device)
