"""What `opcheck` looks at in an op's values: its name, where the values come from, modes, memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ... import creation, quiet
from ...backend import BY_ARRAY, backend_of
from ...codegen import meta
from ...engine import grad
from ...errors import DeviceError
from ...graph import Variable
from ...modes import inference_mode, no_grad
from ...op import OPS, Composite, Op
from .calls import Case, host
from .checks import agree, attempt, check, host_of, hosts, kernel_of, meaning_of, results, same_function
from .report import Fault, Inapplicable

# --- declaration and values -----------------------------------------------------------------------------------


@check(
    "name",
    "an op is named library::name, is the one of that name, and pickles as its name",
    "declare it as '<your library>::<name>', once, with names that are Python identifiers",
)
def check_name(case: Case, options: dict[str, Any]) -> str | None:
    target = case.subject.target
    if not isinstance(target, (Op, Composite)):
        raise Inapplicable("only declared ops have names of their own")
    if not re.fullmatch(r"[A-Za-z_]\w*(::[A-Za-z_]\w*)?", target.name):
        raise Fault(f"the name {target.name!r}")
    if "::" not in target.name and not _is_ours(target):
        raise Fault(f"the name {target.name!r} without a library: such names are plugrad's own")
    if OPS.get(target.name) is not target:
        raise Fault(f"another op of the name {target.name!r}: {OPS.get(target.name)!r}")
    import pickle

    if pickle.loads(pickle.dumps(target)) is not target:
        raise Fault("its pickle is read as another object")
    if isinstance(target, Op) and not target.node_name.isidentifier():
        raise Fault(f"its node is called {target.node_name!r}", "give node='SomethingBackward0'")
    return None


def _is_ours(op: Any) -> bool:
    """Whether a declaration stands in plugrad itself."""
    functions = [op.body] if isinstance(op, Composite) else [*op.formulas.values(), op.default]
    modules = {getattr(f, "__module__", None) for f in functions if f is not None and not isinstance(f, Op)}
    return all(str(m).partition(".")[0] == "plugrad" for m in modules)


@check(
    "call",
    "the op takes the sample, and returns tensors of its device",
    "see the error; where the op does not take the sample, give others: opcheck(op, x, y). Samples are made float64, and so "
    "must be what a function holds itself",
)
def check_call(case: Case, options: dict[str, Any]) -> str | None:
    subject = case.subject
    if subject.op is not None and subject.op.formulas:
        subject.op.saves  # noqa: B018  which raises where a formula reads what there is not
    tensors = case.tensors()
    ys = case(*tensors)
    for y in ys:
        if backend_of(y._raw) is not subject.backend:
            raise Fault(f"a result on {y.device}, expected {subject.device}")
    if subject.elementwise:
        shape = np.broadcast_shapes(*[a.shape for a in case.arrays])
        for y in ys:
            if tuple(y.shape) != shape:
                raise Fault(
                    f"operands of shapes {[a.shape for a in case.arrays]} gave the shape {tuple(y.shape)}, not {shape}",
                    "an elementwise op computes each element alone: declare what does not as operator(...)",
                )
    if case.drawn and any(np.isnan(v).any() for v in map(host, ys) if v.dtype.kind in "fc"):
        raise Fault("NaN from samples that were drawn", "say where the op is defined: domain=(low, high)")
    origin = f", its kernel is {kernel_of(case)[1]}" if subject.op is not None else ""
    return f"{case}{origin}"


@check(
    "mutation",
    "neither the op nor its derivative writes into what it is given",
    "compute new arrays: x * 2 instead of x *= 2, no out=x; a Function that means to write says ctx.mark_dirty(x)",
)
def check_mutation(case: Case, options: dict[str, Any]) -> str | None:
    tensors = case.tensors(grad=True)
    with no_grad():
        case(*tensors)
    _unchanged(case, tensors, "the op", fatal=True)
    ys = [y for y in case(*tensors) if y.requires_grad]
    _unchanged(case, tensors, "the recorded op")
    if not ys or not case.differentiable:
        return None
    before = hosts(ys)
    weights = [
        creation.tensor(w, device=case.subject.device).to(y.dtype) for w, y in zip(case.weights(ys), ys)
    ]
    given = hosts(weights)
    grad(ys, [tensors[i] for i in case.differentiable], weights, allow_unused=True)
    _unchanged(case, tensors, "the derivative")
    for what, values, old in (("its output", ys, before), ("the cotangent g", weights, given)):
        for v, o in zip(hosts(values), old, strict=True):
            if not np.array_equal(v, o, equal_nan=v.dtype.kind in "fc"):
                raise Fault(f"the derivative changed {what}")
    return None


def _unchanged(case: Case, tensors: Sequence[Any], who: str, fatal: bool = False) -> None:
    for i, (x, a) in enumerate(zip(tensors, case.arrays, strict=True)):
        if not np.array_equal(host(x), a, equal_nan=a.dtype.kind in "fc"):
            raise Fault(f"{who} changed input {i}", fatal=fatal)
        if x._version:
            raise Fault(f"{who} wrote into input {i}, {x._version} times", fatal=fatal)


@check(
    "formulas",
    "a formula computes with whatever it is given: arrays of the device, or tensors",
    "write it with Python's operators and plugrad.ops (plugrad.ops.exp(x), not plugrad.exp(x), numpy.exp(x) or x.exp())",
)
def check_formulas(case: Case, options: dict[str, Any]) -> str | None:
    op: Any = case.subject.op
    if op is None or not case.differentiable:
        raise Inapplicable(
            "it has no formulas" if op is None or not op.formulas else "no floating-point operand"
        )
    tensors = case.tensors()
    args, params = case.fill(tensors, case.subject.backend)
    count = 1 if op.variadic else len(op.inputs)
    values = [*args[count:], *op.positional(tuple(args), params)]
    raws, _ = case.raw_arguments(tensors)
    for what, run, operands in (("arrays", quiet.run_anyway, raws), ("tensors", _plainly, args[:count])):
        y = run(op, *operands, *values)
        if what == "arrays":
            y = [BY_ARRAY[type(v)].asarray(v) for v in y] if op.outputs else BY_ARRAY[type(y)].asarray(y)
        for name in dict.fromkeys(
            op.inputs[0 if op.variadic else case.places[i]] for i in case.differentiable
        ):
            formula = op.saves.formulas[name]
            known = {"g": y, "y": y, **dict(zip(op.inputs, operands)), **dict(zip(op.params, values))}
            forms = formula.metadata - {"g", *op.params}
            given = [_read(known[n], n in forms) for n in formula.names]
            with attempt(f"the formula of {name!r}, given {what},"):
                result = run(formula.fn, *given)  # the output may serve as a cotangent
            for g in results(result) if op.variadic else [result]:
                fits = isinstance(g, Variable) if what == "tensors" else type(g) in BY_ARRAY
                if g is not None and not fits:
                    raise Fault(f"the formula of {name!r}, given {what}, gave a {type(g).__name__}")
    return None


def _read(value: Any, form: bool) -> Any:
    """What a formula is given of an array or tensor, or of a list of them: all, or what is kept of its `form`."""
    if not form:
        return value
    if isinstance(value, list):
        return [_read(v, form) for v in value]
    return meta(value._raw if isinstance(value, Variable) else value)


def _plainly(f: Any, *args: Any) -> Any:
    return f(*args)


@check(
    "composite",
    "the kernel computes what the op's default does, or the core's composite, or the kernel whose place it takes",
    "correct the kernel: the default says what the op means",
)
def check_composite(case: Case, options: dict[str, Any]) -> str | None:
    op = case.subject.op
    if op is None:
        raise Inapplicable("it is no op with kernels")
    backend = case.subject.backend
    kernel, default = kernel_of(case)[0], meaning_of(op, backend)
    if default is None:
        raise Inapplicable("it has neither a default nor a composite")
    if same_function(kernel, default):
        raise Inapplicable(f"{case.subject.device} has no other kernel")
    operands, params = case.raw_arguments(case.tensors())
    try:
        expected = [host_of(y) for y in results(quiet.run_anyway(default, *operands, *params))]
    except NotImplementedError as error:
        raise Inapplicable(f"the default refuses the sample: {error}") from error
    found = [host_of(y) for y in results(quiet.run_anyway(kernel, *operands, *params))]
    agree(found, expected, "result", options, dtypes=False)
    return None


@check(
    "reference",
    "the op computes what the reference does, a function of NumPy arrays",
    "correct the kernel, or the reference",
)
def check_reference(case: Case, options: dict[str, Any], reference: Any = None) -> str | None:
    if reference is None:
        raise Inapplicable("no reference=")
    args, params = case.fill([np.array(a) for a in case.arrays], None)
    expected = [np.asarray(y) for y in results(quiet.run_anyway(partial(reference, *args, **params)))]
    agree(hosts(case(*case.tensors())), expected, "result", options, dtypes=False)
    return None


@check("cpu", "the device computes what the CPU does, gradients included", "correct the device's kernel")
def check_cpu(case: Case, options: dict[str, Any]) -> str | None:
    if case.subject.device.type == "cpu":
        raise Inapplicable("the device is the CPU")
    here, there = case.tensors(grad=True), case.tensors(grad=True, device="cpu")
    try:
        expected = hosts(case(*there))
    except DeviceError as error:
        raise Inapplicable(f"the CPU has no kernel: {error}") from error
    agree(hosts(case(*here)), expected, "result", options)
    if case.differentiable:
        agree(hosts(case.gradients(here)), hosts(case.gradients(there)), "gradient", options)
    return None


# --- modes ------------------------------------------------------------------------------------------------------


@check(
    "deterministic",
    "the same call gives the same bits, forward and backward",
    "keep no state between calls, and draw from plugrad's generators, which are seeded before each; where the order of sums "
    "is left to the device: skip={'deterministic': 'why'}",
)
def check_deterministic(case: Case, options: dict[str, Any]) -> str | None:
    first = hosts(case(*case.tensors()))
    for _ in range(2):
        agree(hosts(case(*case.tensors())), first, "result of a second call", {"rtol": 0.0, "atol": 0.0})
    if case.differentiable:
        gs = [hosts(case.gradients(case.tensors(grad=True))) for _ in range(2)]
        agree(gs[1], gs[0], "gradient of a second call", {"rtol": 0.0, "atol": 0.0})
    return None


@check(
    "no_grad",
    "under no_grad and inference_mode the values are the same, and nothing is recorded",
    "do not ask for gradients inside of the op, or do it within torch.enable_grad()",
)
def check_no_grad(case: Case, options: dict[str, Any]) -> str | None:
    expected = hosts(case(*case.tensors(grad=True)))
    for mode in (no_grad, inference_mode):
        tensors = case.tensors(grad=True)
        with mode(), attempt(f"under {mode.__name__} it"):
            ys = case(*tensors)
        for y in ys:
            if y.requires_grad and not any(y is x for x in tensors):
                raise Fault(f"under {mode.__name__} a result that requires grad")
        agree(hosts(ys), expected, f"result under {mode.__name__}", options)
    return None


# --- memory ---------------------------------------------------------------------------------------------------


@check(
    "aliasing",
    "the result shares no memory with an input, unless the op is declared a view",
    "return a new array (x.copy(), or x.clone() of a tensor), or declare view=True",
)
def check_aliasing(case: Case, options: dict[str, Any]) -> str | None:
    backend, found = case.subject.backend, 0
    for i, a in enumerate(case.arrays):
        if not a.size:
            continue
        tensors = case.tensors()
        x = tensors[i]
        with no_grad():
            ys = case(*tensors)
        before = hosts(ys)
        if any(y is x for y in ys):
            raise Fault(f"it returned its input {i} itself")
        home = getattr(x, "_storage", None)  # by which a view knows whose memory it shows
        other = backend.from_numpy(np.where(a == 1, 0, 1).astype(a.dtype))
        backend.setitem(x._raw, ..., other)
        for y, old in zip(ys, before, strict=True):
            shared = not np.array_equal(host(y), old, equal_nan=old.dtype.kind in "fc")
            if shared and (home is None or getattr(y, "_storage", None) is not home):
                raise Fault(f"a result changes when input {i} is written into")
            found += shared
    return "a view" if found else None
