"""vmap: over every op of the table it equals a loop; its arguments, errors, randomness and writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.func import grad, vmap, vmap_fallbacks
from plugrad.op import OPS
from plugrad.testing.rows import Row, Sample
from tests.test_ops import CALLS, arrays_of, as_tensors, leaves, outputs

#: Ops without a rule of their own, on arrays with the batch: they go one example at a time.
FALLBACK = {"searchsorted", "bitcast"}
#: Ops whose results have no common shape.
DYNAMIC = {"nonzero", "argwhere", "unique", "bincount"}
SIZE = 3


def batch(row: Row, sample: Sample, shared: int) -> tuple[list[Any], list[Any]]:
    """Arguments with a batch in front but for one in `shared`, and their `in_dims`."""
    dtype = row.dtypes[0] if row.dtypes[0] in "?bhil" else None
    draws = [arrays_of(sample, dtype, seed=i) for i in range(SIZE)]
    values, dims, count = [], [], 0

    def put(parts: list[Any]) -> tuple[Any, Any]:
        nonlocal count
        if isinstance(parts[0], list):
            pairs = [put(list(p)) for p in zip(*parts, strict=True)]
            return [v for v, _ in pairs], [d for _, d in pairs]
        if not isinstance(parts[0], np.ndarray):
            return parts[0], None
        count += 1
        if count - 1 == shared:
            return parts[0], None
        return np.stack(parts), 0

    for parts in zip(*draws, strict=True):
        v, d = put(list(parts))
        values.append(v)
        dims.append(d)
    return values, dims


def element(values: Any, dims: Any, i: int) -> Any:
    if isinstance(values, list):
        return [element(v, d, i) for v, d in zip(values, dims, strict=True)]
    return values if dims is None else np.asarray(values[i])


def arrays_in(values: list[Any]) -> int:
    return sum(isinstance(e, np.ndarray) for v in values for e in (v if isinstance(v, list) else [v]))


@pytest.mark.parametrize(("row", "sample"), CALLS)
def test_vmap_equals_a_loop(row: Row, sample: Sample) -> None:
    op = OPS[row.op]
    n = arrays_in(arrays_of(sample))
    for shared in [None, *(range(n) if n > 1 else ())]:
        values, dims = batch(row, sample, -1 if shared is None else shared)
        tensors = as_tensors(values)
        called = lambda *a: op.call(*a, **sample.params)
        if row.op in DYNAMIC:
            with pytest.raises(RuntimeError, match="dynamic shape"):
                vmap(called, in_dims=tuple(dims))(*tensors)
            continue
        with vmap_fallbacks() as counted:
            found = outputs(vmap(called, in_dims=tuple(dims))(*tensors))
        rows = [outputs(called(*as_tensors(element(values, dims, i)))) for i in range(SIZE)]
        assert set(counted) <= FALLBACK, f"{row.op} has no rule"
        for j, y in enumerate(found):
            expected = np.stack([r[j].numpy() for r in rows])
            assert y.shape == expected.shape and y.numpy().dtype == expected.dtype
            np.testing.assert_allclose(y.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("row", "sample"), [p for p in CALLS if p.values[0].grad])
def test_gradients_inside_and_through_vmap_equal_a_loop(row: Row, sample: Sample) -> None:
    op = OPS[row.op]
    values, dims = batch(row, sample, -1)
    if any(len(leaves(v)) < len(v) for v in values if isinstance(v, list)):
        pytest.skip("a list of which some need no gradient is no argument of func.grad")

    def total(*a: Any) -> Any:
        ys = [y.real + 2 * y.imag if y.is_complex() else y for y in outputs(op.call(*a, **sample.params))]
        return sum((y * torch.cos(y.detach())).sum() for y in ys if y.is_floating_point())

    def loop() -> list[np.ndarray]:
        found = []
        for i in range(SIZE):
            tensors = as_tensors(element(values, dims, i), grad=True)
            gs = torch.autograd.grad(total(*tensors), leaves(tensors), materialize_grads=True)
            found.append([g.numpy() for g in gs])
        return [np.stack(parts) for parts in zip(*found, strict=True)]

    expected = loop()
    numbers = [i for i, v in enumerate(values) if leaves(v if isinstance(v, list) else [v])]
    inside = vmap(grad(total, argnums=tuple(numbers)), in_dims=tuple(dims))(*as_tensors(values))
    flat = [e for v in inside for e in (v if isinstance(v, list) else [v])]
    through = as_tensors(values, grad=True)
    y = vmap(total, in_dims=tuple(dims))(*through).sum()
    outside = torch.autograd.grad(y, leaves(through), materialize_grads=True)
    for found in (flat, outside):
        assert len(found) == len(expected)
        for g, want in zip(found, expected, strict=True):
            np.testing.assert_allclose(g.numpy(), want, rtol=1e-8, atol=1e-10)
