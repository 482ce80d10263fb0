"""Every op through the same tests: values, first and second derivatives, forward mode, layouts, purity, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import ops
from plugrad.op import OPS, Composite
from plugrad.testing.rows import ROWS, In, Row, Sample
from plugrad.transforms.jvp import jvp

CALLS = [
    pytest.param(row, sample, id=f"{row.id}-{i}") for row in ROWS for i, sample in enumerate(row.samples)
]
DIFFERENTIABLE = [p for p in CALLS if p.values[0].grad]


def test_every_op_has_a_row() -> None:
    own = {name for name in OPS if "::" not in name}  # other libraries' ops have tables of their own
    assert own - {row.op for row in ROWS} == set()


def arrays_of(sample: Sample, dtype: str | None = None, seed: int = 0) -> list[Any]:
    """The sample's arguments with its `In`s drawn, also inside lists."""
    rng = np.random.default_rng(seed)

    def draw(a: Any) -> Any:
        if isinstance(a, In):
            return a.make(rng, dtype)
        return [draw(e) for e in a] if isinstance(a, list) else a

    return [draw(a) for a in sample.args]


def as_tensors(arrays: Any, grad: bool = False) -> Any:
    """NumPy arrays as tensors, floating-point ones as leaves if `grad`; anything else as it is."""
    if isinstance(arrays, list):
        return [as_tensors(a, grad) for a in arrays]
    if not isinstance(arrays, np.ndarray):
        return arrays
    return torch.from_numpy(arrays.copy()).requires_grad_(grad and arrays.dtype.kind in "fc")


def leaves(values: list[Any]) -> list[Any]:
    """The tensors that require grad, and the arrays that stand for them, in order."""
    flat = [e for v in values for e in (v if isinstance(v, list) else [v])]
    return [v for v in flat if (v.requires_grad if isinstance(v, torch.Tensor) else _is_float(v))]


def _is_float(v: Any) -> bool:
    return isinstance(v, np.ndarray) and v.dtype.kind in "fc"


def call(row: Row, values: list[Any], sample: Sample) -> Any:
    return OPS[row.op].call(*values, **sample.params)


def outputs(y: Any) -> list[Any]:
    return list(y) if isinstance(y, (tuple, list)) else [y]


def kind(dtype: np.dtype[Any]) -> str:
    return dtype.kind


@pytest.mark.parametrize(("row", "sample"), CALLS)
@pytest.mark.parametrize("layout", ["dense", "strided"])
def test_forward_agrees_with_numpy_and_keeps_its_inputs(row: Row, sample: Sample, layout: str) -> None:
    for dtype in row.dtypes.replace(" ", ""):
        arrays = arrays_of(sample, dtype)
        if layout == "strided":
            arrays = [_strided(a) for a in arrays]
        before = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arrays]
        tensors = [torch.from_numpy(a) if isinstance(a, np.ndarray) else as_tensors(a) for a in arrays]
        found = outputs(call(row, tensors, sample))
        wide = [
            a.astype(_wide(a.dtype)) if isinstance(a, np.ndarray) and a.dtype.kind in "fc" else a
            for a in arrays
        ]
        expected = outputs(row.reference(*wide, **sample.params))
        tolerance = {"e": 4e-3, "f": 2e-5, "F": 2e-5}.get(dtype, row.rtol)
        assert len(found) == len(expected)
        for y, want in zip(found, expected, strict=True):
            assert isinstance(y, torch.Tensor) and y.shape == np.shape(want)
            assert isinstance(y._raw, np.ndarray)
            np.testing.assert_allclose(y.numpy(), want, rtol=tolerance, atol=tolerance, err_msg=dtype)
        for a, b in zip(arrays, before, strict=True):
            if isinstance(a, np.ndarray):
                np.testing.assert_array_equal(a, b, err_msg="an input was written to")


def _wide(dtype: np.dtype[Any]) -> Any:
    return np.complex128 if dtype.kind == "c" else np.float64


