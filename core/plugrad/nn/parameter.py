"""`Parameter`: a tensor that a module trains."""

from __future__ import annotations

from typing import Any

from .. import creation, storage
from ..tensor import Tensor


class Parameter(Tensor):
    """A leaf that requires grad; a `Module` that it is assigned to lists it among its parameters.

    It shares the memory of `data`.

    >>> import plugrad as torch
    >>> torch.nn.Parameter(torch.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = creation.empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(
                f"Parameter: data must be a Tensor, not {type(data).__name__}: use torch.tensor(...)"
            )
        if data._backend.is_transform:
            data = data.detach()
        self = object.__new__(cls)
        self._raw, self._edge = data._backend.alias(data._raw), None
        storage.of(data).add(self, data)
        return self.requires_grad_(requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:  # without the .grad, and in memory of its own, as in PyTorch
            memo[id(self)] = type(self)(self.detach().clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
