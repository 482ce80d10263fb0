"""`backward` and `autograd.grad`: small programs whose results are stored here, and are PyTorch's, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch

PROGRAMS: list[Any] = []


def program(expected: Any) -> Callable[[Callable[[Any], Any]], None]:
    """A program of the library that it is given; `expected` is what it returns, tensors as lists."""
    return lambda run: PROGRAMS.append(pytest.param(run, expected, id=run.__name__))


def plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return value.tolist() if hasattr(value, "tolist") else value


@pytest.mark.parametrize(("run", "expected"), PROGRAMS)
def test_program(run: Callable[[Any], Any], expected: Any) -> None:
    assert plain(run(torch)) == expected


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph")
@pytest.mark.parametrize(("run", "expected"), PROGRAMS)
def test_program_in_pytorch(run: Callable[[Any], Any], expected: Any) -> None:
    assert plain(run(pytest.importorskip("torch"))) == expected


def leaf(t: Any, *values: float) -> Any:
    return t.tensor(values, requires_grad=True)


# --- backward -----------------------------------------------------------------------------------------------


@program([[3.0, 8.0], [3.0, 8.0]])
def gradient_weights_the_output(t: Any) -> Any:
    x, z = leaf(t, 3.0, 4.0), leaf(t, 3.0, 4.0)
    (x * x).backward(t.tensor([0.5, 1.0]))
    (z * z).backward(gradient=t.tensor([0.5, 1.0]))
    return x.grad, z.grad


@program([18.0, 24.0])
def retained_graph_goes_back_again(t: Any) -> Any:
    x = leaf(t, 3.0, 4.0)
    y = (x * x).sum()
    for retain in (True, True, False):
        y.backward(retain_graph=retain)
    return x.grad


@program([[12.0, 27.0], True, [12.0, 18.0]])
def create_graph_records_the_gradient(t: Any) -> Any:
    x = leaf(t, 2.0, 3.0)
    (x * x * x).sum().backward(create_graph=True)
    first = x.grad
    x.grad = None
    first.sum().backward()
    return first.detach(), first.requires_grad, x.grad


@program([[4.0, 6.0], None, [1.0, 1.0]])
def inputs_limits_who_gets_a_gradient(t: Any) -> Any:
    x, z = leaf(t, 2.0, 3.0), leaf(t, 5.0, 5.0)
    y = (x * x + z).sum()
    y.backward(inputs=[x], retain_graph=True)
    before = z.grad
    y.backward(inputs=z)
    return x.grad, before, z.grad


@program([[8.0, 12.0], None])
def inputs_may_be_intermediate(t: Any) -> Any:
    x = leaf(t, 2.0, 3.0)
    h = x * 2
    (h * h).sum().backward(inputs=[h])
    return h.grad, x.grad


@program([8.0, 12.0])
def inputs_that_retain_their_gradient_get_it_once(t: Any) -> Any:
    h = leaf(t, 2.0, 3.0) * 2
    h.retain_grad()
    (h * h).sum().backward(inputs=[h, h])
    return h.grad


@program([[4.0, 6.0], None])
def inputs_named_twice_or_out_of_reach(t: Any) -> Any:
    x, z = leaf(t, 2.0, 3.0), leaf(t, 1.0)
    (x * x).sum().backward(inputs=[x, x, z])
    return x.grad, z.grad


@program([16.0, 21.0])
def several_tensors_at_once(t: Any) -> Any:
    x = leaf(t, 2.0, 3.0)
    t.autograd.backward([(x * x).sum(), x * 3], [None, t.tensor([4.0, 5.0])])
    return x.grad


@program([7.0, 8.0])
def one_tensor_named_twice_counts_twice(t: Any) -> Any:
    x = leaf(t, 2.0, 3.0)
    y = x * 1
    t.autograd.backward((y, y), (t.tensor([3.0, 3.0]), t.tensor([4.0, 5.0])))
    return x.grad


@program([[1.0], [1.0]])
def a_leaf_goes_back_to_itself(t: Any) -> Any:
    x = leaf(t, 5.0)
    x.backward()
    return x.grad, t.autograd.grad(x, x)[0]


@program([6.0, None])
def only_what_requires_grad_gets_a_gradient(t: Any) -> Any:
    x, c = t.tensor(3.0, requires_grad=True), t.tensor(2.0)
    (c * x * 3).backward()
    return x.grad, c.grad


@program([[5.0, 2.0], True])
def a_backward_adds_to_a_recorded_gradient(t: Any) -> Any:
    x = t.tensor(1.0, requires_grad=True)
    (x * x * x).backward(create_graph=True)
    (x * 2).backward()
    return [x.grad.detach(), t.autograd.grad(x.grad, x)[0] - 4], x.grad.requires_grad


# --- grad ---------------------------------------------------------------------------------------------------


@program([[7.0, 9.0], [1.0, 1.0], None])
def several_outputs_and_inputs(t: Any) -> Any:
    x, z = leaf(t, 2.0, 3.0), leaf(t, 1.0, 1.0)
    gx, gz = t.autograd.grad([(x * x).sum(), x + z], [x, z], [None, t.ones(2)], only_inputs=True)
    return gx + 2, gz, x.grad


@program([[3.0], [3.0], [6.0]])
def the_same_input_twice(t: Any) -> Any:
    x = leaf(t, 2.0)
    one, two = t.autograd.grad(x * 3, (x, x))
    return one, two, one + two


@program([[4.0, 6.0], [2.0, 2.0], [1.0, 1.0]])
def intermediates_and_the_output_itself_as_inputs(t: Any) -> Any:
    x = leaf(t, 2.0, 3.0)
    h = x * x
    y = h * 2
    total = y.sum()
    return (t.autograd.grad(total, x, retain_graph=True)[0] / 2, *t.autograd.grad(y, (h, y), t.ones(2)))


@program([[4.0], [2.0]])
def an_input_above_another_input(t: Any) -> Any:
    x = leaf(t, 2.0)
    h = x * 2
    gx, gh = t.autograd.grad(h * 2, (x, h))
    return gx, gh


@program([[2.0], None, [0.0, 0.0], False, True])
def unused_inputs(t: Any) -> Any:
    x, z = leaf(t, 2.0), leaf(t, 1.0, 1.0)
    y = x * 2
    gx, none = t.autograd.grad(y, (x, z), retain_graph=True, allow_unused=True)
    (zeros,) = t.autograd.grad(y, z, retain_graph=True, materialize_grads=True)
    (recorded,) = t.autograd.grad(y, z, materialize_grads=True, create_graph=True)
    return gx, none, zeros, zeros.requires_grad, recorded.requires_grad


@program([[12.0], [12.0], [6.0]])
def grad_of_grad(t: Any) -> Any:
    x = leaf(t, 2.0)
    (first,) = t.autograd.grad(x * x * x, x, create_graph=True)
    (second,) = t.autograd.grad(first, x, create_graph=True)
    (third,) = t.autograd.grad(second, x)
    return first.detach(), second.detach(), third


@program([6.0])
def a_gradient_of_another_float_dtype_is_converted(t: Any) -> Any:
    x = leaf(t, 2.0)
    (g,) = t.autograd.grad(x * 2, x, t.tensor([3.0], dtype=t.float64))
    assert g.dtype == t.float32
    return g


@program([True, False, [12.0], [1.0]])
def the_weights_take_part_in_the_second_derivative(t: Any) -> Any:
    x, v = leaf(t, 3.0), leaf(t, 2.0)
    (g,) = t.autograd.grad(x * x, x, v, create_graph=True)
    (h,) = t.autograd.grad(x * x, x, v)
    return g.requires_grad, h.requires_grad, g.detach(), t.autograd.grad(g, v)[0] - 5


def test_nodes_that_lead_to_no_input_are_not_called() -> None:
    x, z = leaf(torch, 2.0), leaf(torch, 3.0)
    called = []
    h, other = x * 2, z * 2
    other.register_hook(called.append)
    x.register_hook(called.append)
    (g,) = torch.autograd.grad(h * other, h)
    assert g.tolist() == [6.0] and not called


# --- where gradients accumulate -----------------------------------------------------------------------------

GRAPHS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, z: x + z,
    "subtract": lambda x, z: z - x,
    "add, scaled": lambda x, z: (x + z) * 3,
    "add twice": lambda x, z: x + x + z,
    "product": lambda x, z: x * z,
    "transposed": lambda x, z: (x.t() + z.t()).t(),
    "reshaped": lambda x, z: (x.reshape(9) + z.reshape(9)).reshape(3, 3),
    "expanded": lambda x, z: (x + z).expand(3, 3),
    "sums": lambda x, z: x.sum() + z.sum() + x * 0,
    "pieces": lambda x, z: torch.cat([x[:1], z[1:]]) + z * 0,
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("layout", ["dense", "transposed", "expanded"])
@pytest.mark.parametrize("times", [1, 2])
def test_gradients_are_dense_writable_memory_of_their_own(name: str, layout: str, times: int) -> None:
    x, z = (torch.ones(3, 3).requires_grad_() for _ in range(2))
    dense = torch.arange(9.0).reshape(3, 3)
    g = {"dense": dense, "transposed": dense.t(), "expanded": dense[:1].expand(3, 3)}[layout]
    before = g.tolist()
    for _ in range(times):
        y = GRAPHS[name](x, z)
        y.backward(g)
    assert g.tolist() == before
    memories = [t._raw for t in (x, z, y, g, x.grad, z.grad)]
    for mine in memories[-2:]:
        assert mine.flags.c_contiguous and mine.flags.writeable and mine.flags.owndata
        assert sum(np.shares_memory(mine, other) for other in memories) == 1


def test_nobody_who_saw_a_gradient_shares_its_memory() -> None:
    x = torch.ones(3, requires_grad=True)
    seen: list[Any] = []
    x.register_hook(lambda g: seen.append(g))
    x.register_hook(lambda g: seen.append(g.detach()))
    x.register_hook(lambda g: seen.append(g * 2) or seen[-1])
    (x * 3).sum().backward()
    x.grad.add_(100)
    assert [s.tolist() for s in seen] == [[3.0] * 3, [3.0] * 3, [6.0] * 3]


def test_later_backwards_add_in_place_as_in_pytorch() -> None:
    x = torch.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    first, address = x.grad, x.grad._raw.ctypes.data
    (x * 3).sum().backward()
    assert x.grad is first and first._raw.ctypes.data == address and first.tolist() == [5.0, 5.0]


def test_a_gradient_somebody_needs_is_not_changed_by_the_next_backward() -> None:
    x, w = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    y = x.grad * w
    (x * 3).sum().backward()
    y.sum().backward()
    assert w.grad.tolist() == [2.0, 2.0] and x.grad.tolist() == [5.0, 5.0]


def test_assigning_a_gradient() -> None:
    x = torch.ones(2, requires_grad=True)
    mine = torch.tensor([10.0, 20.0])
    x.grad = mine
    (x * 1).sum().backward()
    assert x.grad is mine and mine.tolist() == [11.0, 21.0]
    x.grad.zero_()
    (x * 1).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
    x.grad = None
    assert x.grad is None
    (x * 4).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]
    del x.grad
    assert x.grad is None


def test_a_dead_leaf_is_no_obstacle() -> None:
    x, z = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    y = (x * z).sum()
    del z
    y.backward()
    assert x.grad.tolist() == [1.0, 1.0]
