"""Starting values of parameters: each function fills a tensor in place, without recording, and returns it.

With the same seed the numbers are PyTorch's.
"""

from __future__ import annotations

import math
from typing import Any

from .. import creation, ops
from ..modes import no_grad

_GAINS = {"sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4, "linear": 1.0}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """How much to scale weights before a nonlinearity, so that its output varies as its input does.

    `nonlinearity` is one of linear, sigmoid, tanh, relu, selu, and leaky_relu, whose slope is `param`.

    >>> calculate_gain("leaky_relu", 2.0)
    0.6324555320336759
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"calculate_gain: negative_slope {param} not a valid number")
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain: Unsupported nonlinearity {nonlinearity}: choose one of {known}")
    return _GAINS[nonlinearity]


def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Any:
    """Uniform numbers from [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Any:
    """Normal numbers."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Any:
    """Normal numbers, drawn again until they are in [a, b].

    ValueError where [a, b] holds less than 0.3 of the distribution.
    """

    def below(x: float) -> float:
        return (1 + math.erf((x - mean) / (std * math.sqrt(2)))) / 2

    chance = below(b) - below(a)
    if chance <= 0.3:
        raise ValueError(
            f"trunc_normal_: [{a}, {b}] holds only {chance:.2g} of the normal distribution of mean {mean} "
            f"and std {std}: widen the interval"
        )
    with no_grad():
        values = tensor.normal_(mean, std, generator=generator).detach()
        outside = (values < a) | (values > b)
        while outside.any():
            values = ops.where(
                outside, creation.empty_like(values).normal_(mean, std, generator=generator), values
            )
            outside = (values < a) | (values > b)
        return tensor.copy_(values)


def constant_(tensor: Any, val: float) -> Any:
    """One value everywhere."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Any) -> Any:
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Any) -> Any:
    """Zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor: Any) -> Any:
    """The identity, for a matrix."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: Only tensors with 2 dimensions are supported, found {tensor.ndim}")
    with no_grad():
        return tensor.copy_(creation.eye(*tensor.shape))


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Uniform numbers whose variance is gain² · 2 / (fan in + fan out) (Glorot and Bengio, 2010)."""
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Normal numbers whose variance is gain² · 2 / (fan in + fan out) (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def kaiming_uniform_(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Any:
    """Uniform numbers whose variance is gain² / fan (He et al., 2015); `a` is the slope of a leaky_relu."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Any:
    """Normal numbers whose variance is gain² / fan (He et al., 2015); `a` is the slope of a leaky_relu."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _xavier_std(tensor: Any, gain: float) -> float:
    return gain * math.sqrt(2.0 / sum(fans(tensor)))


def _kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return calculate_gain(nonlinearity, a) / math.sqrt(fans(tensor)[mode == "fan_out"] or 1)


def fans(tensor: Any) -> tuple[int, int]:
    """How many inputs an output unit sees, and how many outputs an input unit reaches: (fan in, fan out).

    `tensor` is a weight of shape (outputs, inputs, *kernel).
    """
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    outputs, inputs, *kernel = tensor.shape
    return inputs * math.prod(kernel), outputs * math.prod(kernel)
