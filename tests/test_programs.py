"""Random programs: gradients equal finite differences and PyTorch's, or the documented refusal.

A long run, with other programs each time: `PLUGRAD_PROGRAMS=10000 python -m pytest tests/test_programs.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

import plugrad
from plugrad.autograd import forward_ad
from tests.fake_backend import enter
from tests.programs import OBSERVED, PURE, WRITES, Instruction, programs, run, tried

#: Refusals that a program may meet, in both libraries or in PyTorch alone.
DOCUMENTED = (
    "its base or another view of its base has been modified inplace",  # of several outputs: works here
    "some elements of the input tensor and the written-to tensor refer to",  # likewise
    "is being modified inplace",
    "more than one element of the written-to tensor",
    "leaf Variable",
)
#: What plugrad alone refuses, inside transforms.
IN_TRANSFORMS = (
    "is not supported inside transforms",
    "cannot be written into a tensor from outside",
    "into a tensor that shares its memory is not supported",
    "is not possible because there exists a Tensor `other`",  # as in PyTorch
)

START = {
    "float64": np.random.default_rng(0).uniform(-1, 1, (3, 3)),
    "complex128": np.random.default_rng(1).uniform(-1, 1, (3, 3, 2)) @ np.array([1, 1j]),
}
DTYPES = st.sampled_from(sorted(START, reverse=True))


def leaf(t: Any, values: Any, requires_grad: bool = False) -> Any:
    dtype = t.complex128 if values.dtype.kind == "c" else t.float64
    return t.tensor(values.tolist(), dtype=dtype, requires_grad=requires_grad)


def gradients(t: Any, instructions: Any, start: Any, copies: bool = False) -> list[Any]:
    """The value, the gradient of the leaf, and those of the tensors that retain theirs; the text of a refusal."""
    x, retained = leaf(t, start, requires_grad=True), []
    y = run(t, instructions, x, copies, retained)
    y.backward()
    found = [y, x.grad, *(r.grad for r in retained)]
    return [None if g is None else np.array(g.tolist()) for g in found]


def second_order(t: Any, instructions: Any, start: Any, copies: bool = False) -> list[Any]:
    """The gradient, and the gradient of a function of it."""
    x = leaf(t, start, requires_grad=True)
    (g,) = t.autograd.grad(run(t, instructions, x, copies), x, create_graph=True)
    weights = t.tensor([[1.0, -0.5, 0.3]] * 3, dtype=t.float64)
    z = ((g.real if g.is_complex() else g).sin() * weights).sum()
    (h,) = t.autograd.grad(z, x, allow_unused=True, materialize_grads=True) if z.requires_grad else (g * 0,)
    return [np.array(v.tolist()) for v in (g, h)]


def refusal(compute: Callable[..., Any], *args: Any) -> Any:
    """What `compute` returns, or the text of the RuntimeError that it raises."""
    try:
        return compute(*args)
    except RuntimeError as error:
        return str(error)


def numbers(instructions: list[Instruction], start: Any) -> float:
    return run(plugrad, instructions, leaf(plugrad, start)).item()


def finite_differences(f: Callable[[Any], float], start: Any, step: float) -> Any:
    """The gradient of f at `start`, for complex numbers by PyTorch's convention."""
    found = np.zeros_like(start)
    for i in np.ndindex(start.shape):
        for unit in (1, 1j) if start.dtype.kind == "c" else (1,):
            d = np.zeros_like(start)
            d[i] = step * unit
            found[i] += unit * (f(start + d) - f(start - d)) / (2 * step)
    return found


def is_tame(*arrays: Any) -> bool:
    """Whether a program's numbers are small enough to compare."""
    return all(a is None or (np.isfinite(a).all() and np.abs(a).max(initial=0) < 1e8) for a in arrays)


@tried(300)
@given(programs(*PURE, *WRITES), DTYPES)
def test_gradients_equal_finite_differences(instructions: list[Instruction], dtype: str) -> None:
    start = START[dtype]
    found = refusal(gradients, plugrad, instructions, start)
    if isinstance(found, str):
        event("refused")
        assert any(text in found for text in DOCUMENTED), found
        return
    y, g = found
    assert y == pytest.approx(numbers(instructions, start), rel=1e-12, nan_ok=True)
    expected, other = (finite_differences(lambda x: numbers(instructions, x), start, h) for h in (1e-5, 3e-5))
    tolerance = 1e-6 * max(1.0, float(np.abs(expected).max()))
    if not is_tame(y, expected) or not np.allclose(expected, other, rtol=1e-5, atol=tolerance):
        event("too steep for finite differences")
        return
    event("compared")
    assert np.allclose(g, expected, rtol=1e-5, atol=3 * tolerance)


