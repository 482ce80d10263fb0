"""Methods and operators of the elementwise family: what they print, their derivatives and their errors.

What is printed shows values, dtype and node names at once. The expected texts and numbers are PyTorch's;
where it is installed, it is asked again.
"""

# ruff: noqa: E501 (tables: one line a case)

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import plugrad

SETUP = """
t, nan, inf = torch.tensor, float("nan"), float("inf")
x, y = t([1.0, 2.0, 3.0], requires_grad=True), t([2.0, 2.0, 2.0])
i, u, b = t([1, 2, 3]), t([1, 2, 3], dtype=torch.uint8), t([True, False, True])
h, d, z = t([1.0, 2.0, 3.0], dtype=torch.float16), t([1.0, 2.0, 3.0], dtype=torch.float64), t([1 + 2j, 0j, -3 + 4j])
"""

PRINTED = [
    ("x + 1", "tensor([2., 3., 4.], grad_fn=<AddBackward0>)"),
    ("x * 2", "tensor([2., 4., 6.], grad_fn=<MulBackward0>)"),
    ("x / y", "tensor([0.5000, 1.0000, 1.5000], grad_fn=<DivBackward0>)"),
    ("7 // i", "tensor([7, 3, 2])"),
    ("x % 2", "tensor([1., 0., 1.], grad_fn=<RemainderBackward0>)"),
    ("-7 % i", "tensor([0, 1, 2])"),
    ("1 - i", "tensor([ 0, -1, -2])"),
    ("2 / y", "tensor([1., 1., 1.])"),
    ("2 ** y", "tensor([4., 4., 4.])"),
    ("y ** i", "tensor([2., 4., 8.])"),
    ("y // 2", "tensor([1., 1., 1.])"),
    ("x ** 2", "tensor([1., 4., 9.], grad_fn=<PowBackward0>)"),
    ("2.0 ** i", "tensor([2., 4., 8.])"),
    ("i ** 2", "tensor([1, 4, 9])"),
    ("i / 2", "tensor([0.5000, 1.0000, 1.5000])"),
    ("i // 2", "tensor([0, 1, 1])"),
    ("i / i", "tensor([1., 1., 1.])"),
    ("i ** t([-1, -1, -2])", "tensor([1, 0, 0])"),
    ("-x", "tensor([-1., -2., -3.], grad_fn=<NegBackward0>)"),
    ("+x", "tensor([1., 2., 3.], requires_grad=True)"),
    ("abs(-x)", "tensor([1., 2., 3.], grad_fn=<AbsBackward0>)"),
    ("x == y", "tensor([False, True, False])"),
    ("x != 2", "tensor([ True, False, True])"),
    ("x < y", "tensor([ True, False, False])"),
    ("x <= 2", "tensor([ True, True, False])"),
    ("x > 2", "tensor([False, False, True])"),
    ("3 >= x", "tensor([True, True, True])"),
    ("x == None", "False"),
    ('x == "a"', "False"),
    ("b & ~b", "tensor([False, False, False])"),
    ("b | True", "tensor([True, True, True])"),
    ("i ^ 1", "tensor([0, 3, 2])"),
    ("i << 1", "tensor([2, 4, 6])"),
    ("i >> 1", "tensor([0, 1, 1])"),
    ("1 << i", "tensor([2, 4, 8])"),
    ("~i", "tensor([-2, -3, -4])"),
    ("b + b", "tensor([ True, False, True])"),
    ("b * 2", "tensor([2, 0, 2])"),
    ("b * 0.5", "tensor([0.5000, 0.0000, 0.5000])"),
    ("i + 0.5", "tensor([1.5000, 2.5000, 3.5000])"),
    ("i + 2j", "tensor([1.+2.j, 2.+2.j, 3.+2.j])"),
    ("u + 300", "tensor([45, 46, 47], dtype=torch.uint8)"),
    ("u - 3", "tensor([254, 255, 0], dtype=torch.uint8)"),
    ("u < 300", "tensor([True, True, True])"),
    ("h + 1", "tensor([2., 3., 4.], dtype=torch.float16)"),
    ("h * x", "tensor([1., 4., 9.], grad_fn=<MulBackward0>)"),
    ("d + x", "tensor([2., 4., 6.], dtype=torch.float64, grad_fn=<AddBackward0>)"),
    ("t(2.0, dtype=torch.float64) * x", "tensor([2., 4., 6.], grad_fn=<MulBackward0>)"),
    ("t(2.0, dtype=torch.float64) * i", "tensor([2., 4., 6.], dtype=torch.float64)"),
    ("x.add(y, alpha=2)", "tensor([5., 6., 7.], grad_fn=<AddBackward0>)"),
    ("x.sub(y, alpha=2)", "tensor([-3., -2., -1.], grad_fn=<SubBackward0>)"),
    ("i.add(1, alpha=3)", "tensor([4, 5, 6])"),
    ("x.mul(y)", "tensor([2., 4., 6.], grad_fn=<MulBackward0>)"),
    ('x.div(y, rounding_mode="floor")', "tensor([0., 1., 1.], grad_fn=<DivBackward2>)"),
    ('(-x).div(2, rounding_mode="trunc")', "tensor([-0., -1., -1.], grad_fn=<DivBackward2>)"),
    ('t([7, -7]).div(2, rounding_mode="trunc")', "tensor([ 3, -3])"),
    ('t([7, -7]).div(t([2, 2]), rounding_mode="floor")', "tensor([ 3, -4])"),
    ("i.true_divide(2)", "tensor([0.5000, 1.0000, 1.5000])"),
    ("t([7.0, -7.0]).fmod(3)", "tensor([ 1., -1.])"),
    ("t([7.0, -7.0]).remainder(3)", "tensor([1., 2.])"),
    ("x.lerp(y, 0.5)", "tensor([1.5000, 2.0000, 2.5000], grad_fn=<LerpBackward0>)"),
    ("i.to(torch.float32).addcmul(x, y, value=2)", "tensor([ 5., 10., 15.], grad_fn=<AddcmulBackward0>)"),
    ("x.addcdiv(x, y, value=2)", "tensor([2., 4., 6.], grad_fn=<AddcdivBackward0>)"),
    ("x.float_power(2)", "tensor([1., 4., 9.], dtype=torch.float64, grad_fn=<PowBackward0>)"),
    ("x.pow(0.5)", "tensor([1.0000, 1.4142, 1.7321], grad_fn=<PowBackward0>)"),
    ("x.square()", "tensor([1., 4., 9.], grad_fn=<PowBackward0>)"),
    ("x.rsqrt()", "tensor([1.0000, 0.7071, 0.5774], grad_fn=<RsqrtBackward0>)"),
    ("x.reciprocal()", "tensor([1.0000, 0.5000, 0.3333], grad_fn=<ReciprocalBackward0>)"),
    ("i.reciprocal()", "tensor([1.0000, 0.5000, 0.3333])"),
    ("i.sqrt()", "tensor([1.0000, 1.4142, 1.7321])"),
    ("i.exp()", "tensor([ 2.7183, 7.3891, 20.0855])"),
    ("x.exp2()", "tensor([2., 4., 8.], grad_fn=<Exp2Backward0>)"),
    ("x.expm1()", "tensor([ 1.7183, 6.3891, 19.0855], grad_fn=<Expm1Backward0>)"),
    ("x.log()", "tensor([0.0000, 0.6931, 1.0986], grad_fn=<LogBackward0>)"),
    ("x.log2()", "tensor([0.0000, 1.0000, 1.5850], grad_fn=<Log2Backward0>)"),
    ("x.log10()", "tensor([0.0000, 0.3010, 0.4771], grad_fn=<Log10Backward0>)"),
    ("x.log1p()", "tensor([0.6931, 1.0986, 1.3863], grad_fn=<Log1PBackward0>)"),
    ("x.logaddexp(y)", "tensor([2.3133, 2.6931, 3.3133], grad_fn=<LogaddexpBackward0>)"),
    ("x.erf()", "tensor([0.8427, 0.9953, 1.0000], grad_fn=<ErfBackward0>)"),
    ("x.erfc()", "tensor([1.5730e-01, 4.6777e-03, 2.2090e-05], grad_fn=<ErfcBackward0>)"),
    ("x.sin()", "tensor([0.8415, 0.9093, 0.1411], grad_fn=<SinBackward0>)"),
    ("x.cos()", "tensor([ 0.5403, -0.4161, -0.9900], grad_fn=<CosBackward0>)"),
    ("x.tan()", "tensor([ 1.5574, -2.1850, -0.1425], grad_fn=<TanBackward0>)"),
    ("(x / 4).asin()", "tensor([0.2527, 0.5236, 0.8481], grad_fn=<AsinBackward0>)"),
    ("(x / 4).arccos()", "tensor([1.3181, 1.0472, 0.7227], grad_fn=<AcosBackward0>)"),
    ("x.atan()", "tensor([0.7854, 1.1071, 1.2490], grad_fn=<AtanBackward0>)"),
    ("x.atan2(y)", "tensor([0.4636, 0.7854, 0.9828], grad_fn=<Atan2Backward0>)"),
    ("i.atan2(i)", "tensor([0.7854, 0.7854, 0.7854])"),
    ("x.sinh()", "tensor([ 1.1752, 3.6269, 10.0179], grad_fn=<SinhBackward0>)"),
    ("x.cosh()", "tensor([ 1.5431, 3.7622, 10.0677], grad_fn=<CoshBackward0>)"),
    ("x.tanh()", "tensor([0.7616, 0.9640, 0.9951], grad_fn=<TanhBackward0>)"),
    ("x.asinh()", "tensor([0.8814, 1.4436, 1.8184], grad_fn=<AsinhBackward0>)"),
    ("x.acosh()", "tensor([0.0000, 1.3170, 1.7627], grad_fn=<AcoshBackward0>)"),
    ("(x / 4).atanh()", "tensor([0.2554, 0.5493, 0.9730], grad_fn=<AtanhBackward0>)"),
    ("x.hypot(y)", "tensor([2.2361, 2.8284, 3.6056], grad_fn=<HypotBackward0>)"),
    ("x.floor()", "tensor([1., 2., 3.], grad_fn=<FloorBackward0>)"),
    ("i.floor()", "tensor([1, 2, 3])"),
    ("(x / 2).ceil()", "tensor([1., 1., 2.], grad_fn=<CeilBackward0>)"),
    ("(x / 2).round()", "tensor([0., 1., 2.], grad_fn=<RoundBackward0>)"),
    ("t([1.25, -2.345]).round(decimals=1)", "tensor([ 1.2000, -2.3000])"),
    ("(-x / 2).trunc()", "tensor([-0., -1., -1.], grad_fn=<TruncBackward0>)"),
    ("(x / 2).fix()", "tensor([0., 1., 1.], grad_fn=<TruncBackward0>)"),
    ("(x / 2).frac()", "tensor([0.5000, 0.0000, 0.5000], grad_fn=<FracBackward0>)"),
    ("(-x).sign()", "tensor([-1., -1., -1.], grad_fn=<SignBackward0>)"),
    ("t([0.0, -1.0]).copysign(x[:2])", "tensor([0., 1.], grad_fn=<CopysignBackward0>)"),
    ("t([0.0, -1.0]).heaviside(t([0.5, 0.5]))", "tensor([0.5000, 0.0000])"),
    ("z.conj()", "tensor([ 1.-2.j, 0.-0.j, -3.-4.j])"),
    ("x.conj()", "tensor([1., 2., 3.], requires_grad=True)"),
    ("x.real", "tensor([1., 2., 3.], requires_grad=True)"),
    ("z.abs()", "tensor([2.2361, 0.0000, 5.0000])"),
    ("z.angle()", "tensor([1.1071, 0.0000, 2.2143])"),
    ("i.angle()", "tensor([0., 0., 0.])"),
    ("(z * z.conj()).real", "tensor([ 5., 0., 25.])"),
    ("z.sgn()", "tensor([ 0.4472+0.8944j, 0.0000+0.0000j, -0.6000+0.8000j])"),
    ("z ** 2", "tensor([-3.+4.j, 0.+0.j, -7.-24.j])"),
    ("z * x", "tensor([ 1.+2.j, 0.+0.j, -9.+12.j], grad_fn=<MulBackward0>)"),
    ("z + 1", "tensor([ 2.+2.j, 1.+0.j, -2.+4.j])"),
    ("torch.complex(x, y)", "tensor([1.+2.j, 2.+2.j, 3.+2.j], grad_fn=<ComplexBackward0>)"),
    ("torch.polar(y, y)", "tensor([-0.8323+1.8186j, -0.8323+1.8186j, -0.8323+1.8186j])"),
    ("x.eq(y)", "tensor([False, True, False])"),
    ("x.not_equal(y)", "tensor([ True, False, True])"),
    ("x.lt(2)", "tensor([ True, False, False])"),
    ("x.greater_equal(y)", "tensor([False, True, True])"),
    ("x.equal(y)", "False"),
    ("x.equal(t([1.0, 2.0]))", "False"),
    ("x.equal(t([1, 2, 3]))", "True"),
    ("x.isclose(x + 1e-6)", "tensor([True, True, True])"),
    ("t([1.0, nan, inf]).isclose(t([1.0, nan, inf]), equal_nan=True)", "tensor([True, True, True])"),
    ("i.isclose(i + 1)", "tensor([False, False, False])"),
    ("x.allclose(x)", "True"),
    ("b.logical_and(i)", "tensor([ True, False, True])"),
    ("b.logical_or(i)", "tensor([True, True, True])"),
    ("b.logical_xor(i)", "tensor([False, True, False])"),
    ("x.logical_not()", "tensor([False, False, False])"),
    ("t([nan, inf, 1.0]).isnan()", "tensor([ True, False, False])"),
    ("t([nan, inf, 1.0]).isinf()", "tensor([False, True, False])"),
    ("t([nan, inf, 1.0]).isfinite()", "tensor([False, False, True])"),
    ("i.isnan()", "tensor([False, False, False])"),
    ("t([-0.0, 1.0]).signbit()", "tensor([ True, False])"),
    ("i.bitwise_and(1)", "tensor([1, 0, 1])"),
    ("i.bitwise_or(8)", "tensor([ 9, 10, 11])"),
    ("i.bitwise_xor(1)", "tensor([0, 3, 2])"),
    ("b.bitwise_not()", "tensor([False, True, False])"),
    ("i.bitwise_left_shift(2)", "tensor([ 4, 8, 12])"),
    ("i.bitwise_right_shift(1)", "tensor([0, 1, 1])"),
    ("x.maximum(y)", "tensor([2., 2., 3.], grad_fn=<MaximumBackward0>)"),
    ("x.minimum(y)", "tensor([1., 2., 2.], grad_fn=<MinimumBackward0>)"),
    ("x.fmax(t([nan, 3.0, 0.0]))", "tensor([1., 3., 3.], grad_fn=<FmaxBackward0>)"),
    ("x.fmin(t([nan, 3.0, 0.0]))", "tensor([1., 2., 0.], grad_fn=<FminBackward0>)"),
    ("x.clamp(1.5, 2.5)", "tensor([1.5000, 2.0000, 2.5000], grad_fn=<ClampBackward1>)"),
    ("x.clip(min=2)", "tensor([2., 2., 3.], grad_fn=<ClampBackward1>)"),
    ("x.clamp(max=2)", "tensor([1., 2., 2.], grad_fn=<ClampBackward1>)"),
    ("i.clamp(0.5)", "tensor([1., 2., 3.])"),
    ("i.clamp(1.5, 2.5)", "tensor([1.5000, 2.0000, 2.5000])"),
    ("x.clamp_min(2)", "tensor([2., 2., 3.], grad_fn=<ClampMinBackward0>)"),
    ("x.where(x > 1, 0)", "tensor([0., 2., 3.], grad_fn=<WhereBackward0>)"),
    ("x.where(x > 1, y)", "tensor([2., 2., 3.], grad_fn=<WhereBackward0>)"),
    ("torch.where(x > 1, 1.0, 0.0)", "tensor([0., 1., 1.])"),
    ("torch.where(x > 1, 1, 0)", "tensor([0, 1, 1])"),
    ("torch.where(x > 1)", "(tensor([1, 2]),)"),
    ("torch.where(b, i, x)", "tensor([1., 2., 3.], grad_fn=<WhereBackward0>)"),
    ("t([nan, inf, -inf, 1.0]).nan_to_num()", "tensor([ 0.0000e+00, 3.4028e+38, -3.4028e+38, 1.0000e+00])"),
    ("t([nan, inf, -inf, 1.0]).nan_to_num(1.0, 2.0, 3.0)", "tensor([1., 2., 3., 1.])"),
    ("x.relu()", "tensor([1., 2., 3.], grad_fn=<ReluBackward0>)"),
    ("i.relu()", "tensor([1, 2, 3])"),
    ("x.sigmoid()", "tensor([0.7311, 0.8808, 0.9526], grad_fn=<SigmoidBackward0>)"),
    ("i.sigmoid()", "tensor([0.7311, 0.8808, 0.9526])"),
    ("x.softmax(0)", "tensor([0.0900, 0.2447, 0.6652], grad_fn=<SoftmaxBackward0>)"),
    ("x.softmax(-1, torch.float64)", "tensor([0.0900, 0.2447, 0.6652], dtype=torch.float64, grad_fn=<SoftmaxBackward0>)"),
    ("i.softmax(0, dtype=torch.float32)", "tensor([0.0900, 0.2447, 0.6652])"),
    ("t(3.0).softmax(0)", "tensor(1.)"),
    ("x.log_softmax(0)", "tensor([-2.4076, -1.4076, -0.4076], grad_fn=<LogSoftmaxBackward0>)"),
    ("x.view(3, 1).log_softmax(1)", "tensor([[0.], [0.], [0.]], grad_fn=<LogSoftmaxBackward0>)"),
    ("torch.pow(2, y)", "tensor([4., 4., 4.])"),
    ("torch.add(x, y)", "tensor([3., 4., 5.], grad_fn=<AddBackward0>)"),
    ("torch.clamp(x, 0, 1)", "tensor([1., 1., 1.], grad_fn=<ClampBackward1>)"),
    ("torch.real(z)", "tensor([ 1., 0., -3.])"),
    ("torch.maximum(x, y)", "tensor([2., 2., 3.], grad_fn=<MaximumBackward0>)"),
    ("x + y.reshape(3, 1)", "tensor([[3., 4., 5.], [3., 4., 5.], [3., 4., 5.]], grad_fn=<AddBackward0>)"),
    ("t([]) + 1", "tensor([])"),
    ("t(2.0) * t(3.0)", "tensor(6.)"),
]  # fmt: skip

