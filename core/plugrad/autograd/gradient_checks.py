"""What `gradcheck` checks besides Jacobians: zero and missing gradients, and derivatives in batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import creation
from ..engine import grad
from ..errors import GradcheckError
from ..function_node import FunctionCtx
from ..graph import wrap
from .jacobian_checks import Problem, as_tuple


def check_zero_cotangents(problem: Problem) -> None:
    """Raise where the gradients of nothing are not zeros of the dtypes and shapes of the inputs."""
    ys = [y for _, y in problem.differentiable]
    xs = [x for _, x in problem.checked]
    found = grad(ys, xs, [_zeros(y) for y in ys], retain_graph=True, allow_unused=True)
    for (i, x), g in zip(problem.checked, found, strict=True):
        if g is None:
            continue
        if g._host().any():
            raise GradcheckError(
                f"backward not multiplied by grad_output: for zeros the gradient with respect to input {i} is {g}"
            )
        for what, one, other in (
            ("type", g.dtype, x.dtype),
            ("device", g.device, x.device),
            ("size", g.shape, x.shape),
        ):
            if one != other:
                raise GradcheckError(f"grad is incorrect {what} for input {i}: {one}, expected {other}")


# --- missing gradients --------------------------------------------------------------------------------------------


def check_undefined_backward(problem: Problem) -> None:
    """Raise where a missing gradient does not count as zero: that of all outputs of a Function, or of one.

    The engine calls no node to which nothing at all arrived. PyTorch does, so Functions that do not let their
    gradients be filled up are called here.
    """
    xs = [x for _, x in problem.checked]
    ys = [y for _, y in problem.differentiable]
    for node in _functions([y._edge for y in ys]):
        if not node.materialize_grads:
            _expect_zeros(
                lambda node=node: [
                    None if r is None else wrap(r) for r in node.backward([None] * len(node.output_metas))
                ],
                node.name(),
            )
    for skipped in range(len(ys) if len(ys) > 1 else 0):
        rest = [y for k, y in enumerate(ys) if k != skipped]
        weights = [_zeros(y) for y in rest]
        _expect_zeros(
            lambda rest=rest, weights=weights: grad(rest, xs, weights, retain_graph=True, allow_unused=True),
            f"the gradient of output {problem.differentiable[skipped][0]} is missing",
        )


def _expect_zeros(gradients: Any, where: str) -> None:
    try:
        found = gradients()
    except Exception as error:
        raise GradcheckError(
            f"Expected backward function to handle undefined output grads ({where}), but got "
            f"{type(error).__name__}: {error}"
        ) from error
    if any(g is not None and g._host().any() for g in found):
        raise GradcheckError(
            f"Expected all input grads to be undefined or zero when all output grads are undefined or zero ({where})"
        )


def _functions(edges: list[Any]) -> list[Any]:
    """The nodes of Functions of a graph."""
    found: dict[Any, None] = dict.fromkeys(edges)
    nodes = list(found)
    for node in nodes:  # which grows meanwhile
        for edge in node.edges:
            if edge is not None and edge not in found:
                found[edge] = None
                nodes.append(edge)
    return [n for n in nodes if isinstance(n, FunctionCtx)]


def check_undefined_forward(problem: Problem) -> None:
    """Raise where an input without a tangent gives other tangents than one whose tangent is zero."""
    rng = np.random.default_rng(0)
    tangents = {i: _noise(rng, x) for i, x in problem.checked}
    for i, x in problem.checked:
        zero, missing = (
            problem.tangents(t)
            for t in ({**tangents, i: _zeros(x)}, {k: t for k, t in tangents.items() if k != i})
        )
        for j, (_, expected) in zero.items():
            found = missing[j][1]
            if expected is not None and found is not None and not _close(found, expected):
                raise GradcheckError(
                    f"Mismatch in tangent values for output with index: {j} when input {i} has an undefined tangent "
                    f"value. Got: {found} but expected: {expected}"
                )


# --- batches --------------------------------------------------------------------------------------------------------


def check_batched_backward(problem: Problem) -> None:
    """Raise where gradients of a batch of cotangents, through `vmap`, are not those of each."""
    xs = [x for _, x in problem.checked]
    rng = np.random.default_rng(0)
    for j, y in problem.differentiable:
        weights = [_noise(rng, y) for _ in range(2)]
        each = [grad(y, xs, w, retain_graph=True, allow_unused=True) for w in weights]
        try:
            together = grad(
                y, xs, _stack(weights), retain_graph=True, allow_unused=True, is_grads_batched=True
            )
        except RuntimeError as error:
            raise GradcheckError(
                f"While computing batched gradients, got: {error}\n\n"
                "The backward of each op and Function has to work under vmap; check_batched_grad=False leaves this out."
            ) from error
        for (i, x), found, *rows in zip(problem.checked, together, *each, strict=True):
            expected = _stack([_zeros(x) if r is None else r for r in rows])
            if not _close(_zeros(expected) if found is None else found, expected):
                raise GradcheckError(
                    f"For output {j} and input {i}:\n\ngradcheck failed while testing batched gradient computation.\n\n"
                    f"Got:\n{found}\n\nExpected:\n{expected}"
                )


def check_batched_forward(problem: Problem) -> None:
    """Raise where the tangents of a batch, through `vmap`, are not those of each."""
    from ..transforms.vmap import vmap

    rng = np.random.default_rng(0)
    for i, x in problem.checked:

        def moved(tangent: Any, i: int = i) -> tuple[Any, ...]:
            return tuple(
                _zeros(value) if t is None else t for value, t in problem.tangents({i: tangent}).values()
            )

        tangents = [_noise(rng, x) for _ in range(2)]
        each = [moved(t) for t in tangents]
        try:
            together = vmap(moved)(_stack(tangents))
        except RuntimeError as error:
            raise GradcheckError(
                f"While computing batched gradients, got: {error}\n\ngradcheck failed while testing batched gradient "
                "computation with forward-mode AD; check_batched_forward_grad=False leaves this out."
            ) from error
        for j, found, *rows in zip(problem.tangents({}), as_tuple(together), *each, strict=True):
            expected = _stack(rows)
            if not _close(found, expected):
                raise GradcheckError(
                    f"For output {j} and input {i}:\n\ngradcheck failed while testing batched gradient computation with "
                    f"forward-mode AD.\n\nGot:\n{found}\n\nExpected:\n{expected}"
                )


def _zeros(like: Any) -> Any:
    return creation.zeros(like.shape, dtype=like.dtype, device=like.device)


def _noise(rng: np.random.Generator, like: Any) -> Any:
    shape = tuple(like.shape)
    values = rng.standard_normal(shape)
    if like.is_complex():
        values = values + 1j * rng.standard_normal(shape)
    return creation.tensor(np.asarray(values), dtype=like.dtype, device=like.device)


def _stack(tensors: list[Any]) -> Any:
    first = tensors[0]
    return creation.tensor(np.stack([t._host() for t in tensors]), dtype=first.dtype, device=first.device)


def _close(a: Any, b: Any) -> bool:
    return bool(np.allclose(a._host(), b._host(), equal_nan=True))
