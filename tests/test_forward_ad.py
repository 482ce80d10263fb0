"""Forward mode: dual numbers through every op, PyTorch's refusals, and every mixture with reverse mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as torch
import plugrad.autograd.forward_ad as fwAD
from plugrad import levels
from tests.ops.rows import Row, Sample
from tests.ops.test_ops import DIFFERENTIABLE, as_tensors, call, directional, grads_of, leaves, outputs


@pytest.fixture(autouse=True)
def no_level_is_left() -> Any:
    yield
    assert levels.thread.stack == []


def tensor(values: Any, **options: Any) -> Any:
    return torch.tensor(values, dtype=torch.float64, **options)


def duals(arrays: list[Any], tangents: list[np.ndarray], grad: bool = False) -> tuple[list[Any], list[Any]]:
    """Arguments with every floating-point one dual, and the leaves under the duals."""
    tensors = as_tensors(arrays, grad=True)
    xs = leaves(tensors)
    swap = {
        id(x): fwAD.make_dual(x if grad else x.detach(), torch.from_numpy(t.astype(x.detach().numpy().dtype)))
        for x, t in zip(xs, tangents, strict=True)
    }
    return [
        [swap.get(id(e), e) for e in v] if isinstance(v, list) else swap.get(id(v), v) for v in tensors
    ], xs


def moving(ys: Any) -> list[Any]:
    return [y for y in outputs(ys) if y.dtype.is_floating_point or y.dtype.is_complex]


@pytest.mark.parametrize(("row", "sample"), DIFFERENTIABLE)
def test_every_op_carries_tangents(row: Row, sample: Sample) -> None:
    for dtype in "dD" if row.complex_grad else "d":
        arrays, tangents, slopes, _ = directional(row, sample, dtype)
        with fwAD.dual_level():
            args, _ = duals(arrays, tangents)
            ys = [fwAD.unpack_dual(y) for y in moving(call(row, args, sample))]
        plain = [y.numpy() for y in moving(call(row, as_tensors(arrays), sample))]
        assert len(ys) == len(slopes)
        for y, value, slope in zip(ys, plain, slopes, strict=True):
            np.testing.assert_array_equal(y.primal.numpy(), value)
            assert y.tangent is None or y.tangent.dtype == y.primal.dtype
            found = np.zeros_like(slope) if y.tangent is None else y.tangent.numpy()
            np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-5, err_msg=dtype)


@pytest.mark.parametrize(("row", "sample"), DIFFERENTIABLE)
def test_every_op_forward_over_reverse_and_reverse_over_forward(row: Row, sample: Sample) -> None:
    """The change of the gradient along a direction: a backward of dual numbers, and the gradient of a tangent."""
    if not row.second:
        pytest.skip("declared without second order")
    arrays, tangents, _, cotangents = directional(row, sample, "d")
    cs = as_tensors(cotangents)

    xs, gs = grads_of(row, sample, arrays, cotangents, create_graph=True)
    weighted = [(g * t.conj()).sum() for g, t in zip(gs, as_tensors(tangents), strict=True) if g is not None]
    total = sum(w.real if w.is_complex() else w for w in weighted) if weighted else tensor(0.0)
    expected = torch.autograd.grad(total, xs, allow_unused=True) if total.requires_grad else [None] * len(xs)

    with fwAD.dual_level():
        args, xs = duals(arrays, tangents, grad=True)
        ys = moving(call(row, args, sample))
        over_reverse = torch.autograd.grad(ys, xs, cs, retain_graph=True, allow_unused=True)
        over_reverse = [None if g is None else fwAD.unpack_dual(g).tangent for g in over_reverse]
        parts = [fwAD.unpack_dual(y).tangent for y in ys]
        moved = [(t, c) for t, c in zip(parts, cs, strict=True) if t is not None and t.requires_grad]
        over_forward: Any = [None] * len(xs)
        if moved:
            over_forward = torch.autograd.grad(
                [t for t, _ in moved], xs, [c for _, c in moved], allow_unused=True
            )
    for found in (over_reverse, over_forward):
        for x, g, want in zip(xs, found, expected, strict=True):
            zeros = np.zeros(tuple(x.shape))
            np.testing.assert_allclose(
                zeros if g is None else g.numpy(),
                zeros if want is None else want.numpy(),
                rtol=1e-9,
                atol=1e-9,
            )
