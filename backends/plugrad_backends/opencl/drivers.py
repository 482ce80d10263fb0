"""Which OpenCL drivers are looked at, beyond those that a loader finds by itself.

OpenCL's loader reads a folder of ``.icd`` files, each of which names the library of a driver. What pip installs is not in that
folder, and a container may lack the file of a driver that is there. `listed` shows the loader a folder that has them too.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Where loaders look for ``.icd`` files: most systems, FreeBSD, NixOS, a conda environment.
FOLDERS = (
    "/etc/OpenCL/vendors",
    "/usr/local/etc/OpenCL/vendors",
    "/run/opengl-driver/etc/OpenCL/vendors",
    f"{sys.prefix}/etc/OpenCL/vendors",
)

#: How to get a driver, by what it is for; more of it stands in docs/opencl.md.
CURES = {
    "the CPU": 'pip install "plugrad[opencl-cpu]" (PoCL) or "plugrad[opencl-intel]" (Intel\'s)'
    if sys.platform == "linux" and platform.machine() == "x86_64"
    else "PoCL, as pocl-opencl-icd or, of conda-forge, pocl",
    "an NVIDIA GPU": "NVIDIA's driver, on Debian with nvidia-opencl-icd",
    "an AMD GPU": "rocm-opencl-runtime of AMD, or rocm-opencl-icd of Debian and Ubuntu",
    "an Intel GPU": "intel-opencl-icd",
    "another GPU": "its vendor's driver, or mesa-opencl-icd",
}
_PREFIX = "plugrad-opencl-"


@contextmanager
def listed() -> Iterator[None]:
    """While it lasts, OpenCL's loader finds Intel's runtime from PyPI beside the drivers that it finds anyway.

    The loader looks once in a process, when it is first asked for platforms. So a folder for this one look is enough: it is
    nobody else's, never stale, and gone afterwards. Nothing is done where the user set OCL_ICD_VENDORS.
    """
    import shutil
    import tempfile

    before = os.environ.get("OCL_ICD_VENDORS")
    if before and _PREFIX in before and not os.path.exists(before):
        before = None  # from a process that started this one at just that moment
    folder = None
    if not before and (further := _further()):
        try:
            folder = tempfile.mkdtemp(prefix=_PREFIX)  # which only this user can read or write
            for number, file in enumerate(_present()):
                os.symlink(file, f"{folder}/{number}-{file.name}")
            for name, library in further.items():
                Path(folder, f"{name}.icd").write_text(f"{library}\n")
            os.environ["OCL_ICD_VENDORS"] = folder
        except OSError:  # no place for temporary files: the loader does without
            pass
    try:
        yield
    finally:
        if folder is not None:
            if before is None:
                os.environ.pop("OCL_ICD_VENDORS", None)
            else:
                os.environ["OCL_ICD_VENDORS"] = before
            shutil.rmtree(folder, ignore_errors=True)


def threads() -> set[int]:
    """The threads of this process, as Linux numbers them; none on other systems."""
    try:
        return {int(name) for name in os.listdir("/proc/self/task")}
    except OSError:
        return set()


def settle(workers: set[int]) -> None:
    """Give each of PoCL's threads a processor of its own, on which it does not interrupt the thread that launches kernels.

    They are all woken at each launch. Left alone, Linux often wakes two on one processor while another is idle, so that a kernel
    takes as long as on one; or where the launching thread just runs, which then has to wait. Nothing is done where there are not
    exactly as many of them as processors that this process may use, or where the user chose otherwise.
    """
    if not hasattr(os, "sched_setaffinity") or "POCL_AFFINITY" in os.environ:
        return
    processors = os.sched_getaffinity(0)
    if len(workers) != len(processors):
        return
    for worker, processor in zip(sorted(workers), sorted(processors)):
        with suppress(OSError):  # a sandbox
            os.sched_setaffinity(worker, {processor})
            if os.sched_getscheduler(worker) == os.SCHED_OTHER:
                os.sched_setscheduler(worker, os.SCHED_BATCH, os.sched_param(0))


def intel_library() -> Path | None:
    """The library of Intel's CPU runtime that pip installed as intel-opencl-rt; None where it did not."""
    from importlib import metadata

    try:
        files = metadata.distribution("intel-opencl-rt").files or ()
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "libintelocl.so":
            path = Path(os.path.normpath(str(file.locate())))
            return path if path.is_file() else None
    return None


def _further() -> dict[str, str]:
    """The libraries of drivers that are there, and that no ``.icd`` file names, by a name for their file."""
    if not sys.platform.startswith("linux"):  # the loaders of other systems have no such folder
        return {}
    named = " ".join(_content(file) for file in _present())
    further = {}
    intel = intel_library()
    if intel is not None and "libintelocl.so" not in named:
        further["intel"] = str(intel)
    if os.path.exists("/dev/nvidiactl") and "libnvidia-opencl" not in named:
        further["nvidia"] = "libnvidia-opencl.so.1"  # a container is given the library without its file
    return further


def _present() -> list[Path]:
    """The ``.icd`` files that the loader would read."""
    own = os.environ.get("OPENCL_VENDOR_PATH")
    folders = (own,) if own else FOLDERS
    files = (
        file for folder in folders if os.path.isdir(folder) for file in sorted(Path(folder).glob("*.icd"))
    )
    return [file for file in files if _loadable(_content(file))]


def _content(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def _loadable(library: str) -> bool:
    """Whether an ``.icd`` file may be of use: what pip puts into an environment names a folder that never was."""
    return bool(library) and (not library.startswith("/") or os.path.exists(library))


def no_runtime() -> str:
    """What is told where pyopencl finds no platform."""
    before = os.environ.get("OCL_ICD_VENDORS")
    if before:
        return (
            f"OCL_ICD_VENDORS={before!r} names no OpenCL runtime that can be loaded: "
            "unset it, or name a folder of .icd files"
        )
    if intel_library() is not None:
        return (
            "pyopencl finds no OpenCL runtime, and that of Intel cannot be loaded: "
            "pip install --upgrade intel-opencl-rt intel-cmplr-lib-rt"
        )
    return "pyopencl is installed, but no driver of OpenCL. Drivers are, " + cures()


def cures(only: str = "") -> str:
    """How to get a driver, for each kind of device, or those with a word in their name, in one line."""
    return "; ".join(f"for {what}: {how}" for what, how in CURES.items() if only in what)
