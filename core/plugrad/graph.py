"""The graph: its nodes, and the slots of a tensor that recording fills.

A recorded op leaves one `Node`. Its `edges` say where the gradient of each input goes: to the node that
made the input, to the `AccumulateGrad` of a leaf, or nowhere (None). A tensor holds its own edge, so a
graph lives exactly as long as a tensor that leads into it, and reference counting frees it: nodes never
refer to the tensors that they made, only to the raw arrays that their formulas read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .backend import BY_ARRAY
from .errors import GraphFreedError
from .modes import INFERENCE, active, thread


class Variable:
    """The slots of a tensor that recording needs; `plugrad.Tensor` is the class that people see.

    `_raw` is the backend's array, an object of this tensor alone. `_edge` is where the gradient of this
    tensor goes, None where it needs none. `_grad`, `_storage` and `_view` stay unset until there is something to hold.
    """

    __slots__ = ("__weakref__", "_edge", "_grad", "_raw", "_storage", "_view")

    _raw: Any
    _edge: Node | None
    _grad: Any
    _storage: Any
    _view: Any

    #: The class of every op's result: the subclass that was declared with `result=True`.
    _result: ClassVar[type[Variable]]
    #: The class of what is made in inference mode. Its tensors have no `_edge`, which takes ops to `Op.general`.
    _inference: ClassVar[type[Variable]]

    def __init_subclass__(cls, result: bool = False, inference: bool = False) -> None:
        if result:
            Variable._result = cls
        if inference:
            Variable._inference = cls


def wrap(raw: Any, edge: Node | None = None) -> Any:
    """A tensor over the raw array `raw` whose gradient goes to `edge`."""
    tensor = object.__new__(Variable._result)
    tensor._raw = raw
    tensor._edge = edge
    return tensor


def made(raw: Any) -> Any:
    """`wrap` for what a user makes: in inference mode an inference tensor."""
    if not (active and thread.mode & INFERENCE):
        return wrap(raw)
    tensor = object.__new__(Variable._inference)
    tensor._raw = raw
    return tensor


def follow(view: Any, base: Any) -> Any:
    """Make `view`, which shares the memory of `base`, an inference tensor exactly if that is one; returns it."""
    inference = Variable._inference
    if (type(base) is inference) != (type(view) is inference):
        if type(base) is inference:
            view.__class__ = inference
            del view._edge
        else:
            view.__class__ = Variable._result
            view._edge = None
    return view


class Meta:
    """What is kept of an array of which a formula reads only the shape and the dtype."""

    __slots__ = ("dtype", "ndim", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype, self.ndim = shape, dtype, len(shape)


# --- nodes -------------------------------------------------------------------------------------------------


class Node:
    """One recorded op: called by the engine with the cotangent of its output.

    `backward(g)` returns a cotangent for each edge, None where there is none. It takes and gives raw
    arrays; `backward_recorded(g)` does the same with tensors, so that the derivative is itself recorded.
    """

    __slots__ = ("_metadata", "edges", "hooks")

    edges: tuple[Node | None, ...]
    hooks: Any
    _metadata: dict[Any, Any]
    #: Whether to be called even where no gradient at all arrives, as PyTorch calls a custom Function.
    takes_none: ClassVar[bool] = False
    #: What registers hooks; `hooks` puts it here.
    _hooked_after: ClassVar[Callable[[Node, Any], Any]]
    _hooked_before: ClassVar[Callable[[Node, Any], Any]]

    def name(self) -> str:
        """The name that PyTorch gives such a node, e.g. `MulBackward0`."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """For each input the node that its gradient goes to, and which output of that node it was."""
        return tuple((e.node, e.index) if isinstance(e, Port) else (e, 0) for e in self.edges)

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dict for whoever walks the graph, made at the first look."""
        try:
            return self._metadata
        except AttributeError:
            self._metadata = {}
            return self._metadata

    def __getattr__(self, name: str) -> Any:
        # `_saved_self`, `_saved_other`, `_saved_result`: what PyTorch calls the slots `x` or `a`, `b`, and `y`.
        slots = getattr(type(self), "saves", ())
        if not name.startswith("_saved_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        asked = name.removeprefix("_saved_")
        for slot in _SLOTS.get(asked, (asked,)):
            if slot in slots or (slot == asked and slot in getattr(type(self), "__slots__", ())):
                return self._saved_value(slot)
        raise AttributeError(
            f"{type(self).__name__!r} object has saved no {asked!r}: it saves {', '.join(slots) or 'nothing'}"
        )

    def _saved_value(self, slot: str) -> Any:
        try:
            value = object.__getattribute__(self, slot)
        except AttributeError:
            raise GraphFreedError(
                f"{self.name()}: the saved values are gone, because the graph was differentiated before (Trying to "
                "backward through the graph a second time): pass retain_graph=True to the first backward"
            ) from None
        return wrap(value) if type(value) in BY_ARRAY else value

    def backward(self, g: Any) -> tuple[Any, ...]:
        """The cotangents of the inputs, from the cotangent `g` of the output."""
        raise NotImplementedError

    def backward_recorded(self, g: Any) -> tuple[Any, ...]:
        """`backward` on tensors, itself recorded."""
        raise NotImplementedError

    def consume(self, g: Any) -> tuple[Any, ...]:
        """`backward`, then `release`."""
        grads = self.backward(g)
        self.release()
        return grads

    def release(self) -> None:
        """Let go of the saved values: the next `backward` of this node raises."""

    @classmethod
    def methods(cls) -> tuple[str, ...]:
        """The names of what a class that wraps this one has to wrap: not `consume` where that calls `backward`."""
        own = () if cls.consume is Node.consume else ("consume",)
        return ("backward", "backward_recorded", *own)

    def register_hook(self, fn: Callable[[Any, Any], Any]) -> Any:
        """Call `fn(grad_inputs, grad_outputs)` after this node; the tuple that it returns replaces `grad_inputs`."""
        return Node._hooked_after(self, fn)

    def register_prehook(self, fn: Callable[[Any], Any]) -> Any:
        """Call `fn(grad_outputs)` before this node; the tuple that it returns replaces `grad_outputs`."""
        return Node._hooked_before(self, fn)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"


#: What PyTorch calls the slots of most nodes.
_SLOTS = {"self": ("x", "a"), "other": ("b",), "result": ("y",), "exponent": ("b",)}


class GradientEdge(tuple[Any, int]):
    """A place in a graph, (node, which of its outputs): stands for a tensor in `grad` and `backward`."""

    node = property(lambda self: self[0], doc="The node.")
    output_nr = property(lambda self: self[1], doc="Which of its outputs.")
    _edge: Node | None

    def __new__(cls, node: Node, output_nr: int = 0, edge: Node | None = None) -> GradientEdge:
        self = tuple.__new__(cls, (node, output_nr))
        self._edge = edge
        return self

    def __repr__(self) -> str:
        return f"GradientEdge(node={self[0]!r}, output_nr={self[1]})"

    @property
    def edge(self) -> Node:
        """Where a gradient of this place arrives."""
        if self._edge is None and len(getattr(self.node, "output_metas", ())) > 1:
            raise NotImplementedError(
                f"GradientEdge: {self.node.name()} has several outputs: get the edge of one by get_gradient_edge(tensor)"
            )
        return self._edge or self.node


class Port(Node):
    """One output of a node that has several; gradients of that output arrive here."""

    __slots__ = ("__weakref__", "index", "node")

    node: Any

    def __init__(self, node: Node, index: int) -> None:
        self.node, self.index = node, index
        self.edges, self.hooks = (node,), None

    def backward(self, g: Any) -> tuple[Any, ...]:
        """The cotangents of all outputs of the node, as one: a list, with None for the others."""
        gs: list[Any] = [None] * len(self.node.output_metas)
        gs[self.index] = g
        return (gs,)

    consume = backward_recorded = backward
