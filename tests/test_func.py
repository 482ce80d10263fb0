"""func: every program of the tables gives what it gives in PyTorch; errors; where we differ on purpose."""

from __future__ import annotations

import gc
import re
import weakref
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import func
from plugrad.func import vmap, vmap_fallbacks

#: Warnings of PyTorch about itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script.:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning"),
]

Pair = namedtuple("Pair", "a b")
Program = Callable[[Any], Any]


def T(t: Any, *shape: int, seed: int = 0) -> Any:
    """A tensor of random numbers, the same for both libraries."""
    return t.tensor(np.random.default_rng(seed + sum(shape)).normal(size=shape), dtype=t.float64)


def plain(result: Any) -> Any:
    """Results as containers of arrays."""
    if isinstance(result, dict):
        return {k: plain(v) for k, v in result.items()}
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*map(plain, result))
    if isinstance(result, (tuple, list)):
        return type(result)(map(plain, result))
    return result.detach().numpy() if hasattr(result, "detach") else result


def same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(found, (tuple, list, dict)):
        assert len(found) == len(expected)
        if isinstance(found, dict):
            assert list(found) == list(expected)
            found, expected = list(found.values()), list(expected.values())
        for a, b in zip(found, expected, strict=True):
            same(a, b)
    elif isinstance(found, np.ndarray):
        assert found.shape == expected.shape and found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    else:
        assert found == expected


def error_of(program: Callable[[], Any]) -> type[Exception]:
    """The class of the error that `program` raises."""
    try:
        program()
    except Exception as error:
        return type(error)
    pytest.fail("PyTorch raises nothing")


def x3(t: Any) -> Any:
    return T(t, 3)


def y3(t: Any) -> Any:
    return T(t, 3, seed=1)


def rows(t: Any) -> Any:
    return T(t, 4, 3)


# --- derivatives --------------------------------------------------------------------------------------------


def second_of_given(t: Any) -> Any:
    """A leaf outside stays connected to what `grad` returns."""
    x, w = x3(t).requires_grad_(), y3(t).requires_grad_()
    g = t.func.grad(lambda x: (w * x**3).sum())(x)
    return g, t.autograd.grad(g.sum(), (x, w))


def under_no_grad(t: Any) -> Any:
    """`grad` records inside of a no_grad outside, which says that nothing outside is recorded."""
    w = y3(t).requires_grad_()
    with t.no_grad():
        g = t.func.grad(lambda x: (w * x**3).sum())(x3(t))
    return g, g.requires_grad


def no_grad_inside(t: Any) -> Any:
    def f(x: Any) -> Any:
        with t.no_grad():
            c = x * x
        return (x * c).sum()

    return t.func.grad(f)(x3(t))


def autograd_inside(t: Any) -> Any:
    def f(x: Any) -> Any:
        (g,) = t.autograd.grad((x * x).sum(), x, create_graph=True)
        return (g * x).sum()

    return t.func.grad(f)(x3(t))


def writes_inside(t: Any) -> Any:
    def f(x: Any) -> Any:
        y = x.clone()
        y[0] = y[1] * 2
        y.mul_(x)
        return y.sum()

    return t.func.grad(f)(x3(t))


def pulled(t: Any, f: Any, *primals: Any, cotangents: Any) -> Any:
    y, pull = t.func.vjp(f, *primals)
    return y, [pull(c) for c in cotangents]


def pushed(t: Any, f: Any, *primals: Any, tangents: Any) -> Any:
    y, push = t.func.linearize(f, *primals)
    return y, [push(*v) for v in tangents]


def meta_gradient(t: Any) -> Any:
    """A gradient through one step of descent for each of several tasks."""

    def loss(p: Any, x: Any, y: Any) -> Any:
        return ((x @ p - y) ** 2).mean()

    def after_a_step(p: Any, x: Any, y: Any) -> Any:
        return loss(p - 0.1 * t.func.grad(loss)(p, x, y), x * 2, y)

    tasks = t.func.vmap(after_a_step, in_dims=(None, 0, 0))
    return t.func.grad(lambda p: tasks(p, T(t, 5, 4, 3), T(t, 5, 4)).mean())(x3(t))


def tangent_kernel(t: Any) -> Any:
    f = lambda p, x: (x @ p).tanh().sum()
    j = t.func.vmap(t.func.jacrev(f), in_dims=(None, 0))(T(t, 3, 2), rows(t))
    return t.einsum("nij,mij->nm", j, j)


def gradient_penalty(t: Any) -> Any:
    """A parameter outside is differentiated through gradients of each example."""
    w = y3(t).requires_grad_()
    g = t.func.vmap(lambda x: t.func.grad(lambda x: (w * x**3).sum())(x))(rows(t))
    (g**2).sum().backward()
    return g, w.grad


def d2(t: Any) -> Any:
    return {"a": x3(t), "b": y3(t)}


