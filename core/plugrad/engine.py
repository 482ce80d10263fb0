"""THE backward: walks a graph from its outputs and calls each node once, when all its gradient has arrived.

Kahn's algorithm: a first walk counts how many edges lead to each node, a second calls each node whose count
has come to zero. Both are loops, so memory alone limits the depth of a graph.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

from . import anomaly, fusion, levels, plugins, quiet, strict
from .backend import BY_ARRAY, Backend, as_array, backend_of
from .dtypes import COMPLEX, of
from .errors import DeviceError
from .graph import GradientEdge, Meta, Node, Variable, wrap
from .hooks import note_missing, run_prehooks, run_tensor_hooks
from .modes import ANOMALY, NO_GRAD, active, set_recording, thread, tidy
from .op import conform


def differentiate(
    roots: Sequence[Node],
    cotangents: Sequence[Any],
    *,
    retain_graph: bool,
    recorded: bool,
    targets: Sequence[Node] | None = None,
) -> dict[Node, Any]:
    """Send `cotangents` down the graph from `roots`.

    Without `targets`, leaves accumulate into their `.grad`. With them nothing accumulates, only nodes that
    lead to a target are called, and the gradients that arrived at the targets are returned.

    Cotangents are raw arrays, or tensors if the derivative is to be `recorded`. On their way, those without
    dimensions may be the array library's scalars, with which NumPy computes several times as fast; wherever
    somebody sees one (`.grad`, hooks, `Function`, results) it is an array again.
    """
    counts = dict.fromkeys(roots, 0)
    found = list(counts)
    for node in found:  # which grows meanwhile
        for edge in node.edges:
            if edge in counts:
                counts[edge] += 1
            elif edge is not None:
                counts[edge] = 1
                found.append(edge)
    if active and thread.mode & ANOMALY:
        anomaly.watch(found)
    if strict.overwritten and strict.is_strict():
        strict.check(found)
    needed = None if targets is None else _leading_to(targets, found)
    del found
    waiting: dict[Node, Any] = {}  # what has arrived at nodes for which there is more to come
    if len(roots) == 1:
        ready = [(roots[0], cotangents[0])]
    else:  # a root may lead to another
        for root, g in zip(roots, cotangents, strict=True):
            waiting[root] = _add(waiting[root], g) if root in waiting else g
        ready = [(root, waiting.pop(root)) for root in list(waiting) if not counts[root]]
    arrived: dict[Node, Any] = {}

    while ready:
        node, g = ready.pop()
        if node.hooks is not None:
            if g is None:
                note_missing(node.hooks, recorded, counts, needed)
            else:
                g = run_tensor_hooks(node.hooks, g, recorded, counts, needed)
                if needed is None:
                    g = run_prehooks(node.hooks, g, recorded)
        if needed is not None:
            if g is not None and needed.get(node):
                arrived[node] = g if recorded else as_array(g)
            if not any(edge in needed for edge in node.edges):
                continue
            if node.hooks is not None and g is not None:
                g = run_prehooks(node.hooks, g, recorded)
        if g is None and not node.takes_none:
            grads: Any = (None,) * len(node.edges)
        elif recorded:
            grads = node.backward_recorded(g)
            if not retain_graph:
                node.release()
        else:
            grads = node.backward(g) if retain_graph else node.consume(g)
        if not node.edges:
            continue
        for edge, g in zip(node.edges, grads):
            if edge is None or (needed is not None and edge not in needed):
                continue
            if waiting and edge in waiting:
                g = waiting.pop(edge) if g is None else _add(waiting.pop(edge), g)
            if counts[edge] == 1:
                ready.append((edge, g))
            else:
                counts[edge] -= 1
                if g is not None:
                    waiting[edge] = g
        grads = g = None  # a leaf takes over an array that nobody else holds
    return arrived


def _leading_to(targets: Sequence[Node], nodes: Iterable[Node]) -> dict[Node, bool]:
    """Those of `nodes` that lead to a target; True for the targets themselves."""
    parents: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in parents:
        for edge in node.edges:
            if edge is not None:
                parents[edge].append(node)
    needed = dict.fromkeys((t for t in targets if t in parents), True)
    stack = list(needed)
    while stack:
        for parent in parents[stack.pop()]:
            if parent not in needed:
                needed[parent] = False
                stack.append(parent)
    return needed


def _add(a: Any, b: Any) -> Any:
    """The sum of two cotangents, neither of which is written to: others may hold them."""
    if type(a) is list:  # from ports of one node
        return [x if y is None else y if x is None else _add(x, y) for x, y in zip(a, b, strict=True)]
    return quiet.call(fusion.adders.get(type(a), operator.add), a, b)


# --- the doors ----------------------------------------------------------------------------------------------


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Accumulate the gradients of `tensors`, weighted by `grad_tensors`, into the `.grad` of the leaves.

    `inputs` limits this to the given tensors. RuntimeError for a tensor that needs no gradient, and for one
    of several elements without its weight.
    """
    if type(tensors) is Variable._result and grad_tensors is inputs is None and not create_graph:
        y, edge = tensors._raw, tensors._edge  # loss.backward(), for which all that follows is a detour
        one = None if y.shape else _ONES.get((type(y), y.dtype))
        if one is not None and edge is not None:
            differentiate((edge,), (one,), retain_graph=bool(retain_graph), recorded=False)
            return
    roots, cotangents = _start(_sequence(tensors), grad_tensors, create_graph, "backward")
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run = _differentiate if create_graph or levels.thread.stack else differentiate
        run(roots, cotangents, retain_graph=retain, recorded=create_graph)
        return
    wanted = _sequence(inputs)
    if not wanted:
        raise RuntimeError(
            "backward: `inputs` is empty: leave it out, or name the tensors that are to get a .grad"
        )
    edges = _targets(wanted, roots, "backward")
    arrived = _arrived(roots, cotangents, wanted, edges, retain, create_graph)
    for edge, x in dict(zip(edges, wanted, strict=True)).items():  # a tensor that is named twice gets it once
        if isinstance(x, GradientEdge):
            x = getattr(x.node, "variable", None)
            if x is None:
                raise RuntimeError("backward: inputs: a GradientEdge must be that of a leaf: use grad()")
        if edge in arrived and not x.retains_grad:  # which has its own already
            g = arrived[edge]
            x._accumulate(g, recorded=isinstance(g, Variable))


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """The gradients of `outputs`, weighted by `grad_outputs`, with respect to `inputs`; touches no `.grad`.

    A tuple, or for a dict of inputs a dict. Outputs and inputs are tensors or `GradientEdge`s.

    An input that the outputs do not depend on is an error, or None with `allow_unused`, or zeros with
    `materialize_grads`. With `is_grads_batched` each of `grad_outputs` has a batch of weights as its first dimension,
    and so have the gradients: all are computed in one pass.
    """
    if type(inputs) is dict:
        found = grad(
            outputs, tuple(inputs.values()), grad_outputs, retain_graph, create_graph, only_inputs, allow_unused,
            is_grads_batched, materialize_grads,
        )  # fmt: skip
        return dict(zip(inputs, found, strict=True))
    if hasattr(inputs, "keys"):
        raise TypeError(
            f"grad: `inputs` must be a tensor, a sequence or a dict, not {type(inputs).__name__}. Other Mapping types are not "
            "supported: pass dict(inputs)"
        )
    if not only_inputs:
        import warnings

        warnings.warn(
            "grad: only_inputs argument is deprecated and is ignored now (defaults to True): to fill the .grad of leaves, "
            "call backward()",
            FutureWarning,
            stacklevel=2,
        )
    if is_grads_batched:
        options = retain_graph, create_graph, only_inputs, allow_unused, False, materialize_grads
        return _batch_of_grads(_sequence(outputs), _sequence(inputs), grad_outputs, options)
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "grad: materialize_grads=True needs allow_unused to be True or left out, found False"
        )
    outputs = _sequence(outputs)
    roots, cotangents = _start(outputs, grad_outputs, create_graph, "grad")
    wanted = _sequence(inputs)
    if not wanted:
        raise RuntimeError("grad: `inputs` is empty: name the tensors whose gradients are asked for")
    edges = _targets(wanted, roots, "grad")
    retain = create_graph if retain_graph is None else retain_graph
    arrived = _arrived(roots, cotangents, wanted, edges, retain, create_graph)
    results = []
    for i, (x, edge) in enumerate(zip(wanted, edges, strict=True)):
        g = arrived.get(edge)
        if g is not None:
            if GradientEdge in map(type, outputs) and _form(x) and tuple(g.shape) != _form(x)[1]:
                raise RuntimeError(
                    f"grad: Mismatch in shape: a gradient of shape {tuple(g.shape)} arrived at inputs[{i}], which has a shape of "
                    f"{_form(x)[1]}: one of grad_outputs has not the shape of the output of its GradientEdge"
                )
            results.append(
                g if create_graph else levels.noted(wrap(g._raw if isinstance(g, Variable) else g))
            )
        elif materialize_grads and not isinstance(x, GradientEdge):
            zeros = backend_of(x._raw).zeros(x._raw.shape, of(x._raw.dtype))
            results.append(levels.noted(wrap(zeros)).requires_grad_(create_graph))
        elif allow_unused:
            results.append(None)
        elif materialize_grads:
            raise RuntimeError(
                f"grad: materialize_grads cannot be used when the given input is a GradientEdge, whose shape nobody knows, and "
                f"inputs[{i}] is one that the outputs do not depend on: pass the tensor"
            )
        else:
            raise RuntimeError(
                f"grad: inputs[{i}] appears to not have been used in the graph of the outputs. "
                "Set allow_unused=True if this is the desired behavior"
            )
    return tuple(results)


