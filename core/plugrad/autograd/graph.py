"""The graph and its hooks: `torch.autograd.graph`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..backend import backend_of
from ..graph import GradientEdge, Node, Port, Variable
from ..hooks import MultiGradHook, OneOfMany, RemovableHandle, of_node
from .saved_tensors import (
    allow_mutation_on_saved_tensors,
    disable_saved_tensors_hooks,
    save_on_cpu,
    saved_tensors_hooks,
)

__all__ = [
    "GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks", "get_gradient_edge",
    "increment_version", "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks",
]  # fmt: skip


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """Where the gradient of a tensor arrives; keeps the graph and not the tensor.

    >>> import plugrad as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> y = x * 3
    >>> edge = get_gradient_edge(y)
    >>> torch.autograd.grad((y * y).sum(), edge)
    (tensor([6., 6.]),)
    """
    edge = getattr(tensor, "_edge", None)
    if edge is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require gradients: "
            "create it with requires_grad=True, or compute it from a tensor that has it"
        )
    found = GradientEdge(edge.node, edge.index) if isinstance(edge, Port) else GradientEdge(edge)
    raw = tensor._raw
    found._edge, found._form = edge, (backend_of(raw), tuple(raw.shape), raw.dtype)
    return found


def register_multi_grad_hook(
    tensors: Sequence[Any], fn: Callable[[Any], None], *, mode: str = "all"
) -> RemovableHandle:
    """Call `fn` once a backward: with all gradients of `tensors`, None where there is none; or with the first.

    >>> import plugrad as torch
    >>> a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    >>> handle = register_multi_grad_hook((a, b), lambda grads: print([g.item() for g in grads]))
    >>> (a * 2 + b * 3).backward()
    [2.0, 3.0]
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode!r}")
    edges: list[Node] = []
    for t in tensors:
        if not isinstance(t, Variable) or t._edge is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        edges.append(t._edge)
    hook = MultiGradHook(edges, fn, first=mode == "any")
    homes = []
    for i, edge in enumerate(edges):
        handle = RemovableHandle(OneOfMany(hook, i), of_node(edge).tensor)
        homes.append(handle)
    return _Handles(homes)


class _Handles(RemovableHandle):
    """The handles of several hooks as one."""

    __slots__ = ("_handles",)

    def __init__(self, handles: list[RemovableHandle]) -> None:
        super().__init__(None)
        self._handles = handles

    def remove(self) -> None:
        """Take all of them away."""
        for handle in self._handles:
            handle.remove()


def increment_version(tensor: Any) -> None:
    """Say that the memory of a tensor, or of several, was written by somebody else.

    >>> import plugrad as torch
    >>> x = torch.ones(2)
    >>> increment_version(x)
    >>> x._version
    1
    """
    from .. import storage

    for t in (tensor,) if isinstance(tensor, Variable) else tensor:
        storage.of(t).version += 1
