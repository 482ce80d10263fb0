"""Forward mode from the same formulas: how a small change of an op's inputs changes its output.

An elementwise vjp multiplies by the derivative, so on a tangent it is the jvp. A linear op is its own jvp,
and a multilinear one is, for one tangent at a time. Any other vjp is linear in its cotangent, so
differentiating it with respect to the cotangent transposes it, which gives the jvp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes, quiet
from ..accumulate import AccumulateGrad
from ..backend import BY_ARRAY, backend_of
from ..codegen import meta
from ..engine import grad
from ..errors import NoDerivativeError
from ..graph import Variable, wrap
from ..modes import inference_mode, is_grad_enabled
from ..op import OPS, Op, conform


def jvp(
    op: Op, inputs: Sequence[Any], tangents: Sequence[Any], params: Sequence[Any] = ()
) -> tuple[Any, Any]:
    """The output of `op` and its tangent; a None tangent is zero.

    `inputs` and `tangents` are raw arrays (then so are the results) or tensors.

    >>> import numpy as np, plugrad
    >>> jvp(OPS["multiply"], [np.array([2.0]), np.array([3.0])], [np.array([1.0]), None])
    (array([6.]), array([3.]))
    """
    return quiet.run_anyway(_jvp, op, inputs, tangents, [*params, *list(op.params.values())[len(params) :]])


def _jvp(op: Op, inputs: Sequence[Any], tangents: Sequence[Any], params: Sequence[Any]) -> tuple[Any, Any]:
    given = (list(inputs),) if op.variadic else tuple(inputs)
    y = op(*given, *params)
    if op.outputs:
        return y, _of_several(op, y, inputs, tangents, params)
    if not isinstance(y, (Variable, tuple, list)):
        y = BY_ARRAY[type(y)].asarray(y)  # NumPy makes scalars of 0-d results
    moved = [i for i, t in enumerate(tangents) if t is not None]
    if op.own_jvp is not None:
        return y, op.own_jvp(tangents, y, inputs, params)
    if op.kind == "linear":
        full = [_zeros(x) if t is None else t for x, t in zip(inputs, tangents, strict=True)]
        return y, op(*((full,) if op.variadic else full), *params)
    parts = []
    for i in moved:
        if op.inputs[i] not in op.formulas:
            raise NoDerivativeError(f"jvp: {op.name!r} has no derivative for input {op.inputs[i]!r}")
        if op.kind == "multilinear":
            parts.append(op(*inputs[:i], tangents[i], *inputs[i + 1 :], *params))
        elif op.kind == "elementwise" and op.holomorphic:
            parts.append(op.vjp(op.inputs[i], tangents[i], y, inputs, params))
        else:
            parts.append(_transposed(op, op.inputs[i], tangents[i], y, inputs, params))
    total = parts[0] if parts else _zeros(y)
    for part in parts[1:]:
        total = OPS["add"](total, part)
    shape = tuple(y.shape)
    return y, total if tuple(total.shape) == shape else OPS["broadcast_to"](total, shape)


def _of_several(
    op: Op, ys: Sequence[Any], inputs: Sequence[Any], tangents: Sequence[Any], params: Sequence[Any]
) -> Any:
    """The tangents of an op with several outputs, which has one input."""
    (tangent,) = tangents
    if tangent is None:
        return [_zeros(y) for y in ys]
    if op.kind == "linear":
        return op(tangent, *params)
    return _transposed(op, op.inputs[0], tangent, ys, inputs, params)


def _zeros(x: Any) -> Any:
    raw = x._raw if isinstance(x, Variable) else x
    zeros = backend_of(raw).zeros(tuple(raw.shape), dtypes.of(raw.dtype))
    return wrap(zeros) if raw is not x else zeros


def _normal(v: Any) -> Any:
    """An inference tensor as one that may be saved."""
    return wrap(v._raw) if type(v) is Variable._inference else v


def _transposed(op: Op, name: str, tangent: Any, y: Any, inputs: Sequence[Any], params: Sequence[Any]) -> Any:
    """The jvp of one input: the transpose of `g -> vjp(g)`, applied to its tangent; of several outputs, one each."""
    ys = list(y) if op.outputs else [y]
    on_tensors = isinstance(ys[0], Variable)
    as_tensor = _normal if on_tensors else (lambda v: wrap(v) if type(v) in BY_ARRAY else v)
    recorded = on_tensors and is_grad_enabled()
    with inference_mode(False):
        gs = [_zeros(as_tensor(v)) for v in ys]
        for g in gs:
            g._edge = AccumulateGrad(g)
        known = [as_tensor(x) for x in inputs]
        tensors = [as_tensor(v) for v in ys]
        cotangent, value = (gs, tensors) if op.outputs else (gs[0], tensors[0])
        back = op.vjp(name, cotangent, value, known, params)
        if back._edge is None:  # the formula is zero
            results = [_zeros(v) for v in ys]
            return results if op.outputs else results[0]
        back = conform(back, meta(known[op.inputs.index(name)]._raw))
        # `grad` gives the adjoint; for a holomorphic formula the transpose is its conjugate on both sides.
        both = OPS["conj"] if op.holomorphic and gs[0].dtype.is_complex else lambda v: v
        found = grad(back, gs, both(as_tensor(tangent)), create_graph=recorded, allow_unused=True)
        tangents = [_zeros(t) if r is None else both(r) for r, t in zip(found, tensors, strict=True)]
        results = tangents if on_tensors else [t._raw for t in tangents]
    return results if op.outputs else results[0]