ERRORS = [
    ("x + t([1.0, 2.0])", RuntimeError, r"add: the size of tensor a \(3\) must match the size of tensor b \(2\) at non-singleton dimension 0"),
    ('x + "a"', TypeError, r"must be Tensor or a number, not str"),
    ("x - [1, 2]", TypeError, r"must be Tensor or a number, not list"),
    ('x < "a"', TypeError, r"must be Tensor or a number, not str"),
    ("b - b", NotImplementedError, r"subtract is not implemented for torch.bool"),
    ("-b", NotImplementedError, r"negative is not implemented for torch.bool"),
    ("x & x", NotImplementedError, r"bitwise_and is not implemented for torch.float32"),
    ("i // 0", RuntimeError, r"ZeroDivisionError"),
    ("i % 0", RuntimeError, r"ZeroDivisionError"),
    ("i.fmod(0)", RuntimeError, r"ZeroDivisionError"),
    ("i ** -1", RuntimeError, r"Integers to negative integer powers are not allowed"),
    ("z < z", NotImplementedError, r"less is not implemented for torch.complex64"),
    ("z.maximum(z)", NotImplementedError, r"maximum is not implemented for torch.complex64"),
    ("z.sign()", NotImplementedError, r"complex numbers have no order"),
    ("x.maximum(2)", TypeError, r"argument 'other' must be Tensor, not int"),
    ("x.equal(2)", TypeError, r"argument 'other' must be Tensor, not int"),
    ("x.isclose(d)", RuntimeError, r"expected operands of the same dtype, but got torch.float32 and torch.float64"),
    ("x.clamp()", RuntimeError, r"At least one of 'min' or 'max' must not be None"),
    ("i.add(1, alpha=0.5)", RuntimeError, r"argument alpha must not be a floating point number"),
    ('x.div(y, rounding_mode="round")', RuntimeError, r"but found 'round'"),
    ("x.imag", RuntimeError, r"imag is not implemented for tensors with non-complex dtypes"),
    ("torch.where(x, 1.0, 2.0)", RuntimeError, r"where expected condition to be a boolean tensor"),
    ("torch.where([True], x, y)", TypeError, r"argument 'condition' must be Tensor, not list"),
    ("torch.complex(x, d)", RuntimeError, r"one floating-point dtype, but got torch.float32 and torch.float64"),
    ("i.softmax(0)", NotImplementedError, r"softmax is not implemented for torch.int64"),
    ("x.softmax(1)", IndexError, r"Dimension out of range"),
    ("x.softmax()", TypeError, r"'dim'"),
]  # fmt: skip

