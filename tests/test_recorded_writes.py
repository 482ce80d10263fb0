"""In-place writes and views under autograd: values, gradients, refusals, and what memory they take."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.errors import InPlaceError

# --- each write is the op that it abbreviates: (in place, functional), from a tensor x and a tensor v of its shape

WRITES: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "add_": (lambda x, v: x.add_(v), lambda x, v: x + v),
    "alpha": (lambda x, v: x.add_(v, alpha=2), lambda x, v: x + 2 * v),
    "sub_": (lambda x, v: x.__isub__(v), lambda x, v: x - v),
    "mul_": (lambda x, v: x.__imul__(v), lambda x, v: x * v),
    "div_": (lambda x, v: x.div_(v), lambda x, v: x / v),
    "pow_": (lambda x, v: x.pow_(3), lambda x, v: x**3),
    "self": (lambda x, v: x.mul_(x), lambda x, v: x * x),
    "number": (lambda x, v: x.mul_(3.0).add_(1), lambda x, v: x * 3 + 1),
    "exp_": (lambda x, v: x.exp_(), lambda x, v: x.exp()),
    "sqrt_": (lambda x, v: x.sqrt_(), lambda x, v: x.sqrt()),
    "neg_": (lambda x, v: x.neg_(), lambda x, v: -x),
    "sigmoid_": (lambda x, v: x.sigmoid_(), lambda x, v: x.sigmoid()),
    "relu_": (lambda x, v: x.sub_(1).relu_(), lambda x, v: (x - 1).relu()),
    "clamp_": (lambda x, v: x.clamp_(0.8, 1.5), lambda x, v: x.clamp(0.8, 1.5)),
    "lerp_": (lambda x, v: x.lerp_(v, 0.3), lambda x, v: x.lerp(v, 0.3)),
    "addcmul_": (lambda x, v: x.addcmul_(v, v), lambda x, v: x + v * v),
    "cumsum_": (lambda x, v: x.cumsum_(0), lambda x, v: x.cumsum(0)),
    "copy_": (lambda x, v: x.copy_(v), lambda x, v: v * 1),
    "copy_ of a row": (lambda x, v: x.copy_(v[0]), lambda x, v: v[0].expand(2, 3)),
    "fill_": (lambda x, v: x.fill_(2.0), lambda x, v: x * 0 + 2),
    "fill_ with a tensor": (lambda x, v: x.fill_(v[0, 1]), lambda x, v: v[0, 1].expand(2, 3)),
    "zero_": (lambda x, v: x.zero_(), lambda x, v: x * 0),
    "masked_fill_": (lambda x, v: x.masked_fill_(M, 5.0), lambda x, v: x.masked_fill(M, 5.0)),
    "masked_scatter_": (lambda x, v: x.masked_scatter_(M, v), lambda x, v: x.masked_scatter(M, v)),
    "index_add_": (lambda x, v: x.index_add_(1, K, v[:, :2]), lambda x, v: x.index_add(1, K, v[:, :2])),
    "index_copy_": (lambda x, v: x.index_copy_(1, K, v[:, :2]), lambda x, v: x.index_copy(1, K, v[:, :2])),
    "index_fill_": (lambda x, v: x.index_fill_(1, K, 4.0), lambda x, v: x.index_fill(1, K, 4.0)),
    "index_put_": (lambda x, v: x.index_put_((R, K), v[0, :2]), lambda x, v: x.index_put((R, K), v[0, :2])),
    "scatter_": (lambda x, v: x.scatter_(1, I, v), lambda x, v: x.scatter(1, I, v)),
    "scatter_add_": (lambda x, v: x.scatter_add_(1, I, v), lambda x, v: x.scatter_add(1, I, v)),
    "a number at an element": (lambda x, v: x.__setitem__((0, 1), 7.0), lambda x, v: put(x, (0, 1), 7.0)),
    "a row": (lambda x, v: x.__setitem__(0, v[1]), lambda x, v: put(x, 0, v[1])),
    "a column": (lambda x, v: x.__setitem__((slice(None), 1), v[:, 0]), lambda x, v: put(x, (slice(None), 1), v[:, 0])),
    "broadcast": (lambda x, v: x.__setitem__(..., v[0]), lambda x, v: put(x, ..., v[0])),
    "a mask": (lambda x, v: x.__setitem__(M, v[M]), lambda x, v: put(x, M, v[M])),
    "a number at a mask": (lambda x, v: x.__setitem__(M, 3.0), lambda x, v: put(x, M, 3.0)),
    "index arrays": (lambda x, v: x.__setitem__((R, K), v[0, :2]), lambda x, v: put(x, (R, K), v[0, :2])),
    "an index array in a row": (lambda x, v: x.__setitem__((1, K), v[0, :2]), lambda x, v: put(x, (1, K), v[0, :2])),
    "augmented": (lambda x, v: augmented(x, v), lambda x, v: put(x, 0, x[0] * v[0] + 1)),
    "of another dtype": (lambda x, v: x.add_(v.float()), lambda x, v: x + v.float()),
}  # fmt: skip

M = torch.tensor([[True, False, True], [False, True, True]])
K, R = torch.tensor([2, 0]), torch.tensor([0, 1])
I = torch.tensor([[0, 2, 1], [1, 0, 2]])  # noqa: E741


def put(x: Any, key: Any, value: Any) -> Any:
    """A copy of `x` with `value` at a key, by ops that write nothing."""
    positions = torch.arange(x.numel()).view(x.shape)
    chosen = positions[key]
    value = value if isinstance(value, torch.Tensor) else torch.full(chosen.shape, value, dtype=x.dtype)
    flat = x.reshape(-1).index_put((chosen.reshape(-1),), value.expand(chosen.shape).reshape(-1))
    return flat.view(x.shape)


def augmented(x: Any, v: Any) -> Any:
    x[0] *= v[0]
    x[0] += 1
    return x


def leaves() -> tuple[Any, Any]:
    a = torch.tensor([[0.5, 1.2, 0.9], [1.4, 0.7, 1.1]], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([[1.3, 0.6, 0.8], [0.9, 1.7, 1.2]], dtype=torch.float64, requires_grad=True)
    return a, b


def derivatives(y: Any, a: Any, b: Any) -> list[list[Any]]:
    """The gradients of a function of `y` and its second derivatives along themselves; none of a constant."""
    if not y.requires_grad:
        return []
    first = torch.autograd.grad(
        (y * y.detach().cos()).sum() + (y**3).sum(), (a, b), create_graph=True, materialize_grads=True
    )
    total = sum((g * g).sum() for g in first)
    second = (
        torch.autograd.grad(total, (a, b), retain_graph=True, materialize_grads=True)
        if total.requires_grad
        else ()
    )
    return [g.tolist() for g in (*first, *second)]


def part(x: Any) -> Any:
    """A view of `x` that is a tensor of 2 by 3, like those that are written."""
    return x[1:3].t()


HOLDERS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "a tensor": lambda x: (x, x),
    "a view": lambda x: ((big := torch.stack([x[0], x[0], x[1], x[0]]).reshape(4, 3)), big[::2]),
    "a view of a view": lambda x: ((big := torch.stack([x, x]).clone()), big[1][:, :].t().t()),
    "a buffer": lambda x: ((big := torch.ones(3, 2, dtype=torch.float64)), big.t()),
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_its_functional_form(name: str, holder: str) -> None:
    in_place, functional = WRITES[name]
    a, b = leaves()
    base, x = HOLDERS[holder](a * 1)
    before = x * 1
    base_before = base * 1
    in_place(x, b)
    expected = functional(before, b)
    assert np.allclose(x.detach().numpy(), expected.detach().numpy())
    assert derivatives(x, a, b) == approx(derivatives(expected, a, b))
    # The base is what it was, with the part put in its place.
    positions = torch.arange(base.numel()).view(base.shape)
    _, chosen = (positions, positions) if holder == "a tensor" else (positions, same_part(holder, positions))
    whole = base_before.reshape(-1).index_put((chosen.reshape(-1),), expected.to(base.dtype).reshape(-1))
    assert derivatives(base.reshape(-1), a, b) == approx(derivatives(whole, a, b))


def same_part(holder: str, positions: Any) -> Any:
    return {"a view": lambda p: p[::2], "a view of a view": lambda p: p[1], "a buffer": lambda p: p.t()}[
        holder
    ](positions)


def approx(values: list[list[Any]]) -> Any:
    class Close:
        def __eq__(self, other: object) -> bool:
            return all(np.allclose(u, v, rtol=1e-9, atol=1e-12) for u, v in zip(values, other, strict=True))  # type: ignore[call-overload]

        def __repr__(self) -> str:
            return repr(values)

    return Close()


def test_every_view_of_a_base_feels_a_write_through_another() -> None:
    a = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    x = a * 1
    row, pair, other = x.view(2, 2)[0], x[1:3], x.view(2, 2).t()
    pair.mul_(10)
    assert x.tolist() == [1, 20, 30, 4] and row.tolist() == [1, 20] and other.tolist() == [[1, 30], [20, 4]]
    for tensor, expected in (
        (x, [1, 10, 10, 1]),
        (row, [1, 10, 0, 0]),
        (other, [1, 10, 10, 1]),
        (pair, [0, 10, 10, 0]),
    ):
        (g,) = torch.autograd.grad(tensor.sum(), a, retain_graph=True)
        assert g.tolist() == expected
    assert x.grad_fn.name() == "CopySlices" and row.grad_fn.name() == "SelectBackward0"


def test_what_a_graph_has_saved_stays() -> None:
    a = torch.tensor([1.0, 2.0], requires_grad=True)
    x = a * 1
    y, z = x * x, x.exp()
    x.mul_(5)
    z.zero_()
    x[0] = 100.0
    (y.sum() + x.sum() + z.sum()).backward()
    assert a.grad.tolist() == [2.0, 9.0]


def test_metadata_of_views() -> None:
    x = torch.zeros(3, 2)
    row, d = x[0], x.detach()
    assert row._is_view() and row._base is x and x._base is None and not x._is_view() and not d._is_view()
    assert row[1:]._base is x
    row.add_(1)
    d.mul_(2)
    assert x._version == row._version == d._version == 2 and x[0].tolist() == [2, 2]
    array = x.numpy()
    x[1] = torch.ones(2, requires_grad=True) * 3
    assert array[1].tolist() == [3, 3] and x.requires_grad and not x.is_leaf


def test_requires_grad_after_a_write() -> None:
    a = torch.ones(2, requires_grad=True)
    buffer = torch.zeros(2)
    view = buffer[:1]
    buffer.mul_(a)
    assert buffer.requires_grad and view.requires_grad and not buffer.is_leaf
    buffer.zero_()
    assert buffer.requires_grad and buffer.grad_fn.name() == "ZeroBackward0"
    assert torch.autograd.grad(buffer.sum(), a)[0].tolist() == [0, 0]
    x = a * 1
    with torch.no_grad():
        x.mul_(3)
    x.sum().backward()
    assert a.grad.tolist() == [1, 1]  # unrecorded, as in PyTorch


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "leaf": (lambda: torch.ones(2, requires_grad=True).add_(1), "a leaf Variable that requires grad"),
    "view of a leaf": (lambda: torch.ones(2, requires_grad=True)[0].zero_(), "a view of a leaf Variable"),
    "element of a leaf": (lambda: torch.ones(2, requires_grad=True).__setitem__(0, 1.0), "a leaf Variable"),
    "one of several": (lambda: (torch.ones(2, 2, requires_grad=True) * 1).unbind(0)[1].add_(1),
                       "Output 1 of UnbindBackward0 is a view and is being modified inplace"),
    "one of a split": (lambda: (torch.ones(2, requires_grad=True) * 1).split(1)[0].mul_(2), "Output 0 of SplitBackward0"),
    "a view from no_grad": (lambda: without_grad(torch.ones(2, requires_grad=True) * 1).mul_(2),
                            "created in no_grad mode and is being modified inplace with grad mode enabled"),
    "the shape": (lambda: (torch.ones(2, requires_grad=True) * 1).add_(torch.ones(3, 2)), "doesn't match the broadcast shape"),
    "the dtype": (lambda: torch.ones(2, dtype=torch.int64).mul_(torch.ones(2, requires_grad=True)), "can't be cast"),
    "expanded": (lambda: (torch.ones(1, requires_grad=True) * 1).expand(3).add_(1), "more than one element"),
    "handed out": (lambda: handed_out(), "shared with NumPy .* so it cannot move: write to a .clone"),
}  # fmt: skip


def without_grad(x: Any) -> Any:
    with torch.no_grad():
        return x[:]


def handed_out() -> None:
    x = torch.ones(2, requires_grad=True) * 2
    kept, y = x.detach().numpy(), x * x
    x.add_(1)
    assert kept is not None and y is not None


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    write, text = REFUSED[case]
    with pytest.raises(RuntimeError, match=text):
        write()


def test_refusals_are_of_one_class() -> None:
    with pytest.raises(InPlaceError):
        (torch.ones(2, 2, requires_grad=True) * 1).unbind(0)[0].add_(1)


def test_complex_parts() -> None:
    a = torch.tensor([1.0 + 2j, 3.0 - 1j], requires_grad=True)
    x = a * 1
    x.real.mul_(3)
    x.imag[0] = 5.0
    (g,) = torch.autograd.grad((x * x.conj()).real.sum(), a, create_graph=True)
    assert np.allclose(g.detach().numpy(), [18.0 + 0j, 54.0 - 2j])
    (gg,) = torch.autograd.grad((g * g.conj()).real.sum(), a)
    assert np.allclose(gg.numpy(), [2 * 18 * 18.0 + 0j, 2 * 18 * 54 + 2 * 2 * (-2j)])


# --- strict mode --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write", [lambda y: y.mul_(2), lambda y: y.view(2, 1)[0].zero_(), lambda y: y.__setitem__(0, 3.0)]
)
def test_strict_mode_raises_and_names_the_line(write: Callable[[Any], Any]) -> None:
    x = torch.ones(2, requires_grad=True)
    with torch.autograd.strict_mutation():
        y = x.exp()
        z = y * y
        write(y)
        y.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation") as caught:
            z.sum().backward()
        text = str(caught.value)
        line = write.__code__.co_firstlineno
        assert "[torch.FloatTensor [2]], saved by MulBackward0, is at version 2; expected version 0" in text
        assert f"modified it at {__file__}:{line}: write to a .clone()" in text
    z.sum().backward()  # the values are there all the same
    assert np.allclose(x.grad.numpy(), 2 * np.exp(2.0))


def test_strict_mode_lets_pass_what_pytorch_lets_pass() -> None:
    x = torch.ones(2, requires_grad=True)
    with torch.autograd.strict_mutation():
        y = x * 2
        y.add_(1).mul_(3)
        y.sum().backward()
        with torch.autograd.strict_mutation(False):
            z = x.exp()
            z.mul_(z)
            z.sum().backward()
    assert np.allclose(x.grad.numpy(), 6 + 2 * np.exp(2.0))


def test_strict_mode_by_the_environment() -> None:
    code = (
        "import plugrad as t; x = t.ones(2, requires_grad=True); y = x.exp(); y.mul_(2); y.sum().backward()"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PLUGRAD_STRICT_MUTATION": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "saved by ExpBackward0" in found.stderr


# --- memory -------------------------------------------------------------------------------------------------


def recurrence(n: int, width: int) -> tuple[Any, Any]:
    a = torch.full((width,), 0.5, requires_grad=True)
    x = torch.zeros(n, width)
    x[0] = a
    for i in range(1, n):
        x[i] = torch.sin(x[i - 1])
    return a, x


def test_a_recurrence_keeps_one_buffer() -> None:
    recurrence(3, 2)[1].sum().backward()
    peaks = []
    for n in (200, 400):
        tracemalloc.start()
        _, x = recurrence(n, 1000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert x.requires_grad
    assert peaks[0] < 4 * 200 * 1000 * 4 and peaks[1] < 2.5 * peaks[0]
    a, x = recurrence(300, 1)
    expected, slope = [0.5], [1.0]
    for _ in range(299):
        slope.append(slope[-1] * np.cos(expected[-1]))
        expected.append(np.sin(expected[-1]))
    (g,) = torch.autograd.grad(x[:, 0].sum(), a)
    assert g.item() == pytest.approx(sum(slope), rel=1e-4)
