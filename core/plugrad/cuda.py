"""`torch.cuda`'s questions; without a CUDA backend the answers are no and none."""

from __future__ import annotations

from .backend import for_device
from .errors import DeviceError


def is_available() -> bool:
    """Whether `device("cuda")` can be used here."""
    try:
        for_device("cuda")
    except DeviceError:
        return False
    return True


def device_count() -> int:
    """How many CUDA devices can be used here."""
    return int(is_available())
