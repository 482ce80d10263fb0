"""dtypes: promotion between them, between ranks, conversions, limits, names."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import dtypes
from plugrad.dtypes import ALL, can_cast, dtype, promote_types

SHORT = {
    "b1": "bool", "u1": "uint8", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64", "f2": "float16",
    "f4": "float32", "f8": "float64", "c8": "complex64", "c16": "complex128",
}  # fmt: skip
DTYPES = {short: getattr(torch, name) for short, name in SHORT.items()}

PROMOTED = """
    b1 u1 i1 i2 i4 i8 f2 f4 f8 c8 c16
b1  b1 u1 i1 i2 i4 i8 f2 f4 f8 c8 c16
u1  u1 u1 i2 i2 i4 i8 f2 f4 f8 c8 c16
i1  i1 i2 i1 i2 i4 i8 f2 f4 f8 c8 c16
i2  i2 i2 i2 i2 i4 i8 f2 f4 f8 c8 c16
i4  i4 i4 i4 i4 i4 i8 f2 f4 f8 c8 c16
i8  i8 i8 i8 i8 i8 i8 f2 f4 f8 c8 c16
f2  f2 f2 f2 f2 f2 f2 f2 f4 f8 c8 c16
f4  f4 f4 f4 f4 f4 f4 f4 f4 f8 c8 c16
f8  f8 f8 f8 f8 f8 f8 f8 f8 f8 c16 c16
c8  c8 c8 c8 c8 c8 c8 c8 c8 c16 c8 c16
c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16
"""


def table(text: str) -> dict[tuple[str, str], str]:
    """{(row, column): entry} of a table with a line of column names."""
    columns, *rows = [line.split() for line in text.strip().splitlines()]
    return {(row[0], column): entry for row in rows for column, entry in zip(columns, row[1:], strict=True)}


def of(a: str, shape: tuple[int, ...] = (2,)) -> Any:
    return torch.ones(shape, dtype=DTYPES[a])


@pytest.mark.parametrize(("pair", "expected"), table(PROMOTED).items())
def test_promotion(pair: tuple[str, str], expected: str) -> None:
    a, b = pair
    assert promote_types(DTYPES[a], DTYPES[b]) is DTYPES[expected]
    assert (of(a) + of(b)).dtype is DTYPES[expected]
    assert torch.result_type(of(a), of(b)) is DTYPES[expected]
    assert (of(a, ()) * of(b, ())).dtype is DTYPES[expected]  # 0-d with 0-d: equals


# A tensor with dimensions and a 0-d tensor: only the category of the latter counts.
RANKED = """
    i1 i8 f4 f8 b1 c8 f2
i1  i1 i1 f4 f8 i1 c8 f2
i8  i8 i8 f4 f8 i8 c8 f2
f4  f4 f4 f4 f4 f4 c8 f4
f8  f8 f8 f8 f8 f8 c16 f8
b1  i1 i8 f4 f8 b1 c8 f2
c8  c8 c8 c8 c8 c8 c8 c8
f2  f2 f2 f2 f2 f2 c8 f2
"""

# A tensor, of whichever rank, and a Python number.
NUMBERS = """
    True 2 2.0 1j
