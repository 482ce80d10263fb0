"""A custom `Function` under vmap: its own `vmap` staticmethod, or forward, backward and jvp on whole batches.

At the level of vmap itself the function is recorded as anywhere, so that `grad` inside of vmap calls its backward on
batches. For those who differentiate below, `generate_vmap_rule` makes a `Function` of the batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from .. import levels
from ..function import Function
from ..graph import Variable, wrap
from .batched import VmapLevel
from .tree import flatten, prefix


class VmapInfo(NamedTuple):
    """What a `vmap` staticmethod is told."""

    batch_size: int
    randomness: str


def apply(level: VmapLevel, function: Any, args: tuple[Any, ...], ctx: Any = None) -> Any:
    """The outputs of a `Function` of which `level` is the highest among its arguments."""
    own = function.vmap is not Function.vmap
    if own and function.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {function.__name__}, but it has both generate_vmap_rule=True and an overriden vmap "
            "staticmethod. Please set generate_vmap_rule=False or delete the overriden vmap staticmethod to avoid ambiguity."
        )
    if not own and not function.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {function.__name__}, but it does not have vmap support. Please override and implement "
            "the vmap staticmethod or set generate_vmap_rule=True."
        )
    if function.setup_context is Function.setup_context:
        raise RuntimeError(
            f"{function.__name__}: in order to use an autograd.Function with vmap, it must override the setup_context "
            "staticmethod, beside a forward without ctx"
        )

    def forward(*given: Any) -> Any:
        inner, flags = _lowered(level, given)
        if not any(flags):
            return _lifted_tree(level, function.apply(*inner), lambda y: False)
        return (_by_own_rule if own else _by_generated_rule)(level, function, inner, flags)

    return function._run(args, {}, True, ctx, forward)


def _lowered(level: VmapLevel, values: Sequence[Any]) -> tuple[list[Any], list[bool]]:
    """Arguments as they are below `level`, and which of them have the batch in front."""
    here = [isinstance(v, Variable) and levels.of(v._raw) is level for v in values]
    inner = [v._raw.value if h else v for v, h in zip(values, here, strict=True)]
    return inner, [h and v._raw.batched for v, h in zip(values, here, strict=True)]


def _lifted(level: VmapLevel, values: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    """Undoes `_lowered`."""
    return [
        v if not isinstance(v, Variable) else level.batch(v) if b else wrap(level.lift(v))
        for v, b in zip(values, flags, strict=True)
    ]


def _lifted_tree(level: VmapLevel, result: Any, batched: Callable[[Any], bool]) -> Any:
    single = not isinstance(result, tuple)
    ys = _lifted(
        level, (result,) if single else result, [batched(y) for y in ([result] if single else result)]
    )
    return ys[0] if single else tuple(ys)


def _by_own_rule(level: VmapLevel, function: Any, inner: list[Any], flags: list[bool]) -> Any:
    in_dims = tuple(0 if b else None for b in flags)
    found = function.vmap(VmapInfo(level.size, level.randomness), in_dims, *inner)
    if not isinstance(found, tuple) or len(found) != 2:
        raise RuntimeError(
            f"Expected the vmap staticmethod of {function.__name__} to have two returns, an output and out_dims with pytree "
            f"structure compatible with the output, got {type(found).__name__}"
        )
    output, out_dims = found
    ys, spec = flatten(output)
    dims = prefix(out_dims, spec)
    if dims is None:
        raise RuntimeError(
            f"{function.__name__}.vmap: returned an incompatible (out_dims, output) tuple: out_dims {out_dims} does not fit "
            f"the structure of the output, {spec}"
        )
    moved = [
        y if not isinstance(y, Variable) or not d else _moved(y, d) for y, d in zip(ys, dims, strict=True)
    ]
    for y, d in zip(moved, dims, strict=True):
        if d is not None and tuple(y._raw.shape)[:1] != (level.size,):
            raise RuntimeError(
                f"{function.__name__}.vmap: an output of shape {tuple(y._raw.shape)} has no batch of {level.size} at out_dim {d}"
            )
    return spec.unflatten(_lifted(level, moved, [d is not None for d in dims]))


def _moved(y: Any, dim: int) -> Any:
    return y.movedim(dim, 0)


def _by_generated_rule(level: VmapLevel, function: Any, inner: list[Any], flags: list[bool]) -> Any:
    vmapped = _vmapped(function, flags, level.size, level.randomness)
    result = vmapped.apply(*inner)
    single = not isinstance(result, tuple)
    ys = _lifted(level, (result,) if single else result, vmapped.out_flags)
    return ys[0] if single else tuple(ys)


class _Context:
    """The `ctx` that the author's methods see on batches: the attributes are kept from one method to the next."""

    _below: Any

    def __init__(self, below: Any, attributes: dict[str, Any]) -> None:
        self.__dict__.update(attributes)
        self.__dict__["_below"] = below
        self.__dict__["_to_save"], self.__dict__["_for_forward"], self.__dict__["_constant"] = (), (), ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for `backward`."""
        self.__dict__["_to_save"] = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors for `jvp`."""
        self.__dict__["_for_forward"] = tensors

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """Say that these outputs need no gradient."""
        self.__dict__["_constant"] = outputs

    def mark_dirty(self, *inputs: Any) -> None:
        """Refused: batches are never written to."""
        raise NotImplementedError(
            f"{self._below._function.__name__}: mark_dirty under vmap is not supported: return a new tensor from forward"
        )

    def set_materialize_grads(self, value: bool) -> None:
        """As anywhere."""
        self._below.set_materialize_grads(value)

    @property
    def needs_input_grad(self) -> Any:
        """As anywhere."""
        return self._below.needs_input_grad


