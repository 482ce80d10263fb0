"""Seeded faults in an op: each is found by the check of `opcheck` that is for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.autograd import Function
from plugrad.op import composite, elementwise, linear, operator
from plugrad.ops import exp, where
from plugrad.testing.opchecks.checks import CHECKS
from tests.test_opcheck import Exp, X, Y, cube, declared, detached, double, failed, with_kernel  # noqa: F401 (a fixture)

# --- seeded faults ------------------------------------------------------------------------------------------------


def adds_in_place(x: Any) -> Any:
    x += 1
    return 2 * (x - 1)


class Faulty(Function):
    """2x² or so."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return 2 * x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 4 * x * g


class SavesTheWrongTensor(Exp):
    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(output)


class SavesAnIntermediate(Faulty):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        twice = 2 * x
        ctx.save_for_backward(twice)
        return twice * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (twice,) = ctx.saved_tensors
        return 2 * twice * g


class TakesNumbersOut(Faulty):
    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 4 * x.detach() * g


class KeepsItsOutput(Faulty):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        ctx.y = 2 * x * x
        return ctx.y


class WritesIntoTheCotangent(Faulty):
    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        raw = g._raw
        raw *= 4
        return g * x


class WritesIntoItsInput(Faulty):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = 2 * x * x
        x.detach().mul_(2)
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g


class ReadsMemoryOfTheCotangent(Faulty):
    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        memory = np.ravel(g.detach().numpy(), order="K").reshape(g.shape)
        return 4 * x * torch.tensor(memory) if not g.requires_grad else 4 * x * g


class WrongJvp(Exp):
    @staticmethod
    def jvp(ctx: Any, t: Any) -> Any:
        return t


class WrongVmap(Faulty):
    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Any) -> Any:
        return Faulty.apply(x) + 1, 0


def asks_for_gradients(x: Any) -> Any:
    leaf = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad((leaf * leaf).sum(), leaf)
    return x * slope.detach()


CACHE: list[Any] = []


def cached(x: Any) -> Any:
    CACHE.append(x)
    return 2 * x


def without_default() -> Any:
    op = elementwise("faulty::two", "x", x=lambda g: 2 * g)
    return with_kernel(with_kernel(op, "cpu", lambda x: 2 * x), "fake", lambda x: 2.001 * x)


COUNT = iter(range(1_000_000))

