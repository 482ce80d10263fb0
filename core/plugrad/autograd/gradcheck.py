"""`gradcheck`: analytical derivatives held against differences of the function itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import creation, dtypes
from ..engine import grad
from ..errors import GradcheckError
from ..graph import Variable


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the derivatives of `func` at `inputs` agree with central differences of step `eps`.

    Inputs that require grad are to be float64 or complex128: in float32 the differences are mostly rounding.
    Complex numbers count as pairs of real ones, which is PyTorch's convention for their gradients.
    GradcheckError shows both Jacobians, a row for each element of the input; without `raise_exception` it is False.

    - `check_backward_ad`, `check_forward_ad`: which modes are checked.
    - `fast_mode`: along one random direction only, which takes two calls of the function for each input.
    - `nondet_tol`: by how much two backwards of the same may differ.
    - `check_undefined_grad`: a gradient that is missing has to count as zero.
    - `check_batched_grad`, `check_batched_forward_grad`: the same derivatives through `vmap`.
    - `check_grad_dtypes`: gradients have to have the dtypes of the inputs.

    >>> import plugrad as torch
    >>> gradcheck(torch.sin, torch.ones(3, dtype=torch.float64, requires_grad=True), check_forward_ad=True)
    True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    if masked:
        raise NotImplementedError(
            "gradcheck: masked=True is for sparse tensors, of which there are none: leave it out"
        )
    from .gradient_checks import (
        check_batched_backward,
        check_batched_forward,
        check_undefined_backward,
        check_undefined_forward,
        check_zero_cotangents,
    )
    from .jacobian_checks import Problem, as_tuple

    args = as_tuple(inputs)
    _check_inputs(args)
    try:
        problem = Problem(func, args, eps, atol, rtol, fast_mode)
        if not problem.differentiable:
            problem.compare_with_zero()
            return True
        if check_backward_ad:
            problem.compare_backward(nondet_tol, check_grad_dtypes)
        if check_forward_ad:
            problem.compare_forward(check_grad_dtypes)
            if check_undefined_grad:
                check_undefined_forward(problem)
        if check_batched_forward_grad:
            check_batched_forward(problem)
        if check_backward_ad:
            if check_batched_grad:
                check_batched_backward(problem)
            check_zero_cotangents(problem)
            if check_undefined_grad:
                check_undefined_backward(problem)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """`gradcheck` of the gradient: whether second derivatives of `func`, and those in `grad_outputs`, are right.

    `grad_outputs` are random, if not given, with `gen_non_contig_grad_outputs` in memory with gaps.
    `check_fwd_over_rev` differentiates the gradient in forward mode, `check_rev_over_rev` by another backward.
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    if check_undefined_grad and not check_rev_over_rev:
        raise AssertionError("Setting check_undefined_grad=True requires check_rev_over_rev to be True")
    if check_batched_grad and not check_rev_over_rev:
        raise AssertionError("Setting check_batched_grad=True requires check_rev_over_rev to be True")
    from .jacobian_checks import as_tuple

    args = as_tuple(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        ys = [y for y in as_tuple(func(*args)) if isinstance(y, Variable) and y.requires_grad]
        weights = tuple(_noise(rng, y, gen_non_contig_grad_outputs).requires_grad_() for y in ys)
    else:
        weights = as_tuple(grad_outputs)
    checked = [isinstance(x, Variable) and x.requires_grad for x in (*args, *weights)]

    def gradient(*arguments: Any) -> tuple[Any, ...]:
        # Forward mode passes other tensors, which do not require grad.
        known = [x.requires_grad_() if c else x for x, c in zip(arguments, checked, strict=True)]
        xs = [x for x, c in zip(known[: len(args)], checked, strict=False) if c]
        ys = [y for y in as_tuple(func(*known[: len(args)])) if isinstance(y, Variable) and y.requires_grad]
        found = grad(ys, xs, known[len(args) :], create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradient,
        (*args, *weights),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )


def _check_inputs(args: tuple[Any, ...]) -> None:
    """Raise for inputs of which differences cannot be taken, and warn where they will be poor."""
    checked = [(i, x) for i, x in enumerate(args) if isinstance(x, Variable) and x.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    for i, x in checked:
        if x.dtype not in (dtypes.float64, dtypes.complex128):
            warnings.warn(
                f"Input #{i} requires gradient and is {x.dtype}, not a double precision floating point or complex. "
                "This check will likely fail if all the inputs are not of double precision floating point or complex.",
                stacklevel=3,
            )
        if x.numel() and any(n > 1 and not step for n, step in zip(x.shape, x.stride(), strict=True)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0: its elements share memory, so that one cannot be moved "
                "alone. gradcheck only supports inputs that are non-overlapping: call .contiguous() on it first."
            )


def _noise(rng: np.random.Generator, like: Any, with_gaps: bool) -> Any:
    """A random tensor of the shape and dtype of another."""
    shape = tuple(like.shape)
    stored = (*shape[:-1], 2 * shape[-1]) if with_gaps and shape else shape
    values = rng.uniform(-1, 1, stored)
    if like.is_complex():
        values = values + 1j * rng.uniform(-1, 1, stored)
    noise = creation.tensor(np.asarray(values), dtype=like.dtype, device=like.device)
    return noise if stored == shape else noise[..., ::2]
