"""The array alone: functions and operators of the array API standard, against NumPy's."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from .conftest import backend_of

pytest.importorskip("pyopencl")


@pytest.fixture(scope="module", params=("pocl", "intel", "oclgrind"))
def device(request):
    return backend_of(request.param).device


@pytest.fixture(scope="module")
def xp():
    from plugrad_backends.opencl import namespace

    return namespace


def same(got, wanted, exact=False):
    """Arrays of equal shape, dtype and values."""
    if isinstance(wanted, tuple):
        assert isinstance(got, tuple) and len(got) == len(wanted)
        for a, b in zip(got, wanted):
            same(a, b, exact)
        return
    host = got.get()
    wanted = np.asarray(wanted)
    assert host.shape == wanted.shape
    assert host.dtype == wanted.dtype
    if exact or wanted.dtype.kind not in "fc":
        np.testing.assert_array_equal(host, wanted)
    else:
        tolerance = 1e-5 if wanted.dtype.itemsize // (2 if wanted.dtype.kind == "c" else 1) == 4 else 1e-12
        np.testing.assert_allclose(host, wanted, tolerance, tolerance)


F = np.array([[0.5, -1.5, 2.0], [0.25, 3.0, -0.75]], np.float32)
D = np.array([1.5, 0.0, -2.5])
I = np.array([[3, -1, 2], [0, 5, -4]], np.int32)  # noqa: E741
U = np.array([7, 200, 3], np.uint8)
B = np.array([[True, False, True], [False, False, True]])
C = np.array([1 + 2j, -0.5j, 3], np.complex64)
E = np.zeros((0, 3), np.float32)

UNARY = [
    ("abs", F), ("abs", I), ("abs", C), ("negative", I), ("exp", F), ("exp", C), ("floor", F), ("floor", I), ("sqrt", D * D),
    ("isnan", D), ("isfinite", I), ("logical_not", B), ("bitwise_invert", U), ("sign", I), ("square", C), ("conj", C),
    ("real", C), ("imag", C), ("round", F), ("trunc", F), ("signbit", F), ("positive", F), ("tanh", E),
]  # fmt: skip
BINARY = [
    ("add", F, F), ("add", I, F[0]), ("add", F, 1), ("add", 2.5, F), ("subtract", I, 1), ("multiply", C, 2j),
    ("multiply", C, F[0]),
    ("divide", F, D), ("pow", I, 2), ("pow", D, 2.0), ("remainder", I, 3), ("floor_divide", I, -2), ("maximum", F, D),
    ("minimum", I, 1), ("bitwise_and", U, 6), ("bitwise_left_shift", U, 1), ("equal", C, 3), ("less", F, D),
    ("greater", I, I),
    ("logical_xor", B, B[0]), ("nextafter", F, D.astype(np.float32)), ("copysign", F, D), ("hypot", D, 2.0),
    ("not_equal", B, True),
    ("logaddexp", D, D), ("atan2", F, 0.5),
]  # fmt: skip
CALLS = [
    ("sum", F, {}), ("sum", F, {"axis": 0}), ("sum", I, {"axis": (0, -1), "keepdims": True}), ("sum", U, {}),
    ("sum", B, {"axis": 1}),
    ("sum", E, {"axis": 0}), ("sum", I, {"dtype": np.float64}), ("prod", F, {"axis": (0, 1)}), ("prod", U, {}),
    ("max", F, {"axis": 1}),
    ("min", I, {}), ("mean", F, {"axis": 0}), ("mean", C, {}), ("var", F, {"axis": 1, "correction": 1.0}), ("std", D, {}),
    ("all", B, {"axis": 0}), ("any", B, {}), ("all", E, {}), ("any", np.zeros((0, 0), bool), {}),
    ("count_nonzero", I, {"axis": 1}), ("argmax", F, {}),
    ("argmin", I, {"axis": 1, "keepdims": True}), ("sort", F, {}), ("sort", I, {"axis": 0, "descending": True}),
    ("sort", F[:, ::-1], {}),
    ("argsort", D, {}), ("cumulative_sum", I, {"axis": 1}), ("cumulative_sum", U, {"include_initial": True}),
    ("cumulative_prod", D, {}), ("diff", F, {}), ("diff", I, {"axis": 0, "prepend": I[:1]}), ("nonzero", I, {}),
    ("unique_values", I, {}), ("unique_counts", U, {}), ("unique_inverse", I, {}),
    ("unique_all", np.array([3, 1, 3, 1, 2]), {}),
    ("unique_values", np.zeros(0, np.int64), {}),
    ("flip", I, {}), ("flip", F, {"axis": 1}), ("roll", I, {"shift": 1}), ("roll", I, {"shift": (1, -1), "axis": (0, 1)}),
    ("squeeze", I[None], {"axis": 0}), ("expand_dims", I, {"axis": (0, -1)}), ("reshape", I.T, {"shape": (2, -1)}),
    ("permute_dims", I, {"axes": (1, 0)}), ("matrix_transpose", F, {}), ("tril", F, {"k": -1}), ("triu", I, {"k": 1}),
    ("clip", F, {"min": -1.0, "max": 1.0}), ("clip", I, {"max": 2}), ("broadcast_to", D, {"shape": (2, 3)}),
    ("repeat", I, {"repeats": 2}), ("repeat", I, {"repeats": 3, "axis": 1}), ("unstack", I, {"axis": 1}),
]  # fmt: skip


def reference(name, x, options):
    """NumPy's result, where it is not called so, or has other dtypes."""
    options = dict(options)
    if name in ("sort", "argsort") and options.pop("descending", False):
        return -getattr(np, name)(-x, **options)
    if name == "unique_values":
        return np.unique(x)
    if name in ("expand_dims", "reshape"):
        return getattr(np, name)(x, *options.values())
    return getattr(np, name)(x, **options)


