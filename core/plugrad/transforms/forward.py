"""Forward mode as functions of functions: `jvp`, `linearize`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import dtypes, levels
from ..backend import backend_of
from ..graph import Variable, wrap
from .dual import DualLevel, check_tangent
from .reverse import Taped
from .tree import Spec, flatten


def jvp(
    func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> Any:
    """The value of `func` at `primals` and its change along `tangents`: (output, tangent of output).

    With `has_aux` the function returns (output, aux), and aux comes third. With `strict` an output that does not
    depend on the inputs is an error instead of a tangent of zeros.

    >>> import plugrad as torch
    >>> jvp(lambda x: x * x, (torch.tensor([3.0]),), (torch.tensor([1.0]),))
    (tensor([9.]), tensor([6.]))
    """
    if type(primals) is not tuple:
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    xs, spec = _tensors(primals, "primals")
    ts, structure = flatten(tangents)
    if spec != structure:
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals and tangents to have the same python structure. For example, "
            f"if primals is a tuple of 3 tensors, tangents also must be. Got primals with structure {spec} and "
            f"tangents with structure {structure}"
        )
    _tensors(tangents, "tangents")
    ys, dys, out_spec, aux = _pushed(func, xs, ts, spec, strict, has_aux)
    results = out_spec.unflatten(ys), out_spec.unflatten(dys)
    return (*results, aux) if has_aux else results


def _tensors(tree: Any, which: str) -> tuple[list[Any], Spec]:
    leaves, spec = flatten(tree)
    for x in leaves:
        if not isinstance(x, Variable):
            raise RuntimeError(
                f"jvp(f, primals, tangents): Expected {which} to only contain Tensors, got {type(x)}: close over "
                "other arguments, e.g. with functools.partial"
            )
    if not leaves:
        raise RuntimeError(f"jvp(f, primals, tangents): Expected {which} to contain at least one Tensor.")
    return leaves, spec


def _pushed(
    func: Callable[..., Any], xs: list[Any], ts: list[Any], spec: Spec, strict: bool, has_aux: bool
) -> tuple[list[Any], list[Any], Spec, Any]:
    """The outputs of `func`, their tangents, their structure, and aux."""
    for x, t in zip(xs, ts, strict=True):
        check_tangent(x, t)
    level, depth = DualLevel(), len(levels.thread.stack)
    try:
        levels.push(level)
        duals = [level.dual(x, t) for x, t in zip(xs, ts, strict=True)]
        output, aux = func(*spec.unflatten(duals)), None
        if has_aux:
            output, aux = _output_and_aux(output)
            leaves, aux_spec = flatten(aux)
            for v in leaves:
                if not isinstance(v, Variable):
                    raise RuntimeError(f"jvp: aux: Expected tensors, got unsupported type {type(v)}")
            aux = aux_spec.unflatten([level.parts(v)[0] for v in leaves])
        outputs, out_spec = flatten(output)
        ys, dys = [], []
        for y in outputs:
            if not isinstance(y, Variable):
                raise RuntimeError(
                    f"jvp(f, primals, tangents): expected f(*primals) to return only tensors, got unsupported type {type(y)}"
                )
            value, moved = level.parts(y)
            if moved is None and strict:
                raise RuntimeError(
                    "jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. "
                    "This is not allowed with strict=True."
                )
            ys.append(value)
            dys.append(_zeros(value) if moved is None else moved)
    finally:
        del levels.thread.stack[depth:]
        levels.pop(level)
    return ys, dys, out_spec, aux


def _output_and_aux(result: Any) -> tuple[Any, Any]:
    if type(result) is not tuple or len(result) != 2:
        raise RuntimeError(
            "jvp(f, primals, tangents): output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return result


def _zeros(like: Any) -> Any:
    return wrap(backend_of(like._raw).zeros(tuple(like._raw.shape), dtypes.of(like._raw.dtype)))


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of `func` at `primals`, and the linear function of tangents that approximates it there.

    `func` is computed once, however often the linear function is called.

    >>> import plugrad as torch
    >>> y, push = linearize(lambda x: x * x, torch.tensor([3.0]))
    >>> y, push(torch.tensor([1.0])), push(torch.tensor([2.0]))
    (tensor([9.]), tensor([6.]), tensor([12.]))
    """
    xs, spec = flatten(primals)
    for x in xs:
        if not isinstance(x, Variable):
            raise RuntimeError(
                f"linearize(f, *primals): Expected primals to only contain Tensors, got {type(x)}"
            )
        check_tangent(x, x)
    # The vjp is linear in its cotangents; its transpose is the jvp.
    tape = Taped(lambda args: func(*args), primals, "linearize(f, *primals)")
    outputs, out_spec = flatten(tape.output)
    for y in outputs:
        if not isinstance(y, Variable):
            raise RuntimeError(
                f"linearize(f, *primals): expected f(*primals) to return only tensors, got unsupported type {type(y)}"
            )
    moving = [y for y in outputs if y._edge is not None]
    cotangents, pulled = tape.linear(moving)
    used = [i for i, g in enumerate(pulled) if g is not None and g.requires_grad]
    places = {id(y): i for i, y in enumerate(moving)}

    def push(*tangents: Any) -> Any:
        """The tangents of the outputs, for tangents of the primals."""
        ts, structure = flatten(tangents)
        if structure != spec:
            raise RuntimeError(
                f"Expected the tangents {structure} to have the same argspec as the primals {spec}"
            )
        for i, (x, t) in enumerate(zip(xs, ts, strict=True)):
            for what in ("shape", "dtype"):
                found, expected = getattr(t, what, None), getattr(x, what)
                if found != expected:
                    raise RuntimeError(
                        f"tangent:{i} with {what} {found} in flattened pytree doesn't match the {what} {expected} of "
                        "the corresponding primal."
                    )
        moved: Any = [None] * len(moving)
        if used:
            moved = tape.grad([pulled[i] for i in used], cotangents, [ts[i] for i in used], retain_graph=True)
        found = [moved[places[id(y)]] if id(y) in places else None for y in outputs]
        return out_spec.unflatten(
            [_zeros(y) if t is None else t for y, t in zip(outputs, found, strict=True)]
        )

    return tape.released(tape.output), push