DERIVATIVES: dict[str, Program] = {
    "grad of a dict": lambda t: t.func.grad(lambda d: (d["a"].sin() * d["b"]).sum())(d2(t)),
    "grad of containers in containers": lambda t: t.func.grad(
        lambda d: (d["a"].sin() * d["b"][0]).sum() + d["b"][1]["c"].sum()
    )({"a": x3(t), "b": (y3(t), {"c": T(t, 2)})}),
    "grad of a named tuple": lambda t: t.func.grad(lambda d: (d.a.sin() * d.b[0]).sum())(
        Pair(x3(t), [y3(t)])
    ),
    "grad of an OrderedDict": lambda t: t.func.grad(lambda d: (d["z"].sin() * d["a"]).sum())(
        OrderedDict(z=x3(t), a=y3(t))
    ),
    "argnums": lambda t: [
        t.func.grad(lambda x, y: (x * y.sin()).sum(), argnums=n)(x3(t), y3(t)) for n in (0, 1, -1, (1,), (1, 0))
    ],
    "keywords": lambda t: t.func.grad(lambda x, *, y: (x * y.sin()).sum())(x3(t), y=y3(t)),
    "grad with aux": lambda t: t.func.grad(
        lambda x: ((x * x).sum(), {"y": x.sin(), "z": [x * 2]}), has_aux=True
    )(x3(t)),
    "grad_and_value": lambda t: t.func.grad_and_value(lambda x, y: (x * y).sum(), argnums=(0, 1))(x3(t), y3(t)),
    "grad_and_value with aux": lambda t: t.func.grad_and_value(
        lambda x: ((x * x).sum(), x.sin()), has_aux=True
    )(x3(t)),
    "complex": lambda t: t.func.grad(lambda x: (x * x.conj()).real.sum())(t.tensor([1 + 2j, 2])),
    "constant": lambda t: t.func.grad(lambda x: t.ones((), dtype=t.float64))(x3(t)),
    "unused": lambda t: t.func.grad(lambda x, y: x.sum(), argnums=(0, 1))(x3(t), T(t, 2)),
    "detached": lambda t: t.func.grad(lambda x: (x.detach() * x).sum())(x3(t)),
    "third derivative": lambda t: t.func.grad(t.func.grad(t.func.grad(lambda x: x**5)))(T(t)),
    "one inside another": lambda t: t.func.grad(
        lambda x: x * t.func.grad(lambda y: x + y)(t.ones((), dtype=t.float64))
    )(T(t)),
    "of the same input": lambda t: t.func.grad(lambda x: t.func.grad(lambda y: x * y * y)(x))(T(t)),
    "grad, then autograd": second_of_given,
    "grad under no_grad": under_no_grad,
    "no_grad inside": no_grad_inside,
    "autograd.grad inside": autograd_inside,
    "in-place writes inside": writes_inside,
    "vjp": lambda t: pulled(t, lambda x: x.sin(), x3(t), cotangents=[x3(t), y3(t)]),
    "vjp of containers": lambda t: pulled(
        t,
        lambda d, z: {"o": (d["a"] * z, d["b"].sum())},
        d2(t),
        x3(t),
        cotangents=[{"o": (y3(t), T(t))}],
    ),
    "vjp of a list": lambda t: pulled(t, lambda x: [x.sin(), x], x3(t), cotangents=[[x3(t), y3(t)]]),
    "vjp with aux": lambda t: (
        lambda y, pull, aux: (y, aux, pull(y3(t)))
    )(*t.func.vjp(lambda x: (x.sin(), x * 2), x3(t), has_aux=True)),
    "jvp": lambda t: t.func.jvp(lambda x, y: x.sin() * y, (x3(t), y3(t)), (y3(t), T(t, 3, seed=5))),
    "jvp of containers": lambda t: t.func.jvp(lambda d: {"o": d["a"] * d["b"]}, (d2(t),), (d2(t),)),
    "jvp with aux": lambda t: t.func.jvp(lambda x: (x.sin(), x * 2), (x3(t),), (y3(t),), has_aux=True),
    "jvp of a constant": lambda t: t.func.jvp(lambda x: t.ones(3), (x3(t),), (y3(t),)),
    "jvp of jvp": lambda t: t.func.jvp(
        lambda x: t.func.jvp(lambda x: x**3, (x,), (t.ones_like(x),))[1], (x3(t),), (y3(t),)
    ),
    "linearize": lambda t: pushed(
        t,
        lambda d, z: {"o": d["a"].sin() * z, "p": z.sum()},
        {"a": x3(t)},
        y3(t),
        tangents=[({"a": y3(t)}, x3(t)), ({"a": x3(t)}, x3(t))],
    ),
    "forward over reverse": lambda t: t.func.jvp(
        t.func.grad(lambda x: (x**3).sum() * x[0]), (x3(t),), (y3(t),)
    ),
    "reverse over forward": lambda t: t.func.grad(
        lambda x: t.func.jvp(lambda x: (x**3).sum() * x[0], (x,), (y3(t),))[1]
    )(x3(t)),
    "meta gradient": meta_gradient,
    "tangent kernel": tangent_kernel,
    "gradient penalty": gradient_penalty,
    "grad of vmap of grad of vmap": lambda t: t.func.vmap(
        t.func.grad(lambda x: t.func.vmap(lambda y: (x * y).sin().sum())(rows(t)).prod())
    )(rows(t)),
    "complex vjp": lambda t: t.func.vjp(lambda z: z * z, t.complex(x3(t), y3(t)))[1](t.complex(y3(t), x3(t))),
    "complex jvp": lambda t: t.func.jvp(
        lambda z: z * z.conj(), (t.complex(x3(t), y3(t)),), (t.complex(y3(t), x3(t)),)
    ),
    "hessian": lambda t: t.func.hessian(lambda x: (x.sin() * x[0]).sum())(x3(t)),
    "hessian of a dict": lambda t: t.func.hessian(lambda d: (d["a"].sin() * d["b"]).sum())(d2(t)),
    "hessian argnums": lambda t: t.func.hessian(lambda x, y: (x.sin() * y**2).sum(), argnums=(0, 1))(
        x3(t), y3(t)
    ),
    "hessian of a vector": lambda t: t.func.hessian(lambda x: x**3)(x3(t)),
    "jacrev by chunks": lambda t: [
        t.func.jacrev(lambda x: (x.sin(), x[:2] * x[2]), chunk_size=k)(x3(t)) for k in (1, 2, 3, 7)
    ],
}  # fmt: skip

