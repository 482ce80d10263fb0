"""Reverse mode as functions of functions: `grad`, `grad_and_value`, `vjp`.

They take their derivatives at the innermost live level, where the arguments become fresh leaves; what levels below,
or an enclosing `grad`, are to differentiate stays connected.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes, engine, levels, ops
from ..accumulate import fresh_leaf
from ..backend import backend_of
from ..graph import Node, Variable, wrap
from ..modes import inference_mode, is_grad_enabled
from .tree import Spec, flatten


class Taped:
    """A call of a function whose inputs, the tensors `xs`, have got places of their own in the graph."""

    def __init__(self, func: Callable[[Any], Any], tree: Any, asked: str) -> None:
        self.xs, self.spec = tensors(tree, asked, "inputs")
        self.recording = is_grad_enabled()
        self.inside = bool(levels.thread.stack)
        with inference_mode(False):
            self.leaves = [fresh(x, self.recording) for x in self.xs]
            #: Where the graph ends that nobody outside knows.
            self.own = {x._edge for x in self.leaves if x.is_leaf}
            self.output = func(self.spec.unflatten(self.leaves))

    def released(self, tree: Any) -> Any:
        """The tensors in `tree` outside this call: recorded where others than its leaves want it."""
        values, spec = flatten(tree)
        return spec.unflatten([self._released(v) if isinstance(v, Variable) else v for v in values])

    def _released(self, tensor: Any) -> Any:
        if self.recording and self._wanted_by_others([tensor]):
            return tensor
        return wrap(tensor._raw) if tensor._edge is not None else tensor

    def _wanted_by_others(self, tensors: Sequence[Any]) -> bool:
        """Whether the graph of tensors leads anywhere but to the leaves that were made for this call, or for others that
        have ended: those nobody remembers."""
        found: dict[Node, None] = dict.fromkeys(t._edge for t in tensors if t._edge is not None)
        stack = list(found)
        while stack:
            node = stack.pop()
            if not node.edges and node not in self.own and (_remembered(node) or node.hooks is not None):
                return True
            for edge in node.edges:
                if edge is not None and edge not in found:
                    found[edge] = None
                    stack.append(edge)
        return False

    def pull(self, outputs: Sequence[Any], cotangents: Sequence[Any] | None, retain_graph: bool) -> list[Any]:
        """The gradients of the inputs; zeros where an output does not depend on one."""
        if cotangents is None:
            cotangents = [None] * len(outputs)
        pairs = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if y._edge is not None]
        if not pairs:
            return [zeros(x) for x in self.leaves]
        ys, gs = [y for y, _ in pairs], [g for _, g in pairs]
        found = self.grad(ys, self.leaves, gs, retain_graph)
        return [zeros(x) if g is None else g for x, g in zip(self.leaves, found, strict=True)]

    def linear(self, outputs: Sequence[Any]) -> tuple[list[Any], Sequence[Any]]:
        """Cotangents of outputs, and the gradients of the inputs as recorded functions of them."""
        if not outputs:
            return [], [None] * len(self.leaves)
        cotangents = [zeros(y).requires_grad_() for y in outputs]
        self.own.update(g._edge for g in cotangents)
        with inference_mode(False):
            found = engine.grad(outputs, self.leaves, cotangents, create_graph=True, allow_unused=True)
        return cotangents, found

    def grad(self, ys: Sequence[Any], xs: Sequence[Any], gs: Sequence[Any], retain_graph: bool) -> list[Any]:
        """The gradients of `ys`, outputs of this call, by `xs`: recorded where others want it, None for unused ones."""
        # Below a level there may be others who differentiate, of whom this level's graph knows nothing.
        recorded = self.inside or any(g is not None and levels.connected(g) for g in gs)
        recorded = recorded or (self.recording and self._wanted_by_others(ys))
        found = engine.grad(
            ys, xs, gs, retain_graph=retain_graph or recorded, create_graph=recorded, allow_unused=True
        )
        return [None if g is None else self._released(g) for g in found]


def _remembered(node: Any) -> bool:
    return getattr(node, "variable", node) is not None


def tensors(tree: Any, asked: str, which: str) -> tuple[list[Any], Spec]:
    """The leaves of `tree`, all of them tensors, and its structure."""
    found, spec = flatten(tree)
    for x in found:
        if not isinstance(x, Variable):
            raise ValueError(
                f"{asked}: Expected all {which} to be Tensors, got {type(x)}: close over other arguments, e.g. with "
                "functools.partial"
            )
    return found, spec


def fresh(x: Any, recording: bool) -> Any:
    """`x` with a place of its own in the graph of the innermost level, connected to that of `x`."""
    top = levels.thread.stack[-1] if levels.thread.stack else None
    if top is not None and levels.of(x._raw) is not top:
        return fresh_leaf(top.lift(x))
    if x._edge is None or not recording:
        return fresh_leaf(x._raw)
    return ops.reshape_.call(x, tuple(x._raw.shape))


def zeros(like: Any) -> Any:
    """Zeros of a tensor's shape and dtype."""
    raw = like._raw
    return wrap(backend_of(raw).zeros(tuple(raw.shape), dtypes.of(raw.dtype)))


