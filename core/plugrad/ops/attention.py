"""Attention, as a composite: its body is what it means, and its parts have kernels and derivatives."""

from __future__ import annotations

import math
from typing import Any

from ..op import composite
from .activation import softmax
from .compare import logical_not, logical_or, not_equal, where
from .linalg import matmul, matrix_transpose
from .reduce import any_, max_

__all__ = ["scaled_dot_product_attention"]


@composite("scaled_dot_product_attention")
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any = None,
    scale: float = 1.0,
    causal: bool = False,
    kept: Any = None,
) -> Any:
    """softmax(scale · query @ keyᵀ) @ value: (…, L, E), (…, S, E) and (…, S, Ev) give (…, L, Ev).

    A `mask`, which broadcasts to (…, L, S), says which keys a query sees (bool), or is added to the scores; a query
    that sees none gets zeros. `causal` says that there are no such queries. `kept` multiplies the softmax: dropout.
    """
    scores = matmul(query * scale, matrix_transpose(key))
    sees = None
    if mask is not None:
        last = (len(mask.shape) - 1,)
        if mask.dtype.is_floating_point:
            sees = not_equal(max_(mask, last, True), -math.inf)
            scores = scores + where(sees, mask, 0)
        elif mask.dtype.is_complex:
            if mask.dtype is not query.dtype:
                raise RuntimeError(
                    "scaled_dot_product_attention: expected operands of the same dtype or a mask of bool, but got a mask "
                    f"of {mask.dtype} and a query of {query.dtype}"
                )
            scores = scores + mask
        elif causal:
            scores = where(mask, scores, -math.inf)
        else:
            sees = any_(mask, last, True)
            scores = where(logical_or(mask, logical_not(sees)), scores, -math.inf)
    weights = softmax(scores, (len(scores.shape) - 1,))
    y = matmul(weights if kept is None else weights * kept, value)
    return y if sees is None else where(sees, y, 0)
