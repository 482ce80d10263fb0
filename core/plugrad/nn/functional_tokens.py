"""The functions of `plugrad.nn.functional` that transformers are made of: embedding, normalization, attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import creation, dtypes, ops
from ..methods.keys import check_range, index_array

__all__ = ["embedding", "layer_norm", "scaled_dot_product_attention"]


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of `weight` (rows, width) at the indices `input`, of any shape: (*input.shape, width).

    The row `padding_idx` gets no gradient. IndexError for an index that is no row; negative ones do not count from
    the end. `max_norm`, `scale_grad_by_freq` and `sparse` are not supported, and raise.

    >>> import plugrad as torch
    >>> embedding(torch.tensor([1, 0]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]])
    """
    check_embedding_options(max_norm, scale_grad_by_freq, sparse)
    if weight.ndim != 2:
        raise RuntimeError(f"embedding: 'weight' must be 2-D, found shape {list(weight.shape)}")
    if input.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            "embedding: Expected tensor for argument 'input' to have one of the following scalar types: Long, Int; "
            f"but got {input.dtype} instead: convert it with .long()"
        )
    rows = weight.shape[0]
    padding_idx = row_number(padding_idx, rows)
    indices = index_array(input, weight._backend)
    check_range(
        indices,
        0,
        rows - 1,
        lambda wrong: IndexError(
            f"embedding: index out of range in self: {wrong} is none of the {rows} rows of weight"
        ),
    )
    return ops.embedding.call(weight, indices, padding_idx)


def check_embedding_options(max_norm: float | None, scale_grad_by_freq: bool, sparse: bool) -> None:
    """NotImplementedError for what is not supported."""
    if max_norm is not None:
        raise NotImplementedError(
            "embedding: max_norm is not supported, since it changes the weight while reading it: scale the rows "
            "yourself, e.g. weight.data *= (max_norm / weight.norm(dim=1, keepdim=True)).clamp(max=1)"
        )
    if scale_grad_by_freq:
        raise NotImplementedError(
            "embedding: scale_grad_by_freq is not supported: divide weight.grad by input.bincount() yourself"
        )
    if sparse:
        raise NotImplementedError("embedding: plugrad has no sparse gradients: leave sparse=False")


def row_number(padding_idx: int | None, rows: int) -> int | None:
    """`padding_idx` counted from the start; AssertionError, as in PyTorch, where there is no such row."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise AssertionError(
            f"Padding_idx must be within num_embeddings: found {padding_idx} for {rows} embeddings"
        )
    return padding_idx % rows


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """(input - mean) / √(variance + eps) over the last dimensions, times `weight`, plus `bias`.

    `normalized_shape` is the shape of those dimensions, and of `weight` and `bias`, if given. The variance is
    that of the population. RuntimeError where the shapes differ.
    """
    if not isinstance(normalized_shape, (tuple, list)):
        raise TypeError(
            "layer_norm(): argument 'normalized_shape' must be tuple of ints, "
            f"not {type(normalized_shape).__name__}"
        )
    shape = tuple(normalized_shape)
    if not shape:
        raise RuntimeError(
            "layer_norm: Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []"
        )
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and tuple(value.shape) != shape:
            raise RuntimeError(
                f"layer_norm: Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(value.shape)} and normalized_shape = {list(shape)}"
            )
    first = input.ndim - len(shape)
    if first < 0 or tuple(input.shape[first:]) != shape:
        raise RuntimeError(
            f"layer_norm: Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    if input.dtype.category != dtypes.FLOAT:
        raise NotImplementedError(
            f"layer_norm is not implemented for {input.dtype}: convert to a floating-point dtype, e.g. with .float()"
        )
    axis = tuple(range(first, input.ndim))
    if weight is None and bias is None:
        return ops.layer_norm.call(input, axis, eps)
    if weight is None:
        weight = creation.ones_like(bias)
    if bias is None:
        bias = creation.zeros_like(weight)
    return ops.layer_norm_affine.call(input, weight, bias, axis, eps)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(query @ keyᵀ · scale) @ value, over the last two dimensions: (…, L, E), (…, S, E), (…, S, Ev).

    `attn_mask`, which broadcasts to (…, L, S), is bool, and true where a query may look, or is added to the scores; a
    query that may look nowhere gets zeros. With `is_causal` query i looks at keys up to i. `scale` is 1/√E, if not
    given. `dropout_p` drops weights, always: pass 0 in evaluation. With `enable_gqa` several heads (dimension
    -3) of `query` share one of `key` and `value`. RuntimeError where dtypes, shapes or options do not fit.
    """
    _check_attention(query, key, value, attn_mask, is_causal)
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    if enable_gqa:
        key, value = _shared_heads(query, key), _shared_heads(query, value)
    if is_causal:
        shape = (query.shape[-2], key.shape[-2])
        attn_mask = creation.ones(shape, dtype=dtypes.bool_, device=query.device).tril()
    kept = None
    if dropout_p:
        from .functional import dropout

        batch = np.broadcast_shapes(tuple(query.shape[:-2]), tuple(key.shape[:-2]))
        shape = (*batch, query.shape[-2], key.shape[-2])
        kept = dropout(creation.ones(shape, dtype=query.dtype, device=query.device), dropout_p)
    return ops.scaled_dot_product_attention(query, key, value, attn_mask, scale, is_causal, kept)


def _shared_heads(query: Any, x: Any) -> Any:
    """Each head of `x` for as many heads of `query` as share it."""
    if query.ndim < 3 or x.ndim < 3 or query.shape[-3] % max(x.shape[-3], 1):
        raise RuntimeError(
            "scaled_dot_product_attention: with enable_gqa the number of heads in key and value must divide the number "
            f"of heads in query, found shapes {list(query.shape)} and {list(x.shape)}"
        )
    times = query.shape[-3] // max(x.shape[-3], 1)
    return x if times == 1 else x.repeat_interleave(times, -3)


def _check_attention(query: Any, key: Any, value: Any, mask: Any, is_causal: bool) -> None:
    asked = "scaled_dot_product_attention"
    dims = [t.ndim for t in (query, key, value)]
    if min(dims) < 2:
        raise RuntimeError(
            f"{asked}: Expected query, key, and value to all be at least 2 dimensional, but got query.dim: {dims[0]} "
            f"key.dim: {dims[1]} and value.dim: {dims[2]} instead"
        )
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError(
            f"{asked}: Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype} "
            f"key.dtype: {key.dtype} and value.dtype: {value.dtype} instead: convert with .to(...)"
        )
    if query.dtype.category != dtypes.FLOAT:
        raise NotImplementedError(
            f"{asked} is not implemented for {query.dtype}: convert to a floating-point dtype, e.g. with .float()"
        )
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise RuntimeError(
            f"{asked}: query (…, L, E), key (…, S, E) and value (…, S, Ev) do not fit together: found shapes "
            f"{list(query.shape)}, {list(key.shape)} and {list(value.shape)}"
        )
    if mask is None:
        return
    if is_causal:
        raise RuntimeError(f"{asked}: Explicit attn_mask should not be set when is_causal=True")
    if mask.dtype is not dtypes.bool_ and mask.dtype is not query.dtype:
        raise RuntimeError(
            f"{asked}: Expected attn_mask dtype to be bool or to match query dtype, but got attn_mask.dtype: "
            f"{mask.dtype} and query.dtype: {query.dtype} instead"
        )
