"""`opcheck`: right ops of every kind pass, and each of many seeded faults is found by the check that is for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.autograd import Function
from plugrad.backend import for_device
from plugrad.op import OPS, composite, elementwise, linear, multilinear, operator
from plugrad.ops import broadcast_to, sum_, where
from plugrad.testing import OpCheckError, S, opcheck
from plugrad.testing.opchecks.checks import CHECKS
from plugrad.testing.rows import ROWS, In, Row, Sample
from tests import fake_backend


@pytest.fixture(autouse=True)
def declared() -> Iterator[None]:
    """Ops that a test declares are gone after it."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)
    while GIVEN:
        delattr(*GIVEN.pop())


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


# --- seeded faults ------------------------------------------------------------------------------------------------


def cube(
    formula: Any = lambda g, x: 3 * x * x * g, default: Any = lambda x: x * x * x, **options: Any
) -> Any:
    return elementwise("faulty::cube", "x", x=formula, default=default, **options)


def double(default: Any, formula: Any = lambda g: g * 2, **options: Any) -> Any:
    return elementwise("faulty::double", "x", x=formula, default=default, **options)


def detached(x: Any) -> Any:
    return x.detach() if hasattr(x, "detach") else x


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


def without_default() -> Any:
    op = elementwise("faulty::two", "x", x=lambda g: 2 * g)
    return with_kernel(with_kernel(op, "cpu", lambda x: 2 * x), "fake", lambda x: 2.001 * x)


COUNT = iter(range(1_000_000))

#: By name: the check that is to find it, and the op with samples and options.
FAULTS: dict[str, tuple[str, Callable[[], tuple[Any, tuple[Any, ...], dict[str, Any]]]]] = {
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


# --- the report ---------------------------------------------------------------------------------------------------


def test_the_error_lists_all_failures_with_cures_and_lines_that_reproduce_them() -> None:
    wrong = {"x": lambda g, x: 2 * x * x * g, "default": lambda x: x * x * x * np.float64(1)}
    op = operator("faulty::cube", "x", **wrong)
    with pytest.raises(OpCheckError) as caught:
        opcheck(op, X[0])
    text = str(caught.value)
    assert "opcheck of faulty::cube on 'cpu': 2 of 14 checks failed" in text
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
    assert repr(report) == "<opcheck of faulty::cube on 'cpu': 1 of 15 checks failed>"
    with pytest.raises(KeyError, match="the checks are name, call"):
        report["speed"]


def test_nothing_is_checked_after_a_call_that_fails() -> None:
    report = opcheck(OPS["add"], torch.ones(2), torch.ones(3), raise_exception=False)
    assert [c.name for c in report.failed] == ["call"] and "do not broadcast" in report["call"].found
    assert report["gradcheck"].status == "skipped" and report["gradcheck"].detail == "'call' failed"


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
            r"skip=\['grad_grad'\]: no such check: there are name, call, composite",
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
        (lambda: opcheck(Faulty), ValueError, "'Faulty' is not declared elementwise"),
        (lambda: opcheck(OPS["exp"], (X,), X), TypeError, "sample 1 is a Tensor: give the arguments of one call, or tuples"),
        (lambda: opcheck(OPS["exp"], X, domain=(0, 1)), ValueError, "leave one of them out"),
        (lambda: opcheck(OPS["add"], domain={"x": (0, 1)}), ValueError, "are none of the inputs a, b"),
        (lambda: opcheck(OPS["exp"], 2.0), TypeError, "sample 0 holds no tensor"),
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


# --- the ops of the core ----------------------------------------------------------------------------------------

SHAPES = "the shape of its result depends on values, as its name says"
BROADCASTS = "its callers give operands of one shape"
INTEGERS = "for integers the kernel computes float64; PyTorch refuses them"
#: What core ops are excused from, and why.
EXCUSED: dict[str, dict[str, str]] = {
    **{name: {"vmap": SHAPES} for name in ("nonzero", "argwhere", "unique")},
    "bincount": {"vmap": SHAPES, "empty": "PyTorch forgets the dtype of weights where there are no elements, too"},
    **{
        name: {"broadcasting": BROADCASTS}
        for name in (
            "mse_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
            "index_add", "embed_pooled",
        )
    },
    **{
        name: {"dtypes": INTEGERS}
        for name in ("leaky_relu", "hardtanh", "elu", "softplus", "logsigmoid", "silu", "gelu")
    },
    "complex": {"dtypes": "there is no complex dtype of two float16"},
    "cholesky": {
        "gradcheck": "its gradient is symmetric, as is its operand, and differences of single elements are not",
        "gradgrad": "the same",
    },
    "convolution_transposed": {"empty": "an image without channels contradicts its other operand"},
    "overlap_add": {"empty": "an operand without elements contradicts its shape="},
}  # fmt: skip


def first_samples(row: Row) -> list[Sample]:
    """Two samples of a row, of a dtype that the op takes."""
    if "d" in row.dtypes:
        return list(row.samples[:2])

    def whole(a: Any) -> Any:
        return In(a.shape, a.low, a.high, "int64") if isinstance(a, In) else a

    return [Sample(tuple(map(whole, s.args)), s.params) for s in row.samples[:2]]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_op_of_the_core_is_as_ops_have_to_be(row: Row) -> None:
    report = opcheck(OPS[row.op], *first_samples(row), skip=EXCUSED.get(row.op))
    assert report["call"].status == "passed"
    for name in EXCUSED.get(row.op, {}):
        assert not opcheck(OPS[row.op], *row.samples, only=name, raise_exception=False).ok, (
            f"{name} needs no excuse"
        )
