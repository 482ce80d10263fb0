"""The contract between plugrad and an array library: the class that a backend subclasses.

The members of `REQUIRED` are what a library must bring. A member named like any other op of `plugrad.op.OPS` is
optional: an op that the library lacks is computed by a composite over the required members, see `kernels`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, ClassVar

import numpy as np

from .dtypes import ALL, COMPLEX_, bfloat16, dtype, float16, float64, int64, of
from .errors import DeviceError


def required(member: Any) -> Any:
    """Mark a member that every backend defines itself; for type checkers it may be any callable."""
    member.is_required = True
    return member


class Lowering:
    """What a device has for a composite: its kernel, and the derivative of that.

    `forward(*args)` takes all arguments of the composite by position, raw arrays in the place of tensors, and returns the
    output, a tuple where there are several, and a tuple of raw arrays that `vjp` wants besides, such as the output. It is
    called where arrays are of one real float dtype, or bool; it may return NotImplemented: then the body serves.

    `vjp(g, saved, *args)` returns a tuple, for each array among the arguments its cotangent, or None: then the body is
    differentiated instead. `g` is the cotangent of the output, a list of several, `saved` that tuple of `forward`.
    """

    __slots__ = ("forward", "vjp")

    def __init__(self, forward: Any, vjp: Any) -> None:
        self.forward, self.vjp = forward, vjp


class Backend:
    """What an array library offers to plugrad: one subclass a device type, one instance a device.

    Where there may be several devices of the type, `locate` says which one users mean. An instance is given arrays of its
    own device only, and returns such. Either each instance has an `array_type` of its own, or they
    share one, and `index_of` says where an array is; then Python's operators compute where their operands are.

    A *raw array* is an object of `array_type`. It carries `shape` (a tuple), `ndim` and `dtype` (an object that
    `plugrad.dtypes.register` knows; NumPy's are known), can be referred to weakly, and supports Python's operators
    `+ - * / // ** & | ~ == != < <= > >=` with arrays that broadcast, and with Python numbers on either side.

    A *kernel* is a member named like an op: it takes raw arrays, then the op's parameters by position, and returns a
    new raw array (a tuple of them for an op with several outputs). For all kernels:

    - They write into none of their arguments, and nobody else may later write into what they return, except that
      views may share the memory of their argument where `inplace` is true.
    - Operands have one dtype when core calls: promotion is done. A Python number among them is weakly promoted: the
      result has the dtype that the arrays have. It is never of a higher category than the array's dtype.
    - The result has the operands' dtype, a comparison's `bool`, unless the member says otherwise.
    - Shapes with 0 in them and 0-d arrays are arrays like any other; a result of no dimension is an array too (or of a
      type in `scalar_types`, of which `asarray` makes an array).
    - NaN and infinities follow IEEE 754, without warnings; nothing raises because of the values of floats.
    - What cannot be done raises: ValueError, TypeError, IndexError or RuntimeError; core adds op, shapes and dtypes.
    """

    #: The device type that users write, e.g. "cpu".
    device_type: ClassVar[str]
    #: The type of this library's arrays; a type belongs to one device type. An instance may have one of its own.
    array_type: type
    #: Further types that kernels meet inside formulas, such as the library's scalars.
    scalar_types: ClassVar[tuple[type, ...]] = ()
    #: The dtypes that the device computes in.
    dtypes: frozenset[dtype] = frozenset(d for d in ALL if d.numpy is not None)
    #: Whether arrays can be written: `setitem` writes into the array it is given, and `getitem`, `reshape`, `permute_dims`
    #: and `broadcast_to` return views of its memory where they can, with the owner of that memory as `base`. Where it
    #: is false, arrays are never written: `setitem` returns a new array, and core lets tensors that share memory follow.
    inplace: ClassVar[bool] = True
    #: Whether `index_add` gives the same bits each time.
    deterministic_index_add: ClassVar[bool] = True

    #: Of devices that share a type of arrays: a function of a raw array that returns the index of its device.
    index_of: ClassVar[Any] = None

    #: Whether Python's operators on its arrays cost more than its members: then core asks for kernels of single steps, too.
    slow_operators: ClassVar[bool] = False

    #: Whether its arrays hold tensors of a level below (see `levels`): vmap, forward mode.
    is_transform = False

    def __init__(self, index: int | None = None) -> None:
        self.index = index

    @classmethod
    def locate(cls, which: int | str | None) -> int | None:
        """The index of the device that users mean by what they write behind ``device_type:``, or by nothing (None).

        A backend whose spec says ``names=True`` is given names, too. DeviceError says which devices there are instead. Where
        it is not defined there is one device, whose `index` is None.
        """
        if isinstance(which, str):
            raise DeviceError(f"device '{cls.device_type}:{which}': devices of this type have no names")
        return which

    @classmethod
    def current_index(cls) -> int | None:
        """The index of the device that "current" means in this thread, where each thread has a current one of its own.

        None, the default: what `locate(None)` said at first stands for all threads.
        """
        return None

    @classmethod
    def devices(cls) -> list[str]:
        """The devices of this type that are there, each in one line for `plugrad doctor`; nothing where there is but one.

        A line begins with what users write: "acme:0 = Banana 5000, driver 1.2". It may cost time, and need not be quick.
        """
        return []

    @property
    def device_name(self) -> str:
        """The name of the device, with its index if it has one."""
        return self.device_type if self.index is None else f"{self.device_type}:{self.index}"

    def __getattr__(self, name: str) -> Any:
        """The composite for a kernel that the backend does not define; AttributeError where there is none."""
        from .composites import find  # nobody pays for those before an op is missed

        composite = find(name)
        if composite is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return MethodType(composite, self)

    def capabilities(self) -> dict[str, bool]:
        """What the device can do beyond what every device must, by name.

        >>> from plugrad.backend import for_device
        >>> [name for name, can in for_device("cpu").capabilities().items() if not can]
        ['bfloat16']
        """
        return {
            "inplace": self.inplace,
            "float64": float64 in self.dtypes,
            "float16": float16 in self.dtypes,
            "bfloat16": bfloat16 in self.dtypes,
            "int64": int64 in self.dtypes,
            "complex": any(d.category == COMPLEX_ for d in self.dtypes),
            "deterministic_index_add": self.deterministic_index_add,
        }

    # --- required: memory -----------------------------------------------------------------------------------

    @required
    def from_numpy(self, array: Any) -> Any:
        """A raw array with the values of a NumPy array of any strides; shares its memory if arrays are NumPy's own."""
        raise NotImplementedError

    @required
    def to_numpy(self, raw: Any) -> Any:
        """A NumPy array with the values of `raw`, its shape and dtype; waits until they are computed."""
        raise NotImplementedError

    @required
    def empty(self, shape: tuple[int, ...], dtype: dtype) -> Any:
        """A new dense raw array of unspecified values."""
        raise NotImplementedError

    @required
    def synchronize(self) -> None:
        """Wait until everything that was asked of the device is done."""
        raise NotImplementedError

    @required
    def setitem(self, raw: Any, key: Any, value: Any) -> Any:
        """`raw` with `value`, an array or number, broadcast and cast to its dtype, at `key`.

        Where `inplace` is true, `raw` itself is written and returned, right also where `value` shares its memory;
        otherwise it stays as it is. `key` is one of `getitem`, a tuple as in an `index_get`, or `...`.
        """
        raise NotImplementedError

    # --- required: shape and dtype ------------------------------------------------------------------------------

    @required
    def reshape(self, x: Any, shape: tuple[int, ...]) -> Any:
        """The elements in row-major order in another shape of as many elements; core has resolved -1."""
        raise NotImplementedError

    @required
    def permute_dims(self, x: Any, axes: tuple[int, ...]) -> Any:
        """Axis `axes[i]` of `x` as axis `i`; `axes` are counted from the front."""
        raise NotImplementedError

    @required
    def broadcast_to(self, x: Any, shape: tuple[int, ...]) -> Any:
        """`x` repeated along new axes in front and along axes of size 1; ValueError where that does not fit."""
        raise NotImplementedError

    @required
    def getitem(self, x: Any, key: tuple[Any, ...]) -> Any:
        """`x[key]`; the parts of `key` are integers, slices of positive step, None, and `...` at the end.

        An integer out of range raises IndexError; slices are within the bounds.
        """
        raise NotImplementedError

    @required
    def astype(self, x: Any, dtype: dtype) -> Any:
        """A copy in another dtype of plugrad: floats are truncated towards 0 on their way to integers."""
        raise NotImplementedError

    # --- required: element by element ---------------------------------------------------------------------------

    @required
    def negative(self, x: Any) -> Any:
        """`-x`; unsigned integers wrap."""
        raise NotImplementedError

    @required
    def exp(self, x: Any) -> Any:
        """The exponential of floats."""
        raise NotImplementedError

    @required
    def log(self, x: Any) -> Any:
        """The natural logarithm of floats: -inf of 0, NaN of negative numbers."""
        raise NotImplementedError

    @required
    def sqrt(self, x: Any) -> Any:
        """The square root of floats: NaN of negative numbers, -0.0 of -0.0."""
        raise NotImplementedError

    @required
    def sin(self, x: Any) -> Any:
        """The sine of floats in radians."""
        raise NotImplementedError

    @required
    def cos(self, x: Any) -> Any:
        """The cosine of floats in radians."""
        raise NotImplementedError

    @required
    def tanh(self, x: Any) -> Any:
        """The hyperbolic tangent of floats."""
        raise NotImplementedError

    @required
    def abs(self, x: Any) -> Any:
        """The absolute value; of complex numbers a real array."""
        raise NotImplementedError

    @required
    def sign(self, x: Any) -> Any:
        """-1, 0 or 1; NaN of NaN."""
        raise NotImplementedError

    @required
    def floor(self, x: Any) -> Any:
        """The greatest whole number that is not above; integers stay as they are."""
        raise NotImplementedError

    @required
    def logical_not(self, x: Any) -> Any:
        """Whether elements, of any dtype, are 0, as bool."""
        raise NotImplementedError

    @required
    def add(self, a: Any, b: Any) -> Any:
        """`a + b`; of bools, `a or b`."""
        raise NotImplementedError

    @required
    def subtract(self, a: Any, b: Any) -> Any:
        """`a - b`."""
        raise NotImplementedError

    @required
    def multiply(self, a: Any, b: Any) -> Any:
        """`a * b`; of bools, `a and b`."""
        raise NotImplementedError

    @required
    def divide(self, a: Any, b: Any) -> Any:
        """`a / b` of floats; by 0 it is infinite or NaN."""
        raise NotImplementedError

    @required
    def pow(self, a: Any, b: Any) -> Any:
        """`a ** b`; integers to negative powers are rounded towards 0."""
        raise NotImplementedError

    @required
    def maximum(self, a: Any, b: Any) -> Any:
        """The greater one; NaN if one of the two is NaN."""
        raise NotImplementedError

    @required
    def equal(self, a: Any, b: Any) -> Any:
        """`a == b` as bool; NaN equals nothing."""
        raise NotImplementedError

    @required
    def less(self, a: Any, b: Any) -> Any:
        """`a < b` as bool."""
        raise NotImplementedError

    @required
    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """`a` where the bool array `condition` is true, else `b`; all three broadcast, one of `a` and `b` may be a number."""
        raise NotImplementedError

    # --- required: reductions, products, indices -------------------------------------------------------------------

    @required
    def sum(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        """The sum over axes: in the dtype of floats, of other dtypes in int64; float16 is summed in float32; 0 of nothing."""
        raise NotImplementedError

    @required
    def max(self, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        """The greatest element over axes, NaN if there is one; core asks for none of nothing."""
        raise NotImplementedError

    @required
    def argmax(self, x: Any, axis: int | None, keepdims: bool) -> Any:
        """The int64 index of the first greatest element along an axis (None: of all, flattened); of the first NaN, if any."""
        raise NotImplementedError

    @required
    def matmul(self, a: Any, b: Any) -> Any:
        """The products of stacks of matrices, of 2 or more dimensions each; the dimensions before the last two broadcast."""
        raise NotImplementedError

    @required
    def take(self, x: Any, indices: Any, axis: int) -> Any:
        """The slices at the places in `indices`, a 1-d int64 array of numbers from 0 on, along an axis."""
        raise NotImplementedError

    @required
    def index_add(self, x: Any, source: Any, indices: Any, axis: int) -> Any:
        """A copy of `x` to whose slices at `indices` those of `source` are added; duplicates are summed."""
        raise NotImplementedError

    # --- optional: memory. The defaults are right where `inplace` is false ------------------------------------------

    def receive(self, raw: Any, source: Backend) -> Any:
        """A copy on this device of `raw`, an array of `source`, another instance of this class; by way of the host."""
        return self.from_numpy(source.to_numpy(raw))

    def send(self, array: Any) -> Any:
        """`from_numpy`, without waiting; nobody writes into `array` before the device was waited for."""
        return self.from_numpy(array)

    def fetch(self, raw: Any) -> Any:
        """`to_numpy`, without waiting: the values, in memory of their own, are there when the device was waited for."""
        return np.array(self.to_numpy(raw))

    def pinned(self, array: Any) -> Any:
        """A copy of a NumPy array in page-locked memory of the host, from which the device reads by itself."""
        raise DeviceError(f"pin_memory: device {self.device_type!r} has no page-locked memory")

    def is_pinned(self, array: Any) -> bool:
        """Whether a NumPy array is in such memory."""
        return False

    def asarray(self, value: Any) -> Any:
        """A raw array for a kernel's result: `value` itself, or an array of the library's scalar."""
        return value

    def copy(self, raw: Any) -> Any:
        """A dense copy of `raw` that shares memory with nothing; where arrays are never written, `raw` itself."""
        if self.inplace:
            return self.setitem(self.empty(tuple(raw.shape), of(raw.dtype)), ..., raw)
        return raw

    def alias(self, raw: Any) -> Any:
        """Another array object over the same memory; where arrays are never written, `raw` itself."""
        if self.inplace:
            raise NotImplementedError
        return raw

    def lend(self, raw: Any) -> Any:
        """Like `alias`, for foreign hands: the views that they make of it must not refer to `raw` itself."""
        return self.alias(raw)

    def from_dlpack(self, array: Any) -> Any:
        """A raw array over the memory of an array of another library, on this device, that speaks DLPack."""
        raise BufferError(
            f"from_dlpack: device {self.device_type!r} takes no arrays of others: copy it with torch.tensor"
        )

    def writable(self, raw: Any) -> bool:
        """Whether `raw` may be written into."""
        return True

    def can_view(self, raw: Any, shape: tuple[int, ...]) -> bool:
        """Whether `raw` takes that shape without a copy."""
        return True

    def owned(self, raw: Any, holders: int) -> bool:
        """Whether `raw` is dense, writable memory of its own that only `holders` references know."""
        return False

    def rebase(self, raws: list[Any]) -> list[Any]:
        """New arrays over one fresh copy of the memory that `raws` share, each where the old one was."""
        if len(raws) == 1:
            return [self.copy(raws[0])]
        raise NotImplementedError(
            f"device {self.device_type!r} makes views, and has no rebase, which writes into their memory need"
        )

    def full(self, shape: tuple[int, ...], value: Any, dtype: dtype) -> Any:
        """A new raw array of one value."""
        return self.setitem(self.empty(shape, dtype), ..., value)

    def zeros(self, shape: tuple[int, ...], dtype: dtype) -> Any:
        """A new raw array of zeros."""
        return self.full(shape, 0, dtype)

    def strides(self, raw: Any) -> tuple[int, ...]:
        """How many elements apart neighbours along each dimension are; dense where nobody can tell."""
        steps, step = [], 1
        for n in reversed(tuple(raw.shape)):
            steps.append(step)
            step *= max(n, 1)
        return tuple(reversed(steps))

    def span(self, raw: Any) -> tuple[int, int]:
        """The address of the first byte of `raw` and that after its last; where nobody can tell, always the same."""
        return 0, 1

    def data_ptr(self, raw: Any) -> int:
        """The address of the first element."""
        raise NotImplementedError(
            f"data_ptr: device {self.device_type!r} does not tell where its arrays are in memory"
        )

    def check_range(self, x: Any, low: Any, high: Any, error: Callable[[Any], Exception]) -> None:
        """Raise `error(element)` for an element of `x` that is not within low … high, both included; NaN is.

        Where that would make the host wait for the device, it may raise later, when values are next read.
        """
        host = np.asarray(self.to_numpy(x))
        if host.size and not low <= host.min() <= host.max() <= high:
            for wrong in host[(host < low) | (host > high)].flat:
                raise error(wrong)

    def writer(self, kernel: Any) -> Any:
        """`kernel` with one more argument at the end: the array, of the result's shape and dtype, to write the result into.

        It returns the array that holds the result, as `setitem` does.
        """
        return lambda *args: self.setitem(args[-1], ..., kernel(*args[:-1]))

    def fused(self, name: str, function: Any, inputs: int) -> Any:
        """One kernel of a function that computes element by element in several steps; None, the default: there is none.

        `function` takes `inputs` operands by position, arrays that broadcast and Python numbers (at least one is an array),
        then parameters (numbers, str, bool, None). It computes with `plugrad.ops`, Python's operators and members of the
        backend of the arrays that it is given: so it can be traced, with arrays of a type of the backend's own making whose
        own backend was made known by `plugrad.backend.enter`. It returns one array, or a tuple of them.

        The kernel is called with the same arguments: `kernel(*operands, *parameters, out=None)`. `out` is an array of the
        result's shape and dtype, a tuple of them where `function` returns one, to write the results into; they may be among the
        operands. The kernel returns the arrays that hold the results, as `setitem` does. Numbers among the operands differ
        from call to call (a learning rate), parameters hardly ever do. For arguments that the kernel cannot take (a mixture
        of dtypes, a function that looks at values), it calls `function`, which computes op by op, and obeys `out` itself.

        The kernel may have a method `many(calls, rest)`, which makes several calls in few launches: `calls` are tuples
        (arrays, arrays to write the results into), all arrays of a call of one shape, none of them written by another call;
        `rest` is what all calls have behind the arrays. It returns False, and does nothing, where it cannot. The steps of
        optimizers ask for it.

        Asked once for each function, at its first use. What raises here counts as None.
        """
        return None

    def stream(self, algorithm: str, seed: int) -> Any:
        """A stream of random numbers: "mt19937" (PyTorch's on the CPU) or "philox" (equal bits everywhere).

        None, the default: NumPy's backend draws, and what it drew is copied to the device.
        """
        return None


#: The names of the members that every backend defines itself.
REQUIRED = tuple(name for name, member in vars(Backend).items() if hasattr(member, "is_required"))


def defines(backend: Backend, name: str) -> bool:
    """Whether a backend has a member of its own of that name, rather than what `Backend` makes of the required ones."""
    found = getattr(type(backend), name, None)
    return name in vars(backend) or (found is not None and found is not getattr(Backend, name, None))
