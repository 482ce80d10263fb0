"""`torch.cuda`: which GPUs there are, which is the current one, streams, memory.

Everything is asked of the backend of `device("cuda")`, which is loaded at the first question. Where a machine has no GPU,
`is_available()` is False, and what needs one raises DeviceError with the reason.
"""

from __future__ import annotations

from ..errors import OutOfMemoryError
from .devices import (
    DeviceProperties,
    current_device,
    device,
    device_count,
    device_of,
    get_device_capability,
    get_device_name,
    get_device_properties,
    get_sync_debug_mode,
    init,
    is_available,
    is_initialized,
    set_device,
    set_sync_debug_mode,
    synchronize,
)
from .memory import (
    empty_cache,
    max_memory_allocated,
    mem_get_info,
    memory_allocated,
    memory_reserved,
    memory_stats,
    reset_peak_memory_stats,
)
from .random import get_rng_state, initial_seed, manual_seed, manual_seed_all, seed, set_rng_state
from .streams import Event, Stream, StreamContext, current_stream, default_stream, set_stream, stream

__all__ = [
    "DeviceProperties", "Event", "OutOfMemoryError", "Stream", "StreamContext", "current_device", "current_stream",
    "default_stream", "device", "device_count", "device_of", "empty_cache", "get_device_capability", "get_device_name",
    "get_device_properties", "get_rng_state", "get_sync_debug_mode", "init", "initial_seed", "is_available",
    "is_initialized", "manual_seed", "manual_seed_all", "max_memory_allocated", "mem_get_info", "memory_allocated",
    "memory_reserved", "memory_stats", "reset_peak_memory_stats", "seed", "set_device", "set_rng_state", "set_stream",
    "set_sync_debug_mode", "stream", "synchronize",
]  # fmt: skip
