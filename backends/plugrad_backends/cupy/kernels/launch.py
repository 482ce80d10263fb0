"""Launching kernels: what can be done once is done at a kernel's first call, so that a launch packs its arguments and
calls the driver.

A `Kernels` belongs to a device; it finds a kernel by source and part, compiles its module at first use, and keeps it. What
touches the driver is in `CudaDriver`, in three methods, so that anything that has these can stand in for it.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable
from typing import Any, Protocol

from plugrad.errors import DeviceError

from .compile import cubin
from .source import Source, find

__all__ = ["CudaDriver", "Driver", "Kernel", "Kernels"]

Grid = tuple[int, int]


class Driver(Protocol):
    """What launching needs of a device."""

    def load(self, source: Source) -> Any:
        """The module of a source, compiled."""

    def function(self, module: Any, symbol: str) -> Any:
        """A kernel of a module, as `launch` takes it."""

    def launch(self, function: Any, grid: Grid, block: Grid, extra: int) -> None:
        """Start a kernel on the current stream; `extra` is the address of what tells where its arguments are."""


class Kernel:
    """A kernel on a device: call it with the grid, the block, and its arguments, pointers as integers.

    Errors: struct.error where the arguments are not those that the source declares; DeviceError where the driver refuses.
    """

    __slots__ = ("_blocks", "_function", "_launch", "_pack", "_size", "symbol")

    def __init__(self, symbol: str, format: str, function: Any, launch: Callable[..., None]) -> None:
        packing = struct.Struct(format)
        self.symbol = symbol
        self._pack, self._size = packing.pack_into, packing.size
        self._function, self._launch = function, launch
        self._blocks: list[tuple[Any, Any, int]] = []  # parameter blocks that no call is using

    def __call__(self, grid: Grid, block: Grid, *arguments: Any) -> None:
        if not (grid[0] and grid[1]):  # nothing to do, which CUDA refuses
            return
        try:
            parameters = self._blocks.pop()
        except IndexError:
            parameters = self._new_block()
        self._pack(parameters[0], 0, *arguments)
        try:
            self._launch(self._function, grid, block, parameters[2])
        except DeviceError as error:
            raise DeviceError(
                f"the CUDA kernel {self.symbol!r} was not launched, grid {grid}, block {block}: {error}"
            ) from None
        self._blocks.append(parameters)

    def _new_block(self) -> tuple[Any, Any, int]:
        """A buffer for the packed arguments, what tells the driver of it, and the address of that."""
        buffer, size = ctypes.create_string_buffer(self._size), ctypes.c_size_t(self._size)
        # CU_LAUNCH_PARAM_BUFFER_POINTER, _SIZE, _END
        extra = (ctypes.c_void_p * 5)(1, ctypes.addressof(buffer), 2, ctypes.addressof(size), 0)
        return buffer, (extra, size), ctypes.addressof(extra)


class Kernels:
    """The kernels of one device: `kernels("softmax_float32_v4_i4", "forward")`."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._lock = threading.Lock()
        self._modules: dict[str, Any] = {}
        self._kernels: dict[tuple[str, str], Kernel] = {}

    def __call__(self, name: str, part: str) -> Kernel:
        """The kernel `part` of the source `name`, compiled at first use."""
        kernel = self._kernels.get((name, part))
        return kernel if kernel is not None else self._load(find(name), part)

    def of(self, source: Source, part: str) -> Kernel:
        """The kernel of a source that was made at run time, as the fused expressions are; kept by its name."""
        kernel = self._kernels.get((source.name, part))
        return kernel if kernel is not None else self._load(source, part)

    def _load(self, source: Source, part: str) -> Kernel:
        with self._lock:
            if source.name not in self._modules:
                self._modules[source.name] = self.driver.load(source)
            entry = source.entries[part]
            function = self.driver.function(self._modules[source.name], entry.symbol)
            kernel = Kernel(entry.symbol, entry.format, function, self.driver.launch)
            self._kernels[source.name, part] = kernel
        return kernel


class CudaDriver:
    """The CUDA driver, for the device that is current when a kernel is loaded and launched: CuPy's contexts and streams."""

    def __init__(self) -> None:
        import cupy
        from cupy_backends.cuda.api import driver

        self._cupy = cupy
        self._stream = cupy.cuda.get_current_stream
        self._start = driver.launchKernel
        self._refused = driver.CUDADriverError

    def load(self, source: Source) -> Any:
        """A module for the current device."""
        arch = int(self._cupy.cuda.Device().compute_capability)
        module = self._cupy.cuda.function.Module()
        module.load(cubin(source.text, source.name, arch))
        return module

    def function(self, module: Any, symbol: str) -> Any:
        """The address of a kernel; its module must stay alive."""
        return module.get_function(symbol).ptr

    def launch(self, function: Any, grid: Grid, block: Grid, extra: int) -> None:
        """Start a kernel on CuPy's current stream."""
        try:
            self._start(function, grid[0], grid[1], 1, block[0], block[1], 1, 0, self._stream().ptr, 0, extra)
        except self._refused as error:
            raise DeviceError(str(error)) from None
