"""Random programs of ops, views, in-place writes and hooks, the same for plugrad and PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

Instruction = tuple[Any, ...]

UNARY = ("sin", "cos", "tanh", "neg", "sigmoid", "square", "clone")
BINARY = ("add", "sub", "mul")
UNARY_IN_PLACE = ("sin_", "cos_", "tanh_", "neg_", "sigmoid_", "zero_", "square_")
BINARY_IN_PLACE = ("add_", "sub_", "mul_", "copy_")

#: Ops that change the shape, by the number of dimensions that they need.
SHAPING: dict[str, tuple[int, Callable[[Any, Any], Any]]] = {
    "sum": (1, lambda t, x: x.sum(0)),
    "mean": (1, lambda t, x: x.mean(-1)),
    "cumsum": (1, lambda t, x: x.cumsum(0)),
    "flip": (1, lambda t, x: x.flip(0)),
    "matmul": (2, lambda t, x: x @ x.t()),
    "cat": (1, lambda t, x: t.cat([x, x[:1]])),
    "stack": (1, lambda t, x: t.stack([x[0], x[-1]])),
}

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

HOOKS: tuple[Callable[[Any, float], Any], ...] = (
    lambda g, number: g * number,
    lambda g, number: None,
    lambda g, number: g.sin(),
    lambda g, number: g * 0,
)

#: What changes no memory; what writes; what a derivative by finite differences does not see.
PURE = ("unary", "binary", "view", "shaping")
WRITES = ("unary_", "binary_", "number_", "assign", "assign_at", "fill")
OBSERVED = ("hook", "retain", "detach", "no_grad_")


#: How many programs are tried by each test: some, always the same ones; a long run draws others each time.
COUNT = int(os.environ.get("PLUGRAD_PROGRAMS", "0"))


def tried(count: int) -> settings:
    """The settings of a test that tries `count` programs, unless the environment says how many."""
    return settings(
        max_examples=COUNT or count, derandomize=not COUNT, deadline=None, database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip


def programs(*kinds: str, length: int = 14) -> st.SearchStrategy[list[Instruction]]:
    """Lists of instructions, whose operands are numbers taken modulo how many tensors there are."""
    operand = st.integers(0, 15)
    instruction = st.tuples(
        st.sampled_from(kinds), operand, operand, st.integers(0, 31), st.sampled_from([0.4, -0.7, 1.3])
    )
    return st.lists(instruction, min_size=1, max_size=length)


def like(x: Any, shape: Any) -> Any:
    """`x` made to fit `shape`: summed and expanded."""
    if tuple(x.shape) == tuple(shape):
        return x
    return (x.sum() * 0.3).expand(shape)


def run(
    t: Any,
    instructions: list[Instruction],
    leaf: Any,
    copies: bool = False,
    retained: list[Any] | None = None,
) -> Any:
    """A real number that depends on `leaf`, a matrix of 3 by 3, by the library `t`.

    With `copies` nothing is assigned that overlaps its target: PyTorch reads there what it has overwritten already.
    The tensors that retain their gradients are entered in `retained`.
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
        elif kind == "shaping":
            needed, shaped = SHAPING[sorted(SHAPING)[k % len(SHAPING)]]
            if x.dim() >= needed and x.numel():
                tensors.append(shaped(t, x))
        elif kind == "unary_":
            getattr(x, UNARY_IN_PLACE[k % len(UNARY_IN_PLACE)])()
        elif kind == "binary_":
            getattr(x, BINARY_IN_PLACE[k % len(BINARY_IN_PLACE)])(like(y, x.shape))
        elif kind == "number_":
            x.mul_(number).add_(1 - number)
        elif kind == "no_grad_":
            with t.no_grad():
                x.mul_(number)
        elif kind == "fill":
            x.fill_(number)
        elif kind == "detach":
            tensors.append(x.detach())
        elif kind in ("hook", "retain"):
            if not x.requires_grad or x._is_view():  # on a stale view PyTorch crashes
                continue
            if kind == "hook":
                hook = HOOKS[k % len(HOOKS)]
                x.register_hook(lambda g, hook=hook, number=number: hook(g, number))
            elif retained is not None:
                x.retain_grad()
                retained.append(x)
        elif x.dim() and x.shape[0]:
            where: Any = a % x.shape[0]
            if kind == "assign_at":
                where = t.tensor([where]) if k % 2 else t.tensor([i == where for i in range(x.shape[0])])
            value = number if k % 5 == 0 else like(y, x[where].shape)
            x[where] = value.clone() if copies and k % 5 else value
    total = leaf.sum() * 0.0
    for i, x in enumerate(tensors):
        total = total + (x * (0.1 * i + 0.2)).sum()
    return total.real + 0.5 * total.imag if leaf.is_complex() else total