i1  i1 i1 f4 c8
i8  i8 i8 f4 c8
u1  u1 u1 f4 c8
f4  f4 f4 f4 c8
f8  f8 f8 f8 c16
b1  b1 i8 f4 c8
c8  c8 c8 c8 c8
f2  f2 f2 f2 c8
"""


@pytest.mark.parametrize(("pair", "expected"), table(RANKED).items())
def test_a_tensor_outranks_a_0d_tensor(pair: tuple[str, str], expected: str) -> None:
    a, b = pair
    assert (of(a) + of(b, ())).dtype is (of(b, ()) + of(a)).dtype is DTYPES[expected]
    assert torch.result_type(of(a), of(b, ())) is DTYPES[expected]


@pytest.mark.parametrize(("pair", "expected"), table(NUMBERS).items())
def test_a_tensor_outranks_a_number(pair: tuple[str, str], expected: str) -> None:
    a, number = pair[0], eval(pair[1])
    for shape in ((2,), ()):
        assert (of(a, shape) * number).dtype is (number * of(a, shape)).dtype is DTYPES[expected]
    assert torch.result_type(of(a), number) is DTYPES[expected]


def test_pytorch_promotes_the_same() -> None:
    T = pytest.importorskip("torch")
    theirs = {short: getattr(T, name) for short, name in SHORT.items()}
    back = {theirs[short]: short for short in theirs}
    for (a, b), expected in table(PROMOTED).items():
        assert back[T.promote_types(theirs[a], theirs[b])] == expected
        assert T.can_cast(theirs[a], theirs[b]) == torch.can_cast(DTYPES[a], DTYPES[b]), (a, b)
    for (a, b), expected in table(RANKED).items():
        if (a, b) != ("f2", "c8"):  # complex32 there
            assert back[T.result_type(T.ones(2, dtype=theirs[a]), T.ones((), dtype=theirs[b]))] == expected
    for (a, number), expected in table(NUMBERS).items():
        if (a, number) != ("f2", "1j"):
            assert back[T.result_type(T.ones(2, dtype=theirs[a]), eval(number))] == expected


def test_wide_unsigned_integers() -> None:
    assert promote_types(torch.uint16, torch.float32) is torch.float32
    assert promote_types(torch.uint16, torch.uint64) is torch.uint64
    with pytest.raises(
        RuntimeError, match=r"holds the values of both torch.(uint32|int64) and .*: convert one with .to"
    ):
        promote_types(torch.uint32, torch.int64)


def test_bfloat16_promotes_though_no_array_has_it() -> None:
    assert promote_types(torch.bfloat16, torch.int64) is torch.bfloat16
    assert promote_types(torch.bfloat16, torch.float16) is torch.float32


# --- the default dtype ----------------------------------------------------------------------------------------


def test_default_dtype() -> None:
    assert torch.get_default_dtype() is torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        assert (torch.arange(3) / 2).dtype is (torch.arange(3) * 0.5).dtype is torch.float64
        assert (torch.arange(3) * 1j).dtype is torch.complex128
        assert repr(torch.tensor(0.5)) == "tensor(0.5000)"
        assert repr(torch.tensor(0.5, dtype=torch.float32)) == "tensor(0.5000, dtype=torch.float32)"
    finally:
        torch.set_default_dtype(torch.float32)
    for bad in (torch.int32, torch.complex64, 5):
        with pytest.raises(TypeError, match="which is not a floating-point dtype"):
            torch.set_default_dtype(bad)
    assert torch.get_default_dtype() is torch.float32


# --- conversions ----------------------------------------------------------------------------------------------

METHODS = {
    "float": "float32", "double": "float64", "half": "float16", "int": "int32", "long": "int64", "short": "int16",
    "char": "int8", "byte": "uint8", "bool": "bool", "cfloat": "complex64", "cdouble": "complex128",
}  # fmt: skip
TYPE_NAMES = {
    "float32": "Float", "float64": "Double", "float16": "Half", "uint8": "Byte", "int8": "Char", "int16": "Short",
    "int32": "Int", "int64": "Long", "bool": "Bool", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
}  # fmt: skip


@pytest.mark.parametrize(("method", "name"), METHODS.items())
def test_conversions(method: str, name: str) -> None:
    x, dt = torch.tensor([0.0, 1.5]), getattr(torch, name)
    y = getattr(x, method)()
    expected = {"bool": [False, True], "int": [0, 1], "flo": [0.0, 1.5], "com": [0j, 1.5 + 0j], "uin": [0, 1]}
    assert y.dtype is dt and y.tolist() == expected.get(name[:3], expected["bool"])
    assert getattr(y, method)() is y
    for same in (x.to(dt), x.to(dtype=dt), x.to("cpu", dt), x.to(y), x.type(dt), x.type_as(y)):
        assert same.dtype is dt and same.tolist() == y.tolist()
    assert y.type() == f"torch.{TYPE_NAMES[name]}Tensor" and x.type(y.type()).dtype is dt


def test_to() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    assert x.to() is x.to(torch.float32) is x.to(x) is x.to("cpu") is x.to(device="cpu") is x.cpu() is x
    assert x.to(torch.float32, copy=True) is not x and x.to("cpu", copy=True).tolist() == [1.0, 2.0]
    assert x.to(float).dtype is torch.float64 and x.to(int).dtype is torch.int64
    assert x.double().grad_fn.name() == "ToCopyBackward0" and x.to(x.double()).dtype is torch.float64
    assert not x.to(torch.int64).requires_grad  # integers have no gradient
    (x.double() * 3).sum().backward()
    assert x.grad.dtype is torch.float32 and x.grad.tolist() == [3.0, 3.0]
    with pytest.raises(TypeError, match=r"to\(\) received 3.5: expected a dtype, a device or a Tensor"):
        x.to(3.5)
    with pytest.raises(TypeError, match=r"to\(\) got an unexpected keyword argument 'dtyp'"):
        x.to(dtyp=torch.float64)
    with pytest.raises(ValueError, match="invalid type: 'nonsense'"):
        x.type("nonsense")
    with pytest.raises(TypeError, match="argument 'other' must be Tensor, not int"):
        x.type_as(3)


def test_can_cast_guards_what_in_place_ops_store() -> None:
    order = ["b1", "u1", "i1", "i8", "f2", "f4", "f8", "c8"]
    category = dict(zip(order, [0, 1, 1, 1, 2, 2, 2, 3], strict=True))
    for a, b in itertools.product(order, order):
        allowed = category[a] <= category[b]
        assert can_cast(DTYPES[a], DTYPES[b]) == allowed
        target, source = of(b), of(a)
        if allowed:
            assert (target.add_(source)).dtype is DTYPES[b]
        else:
            with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
                target.add_(source)


# --- names, identity, limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dt", ALL, ids=repr)
def test_a_dtype_is_one_object(dt: dtype) -> None:
    assert repr(dt) == str(dt) == f"torch.{dt.name}"
    assert pickle.loads(pickle.dumps(dt)) is copy.copy(dt) is copy.deepcopy([dt])[0] is dt
    assert getattr(torch, dt.name) is dt and isinstance(dt, torch.dtype) and {dt: 1}[dt] == 1
    if dt.numpy is not None:
        assert dtypes.of(np.dtype(dt.name)) is dt and dt.itemsize == dt.numpy.itemsize


def test_aliases_and_attributes() -> None:
    assert torch.float is torch.float32 and torch.double is torch.float64 and torch.half is torch.float16
    assert torch.int is torch.int32 and torch.long is torch.int64 and torch.short is torch.int16
    assert torch.cfloat is torch.complex64 and torch.cdouble is torch.complex128
    assert [d.is_signed for d in (torch.bool, torch.uint8, torch.int8, torch.float32)] == [
        False,
        False,
        True,
        True,
    ]
    assert [d.is_floating_point for d in (torch.int64, torch.float16, torch.complex64)] == [
        False,
        True,
        False,
    ]
    assert [d.is_complex for d in (torch.float32, torch.complex64)] == [False, True]
    assert torch.float64.to_complex() is torch.complex128 and torch.complex64.to_real() is torch.float32


@pytest.mark.parametrize(
    ("name", "eps", "largest", "tiny", "bits"),
    [("float16", 2.0**-10, 65504.0, 2.0**-14, 16), ("bfloat16", 2.0**-7, 3.3895313892515355e38, 2.0**-126, 16),
     ("float32", 2.0**-23, 3.4028234663852886e38, 2.0**-126, 32), ("float64", 2.0**-52, 1.7976931348623157e308, 2.0**-1022, 64),
     ("complex64", 2.0**-23, 3.4028234663852886e38, 2.0**-126, 32)],
)  # fmt: skip
def test_finfo(name: str, eps: float, largest: float, tiny: float, bits: int) -> None:
    f = torch.finfo(getattr(torch, name))
    assert (f.eps, f.max, f.min, f.tiny, f.smallest_normal, f.bits) == (
        eps,
        largest,
        -largest,
        tiny,
        tiny,
        bits,
    )


def test_limits_print_and_refuse() -> None:
    assert repr(torch.finfo()) == (
        "finfo(resolution=1e-06, min=-3.40282e+38, max=3.40282e+38, eps=1.19209e-07, smallest_normal=1.17549e-38, "
        "tiny=1.17549e-38, dtype=float32)"
    )
    assert repr(torch.iinfo(torch.int8)) == "iinfo(min=-128, max=127, dtype=int8)"
    assert (torch.iinfo(torch.int64).min, torch.iinfo(torch.uint8).max, torch.iinfo(torch.int16).bits) == (
        -(2**63),
        255,
        16,
    )
    with pytest.raises(
        TypeError,
        match=r"torch.finfo\(\) requires a floating point input type, found torch.int32: use torch.iinfo",
    ):
        torch.finfo(torch.int32)
    for bad in (torch.float32, torch.bool):
        with pytest.raises(TypeError, match=r"torch.iinfo\(\) requires an integer input type"):
            torch.iinfo(bad)


def test_pytorch_has_the_same_limits() -> None:
    T = pytest.importorskip("torch")
    for name in ("float16", "bfloat16", "float32", "float64", "complex128"):
        assert repr(T.finfo(getattr(T, name))) == repr(torch.finfo(getattr(torch, name)))
    for name in ("uint8", "int8", "int16", "int32", "int64"):
        assert repr(T.iinfo(getattr(T, name))) == repr(torch.iinfo(getattr(torch, name)))


def test_a_dtype_of_another_library_with_the_hash_of_numpys_is_not_compared_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("BY_RAW", "REAL", "INTEGERS", "NOT_COMPLEX", "COMPLEX"):
        monkeypatch.setattr(dtypes, name, getattr(dtypes, name).copy())
    compared = []

    class Touchy:
        def __init__(self, like: dtype) -> None:
            self.like = like

        def __hash__(self) -> int:
            return hash(self.like.numpy)

        def __eq__(self, other: object) -> bool:
            compared.append(self.like)
            return False

    known = [d for d in ALL if d.numpy is not None]
    for d in known:
        dtypes.register(Touchy(d), d)
    compared.clear()
    for d in known:
        assert dtypes.of(d.numpy) is d
        assert (d.numpy in dtypes.REAL) == d.is_floating_point
        assert (d.numpy in dtypes.COMPLEX) == d.is_complex
        assert (d.numpy in dtypes.NOT_COMPLEX) != d.is_complex
    assert compared == []
