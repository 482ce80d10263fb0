"""The backends that come with plugrad: a table of modules, each imported when its device is first used."""

from __future__ import annotations

from plugrad.plugins import BackendSpec, hookimpl


@hookimpl
def plugrad_backends() -> list[BackendSpec]:
    """plugrad's own backends."""
    here = "plugrad_backends"
    return [
        BackendSpec("cpu", f"{here}.numpy:NumPyBackend", array_types=("numpy:ndarray",)),
        BackendSpec(
            "cuda",
            f"{here}.cupy:CuPyBackend",
            requires=("cupy",),
            extra="cuda",
            array_types=("cupy:ndarray",),
        ),
        BackendSpec(
            "opencl", f"{here}.opencl:OpenCLBackend", requires=("pyopencl",), extra="opencl", names=True
        ),
    ]
