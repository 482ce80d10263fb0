"""The operators, by the checker that comes with plugrad, and against NumPy."""

import numpy as np
import pytest

import plugrad as torch
from plugrad.kernels import find
from plugrad.testing import opcheck

signal = torch.ops.signal


#: The devices with kernels of their own; the second one comes with another package.
DEVICES = ["cpu"]
try:
    torch.zeros(1, device="strict")
    DEVICES.append("strict")
except RuntimeError as error:
    print(error)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["integrate", "mu_law", "decibels"])
def test_opcheck(name, device):
    x = torch.randn(3, 5, dtype=torch.float64)
    decay = torch.rand(3, dtype=torch.float64)
    samples = {
        "integrate": [(x, decay), (x, decay[:1]), (x[0], decay[0])],
        "mu_law": [(x,)],
        "decibels": [(x,)],
    }
    opcheck(getattr(signal, name), *samples[name], device=device)


@pytest.mark.parametrize("device", DEVICES)
def test_integrate(device):
    x = torch.tensor([[1.0, 0.0, 2.0], [1.0, 1.0, 1.0]], device=device)
    decay = torch.tensor([0.5, 1.0], device=device)
    assert signal.integrate(x, decay).tolist() == [[1.0, 0.5, 2.25], [1.0, 2.0, 3.0]]
    assert find(signal.integrate, torch.device(device).backend)[1] == "plugin"


@pytest.mark.parametrize("device", DEVICES)
def test_mu_law_and_decibels(device):
    x = np.linspace(-1, 1, 9)
    y = signal.mu_law(torch.tensor(x, device=device), mu=100.0)
    np.testing.assert_allclose(y.cpu().numpy(), np.sign(x) * np.log1p(100 * abs(x)) / np.log1p(100))
    assert signal.decibels(torch.ones(2, 3, device=device) * 10).tolist() == pytest.approx([20.0, 20.0])
