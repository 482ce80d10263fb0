"""A tensor among Python's own things: numbers, sequences, formatting, copies, pickles; and its text in context."""

from __future__ import annotations

import copy
import io
import math
import pickle
from typing import Any

import pytest

import plugrad as torch

# --- as a number ----------------------------------------------------------------------------------------------

NUMBERS: list[tuple[str, Any]] = [
    ("float(T.tensor(2.5))", 2.5), ("float(T.tensor([3]))", 3.0), ("int(T.tensor(2.9))", 2), ("int(T.tensor(True))", 1),
    ("complex(T.tensor([1j]))", 1j), ("bool(T.tensor(0.0))", False), ("bool(T.tensor([[3]]))", True),
    ("list(range(T.tensor(3)))", [0, 1, 2]), ("[5, 6, 7][T.tensor(1)]", 6), ("[5, 6, 7][T.tensor([2])]", 7),
    ("chr(T.tensor(65))", "A"), ("T.tensor(7).__index__()", 7), ("[5, 6][T.tensor(True)]", 6), ("'%.2f' % T.tensor(1.5)", "1.50"),
    ("T.tensor([[5]]).item()", 5), ("T.tensor(2.5).item()", 2.5), ("T.tensor(1j).item()", 1j), ("T.tensor(True).item()", True),
    ("math.sqrt(T.tensor(4.0))", 2.0), ("math.floor(T.tensor(1.5))", 1), ("round(float(T.tensor(1.5)))", 2),
    ("T.tensor([[1, 2], [3, 4]]).tolist()", [[1, 2], [3, 4]]), ("T.tensor(3).tolist()", 3), ("T.zeros(0, 2).tolist()", []),
    ("max(T.tensor([1.0, 3.0, 2.0])).item()", 3.0), ("sum(T.tensor([1, 2, 3])).item()", 6),
    ("[t.item() for t in sorted(T.tensor([3, 1, 2]))]", [1, 2, 3]), ("any(T.tensor([0, 1]))", True),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), NUMBERS, ids=[e for e, _ in NUMBERS])
