"""The members of the CUDA backend that are kernels of plugrad's own, on real arrays of CuPy's over the host's memory, run on
the CPU, against the members of the NumPy backend.
"""

# ruff: noqa: E402
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

cupy = pytest.importorskip("cupy", reason="CuPy is not installed: pip install cupy-cuda13x")

from plugrad import dtypes
from plugrad.backend import for_device
from plugrad.op import OPS
from plugrad_backends.cupy.kernels import members
from plugrad_backends.cupy.kernels.launch import Kernels

from .cupy_on_host import empty, on_host, to_numpy
from .fake_cublas import FakeCublas
from .host import HostDriver


class Refused(Exception):
    """A member was left to CuPy."""


def refuse(name: str) -> Any:
    def member(*args: Any) -> Any:
        raise Refused(name)

    return member


class Others:
    """Instead of CuPy's members: nothing but what needs no kernel."""

    def _raw(self, dtype: Any) -> Any:
        return dtype.numpy

    def check_range(self, x: Any, low: int, high: int, error: Any) -> None:
        host = to_numpy(x)
        for wrong in host[(host < low) | (host > high)].flat:
            raise error(wrong)

    def check_key(self, key: Any, shape: Any, asked: str) -> None:
        pass

    def broadcast_to(self, x: Any, shape: Any) -> Any:
        return on_host(np.broadcast_to(to_numpy(x), shape))

    def __getattr__(self, name: str) -> Any:
        return refuse(name)


@pytest.fixture
def own(driver: HostDriver) -> Any:
    kernels, blas = Kernels(driver), FakeCublas()
    device = SimpleNamespace(
        kernels=lambda: kernels, blas=lambda: blas, cudnn=lambda: None, empty=empty, array_type=cupy.ndarray,
        argsort=lambda x: on_host(np.argsort(to_numpy(x), kind="stable")), truth=lambda x: bool(to_numpy(x)),
    )  # fmt: skip
    return members.All(device, Others())


CPU: Any = for_device("cpu")


def raw(value: Any) -> Any:
    return on_host(value) if isinstance(value, np.ndarray) else value


def check(own: Any, name: str, *args: Any, rtol: float = 1e-6) -> None:
    """A member against NumPy's of the same name; the arguments are not written to, results are dense and new."""
    before = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    given = [raw(a) for a in args]
    found = getattr(own, name)(*given)
    expected = np.asarray(getattr(CPU, name)(*args))
    assert type(found) is cupy.ndarray and found.flags.c_contiguous
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), name
    np.testing.assert_allclose(to_numpy(found), expected, rtol=rtol, atol=rtol)
    for a, b in zip(args, before):
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)


