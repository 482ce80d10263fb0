"""Forward mode as a level: a raw array of it is a value and its tangent, both tensors of the level below."""

from __future__ import annotations

import weakref
from typing import Any

from .. import dtypes, levels, storage
from ..backend import BY_ARRAY
from ..graph import Variable, wrap
from ..modes import is_grad_enabled
from ..op import OPS
from ..printing import annotated
from .jvp import jvp


class Dual(levels.TransformArray):
    """A tensor and how it moves; a tangent of None is zero."""

    __slots__ = ("base", "primal", "tangent")

    def __init__(self, primal: Any, tangent: Any, base: Any = None) -> None:
        self.primal, self.tangent = primal, tangent
        #: What this is a view of; see `storage.share`.
        self.base = base

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """The shape of the value."""
        return tuple(self.primal._raw.shape)

    @property
    def dtype(self) -> Any:
        """The dtype object of the value."""
        return self.primal._raw.dtype

    def detached(self) -> Any:
        """The value alone, outside every graph."""
        raw = self.primal._raw
        return raw.detached() if isinstance(raw, levels.TransformArray) else _snapshot(self.primal, None)

    def described(self, tensor: Any) -> str:
        """The value's text with the tangent."""
        value = f"{wrap(self.primal._raw, tensor._edge)!r}"
        if self.tangent is None or not value.endswith(")"):
            return value
        moved = f"{self.tangent.item()}" if not self.shape else f"{self.tangent!r}"
        return annotated(value[:-1], [f"tangent={moved}"], len("tensor(")) + ")"


class DualBackend(levels.TransformBackend):
    """Computes an op on values, and its jvp on tangents."""

    def make_kernel(self, op: Any) -> Any:
        """`op` and its jvp on the tensors below."""

        def kernel(*args: Any) -> Any:
            raws = args[0] if op.variadic else args[: len(op.inputs)]
            params = args[1 if op.variadic else len(op.inputs) :]
            primals = [_below(r) for r in raws]
            tangents = [r.tangent if isinstance(r, Dual) else None for r in raws]
            if not op.formulas or all(t is None for t in tangents):
                y = op.call(*([primals] if op.variadic else primals), *params)
                return [self._of(v, None, raws[0]) for v in y] if op.outputs else self._of(y, None, raws[0])
            y, t = jvp(op, primals, tangents, params)
            return (
                [self._of(*p, raws[0]) for p in zip(y, t, strict=True)]
                if op.outputs
                else self._of(y, t, raws[0])
            )

        return kernel

    def _of(self, y: Any, tangent: Any, origin: Any = None) -> Any:
        """The raw array of a result: of the device, where it is nothing that could move."""
        if dtypes.of(y._raw.dtype).category < dtypes.FLOAT:
            return y._raw
        return self.array_type(y, tangent, origin if hasattr(y, "_view") else None)

    def to_numpy(self, raw: Any) -> Any:
        """The values."""
        return raw.primal._host()

    def all_values(self, raw: Any) -> Any:
        """The values, of all levels below."""
        inner = raw.primal._raw
        backend: Any = BY_ARRAY[type(inner)]
        return backend.all_values(inner) if backend.is_transform else backend.to_numpy(inner)

    def lend(self, raw: Any) -> Any:
        """A read-only copy of the values: what foreign hands write would not be seen."""
        values = self.to_numpy(raw).copy()
        values.flags.writeable = False
        return values

    def alias(self, raw: Any) -> Any:
        """Another object for the same value and tangent."""
        return type(raw)(raw.primal, raw.tangent)

    def copy(self, raw: Any) -> Any:
        """The same: values of a level are never written to."""
        return self.alias(raw)

    def rebase(self, raws: list[Any]) -> list[Any]:
        """New objects for the same values."""
        return [self.alias(r) for r in raws]

    def strides(self, raw: Any) -> tuple[int, ...]:
        """Those of the value."""
        return raw.primal.stride()

    def data_ptr(self, raw: Any) -> int:
        """That of the value."""
        return raw.primal.data_ptr()

    def getitem(self, raw: Any, key: Any) -> Any:
        """The part of a value and its tangent."""
        return self.kernel(OPS["getitem"])(raw, key)

    def setitem(self, raw: Any, key: Any, value: Any) -> Any:
        """A new array with `value` at `key`, of which the tangent is that of `value`."""
        if isinstance(value, Dual):
            value, moved = value.primal, value.tangent
        else:
            value, moved = (wrap(value) if hasattr(value, "dtype") else value), None
        key = tuple(wrap(k) if hasattr(k, "dtype") else k for k in key) if type(key) is tuple else key
        primal = levels.with_part(raw.primal.clone(), key, value)
        if raw.tangent is None and moved is None:
            return type(raw)(primal, None)
        tangent = OPS["zero"].call(primal.detach()) if raw.tangent is None else raw.tangent.clone()
        return type(raw)(primal, levels.with_part(tangent, key, 0 if moved is None else moved))


