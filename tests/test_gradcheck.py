"""`gradcheck` and `gradgradcheck` accept what is right, and show both Jacobians of what is wrong."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.autograd import Function, gradcheck, gradgradcheck
from plugrad.errors import GradcheckError


def real(*shape: int, seed: int = 0) -> Any:
    return torch.tensor(np.random.default_rng(seed).uniform(0.5, 2, shape), requires_grad=True)


def complex_(*shape: int) -> Any:
    rng = np.random.default_rng(1)
    return torch.tensor(rng.standard_normal(shape) + 1j * rng.standard_normal(shape), requires_grad=True)


class Wrong(Function):
    """x², with a backward that is wrong by `error`, in its first or only in its second derivative."""

    @staticmethod
    def forward(ctx: Any, x: Any, error: float, order: int) -> Any:
        ctx.save_for_backward(x)
        ctx.error, ctx.order = error, order
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        if ctx.order == 1:
            return g * 2 * x * ctx.error, None, None
        return g * (2 * x.detach() + (x - x.detach()) * 2 * ctx.error), None, None


RIGHT: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "one": (lambda x: x.sin(), (real(3),)),
    "0-d": (lambda x: x * x, (real(),)),
    "empty": (lambda x: (x * 2, x.sum() * torch.ones(2, dtype=torch.float64)), (real(0, 2),)),
    "two inputs": (lambda x, y: x / y, (real(2, 3), real(3, seed=1))),
    "two outputs": (lambda x: (x.exp(), x.sum()), (real(3),)),
    "an output without gradient": (lambda x: (x > 1, x * 2), (real(3),)),
    "an input without gradient": (
        lambda x, c, n: x * c * n,
        (real(3), torch.ones(3, dtype=torch.float64), 2),
    ),
    "an unused input": (lambda x, y: x * x, (real(2), real(3))),
    "complex": (lambda z: z * z, (complex_(3),)),
    "complex to real": (lambda z: z.abs(), (complex_(3),)),
    "real to complex": (lambda x: x * (1 + 2j), (real(3),)),
    "mixed": (lambda x, z: (x * z, z.real * x), (real(2), complex_(2))),
    "not contiguous": (lambda x: x * x, (real(2, 3).detach().t().requires_grad_(),)),
    "complex, not contiguous": (lambda z: z * z, (complex_(2, 3).detach().t().requires_grad_(),)),
    "matrices": (lambda a, b: a @ b, (real(2, 3), real(3, 2, seed=1))),
    "pieces": (lambda x: x.split([1, 2]), (real(3),)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_functions_pass(name: str) -> None:
    f, inputs = RIGHT[name]
    before = [x.tolist() if isinstance(x, torch.Tensor) else x for x in inputs]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gradcheck(f, inputs) is True
        assert gradgradcheck(f, inputs) is True
    assert [x.tolist() if isinstance(x, torch.Tensor) else x for x in inputs] == before
    assert all(x.grad is None for x in inputs if isinstance(x, torch.Tensor))


def test_inputs_may_be_parameters_that_the_function_closes_over() -> None:
    w = real(2)
    assert gradcheck(lambda _: (w * w).sum(), w)


def test_a_wrong_derivative_is_shown_beside_the_numerical_one() -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x: (x * 1, Wrong.apply(x, 1.5, 1)), x)
    text = str(caught.value)
    assert "Jacobian mismatch for output 1 with respect to input 0" in text
    numerical, analytical = (
        np.array(re.findall(r"-?\d+\.\d*", part), float)
        for part in re.search(r"numerical:(.*)analytical:(.*)", text, re.S).groups()
    )
    np.testing.assert_allclose(numerical[:4], [2, 0, 0, 4], atol=1e-3)
    np.testing.assert_allclose(analytical[:4], [3, 0, 0, 6], atol=1e-3)
    assert gradcheck(lambda x: Wrong.apply(x, 1.5, 1), x, raise_exception=False) is False
    assert gradcheck(lambda x: Wrong.apply(x, 1.001, 1), x, rtol=1e-2) and not gradcheck(
        lambda x: Wrong.apply(x, 1.001, 1), x, rtol=1e-4, raise_exception=False
    )


def test_a_wrong_second_derivative_is_found_by_gradgradcheck_alone() -> None:
    x = real(3)
    assert gradcheck(lambda x: Wrong.apply(x, 0.5, 2), x) and gradgradcheck(
        lambda x: Wrong.apply(x, 1.0, 2), x
    )
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0"):
        gradgradcheck(lambda x: Wrong.apply(x, 0.5, 2), x)
    assert gradgradcheck(lambda x: Wrong.apply(x, 0.5, 2), x, raise_exception=False) is False


def test_a_lost_graph_is_found() -> None:
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        gradcheck(lambda x: x * x.detach(), real(3))


def test_a_missing_conjugate_is_found() -> None:
    class NoConj(Function):
        @staticmethod
        def forward(ctx: Any, z: Any) -> Any:
            return z * (1 + 2j)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * (1 + 2j)

    assert gradcheck(NoConj.apply, complex_(2), raise_exception=False) is False


@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
def test_a_backward_that_is_not_the_same_twice_is_found(tolerance: float) -> None:
    drift = [1.0]

    class Drifting(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            drift[0] += 1e-6
            return g * drift[0]

    if tolerance:
        assert gradcheck(Drifting.apply, real(2), nondet_tol=tolerance)
    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(Drifting.apply, real(2), nondet_tol=tolerance * 1e-5)


def test_what_cannot_be_checked() -> None:
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda x: x, torch.ones(2, dtype=torch.float64))
    with pytest.raises(ValueError, match="no output of the function requires grad"):
        gradcheck(lambda x: x > 0, real(2))
    with pytest.warns(
        UserWarning, match=r"input 0 requires gradient and is torch.float32, not a double precision"
    ):
        gradcheck(lambda x: x * 1, torch.ones(2, requires_grad=True), raise_exception=False)


@pytest.mark.parametrize(
    "name", sorted(set(RIGHT) - {"empty", "an output without gradient"})
)  # they name plugrad, or bool
def test_pytorch_agrees_on_what_is_right(name: str) -> None:
    oracle = pytest.importorskip("torch")
    f, inputs = RIGHT[name]
    theirs = [
        oracle.tensor(x.tolist(), dtype=getattr(oracle, x.dtype.name), requires_grad=x.requires_grad)
        if isinstance(x, torch.Tensor)
        else x
        for x in inputs
    ]
    assert oracle.autograd.gradcheck(f, theirs)
