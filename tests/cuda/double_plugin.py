"""The CUDA backend over the strict double, as a device of its own: `cuda_double`."""

from __future__ import annotations

from typing import Any

from plugrad.plugins import BackendSpec, hookimpl


def __getattr__(name: str) -> Any:
    if name != "DoubleBackend":
        raise AttributeError(name)
    from plugrad_backends.cupy.backend import CuPyBackend

    from . import strict_double

    class DoubleBackend(CuPyBackend):
        """`CuPyBackend`, pointed at the double."""

        device_type = "cuda_double"
        array_type = strict_double.Array
        xp: Any = strict_double.DOUBLE
        xpx: Any = strict_double.DOUBLEX

    globals()[name] = DoubleBackend
    return DoubleBackend


class DoublePlugin:
    """Offers `cuda_double`."""

    @hookimpl
    def plugrad_backends(self) -> list[BackendSpec]:
        return [
            BackendSpec(
                "cuda_double", "tests.cuda.double_plugin:DoubleBackend", requires=("cupy",),
                array_types=("tests.cuda.strict_double:Array",),
            )
        ]  # fmt: skip
