"""A custom `Function` under vmap: by its `vmap` staticmethod, or by its own methods run on whole batches.

In both cases the call is computed, and recorded, on the tensors below the level; where arguments have a place in the
graph of the level itself, it gets a node there, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from .. import levels
from ..function import Function
from ..graph import Variable, wrap
from ..modes import is_grad_enabled
from ..op import sum_to
from .batched import VmapLevel
from .tree import flatten, prefix


class VmapInfo(NamedTuple):
    """What a `vmap` staticmethod gets to know: the number of examples, and the `randomness` that was asked for."""

    batch_size: int
    randomness: str


class Held(NamedTuple):
    """A tensor of a level that may be gone by now: the one below, and whether it has the batch."""

    value: Any
    batched: bool


def apply(level: VmapLevel, function: Any, args: tuple[Any, ...], ctx: Any = None) -> Any:
    """The outputs of a `Function` of which `level` is the highest among its arguments; a `ctx` is filled in."""
    name = function.__name__
    if function.setup_context is Function.setup_context:
        raise RuntimeError(
            f"{name}: In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, jacrev, ...), it "
            "must override the setup_context staticmethod: let forward take no ctx, and save in setup_context"
        )
    own = function.vmap is not Function.vmap
    if own and function.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {name}, but it has both generate_vmap_rule=True and an overridden vmap staticmethod. "
            "Please set generate_vmap_rule=False or delete the overridden vmap staticmethod to avoid ambiguity."
        )
    if not own and not function.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {name}, but it does not have vmap support. Please override and implement the vmap "
            "staticmethod or set generate_vmap_rule=True."
        )
    leaves, spec = flatten(args)
    held = [hold(level, x) for x in leaves]
    below, dims = spec.unflatten([h.value for h in held]), [0 if h.batched else None for h in held]
    with levels.below(level):
        if not any(h.batched for h in held):
            result = function.apply(*below)
            places = [None] * len(flatten(result)[0])
        elif own:
            info = VmapInfo(level.size, level.randomness)
            result, places = _checked(name, function.vmap(info, spec.unflatten(dims), *below))
        else:
            rule = generated(function, level, spec.unflatten(dims))
            result, places = rule.apply(*below), rule.dims
    outputs, out_spec = flatten(result)
    ys = out_spec.unflatten([_placed(level, name, y, d) for y, d in zip(outputs, places, strict=True)])
    if ctx is None and not (is_grad_enabled() and any(isinstance(a, Variable) and a._edge for a in args)):
        return ys
    return function._run(args, True, ctx, lambda *_: ys)


def hold(level: Any, x: Any) -> Held:
    """What stands for `x` below `level`."""
    if not isinstance(x, Variable) or levels.of(x._raw) is not level:
        return Held(x, False)
    return Held(x._raw.value, x._raw.batched)


def _checked(name: str, result: Any) -> tuple[Any, list[Any]]:
    """What a `vmap` staticmethod returned: the output, and the place of the batch in each tensor of it."""
    if not isinstance(result, tuple) or len(result) != 2:
        found = f"a tuple of {len(result)}" if isinstance(result, tuple) else str(type(result))
        raise RuntimeError(
            f"Expected the vmap staticmethod of {name} to have two returns, an output and out_dims. Got {found}"
        )
    output, out_dims = result
    spec = flatten(output)[1]
    places = prefix(out_dims, spec)
    if places is None:
        raise RuntimeError(
            f"{name}.vmap: returned an incompatible (output, out_dims): out_dims has structure {flatten(out_dims)[1]} "
            f"but the output has structure {spec}"
        )
    return output, places


def _placed(level: VmapLevel, name: str, y: Any, dim: Any) -> Any:
    """An output from below as a tensor of `level`, its batch at `dim`."""
    if not isinstance(y, Variable):
        return y
    if dim is None:
        return wrap(level.lift(y))
    shape = tuple(y._raw.shape)
    if not isinstance(dim, int) or not -len(shape) <= dim < len(shape) or shape[dim] != level.size:
        raise RuntimeError(
            f"{name}.vmap: out_dims says {dim!r} for an output of shape {list(shape)}: expected the dimension that holds "
            f"the {level.size} examples, or None"
        )
    return level.batch(y if dim == 0 else y.movedim(dim, 0))  # type: ignore[attr-defined]


# --- a rule from the function's own methods --------------------------------------------------------------------


@contextmanager
def _level(size: int, randomness: str) -> Iterator[Any]:
    level, depth = VmapLevel(size, randomness), len(levels.thread.stack)
    try:
        levels.push(level)
        yield level
    finally:
        del levels.thread.stack[depth:]
        levels.pop(level)


def _back(level: Any, held: Any) -> Any:
    """What was held, at a level of its own."""
    if not isinstance(held, Held):
        return held
    return level.batch(held.value) if held.batched else held.value


def generated(function: Any, of: VmapLevel, dims: Any) -> Any:
    """`function` as a Function of whole batches: each of its methods, at a level of its own.

    `dims`, in the structure of the arguments, has 0 for those with the batch. The Function's own `dims` says the same
    of the outputs, once it has run.
    """
    flat_dims, depth = flatten(dims)[0], getattr(function, "depth", 0) + 1

    class Vmapped(Function):
        generate_vmap_rule = True
        clear_saved_tensors_on_access = function.clear_saved_tensors_on_access
        dims: list[Any]
        tops: list[Any]

        @staticmethod
        def forward(*args: Any) -> Any:
            with _level(of.size, of.randomness) as level:
                outputs, spec = flatten(function.forward(*_entered(level, args, flat_dims)))
                held = [hold(level, y) for y in outputs]
                Vmapped.dims = [0 if h.batched else None for h in held]
                tops = spec.unflatten(Vmapped.dims)
                Vmapped.tops = _tops(tops if spec.type is tuple else (tops,))
                return spec.unflatten([h.value for h in held])

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            setattr(ctx, f"_shapes{depth}", [getattr(x, "shape", None) for x in inputs])
            with _level(of.size, of.randomness) as level:
                here = _entered(level, inputs, flat_dims), _entered(level, output, Vmapped.dims)
                function.setup_context(_Ctx(ctx, level, depth, here, (inputs, output)), *here)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            backward = function._backward()
            with _level(of.size, of.randomness) as level:
                gs = _entered(level, grads, Vmapped.tops)
                found = backward(_Ctx(ctx, level, depth), *([list(gs)] if function.boxed_grads_call else gs))
                found = found if isinstance(found, tuple) else (found,)
                wanted = [*zip(_tops(dims), getattr(ctx, f"_shapes{depth}"), strict=True)]
                wanted += [(None, None)] * (len(found) - len(wanted))  # too many are somebody else's error
                return tuple(_gradient(level, g, *w) for g, w in zip(found, wanted, strict=False))

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            with _level(of.size, of.randomness) as level:
                found = function.jvp(
                    _Ctx(ctx, level, depth, forward=True), *_entered(level, tangents, _tops(dims))
                )
                single = not isinstance(found, (tuple, list))
                moved = [
                    level.value(t, 0) if d == 0 and isinstance(t, Variable) else hold(level, t).value
                    for t, d in zip([found] if single else found, Vmapped.tops, strict=False)
                ]
                return moved[0] if single else tuple(moved)

    Vmapped.depth = depth  # type: ignore[attr-defined]
    for cls in (Vmapped, Vmapped._node):
        cls.__name__ = cls.__name__.replace("Vmapped", f"Vmapped{function.__name__}")
    if function.jvp is Function.jvp:
        Vmapped.jvp = Function.jvp  # type: ignore[method-assign]
    return Vmapped


def _tops(dims: Any) -> list[Any]:
    """Those of the arguments, or outputs, that are tensors themselves and no containers."""
    return [d if d == 0 and type(d) is int else None for d in dims]


def _entered(level: Any, tree: Any, dims: list[Any]) -> Any:
    """What is in `tree`, with the batch where `dims` says so."""
    values, spec = flatten(tree)
    return spec.unflatten(
        [v if v is None or d is None else level.batch(v) for v, d in zip(values, dims, strict=True)]
    )


def _gradient(level: Any, g: Any, dim: Any, full: Any) -> Any:
    """A gradient from the author's backward as that of an argument below: for a shared one the sum over the batch."""
    if not isinstance(g, Variable) or full is None:
        return g
    shape = tuple(full)[0 if dim is None else 1 :]
    if len(g._raw.shape) > len(shape) or 1 in shape:  # it may have more dimensions, which add up
        g = sum_to(g, shape)
    held = hold(level, g)
    if dim is None:
        return held.value.sum(0) if held.batched else held.value
    return level.value(g, 0)