def _strided(a: Any) -> Any:
    """The same values in memory that is neither dense nor in row-major order."""
    if not isinstance(a, np.ndarray) or a.ndim == 0:
        return a
    big = np.zeros(tuple(2 * n for n in a.shape), a.dtype).T
    view = (
        big.T[tuple(slice(None, None, 2) for _ in a.shape)]
        if a.ndim == 1
        else big.transpose()[tuple(slice(1, None, 2) for _ in a.shape)]
    )
    view[...] = a
    return view


def directional(
    row: Row, sample: Sample, dtype: str
) -> tuple[list[Any], list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Arguments, a random tangent for each leaf, the numerical derivative along it, and random cotangents."""
    arrays = arrays_of(sample, dtype)
    rng = np.random.default_rng(1)
    primals = leaves(arrays)

    def noise(shape: tuple[int, ...], dt: Any) -> np.ndarray:
        x = rng.standard_normal(shape)
        return np.asarray(x + 1j * rng.standard_normal(shape) if np.dtype(dt).kind == "c" else x)

    tangents = [noise(x.shape, x.dtype) for x in primals]

    def at(step: float) -> list[np.ndarray]:
        moved = {id(x): np.asarray(x + step * t) for x, t in zip(primals, tangents, strict=True)}
        swap = lambda v: [swap(e) for e in v] if isinstance(v, list) else moved.get(id(v), v)
        return [y.numpy() for y in outputs(call(row, as_tensors([swap(a) for a in arrays]), sample))]

    step = 1e-6
    slopes = [
        (up - down) / (2 * step)
        for up, down in zip(at(step), at(-step), strict=True)
        if up.dtype.kind in "fc"
    ]
    cotangents = [noise(s.shape, s.dtype) for s in slopes]
    return arrays, tangents, slopes, cotangents


def inner(a: Any, b: Any) -> float:
    """The real inner product, in which PyTorch's complex gradients are gradients."""
    return float(np.sum(np.conj(a) * b).real)


def grads_of(
    row: Row, sample: Sample, arrays: list[Any], cotangents: list[Any], create_graph: bool = False
) -> tuple[list[Any], list[Any]]:
    tensors = as_tensors(arrays, grad=True)
    ys = [y for y in outputs(call(row, tensors, sample)) if y.dtype.is_floating_point or y.dtype.is_complex]
    xs = leaves(tensors)
    gs = torch.autograd.grad(ys, xs, as_tensors(cotangents), create_graph=create_graph, allow_unused=True)
    return xs, list(gs)


@pytest.mark.parametrize(("row", "sample"), DIFFERENTIABLE)
def test_first_derivative(row: Row, sample: Sample) -> None:
    for dtype in "dD" if row.complex_grad else "d":
        arrays, tangents, slopes, cotangents = directional(row, sample, dtype)
        xs, gs = grads_of(row, sample, arrays, cotangents)
        for x, g in zip(xs, gs, strict=True):
            assert g is None or (g.shape == x.shape and g.dtype == x.dtype and isinstance(g._raw, np.ndarray))
        found = sum(inner(g.numpy(), t) for g, t in zip(gs, tangents, strict=True) if g is not None)
        expected = sum(inner(c, s) for c, s in zip(cotangents, slopes, strict=True))
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6), dtype


