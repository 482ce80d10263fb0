"""CuPy: the devices `cuda`, `cuda:1` ….

Importing this module imports nothing heavy. The class `CuPyBackend` is looked for at the first use of a device: first
NVIDIA's driver library, which takes microseconds where it is missing, and only then CuPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backend import CuPyBackend

__all__ = ["CuPyBackend"]


def __getattr__(name: str) -> Any:
    if name != "CuPyBackend":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import detect

    detect.check_driver()
    from .backend import CuPyBackend

    return CuPyBackend
