"""A stand-in for CuPy on a machine without a GPU: CuPy's own arrays, over host memory, and NumPy in place of kernels.

Arrays are of a subclass of the real `cupy.ndarray`: shapes, strides, views, `base` and index errors are CuPy's own code. What
would launch a kernel goes through the names below, each looked up in the real CuPy: its signature, the dtypes that its
ufuncs have kernels for, and what is known to differ from NumPy. It forbids what CuPy forbids, or does quietly wrong:

- NumPy arrays and scalars as operands, and keywords that CuPy's functions do not have;
- dtypes for which a ufunc has no kernel, and atomic additions of dtypes that have none;
- operands on another device than the current one;
- within `no_sync()`, everything that makes the host wait for the device: copies to the host, truth values, masks as keys.

Indices out of range wrap around, as they do there, so that whoever relies on an error finds none.
"""

from __future__ import annotations

import inspect
import operator
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cupy as real
import cupyx
import numpy as np

SCALARS = (bool, int, float, complex)


class Waited(RuntimeError):
    """The host would have waited for the device where that is forbidden."""


class Strict(AssertionError):
    """Something that CuPy would refuse, or do on the wrong device."""


# --- memory, devices, streams ---------------------------------------------------------------------------------------------


class State(threading.local):
    """What a thread has of its own: the current device, and whether factorizations are checked."""

    current, raising = 0, False


class Machine:
    """The machine that is pretended."""

    def __init__(self) -> None:
        self.devices = 1
        self.thread = State()
        self.sync_allowed, self.waits, self.launches = True, 0, 0
        self.used, self.limit, self.allocations = 0, 1 << 40, 0
        self.allocator: Callable[[int], Any] | None = None

    @property
    def current(self) -> int:
        """The device on which this thread launches kernels."""
        return self.thread.current

    @current.setter
    def current(self, index: int) -> None:
        self.thread.current = index


STATE = Machine()


def reset() -> None:
    """The machine as it is at first: one device, no limit."""
    STATE.devices, STATE.current, STATE.limit, STATE.sync_allowed = 1, 0, 1 << 40, True
    STREAMS.clear()


@contextmanager
def no_sync() -> Iterator[None]:
    """A block in which the host may not wait for the device."""
    STATE.sync_allowed = False
    try:
        yield
    finally:
        STATE.sync_allowed = True


def waits(what: str) -> None:
    """The host waits for the device."""
    STATE.waits += 1
    if not STATE.sync_allowed:
        raise Waited(f"{what} makes the host wait for the device")


class PoolMemory(real.cuda.UnownedMemory):
    """Memory that belongs to nobody but CuPy's arrays."""


class Pool:
    """The memory pool: how much is in use, and a limit."""

    def malloc(self, size: int) -> Any:
        size = (size + 511) // 512 * 512
        if STATE.used + size > STATE.limit:
            raise real.cuda.memory.OutOfMemoryError(size, STATE.used, 0)
        buffer, place = np.zeros(max(size, 1), np.uint8), STATE.current
        STATE.used += size
        STATE.allocations += 1
        weakref.finalize(buffer, _freed, size)
        memory = PoolMemory(buffer.ctypes.data, max(size, 1), buffer, device_id=place)
        return real.cuda.MemoryPointer(memory, 0)

    used_bytes = staticmethod(lambda: STATE.used)
    total_bytes = staticmethod(lambda: STATE.used)
    free_bytes = staticmethod(lambda: 0)
    get_limit = staticmethod(lambda: 0)
    free_all_blocks = staticmethod(lambda stream=None: None)


def _freed(size: int) -> None:
    STATE.used -= size


POOL = Pool()


def new(shape: Any, dtype: Any = float) -> Any:
    """An array of zeros over host memory of its own, on the current device."""
    dtype = np.dtype(dtype)
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    size = dtype.itemsize
    for n in shape:
        size *= n
    return Array(shape, dtype, memptr=(STATE.allocator or POOL.malloc)(size))


class _Interface:
    """NumPy's view of an array's memory; keeps it alive."""

    def __init__(self, raw: Any, typestr: str) -> None:
        self.raw = raw
        self.__array_interface__ = {
            "data": (raw.data.ptr, False), "shape": raw.shape, "strides": raw.strides, "typestr": typestr, "version": 3,
        }  # fmt: skip


