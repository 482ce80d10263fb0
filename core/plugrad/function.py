"""`Function`: an operator of your own, with a backward that you write.

    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    y = Exp.apply(x)

`ctx` is the node of the graph, so what is saved lives as long as the graph does.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from . import anomaly, dtypes
from .backend import as_array
from .codegen import materialize, meta
from .errors import GraphFreedError, InPlaceError
from .graph import Meta, Node, Port, Variable, wrap
from .modes import ANOMALY, NAN_SAFE, SOURCE_LINES, SPECIAL, active, is_grad_enabled, set_recording, thread
from .nan_safety import guarded
from .op import OPS, check_saved, conform
from .saved import Packed, current
from .strict import user_place


class FunctionCtx(Node):
    """What `forward` and `backward` of a `Function` share: the node itself."""

    # No __slots__: authors hang their own attributes on it.

    _function: type[Function]
    #: For each argument of `apply`, whether it needs a gradient.
    needs_input_grad: tuple[bool, ...]
    _materialize = True
    _non_differentiable: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()
    _to_save: tuple[Any, ...] = ()
    _saved: tuple[Any, ...] | None = ()
    _ports: weakref.WeakValueDictionary[int, Port] | None = None
    input_metas: tuple[Meta | None, ...]
    output_metas: tuple[Meta | None, ...]  # None for an output that is no tensor

    def __init__(self) -> None:
        self.edges, self.hooks = (), None

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs or outputs of `forward` (or None) for `backward`; anything else goes on `ctx` itself."""
        for t in tensors:
            if t is not None and not isinstance(t, Variable):
                raise TypeError(
                    f"{self._function.__name__}: save_for_backward can only save variables, but got {type(t).__name__}: "
                    "keep other values as attributes, ctx.value = value"
                )
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors that were saved, with their place in the graph."""
        if self._saved is None:
            raise GraphFreedError(
                f"{self.name()}: the saved tensors are gone, because the graph was differentiated before (Trying to "
                "backward through the graph a second time): pass retain_graph=True to the first backward"
            )
        return tuple(
            None if s is None else wrap(s[0].unpack() if type(s[0]) is Packed else s[0], self._edge_of(s[1]))
            for s in self._saved
        )

    def _edge_of(self, place: Any) -> Node | None:
        """An input's edge as it was saved, or of an output (by its index) this node: a node must not hold itself."""
        if not isinstance(place, int):
            return place
        return self._place_of_output(place)

    def _place_of_output(self, i: int) -> Node:
        """This node, or the port of one of several outputs: one port each, so that what arrives there adds up."""
        if len(self.output_metas) == 1:
            return self
        if self._ports is None:
            self._ports = weakref.WeakValueDictionary()
        port = self._ports.get(i)
        if port is None:
            port = self._ports[i] = Port(self, i)
        return port

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """Say that these outputs need no gradient."""
        self._non_differentiable = outputs

    def mark_dirty(self, *inputs: Any) -> None:
        """Say that `forward` has written into these inputs."""
        self._dirty = inputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default) or None for outputs that nobody differentiated."""
        self._materialize = value

    # --- as a node ------------------------------------------------------------------------------------------

    def backward(self, g: Any) -> tuple[Any, ...]:
        """Call the author's backward on tensors over raw arrays, not recorded."""
        gs = [None if x is None else wrap(as_array(x)) for x in (g if isinstance(g, list) else [g])]
        return tuple(None if x is None else x._raw for x in self._call_backward(gs, recorded=False))

    def backward_recorded(self, g: Any) -> tuple[Any, ...]:
        """Call the author's backward and record it."""
        return self._call_backward(g if isinstance(g, list) else [g], recorded=True)

    def _call_backward(self, gs: list[Any], recorded: bool) -> tuple[Any, ...]:
        if self._materialize and any(g is None for g in gs):
            gs = materialize(gs, self.output_metas)
        before = set_recording(recorded and is_grad_enabled())
        try:
            results = self._function.backward(self, *gs)
        finally:
            set_recording(before)
        return self._checked(results if isinstance(results, tuple) else (results,))

    def _checked(self, results: tuple[Any, ...]) -> tuple[Any, ...]:
        """The author's gradients, one per argument, in the shapes and dtypes of the arguments."""
        expected = len(self.input_metas)
        while len(results) > expected and results[-1] is None:
            results = results[:-1]
        if len(results) != expected:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {expected}, got {len(results)}): "
                "backward returns one for each argument of forward, None for those that are not differentiable"
            )
        checked: list[Any] = []
        for i, (g, m) in enumerate(zip(results, self.input_metas, strict=True)):
            if m is None and g is not None:
                raise RuntimeError(
                    f"function {self.name()} returned a gradient different than None at position {i}, but that argument "
                    "of forward was no Tensor: return None for it"
                )
            if g is None or m is None or self.edges[i] is None:
                checked.append(None)
                continue
            if not isinstance(g, Variable):
                raise TypeError(
                    f"function {self.name()} returned a {type(g).__name__} as gradient at index {i}: expected a Tensor or None"
                )
            shape = tuple(g._raw.shape)
            if shape != m.shape and not _expandable(m.shape, shape):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {i} - got {list(shape)} "
                    f"but expected shape compatible with {list(m.shape)}"
                )
            checked.append(conform(g, m))
        return tuple(checked)

    def release(self) -> None:
        """Let go of the saved tensors."""
        if self._saved:
            self._saved = None


