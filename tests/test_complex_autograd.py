"""Derivatives of complex numbers: every op of the table against differences, in every mode, or refused; then PyTorch.

The gradient of a real loss with respect to z = x + iy is that along x plus i times that along y, as in PyTorch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad
from plugrad.autograd import gradcheck, gradgradcheck
from plugrad.errors import GradcheckError
from plugrad.op import OPS
from plugrad.testing.rows import ROWS, In, Row, Sample
from tests.test_ops import as_tensors, call, leaves, outputs

# ruff: noqa: SIM905  # lists of names

#: Ops of real numbers alone, which say so.
REAL_ONLY = set(
    "maximum minimum fmax fmin clip clamp_min clamp_max relu leaky_relu hardtanh elu softplus logsigmoid mish "
    "floor_divide trunc_divide remainder fmod hypot logaddexp atan2 floor ceil trunc sign frac copysign heaviside "
    "erf erfc gelu huber_loss smooth_l1_loss binary_cross_entropy binary_cross_entropy_with_logits "
    "layer_norm layer_norm_affine max_pool2d".split()
)
#: Their kernel reads one triangle, so that single elements cannot be moved: see the programs below.
HERMITIAN = {"cholesky"}


def floats(value: Any) -> int:
    """How many operands of a sample can be complex."""
    if isinstance(value, list):
        return sum(map(floats, value))
    kind = value.dtype if isinstance(value, (In, np.ndarray)) else "none"
    return int(str(kind) in ("float64", "complex128"))


def drawn(value: Any, rng: np.random.Generator, kinds: list[str]) -> Any:
    """An operand with the next of `kinds` ("d" or "D")."""
    if isinstance(value, list):
        return [drawn(v, rng, kinds) for v in value]
    if not floats(value):
        return value.make(rng) if isinstance(value, In) else value
    kind = kinds.pop(0)
    x = value.make(rng, kind) if isinstance(value, In) else value.astype(np.complex128)
    if isinstance(value, In) or value.dtype == np.complex128:
        return x
    return x + 0.2j * np.cos(np.arange(x.size)).reshape(x.shape) if kind == "D" else value


def cases() -> list[Any]:
    found = []
    for row in ROWS:
        if not row.grad:
            continue
        for i, sample in enumerate(row.samples):
            n = sum(map(floats, sample.args))
            mixed = ["D" + "d" * (n - 1), "d" * (n - 1) + "D"] if n > 1 else []
            found += [pytest.param(row, sample, k, id=f"{row.id}-{i}-{k}") for k in ["D" * n, *mixed] if n]
    return found


def as_function(row: Row, sample: Sample, kinds: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A call as a function of its floating-point operands, and those."""
    rng, remaining = np.random.default_rng(0), list(kinds)
    operands = as_tensors([drawn(a, rng, remaining) for a in sample.args], grad=True)
    xs = leaves(operands)

    def put(value: Any, known: dict[int, Any]) -> Any:
        return [put(v, known) for v in value] if isinstance(value, list) else known.get(id(value), value)

    def f(*given: Any) -> tuple[Any, ...]:
        known = dict(zip(map(id, xs), given, strict=True))
        return tuple(y for y in outputs(call(row, [put(v, known) for v in operands], sample)) if is_float(y))

    return f, tuple(xs)


def is_float(y: Any) -> bool:
    return bool(y.dtype.is_floating_point or y.dtype.is_complex)


CASES = cases()


@pytest.mark.parametrize(("row", "sample", "kinds"), CASES)
def test_every_op_is_right_in_every_mode_or_refuses(row: Row, sample: Sample, kinds: str) -> None:
    f, xs = as_function(row, sample, kinds)
    if row.op in REAL_ONLY:
        with pytest.raises(NotImplementedError, match="complex"):
            f(*xs)
        return
    if row.op in HERMITIAN:
        pytest.skip("of Hermitian matrices: below")
    if any(x.dtype is plugrad.float32 for x in xs):
        pytest.skip("differences need float64")
    if len({x.dtype for x in xs}) > 1 and not promotes(row.op):
        with pytest.raises(RuntimeError, match="expected operands of the same dtype"):
            f(*xs)
        return
    with warnings.catch_warnings(record=True) as dropped:
        warnings.simplefilter("always")
        f(*xs)
    with warnings.catch_warnings():
        if dropped:  # a conversion to real numbers, which was asked for
            warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        assert gradcheck(f, xs, check_forward_ad=True, fast_mode=True)
        if row.second:
            assert gradgradcheck(f, xs, check_fwd_over_rev=True, fast_mode=True)
        check_dtypes(f, xs)


