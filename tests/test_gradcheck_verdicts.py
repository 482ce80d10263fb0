"""`gradcheck` with each of its options: planted errors are found and named; PyTorch comes to the same verdicts."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad
from plugrad.autograd import gradcheck, gradgradcheck
from plugrad.autograd.gradcheck import GradcheckError

# PyTorch warns of its own parts, depending on what is used first.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}:torch")
    for kind in ("DeprecationWarning", "FutureWarning", "UserWarning")
]

REAL = np.random.default_rng(0).uniform(0.5, 2, 3)
COMPLEX = REAL + 1j * np.random.default_rng(1).uniform(0.5, 2, 3)


def inputs(t: Any, *arrays: np.ndarray) -> tuple[Any, ...]:
    return tuple(t.tensor(a, requires_grad=True) for a in arrays)


def function(t: Any, forward: Any, backward: Any, jvp: Any = None, materialize: bool = True) -> Any:
    """The `apply` of a Function that saves its inputs: `forward(*xs)`, `backward(xs, *gs)`, `jvp(xs, *ts)`."""

    class F(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *xs: Any) -> Any:
            ctx.set_materialize_grads(materialize)
            ctx.save_for_backward(*xs)
            ctx.save_for_forward(*xs)
            return forward(*xs)

        @staticmethod
        def backward(ctx: Any, *gs: Any) -> Any:
            return backward(ctx.saved_tensors, *gs)

        @staticmethod
        def jvp(ctx: Any, *ts: Any) -> Any:
            return jvp(ctx.saved_tensors, *ts)

    return F.apply


def square(t: Any, factor: complex = 2, slope: complex = 2) -> Any:
    """z², with a factor in its backward and one in its jvp where 2 is right."""
    return function(
        t,
        lambda z: z * z,
        lambda xs, g: g * (xs[0].conj() * factor),
        lambda xs, z: z * xs[0] * slope,
    )


def drifting(t: Any) -> Any:
    state = [1.0]

    def backward(xs: Any, g: Any) -> Any:
        state[0] += 1e-9
        return g * state[0]

    return function(t, lambda x: x * 1, backward)


def pair(t: Any, handle: Callable[[Any], Any]) -> Any:
    """(2x, 3x) whose backward gets None for what nobody differentiated, and does `handle` to it."""
    return function(
        t, lambda x: (x * 2, x * 3), lambda xs, a, b: handle(a) * 2 + handle(b) * 3, materialize=False
    )


def undefined(t: Any, handle: Callable[[Any], Any]) -> Any:
    return function(t, lambda x: x * 2, lambda xs, g: handle(g), materialize=False)


def by_value(xs: Any, g: Any) -> Any:
    return g * 2 if float(g.sum()) > -1e9 else g


def mismatch(output: int = 0, put: int = 0, before: str = "") -> str:
    return rf"^{before}Jacobian mismatch for output {output} with respect to input {put},\nnumerical:.*analytical:"


def forward_mismatch(before: str = "") -> str:
    return rf"^{before}Jacobian computed with forward mode mismatch for output 0 with respect to input 0,"


def part(which: str, of: str) -> str:
    return f"While considering the {which} part of complex {of} only, "


FORWARD = {"check_forward_ad": True}
ONLY_FORWARD = {**FORWARD, "check_backward_ad": False}
BATCHED = {"check_batched_grad": True}
UNCHECKED = {"check_undefined_grad": False}

#: name → (function of a library, arrays, options, None or what the error says).
VERDICTS: dict[str, tuple[Callable[[Any], Any], Any, dict[str, Any], str | None]] = {
    "right": (square, [REAL], {**FORWARD, **BATCHED, "check_grad_dtypes": True}, None),
    "right, complex": (square, [COMPLEX], {**FORWARD, **BATCHED, "check_grad_dtypes": True}, None),
    "forward alone": (lambda t: square(t, 3), [COMPLEX], ONLY_FORWARD, None),
    "backward alone": (lambda t: square(t, 2, 3), [COMPLEX], {}, None),
    "batched forward": (lambda t: t.sin, [REAL], {**FORWARD, "check_batched_forward_grad": True}, None),
    "wrong factor": (lambda t: square(t, 2.5), [REAL], {}, mismatch()),
    "wrong factor within tolerance": (lambda t: square(t, 2.001), [REAL], {"rtol": 1e-2}, None),
    "wrong by a little": (lambda t: square(t, 2.001), [REAL], {"rtol": 1e-5}, mismatch()),
    "wrong factor, complex": (
        lambda t: square(t, 2.5),
        [COMPLEX],
        {},
        mismatch(before=part("imaginary", "outputs")),
    ),
    "wrong sign of the imaginary part": (
        lambda t: function(t, lambda z: z * z, lambda xs, g: g * (xs[0] * 2)),
        [COMPLEX],
        {},
        mismatch(before=part("imaginary", "outputs")),
    ),
    "a real function of complex numbers without its conjugate": (
        lambda t: function(t, lambda z: (z * z.conj()).real, lambda xs, g: g * 2 * xs[0].conj()),
        [COMPLEX],
        {},
        mismatch(),
    ),
    "a cotangent that should be conjugate": (
        lambda t: function(t, lambda z: z.conj() * 1, lambda xs, g: g),
        [COMPLEX],
        {},
        mismatch(before=part("imaginary", "outputs")),
    ),
    "only the real part is wrong": (
        lambda t: function(t, lambda z: z * 1, lambda xs, g: t.complex(g.real * 2, g.imag)),
        [COMPLEX],
        {},
        mismatch(before=part("real", "outputs")),
    ),
    "the second input": (
        lambda t: function(t, lambda a, b: a * b, lambda xs, g: (g * xs[1], g * xs[0] * 2)),
        [REAL, REAL],
        {},
        mismatch(0, 1),
    ),
    "the second output": (
        lambda t: function(t, lambda a: (a * 1, a * 2), lambda xs, g, h: g + h * 3),
        [REAL],
        {},
        mismatch(1, 0),
    ),
    "wrong forward derivative": (lambda t: square(t, 2, 3), [REAL], FORWARD, forward_mismatch()),
    "wrong forward derivative, complex": (
        lambda t: square(t, 2, 3),
        [COMPLEX],
        ONLY_FORWARD,
        forward_mismatch(part("imaginary", "inputs")),
    ),
    "conjugate forward derivative": (
        lambda t: function(
            t, lambda z: z * 2, lambda xs, g: g * 2, lambda xs, z: t.complex(z.real * 2, -z.imag)
        ),
        [COMPLEX],
        FORWARD,
        forward_mismatch(part("imaginary", "inputs")),
    ),
    "a complex tangent of a real output": (
        lambda t: function(t, lambda x: x * 2, lambda xs, g: g * 2, lambda xs, x: x * 2 + 0j),
        [REAL],
        {**FORWARD, "check_grad_dtypes": True},
        "Forward AD gradient has dtype mismatch",
    ),
    "a real tangent of a complex output": (
        lambda t: function(t, lambda x: x * 2 + 0j, lambda xs, g: g.real * 2, lambda xs, x: x * 2),
        [REAL],
        {**FORWARD, "check_grad_dtypes": True},
        "Forward AD gradient has dtype mismatch",
    ),
    "gradients of another precision": (
        lambda t: function(t, lambda x: x * 2, lambda xs, g: (g * 2).float()),
        [REAL],
        {"check_grad_dtypes": True},
        None,  # the engine has converted them
    ),
    "an undefined tangent counts as one": (
        lambda t: function(
            t,
            lambda a, b: a + b,
            lambda xs, g: (g, g),
            lambda xs, a, b: (1 if a is None else a) + (1 if b is None else b),
            materialize=False,
        ),
        [REAL, REAL],
        ONLY_FORWARD,
        "Mismatch in tangent values for output with index: .*has an undefined tangent",
    ),
    "not the same twice": (drifting, [REAL], {}, r"Backward is not reentrant, .* nondeterminism was 0.0"),
    "not the same twice, tolerated": (drifting, [REAL], {"nondet_tol": 1e-5}, None),
    "undefined gradients": (lambda t: pair(t, lambda g: 0 if g is None else g), [REAL], UNCHECKED, None),
    "undefined gradients handled": (
        lambda t: undefined(t, lambda g: None if g is None else g * 2),
        [REAL],
        {},
        None,
    ),
    "undefined gradients are ones": (
        lambda t: undefined(t, lambda g: t.ones(3, dtype=t.float64) if g is None else g * 2),
        [REAL],
        {},
        "Expected all input grads to be undefined or zero",
    ),
    "undefined gradients refused": (
        lambda t: undefined(t, lambda g: g.new_zeros(()) + g * 2),
        [REAL],
        {},
        "Expected backward function to handle undefined output grads",
    ),
    "undefined gradients refused, unchecked": (
        lambda t: undefined(t, lambda g: g.new_zeros(()) + g * 2),
        [REAL],
        UNCHECKED,
        None,
    ),
    "one undefined gradient of two": (
        lambda t: pair(t, lambda g: t.ones(3, dtype=t.float64) if g is None else g),
        [REAL],
        {},
        mismatch(),
    ),
    "not multiplied by the gradient": (
        lambda t: function(t, lambda x: x * 2, lambda xs, g: g * 2 + (g.sum() == 0) * 1.0),
        [REAL],
        {},
        "backward not multiplied by grad_output",
    ),
    "not under vmap": (
        lambda t: function(t, lambda x: x * 2, by_value),
        [REAL],
        BATCHED,
        "While computing batched gradients, got:",
    ),
    "not under vmap, unchecked": (lambda t: function(t, lambda x: x * 2, by_value), [REAL], {}, None),
    "a constant": (lambda t: lambda x: x.detach() * 0, [REAL], {}, None),
    "a lost graph": (
        lambda t: lambda x: x.detach() * 2,
        [REAL],
        {},
        "Numerical gradient for function expected to be zero",
    ),
    "two inputs, one lost": (lambda t: lambda a, b: a * b.detach(), [REAL, REAL], {}, mismatch(0, 1)),
}


def verdict(t: Any, name: str, fast: bool) -> Any:
    make, arrays, options, _ = VERDICTS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, about new features
        return t.autograd.gradcheck(make(t), inputs(t, *arrays), fast_mode=fast, **options)


@pytest.mark.parametrize("fast", [False, True], ids=["slow", "fast"])
@pytest.mark.parametrize("name", VERDICTS)
def test_verdicts(name: str, fast: bool) -> None:
    make, arrays, options, expected = VERDICTS[name]
    if expected is None:
        assert verdict(plugrad, name, fast) is True
        return
    with pytest.raises(GradcheckError) as caught:
        verdict(plugrad, name, fast)
    assert re.search(expected, str(caught.value), re.S), str(caught.value)
    assert (
        gradcheck(make(plugrad), inputs(plugrad, *arrays), raise_exception=False, fast_mode=fast, **options)
        is False
    )


@pytest.mark.parametrize("fast", [False, True], ids=["slow", "fast"])
@pytest.mark.parametrize("name", VERDICTS)
def test_pytorch_comes_to_the_same_verdict(name: str, fast: bool) -> None:
    torch = pytest.importorskip("torch")
    expected = VERDICTS[name][3]
    if expected is None:
        assert verdict(torch, name, fast) is True
        return
    # PyTorch lets what backward raises through, where it is not a RuntimeError.
    with pytest.raises(AttributeError if "refused" in name else RuntimeError) as caught:
        verdict(torch, name, fast)
    if "refused" not in name:
        assert type(caught.value).__name__ == "GradcheckError"
        assert re.search(expected, str(caught.value), re.S), str(caught.value)


def jacobians(text: str) -> list[np.ndarray]:
    """The two matrices of a message."""
    found = re.findall(
        r"(?:numerical|analytical):\s*tensor\((\[\[.*?\]\])(?:, dtype=[\w.]+)?\)", text, re.S | re.I
    )
    return [np.array(eval(re.sub(r"(\d)\.(?=\D)", r"\1.0", m))) for m in found]


@pytest.mark.parametrize("mode", ["backward", "forward"])
@pytest.mark.parametrize("library", ["plugrad", "torch"])
def test_both_jacobians_are_shown(library: str, mode: str) -> None:
    t = pytest.importorskip(library)
    options = {} if mode == "backward" else ONLY_FORWARD
    x = t.tensor([1.0, 2.0], dtype=t.float64, requires_grad=True)
    with pytest.raises(RuntimeError) as caught:
        t.autograd.gradcheck(square(t, 3, 3), x, **options)
    numerical, analytical = jacobians(str(caught.value))
    np.testing.assert_allclose(numerical, [[2, 0], [0, 4]], atol=1e-3)
    np.testing.assert_allclose(analytical, [[3, 0], [0, 6]], atol=1e-3)


@pytest.mark.parametrize("options", [{}, ONLY_FORWARD], ids=["backward", "forward"])
@pytest.mark.parametrize("library", ["plugrad", "torch"])
def test_fast_mode_shows_the_jacobians_of_slow_mode(library: str, options: Any) -> None:
    t = pytest.importorskip(library)
    z = t.tensor([[1 + 1j, 2 - 1j]], dtype=t.complex128, requires_grad=True)
    with pytest.raises(RuntimeError, match="in fast mode") as caught:
        t.autograd.gradcheck(square(t, 3, 3), z, fast_mode=True, **options)
    text = str(caught.value)
    assert re.search(
        r"numerical:.*analytical:.*Numerical:.*Analytical:.*max per-element difference", text, re.S
    )


def test_a_jacobian_has_a_row_for_each_element_of_the_input() -> None:
    f = function(plugrad, lambda x: x.sum(), lambda xs, g: g.expand(3) * 2)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(f, inputs(plugrad, REAL))
    assert [j.shape for j in jacobians(str(caught.value))] == [(3, 1), (3, 1)]


def test_the_position_of_an_input_counts_all_arguments() -> None:
    f = function(plugrad, lambda c, x: x * c, lambda xs, g: (None, g * 3))
    c = plugrad.ones(3, dtype=plugrad.float64)
    with pytest.raises(GradcheckError, match="for output 1 with respect to input 1"):
        gradcheck(lambda c, x: (c, f(c, x)), (c, *inputs(plugrad, REAL)))


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["plugrad", "torch"])
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"check_backward_ad": False},
            "Expected at least one of check_forward_ad or check_backward_ad to be True",
        ),
        (
            {"check_backward_ad": False, "check_forward_ad": True, "check_batched_grad": True},
            "check_batched_grad=True requires check_backward_ad",
        ),
        ({"check_batched_forward_grad": True}, "check_batched_forward_grad=True requires check_forward_ad"),
    ],
)
def test_options_that_contradict_each_other(library: str, options: Any, text: str) -> None:
    t = pytest.importorskip(library)
    with pytest.raises(AssertionError, match=text):
        t.autograd.gradcheck(t.sin, inputs(t, REAL), **options)


@pytest.mark.parametrize("library", ["plugrad", "torch"])
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"check_rev_over_rev": False}, "at least one of check_fwd_over_rev or check_rev_over_rev"),
        (
            {"check_rev_over_rev": False, "check_fwd_over_rev": True},
            "check_undefined_grad=True requires check_rev_over_rev",
        ),
        (
            {
                "check_rev_over_rev": False,
                "check_fwd_over_rev": True,
                "check_undefined_grad": False,
                "check_batched_grad": True,
            },
            "check_batched_grad=True requires check_rev_over_rev",
        ),
    ],
)
def test_options_of_gradgradcheck_that_contradict_each_other(library: str, options: Any, text: str) -> None:
    t = pytest.importorskip(library)
    with pytest.raises(AssertionError, match=text):
        t.autograd.gradgradcheck(t.sin, inputs(t, REAL), **options)


@pytest.mark.parametrize("library", ["plugrad", "torch"])
def test_inputs_whose_elements_share_memory(library: str) -> None:
    t = pytest.importorskip(library)
    x = t.ones(2, dtype=t.float64)
    with pytest.raises(RuntimeError, match="The 1th input has a dimension with stride 0"):
        t.autograd.gradcheck(lambda a, b: a + b, (*inputs(t, REAL), x[:1].expand(3).requires_grad_()))
    assert t.autograd.gradcheck(t.sin, x[:1].expand(1).requires_grad_())


@pytest.mark.parametrize("library", ["plugrad", "torch"])
def test_single_precision_is_warned_of(library: str) -> None:
    t = pytest.importorskip(library)
    with pytest.warns(UserWarning, match="Input #1 requires gradient and is .*not a double precision"):
        t.autograd.gradcheck(
            lambda a, b: a * b,
            (*inputs(t, REAL), t.ones(3, requires_grad=True)),
            eps=1e-2,
            atol=1e-2,
            check_undefined_grad=False,
        )


def test_masked_is_for_sparse_tensors() -> None:
    x = inputs(plugrad, REAL)
    assert gradcheck(plugrad.sin, x, masked=False) and gradcheck(plugrad.sin, x, masked=None)
    with pytest.raises(NotImplementedError, match="masked=True is for sparse"):
        gradcheck(plugrad.sin, x, masked=True)


def test_outputs_that_change_their_form() -> None:
    x = inputs(plugrad, np.array([1.0]))
    sizes = iter([1, 2, 1, 1])
    with pytest.raises(
        GradcheckError, match=r"same dtype and shape when inputs are perturbed .*\[1\].*\[2\]"
    ):
        gradcheck(lambda x: x.expand(next(sizes)), x)
    counts = iter([1, 2, 1])
    with pytest.raises(GradcheckError, match="1 outputs also when inputs are perturbed, but got 2"):
        gradcheck(lambda x: (x * 1,) * next(counts), x)
    with pytest.raises(TypeError, match="must return tensors, but output 1 is a float"):
        gradcheck(lambda x: (x * 1, 1.0), x)


def test_inputs_are_put_back_when_the_function_fails() -> None:
    (x,) = inputs(plugrad, REAL)
    calls = []

    def f(x: Any) -> Any:
        calls.append(x)
        if len(calls) > 2:
            raise KeyError("no")
        return x * 1

    with pytest.raises(KeyError):
        gradcheck(f, x)
    np.testing.assert_array_equal(x.detach().numpy(), REAL)


# --- second derivatives -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["plugrad", "torch"])
@pytest.mark.parametrize("fast", [False, True], ids=["slow", "fast"])
@pytest.mark.parametrize("array", [REAL, COMPLEX], ids=["real", "complex"])
def test_gradgradcheck_with_its_options(library: str, fast: bool, array: np.ndarray) -> None:
    t = pytest.importorskip(library)
    check = t.autograd.gradgradcheck
    (x,) = inputs(t, array.reshape(1, 3))
    weight = t.ones_like(x).requires_grad_()
    sixth = lambda x: x.sin() * x
    assert check(sixth, x, fast_mode=fast, gen_non_contig_grad_outputs=True)
    assert check(sixth, x, weight, fast_mode=fast, check_fwd_over_rev=True, check_batched_grad=True)
    assert check(
        sixth,
        x,
        fast_mode=fast,
        check_fwd_over_rev=True,
        check_rev_over_rev=False,
        check_undefined_grad=False,
    )
    cubes = lambda k: function(  # the derivative of z³ is itself wrong by k, that of its gradient too
        t, lambda z: z * z * z, lambda xs, g: g * (square(t, k)(xs[0]) * 3).conj()
    )
    assert check(cubes(2), x, fast_mode=fast)
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"):
        check(cubes(3), x, fast_mode=fast)
    assert check(cubes(3), x, fast_mode=fast, raise_exception=False) is False


def test_random_cotangents_can_have_gaps_in_memory() -> None:
    strides = []

    def backward(xs: Any, g: Any) -> Any:
        strides.append(g.stride())
        return g * 2

    x = inputs(plugrad, REAL)
    assert gradgradcheck(
        function(plugrad, lambda x: x * 2, backward), x, gen_non_contig_grad_outputs=True, nondet_tol=1e-12
    )
    assert (2,) in strides
