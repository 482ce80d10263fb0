"""`gradcheck`: analytical derivatives held against differences of the function itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
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
) -> bool:
    """Whether the gradients of `func` at `inputs` agree with central differences of step `eps`.

    Inputs that require grad are to be float64 or complex128: in float32 the differences are mostly rounding.
    Complex numbers count as pairs of real ones, which is PyTorch's convention for their gradients.
    GradcheckError shows both Jacobians, or False is returned without `raise_exception`.

    >>> import plugrad as torch
    >>> gradcheck(torch.sin, torch.ones(3, dtype=torch.float64, requires_grad=True))
    True
    """
    args = (inputs,) if isinstance(inputs, Variable) else tuple(inputs)
    checked = [x for x in args if isinstance(x, Variable) and x.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True."
        )
    for i, x in enumerate(args):
        if isinstance(x, Variable) and x.requires_grad and x.dtype not in (dtypes.float64, dtypes.complex128):
            warnings.warn(
                f"gradcheck: input {i} requires gradient and is {x.dtype}, not a double precision floating point or complex: "
                "the check will likely fail",
                stacklevel=2,
            )
    try:
        outputs = _outputs(func, args)
        numerical = [_numerical(func, args, x, eps) for x in checked]
        for j, y in enumerate(outputs):
            analytical = _analytical(y, checked)
            again = _analytical(y, checked)
            for i, a in enumerate(analytical):
                if not np.allclose(a, again[i], rtol=0, atol=nondet_tol, equal_nan=True):
                    raise GradcheckError(
                        f"Backward is not reentrant: two runs differ for output {j} with respect to input {i}"
                    )
                n = numerical[i][j]
                if not np.allclose(a, n, rtol=rtol, atol=atol, equal_nan=True):
                    raise GradcheckError(
                        f"Jacobian mismatch for output {j} with respect to input {i},\n"
                        f"numerical:{creation.tensor(n)}\nanalytical:{creation.tensor(a)}\n"
                    )
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
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
) -> bool:
    """`gradcheck` of the gradient: whether second derivatives of `func`, and those in `grad_outputs`, are right."""
    args = (inputs,) if isinstance(inputs, Variable) else tuple(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        weights = [_noise(rng, y).requires_grad_() for y in _outputs(func, args)]
    else:
        weights = [grad_outputs] if isinstance(grad_outputs, Variable) else list(grad_outputs)
    n = len(args)

    def gradient(*arguments: Any) -> tuple[Any, ...]:
        xs = [x for x in arguments[:n] if isinstance(x, Variable) and x.requires_grad]
        ys = _outputs(func, arguments[:n])
        found = grad(ys, xs, arguments[n:], create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None and g.requires_grad) or (xs[0] * 0,)

    return gradcheck(
        gradient,
        (*args, *weights),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
    )


def _outputs(func: Callable[..., Any], args: Sequence[Any]) -> list[Any]:
    """The differentiable outputs."""
    result = func(*args)
    results = result if isinstance(result, (tuple, list)) else (result,)
    found = [y for y in results if isinstance(y, Variable) and y.requires_grad]
    if not found:
        raise ValueError("gradcheck: no output of the function requires grad")
    return found


def _noise(rng: np.random.Generator, like: Any) -> Any:
    values = rng.standard_normal(tuple(like.shape))
    if like.is_complex():
        values = values + 1j * rng.standard_normal(tuple(like.shape))
    return creation.tensor(np.asarray(values), dtype=like.dtype)


def _real(x: np.ndarray) -> np.ndarray:
    """Values as one vector of real numbers, complex ones as pairs."""
    flat = np.ascontiguousarray(x).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


def _numerical(func: Callable[..., Any], args: Sequence[Any], x: Any, eps: float) -> list[np.ndarray]:
    """For each output its Jacobian with respect to `x`, by central differences; `x` is put back afterwards."""
    memory = x._host()
    parts = (memory.real, memory.imag) if x.is_complex() else (memory,)

    def values() -> list[np.ndarray]:
        return [_real(y._host().copy()) for y in _outputs(func, args)]

    columns: list[list[np.ndarray]] = []
    for index in np.ndindex(memory.shape):
        for part in parts:
            before = part[index]
            part[index] = before + eps
            above = values()
            part[index] = before - eps
            below = values()
            part[index] = before
            columns.append([(up - down) / (2 * eps) for up, down in zip(above, below, strict=True)])
    if not columns:
        return [np.zeros((y.size, 0)) for y in values()]
    return [np.stack(column, axis=1) for column in zip(*columns, strict=True)]


def _analytical(y: Any, xs: Sequence[Any]) -> list[np.ndarray]:
    """The Jacobians of one output with respect to each input, a row per backward."""
    rows: list[list[np.ndarray]] = []
    cotangent = np.zeros(tuple(y.shape), y.dtype.numpy)
    place = _real(cotangent)
    for k in range(place.size):
        place[k] = 1
        gs = grad(y, xs, creation.tensor(cotangent), retain_graph=True, allow_unused=True)
        rows.append(
            [
                _real(np.zeros(tuple(x.shape), x.dtype.numpy) if g is None else g._host())
                for g, x in zip(gs, xs, strict=True)
            ]
        )
        place[k] = 0
    return [np.stack(row) for row in zip(*rows, strict=True)]