def check_dtypes(f: Any, xs: Any) -> None:
    """Gradients are of the dtypes of the inputs: of real ones real."""
    for x, g in zip(xs, gradients(f, xs), strict=True):
        assert g is None or (g.dtype is x.dtype and g.shape == x.shape)


def promotes(op: str) -> bool:
    if op == "scaled_dot_product_attention":  # products of matrices
        return False
    return getattr(OPS[op], "result", "own") != "alike"


def gradients(f: Any, xs: Any) -> Any:
    ys = [y for y in f(*xs) if y.requires_grad]
    return plugrad.autograd.grad(ys, xs, [plugrad.ones_like(y) for y in ys], allow_unused=True) if ys else xs


def test_the_table_has_an_op_for_each_name_above() -> None:
    assert {row.op for row in ROWS} >= REAL_ONLY | HERMITIAN


def test_a_formula_without_its_conjugate_is_found() -> None:
    row = next(r for r in ROWS if r.op == "exp")
    f, xs = as_function(row, row.samples[0], "D")
    wrong = type("Wrong", (plugrad.autograd.Function,), {
        "forward": staticmethod(lambda ctx, z: (ctx.save_for_backward(z), f(z)[0])[1]),
        "backward": staticmethod(lambda ctx, g: g * ctx.saved_tensors[0].exp()),
    })  # fmt: skip
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        gradcheck(wrong.apply, xs, fast_mode=True)


# --- programs, as in PyTorch --------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.uniform(0.3, 1.5, shape) + 1j * RNG.uniform(0.2, 1.2, shape)


V, W, M, SQUARE = noise(3), noise(3), noise(2, 3), noise(3, 3) + 2 * np.eye(3)
R, S = V.real.copy(), V.imag.copy()


def written(write: Callable[..., Any]) -> Callable[..., Any]:
    """The program that writes into a copy of its first argument."""

    def program(t: Any, x: Any, *rest: Any) -> Any:
        y = x.clone()
        write(t, y, *rest)
        return y

    return program


def assigned(t: Any, y: Any, key: Any, value: Any) -> None:
    y[key] = value


