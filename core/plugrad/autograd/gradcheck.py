"""`gradcheck` and `gradgradcheck`: analytical derivatives held against differences of the function itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import creation
from ..engine import grad
from ..errors import GradcheckError
from ..graph import Variable
from .derivative_checks import Check, noise, requiring_grad, tuple_of


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
    Complex numbers count as pairs of real ones, which is PyTorch's convention for their gradients. Checked is
    reverse mode, with `check_forward_ad` forward mode, too; that the same backward gives the same twice, up to
    `nondet_tol`; with `check_undefined_grad` that a backward of several outputs bears that none has a gradient; with
    `check_grad_dtypes` the dtypes of gradients; with `check_batched_grad` and `check_batched_forward_grad` that
    `vmap` over cotangents or tangents equals a loop. `fast_mode` compares along one random direction instead of all.
    `masked` is for sparse tensors, of which there are none.

    GradcheckError shows both Jacobians, a row for each output element; without `raise_exception` False is returned.

    >>> import plugrad as torch
    >>> gradcheck(torch.sin, torch.ones(3, dtype=torch.float64, requires_grad=True))
    True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    check = Check(func, inputs, eps, atol, rtol, nondet_tol)
    try:
        if not check.differentiable():
            return True
        if check_forward_ad:
            check.forward(fast_mode)
            if check_batched_forward_grad:
                check.batched_forward()
        if check_backward_ad:
            check.backward(fast_mode, check_grad_dtypes)
            if check_undefined_grad:
                check.undefined_gradients()
            if check_batched_grad:
                check.batched_backward()
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

    `grad_outputs` are drawn where they are not given, with `gen_non_contig_grad_outputs` strided. The gradient is
    differentiated by reverse mode, with `check_fwd_over_rev` by forward mode, too.

    >>> import plugrad as torch
    >>> gradgradcheck(torch.sin, torch.ones(3, dtype=torch.float64, requires_grad=True))
    True
    """
    args = tuple_of(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        drawn = [noise(rng, y) for y in requiring_grad(tuple_of(func(*args)))]
        if gen_non_contig_grad_outputs:
            drawn = [_strided(g) for g in drawn]
        weights = [g.requires_grad_() for g in drawn]
    else:
        weights = [grad_outputs] if isinstance(grad_outputs, Variable) else list(grad_outputs)
    n = len(args)

    def gradient(*arguments: Any) -> tuple[Any, ...]:
        xs = requiring_grad(arguments[:n])
        ys = requiring_grad(tuple_of(func(*arguments[:n])))
        found = grad(ys, xs, arguments[n:], create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None and g.requires_grad) or (xs[0] * 0,)

    return gradcheck(
        gradient, (*args, *weights), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad, check_forward_ad=check_fwd_over_rev, check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode, masked=masked,
    )  # fmt: skip


def _strided(x: Any) -> Any:
    """The values of `x` in memory with gaps."""
    wide = creation.zeros((*x.shape, 2), dtype=x.dtype, device=x.device)
    wide[..., 0] = x
    return wide[..., 0].detach()