@pytest.mark.parametrize(("name", "x"), UNARY, ids=lambda v: v if isinstance(v, str) else v.dtype.name)
def test_unary(xp, device, name, x):
    same(getattr(xp, name)(xp.asarray(x, device=device)), getattr(np, name)(x))


@pytest.mark.parametrize(("name", "a", "b"), BINARY)
def test_binary(xp, device, name, a, b):
    given = [xp.asarray(o, device=device) if isinstance(o, np.ndarray) else o for o in (a, b)]
    with np.errstate(divide="ignore"):
        wanted = getattr(np, name)(a, b)
    same(getattr(xp, name)(*given), wanted)


@pytest.mark.parametrize(("name", "x", "options"), CALLS)
def test_call(xp, device, name, x, options):
    given = {k: xp.asarray(v, device=device) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    positional = [given.pop(k) for k in ("shift", "repeats", "axes", "shape") if k in given]
    same(getattr(xp, name)(xp.asarray(x, device=device), *positional, **given), reference(name, x, options))


KEYS = [
    0, -1, (1, 2), slice(None, None, -1), (slice(None), 1), (..., None), (None, 0, ..., slice(0, 2)), (slice(2, 0, -1), ...),
    np.int64(1), [1, 0], (np.array([0, 1]), np.array([2, 0])),
    (slice(None), np.array([[2], [0]])), I > 0, (np.array([True, False]),),
    (), True, np.array(1), (slice(5, 9), 0),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_getitem_and_setitem(xp, device, key):
    def there(k):
        return xp.asarray(k, device=device) if isinstance(k, np.ndarray) else k

    ours = tuple(map(there, key)) if isinstance(key, tuple) else there(key)
    x = xp.asarray(I, device=device)
    same(x[ours], I[key])
    for value in (7, np.int32(-2)):
        host = I.copy()
        host[key] = value
        x = xp.asarray(I, device=device)
        x[ours] = value if isinstance(value, int) else xp.asarray(value, device=device)
        same(x, host)


def test_a_view_shares_memory(xp, device):
    x = xp.zeros((2, 3), device=device)
    x[:, ::2][...] = 1
    row = x[1]
    row += 2
    same(x, np.array([[1, 0, 1], [3, 2, 3]], np.float32))


@pytest.mark.parametrize(
    "op", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift"]
)
def test_operators(xp, device, op):
    one, two = (F, D[:, None][:2] + 3) if op == "truediv" else (I, np.array([[2], [1]], np.int32))
    a, b = xp.asarray(one, device=device), xp.asarray(two, device=device)
    forward, in_place = getattr(operator, f"__{op}__"), getattr(operator, f"__i{op}__")
    same(forward(a, b), forward(one, two))
    same(forward(5 if one is I else 5.0, b), forward(5, two))
    before = a
    if one is I:
        a = in_place(a, b)
        same(before, forward(one, two))
        assert a is before


def test_a_device_without_double_precision_says_so(xp, device, monkeypatch):
    from plugrad.dtypes import complex128, float64

    x = xp.zeros((2, 1, 7), dtype=xp.int64, device=device)
    monkeypatch.setattr(device.functions, "dtypes", device.functions.dtypes - {float64, complex128})
    for call in (
        lambda: x * 2.75,
        lambda: xp.astype(x, xp.float64),
        lambda: x + xp.ones((7, 7), device=device),
    ):
        with pytest.raises(RuntimeError, match="has no float64, for it lacks double precision: use float32"):
            call()


def test_in_place(xp, device):
    cases = [
        (F, 2),
        (F, 0.5),
        (F, F[0]),
        (F, F),
        (D, F[:1, :3].astype(np.float64)[0]),
        (C, 2),
        (C, 1j),
        (U, U),
        (D, D.astype("f4")),
    ]
    for name in ("add", "sub", "mul"):
        for a, b in cases:
            x = before = xp.asarray(a, device=device)
            y = xp.asarray(b, device=device) if isinstance(b, np.ndarray) else b
            x = getattr(operator, f"i{name}")(x, y)
            assert x is before
            same(x, getattr(operator, name)(a, b).astype(a.dtype))
    x = xp.asarray(F, device=device)
    view = x[:, ::-1]
    view -= x  # of what was there before
    same(x, F - F[:, ::-1])
    same(view, F[:, ::-1] - F)


def test_complex_numbers_build_no_kernels(xp, device):
    x = xp.asarray(C, device=device)
    same(x * 2j, C * 2j)
    same(1j - x, 1j - C)
    builds = device.builds
    same(x * 3.5j, C * 3.5j)
    same((0.5 + 1j) - x, (0.5 + 1j) - C)
    assert device.builds == builds
    same(xp.asarray(F, device=device) * 2j, F * 2j)


def test_products(xp, device):
    a, b = np.arange(6.0).reshape(2, 3), np.arange(24.0).reshape(2, 3, 4)
    x, y = xp.asarray(a, device=device), xp.asarray(b, device=device)
    same(x @ y, a @ b)
    same(x[0] @ y, a[0] @ b)
    same(x @ x[1], a @ a[1])
    same(x[0] @ x[1], a[0] @ a[1])
    same(xp.tensordot(x, y, axes=((1,), (1,))), np.tensordot(a, b, ((1,), (1,))))
    same(xp.tensordot(x, y, axes=2), np.tensordot(a, b.transpose(0, 1, 2), 2))
    same(xp.vecdot(x, x), np.vecdot(a, a))
    same(xp.asarray(I, device=device) @ xp.asarray(I.T, device=device), I @ I.T)
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 3\) do not fit: 3 columns, 2 rows"):
        x @ x


def test_creation(xp, device):
    at = {"device": device}
    same(xp.asarray([[1, 2], [3, 4]], dtype=xp.float32, **at), np.array([[1, 2], [3, 4]], np.float32))
    same(xp.asarray([1.5], **at), np.array([1.5], np.float32))
    same(xp.asarray([1, True], **at), np.array([1, 1]))
    same(xp.asarray(1j, **at), np.array(1j, np.complex64))
    same(xp.asarray([xp.asarray(2, **at), 3], **at), np.array([2, 3]))
    same(xp.arange(2, 9, 3, **at), np.arange(2, 9, 3))
    same(xp.linspace(0, 1, 5, **at), np.linspace(0, 1, 5, dtype=np.float32))
    same(xp.eye(2, 3, k=1, **at), np.eye(2, 3, 1, np.float32))
    same(xp.full((2, 2), 3, **at), np.full((2, 2), 3))
    same(xp.full(2, 1j, **at), np.full(2, 1j, np.complex64))
    same(xp.zeros_like(xp.asarray(I, **at)), np.zeros_like(I))
    same(xp.meshgrid(xp.asarray(D, **at), xp.arange(2, **at)), tuple(m for m in np.meshgrid(D, np.arange(2))))
    x = xp.asarray(D, **at)
    assert xp.asarray(x) is x
    assert xp.asarray(x, copy=True).buffer is not x.buffer
    same(xp.concat([x, xp.ones((1,), **at)]), np.concatenate([D, [1]]))
    same(xp.stack([x, x], axis=-1), np.stack([D, D], -1))
    same(xp.tile(x, (2, 2)), np.tile(D, (2, 2)))
    same(xp.moveaxis(xp.zeros((2, 3, 4), **at), 0, -1), np.zeros((3, 4, 2), np.float32))


def test_searching(xp, device):
    a = xp.asarray(np.array([1, 3, 3, 7]), device=device)
    v = xp.asarray(np.array([[3, 0], [8, 7]]), device=device)
    for side in ("left", "right"):
        same(xp.searchsorted(a, v, side=side), np.searchsorted(a.get(), v.get(), side))
    same(xp.isin(v, a), np.isin(v.get(), a.get()))
    same(xp.isin(v, 3, invert=True), np.isin(v.get(), 3, invert=True))
    same(xp.where(v > 2, v, 0), np.where(v.get() > 2, v.get(), 0))
    same(xp.take(v, xp.asarray([1, -1], device=device), axis=1), np.take(v.get(), [1, -1], 1))
    same(
        xp.take_along_axis(v, xp.asarray([[1, 0]], device=device), axis=1),
        np.take_along_axis(v.get(), np.array([[1, 0]]).repeat(2, 0), 1),
    )


Z = np.array([a + 1j * b for a in (0.5, -2.0, 1.0, 0.0, 1e-4) for b in (0.0, -0.7, 1e-4, 3.0)], np.complex128)
INVERSES = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan", "atanh": "arctanh",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [*INVERSES, "expm1", "log1p", "log", "sqrt", "sinh", "cosh", "tanh", "sin", "cos", "tan"]
)
def test_complex_functions(xp, device, name):
    with np.errstate(all="ignore"):
        wanted = getattr(np, INVERSES.get(name, name))(Z)
    found = getattr(xp, name)(xp.asarray(Z, device=device)).get()
    finite = np.isfinite(wanted)
    np.testing.assert_allclose(found[finite], wanted[finite], 1e-11, 1e-11)