#: For both kinds of Jacobian.
JACOBIANS: dict[str, Callable[[Any, Any], Any]] = {
    "a matrix": lambda t, jac: jac(lambda x: x[:2].sin()[:, None] * x)(x3(t)),
    "a number": lambda t, jac: jac(lambda x: x.sum())(x3(t)),
    "of a number": lambda t, jac: jac(lambda x: x * x)(T(t)),
    "nothing": lambda t, jac: jac(lambda x: x * x)(x3(t)[:0]),
    "containers": lambda t, jac: jac(lambda d: {"o": d["a"] * d["b"], "p": (d["a"].sum(),)})(d2(t)),
    "argnums": lambda t, jac: [
        jac(lambda x, y: (x * y, x.sum()), argnums=n)(x3(t), y3(t)) for n in (0, 1, (0,), (0, 1))
    ],
    "aux": lambda t, jac: jac(lambda x: (x.sin(), {"k": x * 2}), has_aux=True)(x3(t)),
    "unused": lambda t, jac: jac(lambda x, y: x * x, argnums=(0, 1))(x3(t), T(t, 2)),
    "constant": lambda t, jac: jac(lambda x: t.ones(2))(x3(t)),
    "dtypes": lambda t, jac: jac(lambda x: (x.double() * 2, x * x))(x3(t).float()),
    "twice": lambda t, jac: jac(jac(lambda x: x[:2] ** 3 * x[2]))(x3(t)),
    "in jacrev": lambda t, jac: t.func.jacrev(jac(lambda x: x[:2] ** 3 * x[2]))(x3(t)),
    "in jacfwd": lambda t, jac: t.func.jacfwd(jac(lambda x: x[:2] ** 3 * x[2]))(x3(t)),
    "in vmap": lambda t, jac: t.func.vmap(jac(lambda x: x[:2] ** 3 * x[2]))(rows(t)),
    "of vmap": lambda t, jac: jac(t.func.vmap(lambda x: x[:2] ** 3 * x[2]))(rows(t)),
    "then autograd": lambda t, jac: (
        lambda x: t.autograd.grad(jac(lambda x: (x**4) * x[0])(x).sum(), x)
    )(x3(t).requires_grad_()),
}  # fmt: skip

# --- vmap ---------------------------------------------------------------------------------------------------


def of_vjp(t: Any) -> Any:
    def f(x: Any, v: Any) -> Any:
        _, pull = t.func.vjp(lambda x: x.sin() * x[0], x)
        return pull(v)[0]

    return t.func.vmap(f)(rows(t), T(t, 4, 3, seed=1))


def of_pull(t: Any) -> Any:
    _, pull = t.func.vjp(lambda x: x.sin() * x[0], x3(t))
    return t.func.vmap(pull)(rows(t))


def of_push(t: Any) -> Any:
    _, push = t.func.linearize(lambda x: x.sin() * x[0], x3(t))
    return t.func.vmap(push)(rows(t))


def through(t: Any) -> Any:
    """Gradients of a batched and a shared argument, by second order too."""
    x, w = rows(t).requires_grad_(), y3(t).requires_grad_()
    y = t.func.vmap(lambda x, w: (x * w).sin().sum() ** 2, in_dims=(0, None))(x, w)
    gs = t.autograd.grad(y.sum(), (x, w), create_graph=True)
    return gs, t.autograd.grad(sum((g**2).sum() for g in gs), (x, w))


