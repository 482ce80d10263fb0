"""`opcheck`: right ops of every kind pass, and each of many seeded faults is found by the check that is for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import kernels
from plugrad.autograd import Function
from plugrad.backend import for_device
from plugrad.op import OPS, composite, elementwise, forget_kernels, linear, multilinear, operator
from plugrad.ops import broadcast_to, sum_
from plugrad.plugins import KernelSpec
from plugrad.testing import OpCheckError, S, opcheck
from plugrad.testing.opchecks.checks import CHECKS
from plugrad.testing.rows import In
from tests import fake_backend

#: What tests gave to backends.
GIVEN: list[tuple[Any, str]] = []


def with_kernel(op: Any, device: str, kernel: Callable[..., Any]) -> Any:
    """`op` with a kernel of its own on a device, a function of NumPy arrays."""
    backend: Any = for_device("cpu") if device == "cpu" else fake_backend.enter(device)
    setattr(
        backend, op.name, kernel if device == "cpu" else fake_backend._wrapped(kernel, backend.array_type)
    )
    GIVEN.append((backend, op.name))
    return op


@pytest.fixture(autouse=True)
def declared() -> Iterator[None]:
    """Ops that a test declares are gone after it."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)
    while GIVEN:
        delattr(*GIVEN.pop())


def cube(
    formula: Any = lambda g, x: 3 * x * x * g, default: Any = lambda x: x * x * x, **options: Any
) -> Any:
    return elementwise("faulty::cube", "x", x=formula, default=default, **options)


def double(default: Any, formula: Any = lambda g: g * 2, **options: Any) -> Any:
    return elementwise("faulty::double", "x", x=formula, default=default, **options)


def detached(x: Any) -> Any:
    return x.detach() if hasattr(x, "detach") else x


def failed(op: Any, *samples: Any, **options: Any) -> list[str]:
    return [c.name for c in opcheck(op, *samples, raise_exception=False, **options).failed]


X = torch.tensor([[0.5, -1.25, 0.75], [1.5, -0.25, 1.0]], dtype=torch.float64)
Y = torch.tensor([[1.5, 0.5, -0.75], [2.0, 1.25, -1.0]], dtype=torch.float64)

# --- right ops ---------------------------------------------------------------------------------------------------


