"""Derivatives: the doors of `torch.autograd`."""

from __future__ import annotations

from ..engine import backward, grad
from ..function import Function
from ..modes import enable_grad, no_grad, set_grad_enabled
from ..strict import strict_mutation
from . import function, graph
from .gradcheck import gradcheck, gradgradcheck

__all__ = [
    "Function", "backward", "enable_grad", "function", "grad", "gradcheck", "gradgradcheck", "graph", "no_grad",
    "set_grad_enabled", "strict_mutation",
]  # fmt: skip
