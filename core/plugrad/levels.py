"""Transform levels: vmap and forward mode are backends whose raw arrays hold tensors of the level below.

A level lives from `push` to `pop`. While one does, an op whose operands are of several levels is computed at the
highest of them: the other operands are lifted, that is, put into a raw array of that level as they are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .backend import BY_ARRAY, Backend, backend_of
from .graph import Variable, wrap


class TransformArray:
    """A raw array of a level: it holds tensors of the level below."""

    __slots__ = ("__weakref__",)

    #: The level, and the backend of the device at the bottom; each level has a subclass per device.
    level: Any = None
    #: Nobody's view, as far as memory is concerned.
    base = None
    shape: tuple[int, ...]
    dtype: Any

    def detached(self) -> Any:
        """The tensor for `detach` and `.data`: of the level below, where the level has nothing to say of it."""
        raise NotImplementedError

    def described(self, tensor: Any) -> str:
        """The text for the `repr` of `tensor`, whose array this is."""
        return f"<tensor of {self.level.name}: {type(self).__name__}, shape {tuple(self.shape)}>"

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)


class Level:
    """One use of a transform. A subclass says what its arrays are and how an op is computed on them."""

    #: The class of the raw arrays, and of the backend that serves them.
    array: type[TransformArray]
    backend: type[TransformBackend]
    #: What people call it, for errors.
    name = "transform"
    #: Whether lifted operands are recorded at this level as well as at their own.
    keeps_edges = False
    depth = 0
    alive = False

    def __init__(self) -> None:
        self.types: dict[Any, type[TransformArray]] = {}  # by the backend of the device
        #: Tensors of this level that were made views of themselves, by `t_` and its like.
        self.turned: list[Any] = []

    def type_for(self, raw: Any) -> Any:
        """The class of this level's arrays over tensors of the device of `raw`."""
        try:
            backend: Any = backend_of(raw)
        except KeyError:
            raise escaped(type(raw)) from None
        base = backend.base if backend.is_transform else backend
        found = self.types.get(base)
        if found is None:
            found = type(self.array.__name__, (self.array,), {"__slots__": (), "level": self})
            BY_ARRAY[found] = self.backend(self, base, found)
            self.types[base] = found
        return found

    def check_alive(self) -> None:
        """Raise if this level has ended."""
        if not self.alive:
            raise RuntimeError(
                f"a tensor of {self.name} is used after {self.name} has ended: return it from the transformed function instead"
            )

    def lift(self, tensor: Any) -> Any:
        """The raw array of this level that stands for a tensor of a level below."""
        raise NotImplementedError

    def lowered(self, g: Any) -> Any:
        """What of a gradient of this level adds to the `.grad` of a leaf below it."""
        raise NotImplementedError(
            f"backward: a gradient of {self.name} cannot be added to the .grad of a tensor from outside: use "
            "torch.autograd.grad, or return the gradient from the transformed function"
        )

    def admitted(self, tensor: Any, name: str) -> Any:
        """The raw array of this level for `tensor`, of a level below, into which `name` writes a value of this one."""
        raise NotImplementedError(
            f"{name}: a value of {self.name} cannot be written into a tensor from outside: compute a new tensor, or "
            "make the tensor from one of the arguments, e.g. torch.zeros_like(x) + 0 * x"
        )

    def stream(self, stream: Any, name: str) -> Any:
        """The stream of random numbers from which `name` draws inside this level."""
        return stream

    def like(self, raw: Any, made: Any) -> Any:
        """`made`, a new tensor of the device, as a tensor into which values of the level of `raw` can be written."""
        return made

    def note(self, tensor: Any) -> None:
        """A tensor of this level was made by an op."""

    def edge_below(self, raw: Any) -> Any:
        """Where gradients of what `raw` stands for at the level below go, if its tensors are recorded there as well."""
        return None

    def connect(self, tensor: Any, edge: Any) -> None:
        """Let `edge` be where gradients of what `tensor` stands for at the level below go."""

    def custom_function(self, function: Any, args: tuple[Any, ...], ctx: Any = None) -> Any:
        """What `function.apply` returns for arguments of which some are of this level, the highest of them.

        A higher level may bring the `ctx`, to look at it afterwards.
        """
        raise NotImplementedError(
            f"{function.__name__}: a custom Function inside {self.name} is not supported: compute with ops instead"
        )


class TransformBackend(Backend):
    """The kernels of a level for one device: `kernel(op)` makes one from the op's declaration."""

    is_transform = True

    def __init__(self, level: Level, base: Backend, array_type: type[TransformArray]) -> None:
        self.level, self.base, self.array_type = level, base, array_type
        self.index, self.device_type, self.dtypes = base.index, base.device_type, base.dtypes  # type: ignore[misc]
        self.kernels: dict[Any, Any] = {}

    def kernel(self, op: Any) -> Any:
        """The kernel of `op` on this level's arrays."""
        found = self.kernels.get(op)
        if found is None:
            found = self.kernels[op] = self.make_kernel(op)
        return found

    def make_kernel(self, op: Any) -> Any:
        """A function of raw arrays, numbers and parameters that returns raw arrays."""
        raise NotImplementedError

    def from_numpy(self, array: Any) -> Any:
        """An array of the device: index arrays are of no level."""
        return self.base.from_numpy(array)

    def all_values(self, raw: Any) -> Any:
        """A NumPy array with whatever values there are, to check indices."""
        return self.to_numpy(raw)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A raw array of this level of unspecified values."""
        return self.level.lift(wrap(self.base.empty(shape, dtype)))

    def full(self, shape: tuple[int, ...], value: Any, dtype: Any) -> Any:
        """A raw array of this level of one value."""
        return self.level.lift(wrap(self.base.full(shape, value, dtype)))

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A raw array of this level of zeros."""
        return self.level.lift(wrap(self.base.zeros(shape, dtype)))

    def asarray(self, value: Any) -> Any:
        """`value`, or what the device makes of it."""
        return value if isinstance(value, TransformArray) else self.base.asarray(value)

    def writer(self, kernel: Any) -> Any:
        """Not used: values of a level are never written to."""
        raise NotImplementedError


