"""Is there a GPU? Asked in steps, the cheapest first; each failure says what is missing, and how to get it.

CuPy's package is looked for before (`requires=` in the plugin). Then comes NVIDIA's driver library, and last CuPy itself,
which starts the driver in this process: from then on a forked child cannot use it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

from plugrad.errors import DeviceError, NoDeviceError

#: The process in which the driver was started; None: not yet.
started_in: int | None = None


def driver_library() -> str:
    """The file name of NVIDIA's driver library on this platform."""
    return "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def check_driver() -> None:
    """DeviceError where NVIDIA's driver library is not there; it is loaded, but not started."""
    name = driver_library()
    try:
        ctypes.CDLL(name)
    except OSError as error:
        raise NoDeviceError(
            f"device 'cuda' needs an NVIDIA GPU and its driver: the driver library {name!r} was not found ({error}): install "
            "the driver (https://www.nvidia.com/drivers; in a container, start it with --gpus all), or use device 'cpu'"
        ) from None


def count(xp: Any) -> int:
    """How many GPUs CuPy sees; DeviceError where it sees none. Starts the driver."""
    global started_in
    check_fork()
    try:
        found = int(xp.cuda.runtime.getDeviceCount())
    except Exception as error:
        raise NoDeviceError(f"device 'cuda' cannot be used: {reason(error)}") from error
    if not found:
        raise NoDeviceError(
            "device 'cuda': the driver sees no GPU: check `nvidia-smi` and the environment variable CUDA_VISIBLE_DEVICES"
        )
    if started_in is None:
        started_in = os.getpid()
    return found


def check_fork() -> None:
    """DeviceError in a forked child of a process that has used the driver."""
    if started_in is not None and started_in != os.getpid():
        raise DeviceError(
            "Cannot re-initialize CUDA in forked subprocess: the parent process has used the GPU, and a driver does not "
            "outlive a fork: start processes by the 'spawn' method (multiprocessing.set_start_method('spawn'))"
        )


#: What the numbers of CUDA's runtime mean where there is nothing to compute on.
_REASONS = {
    35: "the NVIDIA driver is missing, or older than the CUDA version that CuPy was built for: update the driver, or "
    "install the CuPy of an older CUDA, e.g. pip install cupy-cuda12x in place of cupy-cuda13x",
    100: "the driver sees no GPU: check `nvidia-smi` and the environment variable CUDA_VISIBLE_DEVICES",
    802: "the system is not ready for CUDA yet (on machines with NVSwitch the service nvidia-fabricmanager must run)",
}


def reason(error: BaseException) -> str:
    """An error of CUDA's runtime in words, with the cure where there is one."""
    cure = _REASONS.get(getattr(error, "status", 0))
    return f"{cure} ({error})" if cure else f"{type(error).__name__}: {error}"
