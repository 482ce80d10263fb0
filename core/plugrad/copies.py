"""Deep copies of tensors, which share memory with each other where the originals do."""

from __future__ import annotations

from typing import Any

from .backend import BY_ARRAY
from .errors import DeviceError
from .storage import Storage


def copied(tensor: Any, memo: dict[int, Any]) -> tuple[Any, Storage | None]:
    """A copy of the memory of `tensor`, and the storage that the copies of its relatives in `memo` have."""
    backend = BY_ARRAY[type(tensor._raw)]
    if backend.is_transform:
        raw = tensor.detach()._raw
        return BY_ARRAY[type(raw)].copy(raw), None
    home = getattr(tensor, "_storage", None)
    relatives = [] if home is None else home.tensors()
    if len(relatives) < 2:
        return backend.copy(tensor._raw), None
    if home is not None and home.whole is not None:
        if id(home) not in memo:
            new = Storage()
            new.whole = home.whole
            memo[id(home)] = home, new
        return tensor._raw, memo[id(home)][1]
    if id(home) not in memo:
        try:
            raws = backend.rebase([t._raw for t in relatives])
        except DeviceError:
            raise NotImplementedError(
                "deepcopy: the tensor shares memory that has gaps with others: copy its .clone() instead"
            ) from None
        new = Storage()
        new.note_memory(raws[0])
        memo[id(home)] = home, new, dict(zip(map(id, relatives), raws, strict=True))
    _, new, known = memo[id(home)]
    return known[id(tensor)], new
