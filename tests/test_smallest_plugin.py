"""The smallest operator plugin does what the large ones do."""

from __future__ import annotations

import inspect

import numpy as np

import plugrad as torch
from plugrad_plugins import smallest


def test_it_differentiates_in_every_way() -> None:
    x = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    np.testing.assert_allclose(smallest.squash(x).detach().numpy(), [-2 / 3, 1 / 3, 3 / 4])
    assert torch.autograd.gradcheck(smallest.squash, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(smallest.squash, x)
    np.testing.assert_allclose(
        torch.func.vmap(torch.func.grad(smallest.squash))(x.detach()).numpy(), [1 / 9, 4 / 9, 1 / 16]
    )


def test_integers_and_halves() -> None:
    assert smallest.squash(torch.tensor([1, 3])).dtype is torch.float32
    assert smallest.squash(torch.tensor([1.0], dtype=torch.float16)).dtype is torch.float16


def test_its_spec_names_it() -> None:
    (spec,) = smallest.plugrad_ops()
    assert torch.plugins.load(spec) is smallest.squash


def test_it_is_small() -> None:
    lines = inspect.getsource(smallest).partition('"""\n\nfrom')[2].splitlines()
    assert sum(bool(line.strip()) and not line.startswith("#") for line in lines) <= 15
