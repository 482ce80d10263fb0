"""Lambert's W and Wright's ω."""

from __future__ import annotations

from plugrad.ops import exp
from plugrad.sdk import Op, elementwise

# exp(-y) rather than y/x: right at 0.
#: The solutions of y exp(y) = x: of real numbers on the branches 0 and -1, NaN where there is none.
lambertw: Op = elementwise(
    "special::lambertw", "x | k=0", result="float", x=lambda g, y: g * (exp(-y) / (1 + y))
)
#: The solution of y + log(y) = x.
wrightomega: Op = elementwise("special::wrightomega", "x", result="float", x=lambda g, y: g * (y / (1 + y)))
