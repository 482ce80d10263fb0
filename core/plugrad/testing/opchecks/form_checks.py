"""What `opcheck` looks at in an op's operands: layouts, shapes, dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import creation, dtypes, quiet
from ..tolerances import difference
from .calls import Case, host, noise
from .checks import agree, attempt, check, host_of, hosts, kernel_of, meaning_of, results
from .report import Fault, Inapplicable

# --- layouts and shapes -----------------------------------------------------------------------------------------


def strided(a: np.ndarray, device: Any) -> Any:
    """A tensor of these values in memory with gaps."""
    if not a.ndim:
        return creation.tensor(a, device=device)
    big = np.zeros(tuple(2 * n for n in a.shape), a.dtype)
    big[(slice(None, None, 2),) * a.ndim] = a
    return creation.tensor(big, device=device)[(slice(None, None, 2),) * a.ndim]


def transposed(a: np.ndarray, device: Any) -> Any:
    """A tensor of these values with the axes in memory in reversed order."""
    order = tuple(reversed(range(a.ndim)))
    return creation.tensor(np.array(a.transpose(order), order="C"), device=device).permute(order)


def expanded(a: np.ndarray, device: Any) -> Any:
    """A tensor of the first elements along each axis, expanded to the shape: all strides are 0."""
    first = a[(slice(0, 1),) * a.ndim]
    return creation.tensor(np.array(first), device=device).expand(a.shape)


@check(
    "layouts",
    "operands and cotangents with gaps, transposed or expanded give the numbers of dense ones",
    "read arrays by their strides, or make a dense copy first: backend.copy(x), x.contiguous() of a tensor",
)
def check_layouts(case: Case, options: dict[str, Any]) -> str | None:
    if not any(a.ndim and a.size for a in case.arrays):
        raise Inapplicable("the sample has no dimensions or no elements")
    device = case.subject.device
    for make in (strided, transposed, expanded):
        laid = [make(a, device).detach() for a in case.arrays]
        values = [host(x) for x in laid]
        dense = case.tensors(values, grad=True)
        if make is expanded:  # its values are others, which the op may refuse
            try:
                case(*dense)
                case.gradients(dense)
            except Exception:
                continue
        laid = [x.requires_grad_() if i in case.differentiable else x for i, x in enumerate(laid)]
        what = {strided: "with gaps", transposed: "transposed", expanded: "expanded"}[make]
        with attempt(f"operands {what}"):
            agree(hosts(case(*laid)), hosts(case(*dense)), f"result for operands {what}", options)
            if case.differentiable:
                found = case.gradients(laid)
                agree(hosts(found), hosts(case.gradients(dense)), f"gradient for operands {what}", options)
        if not case.differentiable:
            continue
        dense = case.tensors(grad=True)
        ys = [y for y in case(*dense) if y.requires_grad]
        weights = [make(noise(np.random.default_rng(3), y), device).detach() for y in ys]
        copies = [creation.tensor(host(w), device=device) for w in weights]
        with attempt(f"a cotangent {what}"):
            found, expected = case.gradients(dense, weights), case.gradients(dense, copies)
            agree(hosts(found), hosts(expected), f"gradient for a cotangent {what}", options)
    return None


@check(
    "broadcasting",
    "operands that broadcast give what expanded ones do, and gradients of their own shapes",
    "declare elementwise(...), which undoes broadcasting; in a formula sum_to(g, x.shape)",
)
def check_broadcasting(case: Case, options: dict[str, Any]) -> str | None:
    shapes = {a.shape for a in case.arrays}
    shape = next(iter(shapes))
    if len(case.arrays) < 2 or len(shapes) > 1 or not shape or 0 in shape:
        raise Inapplicable("the sample has not two operands of one shape")
    refused = 0
    for i in range(len(case.arrays)):
        for small in (case.arrays[i][:1], case.arrays[i][0]):
            wide = np.broadcast_to(small, shape)
            given = [small if k == i else a for k, a in enumerate(case.arrays)]
            full = [wide if k == i else a for k, a in enumerate(case.arrays)]
            tensors, wide_tensors = case.tensors(given, grad=True), case.tensors(full, grad=True)
            try:
                expected = hosts(case(*wide_tensors))
                found = hosts(case(*tensors))
                agree(found, expected, f"result for an operand {i} of shape {small.shape}", options)
            except Exception as error:
                if case.subject.elementwise:
                    raise (
                        error
                        if isinstance(error, Fault)
                        else Fault(
                            f"an operand {i} of shape {small.shape} beside {shape} raised {type(error).__name__}: {error}"
                        )
                    ) from error
                refused += 1  # such operands mean something else to it, or nothing
                continue
            if not case.differentiable:
                continue
            with attempt(f"the gradient of an operand {i} of shape {small.shape} beside {shape}"):
                gs = hosts(case.gradients(tensors))
                whole = hosts(case.gradients(wide_tensors))
            for k, g, w in zip(case.differentiable, gs, whole, strict=True):
                if k == i and w is not None:
                    axes = tuple(range(len(shape) - small.ndim)) + tuple(
                        ax + len(shape) - small.ndim
                        for ax, n in enumerate(small.shape)
                        if n == 1 and shape[ax + len(shape) - small.ndim] != 1
                    )
                    w = w.sum(axes, keepdims=True).reshape(small.shape)
                what = f"gradient {k} for an operand {i} of shape {small.shape} beside {shape}"
                agree([g], [w], what, options)
    if refused == 2 * len(case.arrays):
        raise Inapplicable("it takes no operands that broadcast")
    return None


@check(
    "empty",
    "arrays without elements give a result without elements, or what the default gives",
    "compute nothing special for size 0: reductions over it give their neutral element",
)
def check_empty(case: Case, options: dict[str, Any]) -> str | None:
    subject, n = case.subject, max((a.shape[0] for a in case.arrays if a.ndim), default=0)
    if subject.elementwise:
        arrays = [np.zeros((0, 3), a.dtype) for a in case.arrays]
    elif n:
        arrays = [a[:0] if a.ndim and a.shape[0] == n else a for a in case.arrays]
    else:
        raise Inapplicable("the sample has no dimensions or no elements")
    tensors = case.tensors(arrays, grad=True)
    try:
        ys = case(*tensors)
    except Exception as error:
        if subject.elementwise:
            raise Fault(f"operands of shape (0, 3) raised {type(error).__name__}: {error}") from error
        raise Inapplicable(f"it refuses them: {type(error).__name__}: {error}") from error
    for y, full in zip(ys, case(*case.tensors()), strict=False):  # some have one for each element
        if subject.elementwise and tuple(y.shape) != (0, 3):
            raise Fault(f"operands of shape (0, 3) gave the shape {tuple(y.shape)}")
        if y.dtype is not full.dtype:
            raise Fault(f"the dtype {y.dtype}, and {full.dtype} where there are elements")
    default = None if subject.op is None else meaning_of(subject.op, subject.backend)
    if default is not None and kernel_of(case)[0] is not default:
        operands, params = case.raw_arguments(tensors)
        try:
            expected = [host_of(y) for y in results(quiet.run_anyway(default, *operands, *params))]
        except Exception:
            expected = []  # the default refuses what the kernel takes
        if expected:
            agree(hosts(ys), expected, "result", options, dtypes=False)
    with attempt("the derivative"):
        for i, g in zip(case.differentiable, case.gradients(tensors), strict=True):
            if g is not None and tuple(g.shape) != arrays[i].shape:
                raise Fault(f"a gradient of shape {tuple(g.shape)} for input {i} of shape {arrays[i].shape}")
    return None


@check(
    "zero_dim",
    "arrays without dimensions give what the same element of larger ones gives",
    "let the kernel take 0-d arrays: no indexing, no reshape that supposes a dimension",
)
def check_zero_dim(case: Case, options: dict[str, Any]) -> str | None:
    if not case.subject.elementwise:
        raise Inapplicable("only an elementwise op has a law for them: give a sample without dimensions")
    arrays = [np.array(a) for a in np.broadcast_arrays(*case.arrays)]
    if not arrays[0].ndim or not arrays[0].size:
        raise Inapplicable("the sample has no dimensions or no elements")
    whole = case.tensors(arrays, grad=True)
    expected = hosts(case(*whole))
    place = tuple(n // 2 for n in arrays[0].shape)
    tensors = case.tensors([np.array(a[place]) for a in arrays], grad=True)
    with attempt("operands without dimensions"):
        agree(hosts(case(*tensors)), [e[place] for e in expected if e is not None], "result", options)
        if case.differentiable:
            ones = [
                creation.tensor(np.ones(tuple(y.shape)), device=y.device).to(y.dtype) for y in case(*whole)
            ]
            full = hosts(case.gradients(whole, _for_recorded(case, whole, ones)))
            units = [creation.tensor(np.ones(()), device=y.device).to(y.dtype) for y in case(*tensors)]
            found = hosts(case.gradients(tensors, _for_recorded(case, tensors, units)))
            agree(found, [None if g is None else g[place] for g in full], "gradient", options)
    return None


def _for_recorded(case: Case, tensors: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
    """Those of `weights` that are for outputs with a gradient."""
    return [w for w, y in zip(weights, case(*tensors), strict=True) if y.requires_grad]


# --- dtypes ---------------------------------------------------------------------------------------------------


@check(
    "dtypes",
    "float32 stays float32 in results and gradients, and integers become what the op declares",
    "compute in the dtype of the operands: no np.float64(…) scalars, no dtype= of another",
)
def check_dtypes(case: Case, options: dict[str, Any]) -> str | None:
    known = case.subject.backend.dtypes
    if any(isinstance(v, dtypes.dtype) for v in case.constants()):
        raise Inapplicable("the sample names a dtype")
    tried = []
    for dt in (dtypes.float32, dtypes.float16):
        if dt in known and any(a.dtype.kind == "f" for a in case.arrays):
            _check_float(case, dt)
            tried.append(str(dt).removeprefix("torch."))
    if _check_integers(case):
        tried.append("int64")
    if not tried:
        raise Inapplicable("the sample has no real floating-point numbers")
    return ", ".join(tried)


def _check_float(case: Case, dt: Any) -> None:
    """Results and gradients for operands of the dtype `dt`."""
    half = dt is dtypes.float16
    arrays = [a.astype(dt.numpy) if a.dtype.kind == "f" else a for a in case.arrays]
    if any(a.dtype.kind == "c" for a in case.arrays):
        return
    tensors = case.tensors(arrays, grad=True)
    try:
        ys = case(*tensors)
    except Exception as error:
        if half:  # nobody needs to have it
            return
        raise Fault(f"operands of {dt} raised {type(error).__name__}: {error}") from error
    wide = case(*case.tensors())
    for y, w in zip(ys, wide, strict=True):
        if w.dtype is dtypes.float64 and y.dtype is not dt:
            raise Fault(f"operands of {dt} gave {y.dtype}")
        if w.dtype.category < dtypes.FLOAT and y.dtype is not w.dtype:
            raise Fault(f"operands of {dt} gave {y.dtype}, and {w.dtype} in float64")
        if not half and y.dtype is dt and (d := difference(host(y), host(w), 1e-3, 1e-3, dtypes=False)):
            raise Fault(f"in {dt} the result is {d}", "correct what the kernel does for that dtype")
    for i, g in zip(case.differentiable, case.gradients(tensors), strict=True):
        if g is not None and g.dtype is not tensors[i].dtype:
            raise Fault(f"a gradient of {g.dtype} for input {i} of {tensors[i].dtype}")


def _check_integers(case: Case) -> bool:
    """Look at the results of integer operands, where the op takes them."""
    op = case.subject.op
    if op is None or op.result not in ("same", "float", "bool") or float in map(type, case.constants()):
        return False
    kinds = {a.dtype.kind for a in case.arrays}
    if "f" not in kinds or "c" in kinds:
        return False
    integers = []
    for i, a in enumerate(case.arrays):
        if a.dtype.kind != "f":
            integers.append(a)
            continue
        if case.domains is not None:
            low, high = (
                np.ceil(v) if k == 0 else np.floor(v) for k, v in enumerate(case.domains[case.places[i]])
            )
            if low > high:
                return False
            a = np.clip(a, low, high)
        integers.append(np.round(a).astype(np.int64))
    tensors = case.tensors(integers)
    try:
        (y,) = case(*tensors)
    except Exception:  # it takes none
        return False
    found = np.result_type(*[a for i, a in enumerate(integers) if op.inputs[case.places[i]] in op.promotes])
    declared = {"bool": dtypes.bool_, "float": dtypes.get_default_dtype(), "same": dtypes.of(found)}[
        op.result
    ]
    if y.dtype is not declared:
        raise Fault(f"operands of int64 gave {y.dtype}, declared is {declared} (result={op.result!r})")
    if op.result == "same":
        operands, params = case.raw_arguments(tensors)
        raw = quiet.run_anyway(op.kernel(case.subject.backend.array_type), *operands, *params)
        kind = np.dtype(dtypes.of(raw.dtype).numpy).kind
        if kind in "fc":
            raise Fault(
                f"for operands of int64 the kernel computes {dtypes.of(raw.dtype)}, which is cut to {declared}, as declared",
                "declare result='float', so that integers are computed as floating-point numbers",
            )
    return True
