"""A graph as plain records: one for each node, each with what it keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import quiet
from ..backend import BY_ARRAY, backend_of, for_device
from ..dtypes import of
from ..function_node import FunctionCtx
from ..graph import GradientEdge, Node, Port, Variable
from ..saved import Packed
from ..storage import follow
from ..writes import CopySlices

Form = tuple[tuple[int, ...], Any]  # shape and dtype


class Saved:
    """A value that a node keeps: the name of its slot, shape and dtype, and the bytes that it adds to the graph's."""

    __slots__ = ("bytes", "dtype", "name", "note", "shape")

    def __init__(self, name: str, form: Form, size: int, note: str = "") -> None:
        self.name, (self.shape, self.dtype), self.bytes = name, form, size
        #: "leaf", "kept before" (by an earlier op) or "packed", where that is why it adds nothing.
        self.note = note


class Record:
    """A node: `name`, `kind` ("op", "leaf"), `shape` and `dtype` of its output, `saved`, `place`, `inputs` (indices)."""

    __slots__ = ("dtype", "freed", "inputs", "is_output", "kind", "name", "node", "place", "saved", "shape")

    def __init__(self, node: Node, kind: str, name: str) -> None:
        self.node, self.kind, self.name = node, kind, name
        self.shape: tuple[int, ...] | None = None
        self.dtype: Any = None
        self.saved: list[Saved] = []
        self.inputs: list[int] = []
        self.place: str | None = None
        self.freed = self.is_output = False

    @property
    def saved_bytes(self) -> int:
        """The bytes that it adds to what the graph keeps."""
        return sum(s.bytes for s in self.saved)


def records(outputs: Sequence[Any], names: dict[int, str]) -> list[Record]:
    """The nodes that lead to `outputs`, each before those that its gradient goes to."""
    roots, forms = _roots(outputs)
    order = _order(roots)
    index = {node: i for i, node in enumerate(order)}
    found = [_record(node, names) for node in order]
    tensors = [getattr(r.node, "variable", None) for r in found if r.kind == "leaf"]
    known: set[int] = {id(o) for t in tensors if t is not None for o in _owners(t._raw)}
    leaves = frozenset(known)
    for node, record in zip(order, found, strict=True):
        record.inputs = [index[_target(e)] for e in node.edges if e is not None]
        record.is_output = node in roots
        record.freed, values = _values(node)
        if record.kind == "leaf" and node.variable is not None:
            raw = node.variable._raw
            forms[node] = tuple(raw.shape), of(raw.dtype)
        form = forms.get(node)
        if form is not None:
            record.shape, record.dtype = form
        _tell_inputs(node, form, dict(values), forms)
    for record in reversed(found):  # what several keep is the first one's
        record.saved = [_saved(name, value, known, leaves) for name, value in _values(record.node)[1]]
    return found


def _roots(outputs: Sequence[Any]) -> tuple[dict[Node, None], dict[Node, Form]]:
    roots: dict[Node, None] = {}
    forms: dict[Node, Form] = {}
    for i, y in enumerate(outputs):
        if isinstance(y, Variable):
            if y._edge is None:
                raise RuntimeError(
                    f"explain: output {i} has no graph: it does not require grad, or was computed under no_grad; create "
                    "what it comes from with requires_grad=True and compute it in grad mode"
                )
            node = _target(y._edge)
            forms[node] = tuple(y._raw.shape), of(y._raw.dtype)
        elif isinstance(y, (Node, GradientEdge)):
            node = _target(y.find() if isinstance(y, GradientEdge) else y)
        else:
            raise TypeError(f"explain: output {i} is a {type(y).__name__}: expected a Tensor or its grad_fn")
        roots[node] = None
    if not roots:
        raise TypeError("explain: no output given: expected Tensors or their grad_fn")
    return roots, forms


def _target(edge: Node) -> Node:
    return edge.node if isinstance(edge, Port) else edge


def _order(roots: dict[Node, None]) -> list[Node]:
    """All nodes, each before those that it leads to, near to the outputs first."""
    counts: dict[Node, int] = dict.fromkeys(roots, 0)
    stack = list(roots)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None:
                node = _target(edge)
                if node not in counts:
                    counts[node] = 0
                    stack.append(node)
                counts[node] += 1
    ready, order = [n for n in reversed(roots) if not counts[n]], []
    while ready:
        node = ready.pop()
        order.append(node)
        for edge in reversed(node.edges):
            if edge is not None:
                counts[_target(edge)] -= 1
                if not counts[_target(edge)]:
                    ready.append(_target(edge))
    return order


def _record(node: Any, names: dict[int, str]) -> Record:
    if not node.edges and hasattr(node, "variable"):
        leaf = node.variable
        return Record(node, "leaf", "deleted leaf" if leaf is None else names.get(id(leaf), "leaf"))
    record = Record(node, "op", node.name())
    place = getattr(node, "_metadata", {}).get("source")
    record.place = place and f"{place[0]}:{place[1]}"
    return record