VMAP: dict[str, Program] = {
    "in_dims None": lambda t: t.func.vmap(lambda x, y: x * y, in_dims=(0, None))(rows(t), x3(t)),
    "in_dims 1": lambda t: t.func.vmap(lambda x, y: x @ y, in_dims=(1, 0))(rows(t), T(t, 3, 4)),
    "in_dims -1": lambda t: t.func.vmap(lambda x: x.sum(), in_dims=-1)(rows(t)),
    "in_dims in containers": lambda t: t.func.vmap(
        lambda d, e: d["a"] * e[0] + e[1][0], in_dims=({"a": 0}, [1, (None,)])
    )({"a": rows(t)}, [T(t, 3, 4), (x3(t),)]),
    "in_dims as a prefix": lambda t: t.func.vmap(lambda d, e: d["a"] * e[0] + e[1][0])(
        {"a": rows(t)}, [rows(t), (rows(t),)]
    ),
    "out_dims": lambda t: t.func.vmap(lambda x: (x, x.sum()), out_dims=(1, 0))(rows(t)),
    "out_dims -1": lambda t: t.func.vmap(lambda x: (x, x[:, None] * x), out_dims=-1)(rows(t)),
    "out_dims of a dict": lambda t: t.func.vmap(
        lambda x: {"a": x, "b": [x.sum()]}, out_dims={"a": 1, "b": [0]}
    )(rows(t)),
    "out_dims None": lambda t: t.func.vmap(lambda x, y: (x, y * 2), in_dims=(0, None), out_dims=(0, None))(
        rows(t), x3(t)
    ),
    "out_dims of one": lambda t: t.func.vmap(lambda x: x, out_dims=(1,))(rows(t)),
    "the same for all": lambda t: t.func.vmap(lambda x, y: y * 2, in_dims=(0, None))(rows(t), x3(t)),
    "a named tuple": lambda t: t.func.vmap(lambda x: Pair(x, [x * 2]))(rows(t)),
    "a number among the results": lambda t: t.func.vmap(lambda x: (x, 3), out_dims=(0, None))(rows(t)),
    "keywords are shared": lambda t: t.func.vmap(lambda x, y: x * y.sum(0))(rows(t), y=rows(t)),
    "a number": lambda t: t.func.vmap(lambda x, k: x**k, in_dims=(0, None))(rows(t), 2),
    "a closure": lambda t: (lambda w: t.func.vmap(lambda x: x @ w)(rows(t)))(x3(t)),
    "nested": lambda t: t.func.vmap(lambda x: t.func.vmap(lambda y: x * y, out_dims=1)(T(t, 5, 3)))(rows(t)),
    "three levels": lambda t: t.func.vmap(
        lambda x: t.func.vmap(lambda y: t.func.vmap(lambda z: (x * y).sum() + z)(T(t, 2)), out_dims=1)(rows(t))
    )(rows(t)),
    "nested dims": lambda t: t.func.vmap(t.func.vmap(lambda x: x.sum(), in_dims=1), in_dims=2)(T(t, 2, 3, 4)),
    "no examples": lambda t: t.func.vmap(lambda x: x.sin().sum())(rows(t)[:0]),
    "shapes": lambda t: t.func.vmap(lambda x: x * x.shape[0] + x.numel() + x.dim() + x.size(0) + len(x))(rows(t)),
    "a loop over a tensor": lambda t: t.func.vmap(lambda x: sum(v * i for i, v in enumerate(x)))(rows(t)),
    "a choice that all share": lambda t: t.func.vmap(lambda x, y: x if y.sum() > 0 else -x, in_dims=(0, None))(
        rows(t), x3(t)
    ),
    "an index each": lambda t: t.func.vmap(lambda x, i: x[i])(rows(t), t.tensor([0, 1, 2, 0])),
    "indices each": lambda t: t.func.vmap(lambda x, i: x[i])(rows(t), t.tensor([[0, 1], [1, 2], [2, 1], [0, 0]])),
    "vmap of vjp": of_vjp,
    "vmap of a vjp function": of_pull,
    "vmap of a linear function": of_push,
    "vmap of jvp": lambda t: t.func.vmap(lambda v: t.func.jvp(lambda x: x.sin() * x[0], (x3(t),), (v,))[1])(
        rows(t)
    ),
    "jvp of vmap": lambda t: t.func.jvp(t.func.vmap(lambda x: x.sin() * x[0]), (rows(t),), (T(t, 4, 3, seed=2),)),
    "vmap of hessian": lambda t: t.func.vmap(t.func.hessian(lambda x: (x.sin() * x[0]).sum()))(rows(t)),
    "grad of vmap": lambda t: t.func.grad(lambda x: t.func.vmap(lambda x: (x * x[0]).sum())(x).prod())(rows(t)),
    "gradients through": through,
    **{
        f"chunks of {k}": lambda t, k=k: t.func.vmap(  # type: ignore[misc]
            lambda x, y: (x * y, x.sum()), in_dims=(1, None), out_dims=(-1, 0), chunk_size=k
        )(rows(t), T(t, 4))
        for k in (1, 2, 3, 7)
    },
}  # fmt: skip

