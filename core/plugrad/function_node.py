"""The node of a `Function`, which is also the `ctx` that its forward and backward share."""

from __future__ import annotations

import weakref
from typing import Any

from . import dtypes
from .backend import as_array, backend_of
from .errors import DeviceError, GraphFreedError
from .graph import Meta, Node, Port, Variable, wrap
from .modes import NO_GRAD, is_grad_enabled, set_recording, thread, tidy
from .op import conform
from .saved import Packed

#: In the place of a saved tensor's place in the graph: forward computed it, and nobody knows its derivative.
INTERMEDIATE = object()


class FunctionCtx(Node):
    """What `forward` and `backward` of a `Function` share: the node itself."""

    # No __slots__: authors hang their own attributes on it.

    takes_none = True
    _function: Any
    #: For each argument of `apply`, whether it needs a gradient.
    needs_input_grad: tuple[bool, ...]
    materialize_grads = True
    non_differentiable: tuple[Any, ...] = ()
    dirty_tensors: tuple[Any, ...] = ()
    to_save: tuple[Any, ...] = ()
    saved_for_forward: tuple[Any, ...] = ()
    _saved: tuple[Any, ...] | None = ()
    _recorded = _accessed = False
    _ports: weakref.WeakValueDictionary[int, Port] | None = None
    input_metas: tuple[Meta | None, ...]
    output_metas: tuple[Meta | None, ...]  # None for an output that is no tensor
    input_backends: tuple[Any, ...]

    def __init__(self) -> None:
        self.edges, self.hooks = (), None

    # --- for forward and setup_context ----------------------------------------------------------------------

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs or outputs of `forward` (or None) for `backward`; anything else goes on `ctx` itself."""
        self._check("save_for_backward", tensors, TypeError, "can only save variables")
        self.to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for `jvp`; anything else goes on `ctx` itself."""
        self._check("save_for_forward", tensors, AssertionError, "expects all arguments to be tensors")
        self.saved_for_forward = tensors

    def mark_non_differentiable(self, *args: Any) -> None:
        """Say that these outputs need no gradient."""
        self._check("mark_non_differentiable", args, RuntimeError, "only accepts variable arguments")
        self.non_differentiable = args

    def mark_dirty(self, *args: Any) -> None:
        """Say that `forward` has written into these inputs, which it must return."""
        self._check("mark_dirty", args, RuntimeError, "can only accept variables", none=False)
        self.dirty_tensors = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default) or None for outputs that nobody differentiated."""
        self._check("set_materialize_grads", (), RuntimeError, "")
        self.materialize_grads = value

    def _check(
        self,
        asked: str,
        values: tuple[Any, ...],
        error: type[Exception],
        rule: str,
        none: bool = True,
    ) -> None:
        if self._recorded:
            raise RuntimeError(
                f"{self._function.__name__}: {asked} is for forward or setup_context, but it was called after them, "
                "where it can have no effect"
            )
        for i, value in enumerate(values):
            if not (isinstance(value, Variable) or (none and value is None)):
                raise error(
                    f"{self._function.__name__}: {asked} {rule}, but argument {i} is of type {type(value).__name__}: "
                    "keep other values as attributes, ctx.value = value"
                )

    # --- for backward ---------------------------------------------------------------------------------------

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors that were saved, with their place in the graph."""
        if self._accessed:
            raise RuntimeError(
                f"{self.name()}: saved_tensors can only be accessed once when clear_saved_tensors_on_access=True is set on "
                "the autograd.Function. Either access saved_tensors only once, or set clear_saved_tensors_on_access=False."
            )
        if self._saved is None:
            raise GraphFreedError(
                f"{self.name()}: the saved tensors are gone, because the graph was differentiated before (Trying to "
                "backward through the graph a second time): pass retain_graph=True to the first backward"
            )
        tensors = tuple(
            None if s is None else wrap(s[0].unpack() if type(s[0]) is Packed else s[0], self._edge_of(s[1]))
            for s in self._saved
        )
        if self._function.clear_saved_tensors_on_access and self._saved:
            self._saved, self._accessed = (), True
        return tensors

    @saved_tensors.setter
    def saved_tensors(self, value: Any) -> None:
        raise AttributeError(
            f"{self._function.__name__}: saved_tensors cannot be set: call ctx.save_for_backward(...)"
        )

    def _edge_of(self, place: Any) -> Node | None:
        """An input's edge as it was saved, or of an output (by its index) this node: a node must not hold itself."""
        if place is INTERMEDIATE:
            return Intermediate(self) if is_grad_enabled() else None
        return self.place_of_output(place) if isinstance(place, int) else place

    def place_of_output(self, i: int) -> Node:
        """This node, or the port of one of several outputs: one port each, so that what arrives there adds up."""
        if len(self.output_metas) == 1:
            return self
        if self._ports is None:
            self._ports = weakref.WeakValueDictionary()
        port = self._ports.get(i)
        if port is None:
            port = self._ports[i] = Port(self, i)
        return port

    # --- as a node ------------------------------------------------------------------------------------------

    def backward(self, g: Any) -> tuple[Any, ...]:
        """Call the author's backward on tensors over raw arrays, not recorded."""
        gs = [None if x is None else wrap(as_array(x)) for x in self._by_output(g)]
        return tuple(None if x is None else x._raw for x in self._call_backward(gs, recorded=False))

    def backward_recorded(self, g: Any) -> tuple[Any, ...]:
        """Call the author's backward and record it."""
        return self._call_backward(self._by_output(g), recorded=True)

    def _by_output(self, g: Any) -> list[Any]:
        return g if isinstance(g, list) else [None] * len(self.output_metas) if g is None else [g]

    def _call_backward(self, gs: list[Any], recorded: bool) -> tuple[Any, ...]:
        if self.materialize_grads and any(g is None for g in gs):
            gs = self._materialized(gs)
        backward = self._function._backward()
        was = thread.mode
        try:
            set_recording(recorded and is_grad_enabled())
            if self._function.boxed_grads_call:
                results = backward(self, list(gs))
            else:
                results = backward(self, *gs)
        finally:
            thread.mode = thread.mode & ~NO_GRAD | was & NO_GRAD  # in one step: see `tidy`
            tidy()
        return self._checked(results if isinstance(results, tuple) else (results,))

    def _materialized(self, gs: list[Any]) -> list[Any]:
        """The gradients with zeros for those that are missing; None for an output that is no tensor."""
        known = [backend_of(g._raw) for g in gs if g is not None]
        backend = (known or [b for b in self.input_backends if b is not None])[0]
        return [
            wrap(backend.zeros(m.shape, m.dtype)) if g is None and m is not None else g
            for g, m in zip(gs, self.output_metas, strict=True)
        ]

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
        edges = iter(self.edges)  # one for each argument that was a tensor
        found = []
        for i, (g, m) in enumerate(zip(results, self.input_metas, strict=True)):
            if m is not None:
                found.append(None if next(edges) is None or g is None else self._gradient(i, g, m))
            elif g is not None:
                raise RuntimeError(
                    f"function {self.name()} returned a gradient different than None at position {i}, but that "
                    "argument of forward was no Tensor: return None for it"
                )
        return tuple(found)

    def _gradient(self, i: int, g: Any, m: Meta) -> Any:
        if not isinstance(g, Variable):
            raise RuntimeError(
                f"function {self.name()} returned a {type(g).__name__} as gradient at index {i}: expected Variable or None"
            )
        invalid = f"Function {self.name()} returned an invalid gradient at index {i} - "
        found, expected = backend_of(g._raw), self.input_backends[i]
        if found is not expected and _device(found) is not _device(expected):
            raise DeviceError(
                f"{invalid}expected device {_device(expected).device_name} but got {_device(found).device_name}: "
                "move it with .to(...)"
            )
        shape, dtype = tuple(g._raw.shape), dtypes.of(g._raw.dtype)
        if shape != m.shape and not _expandable(m.shape, shape):
            raise RuntimeError(
                f"{invalid}got {list(shape)} but expected shape compatible with {list(m.shape)}"
            )
        if dtype.is_complex and not m.dtype.is_complex:
            raise RuntimeError(
                f"{invalid}got {dtype} but that argument of forward is {m.dtype}: return the .real of what is complex"
            )
        return conform(g, m)

    def sources(self, like: Any) -> list[Any]:
        """Tensors, their values those of `like`, in the places of the graph that the arguments came from."""
        return [wrap(like._raw, edge) for edge in self.edges if edge is not None]

    def release(self) -> None:
        """Let go of the saved tensors."""
        if self._saved:
            self._saved = None


def _device(backend: Any) -> Any:
    """The backend of the device: of a transform, the one at the bottom."""
    return backend.base if backend.is_transform else backend


def _expandable(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    padded = (1,) * (len(large) - len(small)) + small
    return len(padded) == len(large) and all(a in (1, b) for a, b in zip(padded, large, strict=True))


class Intermediate(Node):
    """Where the gradient of a saved tensor would go that is neither input nor output: an error.

    PyTorch takes such a tensor for a constant, so that second derivatives lack a part, in silence.
    """

    __slots__ = ("of",)

    def __init__(self, ctx: FunctionCtx) -> None:
        self.edges, self.hooks, self.of = ctx.edges, None, ctx._function.__name__

    def backward(self, g: Any) -> tuple[Any, ...]:
        """Raise."""
        raise RuntimeError(
            f"{self.of} is differentiated twice, but save_for_backward kept a tensor that is neither an input nor an "
            "output of its forward, so that the second derivative would lack a part: save the inputs and compute it "
            "anew in backward, or return it as one more output (mark_non_differentiable if it is a constant), or "
            "decorate backward with @once_differentiable"
        )

    consume = backward_recorded = backward
