"""The nonlinear functions between the layers of networks."""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import of
from ..op import Op, astype, composite, elementwise, operator
from .compare import where
from .elementwise import abs_, erf, exp, sigmoid, tanh
from .reduce import sum_

# --- with a corner: the derivative at the corner is PyTorch's -----------------------------------------------

relu = elementwise("relu", "x", ordered=True, operands="numbers", x=lambda g, y: where(y <= 0, 0, g))
leaky_relu = elementwise(
    "leaky_relu", "x | negative_slope=0.01", ordered=True, operands="floats",
    x=lambda g, x, negative_slope: where(x > 0, g, g * negative_slope),
    default=lambda x, negative_slope: where(x > 0, x, x * negative_slope),
)  # fmt: skip
hardtanh = elementwise(
    "hardtanh", "x | min_val=-1.0 max_val=1.0", ordered=True, operands="numbers",
    x=lambda g, x, min_val, max_val: where((x <= min_val) | (x >= max_val), 0, g),
)  # fmt: skip
elu = elementwise(
    "elu", "x | alpha=1.0", ordered=True, operands="floats",
    x=lambda g, x, y, alpha: where(x > 0, g, g * (y + alpha)),
)  # fmt: skip

# --- in training --------------------------------------------------------------------------------------------

#: x / keep where the mask says so, else 0, as a product, which PyTorch's node is called after; the mask is saved as bools.
dropout: Op = elementwise(
    "dropout", "x mask | keep=1.0", promotes="x", node="MulBackward0",
    x=lambda g, mask, keep: dropout(g, mask, keep),
    default=lambda x, mask, keep: x * (astype(mask, of(x.dtype)) / keep),
)  # fmt: skip

# --- smooth: ops rather than composites, since PyTorch's node names show, and bodies would save more --------

softplus = elementwise(
    "softplus", "x | beta=1.0 threshold=20.0", ordered=True, operands="floats",
    x=lambda g, x, beta, threshold: where(x * beta > threshold, g, g * sigmoid(x * beta)),
)  # fmt: skip
logsigmoid = elementwise(
    "logsigmoid",
    "x",
    node="LogSigmoidBackward0",
    ordered=True,
    operands="floats",
    x=lambda g, x: g * sigmoid(-x),
)


def _silu_vjp(g: Any, x: Any) -> Any:
    s = sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


silu = elementwise("silu", "x", operands="floats", x=_silu_vjp, default=lambda x: x * sigmoid(x))

_ROOT_HALF, _BELL = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)
_GELU_SCALE, _GELU_CUBE = math.sqrt(2 / math.pi), 0.044715


def _gelu_vjp(g: Any, x: Any, approximate: str) -> Any:
    if approximate == "none":  # Φ(x) + x φ(x)
        return g * (0.5 * (1 + erf(x * _ROOT_HALF)) + x * (_BELL * exp(-0.5 * (x * x))))
    x2 = x * x
    t = tanh(_GELU_SCALE * (x + _GELU_CUBE * (x2 * x)))
    slope = _GELU_SCALE * (1 + 3 * _GELU_CUBE * x2)
    return g * (0.5 * (1 + t) + 0.5 * (x * ((1 - t * t) * slope)))


gelu = elementwise("gelu", "x | approximate='none'", operands="floats", x=_gelu_vjp)

# --- along an axis ------------------------------------------------------------------------------------------

softmax = operator("softmax", "x | axis=()", x=lambda g, y, axis: y * (g - sum_(g * y, axis, True)))
log_softmax = operator("log_softmax", "x | axis=()", x=lambda g, y, axis: g - exp(y) * sum_(g, axis, True))


@composite("softsign", elementwise=True)
def softsign(x: Any) -> Any:
    """`x / (1 + |x|)`."""
    return x / (abs_(x) + 1)


@composite("tanhshrink", elementwise=True)
def tanhshrink(x: Any) -> Any:
    """`x - tanh(x)`."""
    return x - tanh(x)


@composite("mish", elementwise=True)
def mish(x: Any) -> Any:
    """`x * tanh(log(1 + exp(x)))`."""
    return x * tanh(softplus(x))
