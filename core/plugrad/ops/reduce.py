"""Reductions over axes, and scans along one.

The axes are a tuple, sorted and counted from the front; `prod` and the scans take one axis. PyTorch names the
node of a reduction of all elements otherwise than that of one over given axes: hence the ops called `…_all`,
which also are the cheaper ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..graph import Variable
from ..op import astype, linear, operator
from .compare import isnan, where
from .elementwise import abs_, exp, sgn, zeros_like
from .index import embed_gathered, gather
from .shape import alias, broadcast_to, concat, expand_dims, flip_, reshape_, split_sizes, squeeze_

_AXES = "x | axis=() keepdims=False"


def _beside(y: Any, shape: Sequence[int], axis: Sequence[int]) -> Any:
    """A result, with or without keepdims, in a form that broadcasts to the input's `shape`."""
    if y.ndim in (0, len(shape)):
        return y
    return reshape_(y, tuple([1 if i in axis else n for i, n in enumerate(shape)]))


def _spread(g: Any, shape: Sequence[int], axis: Sequence[int]) -> Any:
    """A result at each element that went into it."""
    return broadcast_to(_beside(g, shape, axis), tuple(shape))


def _count(shape: Sequence[int], axis: Sequence[int]) -> int:
    """How many elements a reduction over `axis` puts together."""
    return math.prod(shape[i] for i in axis)


# --- sums and means -----------------------------------------------------------------------------------------

sum_ = linear("sum", _AXES, node="SumBackward1", x=lambda g, x, axis: _spread(g, x.shape, axis))
sum_all = linear("sum_all", "x", node="SumBackward0", x=lambda g, x: broadcast_to(g, x.shape))
nansum = operator("nansum", _AXES, x=lambda g, x, axis: where(isnan(x), 0, _spread(g, x.shape, axis)))

# Means are ops of their own for the names of PyTorch's nodes.
mean_ = linear(
    "mean",
    _AXES,
    node="MeanBackward1",
    x=lambda g, x, axis: _spread(g / _count(x.shape, axis), x.shape, axis),
)
mean_all = linear(
    "mean_all", "x", node="MeanBackward0", x=lambda g, x: broadcast_to(g / math.prod(x.shape), x.shape)
)

# Both are ops of their own because x - mean is not worth keeping, and std for what it is at 0.
var_ = operator(
    "var", "x | axis=() correction=1 keepdims=False",
    x=lambda g, x, axis, correction: _by_deviation(_beside(g, x.shape, axis), x, axis, correction),
)  # fmt: skip
std_ = operator(
    "std", "x | axis=() correction=1 keepdims=False",
    x=lambda g, x, y, axis, correction: _by_deviation(
        _beside(_over(g, 2 * y), x.shape, axis), x, axis, correction
    ),
)  # fmt: skip


def _by_deviation(g: Any, x: Any, axis: Sequence[int], correction: float) -> Any:
    return (x - mean_(x, axis, True)) * (g * 2 / max(_count(x.shape, axis) - correction, 0))


def _over(g: Any, y: Any) -> Any:
    """g / y, and 0 where y is 0: the subgradient that PyTorch takes."""
    zero = y == 0
    return where(zero, 0, g) / where(zero, 1, y)


# --- products -----------------------------------------------------------------------------------------------

prod_ = operator(
    "prod", "x | axis=0 keepdims=False", node="ProdBackward1",
    x=lambda g, x, axis: _beside(g, x.shape, (axis,)) * _products_of_others(x, axis),
)  # fmt: skip
prod_all = operator(
    "prod_all", "x", node="ProdBackward0",
    x=lambda g, x: g * reshape_(_products_of_others(reshape_(x, (math.prod(x.shape),)), 0), tuple(x.shape)),
)  # fmt: skip


