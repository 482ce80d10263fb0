"""New tensors: inference of dtypes, sharing and copying, filled tensors, sequences, devices, errors."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.errors import DeviceError


def described(t: Any) -> tuple[Any, str, tuple[int, ...]]:
    return t.tolist(), str(t.dtype).removeprefix("torch."), tuple(t.shape)


# --- from data: (expression, values, dtype, shape); `T` stands for the library --------------------------------

DATA: list[tuple[str, Any, str, tuple[int, ...]]] = [
    ("5", 5, "int64", ()),
    ("2.5", 2.5, "float32", ()),
    ("True", True, "bool", ()),
    ("1 + 2j", 1 + 2j, "complex64", ()),
    ("2**40", 2**40, "int64", ()),
    ("-2**63", -(2**63), "int64", ()),
    ("[1, 2.5]", [1.0, 2.5], "float32", (2,)),
    ("[True, 2]", [1, 2], "int64", (2,)),
    ("[True, False]", [True, False], "bool", (2,)),
    ("[True, 2.5]", [1.0, 2.5], "float32", (2,)),
    ("[1, 2j]", [1 + 0j, 2j], "complex64", (2,)),
    ("(1, 2)", [1, 2], "int64", (2,)),
    ("range(3)", [0, 1, 2], "int64", (3,)),
    ("bytearray(b'ab')", [97, 98], "int64", (2,)),
    ("[[1, 2], (3, 4)]", [[1, 2], [3, 4]], "int64", (2, 2)),
    ("[]", [], "float32", (0,)),
    ("[[], []]", [[], []], "float32", (2, 0)),
    ("[[[]]]", [[[]]], "float32", (1, 1, 0)),
    ("np.float64(2)", 2.0, "float64", ()),
    ("np.int32(2)", 2, "int32", ()),
    ("np.bool_(True)", True, "bool", ()),
    ("np.complex64(2j)", 2j, "complex64", ()),
    ("[np.float64(2), np.float64(3)]", [2.0, 3.0], "float64", (2,)),
    ("[np.float32(2)]", [2.0], "float32", (1,)),
    ("[np.int32(1), np.int32(2)]", [1, 2], "int32", (2,)),
    ("[np.int32(1), 2.5]", [1.0, 2.5], "float32", (2,)),
    ("[2.5, np.int32(1)]", [2.5, 1.0], "float32", (2,)),
    ("[np.float64(1), np.float32(1)]", [1.0, 1.0], "float64", (2,)),
    ("np.array(2.5)", 2.5, "float64", ()),
    ("np.array([1], np.uint16)", [1], "uint16", (1,)),
    ("np.zeros((0, 3))", [], "float64", (0, 3)),
    ("[np.ones(2), np.zeros(2)]", [[1.0, 1.0], [0.0, 0.0]], "float64", (2, 2)),
    ("[np.ones(2, np.float32)]", [[1.0, 1.0]], "float32", (1, 2)),
    ("[np.ones(2, np.float32), np.zeros(2)]", [[1.0, 1.0], [0.0, 0.0]], "float64", (2, 2)),
    ("[np.ones(2, np.int16)]", [[1, 1]], "int16", (1, 2)),
    ("T.ones(2, dtype=T.float64)", [1.0, 1.0], "float64", (2,)),
    ("[T.tensor(1.0), T.tensor(2.0)]", [1.0, 2.0], "float32", (2,)),
    ("[T.tensor(1.0, dtype=T.float64)]", [1.0], "float64", (1,)),
    ("[T.tensor(1), 2.5]", [1.0, 2.5], "float32", (2,)),
    ("[T.tensor(1, dtype=T.int32)]", [1], "int32", (1,)),
    ("[[T.tensor(1.0), 2], [3, 4]]", [[1.0, 2.0], [3.0, 4.0]], "float32", (2, 2)),
    ("[T.ones(1), T.ones(1)]", [1.0, 1.0], "float32", (2,)),
]


@pytest.mark.parametrize(("data", "values", "dtype", "shape"), DATA, ids=[d[0] for d in DATA])
@pytest.mark.parametrize("make", ["tensor", "as_tensor"])
def test_dtype_and_shape_of_data(
    make: str, data: str, values: Any, dtype: str, shape: tuple[int, ...]
) -> None:
    found = getattr(torch, make)(eval(data, {"T": torch, "np": np}))
    assert described(found) == (values, dtype, shape)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pytorch_infers_the_same() -> None:
    T = pytest.importorskip("torch")
    for data, *expected in DATA:
        assert list(described(T.tensor(eval(data, {"T": T, "np": np})))) == expected, data


CONVERTED: list[tuple[Any, Any, Any]] = [
    ([1.7, -1.7], torch.int32, [1, -1]),
    ([-1], torch.uint8, [255]),
    ([0.5, 0], torch.bool, [True, False]),
    ([1e6], torch.float16, [float("inf")]),
    ([2**63], torch.float32, [2.0**63]),
    (2**70, torch.float64, 2.0**70),
    (2**63, torch.uint64, 2**63),
    (np.array([300]), torch.uint8, [44]),
    ([0.1], torch.float64, [0.1]),  # not rounded to float32 on the way
    ([1], float, [1.0]),
    ([1.5], int, [1]),
    ([1], complex, [1 + 0j]),
    (np.array([1.0], ">f8"), None, [1.0]),  # foreign byte order is copied into the native one
]


@pytest.mark.parametrize(("data", "dtype", "expected"), CONVERTED, ids=repr)
def test_data_in_a_given_dtype(data: Any, dtype: Any, expected: Any) -> None:
    assert torch.tensor(data, dtype=dtype).tolist() == expected


BAD_DATA: list[tuple[Any, type[Exception], str]] = [
    ([[1, 2], [3]], ValueError, r"expected sequence of length 2 at dim 1 \(got 1\)"),
    ([[1], []], ValueError, r"expected sequence of length 1 at dim 1 \(got 0\)"),
    ([[1, 2], 3], TypeError, "expected a sequence at dim 1, found int"),
    ([1, [2]], TypeError, "expected a sequence at dim 1, found int"),
    ([torch.ones(2), torch.ones(2)], ValueError, r"only one element tensors .*use torch.stack"),
    (None, RuntimeError, "Could not infer dtype of NoneType"),
    ([None], RuntimeError, "Could not infer dtype of NoneType"),
    ({}, RuntimeError, "Could not infer dtype of dict"),
    ((i for i in range(3)), RuntimeError, "Could not infer dtype of generator"),
    ("abc", TypeError, "invalid data type 'str'"),
    (["a"], TypeError, "invalid data type 'str'"),
    (2**63, ValueError, "Overflow when unpacking long long"),
    ([2**64], ValueError, "Overflow when unpacking long long"),
    (np.array(["a"]), TypeError, "dtype <U1 cannot be a tensor"),
    (np.array([None]), TypeError, "dtype object cannot be a tensor"),
]


@pytest.mark.parametrize(("data", "error", "text"), BAD_DATA, ids=lambda v: repr(v)[:30])
def test_data_that_is_no_tensor(data: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        torch.tensor(data)


def test_a_list_that_contains_itself() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="too many dimensions"):
        torch.tensor(endless)


@pytest.mark.parametrize(
    ("data", "dtype", "error"),
    [([300], "uint8", RuntimeError), ([-1.5], "uint8", RuntimeError), (200, "int8", RuntimeError),
     ([2**40], "int32", RuntimeError), ([float("nan")], "int64", RuntimeError), ([-(2**63), 2**63], "uint64", RuntimeError),
     ([1j], "float32", TypeError)],
)  # fmt: skip
def test_numbers_that_do_not_fit(data: Any, dtype: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"without overflow|cannot become torch.float32: take their .real"):
        torch.tensor(data, dtype=getattr(torch, dtype))


def test_default_dtype_decides_over_python_floats() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.tensor(1.5).dtype is torch.float64
        assert torch.tensor(1j).dtype is torch.complex128
        assert torch.tensor([]).dtype is torch.zeros(1).dtype is torch.arange(1.0).dtype is torch.float64
        assert torch.tensor(np.float32(1)).dtype is torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


# --- sharing and copying --------------------------------------------------------------------------------------


def test_who_copies_and_who_shares() -> None:
    a = np.arange(3.0)
    t = torch.tensor(a)
    shared = [torch.as_tensor(a), torch.from_numpy(a), torch.asarray(a), torch.asarray(a, copy=False)]
    copies = [
        t,
        torch.as_tensor(a, dtype=torch.float32),
        torch.asarray(a, copy=True),
        torch.tensor(torch.from_numpy(a)),
    ]
    a[0] = 9
    assert [s[0].item() for s in shared] == [9.0] * 4
    assert [c[0].item() for c in copies] == [0.0] * 4
    assert torch.as_tensor(t) is t
    with pytest.raises(ValueError, match="cannot be shared as asked, only copied"):
        torch.asarray([1.0], copy=False)


def test_from_numpy() -> None:
    a = np.arange(6.0).reshape(2, 3)
    back = torch.from_numpy(a[::-1, ::2])
    assert back.tolist() == [[3.0, 5.0], [0.0, 2.0]]
    back[0, 0] = 7
    assert a[1, 0] == 7
    with pytest.raises(TypeError, match=r"expected np.ndarray \(got list\)"):
        torch.from_numpy([1])
    with pytest.raises(ValueError, match="byte order"):
        torch.from_numpy(np.ones(2, ">f4"))
    with pytest.raises(TypeError, match="dtype <U1"):
        torch.from_numpy(np.array(["a"]))
    a.flags.writeable = False
    with pytest.raises(RuntimeError, match=r"memory of the tensor is read-only: write to a .clone\(\)"):
        torch.from_numpy(a).zero_()


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_subclasses_of_ndarray_become_plain() -> None:
    t = torch.from_numpy(np.matrix([[1.0, 2.0]]))
    assert type(t.numpy()) is np.ndarray and (t * t).tolist() == [[1.0, 4.0]]


def test_tensors_and_graphs() -> None:
    x = torch.ones(2, requires_grad=True)
    assert torch.as_tensor(x) is x
    assert not torch.tensor(x).requires_grad and not torch.asarray(x).requires_grad
    leaf = torch.tensor([1.0], requires_grad=True)
    assert (
        leaf.is_leaf
        and leaf.requires_grad
        and torch.zeros(2, dtype=torch.complex64, requires_grad=True).requires_grad
    )
    with pytest.raises(
        RuntimeError, match=r"floating point and complex dtype can require gradients, found torch.int64"
    ):
        torch.tensor([1], requires_grad=True)


# --- PyTorch's old constructor --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "shape", "dtype", "values"),
    [(([1, 2],), (2,), "float32", [1.0, 2.0]), ((2, 3), (2, 3), "float32", None), (((2, 3),), (2,), "float32", [2.0, 3.0]),
     ((torch.Size([2, 3]),), (2, 3), "float32", None), ((), (0,), "float32", []), ((np.ones(2),), (2,), "float32", [1.0, 1.0]),
     ((range(3),), (3,), "float32", [0.0, 1.0, 2.0]), ((torch.ones(2, dtype=torch.int64),), (2,), "int64", [1, 1]),
     ((np.int64(3),), (3,), "float32", None), (([],), (0,), "float32", [])],
)  # fmt: skip
def test_the_class_as_constructor(arguments: Any, shape: Any, dtype: str, values: Any) -> None:
    t = torch.Tensor(*arguments)
    assert (tuple(t.shape), t.dtype, t.requires_grad) == (shape, getattr(torch, dtype), False)
    assert values is None or t.tolist() == values


@pytest.mark.parametrize("data", [2.5, True])
def test_the_class_takes_no_number(data: Any) -> None:
    with pytest.raises(TypeError, match=r"data must be a sequence \(got (float|bool)\): use torch.tensor"):
        torch.Tensor(data)


# --- filled ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [("zeros", 0), ("ones", 1), ("empty", None)])
def test_filled(name: str, value: Any) -> None:
    make = getattr(torch, name)
    for arguments in ((2, 3), ((2, 3),), ([2, 3],), (torch.Size((2, 3)),), (torch.tensor(2), np.int64(3))):
        t = make(*arguments, dtype=torch.int32)
        assert tuple(t.shape) == (2, 3) and t.dtype is torch.int32
        assert value is None or (t == value).all()
    assert make(size=(2,)).shape == (2,) and make(()).shape == () and make(0).shape == (0,)
    assert make(2, dtype=float).dtype is torch.float64 and make(2, requires_grad=True).is_leaf
    with pytest.raises(RuntimeError, match=r"negative dimension -1: \[2, -1\]"):
        make(2, -1)
    for bad in (2.0, "a", None, True):
        with pytest.raises(TypeError, match="argument 'size' must be tuple of ints"):
            make(bad)
    with pytest.raises(TypeError, match='missing 1 required positional arguments: "size"'):
        make()
    with pytest.raises(TypeError, match=r"argument 'dtype' must be torch.dtype, not str: found 'float32'"):
        make(2, dtype="float32")


@pytest.mark.parametrize(
    ("value", "dtype", "expected", "found"),
    [(3, None, 3, "int64"), (3.0, None, 3.0, "float32"), (True, None, True, "bool"), (1j, None, 1j, "complex64"),
     (np.float64(3), None, 3.0, "float32"), (np.float32(3), None, 3.0, "float32"), (np.int32(3), None, 3, "int64"),
     (torch.tensor(3.5, dtype=torch.float64), None, 3.5, "float32"), (3, "float32", 3.0, "float32"),
     (-1, "uint8", 255, "uint8"), (3.7, "int32", 3, "int32"), (1 + 0j, "float32", 1.0, "float32"),
     (2**63, "float32", 2.0**63, "float32"), (float("nan"), "bool", True, "bool"), (2, "bool", True, "bool")],
)  # fmt: skip
def test_full(value: Any, dtype: str | None, expected: Any, found: str) -> None:
    t = torch.full((2,), value, dtype=dtype and getattr(torch, dtype))
    assert described(t) == ([expected, expected], found, (2,))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (300, "uint8"),
        (-1.5, "uint8"),
        (2**63, "int64"),
        (1e300, "float32"),
        (70000, "float16"),
        (1j, "float32"),
    ],
)
def test_full_of_what_does_not_fit(value: Any, dtype: str) -> None:
    for call in (lambda d: torch.full((2,), value, dtype=d), lambda d: torch.zeros(2, dtype=d).fill_(value)):
        with pytest.raises(RuntimeError, match=f"cannot be converted to type {dtype} without overflow"):
            call(getattr(torch, dtype))


def test_full_refuses() -> None:
    for size, value, text in ((2, 3, "'size' must be tuple of ints"), ((2,), "a", "must be Number, not str"),
                              ((2,), torch.ones(2), "must be Number, not Tensor")):  # fmt: skip
        with pytest.raises(TypeError, match=text):
            torch.full(size, value)


def test_like_and_new() -> None:
    x = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    for name in ("zeros", "ones", "empty", "rand", "randn"):
        t = getattr(torch, f"{name}_like")(x)
        assert (t.shape, t.dtype, t.requires_grad) == (x.shape, torch.float64, False)
        t = getattr(torch, f"{name}_like")(x, dtype=torch.float32, requires_grad=True)
        assert t.dtype is torch.float32 and t.requires_grad
    assert torch.full_like(x, 3).tolist() == [[3.0] * 3] * 2
    assert described(torch.full_like(torch.ones(2, dtype=torch.int64), 3.5)) == ([3, 3], "int64", (2,))
    for name in ("zeros", "ones", "empty"):
        new = getattr(x, f"new_{name}")
        assert new(3).dtype is torch.float64 and new((2, 1)).shape == new(2, 1).shape == new(
            size=(2, 1)
        ).shape == (2, 1)
        assert new(3, dtype=torch.int8, requires_grad=False).dtype is torch.int8
    assert described(x.new_full((2,), 3)) == ([3.0, 3.0], "float64", (2,))
    assert described(torch.ones(1, dtype=torch.int64).new_tensor([1.5, 2])) == ([1, 2], "int64", (2,))
    for bad in ([1, 2], np.ones(2)):
        with pytest.raises(TypeError, match="argument 'input' must be Tensor"):
            torch.zeros_like(bad)


def test_eye() -> None:
    assert torch.eye(2).tolist() == [[1.0, 0.0], [0.0, 1.0]] and torch.eye(0).shape == (0, 0)
    assert described(torch.eye(1, 2, dtype=torch.bool)) == ([[True, False]], "bool", (1, 2))
    for arguments, text in (
        ((-1,), "n must be greater or equal to 0, got -1"),
        ((2, -3), "m must be .* got -3"),
    ):
        with pytest.raises(RuntimeError, match=text):
            torch.eye(*arguments)


# --- devices --------------------------------------------------------------------------------------------------

MISSING = [
    ("cuda", "device 'cuda' needs 'cupy', which is not installed: pip install \"plugrad[cuda]\""),
    ("opencl", "device 'opencl' needs 'pyopencl', which is not installed: pip install \"plugrad[opencl]\""),
    ("banana", "device 'banana' is unknown"),
    ("cpu:1", "device 'cpu:1' is not there"),
]


@pytest.mark.parametrize(("place", "text"), MISSING)
def test_devices_that_are_not_there(place: str, text: str) -> None:
    if importlib.util.find_spec({"cuda": "cupy", "opencl": "pyopencl"}.get(place, "missing")):
        pytest.skip("its library is installed")
    for call in (
        lambda: torch.zeros(2, device=place),
        lambda: torch.tensor([1.0], device=place),
        lambda: torch.ones(2).to(place),
    ):
        with pytest.raises(DeviceError) as caught:
            call()
        assert str(caught.value).startswith(text)
    assert str(torch.device(place)) == place  # it only names a place


def test_devices_as_names() -> None:
    assert torch.device("cuda:1") == torch.device("cuda", 1) != torch.device("cuda")
    assert (torch.device("cuda:1").type, torch.device("cuda:1").index, torch.device("cpu").index) == (
        "cuda",
        1,
        None,
    )
    assert repr(torch.device("cuda", 0)) == "device(type='cuda', index=0)"
    assert torch.zeros(1, device=torch.device("cpu")).device == torch.device("cpu")
    for bad in ("cuda:a", "cuda:", ":0", "", "cpu:-1", "cuda:01"):
        with pytest.raises(RuntimeError, match="Invalid device string"):
            torch.device(bad)
    with pytest.raises(TypeError, match="named by a string"):
        torch.device(2.5)


def test_a_dtype_that_the_device_lacks() -> None:
    for call in (lambda: torch.zeros(2, dtype=torch.bfloat16), lambda: torch.tensor([1.0], dtype=torch.bfloat16),
                 lambda: torch.ones(2).to(torch.bfloat16), lambda: torch.ones(2).bfloat16()):  # fmt: skip
        with pytest.raises(DeviceError, match="device 'cpu' has no bfloat16"):
            call()