#: Computes the gradients for a batch of weights; `plugrad.autograd` puts it here, for it needs `vmap`, which lies above.
_batch_of_grads: Any = None


def _arrived(
    roots: Any, cotangents: Any, wanted: Sequence[Any], edges: list[Node], retain: bool, recorded: bool
) -> dict[Node, Any]:
    """The gradients that arrive at `edges`, those of the tensors `wanted`."""
    options: dict[str, Any] = {"retain_graph": retain, "recorded": recorded}
    if not levels.thread.stack:
        return _differentiate(roots, cotangents, targets=edges, **options)
    # A tensor that is recorded at two levels gets gradients at both, e.g. from an output and from its tangent.
    found = [levels.edges(x) if isinstance(x, Variable) else [edge] for x, edge in zip(wanted, edges)]
    arrived = _differentiate(roots, cotangents, targets=[e for several in found for e in several], **options)
    for edge, *below in {several[0]: several for several in found}.values():
        for g in [arrived[e] for e in below if e in arrived]:
            arrived[edge] = _add(arrived[edge], g) if edge in arrived else g
    return arrived


def _differentiate(roots: Any, cotangents: Any, *, recorded: bool, **options: Any) -> dict[Node, Any]:
    if not recorded and not levels.thread.stack:
        return differentiate(roots, cotangents, recorded=False, **options)
    # Inside of transforms every backward is a computation on tensors, which go to their levels by themselves.
    cotangents = [g if g is None or isinstance(g, Variable) else wrap(g) for g in cotangents]
    was = thread.mode
    try:
        set_recording(recorded)
        return differentiate(roots, cotangents, recorded=True, **options)
    finally:
        thread.mode = thread.mode & ~NO_GRAD | was & NO_GRAD  # in one step: see `tidy`
        tidy()


