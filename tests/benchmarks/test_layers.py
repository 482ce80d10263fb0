"""Layers of images and sequences beside PyTorch, forward and backward, in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad


def numbers(torch: Any, *shape: int, grad: bool = True) -> Any:
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return torch.from_numpy(array).requires_grad_(grad)


def images(torch: Any) -> Callable[[], None]:
    """32 digits of 28 by 28: conv, relu, pool, conv, relu, pool, linear."""
    nn = torch.nn
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(784, 10),
    )  # fmt: skip
    x, classes = numbers(torch, 32, 1, 28, 28, grad=False), torch.arange(32) % 10

    def step() -> None:
        net.zero_grad()
        nn.functional.cross_entropy(net(x), classes).backward()

    return step


def convolution(*shape: int) -> Callable[[Any], Callable[[], None]]:
    n, channels, size, outputs, kernel = shape

    def make(torch: Any) -> Callable[[], None]:
        x, w = numbers(torch, n, channels, size, size), numbers(torch, outputs, channels, kernel, kernel)
        g = torch.ones_like(torch.nn.functional.conv2d(x, w, padding=1))
        return lambda: torch.nn.functional.conv2d(x, w, padding=1).backward(g)

    return make


def attention(torch: Any) -> Callable[[], None]:
    """A batch of 8 sequences of 64 tokens, 4 heads of 16 features, behind a layer norm."""
    nn = torch.nn
    norm, inputs = nn.LayerNorm(64), nn.Linear(64, 192)
    x = numbers(torch, 8, 64, 64)

    def step() -> None:
        parts = inputs(norm(x)).reshape(8, 64, 3, 4, 16).permute(2, 0, 3, 1, 4)
        nn.functional.scaled_dot_product_attention(*parts, is_causal=True).sum().backward()

    return step


@pytest.mark.parametrize(
    "make",
    [images, convolution(32, 16, 16, 32, 3), convolution(32, 128, 8, 128, 3), attention],
    ids=["images", "convolution", "convolution of many channels", "attention"],
)
def test_layers_beside_pytorch(versus: Any, peer: Any, make: Any) -> None:
    versus(make(plugrad), make(peer), peer="PyTorch", promise="no promise", number=1, rounds=20)