def numbers(shape: Any, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype[0] == "i":
        return np.asarray(rng.integers(-9, 9, shape)).astype(dtype)
    x = rng.standard_normal(shape)
    return np.asarray(x + 1j * rng.standard_normal(shape) if dtype[0] == "c" else x).astype(dtype, copy=False)


def layouts(dtype: str = "float64") -> list[np.ndarray]:
    x = numbers((3, 4, 5), dtype)
    return [
        x,
        x.transpose(2, 0, 1),
        x[:, ::2, ::-1],
        numbers((), dtype),
        numbers((7,), dtype)[1:],
        numbers((2, 0, 3), dtype),
    ]


@pytest.mark.parametrize("dtype", ["bool", "int64", "float32", "float64", "complex128"])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "any", "all", "count_nonzero"])
def test_reductions_over_axes(own: Any, name: str, dtype: str) -> None:
    if (name == "mean" and dtype[0] not in "fc") or (name in ("max", "min") and dtype[0] == "c"):
        return
    for x in layouts(dtype):
        for axis in [(), (0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)]:
            if not all(a < x.ndim for a in axis) or (name in ("max", "min", "mean") and 0 in x.shape):
                continue
            if name not in ("sum", "any", "all", "count_nonzero") and not axis:
                continue
            for keepdims in (False, True):
                check(own, name, x, axis, keepdims, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_other_reductions(own: Any, dtype: str) -> None:
    for x in layouts(dtype):
        for name in ("sum_all", "prod_all", *(("max_all", "min_all") if x.size else ())):
            check(own, name, x, rtol=1e-5)
        for axis in range(x.ndim) if x.size else ():
            for name in ("argmax", "argmin", "prod"):
                check(own, name, x, axis, True, rtol=1e-4)
        if x.size:
            check(own, "argmax", x, None, False)
    with pytest.raises(Refused):  # of nothing there is no greatest element: CuPy says so
        own.max(raw(numbers((2, 0))), (1,), False)


def test_rows(own: Any) -> None:
    for x in layouts("float32")[:5]:
        for axis in [(-1,), (0,), (0, 1), (1,)]:
            if all(-x.ndim <= a < x.ndim for a in axis):
                axis = tuple(a % x.ndim for a in axis)
                check(own, "softmax", x, axis, rtol=1e-5)
                check(own, "log_softmax", x, axis, rtol=1e-5)
    x = numbers((6, 4, 5), "float32")
    for axis in [(2,), (1, 2)]:
        shape = tuple(x.shape[a] for a in axis)
        check(own, "layer_norm", x, axis, 1e-5, rtol=1e-5)
        check(own, "layer_norm", x.transpose(1, 0, 2).copy().transpose(1, 0, 2), axis, 1e-5, rtol=1e-5)
        check(
            own,
            "layer_norm_affine",
            x,
            numbers(shape, "float32", 1),
            numbers(shape, "float32", 2),
            axis,
            1e-5,
            rtol=1e-4,
        )


def against_the_formula(own: Any, op: str, of: str, *args: Any, rtol: float = 1e-4) -> None:
    """A member NAME_vjp_INPUT against the formula of core on arrays of NumPy's."""
    found = getattr(own, f"{op}_vjp_{of}")(*map(raw, args))
    expected = OPS[op].saves.formulas[of].fn(*args)  # type: ignore[union-attr]
    assert type(found) is cupy.ndarray and found.flags.c_contiguous
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(to_numpy(found), expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_derivatives_of_rows(own: Any, dtype: str) -> None:
    g, x = numbers((6, 4, 5), dtype), numbers((6, 4, 5), dtype, 1)
    for a, b in [
        (g, x),
        (g.transpose(2, 0, 1), x.transpose(2, 0, 1)),
        (np.broadcast_to(g[:1], x.shape), x),
        (g[0], x[0]),
    ]:
        for axis in [(b.ndim - 1,), (0,), tuple(range(b.ndim))]:
            y = CPU.softmax(b, axis)
            against_the_formula(own, "softmax", "x", a, y, axis)
            against_the_formula(own, "log_softmax", "x", a, np.log(y), axis)
            against_the_formula(own, "layer_norm", "x", a, b, axis, 1e-5)
        for k in (1, 2)[: b.ndim]:
            axis = tuple(range(b.ndim - k, b.ndim))
            weight = numbers(b.shape[-k:], dtype, 2)
            for wanted in ("x", "weight", "bias"), ("weight",), ("bias",), ("weight", "bias"):
                first, second = raw(a), raw(b)
                for of in wanted:
                    given = (first, raw(weight)) if of == "bias" else (first, second, raw(weight), axis, 1e-5)
                    plain = (a, weight) if of == "bias" else (a, b, weight, axis, 1e-5)
                    found = getattr(own, f"layer_norm_affine_vjp_{of}")(*given)
                    expected = OPS["layer_norm_affine"].saves.formulas[of].fn(*plain)  # type: ignore[union-attr]
                    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
                    np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # where all are ignored, the mean is NaN
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(7, 5), (5,), (3, 5, 4), (2, 5, 3, 2)])
def test_cross_entropy(own: Any, shape: Any, reduction: str, dtype: str) -> None:
    axis, op = min(len(shape) - 1, 1), OPS["cross_entropy"]
    x, weight = numbers(shape, dtype), np.abs(numbers((5,), dtype, 1))
    target = np.asarray(np.random.default_rng(2).integers(0, 5, shape[:axis] + shape[axis + 1 :]))
    ignored = target.copy()
    ignored.reshape(-1)[0] = -100
    rtol = 1e-2 if dtype == "float16" else 1e-5
    for y, w in [(target, None), (ignored, weight), (target.astype(np.uint8), weight), (ignored, None)]:
        given = (y, w, reduction, -100)
        for logits in (x, np.asfortranarray(x)):
            found = own.cross_entropy(raw(logits), raw(y), raw(w), reduction, -100)
            expected = op.default(logits, *given)  # type: ignore[union-attr]
            assert (found.dtype, found.shape) == (x.dtype, expected.shape)
            np.testing.assert_allclose(to_numpy(found), expected, rtol=rtol, atol=rtol)
            g = numbers(expected.shape, dtype, 3)
            found = own.cross_entropy_vjp_x(raw(g), raw(logits), raw(y), raw(w), reduction, -100)
            expected = op.saves.formulas["x"].fn(g, logits, *given)  # type: ignore[union-attr]
            assert (found.dtype, found.shape) == (x.dtype, shape) and found.flags.c_contiguous
            np.testing.assert_allclose(to_numpy(found), expected, rtol=rtol, atol=rtol)
    with pytest.raises(IndexError, match="Target 5 is out of bounds: expected a class from 0 to 4"):
        own.cross_entropy(raw(x), raw(np.full(target.shape, 5)), None, reduction, -100)


