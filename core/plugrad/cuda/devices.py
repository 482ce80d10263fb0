"""Which GPUs there are, what they are, and which one is current in this thread."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import backend as backends
from ..backend import for_device
from ..device import device as Device
from ..graph import Variable


def runtime() -> Any:
    """What the backend of CUDA can do beyond computing; DeviceError where there is no GPU."""
    backend: Any = for_device("cuda")
    return backend.runtime


def index_of(device: Any) -> int:
    """The number of a GPU that is given as an int, "cuda:1" or a device; None, and "cuda", are the current one."""
    if device is None:
        return runtime().current_device()
    if isinstance(device, int) and not isinstance(device, bool):
        found = device
    else:
        place = Device(device)
        if place.type != "cuda":
            raise ValueError(f"Expected a cuda device, but got: {place}")
        found = runtime().current_device() if place.index is None else place.index
    count = runtime().device_count()
    if not 0 <= found < count:
        raise RuntimeError(
            f"CUDA error: invalid device ordinal: asked for device {found}, and there "
            f"{'is one, 0' if count == 1 else f'are {count}, 0 … {count - 1}'}"
        )
    return found


def is_available() -> bool:
    """Whether `device("cuda")` can be used here; never raises.

    The first call starts the driver where there is one: from then on a forked child cannot use it.
    """
    try:
        return device_count() > 0
    except Exception:
        return False


def device_count() -> int:
    """How many GPUs can be used here."""
    try:
        return runtime().device_count()
    except backends.DeviceError:
        return 0


def is_initialized() -> bool:
    """Whether the backend has been loaded, and the driver started, in this process."""
    return backends.is_used("cuda")


def init() -> None:
    """Load the backend and start the driver now, rather than at the first use; DeviceError where there is no GPU."""
    runtime()


def current_device() -> int:
    """The number of the GPU on which `device("cuda")` is, in this thread."""
    return runtime().current_device()


def set_device(device: Any) -> None:
    """Make a GPU the current one of this thread; `with plugrad.cuda.device(...)` does so for a block."""
    runtime().set_device(index_of(device))


class device:
    """A block in which a GPU is the current one: `with plugrad.cuda.device(1): ...`."""

    def __init__(self, device: Any) -> None:
        self.idx = index_of(device)

    def __enter__(self) -> None:
        found = runtime()
        self._before = found.current_device()
        found.set_device(self.idx)

    def __exit__(self, *error: object) -> None:
        runtime().set_device(self._before)


class device_of(device):
    """A block in which the GPU of a tensor is the current one; for a tensor elsewhere nothing changes."""

    def __init__(self, obj: Any) -> None:
        place = getattr(obj, "device", None) if isinstance(obj, Variable) else None
        super().__init__(place if place is not None and place.type == "cuda" else None)


def synchronize(device: Any = None) -> None:
    """Wait until everything that was asked of a GPU is done; an index that was out of range is told then."""
    for_device("cuda", index_of(device)).synchronize()


class DeviceProperties(NamedTuple):
    """What a GPU is."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int


def get_device_properties(device: Any = None) -> DeviceProperties:
    """Name, compute capability, bytes of memory and number of multiprocessors of a GPU."""
    return DeviceProperties(*runtime().properties(index_of(device)))


def get_device_name(device: Any = None) -> str:
    """The name of a GPU."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a GPU, e.g. (9, 0)."""
    found = get_device_properties(device)
    return found.major, found.minor


def set_sync_debug_mode(debug_mode: int | str) -> None:
    """What happens when the host waits for a GPU: "default" (0), nothing; "warn" (1); "error" (2), it raises.

    The text names what waits, and the user's line. It holds for the process.
    """
    runtime().set_sync_debug_mode(debug_mode)


def get_sync_debug_mode() -> int:
    """The mode that `set_sync_debug_mode` chose, as a number."""
    return runtime().get_sync_debug_mode()
