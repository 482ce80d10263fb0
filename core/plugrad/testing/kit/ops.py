"""Layer 4: every op of the core, in its values and derivatives.

Values are compared with the row's NumPy reference; derivatives with those of the device `cpu` in double precision, which
plugrad's own tests compare with PyTorch's. On `cpu` itself they are compared with numerical ones along a direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

import plugrad
from plugrad.autograd import forward_ad

from ... import kernels
from ...errors import DeviceError
from ...op import OPS
from ..rows import Row
from .agreement import RTOL, Disagreement, values
from .bench import Bench
from .calls import Call, drawn, flat, rows
from .checks import Absent, Check, Skip
from .report import ASPECTS

#: The tolerance of derivatives in single precision: sums of many terms, of which some cancel.
LOOSE = {"f": 2e-3, "F": 2e-3, "d": 1e-8, "D": 1e-8}


def origin(bench: Bench, name: str) -> str:
    """Where the device has an op's kernel from; "host" where NumPy computes it if allowed, "absent" where nothing does."""
    try:
        return kernels.origin(OPS[name], bench.backend)
    except DeviceError:
        return "absent"


# --- values -------------------------------------------------------------------------------------------------


def forward(bench: Bench, op: str) -> None:
    """Values, shapes and dtypes in every dtype; inputs that are not dense; what is special; nothing written to."""
    ran = False
    for call in drawn(bench, op, lambda row: row.dtypes.replace(" ", "")):
        ran = True
        for layout in ("dense", "strided", "transposed"):
            laid = any(_can_be(x, layout) for x in flat(call.args[: call.inputs]))
            if layout == "dense" or (laid and (bench.full or call.leads)):
                _one_forward(bench, replace(call, layout=layout))
    for row in rows()[op]:
        for args, want in row.special:
            _one_special(bench, Call(row, _special_arrays(bench, args), {}), want)
    if not ran:
        raise Skip("the device has none of the dtypes that the op works on")


def _can_be(value: Any, layout: str) -> bool:
    return isinstance(value, np.ndarray) and value.ndim > (layout == "transposed")


def _one_forward(bench: Bench, call: Call) -> None:
    args = call.on(bench)
    found = call.run(bench, args)
    want = call.row.reference(*call.wide().args, **call.params)
    wants = list(want) if isinstance(want, (tuple, list)) else [want]
    if len(found) != len(wants):
        raise Disagreement(f"{call}: found {len(found)} outputs, expected {len(wants)}")
    replaced = any(x.dtype.char == "f" and "f" not in call.row.dtypes for x in call.arrays())
    least = call.row.rtol if call.row.rtol != Row.rtol else 0.0  # the default is wider than need be
    rtol = _tolerance(call, LOOSE if replaced else RTOL, least)
    for y, expected in zip(found, wants, strict=True):
        if type(y._raw) is not bench.backend.array_type:
            raise Disagreement(
                f"{call}: the tensor holds a {type(y._raw).__qualname__}, which is no array_type"
            )
        got = bench.get(y._raw)
        off = max(rtol, RTOL.get(got.dtype.char, 0.0))  # integers may have become floats
        values(got, np.asarray(expected), str(call), off, off)
    if bench.reference is not bench:
        for y, expected in zip(found, call.run(bench.reference, call.on(bench.reference)), strict=True):
            if y.dtype is not bench.fitted_dtype(expected.dtype):
                raise Disagreement(f"{call}: found dtype {y.dtype}, expected {expected.dtype}, as on the CPU")
            is_view = hasattr(expected, "_view") and 0 not in expected.shape
            if bench.backend.inplace and is_view and not hasattr(y, "_view"):
                raise Disagreement(
                    f"{call}: found a copy, expected a view as on the CPU: writes into it must reach the input"
                )
    tensors = [x for x in flat(args[: call.inputs]) if isinstance(x, plugrad.Tensor)]
    arrays = [x for x in flat(call.args[: call.inputs]) if isinstance(x, np.ndarray)]
    bench.unchanged([t._raw for t in tensors], arrays, str(call))


def _tolerance(call: Call, table: dict[str, float], least: float) -> float:
    chars = [x.dtype.char for x in call.arrays()]
    return max([least, *(table.get(c, 0.0) for c in chars)])


def _special_arrays(bench: Bench, args: tuple[Any, ...]) -> list[Any]:
    return [np.array(a, bench.widest) if isinstance(a, (list, float)) else a for a in args]


