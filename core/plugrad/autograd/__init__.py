"""Derivatives: the doors of `torch.autograd`."""

from __future__ import annotations

from ..engine import backward, grad
from ..function import Function
from ..modes import enable_grad, no_grad, set_grad_enabled
from ..strict import strict_mutation
from . import anomaly_mode, function, graph
from .anomaly_mode import detect_anomaly, is_anomaly_check_nan_enabled, is_anomaly_enabled, set_detect_anomaly
from .gradcheck import gradcheck, gradgradcheck

__all__ = [
    "Function", "backward", "detect_anomaly", "enable_grad", "function", "grad", "gradcheck", "gradgradcheck", "graph",
    "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "no_grad", "set_detect_anomaly",
    "set_grad_enabled", "strict_mutation",
]  # fmt: skip