@tried(300)
@given(programs(*PURE, *WRITES, *OBSERVED), DTYPES, st.sampled_from([gradients, second_order]))
def test_gradients_equal_those_of_pytorch(instructions: list[Instruction], dtype: str, compute: Any) -> None:
    torch = pytest.importorskip("torch")
    expected = refusal(compute, torch, instructions, START[dtype], True)
    found = refusal(compute, plugrad, instructions, START[dtype], True)
    if isinstance(expected, str) and "modified by an inplace operation" in expected:
        event("refused by PyTorch alone")
        assert not isinstance(found, str), found  # what plugrad does better
    elif isinstance(expected, str):
        event("refused")
        assert any(text in expected for text in DOCUMENTED), expected
        assert not isinstance(found, str) or any(text in found for text in DOCUMENTED), found
    else:
        assert not isinstance(found, str), found
        assert [a is None for a in found] == [a is None for a in expected]
        if not is_tame(*expected):
            event("too large")
            return
        event("compared")
        for mine, theirs in zip(found, expected, strict=True):
            assert theirs is None or np.allclose(mine, theirs, rtol=1e-8, atol=1e-9)


@tried(100)
@given(programs(*PURE, *WRITES), DTYPES)
def test_forward_mode_equals_reverse_mode(instructions: list[Instruction], dtype: str) -> None:
    start = START[dtype]
    tangent = np.cos(np.arange(9.0)).reshape(3, 3) + (0.5j if dtype == "complex128" else 0)
    reverse = refusal(gradients, plugrad, instructions, start)
    if isinstance(reverse, str):
        event("refused")
        return
    try:
        with forward_ad.dual_level():
            x = forward_ad.make_dual(leaf(plugrad, start), leaf(plugrad, tangent))
            found = forward_ad.unpack_dual(run(plugrad, instructions, x)).tangent
    except RuntimeError as error:
        event("refused in forward mode")
        assert any(text in str(error) for text in IN_TRANSFORMS), error
        return
    event("compared")
    expected = (reverse[1] * tangent.conj()).sum().real  # Re of the inner product
    found = 0.0 if found is None else found.item()
    assert not is_tame(reverse[1]) or found == pytest.approx(expected, rel=1e-8, abs=1e-9)


@tried(100)
@given(programs(*PURE, *WRITES), DTYPES)
def test_vmap_equals_a_loop(instructions: list[Instruction], dtype: str) -> None:
    def f(x: Any) -> Any:
        return run(plugrad, instructions, x)

    batch = np.stack([START[dtype] * s for s in (1.0, -0.5, 0.25)])
    examples = [refusal(gradients, plugrad, instructions, x) for x in batch]
    if any(isinstance(e, str) for e in examples):
        event("refused")
        return
    try:
        values = plugrad.func.vmap(f)(leaf(plugrad, batch))
        grads = plugrad.func.vmap(plugrad.func.grad(f))(leaf(plugrad, batch))
    except RuntimeError as error:
        event("refused in vmap")
        assert any(text in str(error) for text in IN_TRANSFORMS), error
        return
    event("compared")
    for mine, theirs in zip((values, grads), zip(*examples, strict=True), strict=True):
        assert not is_tame(*theirs) or np.allclose(mine.tolist(), theirs, rtol=1e-8, atol=1e-9)


def on_device(device: str, compute: Any, instructions: list[Instruction], start: Any) -> Any:
    """`compute` with every tensor on a device."""
    plugrad.set_default_device(device)
    try:
        return refusal(compute, plugrad, instructions, start, True)
    finally:
        plugrad.set_default_device(None)


@tried(200)
@given(programs(*PURE, *WRITES, *OBSERVED), st.sampled_from([gradients, second_order]))
def test_arrays_that_are_never_written_mean_the_same(instructions: list[Instruction], compute: Any) -> None:
    enter("minimal")
    expected, found = (on_device(d, compute, instructions, START["float64"]) for d in ("cpu", "minimal"))
    if isinstance(expected, str) or isinstance(found, str):
        event("refused")
        assert isinstance(expected, str) and isinstance(found, str), (expected, found)
        return
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine is None) == (theirs is None)
        assert theirs is None or np.allclose(mine, theirs, rtol=1e-9, atol=1e-9, equal_nan=True)
