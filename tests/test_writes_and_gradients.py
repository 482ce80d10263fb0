"""A write never changes a gradient, whatever was saved and however the memory is reached."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.op import OPS
from plugrad.testing.rows import Row, Sample
from tests.test_ops import CALLS, DIFFERENTIABLE, arrays_of, call, leaves, outputs

# --- programs: (what is mutated, y) from a leaf w and a tensor x without a graph; gradient with and without a write


def _saved_directly(w: Any, x: Any) -> tuple[Any, Any]:
    return x, w * x


def _saved_through_a_view(w: Any, x: Any) -> tuple[Any, Any]:
    return x, w[1:] * x[1:]


def _written_through_a_view(w: Any, x: Any) -> tuple[Any, Any]:
    return x.view(2, 2).t()[1], w * x


def _through_detach(w: Any, x: Any) -> tuple[Any, Any]:
    return x, w * x.detach()


def _by_a_view_that_died(w: Any, x: Any) -> tuple[Any, Any]:
    view = x[:2]
    y = w[:2] * view
    del view
    return x, y


def _whose_owner_died(w: Any, x: Any) -> tuple[Any, Any]:
    owner = x * 1
    view = owner[1:]
    return view, (w * owner).sum() + (w[1:] * view).sum()


def _the_output_of_exp(w: Any, x: Any) -> tuple[Any, Any]:
    y = (w * 0.1).exp()
    return y, y * 1


def _the_output_of_exp_through_detach(w: Any, x: Any) -> tuple[Any, Any]:
    y = (w * 0.1).exp()
    return y.detach()[1:], y


def _a_leaf(w: Any, x: Any) -> tuple[Any, Any]:
    return w, w * w


def _the_data_of_a_leaf(w: Any, x: Any) -> tuple[Any, Any]:
    return w.data, w.exp() * w


def _a_view_of_a_leaf(w: Any, x: Any) -> tuple[Any, Any]:
    return w[1:], w * w


def _a_copy_of_a_leaf(w: Any, x: Any) -> tuple[Any, Any]:
    return copy.copy(w), w * w


def _a_parameter_over_it(w: Any, x: Any) -> tuple[Any, Any]:
    return torch.nn.Parameter(x), w * x


def _in_column_order(w: Any, x: Any) -> tuple[Any, Any]:
    m = x.view(2, 2).t() * 1
    return m[0], w.view(2, 2) * m


def _an_expanded_tensor(w: Any, x: Any) -> tuple[Any, Any]:
    part = x[0]
    return part, w * part.expand(4)


def _a_scalar(w: Any, x: Any) -> tuple[Any, Any]:
    s = x.sum()
    return s, w * s


def _an_index(w: Any, x: Any) -> tuple[Any, Any]:
    i = torch.tensor([2, 0, 2])
    return i, w[i] * 2


def _an_index_that_moved(w: Any, x: Any) -> tuple[Any, Any]:
    i = torch.tensor([[2, 0, 2]])
    first = w[i]  # makes i move
    with torch.no_grad():
        i += 1
    return i, first.sum() + w.index_select(0, i[0]).sum() * 2


def _assigned_data(w: Any, x: Any) -> tuple[Any, Any]:
    other = torch.zeros(2)
    other.data = x
    return other, w * x


def _a_mask(w: Any, x: Any) -> tuple[Any, Any]:
    m = torch.tensor([True, False, True, True])
    return m, torch.where(m, w, 2 * w)


def _twice_over(w: Any, x: Any) -> tuple[Any, Any]:
    y = w * x
    with torch.no_grad():
        x.add_(1)  # x moves
    return x[1:], y.sum() + (w * x * x).sum()


PROGRAMS = [
    f
    for name, f in list(globals().items())
    if name.startswith("_") and callable(f) and f.__module__ == __name__
]


def gradient(
    program: Callable[[Any, Any], tuple[Any, Any]], write: Callable[[Any], Any] | None
) -> list[float]:
    w = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    x = torch.tensor([0.5, 1.5, -2.0, 3.0])
    target, y = program(w, x)
    if write is not None:
        before, shape = target.tolist(), target.shape
        with torch.no_grad():
            assert write(target) is None or target.shape == shape
        assert target.tolist() != before or target.dtype is torch.bool  # the write happened
    y.sum().backward()
    return w.grad.tolist()


WRITES: dict[str, Callable[[Any], Any]] = {
    "add_": lambda t: t.add_(1) if t.dtype is not torch.bool else t.fill_(False),
    "fill_": lambda t: t.fill_(0 if t.dtype is torch.bool else 7),
    "setitem": lambda t: t.__setitem__(..., 1),
    "copy_": lambda t: t.copy_(torch.ones(1).to(t.dtype)),
    "random_": lambda t: t.random_(1, 2) if t.dtype is not torch.bool else t.fill_(False),
    "data": lambda t: setattr(t, "data", torch.zeros(t.shape, dtype=t.dtype)),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_a_write_does_not_change_the_gradient(program: Any, write: str) -> None:
    assert gradient(program, WRITES[write]) == gradient(program, None)


def test_data_minus_equals() -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (w * w).sum()
    view = w.detach()
    w.data -= torch.ones(2)
    assert w.tolist() == view.tolist() == [0.0, 1.0] and w.is_leaf and w.requires_grad
    y.backward()
    assert w.grad.tolist() == [2.0, 4.0]
    with pytest.raises(TypeError, match="data: expected a Tensor, but got int"):
        w.data = 3
    with pytest.raises(
        RuntimeError, match="data set to a tensor that requires gradients must be floating point"
    ):
        w.data = torch.ones(2, dtype=torch.int64)


# --- every op -------------------------------------------------------------------------------------------------


def tensors(value: Any, grad: bool) -> Any:
    if isinstance(value, list):
        return [tensors(v, grad) for v in value]
    if not isinstance(value, np.ndarray):
        return value
    return torch.tensor(value, requires_grad=grad and value.dtype.kind in "fc")


def flat(values: list[Any]) -> list[Any]:
    return [e for v in values for e in (v if isinstance(v, list) else [v]) if isinstance(e, torch.Tensor)]


@pytest.mark.parametrize(("row", "sample"), DIFFERENTIABLE)
def test_no_op_reads_what_was_written_later(row: Row, sample: Sample) -> None:
    def gradients(mutate: bool) -> list[Any]:
        values = tensors(arrays_of(sample, "d"), True)
        ys = [
            y for y in outputs(call(row, values, sample)) if isinstance(y, torch.Tensor) and y.requires_grad
        ]
        rng = np.random.default_rng(1)
        gs = [torch.tensor(np.asarray(rng.normal(size=y.shape))).to(y.dtype) for y in ys]
        if mutate:
            with torch.no_grad():
                for t in flat([*values, ys]):
                    t.fill_(False if t.dtype is torch.bool else 0.37)
        if ys:
            torch.autograd.backward(ys, gs)
        return [x.grad for x in leaves(values)]

    for before, after in zip(gradients(False), gradients(True), strict=True):
        assert (before is None) == (after is None)
        assert before is None or np.array_equal(before.numpy(), after.numpy(), equal_nan=True)


@pytest.mark.parametrize(("row", "sample"), CALLS)
def test_no_op_shares_memory_in_secret(row: Row, sample: Sample) -> None:
    for grad in (False, True):
        values = tensors(arrays_of(sample, row.dtypes.replace(" ", "")[0]), grad)
        found = [y for y in outputs(call(row, values, sample)) if isinstance(y, torch.Tensor)]
        for i, y in enumerate(found):
            for x in [*flat(values), *found[:i]]:
                if np.shares_memory(y._host(), x._host()):
                    assert y._storage is x._storage and OPS[row.op].view, (
                        f"{row.op} returns memory of its input"
                    )