def _sequence(tensors: Any) -> Sequence[Any]:
    if isinstance(tensors, (Variable, GradientEdge)):
        return (tensors,)
    if type(tensors) is dict:
        return tuple(tensors.values())
    return tensors if type(tensors) is tuple else tuple(tensors)


def _targets(wanted: Sequence[Any], roots: Sequence[Node], asked: str) -> list[Node]:
    """The nodes at which the gradients of `wanted` arrive."""
    edges = []
    for i, x in enumerate(wanted):
        if isinstance(x, GradientEdge):
            edges.append(x.find(roots))
        elif isinstance(x, Variable):
            edges.append(_edge_of(x, asked, "inputs", i))
        else:
            raise RuntimeError(
                f"{asked}: all inputs have to be Tensors or GradientEdges, but element {i} of inputs is a {type(x).__name__}"
            )
    return edges


def _edge_of(tensor: Any, asked: str, which: str, i: int) -> Node:
    if isinstance(tensor, GradientEdge):
        return tensor.find()
    if not isinstance(tensor, Variable):
        raise TypeError(f"{asked}: element {i} of {which} is a {type(tensor).__name__}, not a Tensor")
    if tensor._edge is None:
        raise RuntimeError(
            f"{asked}: element {i} of {which} does not require grad and does not have a grad_fn: "
            "create it with requires_grad=True, or compute it from a tensor that has it"
        )
    return tensor._edge


