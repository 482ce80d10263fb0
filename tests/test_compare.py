"""`compare`: devices that agree, and the op that is named where one does not."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import nn
from plugrad.op import OPS
from plugrad.testing import DivergenceError, compare
from tests.fake_backend import Array, enter


@pytest.fixture(autouse=True)
def devices() -> None:
    enter("fake")
    enter("minimal")


BOTH = ["cpu", "fake"]
X = torch.tensor([[0.5, -1.25, 0.75], [1.5, -0.25, 1.0]], requires_grad=True)


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Let the kernel of an op on "fake" return something else than it did."""
    backend, ops = enter("fake"), list[Any]()

    def spoiled(name: str, change: Callable[[np.ndarray], Any] = lambda y: y + y.dtype.type(0.5)) -> None:
        op: Any = OPS[name]
        right = op.kernel(Array)
        monkeypatch.setattr(backend, name, lambda *args: Array(change(right(*args).values)), raising=False)
        ops.append(op)
        forget()

    def forget() -> None:
        for op in ops:
            op.kernels.pop(Array, None)
            op.writers.pop(Array, None)

    yield spoiled
    monkeypatch.undo()
    forget()


def line_of(fn: Callable[..., Any], text: str) -> int:
    """The number of the line in which a function has some text."""
    lines, first = inspect.getsourcelines(fn)
    return first + next(i for i, line in enumerate(lines) if text in line)


def program(x: Any) -> Any:
    a = x * 2
    b = a.exp()
    c = b.sin()
    d = c @ b.T
    return d.sum() + a.tanh().mean()


# --- agreement --------------------------------------------------------------------------------------------------


def test_devices_that_agree() -> None:
    found = compare(program, BOTH, X)
    assert found and found.agree and found.first is None and found.found == []
    assert found.ops >= 7 and found.gradients >= 7
    assert (
        str(found)
        == f"compare: the devices agree with 'cpu' in {found.ops} ops and {found.gradients} gradients"
    )
    assert X.grad is None and X.device.type == "cpu"