@pytest.mark.parametrize(("row", "sample"), DIFFERENTIABLE)
def test_second_derivative(row: Row, sample: Sample) -> None:
    if not row.second:
        pytest.skip("declared without second order")
    for dtype in "dD" if row.complex_grad else "d":
        arrays, tangents, _, cotangents = directional(row, sample, dtype)

        rng = np.random.default_rng(2)
        weights = [np.asarray(rng.standard_normal(t.shape)).astype(t.dtype) for t in tangents]

        def first(
            step: float,
            arrays: Any = arrays,
            tangents: Any = tangents,
            cotangents: Any = cotangents,
            weights: Any = weights,
        ) -> float:
            moved = {id(x): np.asarray(x + step * t) for x, t in zip(leaves(arrays), tangents, strict=True)}
            swap = lambda v: [swap(e) for e in v] if isinstance(v, list) else moved.get(id(v), v)
            _, gs = grads_of(row, sample, [swap(a) for a in arrays], cotangents)
            return sum(inner(g.numpy(), w) for g, w in zip(gs, weights, strict=True) if g is not None)

        expected = (first(1e-5) - first(-1e-5)) / 2e-5
        xs, gs = grads_of(row, sample, arrays, cotangents, create_graph=True)
        used = [(g, w) for g, w in zip(gs, weights, strict=True) if g is not None and g.requires_grad]
        found = 0.0
        if used:
            hs = torch.autograd.grad(
                [g for g, _ in used], xs, as_tensors([w for _, w in used]), allow_unused=True
            )
            found = sum(inner(h.numpy(), t) for h, t in zip(hs, tangents, strict=True) if h is not None)
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-4), dtype


@pytest.mark.parametrize(("row", "sample"), DIFFERENTIABLE)
def test_forward_mode_from_the_same_formulas(row: Row, sample: Sample) -> None:
    op = OPS[row.op]
    if isinstance(op, Composite) or op.outputs:
        pytest.skip("recorded op by op")
    arrays, tangents, slopes, _ = directional(row, sample, "d")
    inputs = arrays[0] if op.variadic else arrays[: len(op.inputs)]
    remaining = iter(tangents)
    given = [next(remaining) if _is_float(x) else None for x in inputs]
    params = op.positional(tuple(sample.args), sample.params)
    params = [*arrays[1 if op.variadic else len(op.inputs) :], *params]
    for through_tensors in (False, True):
        wrap = as_tensors if through_tensors else (lambda v: v)
        y, t = jvp(op, [wrap(x) for x in inputs], [wrap(x) for x in given], params)
        t = t.numpy() if through_tensors else np.asarray(t)
        assert t.shape == tuple(y.shape)
        np.testing.assert_allclose(t, slopes[0], rtol=1e-5, atol=1e-5)


SPECIAL = [pytest.param(row, *case, id=f"{row.id}-{i}") for row in ROWS for i, case in enumerate(row.special)]
SPECIAL_GRAD = [
    pytest.param(row, *case, id=f"{row.id}-{i}") for row in ROWS for i, case in enumerate(row.special_grad)
]
ERRORS = [pytest.param(row, *case, id=f"{row.id}-{i}") for row in ROWS for i, case in enumerate(row.errors)]


@pytest.mark.parametrize(("row", "args", "expected"), SPECIAL)
def test_special_values(row: Row, args: Any, expected: Any) -> None:
    found = OPS[row.op].call(
        *(torch.tensor(a, dtype=torch.float64) if isinstance(a, (list, float)) else a for a in args)
    )
    np.testing.assert_array_equal(found.numpy(), np.asarray(expected, found.numpy().dtype))


@pytest.mark.parametrize(("row", "args", "expected"), SPECIAL_GRAD)
def test_derivative_at_special_values(row: Row, args: Any, expected: Any) -> None:
    tensors = [torch.tensor(a, dtype=torch.float64) if isinstance(a, (list, float)) else a for a in args]
    tensors[0].requires_grad_()
    y = OPS[row.op].call(*tensors)
    y.backward(torch.ones_like(y))
    np.testing.assert_allclose(tensors[0].grad.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(("row", "sample", "error", "text"), ERRORS)
def test_errors(row: Row, sample: Sample, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(row, as_tensors(arrays_of(sample)), sample)


def test_the_gradient_of_a_source_that_is_broadcast_has_its_shape():
    for op in (ops.index_add, ops.index_copy):
        x, source = torch.zeros(3, 4, requires_grad=True), torch.ones(1, 4, requires_grad=True)
        y = op.call(x, source, torch.tensor([0, 2])._raw, 0)
        (y * torch.arange(12.0).reshape(3, 4)).sum().backward()
        assert source.grad.tolist() == [[8, 10, 12, 14]]
