"""What `plugrad.cuda` asks of the backend: GPUs, streams, events and memory, through CuPy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import detect, memory, sync


class Runtime:
    """CuPy's functions about devices, streams and memory, by the numbers of the devices."""

    def __init__(self, xp: Any) -> None:
        self._xp, self._runtime = xp, xp.cuda.runtime

    # --- devices ------------------------------------------------------------------------------------------------------

    def device_count(self) -> int:
        """How many GPUs the driver sees."""
        return detect.count(self._xp)

    def current_device(self) -> int:
        """The number of the current GPU of this thread."""
        return int(self._runtime.getDevice())

    def set_device(self, index: int) -> None:
        """Make a GPU the current one of this thread."""
        self._runtime.setDevice(index)

    @contextmanager
    def on(self, index: int) -> Iterator[None]:
        """A block in which a GPU is the current one."""
        before = self.current_device()
        if before == index:
            yield
            return
        self.set_device(index)
        try:
            yield
        finally:
            self.set_device(before)

    def properties(self, index: int) -> tuple[str, int, int, int, int]:
        """Name, compute capability, bytes of memory, number of multiprocessors."""
        p = self._runtime.getDeviceProperties(index)
        name = p["name"].decode() if isinstance(p["name"], bytes) else p["name"]
        return name, p["major"], p["minor"], p["totalGlobalMem"], p["multiProcessorCount"]

    # --- where the host waits --------------------------------------------------------------------------------------------

    def set_sync_debug_mode(self, mode: str | int) -> None:
        """Choose what happens where the host waits."""
        sync.set_mode(mode)

    def get_sync_debug_mode(self) -> int:
        """The number of the mode."""
        return sync.MODES.index(sync.mode)

    def wait(self, what: str, raw: Any) -> None:
        """Wait for a stream or an event."""
        sync.note(what)
        raw.synchronize()

    # --- streams and events -----------------------------------------------------------------------------------------------

    def new_stream(self, index: int, priority: int) -> Any:
        """A stream that does not wait for the default one."""
        with self.on(index):
            return self._xp.cuda.Stream(non_blocking=True, priority=priority)

    def current_stream(self, index: int) -> Any:
        """The current stream of a GPU in this thread."""
        return self._xp.cuda.get_current_stream(index)

    def default_stream(self, index: int) -> Any:
        """The stream of a GPU that is current at first."""
        return self._xp.cuda.Stream.null

    def use(self, index: int, stream: Any) -> None:
        """Make a stream of a GPU, which is the current one, the current one of this thread."""
        stream.use()

    def new_event(self, index: int, timing: bool, blocking: bool, interprocess: bool) -> Any:
        """An event of a GPU."""
        with self.on(index):
            return self._xp.cuda.Event(block=blocking, disable_timing=not timing, interprocess=interprocess)

    def elapsed(self, start: Any, end: Any) -> float:
        """The milliseconds between two events."""
        return self._xp.cuda.get_elapsed_time(start, end)

    # --- memory ------------------------------------------------------------------------------------------------------------

    def allocated(self, index: int) -> int:
        """The bytes of the pool that are in use."""
        with self.on(index):
            return int(self._xp.get_default_memory_pool().used_bytes())

    def reserved(self, index: int) -> int:
        """The bytes of the pool."""
        with self.on(index):
            return int(self._xp.get_default_memory_pool().total_bytes())

    @property
    def counts_peaks(self) -> bool:
        """Whether peaks are counted."""
        return memory.COUNTS.peaks is not None

    def peak(self, index: int) -> int:
        """The most bytes in use since `reset_peak`."""
        if memory.COUNTS.peaks is None:
            raise RuntimeError(
                "max_memory_allocated: the peak is not counted yet: call plugrad.cuda.reset_peak_memory_stats() first"
            )
        return max(memory.COUNTS.peaks.get(index, 0), self.allocated(index))

    def reset_peak(self, index: int) -> None:
        """Count the most bytes in use from now on."""
        if self._xp.cuda.get_allocator() != memory.allocator(self._xp):
            raise RuntimeError(
                "reset_peak_memory_stats: another allocator than CuPy's pool is in use (cupy.cuda.set_allocator), whose bytes "
                "only its owner can count"
            )
        memory.COUNTS.peaks = {**(memory.COUNTS.peaks or {}), index: self.allocated(index)}

    def mem_info(self, index: int) -> tuple[int, int]:
        """The free and the total bytes of a GPU."""
        with self.on(index):
            free, total = self._runtime.memGetInfo()
        return int(free), int(total)

    def empty_cache(self) -> None:
        """Give free blocks of all GPUs, and free pinned memory, back."""
        for index in range(self.device_count()):
            with self.on(index):
                self._xp.get_default_memory_pool().free_all_blocks()
        self._xp.get_default_pinned_memory_pool().free_all_blocks()
