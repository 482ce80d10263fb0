"""What every special function keeps to: dtypes, promotion, broadcasting, transforms, errors, and SciPy's values."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.testing import S, opcheck
from tests.fake_backend import enter
from tests.special import ROWS, Row, op_of, table
from tests.test_special import EACH, columns, leaves

scipy_special = pytest.importorskip("scipy.special")

SEVERAL = pytest.mark.parametrize("row", [r for r in ROWS if len(r.spans) > 1], ids=lambda row: row.name)


def run(row: Row, *inputs: Any) -> Any:
    return op_of(row)(*inputs, **row.params)


def gradients(row: Row, inputs: list[Any]) -> list[np.ndarray | None]:
    """The gradients of the sum, by argument."""
    run(row, *inputs).real.sum().backward()
    return [getattr(getattr(t, "grad", None), "numpy", lambda: None)() for t in inputs]


@EACH
def test_values_are_those_of_scipy(row: Row) -> None:
    if not hasattr(scipy_special, row.name):
        pytest.skip("SciPy has it by another name, or as one of several results")
    arrays = columns(row)
    parameters = row.params.values()
    if row.spans[0].how == "integer" and not row.name.startswith("bdtr"):
        arrays[0] = arrays[0].astype(int)
    if "bdtr" in row.name:
        arrays[1] = arrays[1].astype(int)
    expected = getattr(scipy_special, row.name)(*arrays, *parameters)
    found = run(row, *map(torch.from_numpy, columns(row))).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-15 if row.name == "multigammaln" else 0)


@EACH
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_dtype_is_kept(row: Row, dtype: Any) -> None:
    arrays = columns(row, dtype=dtype)
    wide = leaves(op_of(row), [a.astype(np.float64) for a in arrays])
    narrow = leaves(op_of(row), arrays)
    y = run(row, *narrow)
    if row.name not in ("hankel1", "hankel2", "wofz"):
        assert y.detach().numpy().dtype == dtype
    if dtype is np.float16:
        return
    with np.errstate(over="ignore"):
        expected = run(row, *wide).detach().numpy().astype(y.detach().numpy().dtype)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=2e-3, atol=small(expected))
    for found, want in zip(gradients(row, narrow), gradients(row, wide), strict=True):
        assert (found is None) == (want is None)
        if found is not None and want is not None:
            assert found.dtype == dtype
            with np.errstate(over="ignore"):
                want = want.astype(np.float32)
            np.testing.assert_allclose(found, want, rtol=5e-3, atol=small(want))


def small(values: np.ndarray) -> float:
    """Small beside the largest that float32 holds."""
    return 1e-3 * float(np.abs(values[np.isfinite(values)]).max(initial=0))


@EACH
def test_integers_become_the_default_dtype(row: Row) -> None:
    twos = [torch.full((2,), 2) for _ in row.spans]
    y = run(row, *twos)
    assert y.is_floating_point() or y.is_complex()
    if op_of(row).result == "float":
        assert y.dtype is torch.float32


@EACH
def test_vmap(row: Row) -> None:
    inputs = [torch.from_numpy(a) for a in columns(row)]
    f = lambda *xs: run(row, *xs)
    np.testing.assert_array_equal(torch.func.vmap(f)(*inputs).numpy(), f(*inputs).numpy())
    if op_of(row).differentiable and row.name not in ("hankel1", "hankel2", "wofz"):
        i = op_of(row).inputs.index(op_of(row).differentiable[-1])
        one_by_one = torch.func.vmap(torch.func.grad(f, argnums=i))(*inputs)
        np.testing.assert_allclose(
            one_by_one.numpy(), gradients(row, leaves(op_of(row), columns(row)))[i], rtol=1e-12
        )


@SEVERAL
def test_broadcasting(row: Row) -> None:
    arrays = columns(row)
    grid = [a[:, None] if i == 0 else a[None, :] if i == 1 else a[:1] for i, a in enumerate(arrays)]
    full = [np.array(a) for a in np.broadcast_arrays(*grid)]
    found = gradients(row, leaves(op_of(row), grid))
    for g, a, whole in zip(found, grid, gradients(row, leaves(op_of(row), full)), strict=True):
        if g is not None and whole is not None:
            axes = tuple(i for i, n in enumerate(np.broadcast_shapes((1, 1), a.shape)) if n == 1)
            assert g.shape == a.shape
            np.testing.assert_allclose(g, whole.sum(axes, keepdims=True).reshape(a.shape), rtol=1e-11)


@SEVERAL
@pytest.mark.parametrize("integers", [False, True])
def test_numbers_and_integers_beside_a_tensor(row: Row, integers: bool) -> None:
    op = op_of(row)
    name = op.differentiable[-1]
    i = op.inputs.index(name)
    point = row.points(1)[0]
    if integers:
        point = tuple(v if j == i else max(1, round(v)) for j, v in enumerate(point))
    expected_inputs = leaves(op, [np.full(2, v, np.float64) for v in point])
    expected = gradients(row, expected_inputs)[i]
    mixed: list[Any] = list(point)
    mixed[i] = torch.full((2,), point[i], dtype=torch.float64, requires_grad=True)
    np.testing.assert_allclose(gradients(row, mixed)[i], expected, rtol=1e-12)
    if integers:
        mixed = [torch.full((2,), v, dtype=torch.int32) for v in point]
        mixed[i] = torch.full((2,), point[i], dtype=torch.float64, requires_grad=True)
        np.testing.assert_allclose(gradients(row, mixed)[i], expected, rtol=1e-12)


@EACH
def test_layouts_and_no_elements(row: Row) -> None:
    arrays = columns(row)
    strided = [np.repeat(a, 2)[::2] for a in arrays]
    before = [a.copy() for a in strided]
    found = run(row, *map(torch.from_numpy, strided))
    np.testing.assert_array_equal(found.numpy(), run(row, *map(torch.from_numpy, arrays)).numpy())
    for a, b in zip(strided, before, strict=True):
        np.testing.assert_array_equal(a, b, err_msg="an input was written to")
    empty = leaves(op_of(row), [np.zeros((0, 2)) for _ in arrays])
    assert run(row, *empty).shape == (0, 2)
    assert all(g is None or g.shape == (0, 2) for g in gradients(row, empty))


LINEAR = {
    ("xlogy", "a"),
    ("xlog1py", "a"),
    ("gammasgn", "x"),
}  # the derivative does not depend on the argument


@EACH
def test_nan_is_passed_on(row: Row) -> None:
    op = op_of(row)
    for name in op.differentiable:
        i = op.inputs.index(name)
        inputs = leaves(op, columns(row))
        with torch.no_grad():
            inputs[i][0] = float("nan")
        y = run(row, *inputs)
        assert torch.isnan(y).tolist() == [True, False, False]
        y.real.sum().backward()
        assert torch.isnan(inputs[i].grad).tolist() == [(row.name, name) not in LINEAR, False, False]


@pytest.mark.parametrize("name", ["expn", "pdtri", "spherical_jn", "eval_hermite"])
def test_an_order_that_is_no_integer_gives_nan(name: str) -> None:
    assert torch.isnan(getattr(torch.ops.special, name)(torch.tensor([1.5, 2.0]), 0.5)).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("row", "name"),
    [(row, name) for row in ROWS for name in op_of(row).inputs if name not in op_of(row).differentiable],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_an_argument_without_derivative_raises(row: Row, name: str) -> None:
    inputs = [
        torch.from_numpy(a).requires_grad_(n == name)
        for a, n in zip(columns(row), op_of(row).inputs, strict=True)
    ]
    y = run(row, *inputs)
    if op_of(row).formulas:
        message = f"backward: 'special::{row.name}' has no derivative for input '{name}'"
        with pytest.raises(torch.errors.NoDerivativeError, match=message):
            y.real.sum().backward()
    else:
        assert not y.requires_grad


def test_a_device_without_kernels_asks_the_host_where_that_is_allowed() -> None:
    enter("minimal")
    x = torch.tensor([0.5, 3.0], dtype=torch.float64)
    here, there = x.clone().requires_grad_(), x.to("minimal").requires_grad_()
    message = r"device 'minimal' has no kernel for 'special::gammainc': plugrad.fallback\('warn'\)"
    with pytest.raises(torch.errors.DeviceError, match=message):
        torch.ops.special.gammainc(2.0, there)
    with torch.fallback("allow"):
        y = torch.ops.special.gammainc(2.0, there)
        y.sum().backward()
        torch.ops.special.carlson(there, there, there, there)  # is made of ops that every device has
    torch.ops.special.gammainc(2.0, here).sum().backward()
    assert y.device.type == there.grad.device.type == "minimal"
    assert there.grad.tolist() == pytest.approx(here.grad.tolist(), rel=1e-14)


def test_without_scipy_the_error_says_what_to_install() -> None:
    program = """
