"""Reading and writing by position, under PyTorch's names."""

from __future__ import annotations

from typing import Any

from .. import creation, ops, quiet, rebinding, storage, writes
from ..backend import BY_ARRAY
from ..graph import Variable
from ..writes import is_indirect
from . import index_arguments as arguments
from . import keys
from .index_writing import IndexWriting
from .sorting import Sorting

#: The op of a basic key by the type of its last part: PyTorch takes the parts one after the other.
_BASIC = {int: ops.select_, slice: ops.getitem, type(None): ops.newaxis, type(...): ops.whole}


class Indexing(Sorting, IndexWriting):
    """Methods that select elements."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        parts = key if type(key) is tuple else (key,)
        if type(key) is int:
            op, basic, advanced = ops.select_, (key, ...), None
        else:
            basic, advanced = keys.split(parts, self._raw)
            op = _BASIC[_last_kind(basic)]
        try:
            if advanced is None:
                return op.call(self, basic)
            return ops.index_get.call(op.call(self, basic) if len(basic) > 1 else self, advanced)
        except IndexError as error:
            raise keys.explained(error, parts, self._raw) from None

    def __setitem__(self, key: Any, value: Any) -> None:
        parts = key if type(key) is tuple else (key,)
        basic, advanced = keys.split(parts, self._raw)
        values = arguments.assignable(self, value, advanced)
        try:
            rebinding.admit(self, values, "__setitem__")
            if is_indirect(self, (value,)):
                return _record_assignment(self, basic, advanced, values)
            raw = storage.prepare_write(
                self, "__setitem__", one_value=not isinstance(values, Variable), key=basic
            )
            values = values._raw if isinstance(values, Variable) else values  # only now: see prepare_write
            self._raw = quiet.run_anyway(_set, BY_ARRAY[type(raw)], raw, basic, advanced, values)
        except IndexError as error:
            raise keys.explained(error, parts, self._raw) from None
        except (ValueError, OverflowError) as error:
            if not hasattr(values, "dtype"):
                raise RuntimeError(
                    f"__setitem__: value {value} cannot be converted to {self.dtype}: {error}"
                ) from None
            target = self.detach()[key].shape
            raise arguments.mismatch("__setitem__", values, target) from None

    # --- along one dimension ------------------------------------------------------------------------------

    def select(self, dim: int, index: int) -> Any:
        """The view at one position of a dimension, which is gone from the result."""
        dim = ops.axes.one(dim, self.ndim, "select")
        shape = tuple(self._raw.shape)
        if not shape:
            raise IndexError(
                "select(): cannot be applied to a 0-dim tensor: it has no dimension to select from"
            )
        if not -shape[dim] <= index < shape[dim]:
            raise IndexError(
                f"select(): index {index} out of range for tensor of size {list(shape)} at dimension {dim}"
            )
        return ops.select_.call(self, (keys.FULL,) * dim + (int(index), ...))

    def index_select(self, dim: int, index: Any) -> Any:
        """The slices of a dimension at the positions of a 1-d tensor.

        >>> import plugrad as torch
        >>> torch.tensor([[1, 2], [3, 4], [5, 6]]).index_select(0, torch.tensor([2, 0]))
        tensor([[5, 6],
                [1, 2]])
        """
        dim, indices = arguments.slices_along(self, dim, index, "index_select", IndexError)
        if not self._raw.shape:
            if indices.shape[0] != 1:
                raise RuntimeError(
                    f"index_select(): Index to scalar can have only 1 value, got {indices.shape[0]} value(s)"
                )
            return ops.take.call(self.reshape(1), indices, 0).reshape(())
        return ops.take.call(self, indices, dim)

    def index_add(self, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
        """A copy to which the slices of `source` are added at the positions in `index`, duplicates summed."""
        dim, indices = arguments.slices_along(self, dim, index, "index_add", RuntimeError)
        x, source = arguments.slices_of(self, dim, indices, source, "index_add", RuntimeError, scalars=False)
        y = ops.index_add.call(x, source if alpha == 1 else source * alpha, indices, dim)
        return y if self._raw.shape else y.reshape(())

    def index_copy(self, dim: int, index: Any, source: Any) -> Any:
        """A copy in which the slices at the positions in `index` are those of `source`."""
        dim, indices = arguments.slices_along(self, dim, index, "index_copy", IndexError)
        x, source = arguments.slices_of(self, dim, indices, source, "index_copy", IndexError, scalars=True)
        y = ops.index_copy.call(x, source, indices, dim)
        return y if self._raw.shape else y.reshape(())

    def index_fill(self, dim: int, index: Any, value: Any) -> Any:
        """A copy in which the slices at the positions in `index` are filled with a number."""
        dim, indices = arguments.slices_along(self, dim, index, "index_fill", IndexError, negative=True)
        x, filler = arguments.with_a_dim(self), arguments.number(value, "index_fill")
        y = ops.index_fill.call(x, (keys.FULL,) * dim + (indices,), filler)
        return y if self._raw.shape else y.reshape(())

    # --- an index for each element ------------------------------------------------------------------------

    def gather(self, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
        """For each element of `index` the one at that position of `dim`, in the place of the index otherwise.

        >>> import plugrad as torch
        >>> torch.tensor([[1, 2], [3, 4]]).gather(1, torch.tensor([[0, 0], [1, 0]]))
        tensor([[1, 1],
                [4, 3]])
        """
        dim, indices = arguments.elements_along(self, dim, index, "gather")
        if not indices.shape or not self._raw.shape:
            return ops.gather.call(self.reshape(-1), arguments.with_a_dim(indices), 0).reshape(index.shape)
        return ops.gather.call(self, indices, dim)

    def take_along_dim(self, indices: Any, dim: int | None = None) -> Any:
        """`gather` after broadcasting; without `dim` on the flattened tensor. What `argsort` gives, sorts."""
        if dim is None:
            return self.reshape(-1).gather(0, indices.reshape(-1))
        if indices.ndim != self.ndim:
            raise RuntimeError(
                "take_along_dim(): input and indices should have the same number of dimensions, "
                f"found {self.ndim} and {indices.ndim}"
            )
        dim = ops.axes.one(dim, self.ndim, "take_along_dim")

        def shape_with(t: Any, size: int) -> tuple[int, ...]:
            pairs = zip(self.shape, indices.shape, strict=True)
            common = [b if a == 1 else a for a, b in pairs]
            return (*common[:dim], size, *common[dim + 1 :])

        x = self.expand(shape_with(self, self.shape[dim]))
        return x.gather(dim, indices.expand(shape_with(indices, indices.shape[dim])))

    def scatter(
        self, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None
    ) -> Any:
        """A copy in which the element at each position in `index` along `dim` is that of `src`, or a number.

        Of several for one position any one may win; `reduce="add"` adds them to what is there.
        """
        src = value if src is None else src
        if reduce == "add":
            full = src if isinstance(src, Variable) else self.new_full(index.shape, src)
            return self.scatter_add(dim, index, full)
        if reduce is not None:
            raise NotImplementedError(
                f"scatter: reduce={reduce!r} is not supported: leave it out, or use 'add'"
            )
        dim, indices = arguments.elements_along(self, dim, index, "scatter")
        x, indices = arguments.with_a_dim(self), arguments.with_a_dim(indices)
        if not isinstance(src, Variable):
            y = ops.scatter_fill.call(x, indices, dim, arguments.number(src, "scatter"))
        else:
            y = ops.scatter.call(
                x, arguments.with_a_dim(arguments.cropped(src, index, "scatter")), indices, dim
            )
        return y if self._raw.shape else y.reshape(())

    def scatter_add(self, dim: int, index: Any, src: Any) -> Any:
        """A copy to which the elements of `src` are added at the positions in `index` along `dim`."""
        dim, indices = arguments.elements_along(self, dim, index, "scatter_add")
        values = arguments.with_a_dim(arguments.cropped(src, index, "scatter_add"))
        y = ops.scatter_add.call(arguments.with_a_dim(self), values, arguments.with_a_dim(indices), dim)
        return y if self._raw.shape else y.reshape(())

    # --- by position in the whole -------------------------------------------------------------------------

    def take(self, index: Any) -> Any:
        """The elements at positions of the flattened tensor, in the shape of `index`."""
        indices, n = arguments.integers(self, index, "take"), self.numel()
        keys.check_range(
            indices,
            -n,
            n - 1,
            lambda bad: IndexError(
                f"take(): out of range: tried to access index {bad} on a tensor of {n} elements"
            ),
        )
        if not indices.shape:
            return ops.take_flat.call(self.reshape(-1), (arguments.with_a_dim(indices),)).reshape(())
        return ops.take_flat.call(self.reshape(-1), (indices,))

    def index_put(self, indices: Any, values: Any, accumulate: bool = False) -> Any:
        """A copy with `values` at a tuple of index tensors, added to what is there if `accumulate`."""
        for i, part in enumerate(indices):
            if part is not None and not isinstance(part, Variable):
                raise TypeError(
                    f"index_put(): expected Tensor as element {i} of indices, but got {type(part).__name__}"
                )
        parts = tuple(keys.FULL if part is None else part for part in indices)
        _, advanced = keys.split(
            tuple(p if type(p) is slice else arguments.with_a_dim(p) for p in parts), self._raw
        )
        try:
            return ops.index_put.call(self, values, advanced, accumulate)
        except IndexError as error:
            raise keys.explained(error, parts, self._raw) from None
        except RuntimeError as error:
            if values.dtype is not self.dtype:
                raise
            target = self.detach()[parts].shape
            raise arguments.mismatch("index_put", values, target) from error

    # --- by a mask ------------------------------------------------------------------------------------------

    def masked_fill(self, mask: Any, value: Any) -> Any:
        """`value`, a number or a 0-d tensor, where the mask is true.

        >>> import plugrad as torch
        >>> torch.tensor([1.0, 2.0]).masked_fill(torch.tensor([True, False]), 0)
        tensor([0., 2.])
        """
        x, m = arguments.masked(self, mask, "masked_fill")
        if isinstance(value, Variable):
            if value.ndim:
                raise RuntimeError(
                    "masked_fill: only supports a 0-dimensional value tensor, but got "
                    f"{value.ndim} dimension(s): use torch.where"
                )
            if value.requires_grad or value._backend.is_transform:
                return ops.where.call(m, value.to(self.dtype), x)
            value = value.item()
        return ops.masked_fill.call(x, m._raw, arguments.castable(value, self.dtype, "masked_fill"))

    def masked_select(self, mask: Any) -> Any:
        """The elements where the mask is true, as a 1-d tensor."""
        x, m = arguments.masked(self, mask, "masked_select")
        if not x._raw.shape:
            x, m = x.reshape(1), m.reshape(1)
        return ops.masked_select.call(x, (m._raw,))

    def masked_scatter(self, mask: Any, source: Any) -> Any:
        """A copy in which the places where the mask is true hold the first elements of `source`, in order."""
        x, m = arguments.masked(self, mask, "masked_scatter")
        count = int(keys.on_host(m._raw).sum())
        if source.numel() < count:
            raise RuntimeError(
                f"masked_scatter: expected source to have at least as many elements as the mask has ones, "
                f"found {source.numel()} and {count}"
            )
        if not x._raw.shape:
            return x.reshape(1).masked_scatter(m.reshape(1), source).reshape(())
        return ops.index_put.call(x, source.reshape(-1)[:count], (m._raw,))

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        """The positions of the elements that are not zero: one row each, or a tensor per dimension."""
        return ops.nonzero.call(self) if as_tuple else ops.argwhere.call(self)

    def argwhere(self) -> Any:
        """The positions of the elements that are not zero, one row each."""
        return ops.argwhere.call(self)


def _last_kind(basic: tuple[Any, ...]) -> type:
    """The type of the last part before the Ellipsis that is no full slice."""
    for p in reversed(basic[:-1]):
        if type(p) is not slice or p.start is not None or p.stop is not None or p.step is not None:
            return type(p)
    return type(basic[0])


# --- writing ------------------------------------------------------------------------------------------------


def _record_assignment(tensor: Any, basic: Any, advanced: Any, values: Any) -> None:
    """Write `values`, a tensor or a number, at a key, as part of the graph."""
    number = not isinstance(values, Variable)
    if advanced is None:
        raw = tensor._raw
        shape = BY_ARRAY[type(raw)].getitem(raw, basic).shape
        raw = None
        if not number:
            values = _conformed(values, shape, tensor.dtype)

        def write(memory: Any) -> Any:
            return _set(BY_ARRAY[type(memory)], memory, basic, None, values if number else values._raw)

        steps = ((ops.getitem, (basic,), None),)
        writes.assign(tensor, steps, None if number else values, basic, write, "__setitem__")
        return
    if len(basic) > 1:
        tensor = ops.getitem.call(tensor, basic)
    values = values if not number else creation.tensor(values, dtype=tensor.dtype, device=tensor.device)
    writes.write(
        tensor, lambda: ops.index_put.call(tensor, values, advanced, False), (values,), "__setitem__"
    )


def _conformed(values: Any, shape: Any, dtype: Any) -> Any:
    """`values` in the shape and dtype of the part that it is written to."""
    while len(values._raw.shape) > len(shape) and values._raw.shape[0] == 1:  # NumPy and PyTorch let them go
        values = values.squeeze(0)
    if values.dtype is not dtype:
        values = values.to(dtype)
    return values if values._raw.shape == shape else values.expand(shape)


def _set(backend: Any, raw: Any, basic: Any, advanced: Any, value: Any) -> Any:
    if advanced is None:
        return backend.setitem(raw, basic, value)
    if len(basic) == 1:
        return backend.setitem(raw, advanced, value)
    part = backend.setitem(backend.getitem(raw, basic), advanced, value)
    # Where `part` is a view this writes what is there; where it is a copy, it is the write.
    return backend.setitem(raw, basic, part)
