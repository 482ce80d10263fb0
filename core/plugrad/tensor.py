"""`Tensor`: what a user holds. Its methods stand in `methods/`, by family; here is what makes it a tensor."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

from . import copies, creation, dtypes, engine, hooks, layout, levels, ops, storage, writes
from .accumulate import AccumulateGrad, lock
from .backend import Backend, backend_of
from .device import device
from .dtypes import dtype
from .graph import Node, Port, Variable, follow, wrap
from .hooks import RemovableHandle
from .methods import Methods
from .printing import tensor_repr
from .size import Size


class Tensor(Methods, Variable, result=True):
    """An array with a place in the graph of its computation; made by `plugrad.tensor`, `zeros`, ….

    >>> import plugrad as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ()

    def __new__(cls, *data: Any) -> Any:
        # The old constructor of torch.Tensor([1, 2]) and torch.Tensor(2, 3); ops do not pass here.
        first = data[0] if len(data) == 1 else 0
        if isinstance(first, Tensor):
            values = first.detach()
        elif isinstance(first, (bool, float, complex)):
            raise TypeError(
                f"Tensor(): data must be a sequence (got {type(first).__name__}): use torch.tensor(...)"
            )
        elif isinstance(first, Size) or (hasattr(first, "__index__") and not getattr(first, "shape", ())):
            values = creation.empty(*(data or (0,)))
        else:
            values = creation.tensor(first, dtype=dtypes.get_default_dtype())
        self = object.__new__(cls)
        self._raw, self._edge = values._raw, None
        return self

    # --- what it is ---------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return Size(self._raw.shape)

    @property
    def dtype(self) -> dtype:
        """The type of the elements."""
        return dtypes.of(self._raw.dtype)

    @property
    def _backend(self) -> Backend:
        try:
            return backend_of(self._raw)
        except KeyError:
            raise levels.escaped(type(self._raw)) from None

    @property
    def device(self) -> device:
        """The place where the elements are."""
        backend = self._backend
        return device(backend.device_type, backend.index)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._raw.shape)

    @property
    def is_cuda(self) -> bool:
        """Whether this is on a CUDA device."""
        return self._backend.device_type == "cuda"

    @property
    def is_cpu(self) -> bool:
        """Whether this is on the CPU."""
        return self._backend.device_type == "cpu"

    def get_device(self) -> int:
        """The index of the device; -1 where it has none, as the CPU."""
        index = self._backend.index
        return -1 if index is None else index

    @property
    def layout(self) -> str:
        """How the elements are stored: always strided."""
        return "torch.strided"

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.numel() * self.itemsize

    def element_size(self) -> int:
        """The bytes of one element."""
        return self.dtype.itemsize

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.shape if dim is None else self.shape[ops.axes.one(dim, self.ndim, "size")]

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self._raw.shape)

    def numel(self) -> int:
        """The number of elements."""
        return self.shape.numel()

    nelement = numel

    def stride(self, dim: int | None = None) -> Any:
        """How many elements apart neighbours along each dimension, or along `dim`, are in memory."""
        strides = layout.strides(self)
        return strides if dim is None else strides[ops.axes.one(dim, self.ndim, "stride")]

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._backend.data_ptr(self._raw)

    def is_contiguous(self) -> bool:
        """Whether the elements are dense in memory, in row-major order."""
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.stride()), strict=True):
            if size != 1 and stride != expected:
                return self.numel() == 0
            expected *= size
        return True

    def is_floating_point(self) -> bool:
        """Whether the dtype is a real floating-point type."""
        return self.dtype.is_floating_point

    def is_signed(self) -> bool:
        """Whether the dtype has negative numbers."""
        return self.dtype.is_signed

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self.dtype.is_complex

    # --- its place in the graph ---------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor."""
        return self._edge is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say whether operations on this leaf are to be recorded; returns the tensor."""
        if not requires_grad:
            if not self.is_leaf:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to use a computed "
                    "variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()"
                )
            self._edge = None
        elif self._edge is None:
            if self.dtype.category < dtypes.FLOAT:
                raise RuntimeError(
                    f"only Tensors of floating point and complex dtype can require gradients, found {self.dtype}: "
                    "convert it with .float() first"
                )
            self._edge = AccumulateGrad(self)
            self._grad = self.grad  # set from here on, which spares `backward` a look
        if levels.thread.stack and (level := levels.of(self._raw)) is not None:
            level.connect(self, self._edge)
        return self

    def is_inference(self) -> bool:
        """Whether this was made in inference mode."""
        return False

    @property
    def is_leaf(self) -> bool:
        """Whether this was not computed from a tensor that requires grad."""
        return self._edge is None or isinstance(self._edge, AccumulateGrad)

    @property
    def grad_fn(self) -> Node | None:
        """The node that computed this tensor; None for a leaf."""
        edge = self._edge
        if isinstance(edge, Port):
            return edge.node
        return None if self.is_leaf else edge

    @property
    def output_nr(self) -> int:
        """Which output of its `grad_fn` this is."""
        return self._edge.index if isinstance(self._edge, Port) else 0

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has accumulated; None before."""
        try:
            return self._grad
        except AttributeError:
            return None

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad: assign a .clone()")
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of {type(value).__name__}"
                )
            for what in ("shape", "dtype", "device"):
                found, expected = getattr(value, what), getattr(self, what)
                if found != expected:
                    raise RuntimeError(
                        f"assigned grad has {what} {found}, but the tensor has {what} {expected}"
                    )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def _accumulate(self, g: Any, recorded: bool) -> None:
        end = AccumulateGrad(self)
        with lock:
            self._grad = self.grad  # unset on a tensor that is no leaf
            (end.backward_recorded if recorded else end.backward)(g)

    def retain_grad(self) -> None:
        """Keep the gradient of this intermediate tensor in its `.grad`."""
        if self._edge is None:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if not self.is_leaf:
            this = weakref.ref(self)

            def keep(g: Tensor) -> None:
                tensor = this()
                if tensor is not None:
                    with lock:
                        kept = tensor.grad
                        tensor._grad = kept + g if kept is not None else g if g.requires_grad else g.clone()

            for edge in levels.edges(self):
                hooks.of_node(edge).retain = keep

    @property
    def retains_grad(self) -> bool:
        """Whether this is an intermediate tensor whose gradient is kept."""
        edge = self._edge
        return (
            edge is not None and not self.is_leaf and edge.hooks is not None and edge.hooks.retain is not None
        )

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook` with the gradient of this tensor when it is known; what it returns replaces it."""
        if self._edge is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        return RemovableHandle(hook, *[hooks.of_node(edge).tensor for edge in levels.edges(self)])

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call `hook` with this leaf after its `.grad` has grown."""
        if self._edge is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if not self.is_leaf:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        leaf = weakref.ref(self)

        def accumulated(grad_inputs: Any, grad_outputs: Any) -> None:
            tensor = leaf()
            if tensor is not None:
                hook(tensor)

        return RemovableHandle(accumulated, hooks.call_after(self._edge))

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Accumulate the gradient of this tensor into the `.grad` of the leaves that it depends on.

        `gradient` has this tensor's shape, and may be left out for one element. `retain_graph` keeps the
        saved values for another backward; `create_graph` records the derivative, for higher orders.
        """
        engine.backward(self, None if gradient is None else (gradient,), retain_graph, create_graph, inputs)

    # --- the same values elsewhere ------------------------------------------------------------------------

    def detach(self) -> Tensor:
        """This tensor outside the graph, sharing its memory."""
        if self._backend.is_transform:
            other = self._raw.detached()
            if type(other._raw) is type(self._raw):
                storage.of(self).add(other)
            else:
                storage.of(other).behind = self._raw.level
                storage.of(self).mention(other)
            return other
        other = wrap(self._backend.alias(self._raw))
        storage.of(self).add(other, self)
        return follow(other, self)

    def detach_(self) -> Tensor:
        """Take this tensor out of its graph; RuntimeError for a view, whose base would stay in it."""
        if hasattr(self, "_view"):
            raise RuntimeError("Can't detach views in-place. Use detach() instead")
        if self._backend.is_transform:
            if not storage.of(self).alone(self):
                raise NotImplementedError(
                    f"detach_: not supported inside {self._raw.level.name} for a tensor that shares its memory: use detach()"
                )
            storage.of(self).rebind(self, self._raw.detached()._raw)
        self._edge = None
        return self

    @property
    def data(self) -> Tensor:
        """This tensor outside the graph, sharing its memory; assigning rebinds the values."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"data: expected a Tensor, but got {type(value).__name__}: make one with torch.tensor(...)"
            )
        if self.requires_grad and value.dtype.category < dtypes.FLOAT:
            raise RuntimeError(
                f"data set to a tensor that requires gradients must be floating point or complex dtype, found {value.dtype}"
            )
        value = value.detach() if value._backend.is_transform else value
        self._raw = value._backend.alias(value._raw)
        storage.of(value).add(self, value)

    def set_(self, source: Tensor) -> Tensor:
        """Show the memory of `source` from now on; RuntimeError where that would be part of a graph."""
        if writes.is_recorded(self, (source,)):
            writes.check(self, "set_")
            raise NotImplementedError(
                "set_: has no derivative: use copy_, or do it under torch.no_grad(), where it is x.data = source"
            )
        self.data = source
        return self

    def resize_(self, *sizes: Any, memory_format: Any = None) -> Tensor:
        """Refused: memory does not change its size."""
        raise NotImplementedError(
            "resize_: memory does not change its size here (and PyTorch cannot resize variables that require grad): use "
            "x = x.reshape(...), x = x[:n], or a new tensor"
        )

    resize_as_ = resize_

    @property
    def _base(self) -> Tensor | None:
        """The tensor that this is a view of, which is no view itself; None if this is no view."""
        return self._view.base if hasattr(self, "_view") else None

    def _is_view(self) -> bool:
        """Whether this was made as a view of another tensor."""
        return hasattr(self, "_view")

    @property
    def _version(self) -> int:
        """How often the memory was written in place."""
        return self._storage.version if hasattr(self, "_storage") else 0

    # --- text, numbers, copies ----------------------------------------------------------------------------

    def __repr__(self) -> str:
        if levels.of(self._raw) is not None and not self._raw.level.alive:
            return f"<tensor of {self._raw.level.name}, which has ended>"
        if self._backend.is_transform:
            return self._raw.described(self)
        edge, dt, place = self.grad_fn, self.dtype, self.device
        implied = dt in (
            dtypes.get_default_dtype(),
            dtypes.get_default_dtype().to_complex(),
            dtypes.int64,
            dtypes.bool_,
        )
        return tensor_repr(
            self._host(),
            dtype=str(dt),
            default=implied,
            device=None if place.type == "cpu" else str(place),
            requires_grad=self.requires_grad,
            grad_fn=None if edge is None else edge.name(),
        )

    def __format__(self, spec: str) -> str:
        return object.__format__(self, spec) if self._raw.shape else format(self.item(), spec)

    def item(self) -> Any:
        """The one element as a Python number."""
        if self.numel() != 1:
            raise RuntimeError(
                f"a Tensor with {self.numel()} elements cannot be converted to Scalar: use .tolist()"
            )
        return self._host().item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._host().tolist()

    def __bool__(self) -> bool:
        if self.numel() != 1:
            what = "no values" if self.numel() == 0 else "more than one value"
            raise RuntimeError(f"Boolean value of Tensor with {what} is ambiguous: use .any() or .all()")
        return bool(self.item())

    def _scalar(self) -> Any:
        if self.numel() != 1:
            raise ValueError(
                f"only one element tensors can be converted to Python scalars, found shape {list(self.shape)}"
            )
        return self.item()

    def __float__(self) -> float:
        return float(self._scalar())

    def __int__(self) -> int:
        return int(self._scalar())

    def __complex__(self) -> complex:
        return complex(self._scalar())

    def __index__(self) -> int:
        if self.dtype.category > dtypes.INTEGER or self.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __len__(self) -> int:
        if not self._raw.shape:
            raise TypeError("len() of a 0-d tensor")
        return self._raw.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self._raw.shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, value: Any) -> bool:
        if not isinstance(value, (Tensor, bool, int, float, complex)):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(value).__name__}"
            )
        return bool((self == value).any())

    def __reversed__(self) -> Tensor:
        return self.flip(0) if self._raw.shape else self

    __hash__ = object.__hash__

    def __reduce_ex__(self, protocol: Any) -> Any:
        values = self._host()
        state = getattr(self, "__dict__", None) or None  # of a subclass
        return _rebuild, (type(self), values, str(self.device), self.requires_grad), state

    def __copy__(self) -> Tensor:
        other = object.__new__(type(self))
        source = self.detach() if self._backend.is_transform else self
        other._raw, other._edge = source._backend.alias(source._raw), None
        storage.of(source).add(other, source)
        if hasattr(self, "__dict__"):
            other.__dict__.update(self.__dict__)
        if self.is_leaf:
            return other.requires_grad_(self.requires_grad)
        other._edge = self._edge
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError(
                "only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol: use .detach() first"
            )
        if id(self) not in memo:
            from copy import deepcopy

            other = memo[id(self)] = object.__new__(type(self))
            other._edge, (other._raw, home) = None, copies.copied(self, memo)
            if home is not None:
                home.add(other, self)
            other.requires_grad_(self.requires_grad)
            if self.grad is not None:
                other._grad = deepcopy(self.grad, memo)
            if hasattr(self, "__dict__"):
                other.__dict__.update(deepcopy(self.__dict__, memo))
        return memo[id(self)]


def _rebuild(cls: type[Tensor], values: Any, place: str, requires_grad: bool) -> Tensor:
    tensor = object.__new__(cls)
    tensor._raw, tensor._edge = device(place).backend.from_numpy(values), None
    return tensor.requires_grad_(requires_grad)


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The dtype of an arithmetic operation between two tensors or numbers.

    >>> result_type(creation.ones(2, dtype=dtypes.int8), 2.5)
    torch.float32
    """
    return dtypes.result_type([x._raw if isinstance(x, Tensor) else x for x in (tensor1, tensor2)])