class _ThreadLevels(threading.local):
    def __init__(self) -> None:
        self.stack: list[Level] = []


#: The live levels of the calling thread, outermost first.
thread = _ThreadLevels()


def push(level: Level) -> Level:
    """Let `level` live, above all others."""
    stack = thread.stack
    level.depth, level.alive = (stack[-1].depth + 1 if stack else 1), True
    stack.append(level)
    return level


def pop(level: Level) -> None:
    """End a level; its arrays are unknown from here on.

    Who pushes a level for a while does it within `try`, and cuts the stack as the first thing in `finally`, which Ctrl-C
    cannot interrupt (see `modes.tidy`).
    """
    if level in thread.stack:
        thread.stack.remove(level)
    level.alive = False
    for array_type in level.types.values():
        BY_ARRAY.pop(array_type, None)
    level.types, level.turned = {}, []


@contextmanager
def below(level: Level) -> Iterator[None]:
    """A context in which `level`, and those above it, have no say."""
    stack = thread.stack
    thread.stack = stack[: stack.index(level)]
    try:
        yield
    finally:
        thread.stack = stack


def of(raw: Any) -> Level | None:
    """The level of a raw array; None for one of a device."""
    return getattr(raw, "level", None)


def highest(tensors: Sequence[Any]) -> Level | None:
    """The highest level among tensors, and other things that do not count."""
    top: Level | None = None
    for t in tensors:
        level = of(t._raw) if isinstance(t, Variable) else None
        if level is not None and (top is None or level.depth > top.depth):
            top = level
    return top


def lifted(inputs: Sequence[Any], params: Sequence[Any] = ()) -> tuple[Sequence[Any], Level | None]:
    """The operands of an op at the highest level among them and its parameters, and that level."""
    top = highest(inputs)
    for p in params:
        for raw in p if type(p) in (tuple, list) else (p,):
            level = of(raw) if isinstance(raw, TransformArray) else None
            if level is not None and (top is None or level.depth > top.depth):
                top = level
    if top is None:
        return inputs, None
    return [lift(t, top) if isinstance(t, Variable) else t for t in inputs], top


def lift(tensor: Any, level: Level) -> Any:
    """`tensor` at `level`; what belongs to a lower level is recorded there."""
    if of(tensor._raw) is level:
        return tensor
    return wrap(level.lift(tensor), tensor._edge if level.keeps_edges else None)


def with_part(fresh: Any, key: Any, value: Any) -> Any:
    """`fresh`, which nobody else knows, with `value` at `key`; so it may go up to the level of the value."""
    level = highest((fresh, value))
    if level is not None:
        fresh = lift(fresh, level)
    fresh[key] = value
    return fresh


def like(tensor: Any, made: Any) -> Any:
    """`made`, a new tensor of the device, at the levels where `tensor` has a value for each element of a batch."""
    if not thread.stack or not isinstance(tensor, Variable):
        return made
    level = of(tensor._raw)
    return made if level is None else level.like(tensor._raw, made)


def edges(tensor: Any) -> list[Any]:
    """Where gradients of `tensor` go: its edge, and that at the level below, where it is recorded there as well."""
    level = of(tensor._raw) if thread.stack else None
    below = None if level is None else level.edge_below(tensor._raw)
    return [tensor._edge] if below is None or below is tensor._edge else [tensor._edge, below]


def noted(tensor: Any) -> Any:
    """`tensor`, which no op made, after its level, if it is of one, has been told."""
    level = of(tensor._raw) if thread.stack else None
    if level is not None:
        level.note(tensor)
    return tensor


def connected(tensor: Any) -> bool:
    """Whether a tensor, or one that it stands for at a level below, is part of a graph."""
    if tensor._edge is not None:
        return True
    below = [getattr(tensor._raw, name, None) for name in ("value", "primal", "tangent")]
    return any(isinstance(t, Variable) and connected(t) for t in below)


class Stream:
    """A stream of random numbers that takes tensors, also of a level, where others take arrays."""


def check_thread(array_type: Any) -> None:
    """Raise where an array of a level meets a thread in which no level lives."""
    if not thread.stack:
        raise RuntimeError(
            f"a tensor of {array_type.level.name} is used in another thread than the one that began {array_type.level.name}: "
            "begin and end it in the thread that computes"
        )


def escaped(array_type: Any) -> Exception:
    """The error for an array of a level that has ended."""
    try:
        array_type.level.check_alive()
    except RuntimeError as error:
        return error
    return TypeError(f"no backend knows arrays of type {array_type.__name__}")