PROGRAMS = {
    **DERIVATIVES,
    **VMAP,
    **{
        f"{kind} {name}": lambda t, f=f, kind=kind: f(t, getattr(t.func, kind))  # type: ignore[misc]
        for kind in ("jacrev", "jacfwd")
        for name, f in JACOBIANS.items()
    },
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_give_what_they_give_in_pytorch(name: str) -> None:
    oracle = pytest.importorskip("torch")
    same(plain(PROGRAMS[name](torch)), plain(PROGRAMS[name](oracle)))


# --- errors -------------------------------------------------------------------------------------------------


def call(name: str, *how: Any, **options: Any) -> Callable[..., Program]:
    """`func.name(f, …)(*args)` as a program."""

    def of(f: Any, *args: Any) -> Program:
        return lambda t: getattr(t.func, name)(f, *how, **options)(
            *[a(t) if callable(a) else a for a in args]
        )

    return of


#: name: (program, what our message says); the class is PyTorch's.
ERRORS: dict[str, tuple[Program, str]] = {
    "grad of a vector": (call("grad")(lambda x: x * x, x3), "scalar Tensor, got tensor with 1 dims"),
    "grad of no tensor": (call("grad")(lambda x: 3.0, x3), "return a Tensor, got <class 'float'>"),
    "grad of a tuple": (call("grad")(lambda x: (x.sum(),), x3), "return a Tensor, got <class 'tuple'>"),
    "grad without aux": (call("grad", has_aux=True)(lambda x: x.sum(), x3), r"\(output, aux\) if has_aux"),
    "grad by a number": (call("grad")(lambda x: x, 3.0), "Tensor, got <class 'float'>|<class 'float'>: close"),
    "grad by integers": (call("grad")(lambda x: x.sum(), lambda t: t.tensor([1])), "only Tensors of floating point"),
    "grad of complex": (
        call("grad")(lambda x: x.sum(), lambda t: t.tensor([1j])),
        "implicitly created only for real scalar outputs",
    ),
    "argnums too large": (call("grad", argnums=1)(lambda x: x.sum(), x3), "argnum=1, but only 1 positional"),
    "argnums a list": (call("grad", argnums=[0])(lambda x: x.sum(), x3), "int or Tuple.*<class 'list'>"),
    "argnums empty": (call("grad", argnums=())(lambda x: x.sum(), x3), "non-empty"),
    "argnums twice": (call("grad", argnums=(0, -1))(lambda x: x.sum(), x3), "must be unique"),
    "grad writes its input": (call("grad")(lambda x: x.mul_(2).sum(), x3), "leaf Variable that requires grad"),
    "vjp of another structure": (
        lambda t: t.func.vjp(lambda x: (x, x), x3(t))[1](x3(t)),
        "structure of cotangents to be the same",
    ),
    "vjp of a list by a tuple": (
        lambda t: t.func.vjp(lambda x: [x, x], x3(t))[1]((x3(t), x3(t))),
        "structure of cotangents to be the same",
    ),
    "vjp of another shape": (lambda t: t.func.vjp(lambda x: x, x3(t))[1](T(t, 2)), "Mismatch in shape"),
    "vjp of a number": (lambda t: t.func.vjp(lambda x: x, x3(t))[1](3.0), "must be Tensors|either Tensors or"),
    "vjp returns a number": (lambda t: t.func.vjp(lambda x: (x, 3), x3(t)), "return only tensors.*<class 'int'>"),
    "vjp returns booleans": (lambda t: t.func.vjp(lambda x: x > 0, x3(t)), "must be floating-point or complex"),
    "vjp returns nothing": (lambda t: t.func.vjp(lambda x: (), x3(t)), "non-empty output"),
    "jvp of a list": (lambda t: t.func.jvp(lambda x: x, [x3(t)], [x3(t)]), "primals to be a tuple"),
    "jvp of other tangents": (
        lambda t: t.func.jvp(lambda x: x, (x3(t),), (x3(t), x3(t))),
        "same python structure",
    ),
    "jvp of another shape": (lambda t: t.func.jvp(lambda x: x, (x3(t),), (T(t, 2),)), "has a different size"),
    "jvp by a number": (lambda t: t.func.jvp(lambda x: x, (x3(t),), (1.0,)), "tangents to only contain Tensors"),
    "strict jvp": (
        lambda t: t.func.jvp(lambda x: t.ones(3), (x3(t),), (x3(t),), strict=True),
        "independent of the inputs",
    ),
    "linearize, another shape": (
        lambda t: t.func.linearize(lambda x: x.sin(), x3(t))[1](T(t, 2)),
        "tangent:0 with shape .* doesn't match",
    ),
    "linearize, another dtype": (
        lambda t: t.func.linearize(lambda x: x.sin(), x3(t))[1](x3(t).float()),
        "tangent:0 with dtype torch.float32",
    ),
    "linearize, other arguments": (
        lambda t: t.func.linearize(lambda x: x.sin(), x3(t))[1](x3(t), x3(t)),
        "same argspec as the primals",
    ),
    "jacrev of no tensor": (call("jacrev")(lambda x: 3, x3), "return only tensors"),
    "jacrev of booleans": (call("jacrev")(lambda x: x > 0, x3), "must be floating-point or complex"),
    "jacrev by complex": (call("jacrev")(lambda x: x, lambda t: t.tensor([1j])), "inputs to be real"),
    "jacrev of complex": (call("jacrev")(lambda x: x * 1j, x3), "outputs to be real"),
    "jacrev by no examples at a time": (call("jacrev", chunk_size=0)(lambda x: x, x3), "should be greater than 0"),
    "jacfwd of no tensor": (call("jacfwd")(lambda x: 3, x3), "return only tensors"),
    "jacfwd by complex": (call("jacfwd")(lambda x: x, lambda t: t.tensor([1j])), "inputs to be real"),
    "jacfwd of complex": (call("jacfwd")(lambda x: x * 1j, x3), "outputs to be real"),
    "jacfwd by integers": (call("jacfwd")(lambda x: x * 2.0, lambda t: t.tensor([1])), "floating point or complex"),
    "no inputs": (call("vmap")(lambda: 1), "got no inputs"),
    "no tensors": (call("vmap", in_dims=(None,))(lambda x: x, rows), "at least one Tensor to vmap over"),
    "an empty list": (call("vmap")(lambda x: x, []), "at least one Tensor to vmap over"),
    "several sizes": (call("vmap")(lambda x, y: x, rows, x3), r"same size in the mapped.*\[4, 3\]"),
    "no dimension": (call("vmap")(lambda x: x, T), "Tensor of dimensionality 0"),
    "in_dims too large": (call("vmap", in_dims=2)(lambda x: x, rows), "-2 <= in_dim < 2"),
    "in_dims a float": (call("vmap", in_dims=(0.5,))(lambda x: x, rows), "either an integer dimension or None"),
    "in_dims a list": (call("vmap", in_dims=[0])(lambda x: x, rows), "int or a .* tuple"),
    "in_dims of another structure": (call("vmap", in_dims=(0,))(lambda x, y: x, rows, rows), "not compatible"),
    "vmap over a number": (call("vmap")(lambda x, k: x, rows, 2), "We cannot vmap over non-Tensor arguments"),
    "out_dims of another structure": (call("vmap", out_dims=(0, 0))(lambda x: x, rows), "not compatible"),
    "out_dims too large": (call("vmap", out_dims=2)(lambda x: x, rows), "Dimension out of range"),
    "out_dims a text": (call("vmap", out_dims="a")(lambda x: x, rows), "must be an int, None or"),
    "out_dims None for a batch": (call("vmap", out_dims=None)(lambda x: x, rows), "when out_dim is None"),
    "a number returned": (call("vmap")(lambda x: (x, 3), rows), "must only return Tensors, got type <class 'int'>"),
    "None returned": (call("vmap")(lambda x: None, rows), "must only return Tensors"),
    "randomness of another name": (call("vmap", randomness="x")(lambda x: x, rows), "'error', 'different', or 'same'"),
    "no examples at a time": (call("vmap", chunk_size=0)(lambda x: x, rows), "greater than 0"),
    "item": (call("vmap")(lambda x: x * x.sum().item(), rows), "data-dependent control flow.*torch.where"),
    "if": (call("vmap")(lambda x: x if x.sum() > 0 else -x, rows), "data-dependent control flow.*torch.where"),
    "float": (call("vmap")(lambda x: x * float(x[0]), rows), "data-dependent control flow"),
    "tolist": (call("vmap")(lambda x: x * x.tolist()[0], rows), "data-dependent control flow"),
    "numpy": (call("vmap")(lambda x: x.numpy(), rows), "data-dependent control flow"),
    "range": (call("vmap")(lambda x: x[: int(x[0])], rows), "data-dependent control flow"),
    "equal": (lambda t: t.func.vmap(lambda x: x * t.equal(x, x))(rows(t)), "data-dependent control flow"),
    "allclose": (lambda t: t.func.vmap(lambda x: x * t.allclose(x, x))(rows(t)), "data-dependent control flow"),
    "nonzero": (call("vmap")(lambda x: x.nonzero(), rows), "dynamic shape.*torch.where"),
    "a mask": (call("vmap")(lambda x: x[x > 0], rows), "dynamic shape.*torch.where"),
    "unique": (call("vmap")(lambda x: x.unique(), rows), "dynamic shape"),
    "random numbers": (lambda t: t.func.vmap(lambda x: x + t.rand(3))(rows(t)), "randomness error mode"),
    "random numbers in jacfwd": (lambda t: t.func.jacfwd(lambda x: x + t.rand(3))(x3(t)), "randomness error mode"),
    "dropout": (
        lambda t: t.func.vmap(lambda x: t.nn.functional.dropout(x))(rows(t)),
        "bernoulli .*randomness error mode",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_and_are_of_pytorch_s_class(name: str) -> None:
    oracle = pytest.importorskip("torch")
    program, message = ERRORS[name]
    with pytest.raises(error_of(lambda: program(oracle)), match=f"(?s){message}"):
        program(torch)


def test_the_levels_are_gone_after_an_error() -> None:
    def fails(x: Any) -> Any:
        raise KeyError("mine")

    for program in (vmap(fails), func.jacfwd(fails), func.grad(fails)):
        with pytest.raises(KeyError, match="mine"):
            program(rows(torch))
    same(plain(vmap(torch.sin)(rows(torch))), np.sin(plain(rows(torch))))


USES: dict[str, Callable[[Any], Any]] = {
    "add": lambda x: x + 1,
    "add to another": lambda x: torch.ones(4, 3) + x,
    "sum": lambda x: x.sum(),
    "mul_": lambda x: x.mul_(2),
    "add_ to another": lambda x: torch.ones(4, 3).add_(x),
    "copy_ to another": lambda x: torch.ones(4, 3).copy_(x),
    "tolist": lambda x: x.tolist(),
    "index": lambda x: x[0],
    "as an index": lambda x: torch.ones(4, 3)[x > 0],
    "assign": lambda x: x.__setitem__(0, 1.0),
    "assign a tensor": lambda x: x.__setitem__(0, torch.ones(())),
    "assign to another": lambda x: torch.ones(4, 3).__setitem__(0, x),
    "normal_": lambda x: x.normal_(),
    "zero_": lambda x: x.zero_(),
    "detach": lambda x: x.detach(),
    "stack": lambda x: torch.stack([x, x]),
    "where": lambda x: torch.where(torch.tensor(True), x, 0),
    "zeros_like": lambda x: torch.zeros_like(x),
    "to": lambda x: x.to(torch.float32),
    "device": lambda x: x.device,
    "stride": lambda x: x.stride(),
    "vmap": lambda x: vmap(torch.sin)(x),
    "grad": lambda x: func.grad(torch.sum)(x),
    "jvp": lambda x: func.jvp(torch.sin, (x,), (x,)),
}


@pytest.mark.parametrize(
    "transformed",
    [
        lambda f: vmap(f)(rows(torch)),
        lambda f: func.jvp(f, (x3(torch),), (x3(torch),)),
        lambda f: func.jacrev(vmap(f))(rows(torch)),
    ],
)
def test_a_tensor_that_escaped_cannot_be_used(transformed: Any) -> None:
    kept = []

    def f(x: Any) -> Any:
        kept.append(x * 2)
        return x

    transformed(f)
    for name, use in USES.items():
        try:
            use(kept[0])
        except RuntimeError as error:
            assert re.search("after .* has ended", str(error)), name
        else:
            pytest.fail(f"{name} raises nothing")
    assert "has ended" in repr(kept[0])


def test_fallbacks_are_counted_and_can_be_errors() -> None:
    def search(edges: Any, x: Any) -> Any:
        return torch.searchsorted(edges, x)

    edges, x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.5], [5.0]])
    with vmap_fallbacks() as counted:
        assert vmap(search)(edges, x).tolist() == [[1], [2]]
        assert vmap(torch.exp)(x).shape == (2, 1)
    assert dict(counted) == {"searchsorted": 1}
    with vmap_fallbacks("error"), pytest.raises(RuntimeError, match="searchsorted has no batching rule"):
        vmap(search)(edges, x)
    with vmap_fallbacks("error"), vmap_fallbacks(), pytest.raises(RuntimeError, match="no batching rule"):
        vmap(search)(edges, x)  # the outer one holds
    assert vmap(search)(edges, x).tolist() == [[1], [2]]
    with pytest.raises(ValueError, match="'count' or 'error', found 'raise'"), vmap_fallbacks("raise"):
        pass


