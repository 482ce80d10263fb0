"""A custom `Function` in forward mode: its forward on the values, its `jvp` on the tangents."""

from __future__ import annotations

from typing import Any

from .. import dtypes, levels, storage
from ..backend import backend_of
from ..codegen import meta
from ..function import Function
from ..function_node import FunctionCtx
from ..graph import Variable, wrap
from ..modes import is_grad_enabled
from .dual import DualLevel, check_tangent
from .tree import flatten

#: What of a ctx is no attribute of the author's.
_INTERNAL = frozenset(FunctionCtx.__annotations__)


def apply(level: DualLevel, function: Any, args: tuple[Any, ...]) -> Any:
    """The outputs of a `Function` of which `level` is the highest among its arguments."""
    ctx, outputs = _at(level, function, args)
    ctx.saved_for_forward = ()  # an output among them would hold the node that holds it
    return outputs


def _run(function: Any, args: tuple[Any, ...]) -> tuple[Any, Any]:
    """The ctx and the outputs of a call at the highest level of its arguments."""
    level = levels.highest(args)
    if level is None:
        ctx = function._node()
        separate = function.setup_context is not Function.setup_context
        return ctx, function._run(args, separate, ctx)
    if isinstance(level, DualLevel):
        return _at(level, function, args)
    ctx = function._node()
    return ctx, level.custom_function(function, args, ctx)


def _at(level: DualLevel, function: Any, args: tuple[Any, ...]) -> tuple[Any, Any]:
    pairs = [level.parts(a) if isinstance(a, Variable) else (a, None) for a in args]
    primals, tangents = tuple(p for p, _ in pairs), [t for _, t in pairs]
    lower = levels.highest(primals)
    if isinstance(
        lower, DualLevel
    ):  # already here, so that what is saved there can be told from what is not known here
        primals = tuple(levels.lift(p, lower) if isinstance(p, Variable) else p for p in primals)
    below, result = _run(function, primals)
    single = not isinstance(result, tuple)
    ys = (result,) if single else result
    written = {i: a for i, y in enumerate(ys) for a, p in zip(args, primals, strict=True) if y is p}
    for tensor in written.values():
        if hasattr(tensor, "_view") or not storage.of(tensor).alone(tensor):
            raise NotImplementedError(
                f"{function.__name__}: mark_dirty in forward mode is not supported for a tensor that shares its memory: "
                "pass a .clone()"
            )
    moves = [_differentiable(y, below) for y in ys]
    moved: list[Any] = [None] * len(ys)
    if any(t is not None for t in tangents):
        moved = _tangents(function, below, primals, tangents, ys, moves)
    outputs = tuple(
        wrap(level.type_for(y._raw)(wrap(y._raw, y._edge), t)) if m else y
        for y, t, m in zip(ys, moved, moves, strict=True)
    )
    ctx = _recorded(level, function, below, args, primals, ys, outputs, moves)
    for i, tensor in written.items():
        storage.of(tensor).rebind(tensor, outputs[i]._raw)
        tensor._edge = outputs[i]._edge
        level.note(tensor)
    outputs = tuple(written.get(i, y) for i, y in enumerate(outputs))
    return ctx, outputs[0] if single else outputs


def _differentiable(y: Any, ctx: Any) -> bool:
    if not isinstance(y, Variable) or dtypes.of(y._raw.dtype).category < dtypes.FLOAT:
        return False
    return y._edge is not None if ctx._recorded else all(y is not n for n in ctx.non_differentiable)


def _tangents(
    function: Any,
    below: Any,
    primals: tuple[Any, ...],
    tangents: list[Any],
    ys: tuple[Any, ...],
    moves: list[bool],
) -> list[Any]:
    """What the author's `jvp` returns, checked."""
    ctx = _copied(function, below)
    ctx._saved = tuple(None if t is None else (t._raw, t._edge) for t in below.saved_for_forward)
    if ctx.materialize_grads:
        tangents = [
            _zeros(p) if t is None and _floats(p) else t for p, t in zip(primals, tangents, strict=True)
        ]
    result = function.jvp(ctx, *tangents)
    found = list(result) if isinstance(result, (tuple, list)) else [result]
    if len(found) != len(ys):
        raise RuntimeError(
            f"Function's jvp returned an invalid number of forward gradients (expected {len(ys)} but got {len(found)}): "
            f"{function.__name__}.jvp returns one for each output"
        )
    for i, (y, t, m) in enumerate(zip(ys, found, moves, strict=True)):
        if t is not None and not isinstance(t, Variable):
            raise RuntimeError(
                f"expected Variable or None (got {type(t).__name__}) for grad output {i}: {function.__name__}.jvp "
                "returns tensors"
            )
        if not m and t is not None:
            raise RuntimeError(
                f"Function's jvp returned a gradient at position {i}, but the corresponding forward output is not a "
                f"differentiable Tensor: {function.__name__}.jvp must return None there"
            )
        if not m:
            continue
        if t is not None:
            check_tangent(y, t)
    return found