def test_numbers(expression: str, expected: Any) -> None:
    found = eval(expression, {"T": torch, "math": math})
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("expression", "error", "text"),
    [
        (
            "float(T.ones(2))",
            ValueError,
            r"only one element tensors can be converted to Python scalars, found shape \[2\]",
        ),
        ("int(T.ones(0))", ValueError, "only one element tensors"),
        ("bool(T.ones(2))", RuntimeError, "Boolean value of Tensor with more than one value is ambiguous"),
        ("bool(T.ones(0))", RuntimeError, "Boolean value of Tensor with no values is ambiguous"),
        ("not T.ones(2)", RuntimeError, "ambiguous"),
        (
            "T.ones(2).item()",
            RuntimeError,
            "a Tensor with 2 elements cannot be converted to Scalar: use .tolist",
        ),
        (
            "[1, 2][T.tensor(1.0)]",
            TypeError,
            "only integer tensors of a single element can be converted to an index",
        ),
        ("[1, 2][T.tensor([0, 1])]", TypeError, "only integer tensors of a single element"),
        ("len(T.tensor(1))", TypeError, r"len\(\) of a 0-d tensor"),
        ("iter(T.tensor(1))", TypeError, "iteration over a 0-d tensor"),
        (
            "'a' in T.ones(2)",
            RuntimeError,
            "Tensor.__contains__ only supports Tensor or scalar, but you passed in a str",
        ),
        ("T.ones(2) + 'a'", TypeError, "str"),
        ("T.ones(2) + None", TypeError, "NoneType"),
        ("f'{T.ones(2):.2f}'", TypeError, "unsupported format string passed to Tensor.__format__"),
    ],
)
def test_refused(expression: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        eval(expression, {"T": torch})


# --- as a sequence --------------------------------------------------------------------------------------------


def test_iteration() -> None:
    m = torch.arange(6.0, requires_grad=True)
    rows = m.view(2, 3)
    assert len(rows) == 2 and [r.tolist() for r in rows] == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    a, b = rows
    (a * b).sum().backward()
    assert m.grad.tolist() == [3.0, 4.0, 5.0, 0.0, 1.0, 2.0]
    assert [x.item() for x in reversed(torch.tensor([1, 2, 3]))] == [3, 2, 1]
    assert [(i.item(), j.item()) for i, j in zip(torch.tensor([1, 2]), torch.tensor([3, 4]))] == [
        (1, 3),
        (2, 4),
    ]
    x = torch.zeros(2)
    for row in x:
        row.add_(1)  # views
    assert x.tolist() == [1.0, 1.0]
    assert list(torch.zeros(0, 3)) == []


def test_contains() -> None:
    x = torch.tensor([1.0, 2.0])
    assert 1 in x and 2.0 in x and 3 not in x and x[0] in x and True in torch.tensor([False, True])


def test_hash_is_identity() -> None:
    x, y = torch.ones(2), torch.ones(2)
    assert len({x, y, x}) == 2 and {x: 1}[x] == 1 and hash(x) == hash(x)
    assert (x == "a") is False and (x != None) is True and x is not None  # noqa: E711


# --- as text --------------------------------------------------------------------------------------------------


def test_format() -> None:
    x = torch.tensor([1.5, 2.0], requires_grad=True)
    assert f"{x[0]:.2f}" == "1.50" and f"{x[0]:8.3e}" == "1.500e+00" and f"{torch.tensor(7):5d}|" == "    7|"
    assert f"{x[0]}" == "1.5" and f"{torch.tensor(True)}" == "True" and f"{torch.tensor(2j)}" == "2j"
    assert f"{x}" == str(x) == repr(x) == "tensor([1.5000, 2.0000], requires_grad=True)"
    assert f"{x[0]!r}" == "tensor(1.5000, grad_fn=<SelectBackward0>)"


TEXTS: list[tuple[str, str]] = [
    ("T.tensor(1.0)", "tensor(1.)"),
    ("T.tensor([1, 2])", "tensor([1, 2])"),
    ("T.tensor([True, False])", "tensor([ True, False])"),
    ("T.tensor([1j])", "tensor([0.+1.j])"),
    ("T.tensor([1.5], dtype=T.float64)", "tensor([1.5000], dtype=torch.float64)"),
    ("T.tensor([1], dtype=T.int32)", "tensor([1], dtype=torch.int32)"),
    ("T.tensor([1j], dtype=T.complex128)", "tensor([0.+1.j], dtype=torch.complex128)"),
    ("T.tensor([1.0, 2.0], requires_grad=True)", "tensor([1., 2.], requires_grad=True)"),
    (
        "T.tensor([1.0], dtype=T.float64, requires_grad=True)",
        "tensor([1.], dtype=torch.float64, requires_grad=True)",
    ),
    ("T.tensor([1.0, 2.0], requires_grad=True) * 2", "tensor([2., 4.], grad_fn=<MulBackward0>)"),
    (
        "T.tensor([1.0], requires_grad=True).double()",
        "tensor([1.], dtype=torch.float64, grad_fn=<ToCopyBackward0>)",
    ),
    ("T.ones(2, requires_grad=True).unbind()[1]", "tensor(1., grad_fn=<UnbindBackward0>)"),
    ("T.tensor([])", "tensor([])"),
    ("T.zeros(0, 3)", "tensor([], size=(0, 3))"),
    ("T.zeros(0, dtype=T.int64)", "tensor([], dtype=torch.int64)"),
    ("T.nn.Parameter(T.ones(2))", "Parameter containing:\ntensor([1., 1.], requires_grad=True)"),
    ("T.ones(2, 3).shape", "torch.Size([2, 3])"),
]


@pytest.mark.parametrize(("expression", "expected"), TEXTS, ids=[e for e, _ in TEXTS])
def test_repr(expression: str, expected: str) -> None:
    assert repr(eval(expression, {"T": torch})) == expected


def test_pytorch_prints_the_same() -> None:
    T = pytest.importorskip("torch")
    for expression, expected in TEXTS:
        assert repr(eval(expression, {"T": T})) == expected


def test_repr_under_another_default_dtype() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        assert repr(torch.tensor(1.5)) == "tensor(1.5000)" and repr(torch.tensor(1j)) == "tensor(0.+1.j)"
        assert repr(torch.tensor(1.5, dtype=torch.float32)) == "tensor(1.5000, dtype=torch.float32)"
    finally:
        torch.set_default_dtype(torch.float32)


# --- copies ---------------------------------------------------------------------------------------------------


def test_copy_shares_and_deepcopy_does_not() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    shallow, deep = copy.copy(x), copy.deepcopy(x)
    with torch.no_grad():
        x += 1
    assert shallow.tolist() == [2.0, 3.0] and deep.tolist() == [1.0, 2.0]
    for c in (shallow, deep):
        assert c.is_leaf and c.requires_grad
    assert shallow.grad is None and deep.grad.tolist() == [2.0, 4.0]
    deep.grad.zero_()
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_copy_of_a_computed_tensor_stays_in_its_graph() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = copy.copy(x * 3)
    y.sum().backward()
    assert y.grad_fn.name() == "MulBackward0" and x.grad.tolist() == [3.0, 3.0]
    for refused in (lambda: copy.deepcopy(x * 2), lambda: copy.deepcopy({"a": [x * 2]})):
        with pytest.raises(
            RuntimeError, match=r"only Tensors created explicitly by the user .* use .detach\(\) first"
        ):
            refused()


def test_deepcopy_keeps_what_is_shared_in_containers() -> None:
    x, p = torch.ones(2), torch.nn.Parameter(torch.zeros(2))
    box = copy.deepcopy({"a": x, "b": [x, p], "c": p})
    assert box["a"] is box["b"][0] is not x and box["c"] is box["b"][1] is not p
    assert type(box["c"]) is torch.nn.Parameter and box["c"].requires_grad and not box["a"].requires_grad
    assert type(copy.copy(p)) is torch.nn.Parameter and copy.copy(p).data_ptr() == p.data_ptr()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol: int) -> None:
    x = torch.arange(6.0).view(2, 3)
    p = torch.nn.Parameter(torch.ones(1))
    p.grad = torch.ones(1)
    for t in (x, x.t(), x[:, 1], torch.tensor(True), torch.zeros(0, 3), torch.tensor([1j], dtype=torch.complex128), p,
              torch.tensor([1.0], dtype=torch.float16, requires_grad=True)):  # fmt: skip
        back = pickle.loads(pickle.dumps(t, protocol))
        assert (
            type(back) is type(t)
            and back.dtype is t.dtype
            and back.shape == t.shape
            and back.tolist() == t.tolist()
        )
        assert back.requires_grad == t.requires_grad and back.is_leaf and back.grad is None
        back.detach().fill_(0)  # memory of its own
    assert x[0, 1] == 1
    file = io.BytesIO()
    pickle.dump({"shape": x.shape, "device": x.device, "dtype": x.dtype}, file, protocol)
    file.seek(0)
    assert pickle.load(file) == {
        "shape": torch.Size([2, 3]),
        "device": torch.device("cpu"),
        "dtype": torch.float32,
    }
    computed = pickle.loads(pickle.dumps(p * 2, protocol))  # as in PyTorch a leaf: a graph is not pickled
    assert computed.is_leaf and computed.requires_grad and computed.tolist() == [2.0]


def test_what_a_tensor_says_of_itself() -> None:
    x = torch.zeros(2, 3)
    assert (x.ndim, x.dim(), x.numel(), x.nelement(), x.size(), x.size(-1)) == (2, 2, 6, 6, (2, 3), 3)
    assert (x.itemsize, x.element_size(), x.nbytes, x.stride(), x.t().stride(), x.stride(0)) == (
        4,
        4,
        24,
        (3, 1),
        (1, 3),
        3,
    )
    assert x.is_contiguous() and not x.t().is_contiguous() and x[:, :1].t().is_contiguous() is False
    assert (
        x.is_floating_point()
        and not x.is_complex()
        and x.is_signed()
        and not x.is_cuda
        and x.layout == torch.strided
    )
    assert (
        torch.is_tensor(x)
        and not torch.is_tensor([1])
        and x.t().data_ptr() == x.data_ptr() != x.clone().data_ptr()
    )
    with pytest.raises(
        IndexError, match=r"Dimension out of range \(expected to be in range of \[-2, 1\], but got 5\)"
    ):
        x.size(5)
