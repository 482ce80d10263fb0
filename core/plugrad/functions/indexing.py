"""Searches in sorted sequences."""

from __future__ import annotations

from typing import Any

from .. import dtypes, ops
from ..creation import as_tensor
from ..graph import Variable


def searchsorted(
    sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None
) -> Any:
    """Where `input` would go in a sorted 1-d tensor: before equal elements, or after them with `right`.

    >>> import plugrad as torch
    >>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3, 6]))
    tensor([1, 3])
    """
    if sorted_sequence.ndim != 1:
        raise RuntimeError(
            f"searchsorted: boundaries must be 1-d, found shape {list(sorted_sequence.shape)}: "
            "call it for each row"
        )
    if side not in (None, "left", "right") or (right and side == "left"):
        raise RuntimeError(
            f"searchsorted: side must be 'left' or 'right' and agree with right={right}, found {side!r}"
        )
    values = input if isinstance(input, Variable) else as_tensor(input)
    found = ops.searchsorted.call(sorted_sequence.detach(), values.detach(), right or side == "right")
    return found.to(dtypes.int32) if out_int32 else found


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The index of the bucket between sorted 1-d `boundaries` that each element falls into."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