def _attributes(shown: _Context) -> dict[str, Any]:
    """What the author has put on a ctx."""
    own = ("_below", "_to_save", "_for_forward", "_constant", "saved_tensors")
    return {k: v for k, v in shown.__dict__.items() if k not in own}


def _vmapped(function: Any, flags: list[bool], size: int, randomness: str) -> Any:
    """`function` on batches: a Function of tensors of which those in `flags` have the batch in front."""

    @contextmanager
    def level_of_its_own() -> Iterator[Any]:
        level = levels.push(VmapLevel(size, randomness))
        try:
            yield level
        finally:
            levels.pop(level)

    class Vmapped(Function):
        generate_vmap_rule = True
        out_flags: list[bool]

        @staticmethod
        def forward(*inner: Any) -> Any:
            with level_of_its_own() as level:
                result = function.forward(*_lifted(level, inner, flags))
                single = not isinstance(result, tuple)
                ys, Vmapped.out_flags = _lowered(level, (result,) if single else result)
            return ys[0] if single else tuple(ys)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            single = not isinstance(output, tuple)
            outputs = (output,) if single else output
            with level_of_its_own() as level:
                shown = _Context(ctx, {})
                xs, ys = _lifted(level, inputs, flags), _lifted(level, outputs, Vmapped.out_flags)
                function.setup_context(shown, tuple(xs), ys[0] if single else tuple(ys))
                known = [(v, t) for v, t in zip([*xs, *ys], [*inputs, *outputs], strict=True)]

                def below(tensors: Any) -> tuple[list[Any], list[bool]]:
                    found, batched = _lowered(level, tensors)
                    own = [
                        next((t for k, t in known if k is v), f) for v, f in zip(tensors, found, strict=True)
                    ]
                    return own, batched

                saved, ctx.saved_flags = below(shown.__dict__["_to_save"])
                ctx.save_for_backward(*saved)
                moving, ctx.forward_flags = below(shown.__dict__["_for_forward"])
                ctx.save_for_forward(*moving)
                ctx.mark_non_differentiable(*below(shown.__dict__["_constant"])[0])
                ctx.of_author = _attributes(shown)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            with level_of_its_own() as level:
                shown = _Context(ctx, ctx.of_author)
                shown.__dict__["saved_tensors"] = tuple(_lifted(level, ctx.saved_tensors, ctx.saved_flags))
                result = function._backward()(shown, *_lifted(level, grads, Vmapped.out_flags))
                found, batched = _lowered(level, result if isinstance(result, tuple) else (result,))
            return tuple(
                _reduced(g, has, wants, size) if isinstance(g, Variable) else g
                for g, has, wants in zip(found, batched, flags, strict=False)
            )

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            with level_of_its_own() as level:
                shown = _Context(ctx, ctx.of_author)
                shown.__dict__["saved_tensors"] = tuple(_lifted(level, ctx.saved_tensors, ctx.forward_flags))
                result = function.jvp(shown, *_lifted(level, tangents, flags))
                found, batched = _lowered(level, result if isinstance(result, tuple) else (result,))
            return tuple(
                _reduced(t, has, wants, size) if isinstance(t, Variable) else t
                for t, has, wants in zip(found, batched, Vmapped.out_flags, strict=True)
            )

    Vmapped.__name__ = Vmapped.__qualname__ = f"Vmapped{function.__name__}"
    Vmapped._node.__name__ = f"{Vmapped.__name__}Backward"
    Vmapped.boxed_grads_call = False
    if function.jvp is Function.jvp:
        Vmapped.jvp = Function.jvp  # type: ignore[method-assign]
    return Vmapped


def _reduced(g: Any, has: bool, wants: bool, size: int) -> Any:
    """A gradient with the batch where the input has it; of an input that all share the sum."""
    if has == wants:
        return g
    return g.expand(size, *g.shape) if wants else g.sum(0)
