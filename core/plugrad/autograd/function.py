"""`torch.autograd.function`: `Function`, and what stands beside it."""

from __future__ import annotations

from ..function import Function, InplaceFunction, once_differentiable
from ..function_node import FunctionCtx

__all__ = ["Function", "FunctionCtx", "InplaceFunction", "once_differentiable"]
