"""Training on OpenCL devices: losses equal to the CPU's to the accuracy of float32, and no builds for new sizes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import plugrad as torch
from plugrad import random
from plugrad.random import Generator
from plugrad_backends.opencl import profile
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


SIZES = """
from plugrad.backend import for_device
from tests.opencl.test_training import step

builds = []
for batch in (6, 7, 9, 20):
    step("opencl:{name}", batch)
    builds.append(for_device("opencl", {index}).device.builds)
print(builds[0] > 0, builds[-1] - builds[0])
"""


def test_other_sizes_build_nothing(opencl):
    """In a process that other tests built nothing for."""
    name = "oclgrind" if opencl.device.found.is_interpreter else opencl.index
    code, root = SIZES.format(name=name, index=opencl.index), Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout == "True 0\n", done.stderr


def test_every_other_example(opencl, capsys):
    if not opencl.device.is_cpu:
        pytest.skip("an interpreter takes minutes")
    device = f"opencl:{opencl.index}"
    test_examples.test_the_tutorials_run_on_other_devices(device, capsys)
    test_examples.test_two_layer_net_on_other_devices(device)


def test_gradients_become_those_of_parameters_without_a_copy(opencl):
    where = f"opencl:{opencl.index}"
    layer, x = torch.nn.Linear(6, 4).to(where), torch.randn(5, 6, device=where)
    with profile(where) as found:
        layer(x).sum().backward()
    assert "copy" not in found.kernels
    assert layer.weight.grad._raw.sig.is_dense
    plain = torch.nn.Linear(6, 4)
    plain.load_state_dict(layer.state_dict())
    plain(x.cpu()).sum().backward()
    for ours, theirs in zip(layer.parameters(), plain.parameters()):
        np.testing.assert_allclose(ours.grad.cpu().numpy(), theirs.grad.numpy(), rtol=1e-5)
    weight = torch.randn(6, 4, device=where, requires_grad=True)  # not transposed, and alpha
    torch.addmm(torch.zeros(4, device=where), x, weight, alpha=2).sum().backward()
    np.testing.assert_allclose(
        weight.grad.cpu().numpy(), 2 * x.cpu().numpy().sum(0)[:, None].repeat(4, 1), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_gradients_that_are_views_of_one_array_are_told_apart(opencl, order):
    where = f"opencl:{opencl.index}"
    a, b = (torch.ones(*shape, device=where, requires_grad=True) for shape in ((3, 3), (9,)))
    kept = []
    y = a + b.reshape(3, 3) if order == "ab" else b.reshape(3, 3) + a
    y.register_hook(lambda g: kept.append(g) if order == "ab" else None)
    (y * torch.arange(9.0, device=where).reshape(3, 3)).sum().backward()
    a.grad.add_(1)
    assert b.grad.tolist() == list(range(9))
    b.grad.mul_(0)
    assert a.grad.flatten().tolist() == list(range(1, 10))
    assert all(g.flatten().tolist() == list(range(9)) for g in kept)
