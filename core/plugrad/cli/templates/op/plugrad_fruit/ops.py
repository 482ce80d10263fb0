"""What the operators mean, on any device, and their derivatives."""

from plugrad.sdk import op


# `x=` is the derivative by x: `g` is the cotangent of the output. It is mathematics, on arrays of any library as well as on
# tensors, so that the operator differentiates to any order.
@op("fruit::ripen", kind="elementwise", result="float", x=lambda g, x: g * (x * x + 1) ** -1.5)
def ripen(x):
    """x / sqrt(1 + x²), element by element."""
    return x * (x * x + 1) ** -0.5
