"""Jacobians, Hessians and their products with vectors: `torch.autograd.functional`.

A function takes tensors and returns a tensor or a tuple of them. Where it does not depend on an input the result is
zeros, or with `strict` an error. `plugrad.func` has the same for nested containers, to be combined at will.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import ops
from ..accumulate import fresh_leaf
from ..engine import grad
from ..graph import Variable
from ..modes import inference_mode, is_grad_enabled, set_grad_enabled
from ..transforms.jacobians import basis, jacfwd, pieces
from ..transforms.reverse import grad as reverse_grad
from ..transforms.reverse import zeros

Tensors = Any  # a tensor or a tuple of tensors

_CONSTANT_OUTPUT = "The output of the user-provided function is independent of input {i}."
_CONSTANT_JACOBIAN = "The jacobian of the user-provided function is independent of input {i}."
_CONSTANT_HESSIAN = "The hessian of the user-provided function is independent of input {i}."
_NO_GRAPH = (
    "Output {i} of the user-provided function does not require gradients. The outputs must be computed in a "
    "differentiable manner from the input when running in strict mode."
)
_IMPLIED = "The vector v can only be None if {what} a single Tensor with a single element."


class _Call:
    """A function called on inputs that have places of their own in the graph, and what follows from it."""

    def __init__(
        self, asked: str, func: Any, inputs: Sequence[Any], several: bool, create_graph: bool, strict: bool
    ) -> None:
        self.asked, self.create_graph, self.strict = asked, create_graph, strict
        self.inputs, self.several_inputs = list(inputs), several
        found = func(*self.inputs)
        self.outputs, self.several_outputs = _tuple_of(found, "outputs of the user-provided function", asked)
        if strict:
            self.require_graph(self.outputs, _NO_GRAPH)

    def require_graph(self, tensors: Sequence[Any], text: str) -> None:
        """In strict mode, raise for the first tensor that depends on no input."""
        for i, t in enumerate(tensors):
            if self.strict and not t.requires_grad:
                raise RuntimeError(f"{self.asked}: {text.format(i=i)}")

    def one_number(self) -> None:
        """Raise unless the output is one number, as a Hessian needs."""
        if self.several_outputs:
            raise RuntimeError(f"The function given to {self.asked} should return a single Tensor")
        if self.outputs[0].numel() != 1:
            raise RuntimeError(
                f"The Tensor returned by the function given to {self.asked} should contain a single element, found "
                f"shape {tuple(self.outputs[0].shape)}"
            )

    def gradient(self) -> list[Any]:
        """That of the one number, with its graph; zeros where it does not depend on an input."""
        found = pull(self.outputs, self.inputs, None, create_graph=True)
        filled = self.filled(found, _CONSTANT_OUTPUT, graph=False)
        text = (
            "While computing the hessian, found that the jacobian of the user-provided function with respect to input "
            "{i} is independent of the input. This is not allowed in strict mode. You should ensure that your function "
            "is twice differentiable and that the jacobian depends on the inputs."
        )
        self.require_graph(filled, text)
        return filled

    def filled(self, found: Sequence[Any], constant: str, graph: bool = True) -> list[Any]:
        """Gradients of the inputs with zeros for None, which is an error in strict mode; so is one without a graph."""
        for i, g in enumerate(found):
            if not self.strict:
                break
            if g is None:
                raise RuntimeError(
                    f"{self.asked}: {constant.format(i=i)} This is not allowed in strict mode."
                )
            if graph and self.create_graph and not g.requires_grad:
                what = _CONSTANT_JACOBIAN if constant is _CONSTANT_OUTPUT else _CONSTANT_HESSIAN
                raise RuntimeError(
                    f"{self.asked}: {what.format(i=i)} This is not allowed in strict mode when create_graph=True."
                )
        return [zeros(x) if g is None else g for g, x in zip(found, self.inputs, strict=True)]

    def vector(self, v: Tensors, like: Sequence[Any], several: bool, what: str) -> list[Any] | None:
        """The vector `v`, which must have the shapes of `like`; None may stand for one number."""
        if v is None:
            if len(like) != 1 or like[0].numel() != 1:
                raise RuntimeError(_IMPLIED.format(what=what))
            return None
        vs, _ = _tuple_of(v, "v", self.asked)
        if len(vs) != len(like):
            raise RuntimeError(
                f"{self.asked}: v is a tuple of invalid length: should be {len(like)} but got {len(vs)}."
                if several
                else f"{self.asked}: The given v should contain a single Tensor."
            )
        for i, (a, b) in enumerate(zip(vs, like, strict=True)):
            if a.shape != b.shape:
                entry = f"Entry {i} in " if several else ""
                raise RuntimeError(
                    f"{self.asked}: {entry}v has invalid size: should be {b.shape} but got {a.shape}."
                )
        return [a if self.create_graph else a.detach() for a in vs]

    def released(self, tensors: Sequence[Any], several: bool) -> Any:
        """What the user gets: without a graph, if none was asked for."""
        found = tuple(t if self.create_graph else t.detach() for t in tensors)
        return found if several else found[0]


def _tuple_of(values: Any, which: str, asked: str) -> tuple[tuple[Any, ...], bool]:
    several = isinstance(values, tuple)
    found = tuple(values) if several else (values,)
    for i, x in enumerate(found):
        if not isinstance(x, Variable):
            place = f"value at index {i}" if several else f"given {which}"
            raise TypeError(
                f"The {which} given to {asked} must be either a Tensor or a tuple of Tensors but the {place} has type {type(x)}."
            )
    return found, several


def _called(asked: str, func: Any, inputs: Tensors, create_graph: bool, strict: bool) -> _Call:
    given, several = _tuple_of(inputs, "inputs", asked)
    return _Call(asked, func, [_placed(x, create_graph) for x in given], several, create_graph, strict)


def _placed(x: Any, create_graph: bool) -> Any:
    """`x` with a place of its own in the graph, connected to that of `x` where a graph is to be made."""
    if create_graph and x.requires_grad:
        return ops.reshape_.call(x, tuple(x.shape))
    return fresh_leaf(x._raw)


def pull(outputs: Sequence[Any], inputs: Any, v: Any, create_graph: bool, batched: bool = False) -> list[Any]:
    """The gradients of `inputs`, None for those on which no output depends."""
    given = [None] * len(outputs) if v is None else v
    pairs = [(y, g) for y, g in zip(outputs, given, strict=True) if y.requires_grad]
    if not pairs:
        return [None] * len(inputs)
    ys, gs = zip(*pairs, strict=True)
    return list(
        grad(
            ys,
            tuple(inputs),
            gs,
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            is_grads_batched=batched,
        )
    )


def _recording(create_graph: bool) -> Any:
    return set_grad_enabled(create_graph or is_grad_enabled())


def vjp(
    func: Callable[..., Tensors],
    inputs: Tensors,
    v: Tensors = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The output of `func`, and the product of the vector `v`, of its shape, with the Jacobian.

    >>> import plugrad as torch
    >>> vjp(lambda x: x * x, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    with inference_mode(False):
        c = _called("vjp", func, inputs, create_graph, strict)
        vs = c.vector(v, c.outputs, c.several_outputs, "the user-provided function returns")
    with _recording(create_graph):
        found = c.filled(pull(c.outputs, c.inputs, vs, create_graph), _CONSTANT_OUTPUT)
    return c.released(c.outputs, c.several_outputs), c.released(found, c.several_inputs)


def jvp(
    func: Callable[..., Tensors],
    inputs: Tensors,
    v: Tensors = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The output of `func`, and the product of the Jacobian with the vector `v`, of the shape of the inputs.

    By two reverse passes, so that everything that differentiates twice will do; `func.jvp` needs one forward pass.

    >>> import plugrad as torch
    >>> jvp(lambda x: x * x, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    with inference_mode(False):
        c = _called("jvp", func, inputs, create_graph, strict)
        vs = c.vector(v, c.inputs, c.several_inputs, "the input to the user-provided function is")
        cotangents = [zeros(y).requires_grad_() for y in c.outputs]
        pulled = pull(c.outputs, c.inputs, cotangents, create_graph=True)
        pulled = c.filled(pulled, _CONSTANT_OUTPUT, graph=False)
    with _recording(create_graph):
        found = _pushed(pulled, cotangents, vs, create_graph)
        for i, t in enumerate(found):
            if strict and t is None:
                raise RuntimeError(
                    f"jvp: The gradient with respect to the input is independent of entry {i} in the grad_outputs: "
                    "the Jacobian is not known there. This is not allowed in strict mode."
                )
            if strict and create_graph and not t.requires_grad:
                raise RuntimeError(
                    f"jvp: {_CONSTANT_JACOBIAN.format(i=i)} This is not allowed in strict mode when create_graph=True."
                )
        moved = [zeros(y) if t is None else t for y, t in zip(c.outputs, found, strict=True)]
    return c.released(c.outputs, c.several_outputs), c.released(moved, c.several_outputs)


def _pushed(pulled: Sequence[Any], cotangents: Sequence[Any], vs: Any, create_graph: bool) -> list[Any]:
    """The transpose of what took `cotangents` to `pulled`, applied to `vs`."""
    ones = [ops.fill.call(zeros(p), 1) for p in pulled] if vs is None else vs
    return pull(pulled, cotangents, ones, create_graph)


def vhp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The number that `func` returns, and the product of the vector `v`, of the inputs' shape, with the Hessian.

    >>> import plugrad as torch
    >>> vhp(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    with inference_mode(False):
        c = _called("vhp", func, inputs, create_graph, strict)
        c.one_number()
        vs = c.vector(v, c.inputs, c.several_inputs, "the input to the user-provided function is")
        gradient = c.gradient()
    with _recording(create_graph):
        ones = [ops.fill.call(zeros(g), 1) for g in gradient] if vs is None else vs
        found = c.filled(pull(gradient, c.inputs, ones, create_graph), _CONSTANT_JACOBIAN)
    return c.released(c.outputs, False), c.released(found, c.several_inputs)


def hvp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The number that `func` returns, and the product of the Hessian with the vector `v`, of the inputs' shape.

    `vhp` gives the same where the Hessian is symmetric, and takes one pass less.

    >>> import plugrad as torch
    >>> hvp(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    with inference_mode(False):
        c = _called("hvp", func, inputs, create_graph, strict)
        c.one_number()
        vs = c.vector(v, c.inputs, c.several_inputs, "the input to the user-provided function is")
        gradient = c.gradient()
        cotangents = [zeros(x).requires_grad_() for x in c.inputs]
        pulled = c.filled(pull(gradient, c.inputs, cotangents, create_graph=True), _CONSTANT_JACOBIAN, False)
    with _recording(create_graph):
        found = c.filled(_pushed(pulled, cotangents, vs, create_graph), _CONSTANT_HESSIAN)
    return c.released(c.outputs, False), c.released(found, c.several_inputs)


def jacobian(
    func: Callable[..., Tensors],
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of `func`: a tensor of the shape of the output, then that of the input.

    For several outputs and inputs a tuple for each output, of the Jacobians with respect to each input. `vectorize`
    computes all rows in one pass through `vmap`; the `strategy` "forward-mode" all columns.

    >>> import plugrad as torch
    >>> jacobian(lambda x: x * x, torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            f'Expected strategy to be either "forward-mode" or "reverse-mode", found {strategy!r}. If your function has '
            'more outputs than inputs, "forward-mode" tends to be quicker.'
        )
    if strategy == "forward-mode":
        return _by_columns(func, inputs, create_graph, strict, vectorize)
    if vectorize and strict:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. Please "
            "either set `strict=False` or `vectorize=False`."
        )
    with inference_mode(False):
        c = _called("jacobian", func, inputs, create_graph, strict)
        rows = _rows_at_once(c) if vectorize else _row_by_row(c)
    found = [c.released(blocks, c.several_inputs) for blocks in rows]
    return tuple(found) if c.several_outputs else found[0]


def _rows_at_once(c: _Call) -> list[list[Any]]:
    """For each output the Jacobians with respect to each input, of one batched pass."""
    moving = [y for y in c.outputs if y.requires_grad and y.numel()]
    found: list[Any] = [None] * len(c.inputs)
    if moving:
        found = pull(moving, c.inputs, basis(moving), c.create_graph, batched=True)
    cut = [None if g is None else iter(pieces(g, moving, 0)) for g in found]
    return [
        [
            next(parts) if parts is not None and any(y is m for m in moving) else _zero_block(y, x)
            for parts, x in zip(cut, c.inputs, strict=True)
        ]
        for y in c.outputs
    ]


def _zero_block(y: Any, x: Any) -> Any:
    return x.new_zeros((*y.shape, *x.shape))


def _row_by_row(c: _Call) -> list[list[Any]]:
    rows = []
    for i, y in enumerate(c.outputs):
        elements = []
        for element in y.reshape(-1) if y.numel() else ():
            text = f"Output {i} of the user-provided function is independent of input {{i}}."
            found = pull([element], c.inputs, None, c.create_graph)
            if c.strict and c.create_graph and not all(g is None or g.requires_grad for g in found):
                raise RuntimeError(
                    f"jacobian: The jacobian of output {i} of the user-provided function is independent of an input. This "
                    "is not allowed in strict mode when create_graph=True."
                )
            elements.append(c.filled(found, text, graph=False))
        columns = zip(*elements, strict=True) if elements else [()] * len(c.inputs)
        rows.append(
            [
                ops.stack_.call(list(gs), 0).reshape(*y.shape, *x.shape) if gs else _zero_block(y, x)
                for gs, x in zip(columns, c.inputs, strict=True)
            ]
        )
    return rows


def _by_columns(func: Any, inputs: Tensors, create_graph: bool, strict: bool, vectorize: bool) -> Any:
    if create_graph:
        raise NotImplementedError(
            'torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not supported '
            'together (yet). Please either set `create_graph=False` or `strategy="reverse-mode"`, or use func.jacfwd.'
        )
    if strict:
        raise RuntimeError(
            'torch.autograd.functional.jacobian: `strict=True` and `strategy="forward-mode"` are not supported together '
            '(yet). Please either set `strict=False` or `strategy="reverse-mode"`.'
        )
    if not vectorize:
        raise NotImplementedError(
            'jacobian: strategy="forward-mode" is only implemented for `vectorize=True`: set it, or use func.jacfwd'
        )
    given, several = _tuple_of(inputs, "inputs", "jacobian")
    xs = [x.detach() for x in given]

    def of_tensors(*values: Any) -> Any:
        found = func(*values)
        _tuple_of(found, "outputs of the user-provided function", "jacobian")
        return found

    return jacfwd(of_tensors, tuple(range(len(xs))) if several else 0)(*xs)


def hessian(
    func: Callable[..., Any],
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of `func`, which returns one number: the shape of the input, twice.

    For several inputs a tuple of tuples. `vectorize` and `outer_jacobian_strategy` are those of `jacobian`.

    >>> import plugrad as torch
    >>> hessian(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    _, several = _tuple_of(inputs, "inputs", "hessian")

    def gradient(*xs: Any) -> Any:
        c = _Call("hessian", func, xs, several, True, strict)
        c.one_number()
        found = c.gradient()
        return tuple(found) if several else found[0]

    def number(*xs: Any) -> Any:
        c = _Call("hessian", func, xs, several, False, False)
        c.one_number()
        return c.outputs[0].reshape(())

    if outer_jacobian_strategy == "forward-mode":
        argnums = tuple(range(len(inputs))) if several else 0
        return _by_columns(reverse_grad(number, argnums), inputs, create_graph, strict, vectorize)
    return jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
