"""Two small models whose training every device must reproduce: a convolutional network and a transformer.

A model's function trains it for some steps and returns the loss of each step. Nothing is drawn at random by the device:
parameters and data come from NumPy generators of fixed seeds. `torch` may be PyTorch itself; with it the same
lines gave the losses that are kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import plugrad


@dataclass(frozen=True)
class Model:
    """A model to train: `train(device, dtype, steps)` gives the losses, of which `losses` are right in float64."""

    name: str
    train: Callable[..., list[float]]
    losses: Sequence[float]
    #: How far losses may be off, relatively, by the name of the dtype.
    tolerance: dict[str, float] = field(default_factory=lambda: {"float64": 1e-9, "float32": 1e-4})


def convolutional(
    device: Any = "cpu", dtype: str = "float64", steps: int = 6, torch: Any = plugrad
) -> list[float]:
    """Two convolutions, each with relu and a pool, and a linear layer; SGD with momentum on 8 images of 4 classes."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2),
        nn.ReLU(),
        nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
        nn.Flatten(),
        nn.Linear(72, 4),
    )
    model = prepared(model, device, dtype, torch, seed=1)
    rng = np.random.default_rng(2)
    images = torch.from_numpy(rng.standard_normal((8, 2, 12, 12))).to(getattr(torch, dtype)).to(device)
    classes = torch.from_numpy(np.arange(8) % 4).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return trained(optimizer, lambda: nn.functional.cross_entropy(model(images), classes), steps)


def transformer(
    device: Any = "cpu", dtype: str = "float64", steps: int = 6, torch: Any = plugrad
) -> list[float]:
    """An embedding, a block of causal attention and a perceptron, each behind a layer norm, and a linear layer.

    Adam on 4 sequences of 9 tokens, each of which the next is to be told of.
    """
    nn, F, width, heads, tokens = torch.nn, torch.nn.functional, 16, 2, 11

    class Block(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.place = nn.Embedding(tokens, width), nn.Embedding(8, width)
            self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
            self.inputs, self.outputs = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            self.head = nn.Linear(width, tokens, bias=False)

        def attend(self, x: Any) -> Any:
            n, length, _ = x.shape
            parts = self.inputs(x).reshape(n, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)
            return self.outputs(y.transpose(1, 2).reshape(n, length, width))

        def forward(self, x: Any, places: Any) -> Any:
            x = self.embedding(x) + self.place(places)
            x = x + self.attend(self.norm1(x))
            x = x + self.mlp(self.norm2(x))
            return self.head(self.norm3(x))

    model = prepared(Block(), device, dtype, torch, seed=3)
    text = (np.arange(4)[:, None] * 3 + np.arange(9) ** 2) % tokens
    x, target, places = (
        torch.from_numpy(np.ascontiguousarray(a)).to(device)
        for a in (text[:, :-1], text[:, 1:], np.arange(8))
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    return trained(
        optimizer,
        lambda: F.cross_entropy(model(x, places).reshape(-1, tokens), target.reshape(-1)),
        steps,
    )


def prepared(model: Any, device: Any, dtype: str, torch: Any, seed: int) -> Any:
    """The model with parameters from a NumPy generator, on a device: uniform in ±1/√(their last sizes).

    They are rounded to float32, which they are made in, so that they are the same in every dtype.
    """
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            bound = float(np.prod(parameter.shape[1:])) ** -0.5
            parameter.copy_(torch.from_numpy(rng.uniform(-bound, bound, tuple(parameter.shape))))
    return model.to(getattr(torch, dtype)).to(device)


def trained(optimizer: Any, loss_of: Callable[[], Any], steps: int) -> list[float]:
    """The losses of so many steps."""
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


MODELS = (
    Model(
        "convolutional",
        convolutional,
        (
            1.3903460412568465, 1.3870225801192413, 1.3826764564868195,
            1.3780179935995491, 1.371484563395775, 1.3627271062848934,
        ),
    ),
    Model(
        "transformer",
        transformer,
        (
            2.536681632365612, 2.377517438533386, 2.313221377056434,
            2.284802726005185, 2.2632696507178554, 2.2401854384567326,
        ),
    ),
)  # fmt: skip
