"""`elementwise_kernel`: one C statement for devices that compile, a NumPy form for the CPU, a formula; all checked."""

import ast
import math
import re
from typing import ClassVar

import numpy as np
import pytest

import plugrad as torch
from plugrad import c_source, kernels, ops, plugins
from plugrad.autograd import gradcheck, gradgradcheck
from plugrad.backend import for_device
from plugrad.errors import DeviceError
from plugrad.op import OPS, forget_kernels
from plugrad.plugins import BackendSpec, hookimpl
from tests.fake_backend import Array, FakeBackend, enter, unwrap


class CompiledArray(Array):
    """An array of the device that compiles."""


class CompilingBackend(FakeBackend):
    """`device("compiling")`: a stranger's device, which compiles C-like statements, to NumPy calls."""

    device_type = "compiling"
    array_type = CompiledArray
    compiled: ClassVar[list[str]] = []

    def elementwise_kernel(self, name, source, inputs, params):
        if "cbrt" in source:
            raise NotImplementedError("this compiler has no cbrt")
        self.compiled.append(name)
        words = re.sub(r"\bfloat\b|(?<=\d)[fF]\b", "", source)
        words = re.sub(r"([^;=?]+)\?([^:]+):([^;]+)", r"where(\1, \2, \3)", words)
        program = "\n".join(line.strip() for line in words.split(";"))
        code = compile(ast.parse(program), name, "exec")
        renamed = {"fabs": np.abs, "fmax": np.maximum, "fmin": np.minimum, "pow": np.power}

        def kernel(*args):
            scope = {f: getattr(np, f, None) for f in c_source.FUNCTIONS} | renamed | {"where": np.where}
            arrays = unwrap(args)
            dtype = next(a.dtype for a in arrays if hasattr(a, "dtype"))
            scope.update(zip((*inputs, *params), arrays, strict=True))
            exec(code, scope)
            return CompiledArray(np.asarray(scope["y"], dtype))

        return kernel


class CompilingPlugin:
    @hookimpl
    def plugrad_backends(self):
        array = f"{__name__}:CompiledArray"
        return [BackendSpec("compiling", f"{__name__}:CompilingBackend", array_types=(array,))]


@pytest.fixture
def compiling():
    """The device, while its plugin is registered."""
    from plugrad.plugins import registry

    record = plugins.register(CompilingPlugin())
    yield for_device("compiling")
    registry.REGISTRY._stages["by hand"].remove(record)


@pytest.fixture(autouse=True)
def no_op_stays():
    before = set(OPS)
    yield
    for name in set(OPS) - before:
        del OPS[name]


def swish(name="t::swish", **given):
    given.setdefault("source", "y = x / (1 + exp(-x))")
    given.setdefault("numpy", lambda x: x / (1 + np.exp(-x)))
    given.setdefault("x", lambda g, x, y: g * (y + (1 - y) / (1 + ops.exp(-x))))
    return torch.elementwise_kernel(name, **given)