# --- random numbers -----------------------------------------------------------------------------------------

RANDOM: dict[str, Callable[[Any, Any], Any]] = {
    "rand": lambda t, x: t.rand(50),
    "randn": lambda t, x: t.randn(5, 2),
    "rand_like": lambda t, x: t.rand_like(x),
    "randn_like": lambda t, x: t.randn_like(x),
    "randint": lambda t, x: t.randint(0, 1000, (50,)),
    "randperm": lambda t, x: t.randperm(50),
    "bernoulli": lambda t, x: t.bernoulli(t.full((90,), 0.5)),
    "dropout": lambda t, x: t.nn.functional.dropout(t.ones(90), 0.5),
    "dropout of a batch": lambda t, x: t.nn.functional.dropout(x[0].expand(90) * 0 + 1, 0.5),
    "normal": lambda t, x: t.normal(0.0, 1.0, (50,)),
    "normal_": lambda t, x: x.clone().normal_(),
    "uniform_": lambda t, x: x.clone().uniform_(0, 1),
    "bernoulli_": lambda t, x: (x[0].expand(90) * 1).bernoulli_(0.5),
    "random_": lambda t, x: (x[0].expand(90) * 1).random_(0, 100),
}


@pytest.mark.parametrize("randomness", ["same", "different"])
@pytest.mark.parametrize("chunk_size", [None, 1, 3])
@pytest.mark.parametrize("name", RANDOM)
def test_each_example_draws_its_own_numbers_or_the_same(
    name: str, randomness: str, chunk_size: int | None
) -> None:
    def drawn(t: Any) -> Any:
        t.manual_seed(0)
        f = lambda x: RANDOM[name](t, x)
        return plain(t.func.vmap(f, randomness=randomness, chunk_size=chunk_size)(rows(t)))

    found = drawn(torch)
    distinct = len({r.tobytes() for r in found})
    assert distinct == (1 if randomness == "same" else 4)
    oracle = pytest.importorskip("torch")
    expected = drawn(oracle)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


