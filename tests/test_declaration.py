"""`@plugrad.op`: operators declared by decorating a function."""

import builtins
import functools

import numpy as np
import pytest

import plugrad as torch
from plugrad import codegen, ops
from plugrad.autograd import gradcheck, gradgradcheck
from plugrad.op import OPS, Composite, Op


@pytest.fixture(autouse=True)
def no_op_stays():
    """End the operators that a test declares."""
    before = set(OPS)
    yield
    for name in set(OPS) - before:
        del OPS[name]


def declare(name="t::f", /, **given):
    """A declaration of the function f(x, a=2.0)."""

    @torch.op(name, **given)
    def f(x, a=2.0):
        """The power."""
        return x**a

    return f


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_with_a_formula_the_function_is_the_kernel():
    f = declare(kind="elementwise", x=lambda g, x, a: g * a * x ** (a - 1))
    assert isinstance(f, Op)
    assert (f.inputs, f.params, f.kind, f.result) == (("x",), {"a": 2.0}, "elementwise", "same")
    assert (f.__doc__, f.__name__, f.__module__) == ("The power.", "f", __name__)
    x = doubles(1.0, 3.0)
    assert f(x).tolist() == [1.0, 9.0]
    assert f(x, a=3.0).tolist() == f(x, 3.0).tolist() == [1.0, 27.0]
    assert f(x).grad_fn.name() == "FBackward0"
    assert f(np.array([2.0])).tolist() == [4.0]
    for a in (2.0, 3.0):
        assert gradcheck(lambda x, a=a: f(x, a=a), x, check_forward_ad=True, check_batched_grad=True)
        assert gradgradcheck(lambda x, a=a: f(x, a=a), x)
    assert torch.func.vmap(f)(x).tolist() == [1.0, 9.0]
    assert "f" in str(torch.explain(f(x).sum()))


def test_with_neither_formula_nor_kind_it_is_recorded_op_by_op():
    f = declare()
    assert isinstance(f, Composite)
    assert f.__doc__ == "The power."
    x = doubles(1.0, 3.0)
    assert f(x, a=3.0).grad_fn.name() == "PowBackward0"
    assert gradcheck(f, x)


def test_with_a_kind_and_no_formula_it_has_no_derivative():
    @torch.op("t::above", kind="elementwise", result="bool", ordered=True)
    def above(x, z):
        return x > z

    x = torch.tensor([1.0, 3.0], requires_grad=True)
    assert above(x, 2.0).tolist() == [False, True]
    assert not above(x, 2.0).requires_grad


def test_inputs_broadcast_and_promote():
    @torch.op("t::mean2", kind="elementwise", a=lambda g: g / 2, b=lambda g: g / 2)
    def mean2(a, b):
        return (a + b) / 2

    a = torch.zeros(2, 3, requires_grad=True)
    b = torch.ones(3, dtype=torch.float64, requires_grad=True)
    y = mean2(a, b)
    assert (y.shape, y.dtype) == ((2, 3), torch.float64)
    y.sum().backward()
    assert b.grad.tolist() == [1.0, 1.0, 1.0]
    assert a.grad.dtype == torch.float32


def test_linear_and_multilinear_ops_are_their_own_jvp():
    @torch.op("t::flip", kind="linear", x=lambda g: flip(g))
    def flip(x):
        return x[::-1]

    @torch.op("t::outer", kind="multilinear", u=lambda g, v: g @ v, v=lambda g, u: u @ g)
    def outer(u, v):
        return u[:, None] * v[None, :]

    u, v = doubles(1.0, 2.0), doubles(3.0, 4.0, 5.0)
    assert gradcheck(flip, u, check_forward_ad=True) and gradgradcheck(flip, u)
    assert gradcheck(outer, (u, v), check_forward_ad=True)


def test_an_input_without_a_formula_has_no_derivative():
    @torch.op("t::half", x=lambda g, z: g * z)
    def half(x, z):
        return x * z

    x, z = doubles(2.0), doubles(3.0)
    assert torch.autograd.grad(half(x, z.detach()).sum(), x)[0].tolist() == [3.0]
    with pytest.raises(NotImplementedError, match="'t::half' has no derivative for input 'z'"):
        half(x, z).sum().backward()


def test_a_callable_without_a_name_will_do():
    scaled = torch.op("t::scaled")(functools.partial(lambda k, x: k * x, 3))
    assert scaled(torch.tensor([2.0])).tolist() == [6.0]
    assert torch.op("t::scaled")(functools.partial(lambda k, x: k * x, 3)) is OPS["t::scaled"]


def test_inputs_may_be_given_by_keyword():
    f = declare(kind="elementwise", x=lambda g, x, a: g * a * x ** (a - 1))
    assert f(a=3.0, x=doubles(2.0)).tolist() == [8.0]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        f(a=3.0)


def test_it_is_reachable_under_its_library():
    assert declare() is ops.t.f


def test_the_same_function_may_be_declared_again():
    first = declare(x=lambda g, x: g)
    again = declare(x=lambda g, x: g * 2)
    assert first is not again
    assert OPS["t::f"] is ops.t.f is again
    with pytest.raises(ValueError, match="op 't::f' is declared twice"):

        @torch.op("t::f")
        def other(x):
            return x