import sys
sys.modules["scipy"] = None
import plugrad, plugrad_plugins.special
if not plugrad.plugins.installed().library("special"):
    plugrad.plugins.register(plugrad_plugins.special)
x = plugrad.tensor([2.0], requires_grad=True)
try:
    plugrad.ops.special.gammaln(x)
except plugrad.errors.PluginError as error:
    print(error)
print(plugrad.ops.special.carlson(x, x, x, x))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    error, value = run.stdout.splitlines()
    assert error.startswith("kernel of 'special::gammaln' for device 'cpu'")
    assert 'special functions need SciPy: pip install "plugrad[scipy]"' in error
    assert value == "tensor([1.4142], grad_fn=<CarlsonBackward0>)"


REAL = [row for row in ROWS if not row.complex_orders and row.name != "digamma"]


def test_the_derivative_of_complex_digamma_refuses() -> None:
    z = torch.tensor(1 + 1j, requires_grad=True)
    with pytest.raises(NotImplementedError, match=r"special::polygamma is not implemented for .*complex64"):
        abs(torch.ops.special.digamma(z)).backward()


@pytest.mark.parametrize("row", REAL, ids=lambda row: row.name)
def test_what_is_not_right_for_complex_numbers_refuses_them(row: Row) -> None:
    inputs = [torch.from_numpy(a.astype(complex)) for a in columns(row)]
    with pytest.raises(NotImplementedError, match=f"special::{row.name} is not implemented for .*complex128"):
        run(row, *inputs)


def test_a_name_that_is_not_there_is_answered_with_near_ones() -> None:
    with pytest.raises(
        AttributeError, match=r"plugrad knows .*'special::gammaincc'.* more of 'special'"
    ) as caught:
        _ = torch.ops.special.gammaincx
    assert len(str(caught.value)) < 400


@EACH
def test_opcheck(row: Row) -> None:
    arrays = columns(row)
    if row.name == "gamma":
        arrays = [a / 5 for a in arrays]  # float32 holds Γ up to 35
    skip = {"gradgrad": "minutes of sums"} if row.name in ("carlson", "elliprd", "elliprj") else {}
    if row.once:
        skip = {"gradgrad": f"in {row.once} there is a first derivative alone"}
    opcheck(op_of(row), S(*map(torch.from_numpy, arrays), **row.params), skip=skip)


def test_the_table_of_the_docs_is_that_of_the_plugin() -> None:
    assert table.PAGE.read_text(encoding="utf-8") == table.page(), "run python -m tests.special.table"
