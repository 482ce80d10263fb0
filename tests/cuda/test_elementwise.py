"""Fused elementwise kernels: compiled for every architecture, and run on the CPU, on arrays of CuPy's, against NumPy."""

# ruff: noqa: E402
from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

cupy = pytest.importorskip("cupy", reason="CuPy is not installed: pip install cupy-cuda13x")

from plugrad_backends.cupy.kernels import source as sources
from plugrad_backends.cupy.kernels.elementwise import Elementwise, generate
from plugrad_backends.cupy.kernels.launch import Kernels
from plugrad_backends.expressions import Functions, NotTraceable, traced, var

from .compiled import usage
from .cupy_on_host import empty, on_host, to_numpy
from .host import HostDriver

UNARY = (
    "negative", "square", "sqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos",
    "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "floor", "ceil", "trunc", "sign", "abs", "isnan", "isinf",
    "isfinite", "logical_not", "bitwise_invert", "conj", "real", "imag", "reciprocal", "rsqrt", "sigmoid", "erf", "erfc", "round",
)  # fmt: skip
BINARY = (
    "add", "subtract", "multiply", "divide", "trunc_divide", "fmod", "remainder", "floor_divide", "pow", "hypot", "atan2",
    "copysign", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "maximum", "minimum", "logical_and",
    "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift",
)  # fmt: skip
DTYPES = (
    "bool",
    "uint8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
#: What NumPy calls otherwise, or has not.
REFERENCE: dict[str, Any] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "rsqrt": lambda x: 1 / np.sqrt(x), "reciprocal": lambda x: 1 / x,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "atan2": np.arctan2, "pow": np.power, "bitwise_left_shift": np.left_shift, "bitwise_right_shift": np.right_shift,
    "sign": lambda x: x if x.dtype == bool else np.sign(x), "abs": np.abs,
    "trunc_divide": lambda a, b: np.trunc(a / b).astype(a.dtype), "round": np.rint,
}  # fmt: skip


def made(driver: HostDriver, function: Any, name: str = "f", **options: Any) -> Elementwise:
    kernels = Kernels(driver)
    return Elementwise(lambda: kernels, empty, cupy.ndarray, name, function, **options)


def results_of(name: str, dtype: str) -> Any:
    """The expressions of a function of operands of a dtype; None where it has none."""
    operands = [var(f"x{i}", np.dtype(dtype)) for i in range(1 + (name in BINARY))]
    try:
        return traced(getattr(Functions, name), operands, np.dtype(dtype))
    except NotTraceable:
        return None


def source_of(name: str, dtype: str, rank: int) -> Any:
    results = results_of(name, dtype)
    if results is None:
        return None
    inputs = [(f"x{i}", np.dtype(dtype)) for i in range(1 + (name in BINARY))]
    outs = [(f"y{k}", r.dtype) for k, r in enumerate(results)]
    return generate(f"{name}_{dtype}", results, outs, inputs, [], rank)[0]


#: float32 for each architecture; others for one, since what is generated differs in the types alone.
COMPILED = [
    ("float32", 80),
    ("float32", 90),
    ("float32", 100),
    ("float16", 80),
    ("complex64", 100),
    ("int64", 90),
]


@pytest.mark.parametrize(("dtype", "arch"), COMPILED)
def test_every_function_compiles_without_spills(
    dtype: str, arch: int, request: pytest.FixtureRequest
) -> None:
    every = [s for name in (*UNARY, *BINARY) if (s := source_of(name, dtype, 0)) is not None]
    every.append(source_of("equal", dtype, 4))
    found = usage(request.config, sources.unit(every), dtype, arch)
    assert len(found) == sum(len(s.entries) for s in every) > 20
    for symbol, used in found.items():
        slow_path = "complex" in dtype or any(
            f in symbol for f in ("sin", "cos", "tan")
        )  # for huge angles, in local memory
        assert slow_path or used.stack == 0, f"{symbol}: {used}"
        assert (used.spill_stores, used.spill_loads) == (0, 0), f"{symbol}: {used}"


