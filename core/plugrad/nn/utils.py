"""Helpers over the parameters of a model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import creation
from ..functions.shapes import cat, stack
from ..modes import no_grad
from ..tensor import Tensor


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Any:
    """Scale the gradients so that their norm, taken together, is at most `max_norm`; returns what it was."""
    grads = _grads(parameters)
    with no_grad():
        if not grads:
            return creation.tensor(0.0)
        norms = [g.norm(norm_type) for g in grads]
        total = stack(norms).norm(norm_type)
        if error_if_nonfinite and not total.isfinite():
            raise RuntimeError(
                f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it "
                "cannot be clipped: leave out error_if_nonfinite to scale the gradients by it anyway"
            )
        scale = (max_norm / (total + 1e-6)).clamp(max=1.0)
        for g in grads:
            g.mul_(scale)
    return total


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Limit each element of the gradients to [-clip_value, clip_value]."""
    with no_grad():
        for g in _grads(parameters):
            g.clamp_(-clip_value, clip_value)


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """All parameters in one vector."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Write the parts of a vector into the parameters."""
    start = 0
    with no_grad():
        for p in parameters:
            p.copy_(vec[start : start + p.numel()].reshape(p.shape))
            start += p.numel()


def _grads(parameters: Any) -> list[Any]:
    several = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in several if p.grad is not None]