def argument_numbers(argnums: Any, count: int) -> tuple[int, ...]:
    """The positions of the arguments to differentiate by, checked."""
    numbers = (argnums,) if type(argnums) is int else argnums
    if not isinstance(numbers, tuple) or not all(type(i) is int for i in numbers):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    if not numbers:
        raise RuntimeError("argnums must be non-empty")
    for i in numbers:
        if not -count <= i < count:
            raise RuntimeError(f"Got argnum={i}, but only {count} positional inputs")
    wanted = tuple(i % count for i in numbers)
    if len(set(wanted)) < len(wanted):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return wanted


def of_chosen(func: Callable[..., Any], argnums: Any, args: Any, kwargs: Any = None) -> tuple[Any, Any]:
    """`func` as a function of a tuple of the arguments that `argnums` chooses, and these."""
    numbers = argument_numbers(argnums, len(args))

    def chosen(values: Any) -> Any:
        full = list(args)
        for i, v in zip(numbers, values, strict=True):
            full[i] = v
        return func(*full, **(kwargs or {}))

    return chosen, tuple(args[i] for i in numbers)


def output_and_aux(result: Any, asked: str) -> tuple[Any, Any]:
    """What a function with `has_aux` returns."""
    if type(result) is not tuple or len(result) != 2:
        raise RuntimeError(
            f"{asked}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return result


def grad_and_value(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The function that computes the gradient of `func`, which returns one number, and its value: (gradient, value).

    With `has_aux`, `func` returns (value, aux), and the result is (gradient, (value, aux)).

    >>> import plugrad as torch
    >>> grad_and_value(lambda x: (x * x).sum())(torch.tensor([1.0, 2.0]))
    (tensor([2., 4.]), tensor(5.))
    """
    asked = "grad_and_value(f)(*args)"

    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        chosen, xs = of_chosen(func, argnums, args, kwargs)
        tape = Taped(chosen, xs, asked)
        y, aux = output_and_aux(tape.output, asked) if has_aux else (tape.output, None)
        if not isinstance(y, Variable):
            raise RuntimeError(f"{asked}: Expected f(*args) to return a Tensor, got {type(y)}")
        if y._raw.shape:
            raise RuntimeError(
                f"{asked}: Expected f(*args) to return a scalar Tensor, got tensor with {len(y._raw.shape)} dims. Maybe "
                "you wanted to use the vjp or jacrev APIs instead?"
            )
        found = tape.spec.unflatten(tape.pull([y], None, False))
        found = found if isinstance(argnums, tuple) else found[0]
        value = tape.released(y)
        return (found, (value, tape.released(aux))) if has_aux else (found, value)

    return gradient


def grad(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The function that computes the gradient of `func`, which returns one number.

    `argnums` says with respect to which arguments, which may be nested containers of tensors; a tuple gives a tuple
    of gradients. With `has_aux`, `func` returns (value, aux), and the result is (gradient, aux).

    >>> import plugrad as torch
    >>> grad(grad(lambda x: x**3))(torch.tensor(2.0))
    tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `func` at `primals`, and the function that takes cotangents of it back to the primals.

    Returns (output, vjp function), with `has_aux` also aux. The vjp function returns a tuple with a gradient for each
    primal; for one primal the gradient itself.

    >>> import plugrad as torch
    >>> y, pull = vjp(lambda x: x * x, torch.tensor([3.0]))
    >>> y, pull(torch.tensor([1.0]))
    (tensor([9.]), (tensor([6.]),))
    """
    asked = "vjp(f, *primals)"
    tape = Taped(lambda xs: func(*xs), primals, asked)
    y, aux = output_and_aux(tape.output, asked) if has_aux else (tape.output, None)
    outputs, out_spec = tensors_returned(y, asked)

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        """The gradients of the primals, for cotangents in the structure of the output."""
        gs, spec = flatten(cotangents)
        if spec != out_spec:
            raise RuntimeError(
                f"Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function. "
                f"cotangents: {spec}, primal output: {out_spec}"
            )
        for g in gs:
            if not isinstance(g, Variable):
                raise TypeError(f"vjp: cotangents must be Tensors, got {type(g)}")
        return tape.spec.unflatten(tape.pull(outputs, gs, retain_graph))

    results = tape.released(y), pull
    return (*results, tape.released(aux)) if has_aux else results


def tensors_returned(y: Any, asked: str) -> tuple[list[Any], Spec]:
    """The outputs of a function, all of them tensors, and their structure."""
    outputs, spec = flatten(y)
    for v in outputs:
        if not isinstance(v, Variable):
            raise RuntimeError(
                f"{asked}: expected f(*primals) to return only tensors, got unsupported type {type(v)}"
            )
        dt = dtypes.of(v._raw.dtype)
        if dt.category < dtypes.FLOAT:
            raise RuntimeError(
                f"{asked}: All outputs of f must be floating-point or complex Tensors, got Tensor with dtype {dt}: "
                "return it as aux (has_aux=True), or convert it"
            )
    if not outputs:
        raise RuntimeError(
            f"{asked}: Expected f to be a function that has non-empty output (got output = {y})"
        )
    return outputs, spec
