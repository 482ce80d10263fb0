"""Template 1 against NumPy: functions × dtypes × layouts, on each device."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import plugrad as torch
from plugrad.backend import for_device
from plugrad.op import OPS
from plugrad_backends.expressions import NotTraceable

FLOATS, INTEGERS = ("e", "f", "d"), ("b", "B", "h", "H", "i", "I", "l", "L")
COMPLEX = ("F", "D")
TOLERANCE = {"e": 2e-3, "f": 2e-6, "d": 1e-12, "F": 5e-6, "D": 1e-12}

UNARY = {
    "negative": "bhilefdFD", "abs": "bhBilefdFD", "sign": "bBilefd", "square": "bBilefdFD", "sqrt": "efdFD", "exp": "efdFD",
    "exp2": "efd", "expm1": "efd", "log": "efdFD", "log2": "efd", "log10": "efd", "log1p": "efd", "sin": "efdFD", "cos": "efdFD",
    "tan": "efdFD", "asin": "efd", "acos": "efd", "atan": "efd", "sinh": "efdFD", "cosh": "efdFD", "tanh": "efdFD",
    "asinh": "efd", "acosh": "efd", "atanh": "efd", "floor": "bilefd", "ceil": "bilefd", "trunc": "bilefd", "reciprocal": "efdFD",
    "logical_not": "?bilefdFD", "bitwise_invert": "?bBhHiIlL", "isnan": "?ilefdFD", "isinf": "ilefdFD", "isfinite": "ilefdFD",
    "conj": "fdFD", "real": "fdFD", "sgn": "fdFD", "sigmoid": "efd", "copy": "?bBhHiIlLefdFD",
}  # fmt: skip
BINARY = {
    "add": "?bBhHiIlLefdFD", "subtract": "bBilLefdFD", "multiply": "?bBhHiIlLefdFD", "divide": "efdFD", "maximum": "?bBilefd",
    "minimum": "?bBilefd", "equal": "?bBilLefdFD", "not_equal": "?bilefdFD", "less": "?bBilLefd", "less_equal": "bilefd",
    "greater": "bilefd", "greater_equal": "bilefd", "floor_divide": "bBhHiIlLefd", "remainder": "bBhHiIlLefd",
    "fmod": "bBilLefd", "trunc_divide": "bBilLefd", "pow": "bilfd", "atan2": "efd", "hypot": "efd", "copysign": "efd",
    "logical_and": "?bilfdF", "logical_or": "?bilfd", "logical_xor": "?bilfd", "bitwise_and": "?bBhHiIlL", "bitwise_or": "?il",
    "bitwise_xor": "?il", "bitwise_left_shift": "bBhHiIlL", "bitwise_right_shift": "bBhHiIlL",
}  # fmt: skip


def values(rng, char: str, shape, name: str = "") -> np.ndarray:
    """Numbers of a dtype, with corners among them."""
    if char == "?":
        return rng.random(shape) < 0.5
    if char in "BHIL":
        return rng.integers(1 if "divi" in name or name in ("remainder", "fmod") else 0, 9, shape).astype(
            char
        )
    if char in "bhil":
        x = rng.integers(-9, 9, shape)
        if name == "pow":
            x = np.abs(x)
        return np.where(x == 0, 3, x).astype(char)
    x = rng.normal(size=shape) * 2
    if char in COMPLEX:
        return (x + 1j * rng.normal(size=shape)).astype(char)
    if name in ("asin", "acos", "atanh"):
        x = np.tanh(x)
    elif name in ("sqrt", "log", "log2", "log10", "pow"):
        x = np.abs(x)
    elif name == "log1p":
        x = np.abs(x) - 0.9
    elif name == "acosh":
        x = 1 + np.abs(x)
    return x.astype(char)


def agree(found, expected: np.ndarray, name: str = "") -> None:
    found = found.get()
    assert found.dtype == expected.dtype, name
    assert found.shape == expected.shape, name
    if expected.dtype.kind in "fc":
        bound = 4 * TOLERANCE[expected.dtype.char]
        np.testing.assert_allclose(found, expected, rtol=bound, atol=bound, err_msg=name)
    else:
        np.testing.assert_array_equal(found, expected, err_msg=name)


def some(opencl, chars: str) -> str:
    """The dtypes to test: few on PoCL, where each kernel takes a quarter of a second to build."""
    return "".join(c for c in chars if c in "?fF") if "Portable" in opencl.device.platform_name else chars


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_array(opencl, name):
    rng, cpu = np.random.default_rng(0), for_device("cpu")
    for char in some(opencl, UNARY[name]):
        x = values(rng, char, (7, 5), name)
        with np.errstate(all="ignore"):
            expected = np.asarray(getattr(cpu, name)(x))
        agree(getattr(opencl, name)(opencl.from_numpy(x)), expected, f"{name} of {np.dtype(char)}")


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_arrays(opencl, name):
    rng, cpu = np.random.default_rng(0), for_device("cpu")
    for char in some(opencl, BINARY[name]):
        a, b = values(rng, char, (7, 5), name), values(rng, char, (7, 5), name)
        with np.errstate(all="ignore"):
            expected = np.asarray(getattr(cpu, name)(a, b))
        agree(
            getattr(opencl, name)(opencl.from_numpy(a), opencl.from_numpy(b)),
            expected,
            f"{name} of {np.dtype(char)}",
        )


@pytest.mark.parametrize("char", "fd")
@pytest.mark.parametrize(
    "name", ["sin", "cos", "tan", "exp", "log", "tanh", "pow", "fmod", "remainder", "hypot", "atan2"]
)
def test_a_lane_does_not_depend_on_its_neighbours(opencl, name, char):
    """Large and small numbers, whole ones and others, beside each other in a vector, in each order."""
    if opencl.device.found.is_interpreter:
        pytest.skip("it has no vectors")
    rng, cpu = np.random.default_rng(0), for_device("cpu")
    sizes = [
        0.0,
        -0.0,
        1e-12,
        -3e-7,
        0.3,
        -0.7,
        1.5,
        -4.2,
        30.0,
        1.2e7,
        -9.7e24,
        np.inf,
        np.nan,
        *range(-9, 10),
    ]
    args = [rng.choice(sizes, 1000).astype(char) for _ in range(2 if name in BINARY else 1)]
    with np.errstate(all="ignore"):
        expected = np.asarray(getattr(cpu, name)(*args))
    found = getattr(opencl, name)(*map(opencl.from_numpy, args)).get()
    bound = 4 * TOLERANCE[char]
    np.testing.assert_allclose(found, expected, rtol=bound, atol=0, err_msg=name)


LAYOUTS = {
    "dense": lambda x: x,
    "turned": lambda x: x.T,
    "steps": lambda x: x[::2, 1::2],
    "backwards": lambda x: x[::-1, ::-3],
    "row": lambda x: x[2],
    "column": lambda x: x[:, 3:4],
    "one": lambda x: x[1, 1],
    "empty": lambda x: x[:, 3:3],
    "new": lambda x: x[:, None, :, None],
}


def on_device(opencl, x, layout):
    """The view of `x` on the device."""
    raw = opencl.from_numpy(x)
    return {
        "dense": lambda: raw,
        "turned": lambda: opencl.permute_dims(raw, (1, 0)),
        "steps": lambda: opencl.getitem(raw, (slice(None, None, 2), slice(1, None, 2))),
        "backwards": lambda: raw.basic_index((slice(None, None, -1), slice(None, None, -3))),
        "row": lambda: opencl.getitem(raw, (2,)),
        "column": lambda: opencl.getitem(raw, (slice(None), slice(3, 4))),
        "one": lambda: opencl.getitem(raw, (1, 1)),
        "empty": lambda: opencl.getitem(raw, (slice(None), slice(3, 3))),
        "new": lambda: opencl.getitem(raw, (slice(None), None, slice(None), None)),
    }[layout]()


@pytest.mark.parametrize("one", LAYOUTS)
def test_layouts_broadcast(opencl, one):
    x = np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32)
    a, on_a = LAYOUTS[one](x), on_device(opencl, x, one)
    agree(opencl.copy(on_a), np.array(a), one)
    for other in LAYOUTS:
        b, on_b = LAYOUTS[other](x), on_device(opencl, x, other)
        try:
            expected = a - 2 * b
        except ValueError:
            with pytest.raises(ValueError, match="broadcast"):
                opencl.subtract(on_a, on_b)
            continue
        agree(opencl.subtract(on_a, opencl.multiply(2, on_b)), np.asarray(expected), f"{one} - {other}")


def test_many_dimensions(opencl):
    x = np.random.default_rng(2).normal(size=(2, 3, 2, 3, 2, 3)).astype(np.float32)
    raw = opencl.from_numpy(x)
    turned = opencl.permute_dims(raw, (5, 3, 1, 0, 2, 4))
    agree(opencl.copy(turned), x.transpose(5, 3, 1, 0, 2, 4).copy())
    odd = opencl.getitem(turned, (slice(None, None, 2), Ellipsis, slice(0, 1)))
    agree(opencl.add(odd, odd), 2 * x.transpose(5, 3, 1, 0, 2, 4)[::2, ..., 0:1])
    other = opencl.permute_dims(raw, (0, 4, 2, 1, 3, 5))
    agree(opencl.add(turned.reshape((3, 3, 3, 2, 2, 2)), opencl.reshape(other, (3, 3, 3, 2, 2, 2))),
          x.transpose(5, 3, 1, 0, 2, 4) + x.transpose(0, 4, 2, 1, 3, 5).reshape(3, 3, 3, 2, 2, 2))  # fmt: skip


def test_nine_dimensions_that_cannot_be_merged_are_refused(opencl):
    x = opencl.from_numpy(np.zeros((2,) * 9, np.float32))
    with pytest.raises(ValueError, match="9 dimensions that cannot be merged: 8 are the most"):
        opencl.add(x, opencl.permute_dims(x, tuple(reversed(range(9)))))


@pytest.mark.parametrize("source", "?bBilefdFD")
def test_casts(opencl, source):
    rng = np.random.default_rng(3)
    if source not in some(opencl, "?bBilefdFD"):
        pytest.skip("each kernel takes long to build")
    x = np.abs(values(rng, source, (4, 9))) if source in "?bBilefd" else values(rng, source, (4, 9))
    for target in "?bBhHiIlLefdFD":
        if source in "FD" and target not in "?FD":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = x.astype(target)
        found = opencl.astype(opencl.from_numpy(x), torch.dtypes.of(np.dtype(target)))
        agree(found, expected, f"{source} to {target}")


def test_floats_go_to_integers_towards_zero_and_wrap(opencl):
    x = opencl.from_numpy(np.array([-1.9, 1.9, 300.0, -1.0, 2.0**33], np.float64))
    for target, expected in (
        ("l", [-1, 1, 300, -1, 2**33]), ("B", [255, 1, 44, 255]), ("b", [-1, 1, 44, -1]), ("I", [2**32 - 1, 1, 300, 2**32 - 1]),
    ):  # fmt: skip
        found = opencl.astype(x, torch.dtypes.of(np.dtype(target))).get()
        np.testing.assert_array_equal(found[: len(expected)], np.array(expected).astype(target))


def test_special_values(opencl):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0], np.float32)
    a, b = x[:, None].repeat(7, 1).copy(), x[None].repeat(7, 0).copy()
    cpu = for_device("cpu")
    for name in (
        "add",
        "multiply",
        "divide",
        "maximum",
        "minimum",
        "less",
        "equal",
        "remainder",
        "floor_divide",
        "fmod",
        "pow",
    ):
        with np.errstate(all="ignore"):
            expected = getattr(cpu, name)(a, b)
        found = getattr(opencl, name)(opencl.from_numpy(a), opencl.from_numpy(b)).get()
        np.testing.assert_array_equal(found, expected, err_msg=name)
    for name in (
        "sign",
        "exp",
        "log",
        "sqrt",
        "tanh",
        "isnan",
        "isinf",
        "isfinite",
        "floor",
        "reciprocal",
        "abs",
        "negative",
    ):
        with np.errstate(all="ignore"):
            expected = np.asarray(getattr(cpu, name)(x))
        found = getattr(opencl, name)(opencl.from_numpy(x)).get()
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("char", "?iefdFD")
def test_numbers_are_arguments_of_kernels(opencl, char):
    x = values(np.random.default_rng(4), char, (3, 5))
    raw = opencl.from_numpy(x)
    for first in (2,) if char != "?" else (True, False):  # a bool is a constant
        opencl.add(raw, first)
    before = opencl.device.builds
    for n in (3, 5, 7) if char != "?" else (True, False):
        agree(opencl.add(raw, n), x + np.array(n).astype(char))
    assert opencl.device.builds == before


def test_where_takes_numbers_on_either_side(opencl):
    x = np.random.default_rng(5).normal(size=(5, 4)).astype(np.float32)
    raw = opencl.from_numpy(x)
    mask = opencl.less(raw, 0.0)
    agree(opencl.where(mask, 0.0, raw), np.where(x < 0, np.float32(0), x))
    agree(opencl.where(mask, raw, 1.5), np.where(x < 0, x, np.float32(1.5)))
    agree(opencl.where(opencl.getitem(mask, (0,)), raw, raw), x)


def test_writing_into_what_is_read(opencl):
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    raw = opencl.from_numpy(x)
    add = opencl.writer(opencl.add)
    assert add(raw, 1.0, raw) is raw  # the same elements
    np.testing.assert_array_equal(raw.get(), x + 1)
    x += 1
    opencl.setitem(raw, (slice(1, None),), opencl.getitem(raw, (slice(0, 3),)))  # others, of the same memory
    x[1:] = x[:3].copy()
    np.testing.assert_array_equal(raw.get(), x)
    square = opencl.from_numpy(np.arange(9.0).reshape(3, 3))
    opencl.setitem(square, ..., opencl.permute_dims(square, (1, 0)))
    np.testing.assert_array_equal(square.get(), np.arange(9.0).reshape(3, 3).T)


def test_writing_numbers_and_strides(opencl):
    x = np.zeros((4, 6), np.int32)
    raw = opencl.from_numpy(x)
    for key, value in (
        ((1,), 5),
        ((slice(None), slice(None, None, 2)), -3),
        ((..., slice(3, 1, -1)), 9),
        (..., True),
    ):
        if key is not ...:
            x[key] = value
            opencl.setitem(raw, key, value)
            np.testing.assert_array_equal(raw.get(), x)
    full = opencl.full((2, 3), 1 + 2j, torch.complex64)
    np.testing.assert_array_equal(full.get(), np.full((2, 3), 1 + 2j, np.complex64))


def test_sizes_build_nothing(opencl):
    def run(n, m):
        x = opencl.from_numpy(np.ones((n, m), np.float32))
        y = opencl.add(x, opencl.getitem(x, (slice(0, 1),)))
        opencl.multiply(opencl.permute_dims(y, (1, 0)), opencl.permute_dims(x, (1, 0)))
        opencl.exp(opencl.getitem(y, (slice(None), slice(0, None, 2))))
        opencl.synchronize()

    run(3, 5)
    before = opencl.device.builds
    for n, m in ((4, 7), (33, 65), (6, 9), (17, 131)):
        run(n, m)
    assert opencl.device.builds == before


def test_large_arrays_use_every_item(opencl):
    if not opencl.device.is_cpu:
        pytest.skip("an interpreter of kernels takes minutes")
    x = np.random.default_rng(6).normal(size=(301, 1237)).astype(np.float32)
    raw = opencl.from_numpy(x)
    agree(opencl.add(raw, raw), x + x)
    agree(opencl.add(raw, opencl.getitem(raw, (0,))), x + x[0])
    agree(opencl.add(raw, opencl.getitem(raw, (slice(None), slice(0, 1)))), x + x[:, :1])
    agree(opencl.copy(opencl.permute_dims(raw, (1, 0))), x.T.copy())
    narrow = x[:, :3].copy()
    agree(opencl.add(opencl.from_numpy(narrow), opencl.from_numpy(narrow[0])), narrow + narrow[0])


def test_a_kernel_that_cannot_be_built_says_which_and_why(opencl):
    with pytest.raises(
        torch.errors.DeviceError, match=r"(?s)cannot build the kernel of 'wrong'.*the source was:\n.*1 "
    ):
        opencl.device.kernel(("wrong",), lambda: ("__kernel void kernel_wrong() { nonsense; }", []))


def test_no_function_of_bools(opencl):
    x = opencl.from_numpy(np.array([True, False]))
    for name in ("negative", "subtract", "exp"):
        with pytest.raises(TypeError, match=r"bools|floats"):
            getattr(opencl, name)(*[x] * (2 if name == "subtract" else 1))


# --- chains of ops as one kernel -------------------------------------------------------------------------------------------


def test_a_chain_is_one_kernel(opencl):
    def chain(x, y):
        o = OPS
        return o["add"](o["exp"](o["sin"](x) * y), o["tanh"](x * y)) - o["sqrt"](o["abs"](x + y))

    rng = np.random.default_rng(7)
    a, b = (rng.normal(size=(6, 7)).astype(np.float32) for _ in range(2))
    fused = opencl.fused("chain", chain, 2)
    before = opencl.device.builds
    agree(
        fused(opencl.from_numpy(a), opencl.from_numpy(b)),
        np.exp(np.sin(a) * b) + np.tanh(a * b) - np.sqrt(np.abs(a + b)),
    )
    assert opencl.device.builds == before + 1


def test_a_chain_with_several_results_writes_in_place(opencl):
    def momentum(p, g, m, lr):
        m = m * 0.9 + g
        return p - lr * m, m

    rng = np.random.default_rng(8)
    p, g, m = (rng.normal(size=(3, 5)).astype(np.float32) for _ in range(3))
    on = [opencl.from_numpy(x) for x in (p, g, m)]
    step = opencl.fused("momentum", momentum, 4)
    new_p, new_m = step(*on, 0.5)
    agree(new_m, m * np.float32(0.9) + g)
    agree(new_p, p - np.float32(0.5) * (m * np.float32(0.9) + g))
    before = opencl.device.builds
    assert step(*on, 0.25, out=(on[0], on[2]))[0] is on[0]
    agree(on[2], m * np.float32(0.9) + g)
    agree(on[0], p - np.float32(0.25) * (m * np.float32(0.9) + g))
    assert opencl.device.builds == before  # with out, too, and whatever the learning rate is


def test_what_is_no_elementwise_function_is_computed_op_by_op(opencl):
    fused = opencl.fused("turned", lambda x: OPS["permute_dims"](x, (1, 0)) * 2.0, 1)
    x = np.random.default_rng(9).normal(size=(2, 3)).astype(np.float32)
    agree(fused(opencl.from_numpy(x)), x.T * 2)
    y = opencl.from_numpy(np.zeros((3, 2), np.float32))
    assert fused(opencl.from_numpy(x), out=y) is y
    agree(y, x.T * 2)
    with pytest.raises(NotTraceable):
        type(fused)(opencl.device, "turned", fused.function)(opencl.from_numpy(x))


def test_derivatives_of_activations_are_one_kernel_each(opencl):
    device = f"opencl:{opencl.index}"
    names = ["gelu", "silu", "softplus", "elu", "leaky_relu", "hardtanh", "logsigmoid"]
    x = np.linspace(-3, 3, 21).astype(np.float32)
    for name in names:
        a = torch.tensor(x, requires_grad=True)
        b = torch.tensor(x, device=device, requires_grad=True)
        for t in (a, b):
            function = getattr(torch.nn.functional, name)
            function(t).backward(torch.ones_like(t))
        np.testing.assert_allclose(b.grad.cpu().numpy(), a.grad.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)
    built = [key[0] for key in opencl.device._kernels]
    assert {f"{name}_vjp_x" for name in names} <= set(built)


def test_flags_are_constants_and_numbers_arguments(opencl):
    def step(p, g, lr, decays, power):
        return p - lr * (g**power if decays else g)

    x = np.linspace(0.5, 2, 6).astype(np.float32)
    fused = opencl.fused("flagged", step, 3)
    raw = opencl.from_numpy(x)
    agree(fused(raw, raw, 0.5, False, 2), x - np.float32(0.5) * x)
    agree(fused(raw, raw, 0.5, True, 2), x - np.float32(0.5) * x * x)
    before = opencl.device.builds
    for lr in (0.1, 0.2, 0.3):
        agree(fused(raw, raw, lr, True, 2), x - np.float32(lr) * x * x)
    assert opencl.device.builds == before


def test_zeros_of_either_sign_are_two_constants(opencl):
    def signed(x, value):
        return x * 0.0 + value if float(value) else OPS["copysign"](x, value)

    fused = opencl.fused("signed", signed, 1)
    raw = opencl.from_numpy(np.ones(3, np.float32))
    assert (fused(raw, 0.0).get() > 0).all()
    assert (fused(raw, -0.0).get() < 0).all()


def test_results_that_are_operands_may_change_places(opencl):
    for traceable in (True, False):
        fused = opencl.fused(
            "swapped", lambda a, b, t=traceable: (b, a) if t else (b, OPS["reshape"](a, a.shape)), 2
        )
        x, y = (opencl.from_numpy(np.full(3, v, np.float32)) for v in (1, 2))
        fused(x, y, out=(x, y))
        assert x.get().tolist() == [2, 2, 2], traceable
        assert y.get().tolist() == [1, 1, 1], traceable


def test_one_result_in_a_tuple_stays_in_it(opencl):
    x = opencl.from_numpy(np.ones(2, np.float32))
    assert isinstance(opencl.fused("one", lambda a: (a + 1.0,), 1)(x), tuple)


def test_numbers_that_a_kernel_does_not_read_need_no_plan_of_their_own(opencl):
    fused = opencl.fused("unread", lambda x, a, b: x * a, 3)
    raw = opencl.from_numpy(np.ones(2, np.float32))
    for k in range(5):
        agree(fused(raw, 2.0, float(k)), np.full(2, 2, np.float32))
    assert len(fused._plans) == 1


@pytest.mark.parametrize(
    "number", [np.float32(0.5), np.float64(0.5), np.float16(0.5), np.int64(1), np.bool_(True)]
)
def test_numbers_of_numpy_are_parameters_like_python_s(opencl, number):
    functional = torch.nn.functional
    x = torch.tensor([-2.0, 0.25, 3.0], device=torch.device("opencl", opencl.index))
    for function in (
        torch.Tensor.clamp, torch.clamp_max, functional.leaky_relu, functional.elu, functional.softplus,
        lambda x, n: torch.addcmul(x, x, x, value=n), lambda x, n: x.var(correction=n),
        lambda x, n: functional.huber_loss(x, 2 * x, delta=n), lambda x, n: functional.layer_norm(x, (3,), eps=n),
    ):  # fmt: skip
        found, want = function(x, number), function(x, number.item())
        assert found.dtype == want.dtype
        np.testing.assert_array_equal(found.cpu().numpy(), want.cpu().numpy())


@pytest.mark.parametrize("exponent", [-1, -2])
def test_integers_have_no_negative_powers(opencl, exponent):
    x = torch.tensor([1, 2], device=torch.device("opencl", opencl.index))
    for function in (torch.pow, torch.Tensor.pow_):
        with pytest.raises(RuntimeError, match="Integers to negative integer powers are not allowed"):
            function(x, exponent)
    assert (x.float() ** exponent).tolist() == [1.0, 2.0**exponent]


@pytest.mark.parametrize("char", "?bBhHiIlLefdFD")
def test_arrays_are_filled(opencl, char):
    """By the runtime, or by a kernel where they are large or not dense."""
    d = np.dtype(char)
    numbers = {"?": (True, False, 2), "F": (1.5 - 2j, np.inf), "D": (1.5 - 2j,)}.get(char, (3, 0, True))
    numbers += (-0.0, np.nan, -np.inf, 0.1) if d.kind == "f" else ()
    for shape in ((), (0,), (1,), (7, 3), (200, 300)):
        for number in numbers:
            want = np.full(shape, number, d)
            assert opencl.full(shape, number, d).get().tobytes() == want.tobytes(), (shape, number)
    x = opencl.from_numpy(np.zeros(10, d))
    opencl.setitem(x, (slice(3, 5),), 1)  # dense, and only a part
    opencl.setitem(x, (slice(6, None, 2),), 1)
    assert np.array_equal(x.get(), np.array([0, 0, 0, 1, 1, 0, 1, 0, 1, 0], d))
