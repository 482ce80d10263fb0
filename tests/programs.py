"""Random programs of ops, views, in-place writes and hooks, the same for plugrad and PyTorch."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Instruction = tuple[Any, ...]

UNARY = ("sin", "cos", "tanh", "neg", "sigmoid", "square", "clone")
BINARY = ("add", "sub", "mul")
UNARY_IN_PLACE = ("sin_", "cos_", "tanh_", "neg_", "sigmoid_", "zero_", "square_")
BINARY_IN_PLACE = ("add_", "sub_", "mul_", "copy_")

#: Views by the number of dimensions that they need; each takes (tensor, a random integer).
VIEWS: dict[str, tuple[int, Callable[[Any, int], Any]]] = {
    "slice": (1, lambda x, k: x[k % 2 :]),
    "step": (1, lambda x, k: x[:: 1 + k % 2]),
    "row": (2, lambda x, k: x[k % x.shape[0]]),
    "column": (2, lambda x, k: x[:, k % x.shape[1]]),
    "select": (1, lambda x, k: x.select(-1, k % x.shape[-1])),
    "narrow": (1, lambda x, k: x.narrow(0, 0, 1 + k % x.shape[0])),
    "t": (2, lambda x, k: x.t()),
    "transpose": (2, lambda x, k: x.transpose(0, 1)),
    "permute": (2, lambda x, k: x.permute(1, 0)),
    "unsqueeze": (0, lambda x, k: x.unsqueeze(0) if x.dim() < 2 else x.unsqueeze(0).squeeze(0)),
    "diagonal": (2, lambda x, k: x.diagonal()),
    "whole": (0, lambda x, k: x[...]),
    "view_as": (0, lambda x, k: x.view(x.shape)),
    "unbind": (2, lambda x, k: x.unbind(0)[k % x.shape[0]]),
    "split": (1, lambda x, k: x.split(1)[k % x.shape[0]]),
    "expand": (1, lambda x, k: x.unsqueeze(0).expand(2, *x.shape)[k % 2]),
}


def program(seed: int, length: int = 12, hooks: bool = False) -> list[Instruction]:
    """A list of instructions, whose operands are numbers taken modulo how many tensors there are."""
    r = random.Random(seed)
    kinds = ["unary", "binary", "view", "view", "unary_", "binary_", "number_", "assign", "assign_at", "fill"]
    kinds += ["hook"] if hooks else []
    return [
        (
            r.choice(kinds),
            r.randrange(1 << 16),
            r.randrange(1 << 16),
            r.randrange(1 << 16),
            r.choice([-0.7, 0.4, 1.3]),
        )
        for _ in range(length)
    ]


def like(x: Any, shape: Any) -> Any:
    """`x` made to fit `shape`: summed and expanded."""
    if tuple(x.shape) == tuple(shape):
        return x
    return (x.sum() * 0.3).expand(shape)


def run(t: Any, instructions: list[Instruction], leaf: Any, copies: bool = False) -> Any:
    """A number that depends on `leaf`, a matrix of 3 by 3, by the library `t`.

    With `copies` nothing is assigned that overlaps its target: PyTorch reads there what it has overwritten already.
    """
    tensors = [leaf * 1.0, t.zeros(3, 3, dtype=leaf.dtype), leaf[0] + 0.5]
    for kind, a, b, k, number in instructions:
        x, y = tensors[a % len(tensors)], tensors[b % len(tensors)]
        if kind == "unary":
            tensors.append(getattr(t, UNARY[k % len(UNARY)])(x))
        elif kind == "binary":
            tensors.append(getattr(t, BINARY[k % len(BINARY)])(x, like(y, x.shape)))
        elif kind == "view":
            needed, view = VIEWS[sorted(VIEWS)[k % len(VIEWS)]]
            if x.dim() >= needed and x.numel():
                tensors.append(view(x, a))
        elif kind == "unary_":
            getattr(x, UNARY_IN_PLACE[k % len(UNARY_IN_PLACE)])()
        elif kind == "binary_":
            getattr(x, BINARY_IN_PLACE[k % len(BINARY_IN_PLACE)])(like(y, x.shape))
        elif kind == "number_":
            x.mul_(number).add_(1 - number)
        elif kind == "fill":
            x.fill_(number)
        elif kind == "hook":
            if x.requires_grad and not x._is_view():  # on a stale view PyTorch crashes
                x.register_hook(lambda g, number=number: g * number)
        elif x.dim() and x.shape[0]:
            where: Any = a % x.shape[0]
            if kind == "assign_at":
                where = t.tensor([where]) if k % 2 else t.tensor([i == where for i in range(x.shape[0])])
            value = number if k % 5 == 0 else like(y, x[where].shape)
            x[where] = value.clone() if copies and k % 5 else value
    total = leaf.sum() * 0.0
    for i, x in enumerate(tensors):
        total = total + (x * (0.1 * i + 0.2)).sum()
    return total