def values(dtype: str, seed: int, shape: Any = (3, 37)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype[0] in "iu":
        return rng.integers(1 if dtype[0] == "u" else -9, 9, shape).astype(dtype)
    x = rng.standard_normal(shape) * 2
    return (x + 1j * rng.standard_normal(shape)).astype(dtype) if dtype[0] == "c" else x.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_function_agrees_with_numpy(driver: HostDriver, dtype: str) -> None:
    todo = {name: s for name in (*UNARY, *BINARY) if (s := source_of(name, dtype, 0)) is not None}
    todo.pop("erf", None), todo.pop("erfc", None)
    driver.build_together(list(todo.values()))
    for name, source in todo.items():
        a, b = values(dtype, 0), values(dtype, 1)
        if dtype[0] in "iub" and name in (
            "divide",
            "trunc_divide",
            "fmod",
            "remainder",
            "floor_divide",
            "pow",
        ):
            b = np.maximum(np.abs(b), 1).astype(dtype)
        if "shift" in name:
            b = np.abs(b).astype(dtype)
        given = (a, b) if name in BINARY else (a,)
        function = REFERENCE.get(name) or getattr(np, name)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if name == "reciprocal" and dtype[0] in "iub":
                continue
            expected = np.asarray(function(*given))
        results = results_of(name, dtype)
        y = empty(a.shape, results[0].dtype)
        kernel = Kernels(driver).of(source, "wide")
        arrays = [on_host(x) for x in given]
        kernel((-(-a.size // 128), 1), (128, 1), y.data.ptr, *[x.data.ptr for x in arrays], a.size)
        found = to_numpy(y)
        if found.dtype.kind in "fc":
            eps = np.finfo(found.dtype).eps
            with np.errstate(all="ignore"):
                np.testing.assert_allclose(
                    found,
                    expected.astype(found.dtype),
                    rtol=64 * eps,
                    atol=64 * eps,
                    err_msg=f"{name} of {dtype}",
                )
        else:
            np.testing.assert_array_equal(found, expected, err_msg=f"{name} of {dtype}")


def test_arrays_of_all_layouts(driver: HostDriver) -> None:
    add = made(driver, lambda a, b: a + 2 * b)
    x, y = np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.arange(12, dtype=np.float32).reshape(3, 4) / 7
    cases = [
        (x, x), (x, y), (y, x), (x.transpose(2, 1, 0), x.transpose(2, 1, 0)), (x[:, ::2], y[::2]), (x[:, :, 1:3], y[:1, :2]),
        (x[..., ::-1], y[..., :1]), (x, np.float32(3).reshape(())), (x[:0], y), (x[:, 1], np.ones((2, 1), "f")),
        (np.ones((), "f"), np.ones((), "f")), (np.ones(5, "f")[1:], np.ones(4, "f")), (x.reshape(2, 3, 2, 2).T, np.ones(2, "f")),
    ]  # fmt: skip
    for a, b in cases:
        found = add(on_host(a), on_host(b))
        assert found.flags.c_contiguous and type(found) is cupy.ndarray
        np.testing.assert_array_equal(to_numpy(found), a + 2 * b)
    np.testing.assert_array_equal(to_numpy(add(on_host(x), 3)), x + 6)
    np.testing.assert_array_equal(to_numpy(add(1.5, on_host(x))), 1.5 + 2 * x)
    with pytest.raises(ValueError, match="broadcast"):
        add(on_host(np.ones(3, "f")), on_host(np.ones(4, "f")))
    with pytest.raises(TypeError, match="needs an array"):
        add(1, 2)


def test_long_arrays_and_their_ends(driver: HostDriver) -> None:
    for dtype in ("float16", "float32", "float64", "complex64", "int8"):
        double = made(driver, lambda x: x + x)
        for n in (1, 3, 128, 1000, 4097):
            x = values("int16" if dtype == "int8" else dtype, n, n).astype(dtype)
            for part in (x, x[1:]):
                np.testing.assert_array_equal(to_numpy(double(on_host(part))), part + part)


def test_writing_into_arrays(driver: HostDriver) -> None:
    step = made(driver, lambda p, g, m, lr: (p - lr * (0.9 * m + g), 0.9 * m + g), inputs=4)
    p, g, m = (values("float64", i, (4, 5)) for i in range(3))
    given = [on_host(x.copy()) for x in (p, g, m)]
    outs = step(*given, 0.1, out=(given[0], given[2]))
    assert outs[0] is given[0]
    np.testing.assert_allclose(to_numpy(given[2]), 0.9 * m + g)
    np.testing.assert_allclose(to_numpy(given[0]), p - 0.1 * (0.9 * m + g))
    x = np.arange(9.0)
    shown = on_host(x)
    with pytest.raises(Exception, match=r"(?i)cuda"):  # to copy what would be overwritten is left to CuPy
        made(driver, lambda a: a * 2)(shown[:-1], out=shown[1:])
    y = np.zeros((3, 4))
    made(driver, lambda a: a + 1)(on_host(np.arange(3.0)), out=on_host(y)[:, 1])
    assert y[:, 1].tolist() == [1, 2, 3] and y.sum() == 6


def test_numbers_that_choose_a_formula(driver: HostDriver) -> None:
    power = made(driver, lambda x, n: x * x if n == 2 else x)
    x = on_host(np.arange(5.0))
    assert to_numpy(power(x, 2)).tolist() == [0, 1, 4, 9, 16]
    assert to_numpy(power(x, 1)).tolist() == [0, 1, 2, 3, 4]
    assert to_numpy(power(x, 2)).tolist() == [0, 1, 4, 9, 16]


def test_what_cannot_be_traced(driver: HostDriver) -> None:
    def by_value(x: Any) -> Any:
        return x if bool(x) else 2 * x

    with pytest.raises(NotTraceable):
        made(driver, by_value)(on_host(np.ones(3)))
    called = []
    kept = made(driver, lambda x: called.append(type(x)) or (x if x.sum() else 2 * x), op_by_op=True)
    with pytest.raises(Exception, match=r"(?i)cuda"):  # CuPy's own kernels need a device
        kept(on_host(np.ones(3)))
    assert called[-1] is cupy.ndarray


def test_complex_numbers_and_conditions(driver: HostDriver) -> None:
    a, b = values("complex64", 0), values("complex64", 1)
    product = made(driver, lambda a, b: a * b + 1)
    np.testing.assert_allclose(to_numpy(product(on_host(a), on_host(b))), a * b + 1, rtol=1e-5)
    choose = made(driver, Functions.where, free=(0,))
    c, x, y = values("bool", 0), values("float16", 1), values("float16", 2)
    np.testing.assert_array_equal(to_numpy(choose(on_host(c), on_host(x), on_host(y))), np.where(c, x, y))
