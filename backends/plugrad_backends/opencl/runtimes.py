"""Which OpenCL devices there are, and which of them a user means; making contexts is `device`'s."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass, replace
from typing import Any

from plugrad.errors import DeviceError, NoDeviceError

from . import drivers

#: Platforms whose devices are no hardware, and are used only where they are named so.
INTERPRETERS = {"oclgrind": "Oclgrind", "fpga": "FPGA Emulation"}
#: Other names of platforms, as parts of what they call themselves.
ALIASES = {"pocl": "portable computing language", "rocm": "amd accelerated parallel processing"}
#: Companies: such a name means the company's runtime, not the processor on which another one's runs.
COMPANIES = ("intel", "amd", "nvidia", "apple", "arm", "qualcomm")
#: Runtimes that run on the hardware of others come after the vendor's own, in this order.
PORTABLE = ("Portable Computing Language", "rusticl", "clvk", "Clover", "OpenCLOn12")
KINDS = ("gpu", "accelerator", "cpu")

#: What plugrad may use where a device has it, and the extensions one of which says so.
CAPABILITIES = {
    "fp64": ("cl_khr_fp64",),
    "fp16": ("cl_khr_fp16",),
    "int64_atomics": ("cl_khr_int64_base_atomics",),
    "subgroups": ("cl_khr_subgroups", "cl_intel_subgroups"),
}

VARIABLE = "PLUGRAD_OPENCL_DEVICE"
HIDE = "PLUGRAD_OPENCL_HIDE"


@dataclass(eq=False)
class Found:
    """An OpenCL device: ``index`` is its place among all, so that users write it ``opencl:index``.

    ``kind`` is "gpu", "accelerator" or "cpu": how kernels are to be scheduled. An interpreter counts as a GPU, whose schedule it
    checks best.
    """

    index: int
    device: Any
    platform_name: str
    name: str
    vendor: str
    kind: str
    is_interpreter: bool
    driver_version: str

    def __str__(self) -> str:
        kind = "interpreter" if self.is_interpreter else self.kind
        return (
            f"opencl:{self.index} = {self.name} ({kind}, {self.platform_name}, driver {self.driver_version})"
        )


_found: list[Found] | None = None
_named: set[int] = set()  # interpreters that a user asked for
_looked = False  # whether this process, or one that it was forked from, has asked the runtimes for devices
_forked_from: int | None = None
_lock = threading.Lock()


def devices() -> list[Found]:
    """The OpenCL devices in plugrad's order: GPUs, accelerators, CPUs; an interpreter only after it was asked for by name.

    They are looked for once in a process. DeviceError says what is missing where there is nothing at all.
    """
    return [found for found in _all() if not found.is_interpreter or found.index in _named]


def select(which: int | str | None = None) -> Found:
    """The device that a user means by an index or a name; None is the one of PLUGRAD_OPENCL_DEVICE, or else the first.

    A name is made of parts with a colon between them, all of which must fit: a kind of device ("gpu", "cpu", "accelerator"),
    parts of the names of platform and device in any case, and at the end which of several, counted from 0: "gpu:1", "pocl",
    "intel:cpu", "NVIDIA:H200:0".
    """
    asked = f"device 'opencl:{which}'"
    if which is None:
        asked, which = "device 'opencl'", os.environ.get(VARIABLE, "").strip().removeprefix("opencl:") or None
        if which is None:
            return _first(asked)
        asked = f"{VARIABLE}={which}"
    parts = [part.strip() for part in str(which).split(":")]
    if not all(parts):
        raise DeviceError(f"{asked}: a part of the name is empty: write it like 'gpu', 'gpu:1' or 'pocl'")
    number = int(parts.pop()) if parts[-1].isdecimal() else 0
    if not parts:
        return _at(number, asked)
    fitting = [found for found in _all() if all(_fits(found, part) for part in parts)]
    if number >= len(fitting):
        raise _absent(parts, fitting, asked)
    found = fitting[number]
    if found.is_interpreter:
        _named.add(found.index)
    return found


def capabilities(found: Found) -> frozenset[str]:
    """What a device has of `CAPABILITIES`, less what the environment variable PLUGRAD_OPENCL_HIDE names."""
    hidden = {name.strip() for name in os.environ.get(HIDE, "").split(",")} - {""}
    unknown = sorted(hidden - CAPABILITIES.keys())
    if unknown:
        raise DeviceError(
            f"{HIDE} names {', '.join(map(repr, unknown))}: what it can hide is {', '.join(CAPABILITIES)}"
        )
    has = set(found.device.extensions.split())
    return frozenset(
        name for name, signs in CAPABILITIES.items() if name not in hidden and has.intersection(signs)
    )


def check_fork() -> None:
    """Raise DeviceError in a process that was forked from one that had looked for OpenCL devices already.

    The threads of a runtime do not survive a fork: in the child, PoCL waits for them for ever, even where the parent did no more
    than list devices.
    """
    if _forked_from is not None:
        raise DeviceError(
            f"OpenCL was in use in process {_forked_from} when this process was forked from it, and a runtime's threads do not "
            "survive that: start workers by 'spawn' or 'forkserver' "
            "(multiprocessing.get_context('spawn'); DataLoader(multiprocessing_context='spawn')), "
            "or use OpenCL in the parent only after the fork"
        )


def _all() -> list[Found]:
    """Every device, interpreters at the end."""
    global _found
    check_fork()
    with _lock:
        if _found is None:
            _found = _discover()
        return _found


def _discover() -> list[Found]:
    global _looked
    before = drivers.threads()
    with drivers.listed():
        try:
            import pyopencl
        except ImportError as error:
            raise DeviceError(
                f"device 'opencl' needs pyopencl, which cannot be imported ({error}): pip install \"plugrad[opencl]\""
            ) from error
        _looked = True
        try:
            platforms = pyopencl.get_platforms()
        except pyopencl.Error:  # the loader calls it an error that there is none
            platforms = []
    candidates = []
    for platform in platforms:
        try:
            raws = platform.get_devices()
        except pyopencl.Error:  # a driver without a device
            continue
        candidates += [
            (_order(found), found)
            for found in (
                _describe(pyopencl, platform, raw) for raw in raws if raw.available and raw.compiler_available
            )
        ]
    if any(ALIASES["pocl"] in platform.name.casefold() for platform in platforms):
        drivers.settle(drivers.threads() - before)
    if not candidates:
        raise NoDeviceError(f"device 'opencl': {drivers.no_runtime()}")
    candidates.sort(key=lambda pair: pair[0])
    return [replace(found, index=index) for index, (_, found) in enumerate(candidates)]


def _describe(cl: Any, platform: Any, raw: Any) -> Found:
    types = cl.device_type
    kind = "gpu" if raw.type & types.GPU else "cpu" if raw.type & types.CPU else "accelerator"
    name = _text(platform.name)
    return Found(
        index=-1,
        device=raw,
        platform_name=name,
        name=_text(raw.name),
        vendor=_text(raw.vendor),
        kind=kind,
        is_interpreter=any(part in name for part in INTERPRETERS.values()),
        driver_version=_text(raw.driver_version),
    )


def _text(name: str) -> str:
    """A name without the blanks and the zero that some drivers end it with."""
    return name.strip(" \t\n\0")


def _order(found: Found) -> tuple[Any, ...]:
    """What devices are sorted by; those that are equal in it stay as their platform lists them.

    The loader lists platforms in no particular order, which changes when a package is installed.
    """
    rank = next((i for i, name in enumerate(PORTABLE, 1) if name in found.platform_name), 0)
    if found.kind == "cpu" and found.platform_name.startswith("Intel"):
        rank = -1
    shares_memory = found.kind == "gpu" and bool(
        found.device.host_unified_memory
    )  # a small one, built into the processor
    newest = tuple(-int(number) for number in re.findall(r"\d+", found.driver_version))
    return found.is_interpreter, KINDS.index(found.kind), shares_memory, rank, found.platform_name, newest


def _fits(found: Found, part: str) -> bool:
    """Whether a part of a name fits a device; an interpreter must be called by the name that its platform has."""
    part = part.casefold()
    if found.is_interpreter:
        return part in INTERPRETERS and INTERPRETERS[part] in found.platform_name
    if part in KINDS:
        return found.kind == part
    part = ALIASES.get(part, part)
    if part in found.platform_name.casefold():
        return True
    if part in COMPANIES and found.kind == "cpu":
        return False
    return part in found.name.casefold() or part in found.vendor.casefold()


def _first(asked: str) -> Found:
    real = [found for found in _all() if not found.is_interpreter]
    if not real:
        names = ", ".join(f"{found.name} (device 'opencl:{_called(found)}')" for found in _all())
        raise NoDeviceError(
            f"{asked}: there is only an interpreter, thousands of times slower than a device, and used only where it is named: "
            f"{names}. Drivers are, {drivers.cures()}"
        )
    return real[0]


def _at(number: int, asked: str) -> Found:
    everything = _all()
    if number >= len(everything):
        raise DeviceError(f"{asked}: there is no such device. {_there()}")
    found = everything[number]
    if found.is_interpreter and number not in _named:
        raise DeviceError(
            f"{asked}: that is an interpreter, used only where it is named: 'opencl:{_called(found)}'"
        )
    return found


def _called(interpreter: Found) -> str:
    return next(name for name, part in INTERPRETERS.items() if part in interpreter.platform_name)


def _absent(parts: list[str], fitting: list[Found], asked: str) -> DeviceError:
    """The error for a name that fits no device, or fewer than was asked for."""
    text = (
        f"{asked}: no device is called so" if not fitting else f"{asked}: only {len(fitting)} are called so"
    )
    cure = "name one by its index, its kind (gpu, accelerator, cpu) or a part of its name"
    words = {part.casefold() for part in parts}
    if "intel" in words and drivers.intel_library() is not None:
        cure = (
            "Intel's runtime is installed, but was not loaded: use plugrad's device before other users of pyopencl, "
            f"or start Python with OCL_ICD_VENDORS={drivers.intel_library()}; pip install intel-cmplr-lib-rt if that is missing"
        )
    elif any(
        not any(_fits(found, word) for found in _all()) for word in words & {*KINDS, *ALIASES, *COMPANIES}
    ):
        cure = f"drivers are, {drivers.cures('GPU' if 'gpu' in words else '')}"
    return DeviceError(f"{text}. {_there()}. {cure}")


def _there() -> str:
    return "There are: " + "; ".join(str(found) for found in _all())


def _after_fork() -> None:
    """In a child process: note that runtimes were in use; a thread that held the lock in the parent does not exist here."""
    global _lock, _forked_from
    _lock = threading.Lock()
    if _looked and _forked_from is None:
        _forked_from = os.getppid()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