def host(value: Any) -> Any:
    """NumPy arrays over the memory of arrays, also inside sequences; what CuPy would not take is refused."""
    if isinstance(value, Array):
        if value.size and value.data.device_id != STATE.current:
            raise Strict(f"an array on device {value.data.device_id} met a kernel on device {STATE.current}")
        if value.dtype.kind == "V":
            return np.asarray(_Interface(value, "<u2")).view(value.dtype)
        return np.asarray(_Interface(value, value.dtype.str))
    if isinstance(value, (np.ndarray, np.generic)):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(map(host, value))
    return value


def wrap(values: Any) -> Any:
    """New arrays with the values of NumPy arrays, also inside sequences."""
    if isinstance(values, (list, tuple)):
        return list(map(wrap, values)) if isinstance(values, list) else tuple(map(wrap, values))
    values = np.asarray(values)
    raw = new(values.shape, values.dtype)
    if raw.size:
        host(raw)[...] = values
    return raw


def launch(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a kernel: NumPy's function on arrays over the memory, without its warnings."""
    STATE.launches += 1
    with np.errstate(all="ignore"):
        return function(*args, **kwargs)


# --- ufuncs ---------------------------------------------------------------------------------------------------------------


def _integral_power(a: Any, b: Any) -> Any:
    small = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0))
    return np.where(b < 0, small, np.power(a, np.where(b < 0, 0, b)))


def _power(a: Any, b: Any) -> Any:
    return _integral_power(a, b) if a.dtype.kind == "i" else np.power(a, b)


def _floor_divide(a: Any, b: Any) -> Any:
    return np.floor(a / b) if a.dtype.kind in "fV" else np.floor_divide(a, b)


def _remainder(a: Any, b: Any) -> Any:
    return a - np.floor(a / b) * b if a.dtype.kind in "fV" else np.remainder(a, b)


def _fmod(a: Any, b: Any) -> Any:
    return np.fmod(a.astype(float), b.astype(float)) if a.dtype.kind in "iu" else np.fmod(a, b)


def _complex_sign(a: Any) -> Any:
    return np.where(a == 0, 0, a / np.abs(a)) if a.dtype.kind == "c" else np.sign(a)


#: Where CuPy's kernels are not NumPy's functions of the same name.
OWN = {
    "power": _power, "floor_divide": _floor_divide, "remainder": _remainder, "fmod": _fmod, "sign": _complex_sign,
    "conj": np.conjugate,
}  # fmt: skip
_ATOMIC = {"add": frozenset("ilqILQefd"), "subtract": frozenset("il")}


class Ufunc:
    """A ufunc of CuPy's: its table of kernels, computed by NumPy."""

    def __init__(self, name: str, found: Any, function: Callable[..., Any]) -> None:
        self.name, self.real, self.function = name, found, function
        self.nin = found.nin

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> Any:
        if len(args) == self.nin + 1 and out is None:
            *args, out = args  # type: ignore[assignment]
        if len(args) != self.nin:
            raise TypeError(f"cupy.{self.name} takes {self.nin} operands, found {len(args)}")
        hosts = [host(a) for a in args]
        for a in hosts:
            if not isinstance(a, (np.ndarray, *SCALARS)):
                raise TypeError(f"Unsupported type {type(a)}")
        types_in, types_out = self._routine(hosts)
        hosts = [_cast(a, t) for a, t in zip(hosts, types_in)]
        y = np.asarray(launch(self.function, *hosts)).astype(types_out)
        if out is None:
            return wrap(y)
        if not isinstance(out, Array):
            raise TypeError("return arrays must be of ArrayType")
        if not np.can_cast(types_out, out.dtype, casting):
            raise TypeError(
                f"output (typecode {types_out.char!r}) could not be coerced to {out.dtype.char!r}"
            )
        if np.broadcast_shapes(y.shape, out.shape) != out.shape:
            raise ValueError("non-broadcastable output operand")
        host(out)[...] = y
        return out

    def _routine(self, operands: list[Any]) -> tuple[list[Any], Any]:
        """The dtypes of the kernel that CuPy would take: the first to whose dtypes all operands can be cast."""
        strong = [a.dtype for a in operands if isinstance(a, np.ndarray)]
        if not strong:
            raise Strict(f"cupy.{self.name} of numbers alone")
        common = np.result_type(*strong, *(a for a in operands if not isinstance(a, np.ndarray)))
        weak = [a.dtype if isinstance(a, np.ndarray) else _weak(a, common) for a in operands]
        for op in self.real._ops.ops:
            if all(np.can_cast(found, t) for found, t in zip(weak, op.in_types)):
                if op.routine is None:
                    break
                return list(op.in_types), op.out_types[0]
        raise TypeError(f"Wrong type ({', '.join(map(str, weak))}) of arguments for cupy_{self.name}")

    def at(self, a: Any, indices: Any, b: Any) -> None:
        """An atomic operation, for the dtypes that have one."""
        if a.dtype.char not in _ATOMIC.get(self.name, ()):
            raise TypeError(f"scatter_{self.name} only supports some dtypes: not {a.dtype}")
        key = _wrapped(indices, a.shape, "scatter_add")
        launch(self.function.at, host(a), key, _cast(host(b), a.dtype))  # type: ignore[attr-defined]