#: Complex and real numbers together: expression, leaves, their gradients for the cotangent of `gradients`.
GRADIENTS = [
    ("z * x", "z, x", [[(0.5+0.25j), -2j], [2.0, -0.5]]),
    ("x / z", "x, z", [[-0.0, 0.054054], [(0.1-0.05j), (0.070124+0.204529j)]]),
    ("z ** x", "z, x", [[(0.196538+0.318005j), (-1+6j)], [1.173705, -22.706949]]),
    ("x ** z", "x, z", [[1.841456, 0.034298], [(0.106764-0.372482j), (-0.029431-0.081492j)]]),
    ("(-x) ** z", "x, z", [[-0.003439, -0.00713], [(-0.003352-0.000208j), (0.082898-0.010789j)]]),
    ("2 ** z", "z,", [[(0.935708-1.235603j), (-0.029431-0.081492j)]]),
    ("(z * z.conj()).real * x", "z, x", [[(1+2j), (-24+4j)], [5.0, 18.5]]),
    ("z.abs() * x", "z, x", [[(0.223607+0.447214j), (-3.945576+0.657596j)], [2.236068, 6.082763]]),
    ("z.angle()", "z,", [[(-0.4+0.2j), (-0.108108-0.648649j)]]),
    ("z.sgn()", "z,", [[(0.268328-0.134164j), (-0.053319-0.319912j)]]),
    ("torch.complex(x, x * 2) * z", "x, z", [[-1.0, 5.5], [(1-0.75j), (-4-2j)]]),
    ("z.real * z.imag", "z,", [[(2+1j), (1-6j)]]),
    ("x.lerp(z.abs(), 0.25)", "x, z", [[0.75, 1.5], [(0.111803+0.223607j), (-0.493197+0.082199j)]]),
    ("z.exp().real + x", "z, x", [[(-1.131204-2.471727j), (0.087385-0.047738j)], [1.0, 2.0]]),
]  # fmt: skip