def test_infinities_of_complex_functions(xp, device):
    z = xp.asarray([complex(np.inf, 0), complex(0, np.inf), complex(-np.inf, 1)], device=device)
    for name in ("sqrt", "acos", "asin", "asinh", "cosh"):
        with np.errstate(all="ignore"):
            wanted = getattr(np, INVERSES.get(name, name))(z.get())
        np.testing.assert_array_equal(getattr(xp, name)(z).get(), wanted, name)


def test_dtypes(xp):
    assert xp.isdtype(xp.float32, "real floating") and not xp.isdtype(xp.int8, ("bool", "complex floating"))
    assert xp.result_type(xp.int8, xp.uint8) == xp.int16 and xp.result_type(xp.float32, 1.0) == xp.float32
    assert xp.finfo(xp.complex64).bits == 32 and type(xp.finfo(xp.float32).eps) is float
    assert xp.iinfo(xp.int8).max == 127 and not xp.can_cast(xp.int16, xp.int8)
    info = xp.__array_namespace_info__()
    assert info.default_dtypes()["real floating"] == xp.float32
    assert set(info.dtypes(kind="unsigned integer")) == {"uint8", "uint16", "uint32", "uint64"}
    with pytest.raises(ValueError, match="'floating' is no kind of dtypes; there are bool, signed integer"):
        xp.isdtype(xp.float32, "floating")