def _products_of_others(x: Any, axis: int) -> Any:
    """For each element the product of all others along `axis`, by halves: right with zeros, to any order."""
    n = x.shape[axis]
    if n < 2:
        return zeros_like(x) + 1
    a, b, c = split_sizes(x, (n // 2, n // 2, n % 2), axis)
    if n == 2:
        return concat([b, a], axis)
    # The others of an element of a are its partner in b, and the others of that pair.
    others, of_c = split_sizes(_products_of_others(concat([a * b, c], axis), axis), (n // 2, n % 2), axis)
    return concat([others * b, others * a, of_c], axis)


# --- scans --------------------------------------------------------------------------------------------------

cumsum_ = linear(
    "cumulative_sum",
    "x | axis=0",
    node="CumsumBackward0",
    x=lambda g, axis: flip_(cumsum_(flip_(g, (axis,)), axis), (axis,)),
)
cumprod_ = operator(
    "cumulative_prod",
    "x | axis=0",
    node="CumprodBackward0",
    x=lambda g, x, y, axis: _by_factor(g, x, y, axis),
)


def _by_factor(g: Any, x: Any, y: Any, axis: int) -> Any:
    """The vjp of a running product, without a division: right with zeros, to every order.

    With s[j] = g[j] + x[j+1] s[j+1] it is s[j] y[j-1]. The recurrence is solved by doubling: after each round
    s[j] sums over twice as many places, and m[j] is the product of as many factors from x[j+1] on.
    """
    n = x.shape[axis]
    if n < 2:
        return g
    s, m = g, split_sizes(x, (1, n - 1), axis)[1]
    step = 1
    while step < n:
        low, last = split_sizes(s, (n - step, step), axis)
        high = split_sizes(s, (step, n - step), axis)[1]
        s = concat([low + m * high, last], axis)
        left = max(n - 2 * step, 0)
        if left:
            m = split_sizes(m, (left, step), axis)[0] * split_sizes(m, (step, left), axis)[1]
        step *= 2
    first, rest = split_sizes(s, (1, n - 1), axis)
    return concat([first, rest * split_sizes(y, (n - 1, 1), axis)[0]], axis)


# --- extrema ------------------------------------------------------------------------------------------------


def _evenly(g: Any, mask: Any, axis: Sequence[int]) -> Any:
    """`g`, which broadcasts to `mask`, shared by the elements in the mask."""
    dtype = g.dtype if isinstance(g, Variable) else dtypes.of(g.dtype)
    mask = astype(mask, dtype)
    return mask * (g / sum_(mask, axis, True))


def _extremum(g: Any, x: Any, y: Any, axis: Sequence[int]) -> Any:
    return _evenly(_beside(g, x.shape, axis), x == _beside(y, x.shape, axis), axis)


def _extremum_of_all(g: Any, x: Any, y: Any) -> Any:
    """As `_extremum`; but where there is a NaN, which wins, it has the gradient."""
    return _evenly(g, (x == y) | isnan(x), tuple(range(x.ndim)))


# Ties share the gradient evenly; of a maximum along one dim the element that was found has all of it.
max_ = operator("max", _AXES, node="AmaxBackward0", x=_extremum)
min_ = operator("min", _AXES, node="AminBackward0", x=_extremum)
max_all = operator("max_all", "x", node="MaxBackward1", x=_extremum_of_all)
min_all = operator("min_all", "x", node="MinBackward1", x=_extremum_of_all)
median_all = operator("median_all", "x", node="MedianBackward0", x=_extremum_of_all)

#: The elements at the indices, which have `axis` as 1, with or without it.
take_max = linear(
    "take_max", "x | indices=None axis=0 keepdims=False", node="MaxBackward0",
    default=lambda x, indices, axis, keepdims: _without(gather(x, indices, axis), axis, keepdims),
    x=lambda g, x, indices, axis, keepdims: embed_gathered(
        g if keepdims else expand_dims(g, axis), indices, axis, x.shape
    ),
)  # fmt: skip
take_min = alias(take_max, "take_min", "MinBackward0")
take_median = alias(take_max, "take_median", "MedianBackward1")


def _without(y: Any, axis: int, keepdims: bool) -> Any:
    return y if keepdims else squeeze_(y, (axis,))


argmax_ = operator("argmax", "x | axis=None keepdims=False")
argmin_ = operator("argmin", "x | axis=None keepdims=False")
argmedian = operator("argmedian", "x | axis=0")

# --- truth --------------------------------------------------------------------------------------------------

any_ = operator("any", _AXES)
all_ = operator("all", _AXES)
count_nonzero = operator("count_nonzero", _AXES)

# --- exponentials and norms ---------------------------------------------------------------------------------

logsumexp = operator(
    "logsumexp", _AXES, x=lambda g, x, y, axis: _beside(g, x.shape, axis) * exp(x - _beside(y, x.shape, axis))
)

vector_norm = operator(
    "vector_norm", "x | ord=2 axis=() keepdims=False", node="LinalgVectorNormBackward0",
    x=lambda g, x, y, ord, axis: _by_norm(_beside(g, x.shape, axis), x, _beside(y, x.shape, axis), ord, axis),
)  # fmt: skip


def _by_norm(g: Any, x: Any, y: Any, ord: float, axis: Sequence[int]) -> Any:
    """The vjp of a norm; 0 where the norm is, as PyTorch has it."""
    if ord == 0:
        return zeros_like(x)
    if ord == 1:
        return g * sgn(x)
    if ord == 2:
        return x * _over(g, y)
    size = abs_(x)
    if abs(ord) == math.inf:
        return sgn(x) * _evenly(g, size == y, axis)
    zero = y == 0
    ratio = where(size == 0, 1, size) / where(zero, 1, y)
    return sgn(x) * ratio ** (ord - 1) * where(zero, 0, g)