def evaluated(expression: str, library: Any, setup: str = SETUP) -> Any:
    names: dict[str, Any] = {"torch": library}
    exec(setup, names)
    return eval(expression, names)


@pytest.mark.parametrize(("expression", "text"), PRINTED)
def test_values_dtypes_and_nodes(expression: str, text: str) -> None:
    assert " ".join(repr(evaluated(expression, plugrad)).split()) == text


@pytest.mark.parametrize(("expression", "text"), PRINTED)
def test_pytorch_prints_the_same(expression: str, text: str) -> None:
    torch = pytest.importorskip("torch")
    assert " ".join(repr(evaluated(expression, torch)).split()) == text


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(expression: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as raised:
        evaluated(expression, plugrad)
    assert raised.type is error


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_pytorch_refuses_the_same(expression: str, error: type[Exception], text: str) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception) as raised:
        evaluated(expression, torch)
    assert issubclass(error, raised.type) or issubclass(raised.type, error)


# --- complex and real numbers together ----------------------------------------------------------------------

LEAVES = """
x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
z = torch.tensor([1 + 2j, -3 + 0.5j], dtype=torch.complex128, requires_grad=True)
"""


def gradients(expression: str, leaves: str, library: Any) -> list[Any]:
    y, xs = evaluated(f"({expression}, ({leaves}))", library, LEAVES)
    weight = [1 + 0.5j, -1j] if y.is_complex() else [1.0, 2.0]
    return [g.tolist() for g in library.autograd.grad(y, xs, library.tensor(weight, dtype=y.dtype))]


