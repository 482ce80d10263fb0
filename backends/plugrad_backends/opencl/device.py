"""One OpenCL device: context, queue, memory pool, and the kernels that were built for it."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from operator import itemgetter
from struct import Struct
from typing import Any

import numpy as np
import pyopencl as cl
from pyopencl.tools import ImmediateAllocator, MemoryPool

from plugrad.errors import DeviceError, OutOfMemoryError

from ..expressions.c import OpenCL, prelude
from . import array, lanes, runtimes

#: Devices whose context was made before a fork: their runtimes' threads are not in the child.
_devices: weakref.WeakSet[Device] = weakref.WeakSet()


class Device:
    """Everything that belongs to one OpenCL device.

    Commands go into one queue, in order: so memory may be given to others as soon as no array refers to it, and only reading
    waits. `is_cpu` chooses the schedule of kernels: "chunk" (few work items, each with a slab of the work and wide vectors)
    or "item" (a work item an element, as GPUs want it). Its arrays are of a type of their own, `array_type`.
    """

    def __init__(self, found: Any, capabilities: frozenset[str], is_cpu: bool | None = None) -> None:
        self.found, self.index, self.device = found, found.index, found.device
        self.is_cpu = found.kind == "cpu" if is_cpu is None else is_cpu
        self.name, self.platform_name = found.name, found.platform_name
        self.units = self.device.max_compute_units
        #: How many work items are enough for a CPU.
        self.slabs = 8 * self.units
        self.capabilities = capabilities
        self.context = cl.Context([self.device])
        self.queue = cl.CommandQueue(self.context)
        self.pool = MemoryPool(ImmediateAllocator(self.queue))
        self.max_bytes = self.device.max_mem_alloc_size
        self.lock = threading.RLock()
        #: How many programs were built, from source or from a cache on disk.
        self.builds = 0
        # An optimiser makes things of kernels that Oclgrind does not know, and hides mistakes that it is to find.
        self._options = ["-cl-opt-disable"] if found.is_interpreter else []
        self._kernels: dict[Any, Any] = {}
        #: What reads and writes by index know of the signatures that they met.
        self.launches: dict[Any, Any] = {}
        self.is_pocl = runtimes.ALIASES["pocl"] in found.platform_name.casefold()
        #: Whether programs are built without the compiler's header: see `builtins`.
        self.is_lean = self.is_pocl
        #: The functions of its arrays, which their operators call: the backend sets it.
        self.functions: Any = None
        self.array_type: type[array.Array] = type(
            "Array", (array.Array,), {"__slots__": (), "device": self, "__module__": array.__name__}
        )
        _devices.add(self)

    def __repr__(self) -> str:
        return f"<OpenCL device {self.index}: {self.name} ({self.platform_name})>"

    # --- memory -----------------------------------------------------------------------------------------------------

    def allocate(self, nbytes: int) -> Any:
        """A buffer of at least `nbytes` from the pool; OutOfMemoryError says what was asked and what there is."""
        try:
            return self.pool.allocate(nbytes or 1)
        except (cl.Error, MemoryError) as error:
            raise self._out_of_memory(nbytes, error) from error

    def _out_of_memory(self, nbytes: int, error: Exception) -> Exception:
        if nbytes > self.max_bytes:
            cure = f"one array may have {self.max_bytes:,} here: use several smaller ones"
        else:
            cure = "free tensors, or use smaller batches"
        return OutOfMemoryError(
            f"device 'opencl:{self.index}' ({self.name}) is out of memory: {nbytes:,} bytes were asked for; plugrad's arrays "
            f"hold {self.pool.active_bytes:,} of {self.device.global_mem_size:,}: {cure} ({error})"
        )

    def failed(self, what: str, error: Exception) -> Exception:
        """What a user should read of an error of the runtime."""
        text = str(error)
        if "ALLOCATION_FAILURE" in text or "OUT_OF_HOST_MEMORY" in text:
            return OutOfMemoryError(
                f"device 'opencl:{self.index}' ({self.name}) is out of memory in {what}: plugrad's arrays hold "
                f"{self.pool.active_bytes:,} of {self.device.global_mem_size:,} bytes: free tensors, or use smaller batches "
                f"({text})"
            )
        return DeviceError(
            f"device 'opencl:{self.index}' ({self.name}) failed in {what}: {text}. It may be lost: a driver resets a GPU whose "
            "kernel takes too long, or reads what is not its own. Its tensors are gone; start the process anew, and if that "
            "happens again, update the driver, use smaller batches, or choose another device by PLUGRAD_OPENCL_DEVICE"
        )

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A new dense array of unspecified values."""
        sig = array.signature(shape, np.dtype(dtype))
        return self.array_type(self.allocate(sig.nbytes), 0, sig)

    def read(self, host: np.ndarray, buffer: Any, offset: int) -> None:
        """Copy memory, from so many bytes on, into a dense NumPy array; waits for it."""
        try:
            cl.enqueue_copy(self.queue, host, buffer, src_offset=offset)
        except cl.Error as error:
            raise self.failed("a copy to the host", error) from error

    def write(self, buffer: Any, offset: int, host: np.ndarray) -> None:
        """Copy a dense NumPy array into memory; when this returns, it may be changed."""
        try:
            cl.enqueue_copy(self.queue, buffer, host, dst_offset=offset)
        except cl.Error as error:
            raise self.failed("a copy from the host", error) from error

    def fill(self, x: Any, value: Any) -> None:
        """Write a number into all of a dense array."""
        if not x.sig.size:
            return
        with np.errstate(all="ignore"):
            pattern = np.array(value).astype(x.dtype)
        try:
            cl.enqueue_fill_buffer(self.queue, x.buffer, pattern, x.offset * x.dtype.itemsize, x.sig.nbytes)
        except cl.Error as error:
            raise self.failed("a fill", error) from error

    def synchronize(self) -> None:
        """Wait until everything that was asked for is done."""
        try:
            self.queue.finish()
        except cl.Error as error:
            raise self.failed("what it was asked for last", error) from error

    def shares(self, work: int, least: int) -> int:
        """How many work items share so much work on a CPU, of which `least` is worth one: few, or if there is very much, many.

        A runtime may hand out half of all items at once: so a core that something else uses, too, holds up less of many.
        """
        return max(1, min(self.slabs, work // least), min(64 * self.slabs, work // (4 * least)))

    # --- kernels ----------------------------------------------------------------------------------------------------

    def dialect(self, width: int) -> OpenCL:
        """The dialect of C at a vector width."""
        return lanes.PoCL(width, unaligned=True) if self.is_pocl else OpenCL(width)

    def width(self, itemsize: int) -> int:
        """How many elements of so many bytes a vector has: 64 bytes on CPUs; 1 where work items are the lanes."""
        return min(16, 64 // itemsize) if self.is_cpu else 1

    def kernel(self, key: Any, make: Callable[[], tuple[str, Sequence[Any]]]) -> Any:
        """The kernel of `key`, built at the first call of what `make` gives: its source, and the types of its arguments.

        A type is None for a buffer, else a NumPy scalar type; the one kernel of the source is called `kernel_NAME`, where
        the key begins with NAME.
        """
        found = self._kernels.get(key)
        if found is None:
            with self.lock:
                found = self._kernels.get(key)
                if found is None:
                    found = self._kernels[key] = self._build(key[0], *make())
        return found

    def _build(self, name: str, source: str, types: Sequence[Any]) -> Any:
        source = f"{prelude(self.dialect(16))}\n{lanes.definitions(source)}\n{source}"
        try:
            kernel = cl.Kernel(self._program(source), f"kernel_{name}")
        except cl.Error as error:
            log = str(error)
            raise DeviceError(
                f"device 'opencl:{self.index}' ({self.name}) cannot build the kernel of {name!r}: {log}\n"
                f"the source was:\n{_numbered(source)}"
            ) from error
        kernel.set_scalar_arg_dtypes(types)
        _remember(kernel, types)
        self.builds += 1
        return kernel

    def _program(self, source: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cl.CompilerWarning)
            if self.is_lean:
                from . import builtins  # which other runtimes do without

                try:
                    return cl.Program(self.context, builtins.lean(source)).build(
                        [*self._options, *builtins.OPTIONS]
                    )
                except cl.Error:  # the program is wrong, or this compiler's header has another guard
                    program = cl.Program(self.context, source).build(self._options)
                    self.is_lean = False
                    return program
            return cl.Program(self.context, source).build(self._options)

    def launch(self, kernel: Any, items: int, group: tuple[int, ...], *args: Any) -> None:
        """Run a kernel with a number of work items, rounded up to whole groups."""
        self.run(kernel, (-(-items // group[0]) * group[0],), group, *args)

    def run(self, kernel: Any, items: tuple[int, ...], group: tuple[int, ...], *args: Any) -> Any:
        """Run a kernel with so many work items, whole groups; the event of it."""
        try:
            with self.lock:  # a kernel object holds its arguments
                numbers = kernel.numbers(args)
                if numbers == kernel.last:  # most arguments are as they were: memory alone is another
                    for place in kernel.memory:
                        kernel.set_arg(place, args[place])
                else:
                    kernel.last = None
                    kernel.set_args(*args)
                    kernel.last = numbers
                return cl.enqueue_nd_range_kernel(self.queue, kernel, items, group)
        except cl.Error as error:
            raise self.failed(f"the kernel {kernel.function_name!r}", error) from error


def _remember(kernel: Any, types: Sequence[Any]) -> None:
    """Note on a kernel which arguments are memory, and how `Device.run` sees that the numbers are those of the last launch."""
    places = [i for i, t in enumerate(types) if t is not None]
    kernel.memory = [i for i, t in enumerate(types) if t is None]
    kernel.numbers, kernel.last = itemgetter(*places) if places else len, None
    floats = [i for i in places if np.dtype(types[i]).kind == "f"]
    if floats:  # by their bits: 0.0 equals -0.0
        pack, pick = Struct(f"{len(floats)}d").pack, kernel.numbers
        kernel.numbers = lambda args: (pick(args), pack(*[args[i] for i in floats]))


def _numbered(source: str) -> str:
    return "\n".join(f"{i:4} {line}" for i, line in enumerate(source.splitlines(), 1))


def _after_fork() -> None:
    for device in list(_devices):
        device.__class__ = _Forked


class _Forked(Device):
    """A device in a child process: a forked runtime has no threads, and would hang."""

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise DeviceError(
            f"device 'opencl:{self.index}' was used before this process was forked, and OpenCL does not survive that: start "
            "processes by 'spawn' or 'forkserver' (multiprocessing.set_start_method), or fork before the first use"
        )

    allocate = launch = run = kernel = synchronize = read = write = fill = _refuse


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
