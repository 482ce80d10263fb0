"""What a device holds in memory, and where its time goes.

import plugrad_backends.opencl as opencl
opencl.memory_stats("opencl:0")["active_bytes"]
with opencl.profile("opencl:0") as found:
    step()
print(found)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyopencl as cl

from plugrad.device import device as Device


def _device(where: Any) -> Any:
    return Device(where).backend.device


def memory_stats(where: Any = "opencl") -> dict[str, int]:
    """The bytes that arrays hold, those that the pool keeps for new ones, the blocks of both, and what the device has in all."""
    device = _device(where)
    pool = device.pool
    return {
        "active_bytes": pool.active_bytes,
        "held_bytes": pool.managed_bytes - pool.active_bytes,
        "active_blocks": pool.active_blocks,
        "held_blocks": pool.held_blocks,
        "total_bytes": device.device.global_mem_size,
        "largest_array_bytes": device.max_bytes,
    }


def empty_cache(where: Any = "opencl") -> None:
    """Give the memory that no array holds back to the device."""
    _device(where).pool.free_held()


class Profile:
    """The kernels that ran, by name: how often, and for how many seconds on the device. Complete after the block's end."""

    def __init__(self) -> None:
        #: (launches, seconds) by the name of the kernel.
        self.kernels: dict[str, tuple[int, float]] = {}
        self._events: list[tuple[str, Any]] = []

    @property
    def seconds(self) -> float:
        """The time of all kernels."""
        return sum(seconds for _, seconds in self.kernels.values())

    def _finish(self) -> None:
        for name, event in self._events:
            count, seconds = self.kernels.get(name, (0, 0.0))
            self.kernels[name] = count + 1, seconds + 1e-9 * (event.profile.end - event.profile.start)
        self._events.clear()

    def __str__(self) -> str:
        rows = sorted(self.kernels.items(), key=lambda row: -row[1][1])
        lines = [f"{'kernel':32} {'launches':>8} {'ms':>10} {'%':>5}"]
        for name, (count, seconds) in rows:
            share = 100 * seconds / (self.seconds or 1)
            lines.append(f"{name:32} {count:8} {1e3 * seconds:10.3f} {share:5.1f}")
        return "\n".join(lines)


@contextmanager
def profile(where: Any = "opencl") -> Iterator[Profile]:
    """Measure the kernels that run on a device inside the block, by its own clock.

    Meanwhile the device has a queue that keeps times, and each launch is noted, so that the block as a whole takes longer.
    """
    device, found = _device(where), Profile()
    plain = device.queue
    device.synchronize()

    def noted(kernel: Any, items: Any, group: Any, *args: Any) -> None:
        event = type(device).run(device, kernel, items, group, *args)
        found._events.append((kernel.function_name.removeprefix("kernel_"), event))

    device.queue = cl.CommandQueue(device.context, properties=cl.command_queue_properties.PROFILING_ENABLE)
    device.run = noted
    try:
        yield found
    finally:
        try:
            device.synchronize()
            found._finish()
        finally:
            device.queue = plain
            del device.run
