"""Forward mode: dual numbers through every op, PyTorch's refusals, and every mixture with reverse mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
import plugrad.autograd.forward_ad as fwAD
from plugrad import levels
from plugrad.func import grad, jacfwd, jacrev, jvp, linearize, vmap
from plugrad.testing.rows import Row, Sample
from tests.test_ops import DIFFERENTIABLE, as_tensors, call, directional, grads_of, inner, leaves, outputs


@pytest.fixture(autouse=True)
def no_level_is_left() -> Any:
    yield
    assert levels.thread.stack == []


def tensor(values: Any, **options: Any) -> Any:
    return torch.tensor(values, dtype=torch.float64, **options)


def duals(arrays: list[Any], tangents: list[np.ndarray], grad: bool = False) -> tuple[list[Any], list[Any]]:
    """Arguments with every floating-point one dual, and the leaves under the duals."""
    tensors = as_tensors(arrays, grad=True)
    xs = leaves(tensors)
    swap = {
        id(x): fwAD.make_dual(x if grad else x.detach(), torch.from_numpy(t.astype(x.detach().numpy().dtype)))
        for x, t in zip(xs, tangents, strict=True)
    }
    return [
        [swap.get(id(e), e) for e in v] if isinstance(v, list) else swap.get(id(v), v) for v in tensors
    ], xs


def moving(ys: Any) -> list[Any]:
    return [y for y in outputs(ys) if y.dtype.is_floating_point or y.dtype.is_complex]


@pytest.mark.parametrize(("row", "sample"), DIFFERENTIABLE)
def test_every_op_carries_tangents(row: Row, sample: Sample) -> None:
    for dtype in "dD" if row.complex_grad else "d":
        arrays, tangents, slopes, cotangents = directional(row, sample, dtype)
        with fwAD.dual_level():
            args, _ = duals(arrays, tangents)
            ys = [fwAD.unpack_dual(y) for y in moving(call(row, args, sample))]
        plain = [y.numpy() for y in moving(call(row, as_tensors(arrays), sample))]
        assert len(ys) == len(slopes)
        for y, value, slope in zip(ys, plain, slopes, strict=True):
            np.testing.assert_array_equal(y.primal.numpy(), value)
            assert y.tangent is None or y.tangent.dtype == y.primal.dtype
            found = np.zeros_like(slope) if y.tangent is None else y.tangent.numpy()
            np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-5, err_msg=dtype)
        _, gs = grads_of(row, sample, arrays, cotangents)  # of which forward mode is the transpose
        there = sum(
            inner(c, y.tangent.numpy()) for c, y in zip(cotangents, ys, strict=True) if y.tangent is not None
        )
        back = sum(inner(g.numpy(), t) for g, t in zip(gs, tangents, strict=True) if g is not None)
        exact = all(y.primal.dtype in (torch.float64, torch.complex128) for y in ys) and all(
            g is None or g.dtype in (torch.float64, torch.complex128) for g in gs
        )
        assert there == pytest.approx(back, **dict.fromkeys(("rel", "abs"), 1e-9 if exact else 1e-6)), dtype


@pytest.mark.parametrize(("row", "sample"), DIFFERENTIABLE)
def test_every_op_forward_over_reverse_and_reverse_over_forward(row: Row, sample: Sample) -> None:
    """The change of the gradient along a direction: a backward of dual numbers, and the gradient of a tangent."""
    if not row.second:
        pytest.skip("declared without second order")
    arrays, tangents, _, cotangents = directional(row, sample, "d")
    cs = as_tensors(cotangents)

    xs, gs = grads_of(row, sample, arrays, cotangents, create_graph=True)
    weighted = [(g * t.conj()).sum() for g, t in zip(gs, as_tensors(tangents), strict=True) if g is not None]
    total = sum(w.real if w.is_complex() else w for w in weighted) if weighted else tensor(0.0)
    expected = torch.autograd.grad(total, xs, allow_unused=True) if total.requires_grad else [None] * len(xs)

    with fwAD.dual_level():
        args, xs = duals(arrays, tangents, grad=True)
        ys = moving(call(row, args, sample))
        over_reverse = torch.autograd.grad(ys, xs, cs, retain_graph=True, allow_unused=True)
        over_reverse = [None if g is None else fwAD.unpack_dual(g).tangent for g in over_reverse]
        parts = [fwAD.unpack_dual(y).tangent for y in ys]
        moved = [(t, c) for t, c in zip(parts, cs, strict=True) if t is not None and t.requires_grad]
        over_forward: Any = [None] * len(xs)
        if moved:
            over_forward = torch.autograd.grad(
                [t for t, _ in moved], xs, [c for _, c in moved], allow_unused=True
            )
    for found in (over_reverse, over_forward):
        for x, g, want in zip(xs, found, expected, strict=True):
            zeros = np.zeros(tuple(x.shape))
            np.testing.assert_allclose(
                zeros if g is None else g.numpy(),
                zeros if want is None else want.numpy(),
                rtol=1e-9,
                atol=1e-9,
            )


# --- dual levels ----------------------------------------------------------------------------------------------

V = [1.0, 0.5]


def dual(values: Any = (1.0, 2.0), tangent: Any = V, **options: Any) -> Any:
    return fwAD.make_dual(tensor(values, **options), tensor(tangent))


def test_what_make_dual_gives() -> None:
    x, v = tensor([1.0, 2.0], requires_grad=True), tensor(V)
    with fwAD.dual_level() as level:
        d = fwAD.make_dual(x, v)
        assert level == 0 and d.requires_grad and not d.is_leaf and d.grad_fn.name() == "ViewBackward0"
        assert fwAD.unpack_dual(x) == (x, None)
        primal, tangent = fwAD.unpack_dual(d)
        assert primal.tolist() == [1, 2] and tangent.tolist() == V and primal.requires_grad
        assert isinstance(fwAD.unpack_dual(d), fwAD.UnpackedDualTensor)
        assert "tangent=tensor([1.0000, 0.5000]" in repr(d)
        y = d * 3
    assert type(y._raw) is np.ndarray and fwAD.unpack_dual(y).tangent is None
    assert repr(y) == "tensor([3., 6.], dtype=torch.float64, grad_fn=<MulBackward0>)"
    y.sum().backward()  # an ordinary tensor again
    assert x.grad.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("f", "error", "text"),
    [
        (lambda: fwAD.make_dual(tensor([1.0, 2.0]), tensor([1.0, 2.0, 3.0])), RuntimeError, "different size than that"),
        (lambda: fwAD.make_dual(torch.arange(2), torch.arange(2)), ValueError, "Expected primal to be floating point"),
        (lambda: fwAD.make_dual(tensor([1.0, 2.0]), torch.arange(2)), ValueError, "Expected tangent to be floating point"),
        (lambda: fwAD.make_dual(dual(), tensor(V)), RuntimeError, "already has a forward gradient at the same level 0"),
        (fwAD.enter_dual_level, RuntimeError, "Nested forward mode AD is not supported"),
        (lambda: fwAD.exit_dual_level(level=3), RuntimeError, "not the last one that was created"),
        (lambda: fwAD.unpack_dual(1.0), TypeError, "must be Tensor, not float"),
    ],
    ids=["size", "int primal", "int tangent", "twice", "nested", "exit", "number"],
)  # fmt: skip
def test_refusals(f: Callable[[], Any], error: type[Exception], text: str) -> None:
    with fwAD.dual_level(), pytest.raises(error, match=text):
        f()


def test_refusals_without_a_level() -> None:
    with pytest.raises(RuntimeError, match="no level exists, make sure to enter_dual_level"):
        dual()
    with pytest.raises(RuntimeError, match="Dual level must be a positive number"):
        fwAD.exit_dual_level()


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "in place": lambda x: x.clone().mul_(3).add_(x),
    "assignment": lambda x: _written(x.clone(), 0, 5.0),
    "assignment of a dual": lambda x: _written(x.clone(), 0, x[1] * 3),
    "assignment into a plain tensor": lambda x: _written(x.detach().new_zeros(3), 1, x.prod()),
    "written over by what does not move": lambda x: _written(x * 2, slice(0, 1), x.detach()[1:] * 7),
    "add_ to a plain tensor": lambda x: x.detach().new_zeros(2).add_(x * x),
    "mask": lambda x: _written(x * 2, x > 1.5, 0.0),
    "recurrence": lambda x: _recurrence(x),
    "detach": lambda x: x * x.detach(),
    "item": lambda x: x * x.sum().item(),
    "max and its place": lambda x: x.max(0).values * x.max(0).indices,
    "sort": lambda x: x.sort(descending=True).values * x,
    "split": lambda x: (lambda a, b: a * b)(*x.split(1)),
    "branch": lambda x: x * 2 if x.sum() > 1 else x * 3,
    "float32": lambda x: x.float().exp().double(),
    "complex": lambda x: ((x + 1j * x.flip(0)).exp() * 2j).abs(),
    "constant": lambda x: x.detach() * 2,
    "where": lambda x: x.where(x > 1.5, x * x),
    "std": lambda x: x.std() / x.norm(),
}


def _written(x: Any, key: Any, value: Any) -> Any:
    x[key] = value
    return x * x


def _recurrence(x: Any) -> Any:
    b = x.detach().new_zeros(5)
    b[0] = x[0]
    for i in range(1, 5):
        b[i] = (b[i - 1].clone() * x[1]).sin() + b[i - 1].clone()
    return b


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own, at its first make_dual
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_agree_with_pytorch(name: str) -> None:
    oracle: Any = pytest.importorskip("torch")

    def run(lib: Any, ad: Any) -> list[Any]:
        x = lib.tensor([1.25, 2.0], dtype=lib.float64, requires_grad=True)
        with ad.dual_level():
            d = ad.make_dual(x, lib.tensor(V, dtype=lib.float64))
            y = PROGRAMS[name](d)
            primal, tangent = ad.unpack_dual(y)
            found = [primal, tangent]
            if y.requires_grad:
                (g,) = lib.autograd.grad(y.sum(), x, retain_graph=True)
                found += list(ad.unpack_dual(g))
            if tangent is not None and tangent.requires_grad:
                found += lib.autograd.grad(tangent.sum(), x, allow_unused=True)
        return [None if t is None else t.detach().numpy(force=True) for t in found] + [None] * (
            5 - len(found)
        )

    import torch.autograd.forward_ad as oracle_ad

    for found, want in zip(run(torch, fwAD), run(oracle, oracle_ad), strict=True):
        zeros = np.zeros(2)
        np.testing.assert_allclose(
            zeros if found is None else found, zeros if want is None else want, rtol=1e-6, atol=1e-12
        )


def test_backward_of_a_dual_adds_the_value_to_grad() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    w = tensor([3.0, 4.0], requires_grad=True)
    with fwAD.dual_level():
        (fwAD.make_dual(x, tensor(V)) * w).sum().backward()
        assert x.grad.tolist() == [3, 4] and w.grad.tolist() == [1, 2]
        assert type(w.grad._raw) is np.ndarray


def test_an_error_inside_leaves_no_level() -> None:
    with pytest.raises(KeyError), fwAD.dual_level():
        raise KeyError
    with pytest.raises(KeyError):
        jvp(lambda x: {}[x], (tensor(1.0),), (tensor(1.0),))


def test_writing_into_the_original_leaves_the_dual_alone() -> None:
    x = tensor([1.0, 2.0])
    with fwAD.dual_level():
        y = fwAD.make_dual(x, tensor(V)).square()
        x.zero_()
        assert fwAD.unpack_dual(y * y).tangent.tolist() == [4.0, 16.0]


# --- functions of functions -----------------------------------------------------------------------------------


def test_copies_and_fills_carry_tangents() -> None:
    def copied(x: Any, y: Any, value: Any) -> Any:
        y.copy_(value)
        return fwAD.unpack_dual(y).tangent.tolist()

    with fwAD.dual_level():
        x = fwAD.make_dual(tensor([1.0, 2.0]), tensor([3.0, 4.0]))
        y = x * 2
        assert copied(x, y, y) == [6.0, 8.0] and copied(x, y, x) == [3.0, 4.0]
        assert copied(x, tensor([0.0, 0.0]), x) == [3.0, 4.0]
        assert copied(x, torch.zeros(2), x) == [3.0, 4.0]  # of another dtype
        assert copied(x, x * 2, tensor([5.0, 6.0])) == copied(x, x * 2, 7.0) == [0.0, 0.0]
        for z in (tensor([0.0, 0.0]), x * 1):
            assert fwAD.unpack_dual(z.fill_(x[1])).tangent.tolist() == [4.0, 4.0]


def test_jvps_nest_without_confusing_perturbations() -> None:
    one = tensor(1.0)
    _, t = jvp(lambda x: x * jvp(lambda y: x + y, (one,), (one,))[1], (one,), (one,))
    assert t.item() == 1
    f: Any = lambda x: (x * 2).sin()
    x = tensor(0.3)
    for n in range(5):
        want = 2**n * np.sin(0.6 + n * np.pi / 2)
        assert f(x).item() == pytest.approx(want)
        f = lambda x, f=f: jvp(f, (x,), (one,))[1]


def test_any_order_of_modes() -> None:
    def forward(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: jvp(f, (x,), (torch.ones_like(x),))[1]

    def reverse(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def gradient(x: Any) -> Any:
            x = (x * 1).requires_grad_()
            return torch.autograd.grad(f(x), x, create_graph=True)[0]

        return gradient

    for order in ("ff", "fr", "rf", "rr", "ffr", "frf", "rff", "frr", "rfr", "rrf", "frfr", "rfrf"):
        f: Any = lambda x: (x * 2).exp() * x.sin()
        for mode in order:
            f = {"f": forward, "r": reverse}[mode](f)
        n, x0 = len(order), 0.4
        want = (np.exp((2 + 1j) * x0) * (2 + 1j) ** n).imag
        assert f(tensor(x0)).item() == pytest.approx(want), order


def test_linearize_computes_the_function_once() -> None:
    calls = []

    def f(x: Any, d: Any) -> Any:
        calls.append(1)
        return {"y": (x * d["w"]).sin(), "n": [x.sum()]}

    x, w = tensor([0.1, 0.2]), tensor([1.5, -2.0])
    _, push = linearize(f, x, {"w": w})
    for t in (tensor([1.0, 0.0]), tensor([0.5, 3.0])):
        _, want = jvp(f, (x, {"w": w}), (t, {"w": t * 2}))
        calls.clear()
        found = push(t, {"w": t * 2})
        assert not calls
        np.testing.assert_allclose(found["y"].numpy(), want["y"].numpy())
        np.testing.assert_allclose(found["n"][0].numpy(), want["n"][0].numpy())
    with pytest.raises(
        RuntimeError, match=r"tangent:0 with shape torch.Size\(\[3\]\).*doesn't match the shape"
    ):
        push(tensor([1.0, 2.0, 3.0]), {"w": w})
    with pytest.raises(RuntimeError, match="same argspec as the primals"):
        push(x)


def test_linearize_is_differentiated_by_others() -> None:
    x, v, w = tensor([0.1, 0.2]), tensor([1.5, -2.0]), tensor([3.0, 4.0], requires_grad=True)
    value = lambda w: linearize(lambda a: a.sin() * w, x)[0]
    moved = lambda w: linearize(lambda a: a.sin() * w, x)[1](v)
    for f, slope in ((value, x.sin()), (moved, x.cos() * v)):
        (found,) = torch.autograd.grad(f(w).sum(), w)
        assert torch.allclose(found, slope)
        assert torch.allclose(grad(lambda w, f=f: f(w).sum())(w.detach()), slope)
        assert torch.allclose(jacfwd(f)(w.detach()), slope.diag())
        assert torch.allclose(jacrev(vmap(f))(w.detach()[None])[0, :, 0], slope.diag())
    assert not value(w.detach()).requires_grad and not moved(w.detach()).requires_grad
    with pytest.raises(
        RuntimeError, match=r"linearize.* to return only tensors, got unsupported type <class 'int'>"
    ):
        linearize(lambda a: 3, x)


def test_jacfwd_of_containers() -> None:
    a, b = tensor([1.0, 2.0]), tensor([[3.0], [4.0]])
    jac = jacfwd(lambda d: {"s": d["a"] * 2, "t": (d["b"] ** 2).sum()})({"a": a, "b": b})
    assert jac["s"]["a"].tolist() == [[2, 0], [0, 2]] and jac["s"]["b"].shape == (2, 2, 1)
    assert jac["t"]["a"].tolist() == [0, 0] and jac["t"]["b"].tolist() == [[6], [8]]
    assert jacfwd(jacfwd(lambda x: (x**3).sum()))(a).tolist() == [[6, 0], [0, 12]]
    (by_b, by_a), aux = jacfwd(lambda x, y: ((x * y).sum(), x), argnums=(-1, 0), has_aux=True)(a, a)
    assert by_a.tolist() == by_b.tolist() == [1, 2] and aux.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("f", "error", "text"),
    [
        (lambda x: jvp(torch.sin, [x], (x,)), RuntimeError, "Expected primals to be a tuple"),
        (lambda x: jvp(torch.sin, (x,), (x, x)), RuntimeError, "same python structure"),
        (lambda x: jvp(torch.sin, (x,), (x[:1],)), RuntimeError, "different size"),
        (lambda x: jvp(lambda: x, (), ()), RuntimeError, "contain at least one Tensor"),
        (lambda x: jvp(torch.sin, (3.0,), (x,)), RuntimeError, "Expected primals to only contain Tensors"),
        (lambda x: jvp(lambda x: 3, (x,), (x,)), RuntimeError, "return only tensors, got unsupported type"),
        (
            lambda x: jvp(torch.sin, (x,), (x,), has_aux=True),
            RuntimeError,
            "should be a tuple: .output, aux.",
        ),
        (lambda x: jvp(lambda y: x, (x,), (x,), strict=True), RuntimeError, "independent of the inputs"),
        (
            lambda x: jacfwd(torch.sin, argnums=5)(x),
            RuntimeError,
            "Got argnum=5, but only 1 positional inputs",
        ),
        (lambda x: jacfwd(torch.sin, argnums=())(x), RuntimeError, "argnums must be non-empty"),
        (lambda x: jacfwd(torch.add, argnums=(0, 0))(x, x), RuntimeError, "must be unique"),
        (lambda x: jacfwd(torch.sin)(x + 0j), RuntimeError, "Expected all inputs to be real"),
    ],
)
def test_refusals_of_functions(f: Callable[[Any], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        f(torch.ones(2))


def test_a_tensor_that_escapes_is_refused() -> None:
    escaped: list[Any] = []
    jvp(lambda x: escaped.append(x) or x, (tensor(1.0),), (tensor(1.0),))
    for use in (lambda t: t + 1, lambda t: t * tensor(1.0), lambda t: t.item(), lambda t: t.numpy()):
        with pytest.raises(RuntimeError, match="is used after forward mode has ended"):
            use(escaped[0])
    assert "has ended" in repr(escaped[0])


# --- custom Functions -----------------------------------------------------------------------------------------


class Scaled(torch.autograd.Function):
    """`k * x * y` and `x + 1`; its derivatives are off by a factor of 10, so that one sees who computed them."""

    @staticmethod
    def forward(ctx: Any, x: Any, k: float, y: Any) -> Any:
        ctx.save_for_forward(x, y)
        ctx.save_for_backward(x, y)
        ctx.k = k
        return x * y * k, x + 1

    @staticmethod
    def jvp(ctx: Any, tx: Any, _: None, ty: Any) -> Any:
        x, y = ctx.saved_tensors
        return (tx * y + x * ty) * (10 * ctx.k), tx

    @staticmethod
    def backward(ctx: Any, g: Any, h: Any) -> Any:
        x, y = ctx.saved_tensors
        return g * y * (10 * ctx.k) + h, None, g * x * (10 * ctx.k)


def test_a_function_brings_its_jvp() -> None:
    x, y = tensor([1.0, 2.0], requires_grad=True), tensor([3.0, 4.0])
    with fwAD.dual_level():
        a, b = Scaled.apply(fwAD.make_dual(x, tensor(V)), 2.0, fwAD.make_dual(y, tensor([1.0, 1.0])))
        assert fwAD.unpack_dual(a).tangent.tolist() == [80, 80] and fwAD.unpack_dual(b).tangent.tolist() == V
        (g,) = torch.autograd.grad(a.sum(), x, retain_graph=True)
        assert fwAD.unpack_dual(g).primal.tolist() == [60, 80]
        assert fwAD.unpack_dual(g).tangent.tolist() == [20, 20]  # forward over its backward
        (h,) = torch.autograd.grad(fwAD.unpack_dual(a).tangent.sum(), x)
        assert h.tolist() == [20, 20]  # reverse over its jvp
    one = torch.ones_like(y)
    first = lambda v: jvp(lambda u: Scaled.apply(u, 1.0, u)[0], (v,), (one,))[1]
    assert jvp(first, (y,), (one,))[1].tolist() == [20, 20]  # 2 * 10 * u, differentiated by ops


class Exp_(torch.autograd.Function):
    """`exp_` by hand."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        x.exp_()
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        return x

    @staticmethod
    def jvp(ctx: Any, t: Any) -> Any:
        return t.mul_(ctx.saved_tensors[0])

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.saved_tensors[0]


