"""What `opcheck` looks at in an op's derivatives: by differences, in forward mode, by batches, and what they keep."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np

from ... import creation, dtypes
from ...autograd.gradcheck import gradcheck, gradgradcheck
from ...autograd.gradient_checks import check_batched_backward
from ...autograd.jacobian_checks import Problem
from ...dtypes import FLOAT
from ...engine import backward, grad
from ...errors import GradcheckError
from ...explanation import explain
from ...function import Function
from ...function_node import FunctionCtx
from ...graph import Node, Port, Variable
from ...strict import saved
from ...transforms.batched import fallbacks
from ...transforms.vmap import vmap
from .calls import Case, host, noise
from .checks import agree, check, hosts
from .report import Fault, Inapplicable

#: Above so many numbers in a sample derivatives are compared along one random direction only.
FULL = 40


def _leaves(case: Case) -> list[Any]:
    """Tensors for the differences of `gradcheck`, which need float64; raises where there is nothing to differentiate."""
    op = case.subject.op
    if not case.differentiable:
        why = "it has no derivative" if op is not None and not op.formulas else "no floating-point operand"
        raise Inapplicable(
            f"{why}: {', '.join(map(str, (a.dtype for a in case.arrays)))}" if op is None else why
        )
    if any(case.arrays[i].dtype not in (np.float64, np.complex128) for i in case.differentiable):
        raise Inapplicable(f"{case.subject.device} has no float64, which differences need: check on the CPU")
    tensors = case.tensors(grad=True)
    if not any(y.dtype.category >= FLOAT for y in case(*tensors)):
        raise Inapplicable("no floating-point result")
    return tensors


def _outputs(case: Case) -> Any:
    return lambda *tensors: tuple(case(*tensors))


def _fast(case: Case) -> bool:
    return sum(case.arrays[i].size for i in case.differentiable) > FULL


@check(
    "gradcheck",
    "the gradient is the derivative of what the op computes",
    "correct the formula of that input; where the sample is a point without derivative, give another",
)
def check_gradcheck(case: Case, options: dict[str, Any]) -> str | None:
    tensors = _leaves(case)
    gradcheck(_outputs(case), tensors, fast_mode=_fast(case), nondet_tol=1e-12)
    return f"by {', '.join(f'input {i}' for i in case.differentiable)}" if len(case.arrays) > 1 else None


@check(
    "gradgrad",
    "the gradient of the gradient is right",
    "a formula is made of ops on g, y and the inputs alone: no detach(), no numbers taken out of arrays, nothing saved that "
    "is neither input nor output; where second order is not meant: skip={'gradgrad': 'why'}",
)
def check_gradgrad(case: Case, options: dict[str, Any]) -> str | None:
    tensors = _leaves(case)
    if not any(y.requires_grad for y in case(*tensors)):
        raise Inapplicable("no result requires grad")
    gradgradcheck(_outputs(case), tensors, fast_mode=_fast(case), atol=1e-4, nondet_tol=1e-12)
    return None


@check(
    "forward_mode",
    "forward mode gives the transpose of what backward gives",
    "correct jvp=, or the kind: linear(...) and multilinear(...) are their own jvp, an elementwise formula is one",
)
def check_forward_mode(case: Case, options: dict[str, Any]) -> str | None:
    function = case.subject.function
    if function is not None and function.jvp is Function.jvp:
        raise Inapplicable(f"{function.__name__} has no jvp: forward mode raises")
    tensors = _leaves(case)
    problem = Problem(_outputs(case), tuple(tensors), 1e-6, 1e-5, 1e-3, False)
    rng = np.random.default_rng(5)
    device = case.subject.device
    moved = {i: creation.tensor(noise(rng, case.arrays[i]), device=device) for i in case.differentiable}
    each = [{i: t} for i, t in moved.items()]
    for tangents in each if len(each) == 1 else [*each, moved]:
        found = problem.tangents(tangents)
        lhs = rhs = scale = 0.0
        outputs, weights = [], []
        for j, y in enumerate(problem.outputs):
            if j not in found or not y.requires_grad:
                continue
            value, tangent = found[j]
            agree([host(value)], [host(y)], "the value in forward mode", options)
            w = noise(rng, y)
            if tangent is not None:
                if tuple(tangent.shape) != tuple(y.shape) or tangent.dtype is not y.dtype:
                    raise Fault(
                        f"a tangent of {tangent.dtype} and shape {tuple(tangent.shape)} for a result of {y.dtype} and shape "
                        f"{tuple(y.shape)}"
                    )
                terms = (np.conj(w) * host(tangent)).real
                lhs, scale = lhs + float(terms.sum()), scale + float(np.abs(terms).sum())
            outputs.append(y)
            weights.append(creation.tensor(w, device=device).to(y.dtype))
        if not outputs:
            raise Inapplicable("no result requires grad")
        gs = grad(outputs, [tensors[i] for i in tangents], weights, retain_graph=True, allow_unused=True)
        for i, g in zip(tangents, gs, strict=True):
            if g is not None:
                terms = (np.conj(host(g)) * host(tangents[i])).real
                rhs, scale = rhs + float(terms.sum()), scale + float(np.abs(terms).sum())
        if (
            np.isfinite(lhs) == np.isfinite(rhs)
            and not abs(lhs - rhs) <= 1e-9 + 1e-7 * scale
            and np.isfinite(lhs)
        ):
            where = ", ".join(f"input {i}" for i in tangents)
            raise Fault(f"<w, jvp(t)> = {lhs:.9g} and <vjp(w), t> = {rhs:.9g} for tangents of {where}")
        if np.isfinite(lhs) != np.isfinite(rhs):
            raise Fault(f"<w, jvp(t)> = {lhs:.9g} and <vjp(w), t> = {rhs:.9g}")
    return None


@check(
    "vmap",
    "a batch of calls through vmap gives what the calls give one by one, derivatives included",
    "an elementwise op computes each element alone; the shape of a result depends on shapes, not on values; a Function needs "
    "vmap or generate_vmap_rule = True; its backward is made of ops",
)
def check_vmap(case: Case, options: dict[str, Any]) -> str | None:
    function = case.subject.function
    if function is not None and function.vmap is Function.vmap and not function.generate_vmap_rule:
        raise Inapplicable(f"{function.__name__} has no vmap and no generate_vmap_rule = True: vmap raises")
    batch = _batch(case)
    results = [case(*case.tensors(arrays)) for arrays in batch]
    shapes = [tuple(tuple(y.shape) for y in ys) for ys in results]
    if len(set(shapes)) > 1:
        raise Fault(f"operands of the same shapes and other values gave results of the shapes {shapes}")
    before = fallbacks.total()
    many = len(case.arrays)
    device = case.subject.device
    for mapped in [range(many)] if many == 1 else [range(many), [0], [many - 1]]:
        stacked = [
            creation.tensor(
                np.stack([arrays[i] for arrays in batch]) if i in mapped else batch[0][i], device=device
            )
            for i in range(many)
        ]
        in_dims = tuple(0 if i in mapped else None for i in range(many))
        try:
            found = vmap(_outputs(case), in_dims=in_dims, randomness="same")(*stacked)
        except Fault:
            raise
        except Exception as error:
            raise Fault(f"vmap(op, in_dims={in_dims}) raised {type(error).__name__}: {error}") from error
        rows = [
            case(*case.tensors([arrays[i] if i in mapped else batch[0][i] for i in range(many)]))
            for arrays in batch
        ]
        expected = [np.stack([host(y) for y in ys]) for ys in zip(*rows, strict=True)]
        agree(hosts(found), expected, f"result of vmap(op, in_dims={in_dims})", options)
    if case.differentiable:
        tensors = case.tensors(grad=True)
        if any(y.requires_grad for y in case(*tensors)):
            try:
                check_batched_backward(Problem(_outputs(case), tuple(tensors), 1e-6, 1e-5, 1e-3, False))
            except GradcheckError as error:
                raise Fault(str(error)) from error
    one_by_one = fallbacks.total() > before
    return "no batching rule: it is called once for each element of the batch" if one_by_one else None


def _batch(case: Case) -> list[list[np.ndarray]]:
    """Operands of the same shapes and other values that the op takes as well: permuted, and all alike."""

    def valid(arrays: list[np.ndarray]) -> bool:
        try:
            ys = case(*case.tensors(arrays))
        except Exception:
            return False
        return all(np.isfinite(v).all() for v in map(host, ys) if v.dtype.kind in "fc")

    others = [
        [np.roll(a, 1) for a in case.arrays],
        [np.full_like(a, a.flat[-1]) if a.size and a.dtype.kind == "f" else a for a in case.arrays],
        [np.full_like(a, a.flat[0]) if a.size and a.dtype.kind == "f" else a for a in case.arrays],
    ]
    return [case.arrays, *([arrays for arrays in others if valid(arrays)] or [case.arrays])]


@check(
    "saves",
    "it keeps what its derivative reads, where somebody needs it, and lets go of it afterwards",
    "keep inputs and outputs by ctx.save_for_backward, nothing in globals, closures or caches",
)
def check_saves(case: Case, options: dict[str, Any]) -> str | None:
    for y in case(*case.tensors()):
        if y.grad_fn is not None or y.requires_grad:
            raise Fault(f"no input requires grad, and a result is recorded: {y.grad_fn}")
    for needed in (False, True):
        _check_freed(case, needed)
    if not case.differentiable:
        return None
    tensors = case.tensors(grad=True)
    ys = [y for y in case(*tensors) if y.requires_grad]
    nodes = _nodes(ys)
    text = str(explain(ys[0])) if ys else ""
    op = case.subject.op
    if op is not None and op.formulas and ys and op.node_name not in text:
        raise Fault(f"explain(y) does not name {op.node_name}:\n{text}")
    for node in nodes:
        if isinstance(node, FunctionCtx):
            for name, value in vars(node).items():
                if isinstance(value, Variable) and any(value is t for t in (*tensors, *ys)):
                    raise Fault(
                        f"ctx.{name} holds an input or output of {node.name()}, which a backward does not let go of"
                    )
    kept = sum(a.nbytes for a in {id(a): a for n in nodes for a in map(_array, saved(n))}.values())
    if ys:
        backward(ys, [creation.tensor(w, device=y.device).to(y.dtype) for w, y in zip(case.weights(ys), ys)])
    held = [node.name() for node in nodes if saved(node)]
    if held:
        raise Fault(f"after the backward {', '.join(held)} still hold what they saved")
    return f"{kept} bytes for {case}"


def _array(raw: Any) -> Any:
    return np.empty(tuple(raw.shape), dtypes.of(raw.dtype).numpy) if not hasattr(raw, "nbytes") else raw


def _check_freed(case: Case, needed: bool) -> None:
    """Raise where arrays of a call live on when nobody has its tensors any more."""
    references: list[Any] = []

    def call() -> None:
        tensors = case.tensors(grad=needed)
        ys = case(*tensors)
        for t in (*tensors, *ys):
            try:
                references.append(weakref.ref(t._raw))
            except TypeError:  # an array type that has no weak references
                pass

    call()
    if all(r() is None for r in references):
        return
    gc.collect()
    if any(r() is not None for r in references):
        raise Fault("arrays of a call live on after the last tensor is gone: somebody keeps them")
    raise Fault(
        "arrays of a call live on until the garbage collector runs: there is a cycle",
        "keep outputs by ctx.save_for_backward(y), not as ctx.y = y",
    )


def _nodes(ys: list[Any]) -> list[Node]:
    """The nodes behind the results."""
    found: dict[Node, None] = {}
    stack = [y._edge for y in ys]
    while stack:
        node = stack.pop()
        node = node.node if isinstance(node, Port) else node
        if node is not None and node not in found:
            found[node] = None
            stack += node.edges
    return list(found)