def test_one_draw_for_all_is_the_draw_outside() -> None:
    torch.manual_seed(0)
    found = vmap(lambda x: torch.rand(3), randomness="same")(rows(torch))
    torch.manual_seed(0)
    assert (found == torch.rand(3)).all()


def test_probabilities_of_each_example() -> None:
    ps = torch.tensor([0.0, 1.0, 0.5])
    for draw in (
        lambda p: torch.bernoulli(p.expand(200)),
        lambda p: torch.ones_like(p.expand(200)).bernoulli_(p),
    ):
        counts = vmap(draw, randomness="different")(ps).sum(1)
        assert counts[0] == 0 and counts[1] == 200 and 60 < counts[2] < 140
        with pytest.raises(RuntimeError, match=r"randomness='same' is not possible .*'different'"):
            vmap(draw, randomness="same")(ps)
    nested = vmap(vmap(lambda p: torch.bernoulli(p), randomness="different"), randomness="different")
    assert nested(torch.eye(3)).tolist() == torch.eye(3).tolist()


def test_randomness_of_nested_levels() -> None:
    def drawn(outer: str, inner: str) -> Any:
        f = vmap(lambda y: torch.rand(20), randomness=inner)
        return vmap(f, randomness=outer)(rows(torch)).numpy()

    y = drawn("different", "same")
    assert (y[0, 0] == y[0, 1]).all() and (y[0, 0] != y[1, 0]).any()
    y = drawn("same", "different")
    assert (y[0, 0] != y[0, 1]).any() and (y[0, 0] == y[1, 0]).all()


def test_a_tensor_from_outside_cannot_be_filled_with_numbers_for_each() -> None:
    with pytest.raises(RuntimeError, match=r"normal_.*not being vmapped over"):
        vmap(lambda x: torch.zeros(3).normal_(), randomness="different")(rows(torch))


# --- modules ------------------------------------------------------------------------------------------------


class Net:
    """The same module in both libraries, with the same parameters."""

    def __init__(self, t: Any, seed: int = 0) -> None:
        self.t = t
        self.module = t.nn.Sequential(t.nn.Linear(3, 5), t.nn.Tanh(), t.nn.Linear(5, 2)).double()
        with t.no_grad():
            for i, p in enumerate(self.module.parameters()):
                p.copy_(T(t, *p.shape, seed=seed + i))

    @property
    def params(self) -> dict[str, Any]:
        return {k: v.detach() for k, v in self.module.named_parameters()}

    def loss(self, params: Any, x: Any, y: Any) -> Any:
        out = self.t.func.functional_call(self.module, params, (x,))
        return self.t.nn.functional.cross_entropy(out, y)


def per_sample(t: Any) -> Any:
    net = Net(t)
    x, y = T(t, 6, 3), t.tensor([0, 1, 1, 0, 1, 0])
    f = t.func.vmap(t.func.grad_and_value(net.loss), in_dims=(None, 0, 0))
    return f(net.params, x, y)


def ensemble(t: Any) -> Any:
    nets = [Net(t, seed) for seed in (0, 10, 20)]
    params, buffers = t.func.stack_module_state([n.module for n in nets])
    one = lambda p, b, x: t.func.functional_call(nets[0].module, (p, b), (x,))
    shared = t.func.vmap(one, in_dims=(0, 0, None))(params, buffers, T(t, 6, 3))
    each = t.func.vmap(one)(params, buffers, T(t, 3, 6, 3))
    each.square().mean().backward()
    return shared, each, {k: v.grad for k, v in params.items()}


def hessian_of_a_module(t: Any) -> Any:
    net = Net(t)
    x, y = T(t, 6, 3), t.tensor([0, 1, 1, 0, 1, 0])
    return t.func.hessian(lambda b: net.loss({**net.params, "2.bias": b}, x, y))(net.params["2.bias"])