def test_array_protocol(xp, device):
    x = xp.asarray(I, device=device)
    assert x.__array_namespace__() is xp and x.__array_namespace__(api_version="2023.12") is xp
    with pytest.raises(ValueError, match=r"version 2999.12 .* was asked for; this is 2025.12"):
        x.__array_namespace__(api_version="2999.12")
    same(x.T, I.T)
    same(x[None].mT, I[None].mT)
    assert x.device is device and x.to_device(device) is x
    assert x.__dlpack_device__() == (4, device.index)
    np.testing.assert_array_equal(np.from_dlpack(x, device="cpu"), I)
    same(xp.from_dlpack(I, device=device), I)
    with pytest.raises(BufferError, match=r'numpy.from_dlpack\(x, device="cpu"\), or call x.get\(\)'):
        np.from_dlpack(x)
    assert [r.get().tolist() for r in x] == I.tolist()
    assert int(x[0, 0]) == 3 and [10, 20, 30, 40][x[0, 0]] == 40
    assert repr(x[0]) == f"Array([ 3, -1,  2], dtype=int32, device='opencl:{device.index}')"
    same(x.astype(xp.float64), I.astype(float))
    assert x.astype(xp.int32, copy=False) is x


ERRORS = [
    (lambda xp, x: x["a"], IndexError, "arrays of integers or bools; found 'a'"),
    (lambda xp, x: x[1.5], IndexError, "found 1.5"),
    (lambda xp, x: x[5], IndexError, "index 5 is out of bounds for axis 0 with size 2"),
    (lambda xp, x: list(x[0, 0]), TypeError, "iteration over a 0-d array"),
    (lambda xp, x: x[0].T, ValueError, r"T is of 2 dimensions, found shape \(3,\)"),
    (lambda xp, x: x[0].mT, ValueError, r"mT is of 2 or more dimensions"),
    (lambda xp, x: operator.setitem(x, 0, 1j), TypeError, "complex numbers cannot be written into an array of int32"),
    (lambda xp, x: operator.iadd(x, x.astype(xp.float32)), TypeError, "of int32 cannot take results of float64"),
    (lambda xp, x: operator.iadd(x[0], x), ValueError, r"shape \(3,\) cannot take results of shape \(2, 3\)"),
    (lambda xp, x: xp.sin(x), TypeError, "sin: the dtype must be one of float, complex; found int32: call xp.astype first"),
    (lambda xp, x: xp.add(x, "a"), TypeError, "add: operands are arrays of OpenCL and Python numbers, found str"),
    (lambda xp, x: x + I, TypeError, "array of NumPy beside one of OpenCL: xp.asarray copies it to the device"),
    (lambda xp, x: I - x, TypeError, "array of NumPy beside one of OpenCL"),
    (lambda xp, x: xp.add(1, 2), TypeError, "an array of OpenCL is needed, found int, int"),
    (lambda xp, x: xp.sum(x, axis=2), IndexError, "axis 2 is out of bounds for an array of 2 dimensions"),
    (lambda xp, x: xp.sum(x, axis=(0, 0)), ValueError, "names an axis twice"),
    (lambda xp, x: xp.max(x[:0]), ValueError, r"max: of nothing, shape \(0, 3\)"),
    (lambda xp, x: xp.astype(xp.astype(x, xp.complex64), xp.float32), TypeError, "take xp.real or xp.abs first"),
    (lambda xp, x: xp.reshape(x, (4, -1)), ValueError, "cannot reshape an array of size 6"),
    (lambda xp, x: xp.reshape(x.T, (6,), copy=False), ValueError, "needs a copy"),
    (lambda xp, x: xp.squeeze(x, 0), ValueError, "has other sizes than 1"),
    (lambda xp, x: xp.cumulative_sum(x), ValueError, "cumulative_sum: axis must be given"),
    (lambda xp, x: xp.nonzero(x[0, 0]), ValueError, "0-d array has no indices"),
    (lambda xp, x: xp.asarray(["a"]), TypeError, "numbers are needed"),
    (lambda xp, x: xp.asarray(x, dtype=xp.int8, copy=False), ValueError, "cannot be had otherwise without a copy"),
    (lambda xp, x: xp.zeros(2, device=1.5), TypeError, "a device is one of"),
    (lambda xp, x: xp.from_dlpack(I, copy=False), BufferError, "must be copied"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[e[2][:30] for e in ERRORS])
def test_errors(xp, device, call, error, text):
    with pytest.raises(error, match=text):
        call(xp, xp.asarray(I, device=device))


def test_arrays_of_two_devices(xp):
    one, two = backend_of("pocl").device, backend_of("oclgrind").device
    a, b = xp.ones(2, device=one), xp.ones(2, device=two)
    with pytest.raises(TypeError, match=r"arrays of two devices: .* call x.to_device first"):
        xp.add(a, b)
    same(xp.add(a, b.to_device(one)), np.full(2, 2, np.float32))
