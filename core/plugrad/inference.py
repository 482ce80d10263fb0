"""Tensors that were made in inference mode: they stay out of graphs.

plugrad could save them like any other tensor. That it refuses is PyTorch's rule, so that a program that runs here
runs there.
"""

from __future__ import annotations

import sys
from typing import Any

from .graph import Variable
from .modes import INFERENCE, active, thread
from .tensor import Tensor


class InferenceTensor(Tensor, inference=True):
    """What ops and creation return in `inference_mode`."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        # `_edge` is not set. To the generated calls this is an error, which takes them to `Op.general`, and there what
        # would be saved is looked at. So calls on other tensors need not ask.
        if name != "_edge" or sys._getframe(1).f_code.co_filename.startswith("<plugrad call"):
            raise AttributeError(f"'Tensor' object has no attribute {name!r}")
        return None

    def is_inference(self) -> bool:
        """Whether this was made in inference mode."""
        return True

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say whether this is to have a gradient, which inference tensors can in inference mode only."""
        if requires_grad and not (active and thread.mode & INFERENCE):
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed: make a .clone()"
            )
        return super().requires_grad_(requires_grad) if requires_grad or self.requires_grad else self

    def __copy__(self) -> Tensor:
        return self.detach()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            memo[id(self)] = self.clone()
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        rebuild, (_, *rest), state = super().__reduce_ex__(protocol)
        return rebuild, (Tensor, *rest), state

    @property
    def _version(self) -> int:
        raise RuntimeError("Inference tensors do not track version counter.")


InferenceTensor.__name__ = InferenceTensor.__qualname__ = "Tensor"


def is_inference(input: Any) -> bool:
    """Whether a tensor was made in inference mode."""
    return isinstance(input, Variable) and input.is_inference()  # type: ignore[attr-defined]