class Exp(Function):
    """An output is saved, and everything is there."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any) -> Any:
        return x.exp()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (y,) = ctx.saved_tensors
        return g * y

    @staticmethod
    def jvp(ctx: Any, t: Any) -> Any:
        (y,) = ctx.saved_tensors
        return t * y


class Scale(Function):
    """The least that a Function has, and an argument that is no tensor."""

    @staticmethod
    def forward(ctx: Any, x: Any, factor: float) -> Any:
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.factor, None


def two_outputs(x: Any, y: Any) -> Any:
    return x * y, (x + y).sum(-1)


RIGHT: dict[str, Callable[[], tuple[Any, tuple[Any, ...], dict[str, Any]]]] = {
    "elementwise": lambda: (
        elementwise("right::cube", "x", x=lambda g, x: 3 * x * x * g, default=lambda x: x * x * x), (), {},
    ),
    "elementwise of a domain": lambda: (
        elementwise("right::root", "x", x=lambda g, y: g / (2 * y), result="float", default=lambda x: x**0.5),
        (), {"domain": (0.5, 3.0), "reference": np.sqrt},
    ),
    "elementwise of two inputs": lambda: (
        elementwise("right::hypot", "a b", result="float", default=lambda a, b: (a * a + b * b) ** 0.5,
                    a=lambda g, a, y: g * a / y, b=lambda g, b, y: g * b / y),
        (), {"domain": {"a": (0.5, 3.0), "b": (1.0, 2.0)}, "reference": np.hypot},
    ),
    "elementwise without a derivative": lambda: (
        elementwise("right::positive", "x", result="bool", default=lambda x: x > 0), (), {},
    ),
    "linear": lambda: (
        linear("right::total", "x", x=lambda g, x: broadcast_to(g, x.shape), default=lambda x: sum_(x, (0, 1), False)), (X,), {},
    ),
    "multilinear": lambda: (
        multilinear("right::product", "a b", a=lambda g, b: g @ b.T, b=lambda g, a: a.T @ g, default=lambda a, b: a @ b),
        (X, Y.T.clone()), {},
    ),
    "operator": lambda: (
        operator("right::square", "x", x=lambda g, x: 2 * x * g, default=lambda x: x * x), (X,), {},
    ),
    "operator with a parameter": lambda: (
        operator("right::times", "x | factor=2.0", x=lambda g, factor: g * factor, default=lambda x, factor: x * factor),
        (S(X, factor=3.0), S(X)), {},
    ),
    "view": lambda: (OPS["matrix_transpose"], (X,), {}),
    "several outputs": lambda: (OPS["unbind"], (S(X, axis=1),), {}),
    "list of inputs": lambda: (OPS["concat"], (S([X, Y], axis=1),), {}),
    "composite": lambda: (composite("right::mish")(lambda x: x * x.exp().log1p().tanh()), (X,), {"elementwise": True}),
    "complex": lambda: (
        elementwise("right::square", "x", x=lambda g, x: 2 * x * g, default=lambda x: x * x), (torch.complex(X, Y),), {},
    ),
    "Function": lambda: (Exp, (X,), {"elementwise": True, "reference": np.exp}),
    "Function of the least": lambda: (Scale, (X, 2.5), {}),
    "function": lambda: (torch.sigmoid, (), {"elementwise": True}),
    "function of two outputs": lambda: (two_outputs, (X, Y), {}),
    "on another device": lambda: (
        elementwise("right::cube", "x", x=lambda g, x: 3 * x * x * g, default=lambda x: x * x * x), (), {"device": "fake"},
    ),
    "on a device whose arrays are never written": lambda: (
        elementwise("right::cube", "x", x=lambda g, x: 3 * x * x * g, default=lambda x: x * x * x), (), {"device": "minimal"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_right_ops_pass(name: str) -> None:
    op, samples, options = RIGHT[name]()
    if "device" in options:
        fake_backend.enter(options["device"])
    report = opcheck(op, *samples, **options)
    assert report.ok and len(report) == len(CHECKS)
    assert {c.name for c in report if c.status == "skipped"} == set(options.get("skip", ()))
    assert report["call"].status == "passed"


# --- the report ---------------------------------------------------------------------------------------------------


def test_the_error_lists_all_failures_with_cures_and_lines_that_reproduce_them() -> None:
    wrong = {"x": lambda g, x: 2 * x * x * g, "default": lambda x: x * x * x * np.float64(1)}
    op = operator("faulty::cube", "x", **wrong)
    with pytest.raises(OpCheckError) as caught:
        opcheck(op, X[0])
    text = str(caught.value)
    assert "opcheck of faulty::cube on 'cpu': 2 of 15 checks failed" in text
    assert "FAILED       dtypes: float32 stays float32 in results and gradients" in text
    assert "operands of torch.float32 gave torch.float64" in text
    assert "compute in the dtype of the operands" in text
    assert "FAILED       gradcheck: the gradient is the derivative of what the op computes" in text
    assert "Jacobian mismatch" in text and "correct the formula of that input" in text
    assert "passed" not in text
    lines = [line.split("reproduce:")[1].strip() for line in text.splitlines() if "reproduce:" in line]
    assert lines[0] == (
        "opcheck(plugrad.ops.faulty.cube, (torch.tensor([0.5, -1.25, 0.75], dtype=torch.float64),), only='dtypes')"
    )
    for line in lines:
        with pytest.raises(OpCheckError, match="1 of 1 checks failed"):
            eval(line, {"opcheck": opcheck, "plugrad": torch, "torch": torch, "np": np, "S": S})


def test_a_report_has_every_check_by_name() -> None:
    report = opcheck(cube(lambda g, x: 2 * x * x * g), raise_exception=False)
    assert [c.name for c in report] == list(CHECKS) and not report.ok
    assert report["gradcheck"].status == "failed" and "float64[2, 3]" in report["gradcheck"].found
    assert report["mutation"].status == "passed"
    assert report["reference"].status == "inapplicable" and report["reference"].detail == "no reference="
    assert json.loads(json.dumps(report.to_dict()))["ok"] is False
    assert "inapplicable cpu: the device is the CPU" in str(report)
    assert repr(report) == "<opcheck of faulty::cube on 'cpu': 1 of 16 checks failed>"
    with pytest.raises(KeyError, match="the checks are name, call"):
        report["speed"]


def test_nothing_is_checked_after_a_call_that_fails() -> None:
    report = opcheck(OPS["add"], torch.ones(2), torch.ones(3), raise_exception=False)
    assert [c.name for c in report.failed] == ["call"] and "do not broadcast" in report["call"].found
    assert report["gradcheck"].status == "skipped" and report["gradcheck"].detail == "'call' failed"


def test_nothing_is_checked_after_a_write_into_an_input() -> None:
    report = opcheck(lambda x: x.add_(1), X, raise_exception=False)
    assert [c.name for c in report.failed] == ["mutation"] and "the op changed input 0" in report[
        "mutation"
    ].found
    assert report["gradcheck"].detail == "'mutation' failed"


def test_random_numbers_begin_alike_in_each_call() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3).tolist()
    torch.manual_seed(5)
    assert opcheck(lambda x: torch.nn.functional.dropout(x, 0.5, True), X).ok
    assert torch.rand(3).tolist() == expected


def test_checks_are_left_out_with_a_reason() -> None:
    op = cube(lambda g, x: 3 * detached(x * x) * g)
    report = opcheck(op, skip={"gradgrad": "first order will do"})
    assert report["gradgrad"].status == "skipped" and report["gradgrad"].detail == "first order will do"
    assert [c.name for c in opcheck(op, only=["gradcheck", "call"])] == ["call", "gradcheck"]
    for skip, error, text in [
        ({"gradgrad": ""}, ValueError, "say why"),
        (
            {"grad_grad": "why"},
            ValueError,
            r"skip=\['grad_grad'\]: no such check: there are name, call, mutation",
        ),
        (["gradgrad"], TypeError, "give a reason for each check"),
    ]:
        with pytest.raises(error, match=text):
            opcheck(op, skip=skip)
    with pytest.raises(ValueError, match=r"only=\['speed'\]: no such check"):
        opcheck(op, only="speed")


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: opcheck("exp"), TypeError, "expected an Op, a Composite, a Function subclass or a function"),
        (lambda: opcheck(Exp), ValueError, "'Exp' is not declared elementwise"),
        (lambda: opcheck(OPS["exp"], (X,), X), TypeError, "sample 1 is a Tensor: give the arguments of one call, or tuples"),
        (lambda: opcheck(OPS["exp"], X, domain=(0, 1)), ValueError, "leave one of them out"),
        (lambda: opcheck(OPS["add"], domain={"x": (0, 1)}), ValueError, "are none of the inputs a, b"),
        (lambda: opcheck(OPS["exp"], 2.0), TypeError, "sample 0 holds no tensor"),
        (lambda: opcheck(torch.nn.ReLU(), X), TypeError, "a ReLU is no op, for it has state: pass a function of its input"),
        (lambda: opcheck(OPS["log"]), OpCheckError, r"say where the op is defined: domain=\(low, high\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_says_so(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def test_samples() -> None:
    assert opcheck(OPS["sum"]).ok  # an op of the core has those of its row
    assert opcheck(OPS["sum"], X, (0,), True)["call"].detail.startswith(
        "sample 0 (float64[2, 3], (0,), True)"
    )
    assert opcheck(OPS["sum"], S(In((2, 2)), axis=(0,)), S(X, axis=(1,))).ok
    assert opcheck(OPS["multiply"], X, 2.0).ok
    x = X.clone().requires_grad_()
    seen = opcheck(lambda a, b: a * b.detach(), x, Y)  # by x alone: another derivative would be wrong
    assert seen["gradcheck"].status == "passed" and torch.equal(x, X) and x.grad is None
    assert failed(lambda a, b: a * b.detach(), X, Y) == ["gradcheck", "gradgrad"]


def vendors_exp(x: Any) -> Any:
    return np.exp(x) * (1 + 1e-3)


def test_the_kernel_of_a_vendor_is_held_against_the_one_that_it_replaces() -> None:
    kernels.chosen.append({("exp", "cpu"): KernelSpec("exp", "cpu", "tests.test_opcheck:vendors_exp")})
    forget_kernels()
    try:
        report = opcheck(OPS["exp"], X, raise_exception=False)
        assert (
            report["call"].detail.endswith("its kernel is plugin") and report["composite"].status == "failed"
        )
    finally:
        kernels.chosen.clear()
        forget_kernels()
    assert opcheck(OPS["exp"], X)["composite"].status == "inapplicable"


def test_samples_of_float32_are_checked_in_float64() -> None:
    assert opcheck(OPS["exp"], X.float())["gradcheck"].status == "passed"


def test_ops_are_copied_and_pickled_as_themselves() -> None:
    import copy
    import pickle

    op = cube()
    assert copy.deepcopy(op) is op and pickle.loads(pickle.dumps(op)) is op
    data = pickle.dumps(op)
    del OPS["faulty::cube"]
    with pytest.raises(LookupError, match="op 'faulty::cube' is not declared: import the package"):
        pickle.loads(data)
