"""The graph: its nodes, and the slots of a tensor that recording fills.

A recorded op leaves one `Node`. Its `edges` say where the gradient of each input goes: to the node that
made the input, to the `AccumulateGrad` of a leaf, or nowhere (None). A tensor holds its own edge, so a
graph lives exactly as long as a tensor that leads into it, and reference counting frees it: nodes never
refer to the tensors that they made, only to the raw arrays that their formulas read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from .backend import BY_ARRAY
from .errors import GraphFreedError
from .modes import INFERENCE, active, thread


class Variable:
    """The slots of a tensor that recording needs; `plugrad.Tensor` is the class that people see.

    `_raw` is the backend's array, an object of this tensor alone. `_edge` is where the gradient of this
    tensor goes, None where it needs none. `_grad`, `_storage` and `_view` stay unset until there is something to hold,
    and `_place`, by which steps this is reached in its storage's `whole`, for arrays that can be written.
    """

    __slots__ = ("__weakref__", "_edge", "_grad", "_place", "_raw", "_storage", "_view")

    _raw: Any
    _edge: Node | None
    _grad: Any
    _storage: Any
    _view: Any
    _place: Any

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
    #: What makes the `SavedTensor` of a slot; `saved` puts it here.
    _raw_saved: ClassVar[Callable[[Node, str], Any]]

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

    def __call__(self, *gradients: Any) -> Any:
        """The gradients of the inputs, a tensor or a tuple, for those of the outputs; recorded in grad mode."""
        expected = _outputs(self) or 1
        if len(gradients) != expected:
            raise TypeError(f"{self.name()}: expected {expected} arguments, got {len(gradients)} instead")
        for i, g in enumerate(gradients):
            if not (g is None or isinstance(g, Variable)):
                raise TypeError(f"{self.name()}: argument {i} is a {type(g).__name__}, not a Tensor or None")
        if all(g is None for g in gradients):
            found: tuple[Any, ...] = (None,) * len(self.edges)
        else:
            found = self.backward_recorded(list(gradients) if _outputs(self) else gradients[0])
        return found[0] if len(found) == 1 else found

    def __getattr__(self, name: str) -> Any:
        # `_saved_self`, `_saved_other`, `_saved_result`: what PyTorch calls the slots `x` or `a`, `b`, and `y`.
        slots = getattr(type(self), "saves", ())
        raw = name.startswith("_raw_saved_")
        if not (raw or name.startswith("_saved_")):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        asked = name.removeprefix("_raw").removeprefix("_saved_")
        for slot in _SLOTS.get(asked, (asked,)):
            if slot in slots or (not raw and slot == asked and slot in getattr(type(self), "__slots__", ())):
                return Node._raw_saved(self, slot) if raw else self._value_in(slot)
        raise AttributeError(
            f"{type(self).__name__!r} object has saved no {asked!r}: it saves {', '.join(slots) or 'nothing'}"
        )

    def __dir__(self) -> list[str]:
        named = [_NAMES.get(slot, slot) for slot in getattr(type(self), "saves", ())]
        return [*object.__dir__(self), *(f"{kind}_{n}" for n in named for kind in ("_saved", "_raw_saved"))]

    def _value_in(self, slot: str) -> Any:
        try:
            value = object.__getattribute__(self, slot)
        except AttributeError:
            raise GraphFreedError(
                f"{self.name()}: the saved values are gone, because the graph was differentiated before (Trying to "
                "backward through the graph a second time): pass retain_graph=True to the first backward"
            ) from None
        return self._placed(slot, value) if type(value) in BY_ARRAY else value

    def _placed(self, slot: str, raw: Any) -> Any:
        """The saved array of `slot` as a tensor with its place in the graph; of a leaf that still has it, the leaf."""
        op: Any = getattr(type(self), "op", None)
        if op is None or slot not in op.inputs or op.variadic:
            return wrap(raw, self if op is not None and slot == "y" and not op.outputs else None)
        edge = self.edges[op.inputs.index(slot)]
        leaf = getattr(edge, "variable", None)
        return leaf if isinstance(leaf, Variable) and leaf._raw is raw else wrap(raw, edge)

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
_SLOTS = {"self": ("x", "a"), "other": ("b",), "mat2": ("b",), "result": ("y",), "exponent": ("b",)}
_NAMES = {"x": "self", "a": "self", "b": "other", "y": "result"}


class GradientEdge(tuple[Any, ...]):
    """A place in a graph, (node, which of its outputs, None): stands for a tensor in `grad` and `backward`."""

    _fields = ("node", "output_nr", "ownership_token")
    node = property(lambda self: self[0], doc="The node.")
    output_nr = property(lambda self: self[1], doc="Which of its outputs.")
    ownership_token = property(lambda self: self[2], doc="PyTorch's; None here, where the node is enough.")
    #: What `get_gradient_edge` knows of the tensor: its node or port, and the type, shape and dtype of its array.
    _edge: Node | None = None
    _form: tuple[Any, tuple[int, ...], Any] | None = None

    def __new__(cls, node: Node, output_nr: int = 0, ownership_token: Any = None) -> GradientEdge:
        return tuple.__new__(cls, (node, output_nr, ownership_token))

    def _replace(self, **changes: Any) -> GradientEdge:
        return GradientEdge(**{**dict(zip(self._fields, self, strict=True)), **changes})

    def __repr__(self) -> str:
        return f"GradientEdge(node={self[0]!r}, output_nr={self[1]}, ownership_token={self[2]!r})"

    def find(self, roots: Sequence[Node] = ()) -> Node:
        """Where a gradient of this place arrives in the graph of `roots`: the node, or the `Port` of one of its outputs."""
        if self._edge is not None:
            return self._edge
        node, i = self[0], self[1]
        count = _outputs(node)
        if not 0 <= i < (count or 1):
            raise IndexError(f"GradientEdge: {node.name()} has {count or 1} outputs, and none of number {i}")
        if not count:
            return node
        found = dict.fromkeys(roots)
        stack = list(found)
        while stack:
            for edge in stack.pop().edges:
                if edge is not None and edge not in found:
                    found[edge] = None
                    stack.append(edge)
        ports = (n for n in found if isinstance(n, Port) and n.node is node and n.index == i)
        return next(ports, None) or Port(node, i)


def _outputs(node: Node) -> int:
    """How many outputs a node has whose cotangents it takes as a list; 0 for one that takes its only cotangent."""
    op: Any = getattr(type(node), "op", None)
    count = len(getattr(node, "output_metas", ()))
    return count if count > 1 or (op is not None and op.outputs) else 0


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