def formula_of(text):
    return eval(f"lambda {text}: g")


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"kind": "pointwise"}, ValueError, "kind is 'pointwise': give one of 'operator', 'elementwise'"),
        ({"default": len}, TypeError, "found default=: the decorated function is the default kernel"),
        ({"z": formula_of("g")}, TypeError, r"'z' is neither one of its inputs \(x\) nor an option"),
        ({"a": formula_of("g")}, TypeError, r"'a' is neither one of its inputs"),
        (
            {"x": formula_of("g, w")},
            TypeError,
            "the formula of 'x' reads 'w': what there is to read is g, y, x, a",
        ),
        ({"x": 3}, TypeError, "the formula of 'x' is 3: give a function such as a lambda"),
        ({"result": "bool"}, TypeError, "found result, which need formulas or a kind"),
    ],
)
def test_a_wrong_declaration_says_what_to_give(given, error, text):
    with pytest.raises(error, match=f"op 't::f': {text}"):
        declare(**given)
    assert "t::f" not in OPS


@pytest.mark.parametrize("name", ["f", "t:f", "t::f::g", "t::2"])
def test_a_wrong_name(name):
    with pytest.raises(ValueError, match="give an operator's name such as 'mylib::blur'"):
        torch.op(name)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (
            max,
            "<built-in function max> does not tell its arguments, the inputs: write lambda x",
        ),
        (np.exp, r"<ufunc 'exp'> does not tell its arguments, the inputs: write lambda x: exp\(x\)"),
        (lambda: 1, "the function has no input: an argument without default is one"),
        (lambda a=1: 1, "the function has no input"),
        (lambda *x: 1, "argument 'x' of '<lambda>' cannot be given by position"),
        (lambda x, *, a=1: 1, "argument 'a' of '<lambda>' cannot be given by position"),
        (lambda y: 1, "an argument is called 'y': in a formula, 'g' is the output's cotangent"),
        (lambda x, g=1: 1, "an argument is called 'g'"),
        (lambda result: 1, "argument 'result' of '<lambda>' has the name of an option"),
        (lambda kind: 1, "argument 'kind' of '<lambda>' has the name of an option"),
    ],
)
def test_a_wrong_function(function, text):
    with pytest.raises(TypeError, match=f"op 't::f': {text}"):
        torch.op("t::f")(function)


@pytest.mark.parametrize(
    "name", ["op", "edges", "hooks", "new", "thread", "meta", "backward", "self", "_x", "a_meta"]
)
@pytest.mark.parametrize(
    "declare_",
    [
        "@torch.op('names::one', {0}=lambda g, {0}: g)\ndef f({0}): return {0}",
        "@torch.op('names::one', kind='elementwise', x=lambda g: g)\ndef f(x, {0}=1): return x",
        "torch.elementwise_kernel('names::one', source='y = x * {0}', numpy=lambda x, {0}=1.0: x * {0})",
    ],
)
def test_names_that_generated_code_has_itself(name, declare_):
    with pytest.raises(
        TypeError, match=rf"'names::one': an argument is called '{name}'.*give it another name"
    ):
        exec(declare_.format(name), {"torch": torch})
    assert "names::one" not in OPS


def test_all_names_of_generated_code_are_reserved():
    for op in [op for op in OPS.values() if isinstance(op, Op) and not op.variadic and not op.outputs]:
        for inference in (False, True):
            f = codegen.make_call(op, inference)
            used = {n for n in f.__code__.co_names if n in f.__globals__ or hasattr(builtins, n)}
            assert {n for n in used if n[0] != "_"} - {*op.inputs, *op.params} <= codegen.RESERVED, op
        assert {s for s in dir(op.node) if s[0] != "_" and s not in op.saves.slots} <= codegen.RESERVED, op


@pytest.mark.parametrize(
    "name", ["n", "name_", "kernel", "axis", "shape", "dtype", "e0", "f0", "x0", "grads", "wrap", "index"]
)
def test_names_that_are_like_those(name):
    space = {"torch": torch}
    exec(
        f"@torch.op('names::{name}', x=lambda g, w, {name}: g * w * {name}, w=lambda g, x, {name}: (g * x * {name}).sum())\n"
        f"def f(x, w, {name}=2.0): return x * w * {name}",
        space,
    )
    x, w = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor(3.0)
    space["f"](x, w=w, **{name: 5.0}).sum().backward()
    assert x.grad.tolist() == [15, 15]
    assert torch.func.vmap(space["f"], in_dims=(0, None))(x.detach(), w).tolist() == [6, 12]


def test_inputs_by_keyword():
    @torch.op("names::keyword", x=lambda g, x, k: g * 2 * x * k)
    def f(x, k=1):
        return x * x * k

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    assert f(x=x).tolist() == [1, 4] and f(k=3, x=x).tolist() == f(x, 3).tolist() == [3, 12]
    f(k=3, x=x).sum().backward()
    assert x.grad.tolist() == [6, 12]
    with pytest.raises(TypeError, match=r"names::keyword\(\): needs at least one Tensor, found none"):
        f(k=1)


def test_what_operands_an_op_takes():
    @torch.op("names::floats", kind="elementwise", operands="floats", x=lambda g: g)
    def f(x):
        return x + 0

    assert f(torch.ones(1)).dtype is torch.float32
    for dtype in (torch.int64, torch.bool):
        with pytest.raises(
            NotImplementedError,
            match=rf"names::floats is not implemented for {dtype}: convert it with .float",
        ):
            f(torch.ones(1, dtype=dtype))
    with pytest.raises(ValueError, match="operands='ints': give one of 'any', 'numbers', 'floats'"):
        torch.op("names::ints", operands="ints", x=lambda g: g)(lambda x: x)