def _values(node: Any) -> tuple[bool, list[tuple[str, Any]]]:
    """Whether a backward has let the values go, and those that are there: (name, array or packed)."""
    if isinstance(node, FunctionCtx):
        saved = node._saved
        found = [(str(i), s[0]) for i, s in enumerate(saved or ()) if s is not None]
        found += [(k, v._raw) for k, v in vars(node).items() if isinstance(v, Variable)]  # ctx.name = tensor
        return saved is None, found
    packed, op = getattr(node, "packed", {}), getattr(type(node), "op", None)
    large = getattr(type(node), "saves", ())
    found = list((packed or {}).items())
    for slot in op.saves.slots if op is not None else large:  # index arrays and masks are parameters
        value = _slot(node, slot)
        parts = value if type(value) in (tuple, list) else (value,)
        found += [(slot, v) for v in parts if type(v) in BY_ARRAY or type(v) is Packed]
    freed = packed is None or (bool(large) and not packed and all(_slot(node, s) is _GONE for s in large))
    return freed, found


_GONE = object()


def _slot(node: Any, name: str) -> Any:
    try:
        return object.__getattribute__(node, name)
    except AttributeError:
        return _GONE


def _form(value: Any) -> Form:
    if type(value) is Packed:
        shape, dtype = value.form
        return shape, of(dtype)
    return tuple(value.shape), of(value.dtype)


def _owners(raw: Any) -> list[Any]:
    """What holds the memory of an array: itself or what it is a view of; of a transform, those of the arrays in there."""
    if BY_ARRAY[type(raw)].is_transform:
        slots = (
            getattr(raw, name, None) for cls in type(raw).__mro__ for name in getattr(cls, "__slots__", ())
        )
        return [o for tensor in slots if isinstance(tensor, Variable) for o in _owners(tensor._raw)]
    while getattr(raw, "base", None) is not None:
        raw = raw.base
    return [raw]


def _saved(name: str, value: Any, known: set[int], leaves: frozenset[int]) -> Saved:
    form = _form(value)
    if type(value) is Packed:
        return Saved(name, form, 0, "packed")
    owners = _owners(value)
    new = [o for o in owners if id(o) not in known]
    if not new:
        return Saved(name, form, 0, "leaf" if all(id(o) in leaves for o in owners) else "kept before")
    known.update(map(id, new))
    nominal = math.prod(form[0]) * form[1].itemsize
    return Saved(name, form, sum(getattr(o, "nbytes", nominal) for o in new))


def _tell_inputs(node: Any, form: Form | None, values: dict[str, Any], forms: dict[Node, Form]) -> None:
    """Enter the forms of the outputs that `node` differentiates by, as far as they can be known."""
    if isinstance(node, CopySlices) and form is not None:
        part = follow(node.steps, _nothing(node, form))
        pair = form, (tuple(part.shape), of(part.dtype))
        forms.update(
            (e, f) for e, f in zip(node.edges, pair, strict=True) if e is not None and not isinstance(e, Port)
        )
    metas = getattr(node, "input_metas", None)
    op = getattr(type(node), "op", None)
    for i, edge in enumerate(node.edges):
        if edge is None or isinstance(edge, Port) or edge in forms:
            continue
        if metas is not None:
            if metas[i] is not None:
                forms[edge] = tuple(metas[i].shape), metas[i].dtype
        elif op is not None and not op.variadic and _form_of_input(node, op.inputs[i], values) is not None:
            forms[edge] = _form_of_input(node, op.inputs[i], values)  # type: ignore[assignment]
        elif op is not None and op.kind == "elementwise" and form is not None:
            forms[edge] = form
    unknown = [e for e in node.edges if e is not None and e not in forms and not isinstance(e, Port)]
    if (
        unknown
        and form is not None
        and op is not None
        and not any(type(v) is Packed for v in values.values())
    ):
        _ask_the_derivative(op, node, form, forms)
    for edge in node.edges:  # of one output of several, its node says nothing but for that output
        if isinstance(edge, Port) and edge.node not in forms:
            m = edge.node.output_metas[edge.index]
            if m is not None:
                forms[edge.node] = tuple(m.shape), m.dtype


def _form_of_input(node: Any, name: str, values: dict[str, Any]) -> Form | None:
    if name in values:
        return _form(values[name])
    m = (
        getattr(node, f"{name}_meta", None)
        if f"{name}_meta" in getattr(type(node), "__slots__", ())
        else None
    )
    return None if m is None else (tuple(m.shape), m.dtype)


def _ask_the_derivative(op: Any, node: Any, form: Form, forms: dict[Node, Form]) -> None:
    """The derivative of nothing has the forms of the inputs."""
    try:
        grads = quiet.call(op.node.backward, node, _nothing(node, form))  # not what hooks have made of it
    except Exception:  # its values are gone, or a mode looks at what it returns
        return
    for edge, g in zip(node.edges, grads, strict=False):
        if edge is not None and g is not None and not isinstance(edge, Port):
            forms.setdefault(edge, (tuple(g.shape), of(g.dtype)))


def _nothing(node: Any, form: Form) -> Any:
    """Zeros on the device of what the node keeps; on any device, where that is nothing."""
    kept = [v for _, v in _values(node)[1] if type(v) is not Packed]
    backend = backend_of(kept[0]) if kept else for_device("cpu")
    return backend.zeros(*form)
