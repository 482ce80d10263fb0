"""The gradients for a batch of cotangents: `grad(..., is_grads_batched=True)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import engine
from ..graph import GradientEdge, Variable
from ..transforms.vmap import vmap


def batch_of_grads(
    outputs: Sequence[Any], inputs: Sequence[Any], weights: Any, options: tuple[Any, ...]
) -> tuple[Any, ...]:
    """The gradients for a batch of weights, by `vmap` of the pass for one; `options` are the rest of those of `grad`."""
    given = (None,) * len(outputs) if weights is None else engine._sequence(weights)
    if len(given) != len(outputs):
        raise RuntimeError(f"grad: got {len(outputs)} tensors and {len(given)} gradients for them")
    if all(g is None for g in given):
        for y in outputs:
            engine._one(y, False, "grad")  # which says what is missing where it is not only the batch
        raise ValueError(
            "grad: is_grads_batched=True, but grad_outputs has no batch: pass weights of shape (batch, *output.shape)"
        )
    for i, (y, g) in enumerate(zip(outputs, given, strict=True)):
        if not (g is None or isinstance(g, Variable)):
            raise TypeError(f"grad: gradients can be either Tensors or None, but got {type(g).__name__}")
        if g is not None and not g._raw.shape:
            raise IndexError(
                f"grad: is_grads_batched=True, but grad_output[{i}] has no dimensions, where the first is the batch"
            )
        form = engine._form(y) if isinstance(y, (Variable, GradientEdge)) else None
        expected = form and form[1]
        if g is not None and expected is not None and tuple(g._raw.shape[1:]) != expected:
            raise RuntimeError(
                f"grad: If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch "
                f"dimension. The sizes of the remaining dimensions are expected to match the shape of the corresponding "
                f"output, but a mismatch was detected: grad_output[{i}] has a shape of {tuple(g._raw.shape)} and output[{i}] "
                f"has a shape of {expected}. If you only want some tensors in `grad_output` to be considered batched, "
                "consider using vmap."
            )
    batched = [i for i, g in enumerate(given) if g is not None]
    unused: set[int] = set()

    def one(*gs: Any) -> Any:
        full = list(given)
        for i, g in zip(batched, gs, strict=True):
            full[i] = g
        found = engine.grad(outputs, inputs, full, *options)
        unused.update(i for i, g in enumerate(found) if g is None)
        return tuple(g for g in found if g is not None)

    found = iter(vmap(one)(*[given[i] for i in batched]))
    return tuple(None if i in unused else next(found) for i in range(len(inputs)))