@pytest.mark.parametrize(("expression", "leaves", "expected"), GRADIENTS)
def test_gradients_of_complex_and_real_numbers(expression: str, leaves: str, expected: Any) -> None:
    for found, wanted in zip(gradients(expression, leaves, plugrad), expected, strict=True):
        assert [type(v) for v in found] == [type(v) for v in wanted]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(("expression", "leaves", "expected"), GRADIENTS)
def test_pytorch_has_the_same_gradients(expression: str, leaves: str, expected: Any) -> None:
    torch = pytest.importorskip("torch")
    for found, wanted in zip(gradients(expression, leaves, torch), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-6)


# --- zeros, infinities and NaN against PyTorch --------------------------------------------------------------

SPECIAL = [-math.inf, -2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0, 3.0, math.inf, math.nan]
#: NaN has no sign here, as in NumPy; PyTorch makes it 0.
NAN_STAYS_NAN = {"sign", "sgn", "abs"}
UNARY = """
    abs acos asin asinh atan atanh ceil cos cosh erf erfc exp exp2 expm1 floor frac isfinite isinf isnan log log10 log1p
    log2 logical_not nan_to_num neg reciprocal relu round rsqrt sgn sigmoid sign signbit sin sinh sqrt square tan tanh trunc
"""
BINARY = """
    add atan2 div eq fmax fmin fmod ge gt hypot le logaddexp logical_and logical_or logical_xor lt maximum minimum mul ne
    pow remainder sub
"""