def part(t: Any, y: Any, name: str, value: Any) -> None:
    setattr(y, name, value)


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    **{
        name: (lambda t, x, name=name: getattr(t, name)(x), (V,))
        for name in "abs angle sgn conj real imag neg reciprocal square sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sigmoid "
        "sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh prod sum mean var std norm".split()
    },
    **{
        f"{name} {kinds}": (lambda t, a, b, name=name: getattr(t, name)(a, b), operands)
        for name in "add sub mul div pow".split()
        for kinds, operands in {"complex and real": (V, R), "real and complex": (S, W), "both": (V, W)}.items()
    },
    "complex": (lambda t, a, b: t.complex(a, b), (R, S)),
    **{f"z ** {e}": (lambda t, z, e=e: z**e, (V,)) for e in (2, 3, 0.5, -1, 1.7, 1 + 2j)},
    **{f"{b} ** z": (lambda t, z, b=b: b**z, (V,)) for b in (2, 2.5, 1 + 2j, -2.0)},
    "real ** complex number": (lambda t, x: x ** (1 + 2j), (R,)),
    "negative ** complex number": (lambda t, x: x ** (1 + 2j), (-R,)),
    "complex number ** real": (lambda t, x: (1 + 2j) ** x, (R,)),
    "complex number / real": (lambda t, x: (1 + 2j) / x, (R,)),
    "root of a negative": (lambda t, x: (x + 0j).sqrt(), (-R,)),
    "logarithm of a negative": (lambda t, x: (x + 0j).log(), (-R,)),
    "abs at 0": (lambda t, z: (z * 0).abs() + z.abs(), (V,)),
    **{f"norm {p}": (lambda t, z, p=p: z.norm(p), (V,)) for p in (1, 2, 3, 0.5, -1.0, float("inf"))},
    "norm of matrices": (lambda t, z: z.norm(2, 0), (M,)),
    "logsumexp": (lambda t, z: t.logsumexp(z, 0), (V,)),
    "cumsum": (lambda t, z: t.cumsum(z, 0), (V,)),
    "cumprod": (lambda t, z: t.cumprod(z, 0), (V,)),
    "cumprod with zeros": (lambda t, z: t.cumprod(z * t.tensor([1.0, 0.0, 1.0]), 0), (V,)),
    "prod with a zero": (lambda t, z: (z * t.tensor([1.0, 0.0, 1.0])).prod(), (V,)),
    "var by columns": (lambda t, z: z.var(0), (M,)),
    "real and imag": (lambda t, z: (z.real * z.imag, z.imag.exp()), (V,)),
    "where": (lambda t, a, b: t.where(t.tensor([True, False, True]), a, b), (V, W)),
    "indexing": (lambda t, z: (z[1:] * z[:-1].conj(), z[t.tensor([0, 0, 2])], z[t.tensor([True, False, True])]), (V,)),
    "masked_fill": (lambda t, z: z.masked_fill(t.tensor([True, False, True]), 1 + 2j), (V,)),
    "cat": (lambda t, a, b: t.cat([a, b]), (V, R)),
    "stack": (lambda t, a, b: t.stack([a, b]), (R, V)),
    "to real": (lambda t, z: z.real.to(t.complex128), (V,)),
    "to complex": (lambda t, x: x.to(t.complex128) * 1j, (R,)),
    "single precision": (lambda t, z: z.to(t.complex64), (V,)),
    "adjoint": (lambda t, z: z.mH @ z, (M,)),
    "matmul": (lambda t, a, b: a @ b, (SQUARE, V)),
    "vdot": (lambda t, a, b: t.vdot(a, b), (V, W)),
    "outer": (lambda t, a, b: t.outer(a, b), (V, W)),
    "kron": (lambda t, a, b: t.kron(a, b), (V, W)),
    "tensordot": (lambda t, a, b: t.tensordot(a, b, 1), (SQUARE, V)),
    "addcmul": (lambda t, a, b: t.addcmul(a, b, a, value=2), (V, W)),
    "inv": (lambda t, a: t.linalg.inv(a), (SQUARE,)),
    "det": (lambda t, a: t.linalg.det(a), (SQUARE,)),
    "slogdet": (lambda t, a: t.linalg.slogdet(a), (SQUARE,)),
    "the sign of slogdet": (lambda t, a: t.linalg.slogdet(a)[0], (SQUARE,)),
    "the logarithm of slogdet": (lambda t, a: t.slogdet(a)[1], (SQUARE,)),
    "logdet": (lambda t, a: t.logdet(a), (SQUARE,)),
    "cholesky": (lambda t, a: t.linalg.cholesky(a @ a.mH + t.eye(3)), (SQUARE,)),
    "cholesky of a leaf": (lambda t, a: t.linalg.cholesky(a), (SQUARE @ SQUARE.conj().T,)),
    "cholesky of a stack": (lambda t, a: t.linalg.cholesky(a @ a.mH), (np.stack([SQUARE, SQUARE.T]),)),
    "solve": (lambda t, a, b: t.linalg.solve(a, b), (SQUARE, V)),
    "solve from the right": (lambda t, a, b: t.linalg.solve(a, b, left=False), (SQUARE, M)),
    "matrix_power": (lambda t, a: t.linalg.matrix_power(a, -2), (SQUARE,)),
    "x[i] = z": (written(lambda t, y, z: assigned(t, y, 0, z[1])), (V, W)),
    "z[i] = x": (written(lambda t, y, x: assigned(t, y, 0, x[1])), (V, R)),
    "z *= x": (written(lambda t, y, x: y.mul_(x)), (V, R)),
    "z *= w": (written(lambda t, y, w: y.mul_(w)), (V, W)),
    "copy_ of real numbers": (written(lambda t, y, x: y.copy_(x)), (V, R)),
    "exp_": (written(lambda t, y: y.exp_()), (V,)),
    "fill_ of a part": (written(lambda t, y: y[1:].fill_(1 + 2j)), (V,)),
    "a write through .real": (written(lambda t, y: y.real.mul_(3)), (V,)),
    "a write through .imag": (written(lambda t, y, x: y.imag.copy_(x)), (V, R)),
    "an assigned .real": (written(lambda t, y: part(t, y, "real", y.imag * 2)), (V,)),
    "an assigned .imag": (written(lambda t, y, x: part(t, y, "imag", x)), (V, R)),
    "an assigned number": (written(lambda t, y: part(t, y, "imag", 2.5)), (V,)),
}  # fmt: skip


