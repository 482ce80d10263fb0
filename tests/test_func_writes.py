"""In-place writes inside of transforms: every program gives what it gives for one example outside of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.autograd import forward_ad
from plugrad.func import grad, hessian, jacfwd, jacrev, jvp, vmap

ROWS = np.random.default_rng(0).normal(size=(4, 3))
DIRECTIONS = np.random.default_rng(1).normal(size=(4, 3))

#: Programs that compute y from x, a vector of three numbers.
PROGRAMS = {
    "op": "y = x.clone(); y.mul_(x)",
    "op with a number": "y = x.clone(); y += 2; y.mul_(x)",
    "chain": "y = x.clone(); y.sin_().add_(x).clamp_(min=0.0)",
    "saved before": "z = x.clone(); e = z.exp() * z; z.mul_(3); y = e * z",
    "assign": "y = x.clone(); y[0] = x[1] * x[2]",
    "assign a number": "y = x.clone(); y[0] = 5; y.mul_(x)",
    "zero_": "y = x.clone(); y.zero_(); y.add_(x * x)",
    "fill_ with a number": "y = x.clone(); y.fill_(2.0); y.mul_(x)",
    "fill_": "y = x.clone(); y.fill_(x[0] * x[1])",
    "copy_": "y = torch.zeros_like(x); y.copy_(x * x)",
    "copy_ a number into all": "y = x.clone(); y.copy_(x.sum() * x[0])",
    "new_zeros": "y = x.new_zeros(2); y[1] = x[0] * x[1]",
    "assign by a mask": "y = x.clone(); y[torch.tensor([True, False, True])] = x[:2] * x[1:]",
    "assign by indices": "y = x.clone(); y[torch.tensor([2, 0])] = x[:2] * x[1:]",
    "masked_fill_": "y = x * x; y.masked_fill_(x > 0, 3.0)",
    "index_add_": "y = x.clone(); y.index_add_(0, torch.tensor([0, 0]), x[1:] * x[0])",
    "scatter_": "y = x.clone(); y.scatter_(0, torch.tensor([0, 2]), x[:2] * x[1:])",
    "addcmul_": "y = x.clone(); y.addcmul_(x, x)",
    "recurrence": "y = torch.zeros_like(x)\nfor i in range(3): y[i] = x[i] * (y[i - 1] if i else 1)",
    "into a slice": "y = x.clone(); y[1:].mul_(x[0])",
    "into a view, then its base": "y = x.clone(); v = y[1:]; v[0] = x[0] * x[2]; y.mul_(2); y = y.sum() * v",
    "into a view of a view": "y = x.clone(); v = y.view(3, 1).t(); v[0].mul_(x); v.sin_(); y = y * v[0]",
    "into overlapping views": "y = x.clone(); a = y[:2]; b = y[1:]; a.mul_(x[1:]); b.add_(x[:2]); y = torch.cat([y, a, b])",
    "into a diagonal": "y = x[:, None] * x; y.diagonal().mul_(x); y[0] = x; y.t()[1] += x * x",
    "into a column": "y = x[:, None] * x; y.select(0, 1).copy_(x.sin()); y[:, 2] = x",
    "into a reshaped buffer": "y = torch.zeros_like(x); v = y.view(-1); v[0] = x[1] * x[2]; y[1:] += v[0] * x[1:]",
    "zeros into a view": "y = x.clone(); v = y[1:]; v.zero_(); y = y + x * v.sum()",
    "a view made before": "y = x.clone(); v = y[1:]; w = v.exp(); y.mul_(x); y = v * w",
    "detached afterwards": "y = x.clone(); y.mul_(x); y = y * y.detach()",
}  # fmt: skip


def program(text: str) -> Callable[[Any], Any]:
    code = compile(text, text, "exec")

    def run(x: Any) -> Any:
        scope: dict[str, Any] = {"x": x, "torch": torch}
        exec(code, scope)
        return scope["y"]

    return run


def number(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: (f(x) ** 2).sum()


def derivatives(f: Callable[[Any], Any], row: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, ...]:
    """Value, Jacobian, change along a direction; gradient and Hessian of the squares: outside of transforms."""
    x = torch.tensor(row, requires_grad=True)
    y = f(x)
    jacobian = np.stack(
        [torch.autograd.grad(v, x, retain_graph=True)[0].numpy() for v in y.reshape(-1)]
    ).reshape(*y.shape, 3)
    (g,) = torch.autograd.grad(number(f)(x), x, create_graph=True)
    second = [torch.autograd.grad(v, x, retain_graph=True, allow_unused=True)[0] for v in g]
    return (
        y.detach().numpy(), jacobian, jacobian @ along, g.detach().numpy(),
        np.stack([np.zeros(3) if h is None else h.numpy() for h in second]),
    )  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_writes_inside_of_transforms(name: str) -> None:
    f = program(PROGRAMS[name])
    rows, along = torch.tensor(ROWS), torch.tensor(DIRECTIONS)
    each = [derivatives(f, x, v) for x, v in zip(ROWS, DIRECTIONS, strict=True)]
    values, jacobians, moved, grads, hessians = map(np.stack, zip(*each, strict=True))

    leaf = torch.tensor(ROWS, requires_grad=True)
    through = torch.autograd.grad(vmap(number(f))(leaf).sum(), leaf)[0]
    total = lambda x: vmap(number(f))(x).sum()
    twice = torch.autograd.grad(
        torch.autograd.grad(vmap(number(f))(leaf).sum(), leaf, create_graph=True)[0].sum(), leaf
    )[0]
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(torch.tensor(ROWS[0]), torch.tensor(DIRECTIONS[0]))
        tangent = forward_ad.unpack_dual(f(dual)).tangent
    found = {
        "vmap": (vmap(f)(rows), values),
        "vmap by chunks": (vmap(f, chunk_size=3)(rows), values),
        "gradients through vmap": (through, grads),
        "second ones through vmap": (twice, hessians.sum(1)),
        "grad of vmap": (grad(total)(rows), grads),
        "vmap of grad": (vmap(grad(number(f)))(rows), grads),
        "jvp": (jvp(f, (rows[0],), (along[0],))[1], moved[0]),
        "forward_ad": (tangent, moved[0]),
        "vmap of jvp": (vmap(lambda x, v: jvp(f, (x,), (v,))[1])(rows, along), moved),
        "jvp of vmap": (jvp(vmap(f), (rows,), (along,))[1], moved),
        "jacfwd": (jacfwd(f)(rows[0]), jacobians[0]),
        "jacrev": (jacrev(f)(rows[0]), jacobians[0]),
        "vmap of jacrev": (vmap(jacrev(f))(rows), jacobians),
        "hessian": (hessian(number(f))(rows[0]), hessians[0]),
        "vmap of hessian": (vmap(hessian(number(f)))(rows), hessians),
        "nested vmap": (vmap(vmap(f), in_dims=1, out_dims=1)(rows[:, None]), values[:, None]),
    }
    for how, (result, expected) in found.items():
        assert result.shape == expected.shape, how
        np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-9, atol=1e-9, err_msg=how)
    np.testing.assert_array_equal(rows.numpy(), ROWS)


def test_writes_into_the_arguments_are_seen_outside() -> None:
    for f in (lambda x: x.mul_(x), lambda x: x[1:].mul_(2), lambda x: x.view(3, 1).add_(x.sum())):
        for in_dims in (0, 1):
            x = torch.tensor(ROWS if in_dims == 0 else ROWS.T)
            expected = x.clone()
            for row in expected.unbind(in_dims):
                f(row)
            vmap(f, in_dims=in_dims)(x)
            assert x.allclose(expected)
    x, y = torch.tensor(ROWS), torch.ones(3, dtype=torch.float64)
    vmap(lambda x, y: y.mul_(2) * x, in_dims=(0, None))(x, y)
    assert y.tolist() == [2, 2, 2]
    leaf = torch.tensor(ROWS, requires_grad=True)
    z = leaf * 1
    vmap(lambda z: z.mul_(z))(z)
    assert torch.autograd.grad(z.sum(), leaf)[0].allclose(2 * leaf)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("z = torch.zeros(3); z.copy_(x)", RuntimeError, "copy_.*`self` not being vmapped over.*zeros_like"),
        ("z = torch.zeros(3); z[0] = x[0]", RuntimeError, "__setitem__.*not being vmapped over"),
        ("z = torch.zeros(3); z[1:].mul_(x[1:].float())", RuntimeError, "mul_.*not being vmapped over"),
        ("x.sum().expand(3).mul_(x)", RuntimeError, "single memory location"),
        ("z = x * 1; z.detach().mul_(2)", NotImplementedError, r"mul_.*detached tensor.*write into a \.clone"),
        ("z = x * 1; d = z.detach(); z[0] = 2", NotImplementedError, "__setitem__.*detached tensor"),
        ("torch.complex(x, x).real.mul_(x)", NotImplementedError, r"real or imaginary part.*torch\.complex"),
        ("z = x * 1; z.unbind(0)[0].mul_(2)", RuntimeError, "function that returns multiple views"),
        ("z = x * 1\nwith torch.no_grad(): z[0] = 2", NotImplementedError, "under no_grad.*differentiates"),
        ("z = x * 1\nwith torch.no_grad(): z[1:].mul_(2)", NotImplementedError, "under no_grad.*differentiates"),
        ("x.mul_(2)", RuntimeError, "leaf Variable that requires grad"),
    ],
)  # fmt: skip
def test_refusals(text: str, error: type[Exception], message: str) -> None:
    f = program(text + "\ny = x")
    with pytest.raises(error, match=message):
        vmap(f)(torch.tensor(ROWS, requires_grad=True))
    assert vmap(torch.sum)(torch.ones(2, 3)).tolist() == [3, 3]


def test_forward_mode_refuses_to_write_into_what_is_detached() -> None:
    f = lambda x: x.detach().mul_(2) * x
    along = lambda x: jvp(f, (x,), (x,))
    for call in (jacfwd(f), vmap(along), along):
        with pytest.raises(NotImplementedError, match=r"detached (from one of forward mode|tensor).*\.clone"):
            call(torch.ones(2, 3))


def test_writes_under_no_grad_inside_where_nobody_differentiates() -> None:
    def f(x: Any) -> Any:
        y = x * x
        with torch.no_grad():
            y[1:].mul_(3)
        return y.sum()

    x = torch.tensor(ROWS)
    factor = torch.ones(3, dtype=torch.float64)
    factor[1:] = 3
    assert vmap(f)(x).allclose((x * x * factor).sum(1))
    assert vmap(grad(f))(x).allclose(2 * x)  # the write is not recorded, as without vmap
    assert grad(f)(x[0]).allclose(2 * x[0])


def test_a_shared_tensor_may_be_written_with_what_is_shared() -> None:
    def f(x: Any) -> Any:
        buffer = torch.zeros(3, dtype=torch.float64)
        buffer[1:].add_(2)
        return x * buffer

    assert vmap(f)(torch.tensor(ROWS)).allclose(torch.tensor(ROWS) * torch.tensor([0.0, 2.0, 2.0]))


def test_forward_mode_may_write_into_a_tensor_from_inside() -> None:
    def f(x: Any) -> Any:
        buffer = torch.zeros(3, dtype=torch.float64)
        view = buffer[1:]
        view.copy_(x[1:] * x[0])
        return buffer * x

    x = torch.tensor(ROWS[0])
    assert jacfwd(f)(x).allclose(jacrev(f)(x))