def value_and_gradients(name: str, arguments: Any, library: Any) -> list[Any]:
    xs = [library.tensor(a, dtype=library.float64, requires_grad=True) for a in arguments]
    y = getattr(library, name)(*xs)
    if not y.requires_grad:
        return [y.numpy()]
    return [
        y.detach().numpy(),
        *(g.numpy(force=True) for g in library.autograd.grad(y, xs, library.ones_like(y))),
    ]


@pytest.mark.parametrize("name", UNARY.split())
def test_special_values_of_one_argument(name: str) -> None:
    torch = pytest.importorskip("torch")
    values = [v for v in SPECIAL if not (name in NAN_STAYS_NAN and math.isnan(v))]
    for found, expected in zip(
        *(value_and_gradients(name, [values], library) for library in (plugrad, torch)), strict=True
    ):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", BINARY.split())
def test_special_values_of_two_arguments(name: str) -> None:
    torch = pytest.importorskip("torch")
    pairs = list(zip(*itertools.product(SPECIAL, SPECIAL), strict=True))
    for found, expected in zip(
        *(value_and_gradients(name, pairs, library) for library in (plugrad, torch)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


# --- single points ------------------------------------------------------------------------------------------


def test_clamp_to_tensors_gives_the_bounds_their_gradient() -> None:
    x, low, high = (
        plugrad.tensor(v, requires_grad=True) for v in ([-2.0, 0.0, 5.0, 1.0], [-1.0] * 4, [1.0] * 4)
    )
    x.clamp(low, high).sum().backward()
    assert x.grad.tolist() == [0, 1, 0, 1]
    assert low.grad.tolist() == [1, 0, 0, 0]
    assert high.grad.tolist() == [0, 0, 1, 0]


def test_second_derivative_of_a_power_at_zero() -> None:
    x = plugrad.tensor([0.0], dtype=plugrad.float64, requires_grad=True)
    for exponent, expected in ((0, 0.0), (1, 0.0), (2, 2.0), (3, 0.0)):
        (slope,) = plugrad.autograd.grad(x**exponent, x, create_graph=True)
        curvature = plugrad.autograd.grad(slope, x)[0].item() if slope.requires_grad else 0.0
        assert curvature == expected, exponent


def test_mixed_derivative_of_a_power_where_the_exponent_is_zero() -> None:
    a, b = (plugrad.tensor([v], dtype=plugrad.float64, requires_grad=True) for v in (4.0, 0.0))
    (by_base,) = plugrad.autograd.grad(a**b, a, create_graph=True)
    assert plugrad.autograd.grad(by_base, b)[0].item() == 0.25


def test_real_and_imag_share_the_memory() -> None:
    z = plugrad.tensor([1 + 2j])
    real, imag = z.real.numpy(), z.imag.numpy()
    z.numpy()[0] = 3 + 4j
    assert (real.tolist(), imag.tolist()) == ([3.0], [4.0])


@pytest.mark.parametrize(
    "dtype", [plugrad.uint8, plugrad.int8, plugrad.int32, plugrad.int64, plugrad.float32]
)
@pytest.mark.parametrize("device", ["cpu", "opencl"])
def test_a_power_of_another_dtype_has_a_derivative_in_that_of_the_result(dtype, device) -> None:
    if device == "opencl":
        pytest.importorskip("pyopencl")
        try:
            plugrad.ones(1, dtype=plugrad.float64, device=device)
        except (plugrad.errors.DeviceError, TypeError, RuntimeError) as error:
            pytest.skip(str(error))
    base = plugrad.tensor([2, 3, 0], dtype=dtype, device=device)
    b = plugrad.tensor([1.5, -2.0, 2.0], dtype=plugrad.float64, device=device, requires_grad=True)
    (g,) = plugrad.autograd.grad((base**b).sum(), b, create_graph=True)
    (gg,) = plugrad.autograd.grad(g.sum(), b)
    for found, order in ((g, 1), (gg, 2)):
        expected = [2**1.5 * math.log(2) ** order, math.log(3) ** order / 9, 0.0]
        assert found.dtype == plugrad.float64
        np.testing.assert_allclose(found.detach().cpu().numpy(), expected, rtol=1e-12)


def test_float_power_takes_a_number_first() -> None:
    found = plugrad.float_power(2, plugrad.tensor([1.0, 3.0]))
    assert (found.tolist(), str(found.dtype)) == ([2.0, 8.0], "torch.float64")


@pytest.mark.parametrize(
    "name",
    ["remainder", "fmod", "floor_divide", "pow", "bitwise_left_shift", "bitwise_right_shift", "round", "floor", "ceil", "trunc"],
)  # fmt: skip
def test_bools_are_no_numbers_there(name: str) -> None:
    """A number beside them makes them integers, as everywhere."""
    x = plugrad.tensor([True, False])
    function = getattr(plugrad, name)
    operands = (x,) if name in ("round", "floor", "ceil", "trunc") else (x, x)
    with pytest.raises(NotImplementedError, match=r"is not implemented for torch\.bool: convert it with"):
        function(*operands)
    if len(operands) == 2:
        assert function(x, 1).dtype is plugrad.int64
