"""Whole Jacobians, a batch of directions at a time: `jacrev`, `jacfwd`, `hessian`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import ops
from ..backend import backend_of
from ..graph import Variable, wrap
from .forward import jvp
from .reverse import Taped, of_chosen, output_and_aux, tensors, tensors_returned, zeros
from .tree import flatten
from .vmap import vmap


def basis(xs: Sequence[Any]) -> list[Any]:
    """For all unit vectors in the space of the tensors together, one after the other: a batch for each tensor."""
    sizes = [math.prod(x._raw.shape) for x in xs]
    total, start, found = sum(sizes), 0, []
    for x, n in zip(xs, sizes, strict=True):
        backend: Any = backend_of(x._raw)
        backend = backend.base if backend.is_transform else backend
        rows = backend.zeros((total, n), x.dtype)
        if n:
            diagonal = ops.embed_diagonal.call(wrap(backend.full((n,), 1, x.dtype)), (n, n), 0, 0, 1)
            rows = backend.setitem(rows, (slice(start, start + n), ...), diagonal._raw)
        found.append(ops.reshape_.call(wrap(rows), (total, *x._raw.shape)))
        start += n
    return found


def pieces(batch: Any, like: Sequence[Any], dim: int) -> list[Any]:
    """A batch of results for `basis(like)`, cut by tensor: its dimension at `dim` in the shapes of these."""
    sizes = [math.prod(x._raw.shape) for x in like]
    found = []
    for x, part in zip(like, batch.split(sizes, dim), strict=True):
        shape = tuple(part._raw.shape)
        found.append(ops.reshape_.call(part, (*shape[:dim], *x._raw.shape, *shape[dim + 1 :])))
    return found


def refuse_complex(asked: str, xs: Sequence[Any], which: str) -> None:
    """Raise for complex tensors, of which a Jacobian is no single matrix."""
    for i, x in enumerate(xs):
        if x.dtype.is_complex:
            raise RuntimeError(
                f"{asked}: Expected all {which}s to be real but received complex tensor at flattened {which} idx: {i}"
            )


def jacrev(
    func: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that computes the Jacobian of `func` by reverse mode, all rows as one batch.

    `argnums` says with respect to which arguments, which may be nested containers: a tuple gives a tuple of
    Jacobians. Each has the shape of the output, then that of the input. With `has_aux`, `func` returns
    (output, aux), and the result is (Jacobian, aux). `chunk_size` limits how many rows are computed at a time.

    >>> import plugrad as torch
    >>> jacrev(lambda x: x * x)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if chunk_size is not None and not chunk_size > 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        chosen, xs = of_chosen(func, argnums, args, kwargs)
        refuse_complex("jacrev", tensors(xs, "jacrev", "inputs")[0], "input")
        tape = Taped(chosen, xs, "jacrev")
        y, aux = output_and_aux(tape.output, "jacrev") if has_aux else (tape.output, None)
        outputs, out_spec = tensors_returned(y, "jacrev")
        refuse_complex("jacrev", outputs, "output")
        rows = pulled_rows(tape, outputs, chunk_size)
        blocks = [pieces(r, outputs, 0) for r in rows]  # for each input, for each output
        parts = [tape.spec.unflatten([tape.released(b[j]) for b in blocks]) for j in range(len(outputs))]
        result = out_spec.unflatten(parts if isinstance(argnums, tuple) else [p[0] for p in parts])
        return (result, tape.released(aux)) if has_aux else result

    return jacobian


def pulled_rows(tape: Any, outputs: Sequence[Any], chunk_size: int | None = None) -> list[Any]:
    """For each input all rows of the Jacobian of the outputs together."""
    if not any(math.prod(y._raw.shape) for y in outputs):
        return [zeros(x).reshape(1, *x.shape)[:0] for x in tape.leaves]
    pull = lambda *gs: tuple(tape.pull(outputs, gs, True))
    return list(vmap(pull, chunk_size=chunk_size)(*basis(outputs)))


def jacfwd(
    func: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """The function that computes the Jacobian of `func` by forward mode, all columns as one batch.

    As `jacrev`; the better one where there are more outputs than inputs. `randomness` is that of `vmap`.

    >>> import plugrad as torch
    >>> jacfwd(lambda x: x * x)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        chosen, xs = of_chosen(func, argnums, args, kwargs)
        inputs, spec = tensors(xs, "jacfwd", "inputs")
        refuse_complex("jacfwd", inputs, "input")

        def push(*tangents: Any) -> Any:
            of_flat = lambda *values: chosen(spec.unflatten(list(values)))
            found = jvp(of_flat, tuple(inputs), tangents, has_aux=has_aux)
            return found[0], flatten(found[1])[0], found[2] if has_aux else None

        count = sum(math.prod(x._raw.shape) for x in inputs)
        directions = basis(inputs)
        if not count:  # nothing to move, but the outputs' shapes are needed
            directions = [zeros(x).reshape(1, *x.shape) for x in inputs]
        y, columns, aux = vmap(push, out_dims=(0, -1, 0 if has_aux else None), randomness=randomness)(
            *directions
        )
        outputs, out_spec = flatten(_first(y))
        refuse_complex("jacfwd", outputs, "output")
        columns = columns if count else [c[..., :0] for c in columns]
        blocks = [pieces(c, inputs, len(o._raw.shape)) for c, o in zip(columns, outputs, strict=True)]
        parts = [spec.unflatten(b) for b in blocks]
        result = out_spec.unflatten(parts if isinstance(argnums, tuple) else [p[0] for p in parts])
        flat_aux = _first(aux) if has_aux else None
        return (result, flat_aux) if has_aux else result

    return jacobian


def _first(tree: Any) -> Any:
    """What was the same for all directions."""
    values, spec = flatten(tree)
    return spec.unflatten([_first_of(v) if isinstance(v, Variable) else v for v in values])


def _first_of(batch: Any) -> Any:
    return batch[0]


def hessian(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The function that computes the second derivatives of `func`: forward mode over reverse mode.

    >>> import plugrad as torch
    >>> hessian(lambda x: (x**3).sum())(torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