def trained(model: Any, x: Any, target: Any) -> Any:
    """Three steps of training, with writes, momentum and dropout of nothing."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def small_model() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.LayerNorm(4), nn.Linear(4, 2))


TARGET = torch.tensor([1, 0])


def test_training_of_a_small_model_agrees() -> None:
    model = small_model()
    before = [p.detach().clone() for p in model.parameters()]
    found = compare(trained, ["cpu", "fake", "minimal"], model, X, TARGET)
    assert found.agree and found.ops > 50 and found.gradients > 15, str(found)
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


def test_a_module_is_moved_like_its_arguments() -> None:
    assert compare(small_model(), BOTH, X).agree


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "in place": lambda x: (x * 2).add_(x).mul_(3).relu_().sum(),
    "no_grad": torch.no_grad()(lambda x: (x * 2).add_(x)),
    "inference_mode": torch.inference_mode()(lambda x: (x * 2).exp()),
    "second order": lambda x: torch.autograd.grad((x**3).sum(), x, create_graph=True)[0].sin(),
    "vmap": lambda x: torch.func.vmap(lambda row: row.exp().sum())(x),
    "per-sample gradients": lambda x: torch.func.vmap(torch.func.grad(lambda row: row.sin().sum()))(x),
    "forward mode": lambda x: torch.func.jvp(lambda v: v.exp(), (x,), (x * 0 + 1,)),
    "several outputs": lambda x: [v * 2 for v in x.unbind(1)],
    "indices": lambda x: x[torch.tensor([1, 0, 1], device=x.device)].sort(1).values,
    "a list of arguments": lambda x: torch.cat([x, x.T.reshape(2, 3)]),
    "nothing differentiable": lambda x: x > 0,
    "its own backward": lambda x: (x * x).sum().backward(),
    "a Function": lambda x: Cube.apply(x),
    "a recorded write": lambda x: written(x),
    "a checkpoint": lambda x: torch.utils.checkpoint.checkpoint(
        lambda v: v.exp().sin(), x, use_reentrant=False
    ),
    "hooks of saved values": lambda x: packed(x),
    "anomaly mode": lambda x: torch.autograd.detect_anomaly(check_nan=True)(lambda v: v.exp().sin())(x),
    "moves": lambda x: (x.cpu() * 2).to(x.device).exp(),
    "a hessian": lambda x: torch.func.hessian(lambda v: v.sin().sum())(x),
    "a view written under no_grad": lambda x: written_below(x),
}


def written(x: Any) -> Any:
    y = x * 2
    y[0] = x[1].exp()
    y[:, 1] += 1
    return y.sin()


def written_below(x: Any) -> Any:
    y = x.detach() * 2
    with torch.no_grad():
        y[0].mul_(3)
    return y * x


def packed(x: Any) -> Any:
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach() * 1, lambda t: t):
        return x.exp().sin()


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 3 * x.square() * g


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_agree(name: str) -> None:
    assert compare(PROGRAMS[name], BOTH, X).agree


def test_nan_agrees_with_nan_and_infinity_with_itself() -> None:
    assert compare(lambda x: (x / 0).log() - (x / 0), BOTH, X).agree


def test_random_numbers_begin_alike_and_go_on_afterwards() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2).tolist()
    torch.manual_seed(3)
    assert compare(lambda x: x * torch.rand(2, 3, device="cpu").to(x.device), BOTH, X).agree
    assert torch.rand(2).tolist() == expected


# --- values -----------------------------------------------------------------------------------------------------

OPS_OF_PROGRAM = {
    "multiply": "x * 2",
    "exp": "a.exp()",
    "sin": "b.sin()",
    "mm": "c @ b.T",
    "tanh": "a.tanh()",
}


@pytest.mark.parametrize("name", OPS_OF_PROGRAM)
def test_the_first_op_whose_value_differs_is_named(name: str, spoil: Any) -> None:
    spoil(name)
    first = compare(program, BOTH, X).first
    assert first is not None and (first.kind, first.op, first.device) == ("value", name, "fake")
    assert (
        first.place == (__file__, line_of(program, OPS_OF_PROGRAM[name]))
        and OPS_OF_PROGRAM[name] in first.line
    )
    assert first.difference is not None and first.difference.error == pytest.approx(0.5, abs=1e-4)
    assert first.input_error is not None and first.input_error < 1e-5
    assert not first.backward


def test_what_is_said(spoil: Any) -> None:
    spoil("exp", lambda y: np.where(y > 4, y + 1, y).astype(y.dtype))
    text = str(compare(program, BOTH, X))
    assert text.startswith("compare: 'fake' diverges from 'cpu' at op 2 of ")
    assert ", exp(float32[2, 3])\n  the result differs\n  found 5.48" in text
    assert (
        ", expected 4.48" in text
        and " at [0, 2]: they differ by 1, allowed are 1.58e-05 (3 of 6 elements" in text
    )
    assert (
        f"  its operands are equal\n  called at {__file__}:{line_of(program, 'a.exp()')}: b = a.exp()" in text
    )
    with pytest.raises(DivergenceError, match="'fake' diverges from 'cpu' at op 2"):
        compare(program, BOTH, X, raise_exception=True)
    assert repr(compare(program, BOTH, X)).startswith("<compare: 'fake' diverges from 'cpu' at op 2 of")


@pytest.mark.parametrize(("fn", "name"), [
    (lambda x: (x * 2).add_(x), "add"),
    (torch.no_grad()(lambda x: (x * 2).add_(x)), "add"),
    (torch.no_grad()(lambda x: (x * 2).add_(1.0)), "add"),
    (torch.no_grad()(lambda x: (x * 2).exp_()), "exp"),
    (torch.inference_mode()(lambda x: (x * 2).exp()), "exp"),
    (lambda x: Cube.apply(x).exp(), "exp"),
    (lambda x: torch.func.vmap(lambda row: row.exp())(x), "exp"),
    (lambda x: torch.func.jvp(lambda v: v.exp() * 2, (x,), (x * 0 + 1,)), "exp"),
    (lambda x: Cube.apply(x), "multiply"),
    (lambda x: torch.autograd.grad(Cube.apply(x).sum(), x)[0], "square"),
])  # fmt: skip
def test_ops_are_seen_wherever_they_are_called(fn: Any, name: str, spoil: Any) -> None:
    spoil(name)
    first = compare(fn, BOTH, X).first
    assert first is not None and (first.kind, first.op) == ("value", name)
    assert first.place is not None and first.place[0] == __file__


def test_tolerances_are_those_of_the_dtype_unless_given(spoil: Any) -> None:
    spoil("exp", lambda y: y * y.dtype.type(1 + 1e-6))
    assert compare(lambda x: x.exp(), BOTH, X).agree
    assert not compare(lambda x: x.exp(), BOTH, X, rtol=1e-7, atol=0.0)
    wide = X.detach().double()
    assert not compare(lambda x: x.exp(), BOTH, wide)
    assert compare(lambda x: x.exp(), BOTH, wide, rtol=1e-5).agree


def test_integers_and_bools_have_to_be_equal(spoil: Any) -> None:
    spoil("argmax", lambda y: y + 1)
    first = compare(lambda x: x.argmax(), BOTH, X, rtol=1.0, atol=100.0).first
    assert first is not None and first.op == "argmax" and "found 4, expected 3" in str(first)
    spoil("less", lambda y: ~y)
    first = compare(lambda x: x < 0, BOTH, X).first
    assert first is not None and first.op == "less" and "(6 of 6 elements differ too much)" in str(first)


def test_shapes_and_dtypes_have_to_be_equal(spoil: Any) -> None:
    spoil("sin", lambda y: y[:1])
    spoil("argmin", lambda y: y.astype(np.int32))
    assert "found shape [1, 3], expected [2, 3]" in str(compare(lambda x: x.sin(), BOTH, X))
    assert "found dtype int32, expected int64" in str(compare(lambda x: x.argmin(), BOTH, X))


def test_what_an_op_magnifies_is_told_from_its_own_fault(spoil: Any) -> None:
    def cancels(x: Any) -> Any:
        return (x.exp() - x.exp().detach() * 0 - 1).mul(1e6).log1p()

    spoil("exp", lambda y: y * y.dtype.type(1 + 5e-7))
    first = compare(cancels, BOTH, X.detach().abs() * 1e-2).first
    assert first is not None and (first.kind, first.op, first.magnifies) == ("value", "multiply", True)
    assert "given those of 'cpu' it agrees: it magnifies what they were apart" in str(first)
    spoil("sin")
    first = compare(lambda x: x.exp().sin(), BOTH, X).first
    assert first is not None and (first.op, first.magnifies) == ("sin", False)
    assert "; given those of 'cpu' it differs as well" in str(first)


# --- gradients --------------------------------------------------------------------------------------------------


def wavy(x: Any) -> Any:
    a = x * 3
    b = a.sin()  # whose derivative alone asks for a cosine
    return b.exp().sum()


def test_a_fault_that_only_a_gradient_meets(spoil: Any) -> None:
    spoil("cos")
    assert compare(wavy, BOTH, X, backward=False).agree
    first = compare(wavy, BOTH, X).first
    assert first is not None and (first.kind, first.op, first.backward) == ("gradient", "sin", True)
    assert first.place == (__file__, line_of(wavy, "a.sin()"))
    assert "the gradient that it passes to its operand 'x' differs, and what arrives at it agrees" in str(
        first
    )


def test_a_gradient_of_one_operand(spoil: Any) -> None:
    spoil("log")
    first = compare(lambda x: ((x.abs() + 1) ** x).sum(), BOTH, X).first
    assert first is not None and (first.kind, first.op) == ("gradient", "pow") and "operand 'b'" in first.what


def test_a_fault_in_a_backward_that_the_function_calls(spoil: Any) -> None:
    spoil("cos")

    def step(x: Any) -> Any:
        loss = wavy(x)
        loss.backward()
        return x.grad

    first = compare(step, BOTH, X).first
    assert first is not None and (first.kind, first.op) == ("gradient", "sin")


def test_a_wrong_sum_of_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Array.__add__
    monkeypatch.setattr(Array, "__add__", lambda a, b: Array(right(a, b).values + np.float32(1)))
    first = compare(lambda x: (lambda h: (h.exp() * h.sin()).sum())(x * 2), BOTH, X).first
    assert first is not None and (first.kind, first.op) == ("arriving", "multiply")
    assert "their sum, a hook, or the derivative of a write" in str(first)
