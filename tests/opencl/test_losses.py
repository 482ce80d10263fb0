"""Losses and derivatives of functions of rows on OpenCL devices, against the CPU's."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as torch
from plugrad_backends.opencl import profile

F = torch.nn.functional
LOSSES = [
    ("mse_loss", {}), ("huber_loss", {"delta": 0.7}), ("smooth_l1_loss", {"beta": 0.3}), ("binary_cross_entropy", {}),
    ("binary_cross_entropy_with_logits", {}),
]  # fmt: skip


def run(function, device, *arrays):
    """The result and the gradients by all operands that are floats."""
    tensors = [torch.tensor(a, device=device, requires_grad=a.dtype.kind == "f") for a in arrays]
    y = function(*tensors)
    y.sum().backward()
    return [t.detach().cpu().numpy() for t in (y, *[t.grad for t in tensors if t.requires_grad])]


def same(function, opencl, *arrays, tolerance=2e-5):
    device = f"opencl:{opencl.index}"
    for found, wanted in zip(run(function, device, *arrays), run(function, "cpu", *arrays), strict=True):
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name, options", LOSSES)
def test_losses(opencl, name, options, reduction):
    x, target = np.random.default_rng(0).standard_normal((2, 7, 19), np.float32)
    if name.startswith("binary"):
        x, target = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(-target))
    same(lambda a, b: getattr(F, name)(a, b, reduction=reduction, **options), opencl, x, target)
    same(
        lambda a, b: getattr(F, name)(a.half(), b.half(), reduction=reduction, **options),
        opencl,
        x,
        target,
        tolerance=4e-3,
    )


def test_operands_that_do_not_fit(opencl):
    x = torch.ones(3, 4, device=f"opencl:{opencl.index}")
    with pytest.raises(RuntimeError, match="mse_loss: expected operands of one shape"):
        torch.ops.mse_loss(x, x[0])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(7, 5), (5,), (3, 5, 4), (2, 5, 3, 2)])
@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
def test_losses_of_classes(opencl, name, shape, reduction):
    rng = np.random.default_rng(0)
    axis = min(len(shape) - 1, 1)
    x = rng.standard_normal(shape, np.float32)
    target = np.asarray(rng.integers(0, 5, shape[:axis] + shape[axis + 1 :]))
    weight = rng.random(5).astype(np.float32)
    for ignored in (-100, int(target.flat[0]) if target.size > 1 else 9):

        def loss(x, target, w=None, ignored=ignored):
            w = None if w is None else w.detach()
            return getattr(F, name)(x, target, w, reduction=reduction, ignore_index=ignored)

        same(loss, opencl, x, target)
        same(lambda x, target: loss(x, target, torch.tensor(weight, device=x.device)), opencl, x, target)


def test_cross_entropy_of_few_and_of_many_numbers(opencl, monkeypatch):
    rng = np.random.default_rng(0)
    for shape in ((3, 1), (2, 40), (40, 3), (0, 3)):
        x, target = rng.standard_normal(shape, np.float32), rng.integers(0, shape[1], shape[0])
        for reduction in ("mean", "sum", "none") if len(target) else ("sum", "none"):
            same(lambda x, t, r=reduction: F.cross_entropy(x, t, reduction=r), opencl, x, target)
    x = rng.standard_normal((3, 40), np.float32)
    x[0, 5], x[1] = -np.inf, np.nan
    same(lambda x, t: F.cross_entropy(x, t, reduction="none")[::2], opencl, x, np.array([3, -100, 7]))
    same(lambda x, t: F.cross_entropy(x.half(), t), opencl, x[::2], np.array([3, 7]), tolerance=2e-3)
    same(lambda x, t: F.cross_entropy(x, t), opencl, x.T.copy()[:, ::2].T, np.array([-100, -100]))
    monkeypatch.setattr(type(opencl._cross_entropy), "of", lambda *args: None)  # as of few long rows
    same(lambda x, t: F.cross_entropy(x, t), opencl, x[::2], np.array([3, 7]))


def test_cross_entropy_is_few_kernels(opencl):
    where = f"opencl:{opencl.index}"
    x = torch.randn(6, 10, device=where, requires_grad=True)
    target = torch.arange(6, device=where)
    with profile(where) as found:
        loss = F.cross_entropy(x, target)
        loss.backward(torch.ones_like(loss))
    names = set(found.kernels) - {"_fill"}
    assert names == {"_cross_entropy", "_nll_total", "_nll_count", "_cross_entropy_vjp"}


def test_targets_that_are_no_classes(opencl):
    x = torch.zeros(3, 5, device=f"opencl:{opencl.index}")
    for wrong in (5, -1):
        with pytest.raises(
            IndexError, match=f"nll_loss: Target {wrong} is out of bounds: expected a class from 0 to 4"
        ):
            F.nll_loss(x, torch.tensor([0, wrong, -100], device=x.device))
        with pytest.raises(IndexError, match=f"nll_loss: Target {wrong} is out of bounds"):
            F.cross_entropy(x, torch.tensor([0, wrong, -100], device=x.device))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_derivatives_of_softmax(opencl, name):
    x, weight = np.random.default_rng(0).standard_normal((2, 6, 19), np.float32)
    for axis in (0, 1):
        same(lambda x, w, axis=axis: (getattr(F, name)(x, axis) * w).sum(), opencl, x, weight)
        same(lambda x, axis=axis: getattr(F, name)(x, axis).sum(0)[2], opencl, x)  # an expanded cotangent


def test_derivatives_of_layer_norm(opencl):
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 6, 19), np.float32)
    weight, bias = rng.standard_normal((2, 19), np.float32)
    same(lambda x, g, w, b: (F.layer_norm(x, (19,), w, b) * g).sum(), opencl, x, g, weight, bias)
    same(lambda x, g: (F.layer_norm(x, (19,)) * g).sum(), opencl, x, g)


def test_derivatives_of_variance(opencl):
    x = np.random.default_rng(0).standard_normal((6, 19), np.float32)
    for options in ({"dim": 0}, {"dim": 1, "keepdim": True, "correction": 0}, {"dim": (0, 1)}, {}):
        same(lambda x, options=options: x.var(**options) * 3, opencl, x)


def test_a_loss_and_its_gradient_keep_nothing_else(opencl, monkeypatch):
    device = f"opencl:{opencl.index}"
    x, target = torch.randn(9, 40, device=device, requires_grad=True), torch.randn(9, 40, device=device)
    made = []
    kind = type(opencl.device)
    allocate = kind.allocate
    monkeypatch.setattr(kind, "allocate", lambda self, n: made.append(n) or allocate(self, n))
    F.mse_loss(x, target).backward()
    large = [n for n in made if n >= 9 * 40 * 4]
    assert len(large) == 1  # the gradient