#: By name: the check that is to find it, and the op with samples and options.
FAULTS: dict[str, tuple[str, Callable[[], tuple[Any, tuple[Any, ...], dict[str, Any]]]]] = {
    "a formula of functions that take tensors": (
        "formulas",
        lambda: (
            elementwise("faulty::exp", "x", x=lambda g, x: g * torch.exp(x), default=lambda x: exp(x)),
            (),
            {},
        ),
    ),
    "a formula of functions that take arrays": (
        "gradgrad",
        lambda: (
            elementwise("faulty::exp", "x", x=lambda g, x: np.asarray(g) * np.exp(x), default=lambda x: exp(x)),
            (),
            {},
        ),
    ),
    "a wrong factor in a formula": ("gradcheck", lambda: (cube(lambda g, x: 2 * x * x * g), (), {})),
    "swapped formulas": ("gradcheck", lambda: (
        elementwise("faulty::f", "a b", a=lambda g: 2 * g, b=lambda g: g, default=lambda a, b: a + 2 * b), (X, Y), {})),
    "a formula that forgets its cotangent": ("gradcheck", lambda: (cube(lambda g, x: 3 * x * x + 0 * g), (), {})),
    "a complex formula that is not holomorphic": ("gradcheck", lambda: (
        elementwise("faulty::size", "x", default=lambda x: x * x.conj(), x=lambda g, x: 2 * g * x), (torch.complex(X, Y),), {})),
    "the wrong tensor saved": ("gradcheck", lambda: (SavesTheWrongTensor, (X,), {})),
    "right to first order only: detached": ("gradgrad", lambda: (cube(lambda g, x: 3 * detached(x * x) * g), (), {})),
    "right to first order only: detached in a Function": ("gradgrad", lambda: (TakesNumbersOut, (X,), {})),
    "an intermediate value saved": ("gradgrad", lambda: (SavesAnIntermediate, (X,), {})),
    "a kernel that writes into its input": ("mutation", lambda: (double(adds_in_place), (), {})),
    "a forward that writes into its input": ("mutation", lambda: (WritesIntoItsInput, (X,), {})),
    "a backward that writes into the cotangent": ("mutation", lambda: (WritesIntoTheCotangent, (X,), {})),
    "the input itself as the result": ("aliasing", lambda: (
        elementwise("faulty::same", "x", x=lambda g: g, default=lambda x: x), (), {})),
    "a part of the input as the result": ("aliasing", lambda: (
        operator("faulty::row", "x", x=lambda g, x: where(x == x[0], 1.0, 0.0) * g, default=lambda x: x[0]), (X,), {})),
    "a function that returns its argument": ("aliasing", lambda: (lambda x: x, (X,), {})),
    "memory read in its own order": ("layouts", lambda: (
        double(lambda x: 2 * np.ravel(x, order="K").reshape(x.shape)), (), {})),
    "memory of a cotangent read in its own order": ("layouts", lambda: (ReadsMemoryOfTheCotangent, (X,), {})),
    "an operator that broadcasts, and its formulas do not": ("broadcasting", lambda: (
        operator("faulty::mul", "a b", a=lambda g, b: g * b, b=lambda g, a: g * a, default=lambda a, b: a * b), (X, Y), {})),
    "an elementwise kernel that does not broadcast": ("broadcasting", lambda: (
        elementwise("faulty::mul", "a b", a=lambda g, b: g * b, b=lambda g, a: g * a,
                    default=lambda a, b: np.einsum("ij,ij->ij", a, b)), (X, Y), {})),
    "wrong for empty arrays": ("empty", lambda: (double(lambda x: 2 * x if x.size else np.zeros((1, 3))), (), {})),
    "an error for empty arrays": ("empty", lambda: (double(lambda x: 2 * x + 0 * np.max(x)), (), {})),
    "wrong for arrays without dimensions": ("zero_dim", lambda: (double(lambda x: 2 * np.atleast_1d(x)), (X,), {})),
    "float32 made float64": ("dtypes", lambda: (
        operator("faulty::double", "x", x=lambda g: 2 * g, default=lambda x: x * np.float64(2)), (X,), {})),
    "gradients of float32 made float64": ("dtypes", lambda: (double(lambda x: 2 * x, lambda g: g * np.float64(2)), (), {})),
    "integers cut": ("dtypes", lambda: (
        elementwise("faulty::root", "x", default=lambda x: x**0.5, x=lambda g, y: g / (2 * y)), (), {"domain": (1.0, 9.0)})),
    "a kernel that is wrong in float32": ("dtypes", lambda: (
        double(lambda x: 2 * x if x.dtype == np.float64 else x + x + x.dtype.type(0.01)), (), {})),
    "a kernel with random bits": ("deterministic", lambda: (double(lambda x: 2 * x + 1e-12 * next(COUNT)), (), {})),
    "gradients inside of no_grad": ("no_grad", lambda: (asks_for_gradients, (X,), {"skip": {"gradcheck": "a constant"}})),
    "a wrong jvp": ("forward_mode", lambda: (cube(jvp=lambda ts, y, inputs, params: ts[0] * 2), (), {})),
    "a wrong jvp of a Function": ("forward_mode", lambda: (WrongJvp, (X,), {})),
    "an affine op declared linear": ("forward_mode", lambda: (
        linear("faulty::affine", "x", x=lambda g: 2 * g, default=lambda x: 2 * x + 1), (X,), {})),
    "an elementwise op that looks at other elements": ("vmap", lambda: (
        elementwise("faulty::shifted", "x", x=lambda g: g, default=lambda x: x - np.max(x, initial=-9)), (X,), {})),
    "a shape that depends on values": ("vmap", lambda: (
        operator("faulty::positive", "x", default=lambda x: x[x > 0]), (X,), {})),
    "a wrong vmap of a Function": ("vmap", lambda: (WrongVmap, (X,), {})),
    "a fused kernel that differs from the default": ("composite", lambda: (
        with_kernel(double(lambda x: 2 * x), "fake", lambda x: 2 * x + 1e-3), (), {"device": "fake"})),
    "a kernel that differs from a composite's body": ("lowering", lambda: (
        with_kernel(composite("faulty::square")(lambda x: x * x), "fake", lambda x: 1.001 * x * x), (X,), {"device": "fake"})),
    "a kernel that differs from the CPU's": ("cpu", lambda: (without_default(), (), {"device": "fake"})),
    "values other than the reference's": ("reference", lambda: (cube(), (), {"reference": lambda x: x**3 + 1e-3})),
    "an output kept on ctx": ("saves", lambda: (KeepsItsOutput, (X,), {})),
    "inputs kept in a list": ("saves", lambda: (double(cached), (), {})),
    "a formula that reads what there is not": ("call", lambda: (cube(lambda g, z: g * z), (), {})),
    "an array in the place of a tensor": ("call", lambda: (lambda x: x.numpy(), (X,), {})),
    "a shape that is not elementwise": ("call", lambda: (
        elementwise("faulty::sum", "x", x=lambda g: g, default=lambda x: np.sum(x, -1)), (X,), {})),
    "a name of nobody's library": ("name", lambda: (
        elementwise("softsquarish", "x", x=lambda g, x: 2 * x * g, default=lambda x: x * x), (), {})),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found_by_their_check(fault: str) -> None:
    expected, make = FAULTS[fault]
    CACHE.clear()
    op, samples, options = make()
    found = failed(op, *samples, **options)
    CACHE.clear()
    assert expected in found, f"found only {found}"


#: Faults that break nothing else: no other check raises a false alarm.
ALONE = [
    "a wrong factor in a formula", "right to first order only: detached", "the input itself as the result",
    "memory read in its own order", "an operator that broadcasts, and its formulas do not", "float32 made float64",
    "gradients of float32 made float64", "integers cut", "a wrong jvp", "a wrong jvp of a Function", "an output kept on ctx",
    "inputs kept in a list", "values other than the reference's", "a name of nobody's library", "a wrong vmap of a Function",
    "wrong for empty arrays", "a kernel that is wrong in float32", "an affine op declared linear",
]  # fmt: skip


@pytest.mark.parametrize("fault", ALONE)
def test_a_fault_is_found_by_its_check_alone(fault: str) -> None:
    expected, make = FAULTS[fault]
    op, samples, options = make()
    assert failed(op, *samples, **options) == [expected]


def test_every_check_has_a_fault_that_it_finds() -> None:
    assert {name for name, _ in FAULTS.values()} == set(CHECKS)
