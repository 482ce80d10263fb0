"""Products of matrices, einsum and linear systems under PyTorch's names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import plugrad as torch
import plugrad.linalg
from plugrad.functions.linalg import _cheapest

RNG = np.random.default_rng(0)
ARRAYS = {
    "x": RNG.standard_normal((2, 3)), "y": RNG.standard_normal((3, 4)), "v": RNG.standard_normal(3),
    "b": RNG.standard_normal((5, 2, 3)), "c": RNG.standard_normal((5, 3, 4)), "s": np.array(2.0),
    "m": RNG.uniform(-1, 1, (3, 3)) + 3 * np.eye(3), "n": RNG.uniform(-1, 1, (2, 1, 3, 3)) + 3 * np.eye(3),
}  # fmt: skip


def tensors(library: Any) -> SimpleNamespace:
    if library is np:
        return SimpleNamespace(L=np, **ARRAYS)
    return SimpleNamespace(L=library, **{k: library.tensor(a, requires_grad=True) for k, a in ARRAYS.items()})


# The call, the same in NumPy, and the node's name in PyTorch where it is ours, too.
SAME: Any = None
CASES: list[Any] = [
    (lambda t: t.x @ t.y, SAME, "MmBackward0"),
    (lambda t: t.x @ t.v, SAME, "MvBackward0"),
    (lambda t: t.v @ t.y, SAME, "SqueezeBackward4"),
    (lambda t: t.v @ t.v, SAME, "DotBackward0"),
    (lambda t: t.b @ t.y, SAME, "UnsafeViewBackward0"),
    (lambda t: t.b @ t.c, SAME, "UnsafeViewBackward0"),
    (lambda t: t.b @ t.v, SAME, "UnsafeViewBackward0"),
    (lambda t: t.v @ t.c, SAME, None),
    (lambda t: t.x @ t.c, SAME, None),
    (lambda t: t.b[:1] @ t.c, SAME, None),
    (lambda t: t.b[:, None] @ t.c[None], SAME, None),
    (lambda t: t.b[:0] @ t.y, SAME, None),
    (lambda t: t.b[:, :, :0] @ t.y[:0], SAME, None),
    (lambda t: t.x.mm(t.y), lambda t: t.x @ t.y, "MmBackward0"),
    (lambda t: t.b.bmm(t.c), lambda t: t.b @ t.c, "BmmBackward0"),
    (lambda t: t.x.mv(t.v), lambda t: t.x @ t.v, "MvBackward0"),
    (lambda t: t.v.dot(t.v), SAME, "DotBackward0"),
    (lambda t: t.v.vdot(t.v), lambda t: t.v @ t.v, None),
    (lambda t: t.v.outer(t.x[0]), lambda t: np.outer(t.v, t.x[0]), "MulBackward0"),
    (lambda t: t.L.inner(t.b, t.x), SAME, "ViewBackward0"),
    (lambda t: t.L.inner(t.v, t.v), SAME, None),
    (lambda t: t.L.inner(t.x, t.s), SAME, "MulBackward0"),
    (lambda t: t.y[0].addmm(t.x, t.y), lambda t: t.y[0] + t.x @ t.y, "AddmmBackward0"),
    (
        lambda t: t.y[0].addmm(t.x, t.y, beta=2, alpha=3),
        lambda t: 2 * t.y[0] + 3 * t.x @ t.y,
        "AddmmBackward0",
    ),
    (lambda t: t.y[0].addmm(t.x, t.y, beta=0), lambda t: t.x @ t.y, "AddmmBackward0"),
    (lambda t: t.s.addmv(t.x, t.v, alpha=0.5), lambda t: t.s + 0.5 * t.x @ t.v, "AddmvBackward0"),
    (lambda t: t.y[0].baddbmm(t.b, t.c), lambda t: t.y[0] + t.b @ t.c, "BaddbmmBackward0"),
    (lambda t: t.y[0].addbmm(t.b, t.c, alpha=2), lambda t: t.y[0] + 2 * (t.b @ t.c).sum(0), None),
    (lambda t: t.y[0].addr(t.v, t.y[1]), lambda t: t.y[0] + np.outer(t.v, t.y[1]), None),
    (lambda t: t.y.trace(), SAME, "TraceBackward0"),
    (lambda t: t.L.kron(t.x, t.y), SAME, None),
    (lambda t: t.L.kron(t.b, t.v), SAME, None),
    (lambda t: t.L.tensordot(t.x, t.y, 1), SAME, "ViewBackward0"),
    (lambda t: t.L.tensordot(t.x, t.x), SAME, None),
    (lambda t: t.L.tensordot(t.x, t.y, 0), SAME, None),
    (lambda t: t.L.tensordot(t.b, t.c, ([0, -1], [0, 1])), SAME, "ViewBackward0"),
    (lambda t: t.L.linalg.inv(t.n), SAME, "LinalgInvExBackward0"),
    (lambda t: t.L.linalg.det(t.n), SAME, "LinalgDetBackward0"),
    (lambda t: t.L.linalg.slogdet(-t.m)[1], SAME, "LinalgSlogdetBackward0"),
    (lambda t: t.m.logdet(), lambda t: np.log(np.linalg.det(t.m)), None),
    (lambda t: (-t.m).logdet(), lambda t: np.array(np.nan), None),
    (lambda t: t.L.linalg.solve(t.m, t.y), SAME, "LinalgSolveExBackward0"),
    (lambda t: t.L.linalg.solve(t.m, t.v), SAME, None),
    (lambda t: t.L.linalg.solve(t.n, t.c), SAME, "LinalgSolveExBackward0"),
    (lambda t: t.L.linalg.solve(t.m, t.b, left=False), lambda t: t.b @ np.linalg.inv(t.m), None),
    (lambda t: t.L.linalg.cholesky(t.n @ t.n.mT), SAME, "LinalgCholeskyExBackward0"),
    (lambda t: t.L.linalg.matrix_power(t.m, 5), SAME, "MmBackward0"),
    (lambda t: t.L.linalg.matrix_power(t.n, -2), SAME, None),
    (lambda t: t.L.linalg.multi_dot([t.v, t.y, t.y.T, t.m, t.v]), SAME, None),
    (lambda t: t.L.linalg.multi_dot([t.x, t.m, t.y]), SAME, None),
]

EQUATIONS = [
    ("ij->ji", "x"),
    ("ij->", "x"),
    ("ij->i", "x"),
    ("ij", "x"),
    ("ba", "x"),
    ("bA", "x"),
    ("ii", "m"),
    ("ii->i", "m"),
    ("...i->i...", "b"),
    ("i...->...", "b"),
    ("...ii->...i", "n"),
    ("abcc,abcd->", "nn"),
    ("", "s"),
    ("->", "s"),
    ("ij,jk->ik", "xy"),
    ("ij,jk", "xy"),
    ("ij , jk -> k i", "xy"),
    ("ij,kj->ik", "xm"),
    ("i,j->ij", "vv"),
    ("i,i->", "vv"),
    ("i,i->i", "vv"),
    ("ij,ij->i", "xx"),
    ("ij,ij->", "xx"),
    ("ij,j", "xv"),
    ("ij,kl->ijkl", "xy"),
    ("ij,kl->jl", "xy"),
    ("ij,kl->", "xy"),
    ("bij,bjk->bik", "bc"),
    ("bij,bjk->ki", "bc"),
    ("bij,bjk->", "bc"),
    ("bij,jk->bik", "by"),
    ("...ij,jk", "by"),
    ("b...j,j->b...", "bv"),
    ("...,...->...", "sb"),
    ("...ij,...jk->...ik", "xc"),
    ("ij,jk,kl->il", "xmy"),
    ("bij,bjk,ij,k->bi", "bcxk"),
    ("i,ij,j->", "zxv"),
    ("ij,jk,lk,lm->im", "xmmy"),
    (",ij->ij", "sx"),
]


def extended(t: SimpleNamespace) -> SimpleNamespace:
    t.k, t.z = t.y[0], t.x[:, 0]
    return t


def einsum_case(equation: str, names: str) -> Any:
    return (lambda t: t.L.einsum(equation, *(getattr(extended(t), n) for n in names)), SAME, None)


PARAMS = [pytest.param(*case, id=str(i)) for i, case in enumerate(CASES)] + [
    pytest.param(*einsum_case(equation, names), id=f"einsum:{equation}") for equation, names in EQUATIONS
]


@pytest.mark.parametrize(("call", "reference", "node"), PARAMS)
def test_values_are_numpys_and_the_node_is_pytorchs(call: Any, reference: Any, node: Any) -> None:
    y = call(tensors(torch))
    expected = np.asarray((reference or call)(tensors(np)))
    assert y.shape == expected.shape and y.dtype == torch.float64
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    if node:
        assert y.grad_fn.name() == node


@pytest.mark.parametrize(("call", "reference", "node"), PARAMS)
def test_values_and_gradients_are_pytorchs(call: Any, reference: Any, node: Any) -> None:
    oracle = pytest.importorskip("torch")
    ours, theirs = tensors(torch), tensors(oracle)
    y, z = call(ours), call(theirs)
    assert y.shape == tuple(z.shape)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-10, atol=1e-12)
    if node:
        assert y.grad_fn.name() == z.grad_fn.name()
    g = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(torch.tensor(g))
    z.backward(oracle.tensor(g))
    for name in ARRAYS:
        found, expected = getattr(ours, name).grad, getattr(theirs, name).grad
        assert (found is None) == (expected is None)
        if found is not None:
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("call", "reference", "node"), PARAMS)
def test_gradients_are_the_slopes(call: Any, reference: Any, node: Any) -> None:
    t = tensors(torch)
    y = call(t)
    if not np.isfinite(y.detach().numpy()).all():
        pytest.skip("no slope there")
    g = torch.tensor(np.random.default_rng(1).standard_normal(y.shape))
    y.backward(g)
    found, expected, step = 0.0, 0.0, 1e-6
    moved = [tensors(torch), tensors(torch)]
    for name in ARRAYS:
        if getattr(t, name).grad is None:
            continue
        tangent = torch.tensor(np.random.default_rng(2).standard_normal(ARRAYS[name].shape))
        found += (getattr(t, name).grad * tangent).sum().item()
        for other, sign in zip(moved, (1, -1), strict=True):
            setattr(other, name, getattr(t, name).detach() + sign * step * tangent)
    up, down = (call(other).detach() for other in moved)
    expected = ((up - down) / (2 * step) * g).sum().item()
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)


ERRORS: list[Any] = [
    (lambda t: t.x @ t.x, RuntimeError, r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 2x3\)"),
    (lambda t: t.x @ t.x[0, :2], RuntimeError, r"\(2x3 and 2\)"),
    (lambda t: t.v @ t.x, RuntimeError, r"\(3 and 2x3\)"),
    (lambda t: t.b @ t.b, RuntimeError, r"\(5x2x3 and 5x2x3\)"),
    (lambda t: t.b[:2] @ t.c, RuntimeError, "matmul"),
    (
        lambda t: t.s @ t.x,
        RuntimeError,
        "both arguments to matmul need to be at least 1D, but they are 0D and 2D",
    ),
    (lambda t: t.x @ 2, TypeError, "unsupported operand"),
    (lambda t: t.x.matmul(2), TypeError, "must be Tensor, not int"),
    (lambda t: t.x.mm(t.y.float()), RuntimeError, "same dtype, but got torch.float64 and torch.float32"),
    (lambda t: t.x.mm(t.v), RuntimeError, "mm: expected a 2-D and a 2-D tensor, but got 2-D and 1-D"),
    (lambda t: t.b.bmm(t.c[:2]), RuntimeError, r"\[5, 3\] but got: \[2, 3\]"),
    (lambda t: t.v.dot(t.v[:2]), RuntimeError, r"\(3 and 2\)"),
    (lambda t: t.x.outer(t.v), RuntimeError, "outer: expected a 1-D"),
    (lambda t: t.L.inner(t.x, t.y), RuntimeError, r"\[2, 3\] and \[3, 4\]"),
    (
        lambda t: t.v.addmm(t.x, t.y),
        RuntimeError,
        r"input of shape \[3\] does not expand to the shape \[2, 4\]",
    ),
    (lambda t: t.y[0].addmm(t.x, t.x), RuntimeError, r"addmm: .* \(2x3 and 2x3\)"),
    (lambda t: t.b.trace(), RuntimeError, "expected a matrix, but got tensor with dim 3"),
    (lambda t: t.L.linalg.inv(t.x), RuntimeError, r"expected a square matrix .* found shape \[2, 3\]"),
    (lambda t: t.L.linalg.inv(t.m * 0), RuntimeError, "inv.*Singular"),
    (lambda t: t.L.linalg.solve(t.m, t.x), RuntimeError, "Incompatible shapes"),
    (lambda t: t.L.linalg.cholesky(-t.m), RuntimeError, "not positive definite"),
    (lambda t: t.L.linalg.multi_dot([t.x]), RuntimeError, "at least 2 tensors but got 1"),
    (
        lambda t: t.L.tensordot(t.x, t.x, 1),
        RuntimeError,
        "first has size 3 in dim 1 and second has size 2 in dim 0",
    ),
    (lambda t: t.L.tensordot(t.x, t.x, 3), RuntimeError, "dims=3"),
    (lambda t: t.L.tensordot(t.x, t.x, ([0], [0, 1])), RuntimeError, "same length"),
    (
        lambda t: t.L.einsum("ij,jk", t.x, t.x),
        RuntimeError,
        "subscript j has size 2 for operand 1 .* previously seen size 3",
    ),
    (lambda t: t.L.einsum("ij->ik", t.x), RuntimeError, "output subscript k does not appear"),
    (lambda t: t.L.einsum("ij->ii", t.x), RuntimeError, "output subscript i appears more than once"),
    (
        lambda t: t.L.einsum("i", t.x),
        RuntimeError,
        r"\(1\) does not match the number of dimensions \(2\) for operand 0",
    ),
    (lambda t: t.L.einsum("ij", t.x, t.x), RuntimeError, "more operands were provided than specified"),
    (lambda t: t.L.einsum("ij,ij", t.x), RuntimeError, "fewer operands were provided than specified"),
    (lambda t: t.L.einsum("i.j", t.x), RuntimeError, r"found '\.' for operand 0"),
    (lambda t: t.L.einsum("i1", t.x), RuntimeError, "found '1' for operand 0"),
    (lambda t: t.L.einsum("ij->i->", t.x), RuntimeError, "found '-' for the output"),
    (
        lambda t: t.L.einsum("ii", t.x),
        RuntimeError,
        "subscript i is repeated for operand 0 but the sizes don't match, 3 != 2",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(tensors(torch))


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors_are_of_pytorchs_class(call: Any, error: type[Exception], text: str) -> None:
    oracle = pytest.importorskip("torch")
    with pytest.raises(error):
        call(tensors(oracle))


def test_einsum_understands_sublists_and_a_list_of_operands() -> None:
    t = tensors(torch)
    expected = (t.x @ t.y).tolist()
    assert torch.einsum(t.x, [0, 1], t.y, [1, 2], [0, 2]).tolist() == expected
    assert torch.einsum(t.x, [0, 1], t.y, [1, 2]).tolist() == expected
    assert torch.einsum(t.x, [..., 1], t.y, [1, 2], [..., 2]).tolist() == expected
    assert torch.einsum("ij,jk", [t.x, t.y]).tolist() == expected


def test_einsum_broadcasts_dimensions_of_size_one() -> None:
    x, y = torch.ones(1, 3), torch.arange(6.0).reshape(2, 3)
    assert torch.einsum("ij,ij->ij", x, y).tolist() == y.tolist()
    assert torch.einsum("ij,ij->j", x, y).tolist() == [3.0, 5.0, 7.0]


def test_einsum_takes_the_cheap_product_first() -> None:
    tall, wide, thin = torch.zeros(1000, 2), torch.zeros(2, 1000), torch.zeros(1000, 3)
    pairs = [(tall, ["i", "j"]), (wide, ["j", "k"]), (thin, ["k", "l"])]
    assert _cheapest(pairs) == (1, 2)  # and never makes the large matrix
    strangers = [
        (torch.zeros(2), ["i"]),
        (torch.zeros(2), ["l"]),
        (torch.zeros(2, 900, 900, 2), ["i", "j", "k", "l"]),
    ]
    assert _cheapest(strangers) != (0, 1)


def test_addmm_ignores_its_input_where_beta_is_zero() -> None:
    x = torch.ones(2, 2)
    assert (x * float("nan")).addmm(x, x, beta=0).tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_integers_multiply_and_sum_as_integers() -> None:
    x = torch.arange(6).reshape(2, 3)
    for y in (x @ x.T, torch.einsum("ij,kj", x, x), torch.tensordot(x, x, ([1], [1]))):
        assert y.dtype == torch.int64 and y.tolist() == [[5, 14], [14, 50]]


@pytest.mark.parametrize(
    "call",
    [lambda a, b: a @ b, lambda a, b: torch.einsum("ij,jk->ki", a, b), lambda a, b: a.addmm(a, b, alpha=2j)],
)
def test_complex_products(call: Any) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((2, 2)) + 1j * rng.standard_normal((2, 2)) for _ in range(2))
    x, y = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    g = np.array([[1, 1j], [2, -1j]])
    call(x, y).backward(torch.tensor(g))
    for leaf, direction in ((x, a), (y, b)):
        step = 1e-6 * direction
        other = {id(x): a, id(y): b}

        def at(sign: int, leaf: Any = leaf, step: Any = step, other: Any = other) -> np.ndarray:
            values = {**other, id(leaf): other[id(leaf)] + sign * step}
            return call(torch.tensor(values[id(x)]), torch.tensor(values[id(y)])).numpy()

        slope = (at(1) - at(-1)) / 2
        assert np.sum(np.conj(leaf.grad.numpy()) * step).real == pytest.approx(
            np.sum(np.conj(g) * slope).real, rel=1e-5
        )


def test_the_trace_of_integers_is_int64() -> None:
    found = torch.trace(torch.full((3, 3), 100, dtype=torch.int8))
    assert (found.item(), str(found.dtype)) == (300, "torch.int64")
