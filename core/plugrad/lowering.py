"""One node for a composite, on a device that has a kernel of it: a lowering.

Where nothing else is asked for (a transform, a mode that looks at ops, a mixture of dtypes), the kernel is called, and one
node of the composite's name is recorded. Its first-order backward is the lowering's own; all else, and where there is none,
goes by the body, which is run once more on what the node has saved: it says what the composite means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from . import codegen, dtypes, engine, fusion, kernels, levels, ops, quiet
from .backend import BY_ARRAY, as_array
from .codegen import meta
from .contract import Lowering
from .graph import Node, Port, Variable, made, wrap
from .modes import INFERENCE, NO_GRAD, SPECIAL, active, enable_grad, inference_mode, thread
from .op import Composite, check_saved

#: The modes that see the ops of the body.
_BY_BODY = SPECIAL & ~INFERENCE


class LoweredNode(Node):
    """One call of a composite; a subclass for each composite and type of array."""

    __slots__ = ("args", "extra", "output_metas")

    saves = ("args", "extra")
    composite: ClassVar[Composite]
    vjp: ClassVar[Callable[..., Any] | None]
    #: The arguments, raw arrays in the place of tensors, and what the kernel saved besides.
    args: tuple[Any, ...]
    extra: tuple[Any, ...]
    output_metas: tuple[Any, ...]

    @property
    def input_metas(self) -> tuple[Any, ...]:
        """The shape and dtype of each array among the arguments."""
        return tuple(meta(a) for a in self.args if type(a) in BY_ARRAY)

    def backward(self, g: Any) -> tuple[Any, ...]:
        """The lowering's, if it has one."""
        gs = self._cotangents(g)
        vjp = type(self).vjp
        if vjp is not None:
            given = gs if len(gs) > 1 else gs[0]
            grads = quiet.call(vjp, given, self.extra, *self.args)
            if all(e is None or x is not None for e, x in zip(self.edges, self._checked(grads), strict=True)):
                return tuple(None if e is None else x for e, x in zip(self.edges, grads, strict=True))
        tensors = [None if x is None else wrap(as_array(x)) for x in gs]
        return tuple(None if x is None else x._raw for x in self._replayed(tensors, recorded=False))

    def backward_recorded(self, g: Any) -> tuple[Any, ...]:
        """The derivative of the body, recorded."""
        return self._replayed(self._cotangents(g), recorded=True)

    def _cotangents(self, g: Any) -> list[Any]:
        """One for each output, zeros where none arrived."""
        try:
            self.args  # noqa: B018
        except AttributeError as error:
            codegen.recover(None, self, g, error)
        return codegen.materialize(g, self.output_metas) if isinstance(g, list) else [g]

    def _checked(self, grads: Any) -> Any:
        """What a vjp returned, which must be of the inputs' shapes."""
        name, metas = self.composite.name, self.input_metas
        if not isinstance(grads, tuple) or len(grads) != len(metas):
            raise RuntimeError(
                f"backward: the lowering of {name!r} returned {type(grads).__name__}: its vjp must return a tuple of "
                f"{len(metas)}, a cotangent or None for each array among the arguments"
            )
        for i, (x, m) in enumerate(zip(grads, metas, strict=True)):
            if x is not None and tuple(x.shape) != m.shape:
                raise RuntimeError(
                    f"backward: the lowering of {name!r} returned a cotangent of shape {list(x.shape)} for input {i} of shape "
                    f"{list(m.shape)}: sum it over what was broadcast"
                )
        return grads

    def _replayed(self, gs: Sequence[Any], recorded: bool) -> tuple[Any, ...]:
        """The cotangents by the body, on tensors, each of which has a place of its own in the graph."""
        edges = iter(self.edges)
        arrays = [type(a) in BY_ARRAY for a in self.args]
        args = [
            _input(a, next(edges)) if is_array else a for a, is_array in zip(self.args, arrays, strict=True)
        ]
        wanted = [a for a, is_array in zip(args, arrays, strict=True) if is_array and a._edge is not None]
        with inference_mode(False), enable_grad():
            ys = self.composite.body(*args)
            pairs = zip(ys if isinstance(ys, (tuple, list)) else (ys,), gs, strict=True)
            known = [(y, g) for y, g in pairs if y._edge is not None and g is not None]
            found: Sequence[Any] = [None] * len(wanted)
            if known:
                outputs, weights = [y for y, _ in known], [g for _, g in known]
                found = engine.grad(outputs, wanted, weights, create_graph=recorded, allow_unused=True)
        results = iter(found)
        return tuple(None if e is None else next(results) for e in self.edges)

    def release(self) -> None:
        """Let go of the arguments."""
        try:
            del self.args, self.extra
        except AttributeError:
            pass