def test_a_weight_of_0_does_not_hide_a_loss_that_is_not_finite(own: Any) -> None:
    logits = np.array([[0, -np.inf, 1], [0, np.nan, 1], [1, 2, 3]], np.float32)
    given = np.array([1, 1, 1]), np.array([1, 0, 1], np.float32)
    found = own.cross_entropy(raw(logits), *map(raw, given), "none", -100)
    np.testing.assert_array_equal(to_numpy(found), [np.nan, np.nan, 0])


def test_sums_of_one_layer_normalization_are_not_those_of_another(own: Any) -> None:
    """What the derivative by `x` leaves behind belongs to its own arrays, and is let go of."""
    weight = numbers((5,), "float32", 2)
    g, x, other = (numbers((6, 5), "float32", seed) for seed in (3, 4, 5))
    first, second, third = raw(g), raw(x), raw(other)
    own.layer_norm_affine_vjp_x(first, second, raw(weight), (1,), 1e-5)
    found = own.layer_norm_affine_vjp_weight(first, third, raw(weight), (1,), 1e-5)
    expected = OPS["layer_norm_affine"].saves.formulas["weight"].fn(g, other, weight, (1,), 1e-5)  # type: ignore[union-attr]
    np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        to_numpy(own.layer_norm_affine_vjp_bias(third, raw(weight))), other.sum(0), rtol=1e-4
    )
    assert own._for_weight is None and own._for_bias is None, "nothing outlives its use"


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_products(own: Any, dtype: str) -> None:
    a, b = numbers((2, 3, 4), dtype), numbers((2, 4, 5), dtype, 1)
    for x, y in [
        (a, b),
        (a[0], b),
        (a, b[0]),
        (a[0], b[0]),
        (b.swapaxes(1, 2), a.swapaxes(1, 2)),
        (a[:, :, ::2], b[:, ::2]),
    ]:
        check(own, "matmul", x, y, rtol=1e-4)
    check(own, "mv", a[0], b[0, :, 0], rtol=1e-4)
    check(own, "vm", a[0, 0], b[0], rtol=1e-4)
    check(own, "dot", a[0, 0], b[0, :, 1], rtol=1e-4)
    check(own, "matmul", a[:, :, :0], b[:, :0], rtol=1e-4)
    with pytest.raises(Refused, match="matmul"):
        own.matmul(raw(numbers((2, 2), "int64")), raw(numbers((2, 2), "int64")))


