"""Parts of a tensor, copies of it side by side, its diagonals and triangles, under PyTorch's names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import index
from typing import Any

from .. import ops
from ..graph import Variable
from ..ops import axes


def sizes(given: tuple[Any, ...], asked: str) -> tuple[Any, ...]:
    """The numbers of `f(2, 3)`, `f((2, 3))` and `f([2, 3])`; TypeError for `f()`."""
    if not given:
        raise TypeError(
            f"{asked}() missing 1 required positional argument: give it integers, or a tuple of them"
        )
    found = tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
    for n in found:
        if type(n) is not int:  # a tensor or a number of NumPy's, which no backend must meet
            return tuple(map(index, found))
    return found


class Pieces(Variable):
    """Methods that take a tensor apart or repeat it."""

    __slots__ = ()

    # --- apart --------------------------------------------------------------------------------------------

    def unbind(self, dim: int = 0) -> tuple[Any, ...]:
        """The slices along `dim`, without that dimension, as views."""
        if not self._raw.shape:
            raise IndexError(f"unbind: Dimension specified as {dim} but tensor has no dimensions")
        return ops.unbind_.call(self, axes.one(dim, self.ndim, "unbind"))

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
        """Views of parts along `dim`: of one size (the last may be smaller), or of the given sizes."""
        n, dim = self._size_of(dim, "split")
        if not isinstance(split_size, int):
            parts = tuple(int(s) for s in split_size)
            if min(parts, default=0) < 0:
                raise RuntimeError(
                    f"split: expects split_sizes have only non-negative entries, but got {list(parts)}"
                )
            if sum(parts) != n:
                raise RuntimeError(
                    f"split: expects split_sizes to sum exactly to {n}, the size of dimension {dim}, "
                    f"but got split_sizes={list(parts)}"
                )
            return ops.split_sizes.call(self, parts, dim)
        if split_size < 0:
            raise RuntimeError(f"split: expects split_size be non-negative, but got split_size={split_size}")
        if split_size == 0 and n:
            raise RuntimeError(
                f"split: split_size can only be 0 if dimension size is 0, but got dimension size of {n}"
            )
        parts = tuple([min(split_size, n - start) for start in range(0, n, split_size or 1)]) or (0,)
        return ops.split_.call(self, parts, dim)

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Any, ...]:
        """At most `chunks` views of parts along `dim`, of equal size but for the last."""
        n, dim = self._size_of(dim, "chunk")
        if chunks < 1:
            raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
        return self.split(-(-n // chunks), dim) if n else self.split([0] * chunks, dim)

    def tensor_split(self, indices_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
        """Views of parts along `dim`: so many of nearly equal size, or those between given positions."""
        n, dim = self._size_of(dim, "tensor_split")
        if isinstance(indices_or_sections, int):
            if indices_or_sections < 1:
                raise RuntimeError(
                    f"tensor_split: number of sections must be larger than 0, got {indices_or_sections}"
                )
            bounds = [0]
            for i in range(indices_or_sections):
                bounds.append(bounds[-1] + n // indices_or_sections + (i < n % indices_or_sections))
        else:
            bounds = [0, *indices_or_sections, n]
        return tuple(self[(slice(None),) * dim + (slice(a, b),)] for a, b in pairwise(bounds))

    def narrow(self, dim: int, start: int, length: int) -> Any:
        """A view of `length` elements along `dim`, from `start` on."""
        n, dim = self._size_of(dim, "narrow")
        if length < 0:
            raise RuntimeError(f"narrow(): length must be non-negative, found {length}")
        if not -n <= start <= n:
            raise IndexError(
                f"narrow: start out of range (expected to be in range of [{-n}, {n}], but got {start})"
            )
        start = int(start) + n if start < 0 else int(start)
        if start + length > n:
            raise RuntimeError(f"narrow: start ({start}) + length ({length}) exceeds dimension size ({n})")
        return self[(slice(None),) * dim + (slice(start, start + length),)]

    def unfold(self, dimension: int, size: int, step: int) -> Any:
        """A copy of all windows of `size` elements along a dimension, `step` apart, as the last dimension."""
        n, dim = self._size_of(dimension, "unfold")
        if not 0 <= size <= n:
            raise RuntimeError(
                f"unfold: maximum size for tensor at dimension {dim} is {n} but size is {size}"
            )
        if step < 1:
            raise RuntimeError(f"unfold: step is {step} but must be > 0")
        return ops.windows.call(self, dim, size, step)

    def _size_of(self, dim: int, asked: str) -> tuple[int, int]:
        """The size of a dimension, and its place counted from the front."""
        shape = self._raw.shape
        if not shape:
            raise RuntimeError(f"{asked} expects at least a 1-dimensional tensor, found a 0-dimensional one")
        dim = axes.one(dim, len(shape), asked)
        return shape[dim], dim

    # --- turned and repeated ------------------------------------------------------------------------------

    def flip(self, *dims: Any) -> Any:
        """A copy with the elements in reverse order along the given dimensions."""
        dims = sizes(dims, "flip")
        return ops.flip_.call(self, axes.many(dims, self.ndim, "flip") if dims else ())

    def fliplr(self) -> Any:
        """`flip(1)`."""
        return self.flip(1)

    def flipud(self) -> Any:
        """`flip(0)`."""
        return self.flip(0)

    def roll(self, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Any:
        """A copy with the elements moved along dimensions, round the end; or all, in row-major order."""
        shift = tuple(shifts) if isinstance(shifts, (tuple, list)) else (shifts,)
        if dims is None or dims == ():
            if len(shift) != 1:
                raise RuntimeError(f"roll: shifts and dimensions must align. shifts: {len(shift)}, dims: 0")
            return ops.roll_.call(self, shift, None)
        given = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
        if len(shift) != len(given):
            raise RuntimeError(
                f"roll: shifts and dimensions must align. shifts: {len(shift)}, dims: {len(given)}"
            )
        if not self.ndim and given:
            raise IndexError(
                f"roll: Dimension specified as {given[0]} but tensor has no dimensions: leave dims out"
            )
        return ops.roll_.call(self, shift, tuple([axes.one(d, self.ndim, "roll") for d in given]))

    def rot90(self, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
        """A copy turned `k` times by 90 degrees from the first of two dimensions towards the second."""
        if len(dims) != 2 or self.ndim < 2 or dims[0] % self.ndim == dims[1] % self.ndim:
            raise RuntimeError(
                f"rot90: expects two different dimensions, found {list(dims)} for a {self.ndim}-d tensor"
            )
        a, b = dims
        if k % 4 == 0:
            return self.clone()
        if k % 4 == 2:
            return self.flip(a, b)
        return self.transpose(a, b).flip(a if k % 4 == 1 else b)

    def repeat(self, *repeats: Any) -> Any:
        """Copies of this tensor side by side: so many along each dimension, new ones first."""
        counts = tuple(map(int, sizes(repeats, "repeat")))
        if len(counts) < self.ndim:
            raise RuntimeError(
                "repeat: Number of dimensions of repeat dims can not be smaller than number of dimensions "
                f"of tensor: {len(counts)} and {self.ndim}; tile() fills up with ones"
            )
        if min(counts, default=0) < 0:
            raise RuntimeError(
                f"repeat: Trying to create tensor with negative dimension: repeats {list(counts)}"
            )
        return ops.tile_.call(self, counts)

    def tile(self, *dims: Any) -> Any:
        """`repeat`, with ones in front where `dims` are fewer than the dimensions."""
        counts = sizes(dims, "tile")
        return self.repeat((1,) * (self.ndim - len(counts)) + counts)

    def repeat_interleave(self, repeats: Any, dim: int | None = None) -> Any:
        """Each element along `dim` several times in a row: so many, or as a tensor says for each."""
        if dim is None:
            return self.reshape(self.numel()).repeat_interleave(repeats, 0)
        n, dim = self._size_of(dim, "repeat_interleave")
        counts = [repeats] if isinstance(repeats, int) else repeats.reshape(repeats.numel()).tolist()
        if min(counts, default=0) < 0:
            raise RuntimeError("repeat_interleave: Repeats must be non-negative")
        if len(counts) not in (1, n):
            raise RuntimeError(
                "repeat_interleave: repeats must have the same size as input along dim, but got "
                f"repeats.size(0) = {len(counts)} and input.size({dim}) = {n}"
            )
        if len(counts) != n or n == 1:
            shape = self._raw.shape
            wide = self.unsqueeze(dim + 1).expand(shape[: dim + 1] + (counts[0],) + shape[dim + 1 :])
            return wide.clone().view(shape[:dim] + (n * counts[0],) + shape[dim + 1 :])
        index = [i for i, count in enumerate(counts) for _ in range(count)]
        return self.index_select(dim, repeats.new_tensor(index))

    # --- triangles and diagonals --------------------------------------------------------------------------

    def tril(self, diagonal: int = 0) -> Any:
        """A copy of the matrices with zeros above the given diagonal."""
        return ops.tril_.call(self._matrices("tril"), diagonal)

    def triu(self, diagonal: int = 0) -> Any:
        """A copy of the matrices with zeros below the given diagonal."""
        return ops.triu_.call(self._matrices("triu"), diagonal)

    def _matrices(self, asked: str) -> Any:
        if self.ndim < 2:
            raise RuntimeError(f"{asked}: input tensor must have at least 2 dimensions, found {self.ndim}")
        return self

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
        """A view of a diagonal of two dimensions, as the last dimension."""
        dims = axes.one(dim1, self.ndim, "diagonal"), axes.one(dim2, self.ndim, "diagonal")
        if dims[0] == dims[1]:
            raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
        return ops.diagonal_.call(self, offset, *dims)

    def diag_embed(self, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
        """Zeros in one more dimension, with the last dimension of this tensor on a diagonal of two."""
        *batch, n = tuple(self._raw.shape) or (1,)
        dims = tuple(axes.one(d, self.ndim + 1, "diag_embed") for d in (dim1, dim2))
        if dims[0] == dims[1]:
            raise RuntimeError(f"diag_embed: diagonal dimensions cannot be identical {dim1}, {dim2}")
        for d in sorted(dims):
            batch.insert(d, n + abs(offset))
        return ops.embed_diagonal.call(self, tuple(batch), offset, *dims)

    def diag(self, diagonal: int = 0) -> Any:
        """A matrix with these elements on a diagonal; of a matrix, a copy of a diagonal."""
        if self.ndim not in (1, 2):
            raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {self.ndim}D")
        return self.diag_embed(diagonal) if self.ndim == 1 else self.diagonal(diagonal).clone()

    # --- copies -------------------------------------------------------------------------------------------

    def clone(self) -> Any:
        """A copy, through which gradients flow."""
        return ops.clone_.call(self)

    def contiguous(self) -> Any:
        """This tensor, or a copy that is dense in memory, in row-major order."""
        return self if self.is_contiguous() else self.clone()