def derivatives(t: Any, name: str) -> list[Any]:
    """The outputs of a program, its gradients, and theirs, for weights that are the same in each library."""
    program, arrays = PROGRAMS[name]
    rng = np.random.default_rng(1)

    def weight(y: Any) -> Any:
        values = rng.standard_normal(tuple(y.shape))
        values = values + 1j * rng.standard_normal(tuple(y.shape)) if y.is_complex() else values
        return t.tensor(np.asarray(values), dtype=y.dtype)

    xs = [t.tensor(a, requires_grad=True) for a in arrays]
    ys = list(outputs(program(t, *xs)))
    gs = t.autograd.grad(ys, xs, [weight(y) for y in ys], create_graph=True, allow_unused=True)
    live = [g for g in gs if g is not None and g.requires_grad]
    hs = t.autograd.grad(live, xs, [weight(g) for g in live], allow_unused=True) if live else []
    return [ys, gs, [t.zeros_like(x) if h is None else h for h, x in zip(hs, xs, strict=False)]]


def numbers(values: Any) -> list[Any]:
    return [None if v is None else (str(v.dtype), np.asarray(v.detach().tolist())) for v in values]


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_have_pytorchs_derivatives(name: str) -> None:
    torch = pytest.importorskip("torch")
    found, expected = derivatives(plugrad, name), derivatives(torch, name)
    tolerance = 1e-5 if name == "single precision" else 1e-9
    for mine, theirs in zip(found, expected, strict=True):
        for a, b in zip(numbers(mine), numbers(theirs), strict=True):
            if a is None or b is None:
                assert a is b
                continue
            assert a[0] == b[0]
            np.testing.assert_allclose(a[1], b[1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", sorted(set(PROGRAMS) - {"single precision", "cholesky of a leaf"}))
def test_programs_agree_with_differences_in_every_mode(name: str) -> None:
    program, arrays = PROGRAMS[name]
    xs = tuple(plugrad.tensor(a, requires_grad=True) for a in arrays)
    f = lambda *xs: program(plugrad, *xs)
    forward = not name.startswith(
        ("a write through", "an assigned", "fill_ of a part")
    )  # transforms refuse these
    assert gradcheck(f, xs, check_forward_ad=forward, check_batched_grad=True, fast_mode=True)
    assert gradgradcheck(f, xs, check_fwd_over_rev=forward, fast_mode=True)


def test_the_gradient_with_respect_to_a_hermitian_matrix() -> None:
    a = plugrad.tensor(SQUARE @ SQUARE.conj().T, requires_grad=True)
    direction = M[:1].conj().T @ M[:1]  # Hermitian
    step = 1e-6
    up, down = (np.linalg.cholesky(a.detach().numpy() + s * (direction + np.eye(3))) for s in (step, -step))
    weight = noise(3, 3)
    (g,) = plugrad.autograd.grad(plugrad.linalg.cholesky(a), a, plugrad.tensor(weight))
    expected = np.sum(weight.conj() * (up - down) / (2 * step)).real
    assert np.sum(g.numpy().conj() * (direction + np.eye(3))).real == pytest.approx(expected, rel=1e-6)


# --- backward, hooks, refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["plugrad", "torch"])
def test_backward_of_complex_outputs_needs_a_gradient(library: str) -> None:
    t = pytest.importorskip(library)
    z = t.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    for attempt in (lambda: (z * z).sum().backward(), lambda: t.autograd.grad((z * z).sum(), z)):
        with pytest.raises(RuntimeError, match="grad can be implicitly created only for real scalar outputs"):
            attempt()
    with pytest.raises(RuntimeError, match="same dtype"):
        (z * z).sum().backward(t.tensor(1.0))
    (z * z).sum().backward(t.tensor(1 + 1j))
    assert z.grad.tolist() == [(2 - 4j) * (1 + 1j), (6 + 2j) * (1 + 1j)]
    (z * z.conj()).sum().real.backward()  # a real loss needs none
    assert z.grad.tolist() == [6 - 2j + 2 + 4j, 4 + 8j + 6 - 2j]


@pytest.mark.parametrize("library", ["plugrad", "torch"])
def test_hooks_see_conjugate_gradients(library: str) -> None:
    t = pytest.importorskip(library)
    z = t.tensor([1 + 2j], requires_grad=True)
    seen = []
    w = z * (3 + 1j)
    w.retain_grad()
    w.register_hook(lambda g: seen.append(g.tolist()) or g * 2j)
    z.register_hook(lambda g: seen.append(g.tolist()))
    w.grad_fn.register_hook(lambda grads, outer: seen.append(grads[0].tolist()))
    w.abs().square().sum().backward()
    value = (1 + 2j) * (3 + 1j)
    seen = [np.asarray(s) for s in seen]
    np.testing.assert_allclose(seen[0], [2 * value])
    np.testing.assert_allclose(seen[1], [2 * value * 2j * (3 - 1j)])
    np.testing.assert_allclose(seen[2], seen[1])
    np.testing.assert_allclose(w.grad.tolist(), [2 * value * 2j])
    np.testing.assert_allclose(z.grad.tolist(), seen[1])


def test_a_step_against_the_gradient_goes_down() -> None:
    z = plugrad.tensor(V, requires_grad=True)
    loss = lambda: ((z * z - 1j).abs() ** 2).sum()
    for _ in range(200):
        z.grad = None
        loss().backward()
        with plugrad.no_grad():
            z -= 0.05 * z.grad
    np.testing.assert_allclose((z * z).tolist(), [1j] * 3, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set("relu leaky_relu hardtanh elu softplus logsigmoid gelu".split())))
def test_activations_of_complex_numbers_are_refused(name: str) -> None:
    z = plugrad.tensor(V)
    for x in (z, z.clone().requires_grad_(), z.to(plugrad.complex64)):
        with pytest.raises(NotImplementedError, match="complex"):
            getattr(plugrad.nn.functional, name)(x)


def test_real_parts_of_real_tensors() -> None:
    x = plugrad.tensor([1.0, 2.0])
    x.real = 5
    assert x.tolist() == [5.0, 5.0]
    with pytest.raises(RuntimeError, match="imag is not implemented for tensors with non-complex dtypes"):
        x.imag = 1
    z = plugrad.tensor([1 + 2j])
    with pytest.raises(RuntimeError, match="1j cannot be converted"):
        z.real = 1j
    with pytest.raises(RuntimeError, match="do not fit into torch"):
        z.imag = z


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_values_written_in_forward_mode_keep_their_tangents(dtype: str) -> None:
    x = plugrad.tensor([1.0, 2.0], dtype=getattr(plugrad, dtype))
    with plugrad.autograd.forward_ad.dual_level():
        d = plugrad.autograd.forward_ad.make_dual(x, x * 3)
        for write, expected in (
            (lambda y: y.copy_(d), [3, 6]),
            (lambda y: y.fill_(d[1]), [6, 6]),
            (lambda y: y.mul_(d), [3, 6]),
            (lambda y: y.masked_fill_(plugrad.tensor([True, False]), d[1]), [6, 0]),
        ):
            moved = plugrad.autograd.forward_ad.unpack_dual(write(plugrad.ones(2, dtype=x.dtype))).tangent
            assert moved.tolist() == expected
        with pytest.raises(RuntimeError, match=r"index_fill.*without a graph or a transform"):
            plugrad.ones(2, dtype=x.dtype).index_fill(0, plugrad.tensor([0]), d[1])
