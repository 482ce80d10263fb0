"""Attention with several heads, as a layer."""

from __future__ import annotations

import math
from typing import Any

from .. import creation, dtypes, ops
from . import functional as F
from . import init
from .linear import Linear
from .module import Module
from .parameter import Parameter


class MultiheadAttention(Module):
    """Queries, keys and values projected, `num_heads` attentions side by side, and their results projected again.

    Inputs are (length, N, features), with `batch_first` (N, length, features), or without N. Keys and values may have
    `kdim` and `vdim` features instead of `embed_dim`. `dropout` drops weights while training. `add_bias_kv` and
    `add_zero_attn` are not supported, and raise.
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads}"
            )
        if embed_dim % num_heads:
            raise AssertionError(
                f"embed_dim must be divisible by num_heads, found {embed_dim} and {num_heads}"
            )
        if add_bias_kv or add_zero_attn:
            raise NotImplementedError(
                "MultiheadAttention: add_bias_kv and add_zero_attn are not supported: append what they add to the keys "
                "and values yourself"
            )
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.dropout, self.batch_first = dropout, batch_first
        self._packed = self.kdim == self.vdim == embed_dim

        def empty(*shape: int) -> Parameter:
            return Parameter(creation.empty(*shape, device=device, dtype=dtype))

        for name, size in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            self.register_parameter(f"{name}_proj_weight", None if self._packed else empty(embed_dim, size))
        self.register_parameter("in_proj_weight", empty(3 * embed_dim, embed_dim) if self._packed else None)
        self.register_parameter("in_proj_bias", empty(3 * embed_dim) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in self._weights() if not self._packed else [self.in_proj_weight]:
            init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def _weights(self) -> list[Any]:
        """The matrices of queries, keys and values."""
        if self._packed:
            return list(self.in_proj_weight.chunk(3))  # type: ignore[union-attr]
        return [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """The result, and the weights with which each query looked at the keys: of all heads, or their mean.

        `key_padding_mask` (N, keys) and `attn_mask` (queries, keys) or (N · heads, queries, keys) are bool, and true
        where *not* to look, or are added to the scores. Without `need_weights` the second result is None, and the first
        comes from `F.scaled_dot_product_attention`. `is_causal` says that `attn_mask` is the causal one.
        """
        batched = query.ndim == 3
        self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise RuntimeError("MultiheadAttention: Need attn_mask if specifying the is_causal hint.")
        same = query is key and key is value
        query, key, value = (self._batch_first(t) for t in (query, key, value))
        q, k, v = self._projected(query, key, value, same)
        mask = self._mask(attn_mask, key_padding_mask, q, k, batched)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (q * (1 / math.sqrt(self.head_dim))).matmul(k.mT)
            weights = F.dropout((scores if mask is None else scores + mask).softmax(-1), dropout)
            y = weights.matmul(v)
        elif is_causal and key_padding_mask is None:
            y = F.scaled_dot_product_attention(q, k, v, None, dropout, True)
        else:
            y = F.scaled_dot_product_attention(q, k, v, mask, dropout)
        n, _, length, _ = y.shape
        y = self.out_proj(y.transpose(1, 2).reshape(n, length, self.embed_dim))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return y.squeeze(0), None if weights is None else weights.squeeze(0)
        return y if self.batch_first else y.transpose(0, 1), weights

    def _batch_first(self, x: Any) -> Any:
        if x.ndim == 2:
            return x.unsqueeze(0)
        return x if self.batch_first else x.transpose(0, 1)

    def _projected(self, query: Any, key: Any, value: Any, same: bool) -> list[Any]:
        """Queries, keys and values of all heads: (N, heads, length, features of a head)."""
        if same and self._packed:
            parts = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        else:
            biases = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
            given = zip((query, key, value), self._weights(), biases, strict=True)
            parts = [F.linear(x, w, b) for x, w, b in given]
        n = query.shape[0]
        return [p.reshape(n, -1, self.num_heads, self.head_dim).transpose(1, 2) for p in parts]

    def _mask(self, attn_mask: Any, key_padding_mask: Any, q: Any, k: Any, batched: bool) -> Any:
        """Both masks in one, to be added to the scores; or None."""
        n, heads, length, _ = q.shape
        keys = k.shape[2]
        mask = None
        if attn_mask is not None:
            allowed = [(length, keys), (n * heads, length, keys)]
            _check_mask("attn_mask", attn_mask, allowed)
            mask = _added(attn_mask, q.dtype)
            mask = mask.reshape(n, heads, length, keys) if mask.ndim == 3 else mask
        if key_padding_mask is not None:
            _check_mask("key_padding_mask", key_padding_mask, [(n, keys) if batched else (keys,)])
            padding = _added(key_padding_mask, q.dtype).reshape(n, 1, 1, keys)
            mask = padding if mask is None else mask + padding
        return mask

    def _check(self, query: Any, key: Any, value: Any) -> None:
        if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
            raise AssertionError(
                "MultiheadAttention: query, key and value should be unbatched 2D or batched 3D tensors, all alike, but "
                f"received {query.ndim}-D, {key.ndim}-D and {value.ndim}-D tensors"
            )
        for name, x, size in (
            ("query", query, self.embed_dim), ("key", key, self.kdim), ("value", value, self.vdim)
        ):  # fmt: skip
            if x.shape[-1] != size:
                raise AssertionError(
                    f"MultiheadAttention: was expecting embedding dimension of {size} for {name}, but got {x.shape[-1]}"
                )
        if key.shape[:-1] != value.shape[:-1]:
            raise AssertionError(
                "MultiheadAttention: key's sequence and batch dims do not match value's: "
                f"{list(key.shape[:-1])} and {list(value.shape[:-1])}"
            )


def _check_mask(name: str, mask: Any, allowed: list[tuple[int, ...]]) -> None:
    if mask.dtype is not dtypes.bool_ and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported, found {mask.dtype}")
    if tuple(mask.shape) not in allowed:
        raise RuntimeError(
            f"The shape of {name} is {list(mask.shape)}, but should be {' or '.join(map(str, allowed))}."
        )


def _added(mask: Any, dtype: Any) -> Any:
    """-inf where a bool mask is true; another mask in the dtype of the scores."""
    if mask.dtype is dtypes.bool_:
        return ops.where(mask, -math.inf, creation.zeros((), dtype=dtype, device=mask.device))
    return mask.to(dtype)
