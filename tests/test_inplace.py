"""In-place writes: values, views, refusals. That a write never changes a gradient: `test_writes_and_gradients.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.errors import InPlaceError

A = [[0.5, -1.5, 2.0], [1.0, 0.25, -0.75]]
B = [[2.0, 0.5, -1.0], [1.5, 3.0, 0.5]]

UNARY = """
abs absolute acos asin asinh atan arctan ceil cos cosh erf erfc exp exp2 expm1 fix floor frac neg negative reciprocal
relu round sgn sigmoid sign sin sinh square tan tanh trunc nan_to_num logical_not
"""
BINARY = """
add sub mul div subtract multiply divide true_divide atan2 arctan2 hypot copysign fmod remainder floor_divide
eq ne lt le gt ge logical_and logical_or logical_xor
"""
WITH_A_NUMBER = "add sub mul div remainder fmod floor_divide clamp_min clamp_max eq lt"

# (method, further arguments): the form with the underscore writes what the one without returns.
FORMS: list[tuple[str, tuple[Any, ...]]] = [
    *((name, ()) for name in UNARY.split()),
    *((name, (B,)) for name in BINARY.split()),
    *((name, (2.5,)) for name in WITH_A_NUMBER.split()),
    *((name, ([0.5, 2.0, 3.0],)) for name in ("add", "mul", "div")),  # broadcast
    ("pow", (2,)), ("pow", (3.0,)), ("float_power", (2,)), ("clamp", (-1.0, 1.0)), ("clip", (None, 0.5)),
    ("cumsum", (0,)), ("cumprod", (1,)), ("tril", ()), ("triu", (1,)), ("lerp", (B, 0.3)), ("lerp", (B, 0.9)),
    ("addcmul", (B, B)), ("addcdiv", (B, B)), ("masked_fill", ([[True, False, True], [False] * 3], 7.0)),
    ("addmm", ([[1.0, 2.0], [3.0, 4.0]], B)), ("index_fill", (1, [0, 2], 5.0)), ("index_add", (0, [1, 0], B)),
    ("index_copy", (0, [1, 0], B)), ("scatter", (1, [[0, 2], [1, 0]], B)), ("scatter_add", (1, [[0, 2], [1, 0]], B)),
    ("index_put", (([0, 1], [2, 2]), 5.0)), ("masked_scatter", ([[True, False, True], [False] * 3], B)),
]  # fmt: skip
POSITIVE = {"acos", "asin", "atanh", "log", "log1p", "log2", "log10", "sqrt", "rsqrt"}
FORMS += [(name, ()) for name in sorted(POSITIVE - {"acos", "asin", "atanh"})] + [
    ("acosh", ()),
    ("atanh", ()),
]


def start(name: str) -> Any:
    x = torch.tensor(A, dtype=torch.float64)
    if name == "acosh":
        return x.abs() + 1
    return x.abs() / 2.5 if name in POSITIVE else x


def as_tensors(value: Any, name: str) -> Any:
    if isinstance(value, tuple):
        return tuple(torch.tensor(v) for v in value)
    if not isinstance(value, list):
        return torch.tensor(value, dtype=torch.float64) if name == "index_put" else value
    t = torch.tensor(value)
    return t.double() if t.is_floating_point() else t


@pytest.mark.parametrize(("name", "arguments"), FORMS, ids=[f"{n}-{a}"[:40] for n, a in FORMS])
def test_the_form_with_the_underscore(name: str, arguments: tuple[Any, ...]) -> None:
    x = start(name)
    others = [as_tensors(a, name) for a in arguments]
    expected = getattr(x, name)(*others).double()
    address, memory, view = x.data_ptr(), x.numpy(), x.view(6)
    version = x._version
    assert getattr(x, f"{name}_")(*others) is x
    assert torch.equal(x, expected) and (x.dtype, x.data_ptr()) == (torch.float64, address)
    assert np.array_equal(memory, expected.numpy()) and torch.equal(view, expected.view(6))
    assert x._version > version


def test_alpha_value_and_rounding() -> None:
    x = torch.tensor([1.0, 2.0])
    assert x.add_(torch.ones(2), alpha=3).tolist() == [4.0, 5.0]
    assert x.sub_(torch.ones(2), alpha=2).tolist() == [2.0, 3.0]
    assert x.addcmul_(x, torch.ones(2), value=0.5).tolist() == [3.0, 4.5]
    assert x.addcdiv_(torch.ones(2), torch.tensor([2.0, 4.0]), value=2).tolist() == [4.0, 5.0]
    assert x.div_(3, rounding_mode="floor").tolist() == [1.0, 1.0]


OPERATORS: list[tuple[str, Callable[[Any, Any], Any], Any, Any]] = [
    ("+=", lambda x, y: x.__iadd__(y), [1.0, 2.0], [4.0, 6.0]),
    ("-=", lambda x, y: x.__isub__(y), [1.0, 2.0], [2.0, 2.0]),
    ("*=", lambda x, y: x.__imul__(y), [1.0, 2.0], [3.0, 8.0]),
    ("/=", lambda x, y: x.__itruediv__(y), [2.0, 2.0], [1.5, 2.0]),
    ("**=", lambda x, y: x.__ipow__(y), [2.0, 0.5], [9.0, 2.0]),
    ("//=", lambda x, y: x.__ifloordiv__(y), [2.0, 3.0], [1.0, 1.0]),
    ("%=", lambda x, y: x.__imod__(y), [2.0, 3.0], [1.0, 1.0]),
    ("&=", lambda x, y: x.__iand__(y), [1, 5], [1, 4]),
    ("|=", lambda x, y: x.__ior__(y), [4, 1], [7, 5]),
    ("^=", lambda x, y: x.__ixor__(y), [1, 5], [2, 1]),
]


@pytest.mark.parametrize(("sign", "write", "other", "expected"), OPERATORS, ids=[o[0] for o in OPERATORS])
def test_augmented_assignment(sign: str, write: Any, other: Any, expected: Any) -> None:
    y = torch.tensor(other)
    x = torch.tensor([3, 4], dtype=y.dtype)
    same, address = x, x.data_ptr()
    assert write(x, y) is same and x.tolist() == expected and x.data_ptr() == address
    x = torch.tensor([3, 4], dtype=y.dtype)
    assert write(x, other[0]).tolist()[0] == expected[0]  # a number


def test_fill_zero_copy() -> None:
    x = torch.ones(2, 2)
    assert x.fill_(torch.tensor(3)).tolist() == [[3.0, 3.0], [3.0, 3.0]] and x.zero_().sum() == 0
    assert x.copy_(torch.tensor([1, 2])).tolist() == [[1.0, 2.0], [1.0, 2.0]]
    assert x.copy_(x.t()).tolist() == [[1.0, 1.0], [2.0, 2.0]] and x.copy_(5).sum() == 20
    assert torch.zeros(2, dtype=torch.int32).copy_(torch.tensor([2.9, -2.9])).tolist() == [2, -2]
    assert torch.zeros(2, dtype=torch.uint8).fill_(-1).tolist() == [255, 255]
    with pytest.raises(
        RuntimeError, match="fill_ only supports 0-dimension value tensor but got tensor with 1 dim"
    ):
        x.fill_(torch.ones(2))
    with pytest.raises(TypeError, match="argument 'value' must be Number, not str"):
        x.fill_("a")
    with pytest.raises(RuntimeError, match="copy_: could not broadcast"):
        torch.ones(3).copy_(torch.ones(2, 3))


def test_overlapping_operands_are_read_before_they_are_written() -> None:
    x = torch.arange(5.0)
    x[1:] += x[:-1]
    assert x.tolist() == [0.0, 1.0, 3.0, 5.0, 7.0]
    x[1:] = x[:-1]
    assert x.tolist() == [0.0, 0.0, 1.0, 3.0, 5.0]
    m = torch.arange(4.0).view(2, 2)
    m += m.t()
    assert m.tolist() == [[0.0, 3.0], [3.0, 6.0]]


# --- views ----------------------------------------------------------------------------------------------------

VIEWS: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], np.ndarray]]] = {
    "slice": (lambda x: x[1:], lambda a: a[1:]),
    "step": (lambda x: x[:, ::2], lambda a: a[:, ::2]),
    "row": (lambda x: x[0], lambda a: a[0]),
    "element": (lambda x: x[1, 2], lambda a: a[1, 2, ...]),
    "new axis": (lambda x: x[None], lambda a: a[None]),
    "view": (lambda x: x.view(3, 2), lambda a: a.reshape(3, 2)),
    "reshape": (lambda x: x.reshape(-1), lambda a: a.reshape(-1)),
    "transpose": (lambda x: x.transpose(0, 1), lambda a: a.T),
    "permute": (lambda x: x.permute(1, 0), lambda a: a.T),
    "T": (lambda x: x.T, lambda a: a.T),
    "squeeze": (lambda x: x.unsqueeze(1).squeeze(1), lambda a: a),
    "detach": (lambda x: x.detach(), lambda a: a),
    "data": (lambda x: x.data, lambda a: a),
    "view of a view": (lambda x: x.t()[1:].detach().t()[0], lambda a: a.T[1:].T[0]),
    "unbind": (lambda x: x.unbind(0)[1], lambda a: a[1]),
    "split": (lambda x: x.split([1, 2], 1)[1], lambda a: a[:, 1:]),
    "diagonal": (lambda x: x.diagonal(), lambda a: np.einsum("ii->i", a[:, :2])),
    "narrow": (lambda x: x.narrow(1, 1, 2), lambda a: a[:, 1:]),
    "iteration": (lambda x: next(iter(x)), lambda a: a[0]),
    "from one element": (lambda x: x[0, 0].expand(1), lambda a: a[0, :1]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_write_through(name: str) -> None:
    view, of_array = VIEWS[name]
    for write in (
        lambda t: t.add_(10),
        lambda t: t.mul_(t),
        lambda t: t.fill_(7),
        lambda t: t.copy_(t * 2),
        lambda t: t.neg_(),
    ):
        a = np.arange(6.0).reshape(2, 3) + 1
        x, part = torch.tensor(a), of_array(a)
        y, whole = view(x), x.data_ptr()
        write(y)
        part[...] = write(torch.tensor(part)).numpy()
        assert np.array_equal(x.numpy(), a) and np.array_equal(y.numpy(), part)
        write(x)
        a[...] = write(torch.tensor(a)).numpy()
        assert np.array_equal(y.numpy(), part) and x.data_ptr() == whole
        assert x._version == y._version == 2


def test_what_copies_does_not_write_through() -> None:
    x = torch.arange(6.0).view(2, 3)
    for copy in (
        x.clone(),
        x.t().reshape(-1),
        x.flip(0),
        x + 0,
        x[[0]],
        x[x > 9],
        x.to(torch.float64),
        x.contiguous().clone(),
    ):
        copy.fill_(99)
    assert x.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_shape_in_place() -> None:
    x = torch.arange(6.0).view(2, 3)
    row = x[0]
    assert x.t_() is x and x.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    x[0] = 9
    assert (
        row.tolist() == [9.0, 1.0, 2.0]
        and x.unsqueeze_(0).shape == (1, 3, 2)
        and x.squeeze_(0).shape == (3, 2)
    )
    assert x.transpose_(0, 1).shape == (2, 3)
    with pytest.raises(InPlaceError, match=r"t_: a leaf Variable that requires grad"):
        torch.ones(2, 2, requires_grad=True).t_()


def test_expanded_tensors() -> None:
    x = torch.zeros(3)
    y = x.expand(2, 3)
    for write in (lambda: y.add_(1), lambda: y.copy_(torch.ones(2, 3)), lambda: y.exp_(), lambda: y.uniform_(),
                  lambda: y.__setitem__(slice(None), torch.ones(2, 3))):  # fmt: skip
        with pytest.raises(
            RuntimeError, match="more than one element of the written-to tensor refers to a single memory"
        ):
            write()
    y.fill_(2)  # one value, everywhere, is clear
    y[0] += 1
    y[:, 1] = 5
    assert x.tolist() == [3.0, 5.0, 3.0]
    torch.zeros(1).expand(0).add_(1)


# --- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "write", "text"),
    [
        (
            torch.ones(3),
            lambda x: x.add_(torch.ones(2, 3)),
            r"add_: output with shape \[3\] doesn't match the broadcast shape \[2, 3\]",
        ),
        (
            torch.ones(1),
            lambda x: x.mul_(torch.ones(3)),
            r"mul_: output with shape \[1\] doesn't match the broadcast shape \[3\]",
        ),
        (
            torch.ones(3),
            lambda x: x.masked_fill_(torch.ones(2, 3).bool(), 1),
            r"output with shape \[3\] doesn't match",
        ),
        (
            torch.ones(3).int(),
            lambda x: x.add_(1.5),
            "add_: result type torch.float32 can't be cast to the desired output type torch.int32",
        ),
        (torch.ones(3).int(), lambda x: x.div_(2), "div_: result type torch.float32 can't be cast"),
        (torch.ones(3).int(), lambda x: x.exp_(), "exp_: result type torch.float32 can't be cast"),
        (
            torch.ones(3).bool(),
            lambda x: x.add_(2),
            "result type torch.int64 can't be cast to the desired output type torch.bool",
        ),
        (
            torch.ones(3),
            lambda x: x.add_(1j),
            "result type torch.complex64 can't be cast to the desired output type torch.float32",
        ),
        (
            torch.ones(3),
            lambda x: x.sin_().add_(torch.ones(4)),
            r"size of tensor a \(3\) must match the size of tensor b \(4\)",
        ),
    ],
    ids=range(9),
)
def test_refused_results(target: Any, write: Any, text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        write(target.clone())


WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "add_": lambda x, v: x.add_(v), "mul_": lambda x, v: x.__imul__(v), "copy_": lambda x, v: x.copy_(v),
    "__setitem__": lambda x, v: x.__setitem__(0, v[0]), "masked_fill_": lambda x, v: x.masked_fill_(x > 0, v[0]),
    "fill_": lambda x, v: x.fill_(v[0]), "lerp_": lambda x, v: x.lerp_(v, 0.5), "addcmul_": lambda x, v: x.addcmul_(v, v),
    "atan2_": lambda x, v: x.atan2_(v),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_leaves_are_refused_under_a_graph(name: str) -> None:
    write, free = WRITES[name], torch.ones(2)
    leaf = torch.ones(2, requires_grad=True)
    cases = [(leaf, free, "a leaf Variable that requires grad is being used in an in-place operation: write under"),
             (leaf[:], free, "a view of a leaf Variable that requires grad is being used in an in-place operation")]  # fmt: skip
    for target, value, text in cases:
        before = target.tolist()
        with pytest.raises(InPlaceError, match=f"{name}: .*{text}") as caught:
            write(target, value)
        assert isinstance(caught.value, RuntimeError) and target.tolist() == before
    for nullary in (leaf.zero_, leaf.neg_, leaf.sin_, leaf.uniform_, leaf.clamp_):
        with pytest.raises(InPlaceError, match="a leaf Variable"):
            nullary()
    with torch.no_grad():
        write(leaf, free * 3)
        write(leaf[:], free)
        write(free, leaf)
    assert leaf.is_leaf and leaf.requires_grad and not free.requires_grad