def _start(tensors: Sequence[Any], weights: Any, recorded: bool, asked: str) -> tuple[list[Node], list[Any]]:
    """The nodes to start at, and a cotangent for each: the given one, or 1 for an output of one element."""
    if weights is None:
        cotangents = [_one(t, recorded, asked) for t in tensors]
        return [_edge_of(t, asked, "tensors", i) for i, t in enumerate(tensors)], cotangents
    given = _sequence(weights)
    if len(given) != len(tensors):
        raise RuntimeError(f"{asked}: got {len(tensors)} tensors and {len(given)} gradients for them")
    roots, cotangents = [], []
    for i, (t, g) in enumerate(zip(tensors, given)):
        roots.append(_edge_of(t, asked, "tensors", i))
        if g is None:
            cotangents.append(_one(t, recorded, asked))
            continue
        if not isinstance(g, Variable):
            raise TypeError(f"{asked}: gradients can be either Tensors or None, but got {type(g).__name__}")
        form = _form(t)
        if form is None:
            cotangents.append(g if recorded else g._raw)
            continue
        backend, shape, dtype = form
        if tuple(g._raw.shape) != shape:
            raise RuntimeError(
                f"{asked}: Mismatch in shape: grad_output[{i}] has a shape of {tuple(g._raw.shape)} and "
                f"output[{i}] has a shape of {shape}"
            )
        found = backend_of(g._raw)
        if found is not backend and not levels.thread.stack:
            raise DeviceError(
                f"{asked}: output[{i}] is on {backend.device_name!r} and grad_output[{i}] on {found.device_name!r}: "
                "move it with .to(...)"
            )
        if g._raw.dtype is not dtype:
            if (g._raw.dtype in COMPLEX) != (dtype in COMPLEX):
                raise RuntimeError(
                    f"{asked}: for complex Tensors, both grad_output and output are required to have the same dtype: "
                    f"grad_output[{i}] has {of(g._raw.dtype)} and output[{i}] has {of(dtype)}"
                )
            g = conform(g, Meta(shape, of(dtype)))
        cotangents.append(g if recorded else g._raw)
    return roots, cotangents


def _form(t: Any) -> tuple[Backend, tuple[int, ...], Any] | None:
    """The backend, shape and dtype of the array of an output; None for a `GradientEdge` that was made of a mere node."""
    if isinstance(t, GradientEdge):
        return t._form
    return t._backend, tuple(t._raw.shape), t._raw.dtype


#: The number 1 as an array without dimensions, by array type and dtype. Nobody writes into a cotangent.
#: Of a type that several devices share there is none.
_ONES: dict[tuple[type, Any], Any] = {}
plugins.ON_REGISTER.append(_ONES.clear)


def _one(tensor: Any, recorded: bool, asked: str) -> Any:
    """The cotangent that is implied for a tensor of one real element."""
    if not isinstance(tensor, GradientEdge) and getattr(tensor, "_edge", None) is None:
        return None  # `_edge_of` says why
    form = _form(tensor)
    if form is None:
        raise RuntimeError(
            f"{asked}: a GradientEdge of a mere node implies no gradient: pass one, or use get_gradient_edge(tensor)"
        )
    backend, shape, dtype = form
    key = backend.array_type, dtype
    one = None if shape else _ONES.get(key)
    if one is None:
        if shape and math.prod(shape) != 1:
            raise RuntimeError(
                f"{asked}: grad can be implicitly created only for scalar outputs, found shape {shape}: "
                "pass a gradient of that shape, or call it on a sum() or mean()"
            )
        if dtype in COMPLEX:
            raise RuntimeError(
                f"{asked}: grad can be implicitly created only for real scalar outputs, found {of(dtype)}: "
                "pass a gradient, or call it on a real number such as abs() or .real"
            )
        one = backend.full(shape, 1, of(dtype))
        if not shape and not levels.thread.stack and BY_ARRAY[backend.array_type] is backend:
            _ONES[key] = one
    return wrap(one) if recorded else one