@pytest.mark.parametrize("beta, alpha", [(1, 1), (0, 1), (0.5, 1), (0, 2), (1, 0.25), (2, 3)])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_products_and_sums(own: Any, dtype: str, beta: float, alpha: float) -> None:
    a, b = numbers((3, 4), dtype), numbers((4, 5), dtype, 1)
    many = np.stack([a, -a]), np.stack([b, b])
    cases: list[Any] = [("addmm", numbers(n, dtype, 2), a, b) for n in [(5,), (3, 5), (3, 1), (), (1, 5)]]
    cases += [("addmv", numbers((3,), dtype, 2), a, b[:, 0]), ("baddbmm", numbers((5,), dtype, 2), *many)]
    for name, *args in cases:
        x, first, second = args
        found = getattr(own, name)(*map(raw, args), beta, alpha)
        expected = beta * x + alpha * (first @ second)
        assert found.dtype == x.dtype and found.shape == expected.shape
        np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "complex128"])
def test_indices(own: Any, dtype: str) -> None:
    x = numbers((4, 5, 6), dtype)
    for source in (x, x.transpose(1, 2, 0).copy().transpose(2, 0, 1)):
        for axis in range(3):
            indices = np.random.default_rng(axis).integers(0, x.shape[axis], 7)
            check(own, "take", source, indices, axis)
            shape = list(x.shape)
            shape[axis] = 3
            each = np.random.default_rng(axis).integers(0, x.shape[axis], shape)
            check(own, "gather", source, each, axis)
            check(own, "gather", source, each[:2, :3, :2], axis)
            source_shape = (*x.shape[:axis], 7, *x.shape[axis + 1 :])
            check(own, "index_add", x, numbers(source_shape, dtype, 1), indices, axis, rtol=1e-4)
            for places in (each, each[:2, :3, :2]):
                check(own, "scatter_add", source, numbers(places.shape, dtype, 1), places, axis, rtol=1e-4)
                check(
                    own, "embed_gathered", numbers(places.shape, dtype, 1), places, axis, x.shape, rtol=1e-4
                )


@pytest.mark.parametrize("dtype", ["bool", "int16", "float16", "float64", "complex64"])
def test_sums_at_keys(own: Any, dtype: str) -> None:
    """The gradient of `x[key]`: indices that name an element again, from the end, and of several axes."""
    rng, every, shape = np.random.default_rng(0), slice(None), (4, 5, 6)
    one, two, other = rng.integers(-4, 4, 9), rng.integers(-5, 5, (3, 1)), rng.integers(-6, 6, (1, 4))
    keys = [
        (one,),
        (every, two),
        (every, two, other),
        (rng.integers(0, 4, (3, 4)), two, other),
        (np.asarray(2),),
    ]
    for key in keys:
        x = numbers(np.empty(shape)[key].shape, dtype)
        found = own.embed_add(raw(x), tuple(map(raw, key)), shape)
        expected = CPU.embed_add(x, key, shape)
        assert found.dtype == x.dtype and found.shape == shape
        np.testing.assert_allclose(
            to_numpy(found), expected, rtol=1e-2 if dtype == "float16" else 1e-4, atol=1e-2
        )
    many = rng.integers(0, 4, 5000)
    x = numbers((5000, 5, 6), dtype)
    if dtype != "float16":  # whose long sums NumPy rounds at each step
        found = own.embed_add(raw(x), (raw(many),), shape)
        np.testing.assert_allclose(to_numpy(found), CPU.embed_add(x, (many,), shape), rtol=1e-4, atol=1e-4)
    with pytest.raises(Refused, match="embed_add"):
        own.embed_add(raw(x), (raw(many > 2),), shape)


