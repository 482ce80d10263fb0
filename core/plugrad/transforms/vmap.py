"""`vmap`: a function of one example as a function of a batch of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import levels, random
from ..graph import Variable
from ..op import OPS
from . import batched
from .tree import Spec, flatten, prefix


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """`func`, which takes single examples, as a function of batches.

    `in_dims` says for each argument, or each tensor in it, along which dimension the examples lie; None for what all
    share, as they do what is passed by keyword. `out_dims` says where they are to lie in the results. `randomness` is
    "error", "different" (each example draws its own numbers) or "same". With `chunk_size` so many examples are
    computed at a time.

    >>> import plugrad as torch
    >>> vmap(torch.dot)(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.ones(2, 2))
    tensor([3., 7.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}"
        )
    if chunk_size is not None and not (isinstance(chunk_size, int) and chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", repr(func))

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        flat, dims, spec = _inputs(name, in_dims, args, kwargs)
        sizes = [x.shape[d] for x, d in zip(flat, dims, strict=True) if d is not None]
        if not sizes:
            raise ValueError("vmap: Expected at least one Tensor to vmap over")
        if any(n != sizes[0] for n in sizes):
            raise ValueError(
                "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
                f"{sizes} for the mapped dimension"
            )
        if chunk_size is None or chunk_size >= sizes[0]:
            ys, _, out_spec = _run(func, name, flat, dims, spec, sizes[0], out_dims, randomness)
            return out_spec.unflatten(ys)
        chunks, states = [], random.get_all_states() if randomness == "same" else None
        for start in range(0, sizes[0], chunk_size):
            if states is not None:
                random.set_all_states(states)
            n = min(chunk_size, sizes[0] - start)
            part = [x if d is None else x.narrow(d, start, n) for x, d in zip(flat, dims, strict=True)]
            chunks.append(_run(func, name, part, dims, spec, n, out_dims, randomness))
        _, places, out_spec = chunks[0]
        columns = zip(*[ys for ys, _, _ in chunks], strict=True)
        joined = [
            ys[0] if d is None else OPS["concat"].call(list(ys), d % ys[0].ndim)
            for ys, d in zip(columns, places, strict=True)
        ]
        return out_spec.unflatten(joined)

    return mapped


def _inputs(name: str, in_dims: Any, args: Any, kwargs: Any) -> tuple[list[Any], list[Any], Spec]:
    """All leaves of the arguments, and for each its batch dimension, counted from the front, or None."""
    asked = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)"
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{asked}: expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, "
            f"got: {type(in_dims)}."
        )
    if not args and not kwargs:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a "
            "function with no inputs. The latter is unsupported."
        )
    flat, spec = flatten(args)
    dims = prefix(in_dims, spec)
    if dims is None:
        raise ValueError(
            f"{asked}: in_dims is not compatible with the structure of `inputs`. in_dims has structure "
            f"{flatten(in_dims)[1]} but inputs has structure {spec}."
        )
    named, named_spec = flatten(kwargs)
    flat, dims = flat + named, dims + [None] * len(named)
    for i, (x, d) in enumerate(zip(flat, dims, strict=True)):
        if d is None:
            continue
        if not isinstance(d, int):
            raise ValueError(
                f"{asked}: Got in_dim={d} for an input but in_dim must be either an integer dimension or None."
            )
        if not isinstance(x, Variable):
            raise ValueError(
                f"{asked}: Got in_dim={d} for an input but the input is of type {type(x)}. We cannot vmap over "
                "non-Tensor arguments, please use None as the respective in_dim"
            )
        ndim = len(x._raw.shape)
        if not -ndim <= d < ndim:
            raise ValueError(
                f"{asked}: Got in_dim={d} for some input, but that input is a Tensor of dimensionality {ndim} so "
                f"expected in_dim to satisfy -{ndim} <= in_dim < {ndim}."
            )
        dims[i] = d % ndim
    return flat, dims, Spec(tuple, None, (spec, named_spec))


def _run(
    func: Any,
    name: str,
    flat: list[Any],
    dims: list[Any],
    spec: Spec,
    size: int,
    out_dims: Any,
    randomness: str,
) -> tuple[list[Any], list[Any], Spec]:
    """The results for one batch, the places of its dimension in them, and their structure."""
    level, depth = batched.VmapLevel(size, randomness), len(levels.thread.stack)
    try:
        levels.push(level)
        inside = [
            x if d is None else level.batch(x if d == 0 else x.movedim(d, 0))
            for x, d in zip(flat, dims, strict=True)
        ]
        before = [getattr(x, "_raw", None) for x in inside]
        args, kwargs = spec.unflatten(inside)
        outputs, out_spec = flatten(func(*args, **kwargs))
        places = _places(name, out_dims, out_spec)
        results = [_result(level, name, y, d) for y, d in zip(outputs, places, strict=True)]
        for x, d, now, raw in zip(flat, dims, inside, before, strict=True):
            if d is None or now._raw is raw:
                continue
            if any(t is now for t in level.turned):
                raise NotImplementedError(
                    f"vmap({name}, ...): an argument that changes its shape in place is not supported: use x = x.t() instead "
                    "of x.t_()"
                )
            x.copy_(level.value(now, d))  # it was written to
        return results, places, out_spec
    finally:
        del levels.thread.stack[depth:]
        levels.pop(level)


def _places(name: str, out_dims: Any, spec: Spec) -> list[Any]:
    places = prefix(out_dims, spec)
    if places is None and isinstance(out_dims, tuple) and len(out_dims) == 1 and spec.type is None:
        places = list(out_dims)
    if places is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of "
            f"`outputs`. out_dims has structure {flatten(out_dims)[1]} but outputs has structure {spec}."
        )
    for d in places:
        if d is not None and not isinstance(d, int):
            raise ValueError(
                f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection of ints "
                "representing where in the outputs the vmapped dimension should appear."
            )
    return places


def _result(level: Any, name: str, y: Any, dim: Any) -> Any:
    if not isinstance(y, Variable):
        if dim is None:
            return y
        raise ValueError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(y)}. Did you mean to set out_dims= "
            "to None for output?"
        )
    if dim is not None:
        return level.value(y, dim)
    if levels.of(y._raw) is level:
        if y._raw.batched:
            raise ValueError(
                f"vmap(`{name}`, ...): `{name}` can not return a BatchedTensor when out_dim is None"
            )
        return y._raw.value
    return y