KERNELS = {
    "swish": lambda: swish(),
    "leaky": lambda: torch.elementwise_kernel(
        "t::leaky",
        source="y = x > 0 ? x : a * x",
        numpy=lambda x, a=0.25: np.where(x > 0, x, a * x),
        x=lambda g, x, a: ops.where(x > 0, g, g * a),
    ),
    "hyp": lambda: torch.elementwise_kernel(
        "t::hyp",
        source="float s = p * p + q * q; y = sqrt(s)",
        numpy=lambda p, q: np.sqrt(p * p + q * q),
        p=lambda g, p, y: g * p / y,
        q=lambda g, q, y: g * q / y,
    ),
    "logs": lambda: torch.elementwise_kernel(
        "t::logs", source="y = log(x) * 2.5e0", numpy=lambda x: np.log(x) * 2.5, x=lambda g, x: g * 2.5 / x
    ),
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("device", ["cpu", "compiling"])
def test_one_declaration_serves_both_devices_to_second_order(compiling, name, device):
    op = KERNELS[name]()
    args = [
        torch.tensor([0.4, 1.7, 2.2], dtype=torch.float64, device=device, requires_grad=True)
        for _ in op.inputs
    ]
    expected = op.__wrapped__(*[np.array([0.4, 1.7, 2.2]) for _ in op.inputs])
    y = op(*args)
    assert y.device.type == device
    np.testing.assert_allclose(y.detach().cpu().numpy(), expected)
    assert kernels.find(op, for_device(device))[1] == "native"
    assert (op.name in CompilingBackend.compiled) == (device == "compiling")
    CompilingBackend.compiled.clear()
    y.sum().backward()
    cpu = [torch.tensor([0.4, 1.7, 2.2], dtype=torch.float64, requires_grad=True) for _ in args]
    op(*cpu).sum().backward()
    for a, b in zip(args, cpu, strict=True):
        np.testing.assert_allclose(a.grad.cpu().numpy(), b.grad.numpy())
    assert gradcheck(op, tuple(cpu), check_forward_ad=True) and gradgradcheck(op, tuple(cpu))


def test_it_is_an_operator_like_any_other():
    op = swish()
    assert ops.t.swish is op
    assert op(torch.tensor([1, 2])).dtype == torch.float32  # integers become floats
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    assert op(x).grad_fn.name() == "SwishBackward0"
    assert torch.func.vmap(torch.func.grad(op))(x.detach()).shape == (2,)
    assert op(torch.tensor(0.5)).shape == ()
    assert op(torch.zeros(0, 3)).shape == (0, 3)


def test_parameters_reach_the_kernel(compiling):
    op = KERNELS["leaky"]()
    for device in ("cpu", "compiling"):
        x = torch.tensor([-2.0, 2.0], device=device)
        assert op(x).tolist() == [-0.5, 2.0]
        assert op(x, a=0.5).tolist() == op(x, 0.5).tolist() == [-1.0, 2.0]


def test_a_device_that_cannot_compile_says_the_cure():
    enter("minimal")
    op = swish()
    x = torch.zeros(2, device="minimal")
    with pytest.raises(
        DeviceError, match=r"device 'minimal' has no kernel for 't::swish': plugrad.fallback\('warn'"
    ):
        op(x)
    with torch.fallback("allow"):
        assert op(x).tolist() == [0.0, 0.0]


def test_a_compiler_that_fails_is_named_with_the_source(compiling):
    op = torch.elementwise_kernel(
        "t::root", source="y = cbrt(x)", numpy=lambda x: np.cbrt(x), x=lambda g, y: g / (3 * y * y)
    )
    with pytest.raises(DeviceError) as raised:
        op(torch.ones(2, device="compiling"))
    assert str(raised.value) == (
        "device 'compiling' cannot compile 't::root': this compiler has no cbrt; its source is 'y = cbrt(x)'"
    )


def test_a_kernel_of_a_plugin_serves_where_nothing_compiles():
    enter("minimal")
    op = swish()

    class Mine:
        @hookimpl
        def plugrad_kernels(self):
            return [plugins.KernelSpec("t::swish", "minimal", f"{__name__}:_seven")]

    record = plugins.register(Mine())
    try:
        assert op(torch.zeros(2, device="minimal")).tolist() == [7.0, 7.0]
    finally:
        from plugrad.plugins import registry

        registry.REGISTRY._stages["by hand"].remove(record)
        forget_kernels()


def _seven(x):
    return type(x)(np.full(x.shape, 7, x.dtype))


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"source": 3}, TypeError, "source is 3: give C statements as a str"),
        ({"numpy": 3}, TypeError, "numpy is 3: give a function of arrays"),
        (
            {"source": "y = x / (1 + exp(-z))"},
            ValueError,
            "the source names 'z', which is none of x, y: add it to",
        ),
        (
            {"source": "y = x / (1 + exp(-y))"},
            ValueError,
            "the source reads 'y', the output, before it is assigned",
        ),
        ({"source": "y += x"}, ValueError, "the source reads 'y', the output, before"),
        ({"source": "y = x / (1 + expo(-x))"}, ValueError, "the source calls 'expo': known are acos, acosh"),
        ({"source": "y = abs(x)"}, ValueError, "the source calls 'abs': write fabs"),
        ({"source": "x / (1 + exp(-x))"}, ValueError, "assigns nothing to y: write 'y = …'"),
        ({"source": "y == x"}, ValueError, "the source reads 'y', the output, before"),
        ({"source": "y = x ^ 2"}, ValueError, r"holds '\^': '\^' is no power in C: write pow\(a, b\)"),
        ({"source": "y = x ** 2"}, ValueError, "Python's: write pow"),
        ({"source": "y = x % 2"}, ValueError, "write fmod"),
        ({"source": "y = x // 2"}, ValueError, "leave comments out"),
        ({"source": "y = 1/2 * x"}, ValueError, "1/2 is 0 in C: write 1.0"),
        (
            {"source": "y = (1)/2 * x"},
            ValueError,
            "divides integers, which C rounds towards 0: write 1.0 for 1",
        ),
        ({"source": "y = (x > 0) / 2 + x"}, ValueError, "divides integers"),
        ({"source": "y = 1/-2 * x"}, ValueError, "divides integers"),
        (
            {"source": "y = (0 < x < 2) ? x : 0"},
            ValueError,
            "compares in a chain, which C takes from the left",
        ),
        ({"source": "y = x && 2"}, ValueError, "takes a number for true or false, which gives 0 or 1 in C"),
        (
            {"source": "y = (float) x"},
            ValueError,
            r"casts by \(float\): all is of the dtype of the arrays: leave the cast out$",
        ),
        ({"source": "y = (double)(x + 1)"}, ValueError, r"casts by \(double\): .* leave the cast out$"),
        (
            {"source": "y = (int) x"},
            ValueError,
            r"casts by \(int\): .*, and write trunc\(…\) for the whole part$",
        ),
        (
            {"numpy": np.exp},
            TypeError,
            r"<ufunc 'exp'> does not tell its arguments, the inputs: write lambda x: exp\(x\)",
        ),
        ({"source": "y = float(x)"}, ValueError, r"converts by float\(…\), which is not C"),
        ({"source": "float int = x; y = int"}, ValueError, "calls a variable 'int', which is a word of C"),
        ({"source": "x = 3; y = x"}, ValueError, "the source writes to 'x': inputs are read only"),
        ({"source": "y = x; if (x) {y = 3;}"}, ValueError, r"cannot be read at '{y = 3;}'"),
        ({"source": "y = x[0]"}, ValueError, r"cannot be read at '\[0\]': it is of statements"),
        ({"source": "y = 3abc"}, ValueError, "cannot be read at '3abc'"),
        (
            {"source": "y = fmax(x, 1"},
            ValueError,
            "is no list of statements in C: a parenthesis is not closed",
        ),
        ({"source": "y = x +"}, ValueError, "is no list of statements in C: invalid syntax"),
        ({"source": "y = x)"}, ValueError, "is no list of statements in C"),
        ({"source": "y = 2 x"}, ValueError, "is no list of statements in C"),
        ({"source": "y = x > 0 ? x"}, ValueError, "is no list of statements in C"),
        ({"source": "y = 'a'"}, ValueError, "cannot be read at"),
        (
            {"source": "y = x / (1 + exp(x))"},
            ValueError,
            "the source gives 0.151.* at x=0.37, the NumPy form 0.218.*: one of",
        ),
        (
            {"x": lambda g, y: g * y},
            ValueError,
            "the formula of 'x' gives .* at x=0.37, but the slope of the",
        ),
        (
            {"x": lambda g: g * np.sqrt(2.0)},
            ValueError,
            "formula of 'x' makes float64 of float32: NumPy's functions",
        ),
        ({"x": lambda g, w: g}, TypeError, "the formula of 'x' reads 'w'"),
        ({"z": lambda g: g}, TypeError, "'z' is neither one of its inputs"),
        (
            {"numpy": lambda x: x.sum()},
            ValueError,
            r"makes \(\) of inputs of shape \(6,\): it must work element",
        ),
        ({"numpy": lambda x: np.sort(x)}, ValueError, "the source gives .* one of them is wrong"),
        (
            {"numpy": lambda x: np.where(x > 0, 1.0, 0.5)},
            ValueError,
            "NumPy form makes float64 of float32: NumPy's functions of",
        ),
        (
            {"numpy": lambda exp: exp},
            TypeError,
            "an argument is called 'exp', which means something else: rename it",
        ),
        (
            {"numpy": lambda x, a="b": x},
            TypeError,
            "the parameter 'a' is 'b': a source computes with numbers",
        ),
        ({"outputs": True}, TypeError, "found outputs=, which an elementwise kernel cannot have"),
        (
            {"source": "y = log(-9 - fabs(x))", "numpy": lambda x: np.log(-9 - abs(x))},
            ValueError,
            r"give at=\(",
        ),
    ],
)
def test_a_wrong_declaration_says_the_cure(given, error, text):
    with pytest.raises(error, match=text):
        swish(**given)
    assert "t::swish" not in OPS


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("y = x > 0 ? 1 : 2", [1, 2, 2]),
        ("y = x > 0 ? 1.5f : x == 0 ? 2.f : 3", [1.5, 2, 3]),
        ("y = 2 * (x > 0 && x < 9 ? x : -x) + 1;", [3, 1, 3]),
        (
            "float t = x < 0 || x > 8 ? fmax(x, -3) : (x > 0 ? (x + 1) : pow(x, 2.0)); y = t; y += 1",
            [3, 1, 0],
        ),
        ("y = x; y *= 1e1f; y -= .5", [9.5, -0.5, -10.5]),
        ("y = !x", [None] * 3),
        ("y = 1 / (x + 1)", [0.5, 1, None]),
    ],
)
def test_the_value_of_a_source(source, expected):
    tokens = c_source.check("t", source, ("x",))
    assert [c_source.value(tokens, {"x": x}) for x in (1.0, 0.0, -1.0)] == expected