def _one_special(bench: Bench, call: Call, want: Any) -> None:
    found = call.run(bench, call.on(bench))[0]
    got = bench.get(found._raw)
    shown = [a.tolist() if isinstance(a, np.ndarray) else a for a in call.args]
    rtol = 1e-12 if bench.has(np.float64) else 1e-5
    wanted = np.asarray(want).astype(got.dtype)
    if wanted.dtype.kind == "f":  # what float64 alone can hold is no matter
        got = np.where(np.isfinite(want) & np.isinf(wanted), wanted, got)
    values(got, wanted, f"{call.row.op}{tuple(shown)}", rtol, rtol * 1e-3)


# --- derivatives --------------------------------------------------------------------------------------------


class Directions:
    """Random tangents for a call's inputs, cotangents for its outputs, and weights for its gradients."""

    def __init__(self, bench: Bench, call: Call) -> None:
        self.call, self._rng = call, bench.rng("directions", call.row.op)
        self.tangents = [self._noise(x.shape, x.dtype) for x in call.arrays()]
        self.weights = [self._noise(x.shape, x.dtype) for x in call.arrays()]

    def _noise(self, shape: tuple[int, ...], dt: np.dtype[Any]) -> np.ndarray:
        x = self._rng.standard_normal(shape)
        return np.asarray(x + 1j * self._rng.standard_normal(shape) if dt.kind == "c" else x).astype(dt)

    @cached_property
    def outputs(self) -> list[np.ndarray]:
        """The floating-point outputs on the CPU in double precision."""
        cpu, wide = Bench("cpu"), self.call.wide()
        return [y.numpy() for y in floating(wide.run(cpu, wide.on(cpu)))]

    @cached_property
    def cotangents(self) -> list[np.ndarray]:
        """One for each floating-point output."""
        return [self._noise(y.shape, y.dtype) for y in self.outputs]


def floating(ys: list[Any]) -> list[Any]:
    """The outputs that have derivatives."""
    return [y for y in ys if y.dtype.is_floating_point or y.dtype.is_complex]


def like(bench: Bench, arrays: list[np.ndarray], tensors: list[Any]) -> list[Any]:
    """NumPy arrays as tensors of the device, in the dtypes of other tensors."""
    return [
        plugrad.tensor(a, dtype=t.dtype, device=bench.device) for a, t in zip(arrays, tensors, strict=True)
    ]


def gradients(
    bench: Bench, call: Call, d: Directions, create_graph: bool = False
) -> tuple[list[Any], list[Any]]:
    """The leaves, and the gradients of the outputs' product with the cotangents; None where there is none."""
    args = call.on(bench, grad=True)
    ys = [y for y in floating(call.run(bench, args)) if y.requires_grad]
    xs = [x for x in flat(args[: call.inputs]) if isinstance(x, plugrad.Tensor) and x.requires_grad]
    if not ys:
        return xs, [None] * len(xs)
    cotangents = like(bench, d.cotangents, ys)
    gs = plugrad.autograd.grad(ys, xs, cotangents, create_graph=create_graph, allow_unused=True)
    return xs, list(gs)


def first(bench: Bench, call: Call, d: Directions) -> list[Any]:
    """The gradients, as tensors or None."""
    xs, gs = gradients(bench, call, d)
    for x, g in zip(xs, gs, strict=True):
        if g is not None and not (g.shape == x.shape and g.dtype is x.dtype):
            raise Disagreement(
                f"gradient of {call}: found {g.dtype}{list(g.shape)}, expected {x.dtype}{list(x.shape)}"
            )
        if g is not None and type(g._raw) is not bench.backend.array_type:
            raise Disagreement(
                f"gradient of {call}: it holds a {type(g._raw).__qualname__}, which is no array_type"
            )
    return gs


def second(bench: Bench, call: Call, d: Directions) -> list[Any]:
    """The gradients of the gradients' product with the weights, as tensors or None."""
    xs, gs = gradients(bench, call, d, create_graph=True)
    used = [(g, w) for g, w in zip(gs, d.weights, strict=True) if g is not None and g.requires_grad]
    if not used:
        return [None] * len(xs)
    weights = like(bench, [w for _, w in used], [g for g, _ in used])
    return list(plugrad.autograd.grad([g for g, _ in used], xs, weights, allow_unused=True))


def tangents(bench: Bench, call: Call, d: Directions) -> list[Any]:
    """The outputs' tangents in forward mode, as tensors or None."""
    with forward_ad.dual_level():
        remaining = iter(d.tangents)

        def dual(x: Any) -> Any:
            if isinstance(x, plugrad.Tensor) and (x.dtype.is_floating_point or x.dtype.is_complex):
                return forward_ad.make_dual(x, *like(bench, [next(remaining)], [x]))
            return x

        args = call.on(bench)
        args[: call.inputs] = [
            [dual(e) for e in a] if isinstance(a, list) else dual(a) for a in args[: call.inputs]
        ]
        return [forward_ad.unpack_dual(y).tangent for y in floating(call.run(bench, args))]


