"""vmap as a level: a raw array of it is a tensor with one more dimension in front, the batch, or one without.

Ops are computed on the whole batch at once by the rules in `batch_rules`; an op without a rule is called once for
each element of the batch, which is counted in `fallbacks`.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from .. import levels
from ..backend import BY_ARRAY
from ..graph import Variable, wrap
from ..op import OPS

#: How often an op was called once for each element of a batch, by its name.
fallbacks: Counter[str] = Counter()


class _Settings(threading.local):
    fallback_is_error = False


settings = _Settings()


class Batched(levels.TransformArray):
    """A tensor whose first dimension is the batch if `batched`; else one value for the whole batch."""

    __slots__ = ("base", "batched", "dtype", "shape", "value")

    def __init__(self, value: Any, batched: bool, base: Any = None) -> None:
        raw = value._raw
        self.value, self.batched = value, batched
        self.shape, self.dtype = tuple(raw.shape)[batched:], raw.dtype
        #: What this is a view of; see `storage.share`.
        self.base = base

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        # A kernel of an array library must not take this for a number.
        raise TypeError("a batch of vmap is no array")

    def detached(self) -> Any:
        """The same values outside the graph of this level and of those below."""
        return wrap(type(self)(self.value.detach(), self.batched))

    def described(self, tensor: Any) -> str:
        """The values of the whole batch."""
        return (
            f"BatchedTensor(bdim={0 if self.batched else None}, size={self.level.size}, value={self.value!r})"
        )


class BatchedBackend(levels.TransformBackend):
    """Computes an op on a whole batch."""

    level: VmapLevel

    def make_kernel(self, op: Any) -> Any:
        """`op` on the tensors below, by its rule."""
        from .batch_rules import Call, apply

        level = self.level

        def kernel(*args: Any) -> Any:
            inputs = args[0] if op.variadic else args[: len(op.inputs)]
            params = args[1 if op.variadic else len(op.inputs) :]
            call = Call(op, level, inputs, params)
            if not call.is_batched:
                y = op.call(*([call.xs] if op.variadic else call.xs), *call.lowered())
            else:
                y = apply(call)
            batched = call.is_batched
            origin = inputs[0] if op.view else None
            if op.outputs:
                return [self._of(v, batched, origin) for v in y]
            return self._of(y, batched, origin)

        return kernel

    def _of(self, y: Any, batched: bool, origin: Any) -> Any:
        return self.level.type_for(y._raw)(y, batched, origin if hasattr(y, "_view") else None)

    def to_numpy(self, raw: Any) -> Any:
        """The values, if they are the same for the whole batch."""
        if raw.batched:
            raise RuntimeError(
                "vmap: It looks like you're calling .item() on a Tensor, or attempting to use a Tensor in some "
                "data-dependent control flow (if, while, bool(), float(), .tolist(), .numpy()). We don't support that: "
                "each element of the batch could want another answer. Choose between values with torch.where"
            )
        return raw.value._host()

    def all_values(self, raw: Any) -> Any:
        """The values of the whole batch, to check indices."""
        inner = raw.value._raw
        backend: Any = BY_ARRAY[type(inner)]
        return backend.all_values(inner) if backend.is_transform else backend.to_numpy(inner)

    def lend(self, raw: Any) -> Any:
        """Nobody outside can have an array of vmap."""
        return self.to_numpy(raw)

    def alias(self, raw: Any) -> Any:
        """Another object for the same values."""
        return type(raw)(raw.value, raw.batched)

    def copy(self, raw: Any) -> Any:
        """The same: values of a level are never written to."""
        return self.alias(raw)

    def rebase(self, raws: list[Any]) -> list[Any]:
        """New objects for the same values."""
        return [self.alias(r) for r in raws]

    def can_view(self, raw: Any, shape: tuple[int, ...]) -> bool:
        """Whether the whole batch takes that shape without a copy."""
        inner = raw.value._raw
        full = (self.level.size, *shape) if raw.batched else shape
        return BY_ARRAY[type(inner)].can_view(inner, full)

    def strides(self, raw: Any) -> tuple[int, ...]:
        """Those of an element of the batch."""
        return tuple(raw.value.stride())[raw.batched :]

    def data_ptr(self, raw: Any) -> int:
        """That of the whole batch."""
        return raw.value.data_ptr()

    def getitem(self, raw: Any, key: Any) -> Any:
        """The part of each element of the batch at a basic key."""
        return self.kernel(OPS["getitem"])(raw, key)

    def setitem(self, raw: Any, key: Any, value: Any) -> Any:
        """A new array with `value` at `key`."""
        key = key if type(key) is tuple else (key,)
        if not hasattr(value, "dtype"):
            value = self.base.full((), value, _dtype(raw))
        if not isinstance(value, self.array_type):
            value = self.level.lift(wrap(value))
        if any(hasattr(k, "dtype") for k in key):
            if value.dtype is not raw.dtype:
                value = self.kernel(OPS["astype"])(value, _dtype(raw))
            return self.kernel(OPS["index_put"])(raw, value, key, False)
        target, x = raw.value, value.value
        if value.batched and not raw.batched:
            target = target.expand(self.level.size, *raw.shape)
        batched = raw.batched or value.batched
        target = target.clone()
        place = (slice(None), *key) if batched else key
        if value.batched:
            rank = target[place].ndim - 1
            shape = tuple(value.shape)
            while len(shape) > rank and shape[0] == 1:
                shape = shape[1:]
            x = x.reshape(self.level.size, *[1] * (rank - len(shape)), *shape)
        return type(raw)(levels.with_part(target, place, x), batched)

    @property
    def bottom(self) -> type:
        """The type of the arrays of the device."""
        return self.base.array_type


def _dtype(raw: Any) -> Any:
    from ..dtypes import of

    return of(raw.dtype)


class VmapLevel(levels.Level):
    """One use of vmap, over a batch of `size`."""

    array = Batched
    backend = BatchedBackend
    name = "vmap"

    def __init__(self, size: int, randomness: str) -> None:
        super().__init__()
        self.size, self.randomness = size, randomness

    def lift(self, tensor: Any) -> Any:
        """`tensor` for the whole batch."""
        return self.type_for(tensor._raw)(wrap(tensor._raw, tensor._edge), False)

    def batch(self, tensor: Any) -> Any:
        """A tensor of this level whose batch is the first dimension of `tensor`."""
        return wrap(self.type_for(tensor._raw)(wrap(tensor._raw, tensor._edge), True))

    def value(self, tensor: Any, dim: int) -> Any:
        """The tensor below with the batch as dimension `dim`; of a tensor of levels below, as many copies."""
        raw = tensor._raw
        inner, batched = (raw.value, raw.batched) if levels.of(raw) is self else (tensor, False)
        if not batched:
            inner = inner.expand(self.size, *inner.shape)
        return inner if dim == 0 else inner.movedim(0, dim)

    def like(self, raw: Any, made: Any) -> Any:
        """`made` for each element of the batch, each a copy, where `raw` has the batch."""
        if raw.batched:
            made = made.detach().expand(self.size, *made.shape).clone().requires_grad_(made.requires_grad)
        inner = levels.like(raw.value, made)
        return self.batch(inner) if raw.batched else inner

    def lowered(self, g: Any) -> Any:
        """Refuses: every element of the batch has a gradient of its own."""
        if levels.of(g._raw) is self and not g._raw.batched:
            return g._raw.value
        return super().lowered(g)

    def admitted(self, tensor: Any, name: str) -> Any:
        """Refuses, as PyTorch does."""
        raise RuntimeError(
            f"vmap: {name}(self, *extra_args) is not possible because there exists a Tensor `other` in extra_args that "
            "has more elements than `self`. This happened due to `other` being vmapped over but `self` not being "
            "vmapped over: compute a new tensor, or make `self` from a vmapped one, e.g. x.new_zeros(...) "
            "or torch.zeros_like(x)"
        )

    def custom_function(self, function: Any, args: tuple[Any, ...], ctx: Any = None) -> Any:
        """The outputs of a custom `Function`: by its `vmap`, or as it says with `generate_vmap_rule`."""
        from .batched_function import apply

        return apply(self, function, args, ctx)

    def stream(self, stream: Any, name: str) -> Any:
        """The random numbers to draw inside: as `randomness` says."""
        if self.randomness == "error":
            raise RuntimeError(
                f"vmap: called random operation {name} while in randomness error mode. Please either use the 'same' or "
                "'different' randomness flags on vmap or perform the randomness operation out of vmap"
            )
        return stream if self.randomness == "same" else _Different(self, stream)


class _Different(levels.Stream):
    """A stream that draws for each element of the batch."""

    def __init__(self, level: VmapLevel, stream: Any) -> None:
        self._level, self._stream = level, stream

    def _batch(self, raw: Any) -> Any:
        return self._level.batch(wrap(raw))._raw

    def uniform(self, shape: Any, *args: Any) -> Any:
        """Uniform numbers."""
        return self._batch(self._stream.uniform((self._level.size, *shape), *args))

    def normal(self, shape: Any, *args: Any) -> Any:
        """Normal numbers."""
        return self._batch(self._stream.normal((self._level.size, *shape), *args))

    def randint(self, low: int, high: int, shape: Any, *args: Any) -> Any:
        """Integers."""
        return self._batch(self._stream.randint(low, high, (self._level.size, *shape), *args))

    def permutation(self, n: int) -> Any:
        """A permutation for each."""
        rows = [wrap(self._stream.permutation(n)) for _ in range(self._level.size)]
        return self._batch(OPS["stack"].call(rows, 0)._raw)

    def bernoulli(self, p: Any, shape: Any, *args: Any) -> Any:
        """Ones with a probability, or with those of a tensor, which may be one for each element of the batch."""
        if isinstance(p, Variable):
            p = self._level.value(p.detach(), 0)  # type: ignore[attr-defined]
            p = p if isinstance(self._stream, levels.Stream) else p.detach()._host()
        return self._batch(self._stream.bernoulli(p, (self._level.size, *shape), *args))

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(
            f"vmap: randomness='different' is not supported for {name}: draw outside of vmap"
        )
