"""Composites of `plugrad.ops.activation`."""

from __future__ import annotations

import math
from typing import Any

from .special import check_real


class ActivationComposites:
    """A family of composites."""

    def relu(self: Any, x: Any) -> Any:
        return self.maximum(x, 0)

    def hardtanh(self: Any, x: Any, min_val: float, max_val: float) -> Any:
        return self.clip(x, min_val, max_val)

    def elu(self: Any, x: Any, alpha: float) -> Any:
        return self.where(x > 0, x, alpha * self.expm1(self.minimum(x, 0.0)))

    def softplus(self: Any, x: Any, beta: float, threshold: float) -> Any:
        z = x * beta
        return self.where(z > threshold, x, self.logaddexp(z, self.zeros_like(z)) / beta)

    def logsigmoid(self: Any, x: Any) -> Any:
        return self.minimum(x, 0.0) - self.log1p(self.exp(-self.abs(x)))

    def gelu(self: Any, x: Any, approximate: str) -> Any:
        check_real(x, "gelu")
        if approximate == "tanh":
            return 0.5 * x * (1 + self.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))
        return 0.5 * x * (1 + self.erf(x * math.sqrt(0.5)))

    def softmax(self: Any, x: Any, axis: tuple[int, ...]) -> Any:
        e = self.exp(x - self._shift(x, axis))
        return e / self.sum(e, axis, True)

    def log_softmax(self: Any, x: Any, axis: tuple[int, ...]) -> Any:
        z = x - self._shift(x, axis)
        return z - self.log(self.sum(self.exp(z), axis, True))

    def _shift(self: Any, x: Any, axis: tuple[int, ...]) -> Any:
        """The largest element, of which infinity makes everything NaN; 0 where there is none."""
        return 0.0 if 0 in x.shape else self.max(x, axis, True)