class Place(Node):
    """Where the gradient of one input arrives while a body is replayed: two inputs may be one tensor."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        """What arrived."""
        return (g,)

    consume = backward_recorded = backward


def _input(raw: Any, edge: Node | None, place: bool = False) -> Any:
    if edge is None and not place:
        return wrap(raw)
    node = Place()
    node.edges, node.hooks = (edge,), None
    return wrap(raw, node)


def call(self: Any, *args: Any, **params: Any) -> Any:
    """The composite on tensors or raw arrays, by its lowering for their type where there is one."""
    array_type = _array_type((*args, *params.values()))
    try:
        node = self.kernels[array_type]
    except KeyError:
        node = lowered_node(self, array_type)
    if node is None or (active and thread.mode & _BY_BODY) or levels.thread.stack:
        return self.body(*args, **params)
    if params or len(args) < self.arity:
        args = self.bound(args, params)
    if not _fits(args, array_type):
        return self.body(*args)
    tensors = [a for a in args if isinstance(a, Variable)]
    raws = tuple([a._raw if isinstance(a, Variable) else a for a in args])
    result = quiet.call(node.forward, *raws)
    if result is NotImplemented:
        return self.body(*args)
    y, extra = result if node.keeps else (result, ())
    if not tensors:
        return y
    ys = [made(as_array(v)) for v in (y if isinstance(y, tuple) else (y,))]
    _record(node, tensors, raws, extra, ys)
    return tuple(ys) if isinstance(y, tuple) else ys[0]


def _array_type(values: Sequence[Any]) -> type | None:
    """The type of the first array, or array of a tensor."""
    for v in values:
        if isinstance(v, Variable):
            return type(v._raw)
        if type(v) in BY_ARRAY:
            return type(v)
    return None


def _fits(args: Sequence[Any], array_type: type | None) -> bool:
    """Whether arguments are what kernels take: tensors, or raw arrays, of one type and one real float dtype, or bool."""
    raws, tensors, dtype = 0, 0, None
    for a in args:
        raw: Any = getattr(a, "_raw", a)
        if isinstance(a, Variable):
            tensors += 1
        elif type(a) in BY_ARRAY:
            raws += 1
        elif type(a) in (list, tuple) and any(isinstance(v, Variable) for v in a):
            return False
        else:
            continue
        kind = type(raw)
        if kind is not array_type:
            return False
        if dtypes.of(raw.dtype) is not dtypes.bool_:
            if raw.dtype not in dtypes.REAL or (dtype is not None and raw.dtype != dtype):
                return False
            dtype = raw.dtype
    return dtype is not None and not (raws and tensors)


def lowered_node(composite: Composite, array_type: type | None) -> Any:
    """The class of nodes for a lowering, which holds its kernels; None where the body serves."""
    backend = None if array_type is None else BY_ARRAY.get(array_type)
    if array_type is None or backend is None or backend.is_transform:
        return None
    before = kernels.generation
    kernel: Any = kernels.lowering(composite, backend)[0] or _one_kernel(composite, backend)
    node = None
    if kernel is not None:
        fused = isinstance(kernel, Lowering)
        members = {
            "__slots__": (),
            "__doc__": f"The node that `{composite.name}` records where it is one kernel.",
            "composite": composite,
            "forward": staticmethod(kernel.forward if fused else kernel),
            "vjp": staticmethod(kernel.vjp) if fused else None,
            "keeps": fused,
        }
        node = type(composite.node_name, (LoweredNode,), members)
    if kernels.generation == before:
        composite.kernels[array_type] = node
    return node


def _one_kernel(composite: Composite, backend: Any) -> Lowering | None:
    """An elementwise composite as one kernel, and its derivative as another, where the device makes kernels of functions.

    The derivative is the function that records the body, and goes back through it.
    """
    if not composite.elementwise:
        return None
    count = sum(p.default is p.empty for p in composite.signature.parameters.values())

    def derivative(g: Any, *args: Any) -> Any:
        xs = [_input(a, None, place=True) for a in args[:count]]
        with inference_mode(False), enable_grad():
            y = composite.body(*xs, *args[count:])
            found = [None] * count if y._edge is None else engine.grad(y, xs, wrap(g), allow_unused=True)
        grads = tuple(ops.zeros_like(a) if x is None else x._raw for x, a in zip(found, args, strict=False))
        return grads if count > 1 else grads[0]

    name = composite.name.replace("::", "_")
    forward = fusion.fused(backend, name, composite.body, count)
    vjp = fusion.fused(backend, f"{name}_vjp", derivative, count + 1)
    if forward is None or vjp is None:
        return None

    def one_shape(*args: Any) -> Any:
        known, rest = [getattr(a, "shape", None) for a in args[:count]], args[count:]
        if known[0] is None or any(s != known[0] for s in known) or any(hasattr(a, "dtype") for a in rest):
            return NotImplemented  # what is broadcast has a gradient of another shape
        return forward(*args), ()

    return Lowering(one_shape, lambda g, _, *args: vjp(g, *args) if count > 1 else (vjp(g, *args),))


def _record(
    node: Any, tensors: list[Any], raws: tuple[Any, ...], extra: tuple[Any, ...], ys: list[Any]
) -> None:
    """Connect the outputs to one node, if an input needs a gradient."""
    if active and thread.mode & (NO_GRAD | INFERENCE):
        return
    edges = tuple([t._edge for t in tensors])
    if all(e is None for e in edges):
        return
    for t in tensors:
        check_saved(t)
    n = node()
    n.edges, n.hooks, n.args, n.extra = edges, None, raws, tuple(extra)
    if len(ys) == 1:
        ys[0]._edge = n if ys[0].dtype.is_floating_point else None
        return
    n.output_metas = tuple(meta(y._raw) for y in ys)
    for i, y in enumerate(ys):
        if y.dtype.is_floating_point:
            y._edge = Port(n, i)


Composite.lowered = call
