"""`inference_mode`: what is made in it stays out of graphs; the same in PyTorch, where installed."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import plugrad as torch


@pytest.fixture(params=["plugrad", "torch"])
def t(request: pytest.FixtureRequest) -> Iterator[Any]:
    """plugrad, and PyTorch where installed."""
    module = torch if request.param == "plugrad" else pytest.importorskip("torch")
    yield module
    assert module.is_grad_enabled() and not module.is_inference_mode_enabled(), "a mode was left behind"


def test_what_is_made_inside_is_an_inference_tensor(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    normal = t.ones(2)
    with t.inference_mode():
        assert t.is_inference_mode_enabled() and not t.is_grad_enabled()
        made = {
            "ones": t.ones(2), "tensor": t.tensor([1.0]), "rand": t.rand(2), "op": x * 2, "two": x + normal,
            "sum": x.sum(), "promoted": x * t.ones(2, dtype=t.float64), "comparison": x > 0, "stack": t.stack([x, x]),
            "number": 2 - x, "matmul": x @ x, "view of one": t.ones(2).view(2, 1), "parts": t.ones(2).unbind(0)[0],
            "detached": t.ones(2).detach(), "clone": x.clone(), "sorted": x.sort()[0],
        }  # fmt: skip
        views = {"view": x.view(2, 1), "detach": x.detach(), "part": x.unbind(0)[0], "index": x[0], "same": x}
        normal.add_(1)
        leaf = t.ones(2, requires_grad=True)
        computed = leaf * 2
    for name, tensor in made.items():
        assert tensor.is_inference() and t.is_inference(tensor) and not tensor.requires_grad, name
    for name, tensor in views.items():
        assert not tensor.is_inference(), name
    assert not normal.is_inference() and normal._version == 1 and normal.tolist() == [2, 2]
    assert leaf.requires_grad and leaf.is_inference() and not computed.requires_grad
    assert not t.ones(2).is_inference() and (x * 2).requires_grad


def test_values_are_those_of_other_modes(t: Any) -> None:
    def f(x: Any) -> Any:
        y = (x.exp() * 2 - x / 3).view(4)
        y[1:] += x.reshape(4)[:3] ** 2
        return t.cat([y, y.double().softmax(0)]).relu().sum()

    x = t.tensor([[0.5, -1.0], [2.0, 0.25]], requires_grad=True)
    with t.inference_mode():
        found = f(x).item()
    with t.no_grad():
        assert f(x).item() == found


def test_outside_they_take_part_as_long_as_nothing_is_saved(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    with t.inference_mode():
        a, mask = t.full((2,), 3.0), t.tensor([True, False])
    assert (a + x).requires_grad and not (a * a).is_inference() and (a * a).tolist() == [9, 9]
    assert t.stack([a, x]).requires_grad
    for view in (a.view(2, 1), a[0], a.detach(), a.data, a.unbind(0)[0]):
        assert view.is_inference()
    (a.clone() * x).sum().backward()
    assert x.grad.tolist() == [3, 3] and not a.clone().is_inference()
    with t.no_grad():
        assert (a * x).tolist() == [3, 3]
    target = t.ones(2)
    target[:] = a
    assert target.tolist() == [3, 3] and not target.is_inference()
    saving: list[Callable[[], Any]] = [
        lambda: a * x, lambda: x * a, lambda: (x * 2).mul(a), lambda: a @ x, lambda: x.clone().mul_(a), lambda: x / a,
        lambda: t.where(mask, x, 0), lambda: a.view(2, 1) * x,
    ]  # fmt: skip
    for use in saving:
        with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
            use()


def test_functions_must_not_save_them(t: Any) -> None:
    class F(t.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, a: Any, x: Any) -> Any:
            ctx.save_for_backward(a)
            return a * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return None, g

    with t.inference_mode():
        a = t.ones(2)
        assert F.apply(a, t.ones(2, requires_grad=True)).is_inference()
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        F.apply(a, t.ones(2, requires_grad=True))
    assert F.apply(a, t.ones(2)).tolist() == [1, 1]


def test_refusals(t: Any) -> None:
    with t.inference_mode():
        a = t.ones(2)
        a.add_(1)
        a.mul_(2)
        assert a.tolist() == [4, 4]
        with pytest.raises(RuntimeError, match="do not track version counter"):
            _ = a._version
        assert t.ones(2).requires_grad_().requires_grad
    for write in (lambda: a.add_(1), lambda: a.zero_(), lambda: a.__setitem__(0, 5.0), lambda: a[:1].mul_(2)):
        for mode in (t.enable_grad, t.no_grad):
            with mode(), pytest.raises(RuntimeError, match="Inplace update to inference tensor outside Inf"):
                write()
    assert a.tolist() == [4, 4] or t is not torch  # PyTorch raises after it has written
    with pytest.raises(
        RuntimeError, match="Setting requires_grad=True on inference tensor outside InferenceMode"
    ):
        a.requires_grad_()
    with pytest.raises(
        RuntimeError, match="Setting requires_grad=True on inference tensor outside InferenceMode"
    ):
        a.requires_grad = True
    assert a.requires_grad_(False) is a
    with pytest.raises(RuntimeError, match="do not track version counter"):
        _ = a._version


def test_nested_modes(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    with t.inference_mode():
        with t.inference_mode(False):
            assert not t.is_inference_mode_enabled() and t.is_grad_enabled()
            assert (x * 2).requires_grad and not t.ones(2).is_inference()
        with t.enable_grad():
            assert t.is_grad_enabled() and t.is_inference_mode_enabled()
            y = x * 2
            assert not y.requires_grad and y.is_inference()
        assert t.is_inference_mode_enabled() and not t.is_grad_enabled()
    with t.no_grad():
        with t.inference_mode(False):
            assert t.is_grad_enabled()
        with t.inference_mode():
            pass
        assert not t.is_grad_enabled()
    with pytest.raises(KeyError), t.inference_mode():
        raise KeyError


def test_backward_inside_gives_normal_gradients() -> None:  # in PyTorch an optimizer could not write to them
    x = torch.ones(2, requires_grad=True)
    y = (x * x).sum()
    with torch.inference_mode():
        y.backward()
    assert x.grad.tolist() == [2, 2] and not x.grad.is_inference()
    x.grad.zero_()


@pytest.mark.parametrize("decorate", [lambda t: t.inference_mode(), lambda t: t.inference_mode])
def test_decorators_and_generators(t: Any, decorate: Callable[[Any], Any]) -> None:
    @decorate(t)
    def ask(a: int) -> tuple[bool, int]:
        return t.is_inference_mode_enabled(), a

    @decorate(t)
    def steps() -> Any:
        for _ in range(2):
            yield t.is_inference_mode_enabled()

    assert ask(3) == (True, 3) and not t.is_inference_mode_enabled() and ask.__name__ == "ask"
    found = []
    for inside in steps():
        found.append((inside, t.is_inference_mode_enabled()))
    assert found == [(True, False)] * 2


def test_it_belongs_to_a_thread(t: Any) -> None:
    found: list[bool] = []
    with t.inference_mode():
        thread = threading.Thread(target=lambda: found.append(t.ones(1).is_inference()))
        thread.start()
        thread.join()
    assert found == [False]


def test_layers_and_loops_as_under_no_grad() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    x = torch.rand(5, 3)
    with torch.inference_mode():
        y = model(x)
        loss = torch.nn.functional.mse_loss(y, torch.zeros(5, 2))
    assert y.is_inference() and loss.is_inference() and "Tensor" in type(y).__name__
    assert y.tolist() == model(x).tolist()
    model(x).sum().backward()
    assert all(not p.grad.is_inference() for p in model.parameters())


def test_copies_and_pickles(t: Any) -> None:
    with t.inference_mode():
        a = t.tensor([1.0, 2.0])
    shallow, deep, read = copy.copy(a), copy.deepcopy([a, a]), pickle.loads(pickle.dumps(a))
    assert shallow.tolist() == deep[0].tolist() == read.tolist() == [1, 2]
    assert deep[0] is deep[1] and not read.is_inference()
    assert repr(a) == "tensor([1., 2.])" and isinstance(a, t.Tensor)


def test_parameters_are_normal() -> None:
    with torch.inference_mode():
        layer = torch.nn.Linear(2, 2)
    layer(torch.ones(1, 2)).sum().backward()
    assert layer.weight.grad.tolist() == [[1, 1], [1, 1]] and not layer.weight.is_inference()
    with torch.no_grad():
        layer.weight.zero_()


@pytest.mark.parametrize(
    "name", ["grad", "vjp", "jacrev", "jacfwd", "hessian", "linearize", "jvp", "dual", "functional"]
)
def test_transforms_differentiate_in_inference_mode(name: str) -> None:
    def f(x: Any) -> Any:
        return x.cumprod(0) * torch.linalg.det(torch.outer(x, x) + torch.eye(3))

    def dual(x: Any) -> Any:
        with torch.autograd.forward_ad.dual_level():
            return torch.autograd.forward_ad.unpack_dual(f(torch.autograd.forward_ad.make_dual(x, x))).tangent

    of = {
        "grad": lambda x: torch.func.grad(lambda x: f(x).sum())(x),
        "vjp": lambda x: torch.func.vjp(f, x)[1](x)[0],
        "jacrev": lambda x: torch.func.jacrev(f)(x),
        "jacfwd": lambda x: torch.func.jacfwd(f)(x),
        "hessian": lambda x: torch.func.hessian(lambda x: f(x).sum())(x),
        "linearize": lambda x: torch.func.linearize(f, x)[1](x),
        "jvp": lambda x: torch.func.jvp(f, (x,), (x,))[1],
        "dual": dual,
        "functional": lambda x: torch.autograd.functional.hessian(lambda x: f(x).sum(), x),
    }[name]
    expected = of(torch.tensor([1.0, 2.0, 3.0]))
    with torch.inference_mode():
        assert torch.equal(of(torch.tensor([1.0, 2.0, 3.0])), expected) and expected.any()
