"""Batching rules of convolutions, pools, normalization and look-ups: `batch_rules` goes on."""

from __future__ import annotations

import math
from typing import Any

from ..graph import wrap
from ..op import OPS
from .batch_rules import Call, by_parameters, changed, one_by_one, rule


def _folded(x: Any, dim: int) -> Any:
    """The batch, which is in front, as part of a dimension that the user counts as `dim`."""
    order = (*range(1, dim + 1), 0, *range(dim + 1, x.ndim))
    x = x if dim == 0 else OPS["permute_dims"].call(x, order)
    shape = tuple(x.shape)
    return x.reshape(*shape[:dim], shape[dim] * shape[dim + 1], *shape[dim + 2 :])


def _unfolded(y: Any, dim: int, size: int) -> Any:
    """The batch in front again."""
    shape = tuple(y.shape)
    y = y.reshape(*shape[:dim], size, shape[dim] // size, *shape[dim + 1 :])
    order = (dim, *range(dim), *range(dim + 1, y.ndim))
    return y if dim == 0 else OPS["permute_dims"].call(y, order)


@rule("convolution convolution_transposed convolution_weight")
def convolution(c: Call) -> Any:
    """With one weight the batch is more images; with a weight for each element of it, more groups."""
    if c.op.name != "convolution_weight" and not c.batched[1]:
        return _unfolded(c.op.call(_folded(c.xs[0], 0), c.xs[1], *c.lowered()), 0, c.size)
    weight = c.op.name != "convolution_weight"
    x, other = _folded(c.full(0), 1), _folded(c.full(1), 0 if weight else 1)
    y = c.op.call(x, other, *changed(c, groups=c.params["groups"] * c.size))
    return _unfolded(y, 1 if weight else 0, c.size)


@rule("convolution_biased")
def convolution_biased(c: Call) -> Any:
    """With one weight and one bias the batch is more images; else the sum is apart."""
    if not (c.batched[1] or c.batched[2]):
        return _unfolded(c.op.call(_folded(c.xs[0], 0), *c.xs[1:], *c.lowered()), 0, c.size)
    if not (c.batched[0] or c.batched[1]):
        y = OPS["convolution"].call(c.xs[0], c.xs[1], *c.lowered())
    else:
        y = convolution(_without_bias(c))
    bias = c.xs[2]
    return y + bias.reshape(*([c.size, 1] if c.batched[2] else []), -1, *[1] * (c.ndim(0) - 2))


def _without_bias(c: Call) -> Call:
    """The call of `convolution` that is in one of `convolution_biased`."""
    inputs = [x if not b else c.level.batch(x) for x, b in zip(c.xs[:2], c.batched, strict=False)]
    return Call(OPS["convolution"], c.level, [t._raw for t in inputs], list(c.params.values()))


@rule("max_pool2d argmax_pool2d avg_pool2d avg_unpool2d")
def pool(c: Call) -> Any:
    """The windows are of the last two dimensions."""
    return c.op.call(c.xs[0], *c.lowered())


@rule("take_pooled embed_pooled")
def pooled(c: Call) -> Any:
    """Images and numbers of elements with the batch."""
    return c.op.call(c.full(0), c.full(1), *c.lowered())


@rule("layer_norm_affine")
def layer_norm_affine(c: Call) -> Any:
    """With one weight and one bias as usual; else the product and the sum are apart."""
    if c.batched[0] and not (c.batched[1] or c.batched[2]):
        return c.op.call(*c.xs, *changed(c))
    axis = tuple(a + c.batched[0] for a in c.params["axis"])
    y = OPS["layer_norm"].call(c.xs[0], axis, c.params["eps"])
    y = y if c.batched[0] else y.unsqueeze(0)
    return y * c.aligned(1, c.ndim(0)) + c.aligned(2, c.ndim(0))


rule("layer_norm")(by_parameters)


def _shifted(c: Call, rows: int) -> Any:
    """The indices into tables of so many rows as indices into one table of them all."""
    indices = wrap(c.full_param("indices"))
    if not math.prod(indices.shape):
        return indices._raw
    ones = OPS["zero"].call(indices.reshape(c.size, -1)[:, :1]) + 1
    starts = (OPS["cumulative_sum"].call(ones, 0) - 1) * rows
    return (indices + starts.reshape(-1, *[1] * (indices.ndim - 1)))._raw


@rule("embedding", params=True)
def embedding(c: Call) -> Any:
    """Tables of a batch are one long table."""
    if not c.batched[0]:
        return c.op.call(c.xs[0], c.full_param("indices"), c.params["padding_idx"])
    if c.params["padding_idx"] is not None:
        return one_by_one(c)
    return c.op.call(_folded(c.xs[0], 0), _shifted(c, c.xs[0].shape[1]), None)


@rule("embedding_backward", params=True)
def embedding_backward(c: Call) -> Any:
    """Tables of a batch are one long table."""
    g, rows, padding_idx = c.full(), c.params["rows"], c.params["padding_idx"]
    indices = wrap(c.full_param("indices"))
    if padding_idx is not None:
        g = OPS["where"].call(OPS["equal"].call(indices, padding_idx).unsqueeze(-1), 0, g)
    return _unfolded(c.op.call(g, _shifted(c, rows), None, rows * c.size), 0, c.size)