def test_points_of_the_domain_can_be_given():
    def acosh(**given):
        return torch.elementwise_kernel(
            "t::acosh9",
            source="y = acosh(x - 9)",
            numpy=lambda x: np.arccosh(x - 9),
            x=lambda g, x: g / ((x - 9) ** 2 - 1) ** 0.5,
            **given,
        )

    with pytest.raises(
        ValueError, match=r"the NumPy form is finite, and smooth in each input, at none of 0\.37, 1\.83"
    ):
        acosh()
    assert acosh(at=(10.5, 12.0)).name == "t::acosh9"


def test_a_formula_that_forgot_a_parameter_is_found():
    with pytest.raises(
        ValueError, match=r"the formula of 'x' gives 1 at x=0.37, a=1.375, but the slope .* is 1.375"
    ):
        torch.elementwise_kernel(
            "t::scaled", source="y = a * x", numpy=lambda x, a=1.0: a * x, x=lambda g, x: g
        )
    with pytest.raises(ValueError, match=r"the source gives 0.37 at x=0.37, a=1.375, the NumPy form 0.50875"):
        torch.elementwise_kernel(
            "t::scaled", source="y = x", numpy=lambda x, a=1.0: a * x, x=lambda g, a: g * a
        )


def test_a_formula_is_not_compared_at_a_corner():
    for corner in (0.0, 1.5):  # 0 is the corner of relu: there is no slope to compare with
        torch.elementwise_kernel(
            "t::relu",
            source="y = fmax(x, 0)",
            numpy=lambda x: np.maximum(x, 0),
            x=lambda g, x: ops.where(x > 0, g, 0 * g),
            at=(corner, 2.0),
        )


@pytest.mark.parametrize(("name", "function"), [(n, f) for n, f in c_source.FUNCTIONS.items() if f])
def test_the_functions_of_sources_are_computed(name, function):
    count = {"atan2": 2, "copysign": 2, "fmax": 2, "fmin": 2, "fmod": 2, "hypot": 2, "pow": 2, "fma": 3}.get(
        name, 1
    )
    arguments = [1.5, 2.5, 0.5][:count] if name not in ("acos", "asin", "atanh") else [0.5]
    tokens = c_source.check("t", f"y = {name}({', '.join(map(str, arguments))})", ())
    found = c_source.value(tokens, {})
    known = getattr(np, {"pow": "power", "atan2": "arctan2"}.get(name, name), None)
    assert found is not None and math.isfinite(found)
    if known is not None:
        assert found == pytest.approx(float(known(*arguments)))


def test_a_variable_without_a_value_is_refused():
    with pytest.raises(ValueError, match="gives 't' no value: write 'float t = …'"):
        torch.elementwise_kernel("test::no_value", source="float t; y = x", numpy=lambda x: x * 1)