def test_a_function_writes_in_place() -> None:
    found = []
    for f in (Exp_.apply, torch.Tensor.exp_):
        x = tensor([1.0, 2.0], requires_grad=True)
        with fwAD.dual_level():
            c = fwAD.make_dual(x, tensor(V)) * 2
            assert f(c) is c
            z = (c * c.sin()).sum()
            (g,) = torch.autograd.grad(z, x, retain_graph=True)
            (h,) = torch.autograd.grad(fwAD.unpack_dual(z).tangent, x, retain_graph=True)
            with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
                f(x)
            found += [[*fwAD.unpack_dual(c), *fwAD.unpack_dual(g), h]]
        found[-1] += [c, torch.autograd.grad(c.sum(), x)[0]]
    for by_hand, by_op in zip(*found, strict=True):
        np.testing.assert_allclose(by_hand.detach().numpy(), by_op.detach().numpy())
    with fwAD.dual_level():
        c = dual().clone()
        view = c[:1]
        for shared in (c, view):
            with pytest.raises(
                NotImplementedError, match=r"Exp_: mark_dirty in forward mode.*pass a \.clone"
            ):
                Exp_.apply(shared)
    _, t = jvp(lambda x: Exp_.apply(x * 1) * x, (tensor(1.0),), (tensor(1.0),))
    assert t.item() == pytest.approx(2 * np.e)


def _jvp_returning(result: Callable[[Any], Any]) -> Any:
    return type("Broken", (Scaled,), {"jvp": staticmethod(lambda ctx, *ts: result(ts[0]))})


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (lambda t: t, r"invalid number of forward gradients \(expected 2 but got 1\)"),
        (lambda t: (t,) * 3, r"invalid number of forward gradients \(expected 2 but got 3\)"),
        (lambda t: (t[:1], t), "different size than that of the original"),
        (lambda t: (1.0, t), r"expected Variable or None \(got float\) for grad output 0"),
    ],
)
def test_a_wrong_jvp_is_refused(result: Callable[[Any], Any], text: str) -> None:
    with fwAD.dual_level(), pytest.raises(RuntimeError, match=text):
        _jvp_returning(result).apply(dual(), 1.0, tensor([1.0, 1.0]))


def test_a_function_without_jvp_is_refused() -> None:
    class Plain(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

    with fwAD.dual_level():
        with pytest.raises(NotImplementedError, match="You must implement the jvp function"):
            Plain.apply(dual())
        assert Plain.apply(tensor([1.0])).tolist() == [2]