def test_embeddings(own: Any) -> None:
    table, rng = numbers((50, 8), "float32"), np.random.default_rng(0)
    for n in (7, 900):  # an owner for each place, and sorted
        indices = rng.integers(0, 50, (n, 2))
        check(own, "embedding", table, indices, None)
        for padding in (None, 3):
            check(own, "embedding_backward", numbers((n, 2, 8), "float32"), indices, padding, 50, rtol=1e-4)


WHERE = [
    ((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ((3, 2), (1, 2), ((1, 1), (1, 0)), (1, 1)),
    ((2, 2), (2, 1), ((0, 1), (0, 0)), (2, 1)),
]


@pytest.mark.parametrize("where", WHERE)
def test_pools(own: Any, where: Any) -> None:
    x = numbers((2, 3, 7, 6), "float32")
    y = CPU.max_pool2d(x, *where)
    which = CPU.argmax_pool2d(x, *where)
    g = numbers(y.shape, "float32", 1)
    check(own, "max_pool2d", x, *where)
    check(own, "argmax_pool2d", x, *where)
    check(own, "take_pooled", x, which, *where)
    check(own, "embed_pooled", g, which, x.shape[-2:], *where)
    for options in ((True, None), (False, None), (True, 3)):
        y = CPU.avg_pool2d(x, *where[:3], *options)
        check(own, "avg_pool2d", x, *where[:3], *options)
        check(own, "avg_unpool2d", y, x.shape[-2:], *where[:3], *options)


@pytest.mark.parametrize("where", [*((s, p, d) for _, s, p, d in WHERE)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 2)])
def test_convolutions(own: Any, where: Any, groups: int, kernel: Any, monkeypatch: Any) -> None:
    x, weight = numbers((3, 4, 8, 7)), numbers((6, 4 // groups, *kernel), seed=1)
    y = CPU.convolution(x, weight, *where, groups)
    check(own, "convolution", x, weight, *where, groups)
    check(own, "convolution_transposed", y, weight, x.shape[2:], *where, groups)
    check(own, "convolution_weight", x, y, kernel, *where, groups, rtol=1e-5)
    monkeypatch.setattr("plugrad_backends.cupy.kernels.images.COLUMNS", 1)  # one image at a time
    check(own, "convolution_transposed", y, weight, x.shape[2:], *where, groups)
    with pytest.raises(Refused, match="concat"):
        own.convolution(raw(x), raw(weight), *where, groups)


def test_elementwise_members(own: Any) -> None:
    a, b = numbers((3, 4)), numbers((4,), seed=1)
    for name in ("add", "multiply", "maximum", "less", "atan2"):
        check(own, name, a, b)
    for exponent in (1, 2, 3, 0.5, -1, 4, 2.5):
        check(own, "pow", np.abs(a), exponent)
    check(own, "pow", numbers((5,), "int64"), 3)
    check(own, "where", a > 0, a, b)
    check(own, "round", a, 2)
    found = own.masked_fill(raw(a), raw(a > 0), -7)
    np.testing.assert_array_equal(to_numpy(found), np.where(a > 0, -7, a))
    check(own, "astype", a, dtypes.int32)
    check(own, "astype", a.T, dtypes.float16)
    check(own, "clip", a, None, 0.5)
    assert to_numpy(own.zeros_like(raw(a))).tolist() == np.zeros((3, 4)).tolist()
    np.testing.assert_array_equal(to_numpy(own.dense(raw(a.T))), a.T)
    chain = own.fused("chain", lambda x, y: OPS["sin"](x) * y - y, 2)
    np.testing.assert_allclose(to_numpy(chain(raw(a), raw(b))), np.sin(a) * b - b)


def test_installing_keeps_what_was_there(own: Any) -> None:
    class Backend:
        xp = cupy

        def matmul(self, a: Any, b: Any) -> str:
            return "CuPy's"

        reshape = staticmethod(lambda x, shape: x.reshape(shape))

    backend: Any = Backend()
    members.install(backend, own.device)
    assert backend.matmul(raw(numbers((2, 2), "int64")), raw(numbers((2, 2), "int64"))) == "CuPy's"
    np.testing.assert_allclose(to_numpy(backend.exp(raw(np.ones(3)))), np.exp(np.ones(3)))
    assert backend.reshape is Backend.reshape
    names = set(vars(backend))
    assert {"softmax", "convolution", "fused", "sum", "copy"} <= names and not names & {
        "dense",
        "device",
        "others",
    }


def test_random_numbers_are_those_of_the_cpu(own: Any) -> None:
    ours, theirs = own.stream("philox", 7), CPU.stream("philox", 7)
    assert own.stream("mt19937", 7) is None
    draws: list[Any] = [
        lambda s: s.uniform((3, 5)), lambda s: s.uniform((7,), np.float16, -1, 3), lambda s: s.uniform((2,), np.complex64),
        lambda s: s.randint(-3, 9, (5,)), lambda s: s.randint(0, 2, (9,), np.bool_), lambda s: s.randint(0, 5, (3,), np.uint8),
        lambda s: s.bernoulli(0.25, (4, 4)), lambda s: s.permutation(11), lambda s: s.uniform((0, 3)),
    ]  # fmt: skip
    for draw in draws:
        found, expected = draw(ours), draw(theirs)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(to_numpy(found), expected)
        assert ours.offset == theirs.offset
    for dtype in (np.float32, np.float64, np.complex128):
        np.testing.assert_allclose(
            to_numpy(ours.normal((33,), dtype, 1.0, 0.5)), theirs.normal((33,), dtype, 1.0, 0.5), rtol=1e-5
        )
    p = numbers((6,), "float64") ** 2 % 1
    np.testing.assert_array_equal(to_numpy(ours.bernoulli(raw(p), (2, 6))), theirs.bernoulli(p, (2, 6)))
    for ask in (
        lambda s: s.bernoulli(1.5, (2,)),
        lambda s: s.bernoulli(raw(p + 9), (6,)),
        lambda s: s.normal(3, std=-1),
    ):
        with pytest.raises(RuntimeError, match=r"must be"):
            ask(ours)


def test_results_are_written_where_they_are_wanted(own: Any) -> None:
    y = np.zeros((3, 4))
    target = on_host(y)[:, 1:3]
    assert own.writer(own.exp)(raw(np.ones((3, 2))), target) is target
    np.testing.assert_allclose(y[:, 1:3], np.e)
    assert not y[:, 0].any() and not y[:, 3].any()


def test_bfloat16(own: Any) -> None:
    """Computed in float32, whatever NumPy makes of it."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = np.dtype(ml_dtypes.bfloat16)
    a, b = numbers((6, 8), "float32").astype(dtype), numbers((6, 8), "float32", 1).astype(dtype)
    wide, other = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        soft = np.exp(wide) / np.exp(wide).sum(1, keepdims=True)
    expected = {
        "add": (own.add(raw(a), raw(b)), wide + other),
        "add a number": (own.add(raw(a), 0.5), wide + 0.5),
        "exp": (own.exp(raw(a.T)), np.exp(wide.T)),
        "sum": (own.sum(raw(a), (0,), False), wide.sum(0)),
        "max": (own.max(raw(a), (1,), True), wide.max(1, keepdims=True)),
        "softmax": (own.softmax(raw(a), (1,)), soft),
        "matmul": (own.matmul(raw(a), raw(b).T), wide @ other.T),
    }
    for name, (found, value) in expected.items():
        assert found.dtype == dtype, name
        np.testing.assert_allclose(
            to_numpy(found).astype(np.float64), value, rtol=2**-7, atol=2**-5, err_msg=name
        )
    assert own.less(raw(a), raw(b)).dtype == bool
