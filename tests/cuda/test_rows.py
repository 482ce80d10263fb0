"""Kernels of rows, run on the CPU: softmax, cross entropy, layer normalization."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad_backends.cupy.kernels import rows
from plugrad_backends.cupy.kernels.source import FLOATS

from .arrays import close, random, single, stored
from .host import at

# Rows in registers of a warp, of a block, and longer ones; of a length that vectors divide and not.
SHAPES = [(5, 1), (3, 31), (9, 64), (2, 516), (3, 1001), (1, 2052), (2, 4100), (0, 3)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("log", [False, True])
def test_softmax(kernels: Any, memory: Any, dtype: str, log: bool) -> None:
    for shape in SHAPES:
        x, g = memory.array(random(shape, dtype)), memory.array(random(shape, dtype, seed=1))
        y, dx = memory.empty(shape, x.dtype), memory.empty(shape, x.dtype)
        rows.softmax(kernels, dtype, log, at(x), at(y), *shape)
        wide = single(x)
        e = np.exp(wide - wide.max(1, keepdims=True))
        expected = np.log(e / e.sum(1, keepdims=True)) if log else e / e.sum(1, keepdims=True)
        close(y, expected, dtype)
        rows.softmax_backward(kernels, dtype, log, at(g), at(y), at(dx), *shape)
        wide, h = single(y), single(g)
        if log:
            close(
                dx, h - np.exp(wide) * h.sum(1, keepdims=True), dtype, scale=np.abs(h).sum(1, keepdims=True)
            )
        else:
            close(dx, wide * (h - (h * wide).sum(1, keepdims=True)), dtype)


def test_softmax_of_infinities_and_nan(kernels: Any, memory: Any) -> None:
    inf, nan = np.inf, np.nan
    x = memory.array(np.array([[0, -inf, 0], [inf, 0, 0], [-inf, -inf, -inf], [nan, 0, 0]], np.float32))
    y = memory.empty(x.shape, x.dtype)
    rows.softmax(kernels, "float32", False, at(x), at(y), *x.shape)
    np.testing.assert_array_equal(y[0], [0.5, 0, 0.5])
    assert np.isnan(y[1]).any() and np.isnan(y[2:]).all()


def test_an_address_that_vectors_cannot_start_at(kernels: Any, memory: Any) -> None:
    for offset in (0, 1):
        x = memory.array(random((3, 64), "float16"), offset)
        y = memory.empty(x.shape, x.dtype)
        rows.softmax(kernels, "float16", False, at(x), at(y), *x.shape)
        close(y, np.exp(single(x)) / np.exp(single(x)).sum(1, keepdims=True), "float16")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(kernels: Any, memory: Any, dtype: str, weighted: bool) -> None:
    for n, classes in [(5, 3), (4, 1001), (2, 4100)]:
        x = memory.array(random((n, classes), dtype))
        weight = memory.array(stored(np.linspace(0.5, 2, classes), dtype)) if weighted else None
        targets = memory.array(np.arange(n) * 7 % classes)
        targets[1] = -100
        wide = np.float64 if dtype == "float64" else np.float32
        losses, weights, fault = (
            memory.empty(n, wide),
            memory.empty(n, wide),
            memory.array(np.zeros(1, np.int64)),
        )
        rows.cross_entropy(
            kernels,
            dtype,
            at(x),
            at(targets),
            at(weight),
            at(losses),
            at(weights),
            at(fault),
            -100,
            n,
            classes,
        )
        logits = single(x)
        log_p = logits - logits.max(1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
        w = (single(weight) if weighted else np.ones(classes))[targets % classes] * (targets != -100)
        each = -log_p[np.arange(n), targets % classes] * w
        close(losses, each, "float64" if dtype == "float64" else "float32")
        close(weights, w, "float64" if dtype == "float64" else "float32")
        assert fault[0] == 0
        g, total = memory.array(stored(np.array([3.0]), dtype)), memory.array(weights.sum(keepdims=True))
        dx = memory.empty(x.shape, x.dtype)
        rows.cross_entropy_backward(
            kernels, dtype, at(g), at(total), at(x), at(targets), at(weight), at(dx), -100, False, n, classes
        )
        one_hot = np.arange(classes) == targets[:, None]
        close(dx, (np.exp(log_p) - one_hot) * (w * 3 / w.sum())[:, None], dtype)
        g = memory.array(random((n,), dtype))
        rows.cross_entropy_backward(
            kernels, dtype, at(g), 0, at(x), at(targets), at(weight), at(dx), -100, True, n, classes
        )
        close(dx, (np.exp(log_p) - one_hot) * (w * single(g))[:, None], dtype)


def test_a_target_out_of_range_is_no_number(kernels: Any, memory: Any) -> None:
    x, targets = memory.array(random((4, 3), "float32")), memory.array(np.array([0, 3, 1, -1]))
    losses, weights = memory.empty(4, np.float32), memory.empty(4, np.float32)
    fault, dx, g = (
        memory.array(np.zeros(1, np.int64)),
        memory.empty((4, 3), np.float32),
        memory.array(np.ones(1, "f")),
    )
    rows.cross_entropy(
        kernels, "float32", at(x), at(targets), 0, at(losses), at(weights), at(fault), -100, 4, 3
    )
    assert np.isnan(losses).tolist() == [False, True, False, True] and fault[0] == 4
    rows.cross_entropy_backward(
        kernels, "float32", at(g), 0, at(x), at(targets), 0, at(dx), -100, False, 4, 3
    )
    assert np.isnan(dx).all(1).tolist() == [False, True, False, True]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("affine", [False, True])
def test_layer_norm(kernels: Any, memory: Any, dtype: str, affine: bool) -> None:
    eps = 1e-5
    for n, cols in [*SHAPES, (200, 40)]:
        x, g = memory.array(random((n, cols), dtype, shift=1)), memory.array(random((n, cols), dtype, seed=1))
        weight = memory.array(random((cols,), dtype, seed=2)) if affine else None
        bias = memory.array(random((cols,), dtype, seed=3)) if affine else None
        y, dx = memory.empty((n, cols), x.dtype), memory.empty((n, cols), x.dtype)
        rows.layer_norm(kernels, dtype, at(x), at(weight), at(bias), at(y), eps, n, cols)
        w, b = (single(weight), single(bias)) if affine else (np.ones(cols), np.zeros(cols))
        d = single(x) - single(x).mean(1, keepdims=True)
        scale = 1 / np.sqrt((d * d).mean(1, keepdims=True) + eps)
        close(y, d * scale * w + b, dtype)

        wide = np.float64 if dtype == "float64" else np.float32
        stats, partial = memory.empty((n, 2), wide), memory.empty((2, rows.parts(n), cols), wide)
        dweight, dbias = memory.empty(cols, x.dtype), memory.empty(cols, x.dtype)
        kept = [at(stats)] if affine and n else []
        rows.layer_norm_backward(kernels, dtype, at(g), at(x), at(weight), at(dx), eps, n, cols, *kept)
        h, z = single(g) * w, d * scale
        expected = scale * (h - h.mean(1, keepdims=True) - z * (h * z).mean(1, keepdims=True))
        close(dx, expected, dtype, scale=np.abs(scale * h).max(initial=1))
        if kept:
            rows.layer_norm_parameters(
                kernels, dtype, at(g), at(x), at(stats), at(partial), at(dweight), at(dbias), n, cols
            )
            close(dweight, (single(g) * z).sum(0), dtype, scale=(np.abs(single(g)) * (np.abs(z) + 1)).sum(0))
            close(dbias, single(g).sum(0), dtype, scale=np.abs(single(g)).sum(0))
