"""Other shapes and orders of the same elements, and pieces of them, under PyTorch's names."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes, layout, ops
from ..errors import NoDerivativeError
from ..ops import axes
from .pieces import Pieces, sizes


def _reshaped(x: Any, op: Any, shape: tuple[Any, ...]) -> Any:
    """`op(x, shape)`, with PyTorch's errors."""
    try:
        return op.call(x, shape)
    except RuntimeError:
        if math.prod(shape) == math.prod(x._raw.shape):
            raise  # the device's own
        raise _unfit(x, shape) from None


def _inferred(x: Any, shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """`shape` with what -1 stands for in it: no backend knows of that."""
    n, known = math.prod(x._raw.shape), math.prod([s for s in shape if s != -1])
    if min(shape) < -1 or shape.count(-1) > 1 or not known or n % known:
        raise _unfit(x, shape)
    return tuple([n // known if s == -1 else s for s in shape])


def _unfit(x: Any, shape: tuple[Any, ...]) -> RuntimeError:
    """Why the elements of `x` do not take that shape."""
    asked, n = [int(s) for s in shape], x.numel()
    if asked.count(-1) > 1:
        return RuntimeError(f"only one dimension can be inferred, found {asked}: give all sizes but one")
    for i, s in enumerate(asked):
        if s < -1:
            return RuntimeError(f"invalid shape dimension {s} at index {i} of shape {asked}")
    if n == 0 and -1 in asked and 0 in asked:
        return RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {asked} because the unspecified dimension size "
            "-1 can be any value and is ambiguous: give all sizes"
        )
    return RuntimeError(
        f"shape '{asked}' is invalid for input of size {n}: the product of the sizes must be {n}"
    )


class Shapes(Pieces):
    """Methods that keep the elements and change their arrangement."""

    __slots__ = ()

    # --- another shape ------------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Any:
        """The same elements, in row-major order, in another shape: a view where possible, else a copy."""
        shape = sizes(shape, "reshape")
        if min(shape, default=0) < 0:
            shape = _inferred(self, shape)
        viewable = layout.can_view(self, shape)
        return _reshaped(self, ops.reshape_ if viewable else ops.unsafe_view, shape)

    def view(self, *size: Any) -> Any:
        """The same memory in another shape; RuntimeError where that would need a copy.

        Given a dtype, the same bytes as numbers of that dtype.
        """
        if len(size) == 1 and isinstance(size[0], dtypes.dtype):
            if self.requires_grad and size[0].category >= dtypes.FLOAT:
                raise NoDerivativeError(
                    f"view({size[0]}): reading bytes as another dtype has no derivative: use .to(...), or "
                    ".detach() first"
                )
            return ops.bitcast.call(self, size[0])
        shape = sizes(size, "view")
        if min(shape, default=0) < 0:
            shape = _inferred(self, shape)
        if not layout.can_view(self, shape):
            self.reshape(shape)  # raises where no copy would help either
            raise RuntimeError(
                f"view size is not compatible with input tensor's size and stride: shape {list(shape)} of a "
                f"tensor of shape {list(self.shape)}, stride {self.stride()} would span memory that is not "
                "evenly spaced. Use .reshape(...) instead"
            )
        return _reshaped(self, ops.reshape_, shape)

    def view_as(self, other: Any) -> Any:
        """`view` with the shape of `other`."""
        return self.view(other._raw.shape)

    def reshape_as(self, other: Any) -> Any:
        """`reshape` with the shape of `other`."""
        return self.reshape(other._raw.shape)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Any:
        """The dimensions from `start_dim` to `end_dim` as one."""
        shape = self._raw.shape
        start, end = axes.one(start_dim, len(shape), "flatten"), axes.one(end_dim, len(shape), "flatten")
        if start > end:
            raise RuntimeError(
                f"flatten() has invalid args: start_dim cannot come after end_dim: {start_dim}, {end_dim}"
            )
        if start == end and shape:
            return self
        return self.reshape(shape[:start] + (math.prod(shape[start : end + 1]),) + shape[end + 1 :])

    def ravel(self) -> Any:
        """The elements as one dimension."""
        return self.contiguous().view(self.numel())

    def unflatten(self, dim: int, sizes: Any) -> Any:
        """The dimension `dim` as several, of the given sizes, one of which may be -1."""
        shape = self._raw.shape
        dim = axes.one(dim, len(shape), "unflatten")
        if not shape or not sizes:
            raise RuntimeError(
                f"unflatten: needs a dimension and sizes for it, found {list(shape)} and {list(sizes)}"
            )
        known = math.prod(n for n in sizes if n != -1)
        if list(sizes).count(-1) > 1:
            raise RuntimeError(f"unflatten: only one dimension can be inferred, found sizes {list(sizes)}")
        if known != shape[dim] if -1 not in sizes else not known or shape[dim] % known:
            raise RuntimeError(
                f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} "
                f"({shape[dim]}) in the input tensor"
            )
        inferred = (n if n != -1 else shape[dim] // known for n in sizes)
        return self.view(shape[:dim] + tuple(inferred) + shape[dim + 1 :])

    # --- another order ------------------------------------------------------------------------------------

    def permute(self, *dims: Any) -> Any:
        """A view with the dimensions in the given order."""
        dims, ndim = sizes(dims, "permute"), self.ndim
        if len(dims) != ndim:
            raise RuntimeError(
                f"permute: number of dimensions in the tensor input does not match the length of the desired "
                f"ordering of dimensions i.e. input.dim() = {ndim} is not equal to len(dims) = {len(dims)}"
            )
        order = tuple([axes.one(d, ndim, "permute") for d in dims])
        if len(set(order)) != ndim:
            raise RuntimeError(f"permute: duplicate dims are not allowed, found {list(dims)}")
        return ops.permute_dims.call(self, order)

    def transpose(self, dim0: int, dim1: int) -> Any:
        """A view with two dimensions exchanged."""
        ndim = self.ndim
        dim0, dim1 = axes.one(dim0, ndim, "transpose"), axes.one(dim1, ndim, "transpose")
        return ops.swapaxes_.call(self, dim0, dim1) if ndim else ops.permute_dims.call(self, ())

    swapaxes = swapdims = transpose

    def movedim(self, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> Any:
        """A view with some dimensions moved to other places; the others keep their order."""
        ndim, given = self.ndim, []
        for name, dims in (("source", source), ("destination", destination)):
            dims = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
            given.append([axes.one(d, ndim, "movedim") for d in dims])
            if len(set(given[-1])) != len(dims):
                raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(dims)})")
        sources, places = given
        if len(sources) != len(places):
            raise RuntimeError(
                f"movedim: Invalid source or destination dims: source ({sources} dims) should contain the "
                f"same number of dims as destination ({places} dims)"
            )
        if not ndim:
            return self
        others = iter([d for d in range(ndim) if d not in sources])
        moved = dict(zip(places, sources))
        return ops.permute_dims.call(
            self, tuple([moved[i] if i in moved else next(others) for i in range(ndim)])
        )

    moveaxis = movedim

    def t(self) -> Any:
        """The transpose of a matrix; tensors of fewer dimensions are themselves."""
        if self.ndim > 2:
            raise RuntimeError(
                f"t() expects a tensor with <= 2 dimensions, but self is {self.ndim}D: use .mT or .permute()"
            )
        return ops.reverse_dims.call(self)

    @property
    def T(self) -> Any:
        """A view with all dimensions in reverse order."""
        return ops.permute_dims.call(self, tuple(range(self.ndim - 1, -1, -1)))

    @property
    def H(self) -> Any:
        """The conjugate transpose of a matrix, as a view where the elements are real."""
        if self.ndim not in (0, 2):
            raise RuntimeError(
                f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor: "
                "use .mH for batches of matrices"
            )
        return self.mH if self.ndim else self.conj()

    @property
    def mH(self) -> Any:
        """The conjugate of `mT`."""
        return self.mT.conj() if self.is_complex() else self.mT

    def adjoint(self) -> Any:
        """The conjugate of `mT`."""
        return self.mH

    @property
    def mT(self) -> Any:
        """A view with the last two dimensions exchanged."""
        if self.ndim < 2:
            raise RuntimeError(
                f"tensor.mT is only supported on matrices or batches of matrices. Got {self.ndim}-D tensor: "
                "it needs at least two dimensions"
            )
        return ops.matrix_transpose.call(self)

    def squeeze(self, dim: int | tuple[int, ...] | None = None) -> Any:
        """A view without dimensions of size 1: all of them, or those of `dim` that have it."""
        shape = self._raw.shape
        if dim is None:
            return ops.squeeze_.call(self, tuple([i for i, n in enumerate(shape) if n == 1]))
        op = ops.squeeze_dims if isinstance(dim, (tuple, list)) else ops.squeeze_dim
        given = (
            (axes.many(dim, self.ndim, "squeeze") if dim != () else ())
            if op is ops.squeeze_dims
            else (axes.one(dim, self.ndim, "squeeze"),)
        )
        return op.call(self, tuple([i for i in given if shape and shape[i] == 1]))

    def unsqueeze(self, dim: int) -> Any:
        """A view with a new dimension of size 1 at `dim`."""
        return ops.expand_dims.call(self, axes.one(dim, self.ndim + 1, "unsqueeze"))

    def expand(self, *size: Any) -> Any:
        """A view in which dimensions of size 1 are repeated without a copy; -1 keeps a size."""
        size, shape = sizes(size, "expand"), self._raw.shape
        extra = len(size) - len(shape)
        if extra < 0:
            raise RuntimeError(
                f"expand: the number of sizes provided ({len(size)}) must be greater or equal to the number "
                f"of dimensions in the tensor ({len(shape)}): asked {list(size)}, found {list(shape)}"
            )
        target = list(map(int, size))
        for i, n in enumerate(target):
            old = shape[i - extra] if i >= extra else 1
            if n == -1 and i < extra:
                raise RuntimeError(
                    f"expand: The expanded size of the tensor (-1) isn't allowed in a leading, "
                    f"non-existing dimension {i}"
                )
            if n == -1:
                target[i] = old
            elif n < 0 or (n != old and old != 1):
                raise RuntimeError(
                    f"The expanded size of the tensor ({n}) must match the existing size ({old}) at "
                    f"non-singleton dimension {i}.  Target sizes: {list(size)}.  Tensor sizes: {list(shape)}"
                )
        return ops.broadcast_to.call(self, tuple(target))

    def broadcast_to(self, *size: Any) -> Any:
        """The same as `expand`."""
        return self.expand(*size)

    def expand_as(self, other: Any) -> Any:
        """`expand` to the shape of `other`."""
        return self.expand(other._raw.shape)
