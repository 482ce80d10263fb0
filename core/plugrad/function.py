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

`ctx` is the node of the graph (see `function_node`), so what is saved lives as long as the graph does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import anomaly, dtypes, levels, storage, writes
from .backend import backend_of
from .codegen import meta
from .errors import InPlaceError
from .function_node import INTERMEDIATE, FunctionCtx
from .graph import Variable
from .modes import (
    ANOMALY,
    NAN_SAFE,
    NO_GRAD,
    SOURCE_LINES,
    SPECIAL,
    WATCHED,
    active,
    set_recording,
    thread,
    tidy,
)
from .nan_safety import guarded
from .op import OPS, check_saved
from .saved import Packed, current
from .strict import user_place


class Function:
    """A base for operators with a backward of your own: see the module's head, and call `apply`."""

    _node: type[FunctionCtx]
    #: How many arguments `forward` takes at most, beside a `setup_context`; None until somebody asks.
    _arity: int | None = None
    #: Whether the first look at `ctx.saved_tensors` lets go of them, so that backward needs less memory.
    clear_saved_tensors_on_access = False
    #: Whether `backward(ctx, grads)` gets its gradients as one list, from which it may take them.
    boxed_grads_call = False
    #: Whether `vmap` may run forward and backward, which must consist of ops, on whole batches.
    generate_vmap_rule = False

    def __init_subclass__(cls) -> None:
        doc = f"The node that `{cls.__name__}.apply` records."
        cls._node = type(f"{cls.__name__}Backward", (FunctionCtx,), {"_function": cls, "__doc__": doc})
        cls._arity = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or kwargs:
            self(*args, **kwargs)
        import warnings

        warnings.warn(
            f"{type(self)} should not be instantiated: its methods are static, call {type(self).__name__}.apply(...)",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"{type(self).__name__} is called as {type(self).__name__}.apply(...), not as a function or an instance"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs: `forward(ctx, *args)`, or `forward(*args)` beside a `setup_context`."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what `backward` needs, where `forward` does not take `ctx`."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Compute a gradient for each argument of `forward`, given one for each output; `vjp` is the same."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Compute a tangent for each output, given one for each argument of `forward`."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """Compute `(output, out_dims)` of batched arguments."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or set generate_vmap_rule=True."
        )

    @classmethod
    def _backward(cls) -> Callable[..., Any]:
        """The author's `backward`, or the `vjp`."""
        own, vjp = cls.backward is not Function.backward, cls.vjp is not Function.vjp
        if own and vjp:
            raise RuntimeError(
                f"{cls.__name__}: Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should "
                "only implement one of them."
            )
        if not own and not vjp:
            raise NotImplementedError(
                "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
                f"backward mode AD: {cls.__name__} has neither"
            )
        return cls.backward if own else cls.vjp

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, and record it where an argument requires grad."""
        if cls.forward is Function.forward:
            raise NotImplementedError(
                f"You must implement the forward function for custom autograd.Function: {cls.__name__} has none"
            )
        separate = cls.setup_context is not Function.setup_context
        if kwargs or (separate and len(args) != cls._arity):
            args = _bound(cls, args, kwargs, separate)
        if levels.thread.stack and (level := levels.highest(args)) is not None:
            return level.custom_function(cls, args)
        return cls._run(args, separate)

    @classmethod
    def _run(
        cls,
        args: tuple[Any, ...],
        separate: bool,
        ctx: Any = None,
        forward: Callable[..., Any] | None = None,
    ) -> Any:
        """`apply`, once it is known that no transform has a say in it.

        A transform brings the `ctx` that it looks at, or another `forward`.
        """
        looked_at, ctx = ctx is not None, cls._node() if ctx is None else ctx
        edges = tuple([a._edge if isinstance(a, Variable) else None for a in args])
        ctx.needs_input_grad = tuple([e is not None for e in edges])
        was = thread.mode
        recorded = not was & NO_GRAD and any(ctx.needs_input_grad)
        versions = [_version(a) for a in args] if recorded else []
        try:
            set_recording(False)
            if separate:
                result = (cls.forward if forward is None else forward)(*args)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args)
        finally:
            thread.mode = thread.mode & ~NO_GRAD | was & NO_GRAD  # in one step: see `tidy`
            tidy()
        if not looked_at:
            ctx.saved_for_forward = ()  # an output among them would hold the node that holds it
        single = not isinstance(result, tuple)
        outputs = (result,) if single else result
        if ctx.dirty_tensors:
            _check_dirty(ctx, args, outputs, recorded)
        if recorded:
            _check_recorded(ctx, args, outputs, versions)
            outputs = cls._connected(ctx, args, outputs, edges)
        else:
            known = [a for a in args if not _is_in(a, ctx.dirty_tensors)]
            outputs = tuple([_detached(y, known) if isinstance(y, Variable) else y for y in outputs])
        return outputs[0] if single else outputs

    @classmethod
    def _connected(
        cls, ctx: FunctionCtx, args: tuple[Any, ...], outputs: tuple[Any, ...], edges: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """The outputs with their place in the graph, and `ctx` with what it saves."""
        dirty = ctx.dirty_tensors
        fresh: list[Any] = []
        for y in outputs:
            if isinstance(y, Variable) and not _is_in(y, dirty):
                if y._edge is not None or _is_in(y, (*args, *fresh)):
                    y = _alias(y, cls.__name__)  # it gets a place of its own in the graph
                elif hasattr(y, "_view"):
                    y._view.function = cls.__name__
            fresh.append(y)
        ctx.output_metas = tuple([meta(y._raw) if isinstance(y, Variable) else None for y in fresh])
        ctx.input_metas = tuple([meta(a._raw) if isinstance(a, Variable) else None for a in args])
        ctx.input_backends = tuple([backend_of(a._raw) if isinstance(a, Variable) else None for a in args])
        hooks, saved = current(), list[Any]()
        for t in ctx.to_save:
            if t is not None:
                check_saved(t)
                place = cls._place(t, args, outputs, edges, dirty)
                saved.append((t._raw if hooks is None else Packed(t._raw, hooks), place))
            else:
                saved.append(None)
        ctx._saved = tuple(saved)
        ctx.edges = tuple([e for e, m in zip(edges, ctx.input_metas, strict=True) if m is not None])
        for i, y in enumerate(fresh):
            differentiable = isinstance(y, Variable) and y.dtype.category >= dtypes.FLOAT
            place = None
            if differentiable and not _is_in(outputs[i], ctx.non_differentiable):
                place = ctx.place_of_output(i)
            if _is_in(y, dirty):
                writes.advance(y, place)
            elif place is not None:
                y._edge = place
        ctx.to_save = ctx.non_differentiable = ctx.dirty_tensors = ()
        ctx._recorded = True
        if active and thread.mode & SPECIAL:
            _in_special_mode(ctx, args, tuple(fresh))
        return tuple(fresh)

    @staticmethod
    def _place(tensor: Any, args: Any, outputs: Any, edges: Any, dirty: Any) -> Any:
        """Where a saved tensor belongs: an input's edge, the index of an output, or nobody knows."""
        if not _is_in(tensor, dirty):
            for a, edge in zip(args, edges, strict=True):
                if tensor is a:
                    return edge
        for i, y in enumerate(outputs):
            if tensor is y:
                return i
        known = tensor._edge is not None or tensor.dtype.category < dtypes.FLOAT
        return tensor._edge if known else INTERMEDIATE


class InplaceFunction(Function):
    """The same as `Function`, for programs that name it."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def _on_ctx(name: str) -> Any:
    def refuse(cls: type[Function], *args: Any) -> None:
        raise TypeError(
            f"{cls.__name__}.{name}: it is a method of ctx, which forward or setup_context gets first: ctx.{name}(...)"
        )

    return classmethod(refuse)


for _name in (
    "save_for_backward",
    "save_for_forward",
    "mark_dirty",
    "mark_non_differentiable",
    "set_materialize_grads",
):
    setattr(Function, _name, _on_ctx(_name))


def _bound(
    cls: type[Function], args: tuple[Any, ...], kwargs: dict[str, Any], separate: bool
) -> tuple[Any, ...]:
    """The arguments of `forward` by position, since backward returns a gradient for each position.

    Beside a `setup_context` all defaults are filled in, else those before the last argument that was given.
    """
    import inspect

    signature = inspect.signature(cls.forward)
    takes = "takes no ctx, since there is a setup_context"
    if not separate:
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
        takes = "(beside ctx) is what it takes"
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{cls.__name__}.apply: {error}: forward{signature} {takes}") from None
    given = set(bound.arguments)
    bound.apply_defaults()
    if bound.kwargs:
        raise TypeError(
            f"{cls.__name__}.apply: forward has keyword-only arguments, {', '.join(bound.kwargs)}, for which backward could "
            "return no gradient: let it take them by position, too"
        )
    names = list(signature.parameters)
    kinds = [p.kind for p in signature.parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return bound.args
    if separate:
        cls._arity = len(kinds)
        return bound.args
    return bound.args[: 1 + max(names.index(name) for name in given)]


def _is_in(tensor: Any, tensors: Any) -> bool:
    return any([t is tensor for t in tensors])


def _version(tensor: Any) -> int:
    home = getattr(tensor, "_storage", None)
    return 0 if home is None else home.version


def _check_dirty(ctx: FunctionCtx, args: tuple[Any, ...], outputs: tuple[Any, ...], recorded: bool) -> None:
    """Raise where a dirty tensor is not returned, or belongs to a graph that must not be written."""
    name = ctx._function.__name__
    for d in ctx.dirty_tensors:
        if recorded or writes.is_recorded(d):
            writes.check(d, name)
        if not _is_in(d, args):
            import warnings

            warnings.warn(
                f"{name}: ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been "
                "mutated should be passed to it",
                stacklevel=4,
            )
        elif not _is_in(d, outputs):
            raise RuntimeError(
                f"{name}: Some elements marked as dirty during the forward method were not returned as output. The inputs "
                "that are modified inplace must all be outputs of the Function."
            )


def _check_recorded(
    ctx: FunctionCtx, args: tuple[Any, ...], outputs: tuple[Any, ...], versions: list[int]
) -> None:
    """Raise where `forward` lost the graph, or wrote into an argument without a word."""
    name, dirty = ctx._function.__name__, ctx.dirty_tensors
    if not any([isinstance(y, Variable) for y in outputs]) and outputs:
        found = ", ".join(type(y).__name__ for y in outputs)
        raise TypeError(
            f"{name}: forward returned no Tensor but {found}, though an argument requires grad: the graph would be lost. "
            "Return a Tensor or a tuple of them (lists and dicts are passed on as they are)"
        )
    for i, (a, version) in enumerate(zip(args, versions, strict=True)):
        if not ctx.needs_input_grad[i] or _version(a) == version or a.is_leaf:
            continue
        if not any([storage.of(d) is a._storage for d in dirty]):
            raise InPlaceError(
                f"{name}: forward wrote into its argument {i} in place and did not say so, so that its gradient would be "
                "wrong: call ctx.mark_dirty on it and return it, or compute a new tensor"
            )


def _detached(tensor: Any, known: list[Any]) -> Any:
    """An output outside the graph; another tensor, if it is one that the caller has."""
    return tensor.detach() if tensor._edge is not None or _is_in(tensor, known) else tensor


def _alias(tensor: Any, function: str) -> Any:
    """Another tensor over the memory of one that has a place in the graph already."""
    other, view = tensor.detach(), getattr(tensor, "_view", None)
    base, steps = (tensor, ()) if view is None else (view.base, view.steps)
    other._view = storage.View(base, steps, True, function)
    return other


def _in_special_mode(ctx: Any, args: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
    """What modes do with a node that was recorded."""
    if thread.mode & SOURCE_LINES:
        ctx.metadata["source"] = user_place()
    if thread.mode & NAN_SAFE:
        ctx.__class__ = guarded(type(ctx), OPS)
    given, made = ([t._raw for t in ts if isinstance(t, Variable)] for ts in (args, outputs))
    if thread.mode & ANOMALY:
        anomaly.after_forward(ctx._function.__name__, given, made, ctx)
    if thread.mode & WATCHED:
        thread.watcher(ctx._function, given, (), made, ctx)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` whose result cannot be differentiated again: doing so raises."""

    @functools.wraps(backward)
    def not_recorded(ctx: Any, *grads: Any) -> Any:
        was = thread.mode
        try:
            set_recording(False)
            results = backward(ctx, *grads)
        finally:
            thread.mode = thread.mode & ~NO_GRAD | was & NO_GRAD  # in one step: see `tidy`
            tidy()
        if was & NO_GRAD:
            return results
        results = results if isinstance(results, tuple) else (results,)
        return tuple(_undifferentiable(ctx, grads, r) if isinstance(r, Variable) else r for r in results)

    return not_recorded


def _undifferentiable(ctx: Any, grads: tuple[Any, ...], result: Any) -> Any:
    """`result` with all edges that it would have, had it been recorded."""
    return _Undifferentiable.apply(result, ctx.name(), *grads, *ctx.sources(result))


class _Undifferentiable(Function):
    """Its result stands in a recorded derivative, and says so when somebody differentiates it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any, name: str, *sources: Any) -> Any:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.of = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise RuntimeError(
            f"trying to differentiate twice a function that was marked with @once_differentiable: {ctx.of}"
        )