def _weak(value: Any, common: Any) -> Any:
    return common if isinstance(value, bool) or common.kind not in "b" else np.result_type(common, value)


def _cast(value: Any, dtype: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.astype(dtype, copy=False)
    if (
        isinstance(value, int)
        and dtype.kind in "iu"
        and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max
    ):
        raise OverflowError(f"Python integer {value} out of bounds for {dtype}")
    return np.asarray(value).astype(dtype)


# --- arrays ----------------------------------------------------------------------------------------------------------------


def _wrapped(key: Any, shape: tuple[int, ...], what: str) -> Any:
    """A key for NumPy: indices modulo the size of their axis, as CuPy takes them; a mask makes the host wait."""
    parts = key if isinstance(key, tuple) else (key,)
    found: list[Any] = []
    taken = sum(
        p.ndim if isinstance(p, Array) and p.dtype.kind == "b" else 1
        for p in parts
        if p is not None and p is not ...
    )
    axis = 0
    for p in parts:
        if isinstance(p, Array) and p.dtype.kind == "b":
            waits(f"{what} with a mask")
            found.append(host(p))
            axis += p.ndim
        elif isinstance(p, Array):
            n = shape[axis]
            found.append(host(p) % n if n else host(p))
            axis += 1
        else:
            found.append(host(p))
            axis += len(shape) - taken if p is ... else p is not None
    return tuple(found)


def _is_basic(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return not any(isinstance(p, (Array, np.ndarray, list)) for p in parts)


class Array(real.ndarray):
    """CuPy's array over host memory. What is not overridden here is CuPy's own, and fails where it would launch a kernel."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, key: Any) -> Any:
        if _is_basic(key):
            return super().__getitem__(key)
        return wrap(launch(operator.getitem, host(self), _wrapped(key, self.shape, "getitem")))

    def __setitem__(self, key: Any, value: Any) -> None:
        if _is_basic(key):
            target = host(super().__getitem__(key))
            launch(np.copyto, target, _cast(host(value), self.dtype), casting="unsafe")
        else:
            place = _wrapped(key, self.shape, "setitem")
            launch(operator.setitem, host(self), place, _cast(host(value), self.dtype))

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        try:
            return super().reshape(sizes, order=order)
        except real.cuda.runtime.CUDARuntimeError:  # it is a copy
            return wrap(launch(np.reshape, host(self), sizes))

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        try:
            return super().diagonal(offset, axis1, axis2)
        except real.cuda.runtime.CUDARuntimeError:  # an empty one is new
            return wrap(np.diagonal(host(self), offset, axis1, axis2))

    def copy(self, order: str = "C") -> Any:
        here = STATE.current
        STATE.current = self.data.device_id  # a copy comes from wherever the array is to the current device
        try:
            values = np.array(host(self), order="C")
        finally:
            STATE.current = here
        STATE.launches += 1
        return wrap(values)

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> Any:
        if not copy and self.dtype == dtype:
            return self
        return wrap(launch(np.ndarray.astype, host(self), dtype))

    def fill(self, value: Any) -> None:
        if not isinstance(value, (Array, *SCALARS)):
            raise TypeError(f"fill of {type(value)}")
        launch(np.copyto, host(self), _cast(host(value), self.dtype), casting="unsafe")

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        if blocking:
            waits("get")
        if out is None:
            return np.array(host(self), order="C")
        out[...] = host(self)
        return out

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        if stream is None:
            waits("set")
        host(self)[...] = arr

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return DOUBLE.any(self, axis=axis, keepdims=keepdims)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.data.device_id

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Any:
        return Capsule(self, stream)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "descr": self.dtype.descr, "stream": 1, "version": 3,
            "strides": None if self.flags.c_contiguous else self.strides, "data": (self.data.ptr, False),
        }  # fmt: skip

    def __iter__(self) -> Any:
        raise Strict("a loop over an array launches a kernel an element")

    real = property(lambda self: _part(self, "real"))
    imag = property(lambda self: _part(self, "imag"))


class Capsule:
    """What `__dlpack__` gives: the memory, kept alive."""

    def __init__(self, array: Any, stream: Any) -> None:
        self.array, self.stream = array, stream


def _from_dlpack(array: Any, *, device: Any = None, copy: Any = None) -> Any:
    x = array.__dlpack__(stream=_current_stream().ptr or 1).array
    memory = real.cuda.UnownedMemory(x.data.ptr, max(x.nbytes, 1), x, device_id=x.data.device_id)
    return Array(x.shape, x.dtype, memptr=real.cuda.MemoryPointer(memory, 0), strides=x.strides)


def _asarray(
    a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False
) -> Any:
    found = a.__cuda_array_interface__
    pointer, _ = found["data"]
    dtype = np.dtype(found["typestr"])
    size = max(int(np.prod(found["shape"])) * dtype.itemsize, 1)
    place = (
        a.data.device_id if isinstance(a, Array) else STATE.current
    )  # CuPy asks the driver where a pointer leads
    memory = real.cuda.UnownedMemory(pointer, size, a, device_id=place)
    return Array(found["shape"], dtype, memptr=real.cuda.MemoryPointer(memory, 0), strides=found["strides"])


def _part(array: Any, name: str) -> Any:
    if array.dtype.kind != "c":
        raise Strict(f".{name} of a real array")
    found = getattr(real.ndarray, name).__get__(array)
    found.__class__ = Array
    return found


def _waiting(name: str) -> Any:
    def method(self: Any, *args: Any) -> Any:
        waits(f"{name} of an array")
        return getattr(host(self), name)(*args)

    return method


for _name in ("__bool__", "__int__", "__float__", "__complex__", "item", "tolist"):
    setattr(Array, _name, _waiting(_name))

_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift", "lt": "less", "le": "less_equal", "gt": "greater",
    "ge": "greater_equal", "eq": "equal", "ne": "not_equal", "neg": "negative", "invert": "invert", "abs": "absolute",
}  # fmt: skip


def _operator(name: str, reflected: bool = False, inplace: bool = False) -> Any:
    def method(self: Any, *other: Any) -> Any:
        operands = (*other, self) if reflected else (self, *other)
        return getattr(DOUBLE, name)(*operands, out=self if inplace else None)

    return method


for _bare, _name in _OPERATORS.items():
    setattr(Array, f"__{_bare}__", _operator(_name))
    if _bare not in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "invert", "abs"):
        setattr(Array, f"__r{_bare}__", _operator(_name, reflected=True))
        setattr(Array, f"__i{_bare}__", _operator(_name, inplace=True))


# --- functions -------------------------------------------------------------------------------------------------------------


class Function:
    """A function of CuPy's: its signature, and NumPy's function of the same name."""

    def __init__(self, name: str, found: Any, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function
        self.signature = inspect.signature(found)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.signature.bind(*args, **kwargs)  # a TypeError for what CuPy's has not
        if self.name in _WAITING:
            waits(self.name)
        y = launch(self.function, *map(host, args), **{k: host(v) for k, v in kwargs.items()})
        return None if y is None else wrap(y)


_WAITING = frozenset(("nonzero", "argwhere", "unique", "bincount"))


def _amax(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if not a.size:
        raise ValueError("zero-size array to reduction operation cupy_max which has no identity")
    return np.max(a, axis=axis, keepdims=keepdims)


def _amin(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if not a.size:
        raise ValueError("zero-size array to reduction operation cupy_min which has no identity")
    return np.min(a, axis=axis, keepdims=keepdims)


def _take(a: Any, indices: Any, axis: Any = None) -> Any:
    return np.take(a, indices, axis=axis, mode="wrap")


def _sum(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    if a.dtype.kind == "V" or (a.dtype == np.float16 and dtype is None):  # accumulated in float32
        return np.sum(a, axis=axis, dtype=np.float32, keepdims=keepdims).astype(a.dtype)
    return np.sum(a, axis=axis, dtype=dtype, keepdims=keepdims)


def _mean(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing it is NaN
        wide = a.astype(np.float32) if a.dtype.itemsize == 2 else a
        return np.mean(wide, axis=axis, keepdims=keepdims).astype(a.dtype if a.dtype.kind in "fcV" else float)


def _matmul(a: Any, b: Any) -> Any:
    if a.dtype.kind == "V":
        if a.ndim > 2 or b.ndim > 2:
            raise TypeError("bfloat16 batches have no kernel")
        return np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
    return np.matmul(a, b)


def _argsort(a: Any, axis: int = -1) -> Any:
    if a.dtype.kind == "V":
        raise NotImplementedError("sorting bfloat16")
    return np.argsort(a, axis=axis, kind="stable")


_FUNCTIONS = {"amax": _amax, "amin": _amin, "take": _take, "sum": _sum, "mean": _mean, "argsort": _argsort}


def _array(
    obj: Any,
    dtype: Any = None,
    copy: Any = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> Any:
    values = obj if isinstance(obj, (np.ndarray, np.generic)) else host(obj)
    return wrap(np.array(values, dtype, order="C", ndmin=ndmin))


def _check_range(x: Any, low: int, high: int, number: int, found: Any) -> None:
    wrong = x[(x < low) | (x > high)]
    if wrong.size and not found[1]:
        found[:] = wrong.flat[0], number


#: What kernels written in CUDA C do, by their names.
TWINS: dict[str, Callable[..., Any]] = {"plugrad_check_range": _check_range}


class ElementwiseKernel:
    """A kernel written in CUDA C: its twin is called in its place."""

    def __init__(
        self, in_params: str, out_params: str, operation: str, name: str = "kernel", **kwargs: Any
    ) -> None:
        self._kernel = real.ElementwiseKernel(
            in_params, out_params, operation, name, **kwargs
        )  # it reads the parameters
        self._twin = TWINS[name]

    def __call__(self, *args: Any) -> Any:
        launch(self._twin, *map(host, args))


class Namespace(types.ModuleType):
    """A module whose names come from a table, or from CuPy where the function only looks at shapes."""

    def __init__(self, name: str, found: Any, table: dict[str, Any], numpy: Any = np) -> None:
        super().__init__(name)
        self.__dict__.update(table, _real=found, _numpy=numpy)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)  # AttributeError where CuPy has no such name
        made: Any
        if isinstance(found, real.ufunc):
            made = Ufunc(name, found, OWN.get(name) or getattr(self._numpy, name))
        else:
            made = Function(name, found, _FUNCTIONS.get(name) or getattr(self._numpy, name))
        setattr(self, name, made)
        return made


class Linalg(Function):
    """A factorization: it tells of a singular matrix only where CuPy was asked to look."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if STATE.thread.raising:
            waits(self.name)
        try:
            return super().__call__(*args, **kwargs)
        except np.linalg.LinAlgError:
            if STATE.thread.raising or args[0].ndim < 2 or args[0].shape[-1] != args[0].shape[-2]:
                raise
            return wrap(np.full(args[0].shape, np.nan, args[0].dtype))


@contextmanager
def _errstate(**kwargs: Any) -> Iterator[None]:
    if kwargs != {"linalg": "raise"}:
        raise TypeError(f"errstate of {kwargs}")
    before, STATE.thread.raising = STATE.thread.raising, True
    try:
        yield
    finally:
        STATE.thread.raising = before


def _as_strided(x: Any, shape: Any = None, strides: Any = None) -> Any:
    y = real.lib.stride_tricks.as_strided(x, shape, strides)
    y.__class__ = Array
    return y


def _ndarray(
    shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"
) -> Any:
    return (
        new(shape, dtype)
        if memptr is None
        else Array(shape, dtype, memptr=memptr, strides=strides, order=order)
    )


def _set_device(index: int) -> None:
    STATE.current = index


_RUNTIME = types.SimpleNamespace(
    getDeviceCount=lambda: STATE.devices,
    getDevice=lambda: STATE.current,
    setDevice=_set_device,
    deviceSynchronize=lambda: waits("deviceSynchronize"),
    getDeviceProperties=lambda index: {
        "name": b"a double of a GPU", "major": 9, "minor": 0, "totalGlobalMem": STATE.limit, "multiProcessorCount": 1,
    },
    memGetInfo=lambda: (STATE.limit - STATE.used, STATE.limit),
    CUDARuntimeError=real.cuda.runtime.CUDARuntimeError,
)  # fmt: skip


def _set_allocator(allocator: Any = None) -> None:
    STATE.allocator = allocator


class Stream:
    """A queue of a device; what is queued is done at once, so it only tells who waits for whom."""

    null: Any = None

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None
    ) -> None:
        self.device_id, self.priority = STATE.current, priority
        self.ptr = 0 if null else id(self)
        self.done, self.log = True, []  # type: ignore[var-annotated]

    def use(self) -> Stream:
        if self.ptr and self.device_id != STATE.current:
            raise Strict(f"a stream of device {self.device_id} was made current on device {STATE.current}")
        STREAMS[threading.get_ident(), STATE.current] = self
        return self

    def synchronize(self) -> None:
        waits("Stream.synchronize")

    def record(self, event: Any = None) -> Any:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Any) -> None:
        self.log.append(("waits for", event))