def _expandable(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    padded = (1,) * (len(large) - len(small)) + small
    return len(padded) == len(large) and all(a in (1, b) for a, b in zip(padded, large, strict=True))


class Function:
    """A base for operators with a backward of your own: see the module's head, and call `apply`."""

    _node: type[FunctionCtx]

    def __init_subclass__(cls) -> None:
        doc = f"The node that `{cls.__name__}.apply` records."
        cls._node = type(f"{cls.__name__}Backward", (FunctionCtx,), {"_function": cls, "__doc__": doc})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"{type(self).__name__} is called as {type(self).__name__}.apply(...), not as an instance"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs: `forward(ctx, *args)`, or `forward(*args)` beside a `setup_context`."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Save what `backward` needs, where `forward` does not take `ctx`."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Compute a gradient for each argument of `forward`, given one for each output."""
        raise NotImplementedError(
            "You must implement the backward function for your custom autograd.Function."
        )

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run `forward`, and record it where an argument requires grad."""
        ctx = cls._node()
        ctx.needs_input_grad = tuple(isinstance(a, Variable) and a._edge is not None for a in args)
        edges = tuple(a._edge if isinstance(a, Variable) else None for a in args)
        before = set_recording(False)
        try:
            if cls.setup_context is Function.setup_context:
                result = cls.forward(ctx, *args)
            else:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
        finally:
            set_recording(before)
        single = not isinstance(result, tuple)
        outputs = cls._connected(
            ctx, args, (result,) if single else result, edges if before else (None,) * len(args)
        )
        return outputs[0] if single else outputs

    @classmethod
    def _connected(
        cls, ctx: FunctionCtx, args: tuple[Any, ...], outputs: tuple[Any, ...], edges: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """The outputs with their place in the graph, and `ctx` with what it saves."""
        recorded = any(e is not None for e in edges)
        if recorded and ctx._dirty:
            raise InPlaceError(
                f"{cls.__name__}: mark_dirty on a recorded call: in-place writes are not recorded in this release, "
                "return a new tensor from forward"
            )
        fresh: tuple[Any, ...] = ()
        for y in outputs:
            if isinstance(y, Variable) and all(y is not d for d in ctx._dirty):
                y = wrap_view(y) if y._edge is not None or any(y is known for known in (*args, *fresh)) else y
            fresh = (*fresh, y)
        ctx.output_metas = tuple(meta(y._raw) if isinstance(y, Variable) else None for y in fresh)
        ctx.input_metas = tuple(meta(a._raw) if isinstance(a, Variable) else None for a in args)
        for t in ctx._to_save if recorded else ():
            check_saved(t)
        ctx._saved = tuple(
            None if t is None else (t._raw, cls._place(t, args, outputs, edges)) for t in ctx._to_save
        )
        hooks = current()
        if hooks is not None and recorded:
            ctx._saved = tuple(s if s is None else (Packed(s[0], hooks), s[1]) for s in ctx._saved)
        ctx._to_save = ()
        if recorded:
            ctx.edges = edges
            for i, y in enumerate(fresh):
                differentiable = isinstance(y, Variable) and y.dtype.category >= dtypes.FLOAT
                if differentiable and all(outputs[i] is not n for n in ctx._non_differentiable):
                    y._edge = ctx._place_of_output(i)
        ctx._non_differentiable = ctx._dirty = ()
        if recorded and active and thread.mode & SPECIAL:
            _in_special_mode(ctx, args, fresh)
        return fresh

    @staticmethod
    def _place(tensor: Any, args: tuple[Any, ...], outputs: tuple[Any, ...], edges: tuple[Any, ...]) -> Any:
        """Where a saved tensor belongs: an input's edge, or the index of an output."""
        for a, edge in zip(args, edges, strict=True):
            if tensor is a:
                return edge
        return next((i for i, y in enumerate(outputs) if tensor is y), tensor._edge)


def _in_special_mode(ctx: Any, args: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
    """What modes do with a node that was recorded."""
    if thread.mode & SOURCE_LINES:
        ctx.metadata["source"] = user_place()
    if thread.mode & NAN_SAFE:
        ctx.__class__ = guarded(type(ctx), OPS)
    if thread.mode & ANOMALY:
        given, made = ([t._raw for t in ts if isinstance(t, Variable)] for ts in (args, outputs))
        anomaly.after_forward(ctx._function.__name__, given, made, ctx)


def wrap_view(tensor: Any) -> Any:
    """Another tensor over the same memory: an output that is known already gets a place of its own in the graph."""
    return tensor.detach()


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` whose result cannot be differentiated again: doing so raises."""

    @functools.wraps(backward)
    def not_recorded(ctx: Any, *grads: Any) -> Any:
        recorded = set_recording(False)
        try:
            results = backward(ctx, *grads)
        finally:
            set_recording(recorded)
        if not recorded:
            return results
        results = results if isinstance(results, tuple) else (results,)
        return tuple(_undifferentiable(ctx, grads, r) if isinstance(r, Variable) else r for r in results)

    return not_recorded


def _undifferentiable(ctx: Any, grads: tuple[Any, ...], result: Any) -> Any:
    """`result` with all edges that it would have, had it been recorded."""
    inputs = [wrap(result._raw, edge) for edge in ctx.edges if edge is not None]
    return _Undifferentiable.apply(result, ctx.name(), *grads, *inputs)


class _Undifferentiable(Function):
    """Its result stands in a recorded derivative, and says so when somebody differentiates it."""

    @staticmethod
    def forward(ctx: Any, x: Any, name: str, *sources: Any) -> Any:
        ctx.of = name
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise RuntimeError(
            f"trying to differentiate twice a function that was marked with @once_differentiable: {ctx.of}"
        )