def _snapshot(tensor: Any, edge: Any) -> Any:
    """Another tensor of the same values, which keep what they are, whoever writes: it is a copy, or made one then."""
    raw = tensor._raw
    return wrap(raw if getattr(raw, "base", None) is None else BY_ARRAY[type(raw)].copy(raw), edge)


def _below(raw: Any) -> Any:
    """An operand at the level below: a tensor, or the Python number that it is."""
    if isinstance(raw, Dual):
        return raw.primal
    return wrap(raw) if hasattr(raw, "dtype") else raw


class DualLevel(levels.Level):
    """One direction in which values move."""

    array = Dual
    backend = DualBackend
    name = "forward mode"

    def lift(self, tensor: Any) -> Any:
        """`tensor`, which does not move."""
        return self.type_for(tensor._raw)(wrap(tensor._raw, tensor._edge), None)

    def dual(self, primal: Any, tangent: Any) -> Any:
        """A tensor of this level; the snapshot `primal` moves along `tangent`."""
        if primal.dtype.is_complex and not tangent.dtype.is_complex:
            tangent = tangent.to(tangent.dtype.to_complex())
        value, moved = wrap(primal._raw, primal._edge), wrap(tangent._raw, tangent._edge)
        return wrap(self.type_for(primal._raw)(value, moved))

    def custom_function(self, function: Any, args: tuple[Any, ...], ctx: Any = None) -> Any:
        """The outputs of a custom `Function`."""
        from .dual_function import apply

        return apply(self, function, args)

    def admitted(self, tensor: Any, name: str) -> Any:
        """`tensor`, which does not move yet."""
        return self.lift(tensor)

    def lowered(self, g: Any) -> Any:
        """The value of a gradient: `.grad` has no tangent."""
        return self.parts(g)[0]

    def parts(self, tensor: Any) -> tuple[Any, Any]:
        """The value and the tangent of a tensor, which is None where it does not move."""
        if levels.of(tensor._raw) is not self:
            return tensor, None
        value, tangent = tensor._raw.primal, tensor._raw.tangent
        return _snapshot(value, value._edge), None if tangent is None else _snapshot(tangent, tangent._edge)


class ForwardADLevel(DualLevel):
    """The level of `forward_ad`: its tensors are recorded like any other, and are ordinary ones after its end."""

    name = "forward_ad"
    keeps_edges = True

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[weakref.ref[Any]] = []
        self._prune_at = 64

    def lowered(self, g: Any) -> Any:
        """A gradient that is recorded as it is, else its value."""
        return g if is_grad_enabled() else self.parts(g)[0]

    def edge_below(self, raw: Any) -> Any:
        """The edge of the value."""
        return raw.primal._edge

    def connect(self, tensor: Any, edge: Any) -> None:
        """Let `edge` be that of the value."""
        raw = tensor._raw
        tensor._raw = type(raw)(wrap(raw.primal._raw, edge), raw.tangent, raw.base)

    def note(self, tensor: Any) -> None:
        """Remember a tensor, whose tangent goes at the end."""
        if len(self.tensors) >= self._prune_at:
            self.tensors = [r for r in self.tensors if r() is not None]
            self._prune_at = 2 * len(self.tensors) + 64
        self.tensors.append(weakref.ref(tensor))

    def end(self) -> None:
        """Make all tensors of this level ordinary ones."""
        living = [t for t in (r() for r in self.tensors) if t is not None and levels.of(t._raw) is self]
        families: dict[Any, list[Any]] = {}
        for t in living:
            families.setdefault(t._view.base if hasattr(t, "_view") else t, []).append(t)
        for t in (*living, *families):
            value, _ = self.parts(t)
            t._raw, t._edge = value._raw, value._edge
        for base, members in families.items():
            if len(members) > 1 or hasattr(members[0], "_view"):
                self._share(base, members)
        self.tensors = []

    def _share(self, base: Any, members: list[Any]) -> None:
        """Let `members`, ordinary tensors now, be views of the memory of `base` again."""
        for t in members:
            if t is not base:
                t._raw = t._view.of(base._raw)
                t._raw = BY_ARRAY[type(t._raw)].alias(t._raw) if t._raw is base._raw else t._raw
        storage.of(base).regroup([base, *members])


def check_tangent(primal: Any, tangent: Any) -> None:
    """Raise, as PyTorch does, where `tangent` cannot be that of `primal`."""
    for what, t in (("primal", primal), ("tangent", tangent)):
        if not isinstance(t, Variable):
            raise TypeError(f"Expected {what} to be a Tensor, but got: {type(t).__name__}")
        dt = dtypes.of(t._raw.dtype)
        if dt.category < dtypes.FLOAT:
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {dt}")
    if tuple(primal._raw.shape) != tuple(tangent._raw.shape):
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is "
            f"not supported. Tensor is of size {_sizes(primal)} while the given forward gradient is of size "
            f"{_sizes(tangent)}."
        )


def _sizes(tensor: Any) -> list[int]:
    return list(tensor._raw.shape)
