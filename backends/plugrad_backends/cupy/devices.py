"""The GPUs of this machine: what they are."""

from __future__ import annotations

from typing import Any

from .memory import readable


def describe(xp: Any, index: int) -> str:
    """One GPU in a line."""
    found = xp.cuda.runtime.getDeviceProperties(index)
    name = found["name"]
    return (
        f"cuda:{index} = {name.decode() if isinstance(name, bytes) else name}, compute capability "
        f"{found['major']}.{found['minor']}, {readable(found['totalGlobalMem'])}"
    )
