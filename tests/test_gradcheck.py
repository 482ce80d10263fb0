"""`gradcheck` and `gradgradcheck` accept what is right, and show both Jacobians of what is wrong.

Options, planted errors and PyTorch's verdicts: test_gradcheck_verdicts.py.
"""

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
        for fast in (False, True):
            options: dict[str, Any] = {
                "fast_mode": fast,
                "check_batched_grad": True,
                "check_grad_dtypes": True,
            }
            assert gradcheck(f, inputs, check_forward_ad=True, check_batched_forward_grad=True, **options)
            assert gradgradcheck(
                f, inputs, check_fwd_over_rev=True, gen_non_contig_grad_outputs=True, **options
            )
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


def scaled(factor: Any = 2, back: Any = 2, push: Any = 2, **members: Any) -> type[Function]:
    """x · factor, as a Function with derivatives of their own."""

    class Scaled(Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any) -> Any:
            return x * factor

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            pass

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * back(g) if callable(back) else g * back

        @staticmethod
        def jvp(ctx: Any, t: Any) -> Any:
            return t * push(t) if callable(push) else t * push

    for name, member in members.items():
        setattr(Scaled, name, member)
    return Scaled


class Undefined(Function):
    """Two outputs, whose backward does not bear that nothing arrives at one or both, as `bears` says."""

    @staticmethod
    def forward(ctx: Any, x: Any, bears: str) -> Any:
        ctx.set_materialize_grads(False)
        ctx.bears = bears
        return x * 2, x * 3

    @staticmethod
    def backward(ctx: Any, a: Any, b: Any) -> Any:
        if ctx.bears == "one" and a is None and b is None:
            raise TypeError("nothing has arrived")
        if ctx.bears == "wrongly" and a is None and b is None:
            return torch.ones(2, dtype=torch.float64), None
        return (0 if a is None else a * 2) + (0 if b is None else b * 3), None


#: name: (function, its input, options, what the error says)
WRONG: dict[str, tuple[Callable[..., Any], Any, dict[str, Any], str]] = {
    "backward": (scaled(2, 3).apply, real(2), {}, "Jacobian mismatch for output 0 with respect to input 0"),
    "forward": (scaled(2, 2, 3).apply, real(2), {"check_forward_ad": True},
                "Jacobian computed with forward mode mismatch for output 0 with respect to input 0"),
    "forward alone": (scaled(2, 2, 3).apply, real(2), {"check_forward_ad": True, "check_backward_ad": False},
                      "Jacobian computed with forward mode mismatch"),
    "conjugate": (scaled(1 + 2j, 1 + 2j, 1 + 2j).apply, complex_(2), {},
                  "While considering the imaginary part of complex outputs only, Jacobian mismatch for output 0"),
    "conjugate in forward mode": (scaled(1 + 2j, 1 - 2j, 1 - 2j).apply, complex_(2), {"check_forward_ad": True},
                                  "Jacobian computed with forward mode mismatch"),
    "a constant instead of the gradient": (scaled(2, lambda g: 2 / g).apply, real(2), {}, "Jacobian mismatch"),
    "nothing arrives": (lambda x: Undefined.apply(x, "one"), real(2), {},
                        "Expected backward function to handle undefined output grads (UndefinedBackward), but got TypeError"),
    "something of nothing": (lambda x: Undefined.apply(x, "wrongly"), real(2), {},
                             "Expected all input grads to be undefined or zero when all output grads are undefined"),
    "a batch that is looked at": (scaled(2, lambda g: 2 if g.sum() > -1e9 else 3).apply, real(2), {"check_batched_grad": True},
                                  "While computing batched gradients, got: vmap:"),
    "a batch of tangents that is looked at": (
        scaled(2, 2, lambda t: 2 if t.sum() > -1e9 else 3).apply, real(2),
        {"check_forward_ad": True, "check_batched_forward_grad": True}, "While computing batched gradients, got: vmap:"),
    "a batch computed otherwise": (
        scaled(2, generate_vmap_rule=False, vmap=staticmethod(lambda info, dims, x: (x * 2, 0)),
               backward=staticmethod(lambda ctx, g: Third.apply(g))).apply,
        real(2), {"check_batched_grad": True}, "gradcheck failed while testing batched gradient computation."),
}  # fmt: skip


class Third(Function):
    """x · 2, but for a batch x · 3."""

    @staticmethod
    def forward(x: Any) -> Any:
        return x * 2

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Any) -> Any:
        return x * 3, in_dims[0]


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", WRONG)
def test_each_fault_is_found_and_named(name: str, fast: bool) -> None:
    f, x, options, text = WRONG[name]
    with pytest.raises(GradcheckError, match=re.escape(text)) as caught:
        gradcheck(f, x, fast_mode=fast, **options)
    assert not gradcheck(f, x, fast_mode=fast, raise_exception=False, **options)
    if fast and "mismatch" in str(caught.value):
        assert "In slow mode:\n\nNumerical:\ntensor([[" in str(caught.value)


def test_switched_off_checks_find_nothing() -> None:
    for name, option in [
        ("nothing arrives", "check_undefined_grad"),
        ("something of nothing", "check_undefined_grad"),
    ]:
        f, x, _, _ = WRONG[name]
        assert gradcheck(f, x, **{option: False})
    for name in ("forward", "a batch that is looked at"):
        assert gradcheck(WRONG[name][0], WRONG[name][1])


def test_wrong_second_derivatives_in_forward_mode_and_fast_mode() -> None:
    x = real(3)
    assert gradgradcheck(lambda x: Wrong.apply(x, 1.0, 2), x, fast_mode=True)
    assert not gradgradcheck(lambda x: Wrong.apply(x, 0.5, 2), x, fast_mode=True, raise_exception=False)
    forward: dict[str, Any] = {
        "check_fwd_over_rev": True,
        "check_rev_over_rev": False,
        "check_undefined_grad": False,
    }
    right, wrong = scaled(2, lambda g: 2, 2), scaled(2, lambda g: scaled(2, 2, 3).apply(g) / g, 2)
    assert gradgradcheck(lambda x: right.apply(x) * x, x, **forward)
    assert not gradgradcheck(lambda x: wrong.apply(x) * x, x, raise_exception=False, **forward)


def test_inputs_are_put_back_when_the_function_raises() -> None:
    x = real(2)
    before, calls = x.tolist(), [0]

    def f(x: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return x * 2

    with pytest.raises(KeyboardInterrupt):
        gradcheck(f, x)
    assert x.tolist() == before


def test_what_cannot_be_checked() -> None:
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda x: x, torch.ones(2, dtype=torch.float64))
    with pytest.raises(GradcheckError, match="Numerical gradient for function expected to be zero"):
        gradcheck(lambda x: x.detach() * 2, real(2))
    assert gradcheck(lambda x: x > 0, real(2)) and gradcheck(lambda x: torch.ones(2), real(2))
    with pytest.raises(RuntimeError, match="The 0th input has a dimension with stride 0"):
        gradcheck(lambda x: x * 2, real(1).detach().expand(3).requires_grad_())
    for options, text in [
        ({"check_backward_ad": False}, "Expected at least one of check_forward_ad or check_backward_ad"),
        (
            {"check_backward_ad": False, "check_forward_ad": True, "check_batched_grad": True},
            "check_batched_grad=True requires",
        ),
        ({"check_batched_forward_grad": True}, "check_batched_forward_grad=True requires"),
    ]:
        with pytest.raises(AssertionError, match=text):
            gradcheck(lambda x: x * 2, real(2), **options)
    with pytest.warns(
        UserWarning, match=r"Input #0 requires gradient and is torch.float32, not a double precision"
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
