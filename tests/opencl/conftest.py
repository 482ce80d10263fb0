"""The OpenCL devices that tests run on: PoCL, Intel's CPU runtime, and Oclgrind, which checks races and bounds.

PLUGRAD_TEST_OPENCL=pocl,oclgrind names them. Without it those that are installed serve; Oclgrind is slow: small shapes.
"""

from __future__ import annotations

import os

import pytest

NAMES = ("pocl", "intel", "oclgrind")

pytest.importorskip("pyopencl")
os.environ.setdefault("OCLGRIND_DATA_RACES", "1")


def backend_of(name: str):
    """The backend of a device by its name; skips the test where that is not there."""
    from plugrad.backend import for_device
    from plugrad.errors import DeviceError
    from plugrad_backends.opencl import runtimes

    chosen = os.environ.get("PLUGRAD_TEST_OPENCL")
    if chosen is not None and name not in chosen.split(","):
        pytest.skip(f"PLUGRAD_TEST_OPENCL is {chosen}")
    try:
        found = runtimes.select(name)
    except DeviceError as error:
        if chosen is not None:
            raise
        pytest.skip(str(error))
    return for_device("opencl", found.index)


@pytest.fixture(params=NAMES)
def opencl(request):
    """The backend of each device in turn."""
    backend = backend_of(request.param)
    yield backend
    assert backend.device.is_lean == (request.param == "pocl"), (
        "a program calls what builtins.py does not declare"
    )


def scheduled_as_gpu(backend):
    """A backend like another, over a device object of its own, whose kernels are those for GPUs."""
    from plugrad_backends.opencl.device import Device

    made = object.__new__(type(backend))
    made.__dict__.update(backend.__dict__)
    for name, member in list(made.__dict__.items()):
        if getattr(member, "device", None) is backend.device:  # kernels that were made for the other one
            del made.__dict__[name]
    made.device = Device(backend.device.found, backend.device.capabilities)
    made.device.is_cpu, made.device.functions = False, made
    made.array_type = made.device.array_type
    return made
