"""Comparison, logic, bits, and choosing between elements."""

from __future__ import annotations

from typing import Any

from ..op import Op, elementwise

# --- comparison and logic: bool, without derivative ---------------------------------------------------------

equal = elementwise("equal", "a b", result="bool")
not_equal = elementwise("not_equal", "a b", result="bool")
less = elementwise("less", "a b", result="bool", ordered=True)
less_equal = elementwise("less_equal", "a b", result="bool", ordered=True)
greater = elementwise("greater", "a b", result="bool", ordered=True)
greater_equal = elementwise("greater_equal", "a b", result="bool", ordered=True)

logical_and = elementwise("logical_and", "a b", result="bool")
logical_or = elementwise("logical_or", "a b", result="bool")
logical_xor = elementwise("logical_xor", "a b", result="bool")
logical_not = elementwise("logical_not", "x", result="bool")

isnan = elementwise("isnan", "x", result="bool")
isinf = elementwise("isinf", "x", result="bool")
isfinite = elementwise("isfinite", "x", result="bool")
signbit = elementwise("signbit", "x", result="bool")

bitwise_and = elementwise("bitwise_and", "a b")
bitwise_or = elementwise("bitwise_or", "a b")
bitwise_xor = elementwise("bitwise_xor", "a b")
bitwise_invert = elementwise("bitwise_invert", "x")
bitwise_left_shift = elementwise("bitwise_left_shift", "a b", operands="numbers")
bitwise_right_shift = elementwise("bitwise_right_shift", "a b", operands="numbers")

# --- choosing -----------------------------------------------------------------------------------------------

where: Op = elementwise(
    "where", "condition a b", promotes="a b",
    a=lambda g, condition: where(condition, g, 0),
    b=lambda g, condition: where(condition, 0, g),
)  # fmt: skip

# Ties share the gradient evenly; NaN in either input goes through, and takes the gradient of both.
maximum = elementwise(
    "maximum", "a b", ordered=True,
    a=lambda g, a, b: where(a == b, g / 2, where(a < b, 0, g)),
    b=lambda g, a, b: where(a == b, g / 2, where(a > b, 0, g)),
)  # fmt: skip
minimum = elementwise(
    "minimum", "a b", ordered=True,
    a=lambda g, a, b: where(a == b, g / 2, where(a > b, 0, g)),
    b=lambda g, a, b: where(a == b, g / 2, where(a < b, 0, g)),
)  # fmt: skip
# These two pass over a NaN where the other input has a number, and give ties to `a`.
fmax = elementwise(
    "fmax", "a b", ordered=True,
    a=lambda g, a, b: where((a >= b) | (b != b), g, 0),
    b=lambda g, a, b: where((a >= b) | (b != b), 0, g),
)  # fmt: skip
fmin = elementwise(
    "fmin", "a b", ordered=True,
    a=lambda g, a, b: where((a <= b) | (b != b), g, 0),
    b=lambda g, a, b: where((a <= b) | (b != b), 0, g),
)  # fmt: skip

# At a bound the gradient still belongs to `x`.


def _clip_vjp(g: Any, x: Any, min: Any, max: Any) -> Any:
    if min is not None:
        g = where(x >= min, g, 0)
    return g if max is None else where(x <= max, g, 0)


clip = elementwise("clip", "x | min=None max=None", node="ClampBackward1", ordered=True, x=_clip_vjp)
clamp_min = elementwise(
    "clamp_min", "x min", ordered=True,
    x=lambda g, x, min: where(x >= min, g, 0),
    min=lambda g, x, min: where(x >= min, 0, g),
    default=lambda x, min: maximum(x, min),
)  # fmt: skip
clamp_max = elementwise(
    "clamp_max", "x max", ordered=True,
    x=lambda g, x, max: where(x <= max, g, 0),
    max=lambda g, x, max: where(x <= max, 0, g),
    default=lambda x, max: minimum(x, max),
)  # fmt: skip

nan_to_num = elementwise(
    "nan_to_num", "x | nan=0.0 posinf=None neginf=None", x=lambda g, x: where(isfinite(x), g, 0)
)
