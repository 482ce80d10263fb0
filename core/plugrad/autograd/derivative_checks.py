"""The comparisons of which `gradcheck` consists: reverse mode, forward mode, batches, missing gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import creation, dtypes
from ..engine import grad
from ..errors import GradcheckError
from ..function_node import FunctionCtx
from ..graph import Variable
from ..op import OPS
from . import finite_differences, forward_ad
from .finite_differences import from_pairs, pairs


def tuple_of(values: Any) -> tuple[Any, ...]:
    """One value, or several, as a tuple."""
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)


def requiring_grad(values: Sequence[Any]) -> list[Any]:
    """The tensors among values that require grad."""
    return [v for v in values if isinstance(v, Variable) and v.requires_grad]


def noise(rng: np.random.Generator, like: Any) -> Any:
    """Normal numbers in a tensor like another one."""
    return from_pairs(rng.standard_normal(pairs(np.zeros(tuple(like.shape), like.dtype.numpy)).size), like)


class Check:
    """A function at its inputs, and the comparisons."""

    def __init__(
        self, func: Callable[..., Any], inputs: Any, eps: float, atol: float, rtol: float, nondet_tol: float
    ) -> None:
        self.func, self.args = func, tuple_of(inputs)
        self.eps, self.atol, self.rtol, self.nondet_tol = eps, atol, rtol, nondet_tol
        self.xs = requiring_grad(self.args)
        self.rng = np.random.default_rng(0)
        self._jacobians: list[list[np.ndarray]] | None = None
        if not self.xs:
            raise ValueError(
                "gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True."
            )
        for i, x in enumerate(self.args):
            if not isinstance(x, Variable) or not x.requires_grad:
                continue
            if x.dtype not in (dtypes.float64, dtypes.complex128):
                warnings.warn(
                    f"gradcheck: input {i} requires gradient and is {x.dtype}, not a double precision floating point or "
                    "complex: the check will likely fail",
                    stacklevel=3,
                )
            if x.numel() and any(s == 0 and n > 1 for s, n in zip(x.stride(), x.shape, strict=True)):
                raise RuntimeError(
                    f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                    "non-overlapping to be able to compute the numerical gradients correctly. You should call "
                    ".contiguous on the input before passing it to gradcheck."
                )

    def outputs(self) -> list[Any]:
        """The outputs that require grad."""
        return requiring_grad(tuple_of(self.func(*self.args)))

    def differentiable(self) -> bool:
        """Whether an output requires grad; where none does, nothing may change when the inputs move."""
        if self.outputs():
            return True
        moving = lambda: [
            y
            for y in tuple_of(self.func(*self.args))
            if isinstance(y, Variable) and y.dtype.is_floating_point
        ]
        for x in self.xs:
            if any(
                np.abs(j).max(initial=0) > self.atol
                for j in finite_differences.jacobians(moving, x, self.eps)
            ):
                raise GradcheckError(
                    "Numerical gradient for function expected to be zero, since no output of the function requires grad"
                )
        return False

    @property
    def numerical(self) -> list[list[np.ndarray]]:
        """For each input, for each output, the Jacobian by differences."""
        if self._jacobians is None:
            self._jacobians = [finite_differences.jacobians(self.outputs, x, self.eps) for x in self.xs]
        return self._jacobians

    def forward(self, fast: bool) -> None:
        """Compare tangents with differences."""
        for i, x in enumerate(self.xs):
            if fast:
                u = self._direction(x)
                found = [pairs(t) for t in self._tangents(i, u)]
                expected = finite_differences.along(self.outputs, x, u, self.eps)
                for j, (a, n) in enumerate(zip(found, expected, strict=True)):
                    if not self._close(a, n, np.abs(u).sum()):
                        raise self._mismatch(j, i, n, a, self._columns(i)[j], forward=True)
                continue
            for j, (a, n) in enumerate(zip(self._columns(i), self.numerical[i], strict=True)):
                if not self._close(a, n):
                    raise self._mismatch(j, i, n, a, forward=True)

    def backward(self, fast: bool, check_dtypes: bool) -> None:
        """Compare gradients with differences, and with themselves."""
        if not fast:
            self.numerical  # noqa: B018  # before there is a graph that would have to keep the inputs' values
        for j in range(len(self.outputs())):
            v: Any = None
            us = [self._direction(x) for x in self.xs]
            expected: list[Any] = []
            if fast:
                moves = [
                    finite_differences.along(self.outputs, x, u, self.eps)[j]
                    for x, u in zip(self.xs, us, strict=True)
                ]
                v = self._direction(self.outputs()[j])
                expected = [m @ v for m in moves]
            y = self.outputs()[j]
            found = self._rows(y, v, check_dtypes)
            again = self._rows(y, v, False)
            for i, a in enumerate(found):
                if fast:
                    value = a[0] @ us[i]
                    if not self._close(value, expected[i], np.abs(us[i]).sum() * np.abs(v).sum()):
                        raise self._mismatch(j, i, expected[i], value, self._rows(y, None, False)[i])
                elif not self._close(a, self.numerical[i][j]):
                    raise self._mismatch(j, i, self.numerical[i][j], a)
                if not np.allclose(a, again[i], rtol=0, atol=self.nondet_tol, equal_nan=True):
                    raise GradcheckError(
                        "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                        "gives different values, although analytical gradient matches numerical gradient: two runs differ "
                        f"for output {j} with respect to input {i}. The tolerance for nondeterminism was {self.nondet_tol}."
                    )

    def undefined_gradients(self) -> None:
        """See that nodes of several outputs bear that nothing arrives at any of them."""
        ys = self.outputs()
        several = [y for y in ys if isinstance(y.grad_fn, FunctionCtx) and len(y.grad_fn.output_metas) > 1]
        for node in {y.grad_fn: None for y in several}:
            handle = node.register_prehook(lambda gs: (None,) * len(gs))
            try:
                found = grad(
                    ys, self.xs, [noise(self.rng, y) for y in ys], retain_graph=True, allow_unused=True
                )
            except Exception as error:
                raise GradcheckError(
                    f"Expected backward function to handle undefined output grads, but {node.name()} raised "
                    f"{type(error).__name__}: {error}. Take None for zeros, or leave set_materialize_grads(True)."
                ) from error
            finally:
                handle.remove()
            alone = all(y.grad_fn is node for y in ys)
            if alone and any(g is not None and g.any() for g in found):
                raise GradcheckError(
                    "Expected all input grads to be undefined or zero when all output grads are undefined or zero, but "
                    f"{node.name()} returned something else: it does not multiply by what arrives."
                )

    def batched_backward(self) -> None:
        """Compare a batch of cotangents with a loop."""
        for j, y in enumerate(self.outputs()):
            rows = [noise(self.rng, y) for _ in range(2)]
            options: dict[str, Any] = {"retain_graph": True, "materialize_grads": True}
            expected = [grad(y, self.xs, g, **options) for g in rows]
            batch = _stacked(rows)
            with _explaining("gradients", j):
                found = grad(y, self.xs, batch, is_grads_batched=True, **options)
            self._compare_batch(found, expected, j, "gradients")

    def batched_forward(self) -> None:
        """Compare a batch of tangents with a loop."""
        from ..transforms.vmap import vmap

        for i, x in enumerate(self.xs):
            rows = [noise(self.rng, x) for _ in range(2)]
            expected = [self._push(i, t) for t in rows]
            with _explaining("forward gradients", 0):
                found = vmap(lambda t, i=i: tuple(self._push(i, t)))(_stacked(rows))
            self._compare_batch(found, expected, 0, "forward gradients")

    # --- derivatives ----------------------------------------------------------------------------------------

    def _direction(self, x: Any) -> np.ndarray:
        """A random vector of length 1 in the space of a tensor."""
        u = self.rng.standard_normal(pairs(np.zeros(tuple(x.shape), x.dtype.numpy)).size)
        return u / max(float(np.linalg.norm(u)), 1e-300)

    def _rows(self, y: Any, v: np.ndarray | None, check_dtypes: bool) -> list[np.ndarray]:
        """The Jacobians of `y` with respect to each input, a backward for each row; or one row, times `v`."""
        size = pairs(np.zeros(tuple(y.shape), y.dtype.numpy)).size
        rows: list[list[np.ndarray]] = []
        for direction in np.eye(size) if v is None else [v]:
            gs = grad(y, self.xs, from_pairs(direction, y), retain_graph=True, allow_unused=True)
            rows.append(
                [self._row(g, x, i, check_dtypes) for i, (g, x) in enumerate(zip(gs, self.xs, strict=True))]
            )
        if not rows:
            return [np.zeros((0, pairs(x.detach()._host()).size)) for x in self.xs]
        return [np.stack(row) for row in zip(*rows, strict=True)]

    def _row(self, g: Any, x: Any, i: int, check_dtypes: bool) -> np.ndarray:
        if g is None:
            return pairs(np.zeros(tuple(x.shape), x.dtype.numpy))
        if check_dtypes and g.dtype != x.dtype:
            raise GradcheckError(f"Gradient of input {i} has dtype {g.dtype}, but the input has {x.dtype}.")
        return pairs(g._host())

    def _columns(self, i: int) -> list[np.ndarray]:
        """The Jacobians of each output with respect to input `i`, a forward pass for each column."""
        size = self._direction(self.xs[i]).size
        columns = [[pairs(t) for t in self._tangents(i, unit)] for unit in np.eye(size)]
        if not columns:
            return [np.zeros((pairs(y.detach()._host()).size, 0)) for y in self.outputs()]
        return [np.stack(c, axis=1) for c in zip(*columns, strict=True)]

    def _tangents(self, i: int, direction: np.ndarray) -> list[np.ndarray]:
        return [t.detach()._host() for t in self._push(i, from_pairs(direction, self.xs[i]))]

    def _push(self, i: int, tangent: Any) -> list[Any]:
        """The tangents of the outputs while input `i` moves."""
        with forward_ad.dual_level():
            args = [forward_ad.make_dual(x.detach(), tangent) if x is self.xs[i] else x for x in self.args]
            args = [
                a.requires_grad_() if x is self.xs[i] else a for a, x in zip(args, self.args, strict=True)
            ]
            found = []
            for y in requiring_grad(tuple_of(self.func(*args))):
                primal, moved = forward_ad.unpack_dual(y)
                found.append(primal.detach() * 0 if moved is None else moved)
        return found

    # --- verdicts -------------------------------------------------------------------------------------------

    def _close(self, a: Any, n: Any, scale: float = 1.0) -> bool:
        return np.allclose(a, n, rtol=self.rtol, atol=self.atol * max(scale, 1.0), equal_nan=True)

    def _mismatch(
        self, j: int, i: int, n: Any, a: Any, whole: Any = None, forward: bool = False
    ) -> GradcheckError:
        how = "Jacobian computed with forward mode mismatch" if forward else "Jacobian mismatch"
        text = (
            f"{how} for output {j} with respect to input {i},\n"
            f"numerical:{creation.tensor(n)}\nanalytical:{creation.tensor(a)}\n"
        )
        if whole is not None:
            text += (
                "The above is the product with random vectors, of fast mode. The whole Jacobians:\n"
                f"numerical:{creation.tensor(self.numerical[i][j])}\nanalytical:{creation.tensor(whole)}\n"
            )
        if self.xs[i].is_complex() or self.outputs()[j].is_complex():
            text += "Complex numbers are shown as pairs of real ones: a row or column for each part.\n"
        return GradcheckError(text)

    def _compare_batch(self, found: Sequence[Any], expected: Sequence[Any], j: int, what: str) -> None:
        for k, (g, parts) in enumerate(zip(found, zip(*expected, strict=True), strict=True)):
            if not self._close(pairs(g._host()), pairs(_stacked(list(parts))._host())):
                raise GradcheckError(
                    f"For output {j}, batched {what} number {k} computed with vmap differ from a loop:\n"
                    f"batched:{g}\nlooped:{_stacked(list(parts))}\n"
                )


@contextmanager
def _explaining(what: str, j: int) -> Iterator[None]:
    """Turns what is raised inside into a GradcheckError."""
    try:
        yield
    except Exception as error:
        raise GradcheckError(
            f"While computing batched {what} of output {j}, got {type(error).__name__}: {error}"
        ) from error


def _stacked(rows: list[Any]) -> Any:
    return OPS["stack"].call(rows, 0)