class _Ctx:
    """The `ctx` that the author's methods see at a level: what it keeps, it keeps as tensors below."""

    def __init__(
        self, ctx: Any, level: Any, depth: int, here: Any = (), below: Any = (), forward: bool = False
    ) -> None:
        known = list(zip(flatten(here)[0], flatten(below)[0], strict=True))
        # Levels in each other keep their notes under names of their own.
        names = f"_batched{depth}", f"_batched_forward{depth}"
        self.__dict__.update(_ctx=ctx, _level=level, _known=known, _names=names, _flags=names[forward])

    def _held(self, tensors: Any) -> list[Any]:
        """Tensors of the level as they are held; inputs and outputs as the very tensors below."""
        found = []
        for t in tensors:
            same = next((b for h, b in self._known if h is t), None)
            h = hold(self._level, t)
            found.append(h if same is None else Held(same, h.batched))
        return found

    def save_for_backward(self, *tensors: Any) -> None:
        """As the real one."""
        held = self._held(tensors)
        setattr(self._ctx, self._names[0], [h.batched for h in held])
        self._ctx.save_for_backward(*[h.value for h in held])

    def save_for_forward(self, *tensors: Any) -> None:
        """As the real one."""
        held = self._held(tensors)
        setattr(self._ctx, self._names[1], [h.batched for h in held])
        self._ctx.save_for_forward(*[h.value for h in held])

    def mark_non_differentiable(self, *args: Any) -> None:
        """As the real one."""
        self._ctx.mark_non_differentiable(*[h.value for h in self._held(args)])

    def mark_dirty(self, *args: Any) -> None:
        """Refused."""
        raise NotImplementedError(
            f"{self._ctx._function.__name__}: mark_dirty under vmap is not supported: return a new tensor from forward, "
            "or give the Function a vmap staticmethod"
        )

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The saved tensors, at the level."""
        saved, flags = self._ctx.saved_tensors, getattr(self._ctx, self._flags, ())
        return tuple(
            t if t is None else _back(self._level, Held(t, b)) for t, b in zip(saved, flags, strict=True)
        )

    def sources(self, result: Any) -> list[Any]:
        """As the real one."""
        return [wrap(self._level.lift(t)) for t in self._ctx.sources(hold(self._level, result).value)]

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._ctx, name)
        if type(value) is _Tree:
            return value.spec.unflatten([_back(self._level, v) for v in value.leaves])
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        leaves, spec = flatten(value)
        if any(isinstance(v, Variable) for v in leaves):
            value = _Tree([self._held([v])[0] if isinstance(v, Variable) else v for v in leaves], spec)
        setattr(self._ctx, name, value)


class _Tree(NamedTuple):
    """Nested containers with held tensors in them."""

    leaves: list[Any]
    spec: Any
