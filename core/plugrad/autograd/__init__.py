"""Derivatives: the doors of `torch.autograd`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .. import engine
from ..engine import backward, grad
from ..function import Function
from ..modes import enable_grad, inference_mode, no_grad, record_source_lines, set_grad_enabled
from ..nan_safety import nan_safe
from ..strict import strict_mutation
from . import anomaly_mode, forward_ad, function, graph
from .anomaly_mode import detect_anomaly, is_anomaly_check_nan_enabled, is_anomaly_enabled, set_detect_anomaly
from .gradcheck import gradcheck, gradgradcheck

if TYPE_CHECKING:
    from . import functional as functional

__all__ = [
    "Function", "backward", "detect_anomaly", "enable_grad", "forward_ad", "function", "functional", "grad", "gradcheck",
    "gradgradcheck", "graph", "inference_mode", "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "nan_safe", "no_grad",
    "record_source_lines", "set_detect_anomaly", "set_grad_enabled", "strict_mutation",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "functional":  # it needs vmap, which is imported at first use
        return importlib.import_module(f"{__name__}.functional")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _batch_of_grads(*args: Any) -> Any:
    from .batched_grads import batch_of_grads

    return batch_of_grads(*args)


engine._batch_of_grads = _batch_of_grads
