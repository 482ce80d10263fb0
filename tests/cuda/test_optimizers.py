"""Steps of optimizers for many parameters at once, run on the CPU, against plugrad's own optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad
from plugrad_backends.cupy.kernels import optimizers
from plugrad_backends.cupy.kernels.source import FLOATS

from .arrays import close, random, single, stored
from .host import Memory, at

SIZES = [1, 5, 0, 2048, 2049, 300] + [3] * 61  # more than one launch
STEPS = 3


def addresses(arrays: list[np.ndarray]) -> list[int]:
    return [at(array) for array in arrays]


def start(memory: Memory, dtype: str) -> tuple[list[Any], list[list[Any]], list[Any]]:
    """Parameters, the gradients of each step, and the parameters as tensors, in float64."""
    p = [memory.array(random((n,), dtype, seed=i)) for i, n in enumerate(SIZES)]
    g = [
        [memory.array(random((n,), dtype, seed=99 * k + i)) for i, n in enumerate(SIZES)]
        for k in range(STEPS)
    ]
    tensors = [plugrad.tensor(single(each)).requires_grad_() for each in p]
    return p, g, tensors


def step(optimizer: Any, tensors: list[Any], gradients: list[Any]) -> None:
    for tensor, gradient in zip(tensors, gradients, strict=True):
        tensor.grad = plugrad.tensor(single(gradient))
    optimizer.step()


def compare(p: list[Any], tensors: list[Any], dtype: str, ulps: float) -> None:
    for found, tensor in zip(p, tensors, strict=True):
        close(found, tensor.detach().numpy(), dtype, ulps=ulps)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "options",
    [
        {}, {"weight_decay": 0.1}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"momentum": 0.9, "dampening": 0.5, "maximize": True},
    ],
)  # fmt: skip
def test_sgd(kernels: Any, memory: Memory, dtype: str, options: dict[str, Any]) -> None:
    p, g, tensors = start(memory, dtype)
    optimizer = plugrad.optim.SGD(tensors, lr=0.1, **options)
    v = [memory.empty(each.shape, each.dtype) for each in p] if "momentum" in options else []
    for k in range(STEPS):
        step(optimizer, tensors, g[k])
        optimizers.sgd(
            kernels,
            dtype,
            SIZES,
            addresses(p),
            addresses(g[k]),
            addresses(v),
            lr=0.1,
            fresh=k == 0,
            **options,
        )
    compare(p, tensors, dtype, ulps=8)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.1}, {"amsgrad": True, "weight_decay": 0.1}, {"maximize": True}]
)
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam(kernels: Any, memory: Memory, dtype: str, options: dict[str, Any], decoupled: bool) -> None:
    p, g, tensors = start(memory, dtype)
    options = {"weight_decay": 0.0, **options}
    made = plugrad.optim.AdamW if decoupled else plugrad.optim.Adam
    optimizer = made(tensors, lr=0.01, betas=(0.8, 0.99), eps=1e-3, **options)
    amsgrad = options.pop("amsgrad", False)
    m, v, most = ([memory.array(stored(np.zeros(n), dtype)) for n in SIZES] for _ in range(3))
    for k in range(STEPS):
        step(optimizer, tensors, g[k])
        optimizers.adam(
            kernels, dtype, SIZES, addresses(p), addresses(g[k]), addresses(m), addresses(v),
            addresses(most) if amsgrad else (), step=k + 1, lr=0.01, betas=(0.8, 0.99), eps=1e-3, decoupled=decoupled,
            **options,
        )  # fmt: skip
    compare(p, tensors, dtype, ulps=32)
