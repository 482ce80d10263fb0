"""`torch.autograd.function`: `Function`, and what stands beside it."""

from __future__ import annotations

from ..function import Function, FunctionCtx, once_differentiable

__all__ = ["Function", "FunctionCtx", "once_differentiable"]