def _recorded(
    level: DualLevel,
    function: Any,
    below: Any,
    args: tuple[Any, ...],
    primals: tuple[Any, ...],
    ys: tuple[Any, ...],
    outputs: tuple[Any, ...],
    moves: list[bool],
) -> Any:
    """The ctx of the call at `level`, connected to its arguments there: what it saved is of this level, too."""
    lifted = [levels.lift(a, level) if isinstance(a, Variable) else a for a in args]
    edges = tuple(a._edge if isinstance(a, Variable) else None for a in lifted)
    ctx = _copied(function, below)
    ctx.needs_input_grad = tuple(e is not None for e in edges)
    ctx.output_metas = tuple(meta(y._raw) if isinstance(y, Variable) else None for y in outputs)
    ctx.input_metas = tuple(meta(a._raw) if isinstance(a, Variable) else None for a in lifted)
    ctx.input_backends = tuple(backend_of(a._raw) if isinstance(a, Variable) else None for a in lifted)
    ctx._recorded = recorded = is_grad_enabled() and any(ctx.needs_input_grad)
    if recorded:
        ctx.edges = tuple([e for e, m in zip(edges, ctx.input_metas, strict=True) if m is not None])
    for i, y in enumerate(outputs):
        if moves[i]:
            y._edge = ctx.place_of_output(i) if recorded else None
            level.note(y)

    def here(raw: Any) -> tuple[Any, Any]:
        """The same at this level: a raw array, and its place in the graph."""
        for values, known in ((primals, lifted), (ys, outputs)):
            for i, v in enumerate(values):
                if (
                    isinstance(v, Variable)
                    and v._raw is raw
                    and (known is outputs or all(v is not y for y in ys))
                ):
                    same = known[i]
                    if known is lifted:
                        return same._raw, edges[i]
                    return (same if moves[i] else levels.lift(same, level))._raw, i
        return level.lift(wrap(raw)), None

    saved = below._saved or [t if t is None else (t._raw, None) for t in below.to_save]
    ctx._saved = tuple(
        None if s is None else here(s[0].unpack() if hasattr(s[0], "unpack") else s[0]) for s in saved
    )
    ctx.saved_for_forward = tuple(
        None if t is None else wrap(*_with_edge(ctx, here(t._raw))) for t in below.saved_for_forward
    )
    pairs = [*zip(ys, outputs, strict=True), *zip(primals, args, strict=True)]
    same = {id(v._raw): known for v, known in pairs if isinstance(v, Variable)}
    for name, value in ctx.__dict__.items():
        if name not in _INTERNAL:
            ctx.__dict__[name] = _replaced(value, same)
    below.saved_for_forward = ()
    ctx.to_save = ctx.non_differentiable = ()
    return ctx


def _replaced(value: Any, same: dict[int, Any]) -> Any:
    """An attribute of the author's, in which inputs and outputs from below are what they are at a level."""
    values, spec = flatten(value)
    found = [same.get(id(v._raw), v) if isinstance(v, Variable) else v for v in values]
    return value if all(a is b for a, b in zip(values, found, strict=True)) else spec.unflatten(found)


def _with_edge(ctx: Any, saved: tuple[Any, Any]) -> tuple[Any, Any]:
    raw, place = saved
    return raw, (ctx.place_of_output(place) if ctx._recorded else None) if isinstance(place, int) else place


def _copied(function: Any, ctx: Any) -> Any:
    """Another node with the author's attributes."""
    new = function._node()
    new.__dict__.update(ctx.__dict__)
    new._ports, new._accessed = None, False
    return new


def _floats(x: Any) -> bool:
    return isinstance(x, Variable) and dtypes.of(x._raw.dtype).category >= dtypes.FLOAT


def _zeros(x: Any) -> Any:
    return wrap(backend_of(x._raw).zeros(tuple(x._raw.shape), dtypes.of(x._raw.dtype)))
