"""What the real cuDNN plans for GPUs that are only described: run by `test_cudnn` in a process of its own.

cuDNN plans without a GPU, given properties of one; nothing is executed. One of its libraries needs the driver's to be loaded:
where there is none, a library stands in whose functions all fail. Exits with 77, and says why, where cuDNN is not installed.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from plugrad_backends.cupy.kernels import cudnn as ours

#: Compute capability times 10, and multiprocessors.
GPUS = {
    "sm_75": (750, 40),
    "sm_80": (800, 108),
    "sm_90": (900, 132),
    "sm_100": (1000, 148),
    "sm_120": (1200, 170),
}
PROPERTIES: dict[str, Any] = {
    "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536, "smCountOrigin": 0,
    "warpSize": 32, "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 101376,
    "oversizedSharedMemoryPerBlock": 0, "reservedSharedMemoryPerBlock": 1024, "maxRegistersPerSM": 65536,
    "maxCtasPerSM": 16, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 1024, "pciDeviceId": 0, "isTccDriver": 0,
    "supportCoopLaunch": 1, "smClockRateKHz": 1500000, "memClockRateKHz": 1500000, "memoryBusWidth": 384,
    "l2CacheSize": 4 << 20, "deviceName": "described", "driverVer": 13000, "cudaDeviceId": 0, "totalGlobalMem": 16 << 30,
}  # fmt: skip
#: image, weight, stride, padding, dilation, groups
CASES: dict[str, tuple[Any, ...]] = {
    "3×3": ((8, 64, 56, 56), (64, 64, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "stride 2": ((8, 64, 56, 56), (128, 64, 3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    "1×1": ((8, 64, 56, 56), (128, 64, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "odd everything": ((2, 3, 9, 8), (5, 3, 3, 2), (3, 2), ((2, 2), (1, 1)), (1, 2), 1),
    "padded unevenly": ((8, 64, 56, 56), (64, 64, 2, 2), (1, 1), ((0, 1), (0, 1)), (1, 1), 1),
    "groups": ((8, 64, 56, 56), (64, 16, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    "depthwise": ((8, 64, 56, 56), (64, 1, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 64),
    "1d": ((8, 64, 1000), (64, 64, 3), (1,), ((1, 1),), (2,), 1),
    "3d": ((2, 16, 16, 16, 16), (32, 16, 3, 3, 3), (1, 1, 1), ((1, 1),) * 3, (1, 1, 1), 1),
}
#: The functions of the driver that cuDNN's library is linked to.
_DRIVER = "cuGetErrorString cuModuleGetFunction cuModuleLoadData cuModuleUnload cuTensorMapEncodeIm2col cuTensorMapEncodeTiled"


def skip(reason: str) -> None:
    print(reason)
    sys.exit(77)


def load_libraries() -> None:
    """What cuDNN looks for by name, loaded before."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        text = "".join(f"int {name}(void) {{ return 100; }}\n" for name in _DRIVER.split())  # no device
        target = Path(tempfile.mkdtemp()) / "libcuda.so.1"
        command = ["gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-x", "c", "-", "-o", str(target)]
        subprocess.run(command, input=text, text=True, check=True)
        ctypes.CDLL(str(target), ctypes.RTLD_GLOBAL)
    for name in ("cudart", "nvrtc", "cublasLt"):
        with suppress(Exception):  # it may be found otherwise
            from cuda.pathfinder import load_nvidia_dynamic_lib

            load_nvidia_dynamic_lib(name)


class Described:
    """The real module, whose graphs are for a GPU that is described."""

    def __init__(self, module: Any, version: int, multiprocessors: int) -> None:
        self._module, self._version = module, version // 10
        told = {**PROPERTIES, "deviceVer": version, "multiProcessorCount": multiprocessors}
        self._properties = module.create_device_properties(json.dumps(told))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def create_handle(self) -> None:
        return None

    def pygraph(self, *, handle: None, **options: Any) -> Any:
        return self._module.pygraph(device_property=self._properties, sm_version=self._version, **options)


def main() -> None:
    try:
        import cudnn
    except ImportError as error:
        skip(f"nvidia-cudnn-frontend is not installed: {error}")
    try:
        load_libraries()
        print(f"cuDNN {cudnn.backend_version()}")
        Described(cudnn, 900, 132)
    except Exception as error:
        skip(f"cuDNN's libraries are not installed: {error}")
    for gpu, described in GPUS.items():
        library = ours.Cudnn(Described(cudnn, *described), lambda: 0, lambda size: None)
        for dtype, tf32 in (("float32", False), ("float32", True), ("float16", False), ("bfloat16", False)):
            os.environ["PLUGRAD_TF32"] = str(int(tf32))
            for name, (image, weight, *where) in CASES.items():
                for op in ("convolution", "convolution_transposed", "convolution_weight"):
                    c = ours.asked(op, dtype, image, weight, None, *where)
                    assert c is not None and c.tf32 == tf32
                    found = library.look_up(c)
                    what = f"{gpu} {dtype} {'TF32 ' * tf32}{name} {op}"
                    if isinstance(found, str):
                        print(f"{what}: refused: {found}"[:300])
                        continue
                    at = found.graph._plan_index
                    plan = found.graph.get_plan_name_at_index(at)
                    print(f"{what}: planned {plan}, number {at}, {found.workspace} bytes")


if __name__ == "__main__":
    warnings.simplefilter("error")  # such as a description that cuDNN refuses
    main()
