"""The Jacobians that `gradcheck` compares: by differences of the function, by backward, by forward mode.

A Jacobian has a row for each element of the input and a column for each element of the output, as PyTorch shows it.
Complex numbers count as pairs of real ones. Backward mode takes the real and the imaginary part of an output as two
outputs; the gradient of a real number with respect to x + iy is that along x plus i times that along y. Forward
mode takes the real and the imaginary part of an input as two inputs.

In fast mode a Jacobian is asked for one direction `u` of the input and one combination `v` of the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import creation
from ..dtypes import FLOAT
from ..engine import grad
from ..errors import GradcheckError
from ..graph import Variable
from ..modes import no_grad
from . import forward_ad


def is_float(x: Any) -> bool:
    """Whether `x` is a tensor of real or complex floating-point numbers."""
    return isinstance(x, Variable) and x.dtype.category >= FLOAT


def as_tuple(x: Any) -> tuple[Any, ...]:
    """What a function returned, or was given, as a tuple."""
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


class Problem:
    """A function at its inputs, and how exactly its derivatives are to be known."""

    def __init__(
        self,
        func: Callable[..., Any],
        inputs: tuple[Any, ...],
        eps: float,
        atol: float,
        rtol: float,
        fast: bool,
    ) -> None:
        self.func, self.inputs, self.eps, self.atol, self.rtol, self.fast = (
            func,
            inputs,
            eps,
            atol,
            rtol,
            fast,
        )
        #: Position and tensor of each input that is checked.
        self.checked = [(i, x) for i, x in enumerate(inputs) if isinstance(x, Variable) and x.requires_grad]
        self.outputs = as_tuple(func(*inputs))
        for j, y in enumerate(self.outputs):
            if y is not None and not isinstance(y, Variable):
                raise TypeError(
                    f"gradcheck: the function must return tensors, but output {j} is a {type(y).__name__}"
                )
        #: Position and tensor of each output that has a gradient.
        self.differentiable = [
            (j, y) for j, y in enumerate(self.outputs) if y is not None and y.requires_grad
        ]
        rng = np.random.default_rng(0)
        #: For each checked input its real and imaginary part, as a factor and the direction in fast mode.
        self.parts = {
            i: [(p, _direction(rng, x) if fast else None) for p in ((1, 1j) if x.is_complex() else (1,))]
            for i, x in self.checked
        }
        self.v = {j: _direction(rng, y) if fast else None for j, y in self.differentiable}
        self._differences: dict[tuple[int, complex], dict[int, np.ndarray]] = {}

    # --- differences --------------------------------------------------------------------------------------------

    def numerical(self, i: int, part: complex, u: np.ndarray | None) -> dict[int, np.ndarray]:
        """For each floating-point output the central differences along `part` of the elements of an input, or along `u`."""
        x = self.inputs[i]
        before = x._host().copy()
        rows: dict[int, list[np.ndarray]] = {j: [] for j, y in enumerate(self.outputs) if is_float(y)}
        try:
            for direction in _directions(x, u):
                step = (self.eps * part) * direction
                _set(x, before + step)
                above = self._values()
                _set(x, before - step)
                below = self._values()
                for j, row in rows.items():
                    row.append((above[j] - below[j]) / (2 * self.eps))
        finally:
            _set(x, before)
        return {j: np.stack(row) if row else _zeros(0, self.outputs[j]) for j, row in rows.items()}

    def _values(self) -> list[np.ndarray | None]:
        """What the floating-point outputs are now, each as a vector."""
        ys = as_tuple(self.func(*self.inputs))
        if len(ys) != len(self.outputs):
            raise GradcheckError(
                f"Expected `func` to return {len(self.outputs)} outputs also when inputs are perturbed, but got {len(ys)}"
            )
        for j, (y, first) in enumerate(zip(ys, self.outputs, strict=True)):
            if is_float(first) and (y.dtype is not first.dtype or y.shape != first.shape):
                raise GradcheckError(
                    f"Expected `func` to return outputs with the same dtype and shape when inputs are perturbed by eps="
                    f"{self.eps}, but output {j} was {first.dtype} {list(first.shape)} and became {y.dtype} {list(y.shape)}"
                )
        return [y._host().reshape(-1).copy() if is_float(y) else None for y in ys]

    # --- by the library -----------------------------------------------------------------------------------------

    def backward(
        self, y: Any, part: complex, v: np.ndarray | None, nondet_tol: float, dtypes: bool
    ) -> list[np.ndarray]:
        """For each checked input the Jacobian of `part` of `y`, or of its combination `v`: a column per backward.

        Each is computed twice.
        """
        xs = [x for _, x in self.checked]
        columns: list[list[np.ndarray]] = [[] for _ in xs]
        for direction in _directions(y, v):
            weight = creation.tensor(
                direction * part if y.is_complex() else direction, dtype=y.dtype, device=y.device
            )
            first, second = (grad(y, xs, weight, retain_graph=True, allow_unused=True) for _ in range(2))
            for k, (x, a, b) in enumerate(zip(xs, first, second, strict=True)):
                where = f"with respect to input {self.checked[k][0]}"
                if a is not None and a.shape != x.shape:
                    raise GradcheckError(
                        f"Analytical gradient {where} has incorrect size: {list(a.shape)} for an input of {list(x.shape)}"
                    )
                if dtypes and a is not None and a.dtype is not x.dtype:
                    raise GradcheckError(
                        f"Gradient has dtype mismatch: {a.dtype} {where}, which is {x.dtype}"
                    )
                values, again = (_flat(g, x) for g in (a, b))
                if not ((np.abs(values - again) <= nondet_tol) | (np.isnan(values) & np.isnan(again))).all():
                    raise GradcheckError(
                        "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                        f"gives different values, {where}. The tolerance for nondeterminism was {nondet_tol}."
                    )
                columns[k].append(values)
        return [np.stack(c, 1) if c else _zeros(0, x).T for c, x in zip(columns, xs, strict=True)]

    def forward(self, i: int, part: complex, u: np.ndarray | None, dtypes: bool) -> dict[int, np.ndarray]:
        """For each floating-point output its tangents along `part` of the elements of an input, or along `u`."""
        x = self.inputs[i]
        rows: dict[int, list[np.ndarray]] = {j: [] for j, y in enumerate(self.outputs) if is_float(y)}
        still = {k: creation.zeros(v.shape, dtype=v.dtype, device=v.device) for k, v in self.checked}
        for direction in _directions(x, u):
            tangent = creation.tensor(
                direction * part if x.is_complex() else direction, dtype=x.dtype, device=x.device
            )
            for j, (value, moved) in self.tangents({**still, i: tangent}).items():
                if dtypes and moved is not None and moved.is_complex() != value.is_complex():
                    raise GradcheckError(
                        f"Forward AD gradient has dtype mismatch: {moved.dtype} for output {j}, which is {value.dtype}"
                    )
                rows[j].append(_flat(moved, value))
        return {j: np.stack(row) if row else _zeros(0, self.outputs[j]) for j, row in rows.items()}

    def tangents(self, given: dict[int, Any]) -> dict[int, tuple[Any, Any]]:
        """For each floating-point output its value and its tangent, where the inputs move along `given`."""
        with forward_ad.dual_level():
            duals = [
                x
                if not isinstance(x, Variable)
                else forward_ad.make_dual(x.detach(), given[i])
                if i in given
                else x.detach()
                for i, x in enumerate(self.inputs)
            ]
            ys = as_tuple(self.func(*duals))
            return {
                j: (p.detach(), None if t is None else t.detach())
                for j, (p, t) in ((j, forward_ad.unpack_dual(y)) for j, y in enumerate(ys) if is_float(y))
            }

    # --- comparisons ----------------------------------------------------------------------------------------------

    def compare_backward(self, nondet_tol: float, check_dtypes: bool) -> None:
        """Raise where backward and the differences disagree."""
        for j, y in self.differentiable:
            for part, name in ((1j, "imaginary"), (1, "real")) if y.is_complex() else ((1, ""),):
                analytical = self.backward(y, part, self.v[j], nondet_tol, check_dtypes)
                for (i, _), a in zip(self.checked, analytical, strict=True):
                    n = sum(p * _of(part, self.differences(i, p, u)[j]) for p, u in self.parts[i])
                    atol = self.atol
                    if self.fast:
                        us = self.parts[i]
                        n = n @ self.v[j]
                        a = sum(p * (u @ _of(p, a)) for p, u in us)
                        atol *= sum(u.sum() for _, u in us) * self.v[j].sum()
                    if not np.allclose(a, n, rtol=self.rtol, atol=atol, equal_nan=True):
                        what = f"While considering the {name} part of complex outputs only, " if name else ""
                        what += f"Jacobian mismatch for output {j} with respect to input {i},"
                        raise GradcheckError(_shown(what, n, a) + self._in_full_backward(i, j, part))

    def compare_forward(self, check_dtypes: bool) -> None:
        """Raise where forward mode and the differences disagree."""
        for i, x in self.checked:
            for part, u in reversed(self.parts[i]):
                analytical = self.forward(i, part, u, check_dtypes)
                for j, _ in self.differentiable:
                    n, a = self.differences(i, part, u)[j], analytical[j]
                    atol = self.atol if u is None else self.atol * u.sum()
                    if not np.allclose(a, n, rtol=self.rtol, atol=atol, equal_nan=True):
                        name = {1j: "imaginary", 1: "real"}[part] if x.is_complex() else ""
                        what = f"While considering the {name} part of complex inputs only, " if name else ""
                        what += f"Jacobian computed with forward mode mismatch for output {j} with respect to input {i},"
                        raise GradcheckError(_shown(what, n, a) + self._in_full_forward(i, j, part))

    def compare_with_zero(self) -> None:
        """Raise where an output has no gradient, and yet moves with an input."""
        for i, _ in self.checked:
            for part, u in self.parts[i]:
                for j, n in self.differences(i, part, u).items():
                    if n.any():
                        raise GradcheckError(
                            f"Numerical gradient for function expected to be zero: output {j} does not require grad, but with "
                            f"respect to input {i} it is\n{creation.tensor(n)}"
                        )

    def differences(self, i: int, part: complex, u: np.ndarray | None) -> dict[int, np.ndarray]:
        """`numerical`, computed once."""
        if (i, part) not in self._differences:
            self._differences[i, part] = self.numerical(i, part, u)
        return self._differences[i, part]

    def _in_full_backward(self, i: int, j: int, part: complex) -> str:
        if not self.fast:
            return ""
        n: Any = sum(p * _of(part, self.numerical(i, p, None)[j]) for p, _ in self.parts[i])
        k = [place for place, _ in self.checked].index(i)
        return self._in_full(n, self.backward(self.outputs[j], part, None, np.inf, False)[k])

    def _in_full_forward(self, i: int, j: int, part: complex) -> str:
        if not self.fast:
            return ""
        return self._in_full(self.numerical(i, part, None)[j], self.forward(i, part, None, False)[j])

    def _in_full(self, n: np.ndarray, a: np.ndarray) -> str:
        """What slow mode finds, for the message of fast mode."""
        text = (
            "The above quantities are the Jacobians along one direction, in fast mode. In slow mode:\n\n"
            f"Numerical:\n{creation.tensor(n)}\nAnalytical:\n{creation.tensor(a)}\n\n"
            f"The max per-element difference (slow mode) is: {np.abs(n - a).max(initial=0)}.\n"
        )
        if np.allclose(a, n, rtol=self.rtol, atol=self.atol, equal_nan=True):
            text += "Element by element the differences are small: the check may pass with fast_mode=False.\n"
        return text


def _shown(what: str, n: Any, a: Any) -> str:
    return f"{what}\nnumerical:{creation.tensor(n)}\nanalytical:{creation.tensor(a)}\n"


def _direction(rng: np.random.Generator, x: Any) -> np.ndarray:
    """A random vector of length 1 for the elements of `x`, none negative, so that tolerances add up."""
    v = rng.random(x.numel())
    return v / (np.linalg.norm(v) or 1)


def _directions(x: Any, direction: np.ndarray | None) -> Iterator[np.ndarray]:
    """Arrays of the shape of `x`: the one given, or a one at each element in turn."""
    if direction is not None:
        yield direction.reshape(tuple(x.shape))
        return
    for k in range(x.numel()):
        e = np.zeros(x.numel())
        e[k] = 1
        yield e.reshape(tuple(x.shape))


def _of(part: complex, a: np.ndarray) -> np.ndarray:
    """The real or imaginary part."""
    return a.imag if part == 1j else a.real


def _flat(g: Any, like: Any) -> np.ndarray:
    """A gradient or tangent as a vector; None is zero."""
    return _zeros(1, like)[0] if g is None else g._host().reshape(-1).copy()


def _zeros(n: int, like: Any) -> np.ndarray:
    return np.zeros((n, like.numel()), like.dtype.numpy)


def _set(x: Any, values: np.ndarray) -> None:
    """Write values into `x`, past all graphs; it and whatever shares its memory see them."""
    raw = x._raw
    if isinstance(raw, np.ndarray) and raw.flags.writeable:
        raw[...] = values
        return
    with no_grad():
        x.copy_(creation.tensor(values, dtype=x.dtype, device=x.device))