def with_statistics(t: Any) -> Any:
    """A buffer that the module writes to is the one that was given."""

    class Counts(t.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", t.zeros(()))

        def forward(self, x: Any, *, by: float = 1.0) -> Any:
            self.count.add_(by)
            return x * self.count

    module, count = Counts(), t.tensor(5.0)
    y = t.func.functional_call(module, {"count": count}, (t.ones(2),), {"by": 2.0})
    return y, count, module.count


@pytest.mark.parametrize("program", [per_sample, ensemble, hessian_of_a_module, with_statistics])
def test_modules_give_what_they_give_in_pytorch(program: Program) -> None:
    same(plain(program(torch)), plain(program(pytest.importorskip("torch"))))


def test_gradients_per_sample_are_those_of_a_loop() -> None:
    net = Net(torch)
    gradients, losses = per_sample(torch)
    x, y = T(torch, 6, 3), torch.tensor([0, 1, 1, 0, 1, 0])
    for i in range(6):
        one, loss = func.grad_and_value(net.loss)(net.params, x[i], y[i])
        assert losses[i].allclose(loss)
        assert all(gradients[k][i].allclose(g) for k, g in one.items())


def tied(t: Any) -> Any:
    module = t.nn.Sequential(t.nn.Linear(2, 2, bias=False), t.nn.Linear(2, 2, bias=False))
    module[1].weight = module[0].weight
    return module


def test_tied_weights() -> None:
    oracle = pytest.importorskip("torch")

    def results(t: Any) -> Any:
        w, v = T(t, 2, 2).float(), T(t, 2, 2, seed=1).float()
        module, x = tied(t), t.ones(2)
        with t.no_grad():
            module[0].weight.copy_(T(t, 2, 2, seed=2).float())
        return [
            t.func.functional_call(module, {"0.weight": w}, x),
            t.func.functional_call(module, {"1.weight": w}, x),
            t.func.functional_call(module, {"0.weight": w}, x, tie_weights=False),
            t.func.functional_call(module, {"0.weight": w, "1.weight": v}, x, tie_weights=False),
            t.func.functional_call(module, {"0.weight": w}, x, strict=True),
            module(x),
        ]

    for a, b in zip(plain(results(torch)), plain(results(oracle)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (lambda t, m: t.func.functional_call(m, {"weight": m.weight}, t.ones(2), strict=True), "Missing.*bias"),
        (
            lambda t, m: t.func.functional_call(
                m, {"weight": m.weight, "bias": m.bias, "other": m.bias}, t.ones(2), strict=True
            ),
            "Unexpected.*other",
        ),
        (lambda t, m: t.func.functional_call(m, {"a.weight": m.weight}, t.ones(2)), "has no attribute `a`"),
        (lambda t, m: t.func.functional_call(m, {"weight": 3}, t.ones(2)), "3 is not an instance of torch.Tensor"),
        (lambda t, m: t.func.functional_call(m, 3, t.ones(2)), "to be a dict, or a list/tuple of dicts"),
        (lambda t, m: t.func.functional_call(m, [3], t.ones(2)), "all elements .* to be dictionaries"),
        (
            lambda t, m: t.func.functional_call(m, [{"bias": m.bias}, {"bias": m.bias}], t.ones(2)),
            "appeared in multiple dictionaries",
        ),
        (
            lambda t, m: t.func.functional_call(
                tied(t), {"0.weight": t.ones(2, 2), "1.weight": t.zeros(2, 2)}, t.ones(2)
            ),
            "multiple values for keys",
        ),
        (lambda t, m: t.func.stack_module_state([]), "at least one model"),
        (lambda t, m: t.func.stack_module_state([m, t.nn.Linear(2, 2).eval()]), "same training/eval mode"),
        (lambda t, m: t.func.stack_module_state([m, t.nn.Tanh()]), "same class"),
        (lambda t, m: t.func.stack_module_state([m, t.nn.Linear(2, 2).requires_grad_(False)]), "same .*requires_grad"),
    ],
)  # fmt: skip
def test_errors_of_modules(program: Any, message: str) -> None:
    oracle = pytest.importorskip("torch")
    cls = error_of(lambda: program(oracle, oracle.nn.Linear(2, 2)))
    module = torch.nn.Linear(2, 2)
    with pytest.raises(cls, match=f"(?s){message}"):
        program(torch, module)
    assert {k for k, _ in module.named_parameters()} == {"weight", "bias"}


def test_a_module_is_as_before_when_its_call_fails() -> None:
    module = torch.nn.Linear(2, 2)
    before = module.weight
    with pytest.raises(RuntimeError):
        func.functional_call(module, {"weight": torch.ones(2, 2)}, torch.ones(7))
    assert module.weight is before


# --- threads ------------------------------------------------------------------------------------------------


def test_levels_are_of_one_thread() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def one(seed: int) -> float:
        x = T(torch, 4, 3, seed=seed)
        h = vmap(func.hessian(lambda x: (x.sin() * x[0]).sum()))(x)
        return float(h.sum())

    expected = list(map(one, range(20)))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(20))) == expected


def test_what_nobody_can_differentiate_needs_no_gradient() -> None:
    x, w = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    inner: list[Any] = [
        lambda z: func.vjp(lambda a: a.sin() * z, x)[0],
        lambda z: func.linearize(lambda a: a.sin() * z, x)[0],
        lambda z: func.grad(lambda a: (a.sin() * z).sum())(x) * z,
        lambda z: func.jacrev(lambda a: a.sin() * z)(x) @ z,
    ]
    for f in inner:
        assert not func.grad(lambda z, f=f: f(z).sum())(w).requires_grad
        assert func.grad(lambda z, f=f: (f(z) ** 2).sum())(w.clone().requires_grad_()).requires_grad


def test_a_tensor_turned_in_place_is_freed_with_its_level() -> None:
    seen = []

    def f(x: Any) -> Any:
        y = (x * 2).reshape(1, 3)
        seen.append(weakref.ref(y))
        return y.t_()

    gc.disable()
    try:
        vmap(f)(torch.ones(2, 3))
        assert seen[0]() is None
    finally:
        gc.enable()