def inner(a: Any, b: Any) -> float:
    """The real inner product, in which complex gradients are gradients."""
    return float(np.sum(np.conj(a) * b).real)


def along_cpu(aspect: str, call: Call, d: Directions, found: list[Any]) -> tuple[Any, Any]:
    """On the CPU: what was found along the tangents, and the numerical derivative."""
    cpu = Bench("cpu")
    got = [None if x is None else x.numpy() for x in found]

    def at(step: float) -> Any:
        moved = call.wide().moved(d.tangents, step)
        if aspect == "second":
            _, gs = gradients(cpu, moved, d)
            return sum(inner(g.numpy(), w) for g, w in zip(gs, d.weights, strict=True) if g is not None)
        return [y.numpy() for y in floating(moved.run(cpu, moved.on(cpu)))]

    step = 1e-5 if aspect == "second" else 1e-6
    up, down = at(step), at(-step)
    if aspect == "forward-mode":
        slopes = [(u - v) / (2 * step) for u, v in zip(up, down, strict=True)]
        return [np.zeros_like(s) if x is None else x for x, s in zip(got, slopes, strict=True)], slopes
    along = sum(inner(g, t) for g, t in zip(got, d.tangents, strict=True) if g is not None)
    if aspect == "second":
        return [np.array(along)], [np.array((up - down) / (2 * step))]
    slope = sum(inner(c, (u - v) / (2 * step)) for c, u, v in zip(d.cotangents, up, down, strict=True))
    return [np.array(along)], [np.array(slope)]


DERIVATIVES: dict[str, Callable[..., list[Any]]] = {
    "first": first,
    "second": second,
    "forward-mode": tangents,
}


def derivative(bench: Bench, op: str, aspect: str) -> None:
    """One order or mode of derivative, for all samples of an op."""
    real, complex_ = ("d", "D") if bench.has(np.float64) else ("f", "F")
    both = bench.full and bench.reference is not bench  # single precision, too

    def letters(row: Row) -> str:
        if not row.grad or (aspect == "second" and not row.second):
            return ""
        chars = real + (complex_ if row.complex_grad else "")
        extra = "fF" if row.complex_grad else "f"
        return chars + "".join(c for c in extra if both and c in row.dtypes and c not in chars)

    compute, ran = DERIVATIVES[aspect], False
    for call in drawn(bench, op, letters, most=6 if aspect == "first" else 3):
        ran = True
        d = Directions(bench, call)
        what = f"{aspect} derivative of {call}" if aspect != "forward-mode" else f"forward mode of {call}"
        found = compute(bench, call, d)
        if bench.reference is bench:
            got, want = along_cpu(aspect, call, d, found)
            rtol, atol = (1e-4, 1e-4) if aspect == "second" else (1e-5, 1e-5)
        else:
            want = [None if x is None else x.numpy() for x in compute(bench.reference, call.wide(), d)]
            got = [None if x is None else bench.get(x._raw) for x in found]
            got = [
                np.zeros_like(w) if x is None and w is not None else x for x, w in zip(got, want, strict=True)
            ]
            want = [
                np.zeros_like(x) if w is None and x is not None else w for x, w in zip(got, want, strict=True)
            ]
            rtol = atol = _tolerance(call, LOOSE, 1e-8)
        for i, (x, w) in enumerate(zip(got, want, strict=True)):
            if w is not None:
                values(x, w, what + (f", number {i}" if len(want) > 1 else ""), rtol, atol)
    if not ran:
        raise Skip("the device has none of the dtypes that the op has derivatives in")


def check(name: str) -> Callable[[Bench, str], None]:
    """The check of an op."""

    def run(bench: Bench, aspect: str) -> None:
        bench.origins[name] = found = origin(bench, name)
        if found in ("absent", "host"):
            only = ", but the host has one, which plugrad.fallback('warn') allows" if found == "host" else ""
            raise Absent(f"absent: the device has no kernel, and no composite serves{only}")
        try:
            if aspect == "forward":
                forward(bench, name)
            else:
                derivative(bench, name, aspect)
        except DeviceError as error:
            if "has no kernel for" in str(error):
                raise Absent(f"it needs what is absent: {error}") from error
            raise

    return run


def aspects(name: str) -> tuple[str, ...]:
    """What applies to an op: values, and the derivatives that it has."""
    found = rows()[name]
    has = {
        "first": any(r.grad for r in found),
        "second": any(r.grad and r.second for r in found),
        "forward-mode": any(r.grad for r in found),
    }
    return tuple(a for a in ASPECTS if a == "forward" or has[a])


CHECKS = [Check("ops", f"op:{name}", check(name), aspects(name)) for name in sorted(rows())]