Stream.null = Stream(null=True)
#: The current streams, by thread and device.
STREAMS: dict[tuple[int, int], Stream] = {}


class Event:
    """A mark in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.device_id, self.timed, self.done = STATE.current, not disable_timing, True
        self.stream: Any = None

    def record(self, stream: Any = None) -> None:
        self.stream = stream or _current_stream()
        self.stream.log.append(("records", self))

    def synchronize(self) -> None:
        waits("Event.synchronize")


def _current_stream(device_id: int = -1) -> Stream:
    return STREAMS.get((threading.get_ident(), STATE.current if device_id == -1 else device_id), Stream.null)


_CUDA = types.SimpleNamespace(
    runtime=_RUNTIME,
    Stream=Stream,
    Event=Event,
    get_current_stream=_current_stream,
    get_elapsed_time=lambda start, end: 0.5,
    MemoryPointer=real.cuda.MemoryPointer,
    memory=real.cuda.memory,
    get_allocator=lambda: STATE.allocator or POOL.malloc,
    set_allocator=_set_allocator,
)

_LINALG = Namespace("double.linalg", real.linalg, {}, np.linalg)
for _name in ("inv", "solve", "cholesky", "det", "slogdet"):
    setattr(_LINALG, _name, Linalg(_name, getattr(real.linalg, _name), getattr(np.linalg, _name)))

_MADE: dict[str, Any] = {
    "ndarray": _ndarray, "ufunc": Ufunc, "array": _array, "asarray": _asarray, "from_dlpack": _from_dlpack,
    "empty": new, "zeros": new, "arange": lambda *args: wrap(np.arange(*args)), "broadcast_to": real.broadcast_to,
    "cuda": _CUDA, "linalg": _LINALG, "ElementwiseKernel": ElementwiseKernel, "get_default_memory_pool": lambda: POOL,
    "get_default_pinned_memory_pool": lambda: types.SimpleNamespace(free_all_blocks=lambda: None),
    "lib": types.SimpleNamespace(stride_tricks=types.SimpleNamespace(as_strided=_as_strided)),
    "where": Ufunc("where", real._sorting.search._where_ufunc, np.where),
    "matmul": Function("matmul", real.matmul, _matmul),
}  # fmt: skip
DOUBLE = Namespace("double", real, _MADE)


class PinnedMemoryPointer:
    """Page-locked memory, as NumPy sees it."""

    def __init__(self, size: int) -> None:
        self._buffer = np.zeros(max(size, 1), np.uint8)
        self.__array_interface__ = self._buffer.__array_interface__


def _empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    return np.asarray(PinnedMemoryPointer(size))[:size].view(dtype).reshape(shape)


DOUBLEX = types.SimpleNamespace(empty_pinned=_empty_pinned, errstate=_errstate, real=cupyx)
