"""The names of arguments that PyTorch takes from NumPy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

_OURS = {"axis": "dim", "keepdims": "keepdim"}


def numpy_names(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, which then takes NumPy's `axis` and `keepdims` for `dim` and `keepdim`, too."""

    @functools.wraps(method)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            kwargs = {_OURS.get(name, name): value for name, value in kwargs.items()}
        return method(*args, **kwargs)

    return renamed
